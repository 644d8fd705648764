"""Session logs of coding agents, written by hand: a clock, and the lines that each kind of event makes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from trajectory.dialects.coding_logs import CodingLogs
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Payload, trace_of

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class Clock:
    def __init__(self, start_s: float = 0.0) -> None:
        self.now_s = start_s

    def tick(self, seconds: float = 1.0) -> str:
        self.now_s += seconds
        return (START + timedelta(seconds=self.now_s)).isoformat().replace("+00:00", "Z")


class Claude:
    """A log of Claude Code: `lines` are the entries so far. `agent` makes it a sub-agent's, in a file of its own."""

    def __init__(self, session: str = "s-1", agent: str = "", clock: Clock | None = None) -> None:
        self.session, self.agent = session, agent
        self.clock = clock or Clock()
        self.lines: list[dict[str, Any]] = []
        self.last: str | None = None

    def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        uuid = f"{self.agent or 'main'}-{self.session}-{len(self.lines)}"
        entry = {
            "parentUuid": self.last, "isSidechain": bool(self.agent), "sessionId": self.session, "cwd": "/home/me/shop",
            "version": "2.1.0", "gitBranch": "main", "type": kind, "uuid": uuid, "timestamp": self.clock.tick(), **fields,
        }  # fmt: skip
        if self.agent:
            entry["agentId"] = self.agent
        self.last = uuid
        self.lines.append(entry)
        return entry

    def prompt(self, text: str, **fields: Any) -> None:
        self.add("user", message={"role": "user", "content": text}, **fields)

    def answer(
        self,
        call: str,
        *blocks: dict[str, Any],
        stop: str | None = None,
        tokens: tuple[int, ...] = (10, 5),
        **fields: Any,
    ) -> None:
        """One line for each block, as the program writes them: all with the call's id and usage."""
        usage = dict(zip(
            ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"), tokens, strict=False
        ))  # fmt: skip
        for block in blocks:
            message = {
                "id": call, "type": "message", "role": "assistant", "model": "claude-x", "content": [block],
                "stop_reason": stop if block is blocks[-1] else None, "usage": usage,
            }  # fmt: skip
            self.add("assistant", message=message, requestId=f"req-{call}", **fields)

    def result(self, call_id: str, text: Any, *, is_error: bool = False, told: Any = None) -> None:
        block = {
            "type": "tool_result",
            "tool_use_id": call_id,
            "content": text,
            **({"is_error": True} if is_error else {}),
        }
        self.add(
            "user",
            message={"role": "user", "content": [block]},
            **({"toolUseResult": told} if told is not None else {}),
        )

    def text(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def thinking(said: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": "x"}


def use(call_id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


class Rollout:
    """A rollout of Codex CLI."""

    def __init__(self, thread: str = "t-1", clock: Clock | None = None, **about: Any) -> None:
        self.clock = clock or Clock()
        self.thread = thread
        self.lines: list[dict[str, Any]] = []
        self.total = dict.fromkeys(("input_tokens", "cached_input_tokens", "output_tokens"), 0)
        self.add(
            "session_meta",
            {"id": thread, "cwd": "/home/me/shop", "cli_version": "0.99.0", "originator": "codex_cli", **about},
        )

    def add(self, kind: str, payload: dict[str, Any]) -> None:
        self.lines.append({"timestamp": self.clock.tick(), "type": kind, "payload": payload})

    def event(self, kind: str, **fields: Any) -> None:
        self.add("event_msg", {"type": kind, **fields})

    def item(self, kind: str, **fields: Any) -> None:
        self.add("response_item", {"type": kind, **fields})

    def prompt(self, text: str, turn: str = "turn-1") -> None:
        self.event("task_started", turn_id=turn)
        self.item(
            "message",
            role="user",
            content=[{"type": "input_text", "text": "<environment_context>here</environment_context>"}],
        )
        self.item("message", role="user", content=[{"type": "input_text", "text": text}])
        self.event("user_message", message=text)
        self.add("turn_context", {"turn_id": turn, "cwd": "/home/me/shop", "model": "gpt-x"})

    def say(self, text: str) -> None:
        self.item("message", role="assistant", content=[{"type": "output_text", "text": text}])
        self.event("agent_message", message=text)

    def call(self, call_id: str, name: str, **given: Any) -> None:
        self.item("function_call", name=name, call_id=call_id, arguments=json.dumps(given))

    def output(self, call_id: str, output: Any) -> None:
        self.item("function_call_output", call_id=call_id, output=output)

    def usage(self, given: int, got: int, cached: int = 0) -> None:
        last = {"input_tokens": given, "cached_input_tokens": cached, "output_tokens": got}
        self.total = {key: self.total[key] + last[key] for key in self.total}
        self.event(
            "token_count",
            info={"total_token_usage": self.total, "last_token_usage": last, "model_context_window": 272000},
        )

    def done(self, text: str, turn: str = "turn-1") -> None:
        self.event("task_complete", turn_id=turn, last_agent_message=text)

    def text(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def shop() -> tuple[Claude, Claude]:
    """A session that looks, gives work to a sub-agent, and is done; and the sub-agent's own log."""
    main = Claude()
    main.prompt("Fix the price test. At most 3 files.")
    main.answer(
        "m1",
        thinking("Which test?"),
        text("I look."),
        use("c1", "Bash", command="pytest -q"),
        stop="tool_use",
        tokens=(4, 30, 1000, 200),
    )
    main.result(
        "c1", "Exit code 1\n1 failed", is_error=True, told={"stdout": "", "stderr": "1 failed", "interrupted": False}
    )
    main.answer(
        "m2",
        use("c2", "Task", subagent_type="reviewer", description="review", prompt="Review prices.py"),
        stop="tool_use",
        tokens=(6, 40, 1200, 0),
    )
    sub = Claude(agent="a1", clock=Clock(main.clock.now_s))
    sub.prompt("Review prices.py")
    sub.answer("n1", use("d1", "Read", file_path="prices.py"), stop="tool_use", tokens=(3, 7))
    sub.result("d1", "price = 1")
    sub.answer("n2", text("The price is wrong."), stop="end_turn", tokens=(5, 9))
    main.clock.now_s = sub.clock.now_s
    main.result("c2", [text("The price is wrong.")], told={"status": "completed", "agentId": "a1", "totalTokens": 24})
    main.answer("m3", text("Fixed."), stop="end_turn", tokens=(8, 2, 1500, 0))
    main.add("system", subtype="turn_duration", durationMs=9000)
    return main, sub


def fold(batches: list[Batch]) -> dict[bytes, Trace]:
    """The traces that batches tell of, by id, in the order of their first facts."""
    bodies = {f.digest: (f.media_type, f.body) for batch in batches for f in batch.facts if isinstance(f, Payload)}
    traces: dict[bytes, Trace] = {}
    for batch in batches:
        for fact in batch.facts:
            if trace_id := trace_of(fact):
                traces.setdefault(trace_id, Trace(trace_id, bodies.get)).apply(fact, batch.source)
    return traces


def read(*files: tuple[str, bytes]) -> dict[bytes, Trace]:
    logs = CodingLogs()
    for name, data in files:
        logs.feed(name, data)
    logs.finish()
    return fold(logs.take())


def state(traces: dict[bytes, Trace]) -> Any:
    """What traces say, span by span; times in microseconds, because what is told again is told some nanoseconds later."""
    return {
        trace.trace_id: {
            s.span_id: (
                s.parent_id, s.kind, s.name, s.agent, s.start_ns // 1000, s.end_ns // 1000, s.is_open, s.status, s.message,
                s.attributes, s.contents, [(e.at_ns, e.name, e.attributes, e.contents) for e in s.events],
            )
            for s in trace.spans.values()
        }
        for trace in traces.values()
    }  # fmt: skip
