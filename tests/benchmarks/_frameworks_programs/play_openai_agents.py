"""The story in the OpenAI Agents SDK: handoffs, agents as tools, and one inside the other."""

import story
from agents import Agent, RunConfig, Runner, function_tool, set_default_openai_client
from agents.tracing import set_trace_processors
from openai import AsyncOpenAI

TRACED = story.provider()
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=TRACED, exclusive_processor=True)
else:
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    set_trace_processors([])
    OpenAIAgentsInstrumentor().instrument(tracer_provider=TRACED)
set_default_openai_client(AsyncOpenAI(base_url=story.MODEL_URL, api_key=story.KEY), use_for_tracing=False)

READ, ORDER = function_tool(story.read_sensor), function_tool(story.order_part)


def agent(name: str, **given: object) -> Agent:
    return Agent(name=name, instructions=story.INSTRUCTIONS[name], model=story.MODEL, **given)


def as_tool(called: Agent):
    return called.as_tool(tool_name=f"ask_{called.name}", tool_description=story.DUTIES[called.name])


async def run(first: Agent) -> str:
    settings = RunConfig(workflow_name="pump repair", group_id=story.SESSION)
    return (await Runner.run(first, story.QUESTION, run_config=settings)).final_output


def handoff():
    buyer = agent("buyer", tools=[ORDER])
    diagnostician = agent("diagnostician", tools=[READ], handoffs=[buyer])
    return run(agent("dispatcher", handoffs=[diagnostician]))


def tool():
    colleagues = [agent("diagnostician", tools=[READ]), agent("buyer", tools=[ORDER])]
    return run(agent("dispatcher", tools=[as_tool(colleague) for colleague in colleagues]))


def nested():
    diagnostician = agent("diagnostician", tools=[READ, as_tool(agent("buyer", tools=[ORDER]))])
    return run(agent("dispatcher", tools=[as_tool(diagnostician)]))


story.play({"handoff": handoff, "tool": tool, "nested": nested}, TRACED)
