"""Slack's incoming webhooks, and the chats that read the same: Mattermost, Rocket.Chat, Discord behind `/slack`.

Invariant: nothing that an agent wrote becomes markup: no mention, no link, no channel is called by it.
"""

from typing import Any

import msgspec

from trajectory.alerting.channels.http import TIMEOUT_S, Post
from trajectory.alerting.message import Message
from trajectory.alerting.secret import Vault

_SIGN = {"critical": ":red_circle:", "warning": ":large_orange_circle:"}
_WORD = {"close": "closed", "worse": "got worse", "repeat": "goes on", "test": "test"}
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_FORMATTING = str.maketrans(
    {sign: f"{sign}\u200b" for sign in "*_~`@#|]"}
)  # what some chats take for markup, a mention, or a link under another name: [text](address)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    timeout_s: float = TIMEOUT_S


class Slack:
    """Posts to one incoming webhook, whose address is its secret."""

    takes = Options
    hears = frozenset({"close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        self._post = Post(vault.text("url", options.url), vault, options.timeout_s)

    def send(self, message: Message) -> None:
        self._post.send(msgspec.json.encode(body_of(message)))


def body_of(message: Message) -> dict[str, Any]:
    """A message as an incoming webhook's body: a line for notifications, and blocks."""
    sign = ":white_check_mark:" if message.action == "close" else _SIGN.get(message.severity, ":information_source:")
    word = f" ({_WORD[message.action]})" if message.action in _WORD else ""
    more = f"\n… and {message.others:,} more" if message.others else ""
    text = f"{sign} *{_plain(message.title)}*{word}\n{_plain(message.text)}{more}\n`{message.link}`"
    return {
        "text": _plain(message.line),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text[:3000], "verbatim": True}}],
    }


def _plain(text: str) -> str:
    return text.translate(_ESCAPED).translate(_FORMATTING)
