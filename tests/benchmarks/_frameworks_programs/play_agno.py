"""The story in Agno: teams whose leaders delegate to their members."""

import story
from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.team import Team
from openinference.instrumentation.agno import AgnoInstrumentor

TRACED = story.provider()
AgnoInstrumentor().instrument(tracer_provider=TRACED)
MODEL = {"id": story.MODEL, "api_key": story.KEY, "base_url": story.MODEL_URL}


def agent(name: str, tool: object) -> Agent:
    return Agent(
        name=name, id=name, role=story.DUTIES[name], instructions=story.INSTRUCTIONS[name], model=OpenAIChat(**MODEL),
        tools=[tool], telemetry=False,
    )  # fmt: skip


def team(name: str, *members: object, tools: tuple[object, ...] = ()) -> Team:
    return Team(
        name=name, id=name, role=story.DUTIES[name], instructions=story.INSTRUCTIONS[name], model=OpenAIChat(**MODEL),
        members=list(members), tools=list(tools), telemetry=False,
    )  # fmt: skip


def run(first: Team) -> str:
    return str(first.run(story.QUESTION, session_id=story.SESSION).content)


def called():
    return run(team("dispatcher", agent("diagnostician", story.read_sensor), agent("buyer", story.order_part)))


def nested():
    diagnostician = team("diagnostician", agent("buyer", story.order_part), tools=(story.read_sensor,))
    return run(team("dispatcher", diagnostician))


story.play({"tool": called, "nested": nested}, TRACED)
