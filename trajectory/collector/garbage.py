"""How often Python looks for reference cycles in a process of the collector.

Invariant: nothing here is undone: it is for a process that does nothing else.
Called by `trajectory serve`, and by the intake's and the receiver's process.
"""

import gc


def collect_rarely() -> None:
    """Makes Python look for cycles a thirtieth as often: traces that leave are dissolved, and each full look stops the loop.

    For a process that does nothing else: it holds for all of it.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
