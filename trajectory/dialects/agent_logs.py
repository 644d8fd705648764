"""Log records of coding agents that belong to no span, as the spans that they tell of: `claude_code.*`, `codex.*` and the like.

Such an agent logs what it did when it is done (`user_prompt`, `api_request`, `tool_result`, …) and names the session, often the
prompt, and no span. Invariant: each record is read by itself, so that the order and the number of requests in which records come
change nothing: of all records of a prompt the earliest begins the agent's span and the latest ends it. That the spans belong
together is said by the record's own ids; where they begin, and that they are the agent's, is inferred, and each says so.
Called by `logs`; pure.
"""

from collections.abc import Iterable
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.chat import nanoseconds_of
from trajectory.dialects.coding import (
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    REASONING_TOKENS,
    graded,
    message_of_error,
    short,
    title_of,
)
from trajectory.dialects.raw import RawLog
from trajectory.dialects.spans import Stored
from trajectory.dialects.values import clean, count_of, first, first_count, first_name
from trajectory.model.content import canonical_json, digest
from trajectory.model.fact import Fact, SpanEnded, SpanEvent, SpanStarted, SpanUpdated
from trajectory.model.words import (
    AGENT_NAME,
    DELEGATION_MODE,
    DELEGATION_SOURCE,
    ERROR_TYPE,
    INPUT_TOKENS,
    MODEL_NAME,
    OUTPUT_TOKENS,
    SESSION_ID,
    TITLE,
    TOOL_CALL_ID,
    TOOL_NAME,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
    SpanStatus,
    Surface,
)

INFERRED = "trajectory.inferred"  # what of a span is a guess, and from what
_WHY = "from a log record without a span: it began as long before its record as it says that it took"
_WHY_AGENT = "from log records without spans: it lasts from the first record of the session or prompt to the last"
_SESSIONS = ("session.id", "conversation.id", "gen_ai.conversation.id", "session_id", "conversation_id")
_PROMPTS = ("prompt.id", "prompt_id", "turn.id", "turn_id")
_AGENTS = {"claude_code": "Claude Code", "codex": "Codex", "gemini_cli": "Gemini CLI", "qwen-code": "Qwen Code"}
_TOOLS = ("tool_result", "tool_call", "tool_output")
_CALLS = ("api_request", "api_response", "api_error", "sse_event", "websocket_event")
_STREAMED = ("sse_event", "websocket_event")  # one for each piece of an answer
_OTHERS = (
    "user_prompt", "tool_decision", "conversation_starts", "session_start", "session_end", "config", "compaction",
    "chat_compression", "websocket_request", "sandbox_assessment", "permission_mode_changed", "mcp_server_connection",
    "internal_error", "hook_execution_complete",
)  # fmt: skip
_TEXTS = (
    "prompt",
    "arguments",
    "output",
    "tool_input",
    "tool_parameters",
    "function_args",
    "request_text",
    "response_text",
)


def is_told(record: RawLog) -> bool:
    """Whether a record tells of a coding agent's work, and of no span."""
    prefix, what = _name(record)
    is_known = what in (*_TOOLS, *_CALLS, *_OTHERS) or prefix in _AGENTS
    return not record.span_id and bool(prefix) and is_known and bool(first_name(record.attributes, *_SESSIONS))


def facts_of(records: Iterable[RawLog]) -> list[Fact]:
    """The facts of the records that `is_told` is true of."""
    telling = _Telling()
    for record in records:
        telling.add(record)
    return telling.facts()


def _name(record: RawLog) -> tuple[str, str]:
    """Who logged, and what: the two parts of `claude_code.api_request`, however the record spells it."""
    body = record.body if isinstance(record.body, str) and len(record.body) < 100 else ""
    named = (record.event, first_name(record.attributes, "event.name", "event_name"), body.strip())
    whole = next((name for name in named if "." in name and " " not in name), "")
    prefix, _, what = whole.partition(".")
    return prefix, what


class _Telling:
    """What the records of one request tell."""

    def __init__(self) -> None:
        self._stored = Stored()
        self._facts: list[Fact] = []
        self._spans: dict[
            tuple[bytes, bytes], list[Any]
        ] = {}  # an agent's span → name, session, from, to, whose it works for

    def facts(self) -> list[Fact]:
        for (trace_id, span_id), (name, session_id, start_ns, end_ns, source) in self._spans.items():
            attributes = {AGENT_NAME: name, SESSION_ID: session_id, INFERRED: _WHY_AGENT}
            if source:
                attributes |= {DELEGATION_SOURCE: source, DELEGATION_MODE: str(DelegationMode.CALL)}
                attributes |= graded(Grade.INFERRED, "records of one prompt name another agent")
            kind, title = SpanKind.AGENT.value, f"invoke_agent {name}"
            self._facts.append(
                SpanStarted(
                    trace_id, span_id, b"", start_ns, 0, kind, title, name, str(Surface.OPERATIONAL), attributes
                )
            )
            self._facts.append(SpanEnded(trace_id, span_id, end_ns, 0))
        return self._facts

    def add(self, record: RawLog) -> None:
        prefix, what = _name(record)
        said = record.attributes
        end_ns = nanoseconds_of(said.get("event.timestamp")) or record.at_ns
        start_ns = max(end_ns - (first_count(said, "duration_ms", "duration") or 0) * 1_000_000, 0)
        session_id = first_name(said, *_SESSIONS)
        prompt_id = first_name(said, *_PROMPTS)
        trace_id = digest("agent-log", canonical_json([prefix, session_id, prompt_id]))
        main = _AGENTS.get(prefix, prefix)
        agent = first_name(said, "agent.name", "agent_name") or main
        if what in _OTHERS:
            start_ns = end_ns
        span_id = self._agent(trace_id, agent, session_id, start_ns, end_ns, "" if agent == main else main)
        identity = canonical_json([what, record.at_ns, {key: str(value) for key, value in said.items()}])
        own_id = digest("agent-log-span", trace_id + identity)[:8]
        kind = _kind_of(what, record)
        if what == "user_prompt":
            self._prompt(trace_id, span_id, record, end_ns)
        elif kind:
            self._span(kind, trace_id, own_id, span_id, record, agent, start_ns, end_ns)
        elif what not in _STREAMED:
            event = SpanEvent(trace_id, span_id, end_ns, 0, what, str(Surface.OPERATIONAL), _rest(record))
            self._facts.append(event)

    def _agent(
        self, trace_id: bytes, name: str, session_id: str, start_ns: int, end_ns: int, source: str
    ) -> bytes:  # fmt: skip
        span_id = digest("agent-log-agent", trace_id + name.encode())[:8]
        known = self._spans.setdefault((trace_id, span_id), [name, session_id, start_ns, end_ns, source])
        known[2], known[3] = min(known[2], start_ns), max(known[3], end_ns)
        return span_id

    def _prompt(self, trace_id: bytes, span_id: bytes, record: RawLog, at_ns: int) -> None:
        text = clean(str(first(record.attributes, "prompt", "request_text") or ""))
        is_shown = bool(text) and text not in ("[REDACTED]", "<REDACTED>")
        contents = self._stored.slots({Slot.INPUT: chat.bodies([chat.message_of(text)])} if is_shown else {})
        self._facts += self._stored.taken()
        title = {TITLE: title_of(text)} if is_shown else {}
        self._facts.append(SpanUpdated(trace_id, span_id, at_ns, 0, title, contents))
        self._facts.append(
            SpanEvent(trace_id, span_id, at_ns, 0, "user_prompt", str(Surface.CONTEXTUAL), _rest(record), contents)
        )

    def _span(
        self, kind: SpanKind, trace_id: bytes, span_id: bytes, parent_id: bytes, record: RawLog, agent: str, start_ns: int,
        end_ns: int,
    ) -> None:  # fmt: skip
        said = record.attributes
        model = first_name(said, "model", "slug")
        attributes: dict[str, Any] = {**_rest(record), INFERRED: _WHY}
        given: dict[str, Any] = {}
        got: dict[str, Any] = {}
        if kind == SpanKind.TOOL:
            name = first_name(said, "tool_name", "function_name", "name") or "tool"
            attributes |= {TOOL_NAME: name}
            if call_id := first_name(said, "tool_use_id", "call_id"):
                attributes[TOOL_CALL_ID] = call_id
            given[Slot.ARGUMENTS] = chat.body_of(
                first(said, "arguments", "tool_input", "tool_parameters", "function_args")
            )
            got[Slot.RESULT] = chat.body_of(first(said, "output", "tool_output"))
        else:
            name = f"chat {model}".strip()
            attributes |= {MODEL_NAME: model} if model else {}
            attributes |= _usage(record)
            got[Slot.OUTPUT] = chat.bodies(chat.messages_of(first(said, "response_text"), "assistant"))
        contents, results = self._stored.slots(_full(given)), self._stored.slots(_full(got))
        self._facts += self._stored.taken()
        error = _error_in(record)
        ending = {ERROR_TYPE: first_name(said, "error_type") or str(first(said, *_CODES) or "error")} if error else {}
        self._facts.append(
            SpanStarted(
                trace_id, span_id, parent_id, start_ns, 0, kind.value, name, agent, "operational", attributes, contents
            )
        )
        status = SpanStatus.ERROR if error else SpanStatus.UNSET
        self._facts.append(SpanEnded(trace_id, span_id, end_ns, 0, str(status), error, ending, results))


_CODES = ("status_code", "http.response.status_code")


def _kind_of(what: str, record: RawLog) -> SpanKind | None:
    """The kind of span that a record tells of; None where it is an event of its agent."""
    if what in _TOOLS:
        return SpanKind.TOOL
    is_counted = what in _CALLS and _usage(record)
    return SpanKind.MODEL if is_counted or (what in _CALLS and _error_in(record)) else None


def _usage(record: RawLog) -> dict[str, int]:
    said = record.attributes
    given = first_count(said, "input_tokens", "input_token_count")
    got = first_count(said, "output_tokens", "output_token_count")
    read, written = first_count(said, "cache_read_tokens"), first_count(said, "cache_creation_tokens")
    if given is None and got is None:
        return {}
    usage = {INPUT_TOKENS: (given or 0) + (read or 0) + (written or 0), OUTPUT_TOKENS: got or 0}
    kept = first_count(
        said, "cached_token_count", "cached_content_token_count"
    )  # these are in the input's count already
    others = {
        CACHE_READ_TOKENS: read or kept,
        CACHE_WRITE_TOKENS: written,
        REASONING_TOKENS: first_count(said, "reasoning_token_count"),
    }
    return usage | {key: count for key, count in others.items() if count}


def _error_in(record: RawLog) -> str:
    """What went wrong; empty where nothing did."""
    said = record.attributes
    text = message_of_error(str(first(said, "error.message", "error", "error_message") or ""))
    is_refused = any((count_of(said.get(key)) or 0) >= 400 for key in _CODES)
    is_failed = str(said.get("success", "")).lower() == "false" or _name(record)[1] == "api_error"
    return text or (message_of_error(str(first(said, "output") or "")) or "failed" if is_failed or is_refused else "")


def _rest(record: RawLog) -> dict[str, Any]:
    """A record's attributes without what is content."""
    return {clean(str(key))[:200]: short(value) for key, value in record.attributes.items() if key not in _TEXTS}


def _full(slots: dict[str, Any]) -> dict[str, Any]:
    return {slot: bodies for slot, bodies in slots.items() if bodies}
