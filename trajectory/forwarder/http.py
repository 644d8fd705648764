"""OTLP over HTTP out: protobuf, gzip, certificates verified, no redirects: a header with a secret goes where it was meant to.

Invariant: `send` ends within its timeouts, whatever the other end does: an answer that comes a byte at a time, in its head or in
its body, is cut at one deadline. urllib3's connections, one a target.
"""

import contextlib
import gzip
import time

import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from trajectory import __version__
from trajectory.forwarder import answers
from trajectory.forwarder.answers import Answer, Verdict
from trajectory.forwarder.target import Target
from trajectory.protocol.deadline import Deadline, watched

CONNECT_S, READ_S = 5.0, 10.0
_LEVEL = 1  # a sixth of the time of the best, for a tenth more bytes
_ANSWER_BYTES = 64 * 1024


class HttpBackend:
    """One thread's. `read_s` is for a whole answer, from when the request is sent."""

    def __init__(self, target: Target, connect_s: float = CONNECT_S, read_s: float = READ_S) -> None:
        self._path = target.path
        self._headers = {
            "User-Agent": f"trajectory/{__version__}",
            **target.headers,
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        }
        self._pool = urllib3.connection_from_url(
            target.url, maxsize=1, retries=False, timeout=urllib3.Timeout(connect=connect_s, read=read_s)
        )
        self._deadline = Deadline(read_s)
        self._pool.ConnectionCls = watched(self._pool.ConnectionCls, self._deadline)

    def send(self, request: ExportTraceServiceRequest) -> Answer:
        body = gzip.compress(request.SerializeToString(), _LEVEL, mtime=0)
        try:
            with self._deadline:
                answer = self._pool.request(
                    "POST", self._path, body=body, headers=self._headers, redirect=False, preload_content=False
                )
                with contextlib.closing(answer):
                    said = answer.read(_ANSWER_BYTES)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
            return Answer(Verdict.AGAIN, self._deadline.reason or _reason(fault))
        if self._deadline.reason:
            return Answer(Verdict.AGAIN, self._deadline.reason)
        headers = {key.lower(): value for key, value in answer.headers.items()}
        return answers.of_http(answer.status, headers, said, time.time)

    def close(self) -> None:
        self._pool.close()


def _reason(fault: Exception) -> str:
    """One sentence, without the connection object that urllib3 prints before it."""
    inner = getattr(fault, "reason", None) or fault.__cause__ or fault
    return f"{type(fault).__name__}: {str(inner).rpartition(': ')[2] or inner}"
