"""Secrets of channels: named in the policy as `env:NAME` or `file:PATH`, looked up when a channel is made, and never said.

Invariant: what went through `scrub` holds no secret that this vault gave out. One vault for each channel.
"""

import os
from pathlib import Path

from trajectory.errors import ConfigError

_MAX_BYTES = 64 * 1024
_LEAST_CHARS = 4
MASK = "[secret]"


class Vault:
    """Looks secrets up and remembers what it gave out, to keep it out of messages."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def secret(self, key: str, text: str) -> str:
        """The secret that `env:NAME` or `file:PATH` names; empty for an empty text. Raises ConfigError, also for a bare one."""
        if not text:
            return ""
        if not text.startswith(("env:", "file:")):
            raise ConfigError(
                f"{key}: a secret does not stand in a policy; expected env:NAME or file:PATH, which hold it", key
            )
        return self.text(key, text)

    def text(self, key: str, text: str) -> str:
        """What a text names, or the text itself: for addresses, which may hold a key or not. Raises ConfigError."""
        kind, _, name = text.partition(":")
        if kind == "env":
            found = os.environ.get(name, "")
            if not found:
                raise ConfigError(f"{key}: the environment has no {name[:80]}; set it where the collector runs", key)
        elif kind == "file":
            found = _read(key, Path(name).expanduser())
        else:
            return text
        self.keep(found)
        return found

    def keep(self, text: str) -> None:
        """From now on it is a secret."""
        if len(text) >= _LEAST_CHARS:
            self._given.add(text)

    def scrub(self, text: str) -> str:
        """A text without them."""
        for secret in sorted(self._given, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text


def _read(key: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            found = file.read(_MAX_BYTES).strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(
            f"{key}: {path} cannot be read: {getattr(fault, 'strerror', None) or 'no text'}", key
        ) from None
    if not found:
        raise ConfigError(f"{key}: {path} is empty; expected a secret in it", key)
    return found
