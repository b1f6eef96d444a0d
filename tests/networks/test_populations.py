"""Tables of neurons and their populations: which columns, which neurons, every bad row."""

from pathlib import Path

import pytest
from made_networks import lines, opened

from distsim.errors import InputError


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    return lines(tmp_path / "w.csv", "source,target,weight", "b,a,1", "a,c,2")


@pytest.mark.parametrize(
    "text",
    [
        "neuron,population\na,PN\nb,KC\nc,\n",
        '\ufeffside;Cell Type;root_id\r\nL;"PN";a\r\nR;KC; b\r\nR;;c\r\nL;MBON;d\r\n',
        "name\tclass\tsoma\nc\t\t1\nb\tKC\t2\na\tPN\t3",
    ],
)
def test_populations_of_named_neurons(text: str, edges: Path, tmp_path: Path) -> None:
    (tmp_path / "neurons").write_bytes(text.encode())
    network = opened(edges, populations=str(tmp_path / "neurons"))
    assert network.names == ("b", "a", "c")
    assert network.population == ("KC", "PN", "")
    assert opened(edges).population is None


def test_populations_of_numbered_neurons(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.csv", "id,group", "2,I", "0,E", "1,E")
    table = lines(tmp_path / "w.csv", "source,target,weight", "0,2,1")
    for network in (
        opened("gaussian", neurons=3, populations=path),
        opened(table, symmetrize=True, populations=path),
    ):
        assert network.population == ("E", "E", "I")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["neuron,region", "a,x"],
            "line 1: columns neuron, region given; allowed: neuron, populat",
        ),
        (["neuron,type,class", "a,x,y"], "line 1: columns type, class given; allowed: one populat"),
        (["neuron,type", "a,x", "", "b"], "line 4: 1 fields given; allowed: neuron, type"),
        (
            ["neuron,type", "a,x", "b,x", "a,y"],
            "line 4: neuron a again given; allowed: each neuron",
        ),
        (["neuron,type", "a,x", "b,x"], r"neuron c of .*w\.csv is not there; allowed: a row for e"),
        (["neuron,type", "a,x", '"b,x'], "line 3: not a table: unexpected end of data"),
    ],
)
def test_a_bad_table(rows: list[str], message: str, edges: Path, tmp_path: Path) -> None:
    path = lines(tmp_path / "p.csv", *rows)
    with pytest.raises(InputError, match=rf"p\.csv.*{message}"):
        opened(edges, populations=str(path))
