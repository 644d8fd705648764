"""The pane of what just happened: steps as they come, whether the end is followed, how many came since it was left.

Invariant: steps are dropped, the oldest first, only while the end is followed, so that nothing moves under the eye. The cockpit's
fourth pane.
"""

from collections.abc import Callable

from trajectory.view.rows import StepRow
from tui.drawing.tail import step_line
from tui.signs import Signs
from tui.widgets.pane import Pane

PULLED = 400  # steps that are asked for at once
_KEPT = 5000


class TailPane(Pane):
    """Shows steps, oldest first."""

    def __init__(self, signs: Signs, *, number: int) -> None:
        super().__init__("tail", signs, title="Tail", number=number)
        self.can_follow = self.follows = True
        self.steps: list[StepRow] = []
        self._of = ""  # the filter that they passed

    def take(self, rows: list[StepRow], passed: str, when: Callable[[int], str]) -> None:
        """Adds what is new among the newest steps that passed a filter; another filter's steps begin anew."""
        is_anew = bool(self.steps and rows) and rows[-1].step_id < self.steps[-1].step_id
        if self._of != passed or is_anew:
            self.steps, self._of = [], passed
        first = rows[0].step_id if rows else 0
        kept = [step for step in self.steps if step.step_id < first] if rows else self.steps
        whole = [*kept, *rows]
        if self.follows:
            whole = whole[-_KEPT // 5 :]
        self.steps = whole[:_KEPT]
        self.show(
            [str(step.step_id) for step in self.steps],
            lambda index, width: step_line(self.steps[index], when(self.steps[index].at_ns), width, self.signs),
        )

    def retitle(self, *, is_paused: bool) -> None:
        """Says how it stands."""
        signs = self.signs
        if is_paused:
            self.status = f"{signs.paused} paused {signs.dot} space"
        elif self.follows:
            self.status = f"{signs.running} following {signs.dot} all agents"
        else:
            more = "+" if len(self.steps) >= _KEPT else ""
            self.status = f"{signs.paused} {self.unseen}{more} new {signs.dot} f"

    @property
    def step(self) -> StepRow | None:
        """The step under the cursor."""
        return self.steps[self.cursor] if self.cursor < len(self.steps) else None
