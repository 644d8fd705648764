"""PagerDuty by its Events API v2: an incident is triggered, acknowledged and resolved under one dedup_key.

Invariant: the dedup_key is the incident's own for as long as it lives, so a message that is sent twice makes one page.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from trajectory.alerting.channels.http import TIMEOUT_S, Post
from trajectory.alerting.message import Message, message_json
from trajectory.alerting.secret import Vault

URL = "https://events.pagerduty.com/v2/enqueue"
_ACTIONS = {"acknowledge": "acknowledge", "close": "resolve"}
_MAX_SUMMARY_CHARS = 1024


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    routing_key: str
    url: str = URL  # another one for accounts in the EU
    timeout_s: float = TIMEOUT_S


class PagerDuty:
    """Sends events of one integration."""

    takes = Options
    hears = frozenset({"acknowledge", "close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        self._routing_key = vault.secret("routing_key", options.routing_key)
        self._post = Post(vault.text("url", options.url), vault, options.timeout_s)

    def send(self, message: Message) -> None:
        self._post.send(msgspec.json.encode(event_of(message, self._routing_key)))


def event_of(message: Message, routing_key: str) -> dict[str, Any]:
    """A message as one event."""
    event = {
        "routing_key": routing_key,
        "event_action": _ACTIONS.get(message.action, "trigger"),
        "dedup_key": f"trajectory-{message.key}",
    }
    if event["event_action"] != "trigger":
        return event
    return {
        **event,
        "client": "Trajectory",
        "payload": {
            "summary": message.line[:_MAX_SUMMARY_CHARS],
            "source": message.service or message.agent or "trajectory",
            "severity": message.severity if message.severity in ("critical", "warning", "info") else "info",
            "timestamp": datetime.fromtimestamp(max(message.last_ns, 0) / 1e9, UTC).isoformat(timespec="milliseconds"),
            "component": message.agent,
            "group": message.service,
            "class": message.kind,
            "custom_details": message_json(message),
        },
    }
