"""Draws the way of a cascade in words and signs: its root, each hop with its number, where it was let through, where it ended.

    A1  ◆ research#2 ╫ 1 writer#1 ▸ 2 reviewer#1                                                    ★ in the final answer

Invariant: hops are numbered in the order of the path, and the same hop has the same number wherever it is drawn; the first
boundary between agents is the one that could have stopped it. Lanes, tree and the alert's page draw from one `Way`.
"""

from dataclasses import dataclass, field

from trajectory.view.rows import AlertRow, PathStep
from tui.drawing.line import Bit, Line, cut, measure, spread
from tui.signs import Signs

_NUMBERS = "123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Way:
    """The path of one alert, for drawing. `gate` is the step before which it crossed to another agent first, -1 for none;
    `delegations` says at which step a delegation was crossed; `marks` the place of each lane on it, `carriers` before which step
    agents had it in their hands that are not on the path."""

    alert_id: str
    steps: list[PathStep]
    ending: str
    gate: int = -1
    delegations: dict[str, int] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    carriers: dict[int, list[PathStep]] = field(default_factory=dict)

    @classmethod
    def of(cls, alert: AlertRow) -> "Way | None":
        """The way of an alert; None where its fault stayed in one place."""
        steps = alert.path
        if not steps:
            return None
        crossings = {step.delegation_id: at for at, step in reversed(list(enumerate(steps))) if step.delegation_id}
        marks = dict.fromkeys((step.label for step in steps), "carried") | dict.fromkeys(
            alert.affected_agents, "carried"
        )
        if alert.ending == "answer":
            marks[steps[-1].label] = "answer"
        marks[steps[0].label] = "root"
        gate = next((at for at, step in enumerate(steps) if step.way), -1)
        return cls(alert.alert_id, steps, alert.ending, gate, crossings, marks, _carriers(alert))


def _carriers(alert: AlertRow) -> dict[int, list[PathStep]]:
    """Those that had it before it came to the last step, by the step before which they did."""
    found: dict[int, list[PathStep]] = {}
    for carrier in sorted((step for step in alert.beside if step.way == "carried"), key=lambda step: step.at_ns):
        later = [at for at, step in enumerate(alert.path) if at and step.at_ns > carrier.at_ns]
        if later:
            found.setdefault(later[0], []).append(carrier)
    return found


def hop_sign(at: int, signs: Signs) -> str:
    """The sign of a step on its path: the root's, then numbers, then letters."""
    if at == 0:
        return signs.root
    return _NUMBERS[at - 1] if at <= len(_NUMBERS) else signs.carried


def ending_line(ending: str, signs: Signs, *, brief: bool = False) -> Line:
    """Where a path came to, in a few words or in a word."""
    sign, text, word, role = {
        "answer": (signs.answer, "in the final answer", "answer", "mark"),
        "run": (signs.error, "ended the run", "ended", "error"),
        "stopped": (signs.ok, "reached no answer", "stopped", "ok"),
        "open": (signs.running, "the run goes on", "open", "running"),
    }.get(ending, (" ", "", "", ""))
    text = word if brief else text
    return [(sign, role), (f" {text}", role)] if text else []


def crossing_words(step: PathStep, before: str) -> str:
    """How a fault came from one agent to another: `in the answer of research#1 to planner#1`."""
    words = {
        "task": "in the task that {} gave {}",
        "answer": "in the answer of {} to {}",
        "error": "as the error of {} to {}",
    }
    return words.get(step.way, "in words of {} that {} had").format(before, step.label)


def way_line(way: Way, width: int, signs: Signs) -> Line:
    """The agents on a path in order, with the number of the first step of each, in exactly `width` cells."""
    hops: list[Line] = []
    for at, step in enumerate(way.steps):
        is_new = at == 0 or step.label != way.steps[at - 1].label
        if not is_new:
            continue
        between: list[Bit] = []
        if at:
            between = [(f" {signs.gate if at == way.gate else signs.crumb} ", "mark" if at == way.gate else "dim")]
        hops.append(
            [*between, (hop_sign(at, signs), "mark"), (f" {step.label or step.name}", "strong" if at == 0 else "")]
        )
    head: Line = [(f"{way.alert_id} ", "dim")]
    whole = sum(map(measure, hops)) + measure(head) + 2
    end = ending_line(way.ending, signs, brief=whole + measure(ending_line(way.ending, signs)) > width)
    return spread([*head, *_fitting(hops, width - measure(head) - measure(end) - 2, signs)], end, width)


def _fitting(hops: list[Line], room: int, signs: Signs) -> Line:
    """The hops one after the other; where they do not fit, those in the middle give way, and how many is said."""
    left_out = 0
    while True:
        first = max(1, (len(hops) - left_out + 1) // 2)
        shown = hops[:first] + hops[first + left_out :]
        skipped: Line = [(f" {signs.crumb} {left_out} more", "dim")] if left_out else []
        whole = (
            [bit for hop in hops[:first] for bit in hop]
            + skipped
            + [bit for hop in hops[first + left_out :] for bit in hop]
        )
        if measure(whole) <= room or len(shown) <= 2:
            return whole if measure(whole) <= room else cut(whole, max(0, room))
        left_out += 1
