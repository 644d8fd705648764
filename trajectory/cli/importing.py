"""`trajectory import`: other people's spans and chat logs, coding agents' session logs, and our own JSONL, into a store.

Invariant: a bad file costs nothing but itself: it is named with the reason, the others are read, and the exit code is 2.
Where a collector is writing the store, it takes the facts. A session's log brings those of its sub-agents beside it.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trajectory.cli.output import json_line, plural, say
from trajectory.cli.places import add_json, add_key, add_store, default_store
from trajectory.errors import ImportFormatError
from trajectory.model.hashing import blake2b

if TYPE_CHECKING:
    from trajectory.collector.importing import Deliver
    from trajectory.dialects.sniff import FileContents

_FACTS_A_TURN = 4096
MAX_FILE_BYTES = 1 << 30
FORMATS = ("auto", "otlp", "chat", "jsonl", "claude-code", "codex")  # `dialects.sniff` reads them, and is slow to load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="OTLP JSON or protobuf, a chat log, a session log of Claude Code or Codex, or our JSONL; gzip too",
    )
    parser.add_argument("--format", choices=FORMATS, default="auto", help="default: auto")
    add_store(parser)
    add_key(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.dialects.sniff import read_file

    traces: set[bytes] = set()
    fact_count = failed_count = 0
    with _destination(args.store, args.key) as deliver:
        taken: set[Path] = set()
        for number, named in enumerate(args.files, 1):
            _progress(number, len(args.files), named)
            try:
                path, beside = _session(named, taken)
                if path is None:
                    continue
                data = _bytes_of(path)
                contents = read_file(data, path, args.format, beside)
            except ImportFormatError as fault:
                say(f"trajectory import: {fault}")
                failed_count += 1
                continue
            seen, count = _deliver(contents, data, deliver)
            traces |= seen
            fact_count += count
            _tell(args, path, contents, seen, count)
    if fact_count and not args.json:
        where = "" if args.store == default_store() else f" --store {args.store}"
        told = f"{plural(len(traces), 'trace')} with {plural(fact_count, 'fact')} in {args.store}"
        say(f"{told}: trajectory traces{where}")
    return 2 if failed_count else 0


def _session(named: str, taken: set[Path]) -> tuple[str | None, list[tuple[str, bytes]]]:
    """The file to read for the one that was named, and those that belong to it; None where it was read with another.

    The log of a sub-agent says little without the session that it worked in, so that one is read where it stands beside.
    """
    from trajectory.cli.session_logs import about, head_of, session_of, sub_agents_of
    from trajectory.dialects.coding_logs import format_of

    path = Path(named)
    if path.suffix != ".jsonl" or not path.is_file() or not format_of(head_of(path)):
        return named, []
    path = session_of(path)
    if path.resolve() in taken:
        return None, []
    others = sub_agents_of(path)
    taken |= {other.resolve() for other in (path, *others)}
    files = [file for other in others for file in (about(other), other) if file.is_file()]
    return str(path), [(str(file), _bytes_of(str(file))) for file in files]


def _bytes_of(path: str) -> bytes:
    """The file, read once: a pipe gives what it holds only once. Raises ImportFormatError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as fault:
        raise ImportFormatError(f"cannot be read: {fault.strerror}", path) from None
    if len(data) > MAX_FILE_BYTES:
        raise ImportFormatError(f"larger than {MAX_FILE_BYTES >> 20} MiB: split it and import the parts", path)
    return data


def _without_waiting(path: str, flags: int) -> int:
    """A named pipe that nobody writes to opens as an empty file, instead of waiting for good."""
    descriptor = os.open(path, flags | os.O_NONBLOCK if hasattr(os, "O_NONBLOCK") else flags)
    os.set_blocking(descriptor, True)
    return descriptor


def _deliver(contents: "FileContents", data: bytes, deliver: "Deliver") -> tuple[set[bytes], int]:
    """Delivers a file's facts in bounded turns; returns its traces and how many facts there were."""
    from trajectory.collector.importing import Numbering, turns
    from trajectory.model.fact import trace_of

    numbering = Numbering(blake2b(data, digest_size=16).digest())
    traces: set[bytes] = set()
    count = 0
    for batches in turns(numbering.number(contents.batches), _FACTS_A_TURN):
        deliver(batches)
        count += sum(len(batch.facts) for batch in batches)
        traces |= {trace_id for batch in batches for fact in batch.facts if (trace_id := trace_of(fact))}
    return traces, count


@contextmanager
def _destination(store: str, key_file: str) -> "Iterator[Deliver]":
    """How facts get into the store: here, or through the collector that is writing it."""
    from trajectory.collector.importing import WireDelivery, through_pipeline
    from trajectory.collector.pipeline import Pipeline
    from trajectory.detection.contract import registered_detectors
    from trajectory.protocol.keys import client_keys
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of
    from trajectory.store.sqlite import open_writer

    served = writer_of(locate(store))
    if served is not None and served[1]:
        say(f"{store} is being written by process {served[0]}: sending to its collector at {served[1]}")
        with WireDelivery(served[1], client_keys(key_file)) as delivery:
            yield delivery
        return
    with closing(open_writer(store)) as writer:
        pipeline = Pipeline(writer, registered_detectors(tell=say), time.time_ns)
        yield through_pipeline(pipeline)
        pipeline.finish()
        if pipeline.vitals.failing:
            say(pipeline.vitals.failing)


def _tell(args: argparse.Namespace, path: str, contents: "FileContents", traces: set[bytes], count: int) -> None:
    if args.json:
        told = {
            "path": path,
            "format": contents.format,
            "traces": sorted(t.hex() for t in traces),
            "facts": count,
            "notes": contents.notes,
        }
        print(json_line(told))
    for note in contents.notes[:5]:
        say(f"{path}: {note}")
    if len(contents.notes) > 5:
        say(f"{path}: and {len(contents.notes) - 5} more that could not be read")


def _progress(number: int, of: int, path: str) -> None:
    if of > 1 and sys.stderr.isatty():
        name = "".join(c for c in Path(path).name if c.isprintable())[:40]
        print(f"\r\x1b[K{number} of {of}  {name}", end="\r" if number < of else "\r\x1b[K", file=sys.stderr, flush=True)
