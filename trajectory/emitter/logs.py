"""Python's `logging` beside traces: records as events of the current span, and lines of JSON that say which span they belong to.

Invariant: neither raises into whoever logs, nor hears itself: what this library, zmq and the handler's own work log is no event.
Loaded where somebody asks for it; the standard library only.
"""

import contextlib
import json
import logging
import math
import threading
from datetime import UTC, datetime
from typing import Any

from trajectory.emitter.current import here
from trajectory.emitter.fault import MAX_MESSAGE, MAX_STACK, stack_of, text_of, type_name
from trajectory.emitter.misuse import name_of
from trajectory.emitter.plain import attributes_of
from trajectory.emitter.span import Span
from trajectory.model.words import EVENT_EXCEPTION, Surface

EVENT_LOG = "log"
MAX_EXTRAS = 32
_OWN = ("trajectory", "zmq")
_KNOWN = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"))
_MAX_BITS = 4096  # Python itself refuses to write a few times that many
_SURFACE = str(Surface.OPERATIONAL)
_busy = threading.local()


class LogEvents(logging.Handler):
    """Makes an event of each record that is logged inside a span: `logging.getLogger().addHandler(trajectory.logging_handler())`.

    A record outside every span, of this library, of zmq, or logged while one is being made an event is left alone.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(_busy, "is_busy", False) or _is_own(name_of(record.name)):
            return
        place = here.get()
        if not isinstance(place, Span) or place._state <= 0:
            return
        _busy.is_busy = True
        try:
            attributes: dict[str, Any] = {
                "log.level": record.levelname,
                "log.logger": name_of(record.name),
                "log.message": _message(record),
                "code.function": record.funcName,
                "code.line": record.lineno,
                **_extras(record),
            }
            place._emit_event(EVENT_LOG, attributes, _SURFACE)
            fault = _fault_of(record)
            if fault is not None:
                place._emit_event(EVENT_EXCEPTION, _exception(fault), _SURFACE)
        except Exception:  # a user's arguments, attributes and exceptions may raise anything
            return
        finally:
            _busy.is_busy = False


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, extras, and where it was logged: trace, span, agent, session.

    For any handler of a stream: `handler.setFormatter(trajectory.JsonLines())`. Ids are hexadecimal and the same as elsewhere.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of ASCII, without a line break. Raises nothing for what it cannot write: it writes its name."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": name_of(record.levelname),
            "logger": name_of(record.name),
            "message": _message(record),
            **_place(),
        }
        with contextlib.suppress(Exception):
            extras = {key.removeprefix("log.extra."): value for key, value in _extras(record).items()}
            line.update({key: _sayable(value) for key, value in extras.items() if key not in line})
        fault = _fault_of(record)
        if fault is not None:
            line["exception"] = {key.removeprefix("exception."): value for key, value in _exception(fault).items()}
        # in ASCII, because no terminal obeys an escaped character
        return json.dumps(line, default=name_of, ensure_ascii=True, allow_nan=False)


def logging_handler(level: int | str = logging.NOTSET) -> LogEvents:
    """A handler that makes events of the records from `level` on. Raises nothing: what is no level is none."""
    handler = LogEvents()
    with contextlib.suppress(TypeError, ValueError):
        handler.setLevel(level)
    return handler


def _is_own(logger: str) -> bool:
    return logger.partition(".")[0] in _OWN


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()[:MAX_MESSAGE]
    except Exception:  # arguments that do not fit, or whose __str__ raises
        return name_of(record.msg)[:MAX_MESSAGE]


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    given = {f"log.extra.{name_of(k)}": v for k, v in record.__dict__.items() if k not in _KNOWN}
    extras, _ = attributes_of(dict(list(given.items())[:MAX_EXTRAS]))
    return extras


def _sayable(value: Any) -> Any:
    """An extra, with the numbers that JSON has no word for as text, such as `nan`."""
    if isinstance(value, dict):
        return {key: _sayable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sayable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else name_of(value)
    is_long = isinstance(value, int) and value.bit_length() > _MAX_BITS
    return name_of(value) if is_long else value


def _fault_of(record: logging.LogRecord) -> BaseException | None:
    held = record.exc_info
    return held[1] if isinstance(held, tuple) and len(held) == 3 and isinstance(held[1], BaseException) else None


def _exception(fault: BaseException) -> dict[str, str]:
    stack = stack_of(fault)[-MAX_STACK:]
    return {
        "exception.type": type_name(fault), "exception.message": text_of(fault), "exception.stacktrace": stack,
    }  # fmt: skip


def _time(created_s: float) -> str:
    try:
        return datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _place() -> dict[str, str]:
    """Where the running code stands; nothing outside every span."""
    place = here.get()
    if place is None:
        return {}
    said = {
        "trace_id": place.trace_id.hex(), "span_id": place.span_id.hex(), "agent": place.agent, "session": place.session or "",
    }  # fmt: skip
    return {key: value for key, value in said.items() if value}
