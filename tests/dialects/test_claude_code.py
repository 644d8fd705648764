"""What Claude Code's session logs are read as, each rule on a log of a few lines."""

import json
from typing import Any

import pytest

from tests.dialects.build import edges
from tests.dialects.coding_build import Claude, Clock, fold, read, shop, state, text, thinking, use
from trajectory.dialects import claude_code
from trajectory.dialects.coding_logs import CodingLogs
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.words import INPUT_TOKENS, INTERRUPTED, OUTPUT_TOKENS


def only(traces: dict[bytes, Trace]) -> Trace:
    (trace,) = traces.values()
    return trace


def named(trace: Trace, name: str) -> list[Span]:
    return sorted((s for s in trace.spans.values() if s.name == name), key=lambda s: s.order_key)


def told(trace: Trace, span: Span, slot: str) -> list[str]:
    return trace.texts(span, slot)


def test_a_prompt_is_a_trace_and_the_log_their_session() -> None:
    log = Claude()
    for n in (1, 2):
        log.prompt(f"Do {n}")
        log.answer(f"m{n}", text(f"Did {n}"), stop="end_turn")
    traces = list(read(("s", log.text())).values())
    assert [t.title for t in traces] == ["Do 1", "Do 2"]
    assert {t.session_id for t in traces} == {"s-1"}
    assert [t.state for t in traces] == ["done", "done"]


def test_a_call_of_the_model_counts_once_however_many_lines_tell_of_it() -> None:
    log = Claude()
    log.prompt("Look")
    log.answer("m1", thinking("Hm."), text("I look."), use("c1", "Read", file_path="a"), tokens=(3, 20, 100, 50))
    log.result("c1", "text")
    log.answer("m2", text("Done."), stop="end_turn", tokens=(1, 2))
    trace = only(read(("s", log.text())))
    first, second = named(trace, "chat claude-x")
    assert (first.number(INPUT_TOKENS), first.number(OUTPUT_TOKENS)) == (153, 20)
    usage = trace.agents()["Claude Code"]
    assert (usage.model_calls, usage.tool_calls, usage.input_tokens, usage.output_tokens) == (2, 1, 154, 22)
    assert told(trace, first, "output") == ['Hm.\nI look.\nRead({"file_path":"a"})']
    assert told(trace, second, "input") == ["Look", told(trace, first, "output")[0], "text"]


def test_blocks_of_one_call_with_results_between_them_are_one_call() -> None:
    log = Claude()
    log.prompt("Look twice")
    log.answer("m1", use("c1", "Read", file_path="a"))
    log.result("c1", "A")
    log.answer("m1", use("c2", "Read", file_path="b"), stop="tool_use")
    log.result("c2", "B")
    trace = only(read(("s", log.text())))
    (call,) = named(trace, "chat claude-x")
    assert told(trace, call, "output") == ['Read({"file_path":"a"})\nRead({"file_path":"b"})']
    assert len(named(trace, "Read")) == 2


def test_a_thought_is_a_thought_and_an_empty_one_none() -> None:
    log = Claude()
    log.prompt("Think")
    log.answer("m1", thinking("Why?"), thinking(""), text("So."), stop="end_turn")
    (call,) = named(only(read(("s", log.text()))), "chat claude-x")
    assert [(e.name, e.surface) for e in call.events] == [("thought", "cognitive")]


def test_a_tool_has_its_arguments_its_result_and_how_it_went() -> None:
    trace = only(read(("s", shop()[0].text()), ("a", shop()[1].text())))
    (run,) = named(trace, "Bash")
    assert (run.status, run.attributes["process.exit.code"], run.error_type) == ("error", 1, "exit code 1")
    assert told(trace, run, "arguments") == ['{"command":"pytest -q"}']
    assert told(trace, run, "result") == ["Exit code 1\n1 failed"]
    assert run.duration_ns // 1000 == 1_000_000


@pytest.mark.parametrize(
    ("content", "status", "result"),
    [
        ([{"type": "web_search_result", "url": "https://a.example"}], "unset", "a.example"),
        ({"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}, "error", "max_uses_exceeded"),
    ],
)
def test_a_tool_that_the_models_own_side_ran_has_its_result_in_the_answer(
    content: Any, status: str, result: str
) -> None:
    asked = use("srv1", "web_search", query="x") | {"type": "server_tool_use"}
    log = Claude()
    log.prompt("Search")
    log.answer("m1", asked, {"type": "web_search_tool_result", "tool_use_id": "srv1", "content": content})
    log.answer("m1", text("So it is."), stop="end_turn")
    trace = only(read(("s", log.text())))
    (run,) = named(trace, "web_search")
    assert (run.status, run.is_open, run.attributes.get(INTERRUPTED)) == (status, False, None)
    assert result in told(trace, run, "result")[0]
    assert trace.agents()["Claude Code"].model_calls == 1


def test_a_call_that_is_told_again_is_one_call() -> None:
    log = Claude()
    log.prompt("Look")
    log.answer("m1", use("c1", "Read", file_path="a"), use("c1", "Read", file_path="a"))
    log.answer("m1", use("c1", "Read", file_path="a", limit=5), stop="tool_use")  # the same, told more fully
    log.result("c1", "A")
    trace = only(read(("s", log.text())))
    (run,) = named(trace, "Read")
    assert told(trace, run, "arguments") == ['{"file_path":"a"}']


def test_a_tool_that_the_user_refuses_did_not_fail() -> None:
    log = Claude()
    log.prompt("Delete it")
    log.answer("m1", use("c1", "Bash", command="rm a"), stop="tool_use")
    log.result("c1", "The user doesn't want to proceed with this tool use. It was rejected", is_error=True)
    log.prompt("[Request interrupted by user for tool use]")
    trace = only(read(("s", log.text())))
    (run,) = named(trace, "Bash")
    assert (run.status, run.attributes[INTERRUPTED]) == ("unset", "the user refused it")
    assert (trace.state, trace.root_errors()) == ("done", [])
    assert trace.root is not None and trace.root.attributes[INTERRUPTED] == "the user stopped it"


def test_a_sub_agent_in_a_file_of_its_own_works_below_its_call_and_is_observed() -> None:
    main, sub = shop()
    trace = only(read(("s", main.text()), ("a", sub.text())))
    assert edges(trace) == [("Claude Code", "reviewer", "call", "observed")]
    (delegation,) = trace.delegations()
    assert [told(trace, delegation.span, slot) for slot in ("task", "returned")] == [
        ["Review prices.py"], ["The price is wrong."]
    ]  # fmt: skip
    assert trace.agents()["reviewer"].output_tokens == 16


def test_a_sub_agent_whose_call_has_no_result_yet_is_joined_by_its_task_and_inferred() -> None:
    main, sub = shop()
    asked = next(i for i, line in enumerate(main.lines) if "Task" in json.dumps(line))
    main.lines = main.lines[: asked + 1]
    trace = only(read(("s", main.text()), ("a", sub.text())))
    assert edges(trace) == [("Claude Code", "reviewer", "call", "inferred")]
    assert "first message" in trace.delegations()[0].reason


def test_two_calls_with_one_task_are_told_apart_by_the_agents_ids_alone() -> None:
    main = Claude()
    main.prompt("Twice")
    main.answer(
        "m1", use("c1", "Task", subagent_type="x", prompt="Go"), use("c2", "Task", subagent_type="x", prompt="Go")
    )
    subs = []
    for agent in ("a1", "a2"):
        sub = Claude(agent=agent, clock=Clock(main.clock.now_s))
        sub.prompt("Go")
        sub.answer(f"n{agent}", text(f"I am {agent}"), stop="end_turn")
        subs.append(sub)
    main.clock.now_s = subs[1].clock.now_s
    main.result("c2", "I am a1", told={"agentId": "a1", "status": "completed"})
    main.result("c1", "I am a2", told={"agentId": "a2", "status": "completed"})
    trace = only(read(("s", main.text()), ("1", subs[0].text()), ("2", subs[1].text())))
    pairs = {told(trace, d.span, "returned")[0]: told(trace, d.target_span, "returned")[0] for d in trace.delegations()}
    assert pairs == {"I am a1": "I am a1", "I am a2": "I am a2"}
    assert {d.grade for d in trace.delegations()} == {"observed"}


def test_progress_and_a_description_name_the_call_of_a_sub_agent_too() -> None:
    for way in ("progress", "meta"):
        main = Claude()
        main.prompt("Go")
        main.answer("m1", use("c1", "Agent", prompt="Other words", description="d"), stop="tool_use")
        if way == "progress":
            main.add("progress", data={"type": "agent_progress", "agentId": "a1"}, parentToolUseID="c1")
        sub = Claude(agent="a1", clock=Clock(main.clock.now_s))
        sub.prompt("Not what was asked")
        logs = CodingLogs()
        logs.feed("s", main.text())
        if way == "meta":
            logs.describe("a1", b'{"agentType": "Explore", "toolUseId": "c1"}')
        logs.feed("a", sub.text())
        trace = only(fold(logs.take()))
        assert [(d.target_agent, d.grade) for d in trace.delegations()] == [
            ("Explore" if way == "meta" else "sub-agent", "observed")
        ]


def test_a_sub_agent_that_goes_on_by_itself_has_not_answered_yet() -> None:
    main = Claude()
    main.prompt("Go")
    main.answer("m1", use("c1", "Task", subagent_type="reviewer", prompt="Review"), stop="tool_use")
    main.result("c1", "Launched in the background", told={"agentId": "a1", "status": "async_launched"})
    sub = Claude(agent="a1", clock=Clock(main.clock.now_s))
    sub.prompt("Review")
    sub.answer("n1", text("I begin."))
    logs = CodingLogs()
    logs.feed("s", main.text())
    logs.feed("a", sub.text())
    trace = only(fold(logs.take()))
    (delegation,) = trace.delegations()
    assert (delegation.target_agent, delegation.grade) == ("reviewer", "observed")
    assert told(trace, delegation.span, "returned") == []
    assert delegation.target_span is not None and delegation.target_span.is_open


def test_a_sub_agent_whose_result_does_not_name_it_has_answered_all_the_same() -> None:
    main = Claude()
    main.prompt("Go")
    main.answer("m1", use("c1", "Task", subagent_type="reviewer", prompt="Review"), stop="tool_use")
    main.result("c1", "It is fine.")
    trace = only(read(("s", main.text())))
    assert [told(trace, d.span, "returned") for d in trace.delegations()] == [["It is fine."]]


def test_of_a_sub_agent_whose_call_is_not_known_only_so_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_code, "MAX_HELD", 2)
    sub = Claude(agent="a9")
    sub.prompt("Nobody asked for this")
    for n in range(4):
        sub.answer(f"n{n}", text("Done"))
    logs = CodingLogs()
    logs.feed("a", sub.text())
    assert logs.held_count == 2
    assert logs.notes() == ["3 entries in no span: of a sub-agent whose call is not known"]


def test_a_side_chain_within_the_file_is_a_sub_agent() -> None:
    main, sub = shop()
    for line in sub.lines:
        del line["agentId"]
    asked = next(i for i, line in enumerate(main.lines) if "Task" in json.dumps(line)) + 1
    main.lines = [*main.lines[:asked], *sub.lines, *main.lines[asked:]]
    trace = only(read(("s", main.text())))
    assert edges(trace)[0][:3] == ("Claude Code", "reviewer", "call")
    assert trace.agents()["reviewer"].model_calls == 2


def test_a_sub_agent_without_a_call_is_placed_by_guess_which_it_says() -> None:
    main = Claude()
    main.prompt("Go")
    main.answer("m1", text("I go."))
    sub = Claude(agent="a9", clock=Clock(main.clock.now_s))
    sub.prompt("Nobody asked for this")
    sub.answer("n1", text("Done"), stop="end_turn")
    trace = only(read(("s", main.text()), ("a", sub.text())))
    assert edges(trace) == [("Claude Code", "sub-agent", "call", "inferred")]


def test_a_sub_agent_of_a_sub_agent_works_below_it() -> None:
    main = Claude()
    main.prompt("Go")
    main.answer("m1", use("c1", "Task", subagent_type="one", prompt="First"))
    one = Claude(agent="a1", clock=main.clock)
    one.prompt("First")
    one.answer("n1", use("c2", "Task", subagent_type="two", prompt="Second"))
    two = Claude(agent="a2", clock=main.clock)
    two.prompt("Second")
    two.answer("p1", text("2"), stop="end_turn")
    for order in ((main, one, two), (two, one, main)):
        trace = only(read(*((log.agent, log.text()) for log in order)))
        assert [edge[:2] for edge in edges(trace)] == [("Claude Code", "one"), ("one", "two")]


def test_a_compaction_is_an_event_and_what_was_said_before_is_gone_from_the_context() -> None:
    log = Claude()
    log.prompt("Remember 7")
    log.answer("m1", text("Yes."), use("c1", "Read", file_path="a"))
    log.result("c1", "long")
    log.add(
        "system",
        subtype="compact_boundary",
        content="Conversation compacted",
        compactMetadata={"trigger": "auto", "preTokens": 155000},
    )
    log.prompt("We were asked to remember 7.", isCompactSummary=True, isVisibleInTranscriptOnly=True)
    log.answer("m2", text("Going on."), stop="end_turn")
    trace = only(read(("s", log.text())))
    assert trace.root is not None
    first, second = trace.root.events
    assert (first.name, first.attributes["preTokens"], first.attributes["trigger"]) == ("compaction", 155000, "auto")
    assert second.name == "compaction summary" and second.contents
    assert told(trace, named(trace, "chat claude-x")[1], "input") == ["We were asked to remember 7."]


def test_a_log_that_begins_with_a_summary_has_it_in_the_context() -> None:
    log = Claude()
    log.prompt("We were asked to remember 7.", isCompactSummary=True)
    log.prompt("Go on")
    log.answer("m1", text("Going on."), stop="end_turn")
    trace = only(read(("s", log.text())))
    assert told(trace, named(trace, "chat claude-x")[0], "input") == ["We were asked to remember 7.", "Go on"]


def test_an_api_error_that_ends_the_turn_fails_it_and_one_that_is_retried_does_not() -> None:
    log = Claude()
    log.prompt("Go")
    log.add("system", subtype="api_error", level="error", error={"status": 529}, retryAttempt=1, maxRetries=10)
    log.answer("m1", text("Done"), stop="end_turn")
    log.prompt("Again")
    log.answer("m2", text("API Error: 500"), isApiErrorMessage=True)
    log.prompt("Once more")
    log.answer("m3", text("API Error: 500"), isApiErrorMessage=True)
    log.answer("m4", text("Done after all"), stop="end_turn")
    retried, failed, went_on = read(("s", log.text())).values()
    assert (retried.state, failed.state, went_on.state) == ("done", "failed", "done")
    assert went_on.root is not None and (went_on.root.status, went_on.root.error_type) == ("unset", "")
    assert retried.root is not None and [e.name for e in retried.root.events] == ["api_error"]
    assert [s.message for s in failed.root_errors()] == ["API Error: 500"]


def test_what_the_program_says_in_the_users_name_begins_no_turn() -> None:
    log = Claude()
    log.prompt("Caveat: the messages below were generated", isMeta=True)
    log.prompt("<command-name>/clear</command-name>\n<command-args></command-args>")
    log.prompt("<local-command-stdout>ok</local-command-stdout>")
    assert read(("s", log.text())) == {}


def test_a_command_that_the_model_answers_is_a_turn_called_as_it_was_typed() -> None:
    log = Claude()
    log.prompt(
        "<command-message>review</command-message>\n<command-name>/review</command-name>\n<command-args>src</command-args>"
    )
    log.prompt("Review the code in src with care", isMeta=True)
    log.answer("m1", text("Fine."), stop="end_turn")
    assert only(read(("s", log.text()))).title == "/review src"


def test_a_command_of_the_shell_that_the_model_answers_is_a_turn_too() -> None:
    log = Claude()
    log.prompt("<bash-input>ls</bash-input>")
    log.prompt("<bash-stdout>a.py</bash-stdout><bash-stderr></bash-stderr>")
    log.answer("m1", text("One file."), stop="end_turn")
    assert only(read(("s", log.text()))).title == "!ls"


def test_work_is_open_while_it_goes_on() -> None:
    log = Claude()
    log.prompt("Run")
    log.answer("m1", use("c1", "Bash", command="sleep 9"), stop="tool_use")
    logs = CodingLogs()
    logs.feed("s", log.text())
    batches = logs.take()
    trace = only(fold(batches))
    assert {s.name for s in trace.spans.values() if s.is_open} == {"invoke_agent Claude Code", "Bash"}
    log.result("c1", "ok")
    logs.feed("s", log.text())  # all of it again: what was read changes nothing
    batches += logs.take()
    assert {s.name for s in only(fold(batches)).spans.values() if s.is_open} == {"invoke_agent Claude Code"}


def test_a_log_that_stops_short_ends_its_work_where_it_stops_until_more_of_it_is_read() -> None:
    log = Claude()
    log.prompt("Run")
    log.answer("m1", use("c1", "Bash", command="make"), stop="tool_use")
    logs = CodingLogs()
    logs.feed("s", log.text())
    logs.finish()
    early = logs.take()
    (cut,) = named(only(fold(early)), "Bash")
    assert not cut.is_open and cut.attributes[INTERRUPTED]
    log.result("c1", "made")
    log.answer("m2", text("Made."), stop="end_turn")
    later = fold([*early, *_batches(log)])
    assert state(later) == state(read(("s", log.text())))


def _batches(*logs: Claude) -> list[Any]:
    reading = CodingLogs()
    for log in logs:
        reading.feed(log.agent, log.text())
    reading.finish()
    return reading.take()


def test_entries_of_no_known_kind_are_events_or_counted() -> None:
    log = Claude()
    log.prompt("Go")
    log.add("system", subtype="something_new", content="hello")
    log.add("brand-new-entry", payload=[1])
    logs = CodingLogs()
    logs.feed("s", log.text() + b'{"type": "summary", "summary": "x", "leafUuid": "y"}\n{"type": "user", broken\n[1]\n')
    logs.finish()
    trace = only(fold(logs.take()))
    assert trace.root is not None and [e.name for e in trace.root.events] == ["something_new"]
    assert logs.notes() == [
        "2 lines that are no JSON", "1 entries in no span: brand-new-entry", "1 entries in no span: summary"
    ]  # fmt: skip


def test_what_comes_before_the_first_prompt_is_counted_and_begins_no_turn() -> None:
    log = Claude()
    log.add("system", subtype="local_command", content="hello")
    log.prompt("[Request interrupted by user]")
    logs = CodingLogs()
    logs.feed("s", log.text())
    logs.finish()
    assert (logs.take(), logs.notes()) == ([], ["1 entries in no span: system local_command"])


def test_a_picture_is_named_by_its_size() -> None:
    log = Claude()
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 100_000}}
    log.add("user", message={"role": "user", "content": [picture]})
    log.answer("m1", text("A cat."), stop="end_turn")
    trace = only(read(("s", log.text())))
    assert trace.root is not None
    assert all(len(body) < 500 for body in told(trace, trace.root, "input")) and trace.title == "(a picture)"
