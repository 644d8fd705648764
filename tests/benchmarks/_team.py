"""Facts of made-up teams, packed into frames as an emitter packs them: what the benchmarks feed to a collector.

Invariant: ids and texts are distinct in every trace, so nothing is cheap because it was seen before, and the same arguments
give the same bytes. A trace is a planner that asks four agents; each calls a model, two tools and the model again.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from trajectory.model.content import digest, encode, encode_message
from trajectory.protocol import frames
from trajectory.protocol.frames import PAYLOAD, SPAN_ENDED, SPAN_STARTED, pack

EMITTER_ID = b"benchmark-emits1"
START_NS = 1_790_000_000_000_000_000
AGENTS = ("research", "pricing", "booking", "review")
_TEXT = (
    "the train leaves at nine hotel room booked for two nights price total euro budget limit agent found result "
    "customer wants window seat please check again office Lyon Oslo Paris invoice payment card date month"
)
_WORDS = _TEXT.split()
_NO_CONTENTS: dict[str, list[bytes]] = {}

WireFact = tuple[Any, ...]


class TeamRun:
    """Tells one trace; `facts` are its facts in order."""

    def __init__(self, number: int, with_content: bool) -> None:
        self.facts: list[WireFact] = []
        self.trace_id = number.to_bytes(16, "big")
        self._random = random.Random(number)
        self._with_content = with_content
        self._now_ns = START_NS + number * 60_000_000_000
        self._known: set[bytes] = set()
        self._span_count = 0

    def tell(self) -> list[WireFact]:
        planner = self._start(b"", "agent", "plan a trip", "planner", {}, task=self._text())
        heard = [{"role": "user", "content": self._text()}]
        for name in AGENTS:
            heard += [self._model(planner, "planner", heard), {"role": "user", "content": self._text()}]
            self._delegated(planner, name)
        self._end(planner, returned=self._text())
        return self.facts

    def _delegated(self, above: bytes, name: str) -> None:
        task, answer = self._text(), self._text()
        attributes = {"trajectory.delegation.target": name, "trajectory.delegation.mode": "call"}
        delegation = self._start(above, "delegation", f"delegate {name}", "planner", attributes, task=task)
        agent = self._start(delegation, "agent", name, name, {}, task=task)
        heard: list[dict[str, Any]] = [{"role": "user", "content": task}]
        heard.append(self._model(agent, name, heard))
        for tool in ("search", "book"):
            arguments = {"tool.name": tool, "attempt": 1, "city": self._random.choice(_WORDS)}
            call = self._start(agent, "tool", tool, name, {"gen_ai.tool.name": tool}, arguments=arguments)
            result = self._text()
            self._end(call, result=result)
            heard.append({"role": "tool", "content": result})
        self._model(agent, name, heard)
        self._end(agent, returned=answer)
        self._end(delegation, returned=answer)

    def _model(self, above: bytes, agent: str, heard: list[dict[str, Any]]) -> dict[str, Any]:
        attributes = {
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.provider.name": "openai",
            "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 4096,
        }  # fmt: skip
        call = self._start(above, "model", "chat gpt-5", agent, attributes, input=heard)
        answer = {"role": "assistant", "content": self._text()}
        used = {"gen_ai.usage.input_tokens": 310, "gen_ai.usage.output_tokens": 42}
        self._end(call, used, output=[answer])
        return answer

    def _start(
        self, parent: bytes, kind: str, name: str, agent: str, attributes: dict[str, Any], **slots: Any
    ) -> bytes:
        self._span_count += 1
        span_id = self._id(self._span_count)
        contents, at_ns = self._contents(slots), self._instant()
        self.facts.append(
            (
                SPAN_STARTED,
                self.trace_id,
                span_id,
                parent,
                at_ns,
                at_ns,
                kind,
                name,
                agent,
                "operational",
                attributes,
                contents,
            )
        )
        return span_id

    def _end(self, span_id: bytes, attributes: dict[str, Any] | None = None, **slots: Any) -> None:
        contents, at_ns = self._contents(slots), self._instant()
        self.facts.append((SPAN_ENDED, self.trace_id, span_id, at_ns, at_ns, "ok", "", attributes or {}, contents))

    def _id(self, count: int) -> bytes:
        return self.trace_id[10:] + count.to_bytes(2, "big")

    def _instant(self) -> int:
        self._now_ns += 7_000_000
        return self._now_ns

    def _text(self) -> str:
        return " ".join(self._random.choices(_WORDS, k=self._random.randint(12, 60)))

    def _contents(self, slots: dict[str, Any]) -> dict[str, list[bytes]]:
        if not self._with_content:
            return _NO_CONTENTS
        return {
            slot: [self._body(value) for value in (values if isinstance(values, list) else [values])]
            for slot, values in slots.items()
        }

    def _body(self, value: Any) -> bytes:
        is_message = isinstance(value, dict) and "role" in value
        media_type, body = encode_message(value) if is_message else encode(value)
        address = digest(media_type, body)
        if address not in self._known:
            self._known.add(address)
            self.facts.append((PAYLOAD, address, media_type, body))
        return address


def team(number: int) -> list[WireFact]:
    """The facts of a team's trace, with what was said."""
    return TeamRun(number, True).tell()


def wordless_team(number: int) -> list[WireFact]:
    """The same without contents."""
    return TeamRun(number, False).tell()


def plain_trace(number: int) -> list[WireFact]:
    """The facts of 100 spans, one above the others, of 8 attributes each."""
    trace_id, facts = number.to_bytes(16, "big"), []
    for place in range(1, 101):
        span_id = trace_id[10:] + place.to_bytes(2, "big")
        parent = b"" if place == 1 else trace_id[10:] + (1).to_bytes(2, "big")
        at_ns = START_NS + number * 1_000_000 + place * 1000
        attributes = {f"attribute.{key}": f"value {place} of {key}" for key in range(8)}
        facts += [
            (
                SPAN_STARTED,
                trace_id,
                span_id,
                parent,
                at_ns,
                at_ns,
                "other",
                "search",
                "",
                "operational",
                attributes,
                {},
            ),
            (SPAN_ENDED, trace_id, span_id, at_ns + 500, at_ns + 500, "ok", "", {}, {}),
        ]
    return facts


class Load:
    """Frames of at least `count` facts, of whole traces that `tell` tells; it goes on after the load before it, if any."""

    def __init__(
        self,
        count: int,
        boot_id: bytes,
        tell: Callable[[int], list[WireFact]] = team,
        after: "Load | None" = None,
    ) -> None:
        self.boot_id = boot_id
        self.frames: list[bytes] = []
        self.first_seq: int = after.end_seq if after else 0
        self.end_seq: int = self.first_seq
        self.next_trace: int = after.next_trace if after else 1
        for part in self._parts(count, tell):
            self.frames.append(frames.facts_frame(EMITTER_ID, boot_id, self.end_seq, part))
            self.end_seq += len(part)

    @property
    def fact_count(self) -> int:
        return self.end_seq - self.first_seq

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.frames))

    def hello(self) -> bytes:
        return frames.hello(EMITTER_ID, self.boot_id, {"service.name": "benchmark"}, self.first_seq)

    def _parts(self, count: int, tell: Callable[[int], list[WireFact]]) -> Iterator[list[bytes]]:
        """Packed facts, `MAX_FACTS` at a time."""
        waiting: list[bytes] = []
        made = 0
        while made < count:
            told = tell(self.next_trace)
            self.next_trace += 1
            made += len(told)
            waiting += map(pack, told)
            while len(waiting) >= frames.MAX_FACTS:
                yield waiting[: frames.MAX_FACTS]
                del waiting[: frames.MAX_FACTS]
        if waiting:
            yield waiting
