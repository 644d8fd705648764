"""What a user wants to happen to facts before they leave the process, as one value.

Invariant: a wish that makes no sense is reported and answered by what gives away least. Standard library only: the agent's thread
makes it, the sender's thread acts on it in `processors`.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from trajectory.emitter.misuse import report

REDACT = ("off", "secrets", "personal")


class Plan(NamedTuple):
    """`redact`: `off`, `secrets`, or `personal` for secrets and personal data.

    Processors are callables, or names of entry points. `max_body_bytes` is the length at which bodies are cut, 0 for never;
    `sample_ratio` is the share of traces that is sent whatever happens in them, 0 to 1.
    """

    redact: str = "secrets"
    processors: tuple[Callable[[Any], Any] | str, ...] = ()
    max_body_bytes: int = 0
    sample_ratio: float = 1.0


def plan_of(redact: Any = None, processors: Any = None, max_body_bytes: Any = None, sample_ratio: Any = None) -> Plan:
    """The plan that the arguments make; where they say nothing, TRAJECTORY_REDACT, _PROCESSORS and _SAMPLE_RATIO do."""
    if redact is None:
        redact = os.environ.get("TRAJECTORY_REDACT") or "secrets"
    if processors is None:
        processors = [name for name in os.environ.get("TRAJECTORY_PROCESSORS", "").replace(",", " ").split() if name]
    if sample_ratio is None:
        sample_ratio = os.environ.get("TRAJECTORY_SAMPLE_RATIO") or 1.0
    return Plan(_redact(redact), _processors(processors), _most_bytes(max_body_bytes), _ratio(sample_ratio))


def _redact(wish: Any) -> str:
    word = {True: "secrets", False: "off"}.get(wish, wish) if isinstance(wish, bool) else wish
    if word in REDACT:
        return str(word)
    report("redact", "trajectory: redact is one of %s and not %r; taken as `personal`", ", ".join(REDACT), wish)
    return "personal"


def _processors(wish: Any) -> tuple[Callable[[Any], Any] | str, ...]:
    given = [wish] if isinstance(wish, str) or callable(wish) else wish
    if not isinstance(given, Iterable):
        given = [given]
    kept = []
    for one in given:
        if not isinstance(one, str) and not callable(one):
            report("processors", "trajectory: %r is no processor: neither callable nor a name; no content leaves", one)
            one = "withhold"
        kept.append(one)
    return tuple(kept)


def _ratio(wish: Any) -> float:
    try:
        ratio = float(wish)
    except (TypeError, ValueError):
        ratio = -1.0
    if 0.0 <= ratio <= 1.0:
        return ratio
    report("sample_ratio", "trajectory: sample_ratio is a number from 0 to 1 and not %r; every trace is sent", wish)
    return 1.0


def _most_bytes(wish: Any) -> int:
    if wish is None:
        return 0
    if isinstance(wish, int) and wish > 0:
        return wish
    report("max_body_bytes", "trajectory: max_body_bytes is a number above 0 and not %r; bodies are not cut", wish)
    return 0
