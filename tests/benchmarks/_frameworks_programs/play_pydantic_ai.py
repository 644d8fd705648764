"""The story in Pydantic-AI: agents that run others in their tools."""

import story
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

TRACED = story.provider()
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor

    kept = TRACED._active_span_processor._span_processors  # it rewrites spans, so it stands before the exporter
    TRACED._active_span_processor._span_processors = (OpenInferenceSpanProcessor(), *kept)
Agent.instrument_all(InstrumentationSettings(tracer_provider=TRACED))
MODEL = OpenAIChatModel(story.MODEL, provider=OpenAIProvider(base_url=story.MODEL_URL, api_key=story.KEY))


def agent(name: str, *tools):
    return Agent(MODEL, name=name, instructions=story.INSTRUCTIONS[name], tools=list(tools))


def as_tool(called: Agent):
    async def ask(task: str) -> str:
        return (await called.run(task)).output

    ask.__name__, ask.__doc__ = f"ask_{called.name}", story.DUTIES[called.name]
    return ask


async def run(first: Agent) -> str:
    return (await first.run(story.QUESTION, conversation_id=story.SESSION)).output


def called():
    colleagues = [agent("diagnostician", story.read_sensor), agent("buyer", story.order_part)]
    return run(agent("dispatcher", *map(as_tool, colleagues)))


def nested():
    diagnostician = agent("diagnostician", story.read_sensor, as_tool(agent("buyer", story.order_part)))
    return run(agent("dispatcher", as_tool(diagnostician)))


story.play({"tool": called, "nested": nested}, TRACED)
