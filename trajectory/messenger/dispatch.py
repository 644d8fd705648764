"""From the store's findings to messages taken: looks through what is new, folds it into incidents, and hands letters to couriers.

Invariant: findings are taken in the order in which they were stored, each once; nothing here waits for a channel. One thread
calls `step`; methods raise StoreError, and then nothing of that step has happened.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from trajectory.alerting.channels.registry import hears_of
from trajectory.alerting.incidents import Change, Incidents
from trajectory.alerting.outbox import Letter, Outbox, standings
from trajectory.alerting.policy import Policy
from trajectory.alerting.state import State
from trajectory.collector.own import OWN_ID
from trajectory.messenger.courier import Courier
from trajectory.model.fact import Batch, Found, Marked

LONG_S = 150.0  # beyond what our own channels wait
LOOK_FRAMES = 2_000  # of the store, looked through in one step
_TIME_NS = 1_000_000_000  # between two looks at what is over
_KEEP_NS = 10_000_000_000  # where nothing else is to be kept, how far it came is
_MAX_SERVICES = 10_000


class Source(Protocol):
    """What is read of a store."""

    def last_frame(self) -> int: ...

    def batches_of(self, emitter_id: bytes, after_frame: int, until_frame: int) -> Iterator[Batch]: ...

    def facts(self, trace_id: bytes) -> Iterator[Batch]: ...


class Dispatch:
    """Alerts of one store. `start_frame` is where it begins where it never was: what is older is nobody's concern.

    `couriers` are by channel; without them incidents are folded and nothing is sent.
    """

    def __init__(
        self,
        source: Source,
        state: State,
        policy: Policy,
        couriers: Mapping[str, Courier],
        now_ns: Callable[[], int],
        start_frame: int | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self.policy = policy
        self.couriers = dict(couriers)
        self._source = source
        self._state = state
        self._now_ns = now_ns
        self._outbox = outbox or Outbox(state)
        self._incidents = Incidents(state.open_incidents(), state.mutes())
        self._leaving: dict[str, Courier] = {}
        self._passed_ns = self._kept_ns = 0
        self._services: OrderedDict[bytes, str] = OrderedDict()
        position = state.position
        last = source.last_frame()
        if position is None or position > last:  # new, or another store is there now
            position = last if start_frame is None else min(start_frame, last)
            with state.database.transaction() as connection:
                state.keep(connection, (), self._incidents.mutes, position)
        self._position = position

    @property
    def incidents(self) -> Incidents:
        return self._incidents

    def step(self) -> bool:
        """Takes what is new and sends what is due; True where more of the store is to be looked through."""
        is_behind = self._look()
        self.send()
        return is_behind

    def _look(self) -> bool:
        now_ns = self._now_ns()
        last = self._source.last_frame()
        until = min(last, self._position + LOOK_FRAMES)
        changes: list[Change] = []
        was_muting = self._incidents.mutes
        try:
            if until > self._position:
                for batch in self._source.batches_of(OWN_ID, self._position, until):
                    for fact in batch.facts:
                        if isinstance(fact, Found):
                            at_ns = min(fact.at_ns or now_ns, now_ns)
                            service = self._service_of(fact.finding.trace_id)
                            changes += self._incidents.take(fact.finding, service, at_ns, self.policy)
                        elif isinstance(fact, Marked):
                            changes += self._incidents.mark(fact)
            if until == last and abs(now_ns - self._passed_ns) >= _TIME_NS:
                changes += self._incidents.pass_time(now_ns, self.policy)
                self._passed_ns = now_ns
            is_news = bool(changes or self._incidents.touched) or self._incidents.mutes != was_muting
            if is_news or (until != self._position and abs(now_ns - self._kept_ns) >= _KEEP_NS):
                self._keep(changes, until, now_ns)
        except BaseException:
            self._incidents = Incidents(self._state.open_incidents(), self._state.mutes())
            raise
        self._position = until
        return until < last

    def _keep(self, changes: list[Change], until: int, now_ns: int) -> None:
        hears = {name: hears_of(configured.kind) for name, configured in self.policy.channels.items()}
        with self._state.database.transaction() as connection:
            for change in changes:
                self._outbox.put(connection, change, self.policy, hears, now_ns)
            self._state.keep(connection, self._incidents.touched.values(), self._incidents.mutes, until)
        self._incidents.touched.clear()
        self._kept_ns = now_ns

    def _service_of(self, trace_id: bytes) -> str:
        """The service whose facts began a trace."""
        known = self._services.get(trace_id)
        if known is None:
            known = next((b.source.service for b in itertools.islice(self._source.facts(trace_id), 1)), "")
            self._services[trace_id] = known
            while len(self._services) > _MAX_SERVICES:
                self._services.popitem(last=False)
        return known

    # --- out ---------------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """Notes what became of letters, and hands out the next."""
        for name, courier in list(self._leaving.items()):
            self._note(courier)
            if courier.is_idle:
                del self._leaving[name]
        for name, courier in self.couriers.items():
            self._note(courier)
            if courier.is_idle and name not in self._leaving and (due := self._next(name)) is not None:
                courier.give(due)

    def _note(self, courier: Courier) -> None:
        done = courier.done()
        if done is None:
            return
        letter, failure = done
        if failure is None:
            self._outbox.taken(letter, self._now_ns())
        else:
            self._outbox.failed(letter, failure.reason, failure.pause_s, self._now_ns(), is_final=failure.is_final)

    def use(self, policy: Policy, couriers: Mapping[str, Courier]) -> None:
        """From now on another policy counts. What is under way by a courier of before comes to its end first."""
        self._leaving |= {name: courier for name, courier in self.couriers.items() if not courier.is_idle}
        self.policy, self.couriers = policy, dict(couriers)

    def _next(self, name: str) -> Letter | None:
        return self._outbox.next_for(name, self.policy.channels[name].per_minute, self.policy, self._now_ns())

    @property
    def is_waiting(self) -> bool:
        """Whether a letter is under way."""
        return any(not courier.is_idle for courier in (*self.couriers.values(), *self._leaving.values()))

    def notices(self) -> list[str]:
        """What an operator has to know of the channels."""
        said = [
            f"alerts to {name}: nothing has come back for {courier.since_s:.0f} s"
            for name, courier in (self._leaving | self.couriers).items()
            if courier.since_s > LONG_S
        ]
        for one in standings(self._state.database):
            if one.trouble and one.failures:
                times = f", tried {one.failures} times" if one.failures > 2 else ""
                said.append(
                    f"alerts to {one.name} wait ({one.waiting}): {one.trouble}{times}. None is lost: they are sent again."
                )
            if one.dead:
                why = f", the last: {one.trouble}" if one.trouble and not one.failures else ""
                said.append(f"{one.dead} alerts to {one.name} were given up{why}")
            if one.name not in self.policy.channels and one.waiting:
                said.append(f"{one.waiting} alerts wait for {one.name}, a channel that the policy no longer has")
        return said
