"""Which spans of a trace changed, in the order of their latest change: one order for all who follow it.

Invariant: noting a change costs the same however many follow, and each who follows gets every span that changed since it last
asked, once. Kept by the tree, read through `Trace.watch`.
"""

from trajectory.graph.span import Span


class Changes:
    """The ids of the spans that changed, each with the number of its latest change; grows with the spans, not with the facts."""

    def __init__(self) -> None:
        self.count = 0
        self._latest: dict[bytes, int] = {}

    def note(self, span: Span) -> None:
        """The span is another, or elsewhere, or somebody else's."""
        self.count += 1
        self._latest.pop(span.span_id, None)
        self._latest[span.span_id] = self.count

    def after(self, number: int) -> list[bytes]:
        """The ids of those that changed after the change of this number, by their latest change."""
        found: list[bytes] = []
        for span_id, latest in reversed(self._latest.items()):
            if latest <= number:
                break
            found.append(span_id)
        found.reverse()
        return found


class Following:
    """One who follows the changes of a trace: at first every span counts as changed."""

    __slots__ = ("_changes", "seen_count")

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.seen_count = 0  # the number of the last change that was taken

    def take(self) -> list[bytes]:
        """The ids of the spans that changed since this was last asked, by their latest change. Some may be there no more."""
        found = self._changes.after(self.seen_count)
        self.seen_count = self._changes.count
        return found
