"""The page of all figures, `RESULTS.md`: a section for each benchmark, put in place of what it had said before.

Invariant: a section says by which command, on which commit, when and how busy the machine was; what could not be measured says
why. Written by `python -m tests.benchmarks --results`.
"""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from tests.benchmarks import Row
from tests.benchmarks._rounds import REPOSITORY

PAGE = Path(__file__).parent / "RESULTS.md"
_HEAD = """# Figures

Each section is written by the command that it names: `python -m tests.benchmarks NAME --results`. ✓ as the goal asks, ✗ not,
no sign where nothing is judged. n, medians and intervals stand in the figure where there are several measurements. What was
tried where a goal is missed, and what that taught, is `LEARNED` in the benchmark's module.
"""
_MARKS = {True: "✓", False: "✗", None: ""}


def note(module: ModuleType, rows: list[Row], took_s: float, absent: str = "") -> None:
    """Puts what one benchmark measured into the page."""
    kept = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", kept, re.MULTILINE | re.DOTALL))
    sections[module.NAME] = _section(module, rows, took_s, absent)
    PAGE.write_text(
        _HEAD + "".join(f"\n## {name}\n\n{sections[name].strip()}\n" for name in sorted(sections)), encoding="utf-8"
    )


def _section(module: ModuleType, rows: list[Row], took_s: float, absent: str) -> str:
    judged = [row for row in rows if row.is_good is not None]
    good = sum(row.is_good is True for row in judged)
    lines = [
        f"Goal: {_told(module.GOAL)}.",
        "",
        f"`python -m tests.benchmarks {module.NAME}` on {_commit()}, {datetime.now(UTC):%Y-%m-%d}, {took_s:.0f} s; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f} at its end. "
        + (f"Not measured: {_told(absent)}." if absent else f"**{good} of {len(judged)} as the goal asks.**"),
    ]
    if rows:
        lines += ["", "| | case | figure | measured | goal |", "|---|---|---|---|---|"]
        lines += [
            f"| {_MARKS[row.is_good]} | {_told(row.case)} | {_told(row.figure)} | {_told(row.measured)} | "
            f"{_told('' if row.goal == row.measured else row.goal)} |"
            for row in rows
        ]
    if learned := getattr(module, "LEARNED", ()):
        lines += ["", "What was tried where the goal is missed:", "", *(f"- {_told(said)}" for said in learned)]
    return "\n".join(lines)


def _told(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _commit() -> str:
    """The commit, and whether more than that was measured."""
    at = ["git", "-C", str(REPOSITORY)]
    said = subprocess.run([*at, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*at, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout
    is_changed = any(not line.endswith(PAGE.name) for line in changed.splitlines())
    return f"commit {said.stdout.strip() or 'unknown'}{' and changes' if is_changed else ''}"
