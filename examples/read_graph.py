"""An exported graph, read with networkx: which hand-over lost most, and who works for whom.

trajectory graph TRACE -o graph.json
python examples/read_graph.py graph.json
"""

import json
import sys
from pathlib import Path

import networkx


def main(path: str) -> None:
    if not path.endswith(".json"):
        sys.exit(
            f"{path} is no JSON: export with -o graph.json (networkx reads GraphML by read_graphml, GEXF by read_gexf)"
        )
    graph = networkx.node_link_graph(json.loads(Path(path).read_text()), edges="edges")
    lossy = [edge for edge in graph.edges(data=True) if edge[2].get("lost")]
    for source, target, said in sorted(lossy, key=lambda edge: -edge[2]["lost"]):
        print(f"{source} -> {target}: {said['arrived']} of {said['needed']} items arrived ({said['grade']})")
    for agent in graph:
        below = sorted(networkx.descendants(graph, agent))
        if below:
            print(f"{agent} has {', '.join(below)} below it, {graph.nodes[agent]['errors']} errors of its own")


if __name__ == "__main__":
    main(sys.argv[1])
