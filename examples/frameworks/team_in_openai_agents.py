"""Two agents in the OpenAI Agents SDK that know nothing of Trajectory; one of them gets a 503 that looks fine.

    pip install openai-agents openinference-instrumentation-openai-agents opentelemetry-sdk
    trajectory run -- python team_in_openai_agents.py

The model is scripted, so that no key is needed: put your own in its place.
"""

import asyncio
from types import SimpleNamespace

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai.types.chat import ChatCompletion


def scripted(call: str, arguments: str, answer: str) -> OpenAIChatCompletionsModel:
    """A model that calls a tool, and then answers."""
    wants = {"id": call, "type": "function", "function": {"name": call, "arguments": arguments}}
    says = [{"role": "assistant", "tool_calls": [wants]}, {"role": "assistant", "content": answer}]

    async def create(**asked) -> ChatCompletion:
        choice = {"index": 0, "finish_reason": "stop", "message": says.pop(0)}
        used = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
        return ChatCompletion.model_validate(
            {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": used}
        )

    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)), base_url="")
    return OpenAIChatCompletionsModel("scripted", client)


@function_tool
def search_hotels(city: str) -> str:
    return "Error: 503 Service Unavailable"


MAYBE = "H7 in Lyon costs 840 EUR."  # which no tool has said
researcher = Agent("researcher", tools=[search_hotels], model=scripted("search_hotels", '{"city": "Lyon"}', MAYBE))
coordinator = Agent(
    "coordinator",
    tools=[researcher.as_tool("ask_researcher", "Finds hotels.")],
    model=scripted("ask_researcher", '{"input": "A hotel in Lyon."}', f"Book: {MAYBE}"),
)

print(asyncio.run(Runner.run(coordinator, "A wheelchair accessible hotel in Lyon, at most 900 EUR.")).final_output)
