"""distsim as a sampler for dimod: the Boltzmann machine anneals a binary quadratic model.

    import dimod
    from distsim.dimod import Sampler
    found = Sampler().sample(bqm, num_reads=10, num_sweeps=1000, seed=1)

Parameters have the names of dwave-samplers' SimulatedAnnealingSampler. Each read is a chain, a
replica of the seed, exact at every temperature: heat-bath (Gibbs) updates, neuron after neuron, one
sweep a temperature. In binary variables x and with the model's biases a, b the machine has

    W_ij = -b_ij,   b_i = -a_i,

so that E(x) = -x'Wx/2 - b'x is the model's energy less its offset.

Needs the extra `dimod`. Method: Kirkpatrick, Gelatt, Vecchi, Science 220 (1983) 671.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from distsim.chains.annealing import anneal
from distsim.config.chains import MOST_CHAINS
from distsim.config.kinds import short
from distsim.errors import InputError
from distsim.networks.matrices import from_array

try:
    import dimod
except ImportError as lack:
    raise ImportError("distsim.dimod needs dimod: pip install 'distsim[dimod]'") from lack

SCHEDULES = ("geometric", "linear", "custom")
SWEEPS = 1000  # the default of num_sweeps
# The default temperatures: at the hottest the costliest flip has even odds, at the coldest the
# cheapest one has a hundredth.
HOT_ODDS, COLD_ODDS = 2.0, 100.0


class Sampler(dimod.Sampler, dimod.Initialized):  # type: ignore[misc]
    """Anneals binary quadratic models: `dimod.Sampler`, on one core."""

    @property
    def parameters(self) -> dict[str, list[str]]:
        return {
            "num_reads": [],
            "num_sweeps": [],
            "num_sweeps_per_beta": [],
            "beta_range": [],
            "beta_schedule": [],
            "beta_schedule_type": ["beta_schedule_types"],
            "seed": [],
            "initial_states": [],
            "initial_states_generator": [],
        }

    @property
    def properties(self) -> dict[str, Any]:
        return {"beta_schedule_types": SCHEDULES}

    def sample(
        self,
        bqm: dimod.BinaryQuadraticModel,
        *,
        num_reads: int | None = None,
        num_sweeps: int | None = None,
        num_sweeps_per_beta: int = 1,
        beta_range: Sequence[float] | None = None,
        beta_schedule: Sequence[float] | None = None,
        beta_schedule_type: str = "geometric",
        seed: int | None = None,
        initial_states: Any = None,
        initial_states_generator: str = "random",
        **others: Any,
    ) -> dimod.SampleSet:
        """Anneal num_reads times; the sample of each is its last state.

        num_sweeps: of a read [default: 1,000], num_sweeps_per_beta of them at each inverse
        temperature, which go from beta_range[0] to beta_range[1] (inverse units of the model's
        energy) [default: from its biases] geometrically or linearly, or are those of beta_schedule
        with the type custom. seed: of all reads, in [0, 2^64) [default: drawn, in the result's
        info]. initial_states: as dimod takes them; those that lack are drawn. Raises InputError.
        """
        if others:
            raise InputError(f"{next(iter(others))}: allowed: {', '.join(self.parameters)}")
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        seed = _integer("seed", seed, 0, 2**64)
        parsed = self.parse_initial_states(
            bqm,
            initial_states=initial_states,
            initial_states_generator=initial_states_generator,
            num_reads=num_reads,
            seed=seed % 2**32,
        )
        betas, each = _betas(
            bqm, num_sweeps, num_sweeps_per_beta, beta_range, beta_schedule, beta_schedule_type
        )
        info = {
            "seed": seed,
            "beta_range": [betas[0], betas[-1]] if betas else None,
            "beta_schedule_type": beta_schedule_type,
        }
        first = parsed.initial_states
        if not bqm.num_variables or not len(first):
            return dimod.SampleSet.from_samples_bqm(first, bqm, info=info)
        order = list(first.variables)
        states = np.asarray(first.record.sample > 0, np.uint8)
        if len(states) > MOST_CHAINS:
            raise InputError(f"num_reads: {len(states)} given; allowed: up to {MOST_CHAINS:,}")
        found = _anneal(bqm, order, seed, states, betas, each)
        spins = (
            2 * found.astype(np.int8) - 1 if bqm.vartype is dimod.SPIN else found.astype(np.int8)
        )
        return dimod.SampleSet.from_samples_bqm((spins, order), bqm, info=info)


def _anneal(
    bqm: dimod.BinaryQuadraticModel,
    order: list[Any],
    seed: int,
    states: NDArray[np.uint8],
    betas: Sequence[float],
    sweeps: int,
) -> NDArray[np.uint8]:
    """uint8[reads, N], from `states`."""
    binary = bqm.change_vartype(dimod.BINARY, inplace=False)
    linear, (rows, columns, values), _ = binary.to_numpy_vectors(variable_order=order)
    pairs = coo_array((-values, (rows, columns)), shape=(len(order), len(order)))
    weights = (pairs + pairs.T).tocsr()
    network = from_array(weights, -linear)
    return anneal(network, seed, states, [1.0 / beta for beta in betas], sweeps)


def _betas(
    bqm: dimod.BinaryQuadraticModel,
    num_sweeps: int | None,
    each: int,
    beta_range: Sequence[float] | None,
    schedule: Sequence[float] | None,
    kind: str,
) -> tuple[list[float], int]:
    """The inverse temperatures in their order, and how many sweeps there are at each."""
    if kind not in SCHEDULES:
        raise InputError(
            f"beta_schedule_type: {short(kind)} given; allowed: {', '.join(SCHEDULES)}"
        )
    each = _integer("num_sweeps_per_beta", each, 1)
    if kind == "custom":
        if schedule is None or beta_range is not None:
            raise InputError("beta_schedule_type: custom given; allowed: with beta_schedule alone")
        betas = [_beta("beta_schedule", beta) for beta in schedule]
        if num_sweeps is not None and num_sweeps != each * len(betas):
            raise InputError(
                f"num_sweeps: {short(num_sweeps)} given; allowed: {each * len(betas)}, "
                "num_sweeps_per_beta for each of beta_schedule, or none"
            )
        return betas, each
    if schedule is not None:
        raise InputError("beta_schedule: given; allowed: with beta_schedule_type='custom'")
    sweeps = SWEEPS if num_sweeps is None else _integer("num_sweeps", num_sweeps, 0)
    if sweeps % each:
        raise InputError(
            f"num_sweeps: {sweeps} given; allowed: a multiple of num_sweeps_per_beta, {each}"
        )
    if beta_range is None:
        beta_range = default_beta_range(bqm)
    if len(beta_range) != 2:
        raise InputError(f"beta_range: {short(beta_range)} given; allowed: two numbers above 0")
    hot, cold = (_beta("beta_range", beta) for beta in beta_range)
    space = np.geomspace if kind == "geometric" else np.linspace
    return [float(beta) for beta in space(hot, cold, sweeps // each)], each


def default_beta_range(bqm: dimod.BinaryQuadraticModel) -> list[float]:
    """[hottest, coldest] for the costliest and the cheapest flip that the biases allow."""
    ising = bqm.change_vartype(dimod.SPIN, inplace=False)
    costs: dict[Any, list[float]] = {v: [2 * abs(bias)] for v, bias in ising.linear.items()}
    for (u, v), bias in ising.quadratic.items():
        costs[u].append(2 * abs(bias))
        costs[v].append(2 * abs(bias))
    largest = max((sum(parts) for parts in costs.values()), default=0.0)
    least = min((part for parts in costs.values() for part in parts if part > 0), default=0.0)
    if largest == 0.0:
        return [0.1, 1.0]  # every state is as good as any other
    return [float(np.log(HOT_ODDS) / largest), float(np.log(COLD_ODDS) / least)]


def _integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value >= high):
        allowed = f"an integer, {low} or more" + ("" if high is None else f", below {high}")
        raise InputError(f"{name}: {short(value)} given; allowed: {allowed}")
    return int(value)


def _beta(name: str, value: Any) -> float:
    try:
        beta = float(value)
    except (TypeError, ValueError):
        beta = -1.0
    if not 0.0 < beta < float("inf"):
        raise InputError(f"{name}: {short(value)} given; allowed: finite numbers above 0")
    return beta
