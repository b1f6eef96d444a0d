"""The nervous system of C. elegans against its published connections."""

import numpy as np
from made_networks import matrix, opened

from distsim.networks.celegans import GABA
from distsim.networks.checks import check_model


def test_the_nematode() -> None:
    network = opened("celegans")
    assert network.neurons == 281
    assert network.names is not None
    assert list(network.names) == sorted(network.names)
    assert set(network.names) > GABA
    assert len(GABA) == 26
    index = network.names.index
    w = matrix(network)
    assert w[index("RICL"), index("ADAR")] == 1.0
    assert w[index("AIBR"), index("ADAR")] == 1.0
    assert w[index("RIMR"), index("ADAR")] == 5.0
    assert w[index("AVEL"), index("RIS")] == -7.0  # chemical, inhibits
    assert w[index("RIMR"), index("RIS")] == -3.0  # 4 chemical synapses against a gap junction
    assert w[index("RIML"), index("RIS")] == 0.0  # one against one
    assert w[index("DD1"), index("VD2")] == 1.0  # one against two
    assert w[index("RIBR"), index("RIBR")] > 0.0  # a gap junction with itself
    assert np.abs(w[:, [index(name) for name in GABA]]).sum() > 0
    assert {name for name, onto in zip(network.names, w.T, strict=True) if onto.min() < 0} <= GABA
    assert np.count_nonzero(w) == 3108 - 3  # connected pairs, less those that cancel


def test_the_nematode_as_a_boltzmann_machine() -> None:
    w = matrix(opened("celegans"))
    network = opened("celegans", model="bm")
    np.fill_diagonal(w, 0.0)
    np.testing.assert_array_equal(matrix(network), (w + w.T) / 2)
    check_model(network, "bm", 0, 281)
