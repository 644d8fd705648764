"""Decorated functions of every flavour: they behave as they do alone, and each call is one span."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import trajectory
from trajectory.emitter.current import here
from trajectory.testing import CapturingCollector

pytestmark = pytest.mark.usefixtures("captured")


def test_a_decorated_agent_captures_arguments_and_result(captured: CapturingCollector) -> None:
    @trajectory.agent("researcher")
    def research(task: str, depth: int = 1, *more: str, **options: Any) -> dict[str, Any]:
        """Doc."""
        return {"found": task}

    assert research("s3", 2, "a", "b", fast=True) == {"found": "s3"}
    assert (research.__name__, research.__doc__) == ("research", "Doc.")
    span = captured.span("invoke_agent researcher")
    assert captured.texts(span, "input") == ['{"depth":2,"fast":true,"more":["a","b"],"task":"s3"}']
    assert captured.texts(span, "output") == ['{"found":"s3"}']


def test_each_call_of_a_decorated_function_is_a_span_of_its_own(captured: CapturingCollector) -> None:
    @trajectory.span("fib")
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(4) == 3
    spans = captured.spans("fib")
    assert len(spans) == 9
    assert len({span.trace_id for span in spans}) == 1
    assert all(span.status == "ok" for span in spans)


def test_one_decorated_agent_that_calls_another_is_its_parent(captured: CapturingCollector) -> None:
    @trajectory.agent("booker")
    def book(task: str) -> str:
        return task.upper()

    @trajectory.agent("planner")
    def plan(task: str) -> str:
        return book(task)

    assert plan("h7") == "H7"
    planner, booker = captured.spans(kind="agent")
    assert booker.parent_id == planner.span_id
    assert (planner.agent, booker.agent) == ("planner", "booker")


async def test_a_coroutine_function_stays_one(captured: CapturingCollector) -> None:
    @trajectory.tool
    async def fetch(url: str) -> str:
        await asyncio.sleep(0)
        with trajectory.span("inside"):
            return url

    assert inspect.iscoroutinefunction(fetch)
    assert await fetch("u") == "u"
    assert captured.span("inside").parent_id == captured.span("fetch").span_id
    assert captured.texts(captured.span("fetch"), "result") == ["u"]
    assert here.get() is None


async def test_async_with_works_for_every_kind_of_step(captured: CapturingCollector) -> None:
    async with (
        trajectory.session("s"),
        trajectory.agent("a"),
        trajectory.delegate("b") as work,
        trajectory.accept(work.headers, agent="b"),
        trajectory.model("m"),
        trajectory.tool("t"),
        trajectory.span("x"),
    ):
        pass
    assert [span.status for span in captured.spans()] == ["ok"] * 6


async def test_tasks_inherit_where_they_were_made(captured: CapturingCollector) -> None:
    async def step(name: str) -> None:
        with trajectory.span(name):
            await asyncio.sleep(0)

    with trajectory.agent("planner"):
        await asyncio.gather(*(step(f"s{index}") for index in range(20)))
    planner = captured.spans(kind="agent")[0]
    assert all(span.parent_id == planner.span_id for span in captured.spans(kind="other"))


async def test_a_cancelled_task_is_no_error(captured: CapturingCollector) -> None:
    started = asyncio.Event()

    @trajectory.agent("waiter")
    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    span = captured.span("invoke_agent waiter")
    assert span.status == "unset"
    assert span.attributes["trajectory.interrupted"] == "asyncio.exceptions.CancelledError"
    assert span.events == []


def test_a_function_that_returns_a_coroutine_ends_with_it(captured: CapturingCollector) -> None:
    async def fetch(url: str) -> str:
        with trajectory.span("inside"):
            return url

    work = trajectory.tool(name="fetch")(lambda: fetch("u"))()
    assert captured.span("fetch").open
    assert here.get() is None
    assert asyncio.run(work) == "u"
    assert captured.span("fetch").status == "ok"
    assert captured.span("inside").parent_id == captured.span("fetch").span_id


def test_a_generator_keeps_its_context_to_itself(captured: CapturingCollector) -> None:
    @trajectory.agent("streamer")
    def stream(count: int) -> Iterator[str]:
        for index in range(count):
            with trajectory.span(f"piece {index}"):
                yield f"p{index}"

    with trajectory.agent("consumer"):
        for _ in stream(2):
            with trajectory.span("use"):
                assert captured.span("invoke_agent streamer").open
    streamer, consumer = captured.span("invoke_agent streamer"), captured.span("invoke_agent consumer")
    assert streamer.parent_id == consumer.span_id
    assert [span.parent_id for span in captured.spans("use")] == [consumer.span_id] * 2
    assert {captured.span(f"piece {i}").parent_id for i in range(2)} == {streamer.span_id}
    assert {captured.span(f"piece {i}").agent for i in range(2)} == {"streamer"}
    assert captured.texts(streamer, "output") == ["p0p1"]
    assert streamer.status == "ok"


def test_a_generator_is_sent_to_thrown_at_and_returns_as_alone(captured: CapturingCollector) -> None:
    def talk() -> Any:
        heard = yield 1
        try:
            yield heard
        except KeyError:
            yield "caught"
        return "end"

    def whole(make: Any) -> list[Any]:
        seen: list[Any] = []
        work = make()
        seen += [next(work), work.send("hello"), work.throw(KeyError("k"))]
        try:
            next(work)
        except StopIteration as end:
            seen.append(end.value)
        return seen

    assert whole(trajectory.span("talk")(talk)) == whole(talk) == [1, "hello", "caught", "end"]
    assert inspect.isgeneratorfunction(trajectory.span("talk")(talk))
    span = captured.span("talk")
    assert (span.status, captured.texts(span, "output")) == ("ok", ['[1,"hello","caught"]'])


def test_a_generator_that_is_left_alone_is_closed_and_no_error(captured: CapturingCollector) -> None:
    closed: list[bool] = []

    @trajectory.span("endless")
    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    work = endless()
    next(work)
    work.close()
    assert closed == [True]
    assert captured.span("endless").status == "unset"
    assert not captured.span("endless").open


def test_a_generator_that_fails_says_so(captured: CapturingCollector) -> None:
    @trajectory.span("failing")
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("x")

    with pytest.raises(ValueError):
        list(failing())
    span = captured.span("failing")
    assert (span.status, captured.texts(span, "output")) == ("error", ["[1]"])


async def test_an_async_generator_keeps_its_context_to_itself(captured: CapturingCollector) -> None:
    @trajectory.agent("streamer")
    async def stream(count: int) -> AsyncIterator[str]:
        for index in range(count):
            await asyncio.sleep(0)
            with trajectory.span("piece"):
                yield f"p{index}"

    assert inspect.isasyncgenfunction(stream)
    with trajectory.agent("consumer"):
        async for _ in stream(3):
            with trajectory.span("use"):
                pass
    streamer, consumer = captured.span("invoke_agent streamer"), captured.span("invoke_agent consumer")
    assert {span.parent_id for span in captured.spans("use")} == {consumer.span_id}
    assert {span.parent_id for span in captured.spans("piece")} == {streamer.span_id}
    assert captured.texts(streamer, "output") == ["p0p1p2"]
    assert streamer.status == "ok"


async def test_an_async_generator_is_sent_to_thrown_at_and_closed_as_alone(captured: CapturingCollector) -> None:
    closed: list[str] = []

    async def talk() -> Any:
        try:
            heard = yield 1
            try:
                yield heard
            except KeyError:
                yield "caught"
        finally:
            closed.append("yes")

    async def whole(make: Any) -> list[Any]:
        work = make()
        seen = [await work.asend(None), await work.asend("hello"), await work.athrow(KeyError("k"))]
        await work.aclose()
        return seen

    assert await whole(trajectory.span("talk")(talk)) == await whole(talk) == [1, "hello", "caught"]
    assert closed == ["yes", "yes"]
    assert captured.span("talk").status == "unset"


def test_a_pool_thread_carries_the_context(captured: CapturingCollector) -> None:
    def step(index: int) -> None:
        with trajectory.span(f"s{index}"):
            pass

    with trajectory.agent("planner"), ThreadPoolExecutor(4) as pool:
        list(pool.map(trajectory.carry(step), range(50)))
        pool.submit(step, 99).result()
    planner = captured.spans(kind="agent")[0]
    assert {captured.span(f"s{index}").parent_id for index in range(50)} == {planner.span_id}
    assert captured.span("s99").parent_id == b""


def test_methods_class_methods_and_static_methods_can_be_tools(captured: CapturingCollector) -> None:
    class Desk:
        @trajectory.tool
        def one(self, query: str) -> str:
            return query

        @trajectory.tool
        @staticmethod
        def two(query: str) -> str:
            return query

        @classmethod
        @trajectory.tool
        def three(cls, query: str) -> str:
            return f"{cls.__name__} {query}"

    desk = Desk()
    assert (desk.one("a"), desk.two("b"), desk.three("c")) == ("a", "b", "Desk c")
    asked = [captured.texts(captured.span(name), "arguments") for name in ("one", "two", "three")]
    assert asked == [['{"query":"a"}'], ['{"query":"b"}'], ['{"query":"c"}']]


def test_a_class_is_not_decorated_and_stays_itself(captured: CapturingCollector) -> None:
    class Plain:
        pass

    assert trajectory.agent("x")(Plain) is Plain


def test_a_model_function_gives_its_messages_and_its_reply(captured: CapturingCollector) -> None:
    @trajectory.model("gpt-5")
    def chat(messages: list[dict[str, str]]) -> str:
        return "hello"

    chat([{"role": "user", "content": "hi"}])
    span = captured.span("chat gpt-5")
    assert captured.texts(span, "input") == ["hi"]
    assert captured.texts(span, "output") == ["hello"]


class Lazy:
    """A stand-in for what is not there yet, which raises whatever it is asked, even for its class."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("working outside of a request")


def plain(value: Any) -> Any:
    return value


async def awaited(value: Any) -> Any:
    return value


def yielding(value: Any) -> Iterator[Any]:
    yield value


def returning(value: Any) -> Generator[Any, None, Any]:
    return value
    yield


class Keeper:
    def keep(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("function", [plain, awaited, yielding, returning, Keeper().keep])
def test_values_that_cannot_be_read_pass_through_untouched_and_that_is_said(
    captured: CapturingCollector, function: Any, caplog: pytest.LogCaptureFixture
) -> None:
    value = Lazy()
    if function in (plain, awaited, yielding, returning):
        answered = trajectory.span("work")(function)(value)
    else:
        answered = trajectory.wrap(Keeper(), agent="keeper").keep(value)
    if function is awaited:
        answered = asyncio.run(answered)
    elif function in (yielding, returning):
        answered = next(answered) if function is yielding else exhausted(answered)
    assert answered is value
    assert len(captured.spans()) == 1 and caplog.text.count("could not be read") == 1  # what it gave
    assert "Lazy object" in captured.texts(captured.spans()[0], "input")[0]


def exhausted(work: Generator[Any, None, Any]) -> Any:
    try:
        next(work)
    except StopIteration as end:
        return end.value


def test_a_function_without_a_signature_says_what_it_was_given(captured: CapturingCollector) -> None:
    assert trajectory.agent("counter")(max)(1, 2) == 2
    assert captured.texts(captured.spans()[0], "input") == ['{"args":[1,2]}']


def test_a_function_that_hands_out_a_generator_ends_with_it(captured: CapturingCollector) -> None:
    def numbers(count: int) -> Iterator[int]:
        return (number for number in range(count))

    def failing() -> Any:
        async def work() -> None:
            raise ValueError("none left")

        return work()

    async def letters() -> AsyncIterator[str]:
        yield "a"

    work = trajectory.agent("counter")(numbers)(3)
    assert captured.spans()[0].open and here.get() is None
    assert list(work) == [0, 1, 2] and not captured.spans()[0].open
    with pytest.raises(ValueError, match="none left"):
        asyncio.run(trajectory.agent("failing")(failing)())
    assert [span.status for span in captured.spans()] == ["ok", "error"]

    async def read() -> list[str]:
        return [each async for each in trajectory.agent("speller")(lambda: letters())()]

    assert asyncio.run(read()) == ["a"] and captured.texts(captured.spans()[2], "output") == ["a"]


def test_no_more_of_a_generator_is_kept_than_there_is_room_for(
    captured: CapturingCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajectory.emitter.items.MAX_BYTES", 3)

    @trajectory.agent("streamer")
    def stream() -> Iterator[str]:
        yield from ["ab", "cd", "ef"]

    assert "".join(stream()) == "abcdef"
    assert captured.texts(captured.spans()[0], "output") == ["abcd"]


def test_a_model_or_a_delegation_whose_function_has_no_such_words_says_its_arguments(
    captured: CapturingCollector,
) -> None:
    trajectory.model("m")(lambda prompt: "yes")("Is it?")
    trajectory.delegate("far")(lambda order: "done")("Find H7")
    trajectory.delegate("named", task="As I said")(lambda order: "done")("Find H8")
    model, far, named = captured.spans()
    assert captured.texts(named, "task") == ["As I said"]
    assert captured.texts(model, "input") == ['{"prompt":"Is it?"}']
    assert captured.texts(far, "task") == ['{"order":"Find H7"}']
