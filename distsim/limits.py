"""How many neurons a network may have. Imports nothing, so that whoever asks starts nothing."""

NEURON_BITS = 22  # of a word that is an event (`kernels/events.py`), for its neuron
MOST_NEURONS = 1 << NEURON_BITS
