"""A regular expression that cannot be made slow: matched without backtracking, in time linear in the text.

Invariant: `Pattern.found(text)` takes at most text length times pattern length steps, whatever the pattern, so an operator's
filter can never stall the collector that applies it. Knows literals, `.`, classes, `\\d \\w \\s` and their opposites,
`^ $`, groups, `|`, `* + ?` and `{m,n}` up to 50; case is ignored. Back-references and look-around do not exist here.
Called by `view.query`. The construction is Thompson's (Communications of the ACM 11, 1968); steps are cached as they are met.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from trajectory.errors import QueryError

LONGEST_PATTERN = 200
_MOST_REPEATS = 50
_MOST_STATES = 5000
_MOST_CACHED = 2000

Test = Callable[[str], bool]


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


_CLASSES: dict[str, Test] = {"d": str.isdigit, "w": _is_word, "s": str.isspace}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(slots=True)
class _State:
    """`test` consumes a character, then `out`; without one, all of `out` follow for free. `anchor`: `^`, `$` or none."""

    test: Test | None = None
    out: list[int] = field(default_factory=list)
    anchor: str = ""


# Adds the states of one part of a pattern, which go on to the state given, and returns the first of them.
Part = Callable[["Pattern", int], int]


class _Reader:
    """Reads a pattern into nodes; `at` is the zero-based column."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def fail(self, why: str) -> QueryError:
        return QueryError(f"pattern: {why}", self.at)

    def either(self, depth: int = 0) -> Part:
        if depth > 20:
            raise self.fail("too many nested groups")
        options = [self.sequence(depth)]
        while self.peek() == "|":
            self.at += 1
            options.append(self.sequence(depth))
        return _either(options) if len(options) > 1 else options[0]

    def sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self.peek() and self.peek() not in "|)":
            parts.append(self.repeated(self.atom(depth)))
        return _sequence(parts)

    def repeated(self, part: Part) -> Part:
        while (char := self.peek()) and char in "*+?{":
            least, most = self.bounds(char)
            if self.peek() == "?":  # lazy: the same language
                self.at += 1
            part = _repeat(part, least, most)
        return part

    def bounds(self, char: str) -> tuple[int, int]:
        """Least and most repeats; most is -1 where there is no limit."""
        self.at += 1
        if char != "{":
            return {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[char]
        end = self.text.find("}", self.at)
        least, comma, most = self.text[self.at : end].partition(",")
        if end < 0 or not least.isdecimal() or not (most.isdecimal() or not most):
            raise self.fail("a repeat is {m}, {m,} or {m,n}")
        low, high = int(least), int(most) if most else (-1 if comma else int(least))
        if max(low, high) > _MOST_REPEATS or -1 < high < low:
            raise self.fail(f"a repeat goes up to {_MOST_REPEATS}, smaller bound first")
        self.at = end + 1
        return low, high

    def atom(self, depth: int) -> Part:
        char = self.peek()
        self.at += 1
        if char == "(":
            return self.group(depth)
        if char == "[":
            return _char(self.char_class())
        if char == "\\":
            return _char(self.escape())
        if char in "^$":
            return lambda pattern, then: pattern.add(None, [then], char)
        if char in "*+?{":
            self.at -= 1
            raise self.fail("nothing to repeat")
        return _char((lambda _: True) if char == "." else _same(char))

    def group(self, depth: int) -> Part:
        if self.text.startswith("?:", self.at):
            self.at += 2
        elif self.peek() == "?":
            raise self.fail("this kind of group is not known")
        part = self.either(depth + 1)
        if self.peek() != ")":
            raise self.fail("a group is not closed")
        self.at += 1
        return part

    def escape(self) -> Test:
        char = self.peek()
        if not char:
            raise self.fail("nothing after the backslash")
        self.at += 1
        if char.lower() in _CLASSES:
            test = _CLASSES[char.lower()]
            return test if char.islower() else _not(test)
        if char in _ESCAPES:
            return _same(_ESCAPES[char])
        if char.isalnum():
            raise self.fail(f"\\{char} is not known")
        return _same(char)

    def char_class(self) -> Test:
        negated = self.peek() == "^"
        self.at += negated
        tests: list[Test] = []
        while self.peek() != "]" or not tests:
            if not self.peek():
                raise self.fail("a class is not closed")
            tests.append(self.class_part())
        self.at += 1
        whole: Test = lambda char: any(test(char) for test in tests)  # noqa: E731
        return _not(whole) if negated else whole

    def class_part(self) -> Test:
        low = self.peek()
        self.at += 1
        if low == "\\":
            return self.escape()
        high = self.text[self.at + 1 : self.at + 2]
        if self.peek() != "-" or high in ("]", ""):
            return _same(low)
        if high == "\\" or high < low:
            raise self.fail("a range goes from the smaller to the larger character")
        self.at += 2
        return lambda char: low <= char <= high or low <= char.swapcase() <= high


def _same(wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda char: char.casefold() == folded


def _not(test: Test) -> Test:
    return lambda char: not test(char)


class Pattern:
    """A compiled pattern. Raises QueryError with a position inside the pattern where it does not parse."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_PATTERN:
            raise QueryError(f"pattern: longer than {LONGEST_PATTERN} characters", LONGEST_PATTERN)
        reader = _Reader(text)
        whole = reader.either()
        if reader.peek():
            raise reader.fail("a group is not opened")
        self.text = text
        self._states: list[_State] = [_State()]  # 0 accepts
        self._start = whole(self, 0)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def found(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text."""
        seed = self._closure([self._start], True, not text)
        if 0 in seed:
            return True
        middle = self._closure([self._start], False, False)
        here = seed
        for index, char in enumerate(text):
            last = index == len(text) - 1
            here = self._step(here, char, last) | (self._closure([self._start], False, True) if last else middle)
            if 0 in here:
                return True
        return False

    def _step(self, here: frozenset[int], char: str, last: bool) -> frozenset[int]:
        key = (here, char)
        if not last and key in self._steps:
            return self._steps[key]
        tested = [self._states[state] for state in here]
        moved = [goal for state in tested if state.test and state.test(char) for goal in state.out]
        there = self._closure(moved, False, last)
        if not last and len(self._steps) < _MOST_CACHED:
            self._steps[key] = there
        return there

    def _closure(self, states: list[int], at_start: bool, at_end: bool) -> frozenset[int]:
        """All states reachable without consuming a character; anchors open only where they hold."""
        seen = set(states)
        todo = list(seen)
        while todo:
            state = self._states[todo.pop()]
            if state.test or (state.anchor == "^" and not at_start) or (state.anchor == "$" and not at_end):
                continue
            fresh = [goal for goal in state.out if goal not in seen]
            seen.update(fresh)
            todo.extend(fresh)
        return frozenset(seen)

    def add(self, test: Test | None, out: list[int], anchor: str = "") -> int:
        """The number of a new state. Raises QueryError where repeats in repeats make too many."""
        if len(self._states) >= _MOST_STATES:
            raise QueryError("pattern: too many repeats in repeats", 0)
        self._states.append(_State(test, out, anchor))
        return len(self._states) - 1


def _char(test: Test) -> Part:
    return lambda pattern, then: pattern.add(test, [then])


def _sequence(parts: list[Part]) -> Part:
    def build(pattern: Pattern, then: int) -> int:
        for part in reversed(parts):
            then = part(pattern, then)
        return then

    return build


def _either(options: list[Part]) -> Part:
    return lambda pattern, then: pattern.add(None, [option(pattern, then) for option in options])


def _repeat(part: Part, least: int, most: int) -> Part:
    def build(pattern: Pattern, then: int) -> int:
        if most < 0:
            out = [then]
            then = pattern.add(None, out)
            out.append(part(pattern, then))
        for _ in range(most - least):
            then = pattern.add(None, [part(pattern, then), then])
        for _ in range(least):
            then = part(pattern, then)
        return then

    return build
