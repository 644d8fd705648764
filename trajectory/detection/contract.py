"""The seam of a detector, and the set that runs.

Invariant: a detector is pure. Time is an argument, its state is bounded and belongs to one trace, and it says the same for
the same facts, in any order within the window and however often they come. Called by the collector's pipeline, live, and
by imports; a stranger's detector registers under the entry point `trajectory.detectors` and runs beside ours.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Protocol

from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding
from trajectory.view.nearly import meant

ENTRY_POINT = "trajectory.detectors"
CHOICE = "TRAJECTORY_DETECTORS"
_SAID_CHARS = 200
_LOGGER = logging.getLogger("trajectory")


class Detector(Protocol):
    """Judges one trace. One instance is made for each trace and dropped with it.

    A detector may name in `reads` the types of facts that `observe` is for: it is not asked about others, which saves time
    at every fact. Without `reads` it is asked about all. One that says `is_optional` runs only where it is asked for.
    """

    name: str

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        """Findings that this fact, just folded into the trace, gives rise to. Bounded work; content via `trace.text`."""
        ...

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings that take more than one fact or the passing of time: called when the trace was quiet for a moment, at
        least each second while it is live, and once when it is complete. `now_ns` is UTC wall clock."""
        ...


class Settling:
    """A detector that is asked about no fact: it finds all there is when the trace has settled."""

    reads: tuple[type[Fact], ...] = ()

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        """Nothing: it is not asked."""
        return ()


DetectorFactory = Callable[[], Detector]


def registered_detectors(
    choice: str | None = None, tell: Callable[[str], None] = _LOGGER.warning
) -> list[DetectorFactory]:
    """Every detector registered under the entry point that is on, ours included, by name.

    One that is `is_optional` is on where `choice` names it, every other one unless `choice` names it with a minus before:
    `goal.drift,-flow.loop`, by the detectors' own names. Without a choice the environment's counts. `tell` gets a sentence on
    each one that cannot be loaded, and on each name that is none; it may hold any text. A stranger's fault stops nobody.
    """
    asked = [name for name in re.split(r"[\s,]+", os.environ.get(CHOICE, "") if choice is None else choice) if name]
    factories: list[DetectorFactory] = []
    for entry in sorted(entry_points(group=ENTRY_POINT), key=lambda e: e.name):
        try:
            factories.append(entry.load())
        except Exception as fault:  # a stranger's module may raise anything
            tell(f"detector {entry.name} cannot be loaded: {type(fault).__name__}: {str(fault)[:_SAID_CHARS]}")
    names = [str(getattr(factory, "name", "")) for factory in factories]
    for name in [name for name in (each.removeprefix("-") for each in asked) if name not in names]:
        tell(f"{CHOICE}: there is no detector {name[:_SAID_CHARS]}{meant(name, names)}")
    return [f for f, name in zip(factories, names, strict=True) if _is_on(f, name, asked)]


def _is_on(factory: DetectorFactory, name: str, asked: list[str]) -> bool:
    return name in asked or not (getattr(factory, "is_optional", False) or f"-{name}" in asked)
