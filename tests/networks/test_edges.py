"""Edge lists: names, numbers, every bad row."""

from pathlib import Path

import numpy as np
import pytest
from made_networks import lines, matrix, opened

from distsim.errors import InputError
from distsim.networks.checks import check_model


def test_edges_between_names_in_order_of_first_appearance(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "B,A,2.5", "", "A,C,-1", "C,C,3")
    network = opened(path)
    assert network.names == ("B", "A", "C")
    assert matrix(network).tolist() == [[0, 0, 0], [2.5, 0, 0], [0, -1, 3]]


def test_edges_between_numbers(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "3,1,2", "0,3,-1")
    network = opened(path)
    assert network.names is None
    assert network.neurons == 4
    assert np.argwhere(matrix(network)).tolist() == [[1, 3], [3, 0]]
    assert opened(path, neurons=9).neurons == 9


def test_edges_as_spreadsheets_write_them(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes(b'\xef\xbb\xbfweight, source ,target\r\n 2,"A, left",B\r\n')
    network = opened(path, neurons=3)
    assert network.names == ("A, left", "B", "2")
    assert network.rows(1, 2).tolist() == [[2, 0, 0]]


def test_a_network_without_edges_needs_a_number_of_neurons(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight")
    assert opened(path, neurons=2).rows(0, 2).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(InputError, match=r"w\.csv: 0 neurons given; allowed: 1 to"):
        opened(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,b,1", "b,a,1", "a,b,2"], "line 4: the edge of line 2 again; allowed: each edge once"),
        (["1,2,1", "01,2,1"], "line 3: the edge of line 2 again"),
        (["a,b,1", "b,a,x"], "line 3: weight 'x' given; allowed: a finite number"),
        (["a,b,"], "line 2: weight '' given; allowed: a finite number"),
        (["a,b,nan"], "line 2: weight 'nan' given; allowed: a finite number"),
        (["a,b,1e999"], "line 2: weight '1e999' given; allowed: a finite number"),
        (["", "a,b"], "line 3: 2 fields given; allowed: source, target, weight"),
        (["a,b,1,2"], "line 2: 4 fields given; allowed: source, target, weight"),
        ([" ,b,1"], "line 2: a neuron without a name"),
        (["0,4194304,1"], "line 2: an edge to the unknown neuron 4194304; allowed: 0 to 4194303"),
        (["0,1,1", "1" + 5000 * "0" + ",1,1"], "line 3: an edge to the unknown neuron 1000"),
        (['"a,b,1'], "not comma-separated values: unexpected end of data"),
    ],
)
def test_a_bad_row_of_an_edge_list(rows: list[str], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", *rows)
    with pytest.raises(InputError, match=rf"w\.csv.*{message}"):
        opened(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,1,1", "4,5,1"], "line 3: an edge to the unknown neuron 5; allowed: 0 to 4"),
        (["5,0,1"], "line 2: an edge to the unknown neuron 5; allowed: 0 to 4"),
        (["a,b,1", "c,d,1", "e,f,1"], "line 4: an edge to the unknown neuron f; allowed: 5 differ"),
    ],
)
def test_an_edge_to_an_unknown_neuron(rows: list[str], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", *rows)
    with pytest.raises(InputError, match=message):
        opened(path, neurons=5)


@pytest.mark.parametrize("head", ["", "source,target", "source,target,kind,synapses", "0,1,1"])
def test_a_csv_without_the_columns(head: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", head, "1,2,3")
    with pytest.raises(InputError, match=r"line 1: columns .* given; allowed: source, target, wei"):
        opened(path)


def test_a_csv_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_bytes(b"source,target,weight\n\xff,1,1\n")
    with pytest.raises(InputError, match=r"w\.csv: not UTF-8 text"):
        opened(tmp_path / "w.csv")


def test_a_pair_of_named_neurons_is_refused_by_name(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "AVAL,AVAR,2")
    with pytest.raises(InputError, match=r"W\[0, 1\] = 0.0, W\[1, 0\] = 2.0 \(AVAL, AVAR\) given"):
        check_model(opened(path, model="bm"), "bm", 0, 2)


def test_a_file_of_something_else_is_not_shown_at_length(tmp_path: Path) -> None:
    for head, row in ((5000 * "x", "1"), ("source,target,weight", "a,b," + 5000 * "y")):
        with pytest.raises(InputError) as caught:
            opened(lines(tmp_path / "w.csv", head, row))
        assert len(str(caught.value)) < 200 + len(str(tmp_path))
