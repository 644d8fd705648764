"""Reads a file of any format that we know: OTLP (protobuf, JSON, JSON lines), span lists, chat logs, session logs of coding
agents, our own JSONL.

Invariant: a file is either read, with a note for each part that was not, or refused with its path, the line and the reason;
nothing half-read comes back. gzip is undone by its magic number, within a bound. Called by `trajectory import`; pure.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from trajectory.dialects import chat_facts, coding_logs, spanlist
from trajectory.dialects.chat import LISTS, conversation_of
from trajectory.dialects.jsonl import is_jsonl, read_jsonl
from trajectory.dialects.otlp import ReadResult, read_request, span_facts
from trajectory.dialects.otlp_json import span_groups
from trajectory.dialects.raw import SpanGroup
from trajectory.errors import ImportFormatError, WireError
from trajectory.model.fact import Batch

MAX_INFLATED_BYTES = 1 << 30
_GZIP = b"\x1f\x8b"
_KNOWN = (
    "OTLP (protobuf or JSON), spans as JSON, a chat log, a session log of Claude Code or Codex, trajectory export's own"
)


@dataclass(slots=True)
class FileContents:
    """What a file held. `format` is what `import --format` calls it; `notes` say what was left out, one line each."""

    format: str
    batches: list[Batch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_file(data: bytes, path: str, asked: str = "auto", beside: Iterable[tuple[str, bytes]] = ()) -> FileContents:
    """A file's facts. `asked` is what `import --format` takes. Batches other than our own JSONL's have `first_seq` 0.

    `beside` are the names and contents of the files of its sub-agents, where it is a session log that has them in others.
    Raises ImportFormatError: empty, cut, of no known format, or of another one than was asked for.
    """
    data = _inflated(data, path) if data[:2] == _GZIP else data
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise ImportFormatError("the file is empty", path)
    if asked in ("auto", "jsonl") and is_jsonl(data.lstrip()[: 1 << 16]):
        return FileContents("jsonl", list(read_jsonl(data.splitlines(keepends=True), path)))
    if asked == "jsonl":
        raise ImportFormatError("not a file of trajectory export: its first line is no such header", path)
    coding = coding_logs.format_of(data[: 1 << 20])
    if coding and asked in ("auto", coding):
        logs = coding_logs.read_files([(path, data), *beside])
        return FileContents(coding, logs.take(), logs.notes())
    if asked in coding_logs.FORMATS:
        raise ImportFormatError(f"not a session log of {asked}", path)
    contents = FileContents(asked)
    if data.lstrip()[:1] in (b"{", b"["):
        try:
            _read_json(data, path, contents, asked)
            return contents
        except ImportFormatError:
            if data[:1] != b"\n" or asked == "chat":  # what looks like a line end may begin a protobuf message
                raise
    _read_protobuf(data, path, contents, asked)
    return contents


def _inflated(data: bytes, path: str) -> bytes:
    inflater = zlib.decompressobj(31)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error as fault:
        raise ImportFormatError(f"damaged gzip data: {fault}", path) from None
    if inflater.unconsumed_tail:
        raise ImportFormatError(f"inflates to more than {MAX_INFLATED_BYTES} bytes", path)
    if not inflater.eof:
        raise ImportFormatError("the gzip data is cut", path)
    return inflated


def _read_protobuf(data: bytes, path: str, contents: FileContents, asked: str) -> None:
    unknown = f"neither text nor OTLP protobuf; known are {_KNOWN}"
    if asked == "chat":
        raise ImportFormatError("not a chat log: it does not begin with { or [", path)
    try:
        result = read_request(data, "protobuf")
    except WireError:
        raise ImportFormatError(unknown, path) from None
    if not result.batches:
        reason = f"no span can be read: {result.quarantined[0]}" if result.quarantined else unknown
        raise ImportFormatError(reason, path)
    contents.format = "otlp"
    contents.batches += result.batches
    contents.notes += result.quarantined


def _read_json(data: bytes, path: str, contents: FileContents, asked: str) -> None:
    for line, document in _documents(data, path):
        found = _add(document, path, line, contents)
        if asked not in ("auto", found):
            raise ImportFormatError(f"this is {found}, and not {asked} as asked for", path, line)
        contents.format = found
    if not contents.batches:
        reason = contents.notes[0] if contents.notes else "no span or step in it"
        raise ImportFormatError(f"nothing to import: {reason}", path)


def _documents(data: bytes, path: str) -> Iterable[tuple[int, Any]]:
    """(line, value) of each JSON document: the whole file, else one a line; line 0 for the whole."""
    try:
        text = data.decode()
    except UnicodeDecodeError as fault:
        raise ImportFormatError(f"not UTF-8: {fault.reason}", path, data.count(b"\n", 0, fault.start) + 1) from None
    try:
        return [(0, json.loads(text))]
    except RecursionError:
        _refuse(path, 1, "nested too deeply")
    except ValueError as fault:
        first = next((line for line in _lines(text) if line.strip()), "")
        if not _is_json(first):
            where = fault.lineno if isinstance(fault, json.JSONDecodeError) else 1
            _refuse(path, where, f"not JSON, or cut: {getattr(fault, 'msg', fault)}")
    # One at a time: a file of a million lines that are nothing is refused at its first.
    return ((number, _line(line, path, number)) for number, line in enumerate(_lines(text), 1) if line.strip())


def _lines(text: str) -> Iterator[str]:
    if "\n" not in text:
        yield from text.splitlines()
        return
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _line(line: str, path: str, number: int) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        _refuse(path, number, "nested too deeply")
    except ValueError as fault:
        _refuse(path, number, f"not JSON, or cut: {getattr(fault, 'msg', fault)}")


def _add(document: Any, path: str, line: int, contents: FileContents) -> str:
    """Adds what one document holds; says which format it was."""
    if isinstance(document, dict) and ("resourceSpans" in document or "resource_spans" in document):
        _add_otlp(document, path, line, contents)
        return "otlp"
    if isinstance(document, dict) and ({"resourceLogs", "resourceMetrics"} & set(document)):
        contents.notes.append(f"line {line}: OTLP logs or metrics, which hold no spans")
        return "otlp"
    spans = _spans_in(document)
    if spans:
        _add_spans(spans, document, contents)
        return "otlp"
    if isinstance(document, list) and document and all(_is_container(item) for item in document):
        for item in document:
            _add(item, path, line, contents)
        return "otlp" if "resourceSpans" in document[0] else "chat"
    conversation = conversation_of(document)
    if conversation is None:
        _refuse(path, line, f"unknown JSON; known are {_KNOWN}")
    contents.batches.append(chat_facts.batch_of(conversation))
    return "chat"


def _add_otlp(document: Any, path: str, line: int, contents: FileContents) -> None:
    try:
        _add_groups(span_groups(document), contents)
    except WireError as fault:
        _refuse(path, line, str(fault))


def _add_groups(groups: Iterable[SpanGroup], contents: FileContents) -> None:
    result = ReadResult()
    for resource, spans in groups:
        result.add(resource, span_facts(result.read(spans), result))
    contents.batches += result.batches
    contents.notes += result.quarantined


def _add_spans(spans: list[Any], document: Any, contents: FileContents) -> None:
    holder = document if isinstance(document, dict) and not spanlist.is_span(document) else {}
    service = holder.get("service") or holder.get("service_name") or holder.get("run_id")
    shared = {"service.name": service} if isinstance(service, str) else {}
    _add_groups(spanlist.groups(spans, shared), contents)


def _spans_in(document: Any) -> list[Any]:
    """The spans of a document that is one, is a list of them, or holds one under `spans`."""
    if spanlist.is_span(document):
        return [document]
    listed = document.get("spans") if isinstance(document, dict) else document
    return listed if isinstance(listed, list) and any(spanlist.is_span(span) for span in listed) else []


def _is_container(item: Any) -> bool:
    return isinstance(item, dict) and ("resourceSpans" in item or any(isinstance(item.get(key), list) for key in LISTS))


def _refuse(path: str, line: int, reason: str) -> NoReturn:
    raise ImportFormatError(reason, path, line)
