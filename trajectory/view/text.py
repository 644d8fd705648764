"""Makes any text safe and measured before it reaches a terminal: one line, no control codes, a known width in cells.

Invariant: what `clean` returns holds no C0 or C1 control, no bidirectional control and nothing of zero width that hides
other text, so an agent can neither move the cursor, nor recolour the screen, nor show an operator other text than it sent.
Every screen, and the command line, sends text through here; the collector uses it for previews. Measures by `rich.cells`.
"""

import json
import re
from functools import lru_cache

ELLIPSIS = "…"
NEWLINE = "⏎"

# Colour codes, as well-behaved tools print them: dropped, because they would only be noise. Other sequences stay visible.
_COLOURS = re.compile("(?:\x1b\\[|\x9b)[0-9;:]{0,64}m")
_COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_RISKY = re.compile(
    "\r\n|[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    f"|(?<=[{_COMBINING}]{{2}})[{_COMBINING}]+"
)
# Dropped: joiners, variation selectors and soft hyphens carry no meaning on a screen of cells, and terminals disagree about
# how wide they make their neighbours. Everything else that cannot be seen is named instead.
_DROPPED = re.compile(f"[\xad\u034f\u200c\u200d\u2060\ufe00-\ufe0f\ufeff{_COMBINING}]")

_NOT_ASCII = re.compile(r"[^\x00-\x7e]+")


def clean(text: str) -> str:
    """The text as one line of visible characters: line ends become `⏎`, tabs a space, other controls show as a sign."""
    if text.isascii() and text.isprintable():
        return text
    return _clean(text) if len(text) <= 4096 else _cleaned(text)


@lru_cache(maxsize=8192)
def _clean(text: str) -> str:
    return _cleaned(text)


def _cleaned(text: str) -> str:
    return _RISKY.sub(_shown, _COLOURS.sub("", text))


def seen(json_text: str) -> str:
    """The same JSON with what cannot be seen in its strings as escapes: a terminal obeys C1 controls in UTF-8 too."""
    return _NOT_ASCII.sub(_escaped, json_text)


def _escaped(found: re.Match[str]) -> str:
    text = found.group()
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _shown(found: re.Match[str]) -> str:
    char = found.group()
    if char in ("\r\n", "\n", "\r", "\u2028", "\u2029", "\x85"):
        return NEWLINE
    if char in ("\t", "\xa0", "\u202f", "\u2800"):
        return " "
    if _DROPPED.match(char):
        return ""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"‹{code:04x}›"


@lru_cache(maxsize=16384)
def cells(text: str) -> int:
    """How many terminal cells the cleaned text takes; the sum over its characters, so cutting anywhere keeps it additive."""
    if text.isascii():
        return len(text)
    from rich.cells import get_character_cell_size

    return sum(map(get_character_cell_size, text))


def truncate(text: str, limit: int, ellipsis: str = ELLIPSIS) -> str:
    """The cleaned text in at most `limit` cells; what is cut shows as the ellipsis."""
    text = clean(text[: 8 * limit + 64])
    if cells(text) <= limit:
        return text
    room = limit - cells(ellipsis)
    if room < 0:
        return ellipsis[: max(0, limit)]
    return _head(text, room) + ellipsis


def _head(text: str, room: int) -> str:
    """The longest start of the text that takes at most `room` cells."""
    if text.isascii():
        return text[:room]
    used = 0
    for index, char in enumerate(text):
        used += cells(char)
        if used > room:
            return text[:index]
    return text


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = ELLIPSIS) -> str:
    """The cleaned text in exactly `width` cells, cut with the ellipsis or padded with spaces (on the left with `right`)."""
    text = truncate(text, width, ellipsis)
    pad = " " * (width - cells(text))
    return pad + text if right else text + pad


def wrapped(text: str, width: int, least: float = 2 / 3) -> list[str]:
    """One cleaned line as pieces of at most `width` cells, broken after a space where there is one behind `least` of a piece."""
    text = clean(text)
    pieces = []
    at = 0
    while width > 1:
        near = text[at : at + 4 * width + 8]  # a long text is looked at a piece at a time
        head = _head(near, width)
        if len(head) == len(text) - at:
            break
        space = head.rfind(" ")
        head = head[: space + 1] if space >= least * len(head) else head
        pieces.append(head)
        at += len(head)
    return [*pieces, text[at:]]
