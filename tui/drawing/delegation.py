"""Draws one delegation: what crossed item by item, where an item came from and went on to be used, and the texts themselves.

      KIND        PLANNER#1 HELD            SENT              RESEARCH#2 GOT    CAME BACK      THEN
    − constraint  fiscal year FY25          ·                 ·                                ▲ needed
    = quantity    400 words                 =                 =
    ◂ money       ·                         ·                 ·                 39.1M EUR      14 uses, first planner#1

Invariant: what was not captured is a question mark and never a dot, which says that it was not there; `=` says that it is as
it was held. Rows in, lines out; the screen of a delegation draws with it.
"""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from trajectory.view.rows import Content, DelegationRow, ItemRow, UsedRow, UseRow
from trajectory.view.text import wrapped
from trajectory.view.views import DelegationView
from tui.drawing.figures import NOT_CAPTURED
from tui.drawing.line import Line, cut, measure, put, put_label, spread
from tui.drawing.numbers import duration, grouped, many
from tui.drawing.page import PageLine, paragraph
from tui.signs import Signs, state_sign

MODES = ("needed", "all", "text")
_MAX_TEXT_LINES = 400  # of one side
_WIDE = 96  # cells of a row from which each side has its own column
_CHANGES = {
    "same": ("same", ""), "lost": ("lost", "error"), "altered": ("changed", "warning"), "added": ("added", "running"),
    "returned": ("returned", "delegation"), "dropped": ("lost", "warning"), "unsent": ("waiting", "dim"),
}  # fmt: skip


def delegation_at(rows: Sequence[DelegationRow], span_id: str, label: str = "") -> DelegationRow | None:
    """The delegation that a span carries or begins; else the last one by which the agent of this label was given its work."""
    for ids in (lambda row: (row.delegation_id, row.span_id), lambda row: (row.target_span_id,)):
        found = next((row for row in rows if span_id and span_id in ids(row)), None)
        if found is not None:
            return found
    return next((row for row in reversed(rows) if label and row.target == label), None)


# Above: who and when


def sides_line(view: DelegationView, width: int, signs: Signs, when: Callable[[int], str]) -> Line:
    """Who gave work to whom, in which way, when it was sent, taken up and returned, and which of the run's it is."""
    row = view.row
    sign, role = state_sign(signs, row.state)
    arrow = signs.transfer if row.mode == "transfer" else signs.call
    line: Line = [
        (" ", ""),
        (sign, role),
        (" ", ""),
        (row.source or "(unknown)", "strong"),
        (f" {arrow} ", "delegation"),
    ]
    line += [(row.target or "(unknown)", "strong"), (f"  {row.mode}", "dim")]
    took = duration(row.returned_ns - row.sent_ns) if row.returned_ns else row.state
    times = [("sent", row.sent_ns), ("got", row.received_ns), ("returned", row.returned_ns)]
    if width >= 100:
        for name, at_ns in times:
            line += [(f"  {name} ", "dim"), (when(at_ns), "")]
    line.append((f"  {took}", ""))
    place: Line = [("[ ", "" if view.previous_id else "frame"), (f"{view.number} of {view.total}", "dim")]
    return spread(line, [*place, (" ] ", "" if view.next_id else "frame")], width)


# The items


def items_of(view: DelegationView, mode: str) -> list[ItemRow]:
    """The items of a mode: `needed` leaves out what stayed behind, what follows from what was held, and the delegatee's own."""
    if mode != "needed":
        return view.items
    return [i for i in view.items if i.change != "unsent" and not (i.change == "added" and (i.note or not i.sent))]


def _columns(width: int) -> list[int]:
    """Cells of: what it is, held, sent, got, back, then; a column of none is not drawn."""
    kind = 11 if width >= 60 else 0
    room = max(20, width - 2 - (kind + 1 if kind else 0))
    if width >= _WIDE:
        held, then = room * 28 // 100, max(20, room * 21 // 100)
        each = (room - held - then - 4) // 3
        return [kind, held, each, each, room - held - then - 2 * each - 4, then]
    held, got = room * 42 // 100, room * 28 // 100
    return [kind, held, 0, got, 0, room - held - got - 2]


def items_head(view: DelegationView | None, width: int) -> Line:
    """The names of the columns."""
    if view is None:
        return []
    source, target = view.row.source or "(unknown)", view.row.target or "(unknown)"
    names = ["kind", f"{source} held", "sent", f"{target} got", "came back", "then"]
    columns = _columns(width)
    if not columns[4]:
        names[5] = "back, then"
    line: Line = [("  ", "")]
    for name, cells in zip(names, columns, strict=True):
        line += [put(name.upper(), cells, "dim"), (" ", "")] if cells else []
    return cut(line, width)


def item_lines(view: DelegationView, mode: str, width: int, signs: Signs) -> list[PageLine]:
    """One line for each item of a mode; where there are none, words that say why."""
    hidden = dict(view.hidden)
    lines = [
        PageLine(
            item.key, _item_line(item, hidden, width, signs), view.row.span_id, value=item.text, is_error=_is_loss(item)
        )
        for item in items_of(view, mode)
    ]
    if not lines:
        why = [text for side, text in view.hidden if side in ("sent", "got", "held")]
        said = f"Not observable: {'; '.join(why)}." if why else "Nothing that can be told apart crossed here."
        lines = [PageLine(f"none {at}", [(piece, "dim")]) for at, piece in enumerate(paragraph(said, width))]
    left = len(view.items) - len(items_of(view, mode))
    more = view.items_total - len(view.items)
    if left and mode == "needed":
        text = f"{many(left, 'item')} not shown: never sent, worked out, or the delegatee's own (v shows all)"
        lines.append(PageLine("left", [(f"{signs.ellipsis} {text}", "dim")]))
    if more > 0:
        lines.append(PageLine("more", [(f"{signs.ellipsis} {grouped(more)} more items are not listed", "dim")]))
    return lines


def _is_loss(item: ItemRow) -> bool:
    return item.change in ("lost", "altered")


def change_sign(change: str, signs: Signs) -> tuple[str, str]:
    """The sign of what happened to an item, and its role."""
    name, role = _CHANGES.get(change, ("dot", "dim"))
    return getattr(signs, name), role


def _item_line(item: ItemRow, hidden: dict[str, str], width: int, signs: Signs) -> Line:
    sign, role = change_sign(item.change, signs)
    kind, held, sent, got, back, _ = _columns(width)
    line: Line = [put(sign, 2, role)]
    if kind:
        line += [put(item.kind, kind, "dim"), (" ", "")]
    line += [put(_cell(item.held, "held", hidden, signs), held, "strong" if _is_loss(item) else ""), (" ", "")]
    if sent:
        line += [put(_side(item, item.sent, "sent", hidden, signs), sent, role), (" ", "")]
        line += [put(_side(item, item.got, "got", hidden, signs), got, role), (" ", "")]
        line += [put(_back_cell(item, hidden, signs), back, "delegation"), (" ", "")]
    else:
        arrived, side = (item.got, "got") if item.got or "sent" in hidden else (item.sent, "sent")
        line += [put(_side(item, arrived, side, hidden, signs), got, role), (" ", "")]
        if item.back and not _is_loss(item):
            unused: Line = [("unused", "dim")] if item.change == "returned" else []
            count: Line = [(f"{signs.times}{item.uses_count}", "dim")] if item.uses_count else unused
            return cut([*line, *spread([(item.back, "delegation")], count, max(8, width - measure(line)))], width)
    return cut([*line, *_then(item, signs)], width)


def _cell(text: str, side: str, hidden: dict[str, str], signs: Signs) -> str:
    return text or (NOT_CAPTURED if side in hidden else signs.waiting)


def _side(item: ItemRow, text: str, side: str, hidden: dict[str, str], signs: Signs) -> str:
    return signs.same if text and text == item.held else _cell(text, side, hidden, signs)


def _back_cell(item: ItemRow, hidden: dict[str, str], signs: Signs) -> str:
    if item.kind == "constraint":
        return ""
    return (
        signs.same if item.back and item.back == item.held else item.back or (NOT_CAPTURED if "back" in hidden else "")
    )


def _then(item: ItemRow, signs: Signs) -> Line:
    if _is_loss(item):
        return [(f"{signs.high} ", "critical"), ("needed" if item.change == "lost" else "altered", "critical")]
    if item.change == "dropped":
        return [(f"{signs.medium} ", "warning"), ("dropped on return", "warning")]
    if item.change == "unsent":
        return [("stayed behind", "dim")]
    if item.change == "added":
        return [("its own" if not item.sent else "worked out" if item.note else "from nowhere", "dim")]
    if not item.uses_count:
        return [("not used since", "dim")] if item.change == "returned" else []
    return [
        (f"{many(item.uses_count, 'use')}, {item.uses[0].label}" if item.uses else many(item.uses_count, "use"), "dim")
    ]


# One item's own history


def history_lines(item: ItemRow | None, width: int, signs: Signs, when: Callable[[int], str]) -> list[PageLine]:
    """An item whole: as it was written, why it is needed, where it came from, and what used it later. Uses open their spans."""
    if item is None:
        return [PageLine("none", [("no item is under the cursor", "dim")])]
    sign, role = change_sign(item.change, signs)
    lines: list[PageLine] = []
    for at, piece in enumerate(paragraph(item.text, width - 4, 2)):
        head: Line = [put(sign if at == 0 else "", 2, role), (piece, "strong")]
        lines.append(PageLine(f"text {at}", cut(head, width), value=item.text))
    for name, said in (("needed", item.needed), ("note", item.note), ("became", _became(item, signs))):
        for at, piece in enumerate(paragraph(said, width - 10, 3) if said else ()):
            line: Line = [put(name if at == 0 else "", 8, "dim"), (piece, "")]
            lines.append(PageLine(f"{name} {at}", cut(line, width), value=said))
    lines += use_lines("before", "Before", item.before, len(item.before), width, signs, when)
    lines += use_lines("use", "Used later by", item.uses, item.uses_count, width, signs, when)
    if not item.uses:
        lines.append(PageLine("use none", [("Nobody used it later, as far as was recorded.", "dim")]))
    return lines


def _became(item: ItemRow, signs: Signs) -> str:
    return f"{item.held} {signs.arrow} {item.sent or item.got}" if item.change == "altered" else ""


def use_lines(
    key: str, title: str, uses: Sequence[UseRow], count: int, width: int, signs: Signs, when: Callable[[int], str]
) -> list[PageLine]:
    """Under a title with how many there are: who used something, as what, in which span, and when. Each opens its span."""
    if not uses:
        return []
    lines = [PageLine(f"{key} title", [(title, "title"), (f"  {grouped(count)}", "dim")])]
    for use in uses:
        line: Line = [("  ", ""), put_label(use.label or signs.dash, 14 if width < 60 else 18, "strong"), (" ", "")]
        line += [put(use.what, 11, "dim"), (" ", ""), (use.name, "")]
        lines.append(
            PageLine(
                f"{key} {use.span_id} {use.what}",
                spread(line, [(when(use.at_ns), "dim")], width),
                use.span_id,
                value=f"{use.label} {use.what} {use.name}",
            )
        )
    if count > len(uses):
        lines.append(
            PageLine(f"{key} more", [(f"  {signs.ellipsis} {grouped(count - len(uses))} more between", "dim")])
        )
    return lines


def used_lines(rows: Sequence[UsedRow], width: int, signs: Signs, when: Callable[[int], str]) -> list[PageLine]:
    """Where the values of a span went, value by value; words where none can be followed."""
    lines: list[PageLine] = []
    for number, row in enumerate(rows):
        found = use_lines(f"used {number}", row.value, row.uses, row.uses_count, width, signs, when)
        said = f"{row.value}: no later step holds it, as far as was recorded"
        lines += found or [PageLine(f"used {number} none", cut([(said, "dim")], width), value=row.value)]
    none = "Nothing here can be followed: what stands here may be met anywhere by chance."
    return lines or [PageLine(f"none {at}", [(piece, "dim")]) for at, piece in enumerate(paragraph(none, width))]


# The texts


def text_lines(view: DelegationView, width: int, signs: Signs) -> list[PageLine]:
    """The task as it was sent, how it differs where it came otherwise, and the answer."""
    sent, got = _text(view.contents, "sent"), _text(view.contents, "received")
    hidden = dict(view.hidden)
    lines = [_text_title("sent", "Task, as it was sent", hidden.get("sent", ""))]
    if got and got != sent:
        lines[0] = PageLine("sent title", [("Task, as it was sent and as it came", "title")])
        lines += _difference(sent, got, width, signs)
    else:
        lines += _plain("sent", sent, width)
    back = _text(view.contents, "returned")
    title = "What came of it" if view.row.mode == "transfer" else "What came back"
    lines += [PageLine("gap", []), _text_title("returned", title, hidden.get("back", ""))]
    return lines + _plain("returned", back, width)


def _text(contents: Sequence[Content], side: str) -> list[str]:
    return [
        line for c in contents if c.slot == side for line in [*c.text.splitlines(), *(["(cut)"] if c.is_cut else [])]
    ]


def _text_title(key: str, title: str, hidden: str) -> PageLine:
    return PageLine(f"{key} title", [(title, "title"), (f"  {hidden}" if hidden else "", "warning")])


def _plain(key: str, text: Sequence[str], width: int) -> list[PageLine]:
    return [
        line for n, each in enumerate(text[:_MAX_TEXT_LINES]) for line in _pieces(f"{key} {n}", "  ", "", each, width)
    ]


def _pieces(key: str, sign: str, role: str, text: str, width: int) -> list[PageLine]:
    pieces = wrapped(text, max(8, width - 2))
    return [
        PageLine(f"{key}.{at}", cut([put(sign if at == 0 else "", 2, role), (piece, role)], width), value=text)
        for at, piece in enumerate(pieces)
    ]


def _difference(sent: list[str], got: list[str], width: int, signs: Signs) -> list[PageLine]:
    """Both sides in one: lines that are on one side only have its sign."""
    one, other = sent[:_MAX_TEXT_LINES], got[:_MAX_TEXT_LINES]
    lines: list[PageLine] = []
    for _, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if one[a:b] == other[c:d]:
            shown = [(signs.same, "dim", text, f"both {a + n}") for n, text in enumerate(one[a:b])]
        else:
            shown = [(signs.lost, "error", text, f"sent {a + n}") for n, text in enumerate(one[a:b])]
            shown += [(signs.added, "running", text, f"got {c + n}") for n, text in enumerate(other[c:d])]
        lines += [line for sign, role, text, key in shown for line in _pieces(key, sign, role, text, width)]
    return lines
