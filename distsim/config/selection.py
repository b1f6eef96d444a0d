"""Which neurons a text of `kinds.Indices` selects, of so many and with such names."""

from collections.abc import Mapping, Sequence

from distsim.config.kinds import indices
from distsim.errors import InputError


def index_of(text: str, neurons: int, by_name: Mapping[str, int]) -> int | None:
    """The neuron that a text names: an index below N, else a name; None if there is none."""
    index = int(text) if text.isdecimal() and len(text) < 19 else neurons
    return index if index < neurons else by_name.get(text)


def selected(place: str, text: str, neurons: int, names: Sequence[str] | None) -> Sequence[int]:
    """Indices of neurons, each once; what is no index below N is a name.

    Raises InputError for one that is not there, or that is named twice.
    """

    def absent(one: str) -> InputError:
        known = "" if names is None else ", or its names"
        return InputError(f"{place}: neuron {one:.60} given; allowed: 0 to {neurons - 1}{known}")

    chosen = indices(text)
    if isinstance(chosen, range):
        if chosen[-1] >= neurons:
            raise absent(str(chosen[-1]))
        return chosen
    by_name = {name: i for i, name in enumerate(names or ())}
    found: dict[int, str] = {}
    for one in chosen:
        index = index_of(one, neurons, by_name)
        if index is None:
            raise absent(one)
        if index in found:
            raise InputError(f"{place}: {found[index]} and {one} given; allowed: each neuron once")
        found[index] = one
    return list(found)
