"""How incidents stand, where the collector's alerts are told: of an alert in a run, and of a kind of finding at a place.

Invariant: read-only, bounded, and without a say in anything: what cannot be read now says nothing. Looked at again every other
second, and read where it changed. Given to the pipeline by whoever begins to tell of alerts; the publisher reads it.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from trajectory.errors import TrajectoryError

if TYPE_CHECKING:
    from trajectory.store.database import Database

_EVERY_S = 2.0
_MOST_OPEN, _MOST_CLOSED = 300, 100


class IncidentStates:
    """The state that alerts keep in a file, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Database | None = None
        self._due_s = 0.0
        self._by_alert: dict[tuple[str, str], str] = {}
        self._by_place: dict[tuple[str, str, str], str] = {}

    def of_alert(self, trace_id: str, alert_key: str) -> str:
        """open, acknowledged, muted, closed; empty where nothing is told of it."""
        return self._by_alert.get((trace_id, alert_key), "")

    def of_place(self, kind: str, agent: str, service: str) -> str:
        """The same of the latest incident of a kind at an agent of a service."""
        return self._by_place.get((kind, agent, service), "")

    def look(self, now_ns: int) -> bool:
        """Reads what changed; whether anything did."""
        if time.monotonic() < self._due_s:
            return False
        self._due_s = time.monotonic() + _EVERY_S
        from trajectory.alerting.state import incidents_in, read_state  # loads it: where alerts are told

        before = self._by_alert, self._by_place
        try:
            if self._database is None:
                self._database = read_state(self._path)
                if self._database is None:
                    return False
            found = [
                *incidents_in(self._database, closed=True, most=_MOST_CLOSED),
                *incidents_in(self._database, closed=False, most=_MOST_OPEN),
            ]
        except TrajectoryError:
            self.close()
            return False
        self._by_alert, self._by_place = {}, {}
        for incident in found:  # the latest last, and the open ones: they stand
            state = incident.shown_state(now_ns)
            if state == "pending":
                continue
            self._by_place[incident.kind, incident.agent, incident.service] = state
            for place in incident.places:
                self._by_alert[place] = state
        return before != (self._by_alert, self._by_place)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
