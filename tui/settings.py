"""What the operator likes, kept in one file of theirs: looks, order, saved filters, other keys, panels.

Invariant: a setting that makes no sense is left out and told with its line, and never keeps the dashboard from opening; what
the operator wrote by hand, comments too, stays where it is. The file is theirs alone (0600) and replaced in one step. Read
once, by the command line; written by the app when something is changed on the screen.
"""

import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trajectory.errors import QueryError
from trajectory.view.nearly import meant
from trajectory.view.query import parse
from tui.keymap import Moved, moved_keys
from tui.signs import LEVELS

if TYPE_CHECKING:
    from tui.panels import Panel

MAX_BYTES = 256_000
MAX_FILTERS_COUNT = 200
SORTS = ("newest", "alerts", "errors", "tokens", "elapsed")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,39}")
_SAVES = re.compile(rf"(.*\S)\s+@({_NAME.pattern})\s*", re.DOTALL)
_ASKS = re.compile(rf"\s*@({_NAME.pattern})\s*")

_KNOWN: dict[str, Callable[[Any], bool]] = {
    "theme": lambda value: isinstance(value, str) and 0 < len(value) <= 80,
    "glyphs": lambda value: value in ("auto", *LEVELS),
    "sort": lambda value: value in SORTS,
    "wall_times": lambda value: isinstance(value, bool),
    "plain_layout": lambda value: isinstance(value, bool),
    "mouse": lambda value: isinstance(value, bool),
    "export": lambda value: isinstance(value, str) and 0 < len(value) <= 40,
}
_MEANT = {
    "theme": "the name of a theme",
    "glyphs": f"one of auto, {', '.join(LEVELS)}",
    "sort": f"one of {', '.join(SORTS)}",
    "wall_times": "true or false",
    "plain_layout": "true or false",
    "mouse": "true or false",
    "export": "the name of a format",
}
_NAMES = (*_KNOWN, "filters", "keys", "panels")
_THERE_ARE = f"; there are {', '.join(_NAMES)}"


class Settings:
    """The settings of one operator. Without a path, nothing is read or written: what is changed lasts as long as the app."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        self.filters: dict[str, str] = {}
        self.moved: Moved = {}
        self.panels: list[Panel] = []
        self.faults: list[str] = []
        self._is_readable = True
        if path is not None:
            self._read(path)

    def text(self, name: str) -> str:
        """A setting that is a text; empty where it is not set."""
        return str(self.values.get(name, ""))

    def is_on(self, name: str, default: bool = False) -> bool:
        """A setting that is true or false."""
        return bool(self.values.get(name, default))

    @property
    def told(self) -> str:
        """What was wrong with the file, in one sentence; empty for nothing."""
        more = len(self.faults) - 1
        return f"{self.faults[0]}{f' (and {more} more)' if more > 0 else ''}" if self.faults else ""

    # Saved filters

    def meant(self, text: str) -> str:
        """The filter that a text stands for: `@name` for a saved one, else the text without the name to save it by.

        Raises QueryError for a name under which nothing is saved."""
        if asked := _ASKS.fullmatch(text):
            if asked[1] not in self.filters:
                known = [f"@{name}" for name in self.filters]
                there = f"; there are {', '.join(known[:8])}" if known else ""
                raise QueryError(f"no filter is saved as @{asked[1]}{meant('@' + asked[1], known, there)}", 0)
            return self.filters[asked[1]]
        saved = _SAVES.fullmatch(text)
        return saved[1] if saved else text

    def keep_filter(self, text: str) -> str:
        """Saves the filter of `QUERY @name`; returns what to tell, or nothing for a text that saves none."""
        saved = _SAVES.fullmatch(text)
        if not saved:
            return ""
        if len(self.filters) >= MAX_FILTERS_COUNT and saved[2] not in self.filters:
            return f"not saved: there are {MAX_FILTERS_COUNT} filters already"
        self.filters[saved[2]] = saved[1].strip()
        fault = self._write("filters", saved[2], saved[1].strip())
        return fault or f"saved as @{saved[2]}"

    # Reading

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
            if len(body) > MAX_BYTES:
                raise ValueError(f"longer than {MAX_BYTES} bytes")
            text = body.decode("utf-8")
            found = tomllib.loads(text)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
            self._is_readable = False
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.faults.append(f"{path.name} is not read: {reason}")
            return
        self._take(found, text)

    def _take(self, found: dict[str, Any], text: str) -> None:
        def fault(table: str, name: str, why: str) -> None:
            self.faults.append(f"{self._place(text, table, name)}: {why}")

        for name, value in found.items():
            if name == "panels" or (name in ("keys", "filters") and isinstance(value, dict)):
                continue
            if name in ("keys", "filters"):
                fault("", name, f"{name} is to be a table: [{name}]")
            elif name not in _KNOWN:
                fault("", name, f"there is no setting {name[:40]}{meant(name, _NAMES, _THERE_ARE)}")
            elif not _KNOWN[name](value):
                fault("", name, f"{name} is to be {_MEANT[name]}")
            else:
                self.values[name] = value
        for name, value in _table(found, "filters").items():
            if why := _filter_fault(name, value):
                fault("filters", name, why)
            elif len(self.filters) < MAX_FILTERS_COUNT:
                self.filters[name] = value
        self.moved, faults = moved_keys(_table(found, "keys"))
        for name, why in faults:
            fault("keys", name, why)
        if "panels" in found:
            from tui.panels import read_panels  # loads what panels can show: for who has some

            self.panels, wrong = read_panels(found["panels"], text)
            here = self.path.name if self.path else ""
            self.faults += [f"{here}:{line}: {why}" if line else f"{here}: {why}" for line, why in wrong]

    def _place(self, text: str, table: str, name: str) -> str:
        """Where a name is set: `settings.toml:7`."""
        inside = ""
        for number, line in enumerate(text.splitlines(), 1):
            if header := re.match(r"\s*\[([^\[\]]+)\]", line):
                inside = header[1].strip()
            at = re.match(r"""\s*["']?([^"'=]+?)["']?\s*=""", line)
            if at and at[1] == name and inside == table:
                return f"{self.path.name if self.path else ''}:{number}"
        return self.path.name if self.path else ""

    # Writing

    def set(self, name: str, value: str | bool) -> str:
        """Sets a setting and writes it; returns what went wrong, or nothing."""
        if self.values.get(name) == value:
            return ""
        self.values[name] = value
        return self._write("", name, value)

    def _write(self, table: str, name: str, value: str | bool) -> str:
        if self.path is None:
            return ""
        if not self._is_readable:
            return f"not saved: {self.path.name} has a fault"
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
            document = tomlkit.parse(text)
            if table:
                document.setdefault(table, tomlkit.table())[name] = value
            else:
                document[name] = value
            replace_file(self.path, tomlkit.dumps(document).encode())
        except (OSError, ValueError, TypeError, TOMLKitError) as error:
            return f"not saved: {error.strerror if isinstance(error, OSError) else error}"
        return ""


def _table(found: dict[str, Any], name: str) -> dict[str, Any]:
    table = found.get(name)
    return table if isinstance(table, dict) else {}


def _filter_fault(name: str, value: object) -> str:
    if not _NAME.fullmatch(name):
        return "a filter's name has letters, digits, - and _, 40 at most"
    if not isinstance(value, str):
        return f"@{name} is to be a filter in quotes"
    try:
        parse(value)
    except QueryError as error:
        return f"@{name}: {error}"
    return ""


def replace_file(path: Path, body: bytes) -> None:
    """Puts a file of the user's alone in the place of another in one step; makes its directory. A link stays one.

    Raises OSError."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made 0600
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        Path(fresh).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(fresh).unlink()
        raise
