"""Rules of what was invented, passed over, out of date, leaked, cut or too much, beyond the named stories."""

import pytest

from tests.detection.asking import judged, loud
from tests.detection.stories import CODED, KEY, cut_off, leaking, outdated, pressed, trip
from tests.scenarios import Scenario
from trajectory.detection.ignored import IgnoredResults
from trajectory.detection.invented import InventedValues
from trajectory.detection.leaked import LeakedSecrets
from trajectory.detection.pressure import ContextPressure
from trajectory.detection.stale import StaleValues
from trajectory.detection.truncated import TruncatedContent, is_cut_json
from trajectory.detection.windows import rough_tokens, window_of
from trajectory.model.fact import Finding
from trajectory.model.words import FINISH_REASONS, INPUT_TOKENS, MODEL_NAME

CARD = "4539 5787 6362 1486"


def found(run: Scenario, *detectors: type) -> list[Finding]:
    return loud(judged(run, detectors)[1])


# --- invented ------------------------------------------------------------------------------------------------------------


def test_an_invented_value_is_named_with_what_stands_in_its_place() -> None:
    run = trip(
        searched=CODED, found="I found HR-2209.", hotel="HR-2209", quoted="firm", quote_said="ok", answer="Done."
    )
    (finding,) = found(run, InventedValues)
    assert (finding.value, finding.agent) == ("HR-2209", "researcher")
    assert "HR-8841" in finding.message
    assert finding.path == [finding.root_span_id, run.names["delegate booker"]]


def test_a_value_that_a_tool_then_confirms_was_not_invented() -> None:
    run = trip(
        searched=CODED,
        found="I try HR-2209.",
        hotel="HR-2209",
        quoted="HR-2209: 640 EUR",
        quote_said="ok",
        answer="Done.",
    )
    assert found(run, InventedValues) == []


def test_a_sum_of_known_amounts_is_not_invented() -> None:
    run = trip(
        searched={"room": "640 EUR", "breakfast": "58 EUR"},
        found="The room with breakfast is 698 EUR.",
        hotel="H7, 698 EUR",
        quoted="firm",
        quote_said="ok",
        answer="Done, 698 EUR.",
    )
    assert found(run, InventedValues) == []


@pytest.mark.parametrize(
    ("searched", "said", "invented"),
    [
        ("A room costs 128.50 EUR.", "A room for 17 nights costs 2184.50 EUR.", False),  # so many times the price
        ("A room costs 128.50 EUR.", "A room for 17 nights costs 2314.50 EUR.", True),
        (
            "A room costs 128.50 EUR.",
            "Two rooms cost 802 EUR, that is 401 EUR each.",
            True,
        ),  # one made-up price proves no other
        ("A room may cost at most 640 EUR.", "A room costs 385 EUR.", False),  # a limit stands in no price's place
        ("A room may cost at most 640 EUR.", "A room costs 785 EUR.", True),
    ],
)
def test_an_amount_is_invented_where_another_stands_in_its_place_and_it_follows_from_nothing(
    searched: str, said: str, *, invented: bool
) -> None:
    run = trip(searched=searched, found=said, hotel=said, quoted="firm", quote_said="ok", answer="Done.")
    assert bool(found(run, InventedValues)) is invented


def test_code_and_common_knowledge_are_not_invented() -> None:
    said = "By ISO-9001 and RFC-2616:\n```\nrow_1234 = HR_2209\n```"
    run = trip(searched=CODED, found=said, hotel="HR-8841", quoted="firm", quote_said="ok", answer="Done in 2024-25.")
    assert found(run, InventedValues) == []


# --- ignored -------------------------------------------------------------------------------------------------------------


def _asks(
    answer: str, back: str = "Revenue was 38.9M EUR.", task: str = "Find the revenue of Norvia in Q2."
) -> Scenario:
    run = Scenario()
    with run.agent("editor", task="Write a memo on the revenue of Norvia in Q2."):
        run.says("First the figure.")
        with run.delegate("analyst", task):
            run.tool("filings", {"company": "Norvia"}, {"revenue": "38.9M EUR"})
            run.says(back)
        run.says(answer)
    return run


def test_a_result_that_is_contradicted_is_ignored() -> None:
    (finding,) = found(_asks("MEMO: revenue was 41.2M EUR."), IgnoredResults)
    assert (finding.value, finding.agent, finding.peer_agent) == ("38.9M EUR", "editor", "analyst")


def test_a_result_that_is_denied_is_ignored() -> None:
    (finding,) = found(_asks("I could not find the revenue of Norvia for Q2."), IgnoredResults)
    assert finding.value == "38.9M EUR"


@pytest.mark.parametrize(
    "answer", ["MEMO: revenue was EUR 38,900,000.", "The memo is written.", "MEMO: revenue, 38.9M, was fine."]
)
def test_a_result_that_is_used_or_not_spoken_of_is_not_ignored(answer: str) -> None:
    assert found(_asks(answer), IgnoredResults) == []


def test_a_result_that_was_used_once_is_used_whatever_comes_after() -> None:
    run = Scenario()
    with run.agent("editor", task="Write a memo on the revenue of Norvia in Q2, and have it printed."):
        with run.delegate("analyst", "Find the revenue of Norvia in Q2."):
            run.tool("filings", {"company": "Norvia"}, {"revenue": "38.9M EUR"})
            run.says("Revenue was 38.9M EUR.")
        with run.delegate("writer", "Write a memo: revenue of Norvia was 38.9M EUR in Q2."):
            run.says("Written.")
        with run.delegate("printer", "Print the memo on the revenue of Norvia, for at most 12.50 EUR."):
            run.says("Printed.")
        run.says("It is written and printed.")
    assert found(run, IgnoredResults) == []


def test_a_sentence_of_a_result_that_the_answer_takes_over_with_another_value_is_ignored() -> None:
    back = "The quiet room R-1207 on the top floor costs 340 EUR a night. It looks on the garden."
    (finding,) = found(_asks(back.replace("340", "430"), back, "Find a quiet room."), IgnoredResults)
    assert (finding.value, finding.agent, finding.peer_agent) == ("340 EUR", "editor", "analyst")
    assert "430 EUR" in finding.message
    assert found(_asks(back, back, "Find a quiet room."), IgnoredResults) == []


def test_a_denial_after_something_else_failed_is_of_that() -> None:
    run = Scenario()
    with run.agent("editor", task="Write a memo on the revenue of Norvia in Q2."):
        with run.delegate("analyst", "Find the revenue of Norvia in Q2."):
            run.tool("filings", {"company": "Norvia"}, {"revenue": "38.9M EUR"})
            run.says("Revenue was 38.9M EUR.")
        run.tool("archive", {"q": "earlier revenue of Norvia"}, "Error: 503 Service Unavailable")
        run.says("I could not find the revenue of Norvia for Q2.")
    assert found(run, IgnoredResults) == []


# --- stale ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "notice",
    [
        "HR-9017 supersedes HR-8841.",
        '{"offer": "HR-9017", "replaces": "HR-8841"}',
        "HR-8841 is no longer valid. Use HR-9017.",
    ],
)
def test_a_superseded_value_that_is_passed_on_is_stale(notice: str) -> None:
    (finding,) = found(outdated(notice=notice), StaleValues)
    assert (finding.value, finding.agent, finding.peer_agent) == ("HR-8841", "planner", "booker")
    assert "HR-9017" in finding.message


def test_the_newest_answer_of_one_call_counts() -> None:
    def run(passed: str) -> Scenario:
        told = Scenario()
        with told.agent("planner", task="Book the room."):
            for price in ("640 EUR", "710 EUR"):
                told.tool("price", {"room": "R7"}, {"room": "R7", "price": price})
                told.says("Noted.")
            with told.delegate("booker", f"Book room R7 for {passed}."):
                told.says("Booked.")
            told.says("Booked.")
        return told

    (finding,) = found(run("640 EUR"), StaleValues)
    assert finding.value == "640 EUR"
    assert found(run("710 EUR"), StaleValues) == []


@pytest.mark.parametrize(
    ("days", "stale"),
    [("2026-03-03", ["2026-03-03"]), ("2026-03-03 or for 2026-03-04", [])],
    ids=["one that is meant", "one of two that may be meant"],
)
def test_what_a_person_asks_for_anew_stands_in_place_of_the_old(days: str, stale: list[str]) -> None:
    run = Scenario()
    with run.agent("planner", task=f"Book a table at the quay for {days}."):
        run.says("Will do.")
        run.hears("Actually, make it 2026-03-05 for the table.")
        run.says("Sure.")
        with run.delegate("booker", "Book a table at the quay for 2026-03-03."):
            run.says("Booked.")
        run.says("Booked.")
    assert [finding.value for finding in found(run, StaleValues)] == stale


def test_a_superseded_value_in_the_answer_is_stale() -> None:
    run = Scenario()
    with run.agent("planner", task="Which offer is it?"):
        run.tool("check", {"offer": "HR-8841"}, "Notice: offer HR-8841 was replaced by HR-9017.")
        run.says("It is HR-8841.")
    (finding,) = found(run, StaleValues)
    assert (finding.value, finding.agent, finding.peer_agent) == ("HR-8841", "planner", "")


@pytest.mark.parametrize(
    ("was", "now", "passed", "count"),
    [
        (
            {"price": "640 EUR", "free": True, "tags": ["a"], "note": None},
            {"price": "710 EUR", "free": False},
            "640 EUR",
            1,
        ),
        ({"price": "640 EUR"}, {"price": "710 EUR", "deposit": "640 EUR"}, "640 EUR", 0),
        ({"stay": "3 nights"}, {"stay": "4 nights"}, "3 nights", 0),
        ("640 EUR", "710 EUR", "640 EUR", 0),
    ],
    ids=["a price among other things", "told beside the old", "a count is met anywhere", "no fields"],
)
def test_what_the_same_call_says_otherwise_is_stale_where_it_can_be_told(
    was: object, now: object, passed: str, count: int
) -> None:
    run = Scenario()
    with run.agent("planner", task="Book the room."):
        for told in (was, now):
            run.tool("price", {"room": "R7"}, told)
            run.says("Noted.")
        with run.delegate("booker", f"Book room R7 for {passed}."):
            run.says("Booked.")
        run.says("Booked.")
    assert len(found(run, StaleValues)) == count


def test_undoing_the_old_value_is_not_stale() -> None:
    run = Scenario()
    with run.agent("planner", task="Book the cheapest room."):
        run.tool("check", {}, "Offer HR-8841 was replaced by HR-9017.")
        run.says("So the old one goes.")
        run.tool("cancel_offer", {"offer": "HR-8841"}, "cancelled")
        run.says("Done.")
    assert found(run, StaleValues) == []


# --- leaked --------------------------------------------------------------------------------------------------------------


def test_no_part_of_a_finding_holds_the_secret() -> None:
    (finding,) = found(leaking(), LeakedSecrets)
    said = " ".join([finding.value, finding.message, finding.key, *(e.text for e in finding.evidence)])
    assert KEY not in said and KEY[8:] not in said
    assert f"{len(KEY)} characters" in finding.value
    assert (finding.agent, finding.peer_agent, finding.severity) == ("lead", "writer", "critical")


def _calls(tool: str, arguments: object, asked: str = "Look after the archive.", system: str = "") -> Scenario:
    run = Scenario()
    with run.agent("clerk", task=asked, system=system):
        run.says("On it.")
        run.tool(tool, arguments, "ok")
        run.says("Done.")
    return run


@pytest.mark.parametrize(
    ("tool", "arguments", "asked"),
    [
        ("web_search", {"query": f"what is {KEY}"}, "Look after the archive."),
        ("post_message", {"text": f"the key is {KEY}"}, f"Open the archive with {KEY}."),
        ("save_note", {"body": f"guest card {CARD}"}, "Look after the guest."),
        ("web_search", {"queries": ["tides", f"what is {KEY}"]}, "Look after the archive."),
        ("web_search", f"what is {KEY}", "Look after the archive."),
        ("web_search", {f"what is {KEY}": True}, "Look after the archive."),
    ],
)
def test_a_secret_in_a_field_that_is_not_made_for_one_leaks(tool: str, arguments: object, asked: str) -> None:
    (finding,) = found(_calls(tool, arguments, asked), LeakedSecrets)
    assert tool in finding.message


@pytest.mark.parametrize(
    ("tool", "arguments", "asked"),
    [
        ("login", {"user": "ana", "password": KEY}, "Look after the archive."),
        ("open_archive", {"api_key": KEY}, "Look after the archive."),
        ("charge", {"card_number": CARD}, "Look after the guest."),
        ("bash", {"command": f"curl -H 'Authorization: Bearer {KEY}' https://x.io"}, "Look after the archive."),
        ("unlock", {"with": KEY}, f"Open the archive with {KEY}."),
        ("web_search", {"query": "what is sk-your-key-here-1234567890abcdef"}, "Look after the archive."),
    ],
)
def test_a_secret_where_it_is_used_does_not_leak(tool: str, arguments: dict[str, str], asked: str) -> None:
    assert found(_calls(tool, arguments, asked), LeakedSecrets) == []


def test_an_answer_that_says_what_the_instructions_hold_leaks() -> None:
    run = Scenario()
    with run.agent(
        "clerk", task="What do you know?", system=f"The key of the archive is {KEY}. Canary: canary-9f7a3b21c4."
    ):
        run.says(f"I know that the key is {KEY}, and canary-9f7a3b21c4.")
    assert len(found(run, LeakedSecrets)) == 2


# --- truncated -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["length", "max_tokens", "MAX_TOKENS", "FinishReason.MAX_TOKENS", "max_output_tokens"]
)
def test_an_answer_at_its_limit_is_cut_in_every_dialect(reason: str) -> None:
    run = Scenario()
    with run.agent("writer", task="Report on tides."):
        run.says("Tides rise and fall because the", attributes={FINISH_REASONS: [reason]})
    (finding,) = found(run, TruncatedContent)
    assert finding.value == "Tides rise and fall because the"


def test_one_that_is_continued_is_no_alarm_at_any_time() -> None:
    _, said = judged(cut_off(continues=True), [TruncatedContent])
    assert {f.severity for f in said} == {"info"}


TASK = (
    "Find a step-free hotel in Lyon for two people and two nights at no more than 900 EUR in all, and say what a quiet room "
    "costs there. Then write to the hotel and ask for the key.\n\nReference T-77, for the trip of the board in spring."
)


@pytest.mark.parametrize(
    ("length", "mark", "is_cut"),
    [
        (100, "", True),
        (100, "…", True),
        (TASK.index("Then"), "", False),
        (TASK.index("Then"), "[…]", True),
        (TASK.index("\n"), "", False),
        (len(TASK) - 9, "", False),
        (40, "", False),
        (100, "\n[cut: 120 bytes of text/plain, digest 00]", False),
    ],
    ids=["a text", "with a mark", "whole sentences", "marked", "whole paragraphs", "little", "a start", "by ourselves"],
)
def test_a_task_or_an_answer_that_arrives_without_its_end_is_cut(length: int, mark: str, is_cut: bool) -> None:
    asked, answered = Scenario(), Scenario()
    with asked.agent("lead", task="Plan the trip."):
        with asked.delegate("researcher", TASK, hears=TASK[:length] + mark):
            asked.says("H7.")
        asked.says("H7.")
    with answered.agent("lead", task="Plan the trip."):
        with answered.delegate("researcher", "Say what to do."):
            answered.says(TASK)
            answered.returns(TASK[:length] + mark)
        answered.says("H7.")
    for run, where in ((asked, "the task of researcher#1"), (answered, "an answer to lead#1")):
        told = [(f.value, f.message.startswith(where)) for f in found(run, TruncatedContent)]
        assert [(TASK[length:].split()[0] in value, begins) for value, begins in told] == [(True, True)] * is_cut


def test_an_answer_of_the_run_that_ends_in_the_middle_of_its_json_is_cut() -> None:
    run = Scenario()
    with run.agent("lead", task="List the hotels."):
        run.says('{"hotels": [{"id": "HR-8841", "name": "Grand Rhone"}, {"id": "HR-9017", "na')
    (finding,) = found(run, TruncatedContent)
    assert finding.message.startswith("the answer of lead#1 ends in the middle of its JSON")


def shortened(
    *left: str, answered: bool = True, master: str = "The harbour master in Porto wants a copy on thick paper."
) -> Scenario:
    """A conversation with a request of several sentences, of which `left` are there when it is shorter."""
    request = [
        "Write a report on tides for the harbour.",
        "Name each source that was read.",
        "The harbour opens in May.",
    ]
    request += [master, "It is for the new quay."]
    run = Scenario()
    with run.agent("writer", task=" ".join(request)):
        for source in ("S1", "S2", "S3"):
            run.says(f"Reading {source}.")
            run.tool("read", {"source": source}, f"{source} says that tides rise and fall.")
        tail = [{"role": "user", "content": " ".join(left or request)}, *(run.heard[-2:] if answered else [])]
        run.says("Tides rise and fall.", knows=tail)
    return run


def test_a_talk_of_few_messages_that_is_made_shorter_dropped_nothing() -> None:
    run = Scenario()
    with run.agent("writer", task="Write a report on tides. It must stay under 300 words."):
        run.says("Reading.")
        run.says("Still reading.")
        run.says("Tides rise and fall.", knows=run.heard[-1:])
    assert found(run, TruncatedContent) == []


def test_a_sentence_that_asks_and_is_not_in_the_shorter_conversation_was_dropped() -> None:
    kept = ("Write a report on tides for the harbour.", "Name each source that was read.", "The harbour opens in May.")
    (finding,) = found(shortened(*kept, "It is for the new quay."), TruncatedContent)
    assert "harbour master in Porto" in finding.value
    bound = "The harbour master in Porto wants a copy of at most 3 pages."
    (finding,) = found(shortened(*kept, "It is for the new quay.", master=bound), TruncatedContent)
    assert finding.value == "at most 3 pages"  # told once, and not as a sentence, too
    assert found(shortened(), TruncatedContent) == []
    assert found(shortened(*kept, answered=False), TruncatedContent) == []  # another question to the model


def test_json_that_ends_in_the_middle_is_cut() -> None:
    whole = '{"hotels": [{"id": "HR-8841", "name": "Grand Rhone"}, {"id": "HR-9017", "name": "Petit Quai"}]}'
    assert is_cut_json(whole[:-20]) and is_cut_json(whole[:-24])
    assert not any(
        map(
            is_cut_json,
            (
                "[see the list of all the hotels that were found, in the file",
                '["a", ' + "[" * 9_000,
                whole,
                whole[:30],
                "{'a': 1, 'b': 2, 'hotels': ['HR-8841', 'HR-9017', 'HR-1930'",
                "[note] " * 20,
            ),
        )
    )
    assert not is_cut_json(f"{whole[:-20]}\n[cut: 120 bytes of application/json, digest 00]")


# --- pressure ------------------------------------------------------------------------------------------------------------


def test_cached_tokens_count() -> None:
    run = Scenario()
    with run.agent("writer", task="Report."):
        cached = {"gen_ai.usage.cache_read.input_tokens": 190_000, INPUT_TOKENS: 800}
        run.says("Yes.", attributes={MODEL_NAME: "anthropic/claude-sonnet-4-20250514", **cached})
    (finding,) = found(run, ContextPressure)
    assert "190,000 of the 200,000" in finding.message


def test_a_model_that_takes_more_than_is_known_of_it_is_not_judged() -> None:
    assert found(pressed(150_000), ContextPressure) == []


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("openai/gpt-4.1-mini", 1_047_576),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", 200_000),
        ("claude-sonnet-4@20250514", 200_000),
        ("anthropic/claude-opus-4.6", 1_000_000),
        ("claude-opus-4-6-20260205", 1_000_000),
        ("gpt-4-0613", 8_192),
        ("gpt-5-2025-08-07", 400_000),
        ("gpt-5.4-mini-2026-03-17", 400_000),
        ("google-gla:gemini-2.5-flash-preview-05-20", 1_048_576),
        ("llama3.1:8b", 131_072),
        ("meta-llama/Llama-3.3-70B-Instruct", 131_072),
        ("command-r-08-2024", 128_000),
    ],
)
def test_windows_are_known_by_the_longest_name(model: str, window: int) -> None:
    assert window_of(model) == window


@pytest.mark.parametrize(
    "model", ["somebody-s-own", "gpt-5.9", "claude-opus-4-9-20270101", "o10", "llama-3.9-8b", "", ":", "/"]
)
def test_a_version_that_nobody_has_looked_up_has_no_window(model: str) -> None:
    assert window_of(model) == 0


def test_tokens_are_counted_roughly_in_any_script() -> None:
    assert 200 <= rough_tokens("word " * 200) <= 300
    assert 150 <= rough_tokens("潮汐因月" * 50) <= 250
