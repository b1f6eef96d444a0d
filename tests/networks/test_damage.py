"""Network files with damage anywhere: one message, or a network; nothing else is raised."""

from pathlib import Path

import h5py
import networkx
import numpy as np
import pytest
import scipy.io
from made_networks import lines, opened

from distsim.errors import InputError
from distsim.networks import rows


def write(path: Path) -> None:
    rng = np.random.default_rng(3)
    w = rng.integers(-3, 4, (9, 9))
    match path.suffix:
        case ".mtx":
            scipy.io.mmwrite(path, scipy.sparse.coo_array(w))
        case ".graphml":
            networkx.write_graphml(networkx.from_numpy_array(w.astype(float)), path)
        case ".h5":
            with h5py.File(path, "w") as file:
                for name, ids in zip(("source", "target"), np.nonzero(w), strict=True):
                    file[f"edges/e/{name}_node_id"] = ids
                    file[f"edges/e/{name}_node_id"].attrs["node_population"] = "v1"
                file["edges/e/0/syn_weight"] = w[w != 0].astype(float)
        case ".csv":
            lines(path, "pre,post,count,nt", *(f"{j},{i},{w[i, j]},x" for i, j in np.ndindex(9, 9)))
        case ".tsv":
            edges = [f'"n {j}"\tn{i}\t{w[i, j]}' for i, j in np.ndindex(9, 9)]
            lines(path, "source\ttarget\tweight", *edges)
        case ".rud":
            edges = [f"{i + 1} {j + 1}" for i in range(9) for j in range(i)]
            lines(path, f"9 {len(edges)}", *edges)


def damaged(data: bytes, seed: int) -> bytes:
    """Cut off, or some bytes replaced, taken out or put in."""
    rng = np.random.default_rng(seed)
    found = bytearray(data)
    if seed % 5 == 0:
        return bytes(found[: rng.integers(len(found))])
    for _ in range(rng.integers(1, 4)):
        k = int(rng.integers(len(found)))
        new = bytes([rng.integers(256)]) if seed % 2 else bytes([b' ,"\n\t-0x'[rng.integers(8)]])
        found[k : k + int(rng.integers(2))] = new[: int(rng.integers(2)) or 1]
    return bytes(found)


@pytest.mark.parametrize(
    ("ending", "seeds"),
    [
        *((ending, range(60)) for ending in ("mtx", "graphml", "csv", "tsv", "rud")),
        (
            "h5",
            range(0, 100, 5),
        ),  # cut off: of other damage libhdf5 itself may make an endless loop
    ],
)
def test_damage_is_one_message(ending: str, seeds: range, tmp_path: Path) -> None:
    path = tmp_path / f"w.{ending}"
    write(path)
    opened(path)
    data = path.read_bytes()
    messages = []
    for seed in seeds:
        path.write_bytes(damaged(data, seed))
        try:
            opened(path)
        except InputError as error:
            messages.append(str(error))
    assert messages
    assert all(str(path) in message for message in messages)
    assert max(map(len, messages)) < 300 + len(str(path))


def test_damage_is_read_alike_by_both_parsers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.csv"
    write(path)
    data = path.read_bytes()

    def outcomes() -> list[str]:
        found = []
        for seed in range(100):
            path.write_bytes(damaged(data, seed))
            try:
                network = opened(path)
            except InputError as error:
                found.append(str(error))
            else:
                w = network.rows(0, network.neurons) if network.neurons < 99 else network.neurons
                found.append(f"{w} {network.names} {network.notes}")
        return found

    both = outcomes()
    monkeypatch.setattr(rows, "_integers", lambda *_: int("no"))
    assert outcomes() == both
