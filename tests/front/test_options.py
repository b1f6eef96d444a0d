"""What Python takes: types, signatures, help and refusals follow the configuration."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest

import distsim
from distsim.config import chains, conditions, kinds
from distsim.config.options import FIELDS, of_role
from distsim.config.roles import Role
from distsim.errors import InputError
from distsim.front.given import given
from distsim.front.options import ALIASES, ARGUMENTS, ELSEWHERE, Options

HINTS = get_type_hints(Options)
W = np.array([[0.0, 1.0], [1.0, 0.0]])
FEW: dict[str, Any] = {"transitions": 3}


def types_of(name: str) -> set[Any]:
    """The types of an option, each once, without None."""
    hint = HINTS[name]
    parts = get_args(hint) if get_origin(hint) not in (None, Literal) else (hint,)
    return {part for part in parts if part is not type(None)}


def test_python_takes_all_options_but_files_and_what_is_for_long_runs() -> None:
    assert [name for name in HINTS if name not in ALIASES] == [
        name for name in FIELDS if name not in (*ELSEWHERE, *ARGUMENTS)
    ]
    expected = {*of_role(Role.FILES), "checkpoint_every", "max_time", "watchdog"}
    assert set(ELSEWHERE) == expected


@pytest.mark.parametrize("name", [name for name in HINTS if name not in ALIASES])
def test_types_are_those_of_the_configuration(name: str) -> None:
    found, kind = types_of(name), FIELDS[name].metadata["kind"]
    match kind:
        case kinds.Integer():
            assert found == {int}
        case kinds.Number():
            assert found == {float}
        case kinds.Flag():
            assert found == {bool}
        case kinds.Choice(allowed=allowed):
            (literal,) = found
            assert set(get_args(literal)) == set(allowed)
        case kinds.Words():
            assert found == {str, Iterable[str]}
        case kinds.Indices():
            assert found == {str, Sequence[int | str], range, slice}
        case kinds.Columns():
            assert found == {str, Sequence[str]}
        case kinds.Cells():
            assert found == {str, float}
        case conditions.Temperature():
            assert found == {float, str, Sequence[Any], Callable[[float], float]}
        case conditions.Clamp():
            assert found == {str, PathLike[str], Mapping[int | str, Any]}
        case kinds.Text() if name == "stimulus":
            assert found == {str, PathLike[str], Sequence[Any]}
        case chains.Rungs():
            assert found == {str, PathLike[str]}
        case kinds.Text(number=number):
            assert found == {str, PathLike[str], *([int] if number else [])}
        case _:
            pytest.fail(f"{name}: a kind without a type here")
    may_lack = FIELDS[name].default is None or name == "tau"  # T and beta stand for tau
    assert (type(None) in get_args(HINTS[name])) == may_lack
    assert get_origin(HINTS["tau"]) is not Union or may_lack


@pytest.mark.parametrize("function", [distsim.simulate, distsim.stream])
def test_signature_and_help_name_every_option(function: Any) -> None:
    parameters = inspect.signature(function).parameters
    assert [name for name in parameters if name in HINTS] == list(HINTS)
    for name, hint in HINTS.items():
        assert parameters[name].kind == inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].annotation == hint
        assert parameters[name].default == (None if name in ALIASES else FIELDS[name].default)
        text = ALIASES.get(name) or FIELDS[name].metadata["help"]
        assert f"    {name}: {text}" in function.__doc__


def test_temperature_has_three_names() -> None:
    for options in ({"tau": 0.25}, {"T": 0.25}, {"beta": 4}):
        assert given(W, None, None, {**FEW, **options}, "simulate").config.tau == 0.25
    cold = given(W, None, None, {"model": "bm", "steps": 3, "beta": np.inf}, "simulate")
    assert cold.config.tau == 0.0


def test_observables_come_as_lists_and_ranges() -> None:
    options = {**FEW, "observe": ["best", "moments"], "every": 2, "moments_of": range(2)}
    config = given(W, None, None, options, "simulate").config
    assert (config.observe, config.every, config.moments_of) == ("moments,best", 2.0, "0:2")
    options["moments_of"] = [1, 0]
    assert given(W, None, None, options, "simulate").config.moments_of == "1,0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"T": 1.0, "beta": 1.0}, r"T, beta: 2 temperatures given; allowed: one of"),
        ({"beta": 0}, r"beta: 0 given; allowed: a number above 1e-308, or inf"),
        ({"beta": W}, r"beta: an array of shape \(2, 2\) given"),
        ({"beta": np.inf}, r"tau = 1 / beta: 0 given; allowed for the mpm: above 0"),
        ({"T": -1}, r"T: -1 given; allowed: a finite number"),
        ({"bata": 1}, r"bata: no such option; did you mean beta\?"),
        ({"watchdog": 3.0}, r"watchdog: 3.0 given to simulate; allowed: on the command line"),
        ({"checkpoint": "a"}, r"checkpoint: 'a' given to simulate; allowed: on the command"),
        ({"neurons": 5}, r"neurons: 5 given to simulate; .* with the name of a network"),
        ({"ranks": 1.5}, r"ranks: 1.5 given; allowed: an integer, 1 or more"),
        ({"ranks": W}, r"ranks: an array"),
        ({"show_progress": W}, r"show_progress: an array .* given; allowed: True, False or None"),
        ({"initial": "array"}, r"initial: 'array' given; allowed: zeros\|ones"),
        ({"initial": [0, 1, 1]}, r"initial: shape \(3,\), .* allowed: 2 numbers, one a neuron"),
        ({"initial": [0, 2]}, r"initial: .* each 0 or 1"),
        ({"initial": ["a", "b"]}, r"initial: numbers of type"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        distsim.simulate(W, **FEW, **options)


def test_stream_refuses_before_its_first_part() -> None:
    with pytest.raises(InputError, match="output: 'a' given to stream"):
        distsim.stream(W, **FEW, output="a")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="block: 0 given; allowed: an integer, 1 or more"):
        distsim.stream(W, **FEW, block=0)


def test_the_package_lists_what_there_is_and_imports_at_once() -> None:
    program = (
        "import distsim, sys; print(*(m for m in ('numba', 'numpy', 'h5py', 'mpi4py', 'xarray') "
        "if m in sys.modules)); print(*dir(distsim))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded, listed = done.stdout.splitlines()
    assert loaded == ""
    names = ["InputError", "OutputError", "Part", "Result", "read", "simulate", "stream"]
    assert {*names, "__version__"} <= set(listed.split())
    assert distsim.InputError is InputError
    assert all(hasattr(distsim, name) for name in names)


class Packed:
    """An array that has DLPack alone."""

    def __init__(self, numbers: Any, device: tuple[int, int] = (1, 0)) -> None:
        self._numbers, self._device = np.array(numbers), device

    def __dlpack__(self, **options: Any) -> Any:
        if self._device[0] != 1:
            raise BufferError("on a GPU")
        return self._numbers.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def test_arrays_by_dlpack() -> None:
    options: dict[str, Any] = {**FEW, "diagonal_to_bias": True}
    packed = given(
        Packed([[2.0, 1], [3, 0]]), Packed([1.0, 2.0]), Packed([1, 0]), options, "simulate"
    )
    network = packed.open()
    assert network.rows(0, 2).tolist() == [[0, 1], [3, 0]]
    assert network.bias.tolist() == [2, 2]
    assert packed.states is not None
    assert packed.states.tolist() == [1, 0]
    for name, arguments in {
        "network": (Packed(W, (2, 0)), None, None),
        "bias": (W, Packed([1.0], (2, 0)), None),
        "initial": (W, None, Packed([1], (2, 0))),
    }.items():
        message = f"^{name}: no array that NumPy takes by DLPack: .*in the memory of the host"
        with pytest.raises(InputError, match=message):
            given(*arguments, FEW, "simulate")
