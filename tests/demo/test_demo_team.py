"""The team for real: six processes, sockets between them, a collector on a socket; what it did is what `truth` says."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.demo.truth import Truth, truth
from trajectory.cli.demo_team.team import ROLES, Team, TeamResult, _Member, run_team
from trajectory.errors import TrajectoryError
from trajectory.model import words
from trajectory.model.content import text_of
from trajectory.model.fact import SpanEvent
from trajectory.testing import CapturedSpan, FakeCollector

PACE = 0.02
SEED = 1


@dataclass
class Run:
    """One run of the team and what the collector got of it."""

    result: TeamResult
    collector: FakeCollector
    progress: list[str]

    def __post_init__(self) -> None:
        self.spans = self.collector.spans()
        self.by_id = {span.span_id: span for span in self.spans}

    def of_kind(self, kind: str) -> list[CapturedSpan]:
        return [span for span in self.spans if span.kind == kind]

    def texts(self, holder: CapturedSpan | SpanEvent, slot: words.Slot) -> str:
        bodies = [self.collector.payload(digest) for digest in holder.contents.get(str(slot), [])]
        return "\n".join(text_of(body.media_type, body.body) for body in bodies)

    def events(self, name: str) -> list[SpanEvent]:
        return [event for span in self.spans for event in span.events if event.name == name]

    def delegation_to(self, agent: str, order: int = 0) -> CapturedSpan:
        sent = [s for s in self.of_kind("delegation") if s.attributes[words.DELEGATION_TARGET] == agent]
        return sorted(sent, key=lambda span: span.start.at_ns)[order]

    def accepted(self, delegation: CapturedSpan) -> CapturedSpan:
        (agent,) = [span for span in self.of_kind("agent") if span.parent_id == delegation.span_id]
        return agent


def run_of(seed: int) -> Run:
    progress: list[str] = []
    with FakeCollector() as collector:
        result = run_team(collector.endpoint, seed, PACE, progress.append)
    return Run(result, collector, progress)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    yield run_of(SEED)


@pytest.fixture(scope="module")
def contained() -> Truth:
    return truth(SEED)


def test_every_process_ends_well_and_says_goodbye(run: Run) -> None:
    assert run.result.exit_codes == dict.fromkeys(ROLES, 0)
    assert [stored.said_bye for stored in run.collector.sources()] == [True] * len(ROLES)
    assert run.collector.errors == []


def test_each_agent_is_a_process_of_its_own(run: Run) -> None:
    assert len({stored.resource["process.pid"] for stored in run.collector.sources()}) == len(ROLES) >= 5
    assert {stored.resource["service.name"] for stored in run.collector.sources()} == {"memo-team"}


def test_a_run_is_one_trace_with_every_span_ended(run: Run) -> None:
    assert {span.trace_id.hex() for span in run.spans} == {run.result.trace_id}
    assert [span.name for span in run.spans if span.open] == []


def test_the_root_is_the_planner_with_title_session_and_task(run: Run) -> None:
    (root,) = [span for span in run.spans if span.parent_id == b""]
    assert root.agent == "planner"
    assert root.attributes[words.TITLE] == "Q3 revenue memo"
    assert root.attributes[words.SESSION_ID] == f"demo-{SEED}"
    assert "fiscal year FY25" in run.texts(root, words.Slot.INPUT)


def test_agents_are_invoked_as_often_as_the_truth_says(run: Run, contained: Truth) -> None:
    assert Counter(span.agent for span in run.of_kind("agent")) == contained.invocations
    assert Counter(span.agent for span in run.of_kind("model")) == contained.model_calls


def test_delegations_have_the_pairs_and_modes_of_the_truth(run: Run, contained: Truth) -> None:
    names = (words.DELEGATION_SOURCE, words.DELEGATION_TARGET, words.DELEGATION_MODE)
    counted = Counter(tuple(span.attributes[name] for name in names) for span in run.of_kind("delegation"))
    assert counted == {(each.source, each.target, each.mode): each.count for each in contained.delegations}


def test_each_delegation_is_accepted_by_its_target_in_another_process(run: Run) -> None:
    for delegation in run.of_kind("delegation"):
        agent = run.accepted(delegation)
        assert agent.agent == delegation.attributes[words.DELEGATION_TARGET] != delegation.agent
        assert run.texts(agent, words.Slot.TASK) == run.texts(delegation, words.Slot.TASK)


def test_a_call_brings_back_what_was_returned_and_a_transfer_nothing(run: Run) -> None:
    for delegation in run.of_kind("delegation"):
        given, got = (
            run.texts(run.accepted(delegation), words.Slot.RETURNED),
            run.texts(delegation, words.Slot.RETURNED),
        )
        assert given and got == (given if delegation.attributes[words.DELEGATION_MODE] == "call" else "")


def test_both_researchers_are_asked_before_either_has_answered(run: Run) -> None:
    first, second = (run.delegation_to("research", order) for order in (0, 1))
    assert first.end is not None and first.start.at_ns < second.start.at_ns < first.end.at_ns


def test_control_leaves_the_planner_before_the_writer_is_done(run: Run) -> None:
    handed_over = run.delegation_to("writer")
    writer = run.accepted(handed_over)
    assert handed_over.end is not None and writer.end is not None and handed_over.end.at_ns < writer.end.at_ns


def test_tools_are_called_and_fail_as_often_as_the_truth_says(run: Run, contained: Truth) -> None:
    spans = run.of_kind("tool")
    calls, errors = Counter(s.name for s in spans), Counter(s.name for s in spans if s.status == "error")
    assert {name: (count, errors[name]) for name, count in calls.items()} == contained.tools


def test_the_retry_repeats_one_call_unchanged_until_it_answers(run: Run, contained: Truth) -> None:
    failed = [s for s in run.of_kind("tool") if s.name == contained.retried_tool and s.status == "error"]
    assert [span.attributes[words.ERROR_TYPE] for span in failed] == ["TimeoutError"] * contained.retried_failures
    (arguments,) = {run.texts(span, words.Slot.ARGUMENTS) for span in failed}
    (answered,) = [
        s for s in run.of_kind("tool") if s.status == "ok" and run.texts(s, words.Slot.ARGUMENTS) == arguments
    ]
    assert answered.start.at_ns > max(span.start.at_ns for span in failed)


def test_the_root_of_the_cascade_is_a_failed_page_with_status_ok(run: Run, contained: Truth) -> None:
    asked = json.dumps({"source": contained.root_source}, separators=(",", ":"))
    (page,) = [
        span
        for span in run.of_kind("tool")
        if span.name == contained.root_tool and run.texts(span, words.Slot.ARGUMENTS) == asked
    ]
    assert page.status == "ok" and page.agent == contained.root_agent
    assert page.parent_id == run.accepted(run.delegation_to("research", 1)).span_id
    assert run.texts(page, words.Slot.RESULT).startswith(contained.root_text)


def test_the_wrong_figure_travels_the_path_and_reaches_the_final_answer(run: Run, contained: Truth) -> None:
    stations = {
        "research": run.texts(run.accepted(run.delegation_to("research", 1)), words.Slot.RETURNED),
        "planner": run.texts(run.delegation_to("writer"), words.Slot.TASK),
        "writer": run.texts(run.accepted(run.delegation_to("writer")), words.Slot.RETURNED),
        "reviewer": run.texts(run.accepted(run.delegation_to("reviewer")), words.Slot.RETURNED),
    }
    assert tuple(stations) == contained.path
    assert [agent for agent, text in stations.items() if contained.wrong_figure not in text] == []
    assert stations["writer"] == run.result.answer
    assert contained.right_figure not in run.result.answer


def test_the_wrong_figure_is_nowhere_before_the_cached_copy(run: Run, contained: Truth) -> None:
    (cache,) = [span for span in run.of_kind("tool") if span.name == "read_cache"]
    number = contained.wrong_figure.removesuffix("M")
    slots = (words.Slot.TASK, words.Slot.INPUT, words.Slot.OUTPUT, words.Slot.ARGUMENTS, words.Slot.RESULT)
    earlier = [span for span in run.spans if span.end is not None and span.end.at_ns < cache.start.at_ns]
    assert len(earlier) > 5
    assert [span.name for span in earlier for slot in slots if number in run.texts(span, slot)] == []


def test_the_check_that_surfaces_it_names_both_figures(run: Run, contained: Truth) -> None:
    (check,) = [span for span in run.of_kind("tool") if span.name == contained.surfaced_tool]
    assert check.end is not None and check.attributes[words.ERROR_TYPE] == "ValueError"
    assert contained.wrong_figure in check.end.message and contained.right_figure in check.end.message


def test_a_handled_error_leaves_its_agent_ok(run: Run) -> None:
    assert {span.agent: span.status for span in run.of_kind("agent")} == dict.fromkeys(ROLES, "ok")


def test_the_lost_constraints_reach_one_researcher_and_not_the_other(run: Run, contained: Truth) -> None:
    assert contained.lost_between == ("planner", "research")
    told, untold = (run.texts(run.delegation_to("research", order), words.Slot.TASK) for order in (0, 1))
    assert [value for value in contained.lost if value not in told or value in untold] == []


def test_no_other_hand_over_loses_a_constraint(run: Run, contained: Truth) -> None:
    for agent in ("coder", "tester", "writer", "reviewer"):
        task = run.texts(run.delegation_to(agent), words.Slot.TASK)
        assert [value for value in (*contained.lost, "at most 400 words") if value not in task] == []


def test_the_date_of_the_stale_figure_stays_with_the_researcher(run: Run, contained: Truth) -> None:
    holders = {
        span.agent
        for span in run.spans
        for slot in (words.Slot.RESULT, words.Slot.INPUT, words.Slot.TASK, words.Slot.RETURNED)
        if contained.dropped_on_return in run.texts(span, slot)
    }
    assert holders == {contained.root_agent}


def test_good_news_that_sounds_bad_is_in_it(run: Run, contained: Truth) -> None:
    (checks,) = [span for span in run.of_kind("tool") if span.name == "run_checks"]
    assert contained.harmless_text in run.texts(checks, words.Slot.RESULT)


def test_thoughts_plans_documents_and_streamed_text_are_seen(run: Run) -> None:
    thoughts = [
        (run.texts(e, words.Slot.OUTPUT), e.attributes[words.CONFIDENCE]) for e in run.events(words.EVENT_THOUGHT)
    ]
    assert ("S3 is down; the cached copy will do", 0.4) in thoughts
    assert len(run.events(words.EVENT_PLAN)) == 1
    assert len(run.events(words.EVENT_CONTEXT)) == 2
    assert len(run.events(words.EVENT_DELTA)) > 5


def test_every_model_call_counts_its_tokens(run: Run) -> None:
    for call in run.of_kind("model"):
        assert call.attributes[words.INPUT_TOKENS] > 0 and call.attributes[words.OUTPUT_TOKENS] > 0


def test_progress_names_every_process_and_the_end(run: Run) -> None:
    assert [line.split()[0] for line in run.progress[: len(ROLES)]] == list(ROLES)
    assert run.progress[-1] == "the team has stopped"


def _told(run: Run) -> Counter[tuple[object, ...]]:
    """What a run says with everything left out that belongs to this run alone: ids, times, processes."""
    slots = ("input", "output", "arguments", "result", "task", "returned", "tools", "context", "system")
    return Counter(
        (span.kind, span.name, span.agent, span.status, *(tuple(span.contents.get(slot, ())) for slot in slots))
        for span in run.spans
    )


def test_equal_seeds_say_equal_things(run: Run) -> None:
    again = run_of(SEED)
    assert _told(again) == _told(run)
    assert again.result.answer == run.result.answer and again.result.trace_id != run.result.trace_id


def test_a_team_that_is_stopped_from_elsewhere_gives_up_at_once() -> None:
    with FakeCollector() as collector:
        team = Team(collector.endpoint, SEED, 5.0)

        def stop_once_seen() -> None:
            collector.wait_until(lambda seen: bool(seen.spans()), 30.0)
            team.stop()

        at_work = threading.Thread(target=stop_once_seen)
        with pytest.raises(TrajectoryError, match="was stopped"), team:
            at_work.start()
            team.ask()
        at_work.join()
    assert set(team.exit_codes) == set(ROLES) and all(code < 0 for code in team.exit_codes.values())


def test_a_team_that_is_stopped_while_it_starts_leaves_nobody_behind() -> None:
    team = Team("tcp://127.0.0.1:1", SEED, PACE, lambda line: team.stop())
    with pytest.raises(TrajectoryError, match="was stopped"), team:
        team.ask()
    assert team.exit_codes == dict.fromkeys(ROLES, -signal.SIGKILL)


def test_a_team_needs_no_collector() -> None:
    result = run_team("tcp://127.0.0.1:1", SEED, 0.0)
    assert truth(SEED).wrong_figure in result.answer
    assert result.exit_codes == dict.fromkeys(ROLES, 0)


def test_a_team_that_cannot_start_says_why_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho starting >&2\necho 'no room left' >&2\nexit 1\n")
    python.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(TrajectoryError, match=r"planner did not start: no room left$"):
        run_team("tcp://127.0.0.1:1", SEED, PACE)


def _refuses(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return True
    return False


def test_agents_end_when_the_process_that_started_them_is_killed() -> None:
    started = (
        "from trajectory.cli.demo_team.team import run_team\n"
        "run_team('tcp://127.0.0.1:1', 0, 5.0, lambda line: print(line, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", started], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        said = list(iter(starter.stdout.readline, "the team works\n"))
        addresses = [line.split()[-1] for line in said]
        assert len(addresses) == len(ROLES) and not any(map(_refuses, addresses))
        starter.kill()
    deadline = time.monotonic() + 10.0
    while not all(map(_refuses, addresses)):
        assert time.monotonic() < deadline, "agents outlive the process that started them"


def test_a_member_that_is_gone_is_noticed_where_it_is_asked_and_its_last_words_are_told(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w+b") as errors:
        member = _Member("planner", ["--nonsense"], errors)
        team = Team("tcp://127.0.0.1:1", 0, 0.0)
        member.address, team._members["planner"] = "127.0.0.1:1", member
        assert member._process.wait(30) == 2
        member.tell("{}")
        with pytest.raises(TrajectoryError, match=r"gave no answer: .* \(planner: .* are required: --endpoint"):
            team.ask()
        member.end()
        assert member.wait(0.0) == 2


def test_a_member_whose_team_goes_before_it_begins_ends_well() -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "trajectory.cli.demo_team.member",
        "reviewer",
        "--endpoint",
        "tcp://127.0.0.1:1",
    ]
    done = subprocess.run(
        [*command, "--seed", "0", "--pace", "0"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
    )
    assert done.stdout.startswith(b"ready 127.0.0.1:") and done.stderr == b""
