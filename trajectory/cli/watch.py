"""`trajectory watch`: the dashboard, on a running collector or on a store file."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, TypedDict, Unpack

from trajectory.cli.places import add_key, default_endpoint, settings_file, state_dir
from trajectory.errors import ConfigError

_IN_BROWSER = "textual.drivers.web_driver:WebDriver"  # what the server of the pages runs us with

if TYPE_CHECKING:
    from trajectory.view.feed import Feed
    from trajectory.view.link import Link

_WHOLE_ID = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    parser.add_argument("--trace", metavar="TRACE", default="", help="open this trace at once")
    add_looks(parser)
    parser.add_argument("--web", action="store_true", help="in a browser on this machine instead; prints the address")
    parser.add_argument("--port", metavar="N", type=_port, default=None, help="for --web (default: a free one)")


def add_source(parser: argparse.ArgumentParser) -> None:
    """What to look at: a collector or a store."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--connect", metavar="ENDPOINT", help=f"a running collector (default: {default_endpoint()})")
    source.add_argument("--store", metavar="PATH", help="a store file, served or not")
    add_key(parser)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port")
    return int(text)


def add_looks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--glyphs", choices=("auto", "unicode", "block", "ascii"), default="auto", help="signs to draw with"
    )
    parser.add_argument(
        "--plain-layout",
        action="store_true",
        help="for screen readers: one pane at a time, no drawings, states in words",
    )
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal, to select text with")
    parser.add_argument(
        "--no-settings", action="store_true", help="neither read nor write settings.toml and what was opened before"
    )
    parser.add_argument(
        "--theme",
        metavar="NAME",
        help="okabe-dark, okabe-light, ansi-dark (the terminal's own colours), ansi-light, or another of Textual's",
    )


def run(args: argparse.Namespace) -> int:
    if args.web:
        return _run_in_browser(args)
    if args.port is not None:
        raise ConfigError("--port goes with --web", "port")
    require_terminal()
    feed = source_of(args)
    try:
        link = _link_to(feed, args.trace.lower()) if args.trace else None
    except BaseException:
        feed.close()
        raise
    show(feed, **looks_of(args), link=link)
    return 0


def _link_to(feed: "Feed", trace: str) -> "Link":
    """A whole id needs no answer: the dashboard waits for a collector that is not there yet."""
    from trajectory.view.link import Link
    from trajectory.view.reaching import whole_trace

    return Link(trace if len(trace) == _WHOLE_ID else whole_trace(feed, trace))


def _run_in_browser(args: argparse.Namespace) -> int:
    from trajectory.cli.web import serve

    source_of(args).close()  # a store that cannot be opened is told here, and not to each page
    words = ["--glyphs", "unicode" if args.glyphs == "auto" else args.glyphs]
    for name in ("connect", "store", "key", "trace", "theme"):
        if value := getattr(args, name):
            words += [f"--{name}", str(value)]
    words += [
        f"--{name}" for name in ("no-settings", "no-mouse", "plain-layout") if getattr(args, name.replace("-", "_"))
    ]
    return serve(words, args.port or 0)


def source_of(args: argparse.Namespace) -> "Feed":
    """The feed that `add_source` was told."""
    if args.store:
        from trajectory.cli.places import is_served, open_store
        from trajectory.collector.store_feed import StoreFeed

        return StoreFeed(open_store(args.store), args.store, is_live=is_served(args.store))
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys

    return RemoteFeed(args.connect or default_endpoint(), keys=client_keys(args.key))


def looks_of(args: argparse.Namespace) -> "Looks":
    """What `add_looks` was told, for `show`."""
    return {
        "glyphs": args.glyphs,
        "theme": args.theme,
        "with_settings": not args.no_settings,
        "with_mouse": not args.no_mouse,
        "is_plain": args.plain_layout,
    }


class Looks(TypedDict, total=False):
    """How `show` opens the dashboard: `glyphs` a level or auto, `theme` a name or None for what is set."""

    glyphs: str
    theme: str | None
    with_settings: bool
    with_mouse: bool
    is_plain: bool
    is_guided: bool


def show(feed: "Feed", *, link: "Link | None" = None, **looks: Unpack[Looks]) -> None:
    """Opens the dashboard on a feed and returns when it is left. A signal that ends the process, or a terminal that
    is closed, leaves it first."""
    from trajectory.cli.leaving import Ending
    from tui.app import TrajectoryApp
    from tui.marks import Marks
    from tui.seen import Seen
    from tui.settings import Settings

    try:
        is_kept = looks.get("with_settings", True)
        settings = Settings(settings_file() if is_kept else None)
        app = TrajectoryApp(
            feed,
            glyphs=chosen_glyphs(looks.get("glyphs", "auto"), settings.text("glyphs")),
            theme=looks.get("theme"),
            open_link=link,
            settings=settings,
            is_plain=looks.get("is_plain", False) or settings.is_on("plain_layout"),
            is_guided=looks.get("is_guided", False),
            seen=Seen(state_dir() / "seen.json" if is_kept else None),
            marks=Marks(state_dir() / "marks.json" if is_kept else None),
        )
    except BaseException:
        feed.close()
        raise
    ending = Ending(app)
    try:
        ending.run(mouse=looks.get("with_mouse", True) and settings.is_on("mouse", True))
    finally:
        app.release(timeout_s=1.0 if ending.number else 3.0)
        feed.close()
        ending.done()
    if ending.number:
        raise SystemExit(128 + ending.number)


def chosen_glyphs(asked: str, kept: str = "") -> str:
    """What was asked for, else what is set; else Unicode where the locale speaks UTF-8, and ASCII where it does not."""
    for chosen in (asked, kept):
        if chosen not in ("auto", ""):
            return chosen
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    return "unicode" if "utf" in locale.lower() else "ascii"


def has_terminal() -> bool:
    if os.environ.get("TEXTUAL_DRIVER") == _IN_BROWSER:
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def require_terminal() -> None:
    """Raises ConfigError where there is no terminal to draw on."""
    if not has_terminal():
        raise ConfigError(
            "the dashboard needs a terminal; `trajectory traces` and `trajectory show TRACE` print", "terminal"
        )
