"""An agent behind HTTP: takes a task with its baton, works, answers.

Invariant: a `call` is answered on the connection that it came on; a `transfer` is answered at once with the address where
the result will be, because control has passed. Headers go out when the work is accepted, the body when its span has ended.
Called by `member`; one thread for each request.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trajectory
from trajectory.cli.demo_team.agent import Agent, Surroundings
from trajectory.cli.demo_team.talk import MAX_BODY_BYTES, PATIENCE_S, Answer, AskFailed
from trajectory.cli.demo_team.world import TITLE

Headers = dict[str, str]


class AgentServer(ThreadingHTTPServer):
    """Serves one role on an ephemeral loopback port; `around` is set before the first request."""

    daemon_threads = True
    around: Surroundings

    def __init__(self, role: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.role = role
        self.taken_over: dict[str, Future[Answer]] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def answer(self, headers: Headers, task: str, on_accepted: Callable[[], None]) -> Answer:
        """The answer, or what went wrong as an answer: the asker decides."""
        try:
            return self._perform(headers, task, on_accepted)
        except (AskFailed, RuntimeError, LookupError, TypeError, ValueError) as fault:
            return Answer(error=f"{self.role}: {fault or type(fault).__name__}")

    def _perform(self, headers: Headers, task: str, on_accepted: Callable[[], None]) -> Answer:
        if "traceparent" not in {name.lower() for name in headers}:
            return self._perform_root(task, on_accepted)
        with trajectory.accept(headers, agent=self.role, task=task) as work:
            on_accepted()
            answer = Agent(self.role, self.around).work(task)
            work.returned(answer.text)
        return answer

    def _perform_root(self, task: str, on_accepted: Callable[[], None]) -> Answer:
        """Work that nobody of the team delegated is the root of a trace."""
        answers: list[Answer] = []

        @trajectory.agent(self.role, session=f"demo-{self.around.world.seed}", title=TITLE)
        def answer_user(task: str) -> str:
            on_accepted()
            answers.append(Agent(self.role, self.around).work(task))
            return answers[0].text

        answer_user(task)
        return answers[0]

    def take_over(self, headers: Headers, task: str) -> Answer:
        """Takes control of a task: works on in a thread of its own and says where the result will be."""
        result: Future[Answer] = Future()
        ticket = f"/answers/{len(self.taken_over) + 1}"
        self.taken_over[ticket] = result
        accepted = threading.Event()

        def finish() -> None:
            result.set_result(self.answer(headers, task, accepted.set))
            accepted.set()

        threading.Thread(target=finish, daemon=True).start()
        accepted.wait(PATIENCE_S)
        return Answer(continued_at=f"{self.address}{ticket}")


class _Handler(BaseHTTPRequestHandler):
    server: AgentServer
    _begun = False

    def do_POST(self) -> None:
        asked = self._asked()
        if asked is None:
            self.send_error(400, "a task as JSON is expected")
        elif asked.get("mode") == "transfer":
            self._finish(self.server.take_over(dict(self.headers), asked["task"]))
        else:
            self._finish(self.server.answer(dict(self.headers), asked["task"], self._begin))

    def do_GET(self) -> None:
        result = self.server.taken_over.get(self.path)
        if result is None:
            self.send_error(404, "nothing was handed over under this address")
        else:
            self._finish(result.result(PATIENCE_S))

    def _asked(self) -> dict[str, Any] | None:
        """The request's body; None where it is not one."""
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MAX_BODY_BYTES:
            return None
        try:
            asked = json.loads(self.rfile.read(int(size)))
        except ValueError:
            return None
        return asked if isinstance(asked, dict) and isinstance(asked.get("task"), str) else None

    def _begin(self) -> None:
        """Sends the headers, once: the work is accepted."""
        if not self._begun:
            self._begun = True
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.flush()

    def _finish(self, answer: Answer) -> None:
        self._begin()
        self.wfile.write(answer.to_json())

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the trace has it all."""
