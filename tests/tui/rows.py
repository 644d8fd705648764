"""Random rows for the drawings: any shape of run, with texts that no polite agent would send."""

from hypothesis import strategies as st

from trajectory.view.rows import (
    AlertRow,
    Content,
    DelegationRow,
    EvidenceRow,
    FiguresRow,
    Health,
    ItemRow,
    Lane,
    LaneBar,
    PathStep,
    SpanRow,
    StepRow,
    SuspectRow,
    TraceRow,
    UseRow,
)
from trajectory.view.views import DelegationView

HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \u202egnp.exe\u200b\r\n\t日本\ud800e\u0301"
texts = st.one_of(
    st.text(max_size=30), st.sampled_from(["research#1", "planner#1", "writer#12", "日本語エージェント", HOSTILE, ""])
)
labels = st.sampled_from(["planner#1", "research#1", "research#2", "日本#1", "x" * 40, "gone"])
times = st.integers(0, 200).map(lambda seconds: seconds * 1_000_000_000)
counts = st.integers(0, 10**9)
states = st.sampled_from(["running", "waiting", "ok", "error", "cut_off", "unheard of"])
marks = st.sampled_from(["", "root", "carried"])
statuses = st.sampled_from(["unset", "ok", "error"])
kinds = st.sampled_from(["model", "tool", "retrieval", "retry", "agent", "delegation", "other", "new kind"])

bars = st.builds(LaneBar, span_id=texts, kind=kinds, start_ns=times, end_ns=times, status=statuses, mark=marks)
lanes = st.builds(
    Lane,
    label=labels,
    agent=texts,
    service=texts,
    span_id=texts,
    state=states,
    start_ns=times,
    end_ns=times,
    bars=st.lists(bars, max_size=6),
    mark=marks,
    note=texts,
)
delegations = st.builds(
    DelegationRow,
    delegation_id=st.integers(0, 10**6).map(str),
    source=labels,
    target=labels,
    mode=st.sampled_from(["call", "transfer"]),
    grade=st.sampled_from(["observed", "declared", "inferred"]),
    reason=texts,
    state=st.sampled_from(["sent", "received", "returned", "failed", "lost"]),
    sent_ns=times,
    received_ns=times,
    returned_ns=times,
    span_id=texts,
    on_error_path=st.booleans(),
    lost=st.lists(texts, max_size=3),
)
_ways = ["", "task", "answer", "error", "words", "new way"]
_labels = ["planner#1", "research#1", "日本#1", "x" * 40, "gone", "", HOSTILE]
_said = ["", "long " * 200, HOSTILE]
path_steps = st.sampled_from(
    [
        PathStep(
            str(n % 9), _labels[n % 7], HOSTILE, n % 11 * 10**10, _said[n % 3], "tool", "ok", _ways[n % 6], str(n % 5)
        )
        for n in range(36)
    ]
)
_evidence = st.sampled_from([EvidenceRow(str(n), HOSTILE * n) for n in range(5)])
alerts = st.builds(
    AlertRow,
    key=texts,
    alert_id=texts,
    trace_id=texts,
    severity=st.sampled_from(["info", "warning", "critical", "new"]),
    kind=texts,
    state=st.sampled_from(["open", "acknowledged", "muted", "closed"]),
    opened_ns=times,
    summary=texts,
    message=texts,
    confidence=st.floats(0, 1),
    agent=texts,
    peer_agent=texts,
    value=texts,
    grade=texts,
    span_id=texts,
    root_span_id=texts,
    count=st.integers(1, 99),
    path=st.lists(path_steps, max_size=6),
    evidence=st.lists(_evidence, max_size=3),
    ending=st.sampled_from(["", "answer", "run", "stopped", "open", "new"]),
    affected_spans=counts,
    affected_agents=st.lists(labels, max_size=3),
    beside=st.lists(path_steps, max_size=3),
    related=st.lists(texts, max_size=3),
    unknown=st.lists(texts, max_size=3),
)
suspects = st.builds(
    SuspectRow,
    rank=st.integers(1, 99),
    agent=texts,
    span_id=st.integers(0, 9).map(str),
    step=counts,
    score=st.floats(),
    reasons=st.lists(texts, max_size=3),
    label=labels,
    name=texts,
    kind=kinds,
    at_ns=times,
)
steps = st.builds(
    StepRow,
    step_id=counts,
    at_ns=times,
    label=labels,
    what=st.sampled_from(["model", "tool", "delegate", "receive", "return", "thought", "event", "error", "new"]),
    status=st.sampled_from(["running", "ok", "error", ""]),
    text=texts,
    span_id=texts,
    duration_ns=times,
    tokens=counts,
    mark=marks,
)
spans = st.builds(
    SpanRow,
    span_id=st.integers(0, 30).map(str),
    parent_id=st.integers(0, 3).map(str),
    depth=st.integers(0, 40),
    kind=kinds,
    name=texts,
    label=labels,
    status=statuses,
    start_ns=times,
    end_ns=times,
    tokens=counts,
    children=st.integers(0, 3),
    descendants=st.integers(0, 99),
    mark=marks,
    text=texts,
    is_retry=st.booleans(),
    is_placeholder=st.booleans(),
)
traces = st.builds(
    TraceRow,
    trace_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    title=texts,
    state=st.sampled_from(["live", "done", "failed", "cut_off"]),
    session_id=texts,
    service=texts,
    started_ns=times,
    ended_ns=times,
    agents=counts,
    delegations=counts,
    steps=counts,
    errors=counts,
    critical=st.integers(0, 99),
    warnings=st.integers(0, 99),
    infos=st.integers(0, 99),
    input_tokens=counts,
    output_tokens=counts,
    activity=st.lists(st.integers(0, 1000), max_size=15),
    goal=texts,
    is_partial=st.booleans(),
)
some = st.one_of(st.none(), counts)
figures = st.builds(
    FiguresRow,
    needed=some,
    arrived=some,
    lost=some,
    altered=some,
    added=some,
    returned=some,
    used=some,
    tokens=some,
    cost_usd=st.one_of(st.none(), st.floats(0, 1e6)),
    took_ns=st.one_of(st.none(), times),
    redos=st.integers(0, 3),
    unseen=st.integers(0, 2),
)
uses = st.builds(
    UseRow, span_id=texts, label=labels, name=texts, at_ns=times, what=st.sampled_from(["said", "new word"])
)
items = st.builds(
    ItemRow,
    key=texts,
    kind=st.sampled_from(["constraint", "money", "new kind"]),
    text=texts,
    change=st.sampled_from(["same", "lost", "altered", "added", "unsent", "returned", "dropped", "new"]),
    held=texts,
    sent=texts,
    got=texts,
    back=texts,
    needed=texts,
    note=texts,
    before=st.lists(uses, max_size=2),
    uses=st.lists(uses, max_size=2),
    uses_count=st.integers(0, 99),
)
crossings = st.builds(
    DelegationView,
    version=st.just(1),
    health=st.just(Health()),
    trace=traces,
    row=delegations,
    number=st.integers(1, 99),
    total=st.integers(1, 99),
    items=st.lists(items, max_size=4),
    items_total=st.integers(0, 9),
    hidden=st.lists(st.tuples(st.sampled_from(["held", "sent", "got", "back", "used"]), texts), max_size=3),
    figures=figures,
    between=st.one_of(st.none(), figures),
    again=st.sampled_from(["", "redo", "new"]),
    again_id=texts,
    contents=st.lists(
        st.builds(Content, st.sampled_from(["sent", "received", "returned"]), texts, texts, texts, counts), max_size=3
    ),
    alerts=st.lists(alerts, max_size=1),
)
