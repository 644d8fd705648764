"""Trajectory traces teams of LLM agents and shows them, live, in a terminal.

Invariant: importing this loads the standard library only; a public name is loaded when it is first used.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import trajectory.model as _room

__version__ = "0.1.0"

_LOGS = ("JsonLines", "logging_handler")
__all__ = [
    "JsonLines", "accept", "agent", "carry", "context", "delegate", "flush", "init", "instrument", "logging_handler",
    "model", "plan", "session", "span", "thought", "tool", "wrap",
]  # fmt: skip

if TYPE_CHECKING:
    from trajectory.emitter.api import (
        accept,
        agent,
        carry,
        context,
        delegate,
        flush,
        init,
        instrument,
        model,
        plan,
        session,
        span,
        thought,
        tool,
        wrap,
    )
    from trajectory.emitter.logs import JsonLines, logging_handler


class _Room(ModuleType):
    """The package `trajectory.model`, which can be called: people write `trajectory.model("gpt-5")` for a model call.

    Importing a package binds its name in its parent, so the function of that name has to be the package itself.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from trajectory.emitter.api import model

        return model(*args, **kwargs)


_room.__class__ = _Room


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trajectory.emitter import api, logs

    value = globals()[name] = getattr(logs if name in _LOGS else api, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
