"""The scripted model: deterministic, reads its messages and answers like a model would, with tokens and latencies.

Invariant: an answer is a function of (seed, role, messages) alone: no clock, no shared random state, so threads and
processes cannot change it. Called by an agent once for each model call; what it says stands in `lines`.
Messages are chat messages: `role`, `content`, on an answer `tool_calls`, on a tool's result `tool_call_id` and `name`.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trajectory.cli.demo_team.conversation import Conversation, Message, Reply
from trajectory.cli.demo_team.lines import LINES

MODEL_NAME = "scripted-1"
STREAMED_WORDS = 24  # an answer of so many words comes in pieces
_PIECE_WORDS = 6


@dataclass(frozen=True)
class Completion:
    """One answer. `latency_s` is at pace 1, until the first word; each later piece takes `piece_s`."""

    reply: Reply
    message: Message
    input_tokens: int
    output_tokens: int
    latency_s: float
    piece_s: float
    pieces: tuple[str, ...]  # in which a long answer is streamed; none for a short one

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.reply.calls else "stop"


class ScriptedModel:
    """Answers for one role under one seed."""

    def __init__(self, seed: int, role: str) -> None:
        self._seed = seed
        self._role = role

    def complete(self, messages: Sequence[Message]) -> Completion:
        """The answer to a conversation."""
        reply = LINES[self._role](Conversation(self._seed, self._role, messages))
        message = _message(reply, len(messages))
        output_tokens = count_tokens(_read(message))
        chance = random.Random(f"{self._seed}/{self._role}/{len(messages)}/{_read(messages[-1])}")
        return Completion(
            reply=reply,
            message=message,
            input_tokens=sum(count_tokens(_read(each)) + 3 for each in messages),
            output_tokens=output_tokens,
            latency_s=(0.3 + min(output_tokens, 80) * 0.003) * chance.uniform(0.8, 1.25),
            piece_s=0.1 * chance.uniform(0.8, 1.25),
            pieces=tuple(_pieces(reply.text)),
        )


def count_tokens(text: str) -> int:
    """About how many tokens a text has: one for each four characters, at least one."""
    return max(1, -(-len(text) // 4))


def _message(reply: Reply, turn: int) -> Message:
    message: Message = {"role": "assistant", "content": reply.text}
    if reply.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{turn}_{position}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for position, call in enumerate(reply.calls)
        ]
    return message


def _read(message: Message) -> str:
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    return str(message["content"]) + "".join(call["function"]["name"] + call["function"]["arguments"] for call in calls)


def _pieces(text: str) -> Iterator[str]:
    """The pieces in which a long answer is streamed; joined they are the text. Nothing for a short one."""
    words = text.split(" ")
    if len(words) < STREAMED_WORDS:
        return
    for start in range(0, len(words), _PIECE_WORDS):
        end = start + _PIECE_WORDS
        yield " ".join(words[start:end]) + (" " if end < len(words) else "")
