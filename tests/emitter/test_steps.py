"""What each public name says: the facts that a collector gets, decoded by its own codec."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

import trajectory
from trajectory.emitter.current import ENDED, Scope, here, past_ended
from trajectory.model import fact as facts
from trajectory.model.content import DIGEST_BYTES, MESSAGE
from trajectory.model.lists import LIST
from trajectory.testing import CapturingCollector, ManualClock

pytestmark = pytest.mark.usefixtures("captured")


def test_a_span_is_visible_from_its_start(captured: CapturingCollector) -> None:
    with trajectory.span("rerank", kind="retrieval", attributes={"k": 5}):
        (open_span,) = captured.spans()
        assert open_span.open
        assert (open_span.name, open_span.kind, open_span.attributes) == ("rerank", "retrieval", {"k": 5})
    assert captured.span("rerank").status == "ok"


def test_times_come_from_the_injected_clock(captured: CapturingCollector, clock: ManualClock) -> None:
    began_ns = clock.wall_ns()
    with trajectory.span("slow"):
        clock.advance(1.5)
    span = captured.span("slow")
    assert span.end is not None
    assert span.start.at_ns == began_ns
    assert span.end.at_ns - span.start.at_ns == span.end.mono_ns - span.start.mono_ns == 1_500_000_000


def test_steps_outside_any_agent_belong_to_main(captured: CapturingCollector) -> None:
    with trajectory.span("alone"):
        pass
    assert captured.span("alone").agent == "main"


def test_steps_inside_an_agent_carry_its_name_and_trace(captured: CapturingCollector) -> None:
    with trajectory.agent("planner"), trajectory.span("outer"), trajectory.span("inner"):
        pass
    agent, outer, inner = captured.spans()
    assert (agent.name, agent.kind, agent.agent) == ("invoke_agent planner", "agent", "planner")
    assert agent.attributes == {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    assert outer.agent == inner.agent == "planner"
    assert (outer.parent_id, inner.parent_id) == (agent.span_id, outer.span_id)
    assert {one.trace_id for one in captured.spans()} == {agent.trace_id}
    assert agent.parent_id == b""


def test_siblings_outside_a_trace_begin_traces_of_their_own(captured: CapturingCollector) -> None:
    with trajectory.span("one"):
        pass
    with trajectory.span("two"):
        pass
    assert captured.span("one").trace_id != captured.span("two").trace_id


def test_a_session_is_said_on_the_root_and_not_below(captured: CapturingCollector) -> None:
    with trajectory.session("chat-17"), trajectory.agent("planner"), trajectory.span("step"):
        pass
    root, step = captured.spans()
    assert root.attributes["gen_ai.conversation.id"] == "chat-17"
    assert "gen_ai.conversation.id" not in step.attributes


def test_a_session_inside_a_trace_is_said_where_it_begins(captured: CapturingCollector) -> None:
    with trajectory.agent("planner"), trajectory.session("late"), trajectory.span("step"):
        pass
    assert captured.span("step").attributes["gen_ai.conversation.id"] == "late"
    assert captured.span("step").parent_id == captured.spans(kind="agent")[0].span_id


def test_an_agent_names_its_session_and_title(captured: CapturingCollector) -> None:
    with trajectory.agent("planner", session="s", title="Plan a trip"):
        pass
    attributes = captured.spans()[0].attributes
    assert attributes["gen_ai.conversation.id"] == "s"
    assert attributes["trajectory.title"] == "Plan a trip"


def test_set_is_visible_while_the_span_is_open(captured: CapturingCollector) -> None:
    with trajectory.span("rerank") as span:
        span.set("scores", [0.5, 0.25])
        assert captured.span("rerank").attributes == {"scores": [0.5, 0.25]}
        assert captured.span("rerank").open


def test_set_before_the_start_is_part_of_the_start(captured: CapturingCollector) -> None:
    span = trajectory.span("rerank", attributes={"k": 1})
    span.set("k", 2)
    with span:
        pass
    assert captured.span("rerank").start.attributes == {"k": 2}


def test_an_event_is_at_its_instant(captured: CapturingCollector, clock: ManualClock) -> None:
    with trajectory.span("rerank") as span:
        clock.advance(2)
        span.event("cut", at=3, name="is free")
    (event,) = captured.span("rerank").events
    assert (event.name, event.attributes) == ("cut", {"at": 3, "name": "is free"})
    assert event.at_ns == clock.wall_ns()


def test_thought_plan_and_context_are_events_on_their_surfaces(captured: CapturingCollector) -> None:
    with trajectory.agent("researcher"):
        trajectory.thought("the cached copy will do", confidence=0.4)
        trajectory.plan(["search", "compare"])
        trajectory.context("retrieved", [{"id": 1}, "a page"])
    thought, plan, context = captured.spans()[0].events
    assert (thought.name, thought.surface) == ("thought", "cognitive")
    assert thought.attributes == {"trajectory.confidence": 0.4}
    assert captured.texts(thought, "output") == ["the cached copy will do"]
    assert (plan.name, plan.surface) == ("plan", "cognitive")
    assert captured.texts(plan, "output") == ['["search","compare"]']
    assert (context.name, context.surface) == ("context", "contextual")
    assert context.attributes == {"trajectory.context.source": "retrieved"}
    assert captured.texts(context, "context") == ['{"id":1}', "a page"]


def test_a_thought_outside_every_span_has_a_span_of_its_own(captured: CapturingCollector) -> None:
    trajectory.thought("before anything")
    (span,) = captured.spans()
    assert (span.agent, span.status, [event.name for event in span.events]) == ("main", "ok", ["thought"])


def test_a_model_call_holds_a_digest_for_each_message(captured: CapturingCollector) -> None:
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    tools = [{"name": "search", "parameters": {}}]
    with trajectory.model("gpt-5", messages=messages, tools=tools, system="be brief") as call:
        call.output("done", input_tokens=410, output_tokens=43, finish_reason="stop")
        assert captured.span("chat gpt-5").open
    span = captured.span("chat gpt-5")
    assert span.kind == "model"
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 410,
        "gen_ai.usage.output_tokens": 43,
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert captured.texts(span, "input") == ["hello", "hi"]
    assert captured.texts(span, "tools") == ['{"name":"search","parameters":{}}']
    assert captured.texts(span, "system") == ["be brief"]
    reply = json.loads(captured.payload(span.contents["output"][0]).body)
    assert reply == {"role": "assistant", "parts": [{"type": "text", "content": "done"}]}


class _Choice:
    def __init__(self, message: Any) -> None:
        self.message = message


class _Dumped:
    """A message as pydantic's models are."""

    def model_dump(self) -> dict[str, str]:
        return {"role": "assistant", "content": "yes"}


class _Response:
    def __init__(self, *choices: Any) -> None:
        self.choices = list(choices)


@pytest.mark.parametrize(
    "reply",
    [
        "yes",
        {"role": "assistant", "content": "yes"},
        {"content": "yes"},
        {"choices": [{"message": {"role": "assistant", "content": "yes"}}]},
        _Response(_Choice({"role": "assistant", "content": "yes"})),
        _Response(_Choice(_Dumped())),
        {"role": "assistant", "parts": [{"type": "text", "content": "yes"}]},
    ],
    ids=["text", "message", "no role", "response", "object", "model", "normal"],
)
def test_replies_of_all_shapes_are_one_message_under_one_digest(captured: CapturingCollector, reply: Any) -> None:
    with trajectory.model("m") as call:
        call.output(reply)
    body = json.loads(captured.payload(captured.span("chat m").contents["output"][0]).body)
    assert body == {"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}


def test_the_first_delta_tells_the_time_it_took(captured: CapturingCollector, clock: ManualClock) -> None:
    with trajectory.model("m") as call:
        clock.advance(0.25)
        call.delta("Hel")
        clock.advance(1)
        call.delta("lo")
        span = captured.span("chat m")
        assert [event.attributes["text"] for event in span.events] == ["Hel", "lo"]
        assert span.attributes["gen_ai.response.time_to_first_chunk"] == 0.25


def test_a_message_that_is_sent_again_travels_once(captured: CapturingCollector) -> None:
    messages: list[dict[str, Any]] = []
    for turn in range(10):
        messages.append({"role": "user", "content": f"turn {turn}"})
        with trajectory.model("m", messages=messages):
            pass
    bodies = [fact for fact in captured.facts if isinstance(fact, facts.Payload)]
    assert len([body for body in bodies if body.media_type == MESSAGE]) == 10
    assert (
        sum(len(body.body) // DIGEST_BYTES for body in bodies if body.media_type == LIST) == 7 + 10
    )  # bases, and additions
    assert [len(span.contents["input"]) for span in captured.spans()] == list(range(1, 11))


def test_a_body_travels_before_the_first_fact_that_names_it(captured: CapturingCollector) -> None:
    with trajectory.tool("search", arguments={"q": "x"}) as call:
        call.result("found")
    known: set[bytes] = set()
    for fact in captured.facts:
        if isinstance(fact, facts.Payload):
            known.add(fact.digest)
        else:
            assert {d for those in getattr(fact, "contents", {}).values() for d in those} <= known
    assert len(known) == 2


def test_a_tool_has_its_name_schema_arguments_and_result(captured: CapturingCollector) -> None:
    @trajectory.tool
    def search(query: str, *, limit: int = 3) -> list[str]:
        """Finds pages.

        And more that is not said."""
        return [query] * limit

    assert search("s3", limit=2) == ["s3", "s3"]
    span = captured.span("search")
    assert (span.kind, span.attributes) == (
        "tool",
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
    )
    (schema,) = captured.texts(span, "tools")
    assert json.loads(schema) == {
        "type": "function",
        "name": "search",
        "description": "Finds pages.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}, "limit": {"type": "integer", "default": 3}},
            "required": ["query"],
            "additionalProperties": False,
        },
    }
    assert captured.texts(span, "arguments") == ['{"limit":2,"query":"s3"}']
    assert captured.texts(span, "result") == ['["s3","s3"]']


def test_a_tool_may_be_named_by_hand(captured: CapturingCollector) -> None:
    @trajectory.tool(name="look_up")
    def search(query: str) -> str:
        return query

    search("x")
    with trajectory.tool("by hand", arguments={"q": 1}) as call:
        call.result({"hits": 0})
    assert captured.texts(captured.span("look_up"), "arguments") == ['{"query":"x"}']
    assert captured.texts(captured.span("by hand"), "result") == ['{"hits":0}']


def test_a_delegation_and_its_acceptance_are_one_pair(captured: CapturingCollector) -> None:
    with (
        trajectory.agent("planner"),
        trajectory.delegate("booker", task="Quote H7", mode="transfer") as work,
        trajectory.accept(work.headers, agent="booker", task="Quote H7") as done,
    ):
        done.returned("900 EUR")
        work.returned("900 EUR")
    delegation, accepted = captured.span("delegate booker"), captured.span("invoke_agent booker")
    assert accepted.parent_id == delegation.span_id
    assert accepted.trace_id == delegation.trace_id
    assert (delegation.kind, delegation.start.surface, delegation.agent) == ("delegation", "coordination", "planner")
    assert delegation.attributes == {
        "trajectory.delegation.source": "planner",
        "trajectory.delegation.target": "booker",
        "trajectory.delegation.mode": "transfer",
        "trajectory.delegation.grade": "observed",
    }
    assert accepted.attributes["gen_ai.agent.name"] == accepted.agent == "booker"
    for span in (delegation, accepted):
        assert captured.texts(span, "task") == ["Quote H7"]
        assert captured.texts(span, "returned") == ["900 EUR"]


def test_work_without_a_readable_baton_begins_a_trace_and_says_so_once(
    captured: CapturingCollector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trajectory"), trajectory.span("unrelated"):
        for headers in (None, {"traceparent": "garbage"}, 17):
            with trajectory.accept(headers, agent="booker"):
                pass
    accepted = captured.spans("invoke_agent booker")
    assert [span.parent_id for span in accepted] == [b"", b"", b""]
    assert len({span.trace_id for span in captured.spans()}) == 4
    assert len(caplog.records) == 1


def test_the_session_crosses_with_the_baton(captured: CapturingCollector) -> None:
    with trajectory.session("Sitzung ü, 1"), trajectory.delegate("booker") as work:
        headers = work.headers
    with trajectory.accept(headers, agent="booker"), trajectory.delegate("payer") as further:
        assert further.headers["baggage"] == headers["baggage"]
    assert captured.span("invoke_agent booker").attributes["gen_ai.conversation.id"] == "Sitzung ü, 1"


def test_an_exception_is_recorded_and_raised_unchanged(captured: CapturingCollector) -> None:
    fault = ValueError("no such hotel")
    with pytest.raises(ValueError) as raised, trajectory.agent("booker"), trajectory.span("look"):
        raise fault
    assert raised.value is fault
    for span in captured.spans():
        assert span.end is not None
        assert (span.status, span.end.message, span.attributes["error.type"]) == (
            "error",
            "no such hotel",
            "ValueError",
        )
        (event,) = span.events
        assert event.name == "exception"
        assert event.attributes["exception.type"] == "ValueError"
        assert event.attributes["exception.message"] == "no such hotel"
        assert "raise fault" in event.attributes["exception.stacktrace"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_an_interruption_is_no_error(captured: CapturingCollector, kind: type[BaseException]) -> None:
    with pytest.raises(kind), trajectory.span("work"):
        raise kind
    span = captured.span("work")
    assert (span.status, span.attributes, span.events) == ("unset", {"trajectory.interrupted": kind.__name__}, [])


def test_values_are_what_they_were_at_the_call(captured: CapturingCollector) -> None:
    scores, arguments = [1], {"q": ["a"]}
    with trajectory.tool("t", arguments=arguments, attributes={"scores": scores}) as call:
        call.set("later", scores)
        scores.append(2)
        arguments["q"].append("b")
    span = captured.span("t")
    assert span.attributes["scores"] == span.attributes["later"] == [1]
    assert captured.texts(span, "arguments") == ['{"q":["a"]}']


def test_a_huge_body_is_cut_and_says_how_long_it_was(captured: CapturingCollector) -> None:
    with trajectory.tool("t") as call:
        call.result("ü" * (3 * 1024 * 1024))
    span = captured.span("t")
    assert span.attributes["trajectory.content.cut_bytes"] == 6 * 1024 * 1024
    (body,) = span.contents["result"]
    assert len(captured.payload(body).body) == 4 * 1024 * 1024


class _Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class _Closed(dict[str, int]):
    """What looks like plain data and lets nobody look at it."""

    def _closed(self, *_: Any) -> Any:
        raise RuntimeError("closed")

    __iter__ = __len__ = __bool__ = __contains__ = items = keys = values = get = copy = __getitem__ = __str__ = _closed
    __repr__ = __hash__ = __eq__ = _closed  # type: ignore[assignment]


class _Faceless:
    """What raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("nothing to see")

    __str__ = __repr__ = __hash__ = __bool__ = __len__ = __iter__ = __getattribute__  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value",
    [None, 3, object(), _Hostile(), {1: 2}, {_Hostile(): _Hostile()}, [], float("nan"), "\ud800", b"\xff", 10**400],
)
def test_nothing_of_ours_raises_into_the_agent(captured: CapturingCollector, value: Any) -> None:
    said_everywhere(value)
    spans = captured.spans()
    assert len(spans) == 6
    assert all(span.status == "ok" for span in spans)


@pytest.mark.parametrize(
    "make",
    [lambda: _Closed(a=1), lambda: [_Closed(a=1)], lambda: {"a": _Closed(a=1)}, _Faceless, lambda: [_Faceless()]],
    ids=["closed", "closed in a list", "closed in an object", "faceless", "faceless in a list"],
)
def test_a_value_that_nobody_may_look_at_raises_nothing_of_ours_into_the_agent(
    captured: CapturingCollector, make: Callable[[], Any]
) -> None:
    said_everywhere(make())
    assert all(span.status == "ok" for span in captured.spans())


def said_everywhere(value: Any) -> None:
    """A value at every place of the public interface that takes one."""
    with (
        trajectory.session(value),
        trajectory.agent(value, session=value, title=value, attributes=value) as agent,
        trajectory.model(value, messages=value, tools=value, system=value) as call,
        trajectory.delegate(value, task=value, mode=value) as work,
        trajectory.accept(value, agent=value, task=value) as accepted,
        trajectory.tool("t", arguments=value) as used,
        trajectory.span(value, kind=value, attributes=value) as span,
    ):
        agent.output(value)
        call.output(value, input_tokens=value, output_tokens=value, finish_reason=value)
        call.delta(value)
        work.returned(value)
        accepted.returned(value)
        used.result(value)
        span.set(value, value)
        span.event(value, value=value)
        trajectory.thought(value, confidence=value)
        trajectory.plan(value)
        trajectory.context(value, value)


def test_misuse_is_reported_once_for_each_kind(captured: CapturingCollector, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "trajectory"):
        for _ in range(3):
            with trajectory.span("work") as span:
                pass
            span.set("late", 1)
            span.event("late")
            span.__exit__(None, None, None)
    assert len(caplog.records) == 3
    assert all(span.attributes == {} and span.events == [] for span in captured.spans())


def test_a_span_object_can_be_used_again(captured: CapturingCollector) -> None:
    step = trajectory.span("again")
    with step:
        pass
    with step:
        pass
    first, second = captured.spans("again")
    assert first.span_id != second.span_id
    assert (first.status, second.status) == ("ok", "ok")


def test_spans_that_end_in_the_wrong_order_leave_no_trace_behind(captured: CapturingCollector) -> None:
    outer, inner = trajectory.span("outer"), trajectory.span("inner")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    with trajectory.span("after"):
        pass
    assert captured.span("after").parent_id == b""


def test_an_iterator_is_left_to_the_agent(captured: CapturingCollector) -> None:
    messages = iter([{"role": "user", "content": "hi"}])
    with trajectory.model("m", messages=messages):
        pass
    trajectory.plan(messages)
    assert len(list(messages)) == 1


def test_a_mode_that_cannot_be_compared_is_a_call(captured: CapturingCollector) -> None:
    class Touchy:
        def __eq__(self, other: object) -> bool:
            raise OSError

        __hash__ = None  # type: ignore[assignment]

    with trajectory.delegate("booker", mode=Touchy()):  # type: ignore[arg-type]
        pass
    assert captured.span("delegate booker").attributes["trajectory.delegation.mode"] == "call"


def test_a_span_object_that_is_used_in_odd_ways_says_so_and_harms_nothing(
    captured: CapturingCollector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trajectory"):
        never = trajectory.span("never")
        never.__exit__(None, None, None)  # nobody began it
        again = trajectory.span("again")
        with again, again:  # it ends with the inner one
            pass
        assert trajectory.delegate("far").headers == {}
        trajectory.session("never").__exit__(None, None, None)
        assert not trajectory.flush("soon")  # type: ignore[arg-type]
    assert [(span.name, span.status) for span in captured.spans()] == [("again", "ok")]
    assert "'again' was entered while it was open" in caplog.text and "flush failed" in caplog.text
    assert "never" not in caplog.text


def test_a_session_that_is_left_elsewhere_than_it_was_entered_leaves_that_place_alone(
    captured: CapturingCollector,
) -> None:
    scope = trajectory.session("chat")
    scope.__enter__()
    with trajectory.agent("planner") as planner:
        scope.__exit__(None, None, None)
        with trajectory.span("below"):
            pass
    assert captured.span("below").parent_id == planner.span_id


def test_whoever_asks_a_collector_in_memory_for_what_is_not_there_is_told(captured: CapturingCollector) -> None:
    for _ in range(2):
        with trajectory.span("twice"):
            pass
    assert trajectory.flush()
    with pytest.raises(LookupError, match=r"2 spans are named 'twice'; there are \['twice', 'twice'\]"):
        captured.span("twice")
    with pytest.raises(LookupError, match="no payload 6162 was emitted"):
        captured.payload(b"ab")


def test_an_instrumentation_that_fails_as_a_whole_is_told_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @staticmethod
        def begin_once() -> dict[str, list[str]]:
            raise ImportError("half installed")

    monkeypatch.setitem(sys.modules, "trajectory_activation", Broken)  # type: ignore[arg-type]
    assert trajectory.instrument() == {"instrumented": [], "trouble": ["ImportError: half installed"], "missing": []}


def test_a_function_that_calls_itself_inside_one_span_object_goes_on_and_leaves_no_place_behind(
    captured: CapturingCollector,
) -> None:
    shared = trajectory.span("shared")

    def work(depth: int) -> int:
        with shared, trajectory.span("own"):
            return depth and work(depth - 1)

    assert work(3) == 0
    with trajectory.span("after"):
        pass
    assert len(captured.spans("shared")) == 1 and len(captured.spans("own")) == 4
    assert captured.span("after").parent_id == b"" and all(span.status == "ok" for span in captured.spans())


@pytest.mark.parametrize("order", ["span first", "session first", "sessions"])
def test_sessions_that_end_in_the_wrong_order_leave_no_trace_behind(captured: CapturingCollector, order: str) -> None:
    places: dict[str, list[Any]] = {
        "span first": [trajectory.span("outer"), trajectory.session("inner")],
        "session first": [trajectory.session("outer"), trajectory.span("inner")],
        "sessions": [trajectory.session("outer"), trajectory.session("inner")],
    }
    for place in places[order]:
        place.__enter__()
    for place in places[order]:  # the outer one first
        place.__exit__(None, None, None)
    assert here.get() is None
    with trajectory.span("after"):
        pass
    after = captured.span("after")
    assert after.parent_id == b"" and "gen_ai.conversation.id" not in after.attributes


def test_a_span_object_that_is_used_again_inside_one_that_it_was_before_hangs_nothing(
    captured: CapturingCollector,
) -> None:
    again, other = trajectory.span("again"), trajectory.span("other")
    again.__enter__()
    other.__enter__()
    again.__exit__(None, None, None)
    with again:
        pass
    other.__exit__(None, None, None)
    assert here.get() is None
    with trajectory.span("after"):
        pass
    assert captured.span("after").parent_id == b"" and len(captured.spans("again")) == 2


def test_places_that_were_left_and_are_behind_each_other_lead_nowhere() -> None:
    one, other = Scope(), Scope()
    one._previous, other._previous = other, one
    one._state = other._state = ENDED
    assert past_ended(one) is None
