"""`logging` beside traces: a record is an event of its span, a line says where it was logged, and neither hurts who logs."""

import io
import json
import logging
from typing import Any

import pytest

import trajectory
from trajectory.emitter.logs import MAX_EXTRAS
from trajectory.emitter.misuse import report
from trajectory.testing import CapturingCollector


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.fixture
def logger() -> logging.Logger:
    """One without parents: pytest's own handler, which is theirs, raises where a record is wrong."""
    return logging.Logger("agents.tests", logging.DEBUG)


def test_a_record_is_an_event_of_the_current_span_and_an_exception_one_more(
    captured: CapturingCollector, logger: logging.Logger
) -> None:
    logger.addHandler(trajectory.logging_handler())
    logger.warning("outside of every span")
    with trajectory.agent("planner"):
        logger.info("found %d hotels", 3, extra={"city": "Lyon"})
        try:
            raise ValueError("none left")
        except ValueError:
            logger.exception("it failed")
    log, failed, exception = captured.spans()[0].events
    assert (log.name, log.surface) == (failed.name, failed.surface) == ("log", "operational")
    assert log.attributes["log.message"] == "found 3 hotels" and log.attributes["log.level"] == "INFO"
    assert log.attributes["log.logger"] == "agents.tests" and log.attributes["log.extra.city"] == "Lyon"
    assert exception.name == "exception" and exception.attributes["exception.type"] == "ValueError"
    assert "none left" in exception.attributes["exception.stacktrace"]


def test_the_level_is_settable_and_what_is_no_level_is_none(
    captured: CapturingCollector, logger: logging.Logger
) -> None:
    logger.addHandler(trajectory.logging_handler("WARNING"))
    nonsense: Any = object()
    assert trajectory.logging_handler(nonsense).level == logging.NOTSET
    with trajectory.span("work"):
        logger.info("quiet")
        logger.warning("loud")
    assert [event.attributes["log.message"] for event in captured.span("work").events] == ["loud"]


def test_our_own_words_are_no_events_and_a_record_while_one_is_made_is_none(
    captured: CapturingCollector, logger: logging.Logger
) -> None:
    class Talkative:
        def __str__(self) -> str:
            logger.warning("inside")
            return "outside"

    handler = trajectory.logging_handler()
    heard = [logger, logging.getLogger("trajectory"), logging.getLogger("zmq.auth")]
    for one in heard:
        one.addHandler(handler)
    try:
        with trajectory.span("work"):
            report("test", "trajectory: something of ours")
            logging.getLogger("zmq.auth").warning("of zmq")
            logger.warning("%s", Talkative())
    finally:
        for one in heard:
            one.removeHandler(handler)
    assert [event.attributes["log.message"] for event in captured.span("work").events] == ["outside"]


def test_nothing_that_is_logged_raises_and_all_of_it_is_bounded(
    captured: CapturingCollector, logger: logging.Logger
) -> None:
    stream = io.StringIO()
    lines = logging.StreamHandler(stream)
    lines.setFormatter(trajectory.JsonLines())
    logger.addHandler(trajectory.logging_handler())
    logger.addHandler(lines)
    with trajectory.span("work"):
        logger.info("%d", "no number")
        logger.info(Hostile())
        logger.info("%s", Hostile())
        logger.info("x" * 1_000_000, extra={f"k{n}": Hostile() for n in range(1000)})
        logger.info("\x1b[31m\nred \ud800")
        record = logging.LogRecord("x", logging.INFO, "here.py", 1, "its fields are gone", (), None)
        del record.funcName
        logger.handlers[0].handle(record)
    events = captured.span("work").events
    assert len(events) == 5
    assert max(len(str(event.attributes)) for event in events) < 20_000
    assert all(len(event.attributes) <= MAX_EXTRAS + 5 for event in events)
    said = stream.getvalue().splitlines()
    assert len(said) == 5 and all(isinstance(json.loads(line), dict) for line in said)
    assert "\x1b" not in stream.getvalue() and stream.getvalue().isascii()


def strict(line: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    read: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return read


def test_a_line_is_json_whatever_numbers_are_in_it() -> None:
    nan, infinite = float("nan"), float("inf")
    extras = {
        "bare": nan,
        "nested": {"deep": [1.5, {"deeper": -infinite}]},
        "in_a_tuple": (infinite,),
        "long": 10**5000,
    }
    line = strict(trajectory.JsonLines().format(logging.makeLogRecord({"name": "x", "msg": "m"} | extras)))
    assert (line["bare"], line["nested"], line["in_a_tuple"]) == ("nan", {"deep": [1.5, {"deeper": "-inf"}]}, ["inf"])
    assert isinstance(line["long"], str)


@pytest.mark.parametrize("wrong", [None, 7, float("nan"), Hostile()])
def test_a_record_whose_own_fields_are_nonsense_is_a_line_and_an_event(
    captured: CapturingCollector, wrong: object
) -> None:
    record = logging.makeLogRecord({"msg": "said", "name": wrong, "levelname": wrong, "created": wrong})
    assert strict(trajectory.JsonLines().format(record))["message"] == "said"
    with trajectory.span("work"):
        trajectory.logging_handler().emit(record)
    assert [event.attributes["log.message"] for event in captured.span("work").events] == ["said"]


def test_a_line_of_json_says_where_it_was_logged(captured: CapturingCollector, logger: logging.Logger) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(trajectory.JsonLines())
    logger.addHandler(handler)
    logger.info("before")
    with trajectory.session("chat-17"), trajectory.agent("planner"), trajectory.tool("search"):
        try:
            raise KeyError("x")
        except KeyError:
            logger.error("inside %s", "here", exc_info=True, extra={"city": "Lyon", "trace_id": "forged"})
    before, inside = map(json.loads, stream.getvalue().splitlines())
    assert "trace_id" not in before and before["message"] == "before" and before["time"].endswith("Z")
    tool = captured.spans(kind="tool")[0]
    assert (inside["trace_id"], inside["span_id"]) == (tool.trace_id.hex(), tool.span_id.hex())
    assert (inside["agent"], inside["session"], inside["city"]) == ("planner", "chat-17", "Lyon")
    assert inside["level"] == "ERROR" and inside["exception"]["type"] == "KeyError"
