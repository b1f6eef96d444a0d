"""Which population each neuron is of: a table `neuron,population`."""

from __future__ import annotations

from itertools import chain

from distsim.errors import InputError
from distsim.networks.tables import Table, named, open_table
from distsim.networks.text import shown
from distsim.weights.source import Network

WORDS = {
    "neuron": ("neuron", "name", "id", "bodyid", "rootid", "nodeid", "ptrootid"),
    "population": ("population", "type", "celltype", "class", "group"),
}


def read_populations(path: str, network: Network) -> tuple[str, ...]:
    """The population of each neuron, N; empty where its cell is. Further columns, and neurons that
    the network does not have, are passed over.

    Neurons are called by their names, or by their indices where they have none. Raises InputError
    with the line, for a neuron twice, and for one of the network that the table does not have.
    """
    found: dict[str, str] = {}
    with open_table(path, lambda place, header: named(place, header, WORDS)) as table:
        neuron, population = table.found
        for row, fields in enumerate(chain.from_iterable(table.blocks)):
            if len(fields) != len(table.header):
                raise _bad(table, row, f"{len(fields)} fields", ", ".join(table.header))
            name = fields[neuron].strip()
            if name in found:
                raise _bad(table, row, f"neuron {shown(name)} again", "each neuron once")
            found[name] = fields[population].strip()
    names = map(str, range(network.neurons)) if network.names is None else network.names
    given = []
    for name in names:
        if name not in found:
            raise InputError(
                f"{path}: neuron {shown(name)} of {network.name} is not there; "
                "allowed: a row for each neuron"
            )
        given.append(found[name])
    return tuple(given)


def _bad(table: Table, row: int, given: str, allowed: str) -> InputError:
    return InputError(f"{next(table.places(row))}: {given} given; allowed: {shown(allowed)}")
