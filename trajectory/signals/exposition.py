"""Metric families as the text that Prometheus reads: its own format, or OpenMetrics with exemplars; written by prometheus-client.

Invariant: what a label says can end neither its value nor its line; a label that says nothing is left out. Called by `/metrics`
on its own thread: ten thousand lines take it about half a second.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from trajectory.signals.families import Family, Histogram

PLAIN = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPEN = openmetrics.CONTENT_TYPE_LATEST
_SUFFIXES = {"counter": "_total", "info": "_info"}


def media_type(accept: str) -> str:
    """What a scraper gets that says what it accepts."""
    return OPEN if "application/openmetrics-text" in accept else PLAIN


def text_of(families: Iterable[Family], media: str) -> bytes:
    """The families in a format, `PLAIN` or `OPEN`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(families))
    write = openmetrics.generate_latest if media == OPEN else exposition.generate_latest
    return write(registry)


class _Told(Collector):
    """Families, once."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        return (_metric(family) for family in self._families if family.rows)


def _metric(family: Family) -> Metric:
    metric = Metric(family.name, f"{family.meaning}.", family.type)
    for values, number in family.rows:
        labels = {label: value for label, value in zip(family.labels, values, strict=True) if value}
        if isinstance(number, Histogram):
            _put(metric, labels, number)
        else:
            metric.add_sample(family.name + _SUFFIXES.get(family.type, ""), labels, number)
    return metric


def _put(metric: Metric, labels: dict[str, str], histogram: Histogram) -> None:
    shown = dict(histogram.exemplars)
    count = 0
    for at, (bound, count) in enumerate(zip(histogram.bounds, accumulate(histogram.buckets), strict=True)):
        one = shown.get(at)
        exemplar = Exemplar({"trace_id": one.trace_id.hex()}, one.seconds, one.at_ns / 1e9) if one is not None else None
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count, None, exemplar)
    metric.add_sample(f"{metric.name}_count", labels, count)
    metric.add_sample(f"{metric.name}_sum", labels, histogram.sum)
