"""Emits spans or messages with Trajectory and prints what they cost: the calling thread's CPU and the process's.

Invariant: the time ends when the last fact is acknowledged. Texts are made before it begins, each another one: an agent has them
anyway, and to make one of 10 KB in fresh memory costs more than to emit it. Arguments: endpoint, what (`span`, `message`,
`attribute`), count, body bytes. Run by `emit` as a child.
"""

import json
import sys
import time
from collections.abc import Callable

import trajectory
from trajectory.emitter.tracer import default_tracer


def _spans(texts: list[str]) -> None:
    for i in range(len(texts)):
        attributes = {
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.agent.name": "research",
            "user.id": "user-1234", "request.attempt": i, "request.temperature": 0.2,
            "request.cached": False, "request.query": "flights from Lyon to Oslo in May",
        }  # fmt: skip
        with trajectory.span("search", kind="tool", attributes=attributes):
            pass


def _messages(texts: list[str]) -> None:
    for text in texts:
        with trajectory.model("m", messages=[{"role": "user", "content": text}]):
            pass


def _attributes(texts: list[str]) -> None:
    for text in texts:
        with trajectory.span("say", attributes={"text": text}):
            pass


_CASES: dict[str, Callable[[list[str]], None]] = {"span": _spans, "message": _messages, "attribute": _attributes}


def main() -> None:
    """Warms up, measures, prints one JSON object."""
    endpoint, what, count, body_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rest = "x" * body_bytes
    warm_up, texts = ([f"{name} {i:08d}{rest}" for i in range(size)] for size, name in ((200, "-"), (count, "+")))
    trajectory.init("benchmark", endpoint)
    with trajectory.agent("bench"):
        _CASES[what](warm_up)
        if not trajectory.flush(30.0):
            sys.exit("the warm-up was not acknowledged")
        process_ns, thread_ns = time.process_time_ns(), time.thread_time_ns()
        _CASES[what](texts)
        thread_ns = time.thread_time_ns() - thread_ns
        acknowledged = trajectory.flush(120.0)
        process_ns = time.process_time_ns() - process_ns
    if not acknowledged:
        sys.exit(f"not every fact was acknowledged, or some of {count} were dropped")
    print(json.dumps({"thread_ns": thread_ns / count, "process_ns": process_ns / count}))
    default_tracer().close(5.0)


if __name__ == "__main__":
    main()
