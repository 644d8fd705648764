"""One line of talk in Claude Code's log: the main one, or a sub-agent's, with the calls of the model in it.

Invariant: several lines of a log tell one call, each a part of its answer and all of them the same usage; the fullest telling
stands. Used by `claude_code`, which knows which lines belong to which talk.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects.coding import (
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    CUT,
    MODEL,
    Ledger,
    Work,
    mapping,
    message_of_error,
    said,
    text_of,
)
from trajectory.dialects.values import count_of, first_name, name_of
from trajectory.model.content import encode
from trajectory.model.words import (
    ERROR_TYPE,
    FINISH_REASONS,
    INPUT_TOKENS,
    MODEL_NAME,
    OUTPUT_TOKENS,
    Slot,
    SpanStatus,
)

_DONE = ("end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded")


class Call:
    """One call of the model: what its lines have said by now."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.blocks: dict[bytes, Any] = {}
        self.usage: dict[str, int] = {}

    def settle(self, message: Mapping[str, Any]) -> None:
        """What all lines of a call say together."""
        usage = mapping(message.get("usage"))
        for key in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            self.usage[key] = max(count_of(usage.get(key)) or 0, self.usage.get(key, 0))
        attributes, used = self.work.attributes, self.usage
        if any(used.values()):
            cached = used["cache_read_input_tokens"], used["cache_creation_input_tokens"]
            attributes[INPUT_TOKENS] = used["input_tokens"] + sum(cached)  # the window holds what is cached, too
            attributes[OUTPUT_TOKENS] = used["output_tokens"]
            attributes |= {key: n for key, n in zip((CACHE_READ_TOKENS, CACHE_WRITE_TOKENS), cached, strict=True) if n}
        self.work.got[str(Slot.OUTPUT)] = said("assistant", list(self.blocks.values()))


class Chain:
    """A line of talk, whose `key` is empty for the main one. `context` are the digests of its messages, by what said them."""

    def __init__(self, key: str, name: str, ledger: Ledger) -> None:
        self.key = key
        self.name = name
        self.agent: Work | None = None
        self.last_ns = 0
        self.context: dict[str, bytes] = {}
        self.calls: dict[str, Call] = {}
        self.latest = ""  # the id of the call that is being answered
        self.tools: dict[str, Work] = {}
        self.held: list[Mapping[str, Any]] = []
        self._ledger = ledger

    @property
    def is_main(self) -> bool:
        return not self.key

    def remember(self, key: str, bodies: list[Any]) -> None:
        """Notes a message that the model is shown from here on."""
        for body_digest in self._ledger.stored.digests(bodies):
            self.context[key] = body_digest

    def call_of(self, agent: Work, key: str, message: Mapping[str, Any], at_ns: int) -> Call:
        """The call that a line is of; the one before it has ended then."""
        if self.latest != key:
            self.close_call()
        call = self.calls.get(key) or self._begin_call(agent, key, message, at_ns)
        self.latest = key
        return call

    def _begin_call(self, agent: Work, key: str, message: Mapping[str, Any], at_ns: int) -> Call:
        model = first_name(message, "model")
        start_ns = self.last_ns if agent.start_ns <= self.last_ns <= at_ns else at_ns
        work = self._ledger.open(
            agent.trace_id, f"call {key}", agent.span_id, start_ns, MODEL, f"chat {model}".strip(), self.name,
            attributes={**({MODEL_NAME: model} if model else {}), "gen_ai.response.id": key},
            contents={str(Slot.INPUT): self._ledger.context(self.context.values())} if self.context else {},
        )  # fmt: skip
        call = self.calls[key] = Call(work)
        return call

    def judge(
        self, agent: Work, call: Call, entry: Mapping[str, Any], message: Mapping[str, Any], at_ns: int
    ) -> None:  # fmt: skip
        """Whether a line ends the call, and with it the agent's turn."""
        reason = name_of(message.get("stop_reason"))
        text = text_of(message.get("content"))
        if entry.get("isApiErrorMessage") is True:
            call.work.attributes[ERROR_TYPE] = first_name(entry, "error") or "api_error"
            call.work.close(at_ns, SpanStatus.ERROR, message_of_error(text))
            agent.attributes[ERROR_TYPE] = call.work.attributes[ERROR_TYPE]
            agent.close(at_ns, SpanStatus.ERROR, message_of_error(text))
            return
        if agent.status == SpanStatus.ERROR:  # it tried again and went on
            agent.status, agent.message = SpanStatus.UNSET, ""
            agent.attributes.pop(ERROR_TYPE, None)
            agent.changed(at_ns)
        if reason:
            call.work.attributes[FINISH_REASONS] = [reason]
            call.work.close(at_ns)
        if text.strip():
            agent.got[str(Slot.OUTPUT)] = said("assistant", message.get("content"))
            if not self.is_main:
                agent.got[str(Slot.RETURNED)] = [encode(text)]
        if reason in _DONE and not any(b.get("type") == "tool_use" for b in map(mapping, call.blocks.values())):
            agent.close(at_ns)

    def close_call(self) -> None:
        """Ends the call that is being answered: something else came."""
        call = self.calls.get(self.latest)
        if call is not None and not call.work.is_closed:
            call.work.close(call.work.end_ns)
        self.latest = ""

    def end_calls(self, at_ns: int) -> None:
        """Ends the calls and tools that nothing more is to come of."""
        self.close_call()
        for work in self.tools.values():
            work.interrupt(at_ns, CUT)
        self.calls.clear()
        self.tools.clear()

    def end_turn(self, at_ns: int, why: str = "") -> None:
        """Ends the agent's turn, or says `why` it ended."""
        self.end_calls(at_ns)
        agent = self.agent
        if agent is None:
            return
        if why:
            agent.interrupt(at_ns, why)
        elif not agent.is_closed or agent.end_ns < at_ns:
            agent.close(at_ns)
