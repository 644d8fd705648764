"""What a screen may read: frozen rows, made by the collector (or by a store's reader) and drawn as they are.

Invariant: a row holds finished values (labels, counts, previews), so that a screen decides nothing. All ids are lower-case
hexadecimal text, all times UTC nanoseconds (0: not yet, or unknown), all texts untrusted: a screen must escape them.
"""

import msgspec

from trajectory.view.agent_rows import AgentFacts, AgentMessage, AgentStep, UsualRow
from trajectory.view.incident_rows import AlertsQuery, ChannelRow, IncidentRow
from trajectory.view.signal_rows import SignalMark, SignalSeries


class Health(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How good the numbers beside it are. `state`: live, listening (nothing came yet), recorded (a store at rest)."""

    state: str = "listening"
    now_ns: int = 0  # the collector's clock when the snapshot was made
    facts_per_s: float = 0.0
    lag_ns: int = 0  # emit to fold, worst of the last second
    dropped_count: int = 0  # facts known to be missing
    quarantined_count: int = 0  # frames or facts that could not be read
    emitters: int = 0  # heard from in the last 10 s
    store: str = ""
    endpoint: str = ""
    notices: list[str] = []  # one sentence each: what is wrong with the feed and what to do
    lossy: list[str] = []  # whose facts are missing: services, those that lost most first


class LaneBar(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One stretch of an agent's own work: a model call, a tool call, ... `end_ns` is 0 while it runs."""

    span_id: str
    kind: str  # model, tool, retrieval, retry, other
    start_ns: int
    end_ns: int
    status: str  # unset, ok, error
    mark: str = ""  # root (of a cascade), carried, or nothing


class Lane(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One invocation of an agent, in order of its start. `state`: running, waiting, ok, error, cut_off."""

    label: str  # research#2
    agent: str
    service: str
    span_id: str
    state: str
    start_ns: int
    end_ns: int
    bars: list[LaneBar] = []
    mark: str = ""  # root, carried, or nothing
    note: str = ""  # few words: "lost 2 items"
    steps: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class DelegationRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One agent giving work to another. `source` and `target` are lane labels; a target that never started has none of
    its own and is named by its agent. `state`: sent, received, returned, failed, lost."""

    delegation_id: str
    source: str
    target: str
    mode: str
    grade: str
    reason: str
    state: str
    sent_ns: int
    received_ns: int
    returned_ns: int
    span_id: str  # the sender's side
    target_span_id: str = ""
    task: str = ""  # preview
    returned: str = ""  # preview
    on_error_path: bool = False
    lost: list[str] = []  # values of context.lost and context.altered findings on it


class PathStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One hop of a cascade: where the fault was, and as what. `way`: how it came here from another agent's step before, in
    a task, an answer, an error, or in words that no delegation carried; nothing where the agent is the same."""

    span_id: str
    label: str  # lane label
    name: str
    at_ns: int  # when it showed here: an agent that answers, and a failure, at the end; anything else at the beginning
    text: str = ""  # the evidence, else a preview of what came out
    kind: str = ""
    status: str = ""  # as in SpanRow
    way: str = ""  # task, answer, error, words, or nothing
    delegation_id: str = ""  # the delegation that it crossed to come here, where one is known


class EvidenceRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    span_id: str
    text: str


class AlertRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the operator sees of findings that are one. `state`: open, acknowledged, muted, closed. `ending` is where a path
    came to: answer (the final answer holds it), run (the run ended in it), stopped (neither), open (the run goes on); nothing
    where it is not followed."""

    key: str
    alert_id: str  # A1, A2, ... in the order in which they were found in the trace
    trace_id: str
    severity: str
    kind: str
    state: str
    opened_ns: int
    summary: str  # one line for a list
    message: str  # the sentence
    confidence: float
    agent: str
    peer_agent: str
    value: str
    grade: str
    span_id: str
    root_span_id: str
    count: int = 1
    path: list[PathStep] = []
    evidence: list[EvidenceRow] = []
    ending: str = ""
    affected_spans: int = 0  # of the path and beside it
    affected_agents: list[str] = []  # lane labels, in the order in which it came to them
    beside: list[PathStep] = []  # affected, but not on the path: the first of them
    related: list[str] = []  # keys of the other alerts on its way: at a step, an agent or a delegation of the path
    unknown: list[str] = []  # what is not proved, one sentence each
    muted_by: str = ""  # the mark that mutes it, to be reopened: its own key, or one of `view.muting`
    muted_until_ns: int = 0  # 0: until somebody reopens it
    of: str = ""  # of an anomaly: the kind of work that its series is of,
    series: str = ""  # and of which model, tool or agent
    service: str = ""
    incident: str = ""  # how its incident stands, where alerts are told: open, acknowledged, muted, closed


class SuspectRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One candidate for the decisive step, best first. A ranking by signs in what was recorded, not a verdict."""

    rank: int  # from 1
    agent: str
    span_id: str
    step: int  # its place in the run, as blame counts
    score: float  # 0 to 1
    reasons: list[str] = []  # one sentence each, the weightiest first
    label: str = ""  # lane label
    name: str = ""
    kind: str = ""
    at_ns: int = 0


class StepRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the tail: something that an agent did, in the order in which it was folded. `step_id` only grows."""

    step_id: int
    at_ns: int
    label: str
    what: str  # model, tool, retrieval, delegate, receive, return, thought, plan, context, event, error
    status: str  # running, ok, error, or nothing
    text: str
    span_id: str
    duration_ns: int = 0
    tokens: int = 0
    mark: str = ""


class SpanRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the timeline, in depth-first order, siblings by start."""

    span_id: str
    parent_id: str
    depth: int
    kind: str
    name: str
    label: str  # the lane it belongs to
    status: str
    start_ns: int
    end_ns: int
    tokens: int = 0
    children: int = 0
    descendants: int = 0
    mark: str = ""
    text: str = ""  # preview of what came out, or the error
    is_retry: bool = False
    is_placeholder: bool = False  # only its children are known
    is_critical: bool = False  # the end of the run waited for it, where that was asked
    cost_usd: float | None = None  # as it says, where that was asked; an agent's is that of its own work
    model: str = ""  # of a model call


class CriticalRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stretch of time in which the end of the run waited for the agent of a lane; nothing of it for work of no agent."""

    lane_span_id: str
    start_ns: int
    end_ns: int


class Content(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One body under a span. `text` is cut to the query's limit; `size_bytes` is the whole."""

    slot: str
    media_type: str
    digest: str
    text: str
    size_bytes: int
    is_cut: bool = False


class EventRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    at_ns: int
    name: str
    text: str


class LinkRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    kind: str
    trace_id: str
    span_id: str
    text: str


class LaneAt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A lane as it stood at an instant. Its state may also be `ahead`: it had not begun. Of `doing` nothing is left when it
    was over, and while nothing but the agent's own span was open."""

    lane: Lane
    doing: str = ""  # the name of its innermost open span
    doing_kind: str = ""
    doing_span_id: str = ""
    doing_ns: int = 0  # since when
    waits_for: list[str] = []  # lane labels (or agents' names) whose answer it waited for


class KnownRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that an agent had in view at an instant, oldest first. `what`: system, user, assistant, tool, task, context,
    lost (it was not handed over), altered; or another role that a message names."""

    what: str
    text: str  # preview
    at_ns: int  # since when it is known to have had it
    span_id: str


class HeldCell(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How an item stood with an agent at an instant. `state`: held, lost (needed, not handed over), differs (it is `text`)."""

    lane: int  # its place among the lanes
    state: str
    text: str = ""


class HeldRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item against the agents; of those that neither held nor lacked it there is no cell."""

    text: str
    kind: str
    is_needed: bool
    cells: list[HeldCell] = []


class AlertAt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An alert whose subject lies at or before an instant; `known_ns` is when it was found, perhaps only later."""

    key: str
    alert_id: str
    severity: str
    kind: str
    state: str
    summary: str
    agent: str
    span_id: str
    opened_ns: int
    known_ns: int


class TickRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something on the way through a run that one may want to go to. `what`: delegation, return, error, alert."""

    at_ns: int
    what: str
    text: str
    span_id: str
    severity: str = ""


class TraceRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the list of runs. `state`: live, done, failed, cut_off."""

    trace_id: str
    title: str
    state: str
    session_id: str
    service: str
    started_ns: int
    ended_ns: int  # last sign of life
    agents: int = 0
    delegations: int = 0
    steps: int = 0
    errors: int = 0
    critical: int = 0  # open alerts
    warnings: int = 0
    infos: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    activity: list[int] = []  # steps in each of the last 15 windows of 4 s, oldest first
    goal: str = ""  # preview of the root's task or input
    is_partial: bool = False  # facts of it are known to be missing: counts are lower bounds
    agent_names: list[str] = []  # of those that took part, the first 64
    run_id: str = ""  # the first trace of the run that it is a part of, where the run has several
    traces: int = 1  # how many are counted in this row


class UseRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an item occurs. `what`: shown, said, passed on, argument, tool result, came back."""

    span_id: str
    label: str  # lane label
    name: str
    at_ns: int
    what: str


class UsedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value of a span and the later spans that hold it, oldest first: the first of them and the last, of `uses_count`."""

    value: str
    kind: str
    uses: list[UseRow] = []
    uses_count: int = 0


class ItemRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item at a delegation. `change`: same, lost, altered, added, unsent, returned, dropped. `held`, `sent`, `got`, `back`
    are the item as it was written on each side, empty where it was not there. `before` and `uses` are the first and the last of
    its occurrences before it crossed and of its uses after, oldest first; `uses_count` is all of these."""

    key: str
    kind: str  # constraint, or a kind of value
    text: str
    change: str
    held: str = ""
    sent: str = ""
    got: str = ""
    back: str = ""
    needed: str = ""  # why, in one sentence; nothing where it is not, as far as is known
    note: str = ""
    before: list[UseRow] = []
    uses: list[UseRow] = []
    uses_count: int = 0


class FiguresRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How well one or several delegations went, as `detection.effectiveness` counts; None is not known, and never nothing."""

    delegations: int = 1
    needed: int | None = None
    arrived: int | None = None
    lost: int | None = None
    altered: int | None = None
    added: int | None = None
    returned: int | None = None
    used: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    took_ns: int | None = None
    repeats: int = 0
    retries: int = 0
    redos: int = 0
    unseen: int = 0  # delegations whose items cannot be told
    unheard: int = 0  # delegations of whose answer it cannot be told whether it was used


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
    between: FiguresRow | None = None  # all that the one agent gave the other, where that is more than this one
    again: str = ""  # retry, redo or repeat, where it does an earlier one again
    again_id: str = ""
    contents: list[Content] = []  # the task as sent, as received, and what came back
    alerts: list[AlertRow] = []  # on it
    previous_id: str = ""  # delegations before and after, by the time that they were sent
    next_id: str = ""


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
    held_why_not: str = ""  # why items were not compared


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
