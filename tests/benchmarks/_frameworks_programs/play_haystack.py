"""The story in Haystack: an agent in a pipeline whose tools are agents."""

import story
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import AgentTool, Tool
from haystack.utils import Secret
from openinference.instrumentation import using_session

TRACED = story.provider()
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.haystack import HaystackInstrumentor

    HaystackInstrumentor().instrument(tracer_provider=TRACED)
else:
    from haystack import tracing
    from haystack_integrations.tracing.opentelemetry import OpenTelemetryTracer

    tracing.enable_tracing(OpenTelemetryTracer(TRACED.get_tracer("haystack")))
    tracing.tracer.is_content_tracing_enabled = True


def tool(function, argument: str) -> Tool:
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return Tool(function.__name__, function.__doc__, schema, function)


READ, ORDER = tool(story.read_sensor, "machine"), tool(story.order_part, "part")


def agent(name: str, *tools: object) -> Agent:
    model = OpenAIChatGenerator(Secret.from_token(story.KEY), story.MODEL, api_base_url=story.MODEL_URL, max_retries=0)
    return Agent(
        chat_generator=model,
        system_prompt=story.INSTRUCTIONS[name],
        tools=list(tools),
        raise_on_tool_invocation_failure=True,
    )


def as_tool(name: str, called: Agent) -> AgentTool:
    return AgentTool(called, name=name, description=story.DUTIES[name])


def run(first: Agent) -> str:
    pipeline = Pipeline()
    pipeline.add_component("dispatcher", first)
    with using_session(story.SESSION):
        said = pipeline.run({"dispatcher": {"messages": [ChatMessage.from_user(story.QUESTION)]}})
    return said["dispatcher"]["last_message"].text


def called():
    colleagues = as_tool("diagnostician", agent("diagnostician", READ)), as_tool("buyer", agent("buyer", ORDER))
    return run(agent("dispatcher", *colleagues))


def nested():
    diagnostician = agent("diagnostician", READ, as_tool("buyer", agent("buyer", ORDER)))
    return run(agent("dispatcher", as_tool("diagnostician", diagnostician)))


story.play({"tool": called, "nested": nested}, TRACED)
