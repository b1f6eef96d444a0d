"""What a network must be: checks that all sources of weights share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.config.options import flag
from distsim.errors import InputError
from distsim.files.arrays import check_real
from distsim.limits import MOST_NEURONS
from distsim.networks.text import shown
from distsim.weights.source import Network, Offence


def check_model(network: Network, model: str, start: int, stop: int) -> None:
    """Refuse a Boltzmann machine whose rows [start, stop) are not symmetric without diagonal."""
    if model != "bm":
        return
    offence = network.asymmetry(start, stop)
    if offence is not None:
        raise InputError(
            f"{network.name}: {_pair(network, offence)} given; allowed for the bm: symmetric "
            f"weights, zero on the diagonal{_way_out(network, offence)}"
        )


def check_energy(network: Network, wanted: str, start: int, stop: int) -> None:
    """Refuse what is `wanted` of an energy that does not exist: of rows [start, stop) not
    symmetric."""
    offence = network.asymmetry(start, stop, loops=True)
    if offence is not None:
        raise InputError(
            f"{wanted} given, but no energy exists: W of {network.name} is not symmetric; first "
            f"pair: {_pair(network, offence)}; allowed: what needs none"
            f"{_way_out(network, offence)}"
        )


def _way_out(network: Network, offence: Offence) -> str:
    """Which option makes a matrix what it is to be; none does with weights of a formula."""
    if network.formula is not None or network.synapses is not None:
        return ""
    if offence[0] == offence[1]:
        return f"; or with {flag('diagonal_to_bias')}, which adds half of it to the bias"
    return f"; or with {flag('symmetrize')}, which takes (W + W') / 2"


def _pair(network: Network, offence: Offence) -> str:
    """The weights of a pair that offends, in words. Raises InputError if they are no numbers."""
    i, j, weight, mirrored = offence
    if not math.isfinite(weight):
        raise not_finite(network.name, i, j, weight)
    if not math.isfinite(mirrored):
        raise not_finite(network.name, j, i, mirrored)
    named = "" if network.names is None else f" ({network.names[i]}, {network.names[j]})"
    pair = f"W[{i}, {j}] = {weight}"
    return (pair if i == j else f"{pair}, W[{j}, {i}] = {mirrored}") + named


def check_neurons(place: str, neurons: int) -> None:
    """Refuse a network of no neuron, or of more than an event can name."""
    if not 1 <= neurons <= MOST_NEURONS:
        raise InputError(f"{place}: {neurons} neurons given; allowed: 1 to {MOST_NEURONS}")


def check_square(place: str, shape: tuple[int, ...]) -> None:
    """Refuse weights that are not N x N."""
    if len(shape) != 2 or shape[0] != shape[1]:
        raise InputError(f"{place}: weights of shape {shape} given; allowed: square, N x N")
    check_neurons(place, shape[0])


def as_numbers(place: str, what: str, numbers: Any, allowed: str) -> NDArray[Any]:
    """Numbers from Python as an array, referred to where they are one. Raises InputError."""
    try:
        given = np.ma.asarray(numbers)
    except MemoryError:
        raise
    except Exception as error:  # rows of different length; and other packages raise what they like
        reason = shown(str(error))
        raise InputError(f"{place}: not readable as {what}: {reason}; allowed: {allowed}") from None
    check_real(place, given.dtype)
    mask = np.ma.getmaskarray(given) if np.ma.is_masked(given) else None
    if mask is not None:
        entry = [int(k) for k in np.unravel_index(int(np.argmax(mask)), mask.shape)]
        raise InputError(f"{place}: {what}{entry} is masked; allowed: numbers, none of them masked")
    return np.asarray(given.data)


def from_dlpack(place: str, numbers: Any) -> Any:
    """An array of another package, of which NumPy knows by DLPack alone, as a view; all else as it
    is. Raises InputError for one that the host's memory does not hold."""
    if isinstance(numbers, np.ndarray) or not hasattr(numbers, "__dlpack__"):
        return numbers
    try:
        return np.from_dlpack(numbers)
    except MemoryError:
        raise
    except Exception as error:  # packages raise what they like
        raise InputError(
            f"{place}: no array that NumPy takes by DLPack: {shown(str(error))}; allowed: real "
            "numbers in the memory of the host"
        ) from None


def as_bias(place: str, bias: NDArray[Any], neurons: int) -> NDArray[np.float64]:
    """A bias as float64[N]. Raises InputError where it is not N finite numbers."""
    check_real(place, bias.dtype)
    if bias.shape != (neurons,):
        raise InputError(
            f"{place}: bias of shape {bias.shape} given; allowed: ({neurons},), a number a neuron"
        )
    result = bias.astype(np.float64)
    finite = np.isfinite(result)
    if not finite.all():
        i = int(np.argmin(finite))
        raise InputError(f"{place}: bias {result[i]} of neuron {i} given; allowed: finite numbers")
    return result


def not_finite(name: str, i: int, j: int, weight: float) -> InputError:
    """The error for a NaN or an infinity."""
    return InputError(f"{name}: weight W[{i}, {j}] = {weight} given; allowed: finite numbers")
