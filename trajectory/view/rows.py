"""What a screen may read: frozen rows, made by the collector (or by a store's reader) and drawn as they are.

Invariant: a row holds finished values (labels, counts, previews), so that a screen decides nothing; `views` says what it asks.
All ids are lower-case hexadecimal text, all times UTC nanoseconds (0: not yet, or unknown), all texts untrusted: a screen must
escape them.
"""

import msgspec


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
    a task, an answer, an error, or in words that no delegation carried; nothing where the agent is the same. Beside
    a path it is `carried` where an agent that is not on the path had the fault in its hands first."""

    span_id: str
    label: str  # lane label
    name: str
    at_ns: int  # when it showed here: an agent that answers, and a failure, at the end; anything else at the beginning
    text: str = ""  # the evidence, else a preview of what came out
    kind: str = ""
    status: str = ""  # as in SpanRow
    way: str = ""  # task, answer, error, words, carried, or nothing
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
