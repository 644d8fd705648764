"""Who added an argument that a schema forbids to a call that only its span tells of: the model, or the framework on its way.

Invariant: doubt is the framework's. Its own are known by their name (it speaks of how calls are run, or is a declared one written
otherwise), by their value (an object or nothing at all, where a model writes something), or because they come with the calls of
more than one tool. What is left, and whatever stands deeper than the call's own arguments, the model made up. Called by the
detector of bad arguments.
"""

from collections.abc import Iterable
from typing import Any

from trajectory.detection.offers import plain_name
from trajectory.detection.violations import Violation
from trajectory.detection.words import stems

_MAX_NAMES_COUNT = 1_024
_MAX_SPANS_COUNT = 256  # of one name
_OF_RUNNING_CALLS = stems(
    """abort account agent arg args async auth authorization base caller callback cancel channel checkpoint client config
    configurable configuration connection context correlation credential credentials ctx cursor database dependencies deps
    dispatcher emitter endpoint env environment event execution handle handler header headers host id idempotency injected
    invocation key kwargs logger loop manager memory meta metadata node organization parent password port progress request
    response retries retry run runner runtime scope secret self sender server session signal span state stack store stream tenant
    thread timeout token tool trace tracer uid user uuid version workflow workspace writer"""
)


class Additions:
    """What came with the calls of a trace's tools beyond what was declared, by name."""

    def __init__(self) -> None:
        self._spans: dict[str, dict[bytes, str]] = {}  # name → call → its tool's plain name
        self._names: dict[bytes, list[str]] = {}  # call → names
        self._again: dict[bytes, None] = {}

    def take(self) -> dict[bytes, None]:
        """The calls that have to be judged anew, because what came with another one tells otherwise."""
        again, self._again = self._again, {}
        return again

    def note(self, span_id: bytes, tool: str, names: Iterable[str]) -> None:
        """Says anew what came with a call of a tool, by its plain name, that nobody declared."""
        now = list(dict.fromkeys(names))
        before = self._names.pop(span_id, [])
        if now:
            self._names[span_id] = now
        for name in {*before, *now} if before != now else ():
            held = (
                self._spans.setdefault(name, {}) if len(self._spans) < _MAX_NAMES_COUNT else self._spans.get(name, {})
            )
            was_shared = self._is_shared(name)
            if name not in now:
                held.pop(span_id, None)
            elif len(held) < _MAX_SPANS_COUNT:
                held[span_id] = tool
            if self._is_shared(name) != was_shared:
                self._again.update((other, None) for other in held if other != span_id)

    def is_a_model_s(self, path: str, given: dict[str, Any], declared: Iterable[str]) -> bool:
        """Whether the model made up what stands at a path of a call's arguments."""
        if path not in given:
            return not path.endswith("…")  # deeper: nobody adds anything there
        if self._is_shared(path) or path.startswith("_") or stems(path) & _OF_RUNNING_CALLS:
            return False
        value = given[path]
        if value is None or isinstance(value, dict) or value == []:
            return False
        return plain_name(path) not in {plain_name(name) for name in declared}

    def _is_shared(self, name: str) -> bool:
        return len(set(self._spans.get(name, {}).values())) > 1


def unknown_in(found: Iterable[Violation], given: dict[str, Any]) -> list[str]:
    """The arguments of the call itself that its schema forbids."""
    return [v.path for v in found if v.reason == "unknown" and v.path in given]
