"""A detector of one's own: an agent that answers without having called any tool.

Register it in your package under the entry point `trajectory.detectors`; here it runs on one made-up trace.
"""

from collections.abc import Iterable

import trajectory
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Source, SpanEnded
from trajectory.testing import CapturingCollector


class AnswersWithoutTools:
    name = "answers_without_tools"

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        span = trace.spans.get(fact.span_id) if isinstance(fact, SpanEnded) else None
        if span is not None and span.kind == "agent" and span.owner is not None and not span.owner.usage.tool_calls:
            message = f"{span.agent} answered without looking anything up."
            yield Finding(
                "quality.ungrounded", "info", 0.5, trace.trace_id, span.span_id, message, agent=span.agent
            )  # fmt: skip

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        return ()


SOURCE = Source(b"\0" * 16, b"\0" * 16, {"service.name": "example"})

if __name__ == "__main__":
    with CapturingCollector() as collector, trajectory.agent("oracle") as agent:
        agent.output("42")
    detector = AnswersWithoutTools()
    trace = Trace(next(fact.trace_id for fact in collector.facts if isinstance(fact, SpanEnded)))
    for fact in collector.facts:
        trace.apply(fact, SOURCE)
        for finding in detector.observe(fact, trace):
            print(finding.message)
