"""Draws one span as a page for a column: how it went, what came out of it, what went in, then its fields.

Invariant: a body is shown as on the span's own screen, and cut with a line that says how much more there is; every line
opens the span, or what it names. Rows in, lines out; the pane beside the cockpit and the timeline draws with it.
"""

from trajectory.view.rows import Content
from trajectory.view.views import SpanView
from tui.drawing.content import content_lines, content_title, json_line, span_headline
from tui.drawing.fields import Field, span_fields
from tui.drawing.line import Line, cut, short
from tui.drawing.numbers import many, size
from tui.drawing.page import PageLine, paragraph
from tui.signs import Signs

FIRST_SLOTS = ("result", "output", "returned")  # what an operator looks for first: what came out


def inspector_lines(
    view: SpanView, width: int, signs: Signs, *, start_ns: int, when: str, now_ns: int, most: int
) -> list[PageLine]:
    """The page in lines of `width` cells, of each body at most `most`. `when` is its start as it is to be written."""
    row = view.row
    own = row.span_id
    where: Line = [short(row.label or view.agent or signs.dash, max(8, width - len(when) - 5), "strong")]
    lines = [
        PageLine("head", cut(span_headline(view, signs, now_ns), width), own, value=row.name),
        PageLine("where", cut([*where, (f"  {when}", "dim")], width), own, value=row.label),
    ]
    if view.message:
        lines += [
            PageLine(f"message {at}", cut([(piece, "error")], width), own, value=view.message, is_error=True)
            for at, piece in enumerate(paragraph(view.message, width))
        ]
    contents = sorted(view.contents, key=lambda each: each.slot not in FIRST_SLOTS)
    for number, content in enumerate(contents):
        lines += _body(number, content, own, width, signs, most)
    if not contents:
        lines += [
            PageLine("no content gap", []),
            PageLine("no content", [("no content was recorded on it", "dim")], own),
        ]
    lines.append(PageLine("fields gap", []))
    lines.append(PageLine("fields", [("fields", "title")], own))
    fields = span_fields(view, "", width, signs, start_ns, when)
    return lines + [_field(at, field, own, width) for at, field in enumerate(fields)]


def _body(number: int, content: Content, own: str, width: int, signs: Signs, most: int) -> list[PageLine]:
    key = f"{number} {content.digest}"
    lines = [
        PageLine(f"{key} gap", []),
        PageLine(f"{key} title", cut([(content_title(content, signs), "title")], width), own),
    ]
    whole = content_lines(content, width, signs, wrap=True)
    shown = whole if len(whole) <= most + 1 else whole[:most]
    for line in shown:
        drawn = json_line(line.text) if line.role == "json" else [(line.text, line.role)]
        lines.append(PageLine(f"{key}{line.key}", cut(drawn, width), own, value=line.copied))
    rest = f"{many(len(whole) - len(shown), 'more line')}" if len(shown) < len(whole) else ""
    if content.is_cut:
        rest = f"more of {size(content.size_bytes)}"
    if rest:
        text = f"{signs.ellipsis} {rest}: {signs.enter} opens it"
        lines.append(PageLine(f"{key} more", cut([(text, "dim")], width), own, value=content.text))
    return lines


def _field(at: int, field: Field, own: str, width: int) -> PageLine:
    kind, goal = field.opens
    key = f"field {at}"
    if kind == "alert":
        return PageLine(key, cut(field.line, width), alert_key=goal, value=field.value, is_error=True)
    return PageLine(key, cut(field.line, width), goal if kind == "span" else own, value=field.value)
