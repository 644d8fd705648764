"""The seam of an exporter, the choice of one by a file's suffix, and the writing of the file.

Invariant: an export is private to its owner and whole or not there: mode 0600, written beside its place and moved into it.
Called by the command line and by a dashboard's export menu. A stranger's exporter registers under the entry point
`trajectory.exporters`, named by its suffix without the first dot; ours register the same way.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from trajectory.errors import ConfigError
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch

ENTRY_POINT = "trajectory.exporters"
TRACE, DELEGATIONS, SPANS, PROVENANCE = "trace", "delegations", "spans", "provenance"
GRAPHS = frozenset({DELEGATIONS, SPANS, PROVENANCE})


class Subject(msgspec.Struct, frozen=True):
    """What is exported: a folded trace, and a way to read its facts again, for the formats that are facts."""

    trace: Trace
    batches: Callable[[], Iterable[Batch]] = list
    of: str = TRACE


class Exporter(Protocol):
    """Writes one file format. `suffix` is lower case and starts with a dot; `of` are the subjects that it can write:
    `trace`, or the graphs `delegations`, `spans` and `provenance`."""

    suffix: str
    of: frozenset[str]

    def write(self, subject: Subject, out: BinaryIO) -> None:
        """Writes the whole file. The trace is read and never changed; nothing is said of the order of calls to `out`."""
        ...


def choose(path: str | Path, of: str = TRACE, entries: Iterable[EntryPoint] | None = None) -> Exporter:
    """The exporter for a file's name: of those that can write `of`, the one with the longest suffix that fits.

    Raises ConfigError for a suffix that nobody writes, naming those that somebody does, and for an exporter that cannot be
    loaded. `entries` are the registered entry points where others than the installed ones are to count.
    """
    if of not in (TRACE, *GRAPHS):
        raise ConfigError(f"cannot export {of!r:.40}: choose delegations, spans or provenance", "of")
    known = list(entry_points(group=ENTRY_POINT) if entries is None else entries)
    elsewhere = ""
    name = Path(path).name.lower()
    for entry in sorted(known, key=lambda e: (-len(e.name), e.name)):
        if name.endswith(f".{entry.name.lower()}"):
            try:
                exporter: Exporter = entry.load()
            except Exception as fault:  # a stranger's module may raise anything
                said = (str(fault).splitlines() or [""])[0]
                raise ConfigError(
                    f"the exporter {entry.name!r:.40} cannot be loaded: {said!r:.200}", "output"
                ) from None
            if of in exporter.of:
                return exporter
            if of == TRACE or TRACE in exporter.of:
                elsewhere = f", or use trajectory {'graph' if of == TRACE else 'export'}"
    what = "a trace" if of == TRACE else f"a graph of {of}"
    end = f"end its name in {_suffixes(known, of)}"
    raise ConfigError(f"no exporter writes {what} as {name!r:.80}: {end}{elsewhere}", "output")


def write_file(path: str | Path, exporter: Exporter, subject: Subject) -> Path:
    """Writes an export, in place of what was there, and returns its path. Raises ConfigError where it cannot be written."""
    if "\0" in str(path):
        raise ConfigError("a file's name cannot hold a zero byte: name another output file", "output")
    try:
        target = Path(path).resolve()
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise ConfigError(f"{path} is no regular file: name another output file", "output")
        handle, beside = tempfile.mkstemp(prefix=".trajectory-", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                exporter.write(subject, out)
            Path(beside).replace(target)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as fault:
        raise ConfigError(
            f"cannot write {path} ({fault.strerror or fault}): name another output file", "output"
        ) from None
    return target


def _suffixes(known: Iterable[EntryPoint], of: str) -> str:
    """The suffixes that somebody writes; an exporter that cannot be loaded writes nothing."""
    found = set()
    for entry in known:
        try:
            if of in entry.load().of:
                found.add(f".{entry.name}")
        except Exception:  # a stranger's module may raise anything
            continue
    return ", ".join(sorted(found)) or "nothing: no exporter is installed"
