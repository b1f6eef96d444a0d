"""Networks and biases in files: what each format means, and what it must hold.

| file | holds | becomes |
|---|---|---|
| .npy | W, N x N | Dense, read in tiles |
| .npz | `weights`, perhaps `bias` | Dense, read in tiles |
| .npz | what scipy.sparse.save_npz writes, perhaps `bias` | SparseFile, of csr; or Sparse |
| .mtx | MatrixMarket: W | Sparse, or Dense in memory |
| .graphml | a graph, if NetworkX is installed: `networks.graphml` | Sparse |
| .h5, .hdf5, .sonata | edges of SONATA: `networks.sonata` | Sparse |
| a text | rudy: `n m`, then m rows `i j w`, from 1: `networks.maxcut` | Sparse |
| a text | a table of edges: W[target, source]: `networks.edges` | Sparse |
"""

from __future__ import annotations

import math
import zipfile
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError
from distsim.files.arrays import ArrayFile, check_real, open_npy, open_npz, reading
from distsim.limits import MOST_NEURONS
from distsim.networks.checks import as_bias, check_neurons
from distsim.networks.hopfield import check_patterns
from distsim.networks.matrices import Dense, Sparse
from distsim.networks.sparse_file import SparseFile, by_rows
from distsim.networks.text import number, open_text, shown

_SPARSE = {"format", "shape", "data", "indices", "indptr", "row", "col", "offsets", "_is_array"}


def read_npy(path: str) -> Dense:
    """W of a .npy file."""
    return Dense(path, open_npy(path))


def read_npz(path: str) -> Dense | Sparse | SparseFile:
    """W, and the bias if there is one, of a .npz file."""
    members = open_npz(path)
    found = set(members) - {"bias"}
    bias = _vector(members["bias"]) if "bias" in members else None
    if found == {"weights"}:
        return Dense(path, members["weights"], bias)
    if "format" in found and found <= _SPARSE:
        row = by_rows(members)
        if row is None:
            return Sparse(path, _load_sparse(path), bias)
        given = np.zeros(row.size - 1) if bias is None else as_bias(path, bias, row.size - 1)
        return SparseFile(path, row, members, given, lambda: Sparse(path, _load_sparse(path)))
    raise InputError(
        f"{path}: arrays {', '.join(sorted(members)) or 'none'} given; allowed: weights, or what "
        "scipy.sparse.save_npz writes, either with or without bias"
    )


def read_mtx(path: str) -> Dense | Sparse:
    """W of a MatrixMarket file; what its head calls symmetric is."""
    from scipy.io import mmread

    with reading(path):
        try:
            weights = mmread(path, spmatrix=False)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # SciPy answers damage with exceptions of any kind
            raise InputError(
                f"{path}: not a matrix: {shown(str(error))}; allowed: a MatrixMarket file"
            ) from None
    return Sparse(path, weights) if hasattr(weights, "tocsr") else Dense(path, weights)


def read_bias(path: str) -> NDArray[Any]:
    """The numbers of a .npy file, or of a text: one number after the other."""
    if path.endswith(".npy"):
        return _vector(open_npy(path))
    values = array("d")
    with open_text(path) as file:
        for line, text in enumerate(file, 1):
            for word in text.split():
                values.append(number(f"{path}, line {line}", "bias", word))
    return np.array(values)


def read_patterns(path: str) -> NDArray[np.uint8]:
    """Patterns of a .npy file, P x N of 0 and 1 or of -1 and +1, as uint8[P, N] of 0 and 1."""
    file = open_npy(path)
    check_real(path, file.dtype)
    if len(file.shape) != 2 or file.shape[0] == 0:
        raise InputError(f"{path}: patterns of shape {file.shape} given; allowed: P x N, P > 0")
    check_neurons(path, file.shape[1])
    check_patterns(path, *file.shape)
    patterns = np.empty(file.shape, np.uint8)
    low = math.nan  # what stands for 0, as soon as it has been seen
    for p in range(len(patterns)):
        pattern = file[p : p + 1, :][0].astype(np.float64)
        patterns[p] = pattern == 1
        others = pattern[pattern != 1]
        if math.isnan(low) and others.size and others[0] in (0, -1):
            low = float(others[0])
        wrong = (pattern != 1) & (pattern != low)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise InputError(
                f"{path}: {pattern[i]:g} given in pattern {p} for neuron {i}; "
                "allowed: 0 and 1, or -1 and +1"
            )
    return patterns


def _vector(file: ArrayFile) -> NDArray[Any]:
    """The numbers of a one-dimensional array in a file."""
    check_real(file.place, file.dtype)
    if len(file.shape) != 1 or file.shape[0] > MOST_NEURONS:
        raise InputError(
            f"{file.place}: bias of shape {file.shape} given; allowed: (N,), N up to {MOST_NEURONS}"
        )
    return file.whole()


def _load_sparse(path: str) -> Any:
    """What scipy.sparse.save_npz wrote."""
    from scipy.sparse import load_npz

    with reading(path):
        try:
            return load_npz(path)
        except (OSError, zipfile.BadZipFile):
            raise
        except Exception as error:  # SciPy answers damaged arrays with exceptions of any kind
            raise InputError(
                f"{path}: not a sparse matrix: {shown(str(error))}; "
                "allowed: what scipy.sparse.save_npz writes"
            ) from None
