"""Lays a graph out in columns, its edges from left to right, each with its own way from the box it leaves to the box it reaches.

    [planner]─┬──▶[research]─┬─▶[writer]
              └──▶[coder]────┘

Invariant: no box lies on another; of the edges between two columns those of one source fork, or those of one target join, and
never both, so from each box exactly its targets can be reached by following lines. What closes a circle is not drawn: it is in
`back`. Called by `graph`, which knows what boxes and edges mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from trajectory.view.layers import layers
from tui.drawing.canvas import Canvas
from tui.drawing.line import Line, measure
from tui.signs import LEFT, RIGHT, Signs

_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its key, and what stands in it."""

    key: str
    line: Line


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge between two boxes, by their keys; `note` is written on its line."""

    source: str
    target: str
    note: Line = field(default_factory=list)
    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box stands: its column among the boxes' columns, its first cell, its row, its cells."""

    layer: int
    x: int
    y: int
    width: int


@dataclass(slots=True, eq=False)
class _Slot:
    """A place in a column: a box, or (without one) where an edge passes."""

    box: Box | None = None
    note: Line = field(default_factory=list)
    before: list["_Link"] = field(default_factory=list)
    after: list["_Link"] = field(default_factory=list)
    at: float = 0.0  # its order in the column
    y: int = 0


@dataclass(slots=True, eq=False)
class _Link:
    """A piece of an edge, from one column to the next."""

    source: _Slot
    target: _Slot
    note: Line
    heavy: bool


@dataclass(slots=True)
class _Gap:
    """Between two columns: nets of links that meet, the track (or -1) of each, and the room for notes and heads."""

    nets: list[list[_Link]]
    tracks: list[int]
    left: int
    right: int

    @property
    def width(self) -> int:
        return self.left + max(self.tracks, default=-1) + 1 + self.right


@dataclass(frozen=True, slots=True)
class Laid:
    """The canvas with boxes and lines, where each box stands, and the edges that are not drawn."""

    canvas: Canvas
    places: dict[str, Place]
    back: list[Arrow]


def lay_out(boxes: Sequence[Box], arrows: Sequence[Arrow], signs: Signs) -> Laid:
    """A layout of the boxes and of the arrows between them; at most one arrow from one box to another."""
    known = {box.key for box in boxes}
    arrows = [arrow for arrow in arrows if arrow.source in known and arrow.target in known]
    found = layers((arrow.source, arrow.target) for arrow in arrows)
    slots = {box.key: _Slot(box) for box in boxes}
    layer_of = {key: found.of.get(key, 0) for key in slots}
    columns: list[list[_Slot]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for key, slot in slots.items():
        columns[layer_of[key]].append(slot)
    back = []
    for arrow in arrows:
        if (arrow.source, arrow.target) in found.back:
            back.append(arrow)
        else:
            _thread(arrow, slots, layer_of, columns)
    columns = _unmixed(columns)
    _sort(columns)
    _set_rows(columns)
    gaps = [_gap(column) for column in columns[:-1]]
    return _painted(columns, gaps, back, layer_of, signs)


def _thread(arrow: Arrow, slots: dict[str, _Slot], layer_of: dict[str, int], columns: list[list[_Slot]]) -> None:
    """Leads an arrow from column to column; its note stands where it passes one, else at its only piece."""
    at, end = layer_of[arrow.source], layer_of[arrow.target]
    here, note = slots[arrow.source], arrow.note
    for layer in range(at + 1, end):
        passing = _Slot(note=note)
        columns[layer].append(passing)
        _join(here, passing, [], arrow.heavy)
        here, note = passing, []
    _join(here, slots[arrow.target], note, arrow.heavy)


def _join(source: _Slot, target: _Slot, note: Line, heavy: bool) -> None:
    link = _Link(source, target, note, heavy)
    source.after.append(link)
    target.before.append(link)


def _unmixed(columns: list[list[_Slot]]) -> list[list[_Slot]]:
    """The columns, with one of passing edges put in where forks and joins would get mixed up."""
    whole = columns[:1]
    for column in columns[1:]:
        links = [link for slot in whole[-1] for link in slot.after]
        if any(len(link.source.after) > 1 and len(link.target.before) > 1 for link in links):
            between = []
            for link in links:
                passing = _Slot(note=link.note)
                first = _Link(link.source, passing, [], link.heavy)
                second = _Link(passing, link.target, [], link.heavy)
                passing.before, passing.after = [first], [second]
                link.source.after[link.source.after.index(link)] = first
                link.target.before[link.target.before.index(link)] = second
                between.append(passing)
            whole.append(between)
        whole.append(column)
    return whole


def _sort(columns: list[list[_Slot]]) -> None:
    """Orders each column by the middle of what its slots are joined to, to and fro."""
    for column in columns:
        _number(column)
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        for column in columns if forth else columns[::-1]:
            middle = {id(slot): _middle(slot, forth) for slot in column}
            column.sort(key=lambda slot: middle[id(slot)])
            _number(column)


def _number(column: list[_Slot]) -> None:
    for at, slot in enumerate(column):
        slot.at = float(at)


def _middle(slot: _Slot, forth: bool) -> float:
    near = [link.source.at for link in slot.before] if forth else [link.target.at for link in slot.after]
    return sum(near) / len(near) if near else slot.at


def _set_rows(columns: list[list[_Slot]]) -> None:
    """Gives every slot its row. It stands on that of a slot in the column before only if the line there is its own."""
    left: dict[int, _Slot] = {}
    for column in columns:
        y: int | None = None
        for slot in column:
            wanted = _wanted_row(slot)
            y = wanted if y is None else max(y + 1, wanted)
            while not _may_stand(slot, left.get(y)):
                y += 1
            slot.y = y
        left = {slot.y: slot for slot in column}
    top = min((slot.y for column in columns for slot in column), default=0)
    for column in columns:
        for slot in column:
            slot.y -= top


def _wanted_row(slot: _Slot) -> int:
    """Around the one that it comes from, in the order of that one's others; else in the middle of several."""
    if not slot.before:
        return 0
    if len(slot.before) > 1:
        rows = sorted(link.source.y for link in slot.before)
        return rows[len(rows) // 2]
    source = slot.before[0].source
    siblings = sorted((link.target for link in source.after), key=lambda each: each.at)
    return source.y - (len(siblings) - 1) // 2 + siblings.index(slot)


def _may_stand(slot: _Slot, left: _Slot | None) -> bool:
    if left is None or not left.after:
        return True
    return (all(link.source is left for link in slot.before) and bool(slot.before)) or (
        all(link.target is slot for link in left.after)
    )


def _gap(column: list[_Slot]) -> _Gap:
    """The links from one column to the next, in nets; nets whose rows are apart may share a track."""
    nets: list[list[_Link]] = []
    joins: dict[int, list[_Link]] = {}
    for slot in column:
        if len(slot.after) == 1 and len(slot.after[0].target.before) > 1:
            target = slot.after[0].target
            if id(target) not in joins:
                nets.append(joins.setdefault(id(target), []))
            joins[id(target)].append(slot.after[0])
        elif slot.after:
            nets.append(list(slot.after))
    tracks = [-1] * len(nets)
    ends: list[int] = []  # the last row of what is on each track
    spans = [_rows_of(net) for net in nets]
    for at in sorted(range(len(nets)), key=lambda each: spans[each]):
        top, bottom = spans[at]
        if top == bottom:
            continue
        track = next((number for number, end in enumerate(ends) if end < top), len(ends))
        ends[track : track + 1] = [bottom]
        tracks[at] = track
    links = [link for net in nets for link in net]
    at_source = max((measure(link.note) for link in links if len(link.target.before) > 1), default=0)
    at_target = max((measure(link.note) for link in links if len(link.target.before) == 1), default=0)
    has_head = any(link.target.box for link in links)
    return _Gap(nets, tracks, 1 + at_source, at_target + 1 + has_head)


def _rows_of(net: list[_Link]) -> tuple[int, int]:
    rows = [slot.y for link in net for slot in (link.source, link.target)]
    return min(rows), max(rows)


def _painted(
    columns: list[list[_Slot]], gaps: list[_Gap], back: list[Arrow], layer_of: dict[str, int], signs: Signs
) -> Laid:
    canvas, places = Canvas(), {}
    starts = list(_starts(columns, gaps))
    number = 0
    for column, (start, width) in zip(columns, starts, strict=True):
        for slot in column:
            if slot.box is not None:
                size = canvas.write(start, slot.y, slot.box.line)
                places[slot.box.key] = Place(layer_of[slot.box.key], start, slot.y, size)
                continue
            number += 1
            canvas.across(number, slot.y, start, start + width - 1, LEFT | RIGHT, heavy=slot.before[0].heavy)
            canvas.write(start + (width - measure(slot.note)) // 2, slot.y, slot.note)
    for gap, ((start, width), (end, _)) in zip(gaps, pairwise(starts), strict=True):
        for net, track in zip(gap.nets, gap.tracks, strict=True):
            number += 1
            for link in sorted(net, key=lambda each: each.heavy):
                _paint_link(canvas, number, link, start + width, end, track + gap.left, places, signs)
    return Laid(canvas, places, back)


def _starts(columns: list[list[_Slot]], gaps: list[_Gap]) -> Iterator[tuple[int, int]]:
    """First cell and width of each column."""
    x = 0
    for at, column in enumerate(columns):
        boxes = max((measure(slot.box.line) for slot in column if slot.box), default=1)
        width = max(boxes, max((measure(slot.note) + 2 for slot in column if slot.note), default=1))
        yield x, width
        x += width + (gaps[at].width if at < len(gaps) else 0)


def _paint_link(
    canvas: Canvas, net: int, link: _Link, edge: int, end: int, track: int, places: dict[str, Place], signs: Signs
) -> None:
    """One link: from its source along the row, along its net's track to the target's row, and to the target, with its head.
    `edge` is the first cell behind the source's column, `end` the first of the target's."""
    source, target, heavy = link.source, link.target, link.heavy
    place = places[source.box.key] if source.box else None
    begin = place.x + place.width if place else edge
    if source.y == target.y:
        canvas.across(net, source.y, begin, end - 1, LEFT | RIGHT, heavy=heavy)
    else:
        x = edge + track
        canvas.across(net, source.y, begin, x, LEFT, heavy=heavy)
        canvas.along(net, x, source.y, target.y, heavy=heavy)
        canvas.across(net, target.y, x, end - 1, RIGHT, heavy=heavy)
    if target.box:
        canvas.write(end - 1, target.y, [(signs.arrow, "error" if heavy else "delegation")])
    if len(target.before) > 1:
        canvas.write(edge, source.y, link.note)
    else:
        canvas.write(end - 1 - bool(target.box) - measure(link.note), target.y, link.note)
