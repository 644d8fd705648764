"""The story in Google's ADK: agents that pass control to a sub-agent, agents as tools, and one inside the other."""

import os

import story

os.environ.update(GOOGLE_GEMINI_BASE_URL=story.STAGE, GOOGLE_API_KEY=story.KEY)
from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.adk.tools.agent_tool import AgentTool
from google.genai import types

TRACED = story.provider()  # ADK's own spans go to the global provider
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.google_adk import GoogleADKInstrumentor

    GoogleADKInstrumentor().instrument(tracer_provider=TRACED)


def agent(name: str, tools=(), below=()):
    return LlmAgent(
        name=name, model="gemini-2.5-flash", description=story.DUTIES[name], instruction=story.INSTRUCTIONS[name],
        tools=list(tools), sub_agents=list(below),
    )  # fmt: skip


async def run(first) -> str:
    runner = InMemoryRunner(first, app_name="pump_repair")
    await runner.session_service.create_session(app_name="pump_repair", user_id="customer", session_id=story.SESSION)
    asked = types.Content(role="user", parts=[types.Part(text=story.QUESTION)])
    said = ""
    async for event in runner.run_async(user_id="customer", session_id=story.SESSION, new_message=asked):
        said = "".join(part.text or "" for part in (event.content.parts or [])) if event.content else said
    return said


def handoff():
    buyer = agent("buyer", [story.order_part])
    return run(agent("dispatcher", below=[agent("diagnostician", [story.read_sensor], [buyer])]))


def called():
    colleagues = [agent("diagnostician", [story.read_sensor]), agent("buyer", [story.order_part])]
    return run(agent("dispatcher", [AgentTool(colleague) for colleague in colleagues]))


def nested():
    diagnostician = agent("diagnostician", [story.read_sensor, AgentTool(agent("buyer", [story.order_part]))])
    return run(agent("dispatcher", [AgentTool(diagnostician)]))


story.play({"handoff": handoff, "tool": called, "nested": nested}, TRACED)
