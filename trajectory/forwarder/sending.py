"""The sending of one request for as long as it takes: pauses that grow, halves where it is refused, and what is said of it.

Invariant: a span is left out only where the backend refuses it alone; whatever else happens, it is tried again. Called by the
forwarder's loop and by `trajectory forward`.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from trajectory.forwarder.answers import Answer, Backend, Verdict
from trajectory.forwarder.requests import halves, span_count
from trajectory.forwarder.target import Target
from trajectory.view.text import clean

FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
UNSURE_TRIES = 5
_REASON_CHARS = 200

Pause = Callable[[float], bool]  # waits so many seconds; True where the sending is to end instead


class Standing(NamedTuple):
    """How the sending to a target goes. `trouble` is why it waits just now, `refusal` the last reason of a span left out."""

    sent_count: int = 0
    refused_count: int = 0
    refusal: str = ""
    trouble: str = ""
    try_count: int = 0


class Sending:
    """Sends requests to one backend. `tell` hears of every change; `chance` is a number from 0 to 1, for the jitter."""

    def __init__(
        self,
        target: Target,
        backend: Backend,
        pause: Pause,
        tell: Callable[[Standing], None] = lambda standing: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._backend = backend
        self._pause = pause
        self._tell = tell
        self._chance = chance
        self.standing = Standing()

    def send(self, request: ExportTraceServiceRequest) -> bool:
        """Sends until all of it is taken or refused; False where it was told to end before that."""
        try_count = 0
        while True:
            answer = self._backend.send(request)
            try_count += 1
            count = span_count(request)
            if answer.verdict is Verdict.TAKEN:
                self._taken(count, answer)
                return True
            if answer.verdict is Verdict.REFUSED or (answer.verdict is Verdict.UNSURE and try_count >= UNSURE_TRIES):
                return self._refused(request, count, answer)
            self._note(trouble=self._said(answer), try_count=try_count)
            if self._pause(self._pause_s(try_count, answer.pause_s)):
                return False

    def _refused(self, request: ExportTraceServiceRequest, count: int, answer: Answer) -> bool:
        if count > 1:
            return all(self.send(half) for half in halves(request))
        refused = self.standing.refused_count + count
        self._note(refused_count=refused, refusal=self._said(answer), trouble="", try_count=0)
        return True

    def _taken(self, count: int, answer: Answer) -> None:
        rejected = min(answer.rejected_count, count)
        standing = self.standing
        self._note(
            sent_count=standing.sent_count + count - rejected,
            refused_count=standing.refused_count + rejected,
            refusal=self._said(answer) if rejected else standing.refusal,
            trouble="",
            try_count=0,
        )

    def _pause_s(self, try_count: int, asked_s: float) -> float:
        """Twice as long each time, and each time another half of it, so that many do not come at once. Asked for more: more."""
        longest_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * float(1 << min(try_count - 1, 16)))
        return max(asked_s, longest_s * (0.5 + self._chance() / 2))

    def _said(self, answer: Answer) -> str:
        return clean(self._target.without_secrets(" ".join(answer.reason.split())))[:_REASON_CHARS]

    def _note(self, **changes: str | int) -> None:
        self.standing = self.standing._replace(**changes)  # type: ignore[arg-type]
        self._tell(self.standing)


def backend_of(target: Target) -> Backend:
    """The way to a target. Raises ConfigError where grpcio is needed and not installed."""
    if target.scheme.startswith("grpc"):
        try:
            from trajectory.forwarder.rpc import GrpcBackend
        except ImportError:
            from trajectory.errors import ConfigError

            raise ConfigError(
                "forwarding by gRPC needs grpcio: pip install 'trajectory-tracing[grpc]', or give an http URL",
                "forward",
            ) from None
        return GrpcBackend(target)
    from trajectory.forwarder.http import HttpBackend

    return HttpBackend(target)
