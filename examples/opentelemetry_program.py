"""Agents that speak OpenTelemetry and know nothing of Trajectory, except for the one line that is marked.

Run it with a collector up (`trajectory serve`). Without that line `trajectory run -- python opentelemetry_program.py` does the
same from outside. Needs `pip install 'trajectory-tracing[otel]'`.
"""

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from trajectory.otel import SpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "trips"}))
provider.add_span_processor(SpanProcessor())  # the line: spans are live from their start, redacted, kept until stored
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("trips")


def agent(name: str):
    return tracer.start_as_current_span(
        f"invoke_agent {name}", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    )


def tool(name: str, arguments: str, result: str) -> str:
    with tracer.start_as_current_span(f"execute_tool {name}") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", name)
        span.set_attribute("gen_ai.tool.call.arguments", arguments)
        span.set_attribute("gen_ai.tool.call.result", result)
    return result


def main() -> None:
    with agent("coordinator"), tracer.start_as_current_span("execute_tool ask_researcher") as call:
        call.set_attribute("gen_ai.tool.name", "ask_researcher")
        with agent("researcher"):
            found = tool("search_hotels", '{"city": "Lyon"}', "Error: 503 Service Unavailable")
        call.set_attribute("gen_ai.tool.call.result", found)
    print(f"The span of search_hotels is fine, and it said: {found}")


if __name__ == "__main__":
    main()
    provider.shutdown()
