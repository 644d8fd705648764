"""Two agents in LangGraph that know nothing of Trajectory; one of them gets a 503 that looks fine.

    pip install langchain langgraph openinference-instrumentation-langchain opentelemetry-sdk
    trajectory run -- python team_in_langgraph.py

The model is scripted, so that no key is needed: put your own in its place.
"""

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools, **kwargs):
        return self


def scripted(call: str, arguments: dict, answer: str) -> Scripted:
    """A model that calls a tool, and then answers."""
    wants = {"name": call, "args": arguments, "id": call, "type": "tool_call"}
    used = {"input_tokens": 40, "output_tokens": 12, "total_tokens": 52}
    says = [
        AIMessage("", tool_calls=[wants], usage_metadata=dict(used)),
        AIMessage(answer, usage_metadata=dict(used)),
    ]
    return Scripted(messages=iter(says))


def asked(agent, text: str) -> str:
    return agent.invoke({"messages": [{"role": "user", "content": text}]})["messages"][-1].content


@tool
def search_hotels(city: str) -> str:
    """Hotels in a city."""
    return "Error: 503 Service Unavailable"


MAYBE = "H7 in Lyon costs 840 EUR."  # which no tool has said
researcher = create_agent(scripted("search_hotels", {"city": "Lyon"}, MAYBE), [search_hotels], name="researcher")


@tool
def ask_researcher(task: str) -> str:
    """Finds hotels."""
    return asked(researcher, task)


coordinator = create_agent(
    scripted("ask_researcher", {"task": "A hotel in Lyon."}, f"Book: {MAYBE}"), [ask_researcher], name="coordinator"
)
print(asked(coordinator, "A wheelchair accessible hotel in Lyon, at most 900 EUR."))
