"""distsim: exact simulation of stochastic recurrent networks of binary neurons.

From Python:

    import distsim
    result = distsim.simulate(network, model="mpm", tau=1.0, transitions=10_000, seed=1)

| name | |
|---|---|
| simulate | a run, as a Result |
| stream | a run, part by part, while it goes |
| read | an output file, as a Result |
| Result, Part | what they give |
| InputError | what cannot be done as asked: a ValueError |
| OutputError | what cannot be written: an OSError |

Importing the package is cheap: each of them is fetched at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distsim.errors import InputError, OutputError
    from distsim.front.reading import read
    from distsim.front.result import Result
    from distsim.front.session import Part
    from distsim.front.simulate import simulate
    from distsim.front.stream import stream

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "OutputError",
    "Part",
    "Result",
    "__version__",
    "read",
    "simulate",
    "stream",
]

_PLACES = {
    "InputError": "errors",
    "OutputError": "errors",
    "Part": "front.session",
    "Result": "front.result",
    "read": "front.reading",
    "simulate": "front.simulate",
    "stream": "front.stream",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"distsim.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'distsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
