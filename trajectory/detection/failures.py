"""The failures of a trace that may spread: where each began, and whether the agent that met it got over it.

Invariant: a failure is read once, when its span is done, and one that an exception only passes on is not one. Called by the
cascade detector. An agent gets over a failure when the same call, made again, succeeds; what else counts as handled depends
on what the agent then said, and is judged where values are followed.
"""

from collections.abc import Iterable
from typing import NamedTuple

from trajectory.detection.failure_text import first_line
from trajectory.detection.shown import ShownAnswers
from trajectory.detection.silent_failure import ANSWERING, failure_of, is_tool_work, repeats, result_text
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.words import SpanKind

_TOOLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)


class Root(NamedTuple):
    """A failure where it began. `quote` is one line of what it said; `is_silent`: as a result, and not as an exception."""

    span: Span
    quote: str
    is_silent: bool

    @property
    def at_ns(self) -> int:
        return self.span.end_ns or self.span.last_ns

    @property
    def name(self) -> str:
        """What people call the work that failed."""
        if self.span.kind in _TOOLS:
            return tool_name(self.span)
        return self.span.name or str(self.span.kind)


class Failures:
    """The failures of one trace so far, kept from fact to fact."""

    def __init__(self) -> None:
        self._touched: dict[bytes, None] = {}
        self._silent: dict[bytes, Root] = {}
        self._has_errors = False
        self._shown = ShownAnswers()

    def touch(self, span_id: bytes) -> None:
        """Notes a span that has changed."""
        self._touched[span_id] = None

    def roots(self, trace: Trace) -> list[Root]:
        """Failures where they began, by time."""
        touched, self._touched = self._touched, {}
        for span_id in touched:
            span = trace.spans.get(span_id)
            if span is None:
                continue
            self._has_errors = self._has_errors or span.is_error
            self._shown.note(span)
            if span.kind in ANSWERING and span.end_ns:
                self._read(span, result_text(span, trace), trace)
        for span, text in self._shown.found(trace):
            self._read(span, text, trace)
        raised = trace.root_errors() if self._has_errors else []
        found = [*self._silent.values(), *(_raised(span) for span in raised)]
        return sorted(found, key=lambda r: (r.at_ns, r.span.span_id))

    def _read(self, span: Span, text: str | None, trace: Trace) -> None:
        if text is not None or span.is_error:
            self._silent.pop(span.span_id, None)
        if text is None or span.is_error or not is_tool_work(span):
            return
        failure = failure_of(span, text)
        if failure is not None and span.span_id not in trace.vehicles():
            self._silent[span.span_id] = Root(span, failure.quote, True)


def without_repeated(roots: list[Root]) -> list[Root]:
    """Those whose call was not made again, with success, by the same agent. Each agent's spans are gone through once."""
    failed = {root.span.span_id for root in roots}
    successes: dict[int, dict[tuple[str, str], list[Span]]] = {}
    kept = []
    for root in roots:
        owner = root.span.owner
        if owner is not None and root.span.kind in _TOOLS:
            if id(owner) not in successes:
                successes[id(owner)] = _successes(owner.spans.values(), failed)
            alike = successes[id(owner)].get(_call(root.span), ())
            if any(repeats(later, root.span) for later in alike):
                continue
        kept.append(root)
    return kept


def _successes(spans: Iterable[Span], failed: set[bytes]) -> dict[tuple[str, str], list[Span]]:
    found: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        if span.kind in _TOOLS and span.end_ns and not span.is_error and span.span_id not in failed:
            found.setdefault(_call(span), []).append(span)
    return found


def _call(span: Span) -> tuple[str, str]:
    return str(span.kind), tool_name(span)


def _raised(span: Span) -> Root:
    said = first_line(span.error_text) or span.error_type or "failed"
    kind = span.error_type
    return Root(span, said if not kind or kind in said else first_line(f"{kind}: {said}"), False)
