"""Where a store is: a path or a `sqlite:///` URL, as a file's real path and as the URI that SQLite opens.

Invariant: one file has one path here, whatever links lead to it, so that its lock is one too. Called by `sqlite`.
"""

import os
import re
import stat
from pathlib import Path
from urllib.parse import quote, unquote

from trajectory.errors import StoreError

_SMALLEST_PAGE_BYTES = 512
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def locate(location: str | os.PathLike[str]) -> Path:
    """The file that a path or `sqlite:///absolute/path` names, links resolved; `~` is the home directory.

    A URL's percent escapes are decoded, a plain path is taken as it is. Raises StoreError for any other scheme.
    """
    text = os.fspath(location)
    if not text or "\0" in text:
        raise StoreError(f"{text!r} names no file: give --store a path or sqlite:///absolute/path")
    url = _SCHEME.fullmatch(text)
    path = _path_of_url(text, url[1], url[2]) if url else os.path.expanduser(text)  # noqa: PTH111 (Path would raise)
    return Path(os.path.realpath(path))


def _path_of_url(text: str, scheme: str, rest: str) -> str:
    if scheme.lower() != "sqlite":
        raise StoreError(f"store URL {text!r}: {scheme!r} is not supported, use a path or sqlite:///absolute/path")
    if not rest.startswith("/"):
        raise StoreError(f"store URL {text!r} has no absolute path: write sqlite:///absolute/path")
    return "/" + unquote(rest).lstrip("/")


def sqlite_uri(path: Path, query: str) -> str:
    """The path as SQLite's `file:` URI; everything that a URI would read as its own is escaped."""
    return f"file:{quote(os.fsencode(path))}?{query}"


def require_file(path: Path) -> None:
    """Raises StoreError unless `path` is a regular file with something in it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise StoreError(f"no store at {path}: start `trajectory serve`, or name the right file with --store") from None
    except OSError as fault:
        raise StoreError(f"cannot reach {path}: {fault.strerror}: check its permissions") from None
    _require_database(path, status)
    if status.st_size == 0:
        raise StoreError(f"{path} is empty: nothing has been stored in it yet")
    if not os.access(path, os.R_OK):
        raise StoreError(f"cannot read {path}: permission denied: run as its owner, or name another --store")


def is_own(path: Path) -> bool:
    """Whether a file is this user's."""
    return path.stat().st_uid == os.geteuid()


def prepare_file(path: Path) -> None:
    """Makes the file, for its owner alone, and the directories above it, unless they are there. Raises StoreError."""
    try:
        _make_directories(path.parent)
        # Never opened where it exists: closing it would free the locks of every connection of this process to it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.parent.is_dir():
            _require_database(path, path.stat())
            return
        raise StoreError(f"cannot make {path}: a file is in the way of its directory") from None
    except OSError as fault:
        raise StoreError(
            f"cannot make {path}: {fault.strerror}: check its directory, or name another --store"
        ) from None


def _make_directories(directory: Path) -> None:
    if not directory.is_dir():
        _make_directories(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def _require_database(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise StoreError(f"{path} is a directory: name a file in it with --store")
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is not a regular file: name another --store")
    if 0 < status.st_size < _SMALLEST_PAGE_BYTES:  # SQLite would take it for an empty database, and write over it
        raise StoreError(f"{path} is not a Trajectory store (no SQLite file): name another --store")
