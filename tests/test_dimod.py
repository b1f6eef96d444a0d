"""distsim as a dimod sampler: its interface, its energies, its law."""

from typing import Any

import dimod
import numpy as np
import pytest

from distsim.chains.annealing import anneal
from distsim.chains.opening import open_chain
from distsim.config.options import Config
from distsim.dimod import Sampler, default_beta_range
from distsim.errors import InputError
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.recording.recorder import Recorder


def model(variables: int, vartype: str, seed: int = 1) -> dimod.BinaryQuadraticModel:
    """Random, with names that are no numbers."""
    rng = np.random.default_rng(seed)
    names = [f"v{k}" for k in rng.permutation(variables)]
    linear = {name: float(rng.normal()) for name in names}
    quadratic = {
        (names[i], names[j]): float(rng.normal()) for i in range(variables) for j in range(i)
    }
    return dimod.BinaryQuadraticModel(linear, quadratic, 0.5, vartype)


def test_the_interface_is_dimods() -> None:
    dimod.testing.assert_sampler_api(Sampler())


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_energies_are_those_of_the_model(vartype: str) -> None:
    bqm = model(9, vartype)
    found = Sampler().sample(bqm, num_reads=4, num_sweeps=20, seed=3)
    dimod.testing.assert_response_energies(found, bqm)
    assert found.info["seed"] == 3
    assert len(found) == 4
    assert found.vartype is bqm.vartype
    again = Sampler().sample(bqm, num_reads=4, num_sweeps=20, seed=3)
    np.testing.assert_array_equal(found.record.sample, again.record.sample)
    other = Sampler().sample(bqm, num_reads=4, num_sweeps=0, seed=4)
    dimod.testing.assert_response_energies(other, bqm)


def test_ising_and_qubo() -> None:
    found = Sampler().sample_ising({"a": -1.0}, {("a", "b"): 1.0}, num_reads=2, num_sweeps=50)
    assert found.first.sample == {"a": 1, "b": -1}
    assert Sampler().sample_qubo({(0, 0): 1.0, (0, 1): -3.0}, num_reads=2).first.energy == -2.0
    for vartype in ("SPIN", "BINARY"):
        assert len(Sampler().sample(dimod.BinaryQuadraticModel(vartype))) <= 1


def test_an_anneal_finds_the_ground_state() -> None:
    bqm = model(12, "SPIN", seed=5)
    lowest = dimod.ExactSolver().sample(bqm).first.energy
    found = Sampler().sample(bqm, num_reads=5, num_sweeps=200, seed=1)
    assert found.first.energy == pytest.approx(lowest)


def test_one_temperature_is_a_run_of_the_machine() -> None:
    """An anneal at one temperature, three sweeps at a time, is the chain that a run makes."""
    rng = np.random.default_rng(2)
    weights = np.triu(rng.normal(size=(40, 40)), 1)
    network = from_array(weights + weights.T, rng.normal(size=40))
    states = (rng.random(40) < 0.5).astype(np.uint8)
    config = Config(network="array", model="bm", tau=2.0, sweeps=30, seed=7)
    chain = open_chain(network, config, Serial(), states)
    recorder = Recorder(None, 30.0 * 40)
    while not recorder.finished(chain.now()):
        chain.advance(recorder)
    found = anneal(network, 7, np.stack([states, states]), [2.0] * 10, 3)
    np.testing.assert_array_equal(found[0], chain.final())
    assert (found[1] != found[0]).any()


def test_reads_at_one_temperature_have_its_law() -> None:
    """1,000 reads against Boltzmann's law of 3 variables, with a control at another temperature."""
    bqm, beta = model(3, "BINARY", seed=7), 0.8
    options: dict[str, Any] = {"beta_schedule_type": "custom", "num_sweeps_per_beta": 10}
    found = Sampler().sample(bqm, num_reads=1000, beta_schedule=[beta], seed=1, **options)
    exact = dimod.ExactSolver().sample(bqm)

    def chi_square(temperature: float) -> float:
        law = np.exp(-exact.record.energy / temperature)
        law /= law.sum()
        order = [list(found.variables).index(v) for v in exact.variables]
        seen = found.record.sample[:, order]
        counts = np.array([(seen == state).all(axis=1).sum() for state in exact.record.sample])
        return float(((counts - 1000 * law) ** 2 / (1000 * law)).sum())

    bound = 44.0  # of 7 degrees of freedom: 2e-7
    assert chi_square(1 / beta) < bound < chi_square(3 / beta)


def test_initial_states_are_where_reads_begin() -> None:
    bqm = model(6, "SPIN")
    state = dict.fromkeys(bqm.variables, 1)
    found = Sampler().sample(bqm, initial_states=state, num_sweeps=0, num_reads=1)
    assert found.first.sample == state


def test_temperatures_follow_from_the_biases() -> None:
    bqm = dimod.BinaryQuadraticModel.from_ising({"a": 1.0}, {("a", "b"): -3.0})
    hot, cold = default_beta_range(bqm)
    assert hot == pytest.approx(np.log(2) / 8)
    assert cold == pytest.approx(np.log(100) / 2)
    assert default_beta_range(dimod.BinaryQuadraticModel({"a": 0.0}, {}, "SPIN")) == [0.1, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_sweeps": -1}, "num_sweeps: -1 given; allowed: an integer, 0 or more"),
        ({"num_sweeps": 1.5}, "num_sweeps: 1.5 given"),
        ({"num_sweeps": 5, "num_sweeps_per_beta": 2}, "allowed: a multiple of num_sweeps_per_beta"),
        ({"beta_range": (0.0, 1.0)}, "beta_range: 0.0 given; allowed: finite numbers above 0"),
        ({"beta_range": (1.0,)}, "allowed: two numbers above 0"),
        ({"beta_schedule": [1.0]}, "beta_schedule: given; allowed: with beta_schedule_type"),
        ({"beta_schedule_type": "custom"}, "custom given; allowed: with beta_schedule alone"),
        ({"beta_schedule_type": "cubic"}, "allowed: geometric, linear, custom"),
        (
            {"beta_schedule_type": "custom", "beta_schedule": [1.0, 2.0], "num_sweeps": 3},
            "num_sweeps: 3 given; allowed: 2",
        ),
        ({"seed": -1}, "seed: -1 given; allowed: an integer, 0 or more"),
        ({"num_sweps": 3}, "num_sweps: allowed: num_reads, num_sweeps"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampler().sample(model(3, "SPIN"), **options)
