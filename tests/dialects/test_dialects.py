"""What each dialect's attributes mean: kinds, names, usage, contents, sessions, alone and mixed."""

import json

import pytest

from tests.dialects.build import ended, fold, otel_span, raw, started
from trajectory.dialects.raw import RawEvent
from trajectory.dialects.spans import read
from trajectory.model.content import text_of

MESSAGES = '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]'


def said(reading, slot: str) -> list[str]:
    return [text_of(media_type, body) for media_type, body in reading.contents.get(slot, [])]


# --- kinds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai__operation__name": "chat"}, "model"),
        ({"gen_ai__operation__name": "generate_content"}, "model"),
        ({"gen_ai__operation__name": "fetch_response"}, "other"),
        ({"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "a"}, "agent"),
        ({"gen_ai__operation__name": "invoke_agent"}, "other"),
        ({"gen_ai__operation__name": "create_agent", "gen_ai__agent__name": "a"}, "other"),
        ({"gen_ai__operation__name": "invoke_workflow", "gen_ai__agent__name": "a"}, "other"),
        ({"gen_ai__operation__name": "execute_tool"}, "tool"),
        ({"gen_ai__operation__name": "retrieval"}, "retrieval"),
        ({"gen_ai__operation__name": "something new"}, "other"),
        ({"gen_ai__system": "mcp", "mcp__method__name": "tools/call"}, "tool"),
        ({"gen_ai__request__model": "m", "gen_ai__usage__output_tokens": 4}, "model"),
        ({"gen_ai__request__model": "m", "gen_ai__usage__output_tokens": 0}, "other"),
        ({"openinference__span__kind": "LLM"}, "model"),
        ({"openinference__span__kind": "LLM", "output__value": "prepared"}, "other"),
        ({"openinference__span__kind": "LLM", "output__value": "said", "llm__token_count__prompt": 3}, "model"),
        ({"openinference__span__kind": "TOOL"}, "tool"),
        ({"openinference__span__kind": "TOOL", "tool__name": "final_answer"}, "other"),
        ({"tool__name": "search", "tool__result": "found"}, "tool"),
        ({"tool__name": "search"}, "other"),
        ({"openinference__span__kind": "RETRIEVER"}, "retrieval"),
        ({"openinference__span__kind": "AGENT"}, "other"),
        ({"openinference__span__kind": "AGENT", "agent__name": "a"}, "agent"),
        ({"openinference__span__kind": "AGENT", "graph__node__id": "a"}, "agent"),
        ({"openinference__span__kind": "AGENT", "graph__node__id": "0123456789abcdef"}, "other"),
        ({"openinference__span__kind": "GUARDRAIL"}, "other"),
        ({"traceloop__span__kind": "agent", "traceloop__entity__name": "a"}, "agent"),
        (
            {
                "traceloop__span__kind": "workflow",
                "gen_ai__operation__name": "invoke_agent",
                "gen_ai__agent__name": "a",
            },
            "other",
        ),
        (
            {"traceloop__span__kind": "task", "gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "a"},
            "other",
        ),
        ({"traceloop__span__kind": "tool", "traceloop__entity__name": "t"}, "tool"),
        ({"llm__request__type": "chat"}, "model"),
        ({"ai__operationId": "ai.generateText"}, "other"),
        ({"ai__operationId": "ai.generateText", "ai__telemetry__functionId": "f"}, "agent"),
        ({"ai__operationId": "ai.generateText.doGenerate"}, "model"),
        ({"ai__operationId": "ai.toolCall", "ai__toolCall__name": "t"}, "tool"),
        ({"ai__operationId": "ai.embedMany.doEmbed"}, "retrieval"),
        ({"ai__operationId": "ai.somethingNew"}, "other"),
        ({"trajectory__span__kind": "delegation"}, "delegation"),
        ({"trajectory__span__kind": "model", "gen_ai__operation__name": "execute_tool"}, "model"),
        ({"trajectory__span__kind": "something new", "gen_ai__operation__name": "execute_tool"}, "tool"),
        ({"http__request__method": "GET"}, "other"),
        ({}, "other"),
    ],
)
def test_a_spans_kind_follows_from_its_meaning(attributes, kind):
    assert str(read(raw(**attributes)).kind) == kind


@pytest.mark.parametrize(
    ("name", "attributes", "kind", "agent"),
    [
        ("invoke_agent planner", {}, "agent", "planner"),
        ("execute_tool search", {}, "tool", ""),
        ("chat gpt", {"gen_ai__request__model": "gpt"}, "model", ""),
        ("chat room opened", {}, "other", ""),
        ("agent run", {"agent_name": "planner", "model_name": "m"}, "agent", "planner"),
        ("researcher.run", {"openinference__span__kind": "AGENT"}, "agent", "researcher"),
        ("a b.find.hotels._execute_core", {"openinference__span__kind": "AGENT"}, "agent", "a b"),
        (
            "planner",
            {"openinference__span__kind": "CHAIN", "metadata": '{"lc_agent_name": "planner"}'},
            "agent",
            "planner",
        ),
        ("tools", {"openinference__span__kind": "CHAIN", "metadata": '{"lc_agent_name": "planner"}'}, "other", ""),
        (
            "x",
            {"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__id": "planner_" + "1" * 32},
            "agent",
            "planner",
        ),
        ("x", {"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__id": "1" * 32}, "other", ""),
        ("invoke_agent gpt", {"gen_ai__request__model": "gpt", "gen_ai__agent__name": "planner"}, "agent", "planner"),
        ("invoke_agent gpt", {"gen_ai__request__model": "gpt"}, "other", ""),
        (
            "execute agent",
            {"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "7c" * 16, "crew__agent__role": "buyer"},
            "agent",
            "buyer",
        ),
        (
            "AgentWorkflow.run_agent_step",
            {"openinference__span__kind": "CHAIN", "input__value": "AgentSetup(current_agent_name='buyer')"},
            "agent",
            "buyer",
        ),
        (
            "AgentWorkflow.run_agent_step",
            {
                "openinference__span__kind": "CHAIN",
                "input__value": "a start",
                "output__value": "AgentOutput(current_agent_name='buyer')",
            },
            "agent",
            "buyer",
        ),
        (
            "AgentWorkflow.run_agent_step",
            {"openinference__span__kind": "CHAIN", "input__value": "a start"},
            "other",
            "",
        ),
    ],
)
def test_an_agents_name_is_found_wherever_it_is(name, attributes, kind, agent):
    reading = read(raw(name, **attributes))
    assert (str(reading.kind), reading.agent) == (kind, agent)


def test_a_graph_of_agents_is_no_agent_and_a_graph_that_is_one_is():
    team = read(
        raw(gen_ai__operation__name="invoke_agent", gen_ai__agent__name="team", gen_ai__workflow__nodes=["a", "b"])
    )
    one = read(
        raw(gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a", gen_ai__workflow__nodes='["model"]')
    )
    assert (str(team.kind), str(one.kind)) == ("other", "agent")


def test_two_dialects_on_one_span_agree_by_meaning():
    reading = read(
        raw(
            "invoke_agent planner", openinference__span__kind="CHAIN", gen_ai__operation__name="invoke_agent",
            gen_ai__agent__name="planner", traceloop__entity__name="x", llm__token_count__prompt=5,
        )
    )  # fmt: skip
    assert (str(reading.kind), reading.agent, reading.input_tokens) == ("agent", "planner", 5)


@pytest.mark.parametrize(
    ("attributes", "surface"),
    [
        ({"gen_ai__operation__name": "plan"}, "cognitive"),
        ({"gen_ai__operation__name": "retrieval"}, "contextual"),
        ({"gen_ai__operation__name": "retrieval", "openinference__span__kind": "RETRIEVER"}, "contextual"),
        ({"trajectory__span__kind": "other", "trajectory__span__surface": "cognitive"}, "cognitive"),
        ({"trajectory__span__kind": "other", "trajectory__span__surface": "a new one"}, "operational"),
    ],
)
def test_a_spans_surface_follows_from_its_meaning(attributes, surface):
    assert str(read(raw(**attributes)).surface) == surface


def test_a_span_that_names_its_kind_in_our_words_is_believed_in_that_alone():
    given = {
        "trajectory__span__kind": "delegation", "trajectory__span__agent": "lead",
        "trajectory__delegation__source": "lead", "trajectory__delegation__target": "buyer",
        "trajectory__delegation__mode": "transfer", "trajectory__delegation__grade": "no such grade",
        "trajectory__slot__task": '[{"media": "text/plain", "text": "order a seal kit"}]',
        "trajectory__slot__result": '[{"media": "text/plain", "base64": "no base64"}]',
        "trajectory__slot__returned": "no JSON",
    }  # fmt: skip
    reading = read(raw("lead asks\nthe buyer", **given))
    assert (reading.agent, said(reading, "task"), said(reading, "result")) == ("lead", ["order a seal kit"], [])
    over = reading.hand_over
    assert (over.source, over.target, str(over.mode), str(over.grade)) == ("lead", "buyer", "transfer", "inferred")
    fact = started(otel_span(1, "lead asks\nthe buyer", **given))
    assert (fact.name, fact.agent) == ("lead asks the buyer", "lead")
    failed = ended(otel_span(1, "x", trajectory__span__kind="tool", error="boom", error__type="Timeout"))
    assert (str(failed.status), failed.message, failed.attributes["error.type"]) == ("error", "boom", "Timeout")


def test_the_agent_that_a_span_in_our_words_came_from_handed_over_to_it():
    given = {"trajectory__span__kind": "agent", "trajectory__span__agent": "buyer"}
    assert read(raw(**given)).hand_over is None
    over = read(raw(**given, trajectory__delegation__source="lead")).hand_over
    assert (over.source, str(over.mode), str(over.grade)) == ("lead", "call", "inferred")


@pytest.mark.parametrize("key", ["gen_ai__agent__handoff_parent", "gen_ai__handoff__parent_agent"])
def test_an_agents_span_may_name_who_handed_over_to_it(key):
    over = read(raw(gen_ai__operation__name="invoke_agent", gen_ai__agent__name="buyer", **{key: "lead"})).hand_over
    assert (over.source, str(over.mode), str(over.grade)) == ("lead", "transfer", "declared")


def test_a_constant_agent_name_names_nobody():
    assert read(raw(gen_ai__operation__name="chat", gen_ai__agent__name="OpenAI Agent")).agent == ""
    assert read(raw(gen_ai__operation__name="chat", gen_ai__agent__name="planner")).agent == "planner"


# --- names --------------------------------------------------------------------------------------------------------------


def test_names_are_short_and_say_what_was_done():
    assert started(otel_span(1, "x", gen_ai__operation__name="chat", gen_ai__request__model="m")).name == "chat m"
    assert (
        started(otel_span(1, "x", gen_ai__operation__name="execute_tool", gen_ai__tool__name="search")).name == "search"
    )
    assert started(otel_span(1, "SimpleTool", openinference__span__kind="TOOL", tool__name="search")).name == "search"
    assert (
        started(otel_span(1, "x.agent", traceloop__span__kind="agent", traceloop__entity__name="p")).name
        == "invoke_agent p"
    )


def test_a_whole_prompt_as_a_span_name_becomes_one_bounded_line_and_is_kept_whole_as_an_attribute():
    prompt = "Plan a trip.\n" * 100
    fact = started(otel_span(1, prompt))
    assert "\n" not in fact.name and len(fact.name) <= 256
    assert fact.attributes["otel.span.name"] == prompt


# --- usage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai__operation__name": "chat", "gen_ai__usage__input_tokens": 9, "gen_ai__usage__output_tokens": 4},
        {
            "gen_ai__operation__name": "chat",
            "gen_ai__usage__prompt_tokens": "9",
            "gen_ai__usage__completion_tokens": 4.0,
        },
        {"openinference__span__kind": "LLM", "llm__token_count__prompt": 9, "llm__token_count__completion": 4},
        {
            "ai__operationId": "ai.generateText.doGenerate",
            "ai__usage__promptTokens": 9,
            "ai__usage__completionTokens": 4,
        },
    ],
)
def test_a_model_calls_tokens_have_one_name(attributes):
    fact = ended(otel_span(1, "x", **attributes))
    assert fact.attributes["gen_ai.usage.input_tokens"] == 9
    assert fact.attributes["gen_ai.usage.output_tokens"] == 4


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {
                "openinference__span__kind": "LLM", "llm__model_name": "m", "llm__provider": "openai",
                "llm__token_count__prompt_details__cache_read": 3, "llm__token_count__completion_details__reasoning": 2,
                "llm__finish_reason": "stop",
            },
            {
                "gen_ai.request.model": "m", "gen_ai.provider.name": "openai", "gen_ai.usage.cache_read.input_tokens": 3,
                "gen_ai.usage.reasoning.output_tokens": 2, "gen_ai.response.finish_reasons": ["stop"],
            },
        ),
        (
            {
                "ai__operationId": "ai.generateText.doGenerate", "ai__model__id": "m", "ai__model__provider": "openai.chat",
                "ai__response__finishReason": "tool-calls",
            },
            {
                "gen_ai.request.model": "m", "gen_ai.provider.name": "openai.chat",
                "gen_ai.response.finish_reasons": ["tool-calls"],
            },
        ),
        ({"llm__request__type": "chat", "llm__request__model": "m"}, {"gen_ai.request.model": "m"}),
        (
            {"gen_ai__operation__name": "chat", "gen_ai__usage__cache_creation__input_tokens": 5},
            {"gen_ai.usage.cache_write.input_tokens": 5},
        ),
        ({"openinference__span__kind": "TOOL", "tool_call__id": "c1"}, {"gen_ai.tool.call.id": "c1"}),
        ({"ai__operationId": "ai.toolCall", "ai__toolCall__id": "c1"}, {"gen_ai.tool.call.id": "c1"}),
    ],
)  # fmt: skip
def test_what_dialects_say_of_a_call_has_one_name(attributes, expected):
    told = read(raw(**attributes)).attributes
    assert {key: told.get(key) for key in expected} == expected


def test_two_dialects_that_count_otherwise_count_once_by_the_one_that_is_nearer():
    given = {"openinference__span__kind": "LLM", "llm__token_count__prompt": 9, "llm__token_count__completion": 4}
    reading = read(raw(**given, gen_ai__usage__input_tokens=90, gen_ai__usage__output_tokens=40))
    assert (reading.input_tokens, reading.output_tokens) == (9, 4)


def test_an_agents_sum_is_a_rollup_and_counts_nowhere_twice():
    trace = fold(
        otel_span(
            1, "x", 0, 0, 9, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a",
            gen_ai__usage__input_tokens=9, gen_ai__usage__output_tokens=4,
        ),
        otel_span(2, "x", 1, gen_ai__operation__name="chat", gen_ai__usage__input_tokens=9, gen_ai__usage__output_tokens=4),
    )  # fmt: skip
    assert (trace.usage().input_tokens, trace.usage().output_tokens) == (9, 4)


def test_three_nested_model_spans_of_one_call_are_one_call_with_its_tokens():
    trace = fold(
        otel_span(1, "a", 0, 0, 9, openinference__span__kind="LLM", llm__token_count__prompt=9),
        otel_span(2, "b", 1, 1, 7, openinference__span__kind="LLM"),
        otel_span(3, "c", 2, 2, 5, openinference__span__kind="LLM"),
    )
    assert (trace.usage().model_calls, trace.usage().input_tokens) == (1, 9)


def test_nonsense_counts_are_no_counts():
    for value in ("many", -5, True, "1e400"):
        fact = ended(otel_span(1, "x", gen_ai__operation__name="chat", gen_ai__usage__input_tokens=value))
        assert "gen_ai.usage.input_tokens" not in fact.attributes


# --- contents -----------------------------------------------------------------------------------------------------------


def test_one_message_in_four_dialects_is_one_body():
    flattened = read(
        raw(openinference__span__kind="LLM", **{
            "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "hi",
        })
    )  # fmt: skip
    parts = read(raw(gen_ai__operation__name="chat", gen_ai__input__messages=MESSAGES))
    old = read(raw(llm__request__type="chat", **{"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hi"}))
    vercel = read(
        raw(
            ai__operationId="ai.generateText.doGenerate",
            ai__prompt__messages='[{"role": "user", "content": [{"type": "text", "text": "hi"}]}]',
        )
    )
    heard = RawEvent("gen_ai.user.message", 1, {"content": '[{"text": "hi"}]'})
    event = read(raw(gen_ai__operation__name="chat", events=[heard]))
    assert flattened.contents["input"] == parts.contents["input"] == old.contents["input"] == vercel.contents["input"]
    assert event.contents["input"] == parts.contents["input"]


def test_system_instructions_have_a_slot_of_their_own():
    flattened = {
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "be brief",
        "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "hi",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "ho",
    }  # fmt: skip
    reading = read(raw(openinference__span__kind="LLM", **flattened))
    instructed = read(
        raw(gen_ai__operation__name="chat", gen_ai__system_instructions='[{"type": "text", "content": "be brief"}]')
    )
    assert (said(reading, "system"), said(reading, "input"), said(reading, "output")) == (["be brief"], ["hi"], ["ho"])
    assert instructed.contents["system"] == reading.contents["system"]


def test_flattened_roles_without_words_do_not_hide_what_was_said():
    state = '{"messages": [{"role": "user", "content": "a hotel in Lyon"}]}'
    reading = read(
        raw(
            "planner", openinference__span__kind="CHAIN", metadata='{"lc_agent_name": "planner"}', input__value=state,
            **{"llm.input_messages.0.message.role": "user"},
        )
    )  # fmt: skip
    assert said(reading, "input") == ["a hotel in Lyon"]


def test_the_details_event_carries_messages():
    details = {"gen_ai.input.messages": MESSAGES, "gen_ai.output.messages": MESSAGES.replace("hi", "ho")}
    reading = read(
        raw(
            gen_ai__operation__name="chat",
            events=[RawEvent("gen_ai.client.inference.operation.details", 1, details)],
        )
    )
    assert (said(reading, "input"), said(reading, "output")) == (["hi"], ["ho"])


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai__tool__name": "f", "gen_ai__tool__call__arguments": '{"a": 1}', "gen_ai__tool__call__result": "2"},
        {"gen_ai__tool__name": "f", "tool_arguments": '{"a": 1}', "tool_response": "2"},
        {"openinference__span__kind": "TOOL", "input__value": "{'a': 1}", "output__value": "2"},
        {"traceloop__span__kind": "tool", "traceloop__entity__input": '{"input_str": "{\'a\': 1}", "tags": []}',
         "traceloop__entity__output": '{"output": "2", "kwargs": {}}'},
        {"ai__operationId": "ai.toolCall", "ai__toolCall__args": '{"a": 1}', "ai__toolCall__result": "2"},
        {"openinference__span__kind": "TOOL", "input__value": '{"args": [], "kwargs": {"a": 1}}',
         "output__value": '{"type": "tool", "content": "2"}'},
        {"openinference__span__kind": "TOOL", "input__value": '{"args": [{"a": 1}], "kwargs": {}}',
         "output__value": '{"type": "tool", "data": {"content": "2"}}'},
        {"traceloop__span__kind": "tool", "traceloop__entity__input": '{"input_str": "", "inputs": {"a": 1}}',
         "traceloop__entity__output": '{"output": {"lc": 1, "kwargs": {"type": "tool", "content": "2"}}}'},
        {"gen_ai__tool__name": "f", "gen_ai__tool__call__arguments": '{"a": 1}',
         "gen_ai__tool__call__result": '[{"text": "2"}]'},
        {"gen_ai__tool__name": "f", "events": [
            RawEvent("gen_ai.tool.message", 1, {"content": '{"a": 1}'}),
            RawEvent("retry", 1, {"content": "no result"}),
            RawEvent("gen_ai.choice", 2, {"message": '[{"text": "2"}]'}),
        ]},
        {"gen_ai__tool__name": "f", "events": [RawEvent("gen_ai.client.inference.operation.details", 1, {
            "gen_ai.input.messages":
                '[{"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"a": 1}}]}]',
            "gen_ai.output.messages": '[{"role": "tool", "parts": [{"type": "tool_call_response", "response": "2"}]}]',
        })]},
    ],
)  # fmt: skip
def test_a_tools_arguments_and_result_are_found_and_unwrapped(attributes):
    reading = read(raw(**attributes))
    assert (said(reading, "arguments"), said(reading, "result")) == (['{"a":1}'], ["2"])


def test_arguments_that_are_none_stay_none():
    reading = read(raw(openinference__span__kind="TOOL", tool__name="f", input__value="{}"))
    assert said(reading, "arguments") == ["{}"]


@pytest.mark.parametrize(
    "given",
    [
        {"retrieval.documents.0.document.content": "a", "retrieval.documents.1.document.content": "b"},
        {"retrieval.documents": '[{"document": {"content": "a"}}, {"content": "b"}]'},
        {"retrieval.documents": '["a", "b"]'},
    ],
)
def test_documents_that_were_found_are_context(given):
    assert said(read(raw(openinference__span__kind="RETRIEVER", **given)), "context") == ["a", "b"]


def test_documents_that_are_no_list_are_left_as_they_are():
    reading = read(raw(openinference__span__kind="RETRIEVER", **{"retrieval.documents": "none"}))
    assert "context" not in reading.contents


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference__span__kind": "LLM", "llm.tools.0.tool.json_schema": '{"name": "f", "parameters": {}}'},
        {"llm__request__type": "chat", "llm.request.functions.0.name": "f", "llm.request.functions.0.parameters": "{}"},
        {"ai__operationId": "ai.generateText.doGenerate", "ai.prompt.tools": ['{"name": "f", "parameters": {}}']},
    ],
)
def test_the_tools_on_offer_are_listed(attributes):
    assert [json.loads(text) for text in said(read(raw(**attributes)), "tools")] == [[{"name": "f", "parameters": {}}]]


def test_a_function_without_parameters_is_on_offer_too():
    reading = read(raw(llm__request__type="chat", **{"llm.request.functions.0.name": "f"}))
    assert [json.loads(text) for text in said(reading, "tools")] == [[{"name": "f"}]]


def test_messages_by_the_conventions_stand_before_what_a_task_says_it_was_given():
    answer = MESSAGES.replace("user", "assistant").replace("hi", "ho")
    reading = read(
        raw(
            traceloop__span__kind="task", traceloop__entity__input="state", traceloop__entity__output="state",
            gen_ai__input__messages=MESSAGES, gen_ai__output__messages=answer,
        )
    )  # fmt: skip
    assert (said(reading, "input"), said(reading, "output")) == (["hi"], ["ho"])


@pytest.mark.parametrize(
    ("prompt", "system"),
    [
        ('{"system": "be brief", "messages": [{"role": "user", "content": "hi"}]}', ["be brief"]),
        ('{"system": "be brief", "prompt": "hi"}', ["be brief"]),
        ('{"prompt": "hi"}', []),
        ("hi", []),
    ],
)
def test_a_prompt_of_the_ai_sdk_is_read_in_all_its_forms(prompt, system):
    calls = '[{"toolCallId": "1", "toolName": "f", "args": {"a": 1}}]'
    reading = read(
        raw(ai__operationId="ai.generateText.doGenerate", ai__prompt=prompt, ai__response__text="ho",
            ai__response__toolCalls=calls)
    )  # fmt: skip
    assert (said(reading, "system"), said(reading, "input")) == (system, ["hi"])
    assert said(reading, "output") == ["ho", 'f({"a":1})']


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"content": "hi"}, "hi"),
        ({"content": '{"content": "hi"}'}, "hi"),
        ({"message": '{"role": "user", "content": "hi"}'}, "hi"),
        ({"content": 5}, "5"),
        ({"content": True}, "True"),
        ({"content": "hi", "tool_calls": '[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]'}, "hi\nf({})"),
    ],
)
def test_a_message_of_an_event_is_read_in_all_its_forms(told, expected):
    reading = read(raw(gen_ai__operation__name="chat", events=[RawEvent("gen_ai.user.message", 1, told)]))
    assert said(reading, "input") == [expected]


def test_a_bare_text_argument_stays_text():
    reading = read(raw(openinference__span__kind="TOOL", tool__name="f", input__value="find a hotel"))
    assert reading.contents["arguments"] == [("text/plain", b"find a hotel")]


def test_consumed_contents_are_not_kept_as_attributes_too():
    fact = started(
        otel_span(
            1, "x", gen_ai__operation__name="chat", gen_ai__input__messages=MESSAGES, gen_ai__response__id="r",
            custom__note="kept",
        )
    )  # fmt: skip
    assert "gen_ai.input.messages" not in fact.attributes
    assert fact.attributes["custom.note"] == "kept"


def test_an_agents_whole_conversation_is_parted_into_task_and_answer():
    every = json.dumps([
        {"role": "user", "parts": [{"type": "text", "content": "find"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": "{}"}]},
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "1", "result": "x"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "found"}]},
    ])  # fmt: skip
    reading = read(
        raw(gen_ai__operation__name="invoke_agent", gen_ai__agent__name="a", pydantic_ai__all_messages=every)
    )
    assert (said(reading, "input"), said(reading, "output")) == (["find"], ["found"])


@pytest.mark.parametrize("context", ["", "H7 costs 840 EUR."])
def test_what_crewai_tells_of_an_agent_and_its_tools_is_not_what_the_agent_was_given(context):
    called = {
        "agent": {"role": "lead", "backstory": "You don't work alone."},
        "tools": ["name='ask'"],
        "context": context,
    }
    for keys, expected in ((called, [context] * bool(context)), (called | {"more": 1}, None)):
        reading = read(raw("lead._execute_core", openinference__span__kind="AGENT", input__value=json.dumps(keys)))
        assert said(reading, "input") == expected if expected is not None else "don't" in said(reading, "input")[0]


def test_reasoning_in_an_answer_is_a_thought():
    from tests.dialects.build import facts
    from trajectory.model.fact import SpanEvent

    answer = (
        '[{"role": "assistant", "parts": [{"type": "reasoning", "content": "hmm"}, {"type": "text", "content": "so"}]}]'
    )
    told = facts(otel_span(1, "x", gen_ai__operation__name="chat", gen_ai__output__messages=answer))
    (thought,) = [fact for fact in told if isinstance(fact, SpanEvent)]
    assert (thought.name, thought.surface) == ("thought", "cognitive")


def test_reasoning_of_a_span_in_our_words_is_no_thought_a_second_time():
    from tests.dialects.build import facts
    from trajectory.model.content import MESSAGE
    from trajectory.model.fact import SpanEvent

    said = {"role": "assistant", "parts": [{"type": "reasoning", "content": "hmm"}]}
    bodies = json.dumps([{"media": MESSAGE, "text": json.dumps(said)}])
    told = facts(otel_span(1, "x", trajectory__span__kind="model", trajectory__slot__output=bodies))
    assert [fact for fact in told if isinstance(fact, SpanEvent)] == []


def test_finish_reasons_are_a_list_however_they_came():
    for value in (["stop"], '["stop"]', "stop"):
        fact = ended(otel_span(1, "x", gen_ai__operation__name="chat", gen_ai__response__finish_reasons=value))
        assert fact.attributes["gen_ai.response.finish_reasons"] == ["stop"]


# --- sessions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"session__id": "s1"},
        {"gen_ai__conversation__id": "s1"},
        {"session__id": "s1", "gen_ai__conversation__id": "another"},
        {"traceloop__association__properties__thread_id": "s1"},
        {"ai__telemetry__metadata__sessionId": "s1"},
        {"metadata": '{"thread_id": "s1"}'},
    ],
)
def test_a_session_is_found_under_each_of_its_names(attributes):
    assert fold(otel_span(1, "x", **attributes)).session_id == "s1"


def test_the_traces_of_one_team_of_autogen_share_a_session():
    team = "7b5fa317-4283-4002-88af-15e8f47d5961"
    sent = otel_span(1, "autogen publish", messaging__destination=f"group_topic_{team}.({team})-T")
    worked = otel_span(1, "invoke_agent a", gen_ai__agent__name="a", gen_ai__agent__id=f"a_{team}/{team}")
    assert fold(sent).session_id == fold(worked).session_id == team
    assert fold(otel_span(1, "x", messaging__destination=f"queue_{team}")).session_id == ""


def test_agents_of_google_adk_before_its_spans_had_attributes_are_named_by_their_spans() -> None:
    called = {
        "gen_ai.system": "gcp.vertex.agent",
        "gcp.vertex.agent.session_id": "s-1",
        "gcp.vertex.agent.llm_request": "{}",
    }
    trace = fold(
        otel_span(1, "invocation", lasts=9),
        otel_span(2, "agent_run [dispatcher]", 1, at=1, lasts=8),
        otel_span(3, "call_llm", 2, at=2, lasts=6, **called, gen_ai__usage__input_tokens=5),
        otel_span(4, "agent_run [buyer]", 3, at=3, lasts=4),
        otel_span(5, "call_llm", 4, at=4, lasts=1, **called, gen_ai__usage__input_tokens=7),
    )
    assert {name: (u.model_calls, u.input_tokens) for name, u in trace.agents().items()} == {
        "dispatcher": (1, 5),
        "buyer": (1, 7),
    }
    assert trace.session_id == "s-1"
