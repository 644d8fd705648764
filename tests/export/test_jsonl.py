"""Our own file format gives back what was written, and says where a file is not what it should be."""

import json
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.strategies import batches, calm
from trajectory.dialects.jsonl import is_jsonl, read_jsonl, write_jsonl
from trajectory.dialects.records import TOO_DEEP
from trajectory.errors import ImportFormatError
from trajectory.model.fact import Batch, Payload, Source, SpanUpdated

SOURCE = Source(b"e" * 16, b"b" * 16, {"service.name": "travel"})


IDS = b'"trace_id": "' + b"74" * 16 + b'", "span_id": "' + b"73" * 8 + b'"'
UPDATED = b'{"type": "span_updated", "at_ns": 1, "mono_ns": 0, ' + IDS + b", %s}"
FOUND = (
    b'{"type": "found", "at_ns": 1, "finding": {"kind": "x", "severity": "info", "confidence": "much", ' + IDS + b"}}"
)


def one(attributes: dict[str, object]) -> Batch:
    return Batch(SOURCE, 7, [SpanUpdated(b"t" * 16, b"s" * 8, 5, 0, attributes)])


def written(*some: Batch) -> list[bytes]:
    return list(write_jsonl(some, b"t" * 16))


@calm
@given(st.lists(batches, max_size=4))
def test_what_is_written_is_read_back_equal(some: list[Batch]) -> None:
    lines = list(write_jsonl(some))
    assert list(read_jsonl(lines)) == some
    assert is_jsonl(lines[0])


def test_each_line_is_one_json_object_and_a_source_is_told_once() -> None:
    lines = written(one({"a": 1}), one({"b": 2}))
    records = [json.loads(line) for line in lines]
    assert all(line.count(b"\n") == 1 for line in lines)
    assert records[0] == {"format": "trajectory", "version": 1, "trace_id": "74" * 16}
    assert [r["type"] for r in records[1:]] == ["source", "batch", "span_updated", "batch", "span_updated", "end"]


def test_a_body_is_text_where_it_is_utf8_and_base64_where_it_is_not() -> None:
    payloads = [Payload(b"d" * 16, "text/plain", "é".encode()), Payload(b"f" * 16, "image/png", b"\x89PNG\xff")]
    lines = written(Batch(SOURCE, 0, list(payloads)))
    said = [json.loads(line) for line in lines if b'"payload"' in line]
    assert said[0]["text"] == "é" and said[1]["base64"] == "iVBOR/8="
    assert next(iter(read_jsonl(lines))).facts == payloads


def test_half_a_surrogate_pair_survives() -> None:
    assert list(read_jsonl(written(one({"a": "x\ud800"})))) == [one({"a": "x\ud800"})]


def test_numbers_that_json_lacks_are_told_in_words() -> None:
    lines = written(one({"a": math.nan, "b": math.inf}))
    assert json.loads(lines[3])["attributes"] == {"a": {"$float": "nan"}, "b": {"$float": "inf"}}
    read = next(iter(read_jsonl(lines))).facts[0]
    assert isinstance(read, SpanUpdated) and math.isnan(read.attributes["a"]) and read.attributes["b"] == math.inf


def test_a_value_nested_without_end_is_cut_and_its_fact_kept() -> None:
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    lines = written(one({"deep": deep, "b": 1}))
    assert TOO_DEEP.encode() in lines[3]
    assert len(next(iter(read_jsonl(lines))).facts) == 1


def test_a_value_that_json_has_no_word_for_is_said_by_its_text() -> None:
    lines = written(one({"at": date(2026, 3, 1)}))
    assert list(read_jsonl(lines)) == [one({"at": "2026-03-01"})]


def test_files_joined_end_to_end_are_read_as_both() -> None:
    assert list(read_jsonl(written(one({"a": 1})) + written(one({"b": 2})))) == [one({"a": 1}), one({"b": 2})]


def test_a_file_cut_anywhere_is_refused() -> None:
    whole = b"".join(written(one({"a": "some text"})))
    for end in range(len(whole) - 1):
        with pytest.raises(ImportFormatError):
            list(read_jsonl(whole[:end].splitlines(keepends=True), "x.jsonl"))


@pytest.mark.parametrize(
    ("line", "replaced", "reason"),
    [
        (1, b"\x80\x02", "x.jsonl:1: not a line of JSON"),
        (1, b"[]", "x.jsonl:1: not a JSON object"),
        (1, b'{"run_id": 1}', "x.jsonl:1: not a Trajectory export"),
        (1, b'{"format": "trajectory", "version": 2}', "x.jsonl:1: version 2 of the format"),
        (3, b'{"type": "batch", "source": 4, "first_seq": 0}', "type 'batch' cannot be read: it names source 4"),
        (3, b'{"type": "gap", "at_ns": 1, "count": 1, "reason": ""}', "cannot be read: a fact before the first batch"),
        (3, b'{"type": "batch", "source": 0, "first_seq": -1}', "type 'batch' cannot be read: a number from 0 up"),
        (3, b'{"type": "batch", "source": 0}', "type 'batch' cannot be read: a whole number"),
        (4, b'{"type": "gap", "at_ns": -1, "count": 1, "reason": ""}', "type 'gap' cannot be read: at_ns: time out"),
        (4, b'{"type": "gap", "at_ns": 1, "count": true, "reason": ""}', "type 'gap' cannot be read: count: a whole"),
        (4, b'{"type": "gap", "at_ns": 1, "count": NaN, "reason": ""}', "x.jsonl:4: not a line of JSON"),
        (4, b'{"type": "span_ended", "trace_id": "00"}', "type 'span_ended' cannot be read: trace_id: 1 bytes"),
        (4, b'{"type": "span_ended"}', "type 'span_ended' cannot be read: trace_id is missing"),
        (4, UPDATED % b'"attributes": []', "attributes: an object expected, not list"),
        (4, UPDATED % b'"attributes": {"a": {"$new": 1}}', "attributes: unknown form '$new'"),
        (4, UPDATED % b'"contents": {"input": "x"}', "contents: a list expected, not str"),
        (4, FOUND, "finding: confidence: a number expected, not str"),
        (4, b'{"type": "secret"}', "type 'secret' cannot be read: no such"),
        (4, b"[" * 5000, "x.jsonl:4: not a line of JSON"),
        (5, b'{"type": "end", "facts": 9}', "type 'end' cannot be read: it counts 9 facts, 1 came"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(line: int, replaced: bytes, reason: str) -> None:
    lines = written(one({"a": 1}))
    lines[line - 1] = replaced + b"\n"
    with pytest.raises(ImportFormatError) as refused:
        list(read_jsonl(lines, "x.jsonl"))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value) and refused.value.line == line


def test_fields_of_a_newer_writer_are_left_unread() -> None:
    lines = written(one({"a": 1}))
    lines[3] = lines[3].replace(b'{"type"', b'{"later":1,"type"')
    assert list(read_jsonl(lines)) == [one({"a": 1})]


@pytest.mark.parametrize("lines", [[], [b"\n", b"  \n"]])
def test_an_empty_file_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(ImportFormatError, match="empty"):
        list(read_jsonl(lines, "x.jsonl"))


@calm
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_read_or_refused(lines: list[bytes]) -> None:
    head = b'{"format": "trajectory", "version": 1}\n'
    with pytest.raises(ImportFormatError):
        list(read_jsonl([head, *lines]))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["source", "$map", "trace_id"]), inner),
    max_leaves=6,
)
fields = st.sampled_from(["trace_id", "span_id", "at_ns", "attributes", "contents", "body", "text"])


@calm
@given(st.dictionaries(fields, json_values))
def test_any_record_is_read_or_refused(record: dict[str, object]) -> None:
    lines = written(one({"a": 1}))
    lines[3] = json.dumps({"type": "span_updated", "mono_ns": 0, **record}).encode() + b"\n"
    try:
        assert len(next(iter(read_jsonl(lines))).facts) == 1
    except ImportFormatError as refused:
        assert refused.line == 4
