"""`trajectory search`: where anything was said, in all traces of a store, the newest first."""

import argparse
import time
from contextlib import closing
from typing import TYPE_CHECKING

from trajectory.cli.output import bold, has_colour, has_unicode, json_line, say, width
from trajectory.cli.places import add_json, add_store, natural, open_store
from trajectory.view.text import clean, truncate

if TYPE_CHECKING:
    from trajectory.store.contract import Hit
    from trajectory.store.reader import SqliteReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "text", metavar="TEXT", nargs="+", help="words, found by their beginnings, all in one text; '\"as they stand\"'"
    )
    parser.add_argument("--limit", metavar="N", type=natural, default=50, help="at most so many (default: %(default)s)")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.errors import ConfigError, QueryError

    text = " ".join(args.text)
    with closing(open_store(args.store)) as reader:
        try:
            found = reader.search(text, args.limit)
        except QueryError as fault:
            raise ConfigError(str(fault), "text") from None
        titles = _titles(reader, found.hits)
    for hit in found.hits:
        print(json_line(_as_json(hit, titles)) if args.json else "\n".join(_lines(hit, titles)))
    if not found.hits:
        say(
            f"nothing says {text!r} in {args.store}"
            + ("" if found.is_complete else ", as far as it was looked through")
        )
    elif not found.is_complete:
        say("there may be more: see --limit, or say more words")
    return 0


def _titles(reader: "SqliteReader", hits: "list[Hit]") -> dict[bytes, str]:
    summaries = (reader.summary(trace_id) for trace_id in {hit.trace_id for hit in hits})
    return {summary.trace_id: summary.title for summary in summaries if summary is not None}


def _as_json(hit: "Hit", titles: dict[bytes, str]) -> dict[str, object]:
    return {
        "trace_id": hit.trace_id.hex(),
        "title": titles.get(hit.trace_id, ""),
        "span_id": hit.span_id.hex(),
        "agent": hit.agent,
        "kind": hit.kind,
        "name": hit.name,
        "time_unix_nano": hit.at_ns,
        "text": hit.text,
        "start": hit.start,
        "end": hit.end,
    }


def _lines(hit: "Hit", titles: dict[bytes, str]) -> list[str]:
    """A hit for reading: which trace, who, when; below it what was said."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(hit.at_ns / 1e9)) if hit.at_ns else "·"
    who = "  ".join(clean(part) for part in (hit.agent, hit.name) if part)
    head = f"{hit.trace_id.hex()[:12]}  {when}  {who}  {clean(titles.get(hit.trace_id, ''))}"
    before, found, after = (
        clean(" ".join(part.split()))
        for part in (hit.text[: hit.start], hit.text[hit.start : hit.end], hit.text[hit.end :])
    )
    before += " " if hit.text[: hit.start][-1:].isspace() else ""
    after = (" " if hit.text[hit.end : hit.end + 1].isspace() else "") + after
    opening, closing_mark = ("", "") if has_colour() else ("»", "«") if has_unicode() else (">>", "<<")
    room = max(width() - 4 - len(before) - len(found), 8)
    return [
        truncate(head.rstrip(), width()),
        f"    {before}{opening}{bold(found)}{closing_mark}{truncate(after, room)}",
    ]
