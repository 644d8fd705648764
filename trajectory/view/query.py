"""The filter language: text that an operator types, as a predicate over any row that a screen can show.

    word                fuzzy over titles, names, agents, tools and texts       "two words"   as they stand
    text:refund         said anywhere in it: of a run all that is stored, else its texts
    agent:research      the field contains it     kind=tool   the field is it   text~"50[34]"  a pattern (RE2's)
    err>0  tokens>=10k  dur>2s  alerts>0          numbers and durations; a row without the field does not match
    id:91c4             an id that starts so      last:10m    a sign of life in the last ten minutes
    at:31s..40s         at work then, since the start of the run; at:31s in that instant, at:31s.. from then on
    -x  !x  not x       without                   space, and  both              or  either          ( )  groups

Invariant: `parse` either returns a filter or raises QueryError with a column; it never raises anything else, and a filter
never raises. The collector applies filters to rows; the app parses while an operator types.
"""

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache, lru_cache

from trajectory.errors import QueryError
from trajectory.view.agent_rows import AgentStep
from trajectory.view.nearly import meant
from trajectory.view.rows import AlertRow, DelegationRow, Lane, SpanRow, StepRow, TraceRow
from trajectory.view.signal_rows import SignalSeries
from trajectory.view.times import offset_ns

Row = TraceRow | SpanRow | StepRow | AgentStep | Lane | DelegationRow | AlertRow | SignalSeries
Saying = Callable[[str], Container[str]]
Test = Callable[[object, int], bool]  # a row, and the time now in nanoseconds

LONGEST_FILTER = 1000
_DEEPEST = 50
_PATTERN_BYTES = 1 << 20
_TEXT_LIMIT = 4096  # characters of one field that a filter looks at

# What a field's name reads from a row: the first line that names an attribute of it.
_TEXTS: dict[str, tuple[str, ...]] = {
    "agent": ("agent", "peer_agent", "label", "source", "target", "agent_names"),
    "kind": ("kind", "what", "mode"),
    "status": ("status", "state"),
    "state": ("state", "status"),
    "title": ("title",),
    "name": ("name", "title", "label"),
    "model": ("model",),
    "tool": ("name", "text"),
    "text": ("text", "summary", "message", "task", "returned", "goal", "title"),
    "goal": ("goal", "task"),
    "service": ("service",),
    "session": ("session_id",),
    "severity": ("severity",),
    "grade": ("grade",),
    "mark": ("mark",),
    "value": ("value",),
}
_IDS: dict[str, tuple[str, ...]] = {
    "id": ("trace_id", "span_id", "parent_id", "delegation_id", "root_span_id", "alert_id"),
    "trace": ("trace_id",),
    "run": ("run_id", "trace_id"),
    "span": ("span_id", "parent_id"),
}
_LOOSE = ("title", "label", "name", "agent", "source", "target", "kind", "alert_id")  # short enough for fuzzy letters
_LONG = (
    "text", "goal", "service", "summary", "what", "task", "returned", "peer_agent", "value", "agent_names", "trace_id", "span_id",
)  # fmt: skip
_ANYWHERE = (*_LOOSE, *_LONG)
_UNITS = {"k": 1e3, "m": 1e6, "g": 1e9}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([a-zµ]*)", re.IGNORECASE)
_TOKEN = re.compile(
    r'\s*(?:(?P<mark>[()!-])|(?P<field>[A-Za-z_]+)(?P<operator>>=|<=|!=|[:=~<>])|"(?P<quoted>[^"]*)"|(?P<bare>[^\s()"]+))'
)


def _number(row: object, *names: str) -> float | None:
    values = [value for name in names if isinstance(value := getattr(row, name, None), int | float)]
    return float(sum(values)) if values else None


def _duration_s(row: object, now_ns: int) -> float | None:
    direct = _number(row, "duration_ns")
    if direct is not None:
        return direct / 1e9
    for start_name, end_name in (("start_ns", "end_ns"), ("started_ns", "ended_ns"), ("sent_ns", "returned_ns")):
        start, end = getattr(row, start_name, None), getattr(row, end_name, None)
        if isinstance(start, int) and isinstance(end, int):
            return max(0, (end or now_ns) - start) / 1e9
    return None


def _errors(row: object) -> float | None:
    count = _number(row, "errors")
    if count is not None:
        return count
    status = getattr(row, "status", None)
    return None if status is None else float(status == "error")


_NUMBERS: dict[str, Callable[[object, int], float | None]] = {
    "err": lambda row, _: _errors(row),
    "tokens": lambda row, _: _number(row, "tokens", "input_tokens", "output_tokens"),
    "dur": _duration_s,
    "alerts": lambda row, _: _number(row, "critical", "warnings", "infos"),
    "agents": lambda row, _: _number(row, "agents"),
    "deleg": lambda row, _: _number(row, "delegations"),
    "steps": lambda row, _: _number(row, "steps"),
    "depth": lambda row, _: _number(row, "depth"),
    "count": lambda row, _: _number(row, "count"),
    "conf": lambda row, _: _number(row, "confidence"),
}
_OTHER_NAMES = {"errors": "err", "error": "err", "duration": "dur", "elapsed": "dur", "delegations": "deleg"}
FIELDS: tuple[str, ...] = tuple(sorted({*_TEXTS, *_IDS, *_NUMBERS, "last", "at"}))
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "=": lambda a, b: a == b,
    ":": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


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
            return _contains(_ANYWHERE, found["quoted"])
        return _fuzzy(found["bare"])

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
        name = _OTHER_NAMES.get(field.lower(), field.lower())
        value_at = self.at
        value = self.value()
        if name in _NUMBERS:
            return _numeric(name, operator, value, value_at)
        if name == "last":
            return _recent(operator, value, value_at)
        if name == "at":
            return _at_work(operator, value, value_at, self.start_ns)
        if name in _IDS:
            return _id(_IDS[name], operator, value, value_at)
        if name in _TEXTS:
            test = _textual(_TEXTS[name], operator, value, value_at)
            return _or_said(test, self.saying, value) if self.saying and (name, operator) == ("text", ":") else test
        there = f"; there are {', '.join(FIELDS)}"
        raise QueryError(f"no field {name}{meant(name, FIELDS, there)}", column)


def _texts(row: object, names: tuple[str, ...]) -> list[str]:
    values = [getattr(row, name, None) for name in names]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return [text[:_TEXT_LIMIT] for text in texts if isinstance(text, str) and text]


def _contains(names: tuple[str, ...], wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda row, _: any(folded in text.casefold() for text in _texts(row, names))


def _fuzzy(word: str) -> Test:
    """Contained anywhere, or its letters in order and close together in a short field."""
    folded = word.casefold()
    inside = _contains(_ANYWHERE, word)
    if len(folded) < 3:
        return inside
    return lambda row, now_ns: (
        inside(row, now_ns) or any(_close(folded, text.casefold()) for text in _texts(row, _LOOSE))
    )


def _close(word: str, text: str) -> bool:
    """Whether the word's letters stand in order within twice its length, beginning where a word of the text begins."""
    for start in range(len(text)):
        if text[start] != word[0] or (start and text[start - 1].isalnum()):
            continue
        letters = iter(text[start : start + 2 * len(word)])
        if all(letter in letters for letter in word):
            return True
    return False


def _textual(names: tuple[str, ...], operator: str, value: str, column: int) -> Test:
    if operator == "~":
        return _matching(names, value, column)
    if operator == ":":
        return _contains(names, value)
    if operator not in ("=", "!="):
        raise QueryError("this field is text: it takes : = != or ~", column - len(operator))
    folded = value.casefold()
    wanted = operator == "="
    return lambda row, _: any(text.casefold() == folded for text in _texts(row, names)) is wanted


def _or_said(test: Test, saying: Saying, value: str) -> Test:
    """Also the traces in which anything says it: asked for once, when the first row is looked at."""
    said = cache(lambda: saying(value))
    return lambda row, now_ns: test(row, now_ns) or (isinstance(row, TraceRow) and row.trace_id in said())


def _matching(names: tuple[str, ...], value: str, column: int) -> Test:
    """A pattern in RE2's language, which has no form that takes more than linear time: an operator's slip cannot stall
    the collector that applies the filter."""
    import re2

    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = False, False, _PATTERN_BYTES
    try:
        pattern = re2.compile(value, options)
    except re2.error as fault:
        reason = fault.args[0].decode("utf-8", "replace") if fault.args else "it cannot be read"
        raise QueryError(f"not a pattern: {reason}", column) from None
    except UnicodeEncodeError:  # bytes of the command line that are no text
        raise QueryError("not a pattern: it is not text", column) from None
    return lambda row, _: any(pattern.search(text) is not None for text in _texts(row, names))


def _id(names: tuple[str, ...], operator: str, value: str, column: int) -> Test:
    if operator not in (":", "="):
        raise QueryError("an id takes : or =", column - len(operator))
    folded = value.lower()
    return lambda row, _: any(text.lower().startswith(folded) for text in _texts(row, names))


def _numeric(name: str, operator: str, value: str, column: int) -> Test:
    if operator not in _COMPARE:
        raise QueryError("a number takes > < >= <= = or !=", column - len(operator))
    found = _NUMBER.fullmatch(value)
    units = _SECONDS if name == "dur" else _UNITS
    if found is None or (found[2] and found[2].lower() not in units):
        example = "2s, 300ms" if name == "dur" else "3, 10k"
        raise QueryError(f"{name} needs a number such as {example}", column)
    wanted = float(found[1]) * units.get(found[2].lower(), 1.0)
    compare, read = _COMPARE[operator], _NUMBERS[name]
    return lambda row, now_ns: (have := read(row, now_ns)) is not None and compare(have, wanted)


def _recent(operator: str, value: str, column: int) -> Test:
    found = _NUMBER.fullmatch(value)
    if operator not in (":", "=") or found is None or (found[2] and found[2].lower() not in _SECONDS):
        raise QueryError("last needs a duration such as last:10m", column)
    age_ns = int(float(found[1]) * _SECONDS.get(found[2].lower(), 1.0) * 1e9)

    def test(row: object, now_ns: int) -> bool:
        ends = _number(row, "ended_ns") or _number(row, "end_ns") or _number(row, "at_ns", "opened_ns", "sent_ns")
        running = getattr(row, "end_ns", None) == 0
        return running or (ends is not None and ends >= now_ns - age_ns)

    return test


def _at_work(operator: str, value: str, column: int, start_ns: int) -> Test:
    first, dots, last = value.partition("..")
    begin_ns, end_ns = offset_ns(first), offset_ns(last) if dots else offset_ns(first)
    is_given = (begin_ns is not None or not first) and (end_ns is not None or not last) and (first or last)
    if operator not in (":", "=") or not is_given:
        raise QueryError("at needs times since the start such as at:31s..40s or at:01:42", column)

    def test(row: object, now_ns: int) -> bool:
        stretch = _stretch_ns(row, now_ns)
        if stretch is None:
            return False
        origin_ns = stretch[0] if isinstance(row, TraceRow) else start_ns
        is_before_end = end_ns is None or stretch[0] <= origin_ns + end_ns
        return is_before_end and (begin_ns is None or stretch[1] >= origin_ns + begin_ns)

    return test


def _stretch_ns(row: object, now_ns: int) -> tuple[int, int] | None:
    """When a row's work began and ended, or when it happened; what has not ended goes on now."""
    for start_name, end_name in (("start_ns", "end_ns"), ("started_ns", "ended_ns"), ("sent_ns", "returned_ns")):
        start, end = getattr(row, start_name, None), getattr(row, end_name, None)
        if isinstance(start, int) and isinstance(end, int):
            return start, end or max(now_ns, start)
    instants = [getattr(row, name, None) for name in ("at_ns", "opened_ns")]
    return next(((at, at) for at in instants if isinstance(at, int)), None)
