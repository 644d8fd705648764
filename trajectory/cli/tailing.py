"""What is added to a file while others write it: by polling, which works on every file system and costs a `stat`.

Invariant: the bytes of a file come in their order, each once; a file that was cut or replaced begins anew and says so. Called by
`trajectory follow`.
"""

import os
from pathlib import Path

CHUNK_BYTES = 4 << 20  # of one file at once
_MARK_BYTES = 64  # at the beginning of a file, by which another one under its name is known


class Tail:
    """One file, read from its beginning. `read` gives what is new; `restarted` says that this begins anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.restarted = False
        self._identity = (0, 0)
        self._mark = b""
        self._seen = (0, 0)  # size and time of the last look

    @property
    def changed_s(self) -> float:
        """When the file was last written, as far as was looked; wall clock."""
        return self._seen[1] / 1e9

    def read(self) -> bytes:
        """The next bytes, a bounded number of them; none where nothing is new, or the file is not there just now."""
        self.restarted = False
        try:
            stat = self.path.stat()
        except OSError:
            return b""
        looked = (stat.st_size, stat.st_mtime_ns)
        identity = (stat.st_dev, stat.st_ino)
        if looked == self._seen and identity == self._identity and self.offset == stat.st_size:
            return b""
        try:
            with os.fdopen(os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
                head = file.read(_MARK_BYTES)
                is_other = identity != self._identity or not head.startswith(self._mark) or stat.st_size < self.offset
                if is_other:
                    self.restarted = self.offset > 0
                    self.offset = 0
                file.seek(self.offset)
                data = file.read(CHUNK_BYTES)
        except OSError:
            return b""
        self._identity, self._mark, self._seen = identity, head, looked
        self.offset += len(data)
        return data
