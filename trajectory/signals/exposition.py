"""Metric families as the text that Prometheus reads: its own format, or OpenMetrics with exemplars.

Invariant: what a label says can end neither its value nor its line; ten thousand series are written in a few hundredths of a
second (prometheus-client takes ten times as long, and reads this in the tests). Called by `/metrics`.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from trajectory.signals.families import Family, Histogram

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_SUFFIXES = {"counter": "_total", "info": "_info"}


def media_type(accept: str) -> str:
    """What a scraper gets that says what it accepts."""
    return OPEN if "application/openmetrics-text" in accept else PLAIN


def text_of(families: Iterable[Family], media: str) -> bytes:
    """The families in a format, `PLAIN` or `OPEN`."""
    is_open = media == OPEN
    lines: list[str] = []
    for family in families:
        if family.rows:
            lines += _lines(family, is_open)
    lines.append("# EOF\n" if is_open else "")
    return "\n".join(lines).encode("utf-8", "replace")


def _lines(family: Family, is_open: bool) -> Iterator[str]:
    suffix = _SUFFIXES.get(family.type, "")
    name = family.name if is_open else family.name + suffix
    yield f"# HELP {name} {family.meaning}."
    yield f"# TYPE {name} {'gauge' if family.type == 'info' and not is_open else family.type}"
    for values, number in family.rows:
        labels = ",".join(
            f'{label}="{value.translate(_ESCAPES)}"'
            for label, value in zip(family.labels, values, strict=True)
            if value
        )
        if isinstance(number, Histogram):
            yield from _buckets(family.name, labels, number, is_open)
        else:
            yield f"{family.name}{suffix}{{{labels}}} {number}" if labels else f"{family.name}{suffix} {number}"


def _buckets(name: str, labels: str, histogram: Histogram, is_open: bool) -> Iterator[str]:
    shown = dict(histogram.exemplars) if is_open else {}
    before = f'{name}_bucket{{{labels}{"," if labels else ""}le="'
    count = 0
    for at, (bound, count) in enumerate(zip(histogram.bounds, accumulate(histogram.buckets), strict=True)):
        exemplar = shown.get(at)
        said = ""
        if exemplar is not None:
            said = f' # {{trace_id="{exemplar.trace_id.hex()}"}} {exemplar.seconds} {exemplar.at_ns / 1e9:.3f}'
        yield f'{before}{bound}"}} {count}{said}'
    yield f"{name}_count{{{labels}}} {count}"
    yield f"{name}_sum{{{labels}}} {histogram.sum}"
