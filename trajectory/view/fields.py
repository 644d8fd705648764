"""What the fields of a filter read from a row, and the tests that they make of it.

Invariant: a test never raises, whatever row it is asked of, and takes time linear in what it reads. Called by `query`, which has
the language.
"""

import re
from collections.abc import Callable, Container
from functools import cache

from trajectory.errors import QueryError
from trajectory.view.agent_rows import AgentStep
from trajectory.view.nearly import meant
from trajectory.view.rows import AlertRow, DelegationRow, Lane, SpanRow, StepRow, TraceRow
from trajectory.view.signal_rows import SignalSeries
from trajectory.view.times import offset_ns

Row = TraceRow | SpanRow | StepRow | AgentStep | Lane | DelegationRow | AlertRow | SignalSeries
Saying = Callable[[str], Container[str]]
Test = Callable[[object, int], bool]  # a row, and the time now in nanoseconds

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


def field_test(
    field: str, operator: str, value: str, columns: tuple[int, int], saying: Saying | None, start_ns: int
) -> Test:
    """The test that `field operator value` is; `columns` are those of the field and of the value, `saying` and `start_ns` as
    for `query.parse`. Raises QueryError."""
    name = _OTHER_NAMES.get(field.lower(), field.lower())
    column, value_at = columns
    if name in _NUMBERS:
        return _numeric(name, operator, value, value_at)
    if name == "last":
        return _recent(operator, value, value_at)
    if name == "at":
        return _at_work(operator, value, value_at, start_ns)
    if name in _IDS:
        return _id(_IDS[name], operator, value, value_at)
    if name in _TEXTS:
        test = _textual(_TEXTS[name], operator, value, value_at)
        return _or_said(test, saying, value) if saying and (name, operator) == ("text", ":") else test
    there = f"; there are {', '.join(FIELDS)}"
    raise QueryError(f"no field {name}{meant(name, FIELDS, there)}", column)


def _texts(row: object, names: tuple[str, ...]) -> list[str]:
    values = [getattr(row, name, None) for name in names]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return [text[:_TEXT_LIMIT] for text in texts if isinstance(text, str) and text]


def _contains(names: tuple[str, ...], wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda row, _: any(folded in text.casefold() for text in _texts(row, names))


def anywhere(text: str) -> Test:
    """Contained in any text of the row, as it stands."""
    return _contains(_ANYWHERE, text)


def fuzzy(word: str) -> Test:
    """Contained anywhere, or its letters in order and close together in a short field."""
    folded = word.casefold()
    inside = anywhere(word)
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
        stretch = _stretch_ns(row, now_ns)
        return stretch is not None and stretch[1] >= now_ns - age_ns

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
    """When a row's work began and ended, or when it happened; what has not ended goes on now, but for what was lost."""
    for start_name, end_name in (("start_ns", "end_ns"), ("started_ns", "ended_ns"), ("sent_ns", "returned_ns")):
        start, end = getattr(row, start_name, None), getattr(row, end_name, None)
        if isinstance(start, int) and isinstance(end, int):
            return start, end or (start if getattr(row, "state", "") == "lost" else max(now_ns, start))
    instants = [getattr(row, name, None) for name in ("at_ns", "opened_ns")]
    return next(((at, at) for at in instants if isinstance(at, int)), None)
