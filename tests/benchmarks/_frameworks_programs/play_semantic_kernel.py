"""The story in Semantic Kernel: agents that are plugins of others, and agents that hand over."""

import story
from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent, HandoffOrchestration, OrchestrationHandoffs
from semantic_kernel.agents.runtime import InProcessRuntime
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

TRACED = story.provider()  # Semantic Kernel's own spans go to the global provider
MODEL = OpenAIChatCompletion(story.MODEL, async_client=AsyncOpenAI(base_url=story.MODEL_URL, api_key=story.KEY))
READ = kernel_function(story.read_sensor, name="read_sensor")
ORDER = kernel_function(story.order_part, name="order_part")


def agent(name: str, *plugins: object) -> ChatCompletionAgent:
    return ChatCompletionAgent(
        name=name,
        description=story.DUTIES[name],
        instructions=story.INSTRUCTIONS[name],
        service=MODEL,
        plugins=list(plugins),
    )


async def run(first: ChatCompletionAgent) -> str:
    return str((await first.get_response(messages=story.QUESTION)).message.content)


class Sensors:
    read_sensor = staticmethod(READ)


class Parts:
    order_part = staticmethod(ORDER)


async def handoff() -> str:
    team = [agent("dispatcher"), agent("diagnostician", Sensors()), agent("buyer", Parts())]
    ways = OrchestrationHandoffs()
    ways.add(source_agent="dispatcher", target_agent="diagnostician", description=story.DUTIES["diagnostician"])
    ways.add(source_agent="diagnostician", target_agent="buyer", description=story.DUTIES["buyer"])
    runtime = InProcessRuntime()
    runtime.start()
    asked = await HandoffOrchestration(members=team, handoffs=ways).invoke(task=story.QUESTION, runtime=runtime)
    try:
        return str(await asked.get(timeout=20))
    finally:
        await runtime.stop_when_idle()


def called():
    return run(agent("dispatcher", agent("diagnostician", Sensors()), agent("buyer", Parts())))


def nested():
    return run(agent("dispatcher", agent("diagnostician", Sensors(), agent("buyer", Parts()))))


story.play({"handoff": handoff, "tool": called, "nested": nested}, TRACED)
