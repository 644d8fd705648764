"""A feed whose agents have put what no polite agent would send into every field that they control, whatever shows it.

Invariant: a field is theirs unless it is named here as ours: an id, or a word of our own vocabulary. So a field that is added
to a row is hostile from its first day on. The same text is made hostile in the same way everywhere, so that rows still join.
"""

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import msgspec

from tests.tui.story import StoryFeed
from trajectory.view.views import Query, View

OURS = frozenset(
    {
        "alert_id", "again", "change", "digest", "doing_kind", "doing_span_id", "ending", "endpoint", "filter", "grade", "health",
        "key", "kind", "mark", "media_type", "mode", "of", "preview", "severity", "slot", "state", "status", "step_key", "store",
        "suffix", "way", "what", "who",
    }
)  # fmt: skip
TEXTS = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\x1bP+q\x1b\\",  # escape sequences
    "[bold red]x[/] [link=http://evil]y[/] $(reboot)",  # markup
    "\u202egnp.exe\u202c \u2066a\u2069 \u200bz\u200d\ufeff\u00ad",  # what turns or hides other text
    "日本語のエージェント가나다ｆｕｌｌ",  # two cells each
    "👩‍👩‍👧‍👦🏳️‍🌈🇫🇷e\u0301\u0301\u0301\u0301\u0301✈️",  # clusters
    "a\r\nb\tc\x00d\x7f\x85\u2028e\ud800\U000e0041",
)
LONG = "wide 広い " * 140_000  # more than a megabyte
_LONG_FIELDS = ("message", "text", "goal", "title", "needed", "task", "returned")


class HostileFeed(StoryFeed):
    """The story, told by such agents; with `is_long`, in lines of a megabyte where a message stands."""

    def __init__(self, is_long: bool = False) -> None:
        super().__init__()
        self._is_long = is_long

    def pull(self, query: Query, since: int) -> View | None:
        view = super().pull(query, since)
        spoilt: View | None = None if view is None else _each(view, self._spoilt)
        return spoilt

    def _spoilt(self, name: str, text: str) -> str:
        if not text or name in OURS or name.endswith("_id"):
            return text
        if self._is_long and name in _LONG_FIELDS:
            return LONG
        return TEXTS[crc32(text.encode()) % len(TEXTS)] + text


def _each(value: Any, change: Callable[[str, str], str], name: str = "") -> Any:
    """The value with every text in it changed, by the name of the field that it stands in."""
    if isinstance(value, str):
        return change(name, value)
    if isinstance(value, msgspec.Struct):
        fields = {
            each: _each(getattr(value, each), change, each) for each in value.__struct_fields__ if each not in OURS
        }
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, Sequence):
        changed = [_each(each, change, name) for each in value]
        return tuple(changed) if isinstance(value, tuple) else changed
    return value
