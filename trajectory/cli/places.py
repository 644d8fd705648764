"""Where things are by default, and how a command opens a store. Standard library until a store is opened.

Invariant: nothing is created by asking. `TRAJECTORY_STORE` and `TRAJECTORY_ENDPOINT` stand over the defaults, arguments
over both. Called by every command that reads or writes.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trajectory.protocol.frames import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from trajectory.collector.folded import FoldedTrace
    from trajectory.store.reader import SqliteReader
    from trajectory.store.retention import Bounds


_SHOWN_DIGITS = 12  # of a trace's id, as tables have them
_LOOKED_AT = 500  # of the newest traces, for one that may have been meant
_LONG_BYTES = 8_000_000  # of a journal: to store it takes a second or more


def data_dir() -> Path:
    """`$XDG_DATA_HOME/trajectory`, else `~/.local/share/trajectory`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "trajectory"


def settings_file() -> Path:
    """`$XDG_CONFIG_HOME/trajectory/settings.toml`, else under `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "trajectory" / "settings.toml"


def state_dir() -> Path:
    """`$XDG_STATE_HOME/trajectory`, else `~/.local/state/trajectory`: what may be lost without harm."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "trajectory"


def default_store() -> str:
    """`TRAJECTORY_STORE`, else `trajectory.db` in the data directory."""
    return os.environ.get("TRAJECTORY_STORE") or str(data_dir() / "trajectory.db")


def default_endpoint() -> str:
    """`TRAJECTORY_ENDPOINT`, else loopback."""
    return os.environ.get("TRAJECTORY_ENDPOINT") or DEFAULT_ENDPOINT


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        metavar="PATH",
        help="store: a path or sqlite:/// URL (default: %(default)s)",
        default=default_store(),
    )


def natural(text: str) -> int:
    """A whole number above zero, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a whole number above 0")
    return int(text)


def amount(text: str) -> float:
    """A number above zero, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number above 0")
    return number


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """How much of a store is kept. Everything by default: what is gone is gone, so whoever runs it has to say it."""
    parser.add_argument(
        "--keep-days",
        metavar="N",
        type=amount,
        default=os.environ.get("TRAJECTORY_KEEP_DAYS") or None,
        help="retire finished traces that were heard of last N days ago (default: TRAJECTORY_KEEP_DAYS, else keep all)",
    )
    parser.add_argument(
        "--keep-gb",
        metavar="N",
        type=amount,
        default=os.environ.get("TRAJECTORY_KEEP_GB") or None,
        help="retire the oldest finished traces when the store needs more than N GB (default: TRAJECTORY_KEEP_GB)",
    )


def bounds_of(args: argparse.Namespace) -> "Bounds":
    """What `add_bounds` was told."""
    from trajectory.store.retention import Bounds

    return Bounds(int((args.keep_days or 0) * 24 * 3600 * 1e9), int((args.keep_gb or 0) * 1e9))


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON lines and nothing else")


def keys_dir() -> str:
    """Where the keys of collectors are: `keys` in the data directory."""
    return str(data_dir() / "keys")


def add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key",
        metavar="FILE",
        default="",
        help="key file for a collector that asks for one (default: what TRAJECTORY_KEY_FILE names)",
    )


def add_trace(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "trace", metavar="TRACE", nargs="?" if optional else None, help="a unique beginning of a trace id"
    )


def open_store(path: str) -> "SqliteReader":
    """A reader of the store at `path`. Raises StoreError with what to do."""
    from trajectory.cli.output import say
    from trajectory.store.journal import JournalReader, journal_of
    from trajectory.store.location import locate
    from trajectory.store.sqlite import open_reader

    left_bytes = JournalReader(journal_of(locate(path))).waiting_bytes()
    if left_bytes > _LONG_BYTES and not is_served(path):
        say(f"storing first what a killed collector left: {left_bytes / 1e6:.0f} MB")
    return open_reader(path)


def is_served(path: str) -> bool:
    """Whether a collector is writing the store at `path`, so that what is open there may yet go on."""
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of

    return writer_of(locate(path)) is not None


def open_trace(reader: "SqliteReader", prefix: str) -> "FoldedTrace":
    """The one trace whose id begins with `prefix`, folded. Raises StoreError where none or several do."""
    from trajectory.collector.at_rest import fold_stored

    return fold_stored(reader, find_trace(reader, prefix))


def find_trace(reader: "SqliteReader", prefix: str) -> bytes:
    """The one trace whose id begins with `prefix`. Raises StoreError, with the nearest, where none or several do."""
    from trajectory.errors import StoreError
    from trajectory.view.nearly import meant

    try:
        return reader.find_trace(prefix)
    except StoreError as fault:
        typed = prefix.strip().casefold()
        newest = {row.trace_id.hex(): row.title for row in reader.summaries(limit=_LOOKED_AT)}
        if any(trace_id.startswith(typed) for trace_id in newest):
            raise  # several begin so, and they were named
        titled = [trace_id for trace_id, title in newest.items() if len(typed) > 2 and typed in title.casefold()]
        length = max(len(typed), _SHOWN_DIGITS)
        near = [trace_id[:length] for trace_id in newest if meant(typed, [trace_id[: len(typed)]])]
        raise StoreError(f"{fault}{meant(typed, near) or _named(titled)}") from None


def _named(trace_ids: list[str]) -> str:
    return f"; did you mean {' or '.join(trace_id[:_SHOWN_DIGITS] for trace_id in trace_ids[:3])}?" if trace_ids else ""
