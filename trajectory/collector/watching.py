"""How a watcher's questions and the collector's answers travel: rows of the read model as msgpack.

Invariant: what does not decode raises WireError and nothing else. Called by the collector's intake and by remote feeds.
"""

import msgspec

from trajectory.errors import WireError
from trajectory.model.fact import Marked
from trajectory.protocol.codec import decode_fact, encode
from trajectory.protocol.frames import ANSWER, ASK, PROTOCOL_VERSION, TELL
from trajectory.view.views import Query, View

ACTIONS = ("acknowledge", "mute", "reopen")
_query: msgspec.msgpack.Decoder[Query] = msgspec.msgpack.Decoder(Query)


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A collector's answer; `view` is None where nothing changed. A refusal has its reason in `request_id`'s place."""

    version: int
    type: str
    request_id: int | str
    view: View | None = None


_answer = msgspec.msgpack.Decoder(Answer)


def ask(request_id: int, since_version: int, query: Query) -> bytes:
    return encode((PROTOCOL_VERSION, ASK, request_id, since_version, query))


def tell(request_id: int, marked: Marked) -> bytes:
    return encode((PROTOCOL_VERSION, TELL, request_id, marked))


def answer(request_id: int, view: View | None) -> bytes:
    return encode((PROTOCOL_VERSION, ANSWER, request_id, view))


def read_query(raw: bytes | msgspec.Raw) -> Query:
    """Raises WireError on bytes that are no query."""
    try:
        return _query.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WireError(f"corrupt query: {fault}") from None


def read_mark(marked: Marked) -> Marked:
    """A mark as it may be stored. Raises WireError on ids and times that are none, and on an unknown action."""
    decode_fact(encode(marked))
    if not 0 <= marked.until_ns < 1 << 63:
        raise WireError("corrupt mark: time out of range")
    if marked.action not in ACTIONS:
        raise WireError(f"{marked.action[:40]!r} is nothing to do with an alert: use one of {', '.join(ACTIONS)}")
    return marked


def read_answer(frame: bytes) -> Answer:
    """Raises WireError on bytes that are no answer."""
    try:
        return _answer.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise WireError(f"corrupt answer: {fault}") from None
