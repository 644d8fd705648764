"""How fast a store of a million facts answers what an operator asks, and whether storing slows down as it fills.

Invariant: answers are those of the feed that the dashboard reads, checked to be full pages, asked of a store that was closed
and opened again; a trace is asked for once and a list of a feed that was just opened, so no answer is a kept one.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

import msgspec

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._rounds import Target, milliseconds, noted, scaled, times
from tests.benchmarks._team import AGENTS, EMITTER_ID, Load
from trajectory.collector.at_rest import stored_batches
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.store_feed import StoreFeed
from trajectory.model.content import digest, encode
from trajectory.model.fact import Batch, Fact, Payload, Source, SpanStarted, trace_of
from trajectory.protocol.codec import FactsFrame, decode_fact, read_frame
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.views import Query, RunsQuery, RunsView, TraceQuery, TraceView, View

NAME = "queries"
GOAL = "a store of a million facts lists its traces in 1 ms, opens or filters one in 10 ms, finds a text in 5 ms"
PART = 50_000
FOLDED = 1_000_000
LATE_PARTS = 8
ASKED = 15
PAGE = 200
RARE = "xylophone"
LEARNED = (
    "2 MB of pages in memory instead of 8, for the collector's memory: 1.35x beside other work and 1.56x on a quiet machine, "
    "where it was 1.51x the day before. Not read in turn. Kept.",
    "Late / early is 1.5x or less on some runs and up to 1.7x on others of the same code: what is early takes 2.3 to 4.5 µs a "
    "fact, as the machine is, and what is late 3.8 to 6.8.",
    "A page cache of 64 MB instead of 8: 0.96x. Not taken: the memory of the collector misses its goal, and this is 56 MB more.",
    "The file mapped into memory (256 MB): 1.42x beside 1.18x without, and lists take longer. Not taken.",
)
SOURCE = Source(EMITTER_ID, b"benchmark-boot-1", {"service.name": "benchmark"})


def run() -> list[Row]:
    """Rows of the questions, then of the cost of storing."""
    with tempfile.TemporaryDirectory() as room:
        store = str(Path(room) / "store.db")
        filling = _filled(store, scaled(1_000_000))
        return [*_questions(store, filling.fact_count), *_storing(store, filling)]


@dataclass(slots=True)
class Filling:
    """What each part cost: how many facts were there before, then CPU ns a fact of storing and of indexing."""

    before: list[int] = field(default_factory=list)
    stored_ns: list[float] = field(default_factory=list)
    indexed_ns: list[float] = field(default_factory=list)

    @property
    def fact_count(self) -> int:
        return self.before[-1] + PART


def _filled(store: str, count: int) -> Filling:
    """Stores the facts and indexes them; folds those of the first million and saves their summaries.

    Beyond it the parts are the last one's again under other ids and with other bodies: to make them up costs more than to store.
    """
    writer = open_writer(store)
    pipeline = Pipeline(writer, (), time.time_ns)
    filling = Filling()
    load: Load | None = None
    pipeline.store([_once()])
    made: list[Batch] = []
    end_seq = 0
    while end_seq < count:
        if end_seq < FOLDED:
            load = Load(PART, SOURCE.boot_id, after=load)
            batches = made = list(_batches(load))
        else:
            batches = list(_renumbered(made, end_seq))
        began_ns = time.process_time_ns()
        for start in range(0, len(batches), 8):
            pipeline.store(batches[start : start + 8])
        stored_ns = time.process_time_ns()
        writer.index()
        part_count = sum(len(batch.facts) for batch in batches)
        filling.before.append(end_seq)
        filling.stored_ns.append((stored_ns - began_ns) / part_count)
        filling.indexed_ns.append((time.process_time_ns() - stored_ns) / part_count)
        if end_seq < FOLDED:
            pipeline.fold(batches)
            pipeline.finish()
        end_seq += part_count
    writer.close()
    return filling


def _once() -> Batch:
    """One trace that says the rare word, as another emitter's."""
    body = encode(f"the {RARE} is out of tune")
    said = Payload(digest(*body), *body)
    span = SpanStarted(b"trace-of-the-one", b"the-span", b"", 1, 1, "tool", "tune", contents={"result": [said.digest]})
    return Batch(Source(b"benchmark-other1", SOURCE.boot_id), 0, [said, span])


def _batches(load: Load) -> Iterator[Batch]:
    seq = load.first_seq
    for packed in load.frames:
        frame = read_frame(packed)
        assert isinstance(frame, FactsFrame)
        facts = [decode_fact(raw) for raw in frame.each()]
        yield Batch(SOURCE, seq, facts)
        seq += len(facts)


def _renumbered(batches: Sequence[Batch], first_seq: int) -> Iterator[Batch]:
    """The same facts from a position on, in other traces and with other bodies."""
    mark = str(first_seq).encode()
    traces: dict[bytes, bytes] = {}
    digests: dict[bytes, bytes] = {}

    def renumbered(fact: Fact) -> Fact:
        if isinstance(fact, Payload):
            body = fact.body + b" " + mark if fact.body[:1] != b"{" else b'{"n":' + mark + b"," + fact.body[1:]
            address = digests[fact.digest] = digest(fact.media_type, body)
            return Payload(address, fact.media_type, body)
        trace_id = trace_of(fact)
        other = traces.setdefault(trace_id, (int.from_bytes(trace_id, "big") + (first_seq << 40)).to_bytes(16, "big"))
        contents = {slot: [digests[one] for one in named] for slot, named in getattr(fact, "contents", {}).items()}
        return msgspec.structs.replace(fact, trace_id=other, contents=contents)

    for batch in batches:
        yield Batch(batch.source, first_seq, [renumbered(fact) for fact in batch.facts])
        first_seq += len(batch.facts)


def _questions(store: str, count: int) -> list[Row]:
    reader = open_reader(store)
    trace_ids = [trace_id.hex() for trace_id in reader.trace_ids()][1:]  # without the rare one
    reader.close()
    chosen = trace_ids[:: max(1, len(trace_ids) // ASKED)][:ASKED]
    case = f"{count:,} facts in {len(trace_ids):,} traces"
    rows = [
        Target(20, 1, milliseconds).row(case, "list traces", _listed(store, ""), _LISTED),
        noted(case, "list those in which a text is said", f"{_listed(store, 'text:hotel'):.3g} ms {_LISTED}"),
    ]
    for name, text, target in (
        ("open one: first page", "", Target(50, 10, milliseconds)),
        ("filter one by agent", f"agent:{AGENTS[0]}", Target(50, 10, milliseconds)),
        ("search one for a text", "text:hotel", Target(50, 5, milliseconds)),
    ):
        rows.append(target.row(case, name, _opened(store, chosen, text), _OPENED))
    return [
        *rows,
        Target(50, 5, milliseconds).row(case, "search all traces for a text", _searched(store, "hotel Oslo"), _FOUND),
        noted(
            case,
            "the same for a word that one trace says",
            f"{_searched(store, RARE, 1):.3g} ms {_FOUND}",
        ),
        _whole(store, chosen),
    ]


_LISTED = f"to open the store and list the first {PAGE}, median of {ASKED}"
_FOUND = f"to open the store and find the first {PAGE} with their spans, median of {ASKED}"
_OPENED = f"to fold a trace and show {PAGE} steps and {PAGE} spans, median of {ASKED} traces"


def _listed(store: str, text: str) -> float:
    return median(_timed(store, [RunsQuery(filter=text, limit=PAGE)])[0] for _ in range(ASKED))


def _opened(store: str, trace_ids: list[str], text: str) -> float:
    return median(_timed(store, [TraceQuery(one, filter=text, tail=PAGE, spans=PAGE) for one in trace_ids]))


def _searched(store: str, text: str, count: int = PAGE) -> float:
    """The milliseconds of a search of a store that was just opened. Raises AbsentError where it has not that many hits."""
    took_ms: list[float] = []
    for _ in range(ASKED):
        began_ns = time.perf_counter_ns()
        reader = open_reader(store)
        found = reader.search(text, PAGE)
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
        reader.close()
        if len(found.hits) < count or not all(hit.span_id and hit.text for hit in found.hits):
            raise AbsentError(f"a search for {text} found {len(found.hits)} texts")
    return median(took_ms)


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


def _storing(store: str, filling: Filling) -> list[Row]:
    """What a fact costs: the last parts against those at a hundredth of them, as 10M is to 100k; and the index beside it."""
    count = filling.fact_count
    case = f"storing at {count:,} facts (10M: TRAJECTORY_BENCH_SCALE=10)"
    rows: list[Row] = []
    for name, taken in (("stored", filling.stored_ns), ("indexed", filling.indexed_ns)):
        early = fmean(ns for before, ns in zip(filling.before, taken, strict=True) if before <= max(count // 100, PART))
        late = fmean(taken[-max(LATE_PARTS, len(taken) // 10) :])  # so many that runs of digests are merged among them
        compared = f"the CPU of a fact among the first: {late:,.0f} / {early:,.0f} ns"
        if name == "stored":
            rows.append(Target(1.5, 1.1, times).row(case, "late / early", late / early, compared))
        else:
            rows.append(noted(case, "the same of indexing it", f"{late / early:.2f}x {compared}"))
    size_bytes, index_bytes = Path(store).stat().st_size / count, _index_bytes(store) / count
    return [*rows, noted(case, "on disk", f"{size_bytes:.1f} bytes a fact, {index_bytes:.1f} of them the index")]


def _index_bytes(store: str) -> int:
    """What the words and the names take. Raises AbsentError where this SQLite cannot say."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        query = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'words%' OR name IN ('names', 'stretches')"
        (size_bytes,) = connection.execute(query).fetchone()
    except sqlite3.Error as fault:
        raise AbsentError(f"the size of the index cannot be told ({fault})") from None
    finally:
        connection.close()
    return int(size_bytes)
