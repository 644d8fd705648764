"""Links to a place in a trace, as text that can be pasted anywhere: `trajectory://7f3a90c1/span/91c4?t=33.5s&v=timeline`.

Invariant: a link holds hexadecimal ids, a time and one word; only one to the signals holds names, percent-encoded (`plotted`).
`parse_link` takes exactly what `str` of a link gives (`parse_link(str(link)) == link`) and refuses everything else. The dashboard
copies and follows them, the command line opens and prints them.
"""

import re
from dataclasses import dataclass
from hashlib import blake2s

from trajectory.errors import ConfigError
from trajectory.view.plotted import NAMES, Plotted, plotted_in
from trajectory.view.times import offset_ns, offset_text

SCHEME = "trajectory://"
EVERY_TRACE = "all"  # in the place of a trace: what is of all of them, which is the signals
LONGEST_LINK = 600
_TRACE = re.compile(r"[0-9a-f]{4,32}")
_SPAN = re.compile(r"[0-9a-f]{4,16}")
_ALERT = re.compile(r"[0-9a-f]{12}|A[0-9]{1,6}")
_DELEGATION = re.compile(r"[0-9a-f]{2,32}")
_KINDS = ("span", "agent", "alert", "delegation")
_VIEW = re.compile(r"[a-z]{1,16}")
_LONGEST_NS = 10**18  # since the start of a run: thirty years


@dataclass(frozen=True, slots=True)
class Link:
    """A run by a beginning of its id (4 to 32 hex digits), and in it perhaps a span (4 to 16), an agent by the span of its lane
    (so too), an alert or a delegation.

    `trajectory://all?v=signals` is the one that names no run. `alert` is `alert_mark` of its key, or its number (`A1`). `at_ns`
    is since the start of the run; `view` the screen or pane; `plotted` what the signals show.
    Raises ConfigError for what is none of that.
    """

    trace: str
    span: str = ""
    alert: str = ""
    at_ns: int | None = None
    view: str = ""
    delegation: str = ""
    agent: str = ""
    plotted: Plotted | None = None

    def __post_init__(self) -> None:
        parts = (
            (self.is_of_all or _TRACE.fullmatch(self.trace), "a run is 4 to 32 hexadecimal digits"),
            (not self.span or _SPAN.fullmatch(self.span), "a span is 4 to 16 hexadecimal digits"),
            (not self.agent or _SPAN.fullmatch(self.agent), "an agent is the 4 to 16 hexadecimal digits of its span"),
            (not self.alert or _ALERT.fullmatch(self.alert), "an alert is A and a number, or 12 hexadecimal digits"),
            (not self.delegation or _DELEGATION.fullmatch(self.delegation), "a delegation is its hexadecimal id"),
            (
                len([each for each in (self.span, self.agent, self.alert, self.delegation) if each]) <= 1,
                "it names one thing",
            ),
            (self.at_ns is None or 0 <= self.at_ns < _LONGEST_NS, "t is a time since the start, such as 33.5s"),
            (self.plotted is None or self.view == "signals", "only signals have a metric, a window or a group"),
            (not self.view or _VIEW.fullmatch(self.view), "v is the name of a screen"),
        )
        for is_good, rule in parts:
            if not is_good:
                raise ConfigError(f"no link of ours: {rule}", "link")

    @property
    def is_of_all(self) -> bool:
        """Whether it leads to the signals of all runs."""
        inside = (self.span, self.agent, self.alert, self.delegation)
        return self.trace == EVERY_TRACE and self.view == "signals" and self.at_ns is None and not any(inside)

    def __str__(self) -> str:
        named = ((kind, getattr(self, kind)) for kind in _KINDS)
        path = "".join(f"/{kind}/{name}" for kind, name in named if name)
        asked = [f"t={offset_text(self.at_ns)}"] if self.at_ns is not None else []
        asked += [f"v={self.view}"] if self.view else []
        asked += self.plotted.words() if self.plotted is not None else []
        return f"{SCHEME}{self.trace}{path}{'?' if asked else ''}{'&'.join(asked)}"


def is_link(text: str) -> bool:
    """Whether a text claims to be a link."""
    return text.startswith(SCHEME)


def parse_link(text: str) -> Link:
    """The link that a text is, the scheme left out or not. Raises ConfigError with the rule that it breaks."""
    if len(text) > LONGEST_LINK:
        raise ConfigError(f"no link of ours: it is longer than {LONGEST_LINK} characters", "link")
    place, mark, query = text.removeprefix(SCHEME).partition("?")
    trace, *path = place.split("/")
    if len(path) not in (0, 2) or (path and path[0] not in _KINDS) or "" in path:
        raise ConfigError(
            "no link of ours: behind the run comes nothing, or /ID behind /span, /agent, /alert or /delegation", "link"
        )
    asked = _asked(query) if mark else {}
    at_ns = offset_ns(asked["t"]) if "t" in asked else None
    if "t" in asked and at_ns is None:
        raise ConfigError("no link of ours: t is a time since the start, such as 33.5s", "link")
    shown = {name: value for name, value in asked.items() if name in NAMES}
    plotted = plotted_in(shown) if shown else None
    if isinstance(plotted, str):
        raise ConfigError(f"no link of ours: {plotted}", "link")
    named = dict([path]) if path else {}
    return Link(trace, at_ns=at_ns, view=asked.get("v", ""), plotted=plotted, **named)


def _asked(query: str) -> dict[str, str]:
    asked: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name not in ("t", "v", *NAMES) or name in asked or not value:
            raise ConfigError(
                "no link of ours: behind ? stand t=TIME, v=SCREEN and what signals show, each at most once", "link"
            )
        asked[name] = value
    return asked


def alert_mark(key: str) -> str:
    """What stands for an alert in a link: a digest of its key, which itself may hold what an agent wrote."""
    return blake2s(key.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def link_text(trace: str, span: str = "") -> str:
    """The link to a span as text; to its run where the span has no id as ours are."""
    try:
        return str(Link(trace, span))
    except ConfigError:
        return str(Link(trace))
