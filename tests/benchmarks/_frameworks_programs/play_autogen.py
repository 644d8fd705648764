"""The story in AutoGen: a swarm that hands over, agents as tools, and one inside the other."""

import story
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import Swarm
from autogen_agentchat.tools import AgentTool
from autogen_ext.models.openai import OpenAIChatCompletionClient

TRACED = story.provider()  # AutoGen's own spans go to the global provider
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor

    AutogenAgentChatInstrumentor().instrument(tracer_provider=TRACED)
if story.INSTRUMENTATION in ("openinference", "openai"):  # with `openai` each call is told by its span and by a message
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=TRACED)
MODEL = OpenAIChatCompletionClient(
    model=story.MODEL, base_url=story.MODEL_URL, api_key=story.KEY, parallel_tool_calls=False
)  # fmt: skip


def agent(name: str, **given):
    return AssistantAgent(
        name,
        MODEL,
        description=story.DUTIES[name],
        system_message=story.INSTRUCTIONS[name],
        max_tool_iterations=5,
        **given,
    )


def as_tool(called):
    return AgentTool(called, return_value_as_last_message=True)


async def run(first) -> str:
    return (await first.run(task=story.QUESTION)).messages[-1].content


def handoff():
    members = [
        agent("dispatcher", handoffs=["diagnostician"]),
        agent("diagnostician", tools=[story.read_sensor], handoffs=["buyer"]),
        agent("buyer", tools=[story.order_part]),
    ]
    return run(Swarm(members, termination_condition=TextMentionTermination("is ordered") | MaxMessageTermination(20)))


def called():
    colleagues = [agent("diagnostician", tools=[story.read_sensor]), agent("buyer", tools=[story.order_part])]
    return run(agent("dispatcher", tools=[as_tool(colleague) for colleague in colleagues]))


def nested():
    diagnostician = agent("diagnostician", tools=[story.read_sensor, as_tool(agent("buyer", tools=[story.order_part]))])
    return run(agent("dispatcher", tools=[as_tool(diagnostician)]))


story.play({"handoff": handoff, "tool": called, "nested": nested}, TRACED)
