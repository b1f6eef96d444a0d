"""Networks and biases in files: what each format means, and what it must hold.

| file | holds | becomes |
|---|---|---|
| .npy | W, N x N | Dense, read in tiles |
| .npz | `weights`, perhaps `bias` | Dense, read in tiles |
| .npz | what scipy.sparse.save_npz writes, perhaps `bias` | Sparse |
| .csv | `source,target,weight`, a row each: W[target, source] | Sparse |
| .txt | rudy: `n m`, then m rows `i j w`, from 1: MaxCut | Sparse |

**MaxCut as a Boltzmann machine.** With spins y = 2 x - 1 and w the edges' weights, a cut is worth

    cut = sum_{i<j} w_ij (1 - y_i y_j) / 2.

The weights and the bias read from a rudy file,

    W_ij = -4 w_ij,   b_i = 2 sum_j w_ij,

make the energy E(x) = -x'Wx/2 - b'x equal to sum_{i<j} w_ij y_i y_j - sum_{i<j} w_ij, so that

    cut(x) = -E(x) / 2,

and the lower the temperature, the closer the machine stays to the largest cut. The format is that
of Rinaldi's generator rudy, and of the G-set (Helmberg, Rendl, SIAM J. Optim. 10, 2000).
"""

from __future__ import annotations

import csv
import math
import zipfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from distsim.arrayfile import ArrayFile, check_real, open_npy, open_npz, reading
from distsim.errors import InputError
from distsim.weights import MOST_NEURONS, Dense, Sparse, check_neurons

COLUMNS = ("source", "target", "weight")
_SPARSE = {"format", "shape", "data", "indices", "indptr", "row", "col", "offsets", "_is_array"}


def read_npy(path: str) -> Dense:
    """W of a .npy file."""
    return Dense(path, open_npy(path))


def read_npz(path: str) -> Dense | Sparse:
    """W, and the bias if there is one, of a .npz file."""
    members = open_npz(path)
    found = set(members) - {"bias"}
    bias = _vector(members["bias"]) if "bias" in members else None
    if found == {"weights"}:
        return Dense(path, members["weights"], bias)
    if "format" in found and found <= _SPARSE:
        return Sparse(path, _load_sparse(path), bias)
    raise InputError(
        f"{path}: arrays {', '.join(sorted(members)) or 'none'} given; allowed: weights, or what "
        "scipy.sparse.save_npz writes, either with or without bias"
    )


def read_bias(path: str) -> NDArray[Any]:
    """The numbers of a .npy file, or of a text: one number after the other."""
    if path.endswith(".npy"):
        return _vector(open_npy(path))
    values = array("d")
    with _text(path) as file:
        for line, text in enumerate(file, 1):
            for word in text.split():
                values.append(_number(f"{path}, line {line}", "bias", word))
    return np.array(values)


def read_patterns(path: str) -> NDArray[np.uint8]:
    """Patterns of a .npy file, P x N of 0 and 1 or of -1 and +1, as uint8[P, N] of 0 and 1."""
    file = open_npy(path)
    check_real(path, file.dtype)
    if len(file.shape) != 2 or file.shape[0] == 0:
        raise InputError(f"{path}: patterns of shape {file.shape} given; allowed: P x N, P > 0")
    check_neurons(path, file.shape[1])
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


def read_edges(path: str, neurons: int | None) -> Sparse:
    """An edge list. Neurons whose names are all integers are numbered by them, others in order of
    first appearance, the source of a row before its target. `neurons`: N, if it is given."""
    names, ends, weights, line = _parse_edges(path)
    numbered = all(name.isascii() and name.isdigit() for name in names)
    if numbered:  # a name of 19 digits is beyond any limit
        numbers = [int(name) if len(name) < 19 else MOST_NEURONS for name in names]
    else:
        numbers = list(range(len(names)))
    limit = MOST_NEURONS if neurons is None else neurons
    unknown = np.array(numbers, dtype=np.int64)[ends] >= limit
    if unknown.any():
        k, end = divmod(int(np.argmax(unknown)), 2)
        allowed = f"0 to {limit - 1}" if numbered else f"{limit} different names"
        raise InputError(
            f"{path}, line {line[k]}: an edge to the unknown neuron {list(names)[ends[k, end]]}; "
            f"allowed: {allowed}"
        )
    if neurons is None:
        neurons = max(numbers, default=-1) + 1
    check_neurons(path, neurons)
    source, target = np.array(numbers, dtype=np.int64)[ends].T
    _check_distinct(path, target * neurons + source, line)
    named = None if numbered else (*names, *map(str, range(len(names), neurons)))
    return Sparse(path, _csr(weights, target, source, neurons), names=named)


def read_rudy(path: str) -> Sparse:
    """A MaxCut instance as a Boltzmann machine: see the head of this file."""
    ends, weights, lines = array("q"), array("d"), array("q")
    with _text(path) as file:
        parts = ((line, text.split()) for line, text in enumerate(file, 1) if text.strip())
        line, words = next(parts, (1, []))
        if len(words) != 2:
            raise InputError(f"{path}, line {line}: {len(words)} numbers given; allowed: n m")
        neurons, edges = (_integer(f"{path}, line {line}", word) for word in words)
        check_neurons(f"{path}, line {line}", neurons)
        for line, words in parts:
            place = f"{path}, line {line}"
            if len(lines) == edges:
                raise InputError(f"{place}: an edge more than the {edges} that the head announces")
            if len(words) != 3:
                raise InputError(f"{place}: {len(words)} numbers given; allowed: i j w")
            i, j = (_integer(place, word) for word in words[:2])
            for end in (i, j):
                if not 1 <= end <= neurons:
                    raise InputError(
                        f"{place}: an edge to the unknown neuron {end}; allowed: 1 to {neurons}"
                    )
            if i == j:
                raise InputError(f"{place}: an edge from {i} to itself; allowed: two neurons")
            ends.extend((min(i, j) - 1, max(i, j) - 1))
            weights.append(_number(place, "weight", words[2]))
            lines.append(line)
    if len(lines) != edges:
        raise InputError(f"{path}: {len(lines)} edges given; allowed: {edges}, as the head says")
    low, high = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    _check_distinct(path, low * neurons + high, np.array(lines, dtype=np.int64))
    rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
    both = _csr(np.tile(np.array(weights), 2), rows, columns, neurons)
    return Sparse(path, -4.0 * both, bias=2.0 * both.sum(axis=1))


def _parse_edges(
    path: str,
) -> tuple[dict[str, int], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Names, numbered in order of first appearance, and of each edge its ends [edges, 2] (source,
    target) in these numbers, its weight [edges], and its line in the file [edges]."""
    names: dict[str, int] = {}
    ends, weights, lines = array("q"), array("d"), array("q")
    with _text(path) as file:
        reader = csv.reader(file, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        if sorted(columns) != sorted(COLUMNS):
            raise InputError(
                f"{path}, line 1: columns {', '.join(columns) or 'none'} given; "
                f"allowed: {', '.join(COLUMNS)}"
            )
        order = [columns.index(name) for name in COLUMNS]
        for fields in reader:
            if not fields:  # an empty line
                continue
            place = f"{path}, line {reader.line_num}"
            if len(fields) != len(COLUMNS):
                raise InputError(
                    f"{place}: {len(fields)} fields given; allowed: {', '.join(COLUMNS)}"
                )
            source, target, weight = (fields[k].strip() for k in order)
            if not source or not target:
                raise InputError(f"{place}: a neuron without a name; allowed: a name or a number")
            ends.append(names.setdefault(source, len(names)))
            ends.append(names.setdefault(target, len(names)))
            weights.append(_number(place, "weight", weight))
            lines.append(reader.line_num)
    return (
        names,
        np.array(ends, dtype=np.int64).reshape(-1, 2),
        np.array(weights, dtype=np.float64),
        np.array(lines, dtype=np.int64),
    )


@contextmanager
def _text(path: str) -> Iterator[IO[str]]:
    """A text file; what cannot be read becomes InputError."""
    with reading(path):
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                yield file
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text") from None
        except csv.Error as error:
            raise InputError(f"{path}: not comma-separated values: {error}") from None


def _number(place: str, what: str, text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place}: {what} {text!r} given; allowed: a finite number")
    return value


def _integer(place: str, text: str) -> int:
    """An integer of rudy's: a number of neurons, edges, or of a neuron."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InputError(f"{place}: {text!r} given; allowed: an integer")
    return int(text)


def _check_distinct(path: str, key: NDArray[np.int64], line: NDArray[np.int64]) -> None:
    """Refuse the second of two edges with the same key."""
    _, first, edge = np.unique(key, return_index=True, return_inverse=True)
    again = first[edge] != np.arange(key.size)
    if again.any():
        k = int(np.argmax(again))
        raise InputError(
            f"{path}, line {line[k]}: the edge of line {line[first[edge[k]]]} again; "
            "allowed: each edge once"
        )


def _csr(
    weights: NDArray[np.float64], i: NDArray[np.int64], j: NDArray[np.int64], neurons: int
) -> Any:
    """scipy.sparse.csr_array[N, N] of the entries W[i, j]."""
    from scipy.sparse import csr_array

    return csr_array((weights, (i, j)), shape=(neurons, neurons))


def _vector(file: ArrayFile) -> NDArray[Any]:
    """The numbers of a one-dimensional array in a file."""
    check_real(file.place, file.dtype)
    if len(file.shape) != 1:
        raise InputError(f"{file.place}: bias of shape {file.shape} given; allowed: (N,)")
    return file.whole()


def _load_sparse(path: str) -> Any:
    """What scipy.sparse.save_npz wrote, its indices checked: SciPy's C code trusts them."""
    from scipy.sparse import load_npz

    with reading(path):
        try:
            matrix = load_npz(path)
            if hasattr(matrix, "check_format"):
                matrix.check_format(full_check=True)
        except (OSError, zipfile.BadZipFile):
            raise
        except Exception as error:  # SciPy answers damaged arrays with exceptions of any kind
            raise InputError(
                f"{path}: not a sparse matrix: {error}; allowed: what scipy.sparse.save_npz writes"
            ) from None
    return matrix
