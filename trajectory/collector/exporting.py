"""Exports for a dashboard: a run of a store on this machine, read, folded and written by a process of its own.

Invariant: the dashboard's process neither folds nor writes, so that no key waits for an export; the child says how far it is, and
ends with whoever began it, leaving nothing half written. Called by the feeds, each on a thread that may wait.

As a process: `python -m trajectory.collector.exporting`, its settings as one line of JSON on standard input.
"""

import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import urlsplit

import msgspec

from trajectory.collector import child
from trajectory.errors import StoreError, TrajectoryError
from trajectory.view.feed import Format

if TYPE_CHECKING:
    from trajectory.export.contract import Exporter, Subject
    from trajectory.model.fact import Batch

_LOOK_S = 0.2
_SAY_S = 0.2
_END_S = 2.0
_LINE_BYTES = 65536
_HERE = ("localhost", "127.0.0.1", "::1")


class Settings(msgspec.Struct, frozen=True):
    store: str
    trace_id: str
    of: str
    path: str


class Said(msgspec.Struct, frozen=True):
    """A line of the child's: how far it is; or that it is done; or why there will be no file."""

    progress: str = ""
    is_done: bool = False
    fault: str = ""


class _GivenUp(Exception):
    """Nobody waits for the export any more."""


def formats() -> list[Format]:
    """What a run can be exported as."""
    from trajectory.export.formats import formats as known

    return known()


def store_here(endpoint: str, store: str, trace_id: str, chosen: Format) -> str:
    """The store of the collector at an endpoint, if it is one that is served on this machine. Raises StoreError."""
    from trajectory.store.lock import writer_of

    address = urlsplit(endpoint)
    is_near = address.scheme in ("ipc", "inproc") or (address.hostname or "") in _HERE
    if is_near and Path(store).is_absolute() and writer_of(Path(store)) is not None:
        return store
    verb = "export" if chosen.of == "trace" else f"graph --of {chosen.of}"
    raise StoreError(
        f"the collector's store is on another machine; there: trajectory {verb} {trace_id[:12]} -o FILE{chosen.suffix}"
    )


def export(store: str, trace_id: str, chosen: Format, path: str, told: Callable[[str], bool]) -> None:
    """Has a run written to a file; as `Feed.export`. Raises TrajectoryError."""
    process = child.begin(__name__, Settings(store, trace_id, chosen.of, path), is_heard=True)
    try:
        for said in _heard(process, told):
            if said.fault:
                raise TrajectoryError(said.fault)
            if said.is_done:
                return
        raise TrajectoryError("the export ended before it was done")
    finally:
        child.end(process, _END_S)
        if process.stdout:
            process.stdout.close()


def _heard(process: "subprocess.Popen[bytes]", told: Callable[[str], bool]) -> Iterator[Said]:
    """What the child says, line by line, until it ends or nobody wants to know any more."""
    assert process.stdout is not None
    progress = "beginning"
    while told(progress):
        if not select.select([process.stdout], [], [], _LOOK_S)[0]:
            continue
        line = process.stdout.readline(_LINE_BYTES)
        if not line:
            return
        said = msgspec.json.decode(line, type=Said)
        progress = said.progress or progress
        yield said


class _Progress:
    """Says how far it is, a few times a second, and raises _GivenUp when nobody listens any more."""

    def __init__(self) -> None:
        self._said_s = 0.0

    def __call__(self, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s < _SAY_S:
            return
        self._said_s = now_s
        if child.is_orphan():
            raise _GivenUp
        _say(Said(progress=text))


class _Counted:
    """An exporter whose bytes are counted."""

    def __init__(self, exporter: "Exporter", progress: _Progress) -> None:
        self.suffix, self.of = exporter.suffix, exporter.of
        self._exporter = exporter
        self._progress = progress

    def write(self, subject: "Subject", out: BinaryIO) -> None:
        self._exporter.write(subject, cast(BinaryIO, _CountedOut(out, self._progress)))


class _CountedOut:
    """The file that an exporter writes to: everything but `write` is the file's own."""

    def __init__(self, out: BinaryIO, progress: _Progress) -> None:
        self._out = out
        self._progress = progress
        self._bytes = 0

    def write(self, data: bytes) -> int:
        self._bytes += len(data)
        self._progress(f"{self._bytes / 1e6:.1f} MB written")
        return self._out.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._out, name)


def _write(told: Settings) -> None:
    from trajectory.collector import skew
    from trajectory.collector.at_rest import stored_batches
    from trajectory.collector.folded import FoldedTrace
    from trajectory.collector.payloads import Payloads
    from trajectory.export.contract import Subject, choose, write_file
    from trajectory.store.sqlite import open_reader

    exporter, progress = choose(told.path, told.of), _Progress()
    trace_id = bytes.fromhex(told.trace_id)
    with closing(open_reader(told.store)) as reader:
        folded = FoldedTrace(trace_id, Payloads(reader.payload).get, ())
        facts_count = 0
        for batch in map(skew.corrected, reader.facts(trace_id)):
            for fact in batch.facts:
                folded.apply(fact, batch.source)
            facts_count += len(batch.facts)
            progress(f"{facts_count:,} facts read")
        if not folded.trace.spans:
            raise StoreError(f"{told.store} has no run {told.trace_id[:12]}")

        def batches() -> "Iterator[Batch]":
            return stored_batches(reader, trace_id)

        write_file(told.path, _Counted(exporter, progress), Subject(folded.trace, batches, told.of))


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """The process's body."""
    told = child.told(Settings)
    if told is None:
        return
    try:
        _write(told)
    except _GivenUp:
        return
    except TrajectoryError as fault:
        _say(Said(fault=str(fault)))
    except Exception as fault:  # whatever a stranger's exporter makes of the data
        _say(Said(fault=f"the exporter failed: {type(fault).__name__}"))
    else:
        _say(Said(is_done=True))


if __name__ == "__main__":
    main()
