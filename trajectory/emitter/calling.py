"""Functions whose every call is a span: plain ones, coroutines, generators and async generators, each staying what it is.

Invariant: the wrapped function is called exactly once with exactly what it was given, and answers or raises as it does
alone. While a generator rests between two items, its span is open and the consumer's context is the consumer's own.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from trajectory.emitter.items import Inside, Items
from trajectory.emitter.misuse import report

if TYPE_CHECKING:
    from trajectory.emitter.span import Span

F = TypeVar("F", bound=Callable[..., Any])
_LATE = (CoroutineType, GeneratorType, AsyncGeneratorType)
Opened = Callable[[tuple[Any, ...], Mapping[str, Any]], "Span"]


def traced(function: F, step: "Span") -> F:
    """The function, each call of which is a span like `step`, with its arguments and its result in the step's slots."""
    if isinstance(function, (staticmethod, classmethod)):
        return cast(F, type(function)(traced(function.__func__, step)))
    if isinstance(function, type) or not callable(function):
        report("decorated", "trajectory: %r decorates functions; %r stays as it is", step.name, function)
        return function
    bind = binder_of(function)

    def opened(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Span":
        span = step._again()
        try:
            span._arguments(bind(args, kwargs))
        except Exception as fault:  # what a user's value raises while it is encoded
            report("arguments", "trajectory: arguments of %r could not be read: %r", step.name, fault)
        return span

    return cast(F, follow(function, opened))


def follow(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    """A function of the same flavour as `function` that runs it inside the span that `opened` makes."""
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, opened)
    if inspect.isgeneratorfunction(function):
        return _generator(function, opened)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, opened)
    return _plain(function, opened)


def binder_of(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], Mapping[str, Any]], dict[str, Any]]:
    """What turns a call's arguments into a dict by parameter name, `self` and `cls` left out.

    Signature.bind says the same at ten times the cost, and raises where the call itself should.
    """
    names, rest = _parameters(function)
    skip = 1 if names and names[0] in ("self", "cls") else 0

    def bind(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = dict(zip(names[skip:], args[skip:], strict=False))
        if len(args) > len(names):
            bound[rest] = list(args[len(names) :])
        bound.update(kwargs)
        return bound

    return bind


def _parameters(function: Callable[..., Any]) -> tuple[list[str], str]:
    """Names of the positional parameters, and the name under which further ones are kept."""
    names: list[str] = []
    rest = "args"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # builtins may have no signature
        return names, rest
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            rest = parameter.name
    return names, rest


def _settle(span: "Span", result: Any) -> None:
    """Keeps the result for the span's end."""
    try:
        span._result(result)
    except Exception as fault:  # what a user's value raises while it is encoded
        report("result", "trajectory: the result of %r could not be read: %r", span.name, fault)


def _plain(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        span = opened(args, kwargs)
        late = False
        span.__enter__()
        try:
            result = function(*args, **kwargs)
            late = _is_late(result)
            if not late:
                _settle(span, result)
        except BaseException as fault:
            span.__exit__(type(fault), fault, None)
            raise
        if late:  # the work is still to come: the span ends with it
            span._step_out()
            return _late(result, span)
        span.__exit__(None, None, None)
        return result

    return call


def _is_late(result: Any) -> bool:
    """Whether the work is yet to be done. Asked of the type alone: a value may raise where its `__class__` is looked at, and what
    only stands for a generator, and may be more than one, stays what it is."""
    return issubclass(type(result), _LATE)


def _late(result: Any, span: "Span") -> Any:
    """The work that a plain function handed out instead of doing it, inside the span that is open for it."""

    def same(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Span":
        return span

    if inspect.iscoroutine(result):
        return _awaited(result, span)
    flavour = _generator if inspect.isgenerator(result) else _async_generator
    return flavour(lambda: result, same)()


async def _awaited(work: Any, span: "Span") -> Any:
    inside = Inside(span)
    ending: BaseException | None = None
    try:
        with inside:
            result = await work
        _settle(span, result)
        return result
    except BaseException as fault:
        ending = fault
        raise
    finally:
        span.__exit__(None, ending, None)


def _coroutine(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with opened(args, kwargs) as span:
            result = await function(*args, **kwargs)
            _settle(span, result)
            return result

    return call


def _generator(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        work = function(*args, **kwargs)
        inside, items = Inside(opened(args, kwargs)), Items()
        resume: Callable[[], Any] = work.__next__
        with inside.life(items):
            while True:
                try:
                    with inside:
                        item = resume()
                except StopIteration as end:
                    items.end(end.value)
                    return end.value
                items.add(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with inside:
                        work.close()
                    raise
                except BaseException as fault:
                    resume = partial(work.throw, fault)
                else:
                    resume = work.__next__ if sent is None else partial(work.send, sent)

    return call


def _async_generator(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        work = function(*args, **kwargs)
        inside, items = Inside(opened(args, kwargs)), Items()
        resume = work.__anext__
        with inside.life(items):
            while True:
                try:
                    with inside:
                        item = await resume()
                except StopAsyncIteration:
                    return
                items.add(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with inside:
                        await work.aclose()
                    raise
                except BaseException as fault:
                    resume = partial(work.athrow, fault)
                else:
                    resume = partial(work.asend, sent)

    return call
