"""The lines of an alert's page: its path hop by hop, how far it came, what let it through, and what is not known.

Invariant: each line that tells of a span names it, so that it can be opened; a quote is bounded and said as it was recorded;
what is not there is said in words. Rows in, lines out; the alert's screen draws with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trajectory.view.rows import AlertRow, PathStep
from trajectory.view.text import wrapped
from tui.drawing.advice import advice, value_name
from tui.drawing.alerts import alert_line, kind_width, preview_line, state_of
from tui.drawing.line import Line, cut, put, put_label, spread
from tui.drawing.numbers import duration, grouped, many
from tui.drawing.path import Way, crossing_words, ending_line, hop_sign
from tui.signs import DOWN, UP, Signs, severity_sign, state_sign

_MOST_QUOTE_LINES = 3
_CARRIED = "carried it too: "  # an agent that had it in its hands, and is not on the way to where it ended
_KINDS = {"model": "model", "tool": "tool", "retrieval": "tool", "delegation": "delegation", "agent": "strong"}
When = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class PageLine:
    """One line: its key across redraws, what is drawn, what it opens (a span, an alert, a delegation), what a copy takes. The
    keys of lines that tell of one thing are the same up to a dot."""

    key: str
    line: Line
    span_id: str = ""
    alert_key: str = ""
    value: str = ""
    is_error: bool = False
    delegation_id: str = ""

    @property
    def choice(self) -> tuple[str, str]:
        """What is chosen with this line: the thing that it tells of and what that opens; nothing where it opens nothing."""
        opens = self.alert_key or self.delegation_id or self.span_id
        return (self.key.partition(".")[0], opens) if opens else ("", "")


def paragraph(text: str, width: int, most: int = _MOST_QUOTE_LINES) -> list[str]:
    """A text over a few lines; what does not fit is the end of the last of them, which is cut where it is drawn."""
    room = max(16, width)
    lines = [piece.strip() for piece in wrapped(text[: 4 * room * (most + 1)], room, least=1 / 3)]
    return lines if len(lines) <= most else [*lines[: most - 1], " ".join(lines[most - 1 :])]


def headline(alert: AlertRow, width: int, signs: Signs, when: When) -> Line:
    """What an alert is, in one line: severity, number, kind, how sure, by what right, who has it in hand."""
    sign, role = severity_sign(signs, alert.severity)
    line: Line = [
        (" ", ""),
        (sign, role),
        (f" {alert.alert_id}  ", "strong"),
        (alert.kind, role),
        (f"  {alert.severity}", ""),
    ]
    line += [("  sure ", "dim"), (f"{alert.confidence:.2f}", ""), ("  ", ""), (alert.grade, "dim")]
    until = f"until {when(alert.muted_until_ns)} " if alert.muted_until_ns else ""
    stands = state_of(alert)
    state: Line = [(f"{stands} {until}", "strong" if stands == "open" else "dim")]
    if width >= 100:
        state = [("opened ", "dim"), (f"{when(alert.opened_ns)}  ", ""), *state]
    return spread(line, state, width)


def message_lines(alert: AlertRow, width: int, most: int) -> list[Line]:
    """The sentence, over as many lines as it takes, at most so many."""
    lines = paragraph(alert.message or alert.summary, width - 2, most)
    return [cut([(" ", ""), (piece, "")], width) for piece in lines]


def path_lines(alert: AlertRow, width: int, signs: Signs, when: When) -> list[PageLine]:
    """The path from its root to its end: each hop with agent, name, time and what it did, and how it came to the next."""
    way = Way.of(alert)
    if way is None:
        return _place_lines(alert, width, signs)
    lines: list[PageLine] = []
    for at, step in enumerate(way.steps):
        if step.way:
            lines += _crossing_lines(way, at, width, signs)
        for carrier in way.carriers.get(at, ()):
            lines += _step_lines(
                f"carrier {carrier.span_id}", carrier, signs.carried, width, signs, when, is_rail=True, lead=_CARRIED
            )
        lines += _step_lines(
            f"hop {step.span_id}", step, hop_sign(at, signs), width, signs, when, is_rail=at < len(way.steps) - 1
        )
    took_ns = way.steps[-1].at_ns - way.steps[0].at_ns
    is_over = way.ending in ("answer", "run")
    end = ending_line(way.ending, signs)
    if end:
        end = [*end, (f", {duration(took_ns)} after the root" if took_ns > 0 and is_over else "", "dim")]
        lines.append(PageLine("ending", cut(end, width), way.steps[-1].span_id, value=alert.ending))
    return lines + _beside_lines(alert, way, width, signs, when)


def _step_lines(
    key: str, step: PathStep, sign: str, width: int, signs: Signs, when: When, *, is_rail: bool, lead: str = ""
) -> list[PageLine]:
    status, role = state_sign(signs, step.status) if step.status else (" ", "")
    label = 11 if width < 60 else 14 if width < 100 else 24
    head: Line = [
        put(sign, 2, "mark"),
        (status, role),
        (" ", ""),
        put_label(step.label or signs.dash, label, "strong"),
        (" ", ""),
    ]
    if width >= 60:
        head += [put(step.kind, 10, _KINDS.get(step.kind, "dim")), (" ", "")]
    head.append((step.name, ""))
    found = [
        PageLine(
            key,
            spread(head, [(when(step.at_ns), "dim")], width),
            step.span_id,
            value=f"{step.name}: {step.text}" if step.text else step.name,
            is_error=role == "error",
        )
    ]
    rail = signs.lines_heavy[UP | DOWN] if is_rail else " "
    said = lead + (step.text or "(nothing was recorded of what it said)")
    for number, piece in enumerate(paragraph(said, width - 4)):
        line: Line = [(rail, "error"), ("   ", ""), (piece, "" if step.text else "dim")]
        found.append(PageLine(f"{key}.{number}", cut(line, width), step.span_id, value=said))
    return found


def _crossing_lines(way: Way, at: int, width: int, signs: Signs) -> list[PageLine]:
    """How it came from the agent before to this one; at the gate, that it could have been caught there."""
    step = way.steps[at]
    words = crossing_words(step, way.steps[at - 1].label)
    is_gate = at == way.gate
    here = "could have been caught here" if way.ending else "it happened here"
    text = f"{here}: {words}" if is_gate else words
    rail, span_id = signs.lines_heavy[UP | DOWN], step.delegation_id or step.span_id
    found = []
    for number, piece in enumerate(paragraph(text, width - 2)):
        sign = (signs.gate, "mark") if is_gate and number == 0 else (rail, "error")
        line: Line = [sign, (" ", ""), (piece, "mark" if is_gate else "dim")]
        found.append(PageLine(f"to {step.span_id}.{number}", cut(line, width), span_id, value=words))
    return found


def _place_lines(alert: AlertRow, width: int, signs: Signs) -> list[PageLine]:
    """An alert without a path: where it is, and what was seen there."""
    known = PageLine(
        "place", cut([("No path: it is about one place. ", "dim"), (alert.summary, "strong")], width), alert.span_id
    )
    return [known, *_evidence_lines(alert, width, signs)]


def _evidence_lines(alert: AlertRow, width: int, signs: Signs) -> list[PageLine]:
    on_path = {step.span_id for step in alert.path}
    rest = [each for each in alert.evidence if each.span_id not in on_path]
    lines: list[PageLine] = []
    for number, each in enumerate(rest):
        for piece_at, piece in enumerate(paragraph(each.text, width - 2)):
            line: Line = [(signs.dot if piece_at == 0 else " ", "mark"), (" ", ""), (piece, "")]
            lines.append(PageLine(f"seen {number}.{piece_at}", cut(line, width), each.span_id, value=each.text))
    return _titled("evidence", "Seen", lines)


def _beside_lines(alert: AlertRow, way: Way, width: int, signs: Signs, when: When) -> list[PageLine]:
    """What else worked with it, and is not on the way to where it ended."""
    lines: list[PageLine] = []
    told = [step for steps in way.carriers.values() for step in steps]
    for number, step in enumerate(step for step in alert.beside if step not in told):
        line: Line = [
            (f"{signs.carried} ", "mark"),
            put_label(step.label or signs.dash, 14, "strong"),
            (" ", ""),
            (step.name, ""),
        ]
        line.append((f"  {step.text}", "dim"))
        lines.append(
            PageLine(
                f"beside {number}", spread(line, [(when(step.at_ns), "dim")], width), step.span_id, value=step.text
            )
        )
    more = alert.affected_spans - len(alert.path) - len(alert.beside)
    if more > 0 and lines:
        lines.append(PageLine("beside more", [(f"  and {many(more, 'more step')}", "dim")]))
    return _titled("beside", "Beside the path", lines)


def about_lines(alert: AlertRow, others: Sequence[AlertRow], width: int, signs: Signs) -> list[PageLine]:
    """How far it came, what let it through, which other alerts lie on its way, and what is not known."""
    way = Way.of(alert)
    facts: list[tuple[str, str, str]] = []  # name, value, the span that it opens
    if way is not None:
        count = f"{many(alert.affected_spans, 'step')} of {many(len(alert.affected_agents), 'agent')}"
        facts.append(("reached", f"{count}: {', '.join(alert.affected_agents)}", ""))
        if way.ending:
            facts.append(("ended", "".join(text for text, _ in ending_line(way.ending, signs)), way.steps[-1].span_id))
        if way.gate > 0:
            step = way.steps[way.gate]
            words = crossing_words(step, way.steps[way.gate - 1].label)
            facts.append(("let through" if way.ending else "happened", words, step.delegation_id or step.span_id))
        elif way.ending:
            facts.append(("let through", "by nobody: it stayed with one agent", ""))
    if alert.value and value_name(alert.kind):
        facts.append((value_name(alert.kind), alert.value, alert.root_span_id))
    if alert.count > 1:
        facts.append(("findings", f"{grouped(alert.count)}, taken together", ""))
    lines = [line for name, value, span_id in facts for line in _fact(name, value, span_id, width)]
    lines += _titled(
        "advice",
        "What to do",
        [
            each
            for n, text in enumerate(advice(alert, way, others))
            for each in _said_lines(f"advice {n}", text, width, signs)
        ],
    )
    if way is not None:
        lines += _evidence_lines(alert, width, signs)
    lines += _others(alert, others, width, signs)
    told = [
        line for number, text in enumerate(alert.unknown) for line in unknown_lines(f"unknown {number}", text, width)
    ]
    return lines + _titled("unknown", "Not known", told)


def _said_lines(key: str, text: str, width: int, signs: Signs) -> list[PageLine]:
    return [
        PageLine(f"{key}.{at}", cut([(signs.dot if at == 0 else " ", "ok"), (" ", ""), (piece, "")], width), value=text)
        for at, piece in enumerate(paragraph(text, width - 2))
    ]


def _fact(name: str, value: str, span_id: str, width: int) -> list[PageLine]:
    lines = paragraph(value, width - 12)
    return [
        PageLine(f"{name}.{n}", cut([put(name if n == 0 else "", 12, "dim"), (piece, "")], width), span_id, value=value)
        for n, piece in enumerate(lines)
    ]


def _others(alert: AlertRow, others: Sequence[AlertRow], width: int, signs: Signs) -> list[PageLine]:
    related = [other for key in alert.related for other in others if other.key == key]
    kinds = kind_width(related, width)
    lines = [
        PageLine(
            f"alert {other.key}",
            preview_line(other, width, signs)
            if width < 70
            else cut(alert_line(other, min(width, 99), signs, 0, kinds=kinds), width),
            alert_key=other.key,
            value=other.message,
        )
        for other in related
    ]
    return _titled("alerts", "Also found on its way", lines)


def unknown_lines(key: str, text: str, width: int) -> list[PageLine]:
    """One sentence on what is not known."""
    lines = paragraph(text, width - 2)
    return [
        PageLine(f"{key}.{at}", cut([("? " if at == 0 else "  ", "warning"), (piece, "")], width), value=text)
        for at, piece in enumerate(lines)
    ]


def _titled(key: str, title: str, lines: list[PageLine]) -> list[PageLine]:
    return [PageLine(f"{key} gap", []), PageLine(f"{key} title", [(title, "title")]), *lines] if lines else []
