"""Draws what went into a span and came out of it: as indented JSON that folds, or as lines of text; and what sums it up.

Invariant: content is data, never markup: JSON is parsed only to be indented, every line is cleaned where it is cut, and each
knows the value that copying it takes. The inspector draws with it, and asks for colour only of the lines that it shows.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from trajectory.view.rows import Content
from trajectory.view.text import wrapped
from trajectory.view.views import SpanView
from tui.drawing.line import Line
from tui.drawing.numbers import duration, many, size
from tui.signs import Signs, mark_sign, state_sign

_LONGEST_JSON = 4_000_000
_DEEPEST_JSON = 200  # writing what is deeper takes more of the stack than there is
_FOLDED_DEPTH = 3  # lists and objects from here on are folded until they are opened
_ROLE = re.compile(r"\w{1,20}: (?=[{\[])")
_JSON_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(\btrue\b|\bfalse\b|\bnull\b)')


@dataclass(frozen=True, slots=True)
class ContentLine:
    """One line: its text, how it is coloured (json, or a role), what it is known by across redraws. `value` is what copying
    takes: a text, or what JSON holds; `fold` the place in JSON that the line opens and folds, and nothing where it does not."""

    text: str
    role: str
    key: str
    value: Any = ""
    fold: str = ""

    @property
    def copied(self) -> str:
        """The value as a text: JSON indented, a text in it without its quotes."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, indent=2, ensure_ascii=False)


def content_text(content: Content) -> tuple[str, bool]:
    """The text to show, and whether it is JSON: indented where it parses, as it is where it does not."""
    parsed = _parsed(content.text)
    if parsed is None:
        return content.text, False
    return json.dumps(parsed, indent=2, ensure_ascii=False), True


def _parsed(text: str) -> Any:
    """The list or object that a text is; None where it is none, or one too deep to be written again."""
    if len(text) > _LONGEST_JSON or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if _is_shallow(parsed) else None


def _is_shallow(value: Any) -> bool:
    """Whether no more than so many lists and objects are in one another."""
    level = [value]
    for _ in range(_DEEPEST_JSON):
        inside = (one for each in level for one in (each.values() if isinstance(each, dict) else each))
        level = [each for each in inside if isinstance(each, dict | list)]
        if not level:
            return True
    return False


def content_lines(
    content: Content, width: int, signs: Signs, *, wrap: bool, turned: Collection[str] = (), is_raw: bool = False
) -> list[ContentLine]:
    """The lines of a content; long ones in pieces of `width` cells with `wrap`. `turned` are the places in JSON whose fold is not
    as it is by itself: from the fourth level on folded. `is_raw` leaves every text as it came."""
    lines: Iterator[ContentLine] | list[ContentLine] | None = None
    if not is_raw:
        role = _ROLE.match(content.text)
        parsed = _parsed(content.text[role.end() :] if role else content.text)
        if parsed is not None:
            head = [ContentLine(role[0].strip(), "title", "role", content.text)] if role else []
            lines = [*head, *_json_lines(parsed, turned, signs)]
    if lines is None:
        texts = content.text.expandtabs(4).splitlines() or [""]
        role_of = "json" if content.text.lstrip()[:1] in ("{", "[") and not is_raw else ""
        lines = [ContentLine(text, role_of, f" {at}", text) for at, text in enumerate(texts)]
    return list(_wrapped(lines, max(8, width))) if wrap else list(lines)


def _wrapped(lines: list[ContentLine] | Iterator[ContentLine], width: int) -> Iterator[ContentLine]:
    for line in lines:
        if len(line.text) <= width and line.text.isascii():
            yield line
            continue
        for at, piece in enumerate(wrapped(line.text, width)):
            yield ContentLine(piece, line.role, f"{line.key} {at}" if at else line.key, line.value, line.fold)


def _json_lines(value: Any, turned: Collection[str], signs: Signs) -> Iterator[ContentLine]:
    """Depth first, one value a line; a list or an object ends on a line of its own, or is folded into one."""
    pending: list[tuple[str, str, Any, int, str] | ContentLine] = [("", "", value, 0, "")]
    while pending:
        job = pending.pop()
        if isinstance(job, ContentLine):
            yield job
            continue
        path, name, value, depth, comma = job
        head = "  " * depth + name
        if not isinstance(value, dict | list) or not value:
            yield ContentLine(f"{head}{json.dumps(value, ensure_ascii=False)}{comma}", "json", path, value)
            continue
        opens, closes = "{}" if isinstance(value, dict) else "[]"
        if (depth >= _FOLDED_DEPTH) is (path not in turned) and path:
            inside = many(len(value), "key" if isinstance(value, dict) else "item")
            yield ContentLine(f"{head}{opens}{signs.ellipsis} {inside} {closes}{comma}", "json", path, value, path)
            continue
        yield ContentLine(f"{head}{opens}", "json", path, value, path)
        pending.append(ContentLine(f"{'  ' * depth}{closes}{comma}", "json", f"{path} end", value, path))
        pending += list(_inside(path, value, depth + 1))[::-1]


def _inside(path: str, value: Any, depth: int) -> Iterator[tuple[str, str, Any, int, str]]:
    last = len(value) - 1
    if isinstance(value, list):
        yield from ((f"{path}[{at}]", "", one, depth, "," * (at < last)) for at, one in enumerate(value))
        return
    for at, (key, one) in enumerate(value.items()):
        quoted = json.dumps(key, ensure_ascii=False)
        step = f".{key}" if key.isidentifier() else f"[{quoted}]"
        yield path + step, f"{quoted}: ", one, depth, "," * (at < last)


def json_line(text: str) -> Line:
    """One line of indented JSON, its keys, texts, numbers and words told apart."""
    line: Line = []
    at = 0
    for found in _JSON_TOKEN.finditer(text):
        line.append((text[at : found.start()], "dim"))
        quoted, colon, number, word = found.groups()
        if quoted and colon:
            line += [(quoted, "model"), (colon, "dim")]
        else:
            line.append((found.group(), "ok" if quoted else "number" if number else "delegation" if word else ""))
        at = found.end()
    return [*line, (text[at:], "dim" if line else "")]


def content_title(content: Content, signs: Signs) -> str:
    """`result · json · 1.2 kB`."""
    kind = content.media_type.split(";")[0].rsplit("/", 1)[-1].rsplit(".", 1)[-1].partition("+")[0] or "text"
    parts = [content.slot, kind, size(content.size_bytes), *(["cut"] if content.is_cut else [])]
    return f" {signs.dot} ".join(parts)


def span_headline(view: SpanView, signs: Signs, now_ns: int) -> Line:
    """Kind, name, how it went, how long, and its place on a cascade."""
    row = view.row
    running = not row.end_ns
    sign, role = state_sign(signs, "running" if running else row.status)
    kind = {"model": "model", "tool": "tool", "retrieval": "tool"}.get(row.kind, "")
    line: Line = [(getattr(signs, kind) + " " if kind else "", kind), (row.name, "strong"), ("   ", ""), (sign, role)]
    line += [(f" {'running' if running else row.status.replace('_', ' ')}", role), ("   ", "")]
    line.append((duration((row.end_ns or now_ns) - row.start_ns) if row.start_ns else signs.dash, ""))
    if row.mark:
        line += [
            ("   ", ""),
            mark_sign(signs, row.mark),
            (" root of a cascade" if row.mark == "root" else " carried it on", "mark"),
        ]
    return line
