"""What the intake and the rest of the collector say to each other, each in a process or a thread of its own.

Invariant: neither waits for the other: a message that finds no room is dropped by `Line.say`, and each kind is one that may be,
because it comes again or is asked for again. msgpack over a ZeroMQ PAIR that nobody else can reach.

    intake → collector    Ready, or Failed; News after every round; Asked for a watcher's question; Ended
    collector → intake    Answer to a question; Settled; Stop
"""

import msgspec
import zmq

from trajectory.store.journal import Position

_WAITING = 4096  # messages


class Ready(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The intake listens there."""

    endpoint: str


class Failed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The intake cannot begin. `kind` is the error's class, `key` a ConfigError's."""

    kind: str
    reason: str
    key: str = ""


class News(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """How far the journal goes, how many emitters were heard lately, what went wrong since the last news, and what still does."""

    segment: int
    offset: int
    emitters: int = 0
    unread: list[str] = []  # frames that could not be read, and why
    refused: list[str] = []
    trouble: str = ""

    @property
    def end(self) -> Position:
        return Position(self.segment, self.offset)


class Asked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """A watcher's frame."""

    routing_id: bytes
    frame: bytes


class Ended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """The intake has taken what had arrived, and listens no more."""


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """A frame for a watcher."""

    routing_id: bytes
    frame: bytes


class Settled(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """So far the journal is in the store."""

    segment: int
    offset: int


class Stop(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """Take what has arrived, and end."""


Message = Ready | Failed | News | Asked | Ended | Answer | Settled | Stop
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class Line:
    """One end. The collector binds, the intake connects; owned by one thread."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, is_ours: bool) -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.setsockopt(zmq.SNDHWM, _WAITING)
        self.socket.setsockopt(zmq.RCVHWM, _WAITING)
        if is_ours:
            self.socket.bind(address)
        else:
            self.socket.connect(address)

    def say(self, message: Message) -> bool:
        """Hands a message over; False where it found no room."""
        try:
            self.socket.send(_encoder.encode(message), zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def wait(self, timeout_s: float) -> bool:
        """Returns when something came, True, or when the time is over."""
        return bool(self.socket.poll(max(0, int(timeout_s * 1000))))

    def hear(self) -> Message | None:
        """The next message; None where none is there."""
        try:
            return _decoder.decode(self.socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            return None

    def close(self) -> None:
        self.socket.close()
