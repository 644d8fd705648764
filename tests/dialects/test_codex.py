"""What Codex CLI's rollouts are read as, each rule on a rollout of a few lines."""

import json

import pytest

from tests.dialects.build import edges
from tests.dialects.coding_build import Clock, Rollout, fold, read
from trajectory.dialects import codex
from trajectory.dialects.coding import REASONING_TOKENS
from trajectory.dialects.coding_logs import CodingLogs
from trajectory.graph.trace import Trace
from trajectory.model.words import INPUT_TOKENS, INTERRUPTED


def only(traces: dict[bytes, Trace]) -> Trace:
    (trace,) = traces.values()
    return trace


def counted() -> Rollout:
    log = Rollout()
    log.prompt("Count the files")
    log.item("reasoning", summary=[{"type": "summary_text", "text": "I list them."}], encrypted_content="xxx")
    log.call("k1", "shell", command=["ls"])
    log.usage(100, 10, 50)
    log.output("k1", json.dumps({"output": "a\nb", "metadata": {"exit_code": 0, "duration_seconds": 0.1}}))
    log.say("Two files.")
    log.usage(130, 5, 110)
    log.done("Two files.")
    return log


def test_a_prompt_is_a_trace_and_the_thread_their_session() -> None:
    log = counted()
    log.prompt("And folders?", "turn-2")
    log.say("None.")
    log.done("None.", "turn-2")
    traces = list(read(("r", log.text())).values())
    assert [(t.title, t.state, t.session_id) for t in traces] == [
        ("Count the files", "done", "t-1"), ("And folders?", "done", "t-1")
    ]  # fmt: skip


def test_what_is_said_between_two_inputs_is_one_call_with_the_tokens_counted_for_it() -> None:
    log = counted()
    log.lines.append(log.lines[-2])  # a count that is told again
    trace = only(read(("r", log.text())))
    usage = trace.agents()["Codex"]
    assert (usage.model_calls, usage.tool_calls, usage.input_tokens, usage.output_tokens) == (2, 1, 230, 15)
    calls = sorted((s for s in trace.spans.values() if s.kind == "model"), key=lambda s: s.order_key)
    assert [c.name for c in calls] == ["chat gpt-x"] * 2
    assert trace.texts(calls[0], "output") == ['I list them.\nshell({"command":["ls"]})']
    assert [e.name for e in calls[0].events] == ["thought"]
    assert trace.texts(calls[1], "input")[-1] == "a\nb"


def test_tokens_that_are_counted_after_the_tools_output_are_the_calls() -> None:
    log = Rollout()
    log.prompt("Go")
    log.call("k1", "shell", command=["ls"])
    log.output("k1", "a")
    log.usage(100, 10)
    log.say("Done")
    log.usage(120, 3)
    trace = only(read(("r", log.text())))
    calls = sorted((s for s in trace.spans.values() if s.kind == "model"), key=lambda s: s.order_key)
    assert [c.number(INPUT_TOKENS) for c in calls] == [100, 120]


def test_tokens_are_counted_from_totals_where_nothing_else_is_told() -> None:
    log = Rollout()
    log.prompt("Go")
    for total, thought in ((100, 4), (130, 9)):
        log.say("Done")
        told = {"input_tokens": total, "output_tokens": 10, "reasoning_output_tokens": thought}
        log.event("token_count", info={"total_token_usage": told})
    trace = only(read(("r", log.text())))
    calls = sorted((s for s in trace.spans.values() if s.kind == "model"), key=lambda s: s.order_key)
    assert [c.number(INPUT_TOKENS) for c in calls] == [100, 30]
    assert [c.attributes[REASONING_TOKENS] for c in calls] == [4, 5]
    assert "codex.context_window" not in calls[0].attributes


@pytest.mark.parametrize(
    ("output", "code", "status"),
    [
        (json.dumps({"output": "no", "metadata": {"exit_code": 2}}), 2, "error"),
        ({"content": "no", "success": False}, None, "error"),
        ("Chunk ID: 1\nProcess exited with code 3\nOutput:\nno", 3, "error"),
        ("Exit code: 0\nWall time: 1 s\nOutput:\nyes", 0, "unset"),
        ("plain text", None, "unset"),
        ([{"type": "input_text", "text": "yes"}], None, "unset"),
    ],
)
def test_a_tool_says_how_it_went_in_any_of_its_ways(output: object, code: int | None, status: str) -> None:
    log = Rollout()
    log.prompt("Go")
    log.call("k1", "exec_command", cmd="x")
    log.output("k1", output)
    (tool,) = (s for s in only(read(("r", log.text()))).spans.values() if s.kind == "tool")
    assert (tool.attributes.get("process.exit.code"), tool.status, tool.is_open) == (code, status, False)


def test_an_exit_code_beside_the_output_counts() -> None:
    log = Rollout()
    log.prompt("Go")
    log.call("k1", "shell", command=["false"])
    log.event("exec_command_end", call_id="k1", exit_code=1, aggregated_output="")
    log.output("k1", "")
    (tool,) = (s for s in only(read(("r", log.text()))).spans.values() if s.kind == "tool")
    assert (tool.status, tool.error_type) == ("error", "exit code 1")


def test_a_call_that_is_told_twice_is_one_and_an_end_without_a_code_says_nothing() -> None:
    log = Rollout()
    log.prompt("Go")
    log.call("k1", "shell", command=["ls"])
    log.call("k1", "shell", command=["ls"])
    log.event("mcp_tool_call_end", call_id="k1")
    log.event("exec_command_end", call_id="k9", exit_code=1)
    log.output("k1", "a")
    (tool,) = (s for s in only(read(("r", log.text()))).spans.values() if s.kind == "tool")
    assert (tool.status, tool.is_open, tool.attributes.get("process.exit.code")) == ("unset", False, None)


def test_entries_of_no_known_kind_are_events_or_counted() -> None:
    log = Rollout()
    log.prompt("Go")
    log.event("warning", message="slow")
    log.item("ghost_snapshot", ghost_commit={})
    picture = [{"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}]
    log.item("message", role="user", content=picture)
    log.say("Done")
    logs = CodingLogs()
    logs.feed("r", log.text())
    logs.finish()
    trace = only(fold(logs.take()))
    assert trace.root is not None and [(e.name, e.attributes) for e in trace.root.events] == [
        ("warning", {"message": "slow"})
    ]  # fmt: skip
    assert "1 entries in no span: item ghost_snapshot" in logs.notes()
    (call,) = (s for s in trace.spans.values() if s.kind == "model")
    assert all(len(body) < 500 for body in trace.texts(call, "input"))


def test_other_calls_are_tools_too() -> None:
    log = Rollout()
    log.prompt("Go")
    log.item("custom_tool_call", name="apply_patch", call_id="k1", input="*** Begin Patch")
    log.item("custom_tool_call_output", call_id="k1", output="Success")
    log.item("local_shell_call", call_id="k2", status="completed", action={"type": "exec", "command": ["ls"]})
    log.output("k2", "a")
    log.item("web_search_call", status="completed", action={"type": "search", "query": "x"})
    log.done("Done")
    trace = only(read(("r", log.text())))
    assert {name: len(calls) for name, calls in trace.tools().items()} == {
        "apply_patch": 1,
        "shell": 1,
        "web_search": 1,
    }
    assert not any(s.is_open or s.attributes.get(INTERRUPTED) for s in trace.spans.values())


def spawned() -> tuple[Rollout, Rollout]:
    log = Rollout()
    log.prompt("Look deep")
    log.call("k1", "spawn_agent", message="Look into a.py", agent_type="explorer")
    log.usage(100, 10)
    log.output("k1", json.dumps({"agent_id": "t-2", "nickname": "Curie"}))
    source = {"subagent": {"thread_spawn": {"parent_thread_id": "t-1", "depth": 1, "agent_role": "explorer"}}}
    child = Rollout("t-2", Clock(log.clock.now_s), source=source)
    child.prompt("Look into a.py", "turn-9")
    child.say("It is fine.")
    child.usage(20, 4)
    child.done("It is fine.", "turn-9")
    log.clock.now_s = child.clock.now_s
    log.call("k2", "wait", ids=["t-2"])
    log.output("k2", json.dumps({"status": {"t-2": {"completed": "It is fine."}}}))
    log.say("Fine.")
    log.usage(130, 5)
    log.done("Fine.")
    return log, child


@pytest.mark.parametrize("is_child_first", [False, True])
def test_a_spawned_thread_works_below_the_call_that_began_it(is_child_first: bool) -> None:
    files = [("r", spawned()[0].text()), ("c", spawned()[1].text())]
    trace = only(read(*(reversed(files) if is_child_first else files)))
    assert edges(trace) == [("Codex", "explorer", "call", "observed")]
    (delegation,) = trace.delegations()
    assert trace.texts(delegation.span, "task") == ["Look into a.py"]
    assert delegation.target_span is not None and trace.texts(delegation.target_span, "returned") == ["It is fine."]
    assert trace.agents()["explorer"].input_tokens == 20


def test_a_spawned_thread_may_be_named_by_an_event() -> None:
    log, child = spawned()
    (at,) = [
        n for n, line in enumerate(log.lines) if line["payload"].get("call_id") == "k1" and "output" in line["payload"]
    ]
    log.lines[at] |= {
        "type": "event_msg",
        "payload": {"type": "collab_agent_spawn_end", "call_id": "k1", "new_thread_id": "t-2"},
    }
    trace = only(read(("r", log.text()), ("c", child.text())))
    assert edges(trace) == [("Codex", "explorer", "call", "observed")]


def test_a_spawned_thread_stays_with_its_call_while_another_waits_no_longer_for_its_own() -> None:
    log, child = spawned()
    lost = Rollout("t-3", Clock(child.clock.now_s), parent_thread_id="t-0")
    lost.prompt("Nobody asked for this", "turn-5")
    logs = CodingLogs()
    for name, data in (("r", log.text()), ("c", child.text()), ("l", lost.text())):
        logs.feed(name, data)
    assert logs.held_count > 0
    logs.release()
    assert logs.held_count == 0
    fed = len(child.lines)
    child.prompt("Look again", "turn-10")
    child.say("Still fine.")
    child.done("Still fine.", "turn-10")
    logs.feed("c", child.text().split(b"\n", fed)[fed])
    logs.finish()
    assert [sorted(trace.agents()) for trace in fold(logs.take()).values()] == [["Codex", "explorer"], ["sub-agent"]]


def test_of_a_thread_whose_parent_is_not_known_only_so_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codex, "MAX_HELD", 2)
    logs = CodingLogs()
    child = spawned()[1]
    logs.feed("c", child.text())
    assert logs.held_count == 2
    left_out = len(child.lines) - 3  # its first line says whose it is
    assert logs.notes() == [f"{left_out} entries in no span: of a sub-agent whose call is not known"]


def test_a_spawned_thread_whose_parent_is_not_there_is_a_trace_of_its_own() -> None:
    trace = only(read(("c", spawned()[1].text())))
    assert (trace.title, list(trace.agents())) == ("Look into a.py", ["explorer"])


def test_a_thread_that_is_taken_up_again_says_so_and_copies_nothing() -> None:
    log = counted()
    log.add("session_meta", {"id": "t-1"})
    log.prompt("And folders?", "turn-2")
    log.say("None.")
    log.done("None.", "turn-2")
    assert [t.title for t in read(("r", log.text())).values()] == ["Count the files", "And folders?"]


def test_history_that_a_fork_copied_counts_nothing() -> None:
    parent = counted()
    child = Rollout("t-2", Clock(100), parent_thread_id="t-1")
    copied = Rollout("t-1", Clock(100.001))
    child.lines += copied.lines
    child.lines += [{**line, "timestamp": copied.lines[0]["timestamp"]} for line in parent.lines]
    child.clock.now_s = 110
    child.prompt("Mine", "turn-9")
    child.say("My own.")
    child.usage(7, 2)
    trace = only(read(("c", child.text())))
    assert (trace.agents()["sub-agent"].model_calls, trace.agents()["sub-agent"].input_tokens) == (1, 7)


def test_a_turn_that_is_stopped_says_so_and_one_with_an_error_failed() -> None:
    log = Rollout()
    log.prompt("Go")
    log.call("k1", "shell", command=["sleep", "9"])
    log.event("turn_aborted", turn_id="turn-1", reason="interrupted")
    log.prompt("Again", "turn-2")
    log.event("error", message="stream disconnected", codex_error_info="response_stream_disconnected")
    log.done("", "turn-2")
    stopped, failed = read(("r", log.text())).values()
    assert stopped.root is not None and stopped.root.attributes[INTERRUPTED] == "interrupted"
    assert (stopped.state, failed.state) == ("done", "failed")
    assert [s.message for s in failed.root_errors()] == ["stream disconnected"]


def test_a_compaction_is_an_event_and_empties_the_context() -> None:
    log = Rollout()
    log.prompt("Remember 7")
    log.say("Yes")
    log.add("compacted", {"message": "The user said 7.", "replacement_history": [{}, {}]})
    log.say("Going on")
    trace = only(read(("r", log.text())))
    assert trace.root is not None
    (event,) = trace.root.events
    assert (event.name, event.attributes["kept_count"], bool(event.contents)) == ("compaction", 2, True)
    last = max((s for s in trace.spans.values() if s.kind == "model"), key=lambda s: s.order_key)
    assert trace.texts(last, "input") == ["The user said 7."]


def test_a_thread_that_begins_with_a_summary_has_it_in_the_context() -> None:
    log = Rollout()
    log.add("compacted", {"message": "The user said 7."})
    log.prompt("Go on")
    log.say("Going on")
    trace = only(read(("r", log.text())))
    (call,) = (s for s in trace.spans.values() if s.kind == "model")
    assert trace.texts(call, "input")[0] == "The user said 7."


def test_a_message_into_a_turn_that_goes_on_is_an_event_of_it() -> None:
    log = Rollout()
    log.prompt("Go")
    log.say("I go.")
    log.event("user_message", message="Faster")
    log.say("Faster.")
    log.done("Faster.")
    trace = only(read(("r", log.text())))
    assert trace.root is not None and [e.name for e in trace.root.events] == ["user_message"]


def test_a_rollout_of_an_old_version_reads_too() -> None:
    lines = [
        {"id": "t-0", "timestamp": "2025-07-01T10:00:00Z", "instructions": None, "git": {}},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count"}]},
        {"type": "function_call", "name": "shell", "call_id": "k1", "arguments": '{"command": ["ls"]}'},
        {"type": "function_call_output", "call_id": "k1", "output": '{"output": "a", "metadata": {"exit_code": 0}}'},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "One"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Welcome"}]},
    ]
    traces = read(("r", b"\n".join(json.dumps(line).encode() for line in lines)))
    assert [t.title for t in traces.values()] == ["Count", "Thanks"]


def test_work_is_open_while_it_goes_on() -> None:
    log = Rollout()
    log.prompt("Go")
    log.call("k1", "shell", command=["sleep", "9"])
    log.usage(5, 1)
    logs = CodingLogs()
    logs.feed("r", log.text())
    trace = only(fold(logs.take()))
    assert {s.name for s in trace.spans.values() if s.is_open} == {"invoke_agent Codex", "shell"}
