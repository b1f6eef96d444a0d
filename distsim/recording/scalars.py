"""Observables that are one number a run. Imports nothing, so that whoever asks starts nothing."""

from typing import NamedTuple


class Scalars(NamedTuple):
    """Observables of a whole run, those that were asked for: means over the samples of energy and
    cut, the best of both at any event; share of neurons in state 1, and transitions 0 -> 1 a neuron
    and a unit of time (MPM) or a sweep (BM), up to the last sample."""

    energy: float | None = None
    best_energy: float | None = None
    cut: float | None = None
    best_cut: float | None = None
    activity: float | None = None
    rate: float | None = None


NAMES = Scalars._fields
