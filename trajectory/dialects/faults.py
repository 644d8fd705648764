"""Tells errors from control flow, and says an error in one line.

Invariant: an exception that a framework raises to steer (LangGraph's ParentCommand, an interrupt that waits for a person)
is no error; everything else that a span marks as an error stays one, with type and message. Called by `spans`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trajectory.dialects.raw import RawEvent, RawSpan
from trajectory.dialects.values import clean, decoded, name_of
from trajectory.model.control_flow import is_control_flow
from trajectory.model.words import ERROR_TYPE, EVENT_EXCEPTION, SpanStatus

MAX_MESSAGE_CHARS = 1000
EVENT_CONTROL_FLOW = "control_flow"
_LEADING_TYPE = re.compile(
    r"^\s*([A-Za-z_][\w.]{0,120}?(?:Error|Exception|Timeout|Refused|ParentCommand|Interrupt))\s*[:(]"
)
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(slots=True)
class Fault:
    """How a span ended: a word of `SpanStatus`, one line, the error's type, or the type that steered."""

    status: str
    message: str = ""
    error_type: str = ""
    control_flow: str = ""


def fault_of(span: RawSpan) -> Fault:
    """How a span ended, from its status, `error.type` and exception events."""
    if not span.events and not span.message and span.status != SpanStatus.ERROR and ERROR_TYPE not in span.attributes:
        return Fault(span.status)
    exception = next((e.attributes for e in reversed(span.events) if e.name == EVENT_EXCEPTION), {})
    raised = name_of(exception.get("exception.type"))
    named = name_of(span.attributes.get(ERROR_TYPE)) or raised
    if not named:
        leading = _LEADING_TYPE.match(span.message)
        named = leading[1] if leading else ""
    if named and is_control_flow(named):
        status = SpanStatus.UNSET if span.status == SpanStatus.ERROR else span.status
        return Fault(status, control_flow=named)
    failed = span.status == SpanStatus.ERROR or (
        span.status == SpanStatus.UNSET and bool(name_of(span.attributes.get(ERROR_TYPE)))
    )
    if not failed:
        return Fault(span.status)
    return Fault(SpanStatus.ERROR, _message(span.message, raised, exception), named)


def event_name(event: RawEvent) -> str:
    """An event's name; that of an exception that steers is no exception's."""
    if event.name == EVENT_EXCEPTION and is_control_flow(name_of(event.attributes.get("exception.type"))):
        return EVENT_CONTROL_FLOW
    return clean(event.name)[:MAX_MESSAGE_CHARS]


def _message(status: str, raised: str, exception: Mapping[str, Any]) -> str:
    """Type and message of the exception where there is one, else what the status says, without traceback or wrapping."""
    told = exception.get("exception.message")
    if raised and isinstance(told, str) and told.strip():
        return _short(f"{raised.rsplit('.', 1)[-1]}: {told}")
    value = decoded(status)
    if isinstance(value, Mapping):
        status = _inner(value) or status
    return _short(status.split(_TRACEBACK, 1)[0]) or (raised.rsplit(".", 1)[-1] if raised else "")


def _inner(value: Mapping[str, Any]) -> str:
    """What an error object says: its message, with the error under `data` where there is one."""
    said = value.get("message") or value.get("error")
    data = value.get("data")
    detail = data.get("error") if isinstance(data, Mapping) else None
    return ": ".join(str(part) for part in (said, detail) if part)


def _short(text: str) -> str:
    text = clean(" ".join(text.split()))
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 3] + "..."
