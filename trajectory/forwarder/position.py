"""How far a store was forwarded to a target, in a small file beside the store, and who forwards it.

Invariant: the position that is written is behind nothing that was not taken, so that a kill at any instant sends some spans twice
and none never. Written whole beside its place and moved into it; private to its owner.
"""

import os
from pathlib import Path

import msgspec

from trajectory.errors import StoreError
from trajectory.forwarder.target import Target
from trajectory.model.hashing import blake2b
from trajectory.store.journal import prepare

_MAX_BYTES = 16 * 1024 * 1024
_ID_BYTES = 8


class Position(msgspec.Struct, frozen=True):
    """All frames up to `frame` are forwarded, but for the spans that were open then in the traces of `open`."""

    target: str
    frame: int
    open: list[str] = []


class PositionFile:
    """The position of one target, beside the store at `store`. Its methods raise StoreError."""

    def __init__(self, store: Path, target: Target) -> None:
        self._directory = directory_of(store)
        self._name = target.name
        self._path = self._directory / f"{blake2b(target.url.encode(), digest_size=8).hexdigest()}.json"

    def read(self) -> Position | None:
        """None where nothing was forwarded there yet, or what was written cannot be read."""
        said = _read(self._path)
        try:
            known = msgspec.json.decode(said, type=Position) if said else None
            if known is not None:
                list(map(bytes.fromhex, known.open))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return known

    def write(self, frame: int, open_traces: list[bytes]) -> None:
        position = Position(self._name, frame, [trace_id.hex() for trace_id in open_traces])
        prepare(self._directory)
        _write(self._path, msgspec.json.encode(position))


def directory_of(store: Path) -> Path:
    """Where the positions of a store are: beside it."""
    return store.with_name(f"{store.name}-forward")


def forwarder_id(store: Path) -> str:
    """Who forwards this store: drawn once. What comes back to it with this mark on it is not forwarded again."""
    path = directory_of(store) / "id"
    prepare(path.parent)
    known = _read(path).decode("ascii", "replace").strip()
    if len(known) == 2 * _ID_BYTES:
        return known
    drawn = os.urandom(_ID_BYTES).hex()
    _write(path, drawn.encode())
    return drawn


def _read(path: Path) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as opened:
            return opened.read(_MAX_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as fault:
        raise StoreError(f"{path} cannot be read, {fault.strerror}: check its permissions") from None


def _write(path: Path, said: bytes) -> None:
    beside = path.with_suffix(".new")
    try:
        beside.unlink(missing_ok=True)
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(said)
        beside.replace(path)
    except OSError as fault:
        raise StoreError(
            f"{path} cannot be written, {fault.strerror}: free some space, or check its permissions"
        ) from None
