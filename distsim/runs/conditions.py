"""What holds when: the options and tables of a run as `laws.conditions.Conditions`.

Times in tables are model time (mpm) or sweeps (bm): there a change comes with the first step at or
after it. They are read as decimal numbers, exactly: 0.1 sweeps of 10 neurons are one step. The
temperatures of a ramp are rounded once from exact values, so that they are the same on any machine.
"""

from __future__ import annotations

import decimal
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim.config.conditions import FEWEST_STEPS, MOST_STEPS, Ramp
from distsim.config.kinds import short
from distsim.config.network import GIVEN
from distsim.config.options import Config, flag
from distsim.config.selection import index_of
from distsim.errors import InputError
from distsim.laws.conditions import Conditions
from distsim.ranks.agreement import agreed, gathered
from distsim.ranks.communicator import Communicator
from distsim.runs.tables import Given, Row, number_of, read, rows_of
from distsim.weights.source import Network

MPM_STEPS = 100  # of a ramp
_DIGITS = decimal.Context(prec=30)

Schedule = Sequence[tuple[Any, ...]] | Callable[[float], float]


def settled(
    config: Config,
    network: Network,
    ranks: Communicator,
    until: float | None,
    given: Given | None = None,
    saved: Mapping[str, NDArray[Any]] | None = None,
) -> Callable[[int], Conditions]:
    """The conditions of each chain, the same on every rank.

    until: the run's length in time or steps, if it has one; given: what a Python program gave, for
    options that say so; saved: of an earlier run that goes on, the `arrays` of its conditions, none
    where there was but one temperature. Raises InputError on every rank alike.
    """
    if saved is not None:
        before = Conditions.of(saved) if saved else None
        return lambda chain: before or Conditions.constant(config.tau_of(chain))
    of_chain = agreed(ranks, lambda: resolved(config, network, until, given or {}))
    known = hashlib.blake2b(digest_size=8)
    for chain in range(config.chains if config.clamp == GIVEN else 1):
        known.update(of_chain(chain).digest().encode())
    digests = gathered(ranks, known.hexdigest().encode())
    if len(set(digests)) > 1:
        rank = next(k for k, found in enumerate(digests) if found != digests[0])
        raise InputError(
            f"conditions: rank {rank} has others than rank 0; allowed: the same on every rank"
        )
    return of_chain


def resolved(
    config: Config, network: Network, until: float | None, given: Given
) -> Callable[[int], Conditions]:
    """The conditions of each chain, as `settled`. Raises InputError."""
    resolver = _Resolver(config, network, until)
    times, taus = resolver.temperatures(given.get("tau_schedule"))
    if config.temper is not None:  # at first the lowest: what a network must allow
        taus = np.array([ladder(config).min()])
    clamps = resolver.clamps(rows_of(config, "clamp", given))
    stimulus = resolver.stimulus(rows_of(config, "stimulus", given))

    def of_chain(chain: int) -> Conditions:
        own = np.array([float(config.tau_of(chain))]) if taus is None else taus
        return Conditions(times, own, *clamps(chain), *stimulus)

    return of_chain


def ladder(config: Config) -> NDArray[np.float64]:
    """The temperatures of the rungs, float64[R], of chains that swap them. Raises InputError."""
    assert config.temper is not None
    first, colon, last = config.temper.partition(":")
    if colon:
        return np.array(steps_of(Ramp(float(first), float(last), "geometric", None), config.chains))
    rows = read("temper", config.temper)
    taus = [number_of(row.cells[0]) for row in rows]
    for row, tau in zip(rows, taus, strict=True):
        if tau is None or not 0.0 < tau < math.inf:
            raise InputError(
                f"{row.place}: tau {short(row.cells[0])} given; allowed: finite numbers above 0"
            )
    if len(taus) != config.chains:
        raise InputError(
            f"temper {config.temper}: {len(taus)} temperatures given for {config.chains} chains; "
            "allowed: one each"
        )
    return np.array(taus, np.float64)


class _Resolver:
    def __init__(self, config: Config, network: Network, until: float | None) -> None:
        self._config = config
        self._network = network
        self._until = until
        self._sweep = network.neurons if config.model == "bm" else 0
        self._names = {name: i for i, name in enumerate(network.names or ())}

    # ------------------------------------------------------------------------------ temperatures
    def temperatures(
        self, given: Schedule | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """times, taus: float64[S]; None for taus that stay as they are."""
        config = self._config
        if callable(given):
            return self._evaluated(given)
        if config.tau_schedule is not None:
            return self._scheduled(rows_of(config, "tau_schedule", {"tau_schedule": given}))
        ramp = config.ramp
        if ramp is None:
            return np.zeros(1), None
        times = self._grid(ramp.steps, flag("tau"))
        return times, np.array(steps_of(ramp, times.size))

    def _grid(self, steps: int | None, place: str) -> NDArray[np.float64]:
        """When each of so many equal steps of the run's length begins; by default as many as it has
        sweeps (bm), or 100."""
        assert self._until is not None
        most = MOST_STEPS
        if self._sweep:
            steps = math.ceil(self._until / self._sweep) if steps is None else steps
            most = min(most, int(self._until))
        steps = MPM_STEPS if steps is None else steps
        if not FEWEST_STEPS <= steps <= most:
            raise InputError(
                f"{place}: {steps:,} steps of temperature given for this length; allowed: "
                f"{FEWEST_STEPS} to {most:,}, by another length or FROM:TO:SHAPE:STEPS"
            )
        length = Fraction(self._until)
        exact = (length * k / steps for k in range(steps))
        return np.array([float(math.ceil(t) if self._sweep else t) for t in exact])

    def _evaluated(
        self, function: Callable[[float], float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of a function of model time or sweeps, at the steps of a ramp."""
        if self._until is None:
            raise InputError(
                "tau: a function given for a run of so many transitions; allowed: for a length "
                "that says when it ends, or a list of (time, temperature)"
            )
        times = self._grid(None, "tau")
        rows = [
            Row(f"tau({t:g})", (t, function(t)))
            for t in (times / self._sweep if self._sweep else times).tolist()
        ]
        return times, np.array([self._tau(row.place, row.cells[1]) for row in rows])

    def _scheduled(self, rows: Iterable[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        times: list[float] = []
        taus: list[float] = []
        for row in rows:
            time = self._time(row.place, "time", row.cells[0])
            if not times and time != 0.0:
                raise InputError(f"{row.place}: time {short(row.cells[0])} given; allowed: 0 first")
            if times and time <= times[-1]:
                raise InputError(
                    f"{row.place}: time {short(row.cells[0])} given after that of the row before; "
                    "allowed: rising times" + (", in different steps" if self._sweep else "")
                )
            times.append(time)
            taus.append(self._tau(row.place, row.cells[1]))
        if not times:
            raise InputError("tau_schedule: no rows given; allowed: one or more, time 0 first")
        return np.array(times), np.array(taus)

    def _tau(self, place: str, value: object) -> float:
        tau, least = number_of(value), "0 or more"
        if self._config.model == "mpm":
            least = "above 0 (mpm)"
        too_low = tau is None or tau < 0.0 or (tau == 0.0 and self._config.model == "mpm")
        if tau is None or too_low or not math.isfinite(tau):
            raise InputError(f"{place}: tau {short(value)} given; allowed: finite numbers, {least}")
        if tau == 0.0 and self._config.transitions is not None:
            raise InputError(
                f"{place}: tau 0 given for a run of {self._config.transitions} transitions; "
                "allowed: for a length in steps or sweeps"
            )
        return tau

    # ------------------------------------------------------------------------------------- clamps
    def clamps(
        self, rows: Iterable[Row]
    ) -> Callable[[int], tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Of a chain, clamped: int64[C], rising; held: uint8[C]."""
        chains = self._config.chains
        of_all: dict[int, int] = {}
        of_one: dict[int, dict[int, int]] = {}
        known: set[int] = set()  # clamped in one chain or more
        for row in rows:
            *chain, name, state = row.cells
            i = self._neuron(row.place, name)
            if number_of(state) not in (0.0, 1.0):
                raise InputError(f"{row.place}: state {short(state)} given; allowed: 0 or 1")
            only = number_of(chain[0]) if chain else None
            if chain and only not in range(chains):
                raise InputError(
                    f"{row.place}: chain {short(chain[0])} given; allowed: 0 to {chains - 1}"
                )
            held = of_all if only is None else of_one.setdefault(int(only), {})
            if i in held or i in of_all or (only is None and i in known):
                raise InputError(
                    f"{row.place}: neuron {short(name)} is clamped already; allowed: each once"
                )
            held[i] = int(number_of(state) or 0)
            known.add(i)

        def of_chain(chain: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
            held = of_all | of_one.get(chain, {})
            clamped = sorted(held)
            return np.array(clamped, np.int64), np.array([held[i] for i in clamped], np.uint8)

        return of_chain

    # ----------------------------------------------------------------------------------- stimulus
    def stimulus(
        self, rows: Iterable[Row]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """start, stop: float64[M]; neuron: int64[M]; bias: float64[M]."""
        found = [self._pulse(row) for row in rows]
        columns = list(zip(*found, strict=True)) or [(), (), (), ()]
        start, stop, neuron, bias = columns
        return (
            np.array(start, np.float64),
            np.array(stop, np.float64),
            np.array(neuron, np.int64),
            np.array(bias, np.float64),
        )

    def _pulse(self, row: Row) -> tuple[float, float, int, float]:
        begin, end, name, added = row.cells
        start = self._time(row.place, "start", begin)
        last = number_of(end) == math.inf
        stop = math.inf if last else self._time(row.place, "stop", end, inside=False)
        if stop <= start:
            raise InputError(
                f"{row.place}: stop {short(end)} given; allowed: after its start"
                + (", in another step" if self._sweep else "")
            )
        bias = number_of(added)
        if bias is None or not math.isfinite(bias):
            raise InputError(f"{row.place}: bias {short(added)} given; allowed: finite numbers")
        return start, stop, self._neuron(row.place, name), bias

    # -------------------------------------------------------------------------------------- cells
    def _time(self, place: str, name: str, value: object, *, inside: bool = True) -> float:
        """In model time or steps."""
        number = number_of(value)
        if number is None or not 0.0 <= number < math.inf:
            raise InputError(
                f"{place}: {name} {short(value)} given; allowed: finite numbers, 0 or more"
            )
        time = number
        if self._sweep:
            text = str(value).strip() if isinstance(value, str) else repr(number)
            time = in_steps(text, self._sweep) if number else 0.0
        if inside and self._until is not None and time >= self._until:
            length = self._until / self._sweep if self._sweep else self._until
            raise InputError(
                f"{place}: {name} {short(value)} given; allowed: below {length:g}, where the run "
                "ends"
            )
        return time

    def _neuron(self, place: str, name: object) -> int:
        neurons, text = self._network.neurons, str(name).strip()
        index = index_of(text, neurons, self._names)
        if index is not None:
            return index
        known = ", or its names" if self._names else ""
        given = f"{text:.60}" if isinstance(name, str) else short(name)
        raise InputError(f"{place}: neuron {given} given; allowed: 0 to {neurons - 1}{known}")


def in_steps(sweeps: str, neurons: int) -> float:
    """A decimal number of sweeps, read exactly, as the steps that are not fewer."""
    return float(math.ceil(Fraction(sweeps) * neurons))


def steps_of(ramp: Ramp, steps: int) -> list[float]:
    """The temperatures of a ramp, from its first to its last, each rounded once."""
    if ramp.shape == "linear":
        first, rise = Fraction(ramp.first), Fraction(ramp.last) - Fraction(ramp.first)
        return [float(first + rise * k / (steps - 1)) for k in range(steps)]
    low, high = (_DIGITS.ln(Decimal(end)) for end in (ramp.first, ramp.last))
    rise_of_log = _DIGITS.subtract(high, low)
    inner = (
        _DIGITS.exp(
            _DIGITS.add(low, _DIGITS.divide(_DIGITS.multiply(rise_of_log, k), Decimal(steps - 1)))
        )
        for k in range(1, steps - 1)
    )
    return [ramp.first, *map(float, inner), ramp.last]
