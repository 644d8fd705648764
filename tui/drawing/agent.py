"""Draws one agent's trajectory: its steps one a line, its figures beside those of earlier runs, and what it exchanged.

    00:11.840  ⇠ receive   planner#1  5 of 7 items, lost fiscal year FY25      ▲ A2
    00:17.600  ▒ retry   ✗ search_web ×3  timeout                            13.4 s
    00:39.400  ◂ return    planner#1  EU 38.9M (S3)

Invariant: what happened is told by word and sign, whatever the colour; what was not captured says so and is never a zero.
Rows in, lines out; the agent's screen draws with it.
"""

from collections.abc import Callable, Sequence

from trajectory.view.agent_rows import AgentMessage, AgentStep
from trajectory.view.rows import AlertRow
from trajectory.view.views import AgentView
from tui.drawing.line import Line, cut, joined, measure, put, put_label, spread
from tui.drawing.numbers import coarse, duration, grouped, many, scaled
from tui.drawing.page import PageLine, paragraph
from tui.drawing.spark import spark
from tui.signs import Signs, mark_sign, severity_sign, state_sign

When = Callable[[int], str]
_SIGNS = {
    "model": "model", "tool": "tool", "retrieval": "tool", "retry": "retry", "delegate": "call", "receive": "receive",
    "answer": "receive", "return": "back",
}  # fmt: skip
_ROLES = {
    "model": "model", "tool": "tool", "retrieval": "tool", "retry": "retry", "delegate": "delegation",
    "receive": "delegation", "answer": "delegation", "return": "delegation", "thought": "dim", "plan": "dim", "context": "dim",
}  # fmt: skip
_WHO_ROLES = {
    "task": "strong",
    "model": "model",
    "tool": "tool",
    "asked": "delegation",
    "answer": "delegation",
    "gave": "strong",
}
_ENDS = {"ok": "returned", "error": "failed", "cut_off": "cut off"}
_FACT = 10  # cells of a fact's name
_ALERTS_NAMED = 4


# Above


def agent_headline(view: AgentView, width: int, signs: Signs, now_ns: int) -> Line:
    """What an agent came to, in one line: its state and its figures where the facts have no room, the alerts on it, its place."""
    facts = view.facts
    sign, role = state_sign(signs, facts.state)
    place: Line = [("[ ", "" if view.previous_id else "frame"), (f"{view.number} of {view.total}", "dim")]
    place.append((" ] ", "" if view.next_id else "frame"))
    took = duration((facts.end_ns or now_ns) - facts.start_ns) if facts.start_ns else ""
    parts: list[Line] = [[(" ", ""), (sign, role), (f" {took}", "")]]
    if width >= 100:
        parts.append([(facts.label, "strong")])
        parts += [_alert_part(alert, signs, with_kind=True) for alert in view.alerts[:_ALERTS_NAMED]]
        return spread(joined(parts), place, width)
    errors = [(f"{facts.errors} err", "error" if facts.errors else "dim")]
    parts += [[(f"{coarse(facts.steps)} steps", "")], errors]
    parts += [[(many(facts.retries, "retry", "retries"), "")]] if facts.retries else []
    tokens = f"{coarse(facts.input_tokens)} in {coarse(facts.output_tokens)} out"
    parts += [[(tokens, "")]] if facts.input_tokens + facts.output_tokens and width >= 70 else []
    alerts: Line = []
    for alert in view.alerts[:_ALERTS_NAMED]:
        alerts += [(" ", ""), *_alert_part(alert, signs, with_kind=False)]
    return spread(joined(parts, "  "), [*alerts, (" ", ""), *place], width)


def _alert_part(alert: AlertRow, signs: Signs, *, with_kind: bool) -> Line:
    sign, role = severity_sign(signs, alert.severity)
    return [(sign, role), (f" {alert.alert_id[:8]}" if with_kind else alert.alert_id[:8], "strong")] + (
        [(f" {alert.kind[:40]}", "dim")] if with_kind else []
    )


# Steps


def trajectory_line(step: AgentStep, came: Line, when: str, width: int, signs: Signs) -> Line:
    """One step: when, what, how it went, of what and what came of it; the alerts on it and its time at the right. `came` is what
    is to be said of a task that was received."""
    wide = width >= 60
    role = _ROLES.get(step.what, "")
    sign = getattr(signs, _SIGNS[step.what]) if step.what in _SIGNS else ""
    line: Line = [(when, "dim"), ("  " if wide else " ", ""), put(sign, 2, role), put(step.what, 8, role), (" ", "")]
    line += [_how(step, signs), (" ", "")]
    line += [(step.name, "" if step.name else "dim"), ("  ", "")] if step.name else []
    if step.count > 1:
        line.insert(-1, (f" {signs.times}{grouped(step.count)}", "strong"))
    line += came
    is_error = step.status == "error" and step.what not in ("receive", "delegate")
    line.append((step.text, "error" if is_error else "" if step.what in ("thought", "return", "model") else "dim"))
    return spread(line, _end(step, signs, wide=wide), width)


def _how(step: AgentStep, signs: Signs) -> tuple[str, str]:
    """Its place on a cascade, else that it failed, was cut off or goes on."""
    if step.mark:
        return mark_sign(signs, step.mark)
    return state_sign(signs, step.status) if step.status and step.status != "ok" else (" ", "")


def _end(step: AgentStep, signs: Signs, *, wide: bool) -> Line:
    line: Line = []
    for severity, alert_id in step.found[:2]:
        sign, role = severity_sign(signs, severity)
        line += [(f"{sign} ", role), (alert_id[:8], "strong"), (" ", "")]
    took = duration(step.duration_ns) if step.duration_ns else ""
    if took and wide:
        line.append(put(took, 7, "dim", right=True))
    elif took:
        line.append((took, "dim"))
    return line


def came_with(view: AgentView, signs: Signs) -> Line:
    """How much of what was needed came with the task, and what was lost on the way."""
    lost = list(dict.fromkeys(value for row in view.given for value in row.lost))
    line: Line = []
    if view.arrived is not None and view.arrived[1]:
        line = [(f"{view.arrived[0]} of {many(view.arrived[1], 'item')}", "error" if lost else "")]
    if lost:
        line += [(", " if line else "", ""), (f"{signs.lost} lost {', '.join(lost[:4])}", "error")]
    return [*line, ("  ", "")] if line else []


# What was exchanged


def message_lines(messages: Sequence[AgentMessage], width: int, signs: Signs, when: When, most: int) -> list[PageLine]:
    """Who said what, each over at most `most` lines; what a message led to stands at the right of its first."""
    lines: list[PageLine] = []
    head = 8 if width < 60 else 10
    for message in messages:
        role = "error" if message.is_error else _WHO_ROLES.get(message.who, "dim")
        named = f"{message.name}: " if message.name else ""
        arrow = {"task": "from ", "asked": "to ", "answer": "from ", "gave": "to "}.get(message.who, "")
        end = _message_end(message, signs)
        if width >= 100:
            end = [*end, (f" {when(message.at_ns)}", "dim")]
        said = f"{arrow}{named}{message.text}" + (signs.ellipsis if message.is_cut else "")
        room = width - head - 1
        for at, piece in enumerate(paragraph(said, room - measure(end) - 1 if end else room, most)):
            line: Line = [put(message.who if at == 0 else "", head, role), (" ", "")]
            line.append((piece, "error" if message.is_error else ""))
            drawn = spread(line, end if at == 0 else [], width)
            lines.append(
                PageLine(f"{message.key}.{at}", drawn, message.span_id, value=message.text, is_error=message.is_error)
            )
    return lines


def _message_end(message: AgentMessage, signs: Signs) -> Line:
    line: Line = [mark_sign(signs, message.mark)] if message.mark else []
    for severity, alert_id in message.found[:2]:
        sign, role = severity_sign(signs, severity)
        line += [(" " if line else "", ""), (f"{sign} ", role), (alert_id[:8], "strong")]
    return line


# Figures


def fact_lines(view: AgentView, width: int, signs: Signs, when: When, now_ns: int) -> list[PageLine]:
    """Who the agent is, what it spent, whom it worked with, how it usually does, and the alerts on it."""
    lines = _who_lines(view, width, signs, when, now_ns)
    lines += [PageLine("gap spent", []), *_spent_lines(view, width, signs)]
    lines += [PageLine("gap usual", []), *usual_lines(view, width, signs)]
    if view.alerts:
        lines += [PageLine("gap alerts", []), PageLine("alerts", [("Alerts", "title")])]
    for alert in view.alerts:
        sign, role = severity_sign(signs, alert.severity)
        line: Line = [("  ", ""), (sign, role), (f" {alert.alert_id[:8]} ", "strong"), (alert.kind, role)]
        line += [("  ", ""), (signs.written(alert.summary), "dim")]
        lines.append(PageLine(f"alert {alert.key}", cut(line, width), alert_key=alert.key, value=alert.message))
    return lines


def _fact(name: str, value: Line, width: int, copied: str = "", delegation_id: str = "") -> PageLine:
    line = cut([put(name, _FACT, "dim"), *value], width)
    said = copied or "".join(text for text, _ in value)
    return PageLine(f"{name or 'more'} {delegation_id}", line, value=said, delegation_id=delegation_id)


def _who_lines(view: AgentView, width: int, signs: Signs, when: When, now_ns: int) -> list[PageLine]:
    facts = view.facts
    sign, role = state_sign(signs, facts.state)
    state: Line = [(sign, role), (f" {_ENDS.get(facts.state, facts.state.replace('_', ' '))}", role)]
    state += [(f" {when(facts.end_ns)}", "")] if facts.end_ns else []
    if facts.start_ns:
        state.append((f"  after {duration((facts.end_ns or now_ns) - facts.start_ns)}", "dim"))
    named: Line = [mark_sign(signs, facts.mark), (" ", "")] if facts.mark else []
    lines = [_fact("name", [*named, (facts.label, "strong"), (f"  {facts.service}", "dim")], width, facts.label)]
    lines.append(_fact("state", state, width))
    lines.append(_fact("model", [(", ".join(facts.models) or "not said", "" if facts.models else "dim")], width))
    for at, row in enumerate(view.given or ()):
        word = signs.transfer if row.mode == "transfer" else signs.call
        value: Line = [put_label(row.source or "(unknown)", 16, "strong"), (f" {word} {row.mode}", "delegation")]
        lines.append(_fact("parent" if at == 0 else "", value, width, row.source, row.delegation_id))
    if not view.given:
        lines.append(_fact("parent", [("nobody is known to have asked it", "dim")], width))
    came = "".join(text for text, _ in came_with(view, signs)).strip()
    for at, piece in enumerate(paragraph(came, width - _FACT, 2) if came else ()):
        lines.append(_fact("got" if at == 0 else "", [(piece, "error" if signs.lost in came else "")], width, came))
    for at, row in enumerate(view.gave):
        state_of, its_role = state_sign(signs, row.state)
        value = [
            put_label(row.target or "(unknown)", 16, "strong"),
            (" ", ""),
            (state_of, its_role),
            (f" {row.state}", ""),
        ]
        lines.append(_fact("children" if at == 0 else "", value, width, row.target, row.delegation_id))
    if not view.gave:
        lines.append(_fact("children", [("none", "dim")], width))
    if view.gave_total > len(view.gave):
        lines.append(_fact("", [(f"and {grouped(view.gave_total - len(view.gave))} more", "dim")], width))
    return lines


def _spent_lines(view: AgentView, width: int, signs: Signs) -> list[PageLine]:
    facts = view.facts
    counts: Line = [
        (grouped(facts.steps), ""),
        ("   errors ", "dim"),
        (str(facts.errors), "error" if facts.errors else ""),
    ]
    counts += [("   retries ", "dim"), (str(facts.retries), "warning" if facts.retries else "")]
    lines = [_fact("steps", counts, width)]
    if facts.input_tokens + facts.output_tokens:
        tokens: Line = [
            ("in ", "dim"),
            (scaled(facts.input_tokens), ""),
            ("  out ", "dim"),
            (scaled(facts.output_tokens), ""),
        ]
        if facts.cached_tokens is not None and facts.input_tokens:
            share = min(100, round(100 * facts.cached_tokens / facts.input_tokens))
            tokens += [("  cached ", "dim"), (f"{share} %", "")]
        lines.append(_fact("tokens", tokens, width))
    else:
        lines.append(_fact("tokens", [("not said" if facts.calls else "none: it called no model", "dim")], width))
    if facts.context:
        room = max(4, min(16, width - _FACT - 22))
        context: Line = [
            (spark(facts.context, signs, room), "running"),
            ("  peak ", "dim"),
            (scaled(facts.context_peak), ""),
        ]
        window = scaled(facts.context_window) if facts.context_window else "?"
        context += [(f" / {window}", "" if facts.context_window else "dim")]
        lines.append(_fact("context", context, width))
    if facts.latency_p50_ns:
        latency: Line = [("p50 ", "dim"), (duration(facts.latency_p50_ns), ""), ("  p95 ", "dim")]
        latency += [(duration(facts.latency_p95_ns), ""), (f"  of {many(facts.calls, 'call')}", "dim")]
        lines.append(_fact("latency", latency, width))
    if facts.cost_usd is not None:
        lines.append(_fact("cost", [(f"${facts.cost_usd:,.2f}", "")], width))
    return lines


def usual_lines(view: AgentView, width: int, signs: Signs) -> list[PageLine]:
    """Its figures beside those of its earlier runs: as a range, with a sign where it lies outside."""
    if view.usual_of < 0:
        return [PageLine("usual", [(f"reading its earlier runs {signs.ellipsis}", "dim")])]
    if not view.usual:
        few = (
            f"no history: {many(view.usual_of, 'earlier run')} of it" if view.usual_of else "no history: its first run"
        )
        return [PageLine("usual", cut([(few, "dim")], width))]
    lines = [PageLine("usual", cut([(f"Compared with its last {many(view.usual_of, 'run')}", "title")], width))]
    for row in view.usual:
        now, low, high = (_amount(value, row.unit) for value in (row.now, row.low, row.high))
        usual = low if low == high else f"{low}{signs.dash}{high}"
        line: Line = [
            ("  ", ""),
            put(row.name, 9, "dim"),
            put(now, 8, "warning" if row.is_outside else ""),
            (" usual ", "dim"),
        ]
        line += [put(usual, max(4, min(18, width - 28)), ""), (signs.high if row.is_outside else " ", "warning")]
        lines.append(PageLine(f"usual {row.name}", cut(line, width), value=f"{row.name} {now}, usual {usual}"))
    return lines


def _amount(value: int, unit: str) -> str:
    return duration(value) if unit == "ns" else coarse(value)
