"""What is told of an incident: one message, the same for every channel, and as JSON.

Invariant: bounded, without control codes, and without the secrets that its words hold; its key stays the same for as long as its
incident, and its id for as often as it is sent. Made by the outbox, written by channels in their own words.
"""

from functools import lru_cache
from typing import Any, Literal

import msgspec

from trajectory.alerting.incidents import Incident
from trajectory.detection.masking import masked
from trajectory.view.link import EVERY_TRACE, Link, alert_mark
from trajectory.view.plotted import plotted_of_anomaly
from trajectory.view.text import clean

Action = Literal["open", "worse", "repeat", "acknowledge", "close", "test"]
MAX_CHARS = 500
_MAX_NAME_CHARS = 120


class Message(msgspec.Struct, frozen=True):
    """`key` is the incident's for everyone outside, `text` the evidence in one sentence, `link` leads to it.

    `others` is of how many more incidents this one tells: then it is a digest, and the fields are those of the worst.
    """

    key: str
    action: Action
    severity: str
    kind: str
    title: str
    text: str
    link: str
    agent: str = ""
    peer_agent: str = ""
    service: str = ""
    rule: str = ""
    count: int = 1
    trace_count: int = 1
    trace_id: str = ""
    opened_ns: int = 0
    last_ns: int = 0
    closed_ns: int = 0
    others: int = 0
    id: str = ""  # of this very message: who gets it twice knows it by this

    @property
    def line(self) -> str:
        """All of it in a line."""
        verb = {"close": "closed", "acknowledge": "acknowledged", "worse": "got worse", "repeat": "goes on"}
        said = f"{verb[self.action]}: " if self.action in verb else ""
        more = f" … and {self.others:,} more" if self.others else ""
        return f"[{self.severity}] {said}{self.title}: {self.text}{more}"


def message_of(incident: Incident, action: Action) -> Message:
    """The message that tells of an incident as it stands."""
    agents = " ⇢ ".join(name for name in (incident.peer_agent, incident.agent) if name)
    where = f" in {incident.service}" if incident.service else ""
    times = (
        f" ({incident.count:,} times in {incident.trace_count:,} run{'s' * (incident.trace_count != 1)})"
        if incident.count > 1
        else ""
    )
    return Message(
        key=incident.id,
        action=action,
        severity=_short(incident.severity),
        kind=_short(incident.kind),
        title=_short(f"{incident.kind} · {agents}{where}" if agents else f"{incident.kind}{where}"),
        text=_said(incident.message) + times,
        link=_link_of(incident),
        agent=_short(incident.agent),
        peer_agent=_short(incident.peer_agent),
        service=_short(incident.service),
        rule=_short(incident.rule),
        count=incident.count,
        trace_count=incident.trace_count,
        trace_id=incident.trace_id,
        opened_ns=incident.opened_ns,
        last_ns=incident.last_ns,
        closed_ns=incident.closed_ns,
    )


def trial_message(channel: str, now_ns: int) -> Message:
    """What `trajectory alerts test` sends."""
    return Message(
        key=f"trajectory-test-{channel}",
        action="test",
        severity="warning",
        kind="test",
        title="A test of Trajectory's alerts",
        text=f"Channel {channel} works: this is where alerts come to.",
        link=link_to("00000000", "test"),
        rule="test",
        opened_ns=now_ns,
        last_ns=now_ns,
        id=f"trajectory-test-{channel}-{now_ns}",
    )


def _link_of(incident: Incident) -> str:
    """Where it is seen best: of an anomaly its series over time, of anything else its alert in the run."""
    series, agent, service = incident.series, incident.agent, incident.service
    at_ns = incident.since_ns or incident.opened_ns
    if all(_short(name) == name for name in (series, agent, service)):  # else one of them is masked, and leads nowhere
        plotted = plotted_of_anomaly(incident.kind, incident.of, series, agent, service, at_ns)
        if plotted is not None:
            return str(Link(EVERY_TRACE, view="signals", plotted=plotted))
    return link_to(incident.trace_id, incident.alert_key)


def link_to(trace: str, alert_key: str) -> str:
    """The link that opens an alert in its run."""
    return str(Link(trace, alert=alert_mark(alert_key)))


def message_json(message: Message) -> dict[str, Any]:
    """A message as programs get it."""
    return {
        "id": message.id, "key": message.key, "action": message.action, "severity": message.severity, "kind": message.kind,
        "title": message.title, "text": message.text, "link": message.link, "agent": message.agent,
        "peer_agent": message.peer_agent, "service": message.service, "rule": message.rule, "count": message.count,
        "traces": message.trace_count, "trace_id": message.trace_id, "others": message.others,
        "opened_unix_nano": message.opened_ns, "last_unix_nano": message.last_ns, "closed_unix_nano": message.closed_ns or None,
    }  # fmt: skip


def _said(text: str) -> str:
    return clean(masked(text[: 4 * MAX_CHARS]))[:MAX_CHARS]


@lru_cache(maxsize=4096)
def _short(text: str) -> str:
    return clean(masked(text[: 4 * _MAX_NAME_CHARS]))[:_MAX_NAME_CHARS]
