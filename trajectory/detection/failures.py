"""The failures of a trace that may spread: where each began, and whether the agent that met it got over it.

Invariant: a failure is read when its span has changed, and one that an exception only passes on is not one; what is known is a
function of the facts so far, and a refresh costs what changed. Called by the cascade detector. An agent gets over a failure when
the same call, made again, succeeds; what else counts as handled depends on what the agent then said, and is judged where values
are followed.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from trajectory.detection.failure_text import first_line
from trajectory.detection.shown import ShownAnswers
from trajectory.detection.silent_failure import arguments_key, failure_of, is_tool_work, result_text
from trajectory.graph.echoes import is_failed
from trajectory.graph.faults import begins_error
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.words import LinkKind, SpanKind

_TOOLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
_MAX_ABOVE_COUNT = 256  # good spans over one up to the next failed one

_Place = tuple[int, bytes]
_Call = tuple[object, ...]


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


class _Known(NamedTuple):
    root: Root
    place: _Place
    call: _Call


class Failures:
    """The failures of one trace so far, by time, kept up to date by `refresh`."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._changed = trace.watch()
        self._shown = ShownAnswers()
        self._said: dict[bytes, str] = {}  # failed answers that only a later model call was shown
        self._roots: dict[bytes, _Known] = {}
        self._order: list[_Place] = []
        self._failed: set[bytes] = set()  # spans that ended in error
        self._calls: dict[bytes, tuple[_Call, _Place]] = {}  # the successful calls
        self._successes: dict[_Call, list[_Place]] = {}
        self._alike: dict[_Call, set[bytes]] = {}  # the failed calls
        self._retried: dict[bytes, set[bytes]] = {}  # failed call → the successful ones that say that they repeat it

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Root]:
        """Failures where they began, by time."""
        return (self._roots[span_id].root for _, span_id in self._order)

    def get(self, span_id: bytes) -> Root | None:
        """The failure that began at a span."""
        known = self._roots.get(span_id)
        return known.root if known is not None else None

    def refresh(self) -> set[bytes]:
        """Reads what changed; returns the spans at which a failure began, or is none any more, or was got over."""
        changed: dict[bytes, Span] = {}
        for span_id in self._changed.take():
            span = self._trace.spans.get(span_id)
            if span is None or span.is_placeholder:
                continue
            changed[span_id] = span
            self._shown.note(span)
            changed.update((other.span_id, other) for other in self._concerned(span))
        for span, text in self._shown.found(self._trace):
            self._said[span.span_id] = text
            changed[span.span_id] = span
        found: set[bytes] = set()
        for span in changed.values():
            self._read(span, found)
        return found

    def is_repeated(self, root: Root) -> bool:
        """Whether the failed call was made again, with success, by the same agent."""
        if root.span.kind not in _TOOLS or root.span.owner is None:
            return False
        if self._retried.get(root.span.span_id):
            return True
        alike = self._successes.get(_call(root.span), []) if arguments_key(root.span) else []
        return bool(alike) and alike[-1] > root.span.order_key

    def _concerned(self, span: Span) -> Iterator[Span]:
        """The spans whose failure a changed one may explain: the next failed one above, which may only pass it on; and calls
        around it or in it, which may be no tools' own work."""
        if span.is_error:
            self._failed.add(span.span_id)
        elif self._failed:
            self._failed.discard(span.span_id)
        for above in islice(span.ancestors() if self._failed or self._roots else (), _MAX_ABOVE_COUNT):
            if above.is_error or above.span_id in self._roots:
                yield above
                break
        if span.kind == SpanKind.TOOL and self._roots:
            yield from (below for below in span.children if below.span_id in self._roots)

    def _read(self, span: Span, found: set[bytes]) -> None:
        """Reads one span; puts the failures about which that says something new among those found."""
        root = self._root(span)
        if self._put(span, root):
            found.add(span.span_id)
        is_success = root is None and span.kind in _TOOLS and bool(span.end_ns) and not is_failed(span)
        call = (_call(span), span.order_key) if is_success else None
        before = self._calls.pop(span.span_id, None)
        if call is not None:
            self._calls[span.span_id] = call
        for link in span.links:
            if link.kind == LinkKind.RETRY_OF:
                repeating = self._retried.setdefault(link.to_span_id, set())
                if (span.span_id in repeating) is not is_success:
                    found.add(link.to_span_id)
                (repeating.add if is_success else repeating.discard)(span.span_id)
        if call == before:
            return
        if before is not None:
            alike = self._successes[before[0]]
            del alike[bisect_left(alike, before[1])]
            found.update(self._alike.get(before[0], ()))
        if call is not None:
            insort(self._successes.setdefault(call[0], []), call[1])
            found.update(self._alike.get(call[0], ()))

    def _put(self, span: Span, root: Root | None) -> bool:
        known = self._roots.pop(span.span_id, None)
        if known is not None:
            del self._order[bisect_left(self._order, known.place)]
            self._alike[known.call].discard(span.span_id)
        if root is None:
            return known is not None
        now = self._roots[span.span_id] = _Known(root, (root.at_ns, span.span_id), _call(span))
        insort(self._order, now.place)
        self._alike.setdefault(now.call, set()).add(span.span_id)
        return known != now

    def _root(self, span: Span) -> Root | None:
        if span.is_error:
            return _raised(span) if begins_error(span) else None
        if span.kind not in _TOOLS or not span.end_ns or is_failed(span) or not is_tool_work(span):
            return None
        text = result_text(span, self._trace)
        failure = failure_of(span, text if text is not None else self._said.get(span.span_id))
        return Root(span, failure.quote, True) if failure is not None else None


def _call(span: Span) -> _Call:
    return span.owner, str(span.kind), tool_name(span), arguments_key(span)


def _raised(span: Span) -> Root:
    said = first_line(span.error_text) or span.error_type or "failed"
    kind = span.error_type
    return Root(span, said if not kind or kind in said else first_line(f"{kind}: {said}"), False)
