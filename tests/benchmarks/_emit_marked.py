"""Emits spans that are looked for, one after another into one trace. Arguments: endpoint, seconds, marks.

Prints a line of JSON first for the trace, then for each mark: its name, and when it was emitted by the monotonic clock. Begins
with the marks when a line comes on standard input. Run by `terminal` as a child.
"""

import json
import sys
import time

import trajectory


def main() -> None:
    """Emits so many marks, evenly, over the time."""
    endpoint, seconds, mark_count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    trajectory.init("benchmark", endpoint)
    with trajectory.agent("worker") as agent:
        with trajectory.span("begin", kind="tool"):
            pass
        trajectory.flush(30.0)
        print(json.dumps({"trace": agent.trace_id.hex()}), flush=True)
        sys.stdin.readline()
        for number in range(mark_count):
            time.sleep(seconds / mark_count)
            at_s = time.monotonic()
            with trajectory.span(f"mark-{number}-", kind="tool"):
                pass
            print(json.dumps({"name": f"mark-{number}-", "at_s": at_s}), flush=True)
    trajectory.flush(60.0)


if __name__ == "__main__":
    main()
