"""What both mouths, HTTP and gRPC, do with a request: read it, bring its facts to the collector, answer when they are there.

Invariant: "taken" is answered only for facts on the collector's disk; a request that comes again while, or after, it is taken is
taken once. What cannot be read is counted in the collector's health with its reason. One event loop owns it; bodies are read,
and their facts sent on their way, on a thread of its own, so that a large one keeps nobody from being told to come back later.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from trajectory.dialects.otlp import Media, ReadResult
from trajectory.dialects.raw import RawSpan
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Gap, Source
from trajectory.receiver import requests
from trajectory.receiver.bodies import RefusedError
from trajectory.receiver.requests import Signal
from trajectory.receiver.seen import Seen, key_of

PATIENCE_S = 8.0  # for the collector to store: exporters give up after 10 s, and come again
HELD_BYTES = 128 * 1024 * 1024  # of bodies that are not answered yet
_BUSY_S = 1
_SERVICE = "otlp receiver"
_SAMPLED_BYTES = 256


class _Asked(NamedTuple):
    """A request. Its hash is one of bytes here and there in the body: all of a large one cost as much as to receive it."""

    signal: Signal
    media: Media
    body: bytes

    def __hash__(self) -> int:
        return hash((self.signal, self.media, self.body[:: len(self.body) // _SAMPLED_BYTES + 1]))


class Way(Protocol):
    """Where facts go. `bring` is called on any thread; so is `done`, with "" when they are stored, else with why they are not."""

    def bring(self, batches: list[Batch], done: Callable[[str], None]) -> None: ...


class _Held:
    """The bytes of all bodies that came, or come, and are not answered. One body alone may be as large as it likes."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.size_bytes = 0


class Hold:
    """One body's part in what is held."""

    def __init__(self, held: _Held) -> None:
        self._held = held
        self._size_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Raises RefusedError where so much more cannot be held beside the others."""
        total_bytes = self._held.size_bytes + size_bytes
        if total_bytes > self._held.most_bytes and total_bytes > self._size_bytes + size_bytes:
            raise RefusedError(429, "more comes than can be taken at once: come again", _BUSY_S)
        self._size_bytes += size_bytes
        self._held.size_bytes = total_bytes

    def release(self) -> None:
        """The body is answered, or gone; a second call does nothing."""
        self._held.size_bytes -= self._size_bytes
        self._size_bytes = 0


class Receiver:
    """Takes OTLP's requests. To be made inside the event loop that uses it."""

    def __init__(self, way: Way, held_bytes: int = HELD_BYTES, patience_s: float = PATIENCE_S) -> None:
        self._way = way
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="trajectory-otlp")
        self._seen = Seen()
        self._under_way: dict[_Asked, asyncio.Future[ReadResult | RefusedError]] = {}
        self._held = _Held(held_bytes)
        self._own = Source(digest("otlp", _SERVICE.encode()), b"", {"service.name": _SERVICE})

    async def take(self, signal: Signal, media: Media, body: bytes) -> Any:
        """Takes a body that is inflated; the response message that says so. Raises RefusedError."""
        asked = _Asked(signal, media, body)
        taking = self._under_way.get(asked)
        if taking is None:
            taking = self._begin(asked)
        done, _ = await asyncio.wait((taking,), timeout=self._patience_s)
        if not done:
            raise RefusedError(503, "the collector does not store just now: come again", _BUSY_S)
        result = taking.result()
        if isinstance(result, RefusedError):
            raise result.bare()
        return requests.taken(signal, result.rejected_count, result.quarantined)

    def hold(self) -> "Hold":
        """What a body takes while it comes in, counted part by part."""
        return Hold(self._held)

    def note_refused(self, fault: RefusedError) -> None:
        """Counts a request that is none among what could not be read."""
        if fault.status in (400, 413, 415, 500):
            self._quarantine(1, f"an OTLP request was refused: {fault}")

    def close(self) -> None:
        self._reading.shutdown(cancel_futures=True)

    def _begin(self, asked: _Asked) -> "asyncio.Future[ReadResult | RefusedError]":
        held = self.hold()
        held.add(len(asked.body))
        taking: asyncio.Future[ReadResult | RefusedError] = self._loop.create_future()
        self._under_way[asked] = taking

        def ended(_: "asyncio.Future[ReadResult | RefusedError]") -> None:
            held.release()
            del self._under_way[asked]

        taking.add_done_callback(ended)
        self._reading.submit(self._read, asked, taking)
        return taking

    def _read(self, asked: _Asked, taking: "asyncio.Future[ReadResult | RefusedError]") -> None:
        """Reads a body and sends its facts on their way; `taking` ends when they are there. On the reading thread."""
        keys: list[int] = []

        def is_wanted(span: RawSpan) -> bool:
            key = key_of(span)
            is_new = self._seen.is_new(key)
            if is_new:
                keys.append(key)
            return is_new

        def settle(outcome: ReadResult | RefusedError) -> None:
            if taking.done():
                return
            if not isinstance(outcome, RefusedError):
                self._seen.add(keys)
            taking.set_result(outcome)

        def tell(outcome: ReadResult | RefusedError) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever asked
                self._loop.call_soon_threadsafe(settle, outcome)

        try:
            result = requests.read(*asked, is_wanted)
        except RefusedError as fault:
            tell(fault.bare())
            return
        except Exception as fault:
            tell(RefusedError(500, f"this cannot be taken: {type(fault).__name__}: {fault}"))
            return
        if result.rejected_count:
            self._quarantine(result.rejected_count, result.quarantined[0])
        if result.batches:
            self._way.bring(
                result.batches, lambda reason: tell(RefusedError(503, reason, _BUSY_S) if reason else result)
            )
        else:
            tell(result)

    def _quarantine(self, count: int, reason: str) -> None:
        gap = Gap(time.time_ns(), count, "quarantined", reason)
        self._way.bring([Batch(self._own, 0, [gap])], lambda _: None)
