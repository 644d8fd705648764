"""Finds what was said, in all traces: the index leads to a stretch, the stretch is read, so a hit is what is stored now.

Invariant: an answer takes a bounded time, the newest first, and says when it is not all. Without an index (an SQLite without
FTS5, a collector that does not index) it looks through the stretches themselves. Called by the reader.
"""

import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge
from itertools import accumulate, islice

from trajectory.errors import StoreError
from trajectory.model import lists
from trajectory.model.fact import Fact, SpanStarted, trace_of
from trajectory.store.bodies import decoded, split
from trajectory.store.contract import Hit, Hits
from trajectory.store.database import Database
from trajectory.store.matching import digests_of
from trajectory.store.stretches import BEYOND, Ends, Stretch, facts_in, has_words, last_stretch, stretch
from trajectory.store.words import Passage, Question, said_by, said_in

_PAGE = 64
_PAGE_PLACES = 500
_MOST_NAMES = 4096
_LOOKED_FRAMES = 32  # back from where a body is named, for the start of its span
_LOOKED_SPANS = 16  # above it, for whose it is
_HELD_FRAMES = 32


@dataclass(frozen=True, slots=True)
class _Named:
    """That a trace names a body, in this frame."""

    trace_id: bytes
    frame: int


@dataclass(slots=True)
class Search:
    """One question to one store. `payload` gives a body by its digest."""

    database: Database
    payload: lists.Payload
    question: Question
    budget_s: float
    is_complete: bool = True
    _frames: dict[int, "_Frame"] = field(default_factory=dict)
    _starts: dict[tuple[bytes, bytes], SpanStarted | None] = field(default_factory=dict)
    _traces: dict[int, bytes] = field(default_factory=dict)
    _until_s: float = 0.0

    def hits(self, limit: int) -> Hits:
        """The first hits, the newest stretch first, each with the span that says it."""
        found: list[Hit] = []
        for one, is_indexed in self._stretches():
            for hit in self._in_stretch(one, is_indexed, limit - len(found)):
                found.append(hit)
                if len(found) == limit:
                    return Hits(found, False)
        return Hits(found, self.is_complete)

    def traces(self, limit: int) -> tuple[list[bytes], bool]:
        """The ids of the first traces that say it, and whether these are all."""
        found: dict[bytes, None] = {}
        for one, is_indexed in self._stretches():
            bodies = list(one.bodies(self.database))
            named = self._who([place for place, *_ in bodies], one, is_indexed, _MOST_NAMES)
            for place, digest, media_type, body in bodies:
                traces = {who.trace_id for who in named.get(place, named.get(digest, ()))}
                if not traces <= found.keys() and self._passage(media_type, body):
                    found.update(dict.fromkeys(traces))
            found.update((trace_of(fact), None) for _, fact, _ in self._facts(one))
            if len(found) >= limit:
                return list(found)[:limit], False
        return list(found), self.is_complete

    # --- where to look ----------------------------------------------------------------------------------------------

    def _stretches(self) -> Iterator[tuple[Stretch, bool]]:
        """What is not indexed yet, then the stretches that may say it; whether who names a body is written down for it."""
        self._until_s = time.monotonic() + self.budget_s
        for behind in self._behind():
            if time.monotonic() > self._until_s:
                self.is_complete = False
                return
            yield behind, False
        last = 0
        for stretch_id in merge(self._indexed(), self._wordless(), reverse=True):
            if time.monotonic() > self._until_s:
                self.is_complete = False
                return
            if stretch_id != last:
                yield stretch(self.database, stretch_id), True
            last = stretch_id

    def _behind(self) -> Iterator[Stretch]:
        """What is not indexed, the newest first: a moment's facts, or all of a store that nobody has indexed."""
        _, ends = last_stretch(self.database)
        number = self.database.number
        top = Ends(
            number("SELECT max(id) FROM frames"),
            number("SELECT max(id) FROM packs"),
            number("SELECT max(id) FROM payloads"),
        )
        while top != ends:
            below = Ends(
                max(ends.frame, top.frame - _PAGE),
                max(ends.pack, top.pack - _PAGE),
                max(ends.payload, top.payload - _PAGE),
            )
            yield Stretch(below, top)
            top = below

    def _indexed(self) -> Iterator[int]:
        if not has_words(self.database):
            return
        query = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
        yield from self._pages(query, (self.question.expression,))

    def _wordless(self) -> Iterator[int]:
        where = "NOT has_words" if has_words(self.database) else "1"
        yield from self._pages(f"SELECT id FROM stretches WHERE {where} AND id < ? ORDER BY id DESC LIMIT ?", ())

    def _pages(self, query: str, values: tuple[str, ...]) -> Iterator[int]:
        top = BEYOND
        while rows := self.database.rows(query, (*values, top, _PAGE), (int,)):
            yield from (row_id for (row_id,) in rows)
            top = rows[-1][0]

    # --- what is said there -----------------------------------------------------------------------------------------

    def _bodies(self, one: Stretch, limit: int) -> list[tuple[bytes, int, Passage]]:
        """(digest, place, passage) of the first bodies that say it."""
        saying = (
            (digest, place, passage)
            for place, digest, media_type, body in one.bodies(self.database)
            if (passage := self._passage(media_type, body))
        )
        return list(islice(saying, limit))

    def _passage(self, media_type: str, body: bytes) -> Passage | None:
        return self.question.passage(said_by(media_type, body)) if self.question.may_be_in(body) else None

    def _facts(self, one: Stretch) -> Iterator[tuple[int, Fact, Passage]]:
        """(frame, fact, passage) of the facts that say it themselves."""
        for frame, plain in one.frames(self.database):
            if self.question.may_be_among(plain):
                for fact in facts_in(plain):
                    passage = next(filter(None, map(self.question.passage, said_in(fact))), None)
                    if passage is not None:
                        yield frame, fact, passage

    def _in_stretch(self, one: Stretch, is_indexed: bool, limit: int) -> Iterator[Hit]:
        bodies = self._bodies(one, limit)
        named = self._who([place for _, place, _ in bodies], one, is_indexed, limit)
        for digest, place, passage in bodies:
            for who in named.get(place, named.get(digest, ())):
                yield self._hit(who.trace_id, who.frame, self._namer(who, digest), passage)
        for frame, fact, passage in self._facts(one):
            yield self._hit(trace_of(fact), frame, fact, passage)

    # --- who said it ------------------------------------------------------------------------------------------------

    def _who(
        self, places: Sequence[int], one: Stretch, is_indexed: bool, limit: int
    ) -> Mapping[int | bytes, Sequence[_Named]]:
        """The traces that name bodies, the newest first, by place; by digest where that is not written down yet."""
        if not is_indexed:
            return self._names_in(one)
        named: dict[int | bytes, list[_Named]] = {}
        for at in range(0, len(places), _PAGE_PLACES):
            page = places[at : at + _PAGE_PLACES]
            query = f"""SELECT place, trace, frame FROM names WHERE place IN ({",".join("?" * len(page))})
                        ORDER BY place DESC, trace DESC LIMIT ?"""
            for place, trace, frame in self.database.rows(query, (*page, limit), (int, int, int)):
                if trace_id := self._trace_id(trace):
                    named.setdefault(place, []).append(_Named(trace_id, frame))
        return named

    def _names_in(self, one: Stretch) -> dict[int | bytes, list[_Named]]:
        """Who names what in a stretch that is not indexed."""
        named: dict[int | bytes, list[_Named]] = {}
        for frame, plain in one.frames(self.database):
            for fact in facts_in(plain):
                for digest in lists.named(digests_of(fact), self.payload):
                    named.setdefault(digest, []).append(_Named(trace_of(fact), frame))
        return named

    def _trace_id(self, row_id: int) -> bytes:
        if row_id not in self._traces:
            row = self.database.row("SELECT trace_id FROM traces WHERE id = ?", (row_id,), (bytes,))
            self._traces[row_id] = row[0] if row else b""
        return self._traces[row_id]

    def _namer(self, named: _Named, digest: bytes) -> Fact | None:
        """The fact of the trace that names the body, in the frame where it does so first."""
        frame = self._frame(named.frame)
        direct = (
            fact for fact in frame.holding(digest) if trace_of(fact) == named.trace_id and digest in digests_of(fact)
        )
        listing = (fact for fact in frame.facts if trace_of(fact) == named.trace_id and self._lists(fact, digest))
        return next(direct, None) or next(listing, None)

    def _lists(self, fact: Fact, digest: bytes) -> bool:
        entries = [entry for entry in digests_of(fact) if lists.list_of(entry) is not None]
        return bool(entries) and digest in lists.named(entries, self.payload)

    def _frame(self, frame_id: int) -> "_Frame":
        if frame_id not in self._frames:
            if len(self._frames) >= _HELD_FRAMES:
                self._frames.clear()
            row = next(Stretch(Ends(frame_id - 1), Ends(frame_id)).frames(self.database), None)
            self._frames[frame_id] = _Frame(row[1] if row else b"\x90")
        return self._frames[frame_id]

    def _hit(self, trace_id: bytes, frame: int, fact: Fact | None, passage: Passage) -> Hit:
        span_id = getattr(fact, "span_id", b"")
        begun = self._start(trace_id, frame, span_id) if span_id else None
        return Hit(
            trace_id=trace_id,
            span_id=span_id,
            at_ns=getattr(fact, "at_ns", 0),
            agent=self._agent(frame, begun) if begun else "",
            kind=begun.kind if begun else "",
            name=begun.name if begun else "",
            text=passage.text,
            start=passage.start,
            end=passage.end,
        )

    def _agent(self, frame: int, begun: SpanStarted) -> str:
        """Who a span is of: what itself says, or the nearest above that does."""
        above: SpanStarted | None = begun
        for _ in range(_LOOKED_SPANS):
            if above is None or above.agent or not above.parent_id:
                break
            above = self._start(above.trace_id, frame, above.parent_id)
        return above.agent if above is not None else ""

    def _start(self, trace_id: bytes, frame: int, span_id: bytes) -> SpanStarted | None:
        key = (trace_id, span_id)
        if key not in self._starts:
            self._starts[key] = self._find_start(trace_id, frame, span_id)
        return self._starts[key]

    def _find_start(self, trace_id: bytes, frame: int, span_id: bytes) -> SpanStarted | None:
        """How a span began: in this frame, or one not far before it."""
        query = """SELECT frame FROM frame_traces JOIN traces ON traces.id = trace WHERE trace_id = ? AND frame <= ?
                   ORDER BY frame DESC LIMIT ?"""
        begun = self._frame(frame).start(trace_id, span_id)
        if begun is not None:
            return begun
        earlier = (row_id for (row_id,) in self.database.rows(query, (trace_id, frame, _LOOKED_FRAMES), (int,)))
        starts = (self._frame(row_id).start(trace_id, span_id) for row_id in earlier)
        return next(filter(None, starts), None)


class _Frame:
    """A frame of which only those facts are decoded that are asked for: those in whose bytes an id is."""

    def __init__(self, plain: bytes) -> None:
        self._plain = plain
        try:
            self._raws = split(plain)
        except StoreError:
            self._raws = []
        self._decoded: dict[int, Fact | None] = {}
        sizes = [len(raw) for raw in self._raws]
        self._ends = list(accumulate(sizes, initial=len(plain) - sum(sizes)))[1:]

    @cached_property
    def facts(self) -> list[Fact]:
        return facts_in(self._plain)

    def holding(self, id_bytes: bytes) -> Iterator[Fact]:
        """The facts that hold an id, in order."""
        at = self._plain.find(id_bytes)
        while at >= 0:
            number = bisect_right(self._ends, at)
            if number >= len(self._raws):
                return
            if (fact := self._fact(number)) is not None:
                yield fact
            at = self._plain.find(id_bytes, self._ends[number])

    def _fact(self, number: int) -> Fact | None:
        if number not in self._decoded:
            self._decoded[number] = decoded(self._raws[number])
        return self._decoded[number]

    def start(self, trace_id: bytes, span_id: bytes) -> SpanStarted | None:
        """How a span began."""
        starts = (fact for fact in self.holding(span_id) if isinstance(fact, SpanStarted) and fact.span_id == span_id)
        return next((fact for fact in starts if fact.trace_id == trace_id), None)
