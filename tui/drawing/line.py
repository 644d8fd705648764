"""A line of the screen before it is coloured: bits of text, each with a role that the theme gives a style.

Invariant: `cut` returns exactly the width asked for, in cells, and lets no control code through; every line that reaches a
terminal passes it. Drawings build lines, widgets look roles up as component classes.
"""

from collections.abc import Iterable

from trajectory.view.text import ELLIPSIS, cells, clean, fit, truncate

Bit = tuple[str, str]  # text, role
Line = list[Bit]

ROLES = (
    "dim",
    "strong",
    "title",
    "number",
    "key",
    "frame",
    "frame-focus",
    "model",
    "tool",
    "retry",
    "waiting",
    "ok",
    "error",
    "running",
    "delegation",
    "critical",
    "warning",
    "mark",
    "cursor",
    "found",
    "bold",
)

_LONGEST = 4096  # characters of a text that are measured


def put(text: str, width: int, role: str = "", *, right: bool = False) -> Bit:
    """The text in exactly `width` cells."""
    return fit(text, width, right=right), role


def put_label(label: str, width: int, role: str = "") -> Bit:
    """An agent's label in exactly `width` cells; the number of the invocation stays where the name is cut."""
    name, mark, number = label.rpartition("#")
    tail = f"{mark}{number}"
    if not name or cells(clean(label)) <= width or cells(clean(tail)) > width // 2:
        return put(label, width, role)
    return truncate(name, width - cells(clean(tail))) + clean(tail), role


def put_middle(text: str, width: int, role: str = "") -> Bit:
    """The text in exactly `width` cells, cut in its middle: names that begin alike are told apart by how they end."""
    text = clean(text)
    size = cells(text)
    if size <= width or width < 9 or not text.isascii():
        return put(text, width, role)
    head = width // 3
    return text[:head] + ELLIPSIS + text[size - (width - head - 1) :], role


def short(text: str, limit: int, role: str = "") -> Bit:
    """The text in at most `limit` cells."""
    return truncate(text, limit), role


def measure(line: Iterable[Bit]) -> int:
    """Width of a line in cells; of a text that no screen can hold, that of its beginning."""
    return sum(cells(clean(text[:_LONGEST])) for text, _ in line)


def cut(line: Iterable[Bit], width: int) -> Line:
    """The line in exactly `width` cells: cut with an ellipsis, or padded with spaces; every text cleaned."""
    done: Line = []
    room = width
    for text, role in line:
        text = clean(text[: 8 * room + 64])  # more is not shown, and may be a megabyte
        size = cells(text)
        if size > room:
            done.append((fit(text, room), role))
            return done
        if text:
            done.append((text, role))
            room -= size
    if room:
        done.append((" " * room, ""))
    return done


def spread(left: Line, right: Line, width: int) -> Line:
    """Left and right at the two ends of the width; where they do not both fit, the left is cut and the right stays."""
    right_size = min(measure(right), width)
    if right_size == 0:
        return cut(left, width)
    return [
        *cut(left, max(0, width - right_size - 1)),
        *([(" ", "")] if right_size < width else []),
        *cut(right, right_size),
    ]


def joined(parts: Iterable[Line], between: str = "   ") -> Line:
    """The parts that are not empty, one after the other."""
    whole: Line = []
    for part in parts:
        if part:
            whole.extend([(between, ""), *part] if whole else part)
    return whole


def plain(line: Iterable[Bit]) -> str:
    """The line's text."""
    return "".join(text for text, _ in line)
