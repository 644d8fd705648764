"""Where a screen gets its rows: one pull at a time, so a slow screen skips and nobody waits for it.

Invariant: a feed never calls the screen; the screen asks. Implementations: a running collector over ZeroMQ, and a
store at rest.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from trajectory.errors import TrajectoryError
from trajectory.view.views import Query, View


class FeedLost(TrajectoryError):
    """The other side did not answer in time; the feed goes on trying, so pull again at the next tick."""


class FeedBusy(FeedLost):
    """The other side is there and has not answered yet: it has much to do. Pull again at the next tick."""


class NotAdmitted(FeedLost):
    """Somebody is there, and our key, or that we have none, does not suit them. Pull again: a key may be added meanwhile."""


class Format(NamedTuple):
    """What a run can be exported as: the file's suffix, what of the run (`trace`, or one of its graphs), and in words."""

    suffix: str
    of: str
    title: str


class Feed(Protocol):
    """A source of views. `pull` and `mark` may block for up to two seconds: call them from a worker thread."""

    endpoint: str  # what to show: an address or a path

    def pull(self, query: Query, since: int) -> View | None:
        """The newest view for the query, or None where nothing has changed since version `since` (-1: whatever there is).

        Raises FeedLost where nobody answers, FeedBusy where somebody is there who does not answer yet.
        """
        ...

    def mark(self, trace_id: str, alert_key: str, action: str, for_s: int = 0) -> None:
        """Acknowledge, mute or reopen an alert, or by a key of `view.muting` several; for some seconds, or until the next mark.

        Raises FeedLost, or TrajectoryError where the feed is read-only.
        """
        ...

    def formats(self) -> list[Format]:
        """What a run can be exported as; those of the whole run first."""
        ...

    def export(self, trace_id: str, chosen: Format, path: str, told: Callable[[str], bool]) -> None:
        """Writes a run to a file, in place of what is there; may take minutes, on a thread of its own, and holds up no pull.

        `told` is called with how far it is, and says whether to go on. Raises TrajectoryError with the reason where there is
        no file in the end.
        """
        ...

    def close(self) -> None:
        """Lets go of what it reads from, after a pull that is under way."""
        ...
