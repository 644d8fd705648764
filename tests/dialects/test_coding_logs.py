"""Logs of coding agents in any pieces, any order of files, twice, cut and damaged: the same end state, and never a crash."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.coding_build import Claude, Clock, Rollout, fold, shop, state, text, use
from tests.dialects.test_codex import spawned
from trajectory.dialects import coding_logs
from trajectory.dialects.coding_logs import CodingLogs, described, format_of, thread_of
from trajectory.dialects.sniff import read_file
from trajectory.errors import ImportFormatError
from trajectory.model.fact import Batch, Heartbeat
from trajectory.protocol.codec import encode_facts


def long_session() -> list[tuple[str, bytes]]:
    """Two prompts, two sub-agents at once, a compaction, a tool that is cut."""
    main, sub = shop()
    main.prompt("Now both")
    ask = [use(f"c{n}", "Task", subagent_type="x", prompt=f"Part {n}") for n in (8, 9)]
    main.answer("m4", *ask, stop="tool_use")
    parts = []
    for n in (8, 9):
        part = Claude(agent=f"b{n}", clock=Clock(main.clock.now_s))
        part.prompt(f"Part {n}")
        part.answer(f"q{n}", use(f"e{n}", "Read", file_path="a"), text("wait"))
        part.result(f"e{n}", "text")
        part.answer(f"r{n}", text(f"Did {n}"))  # of a version that names no reason to stop
        parts.append(part)
    main.clock.now_s = parts[1].clock.now_s
    for n in (9, 8):
        main.result(f"c{n}", f"Did {n}", told={"agentId": f"b{n}", "status": "completed"})
    main.add("system", subtype="compact_boundary", compactMetadata={"trigger": "manual"})
    main.prompt("It was long.", isCompactSummary=True)
    main.answer("m5", use("c10", "Bash", command="x"))
    return [("s", main.text()), ("a", sub.text()), *((p.agent, p.text()) for p in parts)]


def codex_session() -> list[tuple[str, bytes]]:
    log, child = spawned()
    return [("r", log.text()), ("c", child.text())]


SESSIONS = {"claude": long_session(), "codex": codex_session()}


def end_of(batches: list[Batch]) -> Any:
    return state(fold(batches))


def whole(files: list[tuple[str, bytes]]) -> Any:
    logs = CodingLogs()
    for name, data in files:
        logs.feed(name, data)
    logs.finish()
    return end_of(logs.take())


WHOLE = {name: whole(files) for name, files in SESSIONS.items()}


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(SESSIONS)), seed=st.integers(0, 1 << 32), most=st.integers(1, 4000))
def test_pieces_of_any_size_of_files_in_any_turn_end_in_the_same_state(name: str, seed: int, most: int) -> None:
    chance = Random(seed)
    left = dict(SESSIONS[name])
    logs = CodingLogs()
    batches: list[Batch] = []
    while left:
        file = chance.choice(sorted(left))
        size = chance.randint(1, max(most, 20))
        logs.feed(file, left[file][:size])
        left[file] = left[file][size:]
        if not left[file]:
            del left[file]
        if chance.random() < 0.5:
            batches += logs.take()
    logs.finish()
    ended = end_of([*batches, *logs.take()])
    assert ended == WHOLE[name]
    assert "inferred" not in repr(ended)  # what was inferred while it went on is observed in the end


@settings(max_examples=30)
@given(name=st.sampled_from(sorted(SESSIONS)), seed=st.integers(0, 1 << 32))
def test_facts_that_come_in_any_order_and_twice_fold_to_the_same_state(name: str, seed: int) -> None:
    logs = CodingLogs()
    batches: list[Batch] = []
    for file, data in SESSIONS[name]:
        for line in data.splitlines(keepends=True):
            logs.feed(file, line)
            batches += logs.take()
    logs.finish()
    batches += logs.take()
    shuffled = [Batch(b.source, 0, [f]) for b in batches for f in b.facts] * 2
    Random(seed).shuffle(shuffled)
    assert end_of(shuffled) == WHOLE[name]


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_a_log_that_is_read_twice_or_begins_anew_changes_nothing(name: str) -> None:
    logs = CodingLogs()
    for file, data in SESSIONS[name] * 2:
        logs.feed(file, data)
        logs.restart(file)
    first = logs.take()
    again = CodingLogs()
    for file, data in SESSIONS[name]:
        again.feed(file, data)
    again.finish()
    assert end_of([*first, *again.take()]) == WHOLE[name]


@pytest.mark.parametrize("log", [Claude(), Rollout()], ids=["claude", "codex"])
def test_of_kinds_without_end_the_first_are_counted_by_name(log: Claude | Rollout) -> None:
    for number in range(150):
        log.lines.append({"type": f"kind-{number}", "sessionId": "s-1", "timestamp": log.clock.tick()})
    logs = CodingLogs()
    logs.feed("f", log.text() * 2)
    assert len(logs.notes()) == 100


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([
        "user", "assistant", "system", "tool_use", "tool_result", "thinking", "compact_boundary", "api_error", "a1", "c2",
        "response_item", "event_msg", "function_call", "function_call_output", "task_started", "token_count", "user_message",
        "2026-03-01T09:00:00Z", "9999-12-31T23:59:59Z", "\x1b]0;x\x07", "\ud800", "t-1", "spawn_agent", "Task",
    ]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "type", "uuid", "parentUuid", "isSidechain", "agentId", "sessionId", "timestamp", "message", "content", "id",
            "usage", "stop_reason", "tool_use_id", "name", "input", "toolUseResult", "data", "subtype", "error", "text",
            "payload", "info", "call_id", "output", "arguments", "role", "source", "subagent", "last_token_usage",
        ]), inner, max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=150)
@given(
    name=st.sampled_from(sorted(SESSIONS)),
    changes=st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from(["drop", "swap", "put", "field", "cut"]), JUNK), max_size=8
    ),
)
def test_whatever_a_log_holds_is_read_or_counted_and_its_facts_travel(
    name: str, changes: list[tuple[int, str, Any]]
) -> None:
    logs = CodingLogs()
    for file, data in SESSIONS[name]:
        lines = [json.loads(line) for line in data.splitlines()]
        for at, how, junk in changes:
            at %= len(lines)
            if how == "drop":
                del lines[at]
            elif how == "swap":
                lines[at], lines[-1] = lines[-1], lines[at]
            elif how == "put":
                lines.insert(at, junk)
            elif isinstance(lines[at], dict):
                inner = lines[at].get("payload") or lines[at].get("message") or lines[at]
                if isinstance(inner, dict) and isinstance(junk, dict):
                    inner.update(junk)
            if not lines:
                lines = [junk]
        written = b"\n".join(json.dumps(line).encode() for line in lines)
        logs.feed(file, written[: len(written) - len(changes)])
    logs.describe("a1", b"[")
    logs.finish()
    for batch in logs.take():
        encode_facts(batch.facts)
    assert isinstance(logs.notes(), list)


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_bytes_that_are_no_log_are_counted(pieces: list[bytes]) -> None:
    logs = CodingLogs()
    for piece in pieces:
        logs.feed("x", piece)
        format_of(piece), thread_of(piece)
    logs.finish()
    assert logs.take() == []


def test_a_line_without_end_is_given_up_and_what_follows_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding_logs, "MAX_LINE_BYTES", 5000)
    logs = CodingLogs()
    for _ in range(3):
        logs.feed("s", b'{"type": "user", "sessionId": "' + b"x" * 4000)
    logs.feed("s", b'"}\n' + shop()[0].text())
    assert logs.broken_count == 1
    assert len(fold(logs.take())) == 1


def test_both_logs_are_known_by_what_is_in_them_and_others_are_not() -> None:
    main, _ = shop()
    rollout = Rollout()
    assert (format_of(main.text()), format_of(rollout.text())) == ("claude-code", "codex")
    assert (thread_of(main.text()), thread_of(spawned()[1].text())) == (("s-1", ""), ("t-2", "t-1"))
    assert format_of(b'{"summary": "x", "type": "summary", "leafUuid": "y"}\n' + main.text()) == "claude-code"
    for other in (
        b"",
        b"\x00\x01",
        b'{"resourceSpans": []}',
        b'{"messages": [{"role": "user", "content": "x"}]}',
        b"[1]",
    ):
        assert format_of(other) == ""


def test_a_file_is_read_as_what_it_is_and_refused_as_what_it_is_not() -> None:
    main, sub = shop()
    contents = read_file(
        main.text(), "s.jsonl", "auto", [("agent-a1.meta.json", b"{}"), ("agent-a1.jsonl", sub.text())]
    )
    assert contents.format == "claude-code"
    (trace,) = fold(contents.batches).values()
    assert list(trace.agents()) == ["Claude Code", "reviewer"]
    with pytest.raises(ImportFormatError, match="not a session log of codex"):
        read_file(main.text(), "s.jsonl", "codex")
    with pytest.raises(ImportFormatError):
        read_file(b"\x00", "s.jsonl", "claude-code")


def test_work_that_goes_on_is_said_to_and_work_that_ended_is_not() -> None:
    main, _ = shop()
    logs = CodingLogs()
    logs.feed("s", b"".join(json.dumps(line).encode() + b"\n" for line in main.lines[:4]))
    logs.take()
    (beat,) = logs.beats(["s", "unknown"], 7, 8)
    assert beat.source.resource["service.instance.id"] == "s-1"
    assert isinstance(beat.facts[0], Heartbeat) and len(beat.facts[0].open_spans) == 2
    logs.feed("s", main.text())
    logs.take()
    assert logs.beats(["s"], 7, 8) == []


def test_a_description_is_known_by_its_name() -> None:
    assert described("/x/agent-a1.meta.json") == "a1"
    assert (described("/x/agent-a1.jsonl"), described("meta.json")) == ("", "")


def test_a_name_that_names_a_place_stays_a_name() -> None:
    main, _ = shop()
    for line in main.lines:
        line["sessionId"] = "../../etc/\x1b[2Jpasswd"
    logs = CodingLogs()
    logs.feed("s", main.text())
    (batch,) = logs.take()
    assert len(batch.source.emitter_id) == 16
