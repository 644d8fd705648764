"""A context window that is nearly full: by what the call reports, roughly by its text, or because it was refused."""

import pytest

from tests.detection.asking import judged, last
from tests.scenarios import Scenario
from trajectory.detection.pressure import ContextPressure
from trajectory.model.fact import Finding
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, SpanKind

WINDOW = 8_192  # of gpt-4
WORD = "word "  # five characters: one token and a quarter


def found(run: Scenario) -> list[Finding]:
    return last(judged(run, [ContextPressure])[1])


def call(
    tokens: int | None = None, words: int = 0, model: str = "gpt-4", error: tuple[str, str] | None = None
) -> Scenario:
    run = Scenario()
    with run.agent("planner", task="Go through all of it."):
        said = {"input": [WORD * words]} if words else {}
        used = {INPUT_TOKENS: tokens} if tokens is not None else {}
        asked = run.opens(SpanKind.MODEL, "chat", attributes={MODEL_NAME: model, **used}, contents=said)
        run.ends(asked, error=error)
    return run


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "Error code: 400 - context_length_exceeded",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input is too long for requested model",
    ],
)
def test_a_call_that_was_refused_for_its_length_is_told_whatever_its_model(said: str) -> None:
    (one,) = found(call(model="a model of our own", error=("BadRequestError", said)))
    assert (one.severity, one.grade, one.confidence) == ("warning", "observed", 0.95)
    assert one.message == "planner#1 was refused: its context is too long"
    assert one.evidence[0].text.casefold() in said.casefold()


def test_a_call_that_failed_otherwise_is_not() -> None:
    assert found(call(error=("RateLimitError", "too many requests: slow down"))) == []


@pytest.mark.parametrize(("share", "severity"), [(0.79, ""), (0.85, "info"), (0.95, "warning"), (1.5, "")])
def test_a_window_is_judged_by_the_tokens_that_a_call_reports(share: float, severity: str) -> None:
    told = found(call(int(WINDOW * share)))
    assert [(one.severity, one.grade) for one in told] == ([(severity, "observed")] if severity else [])
    assert all("7," in one.message or "6," in one.message for one in told)


@pytest.mark.parametrize(("share", "severity"), [(0.5, ""), (0.92, "info"), (0.99, "warning"), (1.5, "warning")])
def test_where_a_call_reports_none_they_are_counted_from_its_text_and_less_is_sure(share: float, severity: str) -> None:
    told = found(call(words=int(WINDOW * share * 4 / len(WORD))))
    assert [(one.severity, one.grade, one.confidence) for one in told] == (
        [(severity, "inferred", 0.7)] if severity else []
    )
    assert all(" has about " in one.message for one in told)


def test_a_model_whose_window_nobody_knows_is_not_judged() -> None:
    assert found(call(10_000_000, model="a model of our own")) == []


def test_of_one_agents_work_the_fullest_call_is_told() -> None:
    run = Scenario()
    with run.agent("planner", task="Go through all of it."):
        for share in (0.85, 0.97, 0.9):
            run.says("Next.", attributes={MODEL_NAME: "gpt-4", INPUT_TOKENS: int(WINDOW * share)})
    (one,) = found(run)
    assert one.message == "the context of planner#1 has 7,946 of the 8,192 tokens that gpt-4 takes"
