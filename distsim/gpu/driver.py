"""The GPU of this rank, as the driver tells."""

import cupy


def missing() -> str | None:
    """Why there is no GPU to be had, or None."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA finds none ({error})"
    return None if count else "CUDA finds none"


def choose(local_rank: int) -> str:
    """Take the GPU of this rank of its host for this process; its name and UUID."""
    device = cupy.cuda.Device(local_rank % cupy.cuda.runtime.getDeviceCount())
    device.use()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    return f"{properties['name'].decode()} {bytes(b % 256 for b in properties['uuid']).hex()}"


def multiprocessors() -> int:
    """How many this rank's GPU has."""
    count: int = cupy.cuda.Device().attributes["MultiProcessorCount"]
    return count


def shared_memory() -> int:
    """Bytes of shared memory of each of its multiprocessors."""
    size: int = cupy.cuda.Device().attributes["MaxSharedMemoryPerMultiprocessor"]
    return size


def free_memory() -> int:
    """Bytes that can still be taken on this rank's GPU."""
    free: int = cupy.cuda.runtime.memGetInfo()[0]
    return free


def free_unused() -> None:
    """Return the memory that CuPy keeps for later."""
    cupy.get_default_memory_pool().free_all_blocks()
