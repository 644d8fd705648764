"""In which column each node of a graph stands when all edges are to run one way, and which edges cannot.

Invariant: every edge is either in `back`, or leads to a later layer; a node stands right behind the last of those before it. The
same edges in the same order give the same layers. Called by whoever draws a graph; pure, linear in nodes and edges.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

Edge = tuple[str, str]


class Layers(NamedTuple):
    """The layer of each node, from 0, nodes in the order in which edges name them; and the edges that close a circle."""

    of: dict[str, int]
    back: set[Edge]


def layers(edges: Iterable[Edge]) -> Layers:
    """Layers for edges. A circle is opened where it is closed last: at the edge that leads back to where one came from."""
    after: dict[str, dict[str, None]] = {}
    for source, target in edges:
        after.setdefault(source, {})[target] = None
        after.setdefault(target, {})
    back: set[Edge] = set()
    done: dict[str, None] = {}  # each node behind all that come after it
    for root in [*_roots(after), *after]:
        _walk(root, after, back, done)
    of = dict.fromkeys(after, 0)
    for node in reversed(done):
        for target in after[node]:
            if (node, target) not in back:
                of[target] = max(of[target], of[node] + 1)
    return Layers(of, back)


def _roots(after: dict[str, dict[str, None]]) -> list[str]:
    given = {target for targets in after.values() for target in targets}
    return [node for node in after if node not in given]


def _walk(root: str, after: dict[str, dict[str, None]], back: set[Edge], done: dict[str, None]) -> None:
    """Depth first from a node that was not seen before; without recursion, because chains may be long."""
    if root in done:
        return
    open_ = {root}
    pending: list[tuple[str, Iterator[str]]] = [(root, iter(after[root]))]
    while pending:
        node, rest = pending[-1]
        target = next(rest, None)
        if target is None:
            pending.pop()
            open_.discard(node)
            done[node] = None
        elif target in open_:
            back.add((node, target))
        elif target not in done:
            open_.add(target)
            pending.append((target, iter(after[target])))
