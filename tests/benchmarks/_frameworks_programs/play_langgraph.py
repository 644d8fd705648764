"""The story in LangGraph: agents that hand control over by commands, agents called in tools, and one inside the other."""

from typing import Annotated

import story
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState
from langgraph.types import Command

TRACED = story.provider()
if story.INSTRUMENTATION == "openinference":
    from openinference.instrumentation.langchain import LangChainInstrumentor
else:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor as LangChainInstrumentor
LangChainInstrumentor().instrument(tracer_provider=TRACED)

MODEL = ChatOpenAI(model=story.MODEL, base_url=story.MODEL_URL, api_key=story.KEY, max_retries=0)
READ, ORDER = tool(story.read_sensor), tool(story.order_part)
QUESTION = {"messages": [{"role": "user", "content": story.QUESTION}]}
CONFIG = {"configurable": {"thread_id": story.SESSION}}


def agent(name: str, *tools: object):
    return create_agent(MODEL, list(tools), system_prompt=story.INSTRUCTIONS[name], name=name)


def handing_to(name: str):
    @tool(f"transfer_to_{name}", description=story.DUTIES[name])
    def transfer(state: Annotated[dict, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
        moved = ToolMessage(f"You are {name} now.", name=f"transfer_to_{name}", tool_call_id=tool_call_id)
        return Command(goto=name, update={"messages": [*state["messages"], moved]}, graph=Command.PARENT)

    return transfer


def as_tool(name: str, called):
    @tool(f"ask_{name}", description=story.DUTIES[name])
    def ask(task: str) -> str:
        return called.invoke({"messages": [{"role": "user", "content": task}]})["messages"][-1].content

    return ask


def handoff():
    team = StateGraph(MessagesState)
    team.add_node("dispatcher", agent("dispatcher", handing_to("diagnostician")))
    team.add_node("diagnostician", agent("diagnostician", READ, handing_to("buyer")))
    team.add_node("buyer", agent("buyer", ORDER))
    team.add_edge(START, "dispatcher")
    return team.compile(name="pump_repair").invoke(QUESTION, CONFIG)["messages"][-1].content


def tools():
    asked = [as_tool("diagnostician", agent("diagnostician", READ)), as_tool("buyer", agent("buyer", ORDER))]
    return agent("dispatcher", *asked).invoke(QUESTION, CONFIG)["messages"][-1].content


def nested():
    diagnostician = agent("diagnostician", READ, as_tool("buyer", agent("buyer", ORDER)))
    return agent("dispatcher", as_tool("diagnostician", diagnostician)).invoke(QUESTION, CONFIG)["messages"][-1].content


story.play({"handoff": handoff, "tool": tools, "nested": nested}, TRACED)
