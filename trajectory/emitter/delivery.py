"""How a tracer hands its facts on: to a sender's thread over the wire, or to whatever else keeps the same four promises.

Invariant: no method raises, and only `flush` and `close` wait, never longer than they were told and than it takes to bring what
is left to disk; `put` waits where the policy is `block`. `trajectory.testing` has a delivery that keeps the facts in memory.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from trajectory.emitter import forking
from trajectory.emitter.keeping import DROP, SPOOL, Keeping
from trajectory.emitter.misuse import report
from trajectory.emitter.plan import Plan
from trajectory.emitter.queue import LIMIT_BYTES, LIMIT_FACTS, Fact, FactQueue, FlushMark
from trajectory.protocol.frames import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from trajectory.emitter.copying import Copy
    from trajectory.emitter.courier import Courier
    from trajectory.emitter.identity import Identity
    from trajectory.emitter.sender import Origin, Sender, Timing
    from trajectory.emitter.spool import Spool

REACHED_S = 5.0  # patience at the end with a collector that was there
UNREACHED_S = 0.2  # with one that never was
GRACE_S = 0.05  # for the thread to notice that its time is over
SPOOLING_S = 5.0  # for it to bring what is left to disk
WHO_AND_WHERE = ("service.name", "service.instance.id", "host.name", "process.pid")
CONNECTING_S = 2.0  # where the first try to connect has not come to its end


class Delivery(Protocol):
    """Where a tracer's facts go."""

    def put(self, fact: Fact) -> bool: ...

    def put_heavy(self, fact: Fact, weight_bytes: int) -> bool: ...

    def flush(self, timeout_s: float) -> bool: ...

    def close(self, timeout_s: float | None) -> bool: ...


class WireDelivery:
    """Facts to a collector over ZeroMQ. The sender's thread starts with the first fact, not before."""

    def __init__(
        self,
        identity: Callable[[], "Identity"],
        endpoint: str,
        origin: "Origin",
        timing: "Timing | None" = None,
        limit_facts: int = LIMIT_FACTS,
        limit_bytes: int = LIMIT_BYTES,
        plan: Plan = Plan(),  # noqa: B008
        keeping: Keeping = Keeping(DROP),  # noqa: B008
    ) -> None:
        self._plan = plan
        self._identity = identity  # asked on the sender's thread, because to know the host costs imports
        self._endpoint = endpoint
        self._origin = origin
        self._timing = timing
        self._limit_bytes = limit_bytes
        self._keeping = keeping
        self._courier: Courier | None = None
        self.queue = FactQueue(self._start, limit_facts, limit_bytes, keeping.waits_s)
        self.put = self.queue.put  # bound once: these two are the hot path
        self.put_heavy = self.queue.put_heavy
        self._thread: threading.Thread | None = None
        self._sender: Sender | None = None
        self._closing_at_s: float | None = None
        self._close_timeout_s: float | None = None
        self._flushed_drops = 0

    def flush(self, timeout_s: float) -> bool:
        """True if all that was put before is acknowledged within the time, and none of it was dropped."""
        if self._thread is None:
            return not self.queue.dropped_count
        if not self._thread.is_alive():
            return self._sender is not None and self._sender.delivered and not self.queue.dropped_count
        mark = FlushMark()
        self.queue.put_mark(mark)
        if not mark.reached.wait(max(0.0, timeout_s)):
            return False
        lost_count, self._flushed_drops = mark.dropped_count - self._flushed_drops, mark.dropped_count
        return lost_count == 0

    def close(self, timeout_s: float | None) -> bool:
        """Sends what is there, says BYE and ends the thread; True if everything was acknowledged.

        Without a timeout it waits 5 s for a collector that was there once, 0.2 s for one that never was. What is not
        acknowledged by then goes to the spool, under that policy.
        """
        self.queue.wait_no_more()
        thread = self._thread
        if thread is None:
            return True
        self._close_timeout_s = timeout_s or self._close_timeout_s
        if self._closing_at_s is None:
            self._closing_at_s = time.monotonic()
        if self._sender is not None:
            self._sender.close_by(self._deadline_s)
        if self._courier is not None:
            self._courier.stop(0.0)
        grace_s = SPOOLING_S if self._keeping.policy == SPOOL or self._keeping.jsonl else GRACE_S
        while timeout_s != 0 and thread.is_alive() and time.monotonic() < self._deadline_s() + grace_s:
            thread.join(GRACE_S)  # in steps: the deadline moves when a collector appears or is found absent
        return not thread.is_alive() and self._sender is not None and self._sender.delivered

    def _deadline_s(self) -> float:
        began_s = self._closing_at_s or 0.0
        if self._close_timeout_s:
            return began_s + self._close_timeout_s
        sender = self._sender
        if sender is not None and sender.present:
            return began_s + REACHED_S
        return began_s + (UNREACHED_S if sender is not None and sender.absent else CONNECTING_S)

    def _start(self) -> bool:
        """Starts the thread, on the agent's thread, at the first fact. False if the process has no thread to give."""
        thread = threading.Thread(target=self._run, name="trajectory-sender", daemon=True)
        try:
            thread.start()
        except RuntimeError as fault:  # the interpreter is shutting down, or out of threads
            report("thread", "trajectory: no thread to send from: %s", fault)
            return False
        self._thread = thread
        end_with_worker(self, self.close, None)
        return True

    def _run(self) -> None:
        try:
            self._carry()
        except Exception as fault:  # such as a transport that is not installed
            report("sender", "trajectory: nothing can be sent from this process: %r", fault)
        finally:
            self.queue.shut()  # nobody takes any more
            self.queue.wait_no_more()

    def _carry(self) -> None:
        # Imported here: zmq costs 50 ms, and the agent's thread shall not pay them.
        with forking.forkless:
            plain = self._identity()
            spool = self._spool(plain)  # before all else, because from here on it is known what a kill costs
            from trajectory.emitter.outbox import Outbox
            from trajectory.emitter.processors.chain import Processing
            from trajectory.emitter.sender import Sender, Timing

            processing = Processing(self._plan, self._origin.now_ns)
            identity = processing.identity(plain)
            if spool is not None:
                spool.introduce(identity)
                self._deliver_beside(spool)

            copy = self._copy(identity)

        outbox = Outbox(self._limit_bytes, spool)
        timing = self._timing or Timing()
        sender = Sender(identity, self._endpoint, self.queue, self._origin, outbox, timing, processing, copy)
        self._sender = sender
        if self._closing_at_s is not None:
            sender.close_by(self._deadline_s)
        sender.run()

    def _copy(self, identity: "Identity") -> "Copy | None":
        """The file that has what the wire has, where one was asked for."""
        if not self._keeping.jsonl:
            return None
        try:
            from trajectory.emitter.copying import Copy
        except ImportError as fault:  # no file locks on this system
            report("jsonl", "trajectory: there is no JSONL here: %s", fault)
            return None
        return Copy(self._keeping.jsonl, self._keeping.jsonl_bytes, identity)

    def _spool(self, identity: "Identity") -> "Spool | None":
        """This process's file in the spool; of the resource it says no more than who and where, until the rest is redacted."""
        if self._keeping.policy != SPOOL:
            return None
        try:
            from trajectory.emitter.spool import Spool, default_dir

            directory = self._keeping.spool_dir or default_dir()
        except (ImportError, RuntimeError) as fault:  # no file locks on this system, or no home
            report("spool", "trajectory: there is no spool here: %s; facts stay in memory", fault)
            return None
        unsaid = identity._replace(resource={name: identity.resource[name] for name in WHO_AND_WHERE})
        endpoint = self._endpoint or DEFAULT_ENDPOINT
        return Spool(directory, unsaid, endpoint, self._keeping.spool_bytes, self.queue.put_count)

    def _deliver_beside(self, spool: "Spool") -> None:
        """Begins to deliver what dead processes left in the spool for the same collector."""
        from trajectory.emitter.courier import Courier
        from trajectory.emitter.leftover import names_in

        directory = spool.path.parent
        if self._closing_at_s is None and any(path != spool.path for path in names_in(directory)):
            self._courier = Courier(directory, self._endpoint)
            with contextlib.suppress(RuntimeError):  # out of threads: another process will find it too
                self._courier.start(forever=False)


def end_with_worker(whose: object, close: Callable[..., Any], *args: Any, priority: int = 0) -> None:
    """Closes what is `whose` where a multiprocessing worker ends, because such a worker never runs atexit."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(whose, close, args=args, exitpriority=priority)
