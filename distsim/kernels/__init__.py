"""The compiled loops, by the same names for each device: `cpu` (Numba) and `cuda` (CuPy)."""
