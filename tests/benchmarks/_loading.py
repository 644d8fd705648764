"""Sends a load to whoever takes our wire, as fast as that one acknowledges, or without looking at acknowledgements.

Invariant: with acknowledgements it ends when the last fact is acknowledged, and never has more under way than the window.
Used by the benchmarks of the collector.
"""

import time

import zmq

from tests.benchmarks import AbsentError
from tests.benchmarks._rounds import Child
from tests.benchmarks._team import Load
from trajectory.protocol import frames

PATIENCE_S = 300.0


def send(load: Load, endpoint: str) -> None:
    """Sends with a window and cumulative acknowledgements; returns after the last one. Raises AbsentError on silence."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        socket.send(load.hello())
        _read_ack(socket)
        sent = acknowledged = 0
        ends = _ends(load)
        while acknowledged < len(load.frames):
            while sent < len(load.frames) and sent - acknowledged < frames.WINDOW_FRAMES:
                socket.send(load.frames[sent])
                sent += 1
            next_seq = _read_ack(socket)
            while acknowledged < len(load.frames) and ends[acknowledged] <= next_seq:
                acknowledged += 1


def send_blindly(load: Load, endpoint: str) -> None:
    """Sends all at once and looks at no acknowledgement on the way; returns after the last one."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(endpoint)
        socket.send(load.hello())
        for frame in load.frames:
            socket.send(frame)
        while _read_ack(socket) < load.end_seq:
            pass


def await_all(load: Load, far_end: Child) -> None:
    """Returns when the far end has folded all. Raises AbsentError where it does not within the time."""
    deadline_s = time.monotonic() + PATIENCE_S
    while far_end.ask("facts")["facts"] < load.end_seq:
        if time.monotonic() > deadline_s:
            raise AbsentError(f"not all of {load.fact_count} facts were taken within {PATIENCE_S:.0f} s")
        time.sleep(0.02)


def _ends(load: Load) -> list[int]:
    """The position after each frame: all are full but the last."""
    whole = [load.first_seq + frames.MAX_FACTS * (i + 1) for i in range(len(load.frames))]
    return [*whole[:-1], load.end_seq]


def _read_ack(socket: "zmq.Socket[bytes]") -> int:
    if not socket.poll(int(PATIENCE_S * 1000)):
        raise AbsentError(f"no acknowledgement within {PATIENCE_S:.0f} s")
    _, kind, *rest = frames.unpack(socket.recv())
    if kind != frames.ACK:
        raise AbsentError(f"the collector answered {kind}: {rest[0] if rest else ''}")
    return int(rest[1])
