"""What a backend's answer means for what was sent: taken, to be sent again, or never.

Invariant: only what a backend says of the request itself makes it give up on spans; what says that the way is closed, or that it
is busy, is waited out, because the store keeps what was not taken. Pure.

Statuses as the OTLP specification 1.9 has them; beyond it, a wrong token or path (401, 403, 404 …) is waited out too: whoever
mends it loses nothing.
"""

import email.utils
from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

LONGEST_PAUSE_S = 3600.0  # whatever a backend asks for
_AGAIN = frozenset({408, 429, 502, 503, 504})
_CLOSED = frozenset({401, 402, 403, 404, 405, 407, 415, 421, 426, 451, 511})


class Verdict(Enum):
    TAKEN = "taken"
    AGAIN = "again"  # the same later, for as long as it takes
    UNSURE = "unsure"  # a fault of the backend, or of this very request: a few times again, then in halves
    REFUSED = "refused"  # this request never: in halves, until the span that it is refused for is alone


class Answer(NamedTuple):
    """`reason` is for people and from elsewhere; `pause_s` is how long the backend asks to be left alone.

    Of a request that was taken, `rejected_count` spans were not.
    """

    verdict: Verdict
    reason: str = ""
    pause_s: float = 0.0
    rejected_count: int = 0


class Backend(Protocol):
    """Where requests go. `send` waits no longer than its own bound and raises nothing; one thread calls both."""

    def send(self, request: ExportTraceServiceRequest) -> Answer: ...

    def close(self) -> None: ...


def of_http(status: int, headers: Mapping[str, str], body: bytes, now_s: Callable[[], float]) -> Answer:
    """The meaning of an HTTP answer. `now_s` is the wall clock, for a Retry-After that is a date."""
    if 200 <= status < 300:
        is_protobuf = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-protobuf"
        return of_response(body if is_protobuf else b"")
    reason = f"HTTP {status}" + (f", {said}" if (said := _said(body, headers)) else "")
    if status in _AGAIN:
        return Answer(Verdict.AGAIN, reason, pause_of(headers.get("retry-after", ""), now_s))
    if status in _CLOSED or 300 <= status < 400:
        return Answer(Verdict.AGAIN, reason)
    return Answer(Verdict.UNSURE if status >= 500 or status < 200 else Verdict.REFUSED, reason)


def of_response(body: bytes) -> Answer:
    """What a request that was taken as such says of its spans."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Answer(Verdict.TAKEN)
    return Answer(Verdict.TAKEN, partial.error_message, 0.0, max(0, partial.rejected_spans))


def pause_of(said: str, now_s: Callable[[], float]) -> float:
    """A Retry-After as seconds: a number of them, or a date. 0 where it is neither."""
    said = said.strip()
    try:
        return _bounded(float(said))
    except ValueError:
        pass
    try:
        return _bounded(email.utils.parsedate_to_datetime(said).timestamp() - now_s())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def pause_in(details: bytes) -> float | None:
    """The delay that google.rpc.RetryInfo asks for in a status's details; None where there is none."""
    try:
        status = Status.FromString(details)
        for detail in status.details:
            info = RetryInfo()
            if detail.Unpack(info):
                return _bounded(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except DecodeError:
        pass
    return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_PAUSE_S) if seconds == seconds else 0.0  # a NaN is no number


def _said(body: bytes, headers: Mapping[str, str]) -> str:
    """The sentence in a refusal: a google.rpc.Status in protobuf, or a line of text."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-protobuf":
        try:
            return str(Status.FromString(body).message)
        except DecodeError:
            return ""
    return body.decode("utf-8", "replace").strip() if kind in ("text/plain", "application/json") else ""
