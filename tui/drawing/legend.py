"""What each sign means, by screen: the block of signs in the help.

Invariant: a screen's block has the signs that it draws, the least obvious first, and no others; the block of all screens has
each once. The help draws it.
"""

from tui.drawing.line import Line, measure
from tui.signs import DOWN, LEFT, RIGHT, UP, Signs

Group = tuple[tuple[str, str, str], ...]  # sign, meaning, role
_LANES = ("runs", "cockpit", "replay")
_RUN = (*_LANES, "timeline")
_PATH = (*_RUN, "alert")


def sign_lines(signs: Signs, width: int, screen: str = "") -> list[Line]:
    """The signs of a screen, or of all (empty), in as many lines as it takes."""
    lines: list[Line] = [[]]
    for screens, group in _groups(signs):
        if screen and screens and screen not in screens:
            continue
        bits: Line = [bit for sign, word, role in group for bit in ((sign, role), (f" {word}  ", ""))]
        if lines[-1] and measure(lines[-1]) + measure(bits) > width:
            lines.append([])
        lines[-1].extend([*bits, ("  ", "")])
    return lines


def _groups(signs: Signs) -> list[tuple[tuple[str, ...], Group]]:
    """Each group with the screens that draw it; none: all of them."""
    return [
        (
            _PATH,
            (
                (signs.root, "root of a cascade", "mark"),
                (signs.carried, "carried it on", "mark"),
                (signs.answer, "in the answer", "mark"),
            ),
        ),
        (
            _PATH,
            (
                (f"{signs.crumb}5", "its 5th step, 5 on a lane", "mark"),
                (f"{signs.gate}3", "let through at its 3rd", "mark"),
            ),
        ),
        (
            ("signals",),
            (
                (signs.up, "spike: far above the rest", "warning"),
                (signs.dot, "an anomaly of another series", "dim"),
                (signs.dash, "not known", "dim"),
            ),
        ),
        (
            ("signals",),
            (
                (signs.lines_dotted * 2, "threshold of a panel", "warning"),
                ("A B", "the two that = compares", "mark"),
                (signs.same, "acknowledged", "dim"),
            ),
        ),
        (
            (),
            ((signs.running, "running", "running"), (signs.ok, "ok", "ok"), (signs.error, "error", "error")),
        ),
        (
            (),
            (
                (signs.queued, "waiting", "dim"),
                (signs.paused, "paused, muted", "dim"),
                (signs.cut_off, "cut off, lost", "warning"),
            ),
        ),
        (
            (),
            ((signs.high, "critical", "critical"), (signs.medium, "warning", "warning"), (signs.low, "info", "dim")),
        ),
        (_RUN, ((signs.model, "model", "model"), (signs.tool, "tool", "tool"), (signs.retry, "retry", "retry"))),
        (_RUN, ((signs.gap, "gap, other", "dim"), (signs.waiting, "waiting", "waiting"))),
        (
            _LANES,
            (
                (signs.lines[LEFT | DOWN] + signs.lines[UP | RIGHT] + signs.arrow, "delegated", "delegation"),
                (signs.lines[UP | LEFT], "returned", "delegation"),
            ),
        ),
        (("cockpit", "timeline"), ((signs.chain, "critical path", "strong"),)),
        (
            _LANES,
            (
                (signs.lines_heavy[LEFT | RIGHT] * 2, "on a cascade", "error"),
                (signs.lines_dotted * 2, "inferred", "delegation"),
            ),
        ),
        (
            ("delegation", "replay", "alert", "agent"),
            (
                (signs.same, "same", "dim"),
                (signs.lost, "lost", "error"),
                (signs.changed, "altered", "warning"),
                (signs.added, "added", "running"),
                (signs.returned, "came back", "delegation"),
            ),
        ),
        ((), (("mouse", "click: go, twice: open; drag: select, y copies", "key"),)),
        ((), (("shift/option-drag", "the terminal's own selection", "key"),)),
    ]
