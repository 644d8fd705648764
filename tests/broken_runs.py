"""Made-up runs of several traces, in each shape in which a run comes apart, and the loss of what would join them.

Invariant: two runs of one shape are alike to the letter (texts, agents, ids of tasks, messages, calls and sessions), and differ
in trace and span ids alone, as a scripted model and a scripted client make them. Used by the tests and the benchmark of
stitching.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from trajectory.graph.ends import ends_of
from trajectory.graph.stitching import Stitching
from trajectory.graph.trace import Trace
from trajectory.model.content import digest, encode, encode_message
from trajectory.model.fact import Fact, Payload, Source, SpanEnded, SpanLinked, SpanStarted, SpanUpdated
from trajectory.model.words import AGENT_NAME, SESSION_ID, TOOL_CALL_ID, TOOL_NAME

BEGIN_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
IDS = frozenset(
    {TOOL_CALL_ID, "parent_tool_use_id", "a2a.task.id", "a2a.message.id", SESSION_ID, "workflow.id", AGENT_NAME}
)
TASKS = {"researcher": "find a hotel in Lyon with a lift", "booker": "book the hotel that was found"}


@dataclass
class Part:
    """One trace of a run: its facts, all from one process."""

    trace_id: bytes
    source: Source
    facts: list[Fact] = field(default_factory=list)

    def span(
        self, number: int, kind: str, name: str, at_s: float, lasts_s: float, *, parent: int = 0, agent: str = "",
        contents: dict[str, object] | None = None, **attributes: object,
    ) -> None:  # fmt: skip
        """A span that started and ended; keywords are attributes, `__` standing for a dot."""
        held = {key.replace("__", "."): value for key, value in attributes.items()}
        slots: dict[str, list[bytes]] = {}
        for slot, value in (contents or {}).items():
            body = encode_message(value) if slot == "input" else encode(value)
            slots[slot] = [digest(*body)]
            self.facts.append(Payload(slots[slot][0], *body))
        at_ns = BEGIN_NS + int(at_s * SECOND_NS)
        parent_id = self.span_id(parent) if parent else b""
        self.facts += [
            SpanStarted(
                self.trace_id, self.span_id(number), parent_id, at_ns, 0, kind, name, agent, "operational", held, slots
            ),
            SpanEnded(self.trace_id, self.span_id(number), at_ns + int(lasts_s * SECOND_NS), 0, "ok"),
        ]

    def span_id(self, number: int) -> bytes:
        return digest("span", self.trace_id + bytes([number]))[:8]

    def link(self, number: int, to: "Part", to_number: int) -> None:
        self.facts.append(
            SpanLinked(self.trace_id, self.span_id(number), BEGIN_NS, "follows", to.trace_id, to.span_id(to_number))
        )


@dataclass
class BrokenRun:
    """The traces of one run, the first one first, and which caused which."""

    shape: str
    parts: list[Part]
    causes: dict[bytes, bytes] = field(default_factory=dict)  # effect → cause


def _part(shape: str, run: int, name: str, service: str, process: str = "") -> Part:
    trace_id = digest("trace", f"{shape} {run} {name}".encode())
    resource: dict[str, object] = {"service.name": service}
    if process:
        resource["service.instance.id"] = process
    key = digest("source", f"{service} {process}".encode())
    return Part(trace_id, Source(key, key, resource))


def _coordinator(shape: str, run: int, at_s: float, **ids: dict[str, object]) -> Part:
    part = _part(shape, run, "coordinator", "planner")
    part.span(
        1,
        "agent",
        "invoke_agent coordinator",
        at_s,
        20,
        agent="coordinator",
        contents={"input": "a trip to Lyon, please"},
    )
    for n, agent in enumerate(TASKS):
        part.span(
            2 + n, "tool", f"ask_{agent}", at_s + 1 + 9 * n, 8, parent=1, contents={"arguments": {"task": TASKS[agent]}},
            **{TOOL_NAME: f"ask_{agent}", TOOL_CALL_ID: f"call_{agent}", **ids.get(agent, {})},
        )  # fmt: skip
    return part


def _worker(shape: str, run: int, agent: str, at_s: float, **ids: object) -> Part:
    part = _part(shape, run, agent, agent)
    part.span(1, "other", "POST /run", at_s, 5, otel__span__kind="server", **ids)
    part.span(
        2, "agent", f"invoke_agent {agent}", at_s + 0.1, 4, parent=1, agent=agent, contents={"input": TASKS[agent]}
    )
    return part


def _remote(shape: str, run: int, at_s: float, gives: str, takes: str) -> BrokenRun:
    ids: dict[str, dict[str, object]] = {agent: {gives: f"id of {agent}"} for agent in TASKS} if gives else {}
    first = _coordinator(shape, run, at_s, **ids)
    workers = [
        _worker(shape, run, agent, at_s + 2 + 9 * n, **({takes: f"id of {agent}"} if takes else {}))
        for n, agent in enumerate(TASKS)
    ]
    return BrokenRun(shape, [first, *workers], {w.trace_id: first.trace_id for w in workers})


def messages(run: int, at_s: float) -> BrokenRun:
    """Agents behind A2A, whose client sends no traceparent: a message id on both sides."""
    return _remote("a2a messages", run, at_s, "a2a.message.id", "a2a.message.id")


def tasks(run: int, at_s: float) -> BrokenRun:
    """The same with task ids."""
    return _remote("a2a tasks", run, at_s, "a2a.task.id", "a2a.task.id")


def calls(run: int, at_s: float) -> BrokenRun:
    """Sub-agents in traces of their own that name the tool call that made them."""
    return _remote("tool call ids", run, at_s, TOOL_CALL_ID, "parent_tool_use_id")


def texts(run: int, at_s: float) -> BrokenRun:
    """Agents behind HTTP without any id: only the text is the same."""
    return _remote("texts", run, at_s, "", "")


def linked(run: int, at_s: float) -> BrokenRun:
    """A team that writes messages: a trace for each, a link to the one before, one session."""
    parts: list[Part] = []
    causes: dict[bytes, bytes] = {}
    for n in range(8):
        part = _part("linked messages", run, f"message {n}", "team")
        held: dict[str, object] = {SESSION_ID: "the team"}
        kind = "producer" if n == 0 else "consumer"
        part.span(1, "other", f"autogen {'process' if n else 'send'}", at_s + n, 0.9, otel__span__kind=kind, **held)
        if n % 2:
            agent = f"agent{n}"
            part.span(2, "agent", f"invoke_agent {agent}", at_s + n + 0.1, 0.5, parent=1, agent=agent, **held)
        if parts:
            part.link(1, parts[-1], 1)
            causes[part.trace_id] = parts[-1].trace_id
        parts.append(part)
    return BrokenRun("linked messages", parts, causes)


def made(run: int, at_s: float) -> BrokenRun:
    """A graph whose process makes each agent in a trace of its own before it runs."""
    first = _part("made agents", run, "graph", "graph", f"process {run}")
    makers: list[Part] = []
    for n, agent in enumerate(("coordinator", *TASKS)):
        first.span(1 + n, "agent", f"invoke_agent {agent}", at_s + 1 + n, 5 - 2 * n, parent=n, agent=agent)
        maker = _part("made agents", run, f"maker of {agent}", "graph", f"process {run}")
        named = {AGENT_NAME: agent, "gen_ai.operation.name": "create_agent"}
        maker.span(1, "other", f"create_agent {agent}", at_s + 0.1 * n, 0.05, **named)
        makers.append(maker)
    return BrokenRun("made agents", [first, *makers], {m.trace_id: first.trace_id for m in makers})


SHAPES: tuple[Callable[[int, float], BrokenRun], ...] = (messages, tasks, calls, texts, linked, made)


def broken(run: BrokenRun, share: float, chance: random.Random, lose: frozenset[str]) -> BrokenRun:
    """The run after that share of its spans lost each of `lose`: `links`, `ids`, `parents`, `texts`, `spans`."""

    def loses(what: str) -> bool:
        return what in lose and chance.random() < share

    parts = []
    for part in run.parts:
        kept: list[Fact] = []
        gone = {f.span_id for f in part.facts if isinstance(f, SpanStarted) and loses("spans")}
        for fact in part.facts:
            if isinstance(fact, SpanStarted):
                if loses("parents"):
                    fact = replace(fact, parent_id=b"")
                if loses("ids"):
                    fact = replace(fact, attributes={k: v for k, v in fact.attributes.items() if k not in IDS})
                if loses("texts"):
                    fact = replace(fact, contents={})
            if isinstance(fact, (SpanStarted, SpanEnded, SpanUpdated, SpanLinked)) and fact.span_id in gone:
                continue
            if not (isinstance(fact, SpanLinked) and loses("links")):
                kept.append(fact)
        parts.append(Part(part.trace_id, part.source, kept))
    return BrokenRun(run.shape, parts, run.causes)


def traces_of(runs: Iterable[BrokenRun]) -> list[Trace]:
    """The traces of some runs, folded."""
    parts = [part for run in runs for part in run.parts]
    bodies = {f.digest: (f.media_type, f.body) for part in parts for f in part.facts if isinstance(f, Payload)}
    traces = []
    for part in parts:
        trace = Trace(part.trace_id, bodies.get)
        for fact in part.facts:
            trace.apply(fact, part.source)
        traces.append(trace)
    return traces


def stitched(runs: Iterable[BrokenRun], chance: random.Random | None = None) -> Stitching:
    """What joins the traces of some runs, told in order, or in any."""
    traces = traces_of(runs)
    if chance is not None:
        chance.shuffle(traces)
    stitching = Stitching()
    for trace in traces:
        stitching.put(trace.trace_id, ends_of(trace))
    return stitching
