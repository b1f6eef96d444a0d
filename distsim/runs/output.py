"""The output file of a run in the making.

What it holds: `files.events`. The file grows under FILE.partial and takes its own name when it is
whole and on the disk, so under its own name it is whole or absent. Whatever ends the process, the
partial file is an HDF5 file with all events up to a block (see `files.journal`); a run that goes on
from a checkpoint cuts it back. Not compressed: events come faster than a compressor.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from distsim import __version__
from distsim.config.options import Config
from distsim.errors import InputError, OutputError
from distsim.files.chains import CHAIN
from distsim.files.events import (
    ATTEMPTS,
    BLOCK,
    CONDITIONS,
    EVENTS,
    NETWORK,
    OBSERVABLES,
    partial_path,
)
from distsim.files.journal import Disk
from distsim.files.whole import sync_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distsim.chains.chain import Position
    from distsim.recording.observation import Observation, Plan


CHUNK = 32_768  # events a chunk: 256 KiB of times


class EventFile:
    """An output file in the making. One rank, the root, holds it.

    `begin` or `reopen` it, `append` events and `extend` observables block by block (each is
    flushed: give it large ones), `add` what observables are only known at the end, then `finish`,
    or `leave` it to a run that goes on later, or `discard` it. Raises OutputError.
    """

    def __init__(self, path: str, disk: Disk, file: Any) -> None:
        self.path = path
        self.partial = partial_path(path)
        self._disk = disk
        self._file = file

    @classmethod
    def begin(
        cls,
        path: str,
        config: Config,
        initial: NDArray[np.uint8],
        plan: Plan | None = None,
        where: Mapping[str, Any] | None = None,
        network: Mapping[str, Sequence[str] | None] | None = None,
    ) -> EventFile:
        """A new file at `path`, with every option, the initial state, uint8[N], or of several
        chains uint8[R, N], and room for events and for the observables of `plan`. where: what else
        to say of the attempt; network: names and population of the neurons, where they have them.

        A partial file that is there is replaced, unless it is that of a run at work.
        """
        import h5py

        disk = _opened(partial_path(path), new=True)
        self = cls(path, disk, h5py.File(disk, "w"))
        self._file["state/initial"] = initial
        for name, texts in (network or {}).items():
            if texts is not None:
                encoded = [text.encode() for text in texts]
                kind = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
                self._file.create_dataset(f"{NETWORK}/{name}", data=encoded, dtype=kind)
        columns = EVENTS if config.chains == 1 else EVENTS | CHAIN
        for name, kind in columns.items() if config.events else ():
            self._file.create_dataset(
                f"events/{name}", (0,), kind, maxshape=(None,), chunks=(CHUNK,)
            )
        for name, (row, kind) in () if plan is None else plan.datasets.items():
            rows = max(1, min(CHUNK, CHUNK // max(1, math.prod(row))))
            self._file.create_dataset(
                f"{OBSERVABLES}/{name}", (0, *row), kind, maxshape=(None, *row), chunks=(rows, *row)
            )
        try:
            self._describe(config, 0, where or {})
            self._flush()
        except OutputError:
            self.discard()
            raise
        return self

    @classmethod
    def reopen(
        cls,
        path: str,
        config: Config,
        position: Position,
        observation: Observation | None = None,
        where: Mapping[str, Any] | None = None,
        conditions: Mapping[str, NDArray[Any]] | None = None,
    ) -> EventFile:
        """The file of an earlier run, partial or finished, cut back to its events before
        `position`, and to the samples that `observation` has made. where: what else to say of the
        attempt; conditions: their `arrays`, where it has any.

        Raises InputError, and leaves the file as it is, if it does not hold these.
        """
        import h5py

        partial = partial_path(path)
        found = partial if os.path.exists(partial) else path
        if not os.path.exists(found):
            raise InputError(
                f"output: neither {partial} nor {path}; allowed: the event file of the run that is "
                "resumed (--output, if it was moved)"
            )
        disk = _opened(found, new=False)
        try:
            self = cls(path, disk, h5py.File(disk, "r+"))
        except OSError as error:
            disk.abandon()
            raise InputError(f"output {found}: not an HDF5 file: {error}") from None
        try:
            with _undamaged(found):
                if config.events:
                    self._check_events(found, position)
                if observation is not None:
                    self._check_samples(found, observation)
                self._check_conditions(found, conditions or {})
                self._cut(config, position, observation)
                self._describe(config, position.transitions, where or {})
                self._file.flush()  # to the disk's memory
            try:
                disk.rename(partial)
            except OSError as error:
                raise OutputError(f"output {found}: {error.strerror}") from error
            self._flush()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # of a damaged file, which stays as it was
                self._file.close()
            disk.abandon()
            raise
        return self

    def append(
        self, time: NDArray[np.float64], neuron: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> None:
        """Write K more events: float64[K], int64[K], uint8[K]."""
        self._lengthen("events", {"time": time, "neuron": neuron, "state": state})

    def append_columns(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Write K more events by the names of all columns, as those of several chains."""
        self._lengthen("events", columns)

    def put(self, group: str, values: Mapping[str, NDArray[Any]]) -> None:
        """Write whole arrays."""
        for name, value in values.items():
            self._file[f"{group}/{name}"] = value
            self._flush()

    def extend(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Write D more samples of observables."""
        self._lengthen(OBSERVABLES, rows)

    def add(self, totals: Mapping[str, NDArray[Any]], digest: str) -> None:
        """What of the observables is no row a sample, and the digest of all."""
        self.put(OBSERVABLES, totals)
        self._file.attrs["observables_digest"] = digest

    def sync(self) -> None:
        """Have the disk hold all that was appended."""
        with self._named():
            self._disk.sync()

    def finish(self, final: NDArray[np.uint8], digest: str) -> None:
        """Complete the file with the final state, as the initial one, and give it its name."""
        self._file["state/final"] = final
        self._file.attrs["digest"] = digest
        self.leave()
        with self._named():
            os.replace(self.partial, self.path)
            sync_folder(self.path)

    def leave(self) -> None:
        """Close the file under its partial name."""
        self._file.close()
        with self._named():
            self._disk.close()

    def discard(self) -> None:
        """Remove what was written. Nothing happens after `finish`."""
        self._file.close()
        self._disk.abandon()
        with contextlib.suppress(OSError):
            os.unlink(self.partial)

    def _lengthen(self, group: str, blocks: Mapping[str, NDArray[Any]]) -> None:
        for name, block in blocks.items():
            dataset = self._file[group][name]
            before = dataset.shape[0]
            dataset.resize(before + len(block), axis=0)
            dataset[before:] = block
        self._flush()

    def _cut(self, config: Config, position: Position, observation: Observation | None) -> None:
        """Back to `position`, and to the samples of `observation`."""
        for name in EVENTS if config.events else ():
            self._file["events"][name].resize(position.transitions, axis=0)
        if observation is not None:
            for name in observation.plan.datasets:
                self._file[OBSERVABLES][name].resize(observation.samples, axis=0)
            self._remove(OBSERVABLES, observation.totals())
        self._remove("state", ("final",))
        for name in self._file.attrs.keys() & {"digest", "observables_digest"}:
            del self._file.attrs[name]

    def _remove(self, group: str, names: Iterable[str]) -> None:
        for name in names:
            if name in self._file[group]:
                del self._file[group][name]

    def _check_events(self, path: str, position: Position) -> None:
        """Raise InputError if the file's first events are not those before `position`, or do not
        make its states from the initial ones."""
        import numpy as np

        from distsim.recording import digest

        found, transitions = 0, position.transitions
        datasets = [self._file["events"][name] for name in EVENTS]
        count = min(len(dataset) for dataset in datasets)
        x = self._file["state/initial"][:]
        for start in range(0, min(transitions, count), BLOCK):
            part = slice(start, min(start + BLOCK, transitions))
            time, neuron, state = (dataset[part] for dataset in datasets)
            found += digest.of_events(time, neuron, state, before=start)
            np.bitwise_xor.at(x, neuron, 1)  # each event changes a state
        if count < transitions or digest.text(found) != digest.text(position.total):
            raise InputError(
                f"output {path}: {count} events given, digest {digest.text(found)}; allowed: the "
                f"event file of the run that is resumed, whose first {transitions} events have the "
                f"digest {digest.text(position.total)}"
            )
        if x.tobytes() != position.states.tobytes():
            raise InputError(f"output {path}: damaged: its initial states are not the run's")

    def _check_samples(self, path: str, observation: Observation) -> None:
        """Raise InputError if the file's first samples are not those of an observation."""
        from distsim.recording import digest

        found, samples = 0, observation.samples
        for name, (row, _) in observation.plan.datasets.items():
            dataset, width = self._file[OBSERVABLES][name], math.prod(row)
            step = max(1, BLOCK // max(1, width))
            for start in range(0, min(samples, len(dataset)), step):
                part = dataset[start : min(start + step, samples)]
                found += digest.of_values(name, part, start * width)
        if digest.text(found) != digest.text(observation.total):
            raise InputError(
                f"output {path}: other observables given, digest {digest.text(found)}; allowed: "
                f"the event file of the run that is resumed, whose first {samples} samples have "
                f"the digest {digest.text(observation.total)}"
            )

    def _check_conditions(self, path: str, conditions: Mapping[str, NDArray[Any]]) -> None:
        """Raise InputError if the file has other ones."""
        there = self._file.get(CONDITIONS, {})
        same = set(there) == set(conditions) and all(
            there[name][:].tobytes() == values.tobytes() for name, values in conditions.items()
        )
        if not same:
            raise InputError(
                f"output {path}: other conditions given; allowed: the event file of the run that "
                "is resumed"
            )

    def _describe(self, config: Config, transitions: int, where: Mapping[str, Any]) -> None:
        """Every option, and a record of this attempt, which begins after so many transitions."""
        self._file.attrs["config"] = config.json()
        self._file.attrs["version"] = __version__
        number = len(self._file.require_group(ATTEMPTS)) + 1
        record = {
            "attempt": number,
            "begun": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "from_transitions": transitions,
            "version": __version__,
            **where,
        }
        self._file[f"{ATTEMPTS}/{number}"] = json.dumps(record).encode()

    def _flush(self) -> None:
        self._file.flush()
        with self._named():
            self._disk.commit()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"output {self.path}: {error.strerror}") from error


@contextlib.contextmanager
def _undamaged(path: str) -> Iterator[None]:
    """Raise InputError for what HDF5 says of a file that is not what it is taken for."""
    try:
        yield
    except InputError:
        raise
    except (IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"output {path}: not an event file of distsim: {error}") from None


def _opened(path: str, *, new: bool) -> Disk:
    try:
        return Disk(path, new=new)
    except OSError as error:
        raise OutputError(f"output {path}: {error.strerror}") from error
