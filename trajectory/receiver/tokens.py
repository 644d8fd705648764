"""Bearer tokens as the keyring knows them: by their digests, read anew when a key is added or revoked.

Invariant: a token is compared in a time that says nothing of it, and one that is revoked is refused within a second. Called by
the doors that ask for tokens.
"""

import time

from trajectory.collector.keyring import Keyring
from trajectory.protocol.keys import digest_of
from trajectory.receiver.gate import is_equal

_LOOK_S = 1.0  # between two looks at the keyring


class Tokens:
    """The bearer tokens of those with one of some roles, read anew where the keyring has changed. One thread at a time."""

    def __init__(self, directory: str, roles: tuple[str, ...]) -> None:
        self._roles = roles
        self._keyring = Keyring(directory)
        self._looked_s = -_LOOK_S
        self._changed_ns = -1
        self._digests: list[str] = []

    def __call__(self, token: str) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            changed_ns = self._keyring.changed_ns()
            if changed_ns != self._changed_ns:
                self._changed_ns = changed_ns
                may = [c for c in self._keyring.clients() if c.role in self._roles and c.token_digest]
                self._digests = [client.token_digest for client in may]
        digest = digest_of(token)
        return any(is_equal(digest, known) for known in self._digests)
