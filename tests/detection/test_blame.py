"""Who broke the run: rules that hold for any team, on small runs made up here."""

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.detection.asking import judged
from tests.detection.stories import CLEAN, FAULTY
from tests.scenarios import Scenario
from trajectory.detection.blame import Blame, Candidate, blame_of, suspected
from trajectory.detection.blame_weights import PEERS, PEERS_CAUSAL
from trajectory.detection.contract import registered_detectors
from trajectory.detection.signals import outcome_of, signals_in
from trajectory.detection.steps import Role, steps_of
from trajectory.dialects.sniff import read_file
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding, Payload, SpanEnded, SpanStarted
from trajectory.model.words import SpanKind

QUESTION = "How many swans were counted at Lake Orta in the 2019 census?"
FAILED = "exitcode: 1 (execution failed)\nCode output: FileNotFoundError: swans.csv"
CODE = "I read the census file.\n```python\nprint(open('swans.csv').read())\n```"
MADE_UP = (
    "The file is not there. Let's assume the following data to go on with: 4711 swans, 3 islands. The total is 4711."
)
ANSWER = "The census of 2019 counted 4711 swans at Lake Orta. That is the number which was asked for, as agreed."


def conversation(*steps: tuple[str, str, str]) -> Trace:
    """A log of (agent, role, content) as an import folds it."""
    entries = [{"i": i, "agent": a, "role": r, "content": c} for i, (a, r, c) in enumerate(steps)]
    record = {"run_id": "r", "question": QUESTION, "steps": entries}
    bodies: dict[bytes, tuple[str, bytes]] = {}
    trace: Trace | None = None
    for batch in read_file(json.dumps(record).encode(), "log.jsonl", "chat").batches:
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            else:
                trace = trace or Trace(fact.trace_id, bodies.get)  # type: ignore[union-attr]
                trace.apply(fact, batch.source)
    assert trace is not None
    return trace


def swans() -> Trace:
    return conversation(
        ("Planner", "agent", "Let us look at the census file first, then count, then agree on the answer."),
        ("Reader", "agent", CODE),
        ("Terminal", "tool", FAILED),
        ("Analyst", "agent", MADE_UP),
        ("Checker", "agent", "I agree, the number is correct and verified. Thank you all."),
        ("Planner", "agent", ANSWER),
    )


def story_of(name: str) -> tuple[Trace, list[Candidate]]:
    trace, said = judged(FAULTY[name][0](), registered_detectors())
    trace.findings.update((f.key, f) for f in said)
    return trace, blame_of(trace).candidates()


def test_scores_are_the_probabilities_of_a_whole_run_and_ranked() -> None:
    found = blame_of(swans()).candidates()
    assert sum(c.score for c in found) == pytest.approx(1)
    assert [c.rank for c in found] == [1, 2, 3, 4, 5]
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


def test_whoever_makes_up_what_reaches_the_answer_is_suspected_first_and_told_why() -> None:
    first = blame_of(swans()).candidates()[0]
    assert (first.agent, first.step) == ("Analyst", 3)
    assert any("4711 swans, which no source holds; it reaches the final answer" in reason for reason in first.reasons)
    assert any("makes up" in reason for reason in first.reasons)


def test_the_work_after_which_the_team_saw_no_progress_is_told() -> None:
    no_progress = '{"is_progress_being_made": {"answer": false, "reason": "the file is not there"}}'
    trace = conversation(
        ("Orchestrator (thought)", "agent", "Initial plan: read the census."),
        ("Orchestrator (-> Reader)", "agent", "Read the file."),
        ("Reader", "agent", CODE),
        ("Orchestrator (thought)", "agent", no_progress),
        ("Orchestrator (-> Analyst)", "agent", "Count them."),
        ("Analyst", "agent", MADE_UP),
        ("Orchestrator", "agent", ANSWER),
    )
    readings, _ = blame_of(trace).readings()
    assert [r.step.agent for r in readings if r.reasons.get("stuck_after") == "the team then saw no progress"] == [
        "Reader"
    ]


def test_agreement_and_goodbyes_are_suspected_last() -> None:
    trace = conversation(*(("A", "agent", text) for text in (CODE, MADE_UP, ANSWER, "TERMINATE")))
    assert blame_of(trace).candidates()[-1].step == 3


def test_a_value_that_a_tool_returned_is_nobodys_invention() -> None:
    trace = conversation(
        ("Reader", "agent", CODE),
        ("Terminal", "tool", "exitcode: 0 (execution succeeded)\nCode output: 4711"),
        ("Analyst", "agent", "The file says 4711, so there were 4711 swans."),
        ("Planner", "agent", ANSWER),
    )
    readings, _ = blame_of(trace).readings()
    assert not any("unsourced" in r.features or "reaches_answer" in r.features for r in readings)


def test_whoever_runs_code_is_blamed_and_not_what_runs_it() -> None:
    found = blame_of(swans()).candidates()
    assert "Terminal" not in {c.agent for c in found}
    reader = next(c for c in found if c.agent == "Reader")
    assert any("FileNotFoundError" in reason for reason in reader.reasons)


def test_causal_mode_does_not_know_what_comes_later() -> None:
    """Cutting a run short changes nothing in the signals of the steps that were there."""
    steps = [("Planner", "agent", "First we plan."), ("Reader", "agent", CODE), ("Terminal", "tool", FAILED)]
    later = [("Analyst", "agent", MADE_UP), ("Planner", "agent", ANSWER)]
    short, _ = blame_of(conversation(*steps)).readings(causal=True)
    long, _ = blame_of(conversation(*steps, *later)).readings(causal=True)
    assert [r.features for r in short] == [r.features for r in long[: len(short)]]


def test_causal_mode_counts_no_findings_for_they_may_rest_on_what_came_later() -> None:
    trace, _ = story_of("invented")
    readings, _ = blame_of(trace).readings(causal=True)
    assert not any("evidence" in reading.features for reading in readings)
    assert any("evidence" in reading.features for reading in blame_of(trace).readings()[0])


def test_causal_mode_weighs_nothing_that_only_the_end_shows() -> None:
    assert set(PEERS) - set(PEERS_CAUSAL) == {"heaviest", "reaches_answer"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("invented", SpanKind.TOOL),
        ("substituted", SpanKind.TOOL),
        ("escaped", SpanKind.TOOL),
        ("forgetful", SpanKind.DELEGATION),
        ("altered", SpanKind.DELEGATION),
    ],
)
def test_where_detectors_have_evidence_it_comes_first(name: str, kind: SpanKind) -> None:
    trace, found = story_of(name)
    assert trace.spans[found[0].span_id].kind == kind
    assert any(f.message in found[0].reasons[0] for f in trace.findings.values())


def test_a_step_of_a_traced_run_has_its_spans_place_by_start() -> None:
    trace, found = story_of("invented")
    ordered = [s.span_id for s in sorted(trace.spans.values(), key=lambda s: s.order_key)]
    assert all(ordered[c.step] == c.span_id for c in found)


@pytest.mark.parametrize("story", [*(s for s, _ in FAULTY.values()), *CLEAN.values()])
def test_a_live_run_ends_with_the_ranking_of_the_same_facts_read_at_once(story: Callable[[], Scenario]) -> None:
    run = story()
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    live = run.empty_trace()
    order = random.Random(7)
    late = [*facts, *order.sample(facts, len(facts) // 3)]
    order.shuffle(late)
    for count, fact in enumerate(late):
        live.apply(fact, run.source)
        if count % 3 == 0:
            blame_of(live).candidates()
    assert blame_of(live).candidates() == blame_of(run.trace()).candidates()


@pytest.mark.parametrize("seed", range(8))
def test_cycles_missing_parents_and_ends_before_starts_are_ranked_too(seed: int) -> None:
    chance = random.Random(seed)
    run = FAULTY["substituted"][0]()
    ids = [f.span_id for f in run.facts if isinstance(f, SpanStarted)] + [b"missing!"]
    trace = run.empty_trace()
    for fact in run.facts:
        if isinstance(fact, SpanStarted) and chance.random() < 0.4:
            fact = replace(fact, parent_id=chance.choice(ids))
        elif isinstance(fact, SpanEnded) and chance.random() < 0.4:
            fact = replace(fact, at_ns=1)
        trace.apply(fact, run.source)
    assert sum(c.score for c in blame_of(trace).candidates()) == pytest.approx(1)


def test_a_strangers_finding_of_no_known_severity_is_no_evidence() -> None:
    trace, found = story_of(next(iter(FAULTY)))
    odd = Finding("odd", "\x1b[31m", 0.5, trace.trace_id, found[-1].span_id, "said")
    trace.findings[odd.key] = odd
    assert blame_of(trace).candidates() == found


def test_a_run_without_content_has_nobody_to_suspect_of_what_was_said() -> None:
    run = Scenario(captures_content=False)
    with run.agent("alone", task="anything"):
        run.says("a secret")
    assert all(c.reasons == [] or "secret" not in str(c.reasons) for c in blame_of(run.trace()).candidates())


def test_a_conversation_shown_again_at_every_call_is_gone_through_once() -> None:
    run = Scenario()
    with run.agent("talker", task=QUESTION):
        for number in range(60):
            run.says(f"thought {number}")
    steps, _ = steps_of(run.trace())
    shown = sum(len(step.shown) for step in steps)
    assert len(steps) == 60
    assert shown < 3 * 60  # and not 60 * 60 / 2


def test_a_thought_of_which_nothing_was_captured_is_no_step() -> None:
    run = Scenario()
    with run.agent("quiet", task=QUESTION):
        run.thinks("Hm.")
        run.says("4711.")
    assert [step.role for step in steps_of(run.trace())[0]] == [Role.WORK]


def test_a_tool_that_nobody_asked_for_in_words_is_a_step_of_its_own() -> None:
    run = Scenario()
    with run.agent("quiet", task=QUESTION):
        run.tool("count", {"lake": "Orta"}, "Error: 503 Service Unavailable")
    steps, _ = steps_of(run.trace())
    assert [step.role for step in steps if step.span.kind == SpanKind.TOOL] == [Role.TOOL]


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("Let's assume the following numbers", "made_up"),
        ("We use sample data instead", "made_up"),
        ("I have successfully retrieved the page", "claims"),
        ("It is typically 30", "hedges"),
        ("It seems that the script failed", "corrects"),
    ],
)
def test_words_that_own_up_are_signals_and_quoted(text: str, signal: str) -> None:
    said = getattr(signals_in(text), signal)
    assert said and said in text


def test_an_opening_that_hands_out_work_is_not_its_speakers_own() -> None:
    brief = "# Task\nAssume the worst.\n## Plan\n1. count\n## Output format\na number\n"
    assert signals_in(brief, is_opening=True).words_count == 0
    opening = signals_in(brief + "## Results from last response\nI found 12 of them.", is_opening=True)
    assert (opening.words_count, opening.claims, opening.hedges) == (5, "I found", "")


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("exitcode: 0 (execution succeeded)\nCode output: 220", "done"),
        ("exitcode: 0 (execution succeeded)\nCode output: \n[]", "failed"),
        ("exitcode: 1 (execution failed)\nCode output: boom", "failed"),
        ("There is no code from the last 1 message for me to execute.", ""),
        ("12 swans", "done"),
    ],
)
def test_what_came_of_a_call_is_told_by_its_result(result: str, outcome: str) -> None:
    assert outcome_of(result) == outcome


@given(st.text(max_size=300))
def test_signals_take_any_text(text: str) -> None:
    said = signals_in(text, is_opening=True)
    assert said.words_count >= 0
    outcome_of(text)


def test_a_million_characters_are_read_in_part() -> None:
    trace = conversation(("A", "agent", "assume " * 150_000), ("B", "agent", ANSWER))
    assert blame_of(trace).candidates()[0].agent in ("A", "B")


def test_a_long_live_run_is_ranked_again_only_when_it_has_grown_by_a_part_of_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    whole = Blame.candidates

    def counted(blame: Blame, limit: int | None = None) -> list[Candidate]:
        asked.append(1)
        return whole(blame, limit)

    monkeypatch.setattr(Blame, "candidates", counted)
    run = Scenario()
    with run.agent("talker", task=QUESTION):
        for number in range(700):
            run.says(f"thought {number}")
    trace = run.empty_trace()
    for fact in run.facts:
        if not isinstance(fact, Payload):
            trace.apply(fact, run.source)
            if len(trace.spans) >= 500:
                suspected(trace, trace.last_ns, 5)
    assert len(asked) < 20  # of four hundred questions
    assert suspected(trace, trace.last_ns, 5) == whole(blame_of(trace), 5)
