"""Where the session logs of coding agents lie on this machine, and which files are one session's.

Invariant: only names that a folder lists are opened; what a log says is compared with such names and never made a path. Called by
`trajectory import` and `trajectory follow`.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from trajectory.dialects.coding_logs import thread_of

_HEAD_BYTES = 256 * 1024
_MAX_FILES = 5000  # that are looked at in one folder
_DAYS = 3  # of rollouts that may still be written


def roots() -> list[Path]:
    """The folders in which this user's coding agents log."""
    claude = [Path(part) for part in os.environ.get("CLAUDE_CONFIG_DIR", "").split(",") if part]
    homes = claude or [Path.home() / ".claude", Path.home() / ".config" / "claude"]
    codex = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")
    return [*(home / "projects" for home in homes), codex / "sessions"]


def logs_under(root: Path, changed_since_s: float) -> list[Path]:
    """The logs under a folder that were written since then, in wall-clock seconds; sub-agents' own among them."""
    found: list[Path] = []
    for folder in (root, *_folders(root)):
        found += [path for path, changed_s in _files(folder) if changed_s >= changed_since_s]
    return sorted(found)


def _folders(root: Path) -> Iterator[Path]:
    """The folders that may hold logs: projects and their sub-agents', or the last days of rollouts."""
    years = [folder for folder in _listed(root) if folder.name.isdecimal()]
    days = (day for year in sorted(years) for month in sorted(_listed(year)) for day in sorted(_listed(month)))
    yield from list(days)[-_DAYS:]
    for project in (folder for folder in _listed(root) if not folder.name.isdecimal()):
        yield project
        for session in _listed(project):
            yield session / "subagents"


def _listed(folder: Path) -> list[Path]:
    found = []
    for entry in _entries(folder):
        with contextlib.suppress(OSError):  # a link into a circle, say: the others are there all the same
            if entry.is_dir():
                found.append(Path(entry.path))
    return found


def _files(folder: Path) -> list[tuple[Path, float]]:
    found = []
    for entry in _entries(folder):
        with contextlib.suppress(OSError):  # that, or it went after it was listed
            if entry.name.endswith(".jsonl") and entry.is_file():
                found.append((Path(entry.path), entry.stat().st_mtime))
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(itertools.islice(entries, _MAX_FILES))
    except OSError:
        return []


def session_of(path: Path) -> Path:
    """The session's own log, where a path is the log of one of its sub-agents; else the path itself."""
    if path.parent.name == "subagents":
        above = path.parent.parent
        mine = above.with_name(f"{above.name}.jsonl")
        return mine if mine.is_file() else path
    thread_id, parent_id = thread_of(head_of(path))
    for _ in range(8):  # a thread that a thread that … began
        found = next((p for p, _ in _files(path.parent) if parent_id and p.stem.endswith(parent_id)), None)
        if found is None or found == path:
            break
        path = found
        thread_id, parent_id = thread_of(head_of(path))
    if path.name.startswith("agent-"):
        return next((p for p, _ in _files(path.parent) if thread_id and p.stem == thread_id), path)
    return path


def sub_agents_of(path: Path) -> list[Path]:
    """The logs of the sub-agents of a session whose own log this is."""
    inside = [p for p, _ in _files(path.with_suffix("") / "subagents")]
    session_id, _ = thread_of(head_of(path))
    threads, found, left = {session_id} - {""}, [], []
    for other in (p for p, _ in _files(path.parent) if p != path):
        if other.name.startswith("agent-"):
            if thread_of(head_of(other))[0] in threads:
                found.append(other)
        elif path.name.startswith("rollout-") and other.name.startswith("rollout-"):
            left.append((other, *thread_of(head_of(other))))
    while mine := [entry for entry in left if entry[2] in threads]:
        found += [other for other, _, _ in mine]
        threads |= {thread_id for _, thread_id, _ in mine}
        left = [entry for entry in left if entry not in mine]
    return sorted({*inside, *found})


def about(path: Path) -> Path:
    """The file that describes the sub-agent whose log this is; it need not be there."""
    return path.with_name(f"{path.stem}.meta.json")


def head_of(path: Path) -> bytes:
    """The beginning of a file; empty where it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
