"""Every sign on the screen, at three levels: `unicode`, `block` (no geometric shapes, for terminals that draw them two cells
wide) and `ascii`.

Invariant: a state is told apart by its sign alone, at every level; colour only repeats it. Drawings take a `Signs`, so that
none of them knows which level it draws at. The help screen lists the signs from here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

LEVELS = ("unicode", "block", "ascii")

# Directions out of a cell, for lines that meet: the sum of what meets there is an index into `Signs.lines`.
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Signs:
    """One cell each, but for `call`, `transfer`, `back` and `enter`, which are two or more in ascii."""

    level: str = "unicode"
    running: str = "●"
    ok: str = "✓"
    error: str = "✗"
    queued: str = "◌"
    paused: str = "‖"
    cut_off: str = "⊘"
    high: str = "▲"
    medium: str = "△"
    low: str = "▽"
    root: str = "◆"
    carried: str = "◇"
    gate: str = "╫"
    answer: str = "★"
    call: str = "⇢"
    transfer: str = "⇒"
    back: str = "◂"
    returned: str = "◂"
    same: str = "="
    lost: str = "−"
    added: str = "+"
    changed: str = "~"
    receive: str = "⇠"
    model: str = "█"
    tool: str = "▓"
    retry: str = "▒"
    gap: str = "░"
    waiting: str = "·"
    cursor: str = "▌"
    arrow: str = "▶"
    crumb: str = "▸"
    goes_on: str = "▸"
    folded: str = "▸"
    unfolded: str = "▾"
    times: str = "×"
    dot: str = "·"
    up: str = "↑"
    down: str = "↓"
    enter: str = "⏎"
    ellipsis: str = "…"
    dash: str = "–"
    again: str = "↺"
    thumb: str = "▐"
    rule: str = "│"
    chain: str = "┃"
    opens: str = "⟨"
    closes: str = "⟩"
    spark: str = "▁▂▃▄▅▆▇█"
    ends: str = "▏▎▍▌▋▊▉█"  # eighths of a cell
    frame: str = "╭─╮│╰╯"
    frame_focus: str = "┏━┓┃┗┛"
    lines: str = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
    lines_heavy: str = " ╹╻┃╸┛┓┫╺┗┏┣━┻┳╋"
    lines_dotted: str = "┄"

    def written(self, text: str) -> str:
        """The text with the characters that our own sentences use written at this level, cell for cell. All others stay:
        what an agent said in its own script is not ours to spell."""
        return text if self.level == "unicode" or text.isascii() else text.translate(_ONE_CELL[self.level])


UNICODE = Signs()
_ASCII_SHAPES = {
    "running": "*",
    "ok": "+",
    "error": "x",
    "queued": "o",
    "paused": "=",
    "cut_off": "/",
    "high": "!",
    "medium": "?",
    "low": ".",
    "root": "@",
    "carried": "%",
    "answer": "A",
    "call": "->",
    "transfer": "=>",
    "back": "<-",
    "returned": "<",
    "lost": "-",
    "receive": "<-",
    "arrow": ">",
    "crumb": ">",
    "goes_on": ">",
    "folded": "+",
    "unfolded": "-",
    "again": "@",
    "enter": "enter",
    "thumb": "█",
}
_ASCII_REST = {
    "model": "#",
    "tool": "=",
    "retry": "~",
    "gap": ":",
    "waiting": ".",
    "gate": "H",
    "cursor": ">",
    "times": "x",
    "dot": "-",
    "up": "^",
    "down": "v",
    "ellipsis": "~",
    "dash": "-",
    "thumb": "%",
    "rule": "|",
    "chain": "|",
    "opens": "[",
    "closes": "]",
    "spark": "_.:-=+*#",
    "ends": ".::-==##",
    "frame": "+-+|++",
    "frame_focus": "#=####",
    "lines": " |||-'++-`++-+++",
    "lines_heavy": " !!!_'++_`++_+++",
    "lines_dotted": ":",
}


def _with(signs: Signs, changes: Mapping[str, str]) -> Signs:
    return replace(signs, **changes)


# What our own texts hold beside the signs, as one cell for another: what is cut, quoted, counted and named in a sentence.
_ONE_CELL_SHAPES = {
    "●": "*", "◌": "o", "▲": "!", "△": "?", "▽": ".", "◆": "@", "◇": "%", "★": "A", "▶": ">", "▸": ">", "▾": "-",
    "◂": "<", "⇢": ">", "⇒": ">", "⇠": "<", "↺": "@",
}  # fmt: skip
_ONE_CELL_REST = {
    "✓": "+", "✗": "x", "‖": "=", "⊘": "/", "…": "~", "·": "-", "×": "x", "–": "-", "—": "-", "−": "-", "→": ">",
    "←": "<", "↑": "^", "↓": "v", "“": '"', "”": '"', "‘": "'", "’": "'", "‹": "<", "›": ">", "µ": "u", "±": "+",
    "⏎": "/", "\ufffd": "?", **{chr(code): "?" for code in range(0x2400, 0x2422)},
}  # fmt: skip
_ONE_CELL: dict[str, dict[int, str]] = {
    "unicode": {},
    "block": str.maketrans(_ONE_CELL_SHAPES),
    "ascii": str.maketrans(_ONE_CELL_SHAPES | _ONE_CELL_REST),
}

BLOCK = _with(replace(UNICODE, level="block"), _ASCII_SHAPES)
ASCII = _with(replace(BLOCK, level="ascii"), _ASCII_REST)
# For screen readers: no frames, bars or lines between agents, which would be read out as punctuation.
_UNDRAWN = dict.fromkeys(("model", "tool", "retry", "gap", "waiting", "arrow", "thumb", "rule", "lines_dotted"), " ")
_UNDRAWN |= {
    name: " " * len(getattr(ASCII, name)) for name in ("frame", "frame_focus", "lines", "lines_heavy", "spark", "ends")
}
PLAIN = _with(ASCII, _UNDRAWN)
_BY_LEVEL = {"unicode": UNICODE, "block": BLOCK, "ascii": ASCII}


def signs_at(level: str) -> Signs:
    """The signs of a level. Raises KeyError for a level that is not in LEVELS."""
    return _BY_LEVEL[level]


def level_of(environment: Mapping[str, str] = os.environ) -> str:
    """The level that the locale allows: `ascii` where it names an encoding other than UTF-8, else `unicode`."""
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "UTF-8"
    return "unicode" if "utf" in locale.lower() else "ascii"


def state_sign(signs: Signs, state: str) -> tuple[str, str]:
    """Sign and role of the state of a run, an agent, a span, a step or a delegation; a dot for a state that has none."""
    sign, role = _STATES.get(state, ("dot", "dim"))
    return getattr(signs, sign), role


def severity_sign(signs: Signs, severity: str) -> tuple[str, str]:
    """Sign and role of an alert's severity."""
    sign, role = _SEVERITIES.get(severity, ("low", "dim"))
    return getattr(signs, sign), role


def mark_sign(signs: Signs, mark: str) -> tuple[str, str]:
    """Sign and role of a place on a cascade: its root, one that carried it on, the answer; a space for neither."""
    sign = {"root": signs.root, "carried": signs.carried, "answer": signs.answer}.get(mark, "")
    return (sign, "mark") if sign else (" ", "")


_STATES = {
    "live": ("running", "running"),
    "running": ("running", "running"),
    "received": ("running", "running"),
    "done": ("ok", "ok"),
    "ok": ("ok", "ok"),
    "returned": ("ok", "ok"),
    "failed": ("error", "error"),
    "error": ("error", "error"),
    "cut_off": ("cut_off", "warning"),
    "lost": ("cut_off", "warning"),
    "waiting": ("queued", "dim"),
    "sent": ("queued", "dim"),
}
_SEVERITIES = {"critical": ("high", "critical"), "warning": ("medium", "warning"), "info": ("low", "dim")}
