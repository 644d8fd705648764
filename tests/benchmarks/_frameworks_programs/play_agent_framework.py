"""The story in Microsoft's agent framework: agents as tools, and one inside the other."""

import story
from agent_framework import Agent, tool
from agent_framework.observability import enable_instrumentation
from agent_framework.openai import OpenAIChatCompletionClient

TRACED = story.provider()  # its own spans go to the global provider
enable_instrumentation(enable_sensitive_data=True)
READ, ORDER = tool(story.read_sensor), tool(story.order_part)


def agent(name: str, *tools: object) -> Agent:
    client = OpenAIChatCompletionClient(model=story.MODEL, api_key=story.KEY, base_url=story.MODEL_URL)
    return Agent(client, story.INSTRUCTIONS[name], name=name, description=story.DUTIES[name], tools=list(tools))


async def run(first: Agent) -> str:
    return (await first.run(story.QUESTION)).text


def called():
    colleagues = agent("diagnostician", READ), agent("buyer", ORDER)
    return run(agent("dispatcher", *(colleague.as_tool() for colleague in colleagues)))


def nested():
    return run(agent("dispatcher", agent("diagnostician", READ, agent("buyer", ORDER).as_tool()).as_tool()))


story.play({"tool": called, "nested": nested}, TRACED)
