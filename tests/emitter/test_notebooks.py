"""The emitter in a notebook: cells with await at their top, run again and again in one process and one event loop."""

import ast
import asyncio
import contextlib
import threading
import time
import types
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import trajectory
from trajectory.emitter import identity
from trajectory.emitter import tracer as tracers
from trajectory.emitter.current import here
from trajectory.model.words import SESSION_ID
from trajectory.testing import FakeCollector

Run = Callable[[str], Awaitable[None]]

SETUP = "import asyncio, trajectory\ntrajectory.init(service='notebook', endpoint=endpoint)"
TOOL = """
@trajectory.tool
async def search(query: str) -> str:
    await asyncio.sleep(0)
    return query.upper()

@trajectory.agent("researcher")
async def research(task: str) -> str:
    trajectory.thought("on it")
    return await search(task)
"""
CALL = "with trajectory.session('chat'):\n    answer = await research('hotels')"


class _Cells:
    """Runs cells as ipykernel does: each compiled with await allowed at its top, and awaited in the kernel's own loop."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names

    async def run(self, source: str) -> None:
        code = compile(source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = types.FunctionType(code, self._names)()
        if code.co_flags & 0x80:  # CO_COROUTINE
            await running


class _IPython:
    """Runs cells in IPython's own shell, where it is installed."""

    def __init__(self, names: dict[str, Any]) -> None:
        shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
        self._shell = shell(user_ns=names)
        self._shell.history_manager.enabled = False
        self._shell.showtraceback = lambda *_, **__: None

    async def run(self, source: str) -> None:
        ended = await self._shell.run_cell_async(source, transformed_cell=self._shell.transform_cell(source))
        ended.raise_error()


@pytest.fixture(params=[_Cells, _IPython], ids=["cells", "ipython"])
def shell(request: pytest.FixtureRequest, collector: FakeCollector) -> Any:
    return request.param({"__name__": "__main__", "endpoint": collector.endpoint, "collector": collector})


def _senders() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "trajectory-sender"]


def told(collector: FakeCollector) -> list[tuple[str, str]]:
    assert trajectory.flush(10)
    return [(span.name, span.status) for span in collector.spans()]


def test_cells_that_are_run_again_with_init_tell_each_run_once_from_one_source(
    shell: Any, collector: FakeCollector
) -> None:
    async def notebook() -> None:
        for _ in range(3):
            for cell in (SETUP, TOOL, CALL):
                await shell.run(cell)
                assert here.get() is None

    asyncio.run(notebook())
    assert told(collector) == [("invoke_agent researcher", "ok"), ("search", "ok")] * 3
    assert len(collector.sources()) == 1
    agents, tools = collector.spans("invoke_agent researcher"), collector.spans("search")
    assert [tool.parent_id for tool in tools] == [agent.span_id for agent in agents]
    assert len({agent.trace_id for agent in agents}) == 3
    assert {agent.attributes[SESSION_ID] for agent in agents} == {"chat"}


def test_a_tool_that_a_cell_defines_anew_has_its_new_schema(shell: Any, collector: FakeCollector) -> None:
    async def notebook() -> None:
        await shell.run(SETUP)
        for cell in (TOOL, TOOL.replace("query: str", "query: str, pages: int = 3")):
            await shell.run(cell)
            await shell.run("await search('x')")

    asyncio.run(notebook())
    assert told(collector) == [("search", "ok")] * 2
    schemas = [collector.payload(span.contents["tools"][0]).body for span in collector.spans("search")]
    assert [b'"pages"' in schema for schema in schemas] == [False, True]


def test_a_cell_that_fails_or_is_interrupted_leaves_the_next_one_a_clean_beginning(
    shell: Any, collector: FakeCollector
) -> None:
    async def notebook() -> None:
        await shell.run(SETUP + TOOL)
        for end in ("raise ValueError('no')", "raise KeyboardInterrupt", "raise asyncio.CancelledError"):
            with contextlib.suppress(ValueError, KeyboardInterrupt, asyncio.CancelledError):
                await shell.run(f"with trajectory.agent('a'):\n    await search('x')\n    {end}")
            assert here.get() is None
        await shell.run(CALL)

    asyncio.run(notebook())
    ends = [status for name, status in told(collector) if name == "invoke_agent a"]
    assert ends == ["error", "unset", "unset"]
    (last,) = collector.spans("invoke_agent researcher")
    assert last.parent_id == b""


def test_an_init_that_says_something_new_at_every_run_loses_nothing_and_leaves_one_thread(
    shell: Any, collector: FakeCollector
) -> None:
    others = _senders()  # of earlier tests: one that had an open span at an `init` lives as long as its process

    async def notebook() -> None:
        for _ in range(8):
            await shell.run(SETUP.replace("endpoint=endpoint", "endpoint=endpoint, processors=[lambda fact: fact]"))
            await shell.run(TOOL)
            await shell.run(CALL)

    asyncio.run(notebook())
    assert trajectory.flush(10)
    assert collector.wait_until(lambda it: len(it.spans("search")) == 8)
    assert collector.wait_until(lambda it: sum(source.said_bye for source in it.sources()) == 7)
    deadline_s = time.monotonic() + 10
    while len(senders := [one for one in _senders() if one not in others]) > 1:
        assert time.monotonic() < deadline_s, senders
        senders[0].join(0.1)
    assert {span.status for span in collector.spans()} == {"ok"}


def test_tasks_that_a_cell_starts_go_on_in_their_agent_while_other_cells_run(
    shell: Any, collector: FakeCollector
) -> None:
    async def notebook() -> None:
        await shell.run(SETUP + TOOL)
        await shell.run("with trajectory.agent('lead') as lead:\n    task = asyncio.create_task(research('later'))")
        await shell.run("with trajectory.agent('other'):\n    await search('now')")
        await shell.run("await task")

    asyncio.run(notebook())
    assert len(told(collector)) == 5
    (lead,), (other,) = collector.spans("invoke_agent lead"), collector.spans("invoke_agent other")
    (late,) = collector.spans("invoke_agent researcher")
    assert late.parent_id == lead.span_id
    assert {span.parent_id for span in collector.spans("search")} == {late.span_id, other.span_id}


@pytest.mark.parametrize(
    ("program", "session", "service"),
    [
        ("/lib/ipykernel_launcher.py", "/home/me/trip planner.ipynb", "trip planner"),
        ("/lib/ipykernel_launcher.py", "", "notebook"),
        ("/home/me/trip.py", "/home/me/other.ipynb", "trip"),
    ],
)
def test_a_notebook_gives_its_process_its_name(
    monkeypatch: pytest.MonkeyPatch, program: str, session: str, service: str
) -> None:
    monkeypatch.setattr("sys.argv", [program])
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    monkeypatch.delenv("TRAJECTORY_SERVICE", raising=False)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    assert identity.default_service() == service
    assert tracers.Tracer().service == service
