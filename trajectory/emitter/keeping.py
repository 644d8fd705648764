"""What an emitter does with facts that nobody takes: how much it keeps, where, and what comes after that.

Invariant: a setting that makes no sense is reported once and replaced by its default; an argument stands over the environment.
`init` makes one, the tracer hands it to its delivery.

    spool   beyond memory, and at the end, unacknowledged facts go to a file that a later process or collector delivers
    drop    beyond memory they are dropped and counted; at the end, or with a kill, they are gone and nobody counts them
    block   as `drop`, but an agent that emits waits for room first, `block_s` at most
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from trajectory.emitter.misuse import name_of, report

SPOOL, DROP, BLOCK = "spool", "drop", "block"
POLICIES = (SPOOL, DROP, BLOCK)
MEMORY_BYTES = 64 * 1024 * 1024
SPOOL_BYTES = 256 * 1024 * 1024
BLOCK_S = 1.0


class Keeping(NamedTuple):
    """One policy and its bounds. `spool_dir` None: the user's default directory."""

    policy: str = SPOOL
    spool_dir: Path | None = None
    spool_bytes: int = SPOOL_BYTES  # of all emitters that share the directory
    memory_bytes: int = MEMORY_BYTES  # of the facts that wait, and again of those that are not acknowledged
    block_s: float = BLOCK_S
    jsonl: str = ""  # a file for everything that is sent too; empty for none
    jsonl_bytes: int = 0  # at which it is turned; 0 for never

    @property
    def waits_s(self) -> float:
        """How long an agent may wait for room."""
        return self.block_s if self.policy == BLOCK else 0.0


def keeping_of(
    policy: Any = None,
    spool_dir: Any = None,
    spool_bytes: Any = None,
    memory_bytes: Any = None,
    block_s: Any = None,
    jsonl: Any = None,
    jsonl_bytes: Any = None,
) -> Keeping:
    """The settings as given; where None, as TRAJECTORY_POLICY, _SPOOL_DIR, _SPOOL_BYTES, _MEMORY_BYTES, _BLOCK_S, _JSONL and
    _JSONL_BYTES say."""
    named = name_of(_given(policy, "TRAJECTORY_POLICY", SPOOL)).strip().lower()
    if named not in POLICIES:
        report("policy", "trajectory: there is no policy %r, only %s; it is spool", named, ", ".join(POLICIES))
        named = SPOOL
    directory = name_of(_given(spool_dir, "TRAJECTORY_SPOOL_DIR", ""))
    return Keeping(
        named,
        Path(directory) if directory else None,
        int(_number(spool_bytes, "TRAJECTORY_SPOOL_BYTES", SPOOL_BYTES)),
        int(_number(memory_bytes, "TRAJECTORY_MEMORY_BYTES", MEMORY_BYTES)),
        _number(block_s, "TRAJECTORY_BLOCK_S", BLOCK_S),
        name_of(_given(jsonl, "TRAJECTORY_JSONL", "")),
        int(_number(jsonl_bytes, "TRAJECTORY_JSONL_BYTES", 0))
        if _given(jsonl_bytes, "TRAJECTORY_JSONL_BYTES", 0)
        else 0,
    )


def _given(value: Any, variable: str, default: Any) -> Any:
    return value if value is not None else os.environ.get(variable) or default


def _number(value: Any, variable: str, default: float) -> float:
    """A number above zero and within what any machine has."""
    given = _given(value, variable, default)
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = -1.0
    if 0 < number < 1 << 60:
        return number
    report(variable, "trajectory: %s is %s, which is no number above 0; it is %s", variable, name_of(given), default)
    return default
