"""No finding holds a secret of what it quotes, whole or cut, whatever kind it is of.

Secrets are planted into every text of the named runs that have something wrong, and in place of values that findings name.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.detection import stories, test_duplicate, test_flow_promises, test_loop, test_orphan, test_plan_deviation
from tests.detection.asking import judged
from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.masking import Masking, masked
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Fact, Finding, SpanEnded

GITHUB = "ghp_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5"
PASSWORD = "hunter7-Trombone-Q9x"
SECRETS = {
    "aws": "AKIA" + "Q7RK2LW9ZT4XN8VB",
    "github": GITHUB,
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJxN1JrMkx3OSJ9.c2lnbmF0dXJlLW9mLWl0",
    "connection": f"postgres://app:{PASSWORD}@db.internal:5432/orders",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\n"
    + "\n".join(f"MIIEpAIBAAKCAQEA{n}q7Rk2Lw9Zt4Xn8Vb3Mc6Yp5Hd1Gf0Js2Kw8Tz4Xr6Vb1" for n in range(6))
    + "\n-----END RSA PRIVATE KEY-----",
}
HELD = [*(s for n, s in SECRETS.items() if n not in ("connection", "private key")), PASSWORD]
HELD += SECRETS["private key"].splitlines()[1:-1]
PIECE_CHARS = 12
REGISTERED = registered_detectors()


class Planted(Scenario):
    """A scenario whose every text holds a secret: before it, in the middle of it, behind, or in place of a value."""

    place = 0

    def _payload(self, value: Any) -> bytes:
        return super()._payload(_planted(value, self.place))

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, SpanEnded) and fact.message:
            fact = msgspec.structs.replace(fact, message=f"{fact.message} {_chosen(fact.message)}")
        super()._tell(fact)


def _chosen(text: str) -> str:
    return list(SECRETS.values())[sum(map(ord, text)) % len(SECRETS)]


def _planted(value: Any, place: int) -> Any:
    if isinstance(value, dict):
        kept = ("role", "type", "name", "id", "tool_call_id", "required")
        return {k: v if k in kept else _planted(v, place) for k, v in value.items()}
    if isinstance(value, list):
        return [_planted(v, place) for v in value]
    if not isinstance(value, str) or len(value) < 5:
        return value
    if place == 3:
        return re.sub(r"HR-8841|H99|H7\b|T-77|S1", lambda m: _chosen(m[0]), value)
    cut = (0, len(value) // 2, len(value))[place]
    cut = max(value.find(" ", cut), cut)
    return f"{value[:cut]} {_chosen(value)} {value[cut:]}".strip()


STORIES: dict[str, Callable[[], Scenario]] = {name: story for name, (story, _) in stories.FAULTY.items()}
STORIES |= {f"flow {name}": run for name, run in test_flow_promises.FAULTY.items()}
MODULES = (stories, test_duplicate, test_flow_promises, test_loop, test_orphan, test_plan_deviation)


def _holds(finding: Finding) -> list[str]:
    said = " ".join(map(str, (finding.message, finding.value, finding.evidence, finding.attributes)))
    return [s for s in HELD if any(s[i : i + PIECE_CHARS] in said for i in range(len(s) - PIECE_CHARS + 1))]


@pytest.mark.parametrize("place", range(4), ids=["before", "within", "behind", "as the value"])
def test_no_finding_of_any_kind_holds_a_secret(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        monkeypatch.setattr(module, "Scenario", Planted, raising=False)
    monkeypatch.setattr(Planted, "place", place)
    kinds: set[str] = set()
    for name, story in STORIES.items():
        _, said = judged(story(), REGISTERED, settle_every=8)
        kinds |= {f.kind for f in said}
        assert [(f.kind, held) for f in said if (held := _holds(f))] == [], name
    assert len(kinds) >= 12, kinds


def _finding(**said: Any) -> Finding:
    return Finding("x", "warning", 0.9, b"scenario-trace-1", b"\0" * 7 + b"\1", **{"message": "m", **said})


def test_a_password_is_masked_where_nothing_about_it_says_that_it_is_one() -> None:
    run = Scenario()
    with run.agent("worker", task=f"The archive is at {SECRETS['connection']} today."):
        run.says("Looking.")
    masking = Masking(run.trace())
    told = _finding(message=f"{PASSWORD} came from nowhere", value=PASSWORD, attributes={"cut": [f"…{PASSWORD[3:]}"]})
    said = masking.finding(told)
    assert (said.value, said.message) == ("[url password]", "[url password] came from nowhere")
    assert said.attributes == {"cut": ["…[url password]"]}


def test_what_comes_later_is_looked_at_too_and_a_finding_without_secrets_is_the_same_object() -> None:
    run = Scenario()
    with run.agent("worker", task="x"):
        run.tool("connect", {"password": PASSWORD}, "ok")
    trace = run.empty_trace()
    masking = Masking(trace)
    clean = _finding(
        value="900 EUR", evidence=[Evidence(b"12345678", "at most 900 EUR, ref T-77, AKIAIOSFODNN7EXAMPLE")]
    )
    assert masking.finding(clean) is clean
    for fact in run.facts:
        trace.apply(fact, run.source)
    assert masking.finding(_finding(value=PASSWORD)).value == "[key]"


def test_a_text_alone_is_masked_by_its_own_words() -> None:
    assert masked(f"use {GITHUB} or password: {PASSWORD}") == "use [github token] or password: [key]"
    assert (
        masked("commit 3f786850e387550fdab836ed7e6dc881de23001b") == "commit 3f786850e387550fdab836ed7e6dc881de23001b"
    )


def test_a_finding_about_agents_that_are_called_by_a_secret_holds_none() -> None:
    trace = Trace(b"t" * 16, {}.get)
    said = Finding("tool.silent_failure", "warning", 0.9, trace.trace_id, b"s" * 8, "it failed", GITHUB, f"to {GITHUB}")
    found = Masking(trace).finding(said)
    assert (found.agent, found.peer_agent) == ("[github token]", "to [github token]")
