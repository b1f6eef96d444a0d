"""NumPy arrays in files, read block by block.

A matrix may be larger than a rank's memory: an `ArrayFile` knows where an array lies in a `.npy`
file or in a member of a `.npz` archive, and reads rectangles of it on demand. It keeps none.
Nothing is ever unpickled. Formats: numpy.lib.format; PKWARE's APPNOTE.TXT, section 4.3.

Every error that a missing, damaged or truncated file can cause is raised as InputError.
"""

from __future__ import annotations

import math
import os
import struct
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from distsim.errors import InputError

TILE_BYTES = 1 << 24  # what is read at a time
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip member: signature, lengths of name and extra
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn the errors of files and archives into InputError that names the place."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{place}: {error.strerror or error}") from None
    except (EOFError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise InputError(f"{place}: damaged or truncated: {error}") from None
    except (ValueError, RuntimeError, NotImplementedError, MemoryError) as error:
        raise InputError(f"{place}: not readable: {error}") from None


def check_real(place: str, dtype: np.dtype[Any]) -> None:
    """Refuse an array that holds something else than real numbers."""
    if dtype.kind not in "biuf":
        raise InputError(
            f"{place}: numbers of type {dtype} given; allowed: real, integer or boolean numbers"
        )


def open_npy(path: str) -> ArrayFile:
    """The array of a .npy file."""
    with reading(path):
        file = _open(path)
        return ArrayFile(path, file, file, 0, os.fstat(file.fileno()).st_size)


def open_npz(path: str) -> dict[str, ArrayFile]:
    """The arrays of a .npz file, by name."""
    with reading(path):
        archive = zipfile.ZipFile(path)
        names = [entry.filename for entry in archive.infolist()]
        for name in names:
            if not name.endswith(".npy") or names.count(name) > 1:
                raise InputError(f"{path}: member {name} given; allowed: arrays of distinct names")
        return {
            entry.filename.removesuffix(".npy"): _member(path, archive, entry)
            for entry in archive.infolist()
        }


class ArrayFile:
    """An array in a file: `shape`, `dtype`, and blocks array[i0:i1, j0:j1] of a matrix.

    place: what messages call it. `stream` starts with the array's header; `file` holds the
    array's bytes at random access, the header at `origin`; they may be the same. `size`: bytes,
    header included. `checked`: a member whose checksum `verify` compares.
    bytes_read: by this process so far, of all files: the progress of loading.
    """

    bytes_read = 0

    def __init__(
        self,
        place: str,
        stream: IO[bytes],
        file: IO[bytes],
        origin: int,
        size: int,
        checked: tuple[zipfile.ZipFile, zipfile.ZipInfo] | None = None,
    ) -> None:
        weakref.finalize(self, file.close)
        self.place = place
        self.shape, self._fortran, self.dtype = _header(place, stream)
        self._file = file
        self._origin = origin + stream.tell()
        self._checked = checked
        expected = stream.tell() + math.prod(self.shape) * self.dtype.itemsize
        if size != expected:
            raise InputError(
                f"{place}: {size} bytes given, damaged or truncated: its header, shape "
                f"{self.shape} of {self.dtype}, says {expected}"
            )

    def __getitem__(self, block: tuple[slice, slice]) -> NDArray[Any]:
        """array[i0:i1, j0:j1] of a matrix, in the file's dtype; bounds are clipped as usual."""
        rows, columns = block
        i0, i1, _ = rows.indices(self.shape[0])
        j0, j1, _ = columns.indices(self.shape[1])
        if self._fortran:
            return self._read(self.shape[0], j0, j1, i0, i1).T
        return self._read(self.shape[1], i0, i1, j0, j1)

    def whole(self) -> NDArray[Any]:
        """The whole of a vector."""
        return self._read(self.shape[0], 0, 1, 0, self.shape[0]).reshape(-1)

    def part(self, start: int, stop: int) -> NDArray[Any]:
        """array[start:stop] of a vector."""
        return self._read(self.shape[0], 0, 1, start, stop).reshape(-1)

    def scalar(self) -> Any:
        """The one element of an array without dimensions."""
        return self._read(1, 0, 1, 0, 1).reshape(())[()]

    def verify(self) -> None:
        """Compare an archive's checksum of the array: reads all of it. A .npy file has none."""
        if self._checked is None:
            return
        archive, entry = self._checked
        with reading(self.place), archive.open(entry) as stream:
            while part := stream.read(TILE_BYTES):
                ArrayFile.bytes_read += len(part)

    def _read(self, width: int, i0: int, i1: int, j0: int, j1: int) -> NDArray[Any]:
        """Rows [i0, i1), columns [j0, j1) of the file's lines of `width` numbers."""
        size = self.dtype.itemsize
        block = np.empty((max(0, i1 - i0), max(0, j1 - j0)), self.dtype)
        if block.size:
            raw = block.view(np.uint8)  # uint8[i1 - i0, (j1 - j0) * size]
            with reading(self.place):
                if j1 - j0 == width:
                    self._fill(i0 * width * size, raw.reshape(-1))
                else:
                    for k in range(i1 - i0):
                        self._fill(((i0 + k) * width + j0) * size, raw[k])
        return block

    def _fill(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        self._file.seek(self._origin + offset)
        filled = 0
        while filled < buffer.size:
            count = self._file.readinto(buffer[filled : filled + TILE_BYTES])  # type: ignore[attr-defined]
            if not count:
                raise EOFError(f"{buffer.size - filled} bytes missing")
            filled += count
            ArrayFile.bytes_read += count


def _open(path: str) -> IO[bytes]:
    return open(path, "rb", buffering=0)  # an ArrayFile closes it


def _member(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> ArrayFile:
    """A member of an archive: read in place if stored, through the decompressor otherwise.

    The decompressor goes forwards only: blocks in ascending order cost one pass over the member,
    a step back starts it again.
    """
    place = f"{path}, array {entry.filename.removesuffix('.npy')}"
    with reading(place):
        stream = archive.open(entry)
        if entry.compress_type != zipfile.ZIP_STORED:
            return ArrayFile(place, stream, stream, 0, entry.file_size, (archive, entry))
        file = _open(path)
        file.seek(entry.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            raise InputError(f"{place}: damaged: no zip header where the directory says")
        origin = entry.header_offset + _LOCAL_HEADER.size + name + extra
        return ArrayFile(place, stream, file, origin, entry.file_size, (archive, entry))


def _header(place: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype."""
    try:
        version = npy.read_magic(stream)
        if version not in _HEADERS:  # the third has only named fields of structures to add
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = _HEADERS[version](stream)
    except OSError:
        raise
    except Exception as error:  # numpy's parser answers damaged bytes with exceptions of any kind
        raise InputError(
            f"{place}: not a NumPy array: {error}; allowed: what numpy.save writes"
        ) from None
    if dtype.hasobject or min(shape, default=0) < 0:
        raise InputError(
            f"{place}: shape {shape} of {dtype} given; allowed: numbers, nothing is unpickled"
        )
    return shape, fortran, dtype
