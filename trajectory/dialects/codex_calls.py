"""The model's calls in a Codex rollout: what it said between two inputs, and the tokens that were counted for that.

Invariant: the log counts tokens once a call and repeats the count, so a count that does not grow is none. Used by `codex`, which
knows whose turn it is.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects.coding import CACHE_READ_TOKENS, MODEL, REASONING_TOKENS, Ledger, Work, mapping, said, text_of
from trajectory.dialects.values import count_of
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS, Slot

_USED = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "total_tokens")


class Calls:
    """The calls of one thread. `context` are the digests of what the model was shown; `part_count`, of the answer so far."""

    def __init__(self, thread_id: str, name: str, ledger: Ledger) -> None:
        self.name = name  # of the agent
        self.model = ""
        self.turn_count = 0
        self.last_ns = 0
        self.prompts: set[str] = set()  # what the user said since the model last spoke
        self.context: list[bytes] = []
        self._thread_id = thread_id
        self._ledger = ledger
        self._count = 0
        self._call: Work | None = None
        self._uncounted: Work | None = None
        self._parts: list[Any] = []
        self._total: tuple[int, ...] = ()

    @property
    def part_count(self) -> int:
        return len(self._parts)

    def begin_turn(self) -> None:
        self.turn_count += 1
        self._count = 0

    def end_turn(self) -> None:
        self.close()
        self._uncounted = None

    def hear(self, bodies: list[Any]) -> None:
        """Something that the model is to answer: what it said before was one call."""
        self.close()
        self.context += self._ledger.stored.digests(bodies)

    def say(self, agent: Work, content: Any, at_ns: int) -> Work:
        """Something that the model of this agent said, in the call that is going on."""
        call = self._going_on(agent, at_ns)
        self._parts += content if isinstance(content, list) else [text_of(content)]
        call.got[str(Slot.OUTPUT)] = said("assistant", self._parts)
        call.changed(at_ns)
        return call

    def close(self) -> None:
        """Ends the call that is going on."""
        call, self._call = self._call, None
        if call is not None:
            call.close(call.end_ns)
            self.context += self._ledger.stored.digests(call.got.get(str(Slot.OUTPUT), []))

    def used(self, payload: Mapping[str, Any]) -> dict[str, int]:
        """Tokens of the call that ended; none where the same total is told again."""
        info = mapping(payload.get("info"))
        last, total = (mapping(info.get(key)) for key in ("last_token_usage", "total_token_usage"))
        whole = tuple(count_of(total.get(key)) or 0 for key in _USED)
        used = dict(zip(_USED, (count_of(last.get(key)) or 0 for key in _USED), strict=True))
        if not last and total:
            before = self._total or (0,) * len(_USED)
            used = dict(zip(_USED, (max(0, now - then) for now, then in zip(whole, before, strict=True)), strict=True))
        if not any(used.values()) or (total and whole == self._total):
            return {}
        self._total = whole
        return used

    def count(self, agent: Work, used: Mapping[str, int], window: int | None, at_ns: int) -> None:
        """Notes the tokens of the call that waits for them, and ends it."""
        call = self._uncounted or self._going_on(agent, at_ns)
        self._uncounted = None
        call.attributes |= {INPUT_TOKENS: used["input_tokens"], OUTPUT_TOKENS: used["output_tokens"]}
        if used["cached_input_tokens"]:
            call.attributes[CACHE_READ_TOKENS] = used["cached_input_tokens"]
        if used["reasoning_output_tokens"]:
            call.attributes[REASONING_TOKENS] = used["reasoning_output_tokens"]
        if window:
            call.attributes["codex.context_window"] = window
        call.changed(at_ns if call is self._call else call.end_ns)
        self.close()

    def _going_on(self, agent: Work, at_ns: int) -> Work:
        """The call of the model that is going on; where none is, one begins."""
        if self._call is not None:
            return self._call
        self._count += 1
        self.prompts.clear()
        start_ns = self.last_ns if agent.start_ns <= self.last_ns <= at_ns else at_ns
        self._call = self._uncounted = self._ledger.open(
            agent.trace_id, f"call {self._thread_id} {self.turn_count} {self._count}", agent.span_id, start_ns, MODEL,
            f"chat {self.model}".strip(), self.name, attributes={MODEL_NAME: self.model} if self.model else {},
            contents={str(Slot.INPUT): self._ledger.context(self.context)} if self.context else {},
        )  # fmt: skip
        self._parts = []
        return self._call
