"""How work ended that did not return: an error with its text and stack, or a control-flow exception that is none.

Invariant: the exception itself is read and never changed. Called by a span at its end.
"""

import traceback
from typing import Any, NamedTuple

from trajectory.model.control_flow import is_control_flow
from trajectory.model.words import ERROR_TYPE, INTERRUPTED, SpanStatus

MAX_STACK = 8 * 1024  # characters; the end of a stack says more than its beginning
MAX_MESSAGE = 2 * 1024

_CONTROL_FLOW = (StopIteration, StopAsyncIteration)


class Outcome(NamedTuple):
    """The end's status, message and attributes; `event` has OpenTelemetry's exception attributes, empty for no error."""

    status: str
    message: str
    attributes: dict[str, Any]
    event: dict[str, Any]


def outcome_of(fault: BaseException) -> Outcome:
    """What the end of a span says about the exception that ended it."""
    kind = type_name(fault)
    if is_interruption(fault) or is_control_flow(kind):
        return Outcome(str(SpanStatus.UNSET), "", {INTERRUPTED: kind}, {})
    message = text_of(fault)
    event = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack_of(fault)}
    return Outcome(str(SpanStatus.ERROR), message, {ERROR_TYPE: kind}, event)


def is_interruption(fault: BaseException) -> bool:
    """Whether the work was stopped and did not fail: cancelled, closed, interrupted, or at the end of an iteration."""
    if not isinstance(fault, Exception) or isinstance(fault, _CONTROL_FLOW):
        return True
    return type(fault).__name__ == "CancelledError"  # concurrent.futures' own is an Exception


def type_name(fault: BaseException) -> str:
    """The exception's class as people write it: `ValueError`, `httpx.ReadTimeout`."""
    kind = type(fault)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def text_of(fault: BaseException) -> str:
    """The exception's own words, bounded."""
    try:
        return _beginning(str(fault))
    except Exception:  # a user's __str__ may raise anything
        return ""


def stack_of(fault: BaseException) -> str:
    """The stack as Python prints it, its last MAX_STACK characters."""
    try:
        return _end("".join(traceback.format_exception(fault)))
    except Exception:  # a user's __repr__ or __str__ may raise anything
        return ""


def _beginning(text: str) -> str:
    """The first MAX_MESSAGE characters, without a last word that is cut: half a secret is no longer known for one."""
    cut = text[:MAX_MESSAGE]
    if len(text) <= MAX_MESSAGE or text[MAX_MESSAGE].isspace():
        return cut
    edge = max(cut.rfind(" ", MAX_MESSAGE // 2), cut.rfind("\n", MAX_MESSAGE // 2))
    return cut if edge < 0 else cut[:edge]


def _end(text: str) -> str:
    """The last MAX_STACK characters, from the beginning of a line where there is one."""
    cut = text[-MAX_STACK:]
    return cut if len(text) <= MAX_STACK else cut[cut.find("\n", 0, MAX_STACK // 2) + 1 :]
