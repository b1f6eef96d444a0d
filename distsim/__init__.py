"""distsim: exact simulation of stochastic recurrent networks of binary neurons.

From Python:

    import distsim
    result = distsim.simulate(network, model="mpm", tau=1.0, transitions=10_000, seed=1)

Importing the package is cheap: `simulate` is fetched from `distsim.runs` at its first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distsim.runs.simulation import simulate

__version__ = "0.1.0"
__all__ = ["__version__", "simulate"]


def __getattr__(name: str) -> Any:
    if name == "simulate":
        from distsim.runs.simulation import simulate

        return simulate
    raise AttributeError(f"module 'distsim' has no attribute {name!r}")
