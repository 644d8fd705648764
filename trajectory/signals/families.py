"""What is published of the book as metric families of Prometheus: names of the GenAI conventions where they have one, else ours.

Invariant: read-only over an immutable copy, and the same copy gives the same text. Names as OpenTelemetry's conventions for
GenAI metrics have them, written as its exporters write them for Prometheus (dots as underscores, the unit behind). Called by
`/metrics`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from trajectory.signals.book import Exemplar, Labels
from trajectory.signals.figures import SECONDS, TOKENS, Figures, Spread
from trajectory.signals.measures import Kind
from trajectory.signals.published import Published

OPERATIONS = {
    Kind.MODEL: "chat", Kind.TOOL: "execute_tool", Kind.RETRIEVAL: "retrieval", Kind.AGENT: "invoke_agent",
}  # fmt: skip
_LABELS = (
    "gen_ai_operation_name", "gen_ai_request_model", "gen_ai_tool_name", "gen_ai_provider_name", "gen_ai_agent_name",
    "service_name", "service_version", "error_type",
)  # fmt: skip
_EDGE = ("gen_ai_agent_name", "trajectory_target_agent_name", "service_name", "service_version", "error_type")
_FOUND = ("trajectory_finding_kind", "trajectory_finding_severity", "gen_ai_agent_name", "service_name")
_BOUNDS_S = [*map(str, SECONDS), "+Inf"]
_BOUNDS_TOKENS = [*(f"{bound}.0" for bound in TOKENS), "+Inf"]
_Row = tuple[Labels, Figures]
_Exemplars = tuple[tuple[int, Exemplar], ...]


class Histogram(NamedTuple):
    """A histogram's value: upper bounds as text, with `+Inf`, how many lie in each bucket, their sum, and calls in buckets."""

    bounds: list[str]
    buckets: list[int]
    sum: float
    exemplars: _Exemplars = ()


class Family(NamedTuple):
    """Series of one name. `type`: counter, gauge, histogram, info; `rows` are the values of the labels, and the number."""

    name: str
    type: str
    meaning: str
    labels: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], float | Histogram]]


def families(published: Published) -> Iterator[Family]:
    """All families, one after the other."""
    rows = [(labels, figures) for labels, figures in published.series.items() if figures.count > 0]
    works = [row for row in rows if row[0].kind in OPERATIONS]
    models = [row for row in works if row[0].kind == Kind.MODEL]
    shown = published.exemplars
    for kind, name, meaning in (
        (Kind.MODEL, "gen_ai_client_operation_duration_seconds", "Duration of model calls"),
        (Kind.TOOL, "gen_ai_execute_tool_duration_seconds", "Duration of tool calls"),
        (Kind.RETRIEVAL, "trajectory_retrieval_duration_seconds", "Duration of retrievals"),
        (Kind.AGENT, "gen_ai_invoke_agent_duration_seconds", "Duration of agents' runs"),
    ):
        of_kind = ((_work(labels), f, shown.get(labels, ())) for labels, f in works if labels.kind == kind)
        yield _durations(name, meaning, _LABELS, of_kind)
    first = ((_work(labels), f.first_chunk, _BOUNDS_S, ()) for labels, f in models)
    yield _histograms(
        "gen_ai_client_operation_time_to_first_chunk_seconds", "Time to the first piece of an answer", _LABELS, first
    )
    both = (
        ((*_work(labels), said), spread, _BOUNDS_TOKENS, ())
        for labels, f in works
        for said, spread in (("input", f.input_tokens), ("output", f.output_tokens))
    )
    yield _histograms(
        "gen_ai_client_token_usage", "Tokens used by model calls, each call once", (*_LABELS, "gen_ai_token_type"), both
    )
    yield _count("trajectory_operations", "Work that is over, failed or not", works, _work, lambda f: f.count, _LABELS)
    yield _count("trajectory_retries", "Calls that do again what failed", works, _work, lambda f: f.retries, _LABELS)
    yield _count("trajectory_cost_usd", "US dollars of the calls whose cost is known", models, _work, _cost, _LABELS)
    yield _count(
        "trajectory_unknown_cost_calls",
        "Model calls without a known cost",
        models,
        _work,
        lambda f: f.cost_unknown,
        _LABELS,
    )
    yield _count(
        "trajectory_cached_input_tokens",
        "Input tokens read from a cache",
        models,
        _work,
        lambda f: f.cached_tokens,
        _LABELS,
    )
    yield _count(
        "trajectory_reasoning_output_tokens",
        "Output tokens of reasoning",
        models,
        _work,
        lambda f: f.reasoning_tokens,
        _LABELS,
    )
    yield from _edges([row for row in rows if row[0].kind == Kind.DELEGATION], published)
    found = [row for row in rows if row[0].kind == Kind.FINDING]
    yield _count("trajectory_findings", "Findings of the detectors", found, _finding, lambda f: f.count, _FOUND)
    yield from _vitals(published)


def _edges(rows: list[_Row], published: Published) -> Iterator[Family]:
    yield _durations(
        "trajectory_delegation_duration_seconds", "From sending work to another agent to its answer", _EDGE,
        ((_edge(labels), figures, published.exemplars.get(labels, ())) for labels, figures in rows),
    )  # fmt: skip
    yield _count("trajectory_delegations", "Delegations that are over", rows, _edge, lambda f: f.count, _EDGE)
    crossed = [row for row in rows if row[1].crossings_known > 0]
    yield _count(
        "trajectory_delegation_items_needed", "Items that delegations were to carry, where that is known", crossed, _edge,
        lambda f: f.needed, _EDGE,
    )  # fmt: skip
    yield _count(
        "trajectory_delegation_items_arrived",
        "Those of the needed items that arrived",
        crossed,
        _edge,
        lambda f: f.arrived,
        _EDGE,
    )


def _vitals(published: Published) -> Iterator[Family]:
    for vital in published.vitals:
        yield Family(vital.name, "counter" if vital.is_count else "gauge", vital.meaning, (), [((), vital.value)])
    yield Family(
        "trajectory_collector", "info", "The collector", tuple(published.about), [(tuple(published.about.values()), 1)]
    )


def _work(labels: Labels) -> tuple[str, ...]:
    model = labels.name if labels.kind == Kind.MODEL else ""
    tool = labels.name if labels.kind in (Kind.TOOL, Kind.RETRIEVAL) else ""
    return (
        OPERATIONS[Kind(labels.kind)], model, tool, labels.provider, labels.agent, labels.service, labels.version, labels.error,
    )  # fmt: skip


def _edge(labels: Labels) -> tuple[str, ...]:
    return labels.agent, labels.name, labels.service, labels.version, labels.error


def _finding(labels: Labels) -> tuple[str, ...]:
    return labels.name, labels.error, labels.agent, labels.service


def _cost(figures: Figures) -> float:
    return figures.cost_usd


def _durations(
    name: str, meaning: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Figures, _Exemplars]]
) -> Family:
    return _histograms(name, meaning, labels, ((values, f.seconds, _BOUNDS_S, shown) for values, f, shown in rows))


def _histograms(
    name: str,
    meaning: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], Spread, list[str], _Exemplars]],
) -> Family:
    known = [
        (values, Histogram(bounds, spread.buckets, spread.sum, shown))
        for values, spread, bounds, shown in rows
        if spread.count > 0
    ]
    return Family(name, "histogram", meaning, labels, [*known])


def _count(
    name: str,
    meaning: str,
    rows: list[_Row],
    values_of: Callable[[Labels], tuple[str, ...]],
    number_of: Callable[[Figures], float],
    labels: tuple[str, ...],
) -> Family:
    numbers: dict[tuple[str, ...], float] = {}
    for each, figures in rows:  # several may have the same values
        values = values_of(each)
        numbers[values] = numbers.get(values, 0) + number_of(figures)
    return Family(
        name, "counter", meaning, labels, [(values, number) for values, number in numbers.items() if number > 0]
    )
