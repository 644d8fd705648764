"""One story as rows, for goldens, screens under test and the picture in the manual.

A planner has seven agents write a memo. `research#2` never gets the fiscal year, falls back to a stale cache when a page
fails, and the wrong figure surfaces 68 s later at the reviewer. `StoryFeed` answers any query from it, filters included.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from trajectory.errors import QueryError
from trajectory.view.feed import FeedBusy, FeedLost, Format, NotAdmitted
from trajectory.view.query import parse
from trajectory.view.rows import (
    AlertRow,
    Content,
    CriticalRow,
    DelegationRow,
    EventRow,
    EvidenceRow,
    FiguresRow,
    Health,
    ItemRow,
    Lane,
    LaneBar,
    LinkRow,
    PathStep,
    SpanRow,
    StepRow,
    SuspectRow,
    TraceRow,
    UsedRow,
    UseRow,
)
from trajectory.view.views import (
    OUTLINE_PARTS,
    AgentQuery,
    DelegationQuery,
    DelegationView,
    InstantQuery,
    InstantView,
    Missing,
    Outline,
    Query,
    RunsQuery,
    RunsView,
    SignalsQuery,
    SpanQuery,
    SpanView,
    TraceQuery,
    TraceView,
    View,
)

S = 1_000_000_000
START_NS = 1_762_178_429 * S  # 2025-11-03 14:00:29 UTC
NOW_NS = START_NS + 102 * S
TRACE_ID = "7f3a" + "0" * 28
GOAL = "write a one-page memo on Q3 revenue by region, EUR, fiscal year FY25"
ACTIVITY = [1, 2, 5, 7, 8, 6, 5, 3, 2, 1, 2, 4, 6, 8, 7]


def at(seconds: float) -> int:
    """An instant of the story; 0 stays unknown."""
    return START_NS + round(seconds * 1000) * 1_000_000 if seconds >= 0 else 0


def health(**changes: object) -> Health:
    """A feed in good health at the end of the story."""
    values: dict[str, object] = {
        "state": "live",
        "now_ns": NOW_NS,
        "facts_per_s": 412.0,
        "lag_ns": 38_000_000,
        "emitters": 7,
        "store": "trajectory.db",
        "endpoint": "tcp://127.0.0.1:5570",
    }
    return Health(**{**values, **changes})  # type: ignore[arg-type]


def run(trace_id: str, title: str, state: str, began_s: float, took_s: float, **counts: object) -> TraceRow:
    """A line of the list of runs that began so many seconds after the story did."""
    return TraceRow(
        trace_id=trace_id + "0" * (32 - len(trace_id)),
        title=title,
        state=state,
        session_id="",
        service="newsroom",
        started_ns=at(0) + round(began_s * S),
        ended_ns=at(0) + round((began_s + took_s) * S),
        **counts,  # type: ignore[arg-type]
    )


RUNS = [
    run(
        "7f3a",
        "Q3 revenue memo",
        "live",
        0,
        102,
        agents=7,
        delegations=9,
        steps=214,
        errors=5,
        critical=2,
        warnings=1,
        input_tokens=150_200,
        output_tokens=34_000,
        activity=ACTIVITY,
        goal=GOAL,
    ),
    run(
        "7f39",
        "triage support inbox",
        "live",
        64,
        38,
        agents=3,
        delegations=2,
        steps=61,
        input_tokens=20_900,
        output_tokens=2_000,
        activity=[1, 1, 2, 3, 3, 2, 3, 4, 3, 2, 2, 2, 3, 2, 2],
    ),
    run(
        "7f31",
        "nightly dependency bump",
        "live",
        -578,
        680,
        agents=4,
        delegations=6,
        steps=402,
        errors=1,
        warnings=1,
        input_tokens=290_000,
        output_tokens=21_000,
        activity=[4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    ),
    run(
        "7f2e",
        "Q3 revenue memo",
        "done",
        -2000,
        185,
        agents=7,
        delegations=8,
        steps=188,
        input_tokens=140_000,
        output_tokens=31_600,
    ),
    run(
        "7f2b",
        "migrate billing schema",
        "failed",
        -3000,
        591,
        agents=5,
        delegations=7,
        steps=267,
        errors=19,
        critical=3,
        warnings=4,
        input_tokens=380_000,
        output_tokens=22_800,
    ),
    run(
        "7f20",
        "weekly digest",
        "done",
        -4000,
        21,
        agents=2,
        delegations=1,
        steps=44,
        input_tokens=8_000,
        output_tokens=1_100,
    ),
    run(
        "7f1d",
        "Q3 revenue memo",
        "cut_off",
        -5000,
        70,
        agents=6,
        delegations=5,
        steps=97,
        errors=2,
        critical=1,
        input_tokens=80_000,
        output_tokens=8_000,
    ),
]


class _Telling:
    """Collects the spans of the story, in order; lanes and tail are made from them."""

    def __init__(self) -> None:
        self.spans: list[SpanRow] = []
        self.lanes: list[Lane] = []

    def agent(
        self, label: str, span_id: str, start: float, end: float, state: str, parent: str, **more: object
    ) -> None:
        depth = 0 if not parent else 1
        self.lanes.append(
            Lane(label, label.split("#")[0], "newsroom", span_id, state, at(start), at(end) if end else 0, **more)
        )  # type: ignore[arg-type]
        status = {"ok": "ok", "error": "error"}.get(state, "unset")
        mark = str(more.get("mark", ""))
        self.spans.append(
            SpanRow(
                span_id,
                parent,
                depth,
                "agent",
                "invoke_agent",
                label,
                status,
                at(start),
                at(end) if end else 0,
                mark=mark,
            )
        )

    def work(
        self, span_id: str, kind: str, name: str, start: float, took: float, tokens: int = 0, **more: object
    ) -> None:
        lane = self.lanes[-1]
        status, mark = str(more.pop("status", "ok")), str(more.get("mark", ""))
        end_ns = at(start + took) if took else 0
        bar_kind = "retry" if more.get("is_retry") else kind
        self.lanes[-1] = _with_bar(lane, LaneBar(span_id, bar_kind, at(start), end_ns, status, mark))
        self.spans.append(
            SpanRow(
                span_id,
                lane.span_id,
                2 if lane.label != "planner#1" else 1,
                kind,
                name,
                lane.label,
                status,
                at(start),
                end_ns,
                tokens,
                model="gpt-4o" if kind == "model" else "",
                **more,
            )
        )  # type: ignore[arg-type]


def _with_bar(lane: Lane, bar: LaneBar) -> Lane:
    fields = {name: getattr(lane, name) for name in lane.__struct_fields__}
    fields["bars"] = [*lane.bars, bar]
    fields["steps"] = lane.steps + 1
    fields["errors"] = lane.errors + (bar.status == "error")
    return Lane(**fields)


def _tell() -> _Telling:
    story = _Telling()
    story.agent("planner#1", "a01f", 0, 0, "running", "")
    story.work("1001", "model", "chat", 0.2, 5.2, 3100, text="plan: research, chart, write, review")
    story.agent("research#1", "a02b", 5.6, 31, "ok", "a01f")
    story.work("2001", "tool", "search_web", 6.0, 4.0, text="5 hits")
    story.work("2002", "model", "chat", 10.2, 11.0, 21_000, text="US 71.2M (S1)")
    story.agent("research#2", "a07e", 11.8, 39.4, "ok", "a01f", mark="root", note="lost 2 items")
    story.work("3001", "model", "chat", 12.0, 1.1, 900, text="choose sources: S1, S3")
    story.work("3002", "tool", "search_web", 13.2, 4.4, text="timeout", status="error")
    story.work("3003", "tool", "search_web", 17.7, 4.5, text="timeout", status="error", is_retry=True)
    story.work("3004", "tool", "search_web", 22.3, 4.5, text="timeout", status="error", is_retry=True)
    story.work("3005", "tool", "search_web", 26.9, 4.3, text="3 hits", is_retry=True)
    story.work("8f02", "tool", "fetch_page S3", 31.3, 2.1, text="HTTP 503", status="error")
    story.work(
        "91c4",
        "tool",
        "read_cache S3",
        33.5,
        0.104,
        4212,
        mark="root",
        text='{"EU": 38.9, "unit": "M", "as_of": "2024-11-02"}',
    )
    story.work("3008", "model", "chat", 33.7, 5.6, 6000, text="EU 38.9M (S3)", mark="carried")
    story.agent("coder#1", "a03c", 48.0, 66, "ok", "a01f")
    story.work("4001", "tool", "read_table", 49, 2, text="14 rows")
    story.work("4002", "model", "chat", 51, 7, 30_000, text="def chart(rows): ...")
    story.work("4003", "tool", "run_python", 58.2, 1.5, 8000, text="chart.png")
    story.agent("tester#1", "a04d", 60, 72, "ok", "a03c")
    story.work("5001", "tool", "pytest", 60.4, 2.5, text="1 failed", status="error")
    story.work("5002", "model", "chat", 63, 4, 9000, text="fix the axis")
    story.work("5003", "tool", "pytest", 67.2, 4.5, text="12 passed")
    story.agent("writer#1", "a05e", 75.4, 97.5, "ok", "a01f", mark="carried")
    story.work("b2cf", "model", "chat", 76, 8, 12_000, text="draft 1", mark="carried")
    story.work("6002", "tool", "word_count", 84.2, 1, text="612 words")
    story.work("6003", "model", "chat", 85.5, 5, 11_500, text="draft 2", mark="carried")
    story.work("b2d0", "model", "chat", 95.4, 4.8, 2600, text="draft 3, 412 words", mark="carried")
    story.agent("reviewer#1", "a06f", 97.2, 0, "running", "a05e", mark="carried")
    story.work("c3f7", "model", "chat", 97.9, 2.9, 0, text="reading draft 3")
    story.work(
        "c3f8", "tool", "check_totals", 101.2, 0.1, text="EU total 41.2M ≠ 38.9M", status="error", mark="carried"
    )
    story.work("c3f1", "model", "chat", 101.35, 0, 1800, text="verdict: reject — figure disagrees with source S3")
    return story


def _counted(spans: list[SpanRow]) -> list[SpanRow]:
    """The spans depth first, with their depths and numbers of children filled in."""
    children: dict[str, list[SpanRow]] = {}
    for span in spans:
        children.setdefault(span.parent_id, []).append(span)
    found: list[SpanRow] = []

    def walk(span: SpanRow, depth: int) -> int:
        place = len(found)
        found.append(span)
        below = sorted(children.get(span.span_id, []), key=lambda each: each.start_ns)
        inside = sum(walk(child, depth + 1) for child in below)
        fields = {name: getattr(span, name) for name in span.__struct_fields__}
        found[place] = SpanRow(**{**fields, "depth": depth, "children": len(below), "descendants": inside})
        return inside + 1

    for root in children.get("", []):
        walk(root, 0)
    return found


_STORY = _tell()
LANES = _STORY.lanes
SPANS = _counted(_STORY.spans)


def _edge(number: int, source: str, target: str, sent: float, back: float, **more: object) -> DelegationRow:
    values: dict[str, object] = {
        "mode": "call",
        "grade": "observed",
        "reason": "the baton travelled with the call",
        "state": "returned" if back > 0 else "received",
        "task": f"work for {target}",
        "span_id": f"de{number:02}",
    }
    return DelegationRow(
        delegation_id=f"d{number}",
        source=source,
        target=target,
        sent_ns=at(sent),
        received_ns=at(sent + 0.04),
        returned_ns=at(back) if back > 0 else 0,
        **{**values, **more},  # type: ignore[arg-type]
    )


DELEGATIONS = [
    _edge(1, "planner#1", "research#1", 5.5, 31),
    _edge(
        2,
        "planner#1",
        "research#2",
        11.8,
        39.4,
        on_error_path=True,
        lost=["fiscal_year", "currency"],
        returned="EU 38.9M (S3)",
        span_id="d4d4",
    ),
    _edge(3, "planner#1", "archivist", 40, -1, state="lost", grade="declared"),
    _edge(4, "planner#1", "coder#1", 47.6, 66),
    _edge(5, "coder#1", "tester#1", 59.8, 72),
    _edge(6, "planner#1", "writer#1", 75.2, 97.5, on_error_path=True),
    _edge(7, "writer#1", "research#1", 80, 82, grade="inferred", reason="the same text was quoted"),
    _edge(8, "writer#1", "reviewer#1", 97.0, -1, on_error_path=True, mode="transfer"),
    _edge(9, "coder#1", "research#1", 52, 53, grade="inferred", reason="the same table was quoted"),
]

_CACHED = (
    '{"source": "S3", "as_of": "2024-11-02T00:00:00Z", "rows": [{"region": "EU", "q3": 38.9, "unit": "M", "ccy": "EUR"}, '
    '{"region": "US", "q3": 70.4, "unit": "M", "ccy": "USD"}], "cached": true, "note": null}'
)

ALERTS = [
    AlertRow(
        key="cascade:91c4",
        alert_id="A1",
        trace_id=TRACE_ID,
        severity="critical",
        kind="cascade",
        state="open",
        opened_ns=at(101.9),
        summary="research#2 ▸ writer#1 ▸ reviewer#1   stale figure, 2 hops",
        message="38.9M from a stale cache in research#2 surfaced at reviewer#1 68 s later.",
        confidence=0.91,
        agent="research#2",
        peer_agent="reviewer#1",
        value="38.9M",
        grade="observed",
        span_id="c3f1",
        root_span_id="91c4",
        path=[
            PathStep("91c4", "research#2", "read_cache S3", at(33.5), _CACHED, "tool", "ok"),
            PathStep("3008", "research#2", "chat", at(33.7), "EU 38.9M (S3)", "model", "ok"),
            PathStep("de06", "planner#1", "writer#1", at(75.2), "EU 38.9M", "delegation", "ok", "answer", "d2"),
            PathStep("b2d0", "writer#1", "chat", at(95.4), "draft 3, 412 words", "model", "ok", "task", "d6"),
            PathStep("c3f8", "reviewer#1", "check_totals", at(101.2), "41.2M ≠ 38.9M", "tool", "error", "task", "d8"),
        ],
        evidence=[
            EvidenceRow("91c4", "as_of is 330 days before the run"),
            EvidenceRow("c3f8", "disproved by check_totals"),
            EvidenceRow("8f02", "fetch_page S3 had failed 2.2 s before"),
        ],
        ending="open",
        affected_spans=8,
        affected_agents=["research#2", "planner#1", "writer#1", "reviewer#1", "coder#1"],
        beside=[
            PathStep("b2cf", "writer#1", "chat", at(76), "draft 1", "model", "ok"),
            PathStep("4002", "coder#1", "chat", at(51), "def chart(rows): ...", "model", "ok"),
        ],
        related=["context:d4", "retries:a07e"],
        unknown=["whether it reaches the answer: the run goes on"],
    ),
    AlertRow(
        "context:d4",
        "A2",
        TRACE_ID,
        "critical",
        "context.lost",
        "open",
        at(12),
        "planner#1 ⇢ research#2   lost fiscal_year, currency",
        "research#2 was not told fiscal_year and currency.",
        0.97,
        "planner#1",
        "research#2",
        "FY25",
        "observed",
        "d4d4",
        "",
    ),
    AlertRow(
        "retries:a07e",
        "A3",
        TRACE_ID,
        "warning",
        "retries",
        "acknowledged",
        at(31),
        "research#2 search_web ×4 in 18 s",
        "research#2 called search_web four times in 18 s.",
        0.80,
        "research#2",
        "",
        "",
        "observed",
        "3002",
        "",
    ),
]


SUSPECTS = [
    SuspectRow(
        1,
        "research",
        "91c4",
        7,
        0.34,
        ["took 38.9M from a cache that is 330 days old", "the figure reaches a check that disproves it"],
        "research#2",
        "read_cache S3",
        "tool",
        at(33.5),
    ),
    SuspectRow(
        2,
        "research",
        "3008",
        8,
        0.21,
        ["states 38.9M without its date, which no other source holds", "the step before said that S3 was down"],
        "research#2",
        "chat",
        "model",
        at(33.7),
    ),
    SuspectRow(3, "planner", "1001", 1, 0.06, ["leaves fiscal_year out"], "planner#1", "chat", "model", at(0.2)),
]


def _steps() -> list[StepRow]:
    """The tail: the spans of the story as they ended, then its last eight steps as they were."""
    ended = sorted(
        (span for span in SPANS if span.kind in ("model", "tool") and 0 < span.end_ns < at(95)),
        key=lambda each: each.end_ns,
    )
    told = [
        (
            span.end_ns,
            span.label,
            span.kind,
            span.status,
            f"{span.name}  {span.text}",
            span.span_id,
            span.end_ns - span.start_ns,
            span.tokens,
            span.mark,
        )
        for span in ended
    ]
    told += [
        (at(100.220), "writer#1", "model", "ok", "draft 3, 412 words", "b2d0", 4_800_000_000, 2600, ""),
        (at(100.231), "writer#1", "delegate", "", "reviewer#1  call · sent 6/6 items", "de08", 0, 1900, ""),
        (at(100.902), "reviewer#1", "model", "running", "reading draft 3", "c3f7", 0, 0, ""),
        (
            at(101.311),
            "reviewer#1",
            "tool",
            "error",
            "check_totals  EU total 41.2M ≠ 38.9M",
            "c3f8",
            100_000_000,
            0,
            "",
        ),
        (at(101.314), "reviewer#1", "event", "", "error.type=assertion  evidence=S3,S7", "c3f8", 0, 0, ""),
        (
            at(101.902),
            "reviewer#1",
            "model",
            "ok",
            "verdict: reject — figure disagrees with source S3",
            "c3f1",
            2_100_000_000,
            1800,
            "",
        ),
        (at(102.120), "planner#1", "return", "", "reviewer#1  “reject: stale EU figure”", "c3f1", 0, 212, ""),
        (
            at(102.133),
            "planner#1",
            "model",
            "running",
            "“I will ask research#2 to re-check S3 with FY25…”",
            "1009",
            400_000_000,
            0,
            "",
        ),
    ]
    return [StepRow(index + 1, *values) for index, values in enumerate(told)]


STEPS = _steps()


def span_view(span_id: str) -> SpanView | None:
    """One span of the story, whole."""
    row = next((span for span in SPANS if span.span_id == span_id), None)
    if row is None:
        edge = next((each for each in DELEGATIONS if each.span_id == span_id), None)
        if edge is None:
            return None
        row = SpanRow(
            edge.span_id,
            "a01f",
            1,
            "delegation",
            f"delegate {edge.target}",
            edge.source,
            "ok",
            edge.sent_ns,
            edge.returned_ns,
        )
    same = [span.span_id for span in SPANS if span.parent_id == row.parent_id]
    here = same.index(span_id) if span_id in same else 0
    contents = [
        Content("arguments", "application/json", "d1", '{"source": "S3", "max_age_s": null}', 35),
        Content("result", "application/json", "d2", _CACHED if span_id == "91c4" else row.text, 1204),
    ]
    return SpanView(
        version=1,
        health=health(),
        row=row,
        agent=row.label,
        service="newsroom",
        message="HTTP 503 Service Unavailable" if row.status == "error" else "",
        attributes=[
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.name", row.name),
            ("cache.age_s", "28512000"),
            ("cache.key", "S3"),
        ],
        resource=[("host.name", "build-7"), ("process.pid", "4242"), ("telemetry.sdk.name", "trajectory")],
        contents=contents if row.kind in ("tool", "model") else [],
        events=[EventRow(row.start_ns, "thought", "S3 is down; the cached copy will do.")] if span_id == "91c4" else [],
        links=[LinkRow("retry_of", TRACE_ID, "8f02", "fetch_page S3")] if span_id == "91c4" else [],
        alerts=[alert for alert in ALERTS if span_id in (alert.span_id, alert.root_span_id)],
        previous_id=same[here - 1] if here > 0 else "",
        next_id=same[here + 1] if here + 1 < len(same) else "",
    )


_SAID = [
    UseRow("a01f", "planner#1", "invoke_agent planner", at(0.4), "shown"),
    UseRow("1001", "planner#1", "plan", at(3.1), "said"),
]
ITEMS = [
    ItemRow(
        "constraint fiscal year FY25", "constraint", "fiscal year FY25", "lost", held="fiscal year FY25",
        needed="planner#1 was told “fiscal year FY25” and research#2 never was, though one of its tools has a parameter for it",
        before=_SAID, uses=[UseRow("c3f8", "reviewer#1", "check_totals", at(101.2), "argument")], uses_count=1,
    ),
    ItemRow(
        "constraint EUR", "constraint", "EUR", "lost", held="EUR", needed="the like task of research#1 had it", before=_SAID,
    ),
    ItemRow(
        "time 17:00", "time", "17:00", "altered", held="17:00", sent="15:00", got="15:00", needed="it was passed on",
    ),
    ItemRow("period q3", "period", "Q3", "same", held="Q3", sent="Q3", got="Q3", back="Q3", needed="it was passed on"),
    ItemRow(
        "date 2024-11-02", "date", "2024-11-02", "dropped", got="2024-11-02",
        note="its answer held it, and what came back does not",
    ),
    ItemRow(
        "money 38.9M", "money", "38.9M EUR", "returned", back="38.9M EUR",
        before=[UseRow("91c4", "research#2", "read_cache", at(33.5), "tool result")],
        uses=[
            UseRow("de06", "planner#1", "delegate writer", at(75.2), "passed on"),
            UseRow("b2d0", "writer#1", "chat", at(95.4), "said"),
            UseRow("c3f8", "reviewer#1", "check_totals", at(101.2), "argument"),
        ], uses_count=3,
    ),
    ItemRow("identifier s3", "identifier", "S3", "returned", back="S3"),
    ItemRow("url press", "url", "https://press.example/P1", "added", got="https://press.example/P1", note="its own"),
    ItemRow("quantity 400 words", "quantity", "400 words", "unsent", held="400 words"),
]  # fmt: skip
_FIGURES = FiguresRow(1, 4, 1, 2, 1, 0, 2, 1, 1900, None, 27_600_000_000, redos=1)


def delegation_view(delegation_id: str, rows: list[DelegationRow], items: list[ItemRow]) -> DelegationView | None:
    """One delegation of the story, item by item; all but the second are as if nothing of them had been captured."""
    at_row = next((n for n, row in enumerate(rows) if row.delegation_id == delegation_id), -1)
    if at_row < 0:
        return None
    is_told = rows[at_row].span_id == "d4d4"
    unseen = [("held", "what the delegator held was not captured"), ("sent", "the task was not captured")]
    unseen += [("got", "what the delegatee saw was not captured"), ("back", "what came back was not captured")]
    return DelegationView(
        version=1,
        health=health(),
        trace=RUNS[0],
        row=rows[at_row],
        number=at_row + 1,
        total=len(rows),
        items=items if is_told else [],
        items_total=len(items) if is_told else 0,
        hidden=[] if is_told else unseen,
        figures=_FIGURES if is_told else FiguresRow(unseen=1, unheard=1),
        between=FiguresRow(2, 11, 8, 2, 1, 0, 5, 4, 4100, None, 53_100_000_000) if is_told else None,
        again="redo" if is_told else "",
        again_id=rows[0].delegation_id if is_told else "",
        contents=[
            Content("sent", "text/plain", "c1", "Find Q3 revenue for EU and US.\nUse the newest sources, by 15:00.", 62),
            Content("received", "text/plain", "c2", "Find Q3 revenue for EU and US.\nUse the newest sources.", 53),
            Content("returned", "text/plain", "c3", "EU 38.9M EUR (S3)", 17),
        ] if is_told else [],
        alerts=[alert for alert in ALERTS if is_told and alert.span_id == "d4d4"],
        previous_id=rows[at_row - 1].delegation_id if at_row else "",
        next_id=rows[at_row + 1].delegation_id if at_row + 1 < len(rows) else "",
    )  # fmt: skip


def used_by(value: str) -> list[UsedRow]:
    """Where the values of a text of the cached page went."""
    if value and "38.9" not in value:
        return []
    uses = [
        UseRow("de06", "planner#1", "delegate writer", at(75.2), "passed on"),
        UseRow("b2d0", "writer#1", "chat", at(95.4), "said"),
        UseRow("c3f8", "reviewer#1", "check_totals", at(101.2), "argument"),
    ]
    return [UsedRow("38.9", "number", uses, 5), UsedRow("2024-11-02", "date")]


def outline_of(rows: list[SpanRow], start_ns: int, end_ns: int) -> Outline:
    """The outline of a run whose spans these are."""

    def part(at_ns: int) -> int:
        return min(max((at_ns - start_ns) * OUTLINE_PARTS // (end_ns - start_ns), 0), OUTLINE_PARTS - 1)

    leaves = [(part(row.start_ns), part(row.end_ns or end_ns)) for row in rows if not row.children and row.start_ns]
    failed = [(at, row) for at, row in enumerate(rows) if row.status == "error"]
    return Outline(
        [sum(first <= at <= last for first, last in leaves) for at in range(OUTLINE_PARTS)],
        sorted({part(row.end_ns or end_ns) for _, row in failed}),
        [(at, row.span_id) for at, row in failed],
    )


_CHAIN = [("planner#1", 0, 11.4), ("research#2", 11.4, 39.1), ("planner#1", 39.1, 75.2), ("writer#1", 75.2, 102)]
_LANE_OF = {lane.label: lane.span_id for lane in LANES}
WAITED = [CriticalRow(_LANE_OF[label], at(start_s), at(end_s)) for label, start_s, end_s in _CHAIN]
CRITICAL = {lane.span_id for lane in LANES if lane.label in {label for label, _, _ in _CHAIN}} | {"91c4"}


class StoryFeed:
    """Answers every query from the story. Change its rows and call `moved()` for a new version; `lost` cuts it off."""

    def __init__(self) -> None:
        self.endpoint = "tcp://127.0.0.1:5570"
        self.version = 1
        self.health = health()
        self.runs = list(RUNS)
        self.lanes = list(LANES)
        self.delegations = list(DELEGATIONS)
        self.alerts = list(ALERTS)
        self.steps = list(STEPS)
        self.spans = list(SPANS)
        self.suspects = list(SUSPECTS)
        self.items = list(ITEMS)
        self.limits = ["The run goes on: what comes may change it."]
        self.lost = self.busy = False
        self.refusal = ""
        self.asked: list[Query] = []
        self.marks: list[tuple[str, str, str, int]] = []

    def moved(self) -> None:
        """Makes whatever was changed visible."""
        self.version += 1

    def pull(self, query: Query, since: int) -> View | None:
        self.asked.append(query)
        if self.lost:
            raise FeedLost("nobody answers")
        if self.busy:
            raise FeedBusy("no answer yet")
        if self.refusal:
            raise NotAdmitted(self.refusal)
        return self._answer(query) if self.version > since else None

    def mark(self, trace_id: str, alert_key: str, action: str, for_s: int = 0) -> None:
        if self.lost:
            raise FeedLost("nobody answers")
        self.marks.append((trace_id, alert_key, action, for_s))

    def formats(self) -> list[Format]:
        graphs = [Format(suffix, of, "a graph") for of in ("delegations", "spans") for suffix in (".mmd", ".svg")]
        return [Format(".jsonl", "trace", "every fact"), Format(".md", "trace", "a report"), *graphs]

    def export(self, trace_id: str, chosen: Format, path: str, told: Callable[[str], bool]) -> None:
        told("half of it")
        if self.lost:
            raise FeedLost("nobody answers")
        Path(path).write_text(f"{trace_id} {chosen.of}", encoding="utf-8")

    def close(self) -> None:
        pass

    def _answer(self, query: Query) -> View:
        try:
            if isinstance(query, SpanQuery):
                view = span_view(query.span_id)
                if view is not None and query.used:
                    view = replace(view, used=used_by(query.value))
                return view or Missing(self.version, self.health, "there is no such span")
            if isinstance(query, TraceQuery):
                return self._trace(query)
            if isinstance(query, DelegationQuery):
                crossed = delegation_view(query.delegation_id, self.delegations, self.items)
                return crossed or Missing(self.version, self.health, "there is no such delegation")
            if isinstance(query, InstantQuery):
                return self._instant(query)
            if isinstance(query, AgentQuery):
                from tests.tui.agents import agent_view

                told = agent_view(self._trace(TraceQuery(query.trace_id, tail=0, spans=1000)), query)
                return told or Missing(self.version, self.health, "there is no such agent")
            if isinstance(query, SignalsQuery):
                from tests.tui.signals import signals_view

                return signals_view(query, self.version)
            return self._runs(query)
        except QueryError as error:
            return Missing(self.version, self.health, str(error), error.position)

    def _runs(self, query: RunsQuery) -> RunsView:
        keep = parse(query.filter, start_ns=START_NS)
        rows = [row for row in self.runs if keep(row, NOW_NS)][: query.limit]
        preview = self._trace(TraceQuery(query.preview, tail=0)) if query.preview == TRACE_ID else None
        return RunsView(self.version, self.health, rows, len(self.runs), preview)

    def _instant(self, query: InstantQuery) -> InstantView:
        from tests.tui.instants import instant_view

        whole = self._trace(TraceQuery(query.trace_id, tail=1000))
        return instant_view(whole, query)

    def _trace(self, query: TraceQuery) -> TraceView:
        keep = parse(query.filter, start_ns=START_NS)
        trace = next(row for row in self.runs if row.trace_id == query.trace_id)
        steps = [row for row in self.steps if keep(row, NOW_NS)]
        spans = [row for row in self.spans if keep(row, NOW_NS)]
        offset, around = query.spans_offset, ""
        if query.around or query.around_ns is not None:
            begun = [row for row in spans if row.start_ns <= trace.started_ns + (query.around_ns or 0)]
            named = [row for row in spans if query.around and row.span_id.startswith(query.around)]
            last = sorted(begun, key=lambda row: row.start_ns)[-1:]
            found = (named or last)[:1] if named or not query.around else []
            around = "".join(row.span_id for row in found)
            offset = max(0, spans.index(found[0]) - query.spans // 2) if found else offset
        shown = spans[offset : offset + query.spans] if query.spans else []
        if query.critical:
            shown = [msgspec.structs.replace(row, is_critical=row.span_id in CRITICAL) for row in shown]
        if query.costs:
            shown = [msgspec.structs.replace(row, cost_usd=row.tokens / 3e5 or None) for row in shown]
        return TraceView(
            self.version,
            self.health,
            trace,
            list(self.lanes),
            list(self.delegations),
            list(self.alerts),
            steps[-query.tail :] if query.tail else [],
            len(self.steps),
            shown,
            214 if len(self.spans) == len(SPANS) else len(self.spans),
            len(spans),
            self.suspects[: query.suspects],
            list(self.limits) if query.suspects else [],
            outline_of(spans, trace.started_ns, NOW_NS) if query.outline else None,
            WAITED if query.critical else [],
            offset,
            around,
        )
