"""`trajectory compact`: a store at rest is brought within bounds, and as small as what it holds."""

import argparse
import time
from contextlib import closing
from pathlib import Path

from trajectory.cli.output import json_line, plural, say
from trajectory.cli.places import add_bounds, add_json, add_store, bounds_of, open_store

_STEP_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bounds(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be retired, and change nothing")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.store.location import locate, require_file

    path = locate(args.store)
    require_file(path)
    before_bytes = _size_bytes(path)
    chosen, trouble = (_planned(args), "") if args.dry_run else _compact(args)
    after_bytes = _size_bytes(path)
    for trace_id in chosen:
        print(json_line({"retired": trace_id.hex(), "dry_run": args.dry_run}) if args.json else trace_id.hex())
    if args.dry_run:
        say(f"{plural(len(chosen), 'trace')} would be retired from {args.store}, which takes {_mega(before_bytes)}")
        return 0
    if args.json:
        print(json_line({"before_bytes": before_bytes, "after_bytes": after_bytes}))
    said = f"{plural(len(chosen), 'trace')} retired from {args.store}"
    say(f"{said}: {_mega(before_bytes)} before, {_mega(after_bytes)} after")
    if trouble:
        say(trouble)
    return 1 if trouble else 0


def _planned(args: argparse.Namespace) -> list[bytes]:
    from trajectory.store.retention import plan

    with closing(open_store(args.store)) as reader:
        return plan(reader, bounds_of(args), time.time_ns())


def _compact(args: argparse.Namespace) -> tuple[list[bytes], str]:
    """Retires what is beyond the bounds, and gives the room back; returns the traces that are gone, and what is in the way."""
    from trajectory.collector.pipeline import Pipeline
    from trajectory.detection.contract import registered_detectors
    from trajectory.store.sqlite import open_writer

    chosen: list[bytes] = []
    with closing(open_writer(args.store)) as writer:
        pipeline = Pipeline(writer, registered_detectors(tell=say), time.time_ns)
        retention = pipeline.keep(bounds_of(args))
        while not retention.is_idle:
            chosen += pipeline.retire(_STEP_S)
            pipeline.make_room()
        writer.compact(say)
    return chosen, retention.trouble


def _size_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists())


def _mega(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
