"""Draws everything known about a span but its content: names and values, alerts, events, links and resource.

Invariant: each line carries the whole value that copying it takes, however much of it is seen; a long value goes on over a
few lines and ends in an ellipsis; what names a span, an alert or a delegation opens it. The inspector's left pane draws with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from trajectory.view.text import cells, clean, truncate, wrapped
from trajectory.view.views import SpanView
from tui.drawing.line import Line, measure, put, put_middle
from tui.drawing.numbers import duration, grouped, stamp
from tui.signs import Signs, severity_sign


@dataclass(frozen=True, slots=True)
class Field:
    """What is copied, what is drawn, and what it opens: a kind (span, alert, delegation, timeline) and an id, or nothing."""

    value: str
    line: Line
    opens: tuple[str, str] = ("", "")


_MOST_LINES = 4


def span_fields(view: SpanView, trace_id: str, width: int, signs: Signs, start_ns: int, when: str) -> list[Field]:
    """The fields of a span in lines of at most `width` cells; titles and blank lines copy nothing."""
    row = view.row
    ways = {
        "parent": ("span", row.parent_id),
        "agent": ("timeline", row.span_id),
        "children": ("timeline", row.span_id),
    }
    ways |= {"kind": ("delegation", row.span_id)} if row.kind == "delegation" else {}
    fields = _named(_facts(view, start_ns, when), width, 0, ways)
    if view.message:
        fields += _long(
            [put("message", 9, "dim"), (" ", "")], view.message, width, "error" if row.status == "error" else ""
        )
    fields += _section("alerts", len(view.alerts), _alerts(view, width, signs))
    fields += _section("attributes", len(view.attributes), _named(view.attributes, width, 2))
    fields += _section("events", len(view.events), _events(view, width, start_ns))
    fields += _section("links", len(view.links), _links(view, trace_id, width))
    return fields + _section("resource", len(view.resource), _named(view.resource, width, 2))


def _facts(view: SpanView, start_ns: int, when: str) -> list[tuple[str, str]]:
    row = view.row
    facts = [
        ("span", row.span_id),
        ("parent", row.parent_id or "none"),
        ("name", row.name),
        ("kind", row.kind),
        ("agent", row.label or view.agent),
        ("service", view.service),
        ("status", row.status.replace("_", " ")),
        ("start", _start(row.start_ns, start_ns, when)),
        ("duration", duration(row.end_ns - row.start_ns) if row.end_ns else "running"),
        ("tokens", grouped(row.tokens) if row.tokens else ""),
        ("children", grouped(row.children) if row.children else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _start(at_ns: int, start_ns: int, when: str) -> str:
    since = f"+{stamp(at_ns - start_ns)}"
    return "unknown" if not at_ns else since if since[1:] == when else f"{when}  ({since})"


def _section(title: str, count: int, fields: list[Field]) -> list[Field]:
    return [Field("", []), Field("", [(title, "title"), (f"  {count}", "dim")]), *fields] if fields else []


def _named(
    pairs: Iterable[tuple[str, str]],
    width: int,
    indent: int,
    ways: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> list[Field]:
    """Names in one column, as wide as the widest of them but no more than half; values in the other. `ways`: what opens what."""
    known = list(pairs)
    widest = min(width // 2, max((cells(clean(name)) for name, _ in known), default=0))
    fields: list[Field] = []
    for name, value in known:
        head: Line = [(" " * indent, ""), put_middle(name, widest, "dim"), (" ", "")]
        fields += _long(head, value, width, opens=ways.get(name, ("", "")))
    return fields


def _alerts(view: SpanView, width: int, signs: Signs) -> list[Field]:
    fields: list[Field] = []
    for alert in view.alerts:
        head: Line = [("  ", ""), severity_sign(signs, alert.severity), (f" {alert.alert_id} ", "strong")]
        said = alert.message or alert.summary
        fields += _long([*head, (f"{alert.kind}  ", "dim")], said, width, opens=("alert", alert.key))
    return fields


def _events(view: SpanView, width: int, start_ns: int) -> list[Field]:
    fields: list[Field] = []
    for event in view.events:
        fields += _long(
            [(f"  {stamp(event.at_ns - start_ns)} ", "dim"), (f"{event.name}  ", "")], event.text, width, "dim"
        )
    return fields


def _links(view: SpanView, trace_id: str, width: int) -> list[Field]:
    fields: list[Field] = []
    for link in view.links:
        head: Line = [(f"  {link.kind}  ", "dim"), (f"{link.span_id[:8]}  ", "strong")]
        opens = ("span", link.span_id) if link.trace_id == trace_id else ("elsewhere", link.trace_id)
        fields += [replace(each, value=link.span_id) for each in _long(head, link.text, width, opens=opens)]
    return fields


def _long(
    head: Sequence[tuple[str, str]], value: str, width: int, role: str = "", opens: tuple[str, str] = ("", "")
) -> list[Field]:
    """A head and a value, which goes on below itself where it is long."""
    at = min(measure(head), width // 2)
    room = max(8, width - at)
    first = max(8, width - measure(head))
    text = truncate(value, first + (_MOST_LINES - 1) * room)
    start = wrapped(text, first)[0]
    rest = text[len(start) :]
    lines: list[Line] = [[*head, (start, role)]]
    lines += [[(" " * at, ""), (piece, role)] for piece in (wrapped(rest, room) if rest else [])[: _MOST_LINES - 1]]
    return [Field(value, line, opens if opens[1] else ("", "")) for line in lines]
