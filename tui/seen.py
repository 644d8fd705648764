"""How runs stood when they were last opened, so that a later look, after a restart too, can say what is new.

Invariant: only counts and times are kept, nothing that an agent said; at most `MAX_RUNS_COUNT` runs, the last opened ones, in a
file of the user's alone. A file that cannot be read counts as empty. Made by the command line, filled by the cockpit.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from trajectory.view.rows import TraceRow
from tui.settings import replace_file

MAX_RUNS_COUNT = 500
_MAX_BYTES = 1_000_000


class Seen(dict[str, TraceRow]):
    """Rows by the id of their trace, the one opened last at the end. Without a path, they last as long as the app."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(_read(path) if path else {})
        self._path = path
        self._fresh: set[str] = set()

    def __setitem__(self, trace_id: str, row: TraceRow) -> None:
        self.pop(trace_id, None)
        super().__setitem__(trace_id, row)
        self._fresh.add(trace_id)

    def keep(self) -> None:
        """Writes what was opened since, beside what other dashboards wrote in the meantime."""
        if self._path is None or not self._fresh:
            return
        ours = {trace_id: _bare(row) for trace_id, row in self.items() if trace_id in self._fresh}
        kept = {trace_id: row for trace_id, row in _read(self._path).items() if trace_id not in ours} | ours
        newest = dict(list(kept.items())[-MAX_RUNS_COUNT:])
        with suppress(OSError):
            replace_file(self._path, msgspec.json.encode(newest))


def _bare(row: TraceRow) -> TraceRow:
    return msgspec.structs.replace(
        row, title="", goal="", session_id="", service="", agent_names=[], activity=[], run_id=""
    )


def _read(path: Path) -> dict[str, TraceRow]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, TraceRow])
    except (OSError, ValueError, msgspec.MsgspecError):
        return {}
