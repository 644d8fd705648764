"""Posts JSON to any address: our own message, or with `format = "alertmanager"` the body of Alertmanager's webhooks, version 4.

Invariant: with a `secret`, `X-Trajectory-Signature: t=SECONDS,v1=HEX` signs what is sent: HMAC-SHA256 over `SECONDS.BODY`.
The same message has the same `Idempotency-Key` each time that it is sent.
"""

import hashlib
import hmac
import time
from typing import Any, Literal

import msgspec

from trajectory.alerting.channels.alertmanager import alert_of, annotations_of, labels_of
from trajectory.alerting.channels.http import TIMEOUT_S, Post
from trajectory.alerting.message import Message, message_json
from trajectory.alerting.secret import Vault

SIGNATURE = "X-Trajectory-Signature"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    secret: str = ""
    token: str = ""  # a bearer token
    format: Literal["trajectory", "alertmanager"] = "trajectory"
    timeout_s: float = TIMEOUT_S


class Webhook:
    """Posts each message on its own."""

    takes = Options
    hears = frozenset({"acknowledge", "close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        self._post = Post(vault.text("url", options.url), vault, options.timeout_s)
        self._secret = vault.secret("secret", options.secret)
        self._token = vault.secret("token", options.token)
        self._is_v4 = options.format == "alertmanager"

    def send(self, message: Message) -> None:
        if self._is_v4 and message.action == "acknowledge":
            return  # its format knows firing and resolved only
        body = msgspec.json.encode(version_4(message) if self._is_v4 else message_json(message))
        headers = {"Idempotency-Key": message.id}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._secret:
            headers[SIGNATURE] = signature(self._secret, int(time.time()), body)
        self._post.send(body, headers)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The header that says when a body was signed, and by whom."""
    signed = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256)
    return f"t={at_s},v1={signed.hexdigest()}"


def version_4(message: Message) -> dict[str, Any]:
    """The body that Alertmanager's webhook receivers read."""
    labels, alert = labels_of(message), alert_of(message)
    return {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{message.key}"}}',
        "truncatedAlerts": message.others,
        "status": alert["status"],
        "receiver": "trajectory",
        "groupLabels": {"incident": message.key},
        "commonLabels": labels,
        "commonAnnotations": annotations_of(message),
        "externalURL": message.link,
        "alerts": [alert],
    }
