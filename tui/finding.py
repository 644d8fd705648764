"""What the prompt offers while something is typed: for a filter the values that the view on screen has, by field.

Invariant: pure and bounded; what is offered is what the filter language reads from the same rows. The screens call it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from trajectory.view.completing import completions
from trajectory.view.views import RunsView, TraceView

Candidate = tuple[str, str]  # the whole text, and what is shown of it

_ROWS = 2000  # looked at, of each kind
_VALUES = 200  # offered for a field
_LONGEST = 60  # characters of a value that anybody wants completed


def filter_candidates(text: str, values: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """How a filter could go on, with values by field."""
    return [(whole, whole[_word_at(text, whole) :]) for whole in completions(text, values)]


def _word_at(text: str, whole: str) -> int:
    """Where the word begins that is being typed."""
    head = text if text.count('"') % 2 == 0 else text[: text.rindex('"')]
    at = max(head.rfind(" "), head.rfind("(")) + 1
    return at if whole.startswith(text[:at]) else 0


def observed(view: object) -> dict[str, list[str]]:
    """By field, the values that the rows of a view have, the most frequent first."""
    counted: dict[str, Counter[str]] = {}
    for field, value in _pairs(view):
        if 0 < len(value) <= _LONGEST:
            counted.setdefault(field, Counter())[value] += 1
    return {field: [value for value, _ in values.most_common(_VALUES)] for field, values in counted.items()}


def _pairs(view: object) -> Iterator[tuple[str, str]]:
    if isinstance(view, RunsView):
        for row in islice(view.rows, _ROWS):
            yield from (("state", row.state), ("title", row.title), ("service", row.service))
            yield from (("agent", name) for name in row.agent_names)
    elif isinstance(view, TraceView):
        yield from _pairs_of_run(view)


def _pairs_of_run(view: TraceView) -> Iterable[tuple[str, str]]:
    for lane in islice(view.lanes, _ROWS):
        yield from (("agent", lane.agent), ("agent", lane.label))
    for step in islice(view.tail, _ROWS):
        yield from (("agent", step.label), ("kind", step.what), ("status", step.status))
        if step.what == "tool":
            yield "tool", step.text.partition(" ")[0]
    for span in islice(view.spans, _ROWS):
        yield from (("agent", span.label), ("kind", span.kind), ("status", span.status), ("mark", span.mark))
        yield ("tool" if span.kind == "tool" else "name"), span.name
