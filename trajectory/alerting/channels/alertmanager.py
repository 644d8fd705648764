"""Pushes to a Prometheus Alertmanager by its API v2, and the alerts as it has them, which its webhooks' version 4 has too.

Invariant: an incident is one label set for as long as it lives, so Alertmanager knows it again; it ends when we say so.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from trajectory.alerting.channels.http import TIMEOUT_S, Post
from trajectory.alerting.message import Message
from trajectory.alerting.secret import Vault

_PATH = "/api/v2/alerts"
_LASTS = timedelta(days=7)  # without an end Alertmanager takes what it does not hear of for five minutes for resolved
_NEVER = "0001-01-01T00:00:00Z"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    token: str = ""  # a bearer token
    timeout_s: float = TIMEOUT_S


class Alertmanager:
    """Pushes to the Alertmanager whose address `url` is, with or without the API's path."""

    takes = Options
    hears = frozenset({"close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        url = vault.text("url", options.url).rstrip("/")
        self._post = Post(url if url.endswith(_PATH) else url + _PATH, vault, options.timeout_s)
        token = vault.secret("token", options.token)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def send(self, message: Message) -> None:
        alert = alert_of(message)
        if message.action == "test":
            alert["endsAt"] = _time(message.last_ns, timedelta(minutes=1))
        elif message.action != "close":
            alert["endsAt"] = _time(message.last_ns, _LASTS)
        self._post.send(msgspec.json.encode([{key: alert[key] for key in _PUSHED}]), self._headers)


_PUSHED = ("labels", "annotations", "startsAt", "endsAt", "generatorURL")


def alert_of(message: Message) -> dict[str, Any]:
    """A message as one of Alertmanager's alerts."""
    is_over = message.action == "close"
    return {
        "status": "resolved" if is_over else "firing",
        "labels": labels_of(message),
        "annotations": annotations_of(message),
        "startsAt": _time(message.opened_ns),
        "endsAt": _time(message.closed_ns or message.last_ns) if is_over else _NEVER,
        "generatorURL": message.link,
        "fingerprint": message.key,
    }


def labels_of(message: Message) -> dict[str, str]:
    """What an alert is routed and grouped by; empty ones are none."""
    said = {
        "alertname": message.kind, "severity": message.severity, "agent": message.agent, "peer_agent": message.peer_agent,
        "service": message.service, "rule": message.rule, "incident": message.key,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def annotations_of(message: Message) -> dict[str, str]:
    """What people read of an alert."""
    more = f" … and {message.others:,} more" if message.others else ""
    said = {"summary": message.title + more, "description": message.text, "link": message.link}
    return said | {"count": str(message.count), "traces": str(message.trace_count)}


def _time(ns: int, later: timedelta = timedelta()) -> str:
    at = datetime.fromtimestamp(max(ns, 0) / 1e9, UTC) + later
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
