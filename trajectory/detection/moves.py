"""What agents did move by move, in each order in which a cycle can run: the material of `flow.loop`.

Invariant: a function of the trace's state. A move's `state` is equal to another's where the same was asked of the same and the
same came back; where that is not known, a move is like no other. Three orders: the calls and delegations of one invocation;
delegations each of which was given by whoever took up the one before; the turns of agents that talk side by side. Called by
`flow.loop`, which keeps the states.
"""

from collections.abc import Iterator
from typing import NamedTuple

from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.sameness import Text, alike, text_of
from trajectory.detection.silent_failure import is_tool_work
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import told
from trajectory.graph.invocation import Invocation
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.words import Slot, SpanKind

_ALIKE_RATIO = 0.85
_MAX_STATES_COUNT = 20_000
_MAX_KINDS_COUNT = 32  # of states of one name that a move is compared with
_MAX_CHAIN_COUNT = 400
_NEWEST_COUNT = 3  # of a model's messages, among which a new one is looked for
_TOOLS = frozenset((SpanKind.TOOL.value, SpanKind.RETRIEVAL.value))


class Move(NamedTuple):
    """One thing done. `name` is the tool, or the agent that it was asked of; `who` did it; `request` numbers what was asked of
    whom, `state` that with what came back; `came` is that, empty where nothing did."""

    span: Span
    who: str
    name: str
    request: int
    state: int
    came: str
    delegation: Delegation | None
    is_tool: bool


class States:
    """Numbers for what was asked and what came back: equal numbers for what is alike. Bounded."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], int] = {}
        self._held: dict[tuple[object, ...], list[tuple[Text, int]]] = {}
        self._count = 0

    def fresh(self) -> int:
        """A number that nothing else has."""
        self._count += 1
        return self._count

    def named(self, *key: object) -> int:
        """The number of something that is known by its name alone."""
        known = self._known.get((key, ()))
        if known is None:
            known = self._known[(key, ())] = self.fresh()
        return known

    def number(self, about: tuple[object, ...], digests: tuple[bytes, ...], reader: Reader) -> int:
        """The number of what payloads say about something; 0 where nothing readable is said."""
        key = (about, digests)
        known = self._known.get(key)
        if known is not None:
            return known
        text = text_of(reader, digests)
        if text is None:
            return 0
        held = self._held.setdefault(about, [])
        found = next((number for other, number in reversed(held) if alike(text, other, _ALIKE_RATIO)), 0)
        if not found:
            found = self.fresh()
            held.append((text, found))
            del held[:-_MAX_KINDS_COUNT]
        if len(self._known) >= _MAX_STATES_COUNT:
            self._known.clear()
        self._known[key] = found
        return found


def sequences(trace: Trace, states: States) -> Iterator[list[Move | None]]:
    """Every order of moves in which a cycle can run, earliest first; None stands where somebody was told something new."""
    delegations = trace.delegations()
    given: dict[int, list[Delegation]] = {}
    for delegation in delegations:
        if delegation.source is not None:
            given.setdefault(id(delegation.source), []).append(delegation)
    for invocation in trace.invocations():
        yield _own(invocation, given.get(id(invocation), []), trace, states)
    yield from _chains(delegations, given, trace, states)
    yield from _turns(trace, states)


def _own(invocation: Invocation, given: list[Delegation], trace: Trace, states: States) -> list[Move | None]:
    """What one invocation did: its calls of tools and its delegations."""
    reader, vehicles = reader_of(trace), trace.vehicles()
    timed: list[tuple[tuple[int, bytes], Move | None]] = []
    for delegation in given:
        timed.append((delegation.span.order_key, _asked(delegation, delegation.returned_digests(), reader, states)))
    models: list[Span] = []
    for span in invocation.spans.values():
        if span.kind in _TOOLS and span.end_ns and span.span_id not in vehicles and is_tool_work(span):
            timed.append((span.order_key, _called(span, invocation, reader, states)))
        elif span.kind == SpanKind.MODEL:
            models.append(span)
    if len(timed) < 3:
        return []
    timed += [(span.order_key, None) for span in _told(sorted(models, key=lambda s: s.order_key), reader)]
    return [move for _, move in sorted(timed, key=lambda t: t[0])]


def _told(models: list[Span], reader: Reader) -> Iterator[Span]:
    """The model calls that are shown a user's words which none before was."""
    seen: set[bytes] = set()
    for number, span in enumerate(models):
        newest = span.digests(Slot.INPUT)[-_NEWEST_COUNT:]
        if number and any(d not in seen and reader.asked(d) for d in newest):
            yield span
        seen.update(newest)


def _called(span: Span, invocation: Invocation, reader: Reader, states: States) -> Move:
    name = tool_name(span)
    arguments = tuple(told(span, Slot.ARGUMENTS))
    results = tuple(told(span, Slot.RESULT, Slot.OUTPUT))
    asked = states.number(("asked", name), arguments, reader) if arguments else 0
    request = asked if arguments else states.named("call", name)
    if span.is_error and not results:
        came = span.error_text
        state = states.named("error", name, request, span.error_type, came) if request else states.fresh()
    else:
        came = "\n".join(reader.text(d) or "" for d in results)
        said = states.number(("came", name, request), results, reader) if results else 0
        state = said if said and request else states.fresh()
    return Move(span, invocation.agent, name, request or states.fresh(), state, came, None, True)


def _asked(delegation: Delegation, back: list[bytes], reader: Reader, states: States) -> Move:
    source, target = delegation.source_agent, delegation.target_agent
    request = states.number(("task", source, target), tuple(delegation.task_digests()), reader)
    said = states.number(("answer", source, target, request), tuple(back), reader) if back else 0
    came = "\n".join(reader.text(d) or "" for d in back)
    state = said if said and request else states.fresh()
    return Move(delegation.span, source, target, request, state, came, delegation, False)


def _chains(
    delegations: list[Delegation], given: dict[int, list[Delegation]], trace: Trace, states: States
) -> Iterator[list[Move | None]]:
    """Delegations one inside, or after, the other. What a call brings back comes after all that it led to, and is no part."""
    reader = reader_of(trace)
    before = {id(d.target): d for d in delegations if d.target is not None}
    left = _MAX_CHAIN_COUNT
    for last in delegations:
        if left <= 0:
            return
        if last.target is not None and id(last.target) in given:
            continue
        chain: list[Delegation] = []
        one: Delegation | None = last
        while one is not None and len(chain) < _MAX_CHAIN_COUNT:
            chain.append(one)
            one = before.get(id(one.source)) if one.source is not None else None
        if len(chain) < 3:
            continue
        left -= 1
        yield [_step(each, reader, states) for each in reversed(chain)]


def _step(delegation: Delegation, reader: Reader, states: States) -> Move:
    target = delegation.target
    if delegation.is_transfer and target is not None:
        move = _asked(delegation, _said(target), reader, states)
        if move.request or not move.came:
            return move
        said = states.number(("said", delegation.source_agent, target.agent), tuple(_said(target)), reader)
        return move._replace(request=said or states.fresh(), state=said or states.fresh())
    move = _asked(delegation, [], reader, states)
    text = text_of(reader, delegation.task_digests())
    came = text.plain if text is not None else ""
    return move._replace(state=move.request if text is not None and text.is_telling else states.fresh(), came=came)


def _turns(trace: Trace, states: States) -> Iterator[list[Move | None]]:
    """What agents said in turn that work side by side and were given nothing."""
    reader = reader_of(trace)
    given = {id(d.target) for d in trace.delegations() if d.target is not None}
    beside: dict[bytes, list[Move | None]] = {}
    for invocation in trace.invocations():
        span = invocation.span
        if span is None or id(invocation) in given or not span.end_ns:
            continue
        said = tuple(_said(invocation))
        number = states.number(("turn", invocation.agent), said, reader) or states.fresh()
        came = "\n".join(reader.text(d) or "" for d in said)
        move = Move(span, invocation.agent, invocation.agent, number, number, came, None, False)
        beside.setdefault(span.parent_id, []).append(move)
    yield from beside.values()


def _said(invocation: Invocation) -> list[bytes]:
    """What an invocation gave, or said last."""
    own = invocation.answer_digests()
    if own:
        return own
    spoken = [s for s in invocation.spans.values() if s.kind == SpanKind.MODEL and s.digests(Slot.OUTPUT)]
    return max(spoken, key=lambda s: s.order_key).digests(Slot.OUTPUT) if spoken else []
