"""Keys of the wire: as whom a client comes, and which collector it means to talk to (ZeroMQ CURVE, 32 bytes each).

Invariant: a secret is read from the environment or from a file that nobody else can read, and stands in no message, no repr and
no argument of a process. Called by whoever connects: emitter, feeds, import; `trajectory.collector.keyring` makes the keys.

    key file    lines NAME=VALUE, as an environment file has them; # begins a comment
                TRAJECTORY_KEY         the client's secret key, 64 hex digits
                TRAJECTORY_SERVER_KEY  the collector's public key, 64 hex digits
"""

import os
import re
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from trajectory.errors import ConfigError
from trajectory.model.hashing import blake2b

if TYPE_CHECKING:
    import zmq

KEY = "TRAJECTORY_KEY"
SERVER_KEY = "TRAJECTORY_SERVER_KEY"
KEY_FILE = "TRAJECTORY_KEY_FILE"
VARIABLES = (KEY, SERVER_KEY, KEY_FILE)
KEY_BYTES = 32
_KEY = re.compile(r"\s*[0-9A-Fa-f]{64}\s*")
_MAX_FILE_BYTES = 16 * 1024


class ClientKeys(NamedTuple):
    """What a client proves itself with, and the public key of the collector that alone shall hear it."""

    secret: bytes
    server: bytes

    def __repr__(self) -> str:
        return f"ClientKeys(secret=..., server={self.server.hex()[:8]}...)"

    def apply(self, socket: "zmq.Socket[bytes]") -> None:
        """Makes the socket's next connections encrypted, and only with that collector. Before `connect`."""
        import zmq

        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, public_of(self.secret))
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)


def client_keys(path: str = "") -> ClientKeys | None:
    """The keys in the file at `path`, else TRAJECTORY_KEY, else those in the file that TRAJECTORY_KEY_FILE names; None where
    nothing is said. TRAJECTORY_SERVER_KEY goes with each. Raises ConfigError, which names the place and not the secret."""
    if not path and os.environ.get(KEY):
        return _keys_in(os.environ, "the environment")
    path = path or os.environ.get(KEY_FILE, "")
    if not path:
        return None
    if _KEY.fullmatch(path):  # would else be said, as a file that is not there
        raise ConfigError("a key file is wanted in place of a key: put the key into one, or into TRAJECTORY_KEY", "key")
    return _keys_in({SERVER_KEY: os.environ.get(SERVER_KEY, ""), **read_private(path)}, path)


def read_private(path: str) -> dict[str, str]:
    """The NAME=VALUE lines of a file that only its owner can read. Raises ConfigError."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            there = os.fstat(file)
            text = os.read(file, _MAX_FILE_BYTES) if stat.S_ISREG(there.st_mode) else b""
        finally:
            os.close(file)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or "no such path"
        raise ConfigError(f"the key file {path} cannot be read: {reason}", "key") from None
    if there.st_mode & 0o077:
        raise ConfigError(f"others can read the key file {path}: chmod 600 {path}", "key")
    lines = (line.strip().removeprefix("export ") for line in text.decode(errors="replace").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def key_of(values: Mapping[str, str], name: str, where: str) -> bytes:
    """One key by its name. Raises ConfigError where it is missing or none; the value itself is never said."""
    text = values.get(name, "")
    if not text:
        raise ConfigError(f"{name} is missing in {where}: `trajectory keys add NAME` writes a key file", "key")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{name} in {where} is no key: it has {2 * KEY_BYTES} hex digits", "key")
    return key


def new_secret() -> bytes:
    """A fresh secret key."""
    import zmq
    from zmq.utils import z85

    return z85.decode(zmq.curve_keypair()[1])


def public_of(secret: bytes) -> bytes:
    """The public key that belongs to a secret one."""
    import zmq
    from zmq.utils import z85

    return z85.decode(zmq.curve_public(z85.encode(secret)))


def token_of(secret: bytes) -> str:
    """The bearer token that goes with a secret key: for HTTP and gRPC, and of no use on the wire of emitters."""
    return "trj_" + blake2b(secret, digest_size=24, person=b"bearer token").hexdigest()


def digest_of(token: str) -> str:
    """What a collector keeps of a token."""
    return blake2b(token.encode(), digest_size=32, person=b"token digest").hexdigest()


def _keys_in(values: Mapping[str, str], where: str) -> ClientKeys:
    return ClientKeys(key_of(values, KEY, where), key_of(values, SERVER_KEY, where))
