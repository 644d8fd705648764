"""Links between spans that no emitter sent, for exports: where values came from, and the steps of cascades.

Invariant: each says that it was worked out, so that nobody reads it again as a fact. Called by the graph of provenance and by the
export to OTLP.
"""

from itertools import pairwise
from typing import Any

from trajectory.detection.provenance import UsedValue, provenance_of
from trajectory.dialects.ours import LINK_DERIVED, LINK_KIND, LINK_ROOT, LINK_VALUE
from trajectory.graph.trace import Trace
from trajectory.model.words import Grade, LinkKind

MAX_VALUES_COUNT = 8  # that one link names


def used_values(trace: Trace) -> dict[tuple[bytes, bytes], list[UsedValue]]:
    """The uses of values in a trace by the ids of source and user."""
    provenance = provenance_of(trace)
    provenance.refresh()
    found: dict[tuple[bytes, bytes], list[UsedValue]] = {}
    for link in provenance.links():
        found.setdefault((link.source.span_id, link.user.span_id), []).append(link)
    return found


def derived_links(trace: Trace) -> dict[bytes, list[tuple[bytes, dict[str, Any]]]]:
    """By the span that has them, what links point at, with their attributes: a use of a value at where it was had from, and each
    step of a cascade's path at the one before."""
    found: dict[bytes, list[tuple[bytes, dict[str, Any]]]] = {}
    for finding in trace.findings.values():
        for cause, effect in pairwise(finding.path) if finding.kind == "cascade" else ():
            caused = {LINK_KIND: str(LinkKind.CAUSED), LINK_DERIVED: True, LINK_ROOT: finding.root_span_id.hex()}
            found.setdefault(effect, []).append((cause, caused))
    for (source, user), links in used_values(trace).items():
        values = list(dict.fromkeys(link.value for link in links if link.grade != Grade.OBSERVED))[:MAX_VALUES_COUNT]
        if values:
            used = {LINK_KIND: str(LinkKind.USED_VALUE_OF), LINK_DERIVED: True, LINK_VALUE: values}
            found.setdefault(user, []).append((source, used))
    return found
