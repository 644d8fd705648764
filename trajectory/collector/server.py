"""The collector as one object: a store, a pipeline, a publisher and a mouth, run by one loop until told to stop.

Invariant: when `run` returns, everything acknowledged is stored and judged, and the store is closed. `trajectory serve`
runs it in the main thread, the demo and `trajectory run` in another.
"""

import gc
import threading
import time
from collections.abc import Callable, Sequence

import zmq

from trajectory.collector.guard import Guard
from trajectory.collector.intake import Intake
from trajectory.collector.keyring import Keyring
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.quotas import Limits, Quotas
from trajectory.detection.contract import DetectorFactory
from trajectory.errors import StoreError
from trajectory.protocol.frames import DEFAULT_ENDPOINT
from trajectory.store.sqlite import open_writer
from trajectory.view.rows import Health

_BUSY_S = 0.05
_IDLE_S = 0.25
_LAST_ROUNDS_S = 3.0


def collect_rarely() -> None:
    """Makes Python look for cycles a thirtieth as often: traces that leave are dissolved, and each full look stops the intake.

    For a process that does nothing else: it holds for all of it.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


class Collector:
    """Serves one store at one endpoint. Raises StoreError or WireError where either cannot be had.

    `endpoint` is the address that was bound, so a port of `*` or 0 can be read off it. With `keys`, whom they do not know
    is not let in (ConfigError where there are none). `own_keys` open it to this process, None where no keys are needed.
    """

    def __init__(
        self,
        store: str,
        detectors: Sequence[DetectorFactory],
        endpoint: str = DEFAULT_ENDPOINT,
        keys: Keyring | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        guard = None if keys is None else Guard(keys)
        self.own_keys = None if guard is None else guard.own
        writer = open_writer(store, endpoint=endpoint)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self.pipeline = Pipeline(writer, detectors, time.time_ns)
            self._publisher = Publisher(self.pipeline, self.health, is_live=lambda: True)
            quotas = Quotas(limits or Limits())
            self._intake = Intake(endpoint, self.pipeline, self._publisher, time.time_ns, self._context, guard, quotas)
            self.recovered = self.pipeline.recover()  # who connects meanwhile waits at the bound address
        except BaseException:
            self._context.destroy(linger=0)
            writer.close()
            raise
        self.endpoint = self._intake.endpoint
        self._stop = threading.Event()
        self._saving_failed = False

    def health(self) -> Health:
        vitals = self.pipeline.vitals
        return vitals.health(time.time_ns(), heard_ns=self._intake.heard_ns(), store=self.store, endpoint=self.endpoint)

    def run(self) -> None:
        """Serves until `stop`, then takes what has already arrived, judges, stores and closes."""
        busy = True
        try:
            while not self._stop.is_set():
                busy = self._intake.round(_BUSY_S if busy else _IDLE_S)
                self._try(self.pipeline.tick)
            deadline_s = time.monotonic() + _LAST_ROUNDS_S
            while time.monotonic() < deadline_s and self._intake.round(0.0):
                pass
            self._try(self.pipeline.finish)
        finally:
            self._intake.close()
            self._context.term()
            self.pipeline.writer.close()

    def _try(self, work: Callable[[], None]) -> None:
        """Does what must not end the loop: facts go on coming in while summaries or findings cannot be saved."""
        vitals = self.pipeline.vitals
        try:
            work()
        except StoreError as fault:
            vitals.trouble = f"{fault}. Nothing is lost while the emitters hold their facts."
            self._saving_failed = True
        except Exception as fault:
            vitals.faulted("the collector's tick", fault)
        else:
            if self._saving_failed:
                self._saving_failed, vitals.trouble = False, ""

    def stop(self) -> None:
        """Asks `run` to end; from any thread, or a signal handler."""
        self._stop.set()
