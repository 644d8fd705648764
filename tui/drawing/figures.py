"""Draws how well a delegation went: its figures in one line, and whole with those of all between the two agents.

Invariant: what is not known is a question mark or words that say so, and never a nought. Rows in, lines out; the screen of a
delegation draws with it.
"""

from trajectory.view.rows import FiguresRow
from trajectory.view.views import DelegationView
from tui.drawing.alerts import preview_line
from tui.drawing.line import Line, cut, measure, put
from tui.drawing.numbers import duration, grouped, many, money, scaled
from tui.drawing.page import PageLine, unknown_lines
from tui.signs import Signs

NOT_CAPTURED = "?"
_AGAIN = {"retry": "a retry of", "redo": "does again what was rejected:", "repeat": "a repeat of"}


def figures_line(figures: FiguresRow, width: int, signs: Signs) -> Line:
    """How well it went, in one line."""
    line: Line = [(" ", ""), *_arrived(figures, signs, 10 if width < 100 else 14)]
    for parts in (_damage(figures), _back(figures), _price(figures), _rework(figures)):
        if measure(line) + measure(parts) + 2 <= width:
            line += [("  ", ""), *parts]
    return cut(line, width)


def _count(number: int | None) -> str:
    return NOT_CAPTURED if number is None else grouped(number)


def _arrived(figures: FiguresRow, signs: Signs, cells: int) -> Line:
    if figures.needed is None or figures.arrived is None:
        return [("sent ", "dim"), ("not observable", "warning")]
    line: Line = [("sent ", "dim"), (f"{grouped(figures.arrived)} of {grouped(figures.needed)} needed", "strong")]
    if figures.needed:
        share = min(figures.arrived / figures.needed, 1.0)
        whole = figures.arrived >= figures.needed
        full = max(int(share * cells), 1 if figures.arrived else 0)
        line += [(" ", ""), (signs.model * full, "ok" if whole else "warning"), (signs.gap * (cells - full), "dim")]
        line.append((f" {int(100 * share)} %", ""))
    return line


def _damage(figures: FiguresRow) -> Line:
    if figures.needed is None:
        return []
    counts = [(figures.lost, "lost", "error"), (figures.altered, "altered", "warning"), (figures.added, "added", "")]
    return [bit for n, word, role in counts if n for bit in ((f"{grouped(n)} {word} ", role),)] or [
        ("none lost", "dim")
    ]


def _back(figures: FiguresRow) -> Line:
    if figures.returned is None:
        return [("back ", "dim"), (NOT_CAPTURED, "warning")]
    return [("back ", "dim"), (f"{grouped(figures.returned)}, used {_count(figures.used)}", "")]


def _price(figures: FiguresRow) -> Line:
    tokens = NOT_CAPTURED if figures.tokens is None else scaled(figures.tokens)
    return [(f"{tokens} tok  ", ""), ("cost ", "dim"), (_money(figures.cost_usd), "")]


def _money(cost_usd: float | None) -> str:
    return NOT_CAPTURED if cost_usd is None else money(cost_usd)


def _rework(figures: FiguresRow) -> Line:
    counts = [
        (figures.repeats, "repeat", "repeats"),
        (figures.retries, "retry", "retries"),
        (figures.redos, "redo", "redos"),
    ]
    said = ", ".join(many(n, one, more) for n, one, more in counts if n)
    return [("rework ", "dim"), (said or "none", "warning" if said else "dim")]


def verdict_lines(view: DelegationView, width: int, signs: Signs) -> list[PageLine]:
    """The figures of this delegation and of those between the two, what it does again, its alerts, and what cannot be told."""
    lines = _figure_lines("own", view.figures, width, signs)
    row = view.row
    if view.again:
        text = f"{_AGAIN.get(view.again, view.again)} {view.again_id[:8]}"
        lines.append(
            PageLine("again", cut([put("", 10), (text, "warning")], width), view.again_id, value=view.again_id)
        )
    known = f"{row.grade}: {row.reason}" if row.reason else row.grade
    lines.append(PageLine("grade", cut([put("known", 10, "dim"), (known, "")], width), row.span_id, value=known))
    lines.append(
        PageLine(
            "id", cut([put("id", 10, "dim"), (row.delegation_id, "")], width), row.span_id, value=row.delegation_id
        )
    )
    for alert in view.alerts:
        line = preview_line(alert, width, signs)
        lines.append(PageLine(f"alert {alert.key}", line, alert_key=alert.key, value=alert.message, is_error=True))
    if view.between is not None:
        count, total = view.between.delegations, view.between_total
        title = (
            f"The latest {count} of {grouped(total)} between the two"
            if total > count
            else f"All {count} between the two"
        )
        lines += [PageLine("between gap", []), PageLine("between title", [(title, "title")])]
        lines += _figure_lines("between", view.between, width, signs)
    texts = dict.fromkeys(text for _, text in view.hidden)
    told = [line for n, text in enumerate(texts) for line in unknown_lines(f"hidden {n}", text, width)]
    if told:
        lines += [PageLine("hidden gap", []), PageLine("hidden title", [("Not observable", "title")]), *told]
    return lines


def _figure_lines(key: str, figures: FiguresRow, width: int, signs: Signs) -> list[PageLine]:
    took = NOT_CAPTURED if figures.took_ns is None else duration(figures.took_ns)
    counts = f"lost {_count(figures.lost)}  altered {_count(figures.altered)}  added {_count(figures.added)}"
    rows: list[tuple[str, Line]] = [
        ("items", _arrived(figures, signs, 10)),
        ("", [(counts, "")]),
        ("returned", [(f"{_count(figures.returned)} new, {_count(figures.used)} used later", "")]),
        ("spent", [(f"{took}  ", ""), *_price(figures)]),
        ("", _rework(figures)),
    ]
    if figures.delegations > 1:
        unknown = (figures.unseen, "what was sent"), (figures.unheard, "what was used")
        rows += [
            ("", [(f"of {many(n, 'delegation')} {what} is not observable", "warning")]) for n, what in unknown if n
        ]
    return [PageLine(f"{key} {n}", cut([put(name, 10, "dim"), *line], width)) for n, (name, line) in enumerate(rows)]
