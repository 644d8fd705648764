"""One failing call made again and again: which attempts are a series, and whether trying again was reasonable.

Invariant: a series is a function of its attempts and of what happened between them, whatever came first; one more attempt at
its end costs the same however long it is. Attempts are one series while they follow each other, fail alike, and nothing
that they may depend on has changed in between. Called by the detector of blind retries.
"""

import re
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

PATIENT_COUNT = 6  # attempts that are reasonable where the tool asked to be called again
_GROWTH_RATIO = 1.5  # of each wait over the one before, in a series that backs off
_LEAST_WAIT_S = 1.0  # of the last one
_READ_CHARS = 4096
_SAID_CHARS = 400
_LATEST_COUNT = 6  # attempts that a series names beside its first

_VARYING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{9,30}|0x[0-9a-f]{1,16}|\b[0-9a-f]{12,64}\b|\breq(?:uest)?[_-][\w-]{6,64}"
    r"|\d{4}-\d\d-\d\d[t ]\d\d:\d\d[\d:.,]*(?:z|[+-]\d\d:?\d\d)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r"|\b\d{1,9}(?:\.\d{1,9})?\s?(?:ms|msec|s|secs?|seconds?|milliseconds?|µs|us)\b",
    re.I,
)
_STATUS = (
    r"(?:^\W*|\b(?:http|status|error|code|failed|returned|response)[^\w\n]{0,3}"
    r"(?:(?:http|status|code|error)[^\w\n]{0,3}){0,2})"
)
_TRANSIENT = re.compile(
    rf"{_STATUS}(?:408|425|429|500|502|503|504|529)\b|time-?out|timed[ _-]?out|connection|unreachable|unavailable\b(?! on\b)|"
    r"overloaded|rate[ _-]?limit|too many requests|throttl|quota|temporar|internal server error|bad gateway|network|socket|"
    r"\bdns\b|reset by peer|refused",
    re.I,
)
_HOPELESS = re.compile(
    rf"{_STATUS}(?:400|401|403|404|405|409|410|413|415|422|501)\b|not[ _]?found|no such|does ?n[o'’]t exist|unknown|invalid|"
    r"validation|mismatch|does ?n[o'’]t (?:add up|match|belong)|unprocessable|bad request|malformed|missing|required|must\b|"
    r"should be|unexpected (?:keyword|argument|type|value|propert)|"
    r"not (?:a valid|allowed|permitted|supported|authori[sz]ed|eligible)|"
    r"permission|forbidden|denied|unauthori[sz]ed|\b(?:type|value|key|attribute|name|syntax|modulenotfound|notimplemented|jsondecode)error\b",
    re.I,
)
_INVITING = re.compile(
    r"(?:try|trying) again|re-?try|\blater\b|\bpending\b|in[ -]progress|processing\b|not (?:yet )?ready|"
    r"still (?:running|working)|queued|not yet\b|\b202\b",
    re.I,
)
_AFTER = re.compile(
    r"(?:retry[ -]?after|(?:try again|retry|wait)\s{1,3}(?:in|for|after))\W{0,3}(?P<s>\d{1,5}(?:\.\d{1,3})?)", re.I
)


class Failed(NamedTuple):
    """How a call failed. `alike` is what two calls that failed alike have in common; `is_hopeless`: by its words the arguments,
    or who may call, are at fault; `is_inviting`: it asks to be called again, after `after_s` seconds where it says so."""

    quote: str
    alike: str
    is_hopeless: bool
    is_inviting: bool
    after_s: float


def failed_by(quote: str, text: str) -> Failed:
    """How a call failed, by the words that say it and the whole text around them."""
    said = f"{quote}\n{text[:_SAID_CHARS]}"
    is_hopeless = not _TRANSIENT.search(said) and bool(_HOPELESS.search(said))
    after = _AFTER.search(said)
    alike = f"{len(text) // _READ_CHARS}:{_VARYING.sub('·', text[:_READ_CHARS]).strip().casefold()}"
    is_inviting = not is_hopeless and bool(_INVITING.search(said))
    return Failed(quote, alike, is_hopeless, is_inviting, float(after["s"]) if after else 0.0)


class Attempt(NamedTuple):
    """One call. `failed` is None where it succeeded."""

    start_ns: int
    span_id: bytes
    end_ns: int
    failed: Failed | None


Changed = Callable[
    [Attempt, Attempt], bool
]  # whether something happened between the end of one and the start of another


class Run:
    """Attempts that failed alike, one after another. `is_over`: the call then succeeded."""

    def __init__(self, first: Attempt, failed: Failed) -> None:
        self.first = self.last = first
        self.failed = failed
        self.count = 1
        self.again_ns = 0  # that the repeated attempts took
        self.latest: deque[bytes] = deque(maxlen=_LATEST_COUNT)
        self.pairs: deque[tuple[Attempt, Attempt]] = deque()  # whose cost is not counted yet
        self.tokens = 0
        self.is_over = False
        self.is_awaited = True
        self._is_growing = True
        self._wait_s = 0.0

    @property
    def is_spaced(self) -> bool:
        """Whether each wait was longer than the one before."""
        return self.count > 2 and self._is_growing and self._wait_s >= _LEAST_WAIT_S

    @property
    def is_asked_for(self) -> bool:
        """Whether every attempt but the first was made because the tool asked for it."""
        return self.failed.is_inviting and (self.is_awaited or not self.failed.after_s)

    def add(self, attempt: Attempt) -> None:
        wait_s = (attempt.start_ns - self.last.end_ns) / 1e9
        self.is_awaited = self.is_awaited and wait_s >= self.failed.after_s
        self._is_growing = self._is_growing and wait_s >= _GROWTH_RATIO * self._wait_s
        self._wait_s = wait_s
        self.count += 1
        self.again_ns += max(attempt.end_ns - attempt.start_ns, 0)
        self.latest.append(attempt.span_id)
        self.pairs.append((self.last, attempt))
        self.last = attempt


class Series:
    """All attempts at one call, by start, and the runs of failures in them."""

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        self._folded_count = 0
        self._run: Run | None = None

    def __len__(self) -> int:
        return len(self._attempts)

    @property
    def is_begun(self) -> bool:
        """Whether any runs were worked out since the last reset."""
        return self._folded_count > 0

    def put(self, attempt: Attempt) -> None:
        """Takes in an attempt, at its place in time."""
        if self._attempts and attempt[:2] < self._attempts[-1][:2]:
            self.reset()
        insort(self._attempts, attempt, key=_by_start)

    def drop(self, attempt: Attempt) -> None:
        """Lets go of an attempt that turned out to be another one."""
        at = bisect_left(self._attempts, _by_start(attempt), key=_by_start)
        del self._attempts[at]
        self.reset()

    def reset(self) -> None:
        """Lets the runs be worked out anew: what is known of earlier times has changed."""
        self._folded_count, self._run = 0, None

    def grown(self, changed: Changed) -> list[Run]:
        """The runs that have grown, or ended well, since the last time; after a reset, all of them."""
        grown: dict[int, Run] = {}
        for attempt in self._attempts[self._folded_count :]:
            run = self._fold(attempt, changed)
            if run is not None:
                grown[id(run)] = run
        self._folded_count = len(self._attempts)
        return list(grown.values())

    def _fold(self, attempt: Attempt, changed: Changed) -> Run | None:
        run, failed = self._run, attempt.failed
        if failed is None:
            self._run = None
            if run is not None:
                run.is_over = True
            return run
        if run is not None and attempt.start_ns < run.last.end_ns:
            return None  # at the same time: no second try
        if run is None or run.failed.alike != failed.alike or changed(run.last, attempt):
            self._run = Run(attempt, failed)
            return self._run
        run.add(attempt)
        return run


def _by_start(attempt: Attempt) -> tuple[int, bytes]:
    return attempt.start_ns, attempt.span_id
