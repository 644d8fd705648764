"""Draws what went into a span and came out of it: as indented JSON, or as lines of text; and the line that sums it up.

Invariant: content is data, never markup: JSON is parsed only to be indented, and every line is cleaned where it is cut.
The inspector draws with it, and asks for colour only of the lines that it shows.
"""

import json
import re

from trajectory.view.rows import Content, SpanView
from trajectory.view.text import wrapped
from tui.drawing.line import Line
from tui.drawing.numbers import duration, size
from tui.signs import Signs, mark_sign, state_sign

_LONGEST_JSON = 1_000_000
_JSON_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(\btrue\b|\bfalse\b|\bnull\b)')


def content_text(content: Content) -> tuple[str, bool]:
    """The text to show, and whether it is JSON: indented where it parses, as it is where it does not."""
    text = content.text
    if len(text) <= _LONGEST_JSON and text.lstrip()[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(text), indent=2, ensure_ascii=False), True
        except (ValueError, RecursionError):
            return text, False
    return text, False


def content_lines(content: Content, width: int, *, wrap: bool) -> list[tuple[str, bool]]:
    """Each line of the content and whether it is JSON; long ones in pieces of `width` cells with `wrap`."""
    text, is_json = content_text(content)
    lines = text.expandtabs(4).splitlines() or [""]
    if wrap:
        lines = [piece for line in lines for piece in wrapped(line, max(8, width))]
    return [(line, is_json) for line in lines]


def json_line(text: str) -> Line:
    """One line of indented JSON, its keys, texts, numbers and words told apart."""
    line: Line = []
    at = 0
    for found in _JSON_TOKEN.finditer(text):
        line.append((text[at : found.start()], "dim"))
        quoted, colon, number, word = found.groups()
        if quoted and colon:
            line += [(quoted, "model"), (colon, "dim")]
        else:
            line.append((found.group(), "ok" if quoted else "number" if number else "delegation" if word else ""))
        at = found.end()
    return [*line, (text[at:], "dim" if line else "")]


def content_title(content: Content, signs: Signs) -> str:
    """`result · json · 1.2 kB`."""
    kind = content.media_type.split(";")[0].rsplit("/", 1)[-1] or "text"
    parts = [content.slot, kind, size(content.size_bytes), *(["cut"] if content.is_cut else [])]
    return f" {signs.dot} ".join(parts)


def span_headline(view: SpanView, signs: Signs, now_ns: int) -> Line:
    """Kind, name, how it went, how long, and its place on a cascade."""
    row = view.row
    running = not row.end_ns
    sign, role = state_sign(signs, "running" if running else row.status)
    kind = {"model": "model", "tool": "tool", "retrieval": "tool"}.get(row.kind, "")
    line: Line = [(getattr(signs, kind) + " " if kind else "", kind), (row.name, "strong"), ("   ", ""), (sign, role)]
    line += [(f" {'running' if running else row.status.replace('_', ' ')}", role), ("   ", "")]
    line.append((duration((row.end_ns or now_ns) - row.start_ns) if row.start_ns else signs.dash, ""))
    if row.mark:
        line += [
            ("   ", ""),
            mark_sign(signs, row.mark),
            (" root of a cascade" if row.mark == "root" else " carried it on", "mark"),
        ]
    return line
