"""The filter language: text that an operator types, as a predicate over any row that a screen can show.

    word                fuzzy over titles, names, agents, tools and texts       "two words"   as they stand
    text:refund         said anywhere in it: of a run all that is stored, else its texts
    agent:research      the field contains it     kind=tool   the field is it   text~"50[34]"  a pattern (RE2's)
    err>0  tokens>=10k  dur>2s  alerts>0          numbers and durations; a row without the field does not match
    id:91c4             an id that starts so      last:10m    a sign of life in the last ten minutes
    at:31s..40s         at work then, since the start of the run; at:31s in that instant, at:31s.. from then on
    -x  !x  not x       without                   space, and  both              or  either          ( )  groups

Invariant: `parse` either returns a filter or raises QueryError with a column; it never raises anything else, and a filter
never raises. `fields` has what a field reads. The collector applies filters to rows; the app parses while an operator types.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from trajectory.errors import QueryError
from trajectory.view.fields import Row, Saying, Test, anywhere, field_test, fuzzy

LONGEST_FILTER = 1000
_DEEPEST = 50
_TOKEN = re.compile(
    r'\s*(?:(?P<mark>[()!-])|(?P<field>[A-Za-z_]+)(?P<operator>>=|<=|!=|[:=~<>])|"(?P<quoted>[^"]*)"|(?P<bare>[^\s()"]+))'
)


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. Call it with a row and, for `last:` and running work, the time now in UTC nanoseconds."""

    text: str
    test: Test

    def __call__(self, row: Row, now_ns: int = 0) -> bool:
        return self.test(row, now_ns)

    @property
    def is_empty(self) -> bool:
        """True where every row matches because nothing was typed."""
        return not self.text.strip()


def parse(text: str, saying: Saying | None = None, start_ns: int = 0) -> Filter:
    """The filter that the text describes; an empty text matches every row. Raises QueryError with the column of the fault.

    `saying` gives the ids of the traces in which anything says a text: with it `text:` matches their rows too. `start_ns` is
    when the run began whose rows are filtered, for `at:`; a run's own row knows when it began.
    """
    return _parsed(text, start_ns) if saying is None else _read(text, saying, start_ns)


@lru_cache(maxsize=256)
def _parsed(text: str, start_ns: int) -> Filter:
    return _read(text, None, start_ns)


def _read(text: str, saying: Saying | None, start_ns: int) -> Filter:
    if len(text) > LONGEST_FILTER:
        raise QueryError(f"a filter is at most {LONGEST_FILTER} characters long", LONGEST_FILTER)
    if not text.strip():
        return Filter(text, lambda _row, _now_ns: True)
    reader = _Reader(text, saying, start_ns)
    test = reader.either(0)
    if not reader.at_end():
        raise QueryError("this parenthesis closes nothing", reader.column())
    return Filter(text, test)


class _Reader:
    """Reads tokens of one filter, left to right; `at` is the column behind the last one read."""

    def __init__(self, text: str, saying: Saying | None, start_ns: int) -> None:
        self.text = text
        self.saying = saying
        self.start_ns = start_ns
        self.at = 0

    def column(self) -> int:
        """The column of the next token."""
        return len(self.text) - len(self.text[self.at :].lstrip())

    def at_end(self) -> bool:
        return self.column() >= len(self.text)

    def peek(self) -> re.Match[str] | None:
        if self.at_end():
            return None
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            raise QueryError("this quotation mark is never closed", self.column())
        return found

    def takes(self, *words: str) -> bool:
        """Reads the next token if it is one of the bare words or marks."""
        found = self.peek()
        if found and (found["mark"] or (found["bare"] or "").lower()) in words:
            self.at = found.end()
            return True
        return False

    def either(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise QueryError(f"parentheses go {_DEEPEST} deep at most", self.column())
        options = [self.both(depth)]
        while self.takes("or"):
            options.append(self.both(depth))
        return options[0] if len(options) == 1 else lambda row, now_ns: any(test(row, now_ns) for test in options)

    def both(self, depth: int) -> Test:
        tests = [self.one(depth)]
        while (found := self.peek()) and found["mark"] != ")" and (found["bare"] or "").lower() != "or":
            self.takes("and")
            tests.append(self.one(depth))
        return tests[0] if len(tests) == 1 else lambda row, now_ns: all(test(row, now_ns) for test in tests)

    def one(self, depth: int) -> Test:
        negated = False
        while self.takes("-", "!", "not"):
            negated = not negated
        test = self.atom(depth)
        return (lambda row, now_ns: not test(row, now_ns)) if negated else test

    def atom(self, depth: int) -> Test:
        column, found = self.column(), self.peek()
        if found is None or found["mark"] == ")" or (found["bare"] or "").lower() in ("or", "and"):
            raise QueryError("something to look for is missing here", column)
        self.at = found.end()
        if found["mark"] == "(":
            return self.group(column, depth)
        if found["field"] is not None:
            return self.term(found["field"], found["operator"], column)
        if found["quoted"] is not None:
            return anywhere(found["quoted"])
        return fuzzy(found["bare"])

    def group(self, column: int, depth: int) -> Test:
        test = self.either(depth + 1)
        if not self.takes(")"):
            raise QueryError("this parenthesis is never closed", column)
        return test

    def value(self) -> str:
        """What stands directly behind an operator, quoted or bare; a bare one may begin with a minus."""
        rest = self.text[self.at :]
        found = re.match(r'"([^"]*)"|[^\s()"]+', rest)
        if found is None:
            open_quote = rest.startswith('"')
            raise QueryError(
                "this quotation mark is never closed" if open_quote else "a value is missing here", self.at
            )
        self.at += found.end()
        return found[1] if found[1] is not None else found[0]

    def term(self, field: str, operator: str, column: int) -> Test:
        value_at = self.at
        return field_test(field, operator, self.value(), (column, value_at), self.saying, self.start_ns)
