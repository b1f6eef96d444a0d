"""MaxCut: energies are cuts, rudy's files, every bad line."""

from pathlib import Path

import numpy as np
import pytest
from made_networks import energy, lines, opened, states

from distsim.errors import InputError
from distsim.networks.checks import check_model

G1 = """800 19176
1 560 1
1 503 1
1 264 1
1 128 1
1 483 1
"""  # the head of the G-set's first instance


def test_energies_of_maxcut(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 8
    edges = [(i, j, int(rng.integers(-3, 4))) for i in range(n) for j in range(i) if (i + j) % 3]
    text = [f"{n} {len(edges)} ", *(f"{i + 1} {j + 1} {w}" for i, j, w in edges), ""]
    network = opened(lines(tmp_path / "g.txt", *text), model="bm")
    check_model(network, "bm", 0, n)
    x = states(n)
    y = 2 * x - 1
    ising = np.sum([w * y[:, i] * y[:, j] for i, j, w in edges], axis=0)
    cut = np.sum([w * (x[:, i] != x[:, j]) for i, j, w in edges], axis=0)
    total = sum(w for _, _, w in edges)
    np.testing.assert_allclose(energy(network, x), ising - total)
    np.testing.assert_allclose(energy(network, x), -2 * cut)


def test_the_head_of_g1(tmp_path: Path) -> None:
    (tmp_path / "G1.txt").write_text(G1.replace("19176", "5"))
    network = opened(tmp_path / "G1.txt", model="bm")
    assert network.neurons == 800
    assert np.flatnonzero(network.rows(0, 1)).tolist() == [127, 263, 482, 502, 559]
    assert network.rows(559, 560)[0, 0] == -4.0
    assert network.bias[0] == 10.0
    assert network.bias[559] == 2.0
    assert network.bias.sum() == 20.0
    (tmp_path / "G1.txt").write_text(G1)
    with pytest.raises(InputError, match=r"G1\.txt: 5 edges given; allowed: 19176, as the head"):
        opened(tmp_path / "G1.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: columns none given; allowed: source, .*; or the head n m of rudy"),
        (
            "3 1 1\n1 2 1",
            "line 1: columns 3, 1, 1 given; allowed: source, .*; or the head n m of r",
        ),
        ("3 -1", "line 1: columns 3, -1 given; allowed: source, .*; or the head n m of rudy"),
        ("0 0", "line 1: 0 neurons given; allowed: 1 to"),
        ("9999999999 0", "line 1: 9999999999 neurons given; allowed: 1 to"),
        ("3 2\n1 2 1", "1 edges given; allowed: 2, as the head says"),
        ("3 1\n1 2 1\n\n2 3 1", "line 4: an edge more than the 1 that the head announces"),
        ("3 1\n1 4 1", "line 2: an edge to the unknown neuron 4; allowed: 1 to 3"),
        ("3 1\n0 1 1", "line 2: an edge to the unknown neuron 0; allowed: 1 to 3"),
        ("3 1\n2 2 1", "line 2: an edge from 2 to itself; allowed: two neurons"),
        ("3 2\n1 2 1\n2 1 1", "line 3: the edge of line 2 again; allowed: each edge once"),
        ("3 1\n1", "line 2: 1 numbers given; allowed: i j w, or i j"),
        ("3 2\n1 2 5\n2 3", "line 3: 2 numbers given; allowed: i j w"),
        ("3 2\n1 2\n2 3 5", "line 3: 3 numbers given; allowed: i j"),
        ("3 1\n1 2.0 1", "line 2: '2.0' given; allowed: an integer"),
        ("3 1\n1 2 inf", "line 2: weight 'inf' given; allowed: a finite number"),
    ],
)
def test_a_bad_rudy_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text(text)
    with pytest.raises(InputError, match=rf"g\.txt.*{message}"):
        opened(tmp_path / "g.txt")


@pytest.mark.parametrize("name", ["g.txt", "G1", "toroidal.rud"])
def test_a_graph_without_weights_by_any_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("\n4 3\n1 2\n2 3\n\n4 2\n")
    network = opened(tmp_path / name, model="bm")
    assert network.maxcut
    assert network.notes == ("rudy without weights, each 1",)
    assert network.rows(1, 2).tolist() == [[-4, 0, -4, -4]]
    assert network.bias.tolist() == [2, 6, 2, 2]
    with pytest.raises(
        InputError, match=r"--columns: a,b given for network .*; allowed only for a"
    ):
        opened(tmp_path / name, columns="a,b")
