"""Our own file format: facts as JSON, one object a line, for keeping, mailing and reading back.

Invariant: `list(read_jsonl(write_jsonl(batches))) == batches`. Line 1 is a header, the last line counts the facts, so a file
that was cut is known by it; whole files may be joined end to end. Pure: called by the export and by `trajectory import`.

    {"format": "trajectory", "version": 1, "trace_id": "<32 hex>"}
    {"type": "source", "emitter_id": "<hex>", "boot_id": "<hex>", "resource": {...}}    numbered from 0, by order
    {"type": "batch", "source": 0, "first_seq": 17}                                    the facts up to the next are its
    {"type": "span_started", "trace_id": "<hex>", ...}                                 a fact, without fields at default
    {"type": "end", "facts": 212}

Ids are hexadecimal. What JSON cannot say inside an attribute is an object with one key: `$bytes` (base64), `$float` (`nan`,
`inf`, `-inf`), `$map` (pairs; for keys that are no text, or start with `$`). A payload's body is `text`, else `base64`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from trajectory.dialects.records import TYPES, fact_in, fact_out, source_in, source_out, whole
from trajectory.errors import ImportFormatError
from trajectory.model.fact import Batch, Source

FORMAT = "trajectory"
VERSION = 1


def write_jsonl(batches: Iterable[Batch], trace_id: bytes = b"") -> Iterator[bytes]:
    """The batches as lines, each with its line end. `trace_id` is the trace that the file is of; empty for several."""
    yield _line({"format": FORMAT, "version": VERSION, **({"trace_id": trace_id.hex()} if trace_id else {})})
    sources: dict[bytes, int] = {}
    count = 0
    for batch in batches:
        source = _line(source_out(batch.source))
        if source not in sources:
            sources[source] = len(sources)
            yield source
        yield _line({"type": "batch", "source": sources[source], "first_seq": batch.first_seq})
        for fact in batch.facts:
            yield _line(fact_out(fact))
            count += 1
    yield _line({"type": "end", "facts": count})


def is_jsonl(head: bytes) -> bool:
    """Whether a file that starts so is ours: its first line is the header, of whatever version."""
    try:
        header = json.loads(head.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and header.get("format") == FORMAT


def read_jsonl(lines: Iterable[bytes], path: str = "<jsonl>") -> Iterator[Batch]:
    """The batches that `write_jsonl` wrote, one at a time.

    `path` is for messages. Raises ImportFormatError, with the line: not ours, a newer version, cut, or not what it says.
    """
    reading = _Reading(path)
    for number, line in enumerate(lines, 1):
        reading.number = number
        if line.strip():
            yield from reading.take(line)
    reading.finish()


class _Reading:
    """One pass over a file: the sources so far, and the batch that is being filled."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.number = 0
        self._sources: list[Source] = []
        self._batch: Batch | None = None
        self._count = 0
        self._begun = False
        self._inside = False  # between a header and its last line

    def take(self, line: bytes) -> Iterator[Batch]:
        """Reads one line; yields a batch where the line ends one."""
        record = self._record(line)
        if not self._inside:
            self._header(record)
            return
        kind = str(record.get("type"))
        if kind in ("source", "batch", "end"):
            yield from self._flush()
        try:
            self._apply(kind, record)
        except (ValueError, TypeError, KeyError, RecursionError) as fault:
            self._fail(f"the line of type {kind[:40]!r} cannot be read: {fault}")

    def finish(self) -> None:
        """Checks, at the end of the file, that it is whole."""
        if not self._begun:
            self._fail("the file is empty")
        if self._inside:
            self._fail("the file was cut: its last line is missing; export it again")

    def _record(self, line: bytes) -> dict[str, Any]:
        try:
            record = json.loads(line.decode(), parse_constant=_no_constant)
        except (ValueError, RecursionError) as fault:
            self._fail(f"not a line of JSON ({fault}); the file may have been cut")
        if not isinstance(record, dict):
            self._fail("not a JSON object")
        return record

    def _header(self, record: dict[str, Any]) -> None:
        if record.get("format") != FORMAT:
            self._fail('not a Trajectory export: its first line has no "format": "trajectory"')
        version = record.get("version")
        if version != VERSION:
            self._fail(
                f"version {version!r} of the format, and this release reads {VERSION}: upgrade trajectory-tracing"
            )
        self._sources, self._count = [], 0
        self._begun = self._inside = True

    def _apply(self, kind: str, record: dict[str, Any]) -> None:
        if kind == "source":
            self._sources.append(source_in(record))
        elif kind == "batch":
            self._batch = Batch(self._source(record), whole(record.get("first_seq")), [])
        elif kind == "end":
            if record.get("facts") != self._count:
                raise ValueError(
                    f"it counts {record.get('facts')!r} facts, {self._count} came: the file was changed or cut"
                )
            self._inside = False
        else:
            if kind not in TYPES:
                raise ValueError("no such type")
            if self._batch is None:
                raise ValueError("a fact before the first batch")
            self._batch.facts.append(fact_in(kind, record))
            self._count += 1

    def _source(self, record: dict[str, Any]) -> Source:
        index = whole(record.get("source"))
        if index >= len(self._sources):
            raise ValueError(f"it names source {index}, and {len(self._sources)} came before it")
        return self._sources[index]

    def _flush(self) -> Iterator[Batch]:
        if self._batch is not None:
            yield self._batch
        self._batch = None

    def _fail(self, message: str) -> NoReturn:
        raise ImportFormatError(message, self.path, self.number)


def _line(record: dict[str, Any]) -> bytes:
    try:
        return _dump(record, ensure_ascii=False)
    except UnicodeEncodeError:  # half a surrogate pair: JSON's escapes can say it, UTF-8 cannot
        return _dump(record, ensure_ascii=True)


def _dump(record: dict[str, Any], *, ensure_ascii: bool) -> bytes:
    return json.dumps(record, ensure_ascii=ensure_ascii, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
