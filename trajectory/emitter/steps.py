"""The kinds of span: an agent at work, a tool call, a model call, a delegation, and its far end.

Invariant: attribute names are the GenAI conventions' where they exist, and each slot of content is what `words.Slot` says.
Made by `api` and `wrapping`; what a decorated function is given and gives back lands in the slots of its kind.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from trajectory.emitter import baton
from trajectory.emitter.bodies import Said, each, said, said_message, said_reply
from trajectory.emitter.current import Place, Scope
from trajectory.emitter.misuse import harmless, name_of, report
from trajectory.emitter.span import Span
from trajectory.model import words
from trajectory.model.words import DelegationMode, Grade, Slot, SpanKind, Surface

OPERATION = "gen_ai.operation.name"
FIRST_CHUNK_S = "gen_ai.response.time_to_first_chunk"  # seconds

_OBSERVED = str(Grade.OBSERVED)
_INPUT, _OUTPUT, _TASK, _RETURNED = str(Slot.INPUT), str(Slot.OUTPUT), str(Slot.TASK), str(Slot.RETURNED)
_ARGUMENTS, _RESULT, _TOOLS, _SYSTEM = str(Slot.ARGUMENTS), str(Slot.RESULT), str(Slot.TOOLS), str(Slot.SYSTEM)


class AgentSpan(Span):
    """One invocation of an agent. Spans inside it are the agent's."""

    __slots__ = ("_own_agent", "_own_session", "_title")
    _is_step: ClassVar[bool] = True
    _recipe: ClassVar[tuple[str, ...]] = ("_given", "_bodies", "_own_agent", "_own_session", "_title")

    def __init__(
        self,
        name: str,
        session: str | None = None,
        title: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"invoke_agent {name}", str(SpanKind.AGENT), attributes)
        self._own_agent = name
        self._own_session = session
        self._title = title

    def output(self, value: Any) -> None:
        """What the agent gave; visible at once."""
        self._set_body(_OUTPUT, value)

    def returned(self, value: Any) -> None:
        """What the agent gave back to whoever delegated to it."""
        self._set_body(_RETURNED, value)

    def _become(self, attributes: dict[str, Any]) -> None:
        self.agent = self._own_agent or self.agent
        if self._own_session is not None:
            self.session = self._own_session
        attributes[OPERATION] = "invoke_agent"
        attributes[words.AGENT_NAME] = self._own_agent
        if self._title is not None:
            attributes[words.TITLE] = name_of(self._title)


class ToolSpan(Span):
    """One call of a tool."""

    __slots__ = ("_tool",)
    _takes: ClassVar[str] = _ARGUMENTS
    _gives: ClassVar[str] = _RESULT
    _is_step: ClassVar[bool] = True
    _recipe: ClassVar[tuple[str, ...]] = ("_given", "_bodies", "_tool")

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name, str(SpanKind.TOOL), attributes)
        self._tool = name
        if arguments is not None:
            self._arguments(arguments)

    def result(self, value: Any) -> None:
        """What the tool gave; visible at once."""
        self._set_body(_RESULT, value)

    def _become(self, attributes: dict[str, Any]) -> None:
        attributes[OPERATION] = "execute_tool"
        attributes[words.TOOL_NAME] = self._tool

    def _schema(self, schema: Said) -> None:
        """The tool's own definition, as a model would be told of it."""
        self._attach(_TOOLS, [schema])

    @harmless
    def _arguments(self, arguments: Mapping[str, Any]) -> None:
        self._attach(_ARGUMENTS, [said(arguments)])


class ModelSpan(Span):
    """One call of a model: its messages, the tools on offer, and its answer as it grows."""

    __slots__ = ("_began_ns", "_model")
    _is_step: ClassVar[bool] = True
    _recipe: ClassVar[tuple[str, ...]] = ("_given", "_bodies", "_model")

    def __init__(
        self,
        name: str,
        messages: Any = None,
        tools: Any = None,
        system: Any = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"chat {name}", str(SpanKind.MODEL), attributes)
        self._model = name
        self._began_ns = 0
        self._ask(messages, tools, system)

    @harmless
    def output(
        self,
        reply: Any = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        finish_reason: str | None = None,
    ) -> None:
        """The model's answer, what it cost in tokens, and why it ended; visible at once."""
        attributes: dict[str, Any] = {}
        if input_tokens is not None:
            attributes[words.INPUT_TOKENS] = int(input_tokens)
        if output_tokens is not None:
            attributes[words.OUTPUT_TOKENS] = int(output_tokens)
        if finish_reason is not None:
            attributes[words.FINISH_REASONS] = [str(reason) for reason in each(finish_reason)]
        self._update(attributes, None if reply is None else {_OUTPUT: [said_reply(reply)]})

    @harmless
    def delta(self, text: str) -> None:
        """A piece of the answer as it comes; the first one tells the time that it took, in seconds."""
        if self._began_ns and self._is_open("given a delta"):
            waited_ns, self._began_ns = self._tracer.mono_ns() - self._began_ns, 0
            self._update({FIRST_CHUNK_S: waited_ns / 1e9})
        self._emit_event(words.EVENT_DELTA, {"text": text if isinstance(text, str) else name_of(text)})

    def _become(self, attributes: dict[str, Any]) -> None:
        self._began_ns = self._tracer.mono_ns()
        attributes[OPERATION] = "chat"
        attributes[words.MODEL_NAME] = self._model

    @harmless
    def _ask(self, messages: Any, tools: Any, system: Any) -> None:
        if messages is not None:
            self._attach(_INPUT, [said_message(message) for message in each(messages)])
        if tools is not None:
            self._attach(_TOOLS, [_definition(tool) for tool in each(tools)])
        if system is not None:
            self._attach(_SYSTEM, [said(part) for part in each(system)])

    def _arguments(self, arguments: Mapping[str, Any]) -> None:
        if "messages" in arguments:
            self._ask(arguments["messages"], arguments.get("tools"), arguments.get("system"))
        else:
            super()._arguments(arguments)

    def _result(self, value: Any) -> None:
        self._result_body(said_reply(value))


def _definition(tool: Any) -> Said:
    """A tool on offer: a function by its schema, everything else as it is given."""
    if callable(tool) and hasattr(tool, "__name__"):
        from trajectory.emitter.schema import definition_of

        return said(definition_of(tool))
    return said(tool)


class DelegationSpan(Span):
    """Work given away. Its span id is the delegation's id, and `headers` carry it to the other side."""

    __slots__ = ("_mode", "_target")
    surface: ClassVar[str] = str(Surface.COORDINATION)
    _gives: ClassVar[str] = _RETURNED
    _is_step: ClassVar[bool] = True
    _recipe: ClassVar[tuple[str, ...]] = ("_given", "_bodies", "_target", "_mode")

    def __init__(self, target: str, task: Any = None, mode: str = "call") -> None:
        super().__init__(f"delegate {target}", str(SpanKind.DELEGATION))
        self._target = target
        self._mode = _mode_of(mode)
        if task is not None:
            self._attach(_TASK, _task_bodies(task))

    @property
    def headers(self) -> dict[str, str]:
        """The baton: `traceparent`, `tracestate` and `baggage` for the far end. Empty before the start."""
        if not self._is_open("asked for its headers"):
            return {}
        return baton.headers_of(self)

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the baton in it, for a child process that accepts `os.environ`."""
        return baton.environment_of(self) if self._is_open("asked for its environment") else dict(os.environ)

    @property
    def frame(self) -> bytes:
        """The baton as bytes, for what has no headers: ZeroMQ, a pipe, a queue. `{}` before the start."""
        return baton.frame_of(self) if self._is_open("asked for its frame") else b"{}"

    def returned(self, value: Any) -> None:
        """What came back."""
        self._set_body(_RETURNED, value)

    def _become(self, attributes: dict[str, Any]) -> None:
        attributes[words.DELEGATION_SOURCE] = self.agent
        attributes[words.DELEGATION_TARGET] = self._target
        attributes[words.DELEGATION_MODE] = self._mode
        attributes[words.DELEGATION_GRADE] = _OBSERVED

    def _arguments(self, arguments: Mapping[str, Any]) -> None:
        if arguments and _TASK not in (self._bodies or {}):
            self._attach(_TASK, [said(arguments)])


class AcceptedSpan(AgentSpan):
    """An agent at work on what another gave it: its parent is the delegation that the headers name."""

    __slots__ = ("_headers",)
    _gives: ClassVar[str] = _RETURNED
    _recipe: ClassVar[tuple[str, ...]] = (*AgentSpan._recipe, "_headers")

    def __init__(self, headers: Any, agent: str, task: Any = None, title: str | None = None) -> None:
        super().__init__(agent, None, title)
        self._headers = baton.read(headers)
        if task is not None:
            self._attach(_TASK, _task_bodies(task))

    def _place(self, place: Place | None) -> Place | None:
        if self._headers is not None:
            return self._headers
        report(
            "headers",
            "trajectory: agent %r accepted work without a readable traceparent; a new trace begins",
            self._own_agent,
        )
        return Scope(session=place.session if place is not None else None)


def _task_bodies(task: Any) -> list[Said]:
    try:
        return [said(task)]
    except Exception as fault:
        report("task", "trajectory: a task could not be read: %r", fault)
        return []


def _mode_of(mode: str) -> str:
    with suppress(Exception):  # what is no text may raise wherever it is looked at
        if isinstance(mode, str) and mode in (DelegationMode.CALL, DelegationMode.TRANSFER):
            return str(mode)
    report("mode", "trajectory: a delegation's mode is `call` or `transfer` and not %r; taken as `call`", mode)
    return str(DelegationMode.CALL)
