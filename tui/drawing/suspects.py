"""Draws suspects: the steps that a ranking without a model holds for decisive, with their scores as bars and its reasons.

    1 ███▏       32 % ◆ research#2  read_cache S3                                                              00:33.500
                      introduces 38.9M, which no source holds

Invariant: a bar is as long as the score is of certainty, so that a weak first place looks weak; every line names its span.
The cockpit and the alert's page draw with it.
"""

from collections.abc import Callable, Sequence

from trajectory.view.rows import SuspectRow
from tui.drawing.line import Line, put, put_label, spread
from tui.drawing.page import PageLine, paragraph, unknown_lines
from tui.drawing.path import Way, hop_sign
from tui.signs import Signs

NOT_A_VERDICT = "no model call; a ranking, not a verdict"
NO_SUSPECTS = "No suspects: nothing that was recorded in this run speaks against a step."
_BAR_CELLS = 10


def suspect_lines(
    rows: Sequence[SuspectRow],
    limits: Sequence[str],
    way: Way | None,
    width: int,
    signs: Signs,
    when: Callable[[int], str],
) -> list[PageLine]:
    """The lines of all suspects, the best first: one with bar, score, agent and step, then its reasons; what the ranking could
    not take into account at last. Without suspects, words that say so."""
    hops = {step.span_id: hop_sign(at, signs) for at, step in reversed(list(enumerate(way.steps)))} if way else {}
    lines: list[PageLine] = []
    for row in rows:
        key, value = f"suspect {row.span_id}", f"{row.label} {row.name}: {'; '.join(row.reasons)}"
        bar_cells = _BAR_CELLS if width >= 60 else 4
        head: Line = [
            put(str(row.rank), 2, "strong", right=True),
            (" ", ""),
            (score_bar(row.score, bar_cells, signs), "tool"),
        ]
        head += [
            put(_percent(row.score), 5, "strong", right=True),
            (" ", ""),
            put(hops.get(row.span_id, ""), 2, "mark"),
        ]
        head += [put_label(row.label, 14 if width < 100 else 24, "strong"), (" ", ""), (row.name, "")]
        lines.append(
            PageLine(
                key, spread(head, [(when(row.at_ns), "dim")] if width >= 60 else [], width), row.span_id, value=value
            )
        )
        indent = bar_cells + 11
        for number, reason in enumerate(row.reasons):
            for piece_at, piece in enumerate(paragraph(reason, width - indent)):
                line: Line = [(" " * indent, ""), (piece, "dim")]
                lines.append(PageLine(f"{key}.{number}.{piece_at}", line, row.span_id, value=reason))
    if not rows:
        lines.append(PageLine("none", [(NO_SUSPECTS, "dim")]))
    return lines + [
        line for number, text in enumerate(limits) for line in unknown_lines(f"limit {number}", text, width)
    ]


def _percent(score: float) -> str:
    percent = round(100 * _within(score))
    return f"{percent} %" if percent or score <= 0 else "<1 %"


def _within(score: float) -> float:
    return min(max(score, 0.0), 1.0) if score == score else 0.0


def score_bar(score: float, width: int, signs: Signs) -> str:
    """A score as a bar in exactly `width` cells, in eighths of a cell; a score above nothing is seen."""
    eighths = round(_within(score) * width * 8)
    eighths = max(eighths, 1 if score > 0 else 0)
    whole, part = divmod(eighths, 8)
    return (signs.ends[7] * whole + (signs.ends[part - 1] if part else "")).ljust(width)
