"""The baton: where a delegation's headers are written and read, in the words of W3C Trace Context and W3C Baggage.

Invariant: `read` of what is written here names the same trace, span and session, and nothing makes it raise. What others put
into `tracestate` and `baggage` is handed on, within the specifications' limits. It travels as headers of HTTP or of a queue's
message, in the `_meta` of MCP or the `metadata` of A2A, in a process's environment, or as a frame of bytes, as of ZeroMQ.
Formats: https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from trajectory.emitter.current import Carried, Place, Scope
from trajectory.model.words import SESSION_ID

TRACEPARENT, TRACESTATE, BAGGAGE = "traceparent", "tracestate", "baggage"
MAX_TRACESTATE = 512  # characters that have to be handed on
MAX_BAGGAGE = 8192  # bytes
MAX_MEMBERS = 64
MAX_CARRIER_BYTES = 64 * 1024  # of a frame

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"  # baggage-octets, without the percent sign
_NAMES = (TRACEPARENT, TRACESTATE, BAGGAGE)
_INSIDE = ("_meta", "metadata", "params", "message")  # where MCP and A2A have it, from a whole request downwards
_LEVELS = 4  # request, params, message, metadata


def headers_of(place: Place) -> dict[str, str]:
    """The headers that make `place` the parent of what the receiver does; each value is plain ASCII."""
    headers = {TRACEPARENT: f"00-{place.trace_id.hex()}-{place.span_id.hex()}-01"}
    carried = place.carried or Carried()
    if carried.tracestate:
        headers[TRACESTATE] = carried.tracestate
    members = [f"{key}={value}" for key, value in carried.baggage]
    if place.session is not None:
        members.insert(0, f"{SESSION_ID}={quote(place.session.encode('utf-8', 'replace'), safe=_SAFE)}")
    while members and len(",".join(members)) > MAX_BAGGAGE:
        members.pop()
    if members:
        headers[BAGGAGE] = ",".join(members)
    return headers


def environment_of(place: Place) -> dict[str, str]:
    """This process's environment with the headers in it, for a child: `TRACEPARENT`, `TRACESTATE`, `BAGGAGE`."""
    others = {name: value for name, value in os.environ.items() if name.lower() not in _NAMES}
    return others | {name.upper(): value for name, value in headers_of(place).items()}


def frame_of(place: Place) -> bytes:
    """The headers as one JSON object, plain ASCII: a part of a ZeroMQ message, or a field of a queue's."""
    import json  # what few need shall not cost every `import trajectory`

    return json.dumps(headers_of(place)).encode("ascii")


def read(headers: Any) -> Scope | None:
    """The place that headers name; None where they name none. Names in any case, values text, bytes or lists of them.

    Takes `os.environ`, a frame, and a whole request or message of MCP or A2A too; what is nearest the top counts.
    """
    try:
        found = _found(headers)
        parent = _PARENT.fullmatch(found.get(TRACEPARENT, "").strip())
        if parent is None or not _valid(*parent.groups()):
            return None
        carried, session = _carried(found.get(TRACESTATE, ""), found.get(BAGGAGE, ""))
        return Scope(bytes.fromhex(parent[2]), bytes.fromhex(parent[3]), session, carried)
    except Exception:  # a foreign headers object may raise anything
        return None


def _valid(version: str, trace_id: str, span_id: str, flags: str, rest: str | None) -> bool:
    """Version ff is forbidden, version 00 has no more fields, and ids of zeros only name nothing."""
    return version != "ff" and not (version == "00" and rest) and bool(int(trace_id, 16)) and bool(int(span_id, 16))


def _found(carrier: Any) -> dict[str, str]:
    """The three headers from wherever in a carrier they are."""
    level = [_unframed(carrier) if isinstance(carrier, (str, bytes, bytearray)) else carrier]
    for _ in range(_LEVELS):
        for one in level:
            found = _ours(one)
            if TRACEPARENT in found:
                return found
        holders = [one for one in level if isinstance(one, Mapping)]
        level = [one[key] for one in holders for key in _INSIDE if isinstance(one.get(key), Mapping)]
    return {}


def _unframed(frame: str | bytes | bytearray) -> Any:
    """What a frame holds. Raises ValueError."""
    import json

    if len(frame) > MAX_CARRIER_BYTES:
        raise ValueError(f"a baton of {len(frame)} bytes")
    return json.loads(frame)


def _ours(headers: Any) -> dict[str, str]:
    """The three headers by their lower-case names, repeated ones joined as HTTP joins them."""
    found: dict[str, str] = {}
    for name, value in _pairs(headers):
        key = _text(name).strip().lower()
        if key in _NAMES:
            values = value if isinstance(value, (list, tuple)) else [value]
            text = ",".join(_text(one) for one in values)
            found[key] = f"{found[key]},{text}" if key in found else text
    return found


def _pairs(headers: Any) -> Iterator[tuple[Any, Any]]:
    """Name and value of each header: of a mapping, of what has `items()`, or of a list of pairs as ASGI has it."""
    if headers is None:
        return
    items = headers.items() if isinstance(headers, Mapping) or hasattr(headers, "items") else headers
    yield from items


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else str(value)


def _carried(tracestate: str, baggage: str) -> tuple[Carried | None, str | None]:
    session: str | None = None
    members: list[tuple[str, str]] = []
    for member in _printable(baggage[:MAX_BAGGAGE]).split(",")[:MAX_MEMBERS]:
        key, equals, value = (part.strip() for part in member.partition("="))
        if not equals or not key:
            continue
        if key == SESSION_ID:
            session = unquote(value.split(";")[0].strip()) or None
        else:
            members.append((key, value))
    state = _printable(tracestate).strip()
    state = state if len(state) <= MAX_TRACESTATE else ""
    return (Carried(state, tuple(members)) if state or members else None), session


def _printable(text: str) -> str:
    """The text without anything that would end a header line where it is handed on."""
    return "".join(char for char in text if " " <= char <= "~")
