"""Whether a tool's result says that the tool failed, whatever its span's status says: as text, or in the fields of its JSON.

Invariant: a pure function of the result, linear in it and bounded. Precision comes first, as for prose in `failure_text`: only
fields that are made for it say that it failed, and a record's own status is the record's. Called by the detectors.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trajectory.detection.failure_text import (
    CALM,
    FAULT,
    QUOTE_CHARS,
    READ_CHARS,
    Failure,
    failure_in_text,
    first_line,
    is_fault,
)

_ERROR_KEYS = ("error", "errors", "err", "exception", "error_message", "errormessage", "error_msg")
_EXIT_KEYS = ("exit_code", "exitcode", "returncode", "return_code", "exit_status")
_STATUS_KEYS = ("status", "status_code", "statuscode", "http_status", "httpstatus", "code")
_WRAPPERS = ("result", "output", "response", "content", "data", "text", "value")
_BAD_STATUS = ("error", "failed", "failure", "fail", "timeout", "timed_out", "unavailable")
# The fields of an answer that says how the call went; what has others may be a record of something.
_ENVELOPE = frozenset((
    *_ERROR_KEYS, *_EXIT_KEYS, *_STATUS_KEYS, *_WRAPPERS, "success", "ok", "message", "reason", "detail", "details", "title",
    "description", "stderr", "stdout", "error_code", "error_type", "type", "retry_after", "retryable", "request_id", "timestamp",
))  # fmt: skip
_DATA_KEYS = 6  # an object with more fields than this is a record, and its `status` is the record's


def failure_in(text: str) -> Failure | None:
    """What a tool's result says about its own failure; None where it does not say that it failed. Never raises."""
    text = text[:READ_CHARS].strip()
    if not text:
        return None
    return _kept(text) if len(text) <= _KEPT_CHARS else _in_whole(text)


def _in_whole(text: str) -> Failure | None:
    if text[0] in '{["':
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return _in_value(value, 0)
    return failure_in_text(text)


_KEPT_CHARS = 2048
_kept = lru_cache(maxsize=512)(_in_whole)  # two detectors read each result, one after the other


def _in_value(value: Any, depth: int) -> Failure | None:
    if isinstance(value, str):
        return failure_in_text(value.strip()) if value.strip() else None
    if isinstance(value, list):
        return _in_parts(value, depth)
    if isinstance(value, Mapping):
        return _in_object({str(k).lower(): v for k, v in value.items()}, depth)
    return None


def _in_parts(parts: list[Any], depth: int) -> Failure | None:
    """The Model Context Protocol's content: a list of parts, judged by its first text. A longer list is data."""
    if depth > 2 or not parts or len(parts) > 4 or not all(isinstance(p, Mapping) for p in parts):
        return None
    first = parts[0]
    if "text" in first and first.get("type", "text") == "text":
        return failure_in(str(first["text"])) if depth < 2 else None
    return _in_value(first, depth + 1) if len(parts) == 1 else None


def _in_object(fields: dict[str, Any], depth: int) -> Failure | None:
    if fields.get("iserror") is True or fields.get("is_error") is True:
        said = _said(fields)
        return Failure("isError", said or "isError: true", 0.98, is_fault(said, said))
    failed = _failed_code(fields)
    if failed is not None:
        return failed
    if fields.get("success") is True or fields.get("ok") is True:
        return None
    return _failed_fields(fields) or _in_wrapper(fields, depth)


def _failed_code(fields: dict[str, Any]) -> Failure | None:
    for key in _EXIT_KEYS:
        code = fields.get(key)
        if isinstance(code, int) and not isinstance(code, bool) and code:
            said = first_line(str(fields.get("stderr") or fields.get("error") or ""))
            return Failure("exit code", f"{key} {code}" + (f": {said}" if said else ""), 0.95, True)
    return None


def _failed_fields(fields: dict[str, Any]) -> Failure | None:
    for key in _ERROR_KEYS:
        said = _error_value(key, fields)
        if said:
            return Failure("error field", first_line(said), 0.95, is_fault(said, said))
    if fields.get("success") is False or fields.get("ok") is False:
        said = _said(fields) or "success: false"
        return Failure("error field", said, 0.85, bool(FAULT.search(said)))
    if len(fields) > _DATA_KEYS:
        return None
    for key in _STATUS_KEYS:
        status = fields.get(key)
        if isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599:
            said = f"{key} {status} {_said(fields)}".strip()
            return Failure("http status", first_line(said), 0.9, is_fault(said, said))
        if isinstance(status, str) and key == "status" and status.strip().lower() in _BAD_STATUS:
            why = _said(fields)
            said = why or f"status: {status}"
            is_ours = fields.keys() <= _ENVELOPE or bool(
                FAULT.search(why)
            )  # else it may be what was asked about that failed
            return Failure("error field", said, 0.75, is_ours and is_fault(said, said))
    return None


def _error_value(key: str, fields: dict[str, Any]) -> str:
    """What an error field says; empty where it says that all is well, holds a measure, or stands beside data."""
    value = fields.get(key)
    if isinstance(value, bool):
        return (_said(fields, skip=key) or f"{key}: true") if value else ""
    if isinstance(value, int):
        return f"{key} {value} {_said(fields, skip=key)}".strip() if 400 <= value <= 599 or value < 0 else ""
    if isinstance(value, str):
        return "" if value.strip().lower() in CALM else value
    if isinstance(value, Mapping) and value:
        return (
            _said({str(k).lower(): v for k, v in value.items()}) or json.dumps(value, ensure_ascii=False)[:QUOTE_CHARS]
        )
    if isinstance(value, list) and value and not any(fields.get(k) for k in ("data", "results", "items", *_WRAPPERS)):
        return first_line(_text_of(value[0]))
    return ""


def _in_wrapper(fields: dict[str, Any], depth: int) -> Failure | None:
    if depth > 2 or len(fields) > 3:
        return None
    inner = next((fields[k] for k in (*_WRAPPERS, "detail", "message") if k in fields), None)
    return _in_value(inner, depth + 1) if inner is not None else None


def _said(fields: dict[str, Any], skip: str = "") -> str:
    for key in ("message", "error", "reason", "detail", "details", "description", "title", "content", "text", "stderr"):
        if key != skip and fields.get(key) and not isinstance(fields[key], bool):
            return first_line(_text_of(fields[key]))
    return ""


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _text_of(value[0])
    if isinstance(value, Mapping):
        for key in ("message", "text", "content", "detail", "error"):
            if isinstance(value.get(key), str):
                return str(value[key])
    try:
        return json.dumps(value, ensure_ascii=False)[:QUOTE_CHARS]
    except (TypeError, ValueError, RecursionError):
        return ""
