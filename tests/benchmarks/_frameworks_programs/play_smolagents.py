"""The story in smolagents: agents that manage agents."""

import story
from openinference.instrumentation import using_session
from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from smolagents import OpenAIModel, ToolCallingAgent, tool

TRACED = story.provider()
SmolagentsInstrumentor().instrument(tracer_provider=TRACED)


@tool
def read_sensor(machine: str) -> str:
    """Reads the sensors of a machine.

    Args:
        machine: The machine.
    """
    return story.read_sensor(machine)


@tool
def order_part(part: str) -> str:
    """Orders a spare part.

    Args:
        part: What to order.
    """
    return story.order_part(part)


def agent(name: str, tools=(), managed=()):
    return ToolCallingAgent(
        tools=list(tools), model=OpenAIModel(story.MODEL, api_base=story.MODEL_URL, api_key=story.KEY), name=name,
        description=story.DUTIES[name], instructions=story.INSTRUCTIONS[name], managed_agents=list(managed), max_steps=6,
        verbosity_level=0,
    )  # fmt: skip


def run(first) -> str:
    with using_session(story.SESSION):
        return str(first.run(story.QUESTION))


def called():
    return run(agent("dispatcher", managed=[agent("diagnostician", [read_sensor]), agent("buyer", [order_part])]))


def nested():
    diagnostician = agent("diagnostician", [read_sensor], [agent("buyer", [order_part])])
    return run(agent("dispatcher", managed=[diagnostician]))


story.play({"tool": called, "nested": nested}, TRACED)
