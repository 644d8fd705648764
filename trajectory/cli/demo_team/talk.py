"""How one process of the demo asks another: HTTP on loopback, a task in, an answer out.

Invariant: an answer's headers come when the work is accepted and its body when it is done, so a caller knows both moments;
every wait is bounded. Loads the standard library only. Called by agents that delegate and by `team` for the root request.
"""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

PATIENCE_S = 60.0
MAX_BODY_BYTES = 1024 * 1024


class AskFailed(Exception):
    """The other side could not be reached, answered nonsense, or says that its work failed."""


@dataclass(frozen=True)
class Answer:
    """What came back. `continued_at` is the address `host:port/path` of the rest where control passed to another agent;
    `trace_id` is there where the agent gave work to others."""

    text: str = ""
    continued_at: str = ""
    trace_id: str = ""
    error: str = ""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode()


def ask(
    address: str,
    task: str,
    mode: str = "call",
    headers: Mapping[str, str] | None = None,
    on_accepted: Callable[[], None] = lambda: None,
) -> Answer:
    """The answer of the agent at `host:port` to a task; `headers` carry the baton. Raises AskFailed."""
    body = json.dumps({"task": task, "mode": mode}, ensure_ascii=False).encode()
    return _request(address, "POST", "/work", body, dict(headers or {}), on_accepted)


def collect(continued_at: str) -> Answer:
    """The answer to work that was handed on, once it is there. Raises AskFailed."""
    address, _, path = continued_at.partition("/")
    return _request(address, "GET", f"/{path}", None, {}, lambda: None)


def _request(
    address: str, method: str, path: str, body: bytes | None, headers: dict[str, str], on_accepted: Callable[[], None]
) -> Answer:
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise AskFailed(f"{address} answered {response.status} {response.reason}")
        on_accepted()
        answer = Answer(**json.loads(response.read(MAX_BODY_BYTES)))
    except (OSError, http.client.HTTPException, ValueError, TypeError) as fault:
        raise AskFailed(f"{address} did not answer: {fault or type(fault).__name__}") from None
    finally:
        connection.close()
    if answer.error:
        raise AskFailed(answer.error)
    return answer
