"""Processors on the way from the queue to the wire: what users' may do, what a failure costs, and what becomes of bodies."""

import json
import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from trajectory.emitter.bodies import Body
from trajectory.emitter.identity import Identity
from trajectory.emitter.plan import Plan, plan_of
from trajectory.emitter.processors import Fact, Payload, SpanEnded, SpanEvent, SpanStarted
from trajectory.emitter.processors import placeholders as keys
from trajectory.emitter.processors.bodies import Rewrites
from trajectory.emitter.processors.chain import Processing
from trajectory.emitter.processors.users import Users
from trajectory.model import content
from trajectory.model import fact as facts
from trajectory.protocol import codec, frames
from trajectory.protocol.frames import HEARTBEAT, PAYLOAD, SPAN_ENDED, SPAN_EVENT, SPAN_STARTED, SPAN_UPDATED

TRACE, SPAN = b"t" * 16, b"s" * 8
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.fixture(autouse=True)
def _key_of_the_test(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def started(name: str = "work", span_id: bytes = SPAN, **given: Any) -> tuple[Any, ...]:
    contents = given.pop("contents", {})
    return (SPAN_STARTED, TRACE, span_id, b"", 5, 6, "tool", name, "agent", "operational", given, contents)


def ended(span_id: bytes = SPAN, message: str = "") -> tuple[Any, ...]:
    return (SPAN_ENDED, TRACE, span_id, 7, 8, "error" if message else "ok", message, {}, {})


def body(text: str, media_type: str = content.TEXT) -> tuple[Any, ...]:
    return (PAYLOAD, content.digest(media_type, text.encode()), media_type, text.encode())


def left(plan: Plan, *given: tuple[Any, ...]) -> list[Any]:
    """The facts as a collector reads them, from a process that has this plan and ends."""
    processing = Processing(plan, lambda: 1)
    return [*read(processing.packed(list(given))), *read(processing.rest())]


def read(packed: Iterable[tuple[bytes, int]]) -> list[Any]:
    return [codec.decode_fact(one) for together, count in packed for one in frames.facts_in(together, count)]


# users' processors


def test_without_a_wish_facts_pass_as_they_are() -> None:
    given = [started(), body("text"), ended()]
    assert [codec.encode(one) for one in left(Plan(), *given)] == [
        codec.encode(one) for one in left(Plan("off"), *given)
    ]


def test_a_processor_exchanges_what_a_fact_says() -> None:
    def without_user(fact: Fact) -> Fact | None:
        if isinstance(fact, SpanStarted):
            return fact._replace(attributes={key: value for key, value in fact.attributes.items() if key != "user"})
        return fact

    (start,) = left(Plan(processors=(without_user,)), started(user="jane", k=1))
    assert start.attributes == {"k": 1}


def test_processors_run_in_their_order_and_none_ends_the_row() -> None:
    seen: list[str] = []

    def first(fact: Any) -> Any:
        seen.append(f"first {fact.name}")
        return None if fact.name == "drop" else fact._replace(name=f"{fact.name} 1")

    def second(fact: Any) -> Any:
        seen.append(f"second {fact.name}")
        return fact

    assert [one.name for one in left(Plan(processors=(first, second)), started("a"), started("drop"))] == ["a 1"]
    assert seen == ["first a", "second a 1", "first drop"]


def test_a_span_whose_start_was_dropped_is_dropped_whole() -> None:
    def no_health(fact: Fact) -> Fact | None:
        return None if isinstance(fact, SpanStarted) and fact.name == "health" else fact

    users = Users([no_health])
    other = b"o" * 8
    given = [started("health"), started("work", other), ended(SPAN), ended(other), started("work")]
    kept = [one for fact in given if (one := users.applied(fact)) is not None]
    assert [(one[0], one[2]) for one in kept] == [(SPAN_STARTED, other), (SPAN_ENDED, other), (SPAN_STARTED, SPAN)]
    event = (SPAN_EVENT, TRACE, SPAN, 1, 1, "e", "operational", {}, {})
    assert users.applied(started("health")) is None and users.applied(event) is None and users.applied(ended()) is None
    assert users.applied(event) is not None


def test_what_is_no_start_is_dropped_alone_and_only_so_many_dropped_spans_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trajectory.emitter.processors.users.SENT_DIGESTS", 2)
    users = Users([lambda fact: fact if isinstance(fact, SpanEnded) else None])
    assert users.applied((SPAN_EVENT, TRACE, SPAN, 1, 1, "e", "operational", {}, {})) is None
    spans = [bytes([n]) * 8 for n in range(3)]
    assert [users.applied(started("x", span)) for span in spans] == [None] * 3
    assert [users.applied(ended(span)) is None for span in (SPAN, *spans)] == [False, False, True, True]


@pytest.mark.parametrize("answer", [RuntimeError("no"), "text", (1, 2), started("x", b"another!")], ids=str)
def test_a_processor_that_fails_changes_nothing_and_is_counted_and_reported_once(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(fact: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def naming(fact: Any) -> Any:
        return fact._replace(name="seen")

    users = Users([failing, naming])
    with caplog.at_level(logging.WARNING, "trajectory"):
        kept = [users.applied(started(str(number))) for number in range(3)]
    assert [one[7] for one in kept if one is not None] == ["seen"] * 3
    assert len(caplog.records) == 1


def test_processors_are_asked_about_spans_and_bodies_alone() -> None:
    seen: list[Any] = []

    def noting(fact: Any) -> Any:
        seen.append(type(fact))
        return fact

    event = (SPAN_EVENT, TRACE, SPAN, 1, 1, "e", "operational", {}, {})
    assert len(left(Plan(processors=(noting,)), started(), event, body("b"), ended(), (HEARTBEAT, 1, 1, [SPAN]))) == 5
    assert seen == [SpanStarted, SpanEvent, Payload, SpanEnded]


def test_a_body_that_a_processor_changes_is_named_by_its_new_digest() -> None:
    def upper(fact: Fact) -> Fact | None:
        return fact._replace(body=fact.body.upper()) if isinstance(fact, Payload) else fact

    text = body("text")
    payload, start = left(Plan(processors=(upper,)), text, started(contents={"input": [text[1]]}))
    assert payload.body == b"TEXT"
    assert start.contents == {"input": [payload.digest]}


def test_a_body_that_a_processor_drops_is_named_no_more() -> None:
    secret, kept = body("secret"), body("kept")

    def no_secret(fact: Fact) -> Fact | None:
        return None if isinstance(fact, Payload) and fact.body == b"secret" else fact

    payload, start = left(
        Plan(processors=(no_secret,)), secret, kept, started(contents={"input": [secret[1], kept[1]]})
    )
    assert start.contents == {"input": [payload.digest]}


def test_what_a_processor_adds_is_redacted_too() -> None:
    (start,) = left(Plan(processors=(lambda fact: fact._replace(name=KEY),)), started())
    assert start.name.startswith("[secret:aws_key:")


def test_a_processor_is_found_by_the_name_of_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("ours", "tests.emitter.test_processors:renamed", "trajectory.processors")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group, name: [point] if name == "ours" else [])
    (start,) = left(Plan(processors=("ours",)), started())
    assert start.name == "renamed"


def renamed(fact: Any) -> Any:
    return fact._replace(name="renamed")


def test_a_named_processor_that_is_not_there_lets_no_content_through(caplog: pytest.LogCaptureFixture) -> None:
    secret = body("secret")
    start, end = left(
        Plan(processors=("nobody has this one",)), secret, started("n", k="v", contents={"input": [secret[1]]}), ended()
    )
    assert (start.name, start.attributes, start.contents) == ("withheld", {}, {"input": []})
    assert end.status == "ok"
    assert "nobody has this one" in caplog.text


# redaction


def test_every_text_of_a_fact_is_redacted_and_its_ids_stay() -> None:
    span_id = b"AKIAIOSF"
    start = (
        SPAN_STARTED,
        b"AKIAIOSFODNN7EXA",
        span_id,
        b"",
        5,
        6,
        KEY,
        KEY,
        KEY,
        KEY,
        {KEY: KEY, "n": {"l": [KEY, 1]}},
        {},
    )
    end = (SPAN_ENDED, TRACE, span_id, 7, 8, "error", f"cannot use {KEY}", {"b": KEY.encode(), "o": 1.5}, {})
    update = (SPAN_UPDATED, TRACE, span_id, 7, 8, {"password": "hunter2", "input_tokens": 12}, {})
    for one in left(Plan(), start, end, update):
        assert one.span_id == span_id
        assert KEY not in repr(one)
        assert "hunter2" not in repr(one)
    assert codec.encode(left(Plan("off"), start)[0]) == codec.encode(
        codec.decode_fact(codec.encode(facts.SpanStarted(*start[1:])))
    )


def test_a_redacted_body_is_named_by_its_new_digest_everywhere_after() -> None:
    secret, plain = body(f"use {KEY}"), body("plain")
    names = {"input": [plain[1], secret[1]]}
    given = [
        secret,
        plain,
        started(contents=names),
        *[started(f"n{number}") for number in range(200)],
        started(contents=names),
    ]
    redacted, _, first, *_, last = left(Plan(), *given)
    assert content.digest(redacted.media_type, redacted.body) == redacted.digest != secret[1]
    assert first.contents == last.contents == {"input": [plain[1], redacted.digest]}


def test_a_text_that_is_cut_for_its_length_shows_no_part_of_a_secret() -> None:
    (start,) = left(Plan(), started(k="x" * (16 * 1024 - 10) + " " + KEY))
    assert KEY[:6] not in repr(start)


def test_the_resource_is_redacted() -> None:
    identity = Identity(b"e" * 16, b"b" * 16, {"service.name": "s", "key": KEY, "db": {"password": "hunter2"}})
    resource = Processing(Plan(), lambda: 1).identity(identity).resource
    assert resource["service.name"] == "s"
    assert KEY not in repr(resource)
    assert "hunter2" not in repr(resource)


def test_where_redaction_fails_no_content_leaves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(path: object) -> bytes:
        raise RuntimeError(KEY)

    monkeypatch.setattr(keys, "key_at", failing)
    secret = body(KEY)
    given = [secret, started(KEY, k=KEY, contents={"input": [secret[1]]}), ended(message=KEY)]
    processing = Processing(Plan(), lambda: 1)
    payload, start, end = read(processing.packed(given))
    assert (
        isinstance(payload, facts.Payload) and isinstance(start, facts.SpanStarted) and isinstance(end, facts.SpanEnded)
    )
    assert payload.body == b"[withheld: redaction failed]"
    assert (start.name, start.attributes) == ("withheld", {})
    assert start.contents == {"input": [payload.digest]}
    assert (end.status, end.message) == ("error", "withheld")
    assert processing.identity(Identity(b"e", b"b", {"k": KEY})).resource == {}
    assert KEY not in caplog.text


def test_attributes_nested_beyond_reading_are_withheld() -> None:
    deep: Any = KEY
    for _ in range(300):
        deep = {"d": deep}
    (start,) = left(Plan(), started(k=deep))
    assert KEY not in repr(start)


def test_the_rest_of_a_growing_answer_leaves_with_the_end_of_its_span_or_of_the_process() -> None:
    pieces = [
        (SPAN_EVENT, TRACE, SPAN, 1, 1, "delta", "operational", {"text": text}, {}) for text in ("AKIA", KEY[4:], " ok")
    ]
    *told, end = left(Plan(), *pieces, ended())
    assert "".join(one.attributes["text"] for one in told).endswith("] ok")
    assert isinstance(end, facts.SpanEnded)
    (rest,) = left(Plan(), *pieces)
    assert rest.attributes["text"].endswith("] ok")


# bodies


def test_a_long_body_leaves_as_its_beginning_its_length_and_its_digest() -> None:
    long = body("é" * 500 + KEY)
    payload, start = left(Plan(max_body_bytes=101), long, started(contents={"input": [long[1]]}))
    beginning, note = payload.body.decode().split("\n")
    assert beginning == "é" * 50
    whole = content.digest(content.TEXT, ("é" * 500 + "[secret:aws_key:00000000]").encode())
    assert note.startswith("[cut: 1025 bytes of text/plain, digest ") and len(note.split()[-1]) == len(whole.hex()) + 1
    assert start.contents == {"input": [payload.digest]}
    assert start.attributes["trajectory.content.cut_bytes"] == 1025


def test_long_bodies_that_differ_behind_the_cut_stay_different() -> None:
    first, second = left(Plan(max_body_bytes=10), body("same beginning, one end"), body("same beginning, other end"))
    assert first.digest != second.digest


def test_changed_digests_are_remembered_as_long_as_they_are_asked_for_and_in_bounded_memory() -> None:
    rewrites = Rewrites(limit=100)
    often = b"often"
    rewrites.put(often, Body(b"new", "", b""))
    for number in range(1000):
        rewrites.put(str(number).encode(), Body(b"x", "", b""))
        assert rewrites.contents({"input": [often]}) == ({"input": [b"new"]}, 0)
    assert len(rewrites._new) + len(rewrites._old) <= 200
    assert rewrites.contents({"input": [b"999", b"0"]})[0] == {"input": [b"x", b"0"]}


# the plan


@pytest.mark.parametrize(
    ("wish", "level"), [(None, "secrets"), (True, "secrets"), (False, "off"), ("off", "off"), ("personal", "personal")]
)
def test_a_wish_for_redaction_is_taken_as_it_is_said(wish: Any, level: str) -> None:
    assert plan_of(wish).redact == level


@pytest.mark.parametrize("wish", ["all", 3, [], {"x": 1}], ids=str)
def test_a_wish_that_makes_no_sense_takes_out_most(wish: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert plan_of(wish).redact == "personal"
    assert "redact is one of" in caplog.text


def test_the_environment_decides_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAJECTORY_REDACT", "off")
    monkeypatch.setenv("TRAJECTORY_PROCESSORS", "one, two")
    assert plan_of() == Plan("off", ("one", "two"))
    assert plan_of("secrets", []) == Plan()


def test_what_is_no_processor_lets_no_content_through(caplog: pytest.LogCaptureFixture) -> None:
    (start,) = left(plan_of(processors=[3]), started("name"))
    assert start.name == "withheld"
    assert left(plan_of(processors=3), started("name")) == [start]  # type: ignore[arg-type]
    assert (plan_of(max_body_bytes=-1).max_body_bytes, plan_of(max_body_bytes=10).max_body_bytes) == (0, 10)
    assert json.dumps(plan_of(processors=renamed).redact) == '"secrets"'
