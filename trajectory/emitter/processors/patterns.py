"""The rules as two machines: one that says quickly whether anything could be there, and one that says what and where.

Invariant: where the quick one finds nothing, the exact one finds nothing either, in the text and in a fact that msgpack has
packed around it. RE2 runs in time linear in the text. Called by `redaction`.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import re2

from trajectory.emitter.processors import rules
from trajectory.emitter.processors.rules import Rule, mixed

MAX_KEY_BYTES = 16 * 1024  # of a private key; the largest RSA keys in use have 13 KB
MAX_VALUE_BYTES = 4096  # of a quoted value under a name
MAX_WORD_BYTES = 640  # of what a rule with the check `mixed` finds, its prefix included
_LONG_BYTES = 256  # of a value that may be longer than what is looked at of it
_NOT_SECRET = (b"[secret:", b"[personal:", b"<", b"$", b"{", b"%", b"*", b"null", b"None", b"true", b"false")
_OWN = b"[secret:"
_BACKSLASH = 0x5C
_IN_NUMBERS = frozenset(b"0123456789+-.eE")
_JSON_BEGINS = (b"{", b"[", b'"')


class Spot(NamedTuple):
    """Something to take out: where, and what it is."""

    start: int
    end: int
    family: str
    kind: str


class _Placed(NamedTuple):
    """A rule with the number of its group in the exact machine, and of the group of its value there."""

    rule: Rule
    family: str
    group: int
    value: int


def _compiled(pattern: str) -> Any:
    """A pattern that reads bytes as bytes: what msgpack wrote is no UTF-8."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern.encode("latin-1"), options)


_bare = _compiled(r"[^\s\"'`\\,;&<>(){}\[\]|]{1,512}")
_rest_of_bare = _compiled(r"[^\s\"'`\\,;&<>(){}\[\]|]*")
_rest_of_word = _compiled(r"[A-Za-z0-9._~+/=-]*")
_letters, _digits = _compiled(r"[A-Za-z._~+/=-]*"), _compiled(r"[0-9._~+/=-]*")
_in_keys = _compiled(r"[A-Za-z0-9]")
_number = _compiled(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")


class Patterns:
    """Finds secrets and personal data: all that it is asked for, none, or of some kinds, which takes a tenth of the time."""

    def __init__(self, personal: bool | Collection[str]) -> None:
        asked = {rule.kind for rule in rules.PERSONAL if personal} if isinstance(personal, bool) else personal
        chosen = [("secret", rule) for rule in rules.SECRETS]
        chosen += [("personal", rule) for rule in rules.PERSONAL if rule.kind in asked]
        # In a packed fact a byte that looks like a letter may stand before or behind a text, so no edges here.
        cores = [rule.core for _, rule in chosen]
        self.hint = _compiled("|".join([*cores, rules.PRIVATE_KEY, rules.ASSIGNED, f"{rules.NAMES}[\\x80-\\xff]"]))
        chosen.sort(key=lambda one: not one[1].word)
        self._placed = _placed(chosen)
        self._private_key = _groups_of(chosen) + 1
        words, others = (_alternatives(chosen, word) for word in (True, False))
        exact = f"{rules.EDGE}(?:{words})|{others}|({rules.PRIVATE_KEY})|{rules.ASSIGNED}"
        self._exact = _compiled(exact)
        self._strong_name = _compiled(f"(?i:{rules.STRONG})[0-9]?$")
        self._weak_name = _compiled(f"(?i:{rules.WEAK})[0-9]?$")

    def names_a_secret(self, name: bytes, value: bytes) -> bool:
        """Whether a value under this name is one to be taken out."""
        if not value or value.startswith(_NOT_SECRET):
            return False
        if self._strong_name.search(name):
            return True
        return self._weak_name.search(name) is not None and _looks_random(value)

    def spots(self, data: bytes) -> Iterator[Spot]:
        """What has to be taken out, in the order of the text and without overlaps."""
        position = 0
        while (match := self._exact.search(data, position)) is not None:
            spot, position = self._judged(data, match)
            if spot is not None:
                yield spot

    def _judged(self, data: bytes, match: Any) -> tuple[Spot | None, int]:
        """What a match is, None where a look at it says that it is nothing; and where to go on."""
        for rule, family, group, value in self._placed:
            if match.start(group) >= 0:
                start, end = match.span(value) if match.start(value) >= 0 else match.span(group)
                if rule.check is not None and not rule.check(data[start:end]):
                    return None, _after_unmixed(data, start) if rule.check is mixed else start + 1
                if (
                    rule.check is mixed and end - start >= _LONG_BYTES
                ):  # it was judged by its beginning, and goes as far as it goes
                    end = int(_rest_of_word.match(data, end).end())
                if family == "personal" and _is_number(data, start, end):
                    return None, end
                return Spot(start, end, family, rule.kind), end
        start, end = match.span(self._private_key)
        if start >= 0:
            end = _end_of_key(data, end)
            return Spot(start, end, "secret", "private_key"), end
        return self._assigned(data, match)

    def _assigned(self, data: bytes, match: Any) -> tuple[Spot | None, int]:
        """A value under a name that says it is a secret."""
        if data[max(0, match.start() - 1) : match.start() + 7] == _OWN:
            return None, match.end()
        name, quote = match.group(self._private_key + 1), match.group(self._private_key + 2) or b""
        start = match.start(self._private_key + 3)
        end = _end_of_quoted(data, start, quote) if quote else _end_of_bare(data, start)
        value = data[start:end]
        if quote:
            found = self.names_a_secret(name, value)
        else:
            found = (
                self.names_a_secret(name, value) and mixed(value) and len(value) >= 6 and not _number.fullmatch(value)
            )
        if not found:
            return None, start
        if end - start >= _LONG_BYTES:
            end = _whole(data, int(_rest_of_bare.match(data, end).end()))
        return Spot(start, end, "secret", "named"), end


def _after_unmixed(data: bytes, start: int) -> int:
    """Where to go on behind a word that is no key because it has letters alone, or digits alone.

    Nothing that begins in it and ends in it is a key either; what reaches out of it begins no farther before its end than a
    key is long. Looking at each place of a long word instead took seconds for a body that was made to be slow.
    """
    end = max(int(run.match(data, start).end()) for run in (_letters, _digits))
    goes_on = end < len(data) and _in_keys.match(data, end) is not None
    return max(start + 1, end - MAX_WORD_BYTES if goes_on else end)


def _is_number(data: bytes, start: int, end: int) -> bool:
    """Whether digits are a part of a fraction, or a whole number of JSON's outside any string: neither can give way to words."""
    while start > 0 and data[start - 1] in _IN_NUMBERS:
        start -= 1
    while end < len(data) and data[end] in _IN_NUMBERS:
        end += 1
    token = data[start:end]
    if _number.fullmatch(token) is None:
        return False
    between = data[max(0, start - 1) : start] in (b"[", b":", b",") and data[end : end + 1] in (b"]", b"}", b",")
    return b"." in token or (data[:1] in _JSON_BEGINS and between)


def _alternatives(chosen: list[tuple[str, Rule]], word: bool) -> str:
    return "|".join(f"({rule.core}){rule.edge}" for _, rule in chosen if rule.word == word)


def _own_groups(rule: Rule) -> int:
    return int(_compiled(rule.core).groups)


def _groups_of(chosen: list[tuple[str, Rule]]) -> int:
    return sum(1 + _own_groups(rule) for _, rule in chosen)


def _placed(chosen: list[tuple[str, Rule]]) -> list[_Placed]:
    placed, group = [], 1
    for family, rule in chosen:
        own_count = _own_groups(rule)
        placed.append(_Placed(rule, family, group, group + own_count))
        group += 1 + own_count
    return placed


def _looks_random(value: bytes) -> bool:
    """Whether the value is one word of 8 bytes and more with digits and letters, or one behind the name of its scheme."""
    words = value.split()
    if len(words) == 2 and words[0].lower() in (b"bearer", b"basic", b"token"):
        return True
    return len(words) == 1 and len(value) >= 8 and mixed(value)


def _end_of_key(data: bytes, start: int) -> int:
    """Where a private key's armour ends; where it has no end in reach, where the string does that it stands in."""
    limit = min(len(data), start + MAX_KEY_BYTES)
    quote = data.find(b'"', start, limit)
    end = quote if quote >= 0 else limit
    found = data.find(b"-----END", start, end)
    if found >= 0:
        closing = data.find(b"-----", found + 8, min(end, found + 80))
        return closing + 5 if closing >= 0 else found + 8
    while data[end - 1] == _BACKSLASH:
        end -= 1
    return _whole(data, end)


def _end_of_quoted(data: bytes, start: int, quote: bytes) -> int:
    """Where the quote closes that opened with so many backslashes; the end of the bare word where it does not close.

    In what begins as JSON does, a quote inside a string closes before that string does, or not at all: a value that went on
    would take the next string's beginning with it.
    """
    depth, mark = len(quote) - 1, quote[-1:]
    limit = start + MAX_VALUE_BYTES
    if data[:1] in _JSON_BEGINS and (depth or mark != b'"'):
        limit = _unescaped(data, b'"', 0, start, limit)
    closing = _unescaped(data, mark, depth, start, limit)
    return closing - depth if closing < min(limit, len(data)) else _end_of_bare(data, start)


def _unescaped(data: bytes, mark: bytes, depth: int, start: int, limit: int) -> int:
    """Where the mark next stands behind so many backslashes that it closes a quote of this depth; the limit where nowhere."""
    position = start
    while (position := data.find(mark, position, limit)) >= 0:
        run = 0
        while position - run > start and data[position - run - 1] == _BACKSLASH:
            run += 1
        if run % (2 * (depth + 1)) == depth:
            return position
        position += 1
    return limit


def _end_of_bare(data: bytes, start: int) -> int:
    match = _bare.match(data, start)
    if match is not None:
        return _whole(data, match.end())
    return min(len(data), start + (2 if data[start] == _BACKSLASH else 1))  # never half of an escape


def _whole(data: bytes, end: int) -> int:
    """The end, moved on to where a character of UTF-8 is whole."""
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return end
