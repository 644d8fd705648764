"""How well work was handed over: figures for each delegation, for all between two agents, and for each agent.

Invariant: pure, worked out when somebody asks; what was not captured is None and never 0, and `unseen` and `unheard` count the
delegations that are not in a sum. Called by `show`, by exports of the graph of delegations, and by the screen of one delegation.

For one delegation, of the items of `crossing`:

- `needed` = same + lost + altered: what the delegator held and the task, a finding, or the delegatee's own work needed;
- `arrived` = same; so `arrived / needed` is how much of what was needed came through;
- `added` = sent, held by nobody before, and following from nothing that was held;
- `returned` = values of the answer that were neither sent nor held; `used` = those of them that somebody else went on to use;
- `tokens`, `cost_usd` = of the delegatee and all whom it asked in turn; `took_ns` = from sent to returned;
- `repeats`, `retries`, `redos` = delegations that do again what an earlier one did (`rework`).

A sum adds what is known; tokens and cost count each piece of work once, also where one delegation lies inside another.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec

from trajectory.detection.crossing import ADDED, BACK, CHANGED, MISSING, SAME, Crossing, Crossings
from trajectory.detection.rework import AGAIN_DONE, REPEAT, RETRY, Again, rework_of
from trajectory.detection.spending import Spending, took_ns
from trajectory.graph.delegations import Delegation
from trajectory.graph.trace import Trace

MAX_DELEGATIONS_COUNT = 500  # of one trace, the first
_RARE = ("repeats", "retries", "redos", "unseen", "unheard")
_COUNTS = ("needed", "arrived", "lost", "altered", "added", "returned", "used", "took_ns")


class Figures(msgspec.Struct, frozen=True):
    """How well one or several delegations went. Counts of items, nanoseconds, US dollars; None is not known."""

    delegations: int = 1
    needed: int | None = None
    arrived: int | None = None
    lost: int | None = None
    altered: int | None = None
    added: int | None = None
    returned: int | None = None
    used: int | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    took_ns: int | None = None
    repeats: int = 0
    retries: int = 0
    redos: int = 0
    unseen: int = 0  # delegations whose items on the way there cannot be told
    unheard: int = 0  # delegations of whose answer it cannot be told whether it was used

    @property
    def known(self) -> dict[str, int | float]:
        """What is known, by name; counts of rework only where there is any. Nothing here says nothing of what is not here."""
        said = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in said.items() if value is not None and (value or name not in _RARE)}


class Agent(msgspec.Struct, frozen=True):
    """One agent as who gave work and as who was given it; None where it never was."""

    agent: str
    gave: Figures | None
    took: Figures | None


class Effectiveness:
    """The figures of a trace as it stands."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._spending = Spending(trace)
        self._crossings = Crossings(trace)
        self._known: dict[bytes, Figures] = {}

    @cached_property
    def _again(self) -> dict[bytes, Again]:
        return rework_of(self._trace)

    def crossing(self, delegation: Delegation) -> Crossing:
        """What crossed a delegation."""
        return self._crossings.of(delegation)

    def again(self, delegation: Delegation) -> Again | None:
        """What a delegation does again."""
        return self._again.get(delegation.own_id)

    def of(self, delegation: Delegation, crossing: Crossing | None = None) -> Figures:
        """The figures of one delegation; `crossing` where it is at hand."""
        known = self._known.get(delegation.own_id)
        if known is None:
            known = self._of(delegation, crossing or self.crossing(delegation))
            self._known[delegation.own_id] = known
        return known

    def total(self, delegations: Iterable[Delegation]) -> Figures | None:
        """The figures of several delegations together; None of none."""
        those = list(delegations)
        return self._together(those) if those else None

    def _together(self, those: list[Delegation]) -> Figures:
        each = [self.of(d) for d in those]
        counts = {name: _sum(getattr(figures, name) for figures in each) for name in _COUNTS}
        return Figures(
            delegations=len(each),
            tokens=self._spending.tokens(those),
            cost_usd=self._spending.cost_usd(those),
            repeats=sum(f.repeats for f in each),
            retries=sum(f.retries for f in each),
            redos=sum(f.redos for f in each),
            unseen=sum(f.unseen for f in each),
            unheard=sum(f.unheard for f in each),
            **counts,
        )

    def edges(self) -> Iterator[tuple[tuple[str, str, str, str], Figures]]:
        """For each (source, target, mode, grade) all of its delegations together, in order of the first."""
        groups: dict[tuple[str, str, str, str], list[Delegation]] = {}
        for d in self._looked_at():
            groups.setdefault((d.source_agent, d.target_agent, str(d.mode), str(d.grade)), []).append(d)
        for key, those in groups.items():
            yield key, self._together(those)

    def agents(self) -> list[Agent]:
        """Each agent that gave or was given work, in order of the trace's agents."""
        gave: dict[str, list[Delegation]] = {}
        took: dict[str, list[Delegation]] = {}
        for d in self._looked_at():
            gave.setdefault(d.source_agent, []).append(d)
            took.setdefault(d.target_agent, []).append(d)
        names = [name for name in self._trace.agents() if name in gave or name in took]
        return [Agent(name, self.total(gave.get(name, ())), self.total(took.get(name, ()))) for name in names]

    def _looked_at(self) -> list[Delegation]:
        return self._trace.delegations()[:MAX_DELEGATIONS_COUNT]

    def _of(self, delegation: Delegation, crossing: Crossing) -> Figures:
        items, hidden = crossing.items, crossing.hidden
        count = {change: sum(i.change == change for i in items) for change in (SAME, MISSING, CHANGED)}
        is_seen = "held" not in hidden and not crossing.is_unknown
        has_answer = "back" not in hidden
        back = [i for i in items if i.change == BACK]
        is_heard = has_answer and (not back or "used" not in hidden)
        again = self._again.get(delegation.own_id)
        kind = again.kind if again is not None else ""
        return Figures(
            needed=sum(count.values()) if is_seen else None,
            arrived=count[SAME] if is_seen else None,
            lost=count[MISSING] if is_seen else None,
            altered=count[CHANGED] if is_seen else None,
            added=sum(i.change == ADDED and bool(i.sent) and not i.note for i in items) if is_seen else None,
            returned=len(back) if has_answer else None,
            used=sum(bool(i.uses) for i in back) if is_heard else None,
            tokens=self._spending.tokens([delegation]),
            cost_usd=self._spending.cost_usd([delegation]),
            took_ns=took_ns(delegation),
            repeats=int(kind == REPEAT),
            retries=int(kind == RETRY),
            redos=int(kind == AGAIN_DONE),
            unseen=int(not is_seen),
            unheard=int(not is_heard),
        )


def effectiveness_of(trace: Trace) -> Effectiveness:
    """The figures of a trace as it stands, worked out once for each state of it."""
    kept: tuple[int, Effectiveness] | None = trace.notes.get(Effectiveness)
    if kept is None or kept[0] != trace.version:
        kept = trace.notes[Effectiveness] = (trace.version, Effectiveness(trace))
    return kept[1]


def _sum(counts: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None where none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
