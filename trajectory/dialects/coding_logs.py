"""The session logs of coding agents, told apart by what is in them, as they grow: bytes in, batches of facts out.

Invariant: in whatever pieces the bytes of the files come, and however the pieces of several files interleave, the facts that came
when all is read fold to the same trace; a line that is broken costs itself. Called by `sniff` with whole files and by
`trajectory follow` with what is added to them; pure.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from trajectory.dialects import claude_code, codex
from trajectory.dialects.claude_code import ClaudeCode
from trajectory.dialects.codex import Codex
from trajectory.dialects.coding import Joins, mapping
from trajectory.dialects.values import first_name
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Heartbeat, Source

FORMATS = (claude_code.SERVICE, codex.SERVICE)
MAX_LINE_BYTES = 64 << 20
_LOOKED_AT = 50  # lines in which a log shows what it is
_ROLLOUT = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")
_BARE_ITEMS = (
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "local_shell_call",
)  # of rollouts before 2025-09

Session = ClaudeCode | Codex


def format_of(head: bytes) -> str:
    """Which of FORMATS a file is that starts so; empty where it is none."""
    for line in head.split(b"\n", _LOOKED_AT)[:_LOOKED_AT]:
        entry = _entry_in(line)
        kind = _format_of(entry) if entry is not None else ""
        if kind:
            return kind
    return ""


def thread_of(head: bytes) -> tuple[str, str]:
    """The session or thread that a file which starts so belongs to, and the thread that began it; empty where it is none."""
    for line in head.split(b"\n", _LOOKED_AT)[:_LOOKED_AT]:
        entry = _entry_in(line) or {}
        if first_name(entry, "type") == "session_meta":
            about = mapping(entry.get("payload"))
            spawned = mapping(mapping(mapping(about.get("source")).get("subagent")).get("thread_spawn"))
            return first_name(about, "id"), first_name(about, "parent_thread_id") or first_name(
                spawned, "parent_thread_id"
            )
        if session_id := first_name(entry, "sessionId"):
            return session_id, ""
    return "", ""


class _File:
    """One file as far as it was read. `thread` is the rollout that it is, if it is one; `sessions` are whose entries it holds."""

    __slots__ = ("is_skipping", "sessions", "tail", "thread")

    def __init__(self) -> None:
        self.tail = b""
        self.is_skipping = False  # the rest of a line that is too long to be one
        self.thread: Codex | None = None
        self.sessions: set[str] = set()


class CodingLogs:
    """Reads the logs of any number of sessions together, because one file's agent may work for another's."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.broken_count = 0
        self.unknown_count = 0
        self._files: dict[str, _File] = {}
        self._joins = Joins()
        self._left: list[Batch] = []

    @property
    def held_count(self) -> int:
        """Entries of sub-agents that wait until the call behind them is known."""
        return sum(session.held_count for session in self.sessions.values())

    def feed(self, file: str, data: bytes) -> None:
        """Reads what was added to a file. A last line without its end waits for the rest."""
        state = self._files.setdefault(file, _File())
        *lines, tail = (state.tail + data).split(b"\n")
        if state.is_skipping and lines:
            lines, state.is_skipping = lines[1:], False
        state.tail = tail if not state.is_skipping else b""
        if len(state.tail) > MAX_LINE_BYTES:
            state.tail, state.is_skipping = b"", True
            self.broken_count += 1
        for line in lines:
            self._line(file, state, line)

    def restart(self, file: str) -> None:
        """The file begins anew: it was replaced or cut. What is in it again changes nothing."""
        state = self._files.pop(file, None)
        if (
            state is not None and state.thread is not None
        ):  # it tells things apart by their order: so it counts anew, too
            key = f"{codex.SERVICE} {state.thread.session_id}"
            self._left += self._batch(state.thread)
            self.sessions[key] = Codex(state.thread.session_id, self._joins)

    def describe(self, agent_id: str, data: bytes) -> None:
        """What a file beside a sub-agent's log says of it, in JSON."""
        for session in self.sessions.values():
            if isinstance(session, ClaudeCode):
                session.describe(agent_id, _entry_in(data))

    def release(self) -> None:
        """Places sub-agents whose call is still not known by guess, and says so."""
        for session in self.sessions.values():
            session.release()

    def finish(self) -> None:
        """Reads last lines that have no end, and ends what the logs do not end."""
        for file, state in self._files.items():
            tail, state.tail = state.tail, b""
            self._line(file, state, tail)
        for session in self.sessions.values():
            session.finish()

    def take(self) -> list[Batch]:
        """The facts of what was read since this was last called, by session; `first_seq` is 0."""
        batches, self._left = self._left, []
        for session in self.sessions.values():
            batches += self._batch(session)
        return batches

    def beats(self, files: Iterable[str], now_ns: int, mono_ns: int) -> list[Batch]:
        """Signs of life of the sessions that are written to these files and have work going on."""
        states = [self._files[file] for file in files if file in self._files]
        keys = {key for state in states for key in state.sessions}
        alive = [self.sessions[key] for key in sorted(keys) if self.sessions[key].ledger.going_on]
        return [Batch(_source(s), 0, [Heartbeat(now_ns, mono_ns, sorted(s.ledger.going_on))]) for s in alive]

    @staticmethod
    def _batch(session: Session) -> list[Batch]:
        facts = session.take()
        return [Batch(_source(session), 0, facts)] if facts else []

    def notes(self) -> list[str]:
        """What is in no span, one line a kind."""
        counts: dict[str, int] = {}
        for session in self.sessions.values():
            for kind, count in session.counts.items():
                counts[kind] = counts.get(kind, 0) + count
        notes = [f"{self.broken_count} lines that are no JSON"] if self.broken_count else []
        notes += [f"{self.unknown_count} lines of no known kind"] if self.unknown_count else []
        return notes + [f"{count} entries in no span: {kind}" for kind, count in sorted(counts.items())]

    def _line(self, file: str, state: _File, line: bytes) -> None:
        if not line.strip():
            return
        entry = _entry_in(line)
        if entry is None:
            self.broken_count += 1
            return
        kind = _format_of(entry)
        session: Session
        if kind == codex.SERVICE or (state.thread is not None and not kind):
            entry = _modern(entry)
            session = self._codex(file, state, entry)
        elif kind or first_name(entry, "type"):
            session = self._claude(first_name(entry, "sessionId") or _only(self.sessions))
        else:
            self.unknown_count += 1
            return
        state.sessions.add(f"{session.service} {session.session_id}")
        session.read(entry)

    def _claude(self, session_id: str) -> ClaudeCode:
        session = self.sessions.get(f"{claude_code.SERVICE} {session_id}")
        if not isinstance(session, ClaudeCode):
            session = self.sessions[f"{claude_code.SERVICE} {session_id}"] = ClaudeCode(session_id)
        return session

    def _codex(self, file: str, state: _File, entry: Mapping[str, Any]) -> Codex:
        if state.thread is None:
            thread_id = first_name(mapping(entry.get("payload")), "id") if entry.get("type") == "session_meta" else ""
            thread_id = thread_id or file
            session = self.sessions.get(f"{codex.SERVICE} {thread_id}")
            if not isinstance(session, Codex):
                session = self.sessions[f"{codex.SERVICE} {thread_id}"] = Codex(thread_id, self._joins)
            state.thread = session
        return state.thread


def _source(session: Session) -> Source:
    identity = digest(session.service, session.session_id.encode())
    return Source(identity, identity, {"service.name": session.service, "service.instance.id": session.session_id})


def _only(sessions: Mapping[str, Session]) -> str:
    """The session that an entry without one is of: the latest of those that are read."""
    return next((s.session_id for s in reversed(list(sessions.values())) if isinstance(s, ClaudeCode)), "")


def _entry_in(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _format_of(entry: Mapping[str, Any]) -> str:
    kind = first_name(entry, "type")
    if kind in _ROLLOUT and isinstance(entry.get("payload"), Mapping):
        return codex.SERVICE
    if kind and first_name(entry, "sessionId") and ("message" in entry or "uuid" in entry or "operation" in entry):
        return claude_code.SERVICE
    is_head = not kind and first_name(entry, "id") and "instructions" in entry and "timestamp" in entry
    return codex.SERVICE if is_head else ""


def _modern(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of an old rollout as the new ones write it."""
    if isinstance(entry.get("payload"), Mapping):
        return entry
    if first_name(entry, "type") in _BARE_ITEMS:
        return {"timestamp": entry.get("timestamp"), "type": "response_item", "payload": entry}
    if "instructions" in entry or "git" in entry:
        return {"timestamp": entry.get("timestamp"), "type": "session_meta", "payload": entry}
    return entry


def described(name: str) -> str:
    """The sub-agent that a file of this name describes (`agent-<id>.meta.json`); empty where it is no such file."""
    base = name.replace("\\", "/").rpartition("/")[2]
    is_about = base.startswith("agent-") and base.endswith(".meta.json")
    return base.removeprefix("agent-").removesuffix(".meta.json") if is_about else ""


def read_files(files: Iterable[tuple[str, bytes]]) -> CodingLogs:
    """Whole files, read to their end: a session's own first, then those of its sub-agents and what is said of these."""
    logs = CodingLogs()
    for name, data in files:
        agent_id = described(name)
        if agent_id:
            logs.describe(agent_id, data)
        else:
            logs.feed(name, data)
    logs.finish()
    return logs
