"""Which neurons a text of `kinds.Indices` selects, of so many and with such names."""

from collections.abc import Sequence

from distsim.config.kinds import indices
from distsim.errors import InputError


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
        index = int(one) if one.isdecimal() and len(one) < 19 else neurons
        if index >= neurons:
            if one not in by_name:
                raise absent(one)
            index = by_name[one]
        if index in found:
            raise InputError(f"{place}: {found[index]} and {one} given; allowed: each neuron once")
        found[index] = one
    return list(found)
