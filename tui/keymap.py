"""Other keys than ours: what an operator's table `[keys]` moves, checked against the table of keys.

Invariant: after a move each key still does one thing on a screen, and no row is left without a key; what would break that is
left out and told. Called by the settings; screens, footer and help read what comes of it through `tui.keys`.
"""

from collections.abc import Mapping

from trajectory.view.nearly import meant
from tui.keys import KEYS, SCREENS, Key, Moved, key_id, moved_row

__all__ = ["Moved", "keymap_of", "moved_keys"]

_MOST_KEYS = 4
_RESERVED = {"ctrl+p": "opens the palette", "ctrl+q": "always quits"}
_NAMES = {"del": "delete", "esc": "escape", "pgdn": "pagedown", "pgup": "pageup", "return": "enter"}
_LONG = {
    *("enter", "escape", "space", "tab", "backspace", "delete", "insert", "home", "end", "pageup", "pagedown"),
    *("up", "down", "left", "right", *(f"f{number}" for number in range(1, 21))),
}


def moved_keys(table: Mapping[str, object]) -> tuple[Moved, list[tuple[str, str]]]:
    """What a table of ids and keys moves, and for each entry that is left out its id and why."""
    moved: Moved = {}
    faults: list[tuple[str, str]] = []
    known = {key_id(row): row for row in KEYS}
    for name, value in table.items():
        keys = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
        if name not in known:
            ids = f"; ids are: {', '.join(sorted(known))}"
            faults.append((name, f"there is no key called {name[:40]}{meant(name, known, ids)}"))
        elif "{" in known[name].action:
            faults.append((name, f"{name} is many keys at once and cannot be moved"))
        elif not 0 < len(keys) <= _MOST_KEYS or not all(isinstance(key, str) and _named(key) for key in keys):
            faults.append((name, f'{name} is to be a key like "o", "ctrl+o" or "f5", or a list of up to {_MOST_KEYS}'))
        elif taken := next((key for key in keys if key in _RESERVED), ""):
            faults.append((name, f"{taken} {_RESERVED[taken]}"))
        else:
            moved[name] = tuple(dict.fromkeys(_named(str(key)) for key in keys))
    while clash := _clash(moved):
        name, why = clash
        faults.append((name, why))
        del moved[name]
    return moved, faults


def _named(key: str) -> str:
    """A key's name as the table of keys writes it; empty for what is none."""
    *modifiers, last = key.split("+") if len(key) > 1 and not key.endswith("+") else [key]
    last = _NAMES.get(last.lower(), last)
    if (len(last) > 1 and last.lower() not in _LONG) or not last.isprintable() or last in ("", " ", ","):
        return ""
    if not set(modifiers) <= {"ctrl", "shift", "alt"}:
        return ""
    return "+".join([*modifiers, last.lower() if len(last) > 1 or modifiers else last])


def _clash(moved: Moved) -> tuple[str, str] | None:
    """The first moved row that takes a key which does something else on one of its screens."""
    rows = [(row, moved_row(row, moved)) for row in KEYS]
    for screen in SCREENS:
        taken: dict[str, Key] = {}
        here = [(row, after) for row, after in rows if screen in row.screens]
        for row, after in sorted(here, key=lambda pair: key_id(pair[0]) in moved):
            for key in after.keys:
                other = taken.get(key)
                if other is not None and key_id(other) != key_id(row) and key_id(row) in moved:
                    return key_id(row), f"{key} is {key_id(other)} already ({screen})"
                taken[key] = row
    return None


def keymap_of(moved: Moved) -> dict[str, str]:
    """What is moved as the toolkit takes it."""
    return {name: ",".join(keys) for name, keys in moved.items()}
