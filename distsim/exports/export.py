"""An output file of a run in another format, partial ones as far as they go.

| format | holds | time |
|---|---|---|
| sonata | transitions 0 -> 1 as spikes: `exports.sonata` | in ms, by the unit that is given |
| nwb | the same as units: `exports.nwb` | in s, by the unit that is given |
| csv | all events: `exports.columns` | as in the file |
| npz | all events and states, and every option: `exports.columns` | as in the file |

Reading and writing go block by block: the memory is that of a block, however many events there are
(of nwb, whose table has the spikes neuron by neuron, 8 bytes a spike more).
"""

from __future__ import annotations

from collections.abc import Callable

from distsim.errors import InputError, OutputError
from distsim.exports.units import check_unit
from distsim.files.events import opened
from distsim.files.places import check_writable
from distsim.files.whole import ended_by_exceptions, whole

WITH_UNITS = ("sonata", "nwb")
FORMATS = (*WITH_UNITS, "csv", "npz")


def export(
    source: str,
    target: str,
    form: str,
    unit: str | None,
    *,
    overwrite: bool,
    tell: Callable[[float], None],
) -> None:
    """Write the events of the output file `source` to `target`, in one of FORMATS.

    unit: what one of model time (mpm), or one step (bm), stands for, for formats whose times have
    units; tell: gets the fraction that is done, now and then. Raises InputError before anything is
    written, OutputError for what went wrong later, which leaves nothing behind.
    """
    from distsim.exports import columns, nwb, sonata

    if form in WITH_UNITS:
        check_unit("--unit", unit)
    elif unit is not None:
        raise InputError(
            f"--unit: {unit} given for {form}, which keeps model time; allowed only for "
            f"{' and '.join(WITH_UNITS)}"
        )
    check_writable(target, overwrite, source=source)
    try:
        with ended_by_exceptions(), whole(target) as temporary, opened(source) as file:
            if not file.head.config.get("events", True):
                raise InputError(
                    f"{source}: a run without events given; allowed: an output file that has them"
                )
            match form, unit:
                case "sonata", str():
                    sonata.write(file, temporary, unit, tell)
                case "nwb", str():
                    nwb.write(file, temporary, unit, tell)
                case "csv", _:
                    columns.write_csv(file, temporary, tell)
                case _:
                    columns.write_npz(file, temporary, tell)
    except OSError as error:
        raise OutputError(f"output {target}: {error.strerror or error}") from error
