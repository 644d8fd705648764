"""Objects and callables that exist already, traced from outside: a stand-in whose public methods are steps of an agent.

Invariant: the stand-in answers as the object does, is an instance of the object's class to `isinstance`, and never changes
the object itself. A method's calls to the object's own methods go through the stand-in too, so they are seen as inner steps.
"""

import inspect
import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar, cast

from trajectory.emitter.calling import binder_of, follow, traced
from trajectory.emitter.current import here
from trajectory.emitter.misuse import name_of, report
from trajectory.emitter.span import Span
from trajectory.emitter.steps import AgentSpan

T = TypeVar("T")

_METHODS = (types.FunctionType, staticmethod, classmethod, types.MethodDescriptorType, types.BuiltinMethodType)
# What Python looks up on the class and not on the object, so that a stand-in's class needs it itself.
_FORWARDED = (
    "len", "length_hint", "getitem", "setitem", "delitem", "contains", "iter", "next", "reversed", "bool",
    "str", "format", "bytes", "int", "float", "index", "hash", "eq", "ne", "lt", "le", "gt", "ge",
    "add", "radd", "sub", "mul", "matmul", "truediv", "mod", "or", "ror", "and", "lshift", "rshift",
    "enter", "exit", "aenter", "aexit", "aiter", "anext", "await", "dir",
)  # fmt: skip


def wrap(target: T, agent: str | None = None) -> T:
    """The object or callable with every call from outside as one invocation of the agent.

    A function stays a function of its kind; a class gives wrapped instances; any other object is answered by a stand-in. The
    agent's name is the object's own where none is given.
    """
    try:
        name = name_of(agent) if agent is not None else _name_of(target)
        if isinstance(target, type):
            return cast(T, _makes_wrapped(target, name))
        if isinstance(target, (types.FunctionType, types.MethodType, types.BuiltinFunctionType, partial)):
            return cast(T, traced(target, AgentSpan(name)))
        return cast(T, _stand_in_class(type(target))(target, name))
    except Exception as fault:  # a foreign class may forbid what a stand-in needs
        report("wrap", "trajectory: %s cannot be wrapped and stays untraced: %r", type(target).__name__, fault)
        return target


def _name_of(target: Any) -> str:
    name = getattr(target, "__name__", None) or getattr(target, "name", None)
    return name if isinstance(name, str) else type(target).__name__


def _makes_wrapped(kind: type, name: str) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        return wrap(kind(*args, **kwargs), name)

    make.__name__, make.__qualname__, make.__doc__ = kind.__name__, kind.__qualname__, kind.__doc__
    make.__wrapped__ = kind  # type: ignore[attr-defined]
    return make


class StandIn:
    """Answers for a wrapped object. Its own two fields are found nowhere else, so the object's names are all free."""

    __slots__ = ("__weakref__", "_trajectory_agent", "_trajectory_target")

    def __init__(self, target: Any, agent: str) -> None:
        object.__setattr__(self, "_trajectory_target", target)
        object.__setattr__(self, "_trajectory_agent", agent)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(_target(self))

    @property
    def __wrapped__(self) -> Any:
        return _target(self)

    def __getattr__(self, name: str) -> Any:
        target = _target(self)
        value = getattr(target, name)
        if name.startswith("_") or not _is_method(target, name):
            return value
        return _step(self, target, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_target(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_target(self), name)

    def __repr__(self) -> str:
        return repr(_target(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy, or a pickle, is of the object itself: another process wraps its own."""
        return _target(self).__reduce_ex__(protocol)


def _target(stand_in: StandIn) -> Any:
    return object.__getattribute__(stand_in, "_trajectory_target")


def _is_method(target: Any, name: str) -> bool:
    """Whether the name is a method of the object's class; a callable that is kept in an attribute is not."""
    return isinstance(inspect.getattr_static(type(target), name, None), _METHODS)


def _step(stand_in: StandIn, target: Any, name: str, method: Any) -> Callable[..., Any]:
    """The method as a step, running on the stand-in where it is Python's own, so that calls on `self` are seen."""
    function = getattr(method, "__func__", None)
    if isinstance(function, types.FunctionType) and getattr(method, "__self__", None) is target:
        run: Callable[..., Any] = types.MethodType(function, stand_in)
    else:
        run = method
    agent: str = object.__getattribute__(stand_in, "_trajectory_agent")
    bind = binder_of(run)

    def opened(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Span:
        place = here.get()
        inner = place is not None and place.owner is target
        span = Span(name) if inner else OwnedSpan(agent, target, name)
        try:
            span._arguments(bind(args, kwargs))
        except Exception as fault:  # what a user's value raises while it is encoded
            report("arguments", "trajectory: arguments of %r could not be read: %r", name, fault)
        return span

    return follow(run, opened)


class OwnedSpan(AgentSpan):
    """An invocation of a wrapped object; spans inside it know whose it is."""

    __slots__ = ("_owned",)

    def __init__(self, agent: str, owned: object, method: str) -> None:
        super().__init__(agent, attributes={"code.function.name": method})
        self._owned = owned

    def _become(self, attributes: dict[str, Any]) -> None:
        super()._become(attributes)
        self.owner = self._owned


_classes: dict[type, type[StandIn]] = {}


def _stand_in_class(kind: type) -> type[StandIn]:
    """The stand-in for a class, with the special methods that it has: Python looks those up on the class alone."""
    known = _classes.get(kind)
    if known is not None:
        return known
    body: dict[str, Any] = {"__slots__": ()}
    for name in (f"__{word}__" for word in _FORWARDED):
        if _defines(kind, name):
            body[name] = None if getattr(kind, name) is None else _forward(name)
    if _defines(kind, "__call__"):
        body["__call__"] = _called
    made = _classes[kind] = cast(type[StandIn], type(f"StandIn[{kind.__name__}]", (StandIn,), body))
    return made


def _defines(kind: type, name: str) -> bool:
    """Whether the class or one of its bases says it, `object` and the metaclass not counted."""
    return any(name in vars(base) for base in kind.__mro__ if base is not object)


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        target = _target(self)
        plain = [_target(one) if isinstance(one, StandIn) else one for one in args]
        result = getattr(target, name)(*plain, **kwargs)
        return self if result is target else result

    forward.__name__ = name
    return forward


def _called(self: StandIn, *args: Any, **kwargs: Any) -> Any:
    target = _target(self)
    return _step(self, target, "__call__", target.__call__)(*args, **kwargs)
