"""A network as a file: W and bias as the simulation sees them, before rounding to integers.

A .npz archive of `weights`, float64[N, N], and `bias`, float64[N], that is a network file itself.
Written tile by tile: no rank holds the matrix.
"""

import zipfile
from typing import IO

from numpy.lib import format as npy

from distsim.config.options import Config
from distsim.errors import OutputError
from distsim.files.places import check_disk
from distsim.files.whole import ended_by_exceptions, whole
from distsim.networks.catalogue import open_network
from distsim.networks.checks import check_model

TILE = 1 << 21  # weights written at a time
_HEADERS = 1 << 12  # bytes, more than an archive's own


def write(config: Config, path: str) -> None:
    """Write the network of a configuration to `path`.

    Raises InputError before anything is written: for a network that a run would refuse, or that
    the disk has no room for; OutputError for what went wrong later, which leaves nothing behind.
    """
    network = open_network(config)
    size = 8 * network.neurons * (network.neurons + 1) + _HEADERS
    check_disk(path, f"{network.neurons:,} neurons", size)
    network.peak(0, network.neurons)
    check_model(network, config.model, 0, network.neurons)
    try:
        with (
            ended_by_exceptions(),
            whole(path) as temporary,
            zipfile.ZipFile(temporary, "w") as archive,
        ):
            with archive.open("weights.npy", "w", force_zip64=True) as stream:
                _write_header(stream, (network.neurons, network.neurons))
                rows = max(1, TILE // network.neurons)
                for start in range(0, network.neurons, rows):
                    stop = min(start + rows, network.neurons)
                    stream.write(network.rows(start, stop).tobytes())
            with archive.open("bias.npy", "w") as stream:
                _write_header(stream, (network.neurons,))
                stream.write(network.bias.tobytes())
    except OSError as error:
        raise OutputError(f"output {path}: {error.strerror}") from error


def _write_header(stream: IO[bytes], shape: tuple[int, ...]) -> None:
    """The beginning of a .npy file of float64."""
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(stream, header)
