"""Spans that tell again what the span around them tells: two instrumentations saw one call, or one tells it from two layers.

Invariant: the outer span stands for the call, and an echo adds no call, step or row; what only it holds is the call's too. A call
made inside another of the same name is no echo: of those right inside a span one at most is, and whoever tells both under one
name, or with other arguments, tells two. Called by whoever counts, pairs, reads or draws spans.
"""

from collections.abc import Iterator
from itertools import chain

from trajectory.graph.span import Span
from trajectory.model.words import TOOL_NAME, Slot, SpanKind

_AGENT, _TOOL = SpanKind.AGENT.value, SpanKind.TOOL.value
_ECHOING = frozenset((_AGENT, _TOOL))
_ASKED = (Slot.ARGUMENTS, Slot.TASK, Slot.INPUT)
_GIVEN = (Slot.RESULT, Slot.RETURNED, Slot.OUTPUT)
_MAX_INSIDE_COUNT = 64  # spans right inside one that may be a call told twice: what does more is no mere telling
_MAX_LAYERS_COUNT = 8  # that tell one call
_SKEW_NS = 50_000_000  # how far the clocks of two processes may be apart


def tool_name(span: Span) -> str:
    """The tool's name: `gen_ai.tool.name`, else the span's."""
    return str(span.attributes.get(TOOL_NAME) or span.name)


def is_echo(span: Span) -> bool:
    """Whether a span tells again what the span around it tells."""
    outer = span.parent
    if outer is None or outer.kind != span.kind or span.kind not in _ECHOING:
        return False
    return _may_echo(span, outer) and _echo_in(outer) is span


def neighbours(span: Span) -> Iterator[Span]:
    """The spans right around and inside one that may tell the same call: what they are may change with it."""
    if span.kind in _ECHOING:
        if span.parent is not None and span.parent.kind == span.kind:
            yield span.parent
        yield from (child for child in span.children[:_MAX_INSIDE_COUNT] if child.kind == span.kind)


def first_telling(span: Span) -> Span:
    """The span that stands for the call that a span tells of: the outermost, itself where nothing tells it before."""
    for _ in range(_MAX_LAYERS_COUNT):
        if span.parent is None or not is_echo(span):
            break
        span = span.parent
    return span


def tellings(span: Span) -> list[Span]:
    """A span and its echoes, the outermost first."""
    found = [span]
    while span.children and span.kind in _ECHOING and len(found) < _MAX_LAYERS_COUNT:
        echo = _echo_in(span)
        if echo is None:
            break
        found.append(echo)
        span = echo
    return found


def is_failed(span: Span) -> bool:
    """Whether a call ended in an error, as any of those that tell it has it: one that handed the error on as an answer may say
    that all is well."""
    return failed_telling(span) is not None


def failed_telling(span: Span) -> Span | None:
    """The one of a call's tellings, the outermost first, that ended in an error."""
    return span if span.is_error else next((telling for telling in tellings(span)[1:] if telling.is_error), None)


def told(span: Span, *slots: str) -> list[bytes]:
    """The payloads in the first of these slots that has any, as the span or else one of its echoes holds them."""
    if digests := _first(span, slots):
        return digests
    echoes = tellings(span)[1:]
    return next((digests for echo in echoes for slot in slots if (digests := echo.digests(slot))), [])


def ended_ns(span: Span) -> int:
    """When the call was over: the last of those that tell it, for one may end before the work does; 0 while the span is open."""
    return span.end_ns and max(telling.end_ns for telling in tellings(span))


def children_of(span: Span) -> Iterator[Span]:
    """The spans below one, those inside its echoes among them and not the echoes."""
    inside = tellings(span)
    return (child for child in chain.from_iterable(s.children for s in inside) if child not in inside[1:])


def _echo_in(outer: Span) -> Span | None:
    """The one span right inside that is an echo: it ended as the outer one did, if any did, and was the first."""
    if len(outer.children) > _MAX_INSIDE_COUNT:
        return None
    alike = [child for child in outer.children if child.kind == outer.kind and _may_echo(child, outer)]
    return min(alike, key=lambda s: (s.is_error != outer.is_error, s.order_key), default=None)


def _may_echo(span: Span, outer: Span) -> bool:
    if span.kind == _TOOL:
        if tool_name(span) != tool_name(outer):
            return False
    elif span.owner is None or span.owner is not outer.owner:
        return False
    return _began_in(span, outer) and not _tells_another(span, outer)


def _began_in(span: Span, outer: Span) -> bool:
    """Whether a span began while the outer one was open: what came after is done anew."""
    return not outer.end_ns or span.start_ns <= outer.end_ns + (0 if _same_process(span, outer) else _SKEW_NS)


def _same_process(span: Span, outer: Span) -> bool:
    return span.source is not None and outer.source is not None and span.source.emitter_id == outer.source.emitter_id


def _tells_another(span: Span, outer: Span) -> bool:
    """Whether one teller tells both, and of two calls: what was asked differs, or else what came back, or, where neither is
    known, nothing does."""
    if not _same_process(span, outer) or _teller(span) != _teller(outer):
        return False
    for slots in (_ASKED, _GIVEN):
        ours, theirs = _first(span, slots), _first(outer, slots)
        if ours and theirs:
            return ours != theirs
    return bool(outer.end_ns) and _own_name(span) == _own_name(outer)  # until it is over, more may be known of it


def _first(span: Span, slots: tuple[str, ...]) -> list[bytes]:
    """The payloads in the first of these slots that has any."""
    return next((digests for slot in slots if (digests := span.digests(slot))), [])


def _teller(span: Span) -> object:
    """Who made a span: its instrumentation's scope; the emitter where there is none."""
    return span.attributes.get("otel.scope.name")


def _own_name(span: Span) -> str:
    """What a span was called before a dialect named it after its tool or agent."""
    return str(span.attributes.get("otel.span.name") or span.name)
