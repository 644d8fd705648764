"""The tracer: one process's identity, clock, open spans and way out for facts. Spans do the rest.

Invariant: there is one default tracer a process, made at the first need and made over after a fork: a child is another source
with its own boot id, sequence and thread, and ends none of its parent's spans. Called by spans and by `api`.
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from trajectory.emitter import forking
from trajectory.emitter.clock import Clock, IdSource, RandomIds, SystemClock
from trajectory.emitter.delivery import Delivery, WireDelivery
from trajectory.emitter.identity import default_service, identity_of
from trajectory.emitter.keeping import Keeping, keeping_of
from trajectory.emitter.plain import attributes_of
from trajectory.emitter.plan import Plan, plan_of
from trajectory.emitter.queue import Fact
from trajectory.protocol.frames import HEARTBEAT

BEAT_SPANS = 4096
DRIFT_NS = 100_000_000  # the wall clock may differ from the derived one by so much before it is read anew


class Tracer:
    """Where the spans of a process come from and where their facts go."""

    def __init__(
        self,
        service: str = "",
        endpoint: str = "",
        resource: Mapping[str, Any] | None = None,
        delivery: Delivery | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        plan: Plan | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self.service = service or default_service()
        self.endpoint = endpoint or os.environ.get("TRAJECTORY_ENDPOINT", "")
        self._resource = dict(resource or {})
        self._plan = plan or plan_of()
        self._keeping = keeping or keeping_of()
        self._given_delivery = delivery
        self._given_ids = ids
        self._clock: Clock = clock or SystemClock()
        self.mono_ns: Callable[[], int] = self._clock.mono_ns
        self.generation = 0  # of forks; a span remembers in which process it was opened
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        """The state that belongs to one process: at the start, and in a forked child."""
        self.generation += 1
        self.offset_ns = self._clock.wall_ns() - self._clock.mono_ns()
        ids: IdSource = self._given_ids or RandomIds()
        self.next_trace: Callable[[], bytes] = ids.next_trace
        self.next_span: Callable[[], bytes] = ids.next_span
        self.open_spans: dict[bytes, None] = {}
        self._beat_open = False
        self.delivery: Delivery = self._given_delivery or self._wire()
        self.put: Callable[[Fact], bool] = self.delivery.put
        self.put_heavy: Callable[[Fact, int], bool] = self.delivery.put_heavy

    def after_fork(self) -> None:
        """Makes this tracer a new source in a forked child. What it had from the parent is kept, unused and unclosed."""
        _inherited.append((self.delivery, self.open_spans))
        self._begin()

    def says_the_same(self, other: "Tracer") -> bool:
        """Whether the other would send the same to the same place."""
        mine = (self.service, self.endpoint, self._resource, self._plan, self._keeping, self._given_delivery)
        return mine == (
            other.service,
            other.endpoint,
            other._resource,
            other._plan,
            other._keeping,
            other._given_delivery,
        )

    def now_ns(self) -> int:
        """UTC wall time, derived from the monotonic clock."""
        return self.mono_ns() + self.offset_ns

    def pulse(self) -> Fact | None:
        """A heartbeat that names the open spans; None where none is open and none was. Follows the wall clock too."""
        mono = self.mono_ns()
        offset_ns = self._clock.wall_ns() - mono
        if abs(offset_ns - self.offset_ns) > DRIFT_NS:
            self.offset_ns = offset_ns
        open_spans = list(self.open_spans)[:BEAT_SPANS]
        was_open, self._beat_open = self._beat_open, bool(open_spans)
        if not open_spans and not was_open:
            return None
        return (HEARTBEAT, mono + self.offset_ns, mono, open_spans)

    def _wire(self) -> WireDelivery:
        service, (resource, _) = self.service, attributes_of(self._resource)
        memory_bytes = self._keeping.memory_bytes
        return WireDelivery(
            lambda: identity_of(service, resource), self.endpoint, self, limit_bytes=memory_bytes,
            plan=self._plan, keeping=self._keeping,
        )  # fmt: skip

    def flush(self, timeout_s: float) -> bool:
        return self.delivery.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        return self.delivery.close(timeout_s)


_living: "weakref.WeakSet[Tracer]" = weakref.WeakSet()
_inherited: list[object] = []  # what a forked child has of its parent: kept, so that nothing closes it
default: Tracer | None = None  # the process's tracer, once there is one; `use` sets it
_making = threading.Lock()


def default_tracer() -> Tracer:
    """The process's tracer, made at the first call."""
    tracer = default
    if tracer is not None:
        return tracer
    with _making:
        tracer = default
        if tracer is None:
            tracer = Tracer()
            use(tracer)
        return tracer


def use(tracer: Tracer | None) -> Tracer | None:
    """Makes this the process's tracer (None: a fresh one at the next need) and gives back the one before."""
    global default
    before, default = default, tracer
    return before


def close_all(timeout_s: float | None = None) -> None:
    """Closes every tracer of the process, side by side: the slowest decides how long it takes."""
    tracers = list(_living)
    for tracer in tracers:
        tracer.close(0.0)
    for tracer in tracers:
        tracer.close(timeout_s)


def _after_fork_in_child() -> None:
    global _making
    _making = threading.Lock()
    forking.after_fork_in_child()
    for tracer in list(_living):
        tracer.after_fork()


os.register_at_fork(
    before=forking.before_fork, after_in_parent=forking.after_fork_in_parent, after_in_child=_after_fork_in_child
)  # fmt: skip
atexit.register(close_all)
