"""What one dialect makes of a span, and how the readings of several dialects become one.

Invariant: readings are merged by meaning: the first dialect that knows a span's kind decides, "other" never overrules, a
dialect that knows a span to be no agent is believed. Several dialects on one span, and in one trace, are normal.
"""

from dataclasses import dataclass, field
from typing import Any

from trajectory.model.words import SpanKind, Surface

Body = tuple[str, bytes]  # media type, bytes


@dataclass(slots=True)
class HandOver:
    """One agent giving work to another, as one span tells it; empty where the span does not say.

    `mode` and `grade` are words of `DelegationMode` and `Grade`. `tasks` are the texts handed over.
    """

    mode: str
    grade: str
    reason: str
    source: str = ""
    target: str = ""
    tasks: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """One dialect's view of a span.

    `contents` maps slots to bodies; `used` names raw attribute keys, or prefixes that end in a dot, whose content is held
    by `contents` and `attributes` now. An echo stands beside the span that did the work and repeats how that ended.
    `input_tokens` and `output_tokens` are None where the span does not say.
    """

    kind: str = SpanKind.OTHER
    agent: str = ""
    name: str = ""
    surface: str = Surface.OPERATIONAL
    not_agent: bool = False
    is_echo: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, list[Body]] = field(default_factory=dict)
    input_tokens: int | None = None
    output_tokens: int | None = None
    hand_over: HandOver | None = None
    arguments: Any = None  # of a tool call, decoded
    used: set[str] = field(default_factory=set)

    def put(self, slot: str, bodies: list[Body], *used: str) -> None:
        """Fills a slot that is still empty, and notes which raw attributes that was."""
        self.used.update(used)
        if bodies and slot not in self.contents:
            self.contents[slot] = bodies


def merge(readings: list[Reading]) -> Reading:
    """One reading of several, strongest first; they are not to be used any more."""
    merged = readings[0] if len(readings) == 1 else _joined(readings)
    if merged.kind == SpanKind.AGENT and (
        merged.not_agent or not merged.agent
    ):  # nameless: a workflow's or a crew's root
        merged.kind = SpanKind.OTHER
    return merged


def _joined(readings: list[Reading]) -> Reading:
    merged = Reading()
    for reading in readings:
        merged.not_agent = merged.not_agent or reading.not_agent
        merged.is_echo = merged.is_echo or reading.is_echo
        if merged.kind == SpanKind.OTHER:
            merged.kind = reading.kind
        if merged.surface == Surface.OPERATIONAL:
            merged.surface = reading.surface
        merged.agent = merged.agent or reading.agent
        merged.name = merged.name or reading.name
        merged.hand_over = merged.hand_over or reading.hand_over
        merged.used |= reading.used
        if merged.arguments is None:
            merged.arguments = reading.arguments
        if merged.input_tokens is None:
            merged.input_tokens = reading.input_tokens
        if merged.output_tokens is None:
            merged.output_tokens = reading.output_tokens
        for key, value in reading.attributes.items():
            merged.attributes.setdefault(key, value)
        for slot, bodies in reading.contents.items():
            merged.contents.setdefault(slot, bodies)
    return merged
