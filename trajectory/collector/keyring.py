"""The keys that a collector knows, in one directory: its own, and what each client's key may do.

Invariant: the directory is 0700 and each file 0600, a file appears whole or not at all, and a name is never a path. What is
revoked is gone from the next look on. `trajectory keys` writes it, the collector's guard reads it.

    server.key   the collector's secret key
    NAME.pub     a client's role, its public key and its token's digest: all that the collector needs
    NAME.key     the client's key file, to be given to it; may be moved away
"""

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from trajectory.errors import ConfigError
from trajectory.protocol.keys import KEY, SERVER_KEY, digest_of, key_of, new_secret, public_of, read_private, token_of
from trajectory.view.nearly import meant

ROLES = ("emit", "watch", "admin")
SECRET, PUBLIC, ROLE, TOKEN = "TRAJECTORY_SERVER_SECRET", "PUBLIC", "ROLE", "TOKEN_DIGEST"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SERVER = "server"


class Client(NamedTuple):
    """A client's key as the collector knows it. `role` is empty where its file cannot be read: it may do nothing.

    `token_digest` is what is known of its bearer token; empty for a key of before there were any.
    """

    name: str
    role: str
    public: bytes
    token_digest: str = ""


class Keyring:
    """The keys in `directory`, which need not exist. Methods raise ConfigError with what to do."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    @property
    def is_ready(self) -> bool:
        """Whether there is a key of the collector."""
        return self._server_path.exists()

    def begin(self) -> bytes:
        """Makes the collector's key and returns its public half."""
        if self.is_ready:
            raise ConfigError(
                f"{self._server_path} exists: every client has its public key and would need a new one", "keys"
            )
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
        except OSError as fault:
            raise ConfigError(f"{self.directory} cannot be made: {fault.strerror}", "keys") from None
        secret = new_secret()
        _write(
            self._server_path,
            "# The secret key of a Trajectory collector. It stays on this machine.",
            {SECRET: secret.hex()},
        )
        return public_of(secret)

    def secret(self) -> bytes:
        """The collector's secret key."""
        if not self.is_ready:
            raise ConfigError(f"there are no keys in {self.directory}: make them with trajectory keys init", "keys")
        return key_of(read_private(str(self._server_path)), SECRET, str(self._server_path))

    def add(self, name: str, role: str) -> Path:
        """Makes a client's key and returns the path of its key file."""
        if not _NAME.fullmatch(name) or name == _SERVER:
            raise ConfigError(f"{name[:64]!r} is no name of a key: use letters, digits, dots and dashes", "keys")
        key_path, public_path = self._key_path(name), self._public_path(name)
        if public_path.exists() or key_path.exists():
            raise ConfigError(f"there is a key {name} already: trajectory keys revoke {name} takes it away", "keys")
        server, secret = public_of(self.secret()), new_secret()
        said = f"# A Trajectory key: {name}, may {role}. Whoever has this file can act as {name}: keep it to yourself."
        _write(key_path, said, {KEY: secret.hex(), SERVER_KEY: server.hex()})
        known = {ROLE: role, PUBLIC: public_of(secret).hex(), TOKEN: digest_of(token_of(secret))}
        _write(public_path, f"# What the collector knows of {name}.", known)
        return key_path

    def revoke(self, name: str) -> None:
        """Takes a client's key away; a running collector notices within a second."""
        self._require(name)
        self._public_path(name).unlink()
        self._key_path(name).unlink(missing_ok=True)

    def clients(self) -> list[Client]:
        """Every client's key, by name."""
        try:
            names = sorted(path.stem for path in self.directory.glob("*.pub") if _NAME.fullmatch(path.stem))
        except OSError:
            return []
        return [self._client(name) for name in names]

    def changed_ns(self) -> int:
        """When a key was last added or revoked, by the file system's clock; 0 where there is no directory."""
        try:
            return self.directory.stat().st_mtime_ns
        except OSError:
            return 0

    def file_of(self, name: str) -> Path:
        """The key file of a client that the collector knows."""
        self._require(name)
        return self._key_path(name)

    def _require(self, name: str) -> None:
        if not _NAME.fullmatch(name) or not self._public_path(name).exists():
            hint = meant(name, (client.name for client in self.clients()), ": trajectory keys list")
            raise ConfigError(f"there is no key {name[:64]!r} in {self.directory}{hint}", "keys")

    def _client(self, name: str) -> Client:
        with contextlib.suppress(ConfigError):
            values = read_private(str(self._public_path(name)))
            if values.get(ROLE) in ROLES:
                return Client(name, values[ROLE], key_of(values, PUBLIC, name), values.get(TOKEN, ""))
        return Client(name, "", b"")

    @property
    def _server_path(self) -> Path:
        return self.directory / f"{_SERVER}.key"

    def _key_path(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def _public_path(self, name: str) -> Path:
        return self.directory / f"{name}.pub"


def _write(path: Path, said: str, values: dict[str, str]) -> None:
    """A new file, whole when it appears. Raises ConfigError where it is there already or cannot be written."""
    text = "\n".join([said, *(f"{name}={value}" for name, value in values.items()), ""])
    unready = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        file = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
        try:
            os.link(unready, path)  # unlike a rename, it never replaces a key that is there
        finally:
            unready.unlink()
    except OSError as fault:
        raise ConfigError(f"{path} cannot be written: {fault.strerror}", "keys") from None
