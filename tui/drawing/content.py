"""Draws what a span holds: its fields as names and values, its content as indented JSON or as lines of text.

Invariant: content is data, never markup: JSON is parsed only to be indented, and every line is cleaned where it is cut.
The inspector draws with it, and asks for colour only of the lines that it shows.
"""

import json
import re
from collections.abc import Sequence

from trajectory.view.rows import Content, SpanView
from trajectory.view.text import wrapped
from tui.drawing.line import Line, put
from tui.drawing.numbers import duration, grouped, size, stamp
from tui.signs import Signs, mark_sign, severity_sign, state_sign

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


def content_title(content: Content) -> str:
    """`result · json · 1.2 kB`."""
    kind = content.media_type.split(";")[0].rsplit("/", 1)[-1] or "text"
    cut = " · cut" if content.is_cut else ""
    return f"{content.slot} · {kind} · {size(content.size_bytes)}{cut}"


def span_headline(view: SpanView, signs: Signs, now_ns: int) -> Line:
    """Kind, name, how it went, how long, and its place on a cascade."""
    row = view.row
    running = not row.end_ns
    sign, role = state_sign(signs, "running" if running else row.status)
    kind = {"model": "model", "tool": "tool", "retrieval": "tool"}.get(row.kind, "")
    line: Line = [(getattr(signs, kind) + " " if kind else "", kind), (row.name, "strong"), ("   ", ""), (sign, role)]
    line += [(f" {'running' if running else row.status}", role), ("   ", "")]
    line.append((duration((row.end_ns or now_ns) - row.start_ns) if row.start_ns else signs.dash, ""))
    if row.mark:
        line += [
            ("   ", ""),
            mark_sign(signs, row.mark),
            (" root of a cascade" if row.mark == "root" else " carried it on", "mark"),
        ]
    return line


def span_fields(view: SpanView, width: int, signs: Signs, start_ns: int, when: str) -> list[tuple[str, Line]]:
    """The fields, each with the value that `y` copies; section titles copy nothing."""
    row = view.row
    lines: list[tuple[str, Line]] = []
    fields = [
        ("span", row.span_id),
        ("parent", row.parent_id or "none"),
        ("name", row.name),
        ("kind", row.kind),
        ("agent", row.label or view.agent),
        ("service", view.service),
        ("status", row.status),
        ("start", f"{when}  (+{stamp(row.start_ns - start_ns)})" if row.start_ns else "unknown"),
        ("duration", duration(row.end_ns - row.start_ns) if row.end_ns else "running"),
        ("tokens", grouped(row.tokens) if row.tokens else ""),
        ("children", grouped(row.children) if row.children else ""),
    ]
    lines += [(value, _field(name, value, width, 9)) for name, value in fields if value]
    if view.message:
        lines.append((view.message, [("message   ", "dim"), (view.message, "error" if row.status == "error" else "")]))
    lines += _section(
        "alerts",
        [(alert.message, _alert(alert.severity, alert.alert_id, alert.summary, signs)) for alert in view.alerts],
    )
    lines += _pairs("attributes", view.attributes, width)
    lines += _section(
        "events", [(event.text, _event(stamp(event.at_ns - start_ns), event.name, event.text)) for event in view.events]
    )
    lines += _section("links", [(link.span_id, _link(link.kind, link.span_id[:8], link.text)) for link in view.links])
    return lines + _pairs("resource", view.resource, width)


def _field(name: str, value: str, width: int, name_width: int) -> Line:
    return [put(name, name_width, "dim"), (" ", ""), (value, "")]


def _section(title: str, lines: Sequence[tuple[str, Line]]) -> list[tuple[str, Line]]:
    if not lines:
        return []
    return [
        ("", []),
        ("", [(title, "title"), (f"  {len(lines)}", "dim")]),
        *((value, [("  ", ""), *line]) for value, line in lines),
    ]


def _pairs(title: str, pairs: Sequence[tuple[str, str]], width: int) -> list[tuple[str, Line]]:
    widest = min(width // 2, max((len(name) for name, _ in pairs), default=0))
    return _section(title, [(value, _field(name, value, width, widest)) for name, value in pairs])


def _alert(severity: str, alert_id: str, summary: str, signs: Signs) -> Line:
    return [severity_sign(signs, severity), (f" {alert_id} ", "strong"), (summary, "")]


def _event(when: str, name: str, text: str) -> Line:
    return [(when + " ", "dim"), (name, ""), ("  " + text, "dim")]


def _link(kind: str, span_id: str, text: str) -> Line:
    return [(kind + "  ", "dim"), (span_id, "strong"), ("  " + text, "")]
