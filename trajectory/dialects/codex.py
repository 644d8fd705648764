"""Codex CLI's rollout as facts: one trace a prompt, all traces of a thread in one session.

Invariant: any entry at all is read, counted or becomes an event, and ids come from the thread's own, so that reading a rollout
again changes nothing. Called by `coding_logs`, which brings the entries of a rollout in their order.

    Codex                agent span a prompt
    ├── chat …           reasoning, messages and calls up to the next input, with the tokens that were counted for them
    ├── shell            a function, custom tool, shell or search call, to its output
    └── delegate to X    a spawned thread, whose rollout is a file of its own
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects import codex_tools
from trajectory.dialects import messages as chat
from trajectory.dialects.codex_calls import Calls
from trajectory.dialects.codex_tools import SUB_AGENT
from trajectory.dialects.coding import (
    AGENT,
    CUT,
    EVENT_COMPACTION,
    EXIT_CODE,
    MAX_HELD,
    Joins,
    Ledger,
    Work,
    agent_attributes,
    graded,
    light,
    mapping,
    message_of_error,
    said,
    short,
    text_of,
    time_of,
    title_of,
)
from trajectory.dialects.reading import Body
from trajectory.dialects.values import count_of, decoded, first_name, plain
from trajectory.model.content import digest, encode
from trajectory.model.fact import Fact
from trajectory.model.words import (
    ERROR_TYPE,
    SESSION_ID,
    TITLE,
    Grade,
    Slot,
    SpanStatus,
    Surface,
)

SERVICE = "codex"
NAME = "Codex"
_COPIED_NS = 2_000_000_000  # how long after a fork its parent's history is still being written into it
_ECHOES = (
    "agent_message",
    "agent_reasoning",
    "agent_reasoning_raw_content",
    "agent_reasoning_section_break",
    "item_completed",
)
_PREAMBLE = ("<", "# AGENTS.md")  # of what the program says in the user's name


class Codex:
    """The entries of one rollout. `joins` and `ledgers` are shared by all threads, because one may work for another."""

    def __init__(self, thread_id: str, joins: Joins) -> None:
        self.session_id = thread_id
        self.service = SERVICE
        self.counts: dict[str, int] = {}
        self.ledger = Ledger()
        self._joins = joins
        self._is_known = False  # whether its own session_meta was read
        self._parent_id = ""
        self._about: dict[str, Any] = {}
        self._copied_until_ns = 0
        self._calls = Calls(thread_id, NAME, self.ledger)
        self._agent: Work | None = None
        self._turn_id = ""
        self._is_between = True  # no turn is known to be going on
        self._tools: dict[str, Work] = {}
        self._held: list[Mapping[str, Any]] = []

    @property
    def held_count(self) -> int:
        return len(self._held)

    def take(self) -> list[Fact]:
        """The facts of what was read since this was last called."""
        if self._held:
            self._take_up()
        return self.ledger.take()

    def read(self, entry: Mapping[str, Any]) -> None:
        """Reads one entry."""
        kind, payload = first_name(entry, "type"), mapping(entry.get("payload"))
        if kind == "session_meta":
            self._read_meta(payload, time_of(entry))
        elif self._copied_until_ns and time_of(entry) <= self._copied_until_ns:
            self._count("copied from the thread that this one was forked from")
        elif self._parent_id and not self._take_up():
            if len(self._held) < MAX_HELD:
                self._held.append(entry)
            else:
                self._count("of a sub-agent whose call is not known")
        else:
            self._read(entry, kind, payload)

    def release(self) -> None:
        """Gives a spawned thread whose call is still not known a trace of its own."""
        if self._held and not self._take_up():
            self._parent_id = ""
            self._read_held()

    def finish(self) -> None:
        """Ends what the log does not end: nothing more is to come."""
        self.release()
        self._end_calls(self._calls.last_ns)
        if self._agent is not None and not self._agent.is_closed:
            self._agent.interrupt(self._calls.last_ns, CUT)

    # --- whose thread ---------------------------------------------------------------------------------------------------

    def _read_meta(self, payload: Mapping[str, Any], at_ns: int) -> None:
        if self._is_known:
            if first_name(payload, "id") != self.session_id:
                self._copied_until_ns = at_ns + _COPIED_NS
            return
        self._is_known = True
        spawned = mapping(mapping(mapping(payload.get("source")).get("subagent")).get("thread_spawn"))
        self._parent_id = first_name(payload, "parent_thread_id") or first_name(spawned, "parent_thread_id")
        if self._parent_id:
            named = (first_name(holder, "agent_role", "agent_nickname") for holder in (payload, spawned))
            self._calls.name = next((name for name in named if name), SUB_AGENT)
        self._about = {
            "codex.cwd": payload.get("cwd"), "codex.git.branch": mapping(payload.get("git")).get("branch"),
            "service.version": payload.get("cli_version"), "codex.originator": payload.get("originator"),
        }  # fmt: skip

    def _take_up(self) -> bool:
        """Whether the call that spawned this thread is known; reads what was held for it."""
        if self._joins.behind(self.session_id) is None:
            return False
        self._read_held()
        return True

    def _read_held(self) -> None:
        held, self._held = self._held, []
        for entry in held:
            self._read(entry, first_name(entry, "type"), mapping(entry.get("payload")))

    # --- entries --------------------------------------------------------------------------------------------------------

    def _count(self, kind: str) -> None:
        if kind in self.counts or len(self.counts) < 100:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def _read(self, entry: Mapping[str, Any], kind: str, payload: Mapping[str, Any]) -> None:
        at_ns = time_of(entry) or self._calls.last_ns
        what = first_name(payload, "type")
        if kind == "response_item":
            self._read_item(what, payload, at_ns)
        elif kind == "event_msg":
            self._read_event(what, payload, at_ns)
        elif kind == "turn_context":
            self._calls.model = first_name(payload, "model") or self._calls.model
            self._turn_id = self._turn_id or first_name(payload, "turn_id")
        elif kind == "compacted":
            self._compact(payload, at_ns)
        else:
            self._count(kind or "entries without a type")
            return
        self._calls.last_ns = max(self._calls.last_ns, at_ns)

    def _read_event(self, what: str, payload: Mapping[str, Any], at_ns: int) -> None:
        if what in ("task_started", "turn_started"):
            self._end_turn(self._calls.last_ns)
            self._turn_id = first_name(payload, "turn_id")
            self._is_between = False
        elif what == "user_message":
            self._prompt(text_of(payload.get("message")), at_ns)
        elif what == "token_count":
            self._read_usage(payload, at_ns)
        elif what in ("task_complete", "turn_complete"):
            self._answer(text_of(payload.get("last_agent_message")))
            self._end_turn(at_ns)
        elif what == "turn_aborted":
            self._end_turn(at_ns, first_name(payload, "reason") or "stopped")
        elif what in ("exec_command_end", "mcp_tool_call_end", "patch_apply_end"):
            self._read_outcome(payload)
        elif what == "collab_agent_spawn_end":
            self._spawned(first_name(payload, "call_id"), first_name(payload, "new_thread_id", "receiver_thread_id"))
        elif what in _ECHOES or self._agent is None:
            self._count(f"event {what}" if what not in _ECHOES else "events that repeat items")
        else:
            self._tell(what or "event", payload, at_ns)

    def _tell(self, what: str, payload: Mapping[str, Any], at_ns: int) -> None:
        """Whatever else happened, as an event; errors that end a turn come with its end."""
        assert self._agent is not None
        told = {str(key)[:100]: short(value) for key, value in list(payload.items())[:20] if key != "type"}
        self.ledger.event(self._agent, at_ns, what, attributes=told)
        if what == "error":
            text = message_of_error(text_of(payload.get("message")))
            self._agent.attributes[ERROR_TYPE] = first_name(payload, "codex_error_info") or "error"
            self._agent.status, self._agent.message = SpanStatus.ERROR, text
            self._agent.changed(at_ns)

    def _read_item(self, what: str, payload: Mapping[str, Any], at_ns: int) -> None:
        role = first_name(payload, "role")
        if what == "message" and role in ("user", "developer", "system"):
            text = text_of(payload.get("content"))
            if role == "user" and self._is_between and text.strip() and not text.lstrip().startswith(_PREAMBLE):
                self._prompt(text, at_ns)  # logs of old versions say no more of a prompt
            self._calls.hear(said(role, payload.get("content")))
        elif what == "message":
            self._say(payload.get("content"), at_ns)
            self._answer(text_of(payload.get("content")))
        elif what == "reasoning":
            self._reason(payload, at_ns)
        elif what in codex_tools.CALLS:
            self._begin_tool(what, payload, at_ns)
        elif what.endswith("_output"):
            self._read_output(payload, at_ns)
        else:
            self._count(f"item {what}")

    # --- turns ----------------------------------------------------------------------------------------------------------

    def _prompt(self, text: str, at_ns: int) -> None:
        """What the user said: it begins a turn, or is said into the one that goes on. A log says it as item and as event."""
        if self._agent is not None and text in self._calls.prompts:
            return
        if self._agent is not None and not self._is_between:
            told: dict[str, list[Body]] = {Slot.INPUT: said("user", text)}
            self.ledger.event(self._agent, at_ns, "user_message", Surface.CONTEXTUAL, {}, told)
        else:
            if self._agent is not None:
                self._end_turn(self._calls.last_ns)
            self._begin_turn(text, at_ns)
        self._calls.prompts.add(text)

    def _begin_turn(self, text: str, at_ns: int) -> Work:
        self._calls.begin_turn()
        label = f"{self.session_id} {self._turn_id or self._calls.turn_count}"
        behind = self._joins.behind(self.session_id) if self._parent_id else None
        trace_id = behind.work.trace_id if behind else digest("codex", label.encode())
        named = {} if behind else {TITLE: title_of(text) or "(a turn without a prompt)"}
        slot = Slot.TASK if behind else Slot.INPUT
        given = [encode(text)] if behind and text else said("user", text) if text else []
        name = self._calls.name
        self._agent = self.ledger.open(
            trace_id, f"agent {label}", behind.work.span_id if behind else b"", at_ns, AGENT, f"invoke_agent {name}",
            name, attributes=agent_attributes(name, **{SESSION_ID: self.session_id, **named, **self._about}),
            contents={str(slot): self.ledger.stored.digests(given)} if given else {},
        )  # fmt: skip
        return self._agent

    def _end_turn(self, at_ns: int, why: str = "") -> None:
        self._end_calls(at_ns)
        agent, self._agent = self._agent, None
        self._is_between = True
        self._calls.prompts.clear()
        if agent is None:
            return
        self._turn_id = ""
        if why:
            agent.interrupt(at_ns, why)
        else:
            agent.close(at_ns)

    def _end_calls(self, at_ns: int) -> None:
        self._calls.end_turn()
        for work in self._tools.values():
            work.interrupt(at_ns, CUT)
        self._tools.clear()

    def _answer(self, text: str) -> None:
        if self._agent is not None and text.strip():
            self._agent.got[str(Slot.OUTPUT)] = said("assistant", text)
            if self._parent_id:
                self._agent.got[str(Slot.RETURNED)] = [encode(text)]

    # --- the model ------------------------------------------------------------------------------------------------------

    def _working(self, at_ns: int) -> Work:
        """The agent whose turn goes on; where none does, one begins."""
        return self._agent or self._begin_turn("", at_ns)

    def _say(self, content: Any, at_ns: int) -> Work:
        return self._calls.say(self._working(at_ns), content, at_ns)

    def _reason(self, payload: Mapping[str, Any], at_ns: int) -> None:
        text = text_of(payload.get("content")) or text_of(payload.get("summary"))
        call = self._say([{"type": "reasoning", "content": text}] if text.strip() else [], at_ns)
        self.ledger.think(call, at_ns, text)

    def _read_usage(self, payload: Mapping[str, Any], at_ns: int) -> None:
        used = self._calls.used(payload)
        if used:
            window = count_of(mapping(payload.get("info")).get("model_context_window"))
            self._calls.count(self._working(at_ns), used, window, at_ns)

    # --- tools ----------------------------------------------------------------------------------------------------------

    def _begin_tool(self, what: str, payload: Mapping[str, Any], at_ns: int) -> None:
        name, given = codex_tools.asked(what, payload)
        call = self._say([{"type": "tool_call", "name": name, "arguments": given}], at_ns)
        call_id = first_name(payload, "call_id", "id") or f"{call.span_id.hex()} {self._calls.part_count}"
        if call_id not in self._tools:
            work = codex_tools.begin(
                self.ledger, self._joins, self._working(at_ns), self._calls.name, call_id, name, given, at_ns
            )
            if not codex_tools.ends_at_once(work, what, payload, at_ns):
                self._tools[call_id] = work

    def _read_output(self, payload: Mapping[str, Any], at_ns: int) -> None:
        call_id = first_name(payload, "call_id", "id")
        output = decoded(payload.get("output"))
        inner = mapping(output)
        content = light(plain(inner["output"] if "output" in inner else inner.get("content", output)))
        text = text_of(content)
        self._calls.hear(chat.bodies([chat.message_of({"role": "tool", "tool_call_id": call_id, "content": content})]))
        work = self._tools.pop(call_id, None)
        if work is None:
            self._count("results of calls that are not in the log")
            return
        self._spawned(call_id, first_name(inner, "agent_id", "thread_id"))
        work.got[str(Slot.RESULT)] = chat.body_of(content)
        codex_tools.end(work, {**inner, **mapping(inner.get("metadata"))}, text, at_ns)

    def _read_outcome(self, payload: Mapping[str, Any]) -> None:
        """How a call went, as the log says beside its output, which is still to come."""
        work = self._tools.get(first_name(payload, "call_id"))
        code = count_of(payload.get("exit_code"))
        if work is not None and code is not None:
            work.attributes[EXIT_CODE] = code

    def _spawned(self, call_id: str, thread_id: str) -> None:
        """A call began this thread, says the log."""
        sent = self._joins.sent(call_id)
        if sent is not None and thread_id:
            self._joins.name(thread_id, call_id)
            sent.work.attributes |= graded(Grade.OBSERVED, "the log names the thread that this call began")
            sent.work.attributes["codex.thread.id"] = thread_id
            sent.work.changed(sent.work.end_ns)

    def _compact(self, payload: Mapping[str, Any], at_ns: int) -> None:
        """What was said is gone from the window; a summary stands for it."""
        self._calls.close()
        self._calls.context.clear()
        summary = text_of(payload.get("message"))
        self._calls.context += self.ledger.stored.digests(said("user", summary) if summary else [])
        if self._agent is not None:
            kept = payload.get("replacement_history")
            told = {"kept_count": len(kept)} if isinstance(kept, list) else {}
            self.ledger.event(
                self._agent, at_ns, EVENT_COMPACTION, Surface.CONTEXTUAL, told,
                {Slot.CONTEXT: [encode(summary)]} if summary else {},
            )  # fmt: skip
