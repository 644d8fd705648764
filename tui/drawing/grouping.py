"""Draws many invocations of one agent as one lane: `worker ×100`, so that a team of hundreds still fits a screen.

Invariant: below the limit nothing is grouped; every lane is drawn once, alone or in its group; one that is on the path that is
shown stays alone. Rows in, rows out; called by whoever draws lanes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from trajectory.view.rows import DelegationRow, Lane
from tui.drawing.path import Way
from tui.signs import Signs

MOST_LANES = 40  # more than these are grouped
_LEAST_OF_GROUP = 5
_WORST = ("error", "running", "waiting", "cut_off", "ok")


@dataclass(frozen=True, slots=True)
class Grouped:
    """What to draw. `agents` says of each group, by its label, whose invocations it holds."""

    lanes: Sequence[Lane]
    delegations: Sequence[DelegationRow]
    way: Way | None = None
    agents: dict[str, str] = field(default_factory=dict)


def by_agent(
    lanes: Sequence[Lane],
    delegations: Sequence[DelegationRow],
    signs: Signs,
    way: Way | None = None,
    opened: Collection[str] = (),
) -> Grouped:
    """The lanes with those of one agent in one, where there are more than 40; agents in `opened` stay apart."""
    if len(lanes) <= MOST_LANES:
        return Grouped(lanes, delegations, way)
    alone = {step.label for step in way.steps} if way else set()
    members: dict[str, list[Lane]] = {}
    for lane in lanes:
        if lane.label not in alone and lane.agent not in opened:
            members.setdefault(lane.agent, []).append(lane)
    members = {agent: each for agent, each in members.items() if len(each) >= _LEAST_OF_GROUP}
    labels = {lane.label: _label(agent, each, signs) for agent, each in members.items() for lane in each}
    drawn: dict[str, Lane] = {}
    for lane in lanes:
        label = labels.get(lane.label)
        if label is None:
            drawn[lane.label] = lane
        elif label not in drawn:
            drawn[label] = _together(label, members[lane.agent])
    if way is not None:
        carried = {labels[label]: "carried" for label in way.marks if label in labels}
        way = replace(way, marks={**way.marks, **carried})
    return Grouped(
        list(drawn.values()),
        _between(delegations, labels),
        way,
        {_label(agent, each, signs): agent for agent, each in members.items()},
    )


def _label(agent: str, lanes: list[Lane], signs: Signs) -> str:
    return f"{agent} {signs.times}{len(lanes)}"


def _together(label: str, lanes: list[Lane]) -> Lane:
    """One lane for several: its bars are all of theirs, its state the worst of them."""
    states = {lane.state for lane in lanes}
    failed = sum(lane.state == "error" for lane in lanes)
    marks = {lane.mark for lane in lanes}
    return msgspec.structs.replace(
        lanes[0],
        label=label,
        state=next((state for state in _WORST if state in states), lanes[0].state),
        start_ns=min(lane.start_ns for lane in lanes),
        end_ns=0 if any(not lane.end_ns for lane in lanes) else max(lane.end_ns for lane in lanes),
        bars=sorted((bar for lane in lanes for bar in lane.bars), key=lambda bar: bar.start_ns),
        mark=next((mark for mark in ("root", "carried") if mark in marks), ""),
        note=f"{failed} failed" if failed else "",
        steps=sum(lane.steps for lane in lanes),
        errors=sum(lane.errors for lane in lanes),
    )


def _between(delegations: Sequence[DelegationRow], labels: dict[str, str]) -> list[DelegationRow]:
    """The delegations with groups as their ends; of those between the same two, of which one is a group, the first."""
    found: dict[tuple[str, str], DelegationRow] = {}
    apart: list[DelegationRow] = []
    for row in sorted(delegations, key=lambda each: each.sent_ns):
        source, target = labels.get(row.source, row.source), labels.get(row.target, row.target)
        if (source, target) == (row.source, row.target):
            apart.append(row)
            continue
        known = found.get((source, target))
        found[source, target] = msgspec.structs.replace(
            known or row,
            source=source,
            target=target,
            returned_ns=max(known.returned_ns, row.returned_ns) if known else row.returned_ns,
            on_error_path=row.on_error_path or (known is not None and known.on_error_path),
        )
    return sorted([*apart, *found.values()], key=lambda each: each.sent_ns)
