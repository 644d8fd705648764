"""What happened in a trace, moment by moment in order of time, and how things stood at any instant between.

Invariant: the standing at an instant is a fold of the moments at or before it, whichever way one came to it: a step forward
folds what lies between, a step back begins at the checkpoint before it. Pure; made and asked by `at_instant`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import itemgetter

from trajectory.graph.span import Span

_CHECKPOINTS = 64  # for each trace at most, and never nearer to each other than
_APART = 1024  # moments
_PART = 4096  # moments that are folded at once while a run is read for the first time
_START, _END, _COST = range(3)

Moment = tuple[int, int, object]  # when, what, and of what


class Work:
    """A span as a replay needs it. `lane` is the place of its invocation, -1 for none; `end_ns` is 0 where it never ended.

    `begins` says whether it is a step that began, and not only the end of one; `is_fault` whether an error began at it.
    """

    __slots__ = ("begins", "end_ns", "is_fault", "lane", "span", "status")

    def __init__(self, span: Span, lane: int, end_ns: int, status: str, *, begins: bool, is_fault: bool) -> None:
        self.span = span
        self.lane = lane
        self.end_ns = end_ns
        self.status = status  # in the end, as a screen shows it
        self.begins = begins
        self.is_fault = is_fault


class Counts:
    """What was counted up to an instant."""

    __slots__ = ("error_count", "input_tokens", "open_count", "output_tokens", "step_count")

    def __init__(self, step_count: int = 0, open_count: int = 0, error_count: int = 0, given: int = 0, got: int = 0):
        self.step_count = step_count
        self.open_count = open_count
        self.error_count = error_count
        self.input_tokens = given
        self.output_tokens = got

    def copy(self) -> "Counts":
        return Counts(self.step_count, self.open_count, self.error_count, self.input_tokens, self.output_tokens)


class Standing:
    """How things stood: what was open, in order of start, and what was counted, in all and for each lane.

    In all, an error counts where it began; in a lane, each span that failed.
    """

    __slots__ = ("lanes", "open", "total")

    def __init__(self, total: Counts, lanes: list[Counts], open_: dict[int, Work]) -> None:
        self.total = total
        self.lanes = lanes
        self.open = open_

    def copy(self) -> "Standing":
        return Standing(self.total.copy(), [lane.copy() for lane in self.lanes], {**self.open})

    def _start(self, work: Work) -> None:
        self.open[id(work)] = work
        for counts in self._counts_of(work.lane):
            counts.step_count += 1
            counts.open_count += 1

    def _end(self, work: Work) -> None:
        self.total.error_count += work.is_fault
        if not work.begins:
            return
        self.open.pop(id(work), None)
        self.total.open_count -= 1
        if work.lane >= 0:
            lane = self.lanes[work.lane]
            lane.open_count -= 1
            lane.error_count += work.status == "error"

    def _cost(self, cost: tuple[int, int, int]) -> None:
        lane, input_tokens, output_tokens = cost
        for counts in self._counts_of(lane):
            counts.input_tokens += input_tokens
            counts.output_tokens += output_tokens

    def _counts_of(self, lane: int) -> Iterable[Counts]:
        return (self.total, self.lanes[lane]) if lane >= 0 else (self.total,)

    def take(self, moments: Iterable[Moment]) -> None:
        """Folds moments, in their order."""
        for _, order, thing in moments:
            if order == _START:
                self._start(thing)  # type: ignore[arg-type]
            elif order == _END:
                self._end(thing)  # type: ignore[arg-type]
            else:
                self._cost(thing)  # type: ignore[arg-type]


class Moments:
    """The moments of one trace. Add all of them, `settle`, then ask."""

    def __init__(self, lane_count: int) -> None:
        self._lane_count = lane_count
        self._moments: list[Moment] = []
        self._ends: list[Moment] = []
        self._costs: list[Moment] = []
        self._times: list[int] = []
        self._points: list[tuple[int, Standing]] = []  # how many moments are folded in it, ascending
        self._at = 0
        self._now = self._nothing()
        self._instants: list[int] = []

    def _nothing(self) -> Standing:
        return Standing(Counts(), [Counts() for _ in range(self._lane_count)], {})

    def add(self, work: Work) -> None:
        """A span's start, where it begins with one, and its end, where it came to one."""
        if work.begins:
            self._moments.append((work.span.start_ns, _START, work))
        if work.end_ns:
            self._ends.append((max(work.end_ns, work.span.start_ns), _END, work))

    def add_cost(self, at_ns: int, lane: int, input_tokens: int, output_tokens: int) -> None:
        """Tokens that a lane (-1: none) is known to have used from an instant on."""
        if input_tokens or output_tokens:
            self._costs.append((at_ns, _COST, (lane, input_tokens, output_tokens)))

    def settle(self, more_instants: Iterable[int] = ()) -> Iterator[None]:
        """Orders the moments and lays the checkpoints, a part at each step; `more_instants` can be gone to as well."""
        self._moments += [*self._ends, *self._costs]  # of one instant in this order: the sort is stable
        self._ends, self._costs = [], []
        self._moments.sort(key=itemgetter(0))
        yield
        self._times = [moment[0] for moment in self._moments]
        yield
        self._instants = sorted({*self._times, *more_instants} - {0})
        yield
        count = len(self._moments)
        apart = max(_APART, count // _CHECKPOINTS)
        for start in range(0, count, apart):
            self._points.append((start, self._now.copy()))
            for at in range(start, min(start + apart, count), _PART):
                self._now.take(self._moments[at : min(at + _PART, start + apart)])
                yield
        self._at = count

    def standing(self, at_ns: int) -> Standing:
        """How things stood after all that happened at or before an instant; good until the next question."""
        goal = bisect_right(self._times, at_ns)
        point = bisect_right(self._points, goal, key=lambda p: p[0]) - 1
        nearest = self._points[point][0] if point >= 0 else 0
        if goal < self._at or nearest > self._at:
            self._at, self._now = nearest, self._points[point][1].copy() if point >= 0 else self._nothing()
        self._now.take(self._moments[self._at : goal])
        self._at = goal
        return self._now

    def around(self, at_ns: int, count: int) -> tuple[list[int], list[int]]:
        """The last instants before this one at which something happened, and the next ones, ascending."""
        before, after = bisect_left(self._instants, at_ns), bisect_right(self._instants, at_ns)
        return self._instants[max(0, before - count) : before], self._instants[after : after + count]
