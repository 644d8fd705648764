"""Two agents in AutoGen that know nothing of Trajectory; one of them gets a 503 that looks fine.

    pip install autogen-agentchat autogen-ext openinference-instrumentation-autogen-agentchat opentelemetry-sdk
    trajectory run -- python team_in_autogen.py

The model is scripted, so that no key is needed: put your own in its place.
"""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.tools import AgentTool
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient


def scripted(call: str, arguments: str, answer: str) -> ReplayChatCompletionClient:
    """A model that calls a tool, and then answers."""
    used = RequestUsage(prompt_tokens=40, completion_tokens=12)
    wants = [FunctionCall(id=call, name=call, arguments=arguments)]
    return ReplayChatCompletionClient(
        [
            CreateResult(finish_reason="function_calls", content=wants, usage=used, cached=False),
            CreateResult(finish_reason="stop", content=answer, usage=used, cached=False),
        ],
        model_info={"vision": False, "function_calling": True, "json_output": False, "structured_output": False,
                    "family": ModelFamily.UNKNOWN},
    )  # fmt: skip


async def search_hotels(city: str) -> str:
    """Hotels in a city."""
    return "Error: 503 Service Unavailable"


MAYBE = "H7 in Lyon costs 840 EUR."  # which no tool has said
researcher = AssistantAgent(
    "researcher", scripted("search_hotels", '{"city": "Lyon"}', MAYBE), tools=[search_hotels], description="Finds hotels.",
    max_tool_iterations=3,
)  # fmt: skip
coordinator = AssistantAgent(
    "coordinator", scripted("researcher", '{"task": "A hotel in Lyon."}', f"Book: {MAYBE}"),
    tools=[AgentTool(researcher, return_value_as_last_message=True)], max_tool_iterations=3,
)  # fmt: skip
said = asyncio.run(coordinator.run(task="A wheelchair accessible hotel in Lyon, at most 900 EUR."))
print(said.messages[-1].content)
