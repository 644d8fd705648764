"""Rules of `trajectory check`: passed, broken and not to be told are three things, with an exit code each."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.cli.terminal import Done
from tests.collector.builders import SOURCE, ended, finding, started
from trajectory.cli import main
from trajectory.collector.pipeline import Pipeline
from trajectory.model.fact import Batch, Fact, Finding, Found, Gap, SpanEnded
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.store.sqlite import open_writer

NOW_NS = time.time_ns()
CHEAP = {MODEL_NAME: "gpt-4o-mini", INPUT_TOKENS: 1_000, OUTPUT_TOKENS: 100}  # 0.00021 dollars
UNKNOWN = {**CHEAP, MODEL_NAME: "our-own-model"}
SILENT = {MODEL_NAME: "gpt-4o-mini"}


def run_of(
    number: int, *calls: dict[str, object], found: tuple[Finding, ...] = (), more: tuple[Fact, ...] = ()
) -> Batch:
    """A run with an agent that calls models, a second long."""
    trace_id = number.to_bytes(16, "big")
    spans = [number * 100 + n for n in range(len(calls) + 1)]
    facts: list[Fact] = [started(spans[0], agent="helper", at_ns=NOW_NS, trace_id=trace_id)]
    for span, attributes in zip(spans[1:], calls, strict=True):
        facts += [
            started(span, spans[0], "model", at_ns=NOW_NS, trace_id=trace_id, attributes=attributes),
            ended(span, at_ns=NOW_NS + 500_000_000, trace_id=trace_id),
        ]
    facts += [Found(NOW_NS, one) for one in found]
    facts += [*more, ended(spans[0], at_ns=NOW_NS + 1_000_000_000, trace_id=trace_id)]
    return Batch(SOURCE, number * 1000, facts)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: object) -> Done:
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def check(tmp_path: Path, command: Callable[..., Done]) -> Callable[..., Done]:
    """Stores runs, and holds the first, or all, against one check."""

    def checked(rule: str, *runs: Batch, since: str = "") -> Done:
        store, policy = tmp_path / "store", tmp_path / "policy.toml"
        with closing(open_writer(str(store))) as writer:
            pipeline = Pipeline(writer, [], time.time_ns)
            pipeline.store(runs)
            pipeline.fold(runs)
            pipeline.finish()
        policy.write_text(f"[[check]]\n{rule}\n")
        which = ["--since", since] if since else ["0" * 30 + "01"]
        return command("check", *which, "--policy", policy, "--store", store, "--json")

    return checked


CASCADE = finding(101, trace_id=(1).to_bytes(16, "big"))
OPEN = Batch(SOURCE, 0, [started(101, agent="a", at_ns=NOW_NS, trace_id=(1).to_bytes(16, "big"))])
CASES = [
    ('kind = "cascade"', run_of(1, CHEAP), 0, "0 found"),
    ('kind = "cascade"', run_of(1, CHEAP, found=(CASCADE,)), 1, "1 found"),
    ('kind = "casc*"\nat_most = 1', run_of(1, CHEAP, found=(CASCADE,)), 0, "1 found"),
    ('kind = "cascade"\nagent = "nobody"', run_of(1, CHEAP, found=(CASCADE,)), 0, "0 found; no agent is called nobody"),
    ('kind = ["cascade", "casade"]', run_of(1, CHEAP), 3, "nobody looks for casade"),
    ('kind = "goal.drift"', run_of(1, CHEAP), 3, "nobody looks for goal.drift"),  # unless it is switched on
    (
        'kind = ["anomaly.cost", "context.altered", "flow.*", "*"]\nseverity = "critical"',
        run_of(1, CHEAP),
        0,
        "0 found",
    ),
    ('kind = "cascade"', OPEN, 3, "a run was cut off"),
    ('measure = "cost_usd"\nat_most = 0.001', run_of(1, CHEAP, CHEAP), 0, "cost_usd 0.00042"),
    ('measure = "cost_usd"\nat_most = 0.0003', run_of(1, CHEAP, CHEAP), 1, "cost_usd 0.00042"),
    ('measure = "cost_usd"\nat_most = 0.001', run_of(1, CHEAP, UNKNOWN), 3, "nobody knows what our-own-model costs"),
    ('measure = "cost_usd"\nat_most = 0.0001', run_of(1, CHEAP, UNKNOWN), 1, "cost_usd 0.00021"),
    ('measure = "cost_usd"\nat_most = 1', run_of(1), 3, "no model call of a run was recorded"),
    ('measure = "tokens"\nat_most = 1100', run_of(1, CHEAP), 0, "tokens 1100"),
    ('measure = "output_tokens"\nat_most = 99', run_of(1, CHEAP), 1, "output_tokens 100"),
    ('measure = "tokens"\nat_most = 5000', run_of(1, CHEAP, SILENT), 3, "2 counts of tokens were not recorded"),
    ('measure = "duration_s"\nat_most = 1', run_of(1, CHEAP), 0, "duration_s 1"),
    ('measure = "call_s"\nat_most = 0.4', run_of(1, CHEAP), 1, "call_s 0.5"),
    ('measure = "errors"', run_of(1, CHEAP), 0, "errors 0"),
    ('measure = "model_calls"\nat_most = 1', run_of(1, CHEAP, CHEAP), 1, "model_calls 2"),
]


@pytest.mark.parametrize(("rule", "run", "code", "said"), CASES, ids=[f"{c[0][:30]}-{c[2]}" for c in CASES])
def test_a_check_is_passed_broken_or_not_to_be_told(
    check: Callable[..., Done], rule: str, run: Batch, code: int, said: str
) -> None:
    done = check(rule, run)
    (verdict,) = done.json_lines()
    assert (done.code, verdict["state"]) == (code, {0: "passed", 1: "broken", 3: "unknown"}[code]), done.err
    assert said in verdict["said"]
    assert bool(verdict["where"]) == (code == 1)


def test_all_runs_since_a_time_are_summed_up_or_held_one_by_one_and_facts_that_are_missing_are_no_pass(
    check: Callable[..., Done],
) -> None:
    runs = [run_of(1, CHEAP), run_of(2, CHEAP)]
    bound = 'measure = "cost_usd"\nat_most = 0.0003'
    assert check(bound, *runs, since="1h").code == 0
    assert check(f'{bound}\nof = "all"', since="1h").code == 1
    lost = Batch(SOURCE, 5_000, [Gap(NOW_NS, 3, "queue_full")])
    open_one = Batch(SOURCE, 4_000, [started(401, agent="late", at_ns=NOW_NS, trace_id=(4).to_bytes(16, "big"))])
    over = Batch(SOURCE, 6_000, [SpanEnded((4).to_bytes(16, "big"), (401).to_bytes(8, "big"), NOW_NS + 1, 0, "ok")])
    done = check(bound, open_one, lost, over, since="1h")
    assert done.code == 3, done.out


def test_nothing_to_check_is_no_pass_and_bad_input_is_two(
    check: Callable[..., Done], command: Callable[..., Done], tmp_path: Path
) -> None:
    assert check('kind = "*"', since="1h").code == 3
    store = tmp_path / "store"
    policy = tmp_path / "policy.toml"
    assert command("check", "--since", "soon", "--policy", policy, "--store", store).code == 2
    assert command("check", "abcd", "--policy", policy, "--store", store).code == 2
    assert command("check", "--policy", policy, "--store", store).code == 2
    policy.write_text("[[rule]]\n")
    assert "has no checks" in command("check", "--since", "1h", "--policy", policy, "--store", store).err


def test_runs_from_before_are_not_held_against_a_check_and_those_that_nobody_judged_are_no_pass(
    check: Callable[..., Done], tmp_path: Path, command: Callable[..., Done]
) -> None:
    before = run_of(2, CHEAP)
    for fact in before.facts:
        msgspec.structs.force_setattr(fact, "at_ns", fact.at_ns - 7_200_000_000_000)  # type: ignore[union-attr]
    done = check('kind = "cascade"', run_of(1, CHEAP), before, since="1h")
    assert done.code == 0 and "1 run, 1 check: 1 passed" in done.err
    with closing(open_writer(str(tmp_path / "store"))) as writer:
        writer.append([run_of(3, CHEAP)])
    done = command("check", "--since", "1h", "--policy", tmp_path / "policy.toml", "--store", tmp_path / "store")
    assert done.code == 3 and "a run was not judged to its end" in done.out


def test_without_a_policy_there_is_nothing_to_check_and_a_strangers_detector_may_look_for_anything(
    check: Callable[..., Done], command: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJECTORY_ALERTS", "off")
    assert "there is no policy: write" in command("check", "--since", "1h", "--store", tmp_path / "store").err

    class Stranger:
        name = "mine"

    assert check('kind = "theirs"', run_of(1, CHEAP)).code == 3
    monkeypatch.setattr("trajectory.detection.contract.registered_detectors", lambda tell: [Stranger])
    assert check('kind = "theirs"', run_of(1, CHEAP)).code == 0
