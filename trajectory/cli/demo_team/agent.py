"""An agent of the demo: think, act on what the model asks for, think again, until it has nothing more to ask.

Invariant: one `Agent` does one piece of work, and everything that it does is traced through the public API alone. Several
delegations in one answer run at the same time, each sent when the one before has been accepted, so their order is fixed.
Called by `serve` for each task that arrives.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

import trajectory
from trajectory.cli.demo_team.conversation import DELEGATE, Call, Message, Reply
from trajectory.cli.demo_team.lines import SYSTEM
from trajectory.cli.demo_team.script import MODEL_NAME, Completion, ScriptedModel
from trajectory.cli.demo_team.talk import PATIENCE_S, Answer, ask
from trajectory.cli.demo_team.tools import offered, tools_for
from trajectory.cli.demo_team.world import World, as_text

MAX_TURNS = 12
_ATTEMPTS = 3
_BACKOFF_S = 0.25


@dataclass(frozen=True)
class Surroundings:
    """What an agent's process knows: the world, where the others listen (`host:port` by name), how long a second takes."""

    world: World
    addresses: Mapping[str, str]
    pace: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, seconds: float) -> None:
        """Passes `seconds` of the demo's time, at its pace."""
        if self.pace > 0:
            self.sleep(seconds * self.pace)


class Agent:
    """One invocation of a role."""

    def __init__(self, role: str, around: Surroundings) -> None:
        self._role = role
        self._around = around
        self._model = ScriptedModel(around.world.seed, role)
        self._tools = tools_for(role, around.world, around.pause)
        self._messages: list[Message] = [{"role": "system", "content": SYSTEM[role]}]
        self._trace_id = ""

    def work(self, task: str) -> Answer:
        """Does the task and answers it; after a transfer the answer says where the rest will be."""
        self._messages.append({"role": "user", "content": task})
        for _ in range(MAX_TURNS):
            reply = self._think()
            if not reply.calls:
                return Answer(reply.text, trace_id=self._trace_id)
            results = self._act(reply.calls)
            handed_on = next((result.continued_at for result in results if result.continued_at), "")
            if handed_on:
                return Answer(reply.text, handed_on, self._trace_id)
            self._hear(reply.calls, results)
        raise RuntimeError(f"{self._role} found no answer in {MAX_TURNS} turns")

    def _think(self) -> Reply:
        tools = offered(self._role, self._tools)
        with trajectory.model(MODEL_NAME, messages=list(self._messages), tools=tools) as call:
            completion = self._model.complete(self._messages)
            self._around.pause(completion.latency_s)
            for piece in completion.pieces:
                call.delta(piece)
                self._around.pause(completion.piece_s)
            call.output(
                completion.message,
                input_tokens=completion.input_tokens,
                output_tokens=completion.output_tokens,
                finish_reason=completion.finish_reason,
            )
        self._messages.append(completion.message)
        self._note(completion)
        return completion.reply

    def _note(self, completion: Completion) -> None:
        reply = completion.reply
        if reply.plan:
            trajectory.plan(list(reply.plan))
        if reply.thought:
            trajectory.thought(reply.thought, confidence=reply.confidence)

    def _hear(self, calls: tuple[Call, ...], results: list[Answer]) -> None:
        asked = self._messages[-1]["tool_calls"]
        for call, tool_call, result in zip(calls, asked, results, strict=True):
            heard = {"role": "tool", "tool_call_id": tool_call["id"], "name": call.name, "content": result.text}
            self._messages.append(heard)

    def _act(self, calls: tuple[Call, ...]) -> list[Answer]:
        if len(calls) == 1:
            return [self._run(calls[0])]
        pending = []
        with ThreadPoolExecutor(len(calls)) as pool:
            for call in calls:
                accepted = threading.Event()
                pending.append(pool.submit(copy_context().run, self._run, call, accepted.set))
                accepted.wait(PATIENCE_S)
        return [future.result() for future in pending]

    def _run(self, call: Call, on_accepted: Callable[[], None] = lambda: None) -> Answer:
        try:
            return self._delegate(call, on_accepted) if call.name == DELEGATE else Answer(self._use(call))
        finally:
            on_accepted()

    def _delegate(self, call: Call, on_accepted: Callable[[], None]) -> Answer:
        name, task, mode = call.arguments["agent"], call.arguments["task"], call.arguments["mode"]
        with trajectory.delegate(name, task=task, mode=mode) as work:
            self._trace_id = work.headers.get("traceparent", "--").split("-")[1]
            answer = ask(self._around.addresses[name], task, mode, work.headers, on_accepted)
            if not answer.continued_at:
                work.returned(answer.text)
        return answer

    def _use(self, call: Call) -> str:
        """The tool's result as text. A timeout is tried again; any other fault is told to the model, as agents do."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                result = self._tools[call.name](**call.arguments)
            except TimeoutError as fault:
                if attempt == _ATTEMPTS:
                    return f"{type(fault).__name__}: {fault}"
                self._around.pause(_BACKOFF_S * 2**attempt)
            except (ValueError, LookupError) as fault:
                return f"{type(fault).__name__}: {fault}"
            else:
                if call.name == "search_web":
                    trajectory.context("retrieved", result)
                return as_text(result)
        raise AssertionError("every attempt returns or is tried again")
