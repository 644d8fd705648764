"""`tool.bad_arguments`: the arguments of a tool call do not fit the schema that was on offer, or the tool was not.

Invariant: a call is judged by what its model asked for, where that is known, else by its span's arguments; by the schema that
this model call offered, else one of the same invocation, agent or trace that offers the name, and where those differ only if
it violates all of them. A call without a span is judged when its agent has gone on. Where schema or arguments were not
captured, nothing is said. A violation that no usual framework mends or makes is a warning, every other one is for information
unless the call then failed over it. Registered under `trajectory.detectors`.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from trajectory.detection.additions import Additions, unknown_in
from trajectory.detection.bad_call import KIND, JudgedCall, finding_of
from trajectory.detection.calls import AskedCall, arguments_in, calls_in, key_of, unwrapped
from trajectory.detection.contract import Settling
from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import first_line
from trajectory.detection.offers import Offers, is_on_offer, plain_name
from trajectory.detection.schemas import Schema
from trajectory.detection.shown import answers_in
from trajectory.detection.silent_failure import failure_of, result_text
from trajectory.detection.touched import Line, Touched, line_of
from trajectory.detection.violations import Violation
from trajectory.detection.words import shorten
from trajectory.graph.echoes import is_echo, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Finding
from trajectory.model.words import TOOL_CALL_ID, Severity, Slot, SpanKind

_NO_TOOL = re.compile(
    r"(?:no|not|unknown|invalid|unrecogni[sz]ed|undefined)\b.{0,60}\b(?:tool|function)|(?:tool|function)\b.{0,60}\bnot\b",
    re.I,
)
_LAST = b"\xff" * 9  # after every span id
_MAX_KEPT_COUNT = 16_384  # calls, and ids of calls
_MAX_PLACED_COUNT = 262_144
_MAX_LOOSE_COUNT = 256  # of one name
_MAX_WAITING_COUNT = 1_024  # model calls whose agent has not gone on
_MAX_SHOWN_COUNT = 16
_MAX_CALLS_COUNT = 64  # of one model call
_MAX_NESTED_COUNT = 8
_OFFERING = (SpanKind.MODEL, SpanKind.AGENT)


_At = tuple[int, bytes]  # a span's place in time


class _Work:
    """What is known of one line of work: its model calls and its tool calls, by start."""

    def __init__(self) -> None:
        self.models: list[_At] = []
        self.tools: dict[str, list[_At]] = {}


class BadArguments(Settling):
    """The detector of `tool.bad_arguments`."""

    name = KIND

    def __init__(self) -> None:
        self._touched = Touched()
        self._works: dict[Line, _Work] = {}
        self._placed: dict[bytes, tuple[Line, str, _At]] = {}  # span → where it is kept
        self._waiting: dict[bytes, None] = {}  # model calls whose agents have not gone on
        self._calls: dict[bytes, list[AskedCall]] = {}  # model call → what it asked for
        self._asked: dict[str, tuple[bytes, AskedCall]] = {}  # call id → who asked
        self._tools: dict[str, bytes] = {}  # call id → tool span
        self._offers = Offers()
        self._additions = Additions()
        self._loose: dict[str, dict[bytes, None]] = {}  # tool → calls judged by another's schema, or none
        self._again: dict[bytes, None] = {}
        self._said: dict[tuple[bytes, str], Finding] = {}  # by span, and by call where there is none of its own
        self._held: Counter[str] = Counter()  # how many of those say a finding of one key

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings on the calls that are over, by their spans or because their agents have gone on."""
        touched = self._touched.take(trace)
        for span in touched:
            if span.kind in _OFFERING:
                for name in self._offers.note(span, trace):
                    self._again.update(self._loose.pop(name, {}))
            if span.kind == SpanKind.MODEL:
                self._note_model(span, trace)
        due = self._again
        self._again = {}
        for span in touched:
            if span.kind == SpanKind.TOOL and not is_echo(span):
                self._note_tool(span)
                if span.end_ns:
                    due[span.span_id] = None
        while due:
            for span_id in due:
                yield from self._say(span_id, "", self._of_span(trace.spans[span_id], trace), trace)
            due = self._additions.take()  # no more in the end: what comes with a call is noted once
        yield from self._gone_on(trace)

    # --- noting --------------------------------------------------------------------------------------------------------

    def _work(self, span: Span) -> _Work:
        return self._works.setdefault(line_of(span), _Work())

    def _place(self, span: Span, name: str) -> None:
        """Keeps a span by start in its line of work: a tool under its name, a model call under none."""
        place = (line_of(span), name, span.order_key)
        known = self._placed.get(span.span_id)
        if known == place or (known is None and len(self._placed) >= _MAX_PLACED_COUNT):
            return
        if known is not None:
            self._unplace(span.span_id)
        self._placed[span.span_id] = place
        work = self._work(span)
        insort(work.tools.setdefault(name, []) if name else work.models, span.order_key)

    def _unplace(self, span_id: bytes) -> None:
        line, name, at = self._placed.pop(span_id)
        held = self._works[line].tools[name] if name else self._works[line].models
        del held[bisect_left(held, at)]

    def _note_model(self, span: Span, trace: Trace) -> None:
        turn = _turn(span)
        if turn is not span and span.span_id in self._placed:  # its wrapper came after it
            self._unplace(span.span_id)
            self._waiting.pop(span.span_id, None)
            self._calls.pop(span.span_id, None)
        self._place(turn, "")
        asked = [c for d in span.digests(Slot.OUTPUT) for c in calls_in(trace.body(d))] if span.end_ns else []
        if not asked or len(self._calls) >= _MAX_KEPT_COUNT:
            return
        held = self._calls.setdefault(turn.span_id, [])
        held += [call for call in asked if call not in held][:_MAX_CALLS_COUNT]
        self._waiting[turn.span_id] = None
        for call in asked:
            if call.call_id:
                known = self._asked.get(call.call_id)
                if known is None or trace.spans[known[0]].order_key >= turn.order_key:
                    self._asked[call.call_id] = (turn.span_id, call)
                if (tool_id := self._tools.get(call.call_id)) is not None:
                    self._again[tool_id] = None
        for name in {plain_name(call.name) for call in asked}:  # whoever came before the model call that asked
            tools = self._work(turn).tools.get(name, [])
            self._again.update((i, None) for _, i in tools[bisect_left(tools, turn.order_key) :][:_MAX_SHOWN_COUNT])

    def _note_tool(self, span: Span) -> None:
        self._place(span, plain_name(tool_name(span)))
        call_id = _call_id(span)
        if call_id and len(self._tools) < _MAX_KEPT_COUNT:
            self._tools.setdefault(call_id, span.span_id)

    # --- judging -------------------------------------------------------------------------------------------------------

    def _of_span(self, tool: Span, trace: Trace) -> JudgedCall | None:
        """The call that a finished tool span is; None where its arguments are not known."""
        asker, call = self._asker(tool, trace)
        failed = _failure(tool, result_text(tool, trace) or self._answer(call, asker, trace))
        if call is not None and (call.arguments is not None or call.broken):
            return JudgedCall(call.name, call.arguments, call.broken, asker, tool, True, failed)
        given = told(tool, Slot.ARGUMENTS)
        arguments, broken = arguments_in(trace.body(given[0])) if given else (None, "")
        if arguments is None and not broken:
            return None
        return JudgedCall(tool_name(tool), arguments, broken, asker, tool, False, failed)

    def _asker(self, tool: Span, trace: Trace) -> tuple[Span | None, AskedCall | None]:
        """The model call that asked for a tool call, and what it asked for, by the call's id; else the one before it."""
        known = self._asked.get(_call_id(tool))
        if known is not None:
            return trace.spans[known[0]], known[1]
        models = self._work(tool).models
        at = bisect_right(models, (tool.start_ns, _LAST)) - 1
        if at < 0:
            return None, None
        asker = trace.spans[models[at][1]]
        alike = [c for c in self._calls.get(asker.span_id, ()) if plain_name(c.name) == plain_name(tool_name(tool))]
        if len(alike) == 1:
            return asker, alike[0]
        given = told(tool, Slot.ARGUMENTS)
        key = key_of(*arguments_in(trace.body(given[0]))) if given else b""
        return asker, next((c for c in alike if key and c.key == key), None)

    def _gone_on(self, trace: Trace) -> Iterator[Finding]:
        """Calls without a span whose agents have gone on."""
        left_count = len(self._waiting)
        for span_id in list(self._waiting):
            asker = trace.spans[span_id]
            models = self._work(asker).models
            after = bisect_right(models, asker.order_key)
            left_count -= 1
            if after >= len(models) and not _is_over(asker) and left_count < _MAX_WAITING_COUNT:
                continue
            del self._waiting[span_id]
            until = models[after] if after < len(models) else (1 << 63, _LAST)
            for call in self._calls[span_id]:
                judged = self._of_model(asker, call, until, trace)
                yield from self._say(span_id, call.call_id or call.key.hex(), judged, trace)

    def _of_model(self, asker: Span, call: AskedCall, until: _At, trace: Trace) -> JudgedCall | None:
        """A call as its model asked for it; None where its own span is judged."""
        tool_id = self._tools.get(call.call_id) if call.call_id else None
        if tool_id is None:
            held = self._work(asker).tools.get(plain_name(call.name), [])
            at = bisect_left(held, asker.order_key)
            tool_id = held[at][1] if at < len(held) and held[at] < until else None
        if tool_id is not None:
            return None
        answer = self._answer(call, asker, trace)
        failure = failure_in(answer) if answer else None
        if answer and failure is None and not is_on_offer(call.name, self._offers.of(_parts(asker), trace).schemas):
            return None  # whoever answered knew the tool
        return JudgedCall(call.name, call.arguments, call.broken, asker, None, True, failure.quote if failure else "")

    def _answer(self, call: AskedCall | None, asker: Span | None, trace: Trace) -> str:
        """What the agent's next model call was told of a call; empty where nothing was."""
        if call is None or asker is None or not call.call_id:
            return ""
        models = self._work(asker).models
        after = bisect_right(models, asker.order_key)
        for _, span_id in models[after : after + 1]:
            shown = [d for part in _parts(trace.spans[span_id]) for d in part.digests(Slot.INPUT)[-_MAX_SHOWN_COUNT:]]
            for address in shown:
                for call_id, text in answers_in(trace.body(address)):
                    if call_id == call.call_id:
                        return text
        return ""

    def _judging(self, call: JudgedCall, trace: Trace) -> tuple[list[Schema], bool]:
        """The schemas by which a call is judged, and whether they are its own model call's."""
        plain = plain_name(call.name)
        if call.asker is not None:
            for name, schema in self._offers.of(_parts(call.asker), trace).schemas.items():
                if schema is not None and plain_name(name) == plain:
                    return [schema], True
        place = call.tool or call.asker
        assert place is not None  # a call is known by its span, or by the model's that asked for it
        return self._offers.named(plain, line_of(place), place.agent_name), False

    def _say(self, span_id: bytes, part: str, call: JudgedCall | None, trace: Trace) -> Iterator[Finding]:
        found = self._wrong(call, trace) if call is not None else []
        finding = finding_of(call, found, trace) if call is not None and found else None
        known = self._said.pop((span_id, part), None)
        if known is not None:
            self._held[known.key] -= 1
        if finding is not None and len(self._said) < _MAX_KEPT_COUNT:
            self._said[span_id, part] = finding
            self._held[finding.key] += 1
            yield finding
        if known is not None and not self._held[known.key]:
            del self._held[known.key]
            told = f"{known.message}; taken back: what came later tells otherwise"
            yield msgspec.structs.replace(known, severity=Severity.INFO, message=told)

    def _wrong(self, call: JudgedCall, trace: Trace) -> list[Violation]:
        """What is wrong with a call: its name, its writing, or what every schema on offer has against its arguments."""
        unknown = self._unknown(call, trace)
        if unknown is not None:
            return [unknown]
        schemas, is_own = self._judging(call, trace)
        if not is_own and call.tool is not None:
            held = self._loose.setdefault(plain_name(call.name), {})
            if len(held) < _MAX_LOOSE_COUNT:
                held[call.tool.span_id] = None
        if call.arguments is None:
            is_judged = call.broken and schemas
            return [Violation("", "json", "they are not JSON", "type object", False)] if is_judged else []
        found: list[Violation] = []
        given, declared = call.arguments, list[str]()
        for schema in schemas:
            given, declared = call.arguments if call.is_raw else unwrapped(call.arguments, schema.names), schema.names
            found = schema.violations(given)
            if not found:
                break
        return found if call.tool is None else self._certain(found, call, call.tool, given, declared)

    def _certain(
        self, found: list[Violation], call: JudgedCall, tool: Span, given: dict[str, Any], declared: list[str]
    ) -> list[Violation]:
        """What is wrong with a call that ran, the certain first: what its framework may have added is not."""
        self._additions.note(tool.span_id, plain_name(call.name), [] if call.is_raw else unknown_in(found, given))
        if call.is_raw:
            return found
        doubted = [v.reason == "unknown" and not self._additions.is_a_model_s(v.path, given, declared) for v in found]
        judged = [v._replace(is_certain=v.is_certain and not doubt) for v, doubt in zip(found, doubted, strict=True)]
        return sorted(judged, key=lambda v: not v.is_certain)

    def _unknown(self, call: JudgedCall, trace: Trace) -> Violation | None:
        """That a tool was not on offer to the model call that asked for it. One that then worked was known all the same."""
        if call.asker is None or (call.tool is not None and not call.failed):
            return None
        offered = self._offers.of(_parts(call.asker), trace)
        if not offered.is_whole or is_on_offer(call.name, offered.schemas):
            return None
        if not (call.is_raw or _NO_TOOL.search(call.failed)):
            return None  # perhaps no model's call at all
        names = shorten(", ".join(sorted(offered.schemas)), 120)
        return Violation("", "tool", f"on offer were only {names}", names, bool(call.failed))


def _failure(tool: Span, text: str) -> str:
    """What a finished call said, where it failed; empty where it did not."""
    if tool.is_error:
        said = first_line(tool.error_text) or "failed"
        return said if tool.error_type in said else first_line(f"{tool.error_type}: {said}")
    failure = failure_of(tool, text or None)
    return failure.quote if failure is not None and failure.reason != "empty result" else ""


def _turn(span: Span) -> Span:
    """The outermost of the model spans that tell of one call: instrumentations wrap each other."""
    for _ in range(_MAX_NESTED_COUNT):
        if span.parent is None or span.parent.kind != SpanKind.MODEL:
            break
        span = span.parent
    return span


def _parts(turn: Span) -> list[Span]:
    """The model spans that tell of one call, the outermost first."""
    parts = [turn]
    for part in parts:
        if len(parts) > _MAX_NESTED_COUNT:
            break
        parts += [below for below in part.children[:_MAX_NESTED_COUNT] if below.kind == SpanKind.MODEL]
    return parts


def _is_over(span: Span) -> bool:
    """Whether the work that a model call is a part of has ended: nothing of it comes after."""
    above = span
    while above.parent is not None and above.kind not in (SpanKind.AGENT, SpanKind.DELEGATION):
        above = above.parent
    return not above.is_placeholder and bool(above.end_ns)


def _call_id(span: Span) -> str:
    value = span.attributes.get(TOOL_CALL_ID)
    return value if isinstance(value, str) else ""
