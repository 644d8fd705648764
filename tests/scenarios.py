"""Made-up runs, told as they happen: agents, tools, models and delegations with what they said.

Invariant: a scenario is a list of facts in the order in which a live run would send them, on a clock that the scenario owns,
with ids that depend on nothing but the order of telling: the same telling gives the same facts. Used by tests of whatever
reads traces.

    run = Scenario()
    with run.agent("planner", task="Find a hotel, at most 900 EUR"):
        run.says("I ask research.")
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"city": "Lyon"}, result="Error: 503 Service Unavailable")
            run.says("I found H99.")
            run.returns("I found H99.")
        run.returns("Take H99.")
    trace = run.trace()

An agent's model calls are shown all that it heard so far, as a chat loop does: its task, tools' results, answers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trajectory.graph.trace import Trace
from trajectory.model.content import digest, encode, encode_message
from trajectory.model.fact import (
    Fact,
    Heartbeat,
    Payload,
    Source,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
)
from trajectory.model.words import (
    CONFIDENCE,
    DELEGATION_MODE,
    DELEGATION_TARGET,
    ERROR_TYPE,
    EVENT_PLAN,
    EVENT_THOUGHT,
    TOOL_CALL_ID,
    TOOL_NAME,
    LinkKind,
    Slot,
    SpanKind,
    SpanStatus,
    Surface,
)

START_NS = 1_790_000_000_000_000_000
STEP_NS = 1_000_000_000
SOURCE = Source(b"scenario-source1", b"boot-of-scenario", {"service.name": "scenario"})


class _Frame:
    """An agent at work: its span and what it has heard."""

    def __init__(self, name: str, span_id: bytes) -> None:
        self.name = name
        self.span_id = span_id
        self.heard: list[dict[str, Any]] = []
        self.returned = ""


class Scenario:
    """One trace being told. `facts` is the telling so far; spans' ids are 1, 2, 3 … in order of their start."""

    def __init__(self, trace_id: bytes = b"scenario-trace-1", captures_content: bool = True) -> None:
        self.trace_id = trace_id
        self.facts: list[Fact] = []
        self.source = SOURCE
        self.now_ns = START_NS
        self.names: dict[str, bytes] = {}  # the last span of each name
        self._captures = captures_content
        self._count = 0
        self._stack: list[bytes] = []
        self._frames: list[_Frame] = []
        self._known: set[bytes] = set()

    # --- telling -------------------------------------------------------------------------------------------------------

    @contextmanager
    def agent(
        self, name: str, task: str = "", system: str = "", error: tuple[str, str] | None = None
    ) -> Iterator[bytes]:
        """An agent works; `error` is (type, message) of the exception that ends it."""
        span_id = self._start(SpanKind.AGENT, name, agent=name, contents={Slot.TASK: [task]} if task else {})
        frame = _Frame(name, span_id)
        if system:
            frame.heard.append({"role": "system", "content": system})
        if task:
            frame.heard.append({"role": "user", "content": task})
        self._frames.append(frame)
        self._stack.append(span_id)
        yield span_id
        self._stack.pop()
        self._frames.pop()
        self._end(span_id, error, {Slot.RETURNED: [frame.returned]} if frame.returned else {})

    def says(
        self,
        text: str,
        tools: Any = None,
        knows: Sequence[dict[str, Any]] | None = None,
        calls: Sequence[tuple[str, str, Any]] = (),
        attributes: dict[str, Any] | None = None,
    ) -> bytes:
        """A model call: shown all that the agent heard (or `knows`), with `tools` on offer, it says `text` and asks for `calls`,
        (id, tool, arguments) each; `attributes` are its span's."""
        frame = self._frames[-1]
        contents: dict[str, list[Any]] = {Slot.INPUT: list(frame.heard if knows is None else knows)}
        if tools is not None:
            contents[Slot.TOOLS] = [tools]
        span_id = self._start(SpanKind.MODEL, "chat", contents=contents, attributes=attributes)
        said: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            said["tool_calls"] = [{"id": i, "name": name, "arguments": given} for i, name, given in calls]
        frame.heard.append(said)
        frame.returned = text
        self._end(span_id, None, {Slot.OUTPUT: [said]})
        return span_id

    def tool(
        self,
        name: str,
        arguments: Any = None,
        result: Any = None,
        error: tuple[str, str] | None = None,
        retry_of: bytes = b"",
        kind: str = SpanKind.TOOL,
        shown_only: bool = False,
        call_id: str = "",
    ) -> bytes:
        """A tool call that gives `result`, or raises `error`, (type, message); the model hears either. With `shown_only` the
        tool's own span holds no result, as some frameworks' do not."""
        contents = {Slot.ARGUMENTS: [arguments]} if arguments is not None else {}
        call_id = call_id or f"call-{self._count}"
        span_id = self._start(kind, name, contents=contents, attributes={TOOL_NAME: name, TOOL_CALL_ID: call_id})
        if retry_of:
            self._tell(SpanLinked(self.trace_id, span_id, self._tick(), LinkKind.RETRY_OF, self.trace_id, retry_of))
        given = result is not None and error is None and not shown_only
        self._end(span_id, error, {Slot.RESULT: [result]} if given else {})
        if self._frames:
            heard = f"{error[0]}: {error[1]}" if error else result
            self._frames[-1].heard.append({"role": "tool", "tool_call_id": call_id, "content": heard})
        return span_id

    @contextmanager
    def delegate(
        self,
        name: str,
        task: str,
        mode: str = "call",
        error: tuple[str, str] | None = None,
        hears: str | None = None,
        sees: Sequence[dict[str, Any]] = (),
    ) -> Iterator[bytes]:
        """The agent at work gives work to another, which hears `hears` (the task, if not said) after `sees`, an earlier
        history; `error` ends both sides."""
        sent = self._start(
            SpanKind.DELEGATION,
            f"delegate {name}",
            contents={Slot.TASK: [task]},
            attributes={DELEGATION_TARGET: name, DELEGATION_MODE: mode},
        )
        self._stack.append(sent)
        with self.agent(name, task if hears is None else hears, error=error) as span_id:
            frame = self._frames[-1]
            frame.heard[:0] = sees
            yield span_id
        self._stack.pop()
        returned = frame.returned if mode == "call" and error is None else ""
        self._end(sent, error, {Slot.RETURNED: [returned]} if returned else {})
        if returned and self._frames:
            self._frames[-1].heard.append({"role": "tool", "tool_call_id": name, "content": returned})

    def delegates_unseen(self, name: str, task: str, answer: str) -> bytes:
        """A delegation to an agent that sends no spans of its own."""
        span_id = self._start(
            SpanKind.DELEGATION,
            f"delegate {name}",
            contents={Slot.TASK: [task]},
            attributes={DELEGATION_TARGET: name, DELEGATION_MODE: "call"},
        )
        self._end(span_id, None, {Slot.RETURNED: [answer]})
        return span_id

    def returns(self, text: str) -> None:
        """What the agent at work gives back: its last words, if nothing is told."""
        self._frames[-1].returned = text

    def hears(self, text: str, role: str = "user") -> None:
        """Somebody tells the agent at work something."""
        self._frames[-1].heard.append({"role": role, "content": text})

    @property
    def heard(self) -> list[dict[str, Any]]:
        """What the agent at work has heard and said so far."""
        return self._frames[-1].heard

    def thinks(self, text: str, confidence: float | None = None, under: str = "") -> None:
        """A thought of the agent at work, or on the last span of a name."""
        attributes: dict[str, Any] = {"text": text}
        if confidence is not None:
            attributes[CONFIDENCE] = confidence
        at_ns = self._tick()
        span_id = self.names[under] if under else self._stack[-1]
        self._tell(SpanEvent(self.trace_id, span_id, at_ns, at_ns, EVENT_THOUGHT, Surface.COGNITIVE, attributes))

    def plans(self, steps: Sequence[str]) -> None:
        """A plan of the agent at work."""
        at_ns, held = self._tick(), self._store({Slot.OUTPUT: [list(steps)]})
        self._tell(
            SpanEvent(self.trace_id, self._stack[-1], at_ns, at_ns, EVENT_PLAN, Surface.COGNITIVE, contents=held)
        )

    def opens(
        self,
        kind: str,
        name: str,
        agent: str = "",
        under: str = "",
        attributes: dict[str, Any] | None = None,
        contents: dict[str, list[Any]] | None = None,
    ) -> bytes:
        """A span that starts and does not end by itself, under the last span of a name or where the telling is."""
        if not under:
            return self._start(kind, name, agent=agent, contents=contents, attributes=attributes)
        self._stack.append(self.names[under])
        span_id = self._start(kind, name, agent=agent, contents=contents, attributes=attributes)
        self._stack.pop()
        return span_id

    def ends(
        self, span_id: bytes, error: tuple[str, str] | None = None, result: Any = None, returned: Any = None
    ) -> None:
        """An open span ends; `result` is a tool's, `returned` what came back of a delegation."""
        given = {Slot.RESULT: result, Slot.RETURNED: returned}
        self._end(span_id, error, {slot: [value] for slot, value in given.items() if value is not None})

    def heartbeat(self, open_spans: Sequence[bytes] = ()) -> None:
        at_ns = self._tick()
        self._tell(Heartbeat(at_ns, at_ns, list(open_spans)))

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self.now_ns += int(seconds * 1e9)

    # --- reading -------------------------------------------------------------------------------------------------------

    def trace(self, facts: Iterable[Fact] | None = None) -> Trace:
        """The fold of the telling, or of `facts` in another order; payloads are at hand from the beginning."""
        trace = self.empty_trace()
        for fact in self.facts if facts is None else facts:
            trace.apply(fact, self.source)
        return trace

    def empty_trace(self) -> Trace:
        """A trace without facts, which knows this scenario's payloads."""
        bodies = {f.digest: (f.media_type, f.body) for f in self.facts if isinstance(f, Payload)}
        return Trace(self.trace_id, bodies.get)

    # --- writing -------------------------------------------------------------------------------------------------------

    def _tick(self) -> int:
        self.now_ns += STEP_NS
        return self.now_ns

    def _tell(self, fact: Fact) -> None:
        self.facts.append(fact)

    def _start(
        self,
        kind: str,
        name: str,
        agent: str = "",
        contents: dict[str, list[Any]] | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> bytes:
        self._count += 1
        span_id = self._count.to_bytes(8, "big")
        parent_id = self._stack[-1] if self._stack else b""
        held = self._store(contents or {})
        at_ns = self._tick()
        self._tell(
            SpanStarted(
                self.trace_id,
                span_id,
                parent_id,
                at_ns,
                at_ns,
                kind,
                name,
                agent,
                attributes=attributes or {},
                contents=held,
            )
        )
        self.names[name] = span_id
        return span_id

    def _end(self, span_id: bytes, error: tuple[str, str] | None, contents: dict[str, list[Any]]) -> None:
        held = self._store(contents)
        at_ns = self._tick()
        status, message = (SpanStatus.ERROR, error[1]) if error else (SpanStatus.OK, "")
        attributes = {ERROR_TYPE: error[0]} if error else {}
        self._tell(SpanEnded(self.trace_id, span_id, at_ns, at_ns, status, message, attributes, held))

    def _store(self, contents: dict[str, list[Any]]) -> dict[str, list[bytes]]:
        return {slot: [self._payload(v) for v in values] for slot, values in contents.items()} if self._captures else {}

    def _payload(self, value: Any) -> bytes:
        is_message = isinstance(value, dict) and "role" in value
        media_type, body = encode_message(value) if is_message else encode(value)
        address = digest(media_type, body)
        if address not in self._known:
            self._known.add(address)
            self._tell(Payload(address, media_type, body))
        return address
