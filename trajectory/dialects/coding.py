"""The work of a coding agent as spans, told while its session log is still being written.

Invariant: what a span's facts say depends on the log's lines alone and not on when they were read: ids are digests of the log's
own ids, a start is told once, and what grows is told again at a later instant, so that the fold keeps the fullest telling.
Called by `claude_code` and `codex`, the two dialects of such logs.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.chat import nanoseconds_of
from trajectory.dialects.raw import MAX_NS
from trajectory.dialects.reading import Body
from trajectory.dialects.spans import MAX_ATTRIBUTE_CHARS, Stored
from trajectory.dialects.values import clean, name_of, plain
from trajectory.model.content import digest, encode
from trajectory.model.fact import Fact, SpanEnded, SpanEvent, SpanStarted, SpanUpdated
from trajectory.model.words import (
    AGENT_NAME,
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    EVENT_THOUGHT,
    INTERRUPTED,
    TOOL_CALL_ID,
    TOOL_NAME,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
    SpanStatus,
    Surface,
)

EVENT_COMPACTION = "compaction"  # an agent's history was replaced by a summary, which is the event's context
EXIT_CODE = "process.exit.code"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
CUT = "the log has no end of it"
MAX_TITLE_CHARS = 100
MAX_HELD = 20_000  # entries of a sub-agent that nobody is known to have asked for yet
_MAX_CONTEXT = 4096  # messages of a call's context; a window holds fewer
_MAX_MESSAGE_CHARS = 2000


class Work:
    """A span to be. `end_ns` is the last instant at which anything of it was logged; `is_closed` says that this is its end."""

    __slots__ = (
        "_untold", "agent", "attributes", "change_count", "end_ns", "got", "is_closed", "message", "span_id", "start_ns",
        "status", "trace_id",
    )  # fmt: skip

    def __init__(self, trace_id: bytes, span_id: bytes, start_ns: int, agent: str, untold: "dict[bytes, Work]") -> None:
        self._untold = untold
        self.trace_id = trace_id
        self.span_id = span_id
        self.start_ns = self.end_ns = start_ns
        self.agent = agent
        self.attributes: dict[str, Any] = {}
        self.got: dict[str, list[Body]] = {}
        self.status: str = SpanStatus.UNSET
        self.message = ""
        self.change_count = 0
        self.is_closed = False

    @property
    def told_ns(self) -> int:
        """When what is known by now is said: each change is a nanosecond later than the one before."""
        return min(self.end_ns + self.change_count, MAX_NS - 1)

    def changed(self, at_ns: int) -> None:
        self.end_ns = max(self.end_ns, at_ns)
        self.change_count += 1
        self._untold[self.span_id] = self

    def close(self, at_ns: int, status: str = "", message: str = "") -> None:
        """Its end, as far as the log goes: a later one stands over it."""
        self.status, self.message = status or self.status, message or self.message
        self.is_closed = True
        self.changed(at_ns)

    def interrupt(self, at_ns: int, why: str) -> None:
        """Its end, where it was not let finish."""
        self.attributes[INTERRUPTED] = why
        self.close(at_ns)


class Ledger:
    """The spans of one session's log, and the facts that tell of them."""

    def __init__(self) -> None:
        self.stored = Stored()
        self._facts: list[Fact] = []
        self._untold: dict[bytes, Work] = {}  # what has changed since it was last told of
        self.going_on: set[bytes] = set()  # spans that were not told to have ended

    def open(
        self, trace_id: bytes, label: str, parent_id: bytes, at_ns: int, kind: str, name: str, agent: str = "",
        surface: str = Surface.OPERATIONAL, attributes: Mapping[str, Any] | None = None,
        contents: Mapping[str, list[bytes]] | None = None,
    ) -> Work:  # fmt: skip
        """Begins a span, and tells of it. `label` makes its id; `contents` are digests, as `stored` gives them."""
        work = Work(trace_id, digest("coding-span", trace_id + label.encode())[:8], at_ns, agent, self._untold)
        self._facts += self.stored.taken()
        self._facts.append(
            SpanStarted(
                trace_id, work.span_id, parent_id, at_ns, 0, str(kind), name or str(kind), agent, str(surface),
                dict(attributes or {}), dict(contents or {}),
            )
        )  # fmt: skip
        self.going_on.add(work.span_id)
        return work

    def event(
        self, work: Work, at_ns: int, name: str, surface: str = Surface.OPERATIONAL,
        attributes: Mapping[str, Any] | None = None, contents: Mapping[str, list[Body]] | None = None,
    ) -> None:  # fmt: skip
        """Tells of an instant inside a span."""
        slots = self.stored.slots(dict(contents or {}))
        self._facts += self.stored.taken()
        self._facts.append(
            SpanEvent(work.trace_id, work.span_id, at_ns, 0, name, str(surface), dict(attributes or {}), slots)
        )

    def think(self, work: Work, at_ns: int, text: str) -> None:
        """A thought inside a span; none where there is no text."""
        if text.strip():
            self.event(work, at_ns, EVENT_THOUGHT, Surface.COGNITIVE, contents={Slot.OUTPUT: [encode(clean(text))]})

    def update(self, work: Work, at_ns: int, attributes: dict[str, Any]) -> None:
        """Tells at once of what became known of a span."""
        self._facts.append(SpanUpdated(work.trace_id, work.span_id, at_ns, 0, attributes, {}))

    def context(self, digests: Iterable[bytes]) -> list[bytes]:
        """Digests of messages as one slot's entries."""
        return self.stored.listed(list(digests)[-_MAX_CONTEXT:])

    def take(self) -> list[Fact]:
        """The facts since this was last called; what has changed of each span is told once."""
        for work in self._untold.values():
            contents = self.stored.slots(work.got)
            self._facts += self.stored.taken()
            at = (work.trace_id, work.span_id, work.told_ns, 0)
            if work.is_closed:
                self.going_on.discard(work.span_id)
                self._facts.append(SpanEnded(*at, str(work.status), work.message, dict(work.attributes), contents))
            else:
                self._facts.append(SpanUpdated(*at, dict(work.attributes), contents))
        self._untold.clear()
        facts, self._facts = self._facts, []
        return facts


class Sent:
    """Work that was given to a sub-agent: the delegation span, and what may tell which sub-agent took it up."""

    __slots__ = ("is_returned", "is_taken", "prompt", "source", "target", "work")

    def __init__(self, work: Work, source: str, target: str, prompt: str) -> None:
        self.work = work
        self.source = source
        self.target = target
        self.prompt = prompt
        self.is_taken = self.is_returned = False


class Joins:
    """Which delegation a sub-agent works on, by its id where the log names it, else by the very text it was given."""

    def __init__(self) -> None:
        self._by_agent: dict[str, Sent] = {}
        self._by_call: dict[str, Sent] = {}

    def send(self, call_id: str, sent: Sent) -> None:
        self._by_call[call_id] = sent

    def behind(self, agent_id: str) -> Sent | None:
        """The delegation that a sub-agent works on, as far as is known."""
        return self._by_agent.get(agent_id)

    def sent(self, call_id: str) -> Sent | None:
        return self._by_call.get(call_id)

    def name(self, agent_id: str, call_id: str) -> None:
        """The log says that this call was given to this sub-agent."""
        sent = self._by_call.get(call_id)
        if sent is not None and agent_id:
            sent.is_taken = True
            self._by_agent.setdefault(agent_id, sent)

    def find(self, agent_id: str, prompt: str, ledger: Ledger, at_ns: int) -> Sent | None:
        """The delegation behind a sub-agent, and says on its span how it is known; None where nothing tells yet."""
        named = self._by_agent.get(agent_id)
        if named is not None:
            ledger.update(named.work, at_ns, graded(Grade.OBSERVED, "the log names the sub-agent of this call"))
            return named
        alike = [s for s in self._by_call.values() if not s.is_taken and s.prompt == prompt and prompt.strip()]
        if len(alike) != 1:
            return None
        alike[0].is_taken = True
        self._by_agent[agent_id] = alike[0]
        ledger.update(alike[0].work, at_ns, graded(Grade.INFERRED, "the sub-agent's first message is this call's task"))
        return alike[0]


def graded(grade: Grade, reason: str) -> dict[str, Any]:
    return {DELEGATION_GRADE: str(grade), DELEGATION_REASON: reason}


def delegation(source: str, target: str) -> dict[str, Any]:
    """What a call that asks for a sub-agent says of it by itself."""
    named = {DELEGATION_SOURCE: source, DELEGATION_TARGET: target}
    return {
        **{key: name for key, name in named.items() if name},
        DELEGATION_MODE: str(DelegationMode.CALL),
        **graded(Grade.DECLARED, "the call names the kind of sub-agent" if target else "the call asks for a sub-agent"),
    }


def tool_attributes(name: str, call_id: str) -> dict[str, Any]:
    return {TOOL_NAME: name, **({TOOL_CALL_ID: call_id} if call_id else {})}


def agent_attributes(name: str, **said: Any) -> dict[str, Any]:
    """An agent span's attributes, of `said` those that say anything."""
    return {AGENT_NAME: name, **{key: short(value) for key, value in said.items() if value not in (None, "", [], {})}}


def short(value: Any) -> Any:
    """A value of an attribute, within bounds."""
    value = plain(value, 4)
    if isinstance(value, (dict, list)):
        return encode(value)[1][:MAX_ATTRIBUTE_CHARS].decode("utf-8", "replace")
    return value[:MAX_ATTRIBUTE_CHARS] if isinstance(value, str) else value


def title_of(text: str) -> str:
    """A prompt as a title on one line."""
    title = name_of(text)
    return title if len(title) <= MAX_TITLE_CHARS else title[: MAX_TITLE_CHARS - 1] + "…"


def message_of_error(text: str) -> str:
    return clean(text.strip())[:_MAX_MESSAGE_CHARS]


def time_of(entry: Mapping[str, Any]) -> int:
    """An entry's time in nanoseconds; 0 where it has none that a fact can carry."""
    at_ns = nanoseconds_of(entry.get("timestamp"))
    return at_ns if at_ns < MAX_NS // 2 else 0


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def text_of(content: Any) -> str:
    """The text of a message's content, in whatever shape; other parts say nothing."""
    if isinstance(content, str):
        return clean(content)
    if not isinstance(content, list):
        return ""
    said = [part if isinstance(part, str) else mapping(part).get("text") for part in content]
    return clean("\n".join(text for text in said if isinstance(text, str)))


def light(value: Any) -> Any:
    """A content with its pictures and files named by their size: they are not what a trace is read for."""
    if isinstance(value, list):
        return [light(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    source = value.get("source")
    if isinstance(source, Mapping) and isinstance(source.get("data"), str):
        return {"type": value.get("type", "file"), "media_type": source.get("media_type"), "chars": len(source["data"])}
    url = value.get("image_url")
    if isinstance(url, str) and url.startswith("data:"):
        return {"type": "image", "chars": len(url)}
    if isinstance(value.get("content"), list):
        return {**value, "content": light(value["content"])}
    return value


def said(role: str, content: Any) -> list[Body]:
    """A message's body; nothing where it says nothing."""
    return chat.bodies([chat.message_of({"role": role, "content": light(plain(content))})])


MODEL, TOOL, AGENT, DELEGATION = SpanKind.MODEL, SpanKind.TOOL, SpanKind.AGENT, SpanKind.DELEGATION
