"""What the sums cost: the same stream through a collector's pipeline with them and without, and how long a scrape takes.

Invariant: both sides store, fold and judge the same facts in turn, in this process, and their time is its CPU; what the one takes
more than the other is the share of the sums. A scrape is asked over HTTP, of a copy that nobody has asked for before.
"""

import gc
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

from tests.benchmarks import Row
from tests.benchmarks._rounds import Figures, interleaved, noted, percent, scaled
from tests.benchmarks._team import EMITTER_ID, START_NS, team
from trajectory.collector import pipeline as pipelines
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.garbage import collect_rarely
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.sums import Sums
from trajectory.detection.contract import registered_detectors
from trajectory.model.fact import Batch, Fact, Source
from trajectory.protocol.codec import decode_facts
from trajectory.protocol.frames import pack
from trajectory.receiver.gate import Gate
from trajectory.receiver.scraped import Scraped
from trajectory.signals.book import Book
from trajectory.signals.measures import Measure
from trajectory.signals.published import Publishing
from trajectory.signals.tally import Changes
from trajectory.store.contract import TallyRow
from trajectory.store.sqlite import open_writer

NAME = "signals"
GOAL = "sums take less than 3 % of the collector's time; 10,000 lines are scraped in less than a second"
ROUNDS = 15
LEARNED = (
    "For a while the side without sums had them too, unnoticed, and the difference of two equal things was told as 3.3 %.",
    "What a call is measured as (2.8 µs of some 105 a fact) is shared with what looks for anomalies. The sums' own: the book "
    "1.7 µs, what crossed at delegations 0.8, a trace's tally 0.7, delegations 0.5, the rows saved 0.3.",
    "Putting a trace's groups into the book instead of each measure: 2.1 µs a fact instead of 1.7, since 7,811 measures make "
    "5,936 groups, and to add one takes longer than to put one.",
    "The book without its ageing, its own sums, its points, its windows and its labels, one after the other: 1.3, 0.8, 0.5, 0.4 "
    "and 0.3 µs. No part of it alone is worth what leaving it out would save.",
)
FACTS = 30_000
ROUND_FACTS = 2048
SERIES = 10_000
_LINES_A_CALL = 73  # of a model call's labels: three histograms of 17 lines, tokens twice, and counters
SCRAPES = 5


class _NoSums(Sums):
    """Keeps none."""

    def look(self, folded: FoldedTrace) -> TallyRow | None:
        return None

    def saved(self, folded: FoldedTrace, now_ns: int) -> None:
        return None


def run() -> list[Row]:
    """The share of the sums in a collector's time, and the time of a scrape."""
    facts: list[Fact] = []
    for number in range(1, 10_000):
        facts += decode_facts(pack(team(number)))
        if len(facts) >= scaled(FACTS):
            break
    collect_rarely()  # as the collector's process does
    pipelines._LAST_CROSSING_NS = (
        0  # at its end it may work out what crossed for a moment: that is no part of the stream
    )
    taken = interleaved({"with": _through(facts, Sums), "without": _through(facts, _NoSums)}, ROUNDS)
    kept, none = taken["with"]["cpu_ns"] / len(facts), taken["without"]["cpu_ns"] / len(facts)
    share = (kept - none) / none
    return [
        noted(
            "teams with contents",
            "CPU a fact, with / without",
            f"{kept / 1e3:.1f} / {none / 1e3:.1f} µs, median of {ROUNDS} times {len(facts):,}",
        ),
        Row("teams with contents", "what the sums take", percent(share), "under 3 %", share < 0.03),
        *_scrape(),
    ]


def _through(facts: list[Fact], sums: type[Sums]) -> Callable[[], Figures]:
    """A pipeline takes the facts as the collector's desk gives them to it."""

    def once() -> Figures:
        with (
            tempfile.TemporaryDirectory() as room,
            closing(open_writer(Path(room) / "store.db", is_collector=True)) as writer,
        ):
            now_ns = START_NS
            with mock.patch.object(pipelines, "Sums", sums):  # whoever takes them from the pipeline takes these
                pipeline = Pipeline(writer, registered_detectors(""), lambda: now_ns)
            source = Source(EMITTER_ID, b"benchmark-boot-1", {"service.name": "bench"})
            gc.collect()  # what the side before left
            began_ns = time.process_time_ns()
            for at in range(0, len(facts), ROUND_FACTS):
                batch = Batch(source, at, facts[at : at + ROUND_FACTS])
                now_ns = max((getattr(fact, "at_ns", 0) for fact in batch.facts), default=now_ns)
                pipeline.store([batch])
                pipeline.fold([batch])
                pipeline.tick()
            pipeline.finish()
            return {"cpu_ns": float(time.process_time_ns() - began_ns)}

    return once


def _scrape() -> list[Row]:
    book = Book()
    for number in range(SERIES // _LINES_A_CALL + 1):
        measure = Measure(
            "model", f"model-{number % 20}", f"agent-{number // 20}", "team", "1.2", "openai", START_NS, b"s" * 8, "", False,
            number / 50, 0.1, 1000, 100, 10, 10, 0.01, 100,
        )  # fmt: skip
        book.put(Changes(added=[measure], removed=[]), b"t" * 16, START_NS)
    door = Scraped("127.0.0.1", 0, Gate())
    try:
        took_s, lines = [], 0
        for _ in range(SCRAPES):
            book.touched.update(book.totals)
            door.publish(Publishing(book).copy((), {"version": "0"}))
            with closing(http.client.HTTPConnection(door.place)) as connection:
                began_s = time.perf_counter()
                connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
                lines = connection.getresponse().read().count(b"\n")
                took_s.append(time.perf_counter() - began_s)
    finally:
        door.close()
    median_s = statistics.median(took_s)
    return [Row("a scrape", f"ms, {lines:,} lines", f"{median_s * 1e3:.0f} ms", "under 1,000 ms", median_s < 1)]
