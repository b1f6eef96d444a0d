"""Graphs in GraphML: directions, weights, populations, and none of NetworkX."""

import sys
from pathlib import Path
from typing import Any

import networkx
import pytest
from made_networks import matrix, opened

from distsim.errors import InputError


def saved(graph: Any, path: Path) -> Path:
    networkx.write_graphml(graph, path / "g.graphml")
    return path / "g.graphml"


def test_a_graph_with_directions(tmp_path: Path) -> None:
    graph = networkx.MultiDiGraph()
    graph.add_node("c", population="KC")
    graph.add_edge("a", "b", weight=2.5)
    graph.add_edge("a", "b", weight=-1)
    graph.add_edge("b", "b")
    network = opened(saved(graph, tmp_path))
    assert network.names == ("c", "a", "b")
    assert network.population is None
    assert matrix(network).tolist() == [[0, 0, 0], [0, 0, 0], [0, 1.5, 1]]
    assert network.notes == (
        "1 edge without weight, each 1",
        "1 edge of pairs that came before, summed",
    )
    graph.add_nodes_from("ab", population="PN")
    assert opened(saved(graph, tmp_path)).population == ("KC", "PN", "PN")


def test_a_graph_without_directions(tmp_path: Path) -> None:
    graph = networkx.Graph()
    graph.add_weighted_edges_from([(1, 2, 3.0), (2, 2, 5.0)])
    network = opened(saved(graph, tmp_path), "bm", diagonal_to_bias=True)
    assert network.names == ("1", "2")
    assert matrix(network).tolist() == [[0, 3], [3, 0]]
    assert network.bias.tolist() == [0, 2.5]
    assert network.notes == ()


def test_bad_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(networkx.DiGraph([("a", "b", {"weight": "strong"})]), tmp_path)
    with pytest.raises(InputError, match="edge from a to b: weight 'strong' given; allowed: a fin"):
        opened(path)
    path = saved(networkx.DiGraph(), tmp_path)
    with pytest.raises(InputError, match=r"g\.graphml: 0 neurons given"):
        opened(path)
    path.write_text("<graphml")
    with pytest.raises(InputError, match=r"g\.graphml: not a graph: .*; allowed: GraphML"):
        opened(path)
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(InputError, match=r"with the extra networkx \(pip install 'distsim\[netw"):
        opened(path)
