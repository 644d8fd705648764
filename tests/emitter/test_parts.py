"""The small parts on their own: schema, queue, attributes, interruptions."""

import enum
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import pytest

from trajectory.emitter.bodies import MAX_BODY_BYTES, body_of, said, said_encoded
from trajectory.emitter.clock import RandomIds
from trajectory.emitter.fault import outcome_of
from trajectory.emitter.packing import Packing
from trajectory.emitter.plain import MAX_ATTRIBUTES, MAX_TEXT, attributes_of
from trajectory.emitter.queue import FactQueue, FlushMark
from trajectory.emitter.schema import definition_of, parameters_of, schema_of
from trajectory.model import content
from trajectory.model.fact import Gap, Payload, SpanUpdated
from trajectory.protocol.codec import decode_fact
from trajectory.protocol.frames import MAX_DEPTH, is_bounded, pack


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Where(TypedDict, total=False):
    city: str


@dataclass
class Hotel:
    name: str
    stars: int = 3


class Unready:
    """A model whose schema cannot be had yet."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        raise RuntimeError("not fully defined")


class Pydantic:
    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "title": "P"}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (tuple[int, str], {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (Mapping[str, Any], {"type": "object"}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Literal["a", 2], {"enum": ["a", 2]}),
        (Colour, {"enum": ["red", "blue"]}),
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (Where, {"type": "object", "properties": {"city": {"type": "string"}}}),
        (
            Hotel,
            {
                "type": "object",
                "properties": {"name": {"type": "string"}, "stars": {"type": "integer"}},
                "required": ["name"],
            },
        ),
        (Pydantic, {"type": "object", "title": "P"}),
        (Unready, {}),
        ([int], {}),
        (Any, {}),
        (Callable[[], int], {}),
        (object(), {}),
    ],
)
def test_an_annotation_has_its_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


def test_a_signature_without_annotations_allows_anything() -> None:
    def search(query, *pages, limit=3, colour=Colour.RED, **options):  # type: ignore[no-untyped-def]
        return query

    assert parameters_of(search) == {
        "type": "object",
        "properties": {
            "query": {},
            "pages": {"type": "array", "items": {}},
            "limit": {"default": 3},
            "colour": {},
        },
        "required": ["query"],
        "additionalProperties": True,
    }


def test_annotations_that_name_nothing_harm_nothing() -> None:
    def search(query: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
        return None

    assert parameters_of(search)["properties"] == {"query": {}}


@pytest.mark.parametrize("target", [len, print, dict, Hotel("x"), "text".join, random.Random().random])
def test_any_callable_has_a_definition(target: Any) -> None:
    definition = definition_of(target)
    assert (definition["type"], definition["parameters"]["type"]) == ("function", "object")
    assert definition["name"]


def running() -> bool:
    return True


def test_a_queue_takes_nothing_beyond_its_limit() -> None:
    queue = FactQueue(running, limit_facts=3)
    assert [queue.put((1, number)) for number in range(5)] == [True, True, True, False, False]
    assert queue.take(2) == ([(1, 0), (1, 1)], None)
    assert (queue.take_dropped(), queue.take_dropped(), queue.dropped_count) == (2, 0, 2)
    assert queue.put((1, 9))


def test_a_queue_counts_the_bytes_of_heavy_facts_until_they_are_taken() -> None:
    queue = FactQueue(running, limit_bytes=100)
    assert queue.put_heavy((6, "a"), 60)
    assert not queue.put_heavy((6, "b"), 60)
    assert queue.put((1, "light"))
    assert queue.take(10) == ([(6, "a"), (1, "light")], None)
    assert queue.put_heavy((6, "c"), 100)


def test_a_shut_queue_drops_and_a_mark_still_enters() -> None:
    queue = FactQueue(running)
    queue.put((1, 0))
    queue.shut()
    mark = FlushMark()
    assert not queue.put((1, 1))
    assert not queue.put_heavy((1, 2), 1)
    queue.put_mark(mark)
    queue.reopen()
    assert queue.put((1, 3))
    assert queue.take(10) == ([(1, 0)], mark)
    assert queue.take(10) == ([(1, 3)], None)


def test_a_queue_starts_its_sender_once_for_many_threads() -> None:
    starts: list[int] = []

    def start() -> bool:
        starts.append(1)
        return True

    queue = FactQueue(start)
    threads = [threading.Thread(target=lambda: [queue.put((1, n)) for n in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(starts) == 1
    assert len(queue.take(10_000)[0]) + queue.dropped_count == 8000


def test_a_queue_without_a_sender_takes_nothing() -> None:
    queue = FactQueue(lambda: False)
    assert not queue.put((1, 0))
    assert queue.dropped_count == 1


def test_attributes_are_bounded_in_number_and_length() -> None:
    own, weight = attributes_of({str(number): "x" * 100_000 for number in range(1000)})
    assert len(own) == MAX_ATTRIBUTES
    assert {len(value) for value in own.values()} == {MAX_TEXT}
    assert weight == MAX_ATTRIBUTES * MAX_TEXT
    own, _ = attributes_of({"nested": [{"deep": "x" * 100_000}]})
    assert len(own["nested"]) == MAX_TEXT


def test_a_cut_body_is_valid_text() -> None:
    whole = body_of(said(["ü" * MAX_BODY_BYTES]))
    assert whole.media_type == content.TEXT
    assert whole.cut_bytes == 2 * MAX_BODY_BYTES + 4
    assert len(whole.data.decode()) > MAX_BODY_BYTES // 2 - 2
    assert len(body_of(said_encoded("application/octet-stream", b"\xff" * (MAX_BODY_BYTES + 1))).data) == MAX_BODY_BYTES


def test_a_stack_is_bounded_and_keeps_its_end() -> None:
    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        else:
            raise ValueError("the end " + "m" * 5000)

    def wide(level: int) -> None:
        try:
            deep(3) if not level else wide(level - 1)
        except ValueError as fault:
            raise ValueError("wider") from fault

    with pytest.raises(ValueError) as raised:
        wide(60)
    outcome = outcome_of(raised.value)
    assert 4096 < len(outcome.event["exception.stacktrace"]) <= 8192
    assert outcome.event["exception.stacktrace"].rstrip().endswith("ValueError: wider")
    assert len(outcome_of(ValueError("m" * 10_000)).message) == 2048


def test_an_exception_that_cannot_be_read_is_an_error_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    outcome = outcome_of(Mute())
    assert (outcome.status, outcome.message) == ("error", "")
    assert outcome.event["exception.type"].endswith("Mute")


def test_random_ids_have_their_lengths_and_differ() -> None:
    ids = RandomIds()
    assert {len(ids.next_trace()) for _ in range(100)} == {16}
    assert len({ids.next_span() for _ in range(1000)}) == 1000
    assert all(len(ids.next_span()) == 8 for _ in range(100))


def test_a_long_text_is_cut_where_it_is_packed_and_odd_names_become_text() -> None:
    packing = Packing(lambda: 7)
    fact = decode_fact(packing.pack((4, b"t" * 16, b"s" * 8, 1, 1, {"a": "x" * 100_000, 5: 1 << 70, None: 2})))
    assert isinstance(fact, SpanUpdated)
    assert {key: len(str(value)) for key, value in fact.attributes.items()} == {"a": MAX_TEXT, "5": 22, "None": 1}


def test_a_body_is_packed_as_it_is_up_to_the_limit_of_a_frame() -> None:
    packing, large = Packing(lambda: 7), body_of(said("x" * 100_000))
    fact = decode_fact(packing.pack((6, large.digest, large.media_type, large.data)))
    assert fact == Payload(large.digest, large.media_type, large.data)
    assert decode_fact(packing.pack((6, b"d" * 16, "text/plain", b"x" * (9 << 20)))) == Gap(7, 1, "quarantined")


@pytest.mark.parametrize("depth", [40, 62, 63, 64, 65, 400, 900, 990, 100_000])
def test_an_attribute_nested_too_deeply_for_a_collector_travels_as_text(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    own, _ = attributes_of({"deep": value})
    assert is_bounded(own)
    assert isinstance(own["deep"], list) == (depth < MAX_DEPTH)
    assert pack(own)
