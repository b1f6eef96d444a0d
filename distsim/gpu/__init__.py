"""NVIDIA's GPUs through CuPy: driver, compiler, memory, launches."""
