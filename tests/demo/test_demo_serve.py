"""An agent behind HTTP: what it answers to good requests and bad ones, without any process started."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.demo.truth import truth
from trajectory.cli.demo_team.agent import Surroundings
from trajectory.cli.demo_team.serve import AgentServer
from trajectory.cli.demo_team.talk import MAX_BODY_BYTES, AskFailed, ask, collect
from trajectory.cli.demo_team.team import ROLES
from trajectory.cli.demo_team.world import World
from trajectory.testing import CapturingCollector

NOBODY = "127.0.0.1:1"
REVIEW = "Review this memo. Use only audited sources.\n- US 71.2M EUR (S1)"


@pytest.fixture
def collector() -> Iterator[CapturingCollector]:
    with CapturingCollector() as collector:
        yield collector


def serving(role: str, world: World) -> Iterator[AgentServer]:
    with AgentServer(role) as server:
        server.around = Surroundings(world, {"research": NOBODY, "reviewer": NOBODY}, pace=0.0)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def reviewer(collector: CapturingCollector) -> Iterator[AgentServer]:
    yield from serving("reviewer", World.of(0))


@pytest.fixture
def planner(collector: CapturingCollector) -> Iterator[AgentServer]:
    yield from serving("planner", World.of(0))


def status_of(server: AgentServer, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10.0)
    try:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_call_is_answered_after_it_was_accepted(reviewer: AgentServer) -> None:
    accepted = threading.Event()
    answer = ask(reviewer.address, REVIEW, on_accepted=accepted.set)
    assert accepted.is_set() and answer.text.startswith("accept") and answer.continued_at == ""


def test_a_transfer_is_answered_with_an_address_and_the_result_is_there(
    reviewer: AgentServer, collector: CapturingCollector
) -> None:
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    answer = ask(reviewer.address, REVIEW, "transfer", headers)
    assert answer.text == "" and answer.continued_at.startswith(reviewer.address)
    assert collect(answer.continued_at).text.startswith("accept")
    assert collector.span("invoke_agent reviewer").parent_id.hex() == "cd" * 8


def test_work_without_a_baton_begins_a_trace(reviewer: AgentServer, collector: CapturingCollector) -> None:
    ask(reviewer.address, REVIEW)
    assert collector.span("invoke_agent reviewer").parent_id == b""


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"mode": "call"}', b'{"task": 7}', b"\xff"])
def test_a_request_that_is_no_task_is_refused(reviewer: AgentServer, body: bytes) -> None:
    assert status_of(reviewer, "POST", "/work", body, {"Content-Length": str(len(body))}) == 400


@pytest.mark.parametrize("length", ["", "-1", "many", str(MAX_BODY_BYTES + 1)])
def test_a_request_without_a_sane_length_is_refused_unread(reviewer: AgentServer, length: str) -> None:
    assert status_of(reviewer, "POST", "/work", b"", {"Content-Length": length}) == 400


def test_what_was_not_handed_over_is_not_found(reviewer: AgentServer) -> None:
    with pytest.raises(AskFailed, match="404"):
        collect(f"{reviewer.address}/answers/1")


def test_a_colleague_that_is_not_there_is_told_to_the_asker(
    planner: AgentServer, collector: CapturingCollector
) -> None:
    with pytest.raises(AskFailed, match=f"planner: {NOBODY} did not answer"):
        ask(planner.address, World.of(0).task)
    assert collector.span("invoke_agent planner").status == "error"


def test_nobody_at_an_address_is_an_error_that_names_it() -> None:
    with pytest.raises(AskFailed, match=f"{NOBODY} did not answer"):
        ask(NOBODY, "task")


@pytest.mark.parametrize("seed", range(12))
def test_every_seed_tells_the_story_of_its_truth(seed: int, collector: CapturingCollector) -> None:
    world, contained = World.of(seed), truth(seed)
    with ExitStack() as stack:
        servers = {role: stack.enter_context(AgentServer(role)) for role in ROLES}
        for server in servers.values():
            addresses = {role: other.address for role, other in servers.items()}
            server.around = Surroundings(world, addresses, pace=0.0)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
        answer = collect(ask(servers["planner"].address, world.task).continued_at)
    assert f"{contained.failing_region} {contained.wrong_figure}" in answer.text
    assert contained.right_figure not in answer.text
    assert Counter(span.agent for span in collector.spans(kind="agent")) == contained.invocations
    tools = collector.spans(kind="tool")
    errors = Counter(span.name for span in tools if span.status == "error")
    assert {n: (count, errors[n]) for n, count in Counter(s.name for s in tools).items()} == contained.tools
