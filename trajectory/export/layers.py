"""Places boxes and lines of a directed graph in layers from left to right, for drawings.

Invariant: no two boxes overlap, every line runs from the right of one box to the left of another, and the same graph is
always placed the same way. Pure; sizes and positions in pixels. Called by the SVG exporter. The steps are those of
Sugiyama, Tagawa and Toda (1981): break cycles, give each node a layer, order each layer, then place it.
"""

import itertools
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GAP_Y = 22.0
DUMMY_HEIGHT = 10.0
_SWEEPS = 8
_PORT_GAP = 16.0

Point = tuple[float, float]


@dataclass
class Box:
    """A node's place: its upper left corner and size. Where a long line passes a layer it has a box of its own."""

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass
class Placed:
    """Boxes by node, and for each edge its points from left to right, two for each gap between layers; `backward` are
    the edges that point to the left."""

    boxes: dict[str, Box]
    lines: list[list[Point]]
    backward: set[int]
    width: float = 0.0
    height: float = 0.0


@dataclass
class _Layers:
    """The graph without cycles and with a box in every layer that a line crosses. `chains` are edges, left to right."""

    boxes: dict[str, Box]
    rows: list[list[str]]
    chains: list[list[str]]
    above: dict[str, list[str]] = field(default_factory=dict)
    below: dict[str, list[str]] = field(default_factory=dict)


def place(sizes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str]], gaps: Sequence[float]) -> Placed:
    """Boxes of these sizes (width, height) in layers; edges from a node to itself get no points.

    `gaps` is for each edge the room that its label needs between two layers.
    """
    backward, visited = walk(list(sizes), edges)
    forward = [(b, a) if number in backward else (a, b) for number, (a, b) in enumerate(edges)]
    ranks = _ranks(list(sizes), [edge for edge in forward if edge[0] != edge[1]])
    layers = _layers({node: sizes[node] for node in visited}, forward, ranks)
    _fit_ports(layers)
    _order(layers)
    _set_x(layers, gaps)
    _set_y(layers)
    placed = Placed({node: layers.boxes[node] for node in sizes}, _lines(layers), backward)
    placed.width = max((box.x + box.width for box in layers.boxes.values()), default=0.0)
    placed.height = max((box.y + box.height for box in layers.boxes.values()), default=0.0)
    return placed


def walk(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[set[int], list[str]]:
    """The edges that close a cycle when the graph is walked depth first, in the order of `nodes`, and the nodes as met:
    in that order the layers of a tree have no crossing."""
    following: dict[str, list[tuple[int, str]]] = {node: [] for node in nodes}
    for number, (source, target) in enumerate(edges):
        following[source].append((number, target))
    backward: set[int] = set()
    state: dict[str, int] = {}  # 1 on the path that is being walked, 2 done
    for start in nodes:
        if start in state:
            continue
        state[start] = 1
        path = [(start, iter(following[start]))]
        while path:
            node, ahead = path[-1]
            step = next(ahead, None)
            if step is None:
                state[node] = 2
                path.pop()
            elif state.get(step[1]) == 1:
                if step[1] != node:
                    backward.add(step[0])
            elif step[1] not in state:
                state[step[1]] = 1
                path.append((step[1], iter(following[step[1]])))
    return backward, list(state)


def _ranks(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each node's layer: one right of the rightmost node before it; a node without one, just left of the first after it."""
    after: dict[str, list[str]] = {node: [] for node in nodes}
    waiting = dict.fromkeys(nodes, 0)
    for source, target in edges:
        after[source].append(target)
        waiting[target] += 1
    ranks = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not waiting[node]]
    roots = list(ready)
    while ready:
        node = ready.pop()
        for target in after[node]:
            ranks[target] = max(ranks[target], ranks[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in roots:
        ranks[node] = max(0, min((ranks[target] for target in after[node]), default=1) - 1)
    return ranks


def _layers(
    sizes: Mapping[str, tuple[float, float]], forward: Sequence[tuple[str, str]], ranks: Mapping[str, int]
) -> _Layers:
    rows: list[list[str]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    boxes = {node: Box(*size) for node, size in sizes.items()}
    for node in sizes:
        rows[ranks[node]].append(node)
    chains: list[list[str]] = []
    for number, (source, target) in enumerate(forward):
        chain = [source]
        for rank in range(ranks[source] + 1, ranks[target]):
            passing = f"\0{number}:{rank}"  # no node is called so: names of nodes come from `sizes`, cleaned
            boxes[passing] = Box(0.0, DUMMY_HEIGHT)
            rows[rank].append(passing)
            chain.append(passing)
        chains.append([] if source == target else [*chain, target])
    layers = _Layers(boxes, rows, chains)
    layers.above = {node: [] for node in boxes}
    layers.below = {node: [] for node in boxes}
    for chain in chains:
        for left, right in itertools.pairwise(chain):
            layers.below[left].append(right)
            layers.above[right].append(left)
    return layers


def _fit_ports(layers: _Layers) -> None:
    """Each box as high as the lines on one of its sides need: what is written on them lies apart then as they do."""
    starts, ends = (Counter(chain[at] for chain in layers.chains if chain) for at in (0, -1))
    for node in starts.keys() | ends.keys():
        box = layers.boxes[node]
        box.height = max(box.height, _PORT_GAP * max(starts[node], ends[node]))


def _order(layers: _Layers) -> None:
    """Sorts each layer by the mean position of its neighbours, to and fro, and keeps the order with the fewest crossings."""
    best, fewest = [list(row) for row in layers.rows], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        _sweep(layers, to_right=sweep % 2 == 0)
        crossed = _crossings(layers)
        if crossed < fewest:
            best, fewest = [list(row) for row in layers.rows], crossed
    layers.rows[:] = best


def _sweep(layers: _Layers, *, to_right: bool) -> None:
    near = layers.above if to_right else layers.below
    rows = layers.rows if to_right else layers.rows[::-1]
    for fixed, row in itertools.pairwise(rows):
        at = {node: number for number, node in enumerate(fixed)}
        own = {node: number * len(fixed) / len(row) for number, node in enumerate(row)}
        means = {node: _mean([at[n] for n in near[node] if n in at], own[node]) for node in row}
        row.sort(key=means.__getitem__)


def _crossings(layers: _Layers) -> int:
    """How many pairs of lines cross between neighbouring layers: inversions among their right ends, by their left ends."""
    crossed = 0
    for left, right in itertools.pairwise(layers.rows):
        at = {node: number for number, node in enumerate(right)}
        passed: list[int] = []
        for node in left:
            ends = sorted(at[other] for other in layers.below[node])
            crossed += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return crossed


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _set_x(layers: _Layers, gaps: Sequence[float]) -> None:
    """Layers side by side, each as far from the one before as the labels between them need."""
    rank_of = {node: rank for rank, row in enumerate(layers.rows) for node in row}
    room = [60.0] * len(layers.rows)
    for chain, gap in zip(layers.chains, gaps, strict=True):
        if chain:
            room[rank_of[chain[-1]]] = max(room[rank_of[chain[-1]]], gap)
    x = 0.0
    for rank, row in enumerate(layers.rows):
        x += room[rank] if rank else 0.0
        width = max(layers.boxes[node].width for node in row)
        for node in row:
            box = layers.boxes[node]
            box.x = x
            box.width = width
        x += width


def _set_y(layers: _Layers) -> None:
    """Each box as near as may be to the middle of its neighbours, without changing the order of its layer."""
    for row in layers.rows:
        _stack(layers, row, dict.fromkeys(row, 0.0))
    for sweep in range(_SWEEPS * 2):
        rows = layers.rows if sweep % 2 == 0 else layers.rows[::-1]
        near = layers.above if sweep % 2 == 0 else layers.below
        for row in rows:
            wanted = {n: _mean([layers.boxes[o].middle for o in near[n]], layers.boxes[n].middle) for n in row}
            _stack(layers, row, wanted)
    top = min((box.y for box in layers.boxes.values()), default=0.0)
    for box in layers.boxes.values():
        box.y -= top


def _stack(layers: _Layers, row: Sequence[str], wanted: Mapping[str, float]) -> None:
    """The places nearest to the wanted middles, by least squares, that keep order and distance (pool adjacent violators)."""
    offsets: list[float] = []
    below = 0.0
    for node in row:
        half = layers.boxes[node].height / 2
        offsets.append(below + half)
        below += 2 * half + GAP_Y
    pools: list[tuple[float, int]] = []
    for node, offset in zip(row, offsets, strict=True):
        mean, count = wanted[node] - offset, 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    settled = [mean for mean, count in pools for _ in range(count)]
    for node, offset, mean in zip(row, offsets, settled, strict=True):
        box = layers.boxes[node]
        box.y = mean + offset - box.height / 2


def _lines(layers: _Layers) -> list[list[Point]]:
    starts = _ports(layers, [(chain[0], chain[1], n) for n, chain in enumerate(layers.chains) if chain])
    ends = _ports(layers, [(chain[-1], chain[-2], n) for n, chain in enumerate(layers.chains) if chain])
    lines: list[list[Point]] = []
    for number, chain in enumerate(layers.chains):
        if not chain:
            lines.append([])
            continue
        first, last = layers.boxes[chain[0]], layers.boxes[chain[-1]]
        passing = [
            (x, box.middle) for box in (layers.boxes[node] for node in chain[1:-1]) for x in (box.x, box.x + box.width)
        ]
        lines.append([(first.x + first.width, starts[number]), *passing, (last.x, ends[number])])
    return lines


def _ports(layers: _Layers, ends: Iterable[tuple[str, str, int]]) -> dict[int, float]:
    """Where on its box's side each edge begins: side by side, in the order of where they lead, so that none cross there."""
    by_node: dict[str, list[tuple[float, int]]] = {}
    for node, toward, number in ends:
        by_node.setdefault(node, []).append((layers.boxes[toward].middle, number))
    ports: dict[int, float] = {}
    for node, leading in by_node.items():
        box = layers.boxes[node]
        for place_, (_, number) in enumerate(sorted(leading)):
            ports[number] = box.middle + (place_ - (len(leading) - 1) / 2) * _PORT_GAP
    return ports
