"""What `import trajectory` offers: the functions that people write into their agents.

Invariant: none of them waits or raises, whatever it is given; only `flush` waits, as long as it is told. The package gives
each of them out by name.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from trajectory.emitter import tracer as tracers
from trajectory.emitter.bodies import Bodies, each, said
from trajectory.emitter.credentials import name_key
from trajectory.emitter.current import SessionScope, carry, here
from trajectory.emitter.ending import deliver_on_sigterm
from trajectory.emitter.keeping import keeping_of
from trajectory.emitter.misuse import MAX_NAME, harmless, name_of, report
from trajectory.emitter.plan import plan_of
from trajectory.emitter.schema import definition_of
from trajectory.emitter.span import NEW, Span
from trajectory.emitter.steps import AcceptedSpan, AgentSpan, DelegationSpan, ModelSpan, ToolSpan
from trajectory.emitter.tracer import Tracer
from trajectory.emitter.wrapping import wrap
from trajectory.model import words
from trajectory.model.words import Slot, Surface
from trajectory.protocol.frames import DEFAULT_ENDPOINT

__all__ = [
    "accept", "agent", "carry", "context", "delegate", "flush", "init", "instrument",
    "model", "plan", "session", "span", "thought", "tool", "wrap",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT_SOURCE = "trajectory.context.source"
_new = object.__new__
_OUTPUT, _CONTEXT = str(Slot.OUTPUT), str(Slot.CONTEXT)
_COGNITIVE, _CONTEXTUAL = str(Surface.COGNITIVE), str(Surface.CONTEXTUAL)


@harmless
def init(
    service: str | None = None,
    endpoint: str | None = None,
    resource: Mapping[str, Any] | None = None,
    policy: str | None = None,
    spool_dir: Any = None,
    spool_bytes: int | None = None,
    memory_bytes: int | None = None,
    block_s: float | None = None,
    on_sigterm: bool = False,
    redact: str | bool | None = None,
    processors: Any = None,
    max_body_bytes: int | None = None,
    sample_ratio: float | None = None,
    key: Any = None,
    jsonl: Any = None,
    jsonl_bytes: int | None = None,
) -> None:
    """Says who this process is and where its facts go; optional, and it never waits for a collector.

    Without arguments TRAJECTORY_SERVICE and TRAJECTORY_ENDPOINT decide. `resource` adds attributes of the process. Saying the
    same again changes nothing; spans that are open stay with the collector that was told of their start.

    `redact` says what is taken out of everything before it leaves the process: `secrets` (or TRAJECTORY_REDACT), `personal` for
    secrets and personal data, or `off`. `processors` are callables `(fact) -> fact or None` that see every fact before that, or
    names under the entry point `trajectory.processors`. A body longer than `max_body_bytes` leaves as its beginning and digest.
    `sample_ratio` (or TRAJECTORY_SAMPLE_RATIO) is the share of traces that is sent; of the others those with an error are sent
    too, once it has happened, and the rest is not shown at all.

    `policy` says what becomes of facts that no collector takes: `spool` (they go to `spool_dir`, up to `spool_bytes`, and are
    delivered later), `drop` (beyond `memory_bytes` they are dropped and counted) or `block` (an agent waits `block_s` for room
    first). Where None, TRAJECTORY_POLICY, _SPOOL_DIR, _SPOOL_BYTES, _MEMORY_BYTES and _BLOCK_S decide. With `on_sigterm`, what
    is under way is delivered or spooled before SIGTERM does what it did without; call it from the main thread, after any
    handler of your own is set.

    `key` is the path of a key file, for a collector that asks for one; where None, TRAJECTORY_KEY with TRAJECTORY_SERVER_KEY, or
    TRAJECTORY_KEY_FILE, decide.

    `jsonl` (or TRAJECTORY_JSONL) is a file to which everything that is sent is appended too, after redaction, whether or not a
    collector is there: `trajectory import` reads it. `%p` in it is the process's id. From `jsonl_bytes` on it is turned: it
    becomes `path.1`, and a new one begins.
    """
    keeping = keeping_of(policy, spool_dir, spool_bytes, memory_bytes, block_s, jsonl, jsonl_bytes)
    plan = plan_of(redact, processors, max_body_bytes, sample_ratio)
    tracer = Tracer(name_of(service or ""), name_of(endpoint or ""), resource, plan=plan, keeping=keeping)
    if on_sigterm:
        deliver_on_sigterm()
    if key is not None:
        name_key(tracer.endpoint or DEFAULT_ENDPOINT, name_of(key))
    before = tracers.default
    if before is not None and before.says_the_same(tracer):
        return
    tracers.use(tracer)
    if before is not None and not before.open_spans:
        before.close(0.0)  # with open spans it lives on, until the process ends


def instrument() -> dict[str, list[str]]:
    """Switches on every OpenTelemetry instrumentation that is installed, and sends what it tells; call it before agents begin.

    Answers what was `instrumented`, by which package; what was not, and why (`trouble`); and which framework this process has
    loaded that nobody tells of (`missing`), with the package that would. Needs `opentelemetry-sdk`. Never raises. To call it
    again, or under `trajectory run`, changes nothing.
    """
    from trajectory.injected import trajectory_activation

    activation = sys.modules.get("trajectory_activation", trajectory_activation)  # where `trajectory run` loaded it
    try:
        found: dict[str, list[str]] = activation.begin_once()
        return found
    except Exception as fault:  # whatever somebody's instrumentation does
        report("instrument", "trajectory: nothing was switched on: %r", fault)
        return {"instrumented": [], "trouble": [f"{type(fault).__name__}: {fault}"], "missing": []}


def flush(timeout_s: float = 5.0) -> bool:
    """True if everything that was emitted before is stored by the collector within the time; False if some of it is not."""
    try:
        return tracers.default_tracer().flush(float(timeout_s))
    except Exception as fault:
        report("flush", "trajectory: flush failed: %r", fault)
        return False


def agent(
    name: str, session: str | None = None, title: str | None = None, attributes: Mapping[str, Any] | None = None
) -> AgentSpan:
    """One invocation of an agent: `with`, `async with`, or a decorator that captures arguments and result.

    `session` groups traces; `title` names the trace for people.
    """
    return AgentSpan(name_of(name), None if session is None else name_of(session), title, attributes)


@overload
def tool(name: F) -> F: ...


@overload
def tool(
    name: str | None = None, *, arguments: Mapping[str, Any] | None = None, attributes: Mapping[str, Any] | None = None
) -> "ToolStep": ...


def tool(
    name: Any = None, *, arguments: Mapping[str, Any] | None = None, attributes: Mapping[str, Any] | None = None
) -> Any:
    """One call of a tool: a decorator, bare or with a name, or `with trajectory.tool("search", arguments={...}) as call`.

    As a decorator it takes name and JSON Schema from the function, and captures arguments and result.
    """
    if callable(name) or isinstance(name, (staticmethod, classmethod)):
        return ToolStep("")(name)
    return ToolStep("" if name is None else name_of(name), arguments, attributes)


class ToolStep(ToolSpan):
    """A tool call that learns its name and its schema from the function that it decorates."""

    __slots__ = ()

    def __call__(self, function: F) -> F:
        inner = getattr(function, "__func__", function)
        name = self._tool or getattr(inner, "__name__", type(inner).__name__)
        step = ToolSpan(name, None, self._given)
        try:
            step._schema(said(definition_of(inner, name)))
        except Exception as fault:
            report("schema", "trajectory: the signature of tool %r could not be read: %r", name, fault)
        return Span.__call__(step, function)


def model(
    name: str,
    messages: Any = None,
    tools: Any = None,
    system: Any = None,
    attributes: Mapping[str, Any] | None = None,
) -> ModelSpan:
    """One call of a model with the messages, tool definitions and system text that it gets.

    Its answer: `call.output(reply, input_tokens=, output_tokens=, finish_reason=)`; its pieces: `call.delta(text)`.
    """
    return ModelSpan(name_of(name), messages, tools, system, attributes)


def span(name: str, kind: str = "other", attributes: Mapping[str, Any] | None = None) -> Span:
    """Any other work; `kind` is one of agent, model, tool, retrieval, delegation, other."""
    if type(name) is not str or type(kind) is not str or len(name) > MAX_NAME:
        name, kind = name_of(name), name_of(kind)
    one = _new(Span)  # and what Span.__init__ does: to call the class costs a thirtieth of the whole span
    one.name = name
    one.kind = kind
    one._given = attributes
    one._bodies = one._final = None
    one._state = NEW
    return one


@harmless
def thought(text: str, confidence: float | None = None) -> None:
    """What the agent thinks now; `confidence` is 0 to 1."""
    attributes = {} if confidence is None else {words.CONFIDENCE: float(confidence)}
    _note(words.EVENT_THOUGHT, _COGNITIVE, attributes, {_OUTPUT: [said(text)]})


@harmless
def plan(steps: Any) -> None:
    """What the agent means to do: a text, or its steps in order."""
    steps = steps if isinstance(steps, (str, Mapping)) else each(steps)
    _note(words.EVENT_PLAN, _COGNITIVE, {}, {_OUTPUT: [said(steps)]})


@harmless
def context(source: str, documents: Any) -> None:
    """What the agent has in view now: retrieved documents, memory, history. One document or many, each kept by its digest."""
    bodies = [said(document) for document in each(documents)]
    _note(words.EVENT_CONTEXT, _CONTEXTUAL, {CONTEXT_SOURCE: name_of(source)}, {_CONTEXT: bodies})


def _note(name: str, surface: str, attributes: Mapping[str, Any], bodies: Bodies) -> None:
    """An event on the current span; outside every span, on a span of its own that begins and ends here."""
    place = here.get()
    if isinstance(place, Span) and place._state > 0:
        place._emit_event(name, attributes, surface, bodies)
        return
    with Span(name) as alone:
        alone._emit_event(name, attributes, surface, bodies)


def delegate(target: str, task: Any = None, mode: str = "call") -> DelegationSpan:
    """Work given to another agent; send `work.headers` along, and say what came back with `work.returned(answer)`.

    The headers go with HTTP and queues as they are, and as the `_meta` of MCP or the `metadata` of A2A. A child process gets
    `env=work.environment`, and `work.frame` is the same as bytes, for ZeroMQ.
    `mode` is `call` where the sender waits for an answer, `transfer` where control passes.
    """
    return DelegationSpan(name_of(target), task, mode)


def accept(headers: Any, agent: str, task: Any = None, title: str | None = None) -> AcceptedSpan:
    """Work taken from another agent: `agent` at work below the delegation that the headers name.

    Takes any headers: a mapping or a list of pairs, names in any case, values text or bytes; a whole request of MCP or A2A, or
    its `_meta` or `metadata`; `os.environ`; a frame. Where they name no delegation, a new trace begins.
    """
    return AcceptedSpan(headers, name_of(agent), task, title)


def session(session_id: str) -> SessionScope:
    """Groups the traces that begin inside: `with trajectory.session("chat-17"):`."""
    return SessionScope(name_of(session_id))
