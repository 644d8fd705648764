"""Graphs are read back by the tools that they are for, whatever the agents are called."""

import io
import itertools
import json
import re
import shutil
import subprocess
from typing import Any
from xml.etree import ElementTree

import networkx
import pydot
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.build import Scene, trip
from tests.export.strategies import BREAKERS, calm, wild
from trajectory.errors import ConfigError
from trajectory.export.contract import Exporter, Subject
from trajectory.export.dot import DOT
from trajectory.export.escape import xml_text
from trajectory.export.graphs import GEXF, GRAPHML, NODE_LINK, distinct, graph_of, portable
from trajectory.export.mermaid import MMD
from trajectory.export.svg import MAX_NODES, SVG, draw

GRAPHS = ("delegations", "spans", "provenance")


def written(exporter: Exporter, subject: Subject) -> bytes:
    out = io.BytesIO()
    exporter.write(subject, out)
    return out.getvalue()


def hostile(names: list[str]) -> Scene:
    """A team whose members are called so, each with a tool of its name, in a chain and back."""
    scene = Scene()
    span = scene.span("agent", "root", agent="root")
    for name in names:
        _, span = scene.delegate(span, name, sender=name, mode=name or "call", task=name, status="error")
        scene.span("tool", name, span, attributes={"gen_ai.tool.name": name}, message=name)
        scene.found("cascade", span, name, path=[span], value=name, evidence=name)
    return scene


def nodes_and_edges(graph: Any) -> tuple[dict[str, Any], list[Any]]:
    nodes = {node: dict(data) for node, data in graph.nodes(data=True)}
    edges = [(u, v, {k: w for k, w in data.items() if k != "id"}) for u, v, data in graph.edges(data=True)]
    return nodes, sorted(edges, key=repr)


def read_gexf(body: bytes) -> Any:
    return networkx.read_gexf(io.BytesIO(body))


def read_graphml(body: bytes) -> Any:
    return networkx.read_graphml(io.BytesIO(body))


@pytest.mark.parametrize("of", GRAPHS)
@pytest.mark.parametrize(("exporter", "read"), [(GRAPHML, read_graphml), (GEXF, read_gexf)], ids=["graphml", "gexf"])
def test_networkx_reads_back_what_was_written(of: str, exporter: Exporter, read: Any) -> None:
    subject = trip().subject(of)
    assert nodes_and_edges(read(written(exporter, subject))) == nodes_and_edges(portable(graph_of(subject)))


def test_edges_of_delegations_carry_the_figures_that_are_known_and_no_others() -> None:
    for _, _, edge in graph_of(trip().subject("delegations")).edges(data=True):
        assert {"needed", "arrived", "took_ns"} <= edge.keys()
        assert edge["arrived"] <= edge["needed"] and "cost_usd" not in edge
    assert all("needed" not in edge for _, _, edge in graph_of(hostile([""]).subject("delegations")).edges(data=True))


@pytest.mark.parametrize("of", GRAPHS)
def test_node_link_json_is_networkx_own(of: str) -> None:
    subject = trip().subject(of)
    read = networkx.node_link_graph(json.loads(written(NODE_LINK, subject)), edges="edges")
    assert nodes_and_edges(read) == nodes_and_edges(graph_of(subject))
    assert read.is_directed() and read.graph["of"] == of


@calm
@given(st.lists(wild, min_size=1, max_size=4), st.sampled_from(GRAPHS))
def test_hostile_names_survive_as_data_in_xml(names: list[str], of: str) -> None:
    subject = hostile(names).subject(of)
    wanted = portable(graph_of(subject))
    for exporter, read in ((GRAPHML, read_graphml), (GEXF, read_gexf)):
        graph = read(written(exporter, subject))
        assert set(graph.nodes) == set(wanted.nodes)
        assert graph.number_of_edges() == wanted.number_of_edges()
        for node, data in wanted.nodes(data=True):
            assert graph.nodes[node].get("label", "") == data["label"]


def test_parallel_edges_have_ids_of_their_own() -> None:
    scene = Scene()
    root = scene.span("agent", "a", agent="a")
    for target, mode in (("b", "call"), ("b", "transfer"), ("c", "call")):
        scene.delegate(root, target, sender="a", mode=mode)
    ids = re.findall(rb'<edge[^>]* id="(\w+)"', written(GRAPHML, scene.subject("delegations")))
    assert ids == [b"e0", b"e1", b"e2"]


def test_names_that_become_alike_stay_apart() -> None:
    assert distinct(["a\x00", "a\u2400", ""], xml_text) == {
        "a\x00": "a\u2400",
        "a\u2400": "a\u2400 (2)",
        "": "(no name)",
    }


@calm
@given(st.lists(wild, min_size=1, max_size=4), st.sampled_from(GRAPHS))
def test_dot_parses_and_holds_no_statement_of_an_agent(names: list[str], of: str) -> None:
    subject = hostile(names).subject(of)
    graph = graph_of(subject)
    (parsed,) = pydot.graph_from_dot_data(written(DOT, subject).decode()) or [None]
    assert parsed is not None and not parsed.get_subgraphs()
    nodes = [node.get_name() for node in parsed.get_nodes() if node.get_name() not in ("node", "edge", '"\\n"')]
    assert nodes == [f"n{number}" for number in range(len(graph))]
    assert len(parsed.get_edges()) == graph.number_of_edges()


@pytest.mark.parametrize("of", ["delegations", "spans"])
def test_graphviz_draws_every_name_as_it_is_written(of: str) -> None:
    body = written(DOT, hostile(['a"b\\N &amp; <i>', "\\", *BREAKERS]).subject(of))
    dot = shutil.which("dot")
    if dot is None:  # pydot's parser has seen this text in the test above
        assert body.startswith(b"digraph trajectory {")
        return
    drawn = subprocess.run([dot, "-Tsvg"], input=body, capture_output=True, check=True, timeout=60)
    assert drawn.stderr.count(b"rror") == 0
    texts = [
        "".join(text.itertext())
        for text in ElementTree.fromstring(drawn.stdout).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert 'a"b\\N &amp; <i>' in texts and "\\" in texts


@calm
@given(st.lists(wild, min_size=1, max_size=4), st.sampled_from(GRAPHS))
def test_mermaid_has_only_our_own_lines(names: list[str], of: str) -> None:
    subject = hostile(names).subject(of)
    lines = written(MMD, subject).decode().split("\n")
    label = r'"(?:[^\x00-\x7f]|[A-Za-z0-9 ,]|#\d{1,3};|<br>)*"'
    node = rf"  n\d+(?:\({label}\)|\[{label}\]|\(\[{label}\]\)|\{{\{{{label}\}}\}})"
    edge = rf"  n\d+ (?:-->|-\.->)(?:\|{label}\|)? n\d+"
    style = r"  classDef failed [\w:,#-]+|  class [n\d,]+ failed|  linkStyle [\d,]+ stroke:#c62f2f"
    assert lines[0] == "flowchart LR" and lines[-1] == ""
    for line in lines[1:-1]:
        assert re.fullmatch(f"{node}|{edge}|{style}", line), line
    graph = graph_of(subject)
    assert sum(bool(re.fullmatch(node, line)) for line in lines) == len(graph)
    assert sum(bool(re.fullmatch(edge, line)) for line in lines) == graph.number_of_edges()


SVG_TAGS = {"svg", "g", "title", "style", "defs", "marker", "path", "rect", "text"}


@calm
@given(st.lists(wild, min_size=1, max_size=4), st.sampled_from(GRAPHS))
def test_svg_is_well_formed_and_has_only_our_own_elements(names: list[str], of: str) -> None:
    subject = hostile(names).subject(of)
    root = ElementTree.fromstring(written(SVG, subject))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= SVG_TAGS
    for element in root.iter():
        assert not any(name.lower().startswith("on") or "href" in name for name in element.attrib)
        assert re.fullmatch(r"[a-z -]*", element.get("class", ""))


def test_svg_names_every_agent_with_its_counts_and_every_edge_with_its_grade() -> None:
    root = ElementTree.fromstring(written(SVG, trip().subject("delegations")))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"coordinator", "researcher", "booker", "1 error", "call, observed", "transfer, declared"} <= set(texts)
    assert "100 in · 20 out tokens" in texts
    paths = [path.get("class", "") for path in root.iter("{http://www.w3.org/2000/svg}path")]
    assert "edge hot" in paths and "edge declared transfer hot" in paths


@pytest.mark.parametrize("team", ["ab", "abc", "abcde", "hub"])
def test_labels_of_agents_that_ask_each_other_stand_apart(team: str) -> None:
    spokes = [("hub", f"spoke {number}") for number in range(20)]
    asked = spokes if team == "hub" else list(itertools.combinations(team, 2))
    graph = networkx.DiGraph([*asked, *((target, source) for source, target in asked)])
    networkx.set_edge_attributes(
        graph, {edge: {"mode": "call", "count": 3, "grade": "observed"} for edge in graph.edges}
    )
    grounds = [rect for rect in draw(graph, "both ways").iter("rect") if rect.get("class") == "pill"]
    assert len(grounds) == 2 * len(asked)
    for one, other in itertools.combinations(grounds, 2):
        x, y = (abs(float(one.attrib[at]) - float(other.attrib[at])) for at in "xy")
        assert x >= float(one.attrib["width"]) or y >= float(one.attrib["height"])


def test_a_wrong_answer_that_goes_back_marks_the_edge_that_its_task_came_by() -> None:
    scene = Scene()
    root = scene.span("agent", "boss", agent="boss", end=9)
    _, aide = scene.delegate(root, "aide", sender="boss")
    scene.delegate(root, "other", sender="boss", at=3, end=4)
    tool = scene.span("tool", "t", aide, at=1.2, end=1.8)
    answer = scene.span("model", "chat", root, at=5, end=6)
    scene.found("cascade", answer, "went back", path=[tool, answer])
    edges = graph_of(scene.subject("delegations")).edges(data="on_error_path")
    assert sorted(edges) == [("boss", "aide", True), ("boss", "other", False)]


def test_a_graph_that_nobody_could_look_at_is_not_drawn() -> None:
    scene = Scene()
    for _ in range(MAX_NODES + 1):
        scene.span("other", "x")
    with pytest.raises(ConfigError, match="3001 nodes are too many to draw, the most are 3000"):
        written(SVG, scene.subject("spans"))


@pytest.mark.parametrize("exporter", [GRAPHML, GEXF, NODE_LINK, DOT, MMD, SVG], ids=lambda e: e.suffix)
@pytest.mark.parametrize("of", GRAPHS)
def test_a_trace_without_a_single_span_is_an_empty_graph(exporter: Exporter, of: str) -> None:
    assert written(exporter, Scene().subject(of))


@pytest.mark.parametrize("exporter", [GRAPHML, GEXF, NODE_LINK, DOT, MMD, SVG], ids=lambda e: e.suffix)
def test_delegations_from_and_to_nobody_are_drawn_too(exporter: Exporter) -> None:
    scene = Scene()
    scene.span("delegation", "to x", attributes={"trajectory.delegation.target": "x"})
    assert b"unknown" in written(exporter, scene.subject("delegations"))


@pytest.mark.parametrize("exporter", [DOT, MMD, SVG])
def test_a_kind_that_nobody_knows_is_drawn_without_a_control_code(exporter: Exporter) -> None:
    scene = Scene()
    scene.span("agent\x1b[2J\x9b31m\u202e", "planner")
    drawn = written(exporter, scene.subject("spans")).decode()
    assert not {"\x1b", "\x9b", "\u202e"} & set(drawn)


def test_large_counts_are_short_and_a_span_that_was_not_seen_says_so() -> None:
    scene = Scene()
    root = scene.span("agent", "boss", b"\xaa" * 8, agent="boss")
    used = {"gen_ai.usage.input_tokens": 1_234, "gen_ai.usage.output_tokens": 5_600_000}
    scene.span("model", "chat", root, attributes=used)
    root_of = ElementTree.fromstring(written(SVG, scene.subject("delegations")))
    texts = ["".join(text.itertext()) for text in root_of.iter("{http://www.w3.org/2000/svg}text")]
    assert "1.2k in · 5.6M out tokens" in texts
    assert b"not seen" in written(SVG, scene.subject("spans"))


def test_where_a_value_went_from_a_cascades_root_to_its_first_step_that_is_the_edge() -> None:
    scene = Scene()
    root = scene.span("agent", "boss", agent="boss", end=9)
    ids = [scene.span("tool", name, root, at=at, end=at + 0.5) for at, name in enumerate(("first", "second", "third"))]
    scene.link(ids[1], "used_value_of", ids[0])
    scene.found("cascade", ids[1], "went on", path=ids[:2], root_span_id=ids[0])
    scene.found("cascade", ids[2], "went on too", path=[ids[1], ids[2]], root_span_id=ids[1])
    edges = graph_of(scene.subject("provenance")).edges(data="relation")
    names = {span_id.hex(): name for span_id, name in zip(ids, "abc", strict=True)}
    assert {(names[u], names[v], said) for u, v, said in edges} == {("a", "b", "used_value_of"), ("b", "c", "caused")}
