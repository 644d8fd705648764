"""Conversations as facts: one trace each, under a root that holds the question.

Invariant: each step is one span with `trajectory.step`, and no delegation stands that the log does not say. Ids come from
the content alone, so importing twice changes nothing. Called by `sniff`; pure.

    conversation                        kind other, `trajectory.title`, the question as input
    ├── Orchestrator                    the agent that delegates: one agent span from its first step to its last
    │   ├── thought                     a step; surface cognitive
    │   └── delegate to WebSurfer       a step; until the worker is done, the next delegation or the end
    │       └── WebSurfer               agent span over the worker's turn
    │           └── message, tool       steps
    ├── Expert                          where nobody delegates: an agent span a turn, with the tools that ran for it
    └── user, system                    steps of no agent
"""

from dataclasses import dataclass, field
from typing import Any

from trajectory.dialects.chat import Conversation, Step
from trajectory.dialects.messages import bodies, body_of, message_of
from trajectory.dialects.reading import Body
from trajectory.dialects.spans import Stored
from trajectory.dialects.values import name_of
from trajectory.model.content import canonical_json, digest
from trajectory.model.fact import Batch, Fact, Source, SpanEnded, SpanStarted
from trajectory.model.words import (
    AGENT_NAME,
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    STEP,
    SYNTHETIC_TIME,
    TITLE,
    TOOL_NAME,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
    Surface,
)

EPOCH_NS = 946_684_800 * 1_000_000_000  # 2000-01-01: plainly no time at which an agent ran
STEP_NS = 1_000_000_000
MAX_TITLE_CHARS = 100


@dataclass(slots=True)
class _Node:
    """A span to be."""

    span_id: bytes
    parent_id: bytes
    start_ns: int
    end_ns: int
    kind: str
    name: str
    agent: str = ""
    surface: str = Surface.OPERATIONAL
    attributes: dict[str, Any] = field(default_factory=dict)
    given: dict[str, list[Body]] = field(default_factory=dict)
    got: dict[str, list[Body]] = field(default_factory=dict)


def batch_of(conversation: Conversation) -> Batch:
    """A conversation's facts as one batch; `first_seq` is 0."""
    trace_id = digest("chat", canonical_json([conversation.run_id, conversation.question, _identity(conversation)]))
    nodes = _Tree(conversation, trace_id).build()
    source = Source(trace_id, trace_id, {"service.name": conversation.service})
    return Batch(source, 0, _facts(trace_id, nodes))


def _identity(conversation: Conversation) -> list[list[str]]:
    return [[step.agent, step.role, step.to, step.content] for step in conversation.steps]


def _facts(trace_id: bytes, nodes: list[_Node]) -> list[Fact]:
    """Starts and ends by time, an outer span's start before and its end after the inner ones'."""
    stored = Stored()
    timed: list[tuple[int, int, int, Fact]] = []
    for rank, node in enumerate(nodes):
        started = SpanStarted(
            trace_id, node.span_id, node.parent_id, node.start_ns, 0, str(node.kind), node.name, node.agent,
            str(node.surface), node.attributes, stored.slots(node.given),
        )  # fmt: skip
        ended = SpanEnded(trace_id, node.span_id, node.end_ns, 0, contents=stored.slots(node.got))
        timed.append((node.start_ns, 1, rank, started))
        timed.append((node.end_ns, 0, -rank, ended))
    return [*stored.taken(), *(fact for *_, fact in sorted(timed, key=lambda t: t[:3]))]


class _Tree:
    """Builds the spans of one conversation, step by step."""

    def __init__(self, conversation: Conversation, trace_id: bytes) -> None:
        self._conversation = conversation
        self._trace_id = trace_id
        self._is_synthetic = not all(step.at_ns for step in conversation.steps)
        self._nodes: list[_Node] = []
        self._turn: _Node | None = None  # the agent span whose turn it is
        self._sent: _Node | None = None  # the delegation that waits for, or holds, the worker's turn
        self._asked: list[tuple[str, Any]] = []  # tool calls that no result has answered yet
        self._leads = {step.agent: None for step in conversation.steps if step.role == "delegation"}
        self._leaders: dict[str, _Node] = {}

    def build(self) -> list[_Node]:
        steps = self._conversation.steps
        root = self._node("root", b"", self._start(0), self._end(len(steps) - 1), SpanKind.OTHER, "conversation")
        title = name_of(self._conversation.question)
        root.attributes[TITLE] = title if len(title) <= MAX_TITLE_CHARS else title[: MAX_TITLE_CHARS - 1] + "…"
        if self._conversation.run_id:
            root.attributes["trajectory.run_id"] = self._conversation.run_id
        root.given[Slot.INPUT] = bodies([message_of(self._conversation.question)])
        for step in steps:
            self._add(step, root)
        return self._nodes

    def _add(self, step: Step, root: _Node) -> None:
        if step.role in ("user", "system"):
            self._pass_turn()
            slot = Slot.SYSTEM if step.role == "system" else Slot.INPUT
            surface = Surface.CONTEXTUAL if step.role == "system" else Surface.OPERATIONAL
            node = self._step(step, root, SpanKind.OTHER, step.role, surface)
            node.given[slot] = _said(step, step.role)
        elif step.role == "tool":
            self._tool(step, self._turn or root)
        elif step.agent in self._leads:
            self._lead(step, root)
        else:
            self._work(step, root)

    def _lead(self, step: Step, root: _Node) -> None:
        """A step of an agent that delegates: what it says after a worker's turn takes control back."""
        leader = self._leaders.get(step.agent)
        if leader is None:
            leader = self._leaders[step.agent] = self._agent(step, root)
        leader.end_ns = self._end(step.index)
        has_worked = self._sent is not None and self._turn is not None
        if has_worked or step.role == "delegation":
            self._pass_turn()
        if step.role == "delegation":
            self._delegate(step, leader)
        else:
            self._speak(step, leader)
            leader.got[Slot.OUTPUT] = _said(step)

    def _delegate(self, step: Step, leader: _Node) -> None:
        node = self._step(step, leader, SpanKind.DELEGATION, f"delegate to {step.to}", Surface.COORDINATION)
        node.attributes |= {
            DELEGATION_SOURCE: step.agent,
            DELEGATION_TARGET: self._known_name(step.to),
            DELEGATION_MODE: str(DelegationMode.CALL),
            DELEGATION_GRADE: str(Grade.DECLARED),
            DELEGATION_REASON: "the log names the agent that gets the work",
        }
        node.given[Slot.TASK] = body_of(step.content)
        self._sent = node

    def _known_name(self, name: str) -> str:
        """An agent's name as its own steps spell it: logs write `Websurfer` and `WebSurfer`."""
        return next((s.agent for s in self._conversation.steps if s.agent.lower() == name.lower()), name)

    def _work(self, step: Step, root: _Node) -> None:
        """A step of an agent that does not delegate: it goes on with its turn, or begins one."""
        if self._turn is None or self._turn.agent != step.agent:
            if self._turn is not None:
                self._pass_turn()
            holds = self._sent is not None and self._sent.attributes[DELEGATION_TARGET] == step.agent
            self._sent = self._sent if holds else None
            self._turn = self._agent(step, self._sent or root)
        self._stretch(step)
        self._speak(step, self._turn)
        self._asked = list(step.calls)
        self._turn.got[Slot.OUTPUT] = _said(step)
        if self._sent is not None:
            self._sent.got[Slot.RETURNED] = body_of(step.content)

    def _tool(self, step: Step, owner: _Node) -> None:
        if self._sent is not None and self._turn is None and self._sent.attributes[DELEGATION_TARGET] == step.agent:
            owner = self._turn = self._agent(step, self._sent)  # work was given to the one who runs the code
            self._sent.got[Slot.RETURNED] = body_of(step.content)
        self._stretch(step)
        node = self._step(step, owner, SpanKind.TOOL, step.tool)
        node.attributes[TOOL_NAME] = step.tool
        call = next((call for call in self._asked if call[0] == step.tool), None)
        if call is not None:
            self._asked.remove(call)
            node.given[Slot.ARGUMENTS] = body_of(call[1])
        node.got[Slot.RESULT] = body_of(step.content)

    def _stretch(self, step: Step) -> None:
        """Keeps the turn, and the delegation that holds it, open until this step is over."""
        for node in (self._turn, self._sent if self._turn is not None else None):
            if node is not None:
                node.end_ns = max(node.end_ns, self._end(step.index))

    def _pass_turn(self) -> None:
        self._turn = self._sent = None
        self._asked = []

    def _speak(self, step: Step, owner: _Node) -> _Node:
        if step.role == "agent":
            node = self._step(step, owner, SpanKind.MODEL, "message")
        else:
            surface = Surface.COGNITIVE if step.role == "thought" else Surface.OPERATIONAL
            node = self._step(step, owner, SpanKind.OTHER, _thought_name(step), surface)
        node.got[Slot.OUTPUT] = _said(step)
        return node

    def _agent(self, step: Step, parent: _Node) -> _Node:
        """An agent span that begins with this step."""
        span = self._node(
            f"agent {step.index}",
            parent.span_id,
            self._start(step.index),
            self._end(step.index),
            SpanKind.AGENT,
            step.agent,
        )
        span.agent = step.agent
        span.attributes[AGENT_NAME] = step.agent
        return span

    def _step(
        self, step: Step, parent: _Node, kind: str, name: str, surface: str = Surface.OPERATIONAL
    ) -> _Node:  # fmt: skip
        node = self._node(
            f"step {step.index}", parent.span_id, self._start(step.index), self._end(step.index), kind, name
        )  # fmt: skip
        node.surface = surface
        node.attributes[STEP] = step.index
        return node

    def _node(self, label: str, parent_id: bytes, start_ns: int, end_ns: int, kind: str, name: str) -> _Node:
        span_id = digest("chat-span", self._trace_id + label.encode())[:8]
        node = _Node(span_id, parent_id, start_ns, end_ns, kind, name)
        if self._is_synthetic:
            node.attributes[SYNTHETIC_TIME] = True
        self._nodes.append(node)
        return node

    def _start(self, index: int) -> int:
        if self._is_synthetic:
            return EPOCH_NS + index * STEP_NS
        return self._conversation.steps[index].at_ns

    def _end(self, index: int) -> int:
        """A step lasts until the next one; the last has no length where the log has a clock."""
        if self._is_synthetic:
            return EPOCH_NS + (index + 1) * STEP_NS
        return self._conversation.steps[min(index + 1, len(self._conversation.steps) - 1)].at_ns


def _said(step: Step, role: str = "assistant") -> list[Body]:
    message: dict[str, Any] = {"role": role, "content": step.content}
    if step.calls:
        message["tool_calls"] = [{"name": name, "arguments": arguments} for name, arguments in step.calls]
    return bodies([message_of(message)])


def _thought_name(step: Step) -> str:
    head = step.content[:40].lower()
    if step.role == "thought":
        return "plan" if head.startswith(("initial plan", "new plan", "updated plan", "plan")) else "thought"
    return step.role
