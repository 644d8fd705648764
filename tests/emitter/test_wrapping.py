"""Wrapped objects: they answer as before, and calls from outside are invocations of an agent."""

import asyncio
import copy
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import trajectory
from trajectory.testing import CapturingCollector

pytestmark = pytest.mark.usefixtures("captured")


class Base:
    def __init__(self) -> None:
        self.mood = "calm"

    def describe(self) -> str:
        return f"{type(self).__name__} is {self.mood}"


class Planner(Base):
    limit = 3

    def __init__(self, tool: Any = None) -> None:
        super().__init__()
        self.tool = tool
        self.log: list[str] = []

    def plan(self, task: str) -> list[str]:
        self.mood = "busy"
        return [self.refine(step) for step in task.split()]

    def refine(self, step: str) -> str:
        self._note(step)
        return step.upper()

    def describe(self) -> str:
        return super().describe() + "!"

    async def ask(self, question: str) -> str:
        await asyncio.sleep(0)
        return question + "?"

    def stream(self, count: int) -> Iterator[int]:
        yield from range(count)

    async def astream(self, count: int) -> AsyncIterator[int]:
        for index in range(count):
            yield index

    @staticmethod
    def half(number: int) -> int:
        return number // 2

    @property
    def size(self) -> int:
        return len(self.log)

    def _note(self, step: str) -> None:
        self.log.append(step)

    def __call__(self, task: str) -> str:
        return self.refine(task)

    def __len__(self) -> int:
        return len(self.log)

    def __getitem__(self, index: int) -> str:
        return self.log[index]

    def __enter__(self) -> "Planner":
        return self

    def __exit__(self, *fault: object) -> None:
        self.mood = "done"


def test_a_call_from_outside_is_an_invocation_and_inner_calls_are_steps(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(), agent="planner")
    assert planner.plan("book hotel") == ["BOOK", "HOTEL"]
    agent, first, second = captured.spans()
    assert (agent.name, agent.agent, agent.kind) == ("invoke_agent planner", "planner", "agent")
    assert captured.texts(agent, "input") == ['{"task":"book hotel"}']
    assert captured.texts(agent, "output") == ['["BOOK","HOTEL"]']
    assert [(one.name, one.kind, one.agent, one.parent_id) for one in (first, second)] == [
        ("refine", "other", "planner", agent.span_id)
    ] * 2
    assert captured.texts(first, "input") == ['{"step":"book"}']


def test_a_wrapped_object_is_the_object_to_whoever_asks(captured: CapturingCollector) -> None:
    raw = Planner()
    planner = trajectory.wrap(raw, agent="planner")
    assert isinstance(planner, Planner)
    assert planner.__class__ is Planner
    assert planner.__wrapped__ is raw  # type: ignore[attr-defined]
    assert (planner.limit, planner.mood, planner.size) == (3, "calm", 0)
    planner.mood = "set"
    assert raw.mood == "set"
    del planner.mood
    assert not hasattr(raw, "mood")
    with pytest.raises(AttributeError):
        planner.absent  # type: ignore[attr-defined]  # noqa: B018
    assert repr(planner) == repr(raw)
    assert captured.spans() == []


def test_special_methods_work_on_a_wrapped_object(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(), agent="planner")
    assert planner("x") == "X"
    assert (len(planner), planner[0]) == (1, "x")
    with planner as entered:
        assert entered is planner
    assert planner.mood == "done"
    with pytest.raises(TypeError):
        5 | planner  # type: ignore[operator]
    assert [span.name for span in captured.spans()] == ["invoke_agent planner", "refine"]


def test_super_works_inside_a_wrapped_object(captured: CapturingCollector) -> None:
    assert trajectory.wrap(Planner(), agent="p").describe().endswith("is calm!")


async def test_async_methods_and_generators_are_steps_too(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(), agent="planner")
    assert await planner.ask("why") == "why?"
    assert list(planner.stream(3)) == [0, 1, 2]
    assert [index async for index in planner.astream(2)] == [0, 1]
    assert planner.half(8) == 4
    outputs = [captured.texts(span, "output") for span in captured.spans(kind="agent")]
    assert outputs == [["why?"], ["[0,1,2]"], ["[0,1]"], ["4"]]


def test_one_wrapped_agent_that_calls_another_is_its_parent(captured: CapturingCollector) -> None:
    class Boss:
        def __init__(self, worker: Planner) -> None:
            self.worker = worker

        def run(self, task: str) -> list[str]:
            return self.worker.plan(task)

    boss = trajectory.wrap(Boss(trajectory.wrap(Planner(), agent="worker")), agent="boss")
    assert boss.run("go") == ["GO"]
    outer, inner = captured.spans(kind="agent")
    assert (outer.agent, inner.agent, inner.parent_id) == ("boss", "worker", outer.span_id)


def test_a_callable_kept_in_an_attribute_is_not_a_step(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(tool=str.upper), agent="planner")
    assert planner.tool("x") == "X"
    assert captured.spans() == []


def test_functions_and_classes_can_be_wrapped(captured: CapturingCollector) -> None:
    def answer(question: str) -> str:
        return question[::-1]

    assert trajectory.wrap(answer)("ab") == "ba"
    made = trajectory.wrap(Planner, agent="maker")()
    assert isinstance(made, Planner)
    made.refine("x")
    assert [span.agent for span in captured.spans()] == ["answer", "maker"]


def test_a_copy_or_a_pickle_of_a_wrapped_object_is_the_object(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(), agent="planner")
    planner.refine("x")
    for twin in (copy.copy(planner), copy.deepcopy(planner), pickle.loads(pickle.dumps(planner))):
        assert type(twin) is Planner
        assert twin.log == ["x"]


def test_an_exception_passes_through_a_wrapped_object(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(), agent="planner")
    with pytest.raises(AttributeError):
        planner.plan(7)  # type: ignore[arg-type]
    assert captured.spans()[0].status == "error"


@pytest.mark.parametrize("target", [None, 3, "text", [1, 2], {"a": 1}, object(), len])
def test_anything_can_be_wrapped(captured: CapturingCollector, target: Any) -> None:
    wrapped = trajectory.wrap(target, agent="thing")
    assert repr(wrapped) == repr(target) or wrapped.__wrapped__ is target
    assert isinstance(wrapped, type(target)) or callable(target)


def test_two_calls_of_a_wrapped_object_inside_one_agent_are_two_invocations(captured: CapturingCollector) -> None:
    planner = trajectory.wrap(Planner(), agent="research")
    with trajectory.agent("boss"):
        planner.refine("a")
        planner.refine("b")
    boss, *both = captured.spans(kind="agent")
    assert [span.parent_id for span in both] == [boss.span_id] * 2


class Nameless:
    """A lazy one, whose name cannot be had yet."""

    @property
    def name(self) -> str:
        raise RuntimeError("not connected")


def test_what_cannot_be_stood_in_for_stays_itself_and_that_is_said(
    captured: CapturingCollector, caplog: pytest.LogCaptureFixture
) -> None:
    lazy = Nameless()
    assert trajectory.wrap(lazy) is lazy
    assert "Nameless cannot be wrapped and stays untraced" in caplog.text
