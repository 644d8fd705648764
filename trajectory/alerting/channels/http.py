"""One POST to a channel's address, and what its answer means.

Invariant: it ends within its timeout whatever the other end does, follows no redirect, reads a bounded answer, and what it raises
holds neither the address nor a header. Called by the channels that speak HTTP.
"""

import contextlib
from urllib.parse import urlsplit

import urllib3

from trajectory import __version__
from trajectory.alerting.channels.contract import Refused, Unsent
from trajectory.alerting.secret import Vault
from trajectory.errors import ConfigError
from trajectory.protocol.deadline import Deadline, watched
from trajectory.view.text import clean

TIMEOUT_S = 10.0
_ANSWER_BYTES = 16 * 1024
_SAID_CHARS = 160
_MOST_PAUSE_S = 3600.0
_WORDS = {
    "NewConnectionError": "cannot connect", "ConnectTimeoutError": "cannot connect", "NameResolutionError": "cannot connect",
    "ProtocolError": "it broke off", "SSLError": "no TLS with it",
}  # fmt: skip
_LATER = frozenset({401, 402, 403, 404, 405, 407, 408, 409, 421, 423, 425, 426, 429, 451})  # somebody may mend it


class Post:
    """Where a channel posts to. `url` may hold a key, so all of it behind the host is a secret. Raises ConfigError."""

    def __init__(self, url: str, vault: Vault, timeout_s: float = TIMEOUT_S) -> None:
        try:
            parts = urlsplit(url)
            is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_sound = False
        if not is_sound or not url.isprintable() or " " in url:
            raise ConfigError("url: is no address; expected https://HOST[:PORT]/PATH", "url")
        if not 0 < timeout_s <= 120:
            raise ConfigError("timeout_s: expected seconds, more than 0 and 120 at most", "timeout_s")
        self._vault = vault
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        for secret in (url, parts.path.strip("/"), parts.query, parts.password or ""):
            if len(secret) > 8:
                vault.keep(secret)
        self._auth = (
            urllib3.make_headers(basic_auth=f"{parts.username}:{parts.password or ''}") if parts.username else {}
        )
        self._pool = urllib3.connection_from_url(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", maxsize=1, retries=False,
            timeout=urllib3.Timeout(connect=timeout_s, read=2 * timeout_s),
        )  # fmt: skip
        self._deadline = Deadline(timeout_s)
        self._pool.ConnectionCls = watched(self._pool.ConnectionCls, self._deadline)

    def send(self, body: bytes, headers: dict[str, str] | None = None, *, kind: str = "application/json") -> bytes:
        """Posts a body and returns the answer's. Raises Unsent or Refused."""
        said = {"User-Agent": f"trajectory/{__version__}", "Content-Type": kind, **self._auth, **(headers or {})}
        try:
            with self._deadline:
                answer = self._pool.request(
                    "POST", self._path, body=body, headers=said, redirect=False, preload_content=False
                )
                with contextlib.closing(answer):
                    told = answer.read(_ANSWER_BYTES)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
            raise Unsent(self._deadline.reason or self._vault.scrub(_reason(fault))) from None
        if self._deadline.reason:
            raise Unsent(self._deadline.reason)
        if 200 <= answer.status < 300:
            return bytes(told)
        words = clean(told.decode("utf-8", "replace").strip())[:_SAID_CHARS]
        reason = self._vault.scrub(f"HTTP {answer.status}" + (f", {words}" if words else ""))
        if 300 <= answer.status < 400:
            raise Unsent(f"HTTP {answer.status}: it points elsewhere, which is not followed")
        if answer.status >= 500 or answer.status in _LATER:
            raise Unsent(reason, _pause_s(answer.headers.get("Retry-After", "")))
        raise Refused(reason)


def _pause_s(said: str) -> float:
    """A Retry-After in seconds; 0 for a date: then our own backoff decides."""
    return min(float(said), _MOST_PAUSE_S) if said.strip().isdecimal() and len(said) < 10 else 0.0


def _reason(fault: Exception) -> str:
    """One sentence, without the connection object that urllib3 prints before it."""
    inner = getattr(fault, "reason", None) or fault.__cause__ or fault
    what = _WORDS.get(type(fault).__name__, type(fault).__name__)
    return clean(f"{what}: {str(inner).rpartition(': ')[2] or inner}")[:_SAID_CHARS]
