"""The only timer: eight times a second it asks for one view of what is on screen, and hands it over when it comes.

Invariant: at most one pull is in flight, so a slow feed makes the screen skip and nothing pile up; pulls and marks run on one
thread of their own, in order, and that thread touches no widget: it posts a message. Owned by the app.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from textual.message import Message
from textual.message_pump import MessagePump

from trajectory.errors import TrajectoryError
from trajectory.view.feed import Feed, FeedBusy, FeedLost, NotAdmitted
from trajectory.view.views import Query, View

TICKS_PER_S = 8
_TICKS_UNFOCUSED = 4  # every so many ticks, while the terminal is not looked at: 2 Hz
_TICKS_QUIET = (
    2  # the same while nothing new comes: 4 Hz, so that what comes next is still there in a quarter of a second
)
_QUIET_COUNT = 16  # pulls in a row that brought nothing


class Arrived(Message):
    """A pull ended: with a view, with None where nothing is new, or with an error where nobody answered; `is_busy` where
    somebody is there who does not answer yet, `is_refused` where somebody is there who will not."""

    def __init__(
        self, query: Query, view: View | None, error: str = "", *, is_busy: bool = False, is_refused: bool = False
    ) -> None:
        super().__init__()
        self.is_busy = is_busy
        self.is_refused = is_refused
        self.query = query
        self.view = view
        self.error = error


class Marked(Message):
    """An alert, or several, were marked: `what` in words; `error` says why not."""

    def __init__(self, what: str, action: str, error: str = "") -> None:
        super().__init__()
        self.what = what
        self.action = action
        self.error = error


class Ticker:
    """Pulls for `wanted()`, the query of what is visible, and posts what comes to `target`."""

    def __init__(self, feed: Feed, target: MessagePump, wanted: Callable[[], Query | None]) -> None:
        self._feed = feed
        self._target = target
        self._wanted = wanted
        self._jobs: SimpleQueue[Callable[[], Message] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._known: dict[type, tuple[Query, int]] = {}  # of each kind the last query, and the version that came
        self._tick = 0
        self._empty_count = 0
        self.in_flight = False
        self.is_unfocused = False

    def tick(self) -> None:
        """Starts a pull, unless one is in flight."""
        self._tick += 1
        if self.in_flight or (self.is_unfocused and self._tick % _TICKS_UNFOCUSED):
            return
        query = self._wanted()
        if query is None:
            return
        asked, since = self._known.get(type(query), (None, -1))
        if query == asked and self._empty_count >= _QUIET_COUNT and self._tick % _TICKS_QUIET:
            return
        self._known[type(query)] = query, since if query == asked else -1
        since = self._known[type(query)][1]
        self.in_flight = True
        self._do(lambda: self._pull(query, since))

    def arrived(self, message: Arrived) -> None:
        """Takes note of what came; the app calls this first."""
        self.in_flight = False
        self._empty_count = 0 if message.view is not None or message.error else self._empty_count + 1
        if message.error and not message.is_busy:
            self.refetch()  # whoever answers next may count versions anew
        kind = type(message.query)
        if message.view is not None and self._known.get(kind, (None, 0))[0] == message.query:
            self._known[kind] = message.query, message.view.version

    def refetch(self) -> None:
        """Makes the next pulls ask for whatever there is."""
        self._known.clear()
        self._empty_count = 0

    def mark(self, trace_id: str, alert_key: str, what: str, action: str, for_s: int = 0) -> None:
        """Marks an alert behind the pull in flight; posts Marked with `what` that is in words."""
        self._do(lambda: self._mark(trace_id, alert_key, what, action, for_s))

    def stop(self) -> None:
        """Ends the thread after what it is doing; does not wait for it, so that leaving is immediate."""
        self._jobs.put(None)

    def join(self, timeout_s: float = 3.0) -> bool:
        """Waits until the thread has ended, so that the feed may be closed; False where it still runs."""
        if self._thread:
            self._thread.join(timeout_s)
        return not (self._thread and self._thread.is_alive())

    def _do(self, job: Callable[[], Message]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="trajectory-feed", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._target.post_message(job())

    def _pull(self, query: Query, since: int) -> Message:
        try:
            return Arrived(query, self._feed.pull(query, since))
        except FeedBusy as reason:
            return Arrived(query, None, str(reason), is_busy=True)
        except TrajectoryError as error:
            is_refused = isinstance(error, NotAdmitted) or not isinstance(error, FeedLost)
            return Arrived(query, None, str(error) or "nobody answers", is_refused=is_refused)

    def _mark(self, trace_id: str, alert_key: str, what: str, action: str, for_s: int) -> Message:
        try:
            self._feed.mark(trace_id, alert_key, action, for_s)
        except TrajectoryError as error:
            return Marked(what, action, str(error) or "nobody answers")
        return Marked(what, action)
