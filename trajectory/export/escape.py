"""Makes agents' text safe for each format that people open: it is shown as it is written, and never does anything.

Invariant: whatever comes in, what goes out is one literal of its format: no tag, no link, no fence, no statement. Pure;
called by every exporter that writes text by hand, beside `trajectory.view.text.clean`, which takes the control codes.
"""

import json
import re
from typing import Any

from trajectory.view.text import clean, seen

# What XML 1.0 cannot carry at all, and the line end that its readers would change (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Inside a word neither `_` nor `#` means anything, and names of tools are easier to read without backslashes.
_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])[_#]|_(?![A-Za-z0-9])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SCHEME = re.compile(r"(?<=[A-Za-z])://|(?<=www)\.|(?<=mailto):|(?<=xmpp):", re.IGNORECASE)
# GitHub looks for people and issues in the rendered text, where an entity is its character again: only a gap keeps them out.
_MENTION = re.compile(r"@|#(?=[0-9])|(?<=GH)-(?=[0-9])", re.IGNORECASE)
_GAP = "&#8203;"
_MERMAID = re.compile(r"[^\w ,]|_", re.ASCII)


def xml_text(text: str) -> str:
    """The text with each character that XML cannot carry shown by its control picture or as `\ufffd`."""
    return _NOT_XML.sub(lambda found: _picture(found.group()), text)


def label(text: str, limit: int = 60) -> str:
    """One visible line of at most `limit` characters, for people to read in a drawing."""
    line = xml_text(clean(text[: 8 * limit]))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def markdown(text: str, limit: int = 400) -> str:
    """One line of Markdown that shows the text as it is: no emphasis, code, cell, HTML or link begins in it, nobody is called."""
    line = re.sub("[&<>]", lambda found: _HTML[found.group()], label(text, limit))
    line = _MARKDOWN.sub(lambda found: "\\" + found.group(), line)
    line = _MENTION.sub(lambda found: found.group() + _GAP, line)
    return _SCHEME.sub(lambda found: "".join(f"&#{ord(char)};" for char in found.group()), line)


def dot(text: str) -> str:
    """A double-quoted string of DOT. Graphviz reads backslashes and HTML entities in labels, so both are made plain."""
    plain = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{plain}"'


def mermaid(text: str) -> str:
    """A label for Mermaid, inside the quotes: all ASCII but letters, digits, blank and comma as `#code;` entities."""
    return _MERMAID.sub(lambda found: found.group() if ord(found.group()) > 127 else f"#{ord(found.group())};", text)


def json_bytes(value: Any) -> bytes:
    """JSON in UTF-8 with a line end; halves of surrogate pairs, which UTF-8 cannot say, as `?`."""
    mended = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8", "replace").decode()
    return seen(mended).encode() + b"\n"


def _picture(char: str) -> str:
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else "\ufffd"
