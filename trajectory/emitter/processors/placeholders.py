"""Placeholders that stand for what was taken out: `[secret:aws_key:3f9c2a41]`, equal where what they stand for is equal.

Invariant: a placeholder is a keyed hash, cut to 32 bits, and the key never travels: who has the store alone can neither read
nor guess what was there. The key is a user's: 32 random bytes in a file of mode 0600, shared by all the user's processes.
"""

import os
import re
import secrets
from pathlib import Path

from trajectory.emitter.misuse import report
from trajectory.model.hashing import blake2b

KEY_BYTES = 32
MARK_BYTES = 4

_BREAKS = re.compile(rb"\\+[nr]|\s")  # a key in lines is the same key in a JSON string


class Placeholders:
    """Makes placeholders under one key, which is read or made when the first is needed."""

    def __init__(self, key_path: Path | None = None) -> None:
        self._key_path = key_path
        self._key = b""

    def of(self, family: str, kind: str, value: bytes) -> bytes:
        """The placeholder for a value, in ASCII and without a character that JSON would escape."""
        if not self._key:
            self._key = key_at(self._key_path or default_key_path())
        mark = blake2b(_BREAKS.sub(b"", value), key=self._key, digest_size=MARK_BYTES).hexdigest()
        return f"[{family}:{kind}:{mark}]".encode()


def default_key_path() -> Path:
    """`redaction.key` in the user's data directory, `$XDG_DATA_HOME/trajectory` or `~/.local/share/trajectory`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path("~").expanduser() / ".local" / "share")
    return Path(base) / "trajectory" / "redaction.key"


def key_at(path: Path) -> bytes:
    """The key in the file, which is made where it is missing; one of this process alone where neither can be done."""
    try:
        return _read(path) or _make(path)
    except (OSError, RuntimeError) as fault:
        report(
            "key",
            "trajectory: no key for placeholders at %s (%s): equal secrets look equal in this process alone",
            path,
            fault,
        )
        return secrets.token_bytes(KEY_BYTES)


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    with os.fdopen(handle, "rb") as file:
        key = file.read(KEY_BYTES)
    if len(key) < KEY_BYTES:
        raise OSError(f"the file is no key of {KEY_BYTES} bytes")
    return key


def _make(path: Path) -> bytes:
    """Writes a new key under a name of its own and links it into place whole, so that of many processes one key wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        draft.unlink()
    return _read(path)
