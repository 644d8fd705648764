"""One time that an agent worked, and what that cost.

Invariant: a call is counted once, at the leaf: not again in the spans that wrap it, not in the roll-ups above it, and not as a
message reports it. Made by the fold, which decides whose work a span is; read by everyone else.
"""

from collections.abc import Iterable

from trajectory.graph.echoes import ended_ns, first_telling, is_echo, told
from trajectory.graph.echoes import tool_name as tool_name
from trajectory.graph.span import Span
from trajectory.model.words import (
    COSTS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REPORTED_INPUT_TOKENS,
    REPORTED_OUTPUT_TOKENS,
    Slot,
    SpanKind,
    SpanStatus,
)


class Usage:
    """What work cost: counted on leaf model calls only, so that roll-ups on outer spans are not counted again."""

    __slots__ = ("errors", "input_tokens", "model_calls", "output_tokens", "spans", "tool_calls")

    def __init__(self) -> None:
        self.spans = self.model_calls = self.tool_calls = self.input_tokens = self.output_tokens = self.errors = 0

    def add(self, other: "Usage") -> None:
        self.spans += other.spans
        self.model_calls += other.model_calls
        self.tool_calls += other.tool_calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.errors += other.errors


class Invocation:
    """One time that an agent worked: an agent span with what is under it, or the loose steps that name an agent.

    `span` is None for the implicit agent of a service, and for one that only the delegation span `via` tells of. `spans`
    are the spans that this invocation owns, its own included.
    """

    __slots__ = ("_usage", "agent", "service", "span", "spans", "via")

    def __init__(self, agent: str, service: str, span: Span | None, via: Span | None = None) -> None:
        self.agent = agent
        self.via = via
        self.service = service
        self.span = span
        self.spans: dict[bytes, Span] = {}
        self._usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<Invocation {self.agent} {self.start_ns}>"

    @property
    def start_ns(self) -> int:
        if self.span is not None:
            return self.span.start_ns
        return min((s.start_ns for s in self.spans.values() if s.start_ns), default=0)

    @property
    def end_ns(self) -> int:
        """0 while it runs."""
        if self.span is not None:
            return ended_ns(self.span)
        if any(s.is_open for s in self.spans.values()):
            return 0
        return max((s.end_ns for s in self.spans.values()), default=0)

    @property
    def span_id(self) -> bytes:
        """Its agent span's id; the first loose step's where there is none."""
        if self.span is not None:
            return self.span.span_id
        return min((s.order_key for s in self.spans.values()), default=(0, b""))[1]

    @property
    def status(self) -> str:
        if self.span is not None:
            return self.span.status
        return SpanStatus.ERROR if any(s.is_error for s in self.spans.values()) else SpanStatus.UNSET

    @property
    def usage(self) -> Usage:
        if self._usage is None:
            self._usage = count_usage(self.spans.values())
        return self._usage

    def asked_digests(self) -> list[bytes]:
        """Where that is which it was asked, as its own span says."""
        return told(self.span, Slot.TASK, Slot.INPUT) if self.span is not None else []

    def answer_digests(self) -> list[bytes]:
        """Where its answer is, as its own span says."""
        return told(self.span, Slot.RETURNED, Slot.OUTPUT) if self.span is not None else []

    def changed(self) -> None:
        self._usage = None

    def steps(self) -> list[Span]:
        """What it did itself, by start, without its own span."""
        return sorted((s for s in self.spans.values() if s is not self.span), key=lambda s: s.order_key)


_MODEL, _TOOL = SpanKind.MODEL.value, SpanKind.TOOL.value


def count_usage(spans: Iterable[Span], within: Iterable[Span] = ()) -> Usage:
    """What spans cost; a model call that wraps another of them, or one of those `within`, counts with its leaf.

    What messages report counts where no call among the spans says it: calls where there is none, tokens where none has any.
    """
    usage = Usage()
    models: list[Span] = []
    reports: list[Span] = []
    for span in spans:
        if span.is_placeholder:
            continue
        if is_echo(span):
            usage.errors += span.is_error and not first_telling(span).is_error
            continue
        usage.spans += 1
        usage.errors += span.is_error
        if span.kind == _MODEL:
            (reports if is_reported(span) else models).append(span)
        elif span.kind == _TOOL:
            usage.tool_calls += 1
    leaves = _leaves(models, within)
    usage.model_calls = len(leaves) if models else len(reports)
    for _, input_tokens, output_tokens in _used_tokens(leaves, reports):
        usage.input_tokens += input_tokens
        usage.output_tokens += output_tokens
    return usage


def used_tokens(spans: Iterable[Span], within: Iterable[Span] = ()) -> list[tuple[Span, int, int]]:
    """What each call among the spans used: the span that says it, tokens in, tokens out. Their sums are `count_usage`'s."""
    told = [s for s in spans if s.kind == _MODEL and not s.is_placeholder]
    models = [s for s in told if not is_reported(s)]
    return _used_tokens(_leaves(models, within), [s for s in told if is_reported(s)])


def billed_calls(spans: Iterable[Span], within: Iterable[Span] = ()) -> list[tuple[Span, Span]]:
    """Each model call among the spans with the span that says what it used: itself, one that wraps it alone, or a report. One
    that wraps another of them, or one of those `within`, is none.

    Reports are calls where there are none; where no call says any tokens and reports do, they say them for the calls in turn.
    """
    told = [s for s in spans if s.kind == _MODEL and not s.is_placeholder]
    reports = sorted((s for s in told if is_reported(s)), key=lambda s: s.order_key)
    leaves = sorted(_leaves([s for s in told if not is_reported(s)], within), key=lambda s: s.order_key)
    found = [(leaf, _billed(leaf)) for leaf in leaves]
    if any(says_usage(billed) for _, billed in found):
        return found
    return [*zip(leaves, reports, strict=False), *found[len(reports) :], *((r, r) for r in reports[len(leaves) :])]


def _used_tokens(leaves: list[Span], reports: list[Span]) -> list[tuple[Span, int, int]]:
    billed = map(_billed, leaves)
    found = [(s, int(s.number(INPUT_TOKENS)), int(s.number(OUTPUT_TOKENS))) for s in billed]
    if any(input_tokens or output_tokens for _, input_tokens, output_tokens in found):
        return found
    return [(s, int(s.number(REPORTED_INPUT_TOKENS)), int(s.number(REPORTED_OUTPUT_TOKENS))) for s in reports]


def _leaves(models: list[Span], within: Iterable[Span]) -> list[Span]:
    """The model calls that wrap no other, of the same or of those `within`."""
    around = _around([s for s in within if _is_call(s)] or models) if models else ()
    return [s for s in models if id(s) not in around]


def cost_of(spans: Iterable[Span]) -> float | None:
    """What spans say that they cost, in US dollars: the innermost that say it, for those around them sum up; None where none
    does."""
    said = [(span, next((span.number(key) for key in COSTS if span.number(key)), 0.0)) for span in spans]
    said = [(span, amount) for span, amount in said if amount]
    around = _around(span for span, _ in said)
    return sum(amount for span, amount in said if id(span) not in around) if said else None


def is_reported(span: Span) -> bool:
    """Whether a model call is only known from what a message says that it used."""
    return REPORTED_INPUT_TOKENS in span.attributes


def _is_call(span: Span) -> bool:
    return span.kind == _MODEL and not span.is_placeholder and not is_reported(span)


def says_usage(span: Span) -> bool:
    """Whether a span says that tokens were used in a call, its own or a reported one."""
    return any(span.number(key) for key in (INPUT_TOKENS, OUTPUT_TOKENS, REPORTED_INPUT_TOKENS, REPORTED_OUTPUT_TOKENS))


def _around(spans: Iterable[Span]) -> set[int]:
    """Identities of everything above some spans; each is walked once, however deep they are nested."""
    around: set[int] = set()
    for span in spans:
        above = span.parent
        while above is not None and id(above) not in around:
            around.add(id(above))
            above = above.parent
    return around


def _wraps_one(span: Span) -> bool:
    """Whether just one model call is right below a span."""
    models = (c for c in span.children if c.kind == SpanKind.MODEL)
    return next(models, None) is not None and next(models, None) is None


def _billed(span: Span) -> Span:
    """The span that says what a model call used: itself, else the nearest model span that wraps it alone."""
    billed = span
    while not (billed.number(INPUT_TOKENS) or billed.number(OUTPUT_TOKENS)):
        above = billed.parent
        if above is None or above.kind != SpanKind.MODEL or not _wraps_one(above):
            return span
        billed = above
    return billed
