"""Makes a damaged store whole again: what reads of it goes through the pipeline into a new one, which takes its place.

Invariant: the damaged file is kept, and the new one is there in one step or not at all. Called by `trajectory doctor --repair`.
"""

import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple

from trajectory.collector.importing import through_pipeline, turns
from trajectory.collector.pipeline import Pipeline
from trajectory.store.location import locate, require_file
from trajectory.store.lock import WriterLock
from trajectory.store.salvage import Salvage, make_place, take_place
from trajectory.store.sqlite import open_salvage, open_writer

_TURN_FACTS = 4096


class Repaired(NamedTuple):
    """What came of it: `damaged` is where the old file is, the counts of what was read and what could not be."""

    damaged: Path
    fact_count: int
    lost_frame_count: int
    lost_payload_count: int


def repair(location: str) -> Repaired:
    """Puts a new store in the place of a damaged one. Raises StoreError where it is in use, or nothing in it can be read."""
    path = locate(location)
    require_file(path)
    lock = WriterLock(path)
    try:
        new = make_place(path)
        with closing(open_salvage(path)) as salvage:
            _fill(new, salvage)
        damaged = next(p for n in count(1) if not (p := path.with_name(f"{path.name}.damaged-{n}")).exists())
        take_place(new, path, damaged)
        return Repaired(damaged, salvage.fact_count, salvage.lost_frame_count, salvage.lost_payload_count)
    finally:
        path.with_name(f"{path.name}.repaired.lock").unlink(missing_ok=True)
        lock.release()


def _fill(new: Path, salvage: Salvage) -> None:
    with closing(open_writer(new)) as writer:
        writer.set_pins(salvage.known_pins(), pinned=True)
        pipeline = Pipeline(writer, (), time.time_ns)  # what was found is among the facts
        deliver = through_pipeline(pipeline)
        for batches in turns(salvage.batches(), _TURN_FACTS):
            deliver(batches)
        writer.append(salvage.positions())
        pipeline.finish()
