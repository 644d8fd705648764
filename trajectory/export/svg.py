"""Graphs as a drawing: SVG that stands alone, for documents and issues.

Invariant: built as a tree of elements, so agents' text is text and never markup; no script, no link, nothing loaded from
elsewhere. It brings its own ground and follows the reader's light or dark setting. Called through
`trajectory.export.contract`; places are from `trajectory.export.layers`.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import networkx

from trajectory.errors import ConfigError
from trajectory.export.contract import DELEGATIONS, GRAPHS, PROVENANCE, SPANS, Subject
from trajectory.export.escape import label
from trajectory.export.graphs import graph_of
from trajectory.export.layers import Box, Placed, Point, place
from trajectory.export.wording import edge_label, is_failed, node_lines, title_of
from trajectory.view.text import cells

MAX_NODES = 3000
_NAMESPACE = "http://www.w3.org/2000/svg"
_MARGIN, _HEAD, _FOOT = 28.0, 44.0, 44.0
_LINE, _PAD = 17.0, 14.0
_WIDE_FAN = 6  # so many edges from one box lie together in the middle: their labels stand where they part
_PILL = 15.0  # the height of a label's ground
# How far along its line a label may move for want of room, the nearest first.
_ASIDE = tuple(step * side for step in (0.07, 0.14, 0.21, 0.28, 0.35) for side in (-1, 1))
_LABEL_CELL, _NAME_CELL, _TEXT_CELL = 6.2, 8.3, 6.9  # pixels per character cell, on the wide side of common fonts

_STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1c2128; }
.ground { fill: #ffffff; } .title { font-size: 15px; font-weight: 600; } .box { fill: #f6f8fa; stroke: #8c959f; }
.name { font-size: 13.5px; font-weight: 600; } .said { font-size: 11.5px; fill: #57606a; }
.edge { fill: none; stroke: #6e7781; stroke-width: 1.7; } .tip { fill: #6e7781; } .mark { font-size: 10.5px; fill: #57606a; }
.pill { fill: #ffffff; fill-opacity: 0.88; } .transfer, .link { stroke-dasharray: 7 4; } .declared { stroke-width: 1.4; }
.inferred { stroke-width: 1.1; stroke-opacity: 0.75; } .failed { stroke: #cf222e; stroke-width: 1.8; }
.hot { stroke: #cf222e; stroke-opacity: 1; } .tip-hot { fill: #cf222e; } .mark-hot { fill: #a40e26; }
.bar { fill: #8c959f; } .bar-agent { fill: #0969da; } .bar-model { fill: #8250df; } .bar-tool { fill: #1a7f37; }
.bar-retrieval { fill: #1b7c83; } .bar-delegation { fill: #bf8700; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .ground, .pill { fill: #0d1117; } .box { fill: #161b22; stroke: #6e7681; }
.said, .mark { fill: #9aa4af; } .edge { stroke: #8b949e; } .tip { fill: #8b949e; } .failed, .hot { stroke: #ff7b72; }
.tip-hot, .mark-hot { fill: #ff7b72; } .bar-agent { fill: #58a6ff; } .bar-model { fill: #bc8cff; }
.bar-tool { fill: #3fb950; } .bar-retrieval { fill: #39c5cf; } .bar-delegation { fill: #d29922; } }
"""


class Svg:
    """SVG 1.1, left to right. Solid is a call, dashed a transfer, thin an inferred edge, red an error's path."""

    suffix = ".svg"
    of = GRAPHS

    def write(self, subject: Subject, out: BinaryIO) -> None:
        """Draws the graph. Raises ConfigError where it is too large to be looked at."""
        graph = graph_of(subject)
        if len(graph) > MAX_NODES:
            known = "choose .graphml, .gexf, .dot or .json"
            raise ConfigError(f"{len(graph)} nodes are too many to draw, the most are {MAX_NODES}: {known}", "output")
        root = draw(graph, title_of(subject))
        ElementTree.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)


def draw(graph: Any, title: str) -> Element:
    """The `svg` element of a graph of `trajectory.graph.network`."""
    names = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    nodes = {names[node]: (node_lines(node, data), data) for node, data in graph.nodes(data=True)}
    edges = [
        (names[source], names[target], data) for source, target, data in graph.edges(data=True) if source != target
    ]
    for node, _, data in networkx.selfloop_edges(graph, data=True):
        nodes[names[node]][0].append(f"↻ {edge_label(data)}")
    fans = {source for source, count in Counter(source for source, _, _ in edges).items() if count >= _WIDE_FAN}
    placed = place(
        {name: _size(lines) for name, (lines, _) in nodes.items()},
        [(source, target) for source, target, _ in edges],
        [cells(edge_label(data)) * _LABEL_CELL * (1.5 if source in fans else 1) + 74 for source, _, data in edges],
    )
    width = max(placed.width, cells(title) * 8.6, 420.0) + 2 * _MARGIN
    root = _canvas(width, placed.height + _HEAD + _FOOT + 2 * _MARGIN, title)
    body = SubElement(root, "g", transform=f"translate({_MARGIN} {_MARGIN + _HEAD})")
    for number, (_, _, data) in enumerate(edges):
        _edge(body, placed, number, data)
    for name, (lines, data) in nodes.items():
        _node(body, placed.boxes[name], lines, data)
    taken: _Taken = {}
    for number, (source, _, data) in enumerate(edges):
        _edge_mark(body, placed.lines[number], data, 0.7 if source in fans else 0.5, taken)
    _legend(root, placed.height + _HEAD + _MARGIN + 34, str(graph.graph.get("of", "")))
    return root


def _size(lines: Sequence[str]) -> tuple[float, float]:
    widest = max([cells(lines[0]) * _NAME_CELL, *(cells(line) * _TEXT_CELL for line in lines[1:])])
    return max(110.0, widest + 2 * _PAD), _LINE * len(lines) + 2 * _PAD - 6


def _canvas(width: float, height: float, title: str) -> Element:
    root = Element(
        "svg",
        xmlns=_NAMESPACE,
        viewBox=f"0 0 {_px(width)} {_px(height)}",
        width=_px(width),
        height=_px(height),
        role="img",
    )
    SubElement(root, "title").text = title
    SubElement(root, "style").text = _STYLE
    marks = SubElement(root, "defs")
    for name in ("tip", "tip-hot"):
        marker = SubElement(
            marks, "marker", id=name, viewBox="0 0 8 8", refX="7.4", refY="4", markerWidth="8", markerHeight="8",
            markerUnits="userSpaceOnUse", orient="auto-start-reverse",
        )  # fmt: skip
        SubElement(marker, "path", {"d": "M0 0.6 L8 4 L0 7.4 z", "class": name})
    SubElement(root, "rect", {"class": "ground", "width": _px(width), "height": _px(height), "rx": "10"})
    _text(root, _MARGIN, _MARGIN + 10, title, "title")
    return root


def _node(body: Element, box: Box, lines: Sequence[str], data: dict[str, Any]) -> None:
    group = SubElement(body, "g")
    SubElement(group, "title").text = label(str(data.get("label", "")) or lines[0], 400)
    size = {"x": _px(box.x), "y": _px(box.y), "height": _px(box.height), "rx": "8"}
    SubElement(group, "rect", {**size, "width": _px(box.width), "class": "box failed" if is_failed(data) else "box"})
    kind = str(data.get("kind", "agent"))
    bar = {"x": _px(box.x + 5), "y": _px(box.y + 7), "width": "3.5", "height": _px(box.height - 14), "rx": "1.7"}
    SubElement(group, "rect", {**bar, "class": f"bar bar-{kind}" if kind.isalpha() and kind.isascii() else "bar"})
    for number, line in enumerate(lines):
        y = box.y + _PAD + 8 + _LINE * number
        _text(group, box.x + _PAD + 2, y, line, "said" if number else "name")


def _edge(body: Element, placed: Placed, number: int, data: dict[str, Any]) -> None:
    hot = bool(data.get("on_error_path"))
    tip = f"url(#{'tip-hot' if hot else 'tip'})"
    end = "marker-start" if number in placed.backward else "marker-end"
    classes = " ".join(["edge", *_classes(data), *(["hot"] if hot else [])])
    SubElement(body, "path", {"class": classes, "d": _curve(placed.lines[number]), end: tip})


def _classes(data: dict[str, Any]) -> list[str]:
    """Ours only: an edge's words may come from elsewhere, and a class is markup."""
    said = {str(data.get("mode", "")), str(data.get("grade", ""))}
    link = ["link"] if data.get("relation", "child") != "child" and "value" not in data else []
    return [*sorted(said & {"transfer", "declared", "inferred"}), *link]


# By gap and height: labels' left and right ends, and middles.
_Taken = dict[tuple[float, int], list[tuple[float, float, float]]]


def _edge_mark(body: Element, points: Sequence[Point], data: dict[str, Any], at: float, taken: _Taken) -> None:
    text = edge_label(data)
    if not text:
        return
    width = cells(text) * _LABEL_CELL + 8
    x, y = _free_spot(points, width, at, taken)
    pill = {
        "x": _px(x - width / 2),
        "y": _px(y - 8),
        "width": _px(width),
        "height": _px(_PILL),
        "rx": "4",
        "class": "pill",
    }
    SubElement(body, "rect", pill)
    mark = _text(body, x, y + 3.4, text, "mark mark-hot" if data.get("on_error_path") else "mark")
    mark.set("text-anchor", "middle")


def _free_spot(points: Sequence[Point], width: float, at: float, taken: _Taken) -> Point:
    """Where on its line a label stands: as near to `at` as the labels before it leave room. It is taken from then on."""
    begin, end = points[-2][0], points[-1][0]
    aside = [_along(points[-2], points[-1], at + t) for t in _ASIDE]
    inside = [(x, y) for x, y in aside if begin < x - width / 2 and x + width / 2 < end]
    spots = [_along(points[-2], points[-1], at), *inside]

    def is_free(spot: Point) -> bool:
        left, right, row = spot[0] - width / 2, spot[0] + width / 2, int(spot[1] // _PILL)
        near = (other for r in (row - 1, row, row + 1) for other in taken.get((end, r), ()))
        return not any(a < right and left < b and abs(y - spot[1]) < _PILL for a, b, y in near)

    x, y = next(filter(is_free, spots), spots[0])
    taken.setdefault((end, int(y // _PILL)), []).append((x - width / 2, x + width / 2, y))
    return x, y


def _legend(root: Element, y: float, of: str) -> None:
    told = _LEGENDS.get(of, _LEGENDS[DELEGATIONS])
    x = _MARGIN
    for text, kind in told:
        drawn = f"M{_px(x)} {_px(y)} H{_px(x + 34)}"
        tip = f"url(#{'tip-hot' if kind == 'hot' else 'tip'})"
        SubElement(root, "path", {"class": f"edge {kind}".strip(), "d": drawn, "marker-end": tip})
        _text(root, x + 41, y + 3.6, text, "mark")
        x += 41 + len(text) * _LABEL_CELL + 22


_ON_PATH = ("on an error's path", "hot")
_LEGENDS = {
    DELEGATIONS: [("call", ""), ("transfer", "transfer"), ("inferred", "inferred"), _ON_PATH],
    SPANS: [("child", ""), ("link", "link"), _ON_PATH],
    PROVENANCE: [("said by the emitter", ""), ("a value went on, inferred", "inferred"), _ON_PATH],
}


def _curve(points: Sequence[Point]) -> str:
    said = [f"M{_px(points[0][0])} {_px(points[0][1])}"]
    for number, ((x0, y0), (x1, y1)) in enumerate(itertools.pairwise(points)):
        middle = (x0 + x1) / 2
        is_gap = number % 2 == 0
        said.append(
            f"C{_px(middle)} {_px(y0)} {_px(middle)} {_px(y1)} {_px(x1)} {_px(y1)}" if is_gap else f"H{_px(x1)}"
        )
    return " ".join(said)


def _along(start: Point, end: Point, t: float) -> Point:
    """A point on a gap's curve, as `_curve` draws it; `t` is 0 at the left and 1 at the right."""
    middle = (start[0] + end[0]) / 2
    x = (1 - t) ** 3 * start[0] + 3 * (1 - t) * t * middle + t**3 * end[0]
    return x, start[1] + (end[1] - start[1]) * t * t * (3 - 2 * t)


def _text(parent: Element, x: float, y: float, text: str, kind: str) -> Element:
    element = SubElement(parent, "text", {"x": _px(x), "y": _px(y), "class": kind})
    element.text = text
    return element


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


SVG = Svg()
