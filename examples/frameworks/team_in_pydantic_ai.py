"""Two agents in Pydantic-AI that know nothing of Trajectory; one of them gets a 503 that looks fine.

    pip install pydantic-ai-slim opentelemetry-sdk
    trajectory run -- python team_in_pydantic_ai.py

The model is scripted, so that no key is needed: put your own in its place.
"""

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel


def scripted(call: str, arguments: dict, answer: str) -> FunctionModel:
    """A model that calls a tool, and then answers."""

    def says(messages, info) -> ModelResponse:
        is_first = not any(isinstance(message, ModelResponse) for message in messages)
        return ModelResponse(parts=[ToolCallPart(call, arguments) if is_first else TextPart(answer)])

    return FunctionModel(says)


MAYBE = "H7 in Lyon costs 840 EUR."  # which no tool has said
researcher = Agent(scripted("search_hotels", {"city": "Lyon"}, MAYBE), name="researcher")
coordinator = Agent(scripted("ask_researcher", {"task": "A hotel in Lyon."}, f"Book: {MAYBE}"), name="coordinator")


@researcher.tool_plain
def search_hotels(city: str) -> str:
    """Hotels in a city."""
    return "Error: 503 Service Unavailable"


@coordinator.tool_plain
async def ask_researcher(task: str) -> str:
    """Finds hotels."""
    return (await researcher.run(task)).output


print(coordinator.run_sync("A wheelchair accessible hotel in Lyon, at most 900 EUR.").output)
