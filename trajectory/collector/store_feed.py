"""A feed from a store file: at rest, or while another process writes it.

Invariant: read-only; a dashboard paints its first picture before what folds and draws up traces is loaded, so that is
imported with the first pull, on the puller's thread.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from trajectory.errors import TrajectoryError
from trajectory.view.feed import Format
from trajectory.view.rows import Health
from trajectory.view.views import Query, View

if TYPE_CHECKING:
    from trajectory.collector.at_rest import StoredLibrary
    from trajectory.collector.publish import Publisher
    from trajectory.store.contract import Reader


class StoreFeed:
    """Views from a store, looked at again when it was written to, at most once a second. Closes the reader with itself."""

    def __init__(
        self, reader: "Reader", path: str, *, is_live: bool = False, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoint = path
        self._reader = reader
        self._is_live = is_live
        self._lock = threading.Lock()
        self._clock_s = clock_s
        self._opened: tuple[StoredLibrary, Publisher] | None = None

    def _health(self) -> Health:
        state = "live" if self._is_live else "recorded"
        return Health(state=state, now_ns=time.time_ns() if self._is_live else 0, store=self.endpoint)

    def pull(self, query: Query, since: int) -> View | None:
        with self._lock:
            library, publisher = self._opened = self._opened or self._open()
            self._look(library)
            return publisher.answer(query, since)

    def _open(self) -> "tuple[StoredLibrary, Publisher]":
        from trajectory.collector.at_rest import StoredLibrary
        from trajectory.collector.publish import Publisher

        self._looked_s, self._seen = self._clock_s(), self._reader.data_version()
        library = StoredLibrary(self._reader, is_live=self._is_live)
        library.version = 1
        return library, Publisher(library, self._health, is_live=lambda: self._is_live)

    def _look(self, library: "StoredLibrary") -> None:
        now_s = self._clock_s()
        if now_s - self._looked_s < 1.0:
            return
        self._looked_s = now_s
        seen = self._reader.data_version()
        if seen != self._seen:
            self._seen = seen
            library.refresh()

    def mark(self, trace_id: str, alert_key: str, action: str, for_s: int = 0) -> None:
        """Raises TrajectoryError: a store is not written by who reads it."""
        raise TrajectoryError(
            "this store is open for reading only: serve it (`trajectory serve --store`) to mark alerts"
        )

    def formats(self) -> list[Format]:
        from trajectory.collector import exporting

        return exporting.formats()

    def export(self, trace_id: str, chosen: Format, path: str, told: Callable[[str], bool]) -> None:
        from trajectory.collector import exporting

        exporting.export(self.endpoint, trace_id, chosen, path, told)

    def close(self) -> None:
        with self._lock:
            self._reader.close()
