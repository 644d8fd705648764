"""Every key, once: the bindings are made from this table, and what `key_words` says of the keys is, too.

Invariant: on one screen a key does one thing, each action exists, and nothing is listed that does not work (tests hold all
three). To add a key, add a row to KEYS, and a method `action_<name>` to the screens that it names.
"""

from dataclasses import dataclass, replace
from string import ascii_letters

from textual.binding import Binding

_VIEWS = ("runs", "cockpit", "timeline", "span", "alert", "delegation", "agent", "signals")  # they follow what comes
DATA_SCREENS = (*_VIEWS, "replay")
OVERLAYS = ("help", "health", "export", "mute")
EVERYWHERE = (*DATA_SCREENS, *OVERLAYS)
SCREENS = (*EVERYWHERE, "marks", "prompt")  # in these two, letters are letters
GROUPS = ("Move", "Find", "Live", "Look", "Take away", "Alerts", "App")


@dataclass(frozen=True, slots=True)
class Key:
    """One row: what the keys do, on which screens, and what footer (`word`) and help (`does`) say. `action` may have {key}."""

    action: str
    keys: tuple[str, ...]
    sign: str
    word: str
    does: str
    group: str
    screens: tuple[str, ...] = DATA_SCREENS

    @property
    def bound(self) -> str:
        """The action as the toolkit runs it."""
        return self.action if self.action.startswith("app.") else f"screen.{self.action}"

    @property
    def name(self) -> str:
        """The action without its arguments."""
        return self.action.partition("(")[0]


KEYS: tuple[Key, ...] = (
    Key("line(1)", ("j", "down"), "j ↓", "down", "next, previous line", "Move", EVERYWHERE),
    Key("line(-1)", ("k", "up"), "k ↑", "up", "next, previous line", "Move", EVERYWHERE),
    Key("first", ("g", "home"), "g", "first", "first, last line", "Move", EVERYWHERE),
    Key("last", ("G", "end"), "G", "last", "first, last line", "Move", EVERYWHERE),
    Key("half(1)", ("ctrl+d",), "^d", "half down", "half a page", "Move", EVERYWHERE),
    Key("half(-1)", ("ctrl+u",), "^u", "half up", "half a page", "Move", EVERYWHERE),
    Key("page(1)", ("pagedown",), "pgdn", "page down", "a page", "Move", EVERYWHERE),
    Key("page(-1)", ("pageup",), "pgup", "page up", "a page", "Move", EVERYWHERE),
    Key("fold", ("h", "left"), "h ←", "fold", "fold, unfold; pan", "Move", ("cockpit", "timeline", "span", "agent")),
    Key(
        "unfold", ("l", "right"), "l →", "unfold", "fold, unfold; pan", "Move", ("cockpit", "timeline", "span", "agent")
    ),
    Key("walk(-1)", ("left", "h"), "h ←", "walk", "walk the path", "Move", ("alert",)),
    Key("walk(1)", ("right", "l"), "l →", "walk", "walk the path", "Move", ("alert",)),
    Key("column(1)", ("tab", "l", "right"), "tab", "column", "next, previous column", "Move", ("help",)),
    Key("column(-1)", ("shift+tab", "h", "left"), "⇧tab", "column", "next, previous column", "Move", ("help",)),
    Key("next_pane(1)", ("tab",), "tab", "pane", "next, previous pane", "Move"),
    Key("next_pane(-1)", ("shift+tab",), "⇧tab", "pane", "next, previous pane", "Move"),
    Key("pane('{key}')", tuple("123456789"), "1–9", "pane", "pane or tab by number", "Move"),
    Key("open", ("enter",), "⏎", "open", "open", "Move"),
    Key("back", ("escape",), "esc", "back", "back; never quits", "Move", SCREENS),
    Key(
        "sibling(-1)",
        ("[",),
        "[",
        "siblings",
        "siblings: spans, alerts, agents, …",
        "Move",
        ("span", "alert", "delegation", "agent"),
    ),
    Key(
        "sibling(1)",
        ("]",),
        "]",
        "siblings",
        "siblings: spans, alerts, agents, …",
        "Move",
        ("span", "alert", "delegation", "agent"),
    ),
    Key("spike(-1)", ("[",), "[", "spikes", "spikes and what was found", "Move", ("signals",)),
    Key("spike(1)", ("]",), "]", "spikes", "spikes and what was found", "Move", ("signals",)),
    Key("tick(-1)", ("[",), "[", "event", "event on the bar", "Move", ("replay",)),
    Key("tick(1)", ("]",), "]", "event", "event on the bar", "Move", ("replay",)),
    Key("filter", ("/",), "/", "filter", "filter; find in content", "Find"),
    Key("find_key", ("/",), "/", "filter", "keys that say a text", "Find", ("help",)),
    Key("match(1)", ("n",), "n", "match", "next, previous match", "Find"),
    Key("match(-1)", ("N",), "N", "match", "next, previous match", "Find"),
    Key("next_error", ("!",), "!", "error", "next error", "Find"),
    Key("go_to", (":",), ":", "go to", "go to a name, time, link", "Find"),
    Key("before", ("ctrl+o",), "^o", "where I was", "where I was before", "Find"),
    Key("after", ("ctrl+f",), "^f", "forward", "back to where ^o left", "Find"),
    Key("mark", ("m",), "m", "mark", "mark this place", "Find"),
    Key("to_mark", ("'",), "'", "to mark", "go to a mark", "Find"),
    Key("letter('{key}')", tuple(ascii_letters), "a–z", "mark", "the letter of a mark", "Find", ("marks",)),
    Key("complete(1)", ("tab",), "tab", "complete", "next, previous completion", "Find", ("prompt",)),
    Key("complete(-1)", ("shift+tab",), "⇧tab", "complete", "next, previous completion", "Find", ("prompt",)),
    Key("typed(-1)", ("up",), "up", "earlier", "what was typed before", "Find", ("prompt",)),
    Key("typed(1)", ("down",), "down", "later", "what was typed before", "Find", ("prompt",)),
    Key("submit", ("enter",), "⏎", "done", "take what is typed", "Find", ("prompt",)),
    Key("follow", ("f",), "f", "follow", "follow the newest", "Live", ("runs", "cockpit")),
    Key("pause", ("space",), "space", "pause", "pause the view", "Live", _VIEWS),
    Key("play", ("space",), "space", "play", "play, stop", "Live", ("replay",)),
    Key("at(-1)", ("left", "h"), "h ←", "time", "a window of time back, on", "Move", ("signals",)),
    Key("at(1)", ("right", "l"), "l →", "time", "a window of time back, on", "Move", ("signals",)),
    Key("step(-1)", ("left", "h"), "h ←", "step", "a step back, on", "Live", ("replay",)),
    Key("step(1)", ("right", "l"), "l →", "step", "a step back, on", "Live", ("replay",)),
    Key("stride(-1)", ("shift+left", "H"), "⇧←", "stride", "a twentieth back, on", "Live", ("replay",)),
    Key("stride(1)", ("shift+right",), "⇧→", "stride", "a twentieth back, on", "Live", ("replay",)),
    Key("speed(-1)", ("<",), "<", "speed", "slower, faster", "Live", ("replay",)),
    Key("speed(1)", (">",), ">", "speed", "slower, faster", "Live", ("replay",)),
    Key("live", ("L",), "L", "live", "back to live", "Live", ("replay",)),
    Key(
        "timeline",
        ("t",),
        "t",
        "timeline",
        "timeline of the run",
        "Look",
        ("runs", "cockpit", "span", "alert", "delegation", "replay", "agent"),
    ),
    Key("delegations", ("d",), "d", "delegations", "who asked whom; again: what crossed", "Look", ("runs", "cockpit")),
    Key("delegation", ("d",), "d", "delegation", "what crossed to its agent", "Look", ("timeline", "alert", "agent")),
    Key(
        "agent",
        ("A",),
        "A",
        "agent",
        "its agent's whole trajectory",
        "Look",
        ("cockpit", "timeline", "span", "alert", "delegation", "replay"),
    ),
    Key("used", ("u",), "u", "used by", "used later by", "Look", ("delegation", "span")),
    Key("mode", ("v",), "v", "view", "needed, all, text", "Look", ("delegation",)),
    Key("mode", ("v",), "v", "view", "text, raw, messages", "Look", ("span",)),
    Key("mode", ("v",), "v", "view", "messages to read, raw", "Look", ("agent",)),
    Key("alerts", ("a",), "a", "alerts", "what is wrong", "Look", ("runs", "cockpit", "replay", "agent")),
    Key("replay", ("r",), "r", "replay", "replay the run", "Look", ("cockpit", "timeline", "alert", "agent")),
    Key("needed", ("K",), "K", "needed", "needed items, or all", "Look", ("replay",)),
    Key("suspects", ("b",), "b", "suspects", "suspected steps", "Look", ("cockpit", "alert")),
    Key("zoom", ("z",), "z", "zoom", "this pane alone", "Look"),
    Key("critical", ("c",), "c", "critical", "the critical path", "Look", ("cockpit", "timeline")),
    Key("bars", ("b",), "b", "bars", "bars: time, tokens, cost", "Look", ("timeline",)),
    Key("time_zoom(1)", ("+",), "+", "zoom", "zoom in time, 0 all", "Look", ("cockpit", "timeline")),
    Key("time_zoom(-1)", ("-",), "-", "zoom", "zoom in time, 0 all", "Look", ("cockpit", "timeline")),
    Key("time_zoom(0)", ("0",), "0", "all the time", "zoom in time, 0 all", "Look", ("cockpit", "timeline")),
    Key("sort", ("s",), "s", "sort", "next order of the runs", "Look", ("runs",)),
    Key("wrap", ("w",), "w", "wrap", "wrap lines, or pan", "Look", ("span",)),
    Key(
        "times",
        ("v",),
        "v",
        "times",
        "since start / by clock",
        "Look",
        ("runs", "timeline", "alert", "replay"),
    ),
    Key("mode", ("v",), "v", "tree, graph", "tree, graph; else times", "Look", ("cockpit",)),
    Key("signals", ("p",), "p", "signals", "plots of figures over time", "Look", ("runs", "cockpit", "agent", "alert")),
    Key(
        "signals_of_all",
        ("P",),
        "P",
        "all its runs",
        "signals over all runs",
        "Look",
        ("runs", "cockpit", "agent"),
    ),
    Key("mode", ("v",), "v", "metric", "next metric", "Look", ("signals",)),
    Key("group", ("b",), "b", "by", "by model, agent, tool, …", "Look", ("signals",)),
    Key("span_of_time", ("w",), "w", "window", "15 min to 30 days", "Look", ("signals",)),
    Key("compare", ("=",), "=", "compare", "choose two to compare", "Look", ("signals",)),
    Key("narrow", ("d",), "d", "only this", "only this agent or service", "Look", ("signals",)),
    Key("health", ("i",), "i", "health", "health of the feed", "Look"),
    Key("theme", ("T",), "T", "theme", "next theme", "Look", EVERYWHERE),
    Key("copy", ("y",), "y", "copy", "copy value", "Take away"),
    Key("copy_json", ("Y",), "Y", "copy JSON", "copy row as JSON", "Take away"),
    Key("edit", ("o",), "o", "editor", "open in $EDITOR", "Take away"),
    Key("export", ("e",), "e", "export", "export the run", "Take away"),
    Key("choose", ("enter",), "⏎", "export", "export in this format", "Take away", ("export",)),
    Key("turn(-1)", ("h", "left"), "h ←", "graphs", "formats of another graph", "Take away", ("export",)),
    Key("turn(1)", ("l", "right"), "l →", "graphs", "formats of another graph", "Take away", ("export",)),
    Key("picture", ("S",), "S", "picture", "screen as SVG", "Take away", EVERYWHERE),
    Key("link", ("U",), "U", "link", "copy a link to this", "Take away"),
    Key("acknowledge", ("x",), "x", "acknowledge", "acknowledge, reopen", "Alerts", ("cockpit", "span", "alert")),
    Key("mute", ("M",), "M", "mute", "mute what and how long", "Alerts", ("cockpit", "span", "alert")),
    Key("choose", ("enter", "M"), "⏎", "mute", "mute this", "Alerts", ("mute",)),
    Key("turn(-1)", ("h", "left"), "h ←", "how long", "for how long", "Alerts", ("mute",)),
    Key("turn(1)", ("l", "right"), "l →", "how long", "for how long", "Alerts", ("mute",)),
    Key("run", ("enter",), "⏎", "run", "do what this key does", "App", ("help",)),
    Key("help", ("?",), "?", "help", "this help", "App", EVERYWHERE),
    Key("app.quit", ("q",), "q", "quit", "quit at once", "App", EVERYWHERE),
    Key("app.copy_or_quit", ("ctrl+c",), "^c", "copy", "copy what is selected, else quit", "App", EVERYWHERE),
    Key("app.suspend_process", ("ctrl+z",), "^z", "suspend", "suspend to the shell", "App", EVERYWHERE),
)

Moved = dict[str, tuple[str, ...]]  # other keys for a row, by its id


def key_id(key: Key) -> str:
    """What a row is called in an operator's table of keys: its action; `next` and `previous` tell two directions apart."""
    name, _, rest = key.action.removeprefix("app.").partition("(")
    return name.replace("_", "-") + {"1)": "-next", "-1)": "-previous"}.get(rest, "")


def moved_row(key: Key, moved: Moved) -> Key:
    """The row with the operator's keys instead of ours."""
    keys = moved.get(key_id(key)) if moved else None
    return replace(key, keys=keys, sign=" ".join(map(_signed, keys))) if keys else key


def _signed(key: str) -> str:
    """How a key is written on the screen."""
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    last = {"enter": "⏎", "escape": "esc", "pagedown": "pgdn", "pageup": "pgup"}.get(last, last)
    return "".join({"ctrl": "^", "shift": "⇧", "alt": "alt-"}[each] for each in modifiers) + last


def keys_on(screen: str, moved: Moved | None = None) -> list[Key]:
    """The rows of a screen, in the order of the table."""
    return [moved_row(key, moved or {}) for key in KEYS if screen in key.screens]


def bindings_on(screen: str) -> list[Binding]:
    """The screen's bindings; none is shown by the toolkit, because the footer is drawn from this table too."""
    return [
        Binding(pressed, key.action.replace("{key}", pressed), key.does, show=False, id=key_id(key))
        for key in keys_on(screen)
        for pressed in key.keys
    ]
