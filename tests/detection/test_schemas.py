"""Rules of judging arguments by a JSON Schema: what is certain, what frameworks mend, and what is never done."""

import socket
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajectory.detection.schemas import Schema
from trajectory.detection.violations import Violation

SEARCH = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "nights": {"type": "integer"},
        "price": {"type": "number"},
        "step_free": {"type": "boolean", "default": False},
        "unit": {"type": "string", "enum": ["EUR", "USD"]},
        "stops": {
            "type": "array",
            "items": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["city", "nights", "step_free"],
    "additionalProperties": False,
}
FITTING = {"city": "Lyon", "nights": 2}


def wrong(arguments: Any, schema: Any = SEARCH) -> list[Violation]:
    return Schema(schema).violations(arguments)


@pytest.mark.parametrize(
    ("given_more", "path", "says"),
    [
        ({"nights": "two"}, "nights", "nights must be an integer, got “two”"),
        ({"nights": 2.5}, "nights", "nights must be an integer, got 2.5"),
        ({"city": ["Lyon"]}, "city", 'city must be a string, got ["Lyon"]'),
        ({"unit": "GBP"}, "unit", "unit must be one of EUR, USD; got “GBP”"),
        ({"red": 1}, "red", "red is not an argument of it (known: city, nights, note, price, step_free, stops, unit)"),
        ({"stops": [{"city": "Nice"}, {}]}, "stops[1].city", "stops[1].city is required and missing"),
        ({"stops": "Nice"}, "stops", "stops must be an array, got “Nice”"),
        ({"note": [1]}, "note", "note must be a string or null, got [1]"),
    ],
)  # fmt: skip
def test_a_certain_violation_names_place_expected_and_got(given_more: dict[str, Any], path: str, says: str) -> None:
    (violation,) = wrong(FITTING | given_more)
    assert (violation.path, violation.says, violation.is_certain) == (path, says, True)


def test_every_missing_argument_is_named() -> None:
    assert [v.path for v in wrong({})] == ["city", "nights"]


@pytest.mark.parametrize(
    "given_more",
    [
        {"nights": "2"}, {"nights": 2.0}, {"nights": " 3 "}, {"price": "12.50"}, {"price": 3}, {"step_free": "true"},
        {"step_free": 0}, {"note": None}, {"unit": None}, {"stops": None}, {"price": None}, {"stops": []},
    ],
)  # fmt: skip
def test_what_frameworks_mend_is_no_violation(given_more: dict[str, Any]) -> None:
    assert wrong(FITTING | given_more) == []


@pytest.mark.parametrize(
    "given_more", [{"city": 69001}, {"unit": "eur"}, {"stops": '[{"city": "Nice"}]'}, {"city": None}]
)
def test_what_only_some_frameworks_mend_is_not_certain(given_more: dict[str, Any]) -> None:
    assert [v.is_certain for v in wrong(FITTING | given_more)] == [False]


def test_a_bound_is_not_certain() -> None:
    schema = {"type": "object", "properties": {"limit": {"type": "integer", "maximum": 100}}}
    (violation,) = wrong({"limit": 500}, schema)
    assert (violation.says, violation.is_certain) == ("limit has maximum 100, got 500", False)


def test_a_default_stands_for_what_is_missing_though_strict_schemas_require_it() -> None:
    assert "step_free" not in [v.path for v in wrong({})]


def test_types_in_other_writings_are_understood() -> None:
    google = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": True}}, "required": ["n"]}
    assert wrong({"n": None}, google) == []
    assert [v.path for v in wrong({"n": "x"}, google)] == ["n"]


def test_a_branch_with_the_values_type_is_the_one_that_was_meant() -> None:
    place = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    schema = {"type": "object", "properties": {"at": {"oneOf": [{"type": "string"}, place]}}}
    assert [v.path for v in wrong({"at": {}}, schema)] == ["at.city"]
    assert wrong({"at": "Lyon"}, schema) == []


def needing(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "object"}}, "required": [name]}


@pytest.mark.parametrize(
    ("forms", "given", "says"),
    [
        ([{"type": "integer"}, {"type": "object"}], "5", []),
        ([{"type": "integer"}, {"type": "object"}], "five", ["at must be an integer or an object, got “five”"]),
        ([needing("a"), needing("b")], {}, ["at fits none of 2 forms, got {}"]),
        ([{"enum": [1, 2]}, {"enum": ["x"]}], "1", []),
    ],
)
def test_a_value_of_several_forms_is_judged_by_what_it_may_have_been_meant_as(
    forms: list[dict[str, Any]], given: Any, says: list[str]
) -> None:
    schema = {"type": "object", "properties": {"at": {"anyOf": forms}}}
    assert [v.says for v in wrong({"at": given}, schema)] == says


def test_of_forms_within_forms_only_so_many_are_read() -> None:
    form: dict[str, Any] = {"type": "integer"}
    for depth in range(12):
        schema = {"type": "object", "properties": {"n": form}}
        assert len(wrong({"n": "two"}, schema)) == (1 if depth <= 8 else 0)
        form = {"anyOf": [form, {"type": "null"}]}


@pytest.mark.parametrize(
    ("schema", "given", "is_certain"),
    [({"type": "array"}, None, False), ({"type": "object"}, None, False), ({"type": "array"}, 3, True)],
)
def test_nothing_in_place_of_a_list_or_an_object_is_mended_by_some(schema: Any, given: Any, is_certain: bool) -> None:
    (violation,) = wrong({"at": given}, {"type": "object", "properties": {"at": schema}, "required": ["at"]})
    assert violation.is_certain is is_certain


def test_arguments_nested_without_end_are_not_judged() -> None:
    assert [v.path for v in wrong(deep(5), needing("b"))] == ["b"]
    assert wrong(deep(500), needing("b")) == []


def test_definitions_are_followed_and_recursive_ones_as_deep_as_the_arguments() -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "below": {"$ref": "#/$defs/Node"}},
        "required": ["name"],
    }
    schema = {"type": "object", "properties": {"tree": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert wrong({"tree": {"name": "a", "below": {"name": "b"}}}, schema) == []
    assert [v.path for v in wrong({"tree": {"name": "a", "below": {}}}, schema)] == ["tree.below.name"]


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/schema.json", "file:///etc/passwd", "other.json#/a", "#/$defs/None", "#/properties/x", "urn:x", "#a",
        7, {"$ref": "#"}, "https://json-schema.org/draft/2020-12/schema",
    ],
)  # fmt: skip
def test_no_pointer_is_followed_anywhere(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    schema = {
        "$id": "http://127.0.0.1:9/",
        "type": "object",
        "properties": {"x": {"$ref": reference}, "n": {"type": "integer"}},
    }
    assert [v.path for v in wrong({"x": 1, "n": "two"}, schema)] == ["n"]


@pytest.mark.parametrize(
    "schema",
    [
        None, 7, "object", [], {}, {"type": "banana"}, {"type": 3}, {"type": ["object", 3]}, {"properties": []},
        {"properties": {"n": 7}}, {"type": "object", "properties": {"n": {"type": {}}}}, {"type": "object", "required": "n"},
        {"type": "object", "properties": {"n": {"enum": "abc"}}}, {"type": "object", "properties": {"n": {"enum": []}}},
        {"type": "object", "properties": {"n": {"enum": [{}]}}}, {"allOf": 3}, {"anyOf": [3]}, {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]}, {"type": "object", "properties": {"n": {"anyOf": [{"$ref": "#/properties/n"}]}}},
        {"type": "object", "properties": {"n": {"minimum": "x"}}}, {"type": "array"}, {"type": "string"},
        {"type": "object", "properties": {"n": {"pattern": "(a+)+$"}}},
    ],
)  # fmt: skip
def test_schemas_that_are_none_are_not_judged_by(schema: Any) -> None:
    assert wrong({"n": "a" * 50 + "!"}, schema) in (
        [],
        [v for v in wrong({"n": "a" * 50 + "!"}, schema) if not v.is_certain],
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"properties": {"n": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
    ],
)  # fmt: skip
def test_a_schema_that_is_within_itself_ends_long_before_the_stack_does(schema: Any) -> None:
    """Where Python's stack ends inside of a library in another language, what is raised is no `Exception`."""
    depth, deepest = 0, 0

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal depth, deepest
        depth += {"call": 1, "return": -1}.get(event, 0)
        deepest = max(deepest, depth)

    wrong({"n": 1}, {})  # loads the library
    sys.setprofile(note)
    try:
        found = wrong({"n": 1}, schema)
    finally:
        sys.setprofile(None)
    assert found == [] and 100 < deepest < 650


def timed(schema: Any, arguments: Any) -> float:
    start = time.process_time()
    Schema(schema).violations(arguments)
    return time.process_time() - start


def deep(count: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for _ in range(count):
        arguments = {"a": arguments}
    return arguments


def test_no_schema_and_no_arguments_take_long() -> None:
    either = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["b"]}
    exploding = {"type": "object", "anyOf": [either, either, either], "properties": {"b": {}}}
    huge = {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(100_000)}}
    nested: dict[str, Any] = {"type": "object"}
    for _ in range(20_000):
        nested = {"type": "object", "properties": {"a": nested}}
    text = {"type": "object", "properties": {"a": {"type": "integer", "pattern": "(a|a)*b"}}}
    wide = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    cases = [
        (exploding, deep(40)), (huge, {"p1": "x"}), (nested, deep(900)), (text, {"a": "a" * 1_000_000}),
        (wide, {"a": ["x"] * 1_000_000}), (SEARCH, {f"k{n}": n for n in range(9_000)}), (SEARCH, {"city": "x" * 1_000_000}),
    ]  # fmt: skip
    assert [round(timed(*case), 1) for case in cases if timed(*case) > 1.0] == []


_KEYS = ["type", "properties", "required", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "additionalProperties",
         "nullable", "$defs", "minimum", "a", "b", "default", "pattern"]  # fmt: skip
_JSON = st.recursive(
    st.sampled_from(["object", "string", "integer", "#", "#/$defs/a", "a", "", 1, -0.5, None, True, False]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(_JSON, _JSON)
def test_nothing_makes_it_raise(schema: Any, arguments: Any) -> None:
    for violation in wrong(arguments, {"type": "object", "properties": {"a": schema}, "$defs": {"a": schema}}) + wrong(
        arguments, schema
    ):
        assert violation.says
        assert "\n" not in violation.says
