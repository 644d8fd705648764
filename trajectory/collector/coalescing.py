"""Bars of a lane made few enough to send and to draw: those that would share a column become one.

Invariant: nothing is hidden: each stretch of time in which something of a kind, an error or a mark began keeps a bar of it.
Called where the rows of lanes are made.
"""

from trajectory.view.rows import LaneBar

_MOST, _FEWEST, _ALTOGETHER = 600, 60, 8000


def bars_a_lane(lane_count: int) -> int:
    """How many bars each of so many lanes may have, so that all of them are read and drawn within a key press."""
    return max(_FEWEST, min(_MOST, _ALTOGETHER // max(lane_count, 1)))


def coalesced(bars: list[LaneBar], most: int) -> list[LaneBar]:
    """At most about so many bars, in order of their start: bars of one kind, status and mark that begin in the same part of
    the time become one, from the first one's start to the last one's end; 0 where one still runs."""
    parts = most
    begin_ns = min((bar.start_ns for bar in bars), default=0)
    range_ns = max((bar.start_ns for bar in bars), default=0) - begin_ns + 1
    merged = bars
    while len(merged) > most and parts:
        kept: dict[tuple[int, str, str, str], LaneBar] = {}
        for bar in bars:
            key = ((bar.start_ns - begin_ns) * parts // range_ns, bar.kind, bar.status, bar.mark)
            first = kept.get(key)
            end_ns = bar.end_ns and first.end_ns and max(first.end_ns, bar.end_ns) if first else 0
            kept[key] = LaneBar(first.span_id, bar.kind, first.start_ns, end_ns, *key[2:]) if first else bar
        merged = sorted(kept.values(), key=lambda bar: bar.start_ns)
        parts //= 2
    return merged
