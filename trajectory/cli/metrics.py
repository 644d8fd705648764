"""`trajectory metrics`: calls, errors, durations, tokens and cost, by agent, model, tool, edge, version or service.

Invariant: what is not known is said to be unknown, and is never a zero; sums are of what is over. From a store all that it has,
also of traces that an earlier release stored; from a running collector the last day, or up to 30 days where they are asked for.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trajectory.cli.output import bold, count, duration, json_line, plural, say, table
from trajectory.cli.places import add_json, add_key, default_store, find_trace, open_store
from trajectory.cli.scraping import add_prices
from trajectory.view.times import offset_ns

if TYPE_CHECKING:
    from trajectory.collector.counting import Point
    from trajectory.store.reader import SqliteReader
    from trajectory.view.signal_rows import SignalSeries
    from trajectory.view.views import SignalsView

BY = ("agent", "model", "tool", "edge", "version", "service", "finding", "error")
_LIMIT = 500
_DAY_MINUTES = 24 * 60
_MINUTE_NS = 60_000_000_000
_OF = {"agent": "runs", "model": "model calls", "tool": "tool calls", "retrieval": "retrievals"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", choices=BY, default="agent", help="what to sum up by (default: %(default)s)")
    parser.add_argument(
        "--since", metavar="TIME", type=_since, help="of the last so much time, e.g. 30m, 1h, 7d (default: all)"
    )
    parser.add_argument("--trace", metavar="TRACE", default="", help="of one run, by a unique beginning of its id")
    parser.add_argument("--agent", metavar="NAME", default="", help="of one agent")
    parser.add_argument("--service", metavar="NAME", default="", help="of one service")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--store", metavar="PATH", help=f"store: a path or sqlite:/// URL (default: {default_store()})")
    source.add_argument(
        "--connect",
        metavar="ENDPOINT",
        help="a running collector instead: what it counted in the last day, or as --since says, up to 30 days",
    )
    add_key(parser)
    add_prices(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    view = _of_collector(args) if args.connect else _of_store(args)
    for series in view.series:
        if args.json:
            print(json_line(_json(args.by, series)))
    if not args.json and view.series:
        headers, rows = _TABLES.get(args.by, _table)(args.by, view.series)
        lines = table(headers, rows)
        print("\n".join([bold(lines[0]), *lines[1:]]))
    if view.total > len(view.series):
        say(f"{view.total - len(view.series)} more are not shown")
    if not view.series:
        say("nothing has been counted" + (" in that time" if args.since else ""))
    if view.uncounted:
        say(f"{plural(view.uncounted, 'trace')} of an earlier release left out: trajectory metrics --store counts them")
    if view.is_loading:
        say("what was counted before the collector began is still being read: ask again in a moment")
    return 0


def _of_collector(args: argparse.Namespace) -> "SignalsView":
    """What a running collector counted lately."""
    from trajectory.collector.remote import RemoteFeed
    from trajectory.errors import ConfigError, TrajectoryError
    from trajectory.protocol.keys import client_keys
    from trajectory.view.reaching import whole_trace
    from trajectory.view.views import Missing, SignalsQuery, SignalsView

    if args.prices:
        raise ConfigError(
            "--prices goes with --store: a collector counts with the prices that it was begun with", "prices"
        )
    minutes = _DAY_MINUTES if args.since is None else -(-args.since // _MINUTE_NS)
    with closing(RemoteFeed(args.connect, keys=client_keys(args.key))) as feed:
        trace_id = whole_trace(feed, args.trace.lower()) if args.trace else ""
        query = SignalsQuery(
            args.by,
            "",
            trace_id,
            args.agent,
            args.service,
            0 if trace_id else min(minutes, 30 * _DAY_MINUTES),
            1,
            _LIMIT,
        )
        view = feed.pull(query, -1)
    if isinstance(view, Missing):
        raise TrajectoryError(view.reason)
    assert isinstance(view, SignalsView)
    return view


def _of_store(args: argparse.Namespace) -> "SignalsView":
    """What the traces of a store did; those that nobody counted are counted now, with other prices all of them."""
    from trajectory.collector.signal_rows import signals_view
    from trajectory.view.rows import Health
    from trajectory.view.views import SignalsQuery

    with closing(open_store(args.store or default_store())) as reader:
        since_ns = 0 if args.since is None else time.time_ns() - args.since
        points = _points(reader, args, since_ns)
        query = SignalsQuery(args.by, "", "", args.agent, args.service, 0, 1, _LIMIT)
        return signals_view(query, points, 0, 0, Health())


def _points(reader: "SqliteReader", args: argparse.Namespace, since_ns: int) -> "Iterator[Point]":
    from trajectory.collector.at_rest import fold_stored
    from trajectory.collector.counting import saved_points
    from trajectory.signals.book import label_groups
    from trajectory.signals.prices import default_prices, load_prices
    from trajectory.signals.tally import TraceTally

    prices = load_prices(Path(args.prices)) if args.prices else default_prices()
    one = [find_trace(reader, args.trace.lower())] if args.trace else []
    folded_now = one or (reader.trace_ids() if args.prices else reader.untallied())
    if not one and not args.prices:
        yield from saved_points(reader, since_ns // _MINUTE_NS)
    if len(folded_now) > 100:
        say(f"counting {plural(len(folded_now), 'trace')}")
    for trace_id in folded_now:
        tally = TraceTally(fold_stored(reader, trace_id).trace, prices)
        tally.look()
        for window, labels, figures in label_groups(tally.tally):
            if window >= since_ns // _MINUTE_NS:
                yield window, labels, figures


def _table(by: str, series: "list[SignalSeries]") -> tuple[list[str], list[list[object]]]:
    headers = [
        by,
        "of",
        "calls",
        "errors",
        "retries",
        "p50",
        "p95",
        "first",
        "in",
        "out",
        "cached",
        "reasoning",
        "cost",
    ]
    rows: list[list[object]] = []
    for each in series:
        total = each.total
        is_model = each.kind == "model"
        tokens = (total.input_tokens, total.output_tokens, total.cached_tokens, total.reasoning_tokens)
        rows.append([
            each.name, _OF.get(each.kind, each.kind), count(total.calls), count(total.errors), count(total.retries),
            *map(_seconds, (total.p50_s, total.p95_s, total.first_s)),
            *(count(number) if total.tokens_known else "·" for number in tokens), _cost(each) if is_model else "·",
        ])  # fmt: skip
    return headers, rows


def _edge_table(by: str, series: "list[SignalSeries]") -> tuple[list[str], list[list[object]]]:
    rows: list[list[object]] = []
    for each in series:
        total = each.total
        arrived = f"{total.arrived} of {total.needed}" if total.needed else "·"
        rows.append(
            [each.name, count(total.calls), count(total.errors), _seconds(total.p50_s), _seconds(total.p95_s), arrived]
        )
    return [by, "calls", "errors", "p50", "p95", "needed items that arrived"], rows


def _finding_table(by: str, series: "list[SignalSeries]") -> tuple[list[str], list[list[object]]]:
    return [by, "count"], [[each.name, count(each.total.calls)] for each in series]


_TABLES = {"edge": _edge_table, "finding": _finding_table}


def _seconds(value: float | None) -> str:
    return "·" if value is None else duration(int(value * 1e9))


def _cost(series: "SignalSeries") -> str:
    total = series.total
    if total.cost_unknown == total.calls:
        return "unknown"
    known = f"${total.cost_usd:,.4f}" if total.cost_usd < 1 else f"${total.cost_usd:,.2f}"
    return f"{known} + {total.cost_unknown} unknown" if total.cost_unknown else known


def _json(by: str, series: "SignalSeries") -> dict[str, Any]:
    total = series.total
    is_model = series.kind == "model"
    said: dict[str, Any] = {
        "by": by, "name": series.name, "kind": series.kind, "calls": total.calls, "errors": total.errors,
        "retries": total.retries, "p50_s": total.p50_s, "p95_s": total.p95_s, "first_s": total.first_s,
    }  # fmt: skip
    if is_model or total.tokens_known:
        names = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
        said |= {name: getattr(total, name) if total.tokens_known else None for name in names}
    if is_model:
        said |= {
            "cost_usd": None if total.cost_unknown == total.calls else total.cost_usd, "cost_unknown": total.cost_unknown,
        }  # fmt: skip
    if series.kind == "delegation":
        said |= {name: getattr(total, name) if total.crossings_known else None for name in ("needed", "arrived")}
    return said


def _since(text: str) -> int:
    ago_ns = offset_ns(text)
    if not ago_ns:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no time: give an amount and its unit, such as 30m, 1h, 7d")
    return ago_ns
