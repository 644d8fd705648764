"""What leaves the screen: copied texts and new files, for whoever looks at a run to take along.

Invariant: files are new, the user's alone (0600), and named by us, never by what an agent said; a copy's file goes when the
dashboard is left. Called by the app.
"""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path


class Copies:
    """The last copied text in a private file: for terminals that keep no clipboard for us."""

    def __init__(self) -> None:
        self._path = ""

    def keep(self, text: str) -> str:
        """Writes the text; returns what to tell."""
        try:
            if not self._path:
                handle, self._path = tempfile.mkstemp(prefix="trajectory-copy-", suffix=".txt")
                os.close(handle)
            Path(self._path).write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            return f"copied {len(text)} characters (no file: {error.strerror})"
        return f"copied {len(text)} characters; also in {self._path}"

    def forget(self) -> None:
        """Removes the file."""
        if self._path:
            with suppress(OSError):
                Path(self._path).unlink()
            self._path = ""


def write_new(suffix: str, text: str) -> str:
    """Writes a text as a new file into the current directory, or into the temporary one; returns what to tell."""
    name = f"trajectory-{time.strftime('%Y%m%d-%H%M%S')}.{suffix}"
    for directory in (Path.cwd(), Path(tempfile.gettempdir())):
        path = directory / name
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            continue
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as out:
            out.write(text)
        return f"saved {path}"
    return "nothing could be saved: neither here nor in the temporary directory can be written"
