"""Places, and the marks that an operator set on them: by run and letter, there again after a restart.

Invariant: of a mark only a link and the name of a pane are kept, nothing that an agent said; at most `MAX_RUNS_COUNT` runs, the
last marked ones, in a file of the user's alone. A file that cannot be read counts as empty. The app sets and goes to them.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trajectory.errors import ConfigError
from trajectory.view.link import Link, parse_link
from trajectory.view.times import offset_text
from tui.settings import replace_file

if TYPE_CHECKING:
    from tui.screens.base import DataScreen

MAX_RUNS_COUNT = 500
_MAX_BYTES = 2_000_000
_Kept = dict[str, dict[str, tuple[str, str]]]  # by run, by letter: link and pane


@dataclass(frozen=True, slots=True)
class Place:
    """A screen, what it is about, and the row under its cursor. `link` leads there again when the screen is gone; `words`
    are for people."""

    screen: "Callable[[], DataScreen | None]"
    subject: str
    link: Link | None
    pane: str
    key: str
    words: str = field(default="", compare=False)


class Marks:
    """The marks of all runs. Without a path, they last as long as the app."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._places: dict[str, dict[str, Place]] = {}
        for trace, kept in (_read(path) if path else {}).items():
            places = {letter: place for letter, each in kept.items() if (place := _place(trace, letter, *each))}
            self._places.update({trace: places} if places else {})

    def of(self, trace: str) -> dict[str, Place]:
        """The marks of a run, by letter."""
        return self._places.get(trace, {})

    def set(self, letter: str, place: Place) -> None:
        """Marks a place that has a link, and writes it, beside what other dashboards wrote in the meantime."""
        if place.link is None:
            return
        trace = place.link.trace
        self._places.setdefault(trace, {})[letter] = place
        if self._path is not None:
            kept = _read(self._path)
            ours = kept.pop(trace, {}) | {letter: (str(place.link), place.pane)}
            newest = dict(list((kept | {trace: ours}).items())[-MAX_RUNS_COUNT:])
            with suppress(OSError):
                replace_file(self._path, msgspec.json.encode(newest))


def _place(trace: str, letter: str, link_text: str, pane: str) -> Place | None:
    """A mark of before; None for what is none."""
    try:
        link = parse_link(link_text)
    except ConfigError:
        return None
    if link.trace != trace or len(letter) != 1 or not letter.isalpha():
        return None
    named = [f"{kind} {own[:8]}" for kind in ("span", "alert", "delegation", "agent") if (own := getattr(link, kind))]
    at = [offset_text(link.at_ns)] if link.at_ns is not None else []
    return Place(lambda: None, "", link, pane, "", "  ".join([link.view or pane, *named, *at]).strip())


def _read(path: Path) -> _Kept:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=_Kept)
    except (OSError, ValueError, msgspec.MsgspecError):
        return {}
