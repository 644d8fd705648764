"""The one place where the emitter speaks of itself: the logger `trajectory`, one line for each kind of trouble.

Invariant: nothing here raises, and a kind that was reported is not reported again in this process, so that a loop of a
million wrong calls leaves one line. Called by every other file of the room.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

LOGGER = logging.getLogger("trajectory")
F = TypeVar("F", bound=Callable[..., Any])

MAX_NAME = 512  # characters

_reported: set[str] = set()


def report(kind: str, message: str, *values: object) -> None:
    """One warning on the logger `trajectory`, the first time that this kind is met. Never raises."""
    if kind in _reported:
        return
    _reported.add(kind)
    try:
        LOGGER.warning(message, *values)
    except Exception:  # a user's log handler may raise anything
        return


def name_of(value: Any) -> str:
    """Any value as a name: its text, bounded. Never raises."""
    try:
        return str(value)[:MAX_NAME]
    except Exception:  # a user's __str__ may raise anything
        return type(value).__name__


def forget_reports() -> None:
    """Every kind is reported anew from here on: for tests."""
    _reported.clear()


def harmless(function: F) -> F:
    """A method that answers None where it would have raised, and says so once."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as fault:
            kind = function.__qualname__
            said = type(fault).__name__
            if isinstance(fault, TypeError):  # most often arguments that do not fit: Python's own words say which
                said += f": {name_of(fault)[:200]!r}"
            report(kind, "trajectory: %s was given something it cannot record: %s", kind, said)
            return None

    return cast(F, guarded)
