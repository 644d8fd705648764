"""What keeps a fork apart from a sender's thread that is importing or packing.

Invariant: while `forkless` is held, this process does not fork: a fork just then would give its child half a module, or a lock
held for good. Held by `delivery` and `sender`; the tracer's fork hooks ask for it.
"""

import threading

FORK_WAIT_S = 5.0  # for a sender's thread that is importing or packing

forkless = threading.RLock()
_is_held = False


def before_fork() -> None:
    """Waits, a bounded time, for the sender's thread."""
    global _is_held
    _is_held = forkless.acquire(timeout=FORK_WAIT_S)


def after_fork_in_parent() -> None:
    if _is_held:
        forkless.release()


def after_fork_in_child() -> None:
    """A lock of its own: nobody may be left to release the parent's."""
    global forkless
    forkless = threading.RLock()
