"""How many neurons a network may have, and amounts in words. Imports nothing, so that whoever asks
starts nothing."""

NEURON_BITS = 22  # of a word that is an event (`kernels/events.py`), for its neuron
MOST_NEURONS = 1 << NEURON_BITS


def amount(count: float) -> str:
    """A number of bytes in words."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
