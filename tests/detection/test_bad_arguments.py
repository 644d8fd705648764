"""Rules of `tool.bad_arguments`."""

import json
import random
from typing import Any

import pytest

from tests.detection.asking import calls_to_judge, judged, last
from tests.scenarios import Scenario
from trajectory.detection.additions import Additions
from trajectory.detection.bad_arguments import BadArguments
from trajectory.model.fact import Finding, Payload, SpanUpdated
from trajectory.model.words import Severity, Slot, SpanKind

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}},
    "required": ["city", "nights"],
    "additionalProperties": False,
}
OPENAI = [{"type": "function", "function": {"name": "search", "parameters": SCHEMA}}]
WRONG = {"city": "Lyon", "nights": "two"}


def found(run: Scenario) -> list[Finding]:
    return last(judged(run, [BadArguments])[1])


def one_call(
    arguments: Any = WRONG,
    tools: Any = OPENAI,
    name: str = "search",
    asked: Any = None,
    result: Any = "ok",
    error: tuple[str, str] | None = None,
    runs: bool = True,
) -> Scenario:
    """A model is offered `tools` and asks for a call, which then runs with `arguments`."""
    run = Scenario()
    with run.agent("worker", task="Search."):
        run.says("", tools=tools, calls=[("c1", name, arguments if asked is None else asked)])
        if runs:
            run.tool(name, arguments, result, error=error, call_id="c1")
        elif result is not None:
            run._frames[-1].heard.append({"role": "tool", "tool_call_id": "c1", "content": result})
        run.says("Done.")
    return run


def test_a_misfit_is_a_warning_that_names_tool_agent_place_expected_and_got() -> None:
    run = one_call()
    (finding,) = found(run)
    model = min(s.span_id for s in run.trace().spans.values() if s.kind == "model")
    assert (finding.severity, finding.agent, finding.span_id) == (Severity.WARNING, "worker", run.names["search"])
    assert finding.message == (
        "search in worker#1 was called with arguments that do not fit its schema: nights must be an integer, got “two”"
    )
    assert (finding.root_span_id, finding.path) == (model, [model, run.names["search"]])
    assert finding.value == 'search({"city":"Lyon","nights":"two"})'
    assert [e.text for e in finding.evidence] == [
        'arguments: {"city":"Lyon","nights":"two"}',
        'on offer: nights: {"type": "integer"}',
    ]


def test_what_the_call_said_when_it_failed_over_it_is_named_too() -> None:
    (finding,) = found(one_call(error=("ValidationError", "nights: not an integer")))
    assert finding.message.endswith("; the call failed with “ValidationError: nights: not an integer”")
    assert finding.evidence[-1].text == "failed: ValidationError: nights: not an integer"


def test_fitting_arguments_and_those_that_frameworks_mend_are_fine() -> None:
    assert found(one_call({"city": "Lyon", "nights": 2})) == []
    assert found(one_call({"city": "Lyon", "nights": "2"})) == []


@pytest.mark.parametrize(
    "tools",
    [
        OPENAI,
        [{"name": "search", "parameters": SCHEMA}],
        [{"name": "search", "input_schema": SCHEMA}],
        {"tools": [{"name": "search", "inputSchema": SCHEMA}]},
        [{"name": "search", "parameters": json.dumps(SCHEMA)}],
        json.dumps(OPENAI),
        json.dumps(json.dumps(OPENAI)),
        repr(OPENAI),
        [json.dumps(OPENAI[0])],
        [{"function_declarations": [{"name": "search", "parameters": SCHEMA | {"type": "OBJECT"}}]}],
        [{"toolSpec": {"name": "search", "inputSchema": {"json": SCHEMA}}}],
        [{"type": "function", "name": "search", "inputSchema": {"jsonSchema": SCHEMA}}],
        {"search": {"description": "x", "parameters": SCHEMA}},
    ],
)
def test_definitions_are_read_in_every_usual_shape(tools: Any) -> None:
    assert [f.severity for f in found(one_call(tools=tools))] == [Severity.WARNING]


@pytest.mark.parametrize(
    "arguments",
    [WRONG, json.dumps(WRONG), json.dumps(json.dumps(WRONG)), repr(WRONG)],
    ids=["object", "JSON", "JSON in JSON", "Python"],
)
def test_arguments_are_read_in_every_usual_writing(arguments: Any) -> None:
    assert [f.value for f in found(one_call(arguments))] == ['search({"city":"Lyon","nights":"two"})']


def test_arguments_wrapped_in_text_without_end_are_not_known() -> None:
    given: Any = WRONG
    for _ in range(8):
        given = json.dumps(given)
    assert found(one_call(given)) == []


def test_of_two_definitions_under_one_name_the_first_counts() -> None:
    loose = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}
    assert len(found(one_call(tools=[*OPENAI, loose]))) == 1
    assert found(one_call(tools=[loose, *OPENAI])) == []


def test_a_tool_of_the_provider_s_own_is_on_offer_by_its_type() -> None:
    tools = [*OPENAI, {"type": "web_search"}]
    gone = "Error: no such tool"
    (finding,) = found(one_call({"q": 1}, tools, "nope", result=gone, runs=False))
    assert "on offer were only search, web_search" in finding.message
    assert found(one_call({"q": 1}, tools, "web_search", result=gone, runs=False)) == []


@pytest.mark.parametrize(("said", "count"), [("Error: no rooms left", 0), ("Error: Tool 'quote' not found", 1)])
def test_a_call_that_no_model_asked_for_may_be_of_a_tool_that_was_not_on_offer(said: str, count: int) -> None:
    run = Scenario()
    with run.agent("worker"):
        run.says("", tools=OPENAI)
        run.tool("quote", {"id": 1}, said)
    assert len(found(run)) == count


def test_model_spans_within_each_other_without_end_tell_of_some_call() -> None:
    run = Scenario()
    with run.agent("worker"):
        outer = [run.opens(SpanKind.MODEL, "llm 0")]
        outer += [run.opens(SpanKind.MODEL, f"llm {n}", under=f"llm {n - 1}") for n in range(1, 40)]
        run._stack.append(outer[-1])
        run.says("", tools=OPENAI, calls=[("c1", "search", WRONG)])
        run._stack.pop()
        for span_id in reversed(outer):
            run.ends(span_id)
        run.tool("search", WRONG, "ok", call_id="c1")
    assert len(found(run)) == 1


def test_a_name_that_comes_with_two_tools_is_no_longer_shared_when_one_call_is_told_otherwise() -> None:
    additions = Additions()
    for number in range(300):  # more than are kept of one name
        additions.note(number.to_bytes(8, "big"), "search", ["locale"])
    assert additions.take() == {} and additions.is_a_model_s("locale", {"locale": "fr"}, [])
    other = Additions()
    other.note(b"call-1", "search", ["locale"])
    other.note(b"call-2", "quote", ["locale", "locale"])
    assert list(other.take()) == [b"call-1"] and not other.is_a_model_s("locale", {"locale": "fr"}, [])
    other.note(b"call-2", "quote", [])
    assert list(other.take()) == [b"call-1"] and other.is_a_model_s("locale", {"locale": "fr"}, [])


def test_what_the_model_asked_for_counts_and_not_what_a_framework_made_of_it() -> None:
    wrapped = {"args": [], "kwargs": {"city": "Lyon", "nights": 2}}
    assert found(one_call(wrapped, asked={"city": "Lyon", "nights": 2})) == []
    assert len(found(one_call({"city": "Lyon", "nights": 1}, asked=WRONG))) == 1


def test_a_record_that_only_a_span_tells_of_is_unwrapped_and_its_additions_are_for_information() -> None:
    run = Scenario()
    with run.agent("worker"):
        run.says("", tools=OPENAI)
        run.tool("search", {"args": [], "kwargs": {"city": "Lyon", "nights": 2}}, "ok")
        run.tool("search", {"city": "Lyon", "nights": 2, "security_context": {}}, "ok")
    assert [(f.severity, f.span_id) for f in found(run)] == [(Severity.INFO, run.names["search"])]


def only_its_span_tells(arguments: Any, other: Any = None, tools: Any = OPENAI) -> Scenario:
    """A call of which no model's answer tells, and one of another tool after it."""
    run = Scenario()
    with run.agent("worker"):
        run.says("", tools=[*tools, {"name": "quote", "parameters": SCHEMA}])
        run.tool("search", arguments, "ok")
        if other is not None:
            run.tool("quote", other, "ok")
    return run


FITTING = {"city": "Lyon", "nights": 2}


@pytest.mark.parametrize("added", [{"sort_by": "price"}, {"quiet_room": True}, {"max_price": 900}, {"stars": [4, 5]}])
def test_an_argument_that_the_schema_forbids_is_a_warning_though_the_call_worked(added: dict[str, Any]) -> None:
    (finding,) = found(only_its_span_tells(FITTING | added))
    assert (finding.severity, next(iter(added)) in finding.message) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    "added",
    [
        {"security_context": {}},
        {"session_id": "s-1"},
        {"runManager": "<CallbackManager>"},
        {"_internal": 1},
        {"options": {}},
        {"hints": []},
        {"note": None},
        {"City": "Lyon"},
    ],
)
def test_what_a_framework_may_have_added_on_the_way_is_for_information(added: dict[str, Any]) -> None:
    assert [f.severity for f in found(only_its_span_tells(FITTING | added))] == [Severity.INFO]


def test_what_comes_with_the_calls_of_two_tools_is_a_framework_s_whichever_comes_first() -> None:
    run = only_its_span_tells(FITTING | {"locale": "fr"}, FITTING | {"locale": "fr"})
    assert [f.severity for f in found(run)] == [Severity.INFO, Severity.INFO]
    live = {f.key: f for f in judged(run, [BadArguments], settle_every=1)[1]}
    assert {f.severity for f in live.values()} == {Severity.INFO}


def test_an_argument_of_a_framework_hides_no_violation_of_the_model_s() -> None:
    (finding,) = found(only_its_span_tells({"city": "Lyon", "nights": "two", "context": {}}))
    assert (finding.severity, "nights must be an integer" in finding.message) == (Severity.WARNING, True)
    deeper = {"type": "object", "properties": {"stay": SCHEMA}, "additionalProperties": False}
    run = only_its_span_tells({"stay": FITTING | {"context": {}}}, tools=[{"name": "search", "parameters": deeper}])
    assert [f.severity for f in found(run)] == [Severity.WARNING]


def test_a_call_that_no_span_tells_of_is_judged_when_its_agent_has_gone_on() -> None:
    run = one_call(runs=False, result="Error: nights must be an integer")
    (finding,) = found(run)
    assert (finding.severity, finding.span_id) == (Severity.WARNING, finding.root_span_id)
    assert "the call failed with “Error: nights must be an integer”" in finding.message


def test_a_call_that_may_still_run_is_not_judged() -> None:
    run = Scenario()
    with run.agent("worker"):
        run.says("", tools=OPENAI, calls=[("c1", "search", WRONG)])
        assert found(run) == []
    assert len(found(run)) == 1


def test_a_call_without_an_id_is_known_by_its_name_and_place() -> None:
    run = Scenario()
    with run.agent("worker"):
        asker = run.says("", tools=OPENAI, calls=[("", "search", WRONG)])
        run.tool("search", WRONG, "ok")
        run.says("Done.")
    (finding,) = found(run)
    assert finding.path == [asker, run.names["search"]]


def test_a_tool_that_was_not_on_offer_is_found_unless_it_worked() -> None:
    failed = found(one_call(name="serach", runs=False, result="Error: unknown tool serach"))
    assert [(f.severity, f.value) for f in failed] == [(Severity.WARNING, 'serach({"city":"Lyon","nights":"two"})')]
    assert failed[0].message == (
        "serach in worker#1 was asked for and is no tool that was on offer: on offer were only search; the call failed with "
        "“Error: unknown tool serach”"
    )
    assert [f.severity for f in found(one_call(name="serach", runs=False, result=None))] == [Severity.INFO]
    assert found(one_call(name="serach", runs=False, result="3 hits")) == []
    assert found(one_call(name="serach")) == []


@pytest.mark.parametrize("name", ["functions.search", "mcp__hotels__search", "Search", "hotels:search"])
def test_a_namespace_or_another_writing_of_a_name_is_the_same_tool(name: str) -> None:
    assert not list(found(one_call({"city": "x", "nights": 1}, name=name, runs=False, result="Error: 503")))


def test_where_not_every_definition_is_understood_no_tool_is_unknown() -> None:
    tools = [*OPENAI, {"weird": 1}]
    assert found(one_call(name="other", tools=tools, runs=False, result="Error: unknown tool")) == []


def test_a_schema_is_taken_from_the_same_agent_or_anyone_who_offers_the_name() -> None:
    for offering in ("worker", "other"):
        run = Scenario()
        with run.agent("root"):
            with run.agent("worker"):
                run.tool("search", WRONG, "ok")
            with run.agent(offering):
                run.says("hello", tools=OPENAI)
        assert [f.severity for f in found(run)] == [Severity.WARNING]


def test_where_schemas_of_one_name_differ_all_of_them_must_be_violated() -> None:
    lenient = [{"name": "search", "parameters": {"type": "object", "properties": {"nights": {"type": "string"}}}}]
    run = Scenario()
    with run.agent("root"):
        for tools in (OPENAI, lenient):
            with run.agent(f"other {len(tools[0])}"):
                run.says("hello", tools=tools)
        with run.agent("worker"):
            run.tool("search", WRONG, "ok")
    assert found(run) == []


def test_text_that_was_meant_to_be_json_is_for_information_and_a_warning_where_the_call_failed() -> None:
    broken = '{"city": "Lyon", "nights'
    assert [f.severity for f in found(one_call(broken))] == [Severity.INFO]
    (finding,) = found(one_call(broken, error=("JSONDecodeError", "Unterminated string")))
    assert (finding.severity, "they are not JSON" in finding.message) == (Severity.WARNING, True)


def test_what_some_frameworks_mend_is_a_warning_only_where_the_call_failed_over_it() -> None:
    doubtful = {"city": 69001, "nights": 2}
    assert [f.severity for f in found(one_call(doubtful))] == [Severity.INFO]
    assert [f.severity for f in found(one_call(doubtful, error=("TimeoutError", "no answer")))] == [Severity.INFO]
    (finding,) = found(one_call(doubtful, error=("ValidationError", "city: not a string")))
    assert finding.severity == Severity.WARNING


@pytest.mark.parametrize("arguments", ["Lyon", "", None, "[1, 2]"])
def test_arguments_that_are_no_object_are_not_judged(arguments: Any) -> None:
    assert found(one_call(arguments, asked="")) == []


@pytest.mark.parametrize(
    "tools", [None, "not json", [], {}, [7], {"tools": "x"}, [{"name": "search", "parameters": 7}], "[" * 5000]
)
def test_where_no_schema_is_on_offer_nothing_is_said(tools: Any) -> None:
    assert found(one_call(tools=tools)) == []


def test_a_call_that_nested_model_spans_tell_of_is_one() -> None:
    run = Scenario()
    with run.agent("worker"):
        outer = run.opens(SpanKind.MODEL, "llm")
        run._stack.append(outer)
        run.says("", tools=OPENAI, calls=[("", "search", WRONG)])
        run._stack.pop()
        run.ends(outer)
        run.tool("search", WRONG, "ok")
        run.says("Done.")
    (finding,) = found(run)
    assert finding.path == [outer, run.names["search"]]


def test_tools_that_only_the_agent_s_span_has_on_offer_count() -> None:
    run = Scenario()
    with run.agent("worker") as agent:
        run.says("", calls=[("c", "search", WRONG)])
        run.tool("search", WRONG, "ok", call_id="c")
    held = run._store({Slot.TOOLS: [OPENAI]})
    run.facts.append(SpanUpdated(run.trace_id, agent, run.now_ns, run.now_ns, {}, held))
    assert len(found(run)) == 1


def test_nothing_is_said_where_content_was_not_captured() -> None:
    run = Scenario(captures_content=False)
    with run.agent("worker"):
        run.says("", tools=OPENAI, calls=[("c1", "search", WRONG)])
        run.tool("search", WRONG, "ok", call_id="c1")
    assert found(run) == []


def team() -> Scenario:
    run = Scenario()
    with run.agent("planner", task="Find hotels."):
        for turn in range(4):
            with run.delegate(f"scout {turn % 2}", f"part {turn}"):
                run.says(
                    "",
                    tools=OPENAI,
                    calls=[(f"c{turn}", "search", WRONG | {"city": f"C{turn}"}), (f"d{turn}", "nope", {})],
                )
                run.tool("search", WRONG | {"city": f"C{turn}"}, "Error: bad nights", call_id=f"c{turn}")
                run.says("Again.", tools=OPENAI, calls=[("", "search", {"city": turn})])
                run.tool("search", {"city": turn}, error=("TypeError", "missing nights"))
                run.says("Enough.")
    return run


@pytest.mark.parametrize("seed", range(5))
def test_order_and_repetition_change_nothing(seed: int) -> None:
    run = team()
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    expected = found(run)
    assert len(expected) == 12
    chance = random.Random(seed)
    mixed = facts + chance.sample(facts, len(facts) // 2)
    chance.shuffle(mixed)
    assert last(judged(run, [BadArguments], mixed, settle_every=len(mixed))[1]) == expected
    once = {f.key: f for f in judged(run, [BadArguments], mixed, settle_every=16)[1]}
    assert {f.key: f.severity for f in expected}.items() <= {k: f.severity for k, f in once.items()}.items()


def calls_for(count: int, nights: Any) -> int:
    """What so many calls of one agent cost the detector, in calls of our own functions."""
    run = Scenario()
    with run.agent("worker"):
        for turn in range(count):
            given = {"city": f"C{turn}", "nights": nights}
            run.says("", tools=OPENAI, knows=[], calls=[(f"c{turn}", "search", given)])
            run.tool("search", given, "ok", call_id=f"c{turn}")
    return calls_to_judge(run, BadArguments, 50)


@pytest.mark.parametrize("nights", [2, "two"])
def test_a_call_costs_the_same_however_long_the_trace_is(nights: Any) -> None:
    assert calls_for(600, nights) < 1.5 * 4 * calls_for(150, nights)
