"""What views are made from: a running collector's traces, or those of a store at rest.

Invariant: read-only; `version` grows with all that a view may show. The pipeline and `at_rest` are such libraries.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.listing import Listing
from trajectory.model.fact import Batch

if TYPE_CHECKING:
    from trajectory.collector.counting import Counted
    from trajectory.collector.incident_states import IncidentStates
    from trajectory.signals.figures import Group


class Library(Protocol):
    """What a publisher reads: the list of runs, any one trace folded or as its facts are stored, and which traces say a text."""

    version: int

    runs: Listing
    incident_states: "IncidentStates | None"

    def folded(self, trace_id: bytes) -> FoldedTrace | None: ...

    def saying(self, text: str) -> set[str]: ...

    def stored(self, trace_id: bytes) -> Iterator[Batch]: ...

    def counted(self) -> "Counted": ...

    def groups(self, trace_id: bytes) -> "Iterable[Group]":
        """Of what there was work in a trace, as it was counted."""
        ...
