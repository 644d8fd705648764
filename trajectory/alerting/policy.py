"""What is to be made of findings, and whom to tell: rules, channels by severity, quiet hours, and checks for `trajectory check`.

Invariant: pure and frozen; a policy decides from a finding, its service and an instant alone. Read from TOML by `policy_file`,
asked by `incidents` and by the outbox.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

import msgspec

from trajectory.model.fact import Finding
from trajectory.model.words import Severity
from trajectory.view.times import offset_ns

Named = Literal["info", "warning", "critical"]
Field = Literal["kind", "agent", "peer_agent", "service", "trace"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Patterns = str | list[str]
DAYS: tuple[Day, ...] = get_args(Day)
MEASURES = ("cost_usd", "tokens", "input_tokens", "output_tokens", "errors", "model_calls", "duration_s", "call_s")
_RATE = re.compile(r"([1-9][0-9]{0,3}) in (\S+)")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_RANKS = {severity.value: severity.rank for severity in Severity}


def rank_of(severity: str) -> int:
    """The rank of a severity, that of `info` for one from a newer writer."""
    return _RANKS.get(severity, 0)


@lru_cache(maxsize=1024)
def span_ns(key: str, text: str) -> int:
    """A time such as `30m`; 0 for none. Raises ValueError that begins with the key."""
    if not text:
        return 0
    ns = offset_ns(text)
    if not ns:
        raise ValueError(f"{key}: {text[:40]!r} is no time; expected an amount with its unit, such as 90s, 30m or 2h")
    return ns


class Rate(NamedTuple):
    """So many findings within so long."""

    times: int = 1
    within_ns: int = 0


@lru_cache(maxsize=1024)
def _rate(text: str) -> Rate:
    if not text:
        return Rate()
    found = _RATE.fullmatch(text)
    within_ns = offset_ns(found[2]) if found else None
    if found is None or not within_ns:
        raise ValueError(f"rate: {text[:40]!r} is no rate; expected N in TIME, such as 5 in 10m")
    return Rate(int(found[1]), within_ns)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which findings become incidents, how they are grouped, when an incident opens and closes, and who hears of it.

    The first rule that matches a finding decides. Patterns are globs, or lists of them.
    """

    name: str = ""
    kind: Patterns = "*"
    severity: Named = "warning"  # at least
    agent: Patterns = "*"
    service: Patterns = "*"
    rate: str = ""  # "5 in 10m": so many findings within so long
    for_: str = msgspec.field(default="", name="for")  # they have to go on for so long
    group_by: list[Field] = msgspec.field(default_factory=lambda: ["kind", "agent", "peer_agent", "service"])
    close_after: str = "30m"  # without a finding
    repeat: str = ""  # told again while it is open
    channels: list[str] = []  # else those of its severity
    ignore: bool = False  # what matches is no incident

    def __post_init__(self) -> None:
        self.needed()
        for key in ("for", "close_after", "repeat"):
            self.time_ns(key)
        if not self.close_after:
            raise ValueError("close_after: '' is no time; expected an amount with its unit, such as 30m")

    def time_ns(self, key: str) -> int:
        """`for`, `close_after` or `repeat` in nanoseconds."""
        return span_ns(key, getattr(self, "for_" if key == "for" else key))

    def needed(self) -> Rate:
        """The rate that opens an incident: one finding, unless it is said."""
        return _rate(self.rate)

    def takes(self, finding: Finding, service: str) -> bool:
        """Whether it decides about a finding."""
        return (
            rank_of(finding.severity) >= rank_of(self.severity)
            and is_like(finding.kind, self.kind)
            and (is_like(finding.agent, self.agent) or is_like(finding.peer_agent, self.agent))
            and is_like(service, self.service)
        )

    def group_of(self, finding: Finding, service: str) -> tuple[str, ...]:
        """What findings of one incident share, beside the rule."""
        said = {
            "kind": finding.kind, "agent": finding.agent, "peer_agent": finding.peer_agent, "service": service,
            "trace": finding.trace_id.hex(),
        }  # fmt: skip
        return tuple(f"{name}={said[name][:200]}" for name in self.group_by)


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours in which nobody is told: what comes meanwhile is told behind them. From 22:00 to 07:00 goes over midnight."""

    from_: str = msgspec.field(name="from")
    to: str
    days: list[Day] = msgspec.field(default_factory=lambda: list(DAYS))  # those on which it begins
    zone: str = "UTC"
    critical: bool = True  # critical ones are told nevertheless
    channels: list[str] = []  # of which; all, where none is named

    def __post_init__(self) -> None:
        for key, text in (("from", self.from_), ("to", self.to)):
            if not _CLOCK.fullmatch(text):
                raise ValueError(f"{key}: {text[:20]!r} is no time of day; expected HH:MM, such as 22:00")
        if self.from_ == self.to:
            raise ValueError(f"to: {self.to!r} is when it begins; expected another time of day")
        try:
            _zone(self.zone)
        except (KeyError, OSError, ValueError):
            raise ValueError(
                f"zone: {self.zone[:40]!r} is no time zone; expected its name, such as Europe/Berlin or UTC"
            ) from None

    def ends_ns(self, now_ns: int) -> int:
        """When the quiet hours that an instant is in are over; 0 where it is in none."""
        zone = _zone(self.zone)
        now = datetime.fromtimestamp(now_ns / 1e9, UTC)
        today = now.astimezone(zone).date()
        for day in (today - timedelta(days=1), today):
            if DAYS[day.weekday()] not in self.days:
                continue
            begins, ends = (
                datetime.combine(day, datetime.strptime(text, "%H:%M").time(), zone) for text in (self.from_, self.to)
            )
            if self.to < self.from_:
                ends = ends + timedelta(days=1)  # of the wall clock, whatever summer time does in between
            if begins.astimezone(UTC) <= now < ends.astimezone(UTC):
                return int(ends.timestamp()) * 1_000_000_000
        return 0


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)  # the latter wants the system's time zones


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule of `trajectory check`: at most so many findings of a kind, or at most so much of a measure, in each trace.

    `of = "all"` sums over the traces that are checked. `call_s` is the slowest model or tool call, `duration_s` the trace.
    """

    name: str = ""
    kind: Patterns = ""
    severity: Named = "warning"
    measure: str = ""
    agent: Patterns = "*"
    at_most: float = 0.0
    of: Literal["trace", "all"] = "trace"

    def __post_init__(self) -> None:
        if bool(self.kind) == bool(self.measure):
            raise ValueError("kind: a check has either a kind or a measure; expected one of both")
        if self.measure and self.measure not in MEASURES:
            raise ValueError(f"measure: {self.measure[:40]!r} is none; expected one of {', '.join(MEASURES)}")
        if not 0 <= self.at_most < 1e18:
            raise ValueError("at_most: is a bound; expected a number, 0 or more")
        if self.of == "all" and self.measure in ("duration_s", "call_s"):
            raise ValueError(f'of: {self.measure} is of one trace; expected of = "trace"')

    @property
    def title(self) -> str:
        """Its name, else what it asks."""
        what = self.measure or "findings of " + ", ".join([self.kind] if isinstance(self.kind, str) else self.kind)
        return self.name or f"{what} at most {self.at_most:g}"


class Channel(NamedTuple):
    """A channel as it is configured: its kind, what it does at most, and its own options as they stand."""

    name: str
    kind: str
    per_minute: int
    options: dict[str, Any]


class Policy(msgspec.Struct, frozen=True):
    """All of it. Without rules, warnings and above are incidents; without `by_severity`, every channel hears of all."""

    rules: list[Rule] = []
    quiet: list[Quiet] = []
    checks: list[Check] = []
    channels: dict[str, Channel] = {}
    by_severity: dict[str, list[str]] = {}
    state: str = ""  # where the state is kept; beside the store, where it is empty

    def rule_for(self, finding: Finding, service: str) -> tuple[str, Rule] | None:
        """The rule that decides about a finding and its name; None where it is no incident."""
        for number, rule in enumerate(self.rules or [Rule()]):
            if rule.takes(finding, service):
                return None if rule.ignore else (rule.name or f"rule {number + 1}", rule)
        return None

    def rule_named(self, name: str) -> Rule:
        """A rule by its name; the default one where it is gone."""
        named = {rule.name or f"rule {number + 1}": rule for number, rule in enumerate(self.rules)}
        return named.get(name, Rule())

    def channels_for(self, rule: Rule, severity: str) -> list[str]:
        """Who is told of an incident."""
        if rule.channels:
            return [name for name in rule.channels if name in self.channels]
        if self.by_severity:
            return [name for name in self.by_severity.get(severity, []) if name in self.channels]
        return list(self.channels)

    def quiet_until_ns(self, channel: str, severity: str, now_ns: int) -> int:
        """Until when a channel is left in peace; 0 where it is not."""
        ends = [
            quiet.ends_ns(now_ns)
            for quiet in self.quiet
            if (not quiet.channels or channel in quiet.channels) and not (severity == "critical" and quiet.critical)
        ]
        return max(ends, default=0)


def is_like(text: str, patterns: Patterns) -> bool:
    """Whether a text matches a glob, or one of several."""
    return any(fnmatchcase(text, each) for each in ([patterns] if isinstance(patterns, str) else patterns))
