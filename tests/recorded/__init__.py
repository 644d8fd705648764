"""A store that is the same wherever it is made: a real run of the demo as it was recorded, and four small runs that are told.

Invariant: nothing in it depends on when or where it is written: the times are those of the recording, and what is judged is
judged anew from the facts. Used by whatever runs the real program and looks at it: in tmux, in a browser, for pictures.
`python -m tests.recorded` records the demo anew, after a change of its story.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.scenarios import SOURCE, Scenario
from trajectory.collector.importing import Numbering, through_pipeline
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.store_feed import StoreFeed
from trajectory.detection.contract import registered_detectors
from trajectory.dialects.sniff import read_file
from trajectory.model.content import digest
from trajectory.model.fact import Batch, SpanStarted
from trajectory.store.sqlite import open_reader, open_writer

DEMO = Path(__file__).parent / "demo.jsonl.gz"
SECOND_NS = 1_000_000_000


def write_store(path: Path) -> Path:
    """Writes the store, judged, to a path where nothing is yet; returns it."""
    demo = DEMO.read_bytes()
    batches = Numbering(digest("recorded", demo)).number(read_file(demo, str(DEMO), "jsonl").batches)
    begun_ns = min(fact.at_ns for batch in batches for fact in batch.facts if isinstance(fact, SpanStarted))
    told: list[Batch] = []
    for run in _runs(begun_ns):
        told.append(Batch(SOURCE, sum(len(batch.facts) for batch in told), run.facts))
    with closing(open_writer(str(path))) as writer:
        pipeline = Pipeline(writer, registered_detectors(), time.time_ns)
        through_pipeline(pipeline)([*told, *batches])
        pipeline.finish()
    return path


@contextmanager
def recorded_feed(path: Path) -> Iterator[StoreFeed]:
    """A feed from the store, closed at the end."""
    with closing(StoreFeed(open_reader(str(path)), str(path))) as feed:
        yield feed


def _runs(demo_ns: int) -> Iterator[Scenario]:
    """Runs that stand beside the demo's in the list, all begun before it: one good, one failed, one cut off, one with a doubt."""
    run = _run("triage", demo_ns - 900 * SECOND_NS)
    with run.agent("triage", task="Sort the support inbox: 41 messages since Monday."):
        run.tool("list_messages", {"since": "Monday"}, {"count": 41})
        with run.delegate("classifier", "Sort 41 messages by urgency."):
            run.says("3 urgent, 12 for billing, 26 for later.")
        run.says("41 messages sorted: 3 are urgent.")
    yield run
    run = _run("migrate", demo_ns - 600 * SECOND_NS)
    fault = ("OperationalError", "column invoice_id is of type text")
    with run.agent("dba", task="Move the billing schema to version 12.", error=fault):
        run.tool("backup", {"schema": "billing"}, "done")
        first = run.tool("migrate", {"to": 12}, error=fault)
        run.tool("migrate", {"to": 12}, error=fault, retry_of=first)
    yield run
    run = _run("digest", demo_ns - 300 * SECOND_NS)
    with run.agent("editor", task="Write the weekly digest for the team."):
        with run.delegate("reader", "Read the week's notes, at most 200 words."):
            run.tool("read_notes", {"week": 45}, "Error: 503 Service Unavailable from the wiki")
            run.says("The week was quiet.")
        run.says("Digest: the week was quiet.")
    yield run
    run = _run("bump", demo_ns - 120 * SECOND_NS)
    run.opens(
        "agent", "bump", agent="bump", contents={"task": ["Bump the dependencies of the shop and run its tests."]}
    )
    run.opens("tool", "run_tests", under="bump")
    yield run


def _run(name: str, begin_ns: int) -> Scenario:
    run = Scenario(digest("trace", name.encode())[:16])
    run.now_ns = begin_ns
    return run
