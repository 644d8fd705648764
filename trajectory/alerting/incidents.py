"""Findings of all runs as incidents: what goes wrong in the same way at the same place is one thing, which grows and ends.

Invariant: pure; the same findings, marks and instants in the same order give the same incidents and changes; what it remembers
is bounded and holds no secret. Driven by `Dispatch`, which keeps incidents over a restart.
"""

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2s
from typing import NamedTuple

import msgspec

from trajectory.alerting.alerts import alert_key, is_over
from trajectory.alerting.policy import Policy, Rule, rank_of
from trajectory.detection.masking import masked
from trajectory.detection.series import series_of
from trajectory.model.fact import Finding, Marked
from trajectory.model.words import ENDED_AT
from trajectory.view.muting import key_of_agent, key_of_kind
from trajectory.view.text import clean

MAX_INCIDENTS = 20_000  # open ones; beyond them the oldest is closed
_MAX_SEEN = 4_096  # findings of one incident that are known again when they grow
_MAX_PLACES = 100  # runs that are named
_MAX_MUTES = 10_000
FOREVER_NS = (1 << 63) - 1
_SEEN_BYTES = 8
_LIKE = "like "  # before an incident's key: a name of what is muted; those of marks begin with a trace
_FAR_NS = 3_600_000_000_000  # nobody is so far ahead of the clock: it was set back
_MOST_LASTING_NS = 7 * 86_400_000_000_000  # what lasts holds its incident open for so long at most: its run may be gone


class Incident(msgspec.Struct):
    """One thing that goes wrong. Its newest finding says what; `places` are (run, key of its alert there), the newest last.

    `state` is `pending` (rate or duration not reached), `open`, `acknowledged` or `closed`. `seen` are digests of findings,
    `lasting` those of them that are not over until somebody says so, and `lasting_count` how many of all were such.
    """

    id: str
    key: str
    rule: str
    kind: str
    severity: str
    message: str
    agent: str
    peer_agent: str
    service: str
    trace_id: str
    alert_key: str
    opened_ns: int
    last_ns: int
    state: str = "pending"
    count: int = 0
    trace_count: int = 0
    closed_ns: int = 0
    muted_until_ns: int = 0
    told_ns: int = 0
    told_severity: str = ""
    places: list[tuple[str, str]] = []
    recent_ns: list[int] = []
    seen: bytes = b""
    lasting: list[bytes] = []
    lasting_count: int = 0
    of: str = ""  # of an anomaly: the kind of work that its series is of,
    series: str = ""  # and of which model, tool or agent
    since_ns: int = 0  # when what its finding says began; alerts come later

    def shown_state(self, now_ns: int) -> str:
        """Its state as people see it: `muted` stands over open and acknowledged."""
        return "muted" if self.state != "closed" and now_ns < self.muted_until_ns else self.state


class Change(NamedTuple):
    """What somebody may have to be told: `open`, `worse`, `repeat`, `acknowledge` or `close`."""

    action: str
    incident: Incident


class Incidents:
    """All incidents that are not closed. `touched` are those that changed since somebody last cleared it."""

    def __init__(self, known: Iterable[Incident] = (), mutes: Iterable[tuple[str, int]] = ()) -> None:
        self._by_key: OrderedDict[str, Incident] = OrderedDict((incident.key, incident) for incident in known)
        self._mutes: OrderedDict[str, int] = OrderedDict(mutes)  # mark, as `_mark_keys` names it → until when
        self._seen: dict[str, set[bytes]] = {}  # by incident, made of its `seen` when it grows
        self.touched: dict[str, Incident] = {}

    @property
    def all(self) -> list[Incident]:
        return list(self._by_key.values())

    @property
    def mutes(self) -> list[tuple[str, int]]:
        """Marks that mute what is yet to come, with their ends."""
        return list(self._mutes.items())

    def take(self, finding: Finding, service: str, at_ns: int, policy: Policy) -> list[Change]:
        """One finding, found at an instant. One that says that what it told of is over begins nothing."""
        finding, service = _without_secrets(finding), masked(service)
        if is_over(finding):
            return self._end(finding, at_ns)
        decided = policy.rule_for(finding, service)
        if decided is None:
            return self._take_back(finding, service, at_ns, policy)
        name, rule = decided
        key = _key(name, rule, finding, service)
        incident = self._by_key.get(key)
        if incident is None:
            incident = self._by_key[key] = _begun(key, name, finding, service, at_ns)
        is_new = self._is_new(incident, finding)
        _grow(incident, finding, at_ns, rule, is_new=is_new)
        self.touched[incident.id] = incident
        self._mute_as_marked(incident, finding, at_ns)
        changes = self._after(incident, rule, at_ns) if is_new or incident.state != "pending" else []
        while len(self._by_key) > MAX_INCIDENTS:
            changes += self._close(next(iter(self._by_key.values())), at_ns)
        return changes

    def mark(self, marked: Marked) -> list[Change]:
        """What an operator says of an alert in a run is said of the incident that it is a part of."""
        until_ns = (marked.until_ns or FOREVER_NS) if marked.action == "mute" else 0
        self._mute(f"{marked.trace_id.hex()} {marked.alert_key}", until_ns)
        changes = []
        for incident in self._by_key.values():
            meant = (trace == marked.trace_id.hex() and marked.alert_key in _mark_keys(key, incident.agent)
                     for trace, key in incident.places)  # fmt: skip
            if incident.state == "closed" or not any(meant):
                continue
            self.touched[incident.id] = incident
            incident.muted_until_ns = until_ns
            self._mute(_LIKE + incident.key, until_ns)  # what opens in its place later is muted as well
            if marked.action == "acknowledge" and incident.state == "open":
                incident.state = "acknowledged"
                changes.append(Change("acknowledge", incident))
            elif marked.action == "reopen" and incident.state == "acknowledged":
                incident.state = "open"
        return changes

    def _mute(self, name: str, until_ns: int) -> None:
        """Mutes what goes by a name, or, until nothing, no longer."""
        self._mutes.pop(name, None)
        if until_ns:
            self._mutes[name] = until_ns
            while len(self._mutes) > _MAX_MUTES:
                self._mutes.popitem(last=False)

    def pass_time(self, now_ns: int, policy: Policy) -> list[Change]:
        """Closes what is over, and says again what is to be said again."""
        changes: list[Change] = []
        rules: dict[str, Rule] = {}
        for incident in list(self._by_key.values()):
            rule = rules.get(incident.rule) or rules.setdefault(incident.rule, policy.rule_named(incident.rule))
            if max(incident.last_ns, incident.told_ns) - now_ns > _FAR_NS:
                incident.last_ns, incident.told_ns = min(incident.last_ns, now_ns), min(incident.told_ns, now_ns)
                self.touched[incident.id] = incident
            rests_ns = max(rule.time_ns("close_after"), rule.needed().within_ns)
            if incident.lasting:
                rests_ns = max(rests_ns, _MOST_LASTING_NS)
            if now_ns - incident.last_ns >= rests_ns:
                changes += self._close(incident, now_ns)
            elif incident.state == "open" and now_ns >= incident.muted_until_ns:
                repeat_ns = rule.time_ns("repeat")
                if not incident.told_ns:
                    changes += self._tell(incident, "open", now_ns)  # it was muted until now
                elif repeat_ns and now_ns - incident.told_ns >= repeat_ns:
                    changes += self._tell(incident, "repeat", now_ns)
        return changes

    def _take_back(self, finding: Finding, service: str, at_ns: int, policy: Policy) -> list[Change]:
        """A finding that was known, and is told anew as less than its rule asks for, is none any more. The last one ends it."""
        for severity in ("warning", "critical"):
            decided = policy.rule_for(msgspec.structs.replace(finding, severity=severity), service)
            incident = self._by_key.get(_key(*decided, finding, service)) if decided else None
            if incident is None or (digest := _digest(finding)) not in self._seen_of(incident):
                continue
            self._seen_of(incident).discard(digest)
            incident.seen = b"".join(each for each in _parts(incident.seen) if each != digest)
            incident.count -= 1
            incident.recent_ns = incident.recent_ns[:-1]
            self.touched[incident.id] = incident
            if incident.count > 0:
                return []
            incident.message, incident.count = finding.message, 1
            return self._close(incident, at_ns)
        return []

    def _after(self, incident: Incident, rule: Rule, at_ns: int) -> list[Change]:
        """What a finding makes of its incident."""
        if incident.state == "pending":
            needed, wait_ns = rule.needed(), rule.time_ns("for")
            recent = [ns for ns in incident.recent_ns if not needed.within_ns or at_ns - ns <= needed.within_ns]
            if len(recent) < needed.times or incident.last_ns - incident.opened_ns < wait_ns:
                return []
            incident.state = "open"
        if at_ns < incident.muted_until_ns:
            return []
        if not incident.told_ns:
            return self._tell(incident, "open", at_ns)
        if rank_of(incident.severity) > rank_of(incident.told_severity):
            incident.state = "open"  # it was known to be less bad
            return self._tell(incident, "worse", at_ns)
        return []

    def _tell(self, incident: Incident, action: str, at_ns: int) -> list[Change]:
        incident.told_ns, incident.told_severity = at_ns, incident.severity
        self.touched[incident.id] = incident
        return [Change(action, incident)]

    def _close(self, incident: Incident, now_ns: int) -> list[Change]:
        del self._by_key[incident.key]
        self._seen.pop(incident.id, None)
        was_told = incident.told_ns > 0
        incident.state, incident.closed_ns, incident.seen, incident.recent_ns = "closed", now_ns, b"", []
        incident.lasting = []
        self.touched[incident.id] = incident
        return [Change("close", incident)] if was_told else []

    def _end(self, finding: Finding, at_ns: int) -> list[Change]:
        """What lasted is over: its incident closes with the last of them, unless other findings keep it to its time."""
        own = _digest(finding)
        incident = next((one for one in self._by_key.values() if own in one.lasting), None)
        if incident is None:
            return []
        self.touched[incident.id] = incident
        incident.lasting = [each for each in incident.lasting if each != own]
        if (incident.trace_id, incident.alert_key) == (finding.trace_id.hex(), alert_key(finding)):
            incident.message = finding.message
        if incident.lasting or incident.count > incident.lasting_count:
            return []
        return self._close(incident, at_ns)

    def _is_new(self, incident: Incident, finding: Finding) -> bool:
        """Whether a finding is not one that was known and has only grown."""
        known, seen = self._seen_of(incident), _digest(finding)
        if seen in known:
            return False
        if len(known) < _MAX_SEEN:
            known.add(seen)
            incident.seen += seen
        return True

    def _seen_of(self, incident: Incident) -> set[bytes]:
        known = self._seen.get(incident.id)
        if known is None:
            known = self._seen[incident.id] = set(_parts(incident.seen))
        return known

    def _mute_as_marked(self, incident: Incident, finding: Finding, at_ns: int) -> None:
        if not self._mutes:
            return
        trace = finding.trace_id.hex()
        names = [f"{trace} {key}" for key in _mark_keys(alert_key(finding), finding.agent)]
        ends = [self._mutes.get(name, 0) for name in (_LIKE + incident.key, *names)]
        incident.muted_until_ns = max(incident.muted_until_ns, *(end for end in ends if end > at_ns), 0)


def _without_secrets(finding: Finding) -> Finding:
    """What is kept and told of it. The judge has masked what it says, and nobody the names in it."""
    texts = {name: getattr(finding, name) for name in ("message", "agent", "peer_agent")}
    changed = {name: said for name, text in texts.items() if (said := masked(text)) != text}
    return msgspec.structs.replace(finding, **changed) if changed else finding


def _digest(finding: Finding) -> bytes:
    return blake2s(finding.key.encode("utf-8", "surrogatepass"), digest_size=_SEEN_BYTES).digest()


def _parts(seen: bytes) -> list[bytes]:
    return [seen[at : at + _SEEN_BYTES] for at in range(0, len(seen), _SEEN_BYTES)]


def _key(name: str, rule: Rule, finding: Finding, service: str) -> str:
    return "\x1f".join((name, *rule.group_of(finding, service)))


def _begun(key: str, rule: str, finding: Finding, service: str, at_ns: int) -> Incident:
    own = blake2s(f"{key}\x1f{at_ns}\x1f{finding.key}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return Incident(
        own, key, rule, finding.kind, finding.severity, finding.message, finding.agent, finding.peer_agent, service,
        finding.trace_id.hex(), alert_key(finding), at_ns, at_ns,
    )  # fmt: skip


def _grow(incident: Incident, finding: Finding, at_ns: int, rule: Rule, *, is_new: bool) -> None:
    if incident.last_ns - at_ns > _FAR_NS:
        incident.opened_ns, incident.recent_ns = at_ns, []
        incident.last_ns = at_ns
    incident.last_ns = max(incident.last_ns, at_ns)
    place = (finding.trace_id.hex(), alert_key(finding))
    if place in incident.places:
        incident.places.remove(place)
    else:
        incident.trace_count += all(trace != place[0] for trace, _ in incident.places)  # among the last runs
    incident.places = [*incident.places, place][-_MAX_PLACES:]
    if rank_of(finding.severity) >= rank_of(incident.severity):
        incident.severity, incident.message = finding.severity, finding.message
        incident.trace_id, incident.alert_key = place
        incident.of, incident.series = series_of(finding)
        incident.since_ns = finding.at_ns
    if is_new:
        incident.count += 1
        if finding.attributes.get(ENDED_AT) == 0 and len(incident.lasting) < _MAX_SEEN:
            incident.lasting = [*incident.lasting, _digest(finding)]
            incident.lasting_count += 1
        incident.recent_ns = [*incident.recent_ns, at_ns][-rule.needed().times :]


def _mark_keys(key: str, agent: str) -> tuple[str, ...]:
    """The keys under which a mark on an alert may stand: its own, that of its kind, and of its kind for its agent."""
    kind = key.rpartition(":")[0]
    return key, key_of_kind(clean(kind)), key_of_agent(clean(kind), clean(agent))
