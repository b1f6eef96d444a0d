"""Every option of a run, in one frozen dataclass: validated once, stored in every output.

Values come from a TOML file, the environment (DISTSIM_<FIELD>) and the command line, each
overriding the one before (`gather`), or from Python (`Config(...)`): all pass the same checks.
A refusal says what was given, what is allowed, and where the value came from.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass
from typing import Any

from distsim.config.chains import ChainOptions
from distsim.config.conditions import SCHEDULED, ConditionOptions
from distsim.config.kinds import (
    Choice,
    Duration,
    Flag,
    Indices,
    Integer,
    Interval,
    Number,
    Text,
    Words,
    short,
)
from distsim.config.network import BUILT_IN, DEFAULT_NETWORK, GIVEN, SEED, NetworkOptions
from distsim.config.roles import Role, option
from distsim.errors import InputError
from distsim.files.claim import CLAIM
from distsim.files.places import PARTIAL, PREVIOUS
from distsim.files.whole import WRITING

DEFAULT_TRANSITIONS = 20_000  # the length of a run of the default network
LENGTHS_OF = {"mpm": ("transitions", "time"), "bm": ("transitions", "steps", "sweeps")}
OBSERVABLES = ("energy", "activity", "rates", "occupation", "moments", "samples", "best")
EVERY = 1.0  # the default of every
MOST_MOMENTS = 4096  # neurons whose moments are observed without asking for them
SAVE_EVERY = "10m"  # the default of checkpoint_every
# The files that a run writes for an option: what follows its name.
WRITTEN = {
    "output": ("", PARTIAL),
    "checkpoint": ("", WRITING, PREVIOUS, PREVIOUS + WRITING, CLAIM),
    "progress": ("",),
}


@dataclass(frozen=True)
class Config(ChainOptions, ConditionOptions, NetworkOptions):
    """The options of one run.

    `sources` names where values came from, field -> "--tau", "DISTSIM_TAU", "tau in run.toml",
    for messages only; `file` is the TOML file, which a run may not replace. Raises InputError.
    """

    model: str = option(
        "mpm", Choice(("mpm", "bm")), Role.STREAM, "McCulloch-Pitts machine or Boltzmann machine."
    )
    seed: int = option(0, SEED, Role.STREAM, "Seed of the chain.")
    transitions: int | None = option(
        None, Integer(1), Role.LENGTH, "Length: number of transitions."
    )
    time: float | None = option(
        None, Number(positive=True), Role.LENGTH, "Length: model time (mpm)."
    )
    steps: int | None = option(None, Integer(1), Role.LENGTH, "Length: number of steps (bm).")
    sweeps: int | None = option(
        None, Integer(1), Role.LENGTH, "Length: sweeps of one step a neuron (bm)."
    )
    engine: str = option(
        "auto",
        Choice(("auto", "walk", "relax", "race", "layers")),
        Role.CONDUCT,
        "walk: CPUs of one host; relax: many transitions a collective; race: one; layers: chains "
        "side by side.",
    )
    device: str = option("auto", Choice(("auto", "cpu", "gpu")), Role.CONDUCT, "Where to run.")
    exchange: str = option(
        "auto",
        Choice(("auto", "nccl", "peer")),
        Role.CONDUCT,
        "Between GPUs: peer memory of one host, or NCCL.",
    )
    weight_bits: int = option(32, Choice((8, 16, 32)), Role.STREAM, "Bits of a stored weight.")
    storage: str = option(
        "auto", Choice(("auto", "dense", "sparse")), Role.CONDUCT, "Which weights are held."
    )
    scan: str | None = option(
        None,
        Choice(("sequential", "random")),
        Role.STREAM,
        "Which neuron a step visits (bm) [default: sequential].",
    )
    initial: str = option(
        "zeros",
        Text("zeros|ones|random|FILE.npy", words=("zeros", "ones", "random", GIVEN), ending=".npy"),
        Role.STREAM,
        "Initial states.",
    )
    window: int | None = option(
        None,
        Integer(1, 2**32),
        Role.STREAM,
        "Events a window to aim at [default: from neurons, tau, weights].",
    )
    observe: str | None = option(
        None, Words(OBSERVABLES), Role.RECORD, f"Observables: {', '.join(OBSERVABLES)}."
    )
    every: float | None = option(
        None,
        Number(positive=True),
        Role.RECORD,
        f"Observe each time so much model time (mpm), or so many sweeps (bm), have passed "
        f"[default: {EVERY:g}].",
    )
    moments_of: str | None = option(
        None,
        Indices(),
        Role.RECORD,
        f"Neurons whose moments are observed [default: all, up to {MOST_MOMENTS:,}].",
    )
    events: bool | None = option(
        None,
        Flag(),
        Role.RECORD,
        "Write the events, not observables alone [default: of one chain].",
    )
    output: str | None = option(
        None, Text("FILE"), Role.FILES, "HDF5 file for events and observables."
    )
    overwrite: bool = option(
        False, Flag(), Role.FILES, "Replace existing output, checkpoint and progress files."
    )
    checkpoint: str | None = option(
        None, Text("FILE"), Role.FILES, "Where to save the run, for `distsim resume FILE`."
    )
    checkpoint_every: str | None = option(
        None, Interval(), Role.CONDUCT, f"How often, besides at its end [default: {SAVE_EVERY}]."
    )
    progress: str | None = option(None, Text("FILE"), Role.FILES, "Gets a line of JSON a second.")
    max_time: float | None = option(
        None,
        Duration(),
        Role.CONDUCT,
        "Stop after so long, as if by a signal: 90, 30s, 10m, 2h, 1d.",
    )
    watchdog: float = option(
        60.0,
        Duration(),
        Role.CONDUCT,
        "Seconds without progress after which all ranks are ended; ten times as many before the "
        "first window is done and while files are written, if no rank of the node is stopped.",
    )
    sources: InitVar[Mapping[str, str] | None] = None
    file: InitVar[str | None] = None

    def __post_init__(self, sources: Mapping[str, str] | None, file: str | None) -> None:
        sources = sources or {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                self._set(field.name, _converted(field, value, sources))
        if self.tau_schedule is not None and self.tau == 1.0 and "tau" not in sources:
            self._set("tau", SCHEDULED)
        self.check_conditions(sources, self.model, self.chains)
        self._check_length(sources)
        self._check_scan(sources)
        self._check_observables(sources)
        if self.events is None:
            self._set("events", self.chains == 1)
        ragged = self.observe is not None and self.transitions is not None
        self.check_chains(sources, ragged=ragged)
        self.check_layers(sources, self.engine, self.scan)
        others = self.tau != 1.0 or self.tau_schedule is not None or self.stimulus is not None
        every = self.check_tempering(sources, timed=self.transitions is None, others=others)
        self._set("swap_every", every)
        self._check_checkpoint(sources)
        self._check_files(sources, file)

    def asdict(self) -> dict[str, Any]:
        """Every option, by name."""
        return dataclasses.asdict(self)

    def json(self) -> str:
        """Every option, as stored in the output file."""
        return json.dumps(self.asdict())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen for everybody else

    def _check_length(self, sources: Mapping[str, str]) -> None:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        allowed = LENGTHS_OF[self.model]
        if len(given) > 1:
            places = ", ".join(_place(name, sources) for name in given)
            raise InputError(f"{places}: {len(given)} lengths given; allowed: one")
        if not given:
            if self.network != DEFAULT_NETWORK:
                raise InputError(
                    f"no length given for network {self.network}; allowed for the {self.model}: "
                    f"one of {', '.join(allowed)}"
                )
            self._set("transitions", DEFAULT_TRANSITIONS)
        elif given[0] not in allowed:
            raise InputError(
                f"{_place(given[0], sources)}: given for the {self.model}; allowed there: "
                f"one of {', '.join(allowed)}"
            )
        if self.ramp is not None and self.transitions is not None:
            raise InputError(
                f"{_place('tau', sources)}: {self.tau} given for a length in transitions; allowed: "
                f"{' or '.join(allowed[1:])}, or a tau_schedule"
            )
        if self.lowest_tau == 0 and self.transitions is not None:
            number = f"{self.transitions} given" if given else "none given"
            raise InputError(
                f"{_place('transitions', sources)}: {number} at tau 0; allowed there: steps or "
                "sweeps, since at tau 0 a network can come to rest and make no more transitions"
            )

    def _check_scan(self, sources: Mapping[str, str]) -> None:
        if self.model == "bm":
            self._set("scan", self.scan or "sequential")
        elif self.scan is not None:
            raise InputError(
                f"{_place('scan', sources)}: {self.scan} given for the mpm; allowed for the bm only"
            )

    def _check_observables(self, sources: Mapping[str, str]) -> None:
        if self.observe is not None:
            self._set("every", EVERY if self.every is None else self.every)
        elif self.every is not None:
            raise InputError(
                f"{_place('every', sources)}: given, but nothing to observe; "
                f"allowed: with {flag('observe')} NAME,..."
            )
        if self.moments_of is not None and "moments" not in self.observed:
            raise InputError(
                f"{_place('moments_of', sources)}: given, but no moments are observed; "
                f"allowed: with {flag('observe')} moments"
            )

    def _check_checkpoint(self, sources: Mapping[str, str]) -> None:
        if self.checkpoint is None and self.checkpoint_every is not None:
            raise InputError(
                f"{_place('checkpoint_every', sources)}: given without a checkpoint; "
                f"allowed: with {flag('checkpoint')} FILE"
            )

    def _check_files(self, sources: Mapping[str, str], file: str | None) -> None:
        """Refuse to write a file that is read, or one file for two purposes; by real paths."""
        users = {os.path.realpath(path): _place(name, sources) for name, path in self.files_read()}
        if file is not None:
            users[os.path.realpath(file)] = "the configuration"
        for name, endings in WRITTEN.items():
            path, place = getattr(self, name), _place(name, sources)
            for ending in () if path is None else endings:
                real = os.path.realpath(path + ending)
                if real in users:
                    raise InputError(
                        f"{place}: {path} given, but {path}{ending} belongs to {users[real]}; "
                        "allowed: a file that the run does not use otherwise"
                    )
                users[real] = place

    def files_read(self) -> Iterator[tuple[str, str]]:
        """(field, path) of the files that a run reads."""
        if self.network not in BUILT_IN:
            yield "network", self.network
        if self.bias is not None:
            yield "bias", self.bias
        if self.populations is not None:
            yield "populations", self.populations
        if self.patterns is not None and not self.patterns.isdecimal():
            yield "patterns", self.patterns
        if self.initial.endswith(".npy"):
            yield "initial", self.initial
        yield from self.condition_files()
        if self.temper is not None and ":" not in self.temper:
            yield "temper", self.temper

    @property
    def observed(self) -> frozenset[str]:
        """The observables of the run, by name."""
        return frozenset((self.observe or "").split(",")) - {""}

    @property
    def energies(self) -> bool:
        """Whether each event must tell by how much it changes the energy."""
        return bool(self.observed & {"energy", "best"})

    @property
    def save_events(self) -> int | None:
        """Events from one checkpoint to the next, where they are counted."""
        number, _, unit = (self.checkpoint_every or SAVE_EVERY).partition(" ")
        return int(number) if unit == "events" else None


FIELDS: dict[str, dataclasses.Field[Any]] = {
    field.name: field for field in dataclasses.fields(Config)
}
# What options are that are not given, of one chain.
DEFAULTS = {name: field.default for name, field in FIELDS.items()} | {"events": True}


def of_role(*roles: Role) -> tuple[str, ...]:
    """The options of these roles, in their order."""
    return tuple(name for name, field in FIELDS.items() if field.metadata["role"] in roles)


STREAM, LENGTHS, RECORD = of_role(Role.STREAM), of_role(Role.LENGTH), of_role(Role.RECORD)
NETWORK = of_role(Role.NETWORK)
# What only some networks have a use for.
_OF_ANY = ("network", "bias", "symmetrize", "diagonal_to_bias", "populations")
DETAILS = tuple(name for name in NETWORK if name not in _OF_ANY)


def _place(name: str, sources: Mapping[str, str]) -> str:
    """Where the value of an option came from, in words; its plain name from Python."""
    return sources.get(name, name)


def _converted(field: dataclasses.Field[Any], value: object, sources: Mapping[str, str]) -> Any:
    try:
        return field.metadata["kind"](value)
    except ValueError as error:
        raise InputError(
            f"{_place(field.name, sources)}: {short(value)} given; allowed: {error}"
        ) from None


def flag(name: str) -> str:
    """The option of the command line for a field."""
    return "--" + name.replace("_", "-")
