"""The collector as one object: an intake beside it, a store, a pipeline and a publisher, run by one loop until told to stop.

Invariant: when `run` returns, everything acknowledged is stored and judged, and the store is closed. `trajectory serve`
runs it in the main thread, with the intake in a process of its own; an intake that dies is begun anew.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import zmq

from trajectory.collector.desk import Desk
from trajectory.collector.front import Front, FrontProcess, FrontThread, Settings, await_ready
from trajectory.collector.guard import id_of, own_keys
from trajectory.collector.keyring import Keyring
from trajectory.collector.line import Answer, Asked, Ended, News, Settled, Stop
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.quotas import Limits
from trajectory.detection.contract import DetectorFactory
from trajectory.errors import StoreError, TrajectoryError
from trajectory.protocol.frames import DEFAULT_ENDPOINT
from trajectory.store.journal import JournalReader, Position, journal_of
from trajectory.store.location import locate
from trajectory.store.sqlite import open_writer
from trajectory.view.rows import Health

if TYPE_CHECKING:
    from trajectory.collector.vitals import Publication
    from trajectory.signals.published import Published

_WAIT_S = 0.25
_END_S = 5.0  # for the intake to take what had arrived
_AGAIN_S = 1.0  # between two tries to begin an intake anew


class Collector:
    """Serves one store at one endpoint. Raises StoreError or WireError where either cannot be had.

    `endpoint` is the address that was bound, so a port of `*` or 0 can be read off it. With `keys`, whom they do not know
    is not let in (ConfigError where there are none). `own_keys` open it to this process, None where no keys are needed.
    `is_apart` gives the intake a process of its own, and not just a thread. Without words nothing is indexed for the search,
    which then looks through the store.
    """

    def __init__(
        self,
        store: str,
        detectors: Sequence[DetectorFactory],
        endpoint: str = DEFAULT_ENDPOINT,
        keys: Keyring | None = None,
        limits: Limits | None = None,
        is_apart: bool = False,
        with_words: bool = True,
    ) -> None:
        self.store = str(locate(store))
        self.own_keys = None if keys is None else own_keys(keys)
        self._is_apart = is_apart
        self._journal_dir = journal_of(locate(store))
        self._settings = Settings(
            endpoint=endpoint,
            store=str(locate(store)),
            journal=str(self._journal_dir),
            keys="" if keys is None else str(keys.directory),
            own_id="" if self.own_keys is None else id_of(self.own_keys),
            limits=limits or Limits(),
        )
        self._end = Position()  # of the journal, as far as the intake has told
        self._emitters = 0
        self._asked: list[Asked] = []
        self._again_s = 0.0
        self._has_more = False
        self._intake_ended = False
        self._saving_failed = False
        self._publication: Publication | None = None
        self._stop = threading.Event()
        writer = open_writer(store, endpoint=endpoint, is_collector=True, with_words=with_words)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        front: Front | None = None
        try:
            self.pipeline = Pipeline(writer, detectors, time.time_ns)
            self.publisher = Publisher(self.pipeline, self.health, is_live=lambda: True)
            self._desk = Desk(self.pipeline, self.publisher, JournalReader(self._journal_dir), time.time_ns)
            front = self._begin()
            self.endpoint = await_ready(front)
            writer.served_at(self.endpoint)
            self.recovered = self.pipeline.recover()  # who connects meanwhile is taken already
        except BaseException:
            if front is not None:
                front.close()
            self._context.destroy(linger=0)
            writer.close()
            raise
        self._front: Front = front
        self._settings = msgspec.structs.replace(self._settings, endpoint=self.endpoint)

    def health(self) -> Health:
        return self.pipeline.vitals.health(
            time.time_ns(), emitters=self._emitters, store=self.store, endpoint=self.endpoint,
            waiting_bytes=self._desk.waiting_bytes,
        )  # fmt: skip

    def publish_to(self, publish: "Callable[[Published], None]") -> None:
        """From now on `publish` is given the sums and the collector's health, once a second, by this loop."""
        from trajectory.collector.vitals import Publication  # loads what only a scraped collector needs

        self._publication = Publication(self.pipeline, publish)

    def run(self) -> None:
        """Serves until `stop`, then takes what has already arrived, judges, stores and closes."""
        try:
            while not self._stop.is_set():
                self.round(_WAIT_S)
            self._take_the_last()
        finally:
            self._front.close()
            self._desk.close()
            self._context.term()
            self.pipeline.writer.close()

    def round(self, timeout_s: float) -> None:
        """Waits for the intake to say something, settles a part of what came, answers who asked, and judges."""
        self._front.line.wait(0.0 if self._has_more else timeout_s)
        self._hear()
        self._has_more = self._desk.settle(self._end)
        if self._has_more:
            self._front.line.say(Settled(*self._desk.position))
        asked, self._asked = self._asked, []
        for one in asked:
            self._front.line.say(Answer(one.routing_id, self._desk.answer(one.frame)))
        self._try(self.pipeline.tick)
        publication = self._publication
        if publication is not None and publication.is_due:
            self._try(lambda: publication.give(self.health(), self._desk.waiting_bytes))
        if not self._front.is_alive() and not self._stop.is_set():
            self._begin_anew()

    def stop(self) -> None:
        """Asks `run` to end; from any thread, or a signal handler."""
        self._stop.set()

    def _begin(self) -> Front:
        if self._is_apart:
            return FrontProcess(self._context, self._settings)
        return FrontThread(self._context, self._settings, self.pipeline.writer.next_seq)

    def _begin_anew(self) -> None:
        """The intake died: what it acknowledged is in the journal, and a new one goes on where that ends."""
        now_s = time.monotonic()
        if now_s < self._again_s:
            return
        self._again_s = now_s + _AGAIN_S
        self._hear()
        self._front.close()
        self._front = self._begin()
        try:
            await_ready(self._front)
        except TrajectoryError as fault:
            self.pipeline.vitals.intake_trouble = f"the intake ended and cannot begin anew: {fault}"

    def _hear(self) -> None:
        vitals = self.pipeline.vitals
        while (said := self._front.line.hear()) is not None:
            if isinstance(said, News):
                self._end = max(self._end, said.end)
                self._emitters = said.emitters
                vitals.intake_trouble = said.trouble
                for reason in said.unread:
                    vitals.quarantined(reason)
                for reason in said.refused:
                    vitals.refused(reason)
            elif isinstance(said, Asked):
                self._asked.append(said)
            elif isinstance(said, Ended):
                self._intake_ended = True

    def _take_the_last(self) -> None:
        self._front.line.say(Stop())
        deadline_s = time.monotonic() + _END_S
        while not self._intake_ended and self._front.is_alive() and time.monotonic() < deadline_s:
            self._front.line.wait(_WAIT_S)
            self._hear()
        self._front.close()
        while self._desk.settle(None):
            self._try(self.pipeline.tick)
        self._try(self.pipeline.finish)
        self._desk.finish()

    def _try(self, work: Callable[[], None]) -> None:
        """Does what must not end the loop: facts go on coming in while summaries or findings cannot be saved."""
        vitals = self.pipeline.vitals
        try:
            work()
        except StoreError as fault:
            vitals.trouble = f"{fault}. Nothing is lost: it is tried again."
            self._saving_failed = True
        except Exception as fault:
            vitals.faulted("the collector's tick", fault)
        else:
            if self._saving_failed:
                self._saving_failed, vitals.trouble = False, ""
