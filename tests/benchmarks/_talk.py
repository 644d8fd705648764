"""A long conversation with one model, through the public API. Arguments: endpoint, turns.

Invariant: every turn calls the model with all that was said before, as a chat loop does; the texts depend on the turn alone, so
two runs say the same. Run by `conversation` as a child, which tells the same words in OTLP.
"""

import json
import random
import sys

import trajectory

_TEXT = (
    "we could look at the quarterly figures for the northern region because revenue there moved against the forecast "
    "while costs stayed flat and the team has not explained which customer contracts ended or were renewed in March"
)
_WORDS = _TEXT.split()


def words_of(turn: int, speaker: str, most: int) -> str:
    """What a speaker says in a turn: the same at every call."""
    chance = random.Random(f"{speaker} {turn}")
    return " ".join(chance.choices(_WORDS, k=chance.randint(most // 3, most)))


def question(turn: int) -> str:
    return words_of(turn, "user", 60)


def answer(turn: int) -> str:
    return words_of(turn, "model", 180)


def main() -> None:
    """Talks, flushes, prints what was said in bytes."""
    endpoint, turns = sys.argv[1], int(sys.argv[2])
    trajectory.init("conversation", endpoint)
    messages: list[dict[str, str]] = []
    with trajectory.agent("assistant", session="chat-1"):
        for turn in range(turns):
            messages.append({"role": "user", "content": question(turn)})
            with trajectory.model("gpt-5", messages=messages, system="You help with figures.") as call:
                call.output(answer(turn), input_tokens=10 * turn, output_tokens=100)
            messages.append({"role": "assistant", "content": answer(turn)})
    if not trajectory.flush(60.0):
        sys.exit("not every fact was acknowledged")
    print(json.dumps({"said_bytes": sum(len(message["content"]) for message in messages)}))


if __name__ == "__main__":
    main()
