"""One trace, folded from its facts: what may be read of it.

Invariant: what is said depends on the set of facts, not on their order or repetition; what is worked out is kept until a fact
changes it. Called by the collector's pipeline and by readers of a store; detectors, views and exports read it and never write.
"""

from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from trajectory.graph.changes import Following
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import is_echo, tellings
from trajectory.graph.faults import root_errors
from trajectory.graph.fold import Fold
from trajectory.graph.invocation import Invocation as Invocation
from trajectory.graph.invocation import Usage as Usage
from trajectory.graph.invocation import count_usage, says_usage
from trajectory.graph.invocation import tool_name as tool_name
from trajectory.graph.keys import PayloadSource
from trajectory.graph.pairing import derive_delegations
from trajectory.graph.span import Span
from trajectory.model.content import text_of
from trajectory.model.words import SESSION_ID, TITLE, SpanKind

ROLLUP_INPUT_TOKENS = "trajectory.usage.rollup_input_tokens"
ROLLUP_OUTPUT_TOKENS = "trajectory.usage.rollup_output_tokens"
_WORK = frozenset((SpanKind.MODEL, SpanKind.TOOL, SpanKind.RETRIEVAL))
_PARTING = frozenset((SpanKind.TOOL, SpanKind.DELEGATION))
_order_key = attrgetter("order_key")


class Trace(Fold):
    """Everything that one root request caused, as far as the facts so far tell.

    `version` grows with each fact that changed anything; `structure_version` only when agents or delegations may have.
    """

    def __init__(self, trace_id: bytes, payload: PayloadSource = lambda digest: None) -> None:
        super().__init__(trace_id, payload)
        self.notes: dict[type, Any] = {}  # what readers worked out of it and keep with it; it goes when the trace goes
        self._derived_version = -1
        self._root_errors: list[Span] = []
        self._root_errors_version = -1
        self._agents: dict[str, Usage] = {}
        self._agents_version = -1
        self._root: Span | None = None
        self._root_version = -1
        self._delegations: list[Delegation] = []
        self._labels: dict[int, str] = {}
        self._invocations: list[Invocation] = []
        self._vehicles: set[bytes] = set()

    def dissolve(self) -> None:
        """Lets go of every span, so that memory is free at once and not at some later collection; of no use after."""
        for span in self.spans.values():
            span.parent = span.owner = None
            span.children = ()
        vars(self).clear()

    def watch(self) -> Following:
        """The spans that change, or change hands, from now on; all at first."""
        return Following(self._changes)

    @property
    def told_version(self) -> int:
        """Grows as `version` does, but not with findings and marks: they tell nothing new of what happened."""
        return self.version - self._remark_count

    def _first_named(self, name: str) -> str:
        """What the earliest of the spans with an attribute says; empty where there is none."""
        first = min(self._named[name].values(), key=lambda s: s.order_key, default=None)
        return str(first.attributes[name]) if first is not None else ""

    @property
    def session_id(self) -> str:
        """The conversation that the outermost span with one names: callees often get another id than their caller."""
        return self._first_named(SESSION_ID)

    @property
    def title(self) -> str:
        """What a person may call this trace: the given title, else the root's name."""
        root = self.root
        return self._first_named(TITLE) or (root.name if root is not None else "")

    @property
    def roots(self) -> list[Span]:
        """Spans with nothing known above them, by start; placeholders included."""
        return sorted(self._parentless.values(), key=_order_key)

    @property
    def root(self) -> Span | None:
        """The earliest root that has started; where every root is a placeholder, the earliest span under one."""
        if self._root_version != self.version:
            started = [s for s in self._parentless.values() if not s.is_placeholder] or [
                s for s in self.spans.values() if not s.is_placeholder
            ]
            self._root, self._root_version = min(started, key=_order_key, default=None), self.version
        return self._root

    @property
    def is_whole(self) -> bool:
        """Whether nothing is open, and no span stands under one that nobody told of."""
        return not self.open_count and not any(s.is_placeholder for s in self._parentless.values())

    @property
    def service(self) -> str:
        root = self.root
        return root.service if root is not None else ""

    @property
    def state(self) -> str:
        """`live` while anything is open, else `failed` where a root ended in error, else `done`."""
        if self.open_count:
            return "live"
        return "failed" if any(s.is_error for s in self._parentless.values()) else "done"

    def text(self, digest: bytes) -> str | None:
        """What a payload says; None where the body is not at hand."""
        payload = self._payload(digest)
        return text_of(*payload) if payload is not None else None

    @property
    def payload_source(self) -> PayloadSource:
        """Where bodies come from: for whoever reads them and shall not keep this trace alive."""
        return self._payload

    def body(self, digest: bytes) -> tuple[str, bytes] | None:
        """A payload's media type and bytes; None where it is not at hand."""
        return self._payload(digest)

    def texts(self, span: Span, *slots: str) -> list[str]:
        """What the payloads in these slots say, in order; missing bodies are left out."""
        found = (self.text(digest) for slot in slots for digest in span.digests(slot))
        return [text for text in found if text is not None]

    def invocations(self) -> list[Invocation]:
        """Every time that an agent worked, by start."""
        self._derive()
        return self._invocations

    def delegations(self) -> list[Delegation]:
        """Who gave work to whom, by the time it was sent."""
        self._derive()
        return self._delegations

    def label(self, invocation: Invocation) -> str:
        """`research#2` for the second invocation of research in this trace."""
        self._derive()
        return self._labels.get(id(invocation), invocation.agent)

    def span_label(self, span: Span) -> str:
        """The label of the invocation that a span belongs to; the service's name, or nothing, where there is none."""
        return self.label(span.owner) if span.owner is not None else span.agent or span.service

    def vehicles(self) -> set[bytes]:
        """Ids of the tool and delegation spans that carry a delegation: they are not tools of the agent's work."""
        self._derive()
        return self._vehicles

    def _derive(self) -> None:
        if self._derived_version == self.structure_version:
            return
        self._derived_version = self.structure_version
        working = [i for i in self._owned.values() if i.span is not None and i.span.owner is i]
        working += [i for i in self._loose.values() if i.spans]
        working += [i for i in self._sent_to.values() if any(s.kind in _WORK for s in i.spans.values())]
        self._invocations = sorted(working, key=lambda i: (i.start_ns, i.span_id))
        counts: dict[str, int] = {}
        self._labels = {}
        for invocation in self._invocations:
            counts[invocation.agent] = counts.get(invocation.agent, 0) + 1
            self._labels[id(invocation)] = f"{invocation.agent}#{counts[invocation.agent]}"
        self._delegations = derive_delegations(self._invocations, self.spans, self._payload)
        self._vehicles = {s.span_id for d in self._delegations if d.span.kind in _PARTING for s in tellings(d.span)}

    def agents(self) -> dict[str, Usage]:
        """Agents that took part, in order of first work, with what they did; also those that only a delegation names."""
        if self._agents_version != self.version:
            self._agents, self._agents_version = self._count_agents(), self.version
        return self._agents

    def _count_agents(self) -> dict[str, Usage]:
        agents: dict[str, Usage] = {}
        for invocation in self.invocations():
            agents.setdefault(invocation.agent, Usage()).add(invocation.usage)
        for delegation in self.delegations():
            for name in (delegation.source_agent, delegation.target_agent):
                if name:
                    agents.setdefault(name, Usage())
        self._use_rollups(agents)
        errors = Counter(s.owner.agent for s in self.root_errors() if s.owner is not None)
        for name, usage in agents.items():
            usage.errors = errors[name]  # where errors began: one that passes through three agents is not three
        return agents

    def _use_rollups(self, agents: dict[str, Usage]) -> None:
        for invocation, input_tokens, output_tokens in self.rollups():
            agents[invocation.agent].input_tokens += input_tokens
            agents[invocation.agent].output_tokens += output_tokens

    def rollups(self) -> Iterator[tuple[Invocation, int, int]]:
        """The sums (tokens in, tokens out) that agent spans give of themselves, where no model call anywhere under one says what
        it used."""
        for invocation in self.invocations():
            span = invocation.span
            if span is None or not (ROLLUP_INPUT_TOKENS in span.attributes or ROLLUP_OUTPUT_TOKENS in span.attributes):
                continue
            told = int(span.number(ROLLUP_INPUT_TOKENS)), int(span.number(ROLLUP_OUTPUT_TOKENS))
            if not any(told) or any(says_usage(s) for s in descendants(span)):
                continue
            if any(s.number(ROLLUP_INPUT_TOKENS) for s in descendants(span)):
                continue
            yield invocation, *told

    def usage(self) -> Usage:
        """The whole trace's: every agent's and that of spans that no agent owns."""
        total = count_usage([s for s in self.spans.values() if s.owner is None], within=self.spans.values())
        for usage in self.agents().values():
            total.add(usage)
        return total

    def tools(self) -> dict[str, list[Span]]:
        """Tool calls by tool name, each by start, without those that carry a delegation or repeat the call around them."""
        calls: dict[str, list[Span]] = {}
        vehicles = self.vehicles()
        for span in sorted(self.spans.values(), key=lambda s: s.order_key):
            if span.kind == SpanKind.TOOL and span.span_id not in vehicles and not is_echo(span):
                calls.setdefault(tool_name(span), []).append(span)
        return calls

    def root_errors(self) -> list[Span]:
        """Error spans that are no mere propagation of an error below them, by start."""
        if self._root_errors_version != self.version:
            self._root_errors, self._root_errors_version = root_errors(self._failed.values()), self.version
        return [*self._root_errors]


def descendants(span: Span) -> Iterator[Span]:
    """Every span below, in no order that matters."""
    pending = list(span.children)
    while pending:
        below = pending.pop()
        yield below
        pending.extend(below.children)
