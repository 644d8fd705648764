"""Who may say what to a collector that has keys: connections by ZeroMQ's ZAP (RFC 27), then each frame by its sender's role.

Invariant: on a guarded socket nothing is read from a connection whose key is not in the keyring, and no frame is taken that the
role of its key does not allow; a revoked key is refused on its open connections too. Owned by the intake's loop.
"""

import time
from collections.abc import Callable

import zmq

from trajectory.collector.keyring import Keyring
from trajectory.collector.own import OWN_ID
from trajectory.model.fact import Found, Marked
from trajectory.protocol.codec import AnyFrame, AskFrame, FactsFrame, TellFrame, tag_of
from trajectory.protocol.keys import ClientKeys, new_secret, public_of
from trajectory.view.text import clean

_ZAP = "inproc://zeromq.zap.01"
_DOMAIN = b"trajectory"
_LOOK_S = 1.0  # between two looks at the keyring
_TICK_NS = 2_000_000_000
_BATCH = 64  # connections let in between two looks at the facts
_JUDGED = frozenset(
    kind.__struct_config__.tag for kind in (Found, Marked)
)  # what a collector and a watcher say of agents


def own_keys(keyring: Keyring) -> ClientKeys:
    """Fresh keys for the collector's own process, known nowhere else. Raises ConfigError where the keyring has no server key."""
    return ClientKeys(new_secret(), public_of(keyring.secret()))


def id_of(keys: ClientKeys) -> str:
    """As whom a connection with these keys comes."""
    return public_of(keys.secret).hex()


class Guard:
    """Lets in whom the keyring knows, and who comes as `own_id`: the collector itself."""

    def __init__(self, keyring: Keyring, own_id: str = "", now_s: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError where the keyring has no key of the collector."""
        self._keyring = keyring
        self._now_s = now_s
        self._secret = keyring.secret()
        self._own_id = own_id
        self._roles: dict[str, str] = {}
        self._looked_s = 0.0
        self._changed_ns = -1
        self._look()
        self._asked: zmq.Socket[bytes] | None = None

    def protect(self, context: "zmq.Context[zmq.Socket[bytes]]", socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
        """Guards a socket that is not bound yet; returns the one on which connections are announced to `let_in`."""
        self._asked = context.socket(zmq.REP)
        self._asked.setsockopt(zmq.LINGER, 0)
        self._asked.bind(_ZAP)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without an answer nobody gets in
        return self._asked

    def let_in(self) -> list[str]:
        """Answers the connections that wait, a bounded number of them; returns why some were refused."""
        refused = []
        for _ in range(_BATCH):
            if self._asked is None or not self._asked.poll(0):
                break
            version, request_id, _domain, address, _identity, mechanism, *credentials = self._asked.recv_multipart()
            self._look()
            user_id = credentials[0].hex() if mechanism == b"CURVE" and credentials else ""
            is_known = bool(user_id) and (user_id == self._own_id or user_id in self._roles)
            if not is_known:
                refused.append(f"a connection from {clean(address.decode(errors='replace'))} with an unknown key")
            status = (b"200", b"known", user_id.encode()) if is_known else (b"400", b"unknown key", b"")
            self._asked.send_multipart((version, request_id, *status, b""))
        return refused

    def refusal(self, user_id: str, frame: AnyFrame) -> str:
        """Why the owner of a key may not send this frame; empty where it may."""
        if user_id and user_id == self._own_id:
            return ""
        if self._now_s() - self._looked_s > _LOOK_S:
            self._look()
        role = self._roles.get(user_id, "")
        if not role:
            return "this key was revoked: get another made by trajectory keys add"
        is_question = isinstance(frame, (AskFrame, TellFrame))
        if role == "emit" and is_question:
            return "this key may emit and not read: watch with one made by trajectory keys add NAME --role watch"
        if role == "emit" and _is_judgement(frame):
            return "this key may emit and neither judge nor mark: that is for one of --role admin"
        if role == "watch" and not is_question:
            return "this key may watch and not emit: emit with one made by trajectory keys add NAME --role emit"
        return ""

    def close(self) -> None:
        if self._asked is not None:
            self._asked.close(linger=0)

    def _look(self) -> None:
        """Reads the keyring again where its directory changed, or may have within its clock's last tick."""
        self._looked_s = self._now_s()
        changed_ns = self._keyring.changed_ns()
        if changed_ns == self._changed_ns and abs(time.time_ns() - changed_ns) > _TICK_NS:
            return
        self._changed_ns = changed_ns
        self._roles = {client.public.hex(): client.role for client in self._keyring.clients() if client.role}


def _is_judgement(frame: AnyFrame) -> bool:
    """Whether a frame comes as the collector's own, or holds findings or marks: whoever is traced must not answer for alerts."""
    if getattr(frame, "emitter_id", b"") == OWN_ID:
        return True
    return isinstance(frame, FactsFrame) and any(tag_of(fact) in _JUDGED for fact in frame.each())
