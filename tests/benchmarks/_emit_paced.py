"""Emits spans at an even pace through the public API. Arguments: endpoint, facts a second, seconds.

Invariant: what falls behind its time is made up for at once, so the pace holds on average. Run by `intake` as a child.
"""

import json
import sys
import time

import trajectory

_SPANS_A_TURN = 50
_TURNS_A_TRACE = 10


def main() -> None:
    """Emits, flushes, prints how many facts went and how long it took."""
    endpoint, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    trajectory.init("benchmark", endpoint)
    turns = int(rate * seconds / (2 * _SPANS_A_TURN))
    began_s = time.monotonic()
    for turn in range(turns):
        ahead_s = began_s + turn * seconds / turns - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        with trajectory.agent(f"agent-{turn % _TURNS_A_TRACE}"):
            for i in range(_SPANS_A_TURN - 1):
                with trajectory.span("search", kind="tool", attributes={"gen_ai.tool.name": "search", "attempt": i}):
                    pass
    took_s = time.monotonic() - began_s
    if not trajectory.flush(60.0):
        sys.exit("not every fact was acknowledged")
    print(json.dumps({"facts": turns * 2 * _SPANS_A_TURN, "took_s": took_s}))


if __name__ == "__main__":
    main()
