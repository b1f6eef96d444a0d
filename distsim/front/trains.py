"""Spikes of a run as Neo's objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distsim.errors import InputError

if TYPE_CHECKING:
    import neo


def block(
    time: NDArray[np.float64],
    neuron: NDArray[np.int64],
    neurons: int,
    end: float,
    unit: str,
    names: Sequence[str] | None,
    about: Mapping[str, str],
) -> neo.Block:
    """A neo.Block of one segment with a spike train for each of so many neurons, from 0 to `end`.

    time, neuron: of each spike, float64[K], int64[K]; unit: of the times, as quantities knows it;
    names: of the neurons, each train's annotation `neuron_name`; about: annotations of the block.
    The trains are made when they are looked at: Neo keeps the two arrays. Raises InputError without
    Neo.
    """
    try:
        import neo
        from neo.core.spiketrainlist import SpikeTrainList
        from quantities import Quantity
    except ImportError as error:
        raise InputError(
            f"to_neo: {error}; allowed: with the extra neo (pip install 'distsim[neo]')"
        ) from None
    annotations: dict[str, Any] = {} if names is None else {"neuron_name": list(names)}
    segment = neo.Segment()
    segment.spiketrains = SpikeTrainList.from_spike_time_array(
        time,
        neuron,
        np.arange(neurons),
        t_stop=Quantity(end, unit),
        units=unit,
        t_start=Quantity(0.0, unit),
        **annotations,
    )
    found = neo.Block(**about)
    found.segments.append(segment)
    return found
