"""Checkpoints: a run in a small file, from which it goes on with the same bits.

A chain is resumed at a window's start. All that its future follows from is the network, the
options that define the stream, the states, and the law's clock; z = W x is computed again, and
random numbers are functions of what they are for. So the file holds

    distsim checkpoint 3\n
    a line of JSON       the fields of `Checkpoint`, but for the states
    ceil(N / 8) bytes    the states, eight a byte (numpy.packbits)
    an .npz archive      what observables go on from, and conditions, where there are any
    32 bytes             BLAKE2b of all before

and nothing of ranks, engine or device, none of which the chain depends on. Of several chains, after
a line of JSON of what they share, each that has begun has the middle three for itself, and the
archive also has what it has given so far. The file is written under a temporary name, synced, and
renamed, and the file before it is kept as FILE.previous.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distsim import __version__
from distsim.chains.chain import Position
from distsim.config.kinds import Duration
from distsim.config.options import SAVE_EVERY, Config
from distsim.errors import InputError, OutputError
from distsim.files.places import PREVIOUS
from distsim.files.whole import WRITING, sync, whole
from distsim.kernels.window import Clock
from distsim.laws.window import RULE
from distsim.ranks.agreement import broadcast
from distsim.ranks.communicator import Communicator

_NAME = b"distsim checkpoint "
_FORMAT = b"3"  # another for another window rule, too: the stream to come depends on it
_FORMER = b"2"  # in which the sequential scan drew others
_CHECKSUM = 32  # bytes
_GIVEN, _CONDITIONS, _LADDER = "given/", "conditions/", "ladder/"  # what names of arrays begin with


@dataclass(frozen=True)
class Stand:
    """A chain to go on with.

    position: where it goes on; transitions, time: how far it had come, inside the window that
    begins at `position`; observed: where its observables stand then; given: what it has given so
    far, of one among several, whose output is written at the end; conditions: their `arrays`, where
    there are more than one temperature; ladder: with the first of chains that swap temperatures,
    its state.
    """

    position: Position
    transitions: int
    time: float
    observed: dict[str, NDArray[Any]] = field(default_factory=dict)
    given: dict[str, NDArray[Any]] = field(default_factory=dict)
    conditions: dict[str, NDArray[Any]] = field(default_factory=dict)
    ladder: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A run to go on with.

    config: its options; network: the digest of its network; chains: those that have begun, by
    replica; rule: the version of the window rule (`laws.window`).
    """

    config: dict[str, Any]
    network: str
    neurons: int
    chains: dict[int, Stand]
    version: str = __version__
    rule: int = RULE

    @property
    def chain(self) -> Stand:
        """The only one."""
        (only,) = self.chains.values()
        return only


def pack(checkpoint: Checkpoint) -> bytes:
    """The bytes of a file."""
    header = vars(checkpoint).copy()
    chains = header.pop("chains")
    if checkpoint.config.get("chains", 1) == 1:
        content = pack_chain(checkpoint.chain, header)
    else:
        parts = {replica: pack_chain(one) for replica, one in chains.items()}
        header["chains"] = [[replica, len(part)] for replica, part in parts.items()]
        content = b"\n".join((json.dumps(header).encode(), *parts.values()))
    body = b"\n".join((_NAME + _FORMAT, content))
    return body + hashlib.blake2b(body, digest_size=_CHECKSUM).digest()


def pack_chain(stand: Stand, header: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a chain, with this in its line of JSON."""
    position = {**vars(stand.position), "clock": stand.position.clock._asdict()}
    states = position.pop("states")
    line = {"position": position, "transitions": stand.transitions, "time": stand.time}
    archive = io.BytesIO()
    arrays = dict(stand.observed)
    parts_of = {_GIVEN: stand.given, _CONDITIONS: stand.conditions, _LADDER: stand.ladder}
    for prefix, parts in parts_of.items():
        arrays |= {prefix + name: part for name, part in parts.items()}
    if arrays:
        np.savez(archive, **arrays)  # type: ignore[arg-type]
    content = np.packbits(states).tobytes() + archive.getvalue()
    return b"\n".join((json.dumps({**(header or {}), **line}).encode(), content))


def unpack(data: bytes, path: str) -> Checkpoint:
    """The run in the bytes of a file. Raises InputError."""
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    name, _, content = body.partition(b"\n")
    if not name.startswith(_NAME):
        raise InputError(f"checkpoint {path}: not a checkpoint of distsim")
    if name not in (_NAME + _FORMAT, _NAME + _FORMER):
        raise InputError(
            f"checkpoint {path}: format {name.removeprefix(_NAME).decode(errors='replace')} given; "
            f"distsim {__version__} can read formats {_FORMER.decode()} and {_FORMAT.decode()}"
        )
    if hashlib.blake2b(body, digest_size=_CHECKSUM).digest() != checksum:
        raise InputError(f"checkpoint {path}: damaged or truncated: its checksum does not hold")
    line, _, parts = content.partition(b"\n")
    header = json.loads(line)
    config = header["config"]
    if name == _NAME + _FORMER and (config["model"], config["scan"]) == ("bm", "sequential"):
        raise InputError(
            f"checkpoint {path}: format {_FORMER.decode()} given, of a bm's sequential scan, whose "
            f"random numbers are others since format {_FORMAT.decode()}; allowed: the run anew, or "
            "the version of distsim that began it"
        )
    chains, start = {}, 0
    for replica, size in header.pop("chains", []):
        chains[replica] = unpack_chain(parts[start : start + size], header["neurons"])
        start += size + 1
    if "position" in header:
        chains[config.get("replica", 0)] = unpack_chain(content, header["neurons"])
    common = {name: header[name] for name in ("config", "network", "neurons", "version")}
    return Checkpoint(**common, chains=chains, rule=header.get("rule", 1))


def unpack_chain(content: bytes, neurons: int) -> Stand:
    """The chain whose `pack_chain` this is."""
    line, _, packed = content.partition(b"\n")
    header = json.loads(line)
    bits, archive = np.split(np.frombuffer(packed, np.uint8), [-(-neurons // 8)])
    arrays = dict(np.load(io.BytesIO(archive.tobytes()))) if archive.size else {}

    def those(prefix: str) -> dict[str, NDArray[Any]]:
        names = [name for name in arrays if name.startswith(prefix)]
        return {name.removeprefix(prefix): arrays.pop(name) for name in names}

    position, clock = header["position"], header["position"].pop("clock")
    if "step" in clock:  # of a BM, as written by versions before rooms
        clock["number"] = clock.pop("step")
        clock["high"] = float(clock["number"])
    return Stand(
        Position(states=np.unpackbits(bits, count=neurons), clock=Clock(**clock), **position),
        header["transitions"],
        header["time"],
        given=those(_GIVEN),
        conditions=those(_CONDITIONS),
        ladder=those(_LADDER),
        observed=arrays,
    )


def read(path: str, ranks: Communicator) -> Checkpoint:
    """The run in a file that the root reads. Raises InputError on every rank alike."""
    data, error = b"", None
    if ranks.rank == 0:
        try:
            data = _bytes(path)
            unpack(data, path)
        except InputError as bad:
            error = f"{bad}{_offer(path)}"
    ranks.agree(error)
    return unpack(broadcast(ranks, data), path)


def write(path: str, data: bytes) -> None:
    """Replace the checkpoint at `path`, and keep the one before. Raises OutputError."""
    try:
        with whole(path) as temporary:
            Path(temporary).write_bytes(data)
            sync(temporary)  # before the one that is there gives way
            if _intact(path):
                _name_also(path, path + PREVIOUS)
    except OSError as error:
        raise OutputError(f"checkpoint {path}: {error.strerror}") from error


def remove(path: str) -> None:
    """Remove the checkpoints of a run that is begun anew. Raises OutputError."""
    for name in (path, path + PREVIOUS):
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        except OSError as error:
            raise OutputError(f"checkpoint {name}: {error.strerror}") from error


class Schedule:
    """When the next checkpoint is due: after so many events, or so many seconds on the root."""

    def __init__(self, config: Config, transitions: int) -> None:
        """`transitions`: events so far."""
        self._events = config.save_events
        text = config.checkpoint_every or SAVE_EVERY
        self._seconds = None if self._events else Duration()(text)
        self.saved(transitions)

    def saved(self, transitions: int) -> None:
        self._transitions = transitions
        self._moment = monotonic()

    def due(self, transitions: int) -> bool:
        """By events: the same on every rank."""
        return self._events is not None and transitions - self._transitions >= self._events

    def overdue(self) -> bool:
        """By the clock of this rank."""
        return self._seconds is not None and monotonic() - self._moment >= self._seconds


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"checkpoint {path}: {error.strerror}") from None


def _intact(path: str) -> bool:
    try:
        unpack(_bytes(path), path)
    except InputError:
        return False
    return True


def _offer(path: str) -> str:
    """The way out of a checkpoint that cannot be read."""
    previous = path + PREVIOUS
    if not _intact(previous):
        return ""
    return f"; the one before it is whole: distsim resume {previous}"


def _name_also(path: str, previous: str) -> None:
    """Give a file a second name, without a moment in which it has none."""
    temporary = previous + WRITING
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        os.replace(path, previous)
        return
    os.replace(temporary, previous)
