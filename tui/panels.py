"""The panels of an operator: `[[panels]]` in their settings, each one metric of a group over a window of time, with a threshold.

Invariant: a panel that makes no sense is left out and told with its line and what was expected, and the others are shown. The
settings read them, the signals' screen shows them first.
"""

import re
from dataclasses import dataclass
from math import isfinite
from typing import Any

from trajectory.view.nearly import meant
from trajectory.view.plotted import DAY_MINUTES
from trajectory.view.times import offset_ns
from trajectory.view.views import MOST_ALSO
from tui.drawing.signals import BY, METRICS

MAX_PANELS_COUNT = MOST_ALSO
_LONGEST_TITLE = 60
_MINUTE_NS, _MOST_MINUTES = 60_000_000_000, 30 * DAY_MINUTES
_HEADER = re.compile(r"\s*\[\[\s*panels\s*\]\]")
_EXPECTED = {
    "metric": f"one of {', '.join(each.name for each in METRICS)}",
    "group": f"one of {', '.join(BY)}",
    "window": "a time of 1min to 30d, such as '1h' or '7d'",
    "threshold": "a number above 0: seconds, a share of 1, tokens, dollars or a count, as the metric is",
    "title": f"a text of up to {_LONGEST_TITLE} characters",
}
_IT_HAS = f"; it has {', '.join(_EXPECTED)}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `minutes` is its window."""

    metric: str
    group: str = "model"
    minutes: int = 60
    threshold: float | None = None
    title: str = ""


def read_panels(found: object, text: str) -> tuple[list[Panel], list[tuple[int, str]]]:
    """The panels of a settings file that was read as `found` from `text`, and the lines of what is wrong with others, and why."""
    if not isinstance(found, list):
        return [], [(_line(text, -1, "panels"), "panels is to be a list of tables: [[panels]]")]
    panels: list[Panel] = []
    faults: list[tuple[int, str]] = []
    for number, each in enumerate(found):
        fault = _fault(each)
        if fault is not None:
            faults.append((_line(text, number, fault[0]), fault[1]))
        elif len(panels) >= MAX_PANELS_COUNT:
            faults.append(
                (_line(text, number, ""), f"there are more than {MAX_PANELS_COUNT} panels: this one is left out")
            )
        else:
            panels.append(
                Panel(
                    each["metric"],
                    each.get("group", "model"),
                    _minutes(each.get("window", "1h")),
                    float(each["threshold"]) if "threshold" in each else None,
                    each.get("title", ""),
                )
            )
    return panels, faults


def _fault(panel: Any) -> tuple[str, str] | None:
    """What is wrong first: the name that it stands under, and in words."""
    if not isinstance(panel, dict):
        return "", "a panel is to be a table: [[panels]]"
    for name, value in panel.items():
        if name not in _EXPECTED:
            return name, f"a panel has no {name[:40]}{meant(name, _EXPECTED, _IT_HAS)}"
        if not _is_good(name, value):
            return name, f"{name} is to be {_EXPECTED[name]}"
    return None if "metric" in panel else ("", f"a panel needs a metric: {_EXPECTED['metric']}")


def _is_good(name: str, value: Any) -> bool:
    if name == "threshold":
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15 and isfinite(value)
    if not isinstance(value, str):
        return False
    return {
        "metric": value in {each.name for each in METRICS},
        "group": value in BY,
        "window": 1 <= _minutes(value) <= _MOST_MINUTES,
        "title": len(value) <= _LONGEST_TITLE,
    }[name]


def _minutes(text: str) -> int:
    return (offset_ns(text.replace(" ", "")) or 0) // _MINUTE_NS


def _line(text: str, number: int, name: str) -> int:
    """The line of a name in the panel of this number, else of the panel, else of the first word of panels; 0 where none is."""
    seen, header = -1, 0
    lines = text.splitlines()
    for at, line in enumerate(lines, 1):
        if _HEADER.match(line):
            seen += 1
            header = at if seen == number else header
        elif seen == number and seen >= 0 and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=", line) and name:
            return at
    return header or next((at for at, line in enumerate(lines, 1) if re.match(r"\s*panels\s*=", line)), 0)
