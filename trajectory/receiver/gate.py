"""Who may come in: by bearer token, and by the names under which a browser says it came.

Invariant: a page in somebody's browser cannot reach a receiver on loopback, whatever name it has made resolve to it. Pure.
"""

import hmac
from collections.abc import Callable, Mapping

from trajectory.receiver.bodies import RefusedError

_LOCAL = {"localhost", "127.0.0.1", "::1", ""}

Knows = Callable[[str], bool]


class Gate:
    """`knows` tells a good token; None where none is asked for, as on loopback. `hosts` are further names of this machine."""

    def __init__(self, knows: Knows | None = None, hosts: frozenset[str] = frozenset()) -> None:
        self._knows = knows
        self._hosts = _LOCAL | hosts

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises RefusedError: 401 without a good token, 403 for a foreign Host or any foreign Origin. Keys are lower case."""
        origin = headers.get("origin", "")
        if origin and not ("://" in origin and self._is_ours(origin.partition("://")[2])):
            raise RefusedError(403, f"pages of {origin[:80]!r} may not send here")
        if self._knows is not None:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self._knows(token.strip()):
                raise RefusedError(
                    401, "no good token: send `Authorization: Bearer …` (trajectory keys show NAME --otlp)"
                )
        elif not self._is_ours(headers.get("host", "")):
            raise RefusedError(403, f"{headers.get('host', '')[:80]!r} is no name of this machine")

    def _is_ours(self, place: str) -> bool:
        host = place.rpartition("]")[0].strip("[") if place.startswith("[") else place.partition(":")[0]
        return host.lower() in self._hosts


def is_equal(one: str, other: str) -> bool:
    """Whether two secrets are the same, told in a time that says nothing of how much of them is."""
    return hmac.compare_digest(one.encode(), other.encode())
