"""What a screen asks, and the view that it gets back: a query and a view of the same tag, with rows in it.

Invariant: a view answers exactly one query, or is `Missing`. Limits and offsets are the query's, totals (before the limit) the
view's; all of it is frozen and finished, as rows are. Travels as MessagePack between the collector and whoever watches.
"""

import msgspec

from trajectory.view.agent_rows import AgentFacts, AgentMessage, AgentStep, UsualRow
from trajectory.view.incident_rows import ChannelRow, IncidentRow
from trajectory.view.rows import (
    AlertAt,
    AlertRow,
    Content,
    CriticalRow,
    DelegationRow,
    EventRow,
    FiguresRow,
    Health,
    HeldRow,
    ItemRow,
    KnownRow,
    Lane,
    LaneAt,
    LinkRow,
    SpanRow,
    StepRow,
    SuspectRow,
    TickRow,
    TraceRow,
    UsedRow,
)
from trajectory.view.signal_rows import SignalMark, SignalSeries


class RunsQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="runs"):
    """The list of runs; the filter is `view.query`'s language. `preview` asks for one trace's lanes and alerts too."""

    filter: str = ""
    limit: int = 500
    preview: str = ""


class TraceQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="trace"):
    """One run. `tail`, `spans` and `suspects` bound how many of those rows come (0: none); the tail's are the newest.

    With `outline` the run's outline comes instead of its lanes: what a timeline says of the spans that it does not hold.
    With `around` (a span's id, or how it begins) or `around_ns` (since the start) the spans come from around there instead of
    from the offset. `critical` and `costs` ask for what is dear to work out.
    """

    trace_id: str
    filter: str = ""
    tail: int = 200
    spans: int = 0
    spans_offset: int = 0
    suspects: int = 0
    outline: bool = False
    critical: bool = False
    costs: bool = False
    around: str = ""
    around_ns: int | None = None


class SpanQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="span"):
    """One span, whole. `raw` asks for bodies as they were stored, instead of for reading; `whole` is the digest of one that is
    to be cut only at four million characters. `used` asks where the values of the text `value` went, or of what came of the span
    where that is empty."""

    trace_id: str
    span_id: str
    content_limit: int = 65536
    raw: bool = False
    whole: str = ""
    used: bool = False
    value: str = ""


class DelegationQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="delegation"):
    """One delegation, by the id of its sender's span, item by item."""

    trace_id: str
    delegation_id: str
    content_limit: int = 16384


class InstantQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="instant"):
    """One run as it stood at `at_ns` (0: at its end). `lane` is the span of the agent whose knowledge is asked for, `tail`
    bounds the steps up to then."""

    trace_id: str
    at_ns: int = 0
    lane: str = ""
    tail: int = 100


class AgentQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="agent"):
    """One agent's trajectory in a run. `agent` is the span of its lane, else its label, else its name (then its first lane).

    Of its steps come `limit` from `offset` on, or those around the step whose span is `around`. `each` leaves out no folding,
    `raw` asks for messages as they were stored.
    """

    trace_id: str
    agent: str
    filter: str = ""
    offset: int = 0
    limit: int = 300
    around: str = ""
    each: bool = False
    raw: bool = False


class SignalsQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="signals"):
    """Work in numbers over time. `by`: agent, model, tool, edge, service, version, finding, error; `kind` leaves one kind of it.

    Of all traces, or of one, and of these of one agent, one service. The last `minutes` before now, of a store at rest before
    its newest work (at most 30 days; 0: of one trace all of it), in at most `points` windows; at most `limit` series, the dearest
    and most used first. With them come the runs that were at work from `at_ns` to before `until_ns`, where these are given, of
    these those in which the series called `name`, of this kind of `work`, had some that ended then, and what is asked `also`,
    of all traces, the first `MOST_ALSO` of it.
    """

    by: str = "agent"
    kind: str = ""
    trace_id: str = ""
    agent: str = ""
    service: str = ""
    minutes: int = 60
    points: int = 60
    limit: int = 50
    at_ns: int = 0
    until_ns: int = 0
    also: tuple["SignalsQuery", ...] = ()
    name: str = ""
    work: str = ""  # of which kind


MOST_ALSO = 8


class AlertsQuery(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="alerts"):
    """Alerts whose ids begin with `id`: at most `limit` of those that are open, the gravest and latest first, and so many that
    are over, the latest first."""

    id: str = ""
    limit: int = 200
    closed: int = 20


Query = RunsQuery | TraceQuery | SpanQuery | DelegationQuery | InstantQuery | AgentQuery | SignalsQuery | AlertsQuery


class RunsView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="runs"):
    version: int
    health: Health
    rows: list[TraceRow]
    total: int  # before the filter
    preview: "TraceView | None" = None


class Outline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A whole run in short: how many leaf spans were at work in each of `OUTLINE_PARTS` equal parts of its time, in which parts
    something failed, and the first failed spans: their places in the order of the timeline, and their ids."""

    activity: list[int] = []
    failed_parts: list[int] = []
    failed: list[tuple[int, str]] = []


OUTLINE_PARTS = 240


class TraceView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="trace"):
    version: int
    health: Health
    trace: TraceRow
    lanes: list[Lane] = []
    delegations: list[DelegationRow] = []
    alerts: list[AlertRow] = []
    tail: list[StepRow] = []
    tail_total: int = 0  # before filter and limit
    spans: list[SpanRow] = []
    spans_total: int = 0  # before filter and limit
    spans_matching: int = 0  # before limit
    suspects: list[SuspectRow] = []
    limits: list[str] = []  # with suspects: what cannot be seen in this run, one sentence each
    outline: Outline | None = None
    critical: list[CriticalRow] = []  # in order of time
    spans_offset: int = 0  # the place of the first of the spans
    around: str = ""  # the span that they were asked around


class SpanView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="span"):
    version: int
    health: Health
    row: SpanRow
    agent: str
    service: str
    message: str = ""  # of the status
    attributes: list[tuple[str, str]] = []
    resource: list[tuple[str, str]] = []
    contents: list[Content] = []
    events: list[EventRow] = []
    links: list[LinkRow] = []
    alerts: list[AlertRow] = []
    previous_id: str = ""  # sibling spans, in order of start
    next_id: str = ""
    used: list[UsedRow] | None = None  # where it was asked for


class DelegationView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="delegation"):
    """One delegation. `hidden` are what was not captured, one sentence each, by side (held, sent, got, back, used)."""

    version: int
    health: Health
    trace: TraceRow
    row: DelegationRow
    number: int  # its place among the run's delegations, from 1
    total: int
    items: list[ItemRow] = []
    items_total: int = 0  # before the limit
    hidden: list[tuple[str, str]] = []
    figures: FiguresRow = FiguresRow()
    between: FiguresRow | None = None  # the latest that the one agent gave the other, where that is more than this one
    again: str = ""  # retry, redo or repeat, where it does an earlier one again
    again_id: str = ""
    contents: list[Content] = []  # the task as sent, as received, and what came back
    alerts: list[AlertRow] = []  # on it
    previous_id: str = ""  # delegations before and after, by the time that they were sent
    next_id: str = ""
    between_total: int = 0  # before the limit


class InstantView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="instant"):
    """A run as it stood at `at_ns`. Counts of `trace` are those up to then, `whole` is the run as far as it is known now.

    While `read_ratio` is below 1 the run is being read for the first time, and nothing but `whole` is there.
    """

    version: int
    health: Health
    whole: TraceRow
    trace: TraceRow
    at_ns: int
    start_ns: int
    end_ns: int  # of all that is known
    read_ratio: float = 1.0
    lanes: list[LaneAt] = []
    delegations: list[DelegationRow] = []
    alerts: list[AlertAt] = []
    tail: list[StepRow] = []
    open: list[StepRow] = []  # what was going on, the latest last
    open_count: int = 0
    known_of: str = ""  # lane label
    known: list[KnownRow] = []
    known_count: int = 0  # before the limit
    known_tokens: int = 0  # read by the agent's last call, where it says so
    ticks: list[TickRow] = []
    before: list[int] = []  # the last instants before this one at which something happened, oldest first
    after: list[int] = []  # the next ones
    held: list[HeldRow] = []  # item by item, the needed ones first
    held_total: int = 0  # before the limit
    held_why_not: str = ""  # why items were not compared, or not all of them


class AgentView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="agent"):
    """One agent's trajectory. `usual` compares with `usual_of` earlier invocations, and is empty where they are too few; while
    `usual_of` is -1 they are being read."""

    version: int
    health: Health
    trace: TraceRow
    facts: AgentFacts
    number: int  # its place among the run's lanes, from 1
    total: int
    given: list[DelegationRow] = []  # by which it got its work
    gave: list[DelegationRow] = []  # by which it gave work to others, the first of them
    gave_total: int = 0
    arrived: tuple[int, int] | None = None  # how many of the needed items reached it, of how many
    steps: list[AgentStep] = []
    offset: int = 0  # of the first of them
    rows_total: int = 0  # lines to ask for
    folded: int = 0  # steps that are behind others' lines
    failed: list[tuple[int, str]] = []  # the first failed ones: their places among the lines, and their keys
    messages: list[AgentMessage] = []  # of these steps
    alerts: list[AlertRow] = []  # on it
    usual: list[UsualRow] = []
    usual_of: int = -1
    previous_id: str = ""  # lanes before and after, by their spans
    next_id: str = ""


class SignalsView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="signals"):
    """Series of work in numbers. Windows are `window_ns` long, the first begins at `begin_ns`; older work lies in longer ones."""

    version: int
    health: Health
    begin_ns: int
    window_ns: int
    series: list[SignalSeries] = []
    total: int = 0  # before the limit
    uncounted: int = 0  # traces of which nothing was counted: an earlier release summed them up
    is_loading: bool = False  # what an earlier process counted is being read
    end_ns: int = 0  # of the last window
    bounds_s: list[float] = []  # of the histograms of the series
    marks: list[SignalMark] = []  # findings of the time, in its order
    runs: list[
        TraceRow
    ] = []  # at work in the time asked for, from `runs_at_ns` on, those with most alerts and errors first
    runs_total: int = 0
    runs_at_ns: int = 0
    also: list["SignalsView"] = []
    runs_are_more: bool = False  # there may be more of them


class AlertsView(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="alerts"):
    """Alerts over all runs. `total` and `closed_total` are before the limits; `is_kept`: by a policy, not made for the asking."""

    version: int
    health: Health
    open: list[IncidentRow] = []
    closed: list[IncidentRow] = []
    channels: list[ChannelRow] = []
    total: int = 0
    closed_total: int = 0
    is_kept: bool = True


class Missing(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="missing"):
    """The query names a trace or span that is not there; or its filter does not parse, at `position`."""

    version: int
    health: Health
    reason: str
    position: int = -1


View = RunsView | TraceView | SpanView | DelegationView | InstantView | AgentView | SignalsView | AlertsView | Missing
