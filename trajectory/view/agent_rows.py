"""What a screen may read of one agent's trajectory: who it is, each of its steps, what it exchanged, how it usually does.

Invariant: as in `rows`: frozen, finished, untrusted text; what was not captured is None, or zero where zero cannot be. Made by
the collector's `trajectories` and part of its answer to an `AgentQuery`.
"""

import msgspec


class AgentFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One invocation of an agent in figures. `state` and `mark` are a lane's."""

    label: str  # research#2
    agent: str
    service: str
    span_id: str
    state: str
    mark: str = ""
    start_ns: int = 0
    end_ns: int = 0
    models: list[str] = []  # in order of first use
    steps: int = 0
    errors: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int | None = None  # of those that went in
    calls: int = 0  # of models
    context: list[int] = []  # tokens that went into its calls: the most of each of at most `CONTEXT_PARTS` parts
    context_peak: int = 0
    context_window: int = 0  # of the model with the peak, where it is known
    latency_p50_ns: int = 0  # of its model calls that ended
    latency_p95_ns: int = 0
    tools: int = 0  # different ones
    cost_usd: float | None = None


CONTEXT_PARTS = 40


class AgentStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step, or several alike in a row (`count`), of which this is the first with the time and the tokens of all. `what`:
    receive, model, tool, retrieval, retry, delegate, answer (to what it delegated), thought, plan, context, return, step."""

    key: str
    at_ns: int
    what: str
    name: str  # what was called; the other agent, of what went to it or came from it
    status: str  # as in StepRow
    text: str
    span_id: str
    duration_ns: int = 0
    tokens: int = 0
    mark: str = ""
    count: int = 1
    delegation_id: str = ""
    found: list[tuple[str, str]] = []  # severity and number of the alerts at this step


class AgentMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that came to the agent or went out from it. `who`: task, model, tool, thought, asked, answer, gave."""

    key: str
    at_ns: int
    who: str
    name: str  # the tool, or the other agent
    text: str
    span_id: str
    step_key: str  # of the step that it belongs to
    is_error: bool = False
    is_cut: bool = False
    mark: str = ""
    found: list[tuple[str, str]] = []


class UsualRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A figure of this invocation beside those of earlier ones. `unit`: tokens, ns, or nothing for a count."""

    name: str
    now: int
    low: int
    high: int
    unit: str = ""
    is_outside: bool = False
