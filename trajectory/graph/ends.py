"""The ends of a trace: its calls that another trace may have answered, and what its root says of whoever called it.

Invariant: pure, bounded, and of one trace alone; a call that another agent of the same trace answered is no end. Called when
a trace is summed up, by the collector.
"""

from collections.abc import Iterator

from trajectory.graph.keys import call_ids, text_given, texts_asked
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.ends import KEY_BYTES, End, Ends, Pointer, known
from trajectory.model.hashing import blake2b
from trajectory.model.words import AGENT_NAME, LinkKind, SpanKind

MAX_ENDS = 24  # of a trace, in each direction: the calls that waited longest
_MAX_POINTERS = 32
_MAX_WORKERS = 16
_MAX_CHAIN = 64  # how far below a root its first agent is looked for
_TAKING, _GIVING = frozenset({"server", "consumer"}), frozenset({"client", "producer"})
_DELEGATION = SpanKind.DELEGATION.value
_CALLS = frozenset({SpanKind.TOOL.value, _DELEGATION})
_WORK = frozenset({SpanKind.AGENT.value, SpanKind.MODEL.value, SpanKind.TOOL.value})
_CAUSAL = frozenset({LinkKind.FOLLOWS.value, LinkKind.CAUSED.value})
_HANDLES = frozenset({"process", "receive", "deliver"})


def ends_of(trace: Trace, *, is_live: bool = False, is_partial: bool = False) -> Ends:
    """The ends of a trace as the facts so far tell them. `is_live`: it goes on; `is_partial`: facts of it are missing."""
    root = trace.root
    if root is None:
        return Ends()
    entry = _entry(root) if root.parent is None and not root.parent_id else []
    agent = next((s for s in entry if s.kind == SpanKind.AGENT), None)
    gives, is_cut = _gives(trace)
    workers = {_key("worker", i.service, i.agent) for i in trace.invocations()} or {_key("worker", root.service, "")}
    process = _process(root)
    is_whole = not (is_live or is_partial or is_cut or any(s.is_placeholder for s in trace.roots))
    return Ends(
        started_ns=trace.first_ns,
        last_ns=0 if is_live else trace.last_ns,
        is_open=is_live,
        is_whole=is_whole and len(workers) <= _MAX_WORKERS,
        is_answer=bool(entry) and _is_answer(root),
        process=_key("process", process) if process else b"",
        session=_key("session", trace.session_id) if trace.session_id else b"",
        agent=agent.agent_name if agent is not None else root.agent_name,
        worker=_key("worker", agent.service, agent.agent_name) if agent is not None else b"",
        span_id=root.span_id,
        workers=sorted(workers)[:_MAX_WORKERS],
        gives=[*gives, *_made(trace, process)],
        takes=_takes(trace, entry, agent, process),
        pointers=_pointers(trace),
    )


def _process(root: Span) -> str:
    resource = root.source.resource if root.source is not None else {}
    return known(resource.get("service.instance.id"))


def _is_answer(root: Span) -> bool:
    """Whether a root says that it handles a message that somebody sent."""
    attributes = root.attributes
    operation = attributes.get("messaging.operation", attributes.get("messaging.operation.type"))
    return attributes.get("otel.span.kind") == "consumer" or operation in _HANDLES


def _entry(root: Span) -> list[Span]:
    """A root and the spans below it that nobody owns, down to the first agents: what came in passes through these."""
    found: list[Span] = []
    pending = [root]
    while pending and len(found) < _MAX_CHAIN:
        span = pending.pop(0)
        found.append(span)
        if span.kind != SpanKind.AGENT and span.owner is None:
            pending += sorted(span.children, key=lambda s: s.order_key)
    return found


def _takes(trace: Trace, entry: list[Span], agent: Span | None, process: str) -> list[End]:
    """What the entry says of its cause: ids on it, and the text that its first agent was given."""
    found: dict[tuple[str, bytes], End] = {}
    for span in entry:
        kind = span.attributes.get("otel.span.kind")
        if kind in _GIVING or (span.kind in _CALLS and kind not in _TAKING):
            continue
        for kind, value in call_ids(span):
            found.setdefault((kind, _key(kind, value)), _end(span, kind, value))
    text = text_given(trace.body, agent) if agent is not None else ""
    if agent is not None and text:
        found.setdefault(("text", _key("text", text)), _end(agent, "text", text))
    if not any(s.kind in _WORK for s in trace.spans.values()):
        for span in entry:
            for value in _makings(span, process):
                found.setdefault(("made", _key("made", value)), _end(span, "made", value))
    return sorted(found.values(), key=_end_order)[:MAX_ENDS]


def _gives(trace: Trace) -> tuple[list[End], bool]:
    """The calls that nobody in the trace answered, each under all that it can be known by; whether some were left out."""
    answered = {d.span.span_id for d in trace.delegations() if d.target is not None}
    found: list[End] = []
    for span in trace.spans.values():
        if span.is_placeholder or span.span_id in answered:
            continue
        kind = span.attributes.get("otel.span.kind")
        is_call = span.kind in _CALLS and kind not in _TAKING
        if not is_call and not (kind in _GIVING and span.kind == SpanKind.OTHER):
            continue
        if any(s.kind in _CALLS and s.span_id in answered for s in span.ancestors()):
            continue
        ids = dict(call_ids(span))
        found += [_end(span, kind, ids[kind]) for kind in ("message", "task") if kind in ids]
        found.append(_end(span, "call", ids.get("call", "")))
        if is_call:
            found += [_end(span, "text", text) for text in texts_asked(trace.body, span)]
    by_length = sorted(found, key=lambda e: (-((e.end_ns or 1 << 62) - e.start_ns), _end_order(e)))
    return sorted(by_length[:MAX_ENDS], key=_end_order), len(found) > MAX_ENDS


def _made(trace: Trace, process: str) -> list[End]:
    """What a trace with work in it was made of, once each: its process's agents, its workflow."""
    values = {f"{process} {i.agent}": i.span for i in trace.invocations() if process}
    for span in sorted(trace.spans.values(), key=lambda s: s.order_key) if trace.invocations() else ():
        workflow = known(span.attributes.get("workflow.id"))
        if workflow:
            values.setdefault(f"workflow {workflow}", span)
    named = [(value, span) for value, span in values.items() if span is not None]
    return sorted((_end(span, "made", value) for value, span in named), key=_end_order)[:MAX_ENDS]


def _makings(span: Span, process: str) -> Iterator[str]:
    """What a span that does no work says that it makes: an agent of its process, a workflow."""
    workflow = known(span.attributes.get("workflow.id"))
    if workflow:
        yield f"workflow {workflow}"
    agent = known(span.attributes.get(AGENT_NAME))
    if process and agent and span.attributes.get("gen_ai.operation.name") == "create_agent":
        yield f"{process} {agent}"


def _pointers(trace: Trace) -> list[Pointer]:
    found = {
        Pointer(span.span_id, link.to_trace_id, link.to_span_id)
        for span in trace.spans.values()
        for link in span.links
        if link.kind in _CAUSAL and link.to_trace_id != trace.trace_id
    }
    return sorted(found, key=lambda p: (p.to_trace_id, p.span_id, p.to_span_id))[:_MAX_POINTERS]


def _end(span: Span, kind: str, value: str) -> End:
    key = _key(kind, value) if value else b""
    return End(
        kind,
        key,
        tool_name(span)[:80],
        span.span_id,
        span.agent_name,
        span.start_ns,
        span.end_ns,
        span.kind == _DELEGATION,
    )


def _end_order(end: End) -> tuple[int, bytes, str, bytes]:
    return end.start_ns, end.span_id, end.kind, end.key


def _key(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=KEY_BYTES).digest()
