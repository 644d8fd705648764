"""What a link to the signals says is plotted there: a metric, by what, how much time, of whom, and the series and time looked at.

Invariant: `plotted_in` takes exactly what `words` gives; names, which agents chose, are percent-encoded, bounded, and without
control codes. Links hold it, the signals' screen shows it, and alerts of anomalies are linked to by it.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from trajectory.view.text import clean
from trajectory.view.times import offset_ns

LONGEST_NAME = 120  # characters, as written in a link
NAMES = ("m", "by", "w", "agent", "service", "of", "kind", "at")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")
_ENCODED = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+")
_WORDS = {"m": "metric", "by": "by", "kind": "kind"}
_TEXTS = {"agent": "agent", "service": "service", "of": "series"}
DAY_MINUTES = 24 * 60
_MINUTE_NS, _MOST_MINUTES = 60_000_000_000, 30 * DAY_MINUTES
_METRICS = {
    "latency": "p95",
    "time_to_first_token": "first-token",
    "tokens": "tokens",
    "cost": "cost",
    "output_length": "output-length",
    "error_rate": "error-rate",
    "tool_frequency": "calls",
}
_GROUPS = {"model": "model", "tool": "tool", "retrieval": "tool", "agent": "agent", "delegation": "edge"}


@dataclass(frozen=True, slots=True)
class Plotted:
    """`series` and `kind` name one line of the table; `at_s` is a time since 1970. What is empty is as the screen has it.

    `minutes` is the window: 0 leaves it to the screen, which takes the shortest that holds `at_s`.
    """

    metric: str = ""
    by: str = ""
    minutes: int = 0
    agent: str = ""
    service: str = ""
    series: str = ""
    kind: str = ""
    at_s: int = 0

    def words(self) -> list[str]:
        """Its parts in a link; a name that is too long for one is left out."""
        said = {
            **{name: getattr(self, field) for name, field in _WORDS.items()},
            **{name: _encoded(getattr(self, field)) for name, field in _TEXTS.items()},
            "w": _length(self.minutes),
            "at": str(self.at_s) if self.at_s else "",
        }
        return [f"{name}={said[name]}" for name in NAMES if said[name]]


def plotted_in(asked: dict[str, str]) -> Plotted | str:
    """What the parts of a link say is plotted, or the rule that they break."""
    fields: dict[str, str | int] = {}
    for name, value in asked.items():
        if name in _WORDS:
            if not _WORD.fullmatch(value):
                return f"{name} is a word"
            fields[_WORDS[name]] = value
        elif name in _TEXTS:
            text = unquote(value, errors="replace") if _ENCODED.fullmatch(value) else ""
            if not text or _encoded(text) != value:
                return f"{name} is a name, percent-encoded, of up to {LONGEST_NAME} characters"
            fields[_TEXTS[name]] = text
        elif name == "w":
            minutes = (offset_ns(value) or 0) // _MINUTE_NS
            if not 0 < minutes <= _MOST_MINUTES or _length(minutes) != value:
                return "w is a time of up to 30d, such as 1h or 7d"
            fields["minutes"] = minutes
        elif not re.fullmatch(r"[1-9][0-9]{0,10}", value):
            return "at is a time in seconds since 1970"
        else:
            fields["at_s"] = int(value)
    return Plotted(**fields)  # type: ignore[arg-type]


def plotted_of_anomaly(alert_kind: str, of: str, name: str, agent: str, service: str, at_ns: int) -> Plotted | None:
    """Where an anomaly is seen; None of what is none, or is of no series that is plotted."""
    is_one, _, metric = alert_kind.partition(".")
    if is_one != "anomaly" or metric not in _METRICS or of not in _GROUPS:
        return None
    by = _GROUPS[of]
    series = f"{agent} → {name}" if by == "edge" else name
    whose = agent if by in ("model", "tool") else ""
    return Plotted(_METRICS[metric], by, 0, whose, service, series, of, max(0, at_ns) // 1_000_000_000)


def _encoded(text: str) -> str:
    text = clean(text)
    written = quote(text, safe="", errors="replace")
    return written if len(written) <= LONGEST_NAME else ""


def _length(minutes: int) -> str:
    for size, unit in ((1440, "d"), (60, "h"), (1, "m")):
        if minutes and minutes % size == 0:
            return f"{minutes // size}{unit}"
    return ""
