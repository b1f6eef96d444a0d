"""The compiled loops: x.py for CPUs (Numba) beside x.cuh for GPUs (CUDA C++).

Symbols and units: `events.py`.

What belongs together is a named tuple. Python hands one to a kernel as `tuple(...)`, and the kernel
names its parts again: with each call Numba looks at the parts of a named tuple for twice the time
that it takes for a plain one, and a window of a small network is some ten calls.
"""

from distsim.kernels import cache

cache.settle()
