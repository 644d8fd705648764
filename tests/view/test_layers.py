"""Layers: every edge runs to a later layer or is known to lead back, and a node stands right behind the last before it."""

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from trajectory.view.layers import layers

nodes = st.sampled_from("abcdefgh")
graphs = st.lists(st.tuples(nodes, nodes), max_size=24)


@given(graphs)
def test_what_does_not_lead_back_is_layered_as_networkx_does(edges: list[tuple[str, str]]) -> None:
    found = layers(edges)
    assert set(found.of) == {node for edge in edges for node in edge}
    forward = nx.DiGraph(edges)
    forward.remove_edges_from(found.back)
    expected = {node: at for at, layer in enumerate(nx.topological_generations(forward)) for node in layer}
    assert found.of == expected


@given(graphs)
def test_an_edge_leads_back_only_where_there_is_a_circle(edges: list[tuple[str, str]]) -> None:
    graph = nx.DiGraph(edges)
    together = {node: number for number, part in enumerate(nx.strongly_connected_components(graph)) for node in part}
    assert all(together[source] == together[target] for source, target in layers(edges).back)


def test_a_ring_is_opened_where_it_closes() -> None:
    found = layers([("a", "b"), ("b", "c"), ("c", "a")])
    assert found.of == {"a": 0, "b": 1, "c": 2}
    assert found.back == {("c", "a")}


def test_a_long_chain_is_no_matter_of_recursion() -> None:
    chain = [(str(at), str(at + 1)) for at in range(5000)]
    assert layers(chain).of["5000"] == 5000
