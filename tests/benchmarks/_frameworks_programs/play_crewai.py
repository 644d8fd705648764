"""The story in CrewAI: agents that delegate to their coworkers."""

import story
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from openinference.instrumentation import using_session

TRACED = story.provider()
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.crewai import CrewAIInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.crewai import CrewAIInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

CrewAIInstrumentor().instrument(tracer_provider=TRACED)
OpenAIInstrumentor().instrument(tracer_provider=TRACED)


def agent(name: str, *tools: object, delegates: bool = False) -> Agent:
    return Agent(
        role=name, goal=story.DUTIES[name], backstory=story.INSTRUCTIONS[name], tools=list(tools), allow_delegation=delegates,
        llm=LLM(model=f"openai/{story.MODEL}", base_url=story.MODEL_URL, api_key=story.KEY), verbose=False,
    )  # fmt: skip


READ = tool("read_sensor")(story.read_sensor)
ORDER = tool("order_part")(story.order_part)


def run(*members: Agent) -> str:
    repair = Task(description=story.QUESTION, expected_output="What was done.", agent=members[0])
    with using_session(story.SESSION):
        return str(Crew(agents=list(members), tasks=[repair], verbose=False).kickoff())


def called():
    return run(agent("dispatcher", delegates=True), agent("diagnostician", READ), agent("buyer", ORDER))


story.play(
    {"tool": called}, TRACED
)  # a coworker that works by delegation gets no tool to delegate with: nothing is nested
