"""`trajectory traces`: what is in a store, newest first."""

import argparse
import json
import time
from contextlib import closing

from trajectory.cli.output import count, duration, say, table
from trajectory.cli.places import add_json, add_store, natural, open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--filter", metavar="TEXT", default="", help="e.g. 'state:failed alerts>0 last:1h'")
    parser.add_argument(
        "--limit", metavar="N", type=natural, default=500, help="at most so many (default: %(default)s)"
    )
    parser.add_argument("--ids", action="store_true", help="print ids only, for shell completion")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.collector.pipeline import row_of
    from trajectory.view.query import parse

    keep = parse(args.filter)
    with closing(open_store(args.store)) as reader:
        rows = [row_of(summary) for summary in reader.summaries(limit=args.limit)]
    chosen = [row for row in rows if keep(row, time.time_ns())]
    if args.ids:
        print("\n".join(row.trace_id for row in chosen))
        return 0
    if args.json:
        for row in chosen:
            print(json.dumps({name: getattr(row, name) for name in row.__struct_fields__ if name != "activity"}))
        return 0
    if not chosen:
        say(f"no traces in {args.store}" + (f" match {args.filter!r}" if rows else ""))
        return 0
    headers = ("TRACE", "STATE", "AGENTS", "DELEG", "STEPS", "ERR", "ALERTS", "TOKENS", "ELAPSED", "STARTED", "TITLE")
    lines = [
        (
            row.trace_id[:12], row.state, row.agents, row.delegations, row.steps, row.errors,
            row.critical + row.warnings or "·", count(row.input_tokens + row.output_tokens),
            duration(row.ended_ns - row.started_ns), _when(row.started_ns), row.title,
        )
        for row in chosen
    ]  # fmt: skip
    print("\n".join(table(headers, lines)))
    return 0


def _when(at_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ns / 1e9)) if at_ns else "·"
