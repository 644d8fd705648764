"""From the beginning of an id to the whole one, by asking a feed: what `trajectory watch --trace` and `trajectory open` name.

Invariant: one thing is meant or an error says why not; nothing is guessed. Called by the command line, before it opens the
dashboard.
"""

import re
from dataclasses import replace

from trajectory.errors import StoreError
from trajectory.view.feed import Feed, FeedBusy
from trajectory.view.link import Link
from trajectory.view.views import Missing, Query, RunsQuery, RunsView, TraceQuery, TraceView, View

_HEX = re.compile("[0-9a-f]{1,32}")
_WHOLE_TRACE, _WHOLE_SPAN = 32, 16
_LOOKED_AT = 50
_TRIES = 5  # of a feed that has much to do


def reached(feed: Feed, link: Link) -> Link:
    """The link with its ids whole. Raises StoreError where the feed has no such run, span or alert, or several; and FeedLost."""
    if link.is_of_all:
        return link
    trace = whole_trace(feed, link.trace)
    span = _whole_span(feed, trace, link.span) if link.span else ""
    agent = _whole_span(feed, trace, link.agent) if link.agent else ""
    return replace(link, trace=trace, span=span, agent=agent)


def whole_trace(feed: Feed, trace: str) -> str:
    """The id of the one run that begins so. Raises StoreError, or FeedLost."""
    if not _HEX.fullmatch(trace):
        raise StoreError(f"{trace[:40]!r} is no beginning of a trace id: those are hexadecimal digits, at most 32")
    if len(trace) == _WHOLE_TRACE:
        view = pulled(feed, TraceQuery(trace, tail=0))
        if isinstance(view, Missing):
            raise StoreError(f"{feed.endpoint} has no run {trace}: it may be in another store, or gone")
        return trace
    view = pulled(feed, RunsQuery(filter=f"trace:{trace}", limit=2))
    found = [row.trace_id for row in view.rows] if isinstance(view, RunsView) else []
    if len(found) != 1:
        what = (
            f"several runs that begin with {trace}: give more of its id"
            if found
            else f"no run that begins with {trace}"
        )
        raise StoreError(f"{feed.endpoint} has {what}")
    return found[0]


def _whole_span(feed: Feed, trace: str, span: str) -> str:
    if len(span) == _WHOLE_SPAN:
        return span  # where it has not come yet, the dashboard waits for it
    view = pulled(feed, TraceQuery(trace, filter=f"span:{span}", tail=0, spans=_LOOKED_AT))
    rows = view.spans if isinstance(view, TraceView) else []
    found = sorted({row.span_id for row in rows if row.span_id.startswith(span)})
    if len(found) != 1:
        what = f"several spans that begin with {span}" if found else f"no span that begins with {span}"
        raise StoreError(f"run {trace[:12]} has {what}")
    return found[0]


def pulled(feed: Feed, query: Query) -> View | None:
    """The answer of a feed that may be busy for a while. Raises FeedLost."""
    for _ in range(_TRIES - 1):
        try:
            return feed.pull(query, -1)
        except FeedBusy:
            continue
    return feed.pull(query, -1)
