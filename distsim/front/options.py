"""The options that Python takes: their types for checkers, their help for people.

Types are said once more, for mypy and editors, which read them without running anything; that they
are those of `config.options` is tested. The rest, signature and help, is made of the fields.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, NamedTuple, TypedDict, get_type_hints

from distsim.config.kinds import Integer, Number, short
from distsim.config.options import DETAILS, FIELDS, LENGTHS_OF
from distsim.errors import InputError


class Options(TypedDict, total=False):
    """What `simulate` and `stream` take by name, besides the network."""

    symmetrize: bool
    diagonal_to_bias: bool
    populations: str | PathLike[str] | None
    neurons: int | None
    coupling: float | None
    synapses: int | None
    degree: Literal["stratified", "probability"] | None
    weights: Literal["normal", "types"] | None
    ratio: float | None
    width: float | None
    extent: int | None
    network_seed: int | None
    patterns: str | PathLike[str] | int | None
    columns: str | Sequence[str] | None
    inhibitory: str | float | None
    repeats: Literal["refuse", "sum"] | None
    ids: Literal["names", "indices"] | None
    tau: float | str | Sequence[Any] | Callable[[float], float] | None
    tau_schedule: str | PathLike[str] | None
    clamp: str | PathLike[str] | Mapping[int | str, Any] | None
    stimulus: str | PathLike[str] | Sequence[Any] | None
    T: float | None
    beta: float | None
    chains: int
    replica: int
    ranks_per_chain: int | None
    temper: str | PathLike[str] | None
    swap_every: float | None
    model: Literal["mpm", "bm"]
    seed: int
    transitions: int | None
    time: float | None
    steps: int | None
    sweeps: int | None
    engine: Literal["auto", "walk", "relax", "race", "layers"]
    device: Literal["auto", "cpu", "gpu"]
    exchange: Literal["auto", "nccl", "peer"]
    weight_bits: Literal[8, 16, 32]
    storage: Literal["auto", "dense", "sparse"]
    scan: Literal["sequential", "random"] | None
    window: int | None
    observe: str | Iterable[str] | None
    every: float | None
    moments_of: str | Sequence[int | str] | range | slice | None
    events: bool | None


ALIASES = {"T": "Temperature: another name of tau.", "beta": "Inverse temperature, 1 / tau."}
ARGUMENTS = ("network", "bias", "initial")  # fields of the configuration that have their own
ELSEWHERE = tuple(
    name for name in FIELDS if name not in (*Options.__annotations__, *ARGUMENTS)
)  # files, and what is for runs of hours
_TEMPERATURES = ("tau", *ALIASES)


class Length(NamedTuple):
    """How far a run goes, or goes on: one of them."""

    transitions: int | None = None
    time: float | None = None
    steps: int | None = None
    sweeps: int | None = None


def settled(
    options: Mapping[str, Any], caller: str, *, named: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values of fields, and what they are called in messages.

    caller: the function that was given them; named: whether the network has a name, so that options
    of generated ones are allowed. Raises InputError.
    """
    _check_names(options)
    for name in (*ELSEWHERE, *(() if named else DETAILS)):
        given = options.get(name)
        if given is not None and given is not False:
            raise InputError(
                f"{name}: {short(given)} given to {caller}; allowed: on the command line"
                + ("" if name in ELSEWHERE else ", or with the name of a network")
            )
    values = {name: value for name, value in options.items() if name not in _TEMPERATURES}
    temperatures = [name for name in _TEMPERATURES if options.get(name) is not None]
    if len(temperatures) > 1:
        raise InputError(
            f"{', '.join(temperatures)}: {len(temperatures)} temperatures given; allowed: one of "
            "tau, T (the same) and beta (1 / tau)"
        )
    sources = {}
    for name in temperatures:
        values["tau"] = _temperature(options[name]) if name == "beta" else options[name]
        sources["tau"] = {"beta": "tau = 1 / beta"}.get(name, name)
    return values, sources


def _check_names(names: Iterable[str]) -> None:
    """Refuse what is no option, with the nearest one that is. Raises InputError."""
    allowed = [*FIELDS, *ALIASES]
    for name in names:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"{name}: no such option; {meant}allowed: {', '.join(allowed)}")


def _temperature(beta: Any) -> float:
    """1 / beta; 0 for an infinite one. Raises InputError."""
    try:
        if math.isinf(beta) and beta > 0:
            return 0.0
        tau = 1.0 / Number(positive=True)(beta)
        if math.isinf(tau):
            raise ValueError
        return tau
    except (TypeError, ValueError):
        raise InputError(
            f"beta: {short(beta)} given; allowed: a number above 1e-308, or inf (beta = 1 / tau)"
        ) from None


def count_of_ranks(ranks: Any) -> int | None:
    """The argument `ranks`. Raises InputError."""
    try:
        return None if ranks is None else Integer(1)(ranks)
    except ValueError as allowed:
        raise InputError(f"ranks: {short(ranks)} given; allowed: {allowed}") from None


def documented(function: Callable[..., Any]) -> None:
    """Give a function that takes **options: Unpack[Options] a signature that names each, and a
    docstring that tells what they are."""
    hints = get_type_hints(Options)
    own = inspect.signature(function)
    named = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=FIELDS[name].default if name in FIELDS else None,
            annotation=hint,
        )
        for name, hint in hints.items()
    ]
    own_ones = [part for part in own.parameters.values() if part.kind != part.VAR_KEYWORD]
    function.__signature__ = own.replace(parameters=own_ones + named)  # type: ignore[attr-defined]
    function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nOptions:\n\n{listing()}\n"


def listing() -> str:
    """A line an option, as in the help of the command line."""
    lines = []
    for name in get_type_hints(Options):
        if name in ALIASES:
            lines.append(f"{name}: {ALIASES[name]}")
            continue
        default = FIELDS[name].default
        text = FIELDS[name].metadata["help"]
        shown = "" if default is None or "[default" in text else f" [default: {default!r}]"
        lines.append(f"{name}: {text.replace('--', '')}{shown}")
    lengths = "; ".join(f"{model}: {', '.join(names)}" for model, names in LENGTHS_OF.items())
    return "\n".join(f"    {line}" for line in [*lines, "", f"One length is needed ({lengths})."])
