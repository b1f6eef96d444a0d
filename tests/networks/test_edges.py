"""Tables of edges: what the field calls columns and neurons, signs, repeats, every bad row."""

import itertools
from importlib import resources
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from made_networks import lines, matrix, opened

from distsim.errors import InputError
from distsim.networks import rows, tables
from distsim.networks.celegans import GABA
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
        (["1,2,1", "01,2,1"], "line 3: neuron 01 given, before as 1; allowed: one name a neuron"),
        (["1,2,1", "5,3,1", "1,2.0,1"], r"line 4: neuron 2\.0 given, before as 2; allowed: one"),
        (["a,b,1", "b,a,x"], "line 3: weight 'x' given; allowed: a finite number"),
        (["a,b,"], "line 2: weight '' given; allowed: a finite number"),
        (["a,b,nan"], "line 2: weight 'nan' given; allowed: a finite number"),
        (["a,b,1e999"], "line 2: weight '1e999' given; allowed: a finite number"),
        (["", "a,b"], "line 3: 2 fields given; allowed: source, target, weight"),
        (["a,b,1,2"], "line 2: 4 fields given; allowed: source, target, weight"),
        ([" ,b,1"], "line 2: a neuron without a name"),
        (["a,b,1", '"a,b,1', "c,d,1"], "line 3: not a table: unexpected end of data"),
        (["a,b,1", "a,b,1" + 140_000 * "0"], "line 3: not a table: field larger than field limit"),
    ],
)
def test_a_bad_row_of_an_edge_list(rows: list[str], message: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", *rows)
    with pytest.raises(InputError, match=rf"w\.csv.*{message}"):
        opened(path)


def test_neurons_beyond_those_of_which_there_are(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "a,b,1", "c,d,1", "e,f,1")
    with pytest.raises(
        InputError, match=r"line 4: .* unknown neuron f; allowed: 5 different names"
    ):
        opened(path, neurons=5)


@pytest.mark.parametrize("head", ["", "source,weight", "source,goal,weight", "0,1,1"])
def test_a_table_without_the_columns(head: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", head, "1,2,3")
    with pytest.raises(InputError, match=r"line 1: columns .* given; allowed: source, target, wei"):
        opened(path)


# -------------------------------------------------------------------------- as the field has them
DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("file", "neurons", "pairs", "total", "first"),
    [  # counted by pandas
        ("celegans_cook2019_chemical.csv.gz", 419, 4681, 27019.0, ("I1L", "I2L", "I3")),
        ("celegans_cook2019_electrical.csv.gz", 443, 2698, 12683.0, ("I1L", "I2L", "M3L")),
        (
            "drosophila_larva_mushroom_body_left_eichler2017.csv.gz",
            *(209, 7425, 25322.0, ("K0", "K1", "K2")),
        ),
    ],
)
def test_connectomes(
    file: str, neurons: int, pairs: int, total: float, first: tuple[str, ...]
) -> None:
    network = opened(DATA / file)
    w = matrix(network)
    assert [network.neurons, np.count_nonzero(w), float(w.sum())] == [neurons, pairs, total]
    assert network.names is not None
    assert network.names[:3] == first
    assert len(set(network.names)) == neurons
    assert network.notes == ()


def test_the_nematode_by_its_table() -> None:
    """Its rows are of kinds of synapses; what is built in has signs besides."""
    table = opened(resources.files("distsim.networks").joinpath("data/celegans.csv"))
    assert table.notes == (
        "columns source, target, synapses",
        "232 rows of pairs that came before, summed",
    )
    assert table.neurons == 281
    assert np.count_nonzero(matrix(table)) == 3108
    assert matrix(table).sum() == 9581
    built_in = opened("celegans")
    assert table.names is not None
    assert built_in.names is not None
    order = [table.names.index(name) for name in built_in.names]
    excitatory = [k for k, name in enumerate(built_in.names) if name not in GABA]
    w = matrix(table)[np.ix_(order, order)]
    np.testing.assert_array_equal(w[:, excitatory], matrix(built_in)[:, excitatory])


@pytest.mark.parametrize(
    "text",
    [
        "bodyId_pre,bodyId_post,roi,weight\n1,2,AL,3\n2,1,LH,-1\n",  # neuPrint
        "pre_root_id,post_root_id,neuropil,syn_count,nt_type\n1,2,ME,3,ACH\n2,1,ME,-1,ACH\n",
        "Origin,Target,Type,Number of Connections,Neurotransmitter\n1,2,Send,3,x\n2,1,Send,-1,y\n",
        "\ufeffpre;post;count\r\n1;2;3\r\n2;1;-1\r\n",
        "From\tTo\tSynapses\n1\t2\t3\n\n2\t1\t-1\n",
        '"pre" "post"  "weight"\n 1   2   3.0 \n"2" 1 -1',
        "# source target weight\n1 2 3e0\n2 1 -1",  # numpy.savetxt
        "weight, source ,target\n 3, 1 , 2 \n -1, 2,1\n",
        "pre_pt_root_id,post_pt_root_id\n1,2\n1,2\n1,2\n",  # CAVE: a row a synapse
    ],
)
@pytest.mark.parametrize("name", ["w.csv", "w.tsv", "edges.txt", "edges"])
def test_heads_and_delimiters(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    network = opened(tmp_path / name)
    assert network.rows(2, 3).tolist() == [[0, 3, 0]]
    assert network.rows(1, 2).tolist() == [[0, 0, -1 if "-1" in text else 0]]
    assert any(note.startswith("ids from 1: neuron 0 has none") for note in network.notes)


def test_columns_that_are_asked_for(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "a,b,weight,count", "x,y,5,7", "y,x,1,2")
    with pytest.raises(InputError, match="columns a, b, weight, count given; allowed: source"):
        opened(path)
    network = opened(path, columns="a, b ,count")
    assert matrix(network).tolist() == [[0, 2], [7, 0]]
    assert network.notes == ("columns a, b, count",)
    network = opened(path, columns=["b", "a"])
    assert matrix(network).tolist() == [[0, 1], [1, 0]]
    assert network.notes == ("columns b, a, each row a weight of 1",)
    with pytest.raises(InputError, match="allowed: d among them once, as --columns says"):
        opened(path, columns="a,b,d")
    for columns in ("a", "a,a", "a,b,c,d", 3, ("a", 1)):
        with pytest.raises(
            InputError, match=r"columns: .* given; allowed: two or three names of c"
        ):
            opened(path, columns=columns)
    path = lines(tmp_path / "w.csv", "pre,post,weight,count", "x,y,5,7")
    with pytest.raises(InputError, match="weight, count given; allowed: one weight; or --columns"):
        opened(path)


def test_rows_of_a_pair(tmp_path: Path) -> None:
    rows = ["a,b,1", "b,a,1", "a,b,2"]
    plain = lines(tmp_path / "w.csv", "source,target,weight", *rows)
    more = lines(tmp_path / "m.csv", "source,target,weight,roi", *(f"{row},x" for row in rows))
    for path, options in [(plain, {"repeats": "sum"}), (more, {}), (more, {"repeats": "sum"})]:
        network = opened(path, **options)
        assert matrix(network).tolist() == [[0, 1], [3, 0]]
        assert network.notes[-1] == "1 row of pairs that came before, summed"
    for path, options in [
        (plain, {}),
        (plain, {"repeats": "refuse"}),
        (more, {"repeats": "refuse"}),
    ]:
        with pytest.raises(InputError, match=r"line 4: the edge of line 2 again; .* --repeats sum"):
            opened(path, **options)


def test_rows_that_inhibit(tmp_path: Path) -> None:
    rows = ["a,b,1,GABA", "b,a,2,ACH", "b,b,3, GLUT ", "a,a,-4,GABA"]
    path = lines(tmp_path / "w.csv", "source,target,weight,nt", *rows)
    network = opened(path, inhibitory="nt=GABA,GLUT")
    assert matrix(network).tolist() == [[-4, 2], [-1, -3]]
    assert network.notes == (
        "columns source, target, weight",
        "3 rows negative by nt=GABA,GLUT",
    )
    assert matrix(opened(path, inhibitory="source=b")).tolist() == [[-4, -2], [1, -3]]
    with pytest.raises(InputError, match=r"no row has gaba; allowed: ACH, GABA, GLUT"):
        opened(path, inhibitory="nt=GABA,gaba")
    with pytest.raises(InputError, match=r"allowed: transmitter among them once, as --inhibitory"):
        opened(path, inhibitory="transmitter=GABA")
    for bad in ("nt", "nt=", "=GABA", 3):
        with pytest.raises(
            InputError, match=r"inhibitory: .* given; allowed: a column and one or m"
        ):
            opened(path, inhibitory=bad)


BIG = "720575940628857210"  # 2^53 would not tell it from the next


def test_ids_that_are_no_indices_are_names(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", f"{BIG},{BIG[:-1]}1,2", f"3,{BIG},1")
    network = opened(path)
    assert network.names == (BIG, BIG[:-1] + "1", "3")
    assert matrix(network).tolist() == [[0, 0, 1], [2, 0, 0], [0, 0, 0]]
    assert network.notes == (f"ids as names: {BIG} is no index below 4194304",)
    with pytest.raises(InputError, match=f"line 2: .* neuron {BIG}; allowed: 0 to 4194303"):
        opened(path, ids="indices")
    long = "1" + 5000 * "0"
    path = lines(tmp_path / "w.csv", "source,target,weight", "0,1,1", f"{long},1,1")
    assert opened(path).names == ("0", "1", long)


def test_ids_from_one(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "2,1,5", "1,3,6")
    network = opened(path)
    assert network.names is None
    assert network.neurons == 4
    assert network.notes == ("ids from 1: neuron 0 has none (--ids names: only those named)",)
    for options in ({"ids": "names"}, {"neurons": 3}):
        network = opened(path, **options)
        assert network.names == ("2", "1", "3")
        assert matrix(network).tolist() == [[0, 0, 0], [5, 0, 0], [0, 6, 0]]
    assert network.notes == ("ids as names: 3 is no index below 3",)
    with pytest.raises(
        InputError, match="line 3: an edge to the unknown neuron 3; allowed: 0 to 2"
    ):
        opened(path, ids="indices", neurons=3)
    assert opened(path, ids="names", neurons=5).names == ("2", "1", "3", "#3", "#4")


def test_names_are_no_indices(tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "0,1,5", "1,x,6")
    assert opened(path).names == ("0", "1", "x")
    with pytest.raises(InputError, match="line 3: an edge to the unknown neuron x; allowed: 0 to"):
        opened(path, ids="indices")


def test_many_rows_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BLOCK", 3)
    rng = np.random.default_rng(5)
    w = rng.integers(-9, 9, (6, 6))
    text = [f"n{j},n{i},{w[i, j]}" for j, i in np.ndindex(6, 6)]
    network = opened(lines(tmp_path / "w.csv", "source,target,weight", *text))
    np.testing.assert_array_equal(matrix(network), w)
    text[17] = "n1,,2"
    with pytest.raises(InputError, match="line 19: a neuron without a name"):
        opened(lines(tmp_path / "w.csv", "source,target,weight", *text))


@pytest.mark.parametrize(
    "row",
    ["5,6,7,x", "5,6,0.5,GABA", "07,6,7,x", '5,"6",7,x', "5,6,+7,GABA", "5.0,6,7,x", "a,6,7,x"],
)
def test_integers_and_names_are_read_alike(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By NumPy's parser, where it can, and by rows."""
    text = ["pre,post,count,nt", "9,3,1,GABA", "", "3,9,2,GABAx", "9,3,4, GABA", "3,11,8,GABA", row]
    path = lines(tmp_path / "w.csv", *text)
    rest = lines(tmp_path / "v.csv", *(line.replace(" GABA", "GABA") for line in text))
    fast = [opened(one, inhibitory="nt=GABA") for one in (path, rest)]
    monkeypatch.setattr(rows, "_integers", broken)
    slow = [opened(one, inhibitory="nt=GABA") for one in (path, rest)]
    for one, other in itertools.product(fast, slow):
        np.testing.assert_array_equal(matrix(one), matrix(other))
        assert (one.names, one.notes) == (other.names, other.notes)


def broken(*_: object) -> NoReturn:
    raise ValueError


def test_damaged_compression(tmp_path: Path) -> None:
    whole = (DATA / "celegans_cook2019_electrical.csv.gz").read_bytes()
    for damaged in (whole[:-2000], b"no gzip", b""):
        (tmp_path / "w.csv.gz").write_bytes(damaged)
        with pytest.raises(InputError, match=r"w\.csv\.gz"):
            opened(tmp_path / "w.csv.gz")


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
        assert len(str(caught.value)) < 250 + len(str(tmp_path))
