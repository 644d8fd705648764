"""Claude Code's session log as facts: one trace a prompt, all traces of a log in one session.

A trace is what one prompt caused: that is what a person looks for in a list of runs, with its own cost, length and outcome; a log
may hold a day of them. Invariant: any entry at all is read, counted or becomes an event; an entry that comes again changes
nothing. Called by `coding_logs`, which brings the entries of a session's files, each file's in its order.

    Claude Code          agent span a prompt: `trajectory.title`, the prompt as input, its last answer as output
    ├── chat …           a call of the model: one a `message.id`, which several lines repeat with the same usage
    ├── Bash             a tool call, from the line that asks for it to the line with its result
    └── delegate to X    the Task tool; below it X, whose lines stand in a file of their own, or aside in the same one
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from trajectory.dialects import claude_tools
from trajectory.dialects.claude_talk import Call, Chain
from trajectory.dialects.claude_tools import SUB_AGENT
from trajectory.dialects.coding import (
    AGENT,
    CUT,
    EVENT_COMPACTION,
    MAX_HELD,
    Joins,
    Ledger,
    Sent,
    Work,
    agent_attributes,
    graded,
    light,
    mapping,
    said,
    short,
    text_of,
    time_of,
    title_of,
)
from trajectory.dialects.values import first_name, plain
from trajectory.model.content import canonical_json, digest, encode
from trajectory.model.fact import Fact
from trajectory.model.words import (
    DELEGATION_MODE,
    DELEGATION_SOURCE,
    SESSION_ID,
    TITLE,
    DelegationMode,
    Grade,
    Slot,
    Surface,
)

SERVICE = "claude-code"
NAME = "Claude Code"
_KEPT_IDS = 200_000  # of entries, for telling a repeated one and what an entry follows
_INTERRUPTED = "[Request interrupted by user"
_COMMANDS = ("<command-name>", "<command-message>", "<bash-input>")  # what may or may not begin work
_ASIDE = ("<local-command-", "<bash-stdout>", "<bash-stderr>", "<task-notification>", "<system-reminder>", "Caveat: ")
_ENDS = ("turn_duration", "stop_hook_summary")


class ClaudeCode:
    """The entries of one session. `counts` are the entries by kind that are in no span, and `held_count` waits for its call."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.service = SERVICE
        self.counts: dict[str, int] = {}
        self.ledger = Ledger()
        self._joins = Joins()
        self._main = Chain("", NAME, self.ledger)
        self._chains: dict[str, Chain] = {"": self._main}
        self._seen: OrderedDict[str, str] = OrderedDict()  # an entry's id → its chain's key
        self._pending: Mapping[str, Any] | None = None  # a command that may begin work
        self._turns: list[tuple[int, bytes]] = []  # when each prompt came, and its trace
        self._kinds: dict[str, str] = {}  # sub-agent's id → what kind of agent it is

    @property
    def held_count(self) -> int:
        return sum(len(chain.held) for chain in self._chains.values())

    def take(self) -> list[Fact]:
        """The facts of what was read since this was last called."""
        self._take_up_held()
        return self.ledger.take()

    def read(self, entry: Mapping[str, Any]) -> None:
        """Reads one entry of any of the session's files."""
        uuid = first_name(entry, "uuid")
        if uuid and uuid in self._seen:
            return
        chain = self._chain_of(entry, uuid)
        if uuid:
            self._seen[uuid] = chain.key
            if len(self._seen) > _KEPT_IDS:
                self._seen.popitem(last=False)
        self._note_agent(entry)
        if not chain.is_main and chain.agent is None and not self._take_up(chain, entry):
            if len(chain.held) < MAX_HELD:
                chain.held.append(entry)
            else:
                self._count("of a sub-agent whose call is not known")
            return
        self._read(chain, entry)

    def describe(self, agent_id: str, about: Any) -> None:
        """What a file beside a sub-agent's says of it."""
        told = mapping(about)
        kind = first_name(told, "agentType", "name")
        if kind:
            self._kinds[agent_id] = kind
        self._joins.name(agent_id, first_name(told, "toolUseId", "toolUseID", "parentToolUseId"))

    def release(self) -> None:
        """Gives sub-agents whose call is still not known a place of their own, and says that it is a guess."""
        self._take_up_held()
        for chain in [c for c in self._chains.values() if c.held]:
            self._open_aside(chain, chain.held[0])
            self._read_held(chain)

    def finish(self) -> None:
        """Ends what the log does not end: nothing more is to come."""
        self.release()
        for chain in self._chains.values():
            chain.end_calls(chain.last_ns)
            if chain.agent is not None and not chain.agent.is_closed:
                chain.agent.interrupt(chain.last_ns, CUT)

    # --- which line of talk ---------------------------------------------------------------------------------------------

    def _chain_of(self, entry: Mapping[str, Any], uuid: str) -> Chain:
        key = first_name(entry, "agentId")
        if not key and entry.get("isSidechain") is True:
            parent = first_name(entry, "parentUuid")
            key = self._seen.get(parent, "") or f"aside {uuid or parent}"
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = Chain(key, "", self.ledger)
        return chain

    def _note_agent(self, entry: Mapping[str, Any]) -> None:
        """Where a sub-agent's progress names the call that it works on."""
        data = mapping(entry.get("data"))
        agent_id = first_name(data, "agentId") or first_name(entry, "agentId")
        if agent_id:
            for holder in (data, entry):
                self._joins.name(
                    agent_id, first_name(holder, "parentToolUseID", "parentToolUseId", "parent_tool_use_id")
                )

    def _take_up(self, chain: Chain, entry: Mapping[str, Any]) -> bool:
        """Opens a sub-agent's span where the call behind it is known; reads what was held for it."""
        first = chain.held[0] if chain.held else entry
        at_ns = time_of(first)
        sent = self._joins.find(chain.key, text_of(mapping(first.get("message")).get("content")), self.ledger, at_ns)
        if sent is None:
            return False
        self._open_agent(chain, first, sent.work.trace_id, sent.work.span_id, sent.target, {})
        self._read_held(chain)
        return True

    def _take_up_held(self) -> None:
        """Looks anew for the calls behind sub-agents; one that is found may show another's."""
        while any(chain.held and self._take_up(chain, chain.held[0]) for chain in [*self._chains.values()]):
            pass

    def _read_held(self, chain: Chain) -> None:
        held, chain.held = chain.held, []
        for entry in held:
            self._read(chain, entry)

    def _open_aside(self, chain: Chain, first: Mapping[str, Any]) -> None:
        at_ns = time_of(first)
        turn = next((trace_id for start_ns, trace_id in reversed(self._turns) if start_ns <= at_ns), None)
        trace_id = turn or digest("claude-code", f"{self.session_id} {chain.key}".encode())
        guess = graded(Grade.INFERRED, "it ran while the other agent worked, and no call names it")
        named = {DELEGATION_SOURCE: NAME, DELEGATION_MODE: str(DelegationMode.CALL), **guess}
        self._open_agent(chain, first, trace_id, b"", "", named if turn else {})

    def _open_agent(
        self, chain: Chain, first: Mapping[str, Any], trace_id: bytes, parent_id: bytes, kind: str, attributes: dict[str, Any]
    ) -> None:  # fmt: skip
        chain.name = kind or self._kinds.get(chain.key) or first_name(first, "agentType", "agentName") or SUB_AGENT
        content = mapping(first.get("message")).get("content")
        task = {str(Slot.TASK): self.ledger.stored.digests([encode(text_of(content))])} if text_of(content) else {}
        named = agent_attributes(chain.name, **{SESSION_ID: self.session_id, "claude_code.agent.id": chain.key})
        chain.agent = self.ledger.open(
            trace_id, f"agent {chain.key}", parent_id, time_of(first), AGENT, f"invoke_agent {chain.name}", chain.name,
            attributes={**named, **attributes}, contents=task,
        )  # fmt: skip
        chain.last_ns = time_of(first)

    # --- entries --------------------------------------------------------------------------------------------------------

    def _read(self, chain: Chain, entry: Mapping[str, Any]) -> None:
        at_ns = time_of(entry) or chain.last_ns
        kind = first_name(entry, "type")
        if kind == "user":
            self._read_user(chain, entry, at_ns)
        elif kind == "assistant":
            self._read_assistant(chain, entry, at_ns)
        elif kind == "system":
            self._read_system(chain, entry, at_ns)
        else:
            self._count(kind or "entries without a type")
            return
        chain.last_ns = max(chain.last_ns, at_ns)
        sent = None if chain.is_main else self._joins.behind(chain.key)
        if chain.agent is not None and sent is not None and sent.is_returned:
            chain.agent.close(chain.last_ns)

    def _count(self, kind: str) -> None:
        if kind in self.counts or len(self.counts) < 100:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def _read_user(self, chain: Chain, entry: Mapping[str, Any], at_ns: int) -> None:
        content = mapping(entry.get("message")).get("content")
        results = [b for b in content if mapping(b).get("type") == "tool_result"] if isinstance(content, list) else []
        text = text_of(content)
        if entry.get("isCompactSummary") is True:
            self._compact(chain, entry, at_ns, text)
            return
        if results:
            for block in results:
                self._read_result(chain, block, entry, at_ns, is_only=len(results) == 1)
        elif text.startswith(_INTERRUPTED):
            chain.end_turn(at_ns, "the user stopped it")
        elif chain.is_main and entry.get("isMeta") is not True and not text.startswith(_ASIDE):
            if text.startswith(_COMMANDS):
                self._pending = entry
                return
            self._begin_turn(entry, at_ns, text)
        chain.remember(first_name(entry, "uuid") or str(at_ns), said("user", content))

    def _begin_turn(self, entry: Mapping[str, Any], at_ns: int, text: str) -> None:
        main = self._main
        if main.agent is not None:
            main.end_turn(main.last_ns)
        self._pending = None
        label = first_name(entry, "uuid") or f"{self.session_id} {at_ns} {text}"
        bodies = said("user", mapping(entry.get("message")).get("content"))
        main.agent = self.ledger.open(
            digest("claude-code", label.encode()), "agent", b"", at_ns, AGENT, f"invoke_agent {NAME}", NAME,
            attributes=agent_attributes(NAME, **{
                SESSION_ID: self.session_id, TITLE: title_of(text) or "(a picture)", "claude_code.cwd": entry.get("cwd"),
                "claude_code.git.branch": entry.get("gitBranch"), "service.version": entry.get("version"),
            }),
            contents={str(Slot.INPUT): self.ledger.stored.digests(bodies)},
        )  # fmt: skip
        self._turns.append((at_ns, main.agent.trace_id))
        main.last_ns = max(main.last_ns, at_ns)

    # --- the model ------------------------------------------------------------------------------------------------------

    def _read_assistant(self, chain: Chain, entry: Mapping[str, Any], at_ns: int) -> None:
        if self._pending is not None and chain.is_main:
            pending, self._pending = self._pending, None
            self._begin_turn(pending, time_of(pending) or at_ns, _command_in(pending))
        if chain.agent is None:
            self._begin_turn({**entry, "message": {}}, at_ns, "(the log begins here)")
        agent = chain.agent
        assert agent is not None
        message = mapping(entry.get("message"))
        key = first_name(message, "id") or first_name(entry, "uuid") or str(at_ns)
        call = chain.call_of(agent, key, message, at_ns)
        blocks = message.get("content")
        blocks = blocks if isinstance(blocks, list) else [{"type": "text", "text": text_of(blocks)}]
        for block in blocks:
            self._read_block(chain, agent, call, block, at_ns)
        call.settle(message)
        call.work.changed(at_ns)
        chain.remember(key, call.work.got.get(Slot.OUTPUT, []))
        chain.judge(agent, call, entry, message, at_ns)

    def _read_block(self, chain: Chain, agent: Work, call: Call, block: Any, at_ns: int) -> None:
        block = mapping(plain(block))
        said_before = call.blocks
        address = digest("block", canonical_json(block))
        if address in said_before:
            return
        said_before[address] = light(block)
        kind = block.get("type")
        if kind == "thinking" and isinstance(block.get("thinking"), str):
            self.ledger.think(call.work, at_ns, block["thinking"])
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            claude_tools.begin(self.ledger, self._joins, chain, agent, block, at_ns)
        elif isinstance(block.get("tool_use_id"), str):  # what the model's own side ran: the answer holds its result
            self._read_result(chain, {**block, "is_error": claude_tools.is_error(block)}, {}, at_ns, is_only=True)

    # --- tools ----------------------------------------------------------------------------------------------------------

    def _read_result(
        self, chain: Chain, block: Mapping[str, Any], entry: Mapping[str, Any], at_ns: int, *, is_only: bool
    ) -> None:  # fmt: skip
        chain.close_call()
        call_id = first_name(block, "tool_use_id")
        work = chain.tools.pop(call_id, None)
        if work is None:
            self._count("results of calls that are not in the log")
            return
        told = mapping(entry.get("toolUseResult")) if is_only else {}
        content = light(plain(block.get("content")))
        sent = self._joins.sent(call_id)
        if sent is not None:
            self._read_return(call_id, sent, work, told, text_of(content))
        claude_tools.end(work, block, told, content, at_ns)

    def _read_return(self, call_id: str, sent: Sent, work: Work, told: Mapping[str, Any], text: str) -> None:
        """What a sub-agent's call came to: whose it was, and what it gave back."""
        agent_id = first_name(told, "agentId", "agent_id")
        if agent_id:
            self._joins.name(agent_id, call_id)
            work.attributes |= graded(Grade.OBSERVED, "the log names the sub-agent of this call")
            work.attributes["claude_code.agent.id"] = agent_id
        taker = self._chains.get(agent_id)
        if taker is not None and taker.held:
            self._take_up(taker, taker.held[0])
        if first_name(told, "status") == "async_launched":  # it goes on by itself: this is no answer
            return
        work.got[str(Slot.RETURNED)] = [encode(text)] if text else []
        sent.is_returned = True
        if taker is not None and taker.agent is not None:
            taker.agent.close(taker.last_ns)

    # --- the rest -------------------------------------------------------------------------------------------------------

    def _compact(self, chain: Chain, entry: Mapping[str, Any], at_ns: int, summary: str) -> None:
        """What was said is gone from the window; a summary stands for it."""
        chain.context.clear()
        if chain.agent is not None:
            self.ledger.event(
                chain.agent, at_ns, f"{EVENT_COMPACTION} summary", Surface.CONTEXTUAL, {},
                {Slot.CONTEXT: [encode(summary)]} if summary else {},
            )  # fmt: skip
        chain.remember(first_name(entry, "uuid") or str(at_ns), said("user", summary))

    def _read_system(self, chain: Chain, entry: Mapping[str, Any], at_ns: int) -> None:
        kind = first_name(entry, "subtype") or "system"
        agent = chain.agent
        if kind == "compact_boundary":
            chain.close_call()
            chain.context.clear()
        if agent is None:
            self._count(f"system {kind}")
            return
        if kind in _ENDS and chain.is_main:
            chain.end_turn(at_ns)
        told = {key: short(entry[key]) for key in _TOLD if entry.get(key) not in (None, "", [], {})}
        if kind == "compact_boundary":
            told |= {key: short(value) for key, value in list(mapping(entry.get("compactMetadata")).items())[:20]}
            self.ledger.event(agent, at_ns, EVENT_COMPACTION, Surface.CONTEXTUAL, told)
        else:
            self.ledger.event(agent, at_ns, kind, attributes=told)


_TOLD = (
    "content", "level", "error", "cause", "retryAttempt", "maxRetries", "retryInMs", "durationMs", "hookCount", "hookErrors",
    "stopReason", "toolUseID", "messageCount",
)  # fmt: skip


def _command_in(entry: Mapping[str, Any]) -> str:
    """A command as it was typed: `/review src`, or `!ls`."""
    text = text_of(mapping(entry.get("message")).get("content"))
    found = dict(re.findall(r"<(command-name|command-args|bash-input)>(.{0,2000}?)</\1>", text, re.S))
    if "bash-input" in found:
        return f"!{found['bash-input']}"
    return " ".join(found[tag] for tag in ("command-name", "command-args") if found.get(tag, "").strip()) or text
