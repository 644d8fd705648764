"""The scripted model and its world: equal for equal seeds, moved by what it reads and by nothing else."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.demo.truth import truth
from trajectory.cli.demo_team.conversation import Call, Conversation, Message, Reply, figures_in
from trajectory.cli.demo_team.lines import LINES, SYSTEM
from trajectory.cli.demo_team.script import STREAMED_WORDS, ScriptedModel, count_tokens
from trajectory.cli.demo_team.world import FISCAL_YEAR, World, as_text

SEEDS = (0, 1, 2, 7, 40)


def opening(role: str, task: str) -> list[Message]:
    return [{"role": "system", "content": SYSTEM[role]}, {"role": "user", "content": task}]


def heard(tool: str, result: object) -> Message:
    return {"role": "tool", "tool_call_id": "call", "name": tool, "content": as_text(result)}


def read_by_research(world: World, task: str) -> list[Reply]:
    """What a researcher says, turn by turn, with the world's tools behind it and no tracing."""
    tools: dict[str, Any] = {
        "search_web": lambda query: world.search(query, world.timeouts + 1),
        "fetch_page": world.page,
        "read_cache": lambda source, quarter, fiscal_year="": world.cached(source, quarter, fiscal_year),
    }
    model, messages, replies = ScriptedModel(world.seed, "research"), opening("research", task), []
    while True:
        completion = model.complete(messages)
        replies.append(completion.reply)
        if not completion.reply.calls:
            return replies
        (call,) = completion.reply.calls
        try:
            result = tools[call.name](**call.arguments)
        except LookupError as fault:
            result = f"LookupError: {fault}"
        messages += [completion.message, heard(call.name, result)]


def briefs_of(world: World) -> list[str]:
    reply = ScriptedModel(world.seed, "planner").complete(opening("planner", world.task)).reply
    return [call.arguments["task"] for call in reply.calls]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_conversations_get_equal_answers(seed: int) -> None:
    messages = opening("planner", World.of(seed).task)
    assert ScriptedModel(seed, "planner").complete(messages) == ScriptedModel(seed, "planner").complete(messages)


def test_seeds_vary_wording_latency_figures_and_the_failing_region() -> None:
    completions = [
        ScriptedModel(seed, "planner").complete(opening("planner", World.of(seed).task)) for seed in range(12)
    ]
    assert len({completion.reply.text for completion in completions}) > 3
    assert len({completion.latency_s for completion in completions}) == 12
    assert len({World.of(seed).audited_tenths for seed in range(12)}) > 6
    assert {World.of(seed).failing_region for seed in range(12)} == {"US", "EU", "APAC"}


def test_a_wrong_figure_is_never_the_right_one_or_the_steady_one() -> None:
    for world in map(World.of, range(-50, 1000)):
        assert len({world.cached_tenths, world.audited_tenths, world.steady_tenths}) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_brief_keeps_every_constraint_and_the_second_loses_two(seed: int) -> None:
    world = World.of(seed)
    first, second = briefs_of(world)
    for constraint in truth(seed).lost:
        assert constraint in world.task and constraint in first and constraint not in second
    for kept in ("Q3", "Use only audited sources", "at most 400 words"):
        assert kept in first and kept in second


@pytest.mark.parametrize("seed", SEEDS)
def test_a_researcher_without_the_year_answers_the_stale_figure_undated(seed: int) -> None:
    world, contained = World.of(seed), truth(seed)
    replies = read_by_research(world, briefs_of(world)[1])
    assert figures_in(replies[-1].text) == [
        f"{world.failing_region} {contained.wrong_figure} EUR ({contained.root_source})"
    ]
    assert contained.dropped_on_return not in replies[-1].text
    assert [reply.confidence for reply in replies if reply.thought] == [0.4]


def test_a_researcher_that_knows_the_year_refuses_the_old_copy() -> None:
    world = World.of(0)
    answer = read_by_research(world, briefs_of(world)[0].replace(world.steady_region, world.failing_region))[-1].text
    assert figures_in(answer) == [] and FISCAL_YEAR in answer


def test_a_page_that_is_up_leads_to_the_audited_figure() -> None:
    world = replace(World.of(0), is_page_down=False)
    assert truth(0).right_figure in read_by_research(world, briefs_of(world)[1])[-1].text


def test_a_search_that_never_answers_leads_to_no_figure() -> None:
    messages = [*opening("research", "Find Q3 revenue for EU."), heard("search_web", "TimeoutError: no answer")]
    reply = LINES["research"](Conversation(0, "research", messages))
    assert reply.calls == () and figures_in(reply.text) == [] and "EU" in reply.text


def test_a_reviewer_accepts_where_the_totals_agree_and_rejects_where_they_do_not() -> None:
    asked = opening("reviewer", "Review this memo.\n- EU 38.9M EUR (S3)")
    agreed = LINES["reviewer"](Conversation(0, "reviewer", [*asked, heard("check_totals", "totals agree: 1 of 1")]))
    differing = heard("check_totals", "ValueError: EU total 41.2M ≠ 38.9M")
    rejected = LINES["reviewer"](Conversation(0, "reviewer", [*asked, differing]))
    assert agreed.text.startswith("accept")
    assert rejected.text == "reject: EU 38.9M EUR disagrees with source S3"


def test_a_writer_publishes_the_draft_alone_where_it_is_accepted() -> None:
    draft = {"role": "assistant", "content": "MEMO: Q3 revenue\n- EU 41.2M EUR (S3)"}
    messages = [*opening("writer", "Write a memo."), draft, heard("delegate_to", "accept: every figure agrees")]
    assert LINES["writer"](Conversation(0, "writer", messages)) == Reply(draft["content"])


def test_pieces_join_to_the_text_and_short_answers_have_none() -> None:
    long = ScriptedModel(0, "planner").complete(opening("planner", World.of(0).task))
    short = ScriptedModel(0, "research").complete(opening("research", briefs_of(World.of(0))[0]))
    assert len(long.reply.text.split()) >= STREAMED_WORDS and "".join(long.pieces) == long.reply.text
    assert short.pieces == ()


def test_tokens_are_counted_from_text_and_never_zero() -> None:
    assert [count_tokens(text) for text in ("", "four", "fives")] == [1, 1, 2]
    messages = opening("planner", World.of(0).task)
    fewer = ScriptedModel(0, "planner").complete(messages).input_tokens
    assert (
        ScriptedModel(0, "planner").complete([*messages, heard("delegate_to", "EU 1.0M EUR (S3)")]).input_tokens > fewer
    )


def test_a_finish_reason_says_whether_tools_are_asked_for() -> None:
    completion = ScriptedModel(0, "planner").complete(opening("planner", World.of(0).task))
    assert completion.finish_reason == "tool_calls"
    asked = [call["function"] for call in completion.message["tool_calls"]]
    assert [Call(each["name"], json.loads(each["arguments"])) for each in asked] == list(completion.reply.calls)


def test_an_unknown_source_is_no_page_and_no_copy() -> None:
    world = World.of(0)
    with pytest.raises(LookupError, match="S9"):
        world.page("S9")
    with pytest.raises(LookupError, match="S1"):
        world.cached("S1", "Q3", "")
