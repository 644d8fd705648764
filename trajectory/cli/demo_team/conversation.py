"""A conversation as the scripted model reads it, and the answer that it gives.

Invariant: nothing here knows the world: figures, regions and constraints are read out of text, so what text does not carry
is not known. Called by `lines`, which says what each role answers; `agent` acts on the replies.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]

DELEGATE = "delegate_to"
FIGURE = re.compile(r"\b([A-Z]{2,4}) (\d+\.\d)M EUR \((S\d)\)")  # EU 38.9M EUR (S3)

_REGIONS = re.compile(r"by region \(([^)]*)\)")
_SCOPE = re.compile(r", in [A-Z]{3}, for fiscal year FY\d\d \([^)]*\)")
_RULES = re.compile(r"Use only audited[^\n]*")
_QUARTER = re.compile(r"\bQ[1-4]\b")
_YEAR = re.compile(r"\bFY\d\d\b")
_FOR_REGION = re.compile(r"revenue for ([A-Z]{2,4})\b")


@dataclass(frozen=True)
class Call:
    """A tool that the model asks for."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One answer: text, tools asked for, what was thought on the way. `confidence` is 0 to 1."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""
    confidence: float = 1.0
    plan: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """What a role has heard so far; the first user message is its task. What a task does not say reads as empty."""

    seed: int
    role: str
    messages: Sequence[Message]

    @property
    def task(self) -> str:
        return str(next(message["content"] for message in self.messages if message["role"] == "user"))

    @property
    def last_tool(self) -> str:
        """The tool whose result is the newest message; empty while there is only the task."""
        return str(self.messages[-1].get("name", ""))

    @property
    def heard(self) -> str:
        return str(self.messages[-1]["content"])

    @property
    def longest_said(self) -> str:
        """The longest text that the model itself has said: a writer's draft."""
        return max((str(m["content"]) for m in self.messages if m["role"] == "assistant"), key=len, default="")

    @property
    def regions(self) -> list[str]:
        return _first(_REGIONS, self.task).split(", ")

    @property
    def region(self) -> str:
        return _first(_FOR_REGION, self.task)

    @property
    def quarter(self) -> str:
        return _first(_QUARTER, self.task)

    @property
    def scope(self) -> str:
        """Currency and fiscal year, as a clause to be passed on word by word."""
        return _first(_SCOPE, self.task)

    @property
    def rules(self) -> str:
        return _first(_RULES, self.task)

    @property
    def year(self) -> dict[str, str]:
        """The fiscal year as a tool's argument; no argument where the task names none."""
        year = _first(_YEAR, self.task)
        return {"fiscal_year": year} if year else {}

    @property
    def opened(self) -> str:
        """The source that was opened, out of the model's own earlier call."""
        calls = [call["function"] for message in self.messages for call in message.get("tool_calls", ())]
        sources = [json.loads(call["arguments"])["source"] for call in calls if call["name"] == "fetch_page"]
        return str(sources[-1]) if sources else ""

    def results(self, tool: str) -> list[str]:
        return [str(message["content"]) for message in self.messages if message.get("name") == tool]

    def pick(self, *wordings: str) -> str:
        """One of several wordings, by seed and turn."""
        return random.Random(f"{self.seed}/{self.role}/{len(self.messages)}/{wordings[0]}").choice(wordings)


def figures_in(text: str) -> list[str]:
    """The figures of a text as they are cited, `EU 38.9M EUR (S3)`, each once, in order."""
    return list(dict.fromkeys(match[0] for match in FIGURE.finditer(text)))


def amounts_in(text: str) -> dict[str, float]:
    """The figures of a text as numbers, in millions, by region."""
    return {match[1]: float(match[2]) for match in FIGURE.finditer(text)}


def _first(pattern: re.Pattern[str], text: str) -> str:
    """The pattern's first find: its group where it has one, all of it otherwise."""
    match = pattern.search(text)
    return match[match.lastindex or 0] if match else ""
