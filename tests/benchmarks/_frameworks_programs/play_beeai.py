"""The story in BeeAI: agents that hand tasks to agents."""

import story
from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import tool
from beeai_framework.tools.handoff import HandoffTool
from openinference.instrumentation import using_session
from openinference.instrumentation.beeai import BeeAIInstrumentor

TRACED = story.provider()
BeeAIInstrumentor().instrument(tracer_provider=TRACED)
READ, ORDER = tool(story.read_sensor), tool(story.order_part)


def agent(name: str, *tools: object) -> RequirementAgent:
    model = OpenAIChatModel(
        story.MODEL,
        api_key=story.KEY,
        base_url=story.MODEL_URL,
        stream=False,
        tool_call_fallback_via_response_format=False,
    )
    return RequirementAgent(
        llm=model, name=name, description=story.DUTIES[name], role=name, instructions=story.INSTRUCTIONS[name],
        tools=list(tools),
    )  # fmt: skip


async def run(first: RequirementAgent) -> str:
    with using_session(story.SESSION):
        return (await first.run(story.QUESTION)).last_message.text


def called():
    colleagues = agent("diagnostician", READ), agent("buyer", ORDER)
    return run(agent("dispatcher", *map(HandoffTool, colleagues)))


def nested():
    return run(agent("dispatcher", HandoffTool(agent("diagnostician", READ, HandoffTool(agent("buyer", ORDER))))))


story.play({"tool": called, "nested": nested}, TRACED)
