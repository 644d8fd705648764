"""Two agents in CrewAI that know nothing of Trajectory; one of them gets a 503 that looks fine.

    pip install crewai openinference-instrumentation-crewai opentelemetry-sdk
    trajectory run -- python team_in_crewai.py

The model is scripted, so that no key is needed: put your own in its place.
"""

from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import tool


class Scripted(BaseLLM):
    """Calls a tool, and then answers."""

    def __init__(self, call: str, arguments: str, answer: str):
        super().__init__(model="scripted")
        wants = {"id": call, "type": "function", "function": {"name": call, "arguments": arguments}}
        self._says = [[wants], answer]

    def call(self, messages, *args, **kwargs):
        return self._says.pop(0)

    def supports_function_calling(self) -> bool:
        return True


@tool("search_hotels")
def search_hotels(city: str) -> str:
    """Hotels in a city."""
    return "Error: 503 Service Unavailable"


def agent(role: str, *says: str, **given) -> Agent:
    return Agent(role=role, goal="A booking.", backstory="A travel agent.", llm=Scripted(*says), verbose=False, **given)


MAYBE = "H7 in Lyon costs 840 EUR."  # which no tool has said
ASK = '{"coworker": "researcher", "task": "A hotel in Lyon.", "context": "For one night."}'
researcher = agent("researcher", "search_hotels", '{"city": "Lyon"}', MAYBE, tools=[search_hotels])
coordinator = agent("coordinator", "delegate_work_to_coworker", ASK, f"Book: {MAYBE}", allow_delegation=True)
trip = Task(
    description="A wheelchair accessible hotel in Lyon, at most 900 EUR.",
    expected_output="A booking.",
    agent=coordinator,
)
print(Crew(agents=[coordinator, researcher], tasks=[trip], verbose=False).kickoff())
