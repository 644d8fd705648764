"""What is said of the keys: in the footer, in the help, and where one does nothing.

Invariant: all of it is made from the table in `keys`, with the operator's own keys in the place of ours. FOOTERS says which keys
come first; what is not in the table is in no footer. Called by the screens.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tui.keys import DATA_SCREENS, GROUPS, KEYS, Key, Moved, key_id, keys_on, moved_row
from tui.signs import Signs

HERE = "This pane"  # in the help, a group of the likeliest keys there
_NOT_OF_A_PANE = ("help", "back", "app.quit")

FOOTER_KEYS_NARROW = 6
FOOTER_KEYS_WIDE = 10

# The likeliest next keys, first ones first: for a screen, and for one of its panes where they differ.
FOOTERS: dict[str, tuple[str, ...]] = {
    "runs": ("open", "filter", "sort", "alerts", "timeline", "help", "follow", "pause", "health", "app.quit"),
    "cockpit": (
        "open",
        "timeline",
        "delegations",
        "alerts",
        "suspects",
        "help",
        "filter",
        "pause",
        "zoom",
        "app.quit",
    ),
    "cockpit.delegations": (
        "open",
        "mode",
        "delegations",
        "timeline",
        "alerts",
        "next_error",
        "help",
        "zoom",
        "back",
        "app.quit",
    ),
    "cockpit.graph": (
        "open",
        "fold",
        "mode",
        "delegations",
        "help",
        "zoom",
        "next_error",
        "timeline",
        "back",
        "app.quit",
    ),
    "cockpit.inspector": ("open", "copy", "zoom", "timeline", "alerts", "help", "pause", "filter", "back", "app.quit"),
    "cockpit.alerts": ("open", "acknowledge", "mute", "suspects", "copy", "help", "pause", "zoom", "back", "app.quit"),
    "cockpit.suspects": ("open", "alerts", "timeline", "copy", "zoom", "help", "pause", "filter", "back", "app.quit"),
    "cockpit.tail": ("open", "follow", "pause", "filter", "next_error", "help", "zoom", "timeline", "back", "app.quit"),
    "timeline": (
        "open",
        "fold",
        "time_zoom",
        "critical",
        "bars",
        "help",
        "filter",
        "next_error",
        "match",
        "back",
    ),
    "span": ("open", "next_pane", "mode", "used", "copy", "help", "sibling", "filter", "wrap", "back"),
    "alert": ("open", "walk", "suspects", "sibling", "acknowledge", "help", "mute", "timeline", "copy", "back"),
    "delegation": ("open", "mode", "used", "sibling", "next_pane", "help", "timeline", "copy", "back", "app.quit"),
    "agent": ("open", "next_pane", "sibling", "delegation", "mode", "help", "timeline", "filter", "alerts", "back"),
    "signals": ("open", "mode", "group", "span_of_time", "at", "help", "spike", "compare", "narrow", "back"),
    "replay": ("play", "step", "stride", "tick", "live", "help", "speed", "next_error", "open", "back"),
    "help": ("run", "find_key", "column", "back", "help", "app.quit"),
    "export": ("choose", "turn", "back", "app.quit"),
    "mute": ("choose", "turn", "back", "app.quit"),
    "marks": ("letter", "back"),
    "prompt": ("submit", "complete", "typed", "back"),
    "health": ("back", "app.quit"),
}
_FOOTER_WORDS = {"cockpit.graph": {"fold": "across"}}  # where a pane means something else by a key
_FOOTER_SIGNS = {
    "fold": "h l",
    "time_zoom": "+ - 0",
    "sibling": "[ ]",
    "walk": "h l",
    "match": "n N",
    "step": "← →",
    "stride": "⇧← ⇧→",
    "speed": "< >",
    "tick": "[ ]",
    "at": "h l",
    "spike": "[ ]",
    "typed": "up",
    "turn": "h l",
}


def elsewhere(pressed: Collection[str], screen: str, signs: Signs, moved: Moved | None = None) -> str:
    """What is said of a key, by its names, that does something on other screens over data but not on this one; else nothing."""
    rows = [row for row in (moved_row(key, moved or {}) for key in KEYS) if set(row.keys) & set(pressed)]
    there = list(dict.fromkeys(name for row in rows for name in row.screens if name in DATA_SCREENS))
    if not there or any(screen in row.screens for row in rows):
        return ""
    meant = {row.does for row in rows if set(row.screens) & set(DATA_SCREENS)}
    does = f" ({meant.pop()})" if len(meant) == 1 else ""
    sign = next((key for key in pressed if len(key) == 1), next(iter(pressed)))
    return spelled(f"{sign}{does} does nothing here; it does on: {', '.join(there)}", signs)


def footer_keys(screen: str, pane: str, signs: Signs, moved: Moved | None = None) -> list[tuple[str, str, str]]:
    """Sign, word and action of the likeliest next keys, for a screen and its focused pane."""
    by_name: dict[str, Key] = {}
    signed = {**_FOOTER_SIGNS}
    for key in keys_on(screen, moved):
        if moved and key_id(key) in moved:
            signed.pop(key.name, None)
        by_name.setdefault(key.name, key)
    names = FOOTERS.get(f"{screen}.{pane}", FOOTERS[screen])
    found = [by_name[name] for name in names if name in by_name]
    words = _FOOTER_WORDS.get(f"{screen}.{pane}", {})
    return [(spelled(signed.get(key.name, key.sign), signs), words.get(key.name, key.word), key.bound) for key in found]


def spelled(sign: str, signs: Signs) -> str:
    """How a key is written at the level of the signs."""
    if signs.level == "unicode":
        return sign
    plain = {
        "← →": "h l",
        "⇧←": "S-left",
        "⇧→": "S-right",
        "⏎": "enter",
        "⇧": "S-",
        "↓": "",
        "↑": "",
        "←": "",
        "→": "",
        "–": "-",
    }
    for sign_at, word in plain.items():
        sign = sign.replace(sign_at, word)
    return sign.strip()


@dataclass(frozen=True, slots=True)
class HelpRow:
    """A line of the help: keys that do one thing, or its two sides, and what that is; `key` is the first of them."""

    sign: str
    does: str
    key: Key

    def says(self, text: str) -> bool:
        """Whether it is called so, or does so."""
        wanted = text.casefold().strip()
        return any(wanted in said.casefold() for said in (self.sign, self.does, self.key.word))


def help_groups(
    screens: Iterable[str], signs: Signs, moved: Moved | None = None, pane: str = ""
) -> dict[str, list[HelpRow]]:
    """For each group, the keys and what they do, on any of the screens; keys that do the two sides of one thing are one row.

    The likeliest keys of a pane of the one screen come first, in a group of their own (HERE).
    """
    wanted = set(screens)
    (only, *_) = wanted
    names = FOOTERS.get(f"{only}.{pane}", FOOTERS.get(only, ())) if pane and len(wanted) == 1 else ()
    places = {name: at for at, name in enumerate(names) if name not in _NOT_OF_A_PANE}
    likeliest = {key.does: places[key.name] for key in KEYS if wanted & set(key.screens) and key.name in places}
    found: dict[str, dict[str, HelpRow]] = {group: {} for group in (HERE, *GROUPS)}
    for key in (moved_row(row, moved or {}) for row in KEYS):
        if wanted & set(key.screens):
            rows = found[HERE if key.does in likeliest else key.group]
            before = rows.get(key.does)
            sign = spelled(key.sign, signs)
            rows[key.does] = HelpRow(
                f"{before.sign} {sign}" if before else sign, key.does, before.key if before else key
            )
    groups = {group: list(rows.values()) for group, rows in found.items() if rows}
    groups.get(HERE, []).sort(key=lambda row: likeliest[row.does])
    return groups
