"""`trajectory pin`: traces and sessions that are kept for good. Also while a collector writes the store."""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from trajectory.cli.output import json_line, plural, say, table
from trajectory.cli.places import add_json, add_store, find_trace, open_store

if TYPE_CHECKING:
    from trajectory.store.contract import Pin
    from trajectory.store.reader import SqliteReader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="a session, or a unique beginning of a trace id (default: list what is pinned)",
    )
    add_session(parser)
    add_store(parser)
    add_json(parser)


def add_session(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", action="store_true", help="the names are sessions, perhaps of traces to come")


def run(args: argparse.Namespace) -> int:
    if args.names:
        return change(args, pinned=True)
    with closing(open_store(args.store)) as reader:
        pins = reader.pins()
    if args.json:
        for pin in pins:
            print(json_line(pin._asdict()))
    elif pins:
        print("\n".join(table(("WHAT", "NAME"), pins)))
    else:
        say(f"nothing is pinned in {args.store}")
    return 0


def change(args: argparse.Namespace, *, pinned: bool) -> int:
    """Pins, or unpins, what the arguments name; prints what was changed."""
    from trajectory.store.sqlite import change_pins

    with closing(open_store(args.store)) as reader:
        pins = list(dict.fromkeys(_meant(reader, name, is_session=args.session, pinned=pinned) for name in args.names))
    changed = change_pins(args.store, pins, pinned=pinned)
    verb = "pinned" if pinned else "unpinned"
    for pin in changed:
        print(json_line({verb: pin.kind, "name": pin.name}) if args.json else f"{verb} {pin.kind} {pin.name}")
    if len(changed) < len(pins):
        say(f"{plural(len(pins) - len(changed), 'name')} {'was' if pinned else 'was not'} pinned before")
    return 0


def _meant(reader: "SqliteReader", name: str, *, is_session: bool, pinned: bool) -> "Pin":
    """The pin that a name means: a session that is known, else a trace. Raises ConfigError where it could be either."""
    from trajectory.errors import ConfigError, StoreError
    from trajectory.store.contract import Pin

    if not name:
        raise ConfigError("an empty name names nothing: give a session or a trace", "pin")
    session = Pin("session", name)
    if is_session or (not pinned and session in reader.pins()):
        return session
    is_known = _has_session(reader, name)
    try:
        trace = Pin("trace", find_trace(reader, name).hex())
    except StoreError as fault:
        if is_known:
            return session
        raise StoreError(
            f"no session is called {name[:80]!r}, and {fault}; a session to come needs --session"
        ) from None
    if is_known:
        raise ConfigError(
            f"{name[:80]!r} is a session and begins trace {trace.name}: add --session, or give more digits", "pin"
        )
    return trace


def _has_session(reader: "SqliteReader", name: str) -> bool:
    after = 0
    while page := reader.activities(after, 500):
        if any(activity.summary is not None and activity.summary.session_id == name for activity in page):
            return True
        after = page[-1].number
    return False
