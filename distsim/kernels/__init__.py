"""The compiled loops: x.py for CPUs (Numba) beside x.cuh for GPUs (CUDA C++).

Symbols and units: `events.py`.
"""

from distsim.kernels import cache

cache.settle()
