"""`trajectory traces`: what is in a store, newest first."""

import argparse
import re
import time
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from trajectory.cli.output import count, duration, json_line, plural, say, table
from trajectory.cli.places import add_json, add_store, data_dir, find_trace, is_served, natural, open_store
from trajectory.view.nearly import meant

if TYPE_CHECKING:
    from trajectory.collector.joined import RowOf
    from trajectory.store.contract import Pin
    from trajectory.store.reader import SqliteReader
    from trajectory.view.rows import TraceRow

_PAGE = 500
_AGENT_TERM = re.compile(r'\bagent[:=](?:"([^"]*)"|([^\s()"]+))', re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--filter", metavar="TEXT", default="", help="e.g. 'state:failed alerts>0 last:1h'")
    parser.add_argument(
        "--limit", metavar="N", type=natural, default=500, help="at most so many (default: %(default)s)"
    )
    parser.add_argument(
        "--delete", metavar="TRACE", nargs="+", default=(), help="remove these for good, with what only they hold"
    )
    parser.add_argument("--ids", action="store_true", help="print ids only, for shell completion")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.view.query import parse

    if args.delete:
        return _delete(args)
    keep = parse(args.filter)
    with closing(open_store(args.store)) as reader:
        pins = _pins(reader)
        each = not keep.is_empty or args.ids or args.json  # a filter looks at traces, and so does a script
        listed = _rows(reader, is_served(args.store), by_run=not each)
        chosen = list(islice((row for row in listed if keep(row, time.time_ns())), args.limit))
        is_empty = not chosen and not reader.summaries(limit=1)
        agents = {} if chosen else _agents(islice(_rows(reader, False, by_run=True), _PAGE))
    if args.ids:
        print("".join(f"{row.trace_id}\n" for row in chosen), end="")
        return 0
    if args.json:
        for row in chosen:
            fields = {name: getattr(row, name) for name in row.__struct_fields__ if name != "activity"}
            print(json_line(fields | {"pinned": _is_pinned(row, pins)}))
        return 0
    if not chosen:
        say(
            f"no traces in {args.store}"
            + (_elsewhere(args.store) if is_empty else f" match {args.filter!r}{_agent_meant(args.filter, agents)}")
        )
        return 0
    headers = ("TRACE", "STATE", "AGENTS", "DELEG", "STEPS", "ERR", "ALERTS", "TOKENS", "ELAPSED", "STARTED", "TITLE")
    lines = [
        (
            row.trace_id[:12], _state(row, pins), row.agents, row.delegations, row.steps, row.errors,
            row.critical + row.warnings or "·", count(row.input_tokens + row.output_tokens),
            duration(row.ended_ns - row.started_ns), _when(row.started_ns), titled(row),
        )
        for row in chosen
    ]  # fmt: skip
    print("\n".join(table(headers, lines)))
    return 0


def _delete(args: argparse.Namespace) -> int:
    """Removes traces from a store that no collector is writing: it would go on showing them, and add to them."""
    from trajectory.errors import ConfigError
    from trajectory.store.sqlite import open_writer

    if not all(args.delete):
        raise ConfigError("name each trace by a unique beginning of its id", "delete")
    with closing(open_store(args.store)) as reader:
        chosen = list(dict.fromkeys(find_trace(reader, prefix) for prefix in args.delete))
    with closing(open_writer(args.store)) as writer:
        writer.delete_trace(*chosen)
    for trace_id in chosen:
        print(json_line({"deleted": trace_id.hex()}) if args.json else trace_id.hex())
    say(f"{plural(len(chosen), 'trace')} removed from {args.store}")
    return 0


def _pins(reader: "SqliteReader") -> "AbstractSet[Pin]":
    """What is pinned; where that is damaged, the list is worth more than its marks."""
    from trajectory.errors import StoreError

    try:
        return frozenset(reader.pins())
    except StoreError as fault:
        say(str(fault))
        return frozenset()


def _is_pinned(row: "TraceRow", pins: "AbstractSet[Pin]") -> bool:
    return not pins.isdisjoint({("trace", row.trace_id), ("session", row.session_id)})


def _state(row: "TraceRow", pins: "AbstractSet[Pin]") -> str:
    return row.state.replace("_", " ") + (", pinned" if _is_pinned(row, pins) else "")


def _rows(reader: "SqliteReader", is_live: bool, *, by_run: bool) -> "Iterator[TraceRow]":
    """The rows of a store, newest first, a page at a time: a filter looks at all of them."""
    from trajectory.collector.at_rest import stored_row
    from trajectory.collector.joined import Runs

    runs = Runs(reader, lambda summary: stored_row(summary, is_live))
    while runs.joined.read_on():
        pass
    yield from runs.whole(_each(reader, runs.row_of), by_run=by_run)


def _each(reader: "SqliteReader", row_of: "RowOf") -> "Iterator[TraceRow]":
    last = None
    while page := reader.summaries(limit=_PAGE, before=last):
        last = page[-1]
        yield from map(row_of, page)


def titled(row: "TraceRow") -> str:
    """The title, and of how many traces the row is where it is of several."""
    return row.title if row.traces == 1 else f"{row.title} ({row.traces} traces)"


def _elsewhere(store: str) -> str:
    """Where to look instead: the demo keeps its runs in a store of its own."""
    demo = data_dir() / "demo.db"
    return f"; the demo's runs are in another store: --store {demo}" if demo.exists() and str(demo) != store else ""


def _agents(rows: "Iterable[TraceRow]") -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row.agent_names)


def _agent_meant(text: str, agents: dict[str, None]) -> str:
    """The agent that a filter may have meant, where it names one that took part in nothing."""
    asked = [bare or quoted for quoted, bare in _AGENT_TERM.findall(text)]
    return next((meant(name, agents) for name in asked if name not in agents), "")


def _when(at_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ns / 1e9)) if at_ns else "·"
