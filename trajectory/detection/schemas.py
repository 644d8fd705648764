"""Whether a call's arguments fit the JSON Schema of its tool.

Invariant: nothing is fetched, no pattern is run, and the work is bounded, whatever a schema says. A schema is first cut down to
the keywords that can be judged with certainty (types, required and unknown properties, enumerations, bounds, and what joins
them); every cut makes it more lenient, so a violation of what is left is one of the whole. What cannot be judged fits. What
frameworks mend on their way ("3" for an integer, null for what may be left out, a default for what is missing) is no violation.
Called by the detector of bad arguments.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

from trajectory.detection.violations import MAX_VIOLATIONS_COUNT, Violation, violations_of
from trajectory.model.content import JSON, canonical_json, digest

MAX_STEPS_COUNT = 5_000  # keywords applied to one call's arguments
_MAX_NESTED_COUNT = 120  # of them, one within the other: far from where Python, or a library below it, ends in a panic
_MAX_NODES_COUNT = 4_000  # of a schema
_MAX_DEPTH = 24
_MAX_VALUES_COUNT = 10_000  # in the arguments
_MAX_TEXT_CHARS = 256
_MAX_ENUM_COUNT = 256
_MAX_ERRORS_COUNT = 32
_TYPES = {
    "string": "string", "str": "string", "number": "number", "float": "number", "double": "number", "integer": "integer",
    "int": "integer", "boolean": "boolean", "bool": "boolean", "object": "object", "dict": "object", "array": "array",
    "list": "array", "null": "null", "none": "null",
}  # fmt: skip
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems")
_REF = re.compile(r"#/(?P<place>\$defs|definitions)/(?P<name>[\w.-]{1,128})")


class Unjudged(Exception):
    """Judging would take more than it may."""


class Schema:
    """A tool's schema as it came, made ready when the first call is judged by it. `names` are those it gives to arguments."""

    def __init__(self, said: Any) -> None:
        self.said = said
        properties = said.get("properties") if isinstance(said, Mapping) else None
        self.names = [str(name) for name in properties] if isinstance(properties, Mapping) else []

    @cached_property
    def key(self) -> bytes:
        """What two schemas that say the same have in common."""
        return digest(JSON, canonical_json(self.said))

    @cached_property
    def _validator(self) -> Any:
        try:
            return _validator(self.said)
        except Exception:  # a schema may be anything: one that cannot be read fits all
            return None

    def violations(self, arguments: Any) -> list[Violation]:
        """Where arguments violate it, certain ones first; nothing where it, or they, cannot be judged. Never raises."""
        if self._validator is None:
            return []
        token = _spent.set([0, 0])
        try:
            errors = self._validator.iter_errors(_cut(arguments, _Count(_MAX_VALUES_COUNT), 0))
            found = [violation for error in islice(errors, _MAX_ERRORS_COUNT) for violation in violations_of(error)]
        except Exception:  # too deep, too long, a pointer to nowhere: what cannot be judged is not judged
            return []
        finally:
            _spent.reset(token)
        by_place: dict[tuple[str, bool], Violation] = {}
        for violation in found:
            by_place.setdefault((violation.path, violation.reason == "unknown"), violation)
        return sorted(by_place.values(), key=lambda v: (not v.is_certain, v.path, v.reason))[:MAX_VIOLATIONS_COUNT]


# --- the schema ----------------------------------------------------------------------------------------------------------


class _Count:
    """What is left of a bound."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unjudged


def _validator(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return None
    definitions = {
        place: schema[place]
        for place in ("$defs", "definitions")
        if isinstance(schema.get(place), Mapping) and schema[place]
    }
    known = {(place, str(name)) for place, those in definitions.items() for name in those}
    count = _Count(_MAX_NODES_COUNT)
    judged = _lenient(schema, known, count, 0)
    if not judged or judged.get("type", "object") != "object":
        return None
    for place, those in definitions.items():
        judged[place] = {str(name): _lenient(those[name], known, count, 1) for name in those}
    return _validator_class()(judged)


def _lenient(schema: Any, known: set[tuple[str, str]], count: _Count, depth: int) -> dict[str, Any]:
    """A schema with nothing in it but what can be judged; empty, which fits all, for what is none."""
    count.take()
    if not isinstance(schema, Mapping):
        return {}
    if depth > _MAX_DEPTH:
        raise Unjudged
    if "$ref" in schema:
        return _reference(schema["$ref"], known)
    kept: dict[str, Any] = {}
    types = _types(schema)
    if types:
        kept["type"] = types if len(types) > 1 else types[0]
    values = _values(schema)
    if values:
        kept["enum"] = values
    kept.update((key, schema[key]) for key in _BOUNDS if _is_number(schema.get(key)))
    _keep_parts(schema, kept, known, count, depth)
    return kept


def _keep_parts(
    schema: Mapping[str, Any], kept: dict[str, Any], known: set[tuple[str, str]], count: _Count, depth: int
) -> None:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        kept["properties"] = {str(k): _lenient(v, known, count, depth + 1) for k, v in properties.items()}
        required = schema.get("required")
        if isinstance(required, list):
            owed = [r for r in required if isinstance(r, str) and r in properties and not _has_default(properties[r])]
            kept["required"] = list(dict.fromkeys(owed))
    unions = [schema[key] for key in ("anyOf", "oneOf") if isinstance(schema.get(key), list) and schema[key]]
    both = [{"anyOf": union} for union in (_branches(u, known, count, depth) for u in unions) if all(union)]
    every = schema.get("allOf")
    if isinstance(every, list):
        both += [part for part in _branches(every, known, count, depth) if part]
    if both:
        kept["allOf"] = both
    open_ended = unions or every or schema.get("patternProperties")
    if schema.get("additionalProperties") is False and not open_ended and "properties" in kept:
        kept["additionalProperties"] = False
    if isinstance(schema.get("items"), Mapping) and not schema.get("prefixItems"):
        kept["items"] = _lenient(schema["items"], known, count, depth + 1)


def _branches(branches: list[Any], known: set[tuple[str, str]], count: _Count, depth: int) -> list[dict[str, Any]]:
    return [_lenient(branch, known, count, depth + 1) for branch in branches]


def _reference(reference: Any, known: set[tuple[str, str]]) -> dict[str, Any]:
    """A pointer into the schema's own definitions; any other fits all, and is never followed."""
    if reference == "#":
        return {"$ref": "#"}
    found = _REF.fullmatch(reference) if isinstance(reference, str) else None
    return {"$ref": reference} if found and (found["place"], found["name"]) in known else {}


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema allows; none where it names one that is no type."""
    said = schema.get("type")
    named = said if isinstance(said, list) else [said] if isinstance(said, str) else []
    types = [_TYPES.get(t.lower(), "") if isinstance(t, str) else "" for t in named]
    if not types or not all(types):
        return []
    return list(dict.fromkeys([*types, *(["null"] if schema.get("nullable") is True else [])]))


def _values(schema: Mapping[str, Any]) -> list[Any]:
    """The values that a schema allows; none where they are too many, or no plain ones."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if not isinstance(values, list) or not 0 < len(values) <= _MAX_ENUM_COUNT:
        return []
    if not all(
        v is None or (isinstance(v, (bool, int, float, str)) and len(str(v)) <= _MAX_TEXT_CHARS) for v in values
    ):
        return []
    return [*values, *([None] if schema.get("nullable") is True else [])]


def _has_default(schema: Any) -> bool:
    return isinstance(schema, Mapping) and "default" in schema


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# --- the arguments -------------------------------------------------------------------------------------------------------


def _cut(value: Any, count: _Count, depth: int) -> Any:
    """Arguments with their long texts cut: no keyword that is left looks at more of them."""
    count.take()
    if depth > 2 * _MAX_DEPTH:
        raise Unjudged
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT_CHARS else value[:_MAX_TEXT_CHARS] + "…"
    if isinstance(value, Mapping):
        return {str(k): _cut(v, count, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cut(v, count, depth + 1) for v in value]
    return value


_spent: ContextVar[list[int]] = ContextVar("spent")  # steps, and how many of them are one within the other now


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    """The library's validator with the keywords that `_lenient` leaves, each application counted. Loaded when first needed."""
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    keywords = ("type", "required", "additionalProperties", "enum", "items", "anyOf", "allOf", "$ref", *_BOUNDS)
    judged = {name: _counted(Draft202012Validator.VALIDATORS[name]) for name in keywords}
    judged["properties"] = _counted(_properties)
    made: Any = validators.create(
        meta_schema={}, validators=judged, type_checker=Draft202012Validator.TYPE_CHECKER, id_of=lambda schema: ""
    )
    return lambda schema: made(schema, registry=Registry())  # an empty one, which fetches nothing


def _counted(keyword: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def applied(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        spent = _spent.get()
        spent[0] += 1
        spent[1] += 1
        try:
            if spent[0] > MAX_STEPS_COUNT or spent[1] > _MAX_NESTED_COUNT:
                raise Unjudged
            yield from keyword(validator, value, instance, schema) or ()
        finally:  # also where a keyword looks at the first fault alone
            spent[1] -= 1

    return applied


def _properties(validator: Any, properties: dict[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    """The library's `properties`, but null stands for an argument that may be left out and is."""
    if not validator.is_type(instance, "object"):
        return
    required = schema.get("required", ())
    for name in properties:
        if name in instance and (instance[name] is not None or name in required):
            yield from validator.descend(instance[name], properties[name], path=name, schema_path=name)
