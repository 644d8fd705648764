"""How fast a store of a million facts answers what an operator asks, and whether storing slows down as it fills.

Invariant: answers are those of the feed that the dashboard reads, checked to be full pages, asked of a store that was closed
and opened again; a trace is asked for once and a list of a feed that was just opened, so no answer is a kept one.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._rounds import Target, milliseconds, noted, scaled, times
from tests.benchmarks._team import AGENTS, EMITTER_ID, Load
from trajectory.collector.at_rest import StoreFeed, stored_batches
from trajectory.collector.pipeline import Pipeline
from trajectory.model.fact import Batch, Source
from trajectory.protocol.codec import FactsFrame, decode_fact, read_frame
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.rows import Query, RunsQuery, RunsView, TraceQuery, TraceView, View

NAME = "queries"
GOAL = "a store of a million facts lists its traces in 1 ms, opens or filters one in 10 ms, finds a text in 5 ms"
PART = 50_000
ASKED = 15
PAGE = 200
SOURCE = Source(EMITTER_ID, b"benchmark-boot-1", {"service.name": "benchmark"})


def run() -> list[Row]:
    """Rows of the questions, then of the cost of storing."""
    with tempfile.TemporaryDirectory() as room:
        store = str(Path(room) / "store.db")
        stored_ns = _filled(store, scaled(1_000_000))
        return [*_questions(store, stored_ns[-1][0] + PART), _growth(stored_ns)]


def _filled(store: str, count: int) -> list[tuple[int, float]]:
    """Stores the facts and their summaries; for each part how many facts were there before, and CPU ns a fact."""
    writer = open_writer(store)
    pipeline = Pipeline(writer, (), time.time_ns)
    taken: list[tuple[int, float]] = []
    load: Load | None = None
    while load is None or load.end_seq < count:
        load = Load(PART, SOURCE.boot_id, after=load)
        batches = list(_batches(load))
        began_ns = time.process_time_ns()
        for start in range(0, len(batches), 8):
            pipeline.store(batches[start : start + 8])
        taken.append((load.first_seq, (time.process_time_ns() - began_ns) / load.fact_count))
        pipeline.fold(batches)
        pipeline.finish()
    writer.close()
    return taken


def _batches(load: Load) -> Iterator[Batch]:
    seq = load.first_seq
    for packed in load.frames:
        frame = read_frame(packed)
        assert isinstance(frame, FactsFrame)
        facts = [decode_fact(raw) for raw in frame.each()]
        yield Batch(SOURCE, seq, facts)
        seq += len(facts)


def _questions(store: str, count: int) -> list[Row]:
    reader = open_reader(store)
    trace_ids = [trace_id.hex() for trace_id in reader.trace_ids()]
    reader.close()
    chosen = trace_ids[:: max(1, len(trace_ids) // ASKED)][:ASKED]
    case = f"{count:,} facts in {len(trace_ids):,} traces"
    rows = [
        Target(20, 1, milliseconds).row(case, "list traces", _listed(store, ""), _LISTED),
        noted(case, "list those whose title or goal has a text", f"{_listed(store, 'text:hotel'):.3g} ms {_LISTED}"),
    ]
    for name, text, target in (
        ("open one: first page", "", Target(50, 10, milliseconds)),
        ("filter one by agent", f"agent:{AGENTS[0]}", Target(50, 10, milliseconds)),
        ("search one for a text", "text:hotel", Target(50, 5, milliseconds)),
    ):
        rows.append(target.row(case, name, _opened(store, chosen, text), _OPENED))
    absent = "not offered: a text is found in the list's titles and goals, or inside one trace"
    return [
        *rows,
        Row(case, "search all traces for a text", absent, "bound 50 ms, goal 5 ms", False),
        _whole(store, chosen),
    ]


_LISTED = f"to open the store and list the first {PAGE}, median of {ASKED}"
_OPENED = f"to fold a trace and show {PAGE} steps and {PAGE} spans, median of {ASKED} traces"


def _listed(store: str, text: str) -> float:
    return median(_timed(store, [RunsQuery(filter=text, limit=PAGE)])[0] for _ in range(ASKED))


def _opened(store: str, trace_ids: list[str], text: str) -> float:
    return median(_timed(store, [TraceQuery(one, filter=text, tail=PAGE, spans=PAGE) for one in trace_ids]))


def _timed(store: str, queries: Sequence[Query]) -> list[float]:
    """The milliseconds of each answer of one feed; the first has the feed's opening in it."""
    began_ns = time.perf_counter_ns()
    feed = StoreFeed(open_reader(store), store)
    took_ms: list[float] = []
    for query in queries:
        view = feed.pull(query, -1)
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        _check(view)
        began_ns = time.perf_counter_ns()
    feed.close()
    return took_ms


def _check(view: View | None) -> None:
    """Raises AbsentError where an answer is empty: speed without an answer is none."""
    if isinstance(view, RunsView) and view.total:
        return
    if isinstance(view, TraceView) and view.spans and view.spans_total:
        return
    raise AbsentError(f"a question was answered with {type(view).__name__} and no rows")


def _whole(store: str, trace_ids: list[str]) -> Row:
    reader = open_reader(store)
    began_ns = time.perf_counter_ns()
    count = sum(len(b.facts) for trace_id in trace_ids for b in stored_batches(reader, bytes.fromhex(trace_id)))
    took_ms = (time.perf_counter_ns() - began_ns) / 1e6 / len(trace_ids)
    reader.close()
    return noted(
        "the same store", "read one whole, with bodies", f"{took_ms:.3g} ms for {count // len(trace_ids)} facts"
    )


def _growth(stored_ns: list[tuple[int, float]]) -> Row:
    """The last parts against those at a hundredth of them, as 10M is to 100k."""
    count = stored_ns[-1][0] + PART
    early = [ns for before, ns in stored_ns if before <= max(count // 100, PART)]
    late = [ns for _, ns in stored_ns[-max(2, len(stored_ns) // 10) :]]
    compared = f"the CPU of a fact among the first: {median(late):,.0f} / {median(early):,.0f} ns"
    case = f"storing at {count:,} facts (10M: TRAJECTORY_BENCH_SCALE=10)"
    return Target(1.5, 1.1, times).row(case, "late / early", median(late) / median(early), compared)
