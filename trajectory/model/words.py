"""The closed vocabularies and the attribute names, once each.

Only the standard library is imported here, because the emitter loads this in strangers' processes. On the wire these
are plain strings, so that a reader meets a value from a newer writer without failing: fold what you know, show the rest.
"""

from enum import StrEnum


class Surface(StrEnum):
    """Which side of an agent a record shows."""

    COGNITIVE = "cognitive"  # thought, plan, reflection, confidence
    OPERATIONAL = "operational"  # calls, timing, errors
    CONTEXTUAL = "contextual"  # history, retrieved documents, tools on offer
    COORDINATION = "coordination"  # delegate, accept, return, heartbeat


class SpanKind(StrEnum):
    """What a span's work is."""

    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    DELEGATION = "delegation"
    OTHER = "other"


class SpanStatus(StrEnum):
    """OpenTelemetry's status of a span; `ok` says that no exception was seen, not that the work succeeded."""

    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


class DelegationMode(StrEnum):
    """`call`: the sender waits for an answer. `transfer`: control passes."""

    CALL = "call"
    TRANSFER = "transfer"


class Grade(StrEnum):
    """How an edge is known, strongest first."""

    OBSERVED = "observed"
    DECLARED = "declared"
    INFERRED = "inferred"


class Severity(StrEnum):
    """`warning` and above interrupt an operator."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return ("info", "warning", "critical").index(self.value)


class LinkKind(StrEnum):
    """What a pointer from one span to another means."""

    RETRY_OF = "retry_of"
    USED_VALUE_OF = "used_value_of"
    CAUSED = "caused"
    FOLLOWS = "follows"  # OpenTelemetry's bare span link


class Slot(StrEnum):
    """What a span's content is to the span; each slot holds digests of payloads, oldest first."""

    SYSTEM = "system"  # instructions of a model call
    INPUT = "input"  # a model call's messages; what an agent or another span was given
    OUTPUT = "output"  # a model call's answer; what an agent or another span gave
    TOOLS = "tools"  # tool definitions on offer
    ARGUMENTS = "arguments"  # of a tool call
    RESULT = "result"  # of a tool call
    TASK = "task"  # of a delegation, as sent; on an agent span, as received
    RETURNED = "returned"  # of a delegation, as the delegator got it; on an agent span, as given back
    CONTEXT = "context"  # what an agent had in view: retrieved documents, memory


# Names of events inside a span.
EVENT_THOUGHT = "thought"
EVENT_PLAN = "plan"
EVENT_CONTEXT = "context"
EVENT_DELTA = "delta"
EVENT_EXCEPTION = "exception"  # OpenTelemetry's, with exception.type, .message, .stacktrace

# Attributes of a finding that lasts until it is over.
ENDED_AT = "ended_unix_nano"  # by the facts' clock; 0 while it lasts
ENDED_WHY = "ended_because"

# Attribute names: the GenAI conventions' where they exist.
AGENT_NAME = "gen_ai.agent.name"
SESSION_ID = "gen_ai.conversation.id"
MODEL_NAME = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
COSTS = ("llm.cost.total", "operation.cost", "gen_ai.usage.cost", "gen_ai.usage.total_cost")  # of a call, in US dollars
FINISH_REASONS = "gen_ai.response.finish_reasons"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
ERROR_TYPE = "error.type"
SERVICE_NAME = "service.name"

# Attribute names: ours.
TITLE = "trajectory.title"  # of a trace, on its root span
RUN_ID = "trajectory.run.id"  # of a resource: the `trajectory run` that started its process
STEP = "trajectory.step"  # zero-based index of an imported step
INTERRUPTED = "trajectory.interrupted"  # the exception that stopped the work and is no error
CLOCK_OFFSET = "trajectory.clock.offset_ns"  # of a resource: what a collector adds to its times; they stay as they came
CLOCK_CORRECTED = "trajectory.clock.corrected_ns"  # the same in an export whose times have it added
SYNTHETIC_TIME = "trajectory.time.synthetic"  # true where the source had no clock
CONFIDENCE = "trajectory.confidence"  # 0 to 1
REPORTED_INPUT_TOKENS = "trajectory.usage.reported_input_tokens"  # of a call that only a message tells of
REPORTED_OUTPUT_TOKENS = "trajectory.usage.reported_output_tokens"
DELEGATION_SOURCE = "trajectory.delegation.source"
DELEGATION_TARGET = "trajectory.delegation.target"
DELEGATION_MODE = "trajectory.delegation.mode"
DELEGATION_GRADE = "trajectory.delegation.grade"
DELEGATION_REASON = "trajectory.delegation.reason"
WAITS_FOR = "trajectory.waits_for"  # of an open span: the agent, or the span in hexadecimal, that it waits for; or a list of them
