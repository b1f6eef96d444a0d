"""A run on ranks that this process starts: by mpirun, through files in a temporary folder."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distsim.config.options import DEFAULTS, FIELDS, flag
from distsim.config.sources import in_environment, variable
from distsim.errors import InputError, OutputError
from distsim.files import chains, events
from distsim.front import conditions
from distsim.front.chains import chains_in
from distsim.front.given import Given
from distsim.front.interrupts import Interrupts
from distsim.front.result import Result
from distsim.front.session import Stand
from distsim.ranks.communicator import Serial
from distsim.runs import checkpoint
from distsim.runs.conditions import resolved
from distsim.runs.preparation import length
from distsim.runs.progress import Display
from distsim.runs.results import Summary
from distsim.weights.source import Network

LOOK = 0.05  # seconds between two looks at the ranks
PATIENCE = 5.0  # seconds in which they may end when told to
BAD_INPUT, NOT_WRITTEN = 2, 74  # exit statuses
_WORDS = "distsim: "  # what a message begins with

GoOn = Callable[..., Result]


def run_on(
    asked: Given, ranks: int, show: Display | None, interrupts: Interrupts, go_on: GoOn
) -> Result:
    """`asked` on so many ranks. go_on: takes a Stand and the arguments of `Result._on`.

    Raises InputError with what the ranks say, or without an mpirun.
    """
    network = asked.open()
    launcher = _mpirun(ranks)
    with tempfile.TemporaryDirectory(prefix="distsim-") as folder:
        output, saved = f"{folder}/run.h5", f"{folder}/run.checkpoint"
        command = [
            *(launcher, "-n", str(ranks), sys.executable, "-m", "distsim", "run", "--json"),
            *("--output", output, "--checkpoint", saved),
            *_options(asked, network, folder),
        ]
        summary = _followed(command, folder, show, interrupts)
        stopped = summary.stopped is not None
        if asked.config.chains > 1:
            if stopped:
                raise KeyboardInterrupt
            return chains_in(chains.read(output), replace(summary, checkpoint=None))
        found = events.read(events.partial_path(output) if stopped else output)
        left = checkpoint.read(saved, Serial())
    if stopped:
        summary = replace(summary, stopped=signal.Signals.SIGINT.name)
    summary = replace(
        summary, checkpoint=None, network=network.name, named=network.names is not None
    )
    position = left.chain.position
    final = position.states if found.final is None else found.final
    stood = left.chain
    stand = Stand(asked, network, left.network, position, stood.observed, stood.conditions)
    return Result(
        found.time,
        found.neuron,
        found.state,
        found.initial,
        final,
        found.observables,
        network.names,
        asked.config.asdict(),
        digest=summary.digest,
        observables_digest=summary.observables_digest,
        partial=stopped,
        population=network.population,
        _summary=summary,
        _on=partial(go_on, stand),
    )


def _mpirun(ranks: int) -> str:
    """The mpirun of this environment, else that of the path. Raises InputError."""
    beside = os.path.dirname(sys.executable)
    found = shutil.which("mpirun", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise InputError(
            f"ranks: {ranks} given, but there is no mpirun in {beside} or on the path; allowed: "
            "after pip install distsim[mpich], or in a script that mpirun or srun starts"
        )
    return found


def _options(asked: Given, network: Network, folder: str) -> Iterator[str]:
    """The command line of a run, with files for what is in memory."""
    values: dict[str, Any] = {
        name: value
        for name, value in asked.config.asdict().items()
        if value is not None and value != DEFAULTS[name]
    }
    if not asked.named:
        values["network"] = _file(folder, "weights", asked.weights)
        if asked.bias is not None:
            values["bias"] = _file(folder, "bias", asked.bias)
    if asked.states is not None:
        values["initial"] = _file(folder, "initial", asked.states)
    if asked.config.tau_schedule is not None:
        del values["tau"]  # says that there is a schedule
    if asked.conditions:
        config, tables = asked.config, asked.conditions
        held = resolved(config, network, length(config, network)[1], tables)
        values |= conditions.write(folder, tables, config, network.neurons, held)
    for name, value in values.items():
        if isinstance(value, bool):
            yield flag(name) if value else f"--no-{flag(name)[2:]}"
        else:
            yield f"{flag(name)}={value}"


def _file(folder: str, name: str, numbers: Any) -> str:
    """A matrix, sparse or not, or a vector as a file."""
    path = f"{folder}/{name}"
    try:
        if hasattr(numbers, "tocsr"):
            from scipy import sparse

            sparse.save_npz(f"{path}.npz", numbers.tocsr())
            return f"{path}.npz"
        np.save(f"{path}.npy", np.asarray(numbers))
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    return f"{path}.npy"


def _followed(
    command: list[str], folder: str, show: Display | None, interrupts: Interrupts
) -> Summary:
    """Start ranks, wait for their end, pass on what they say, and Ctrl-C to them."""
    said = Path(folder, "error")
    with (
        open(f"{folder}/out", "w+b") as out,
        open(said, "wb") as error,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            env=_environment(),
            start_new_session=True,  # a terminal's Ctrl-C is passed on once, by this process
        ) as process,
        _ended(process),
    ):
        shown, told = 0, False
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK)
            if show is not None:
                text = said.read_bytes()
                whole = text.rfind(b"\n") + 1
                for line in text[shown:whole].decode(errors="replace").splitlines():
                    if folder not in line:  # how to go on from files that nobody will have
                        print(line, file=sys.stderr)
                shown = whole
            if interrupts.received and not told:
                process.send_signal(signal.SIGINT)
                told = True
        out.seek(0)
        lines = out.read().decode(errors="replace").split("\n")
    for line in reversed(lines):
        if line.startswith("{"):
            return Summary(**json.loads(line))
    words = said.read_text(errors="replace")
    named = re.sub(re.escape(folder) + r"/(\w+)\.np[yz]", r"\1", words)  # files are not the user's
    raise _failure(process.returncode, named)


def _failure(status: int, said: str) -> Exception:
    """The error of ranks that ended without a summary, with their own words."""
    messages = [line for line in said.split("\n") if line.startswith((_WORDS, "Error: "))]
    message = messages[0].removeprefix(_WORDS) if messages else said.strip()[-500:]
    if status == BAD_INPUT and messages:
        return InputError(message)
    if status == NOT_WRITTEN and messages:
        return OutputError(message)
    return RuntimeError(f"ranks: mpirun ended with status {status}: {message}")


def _environment() -> dict[str, str]:
    """Of the ranks: this process's, without options of runs, and with this distsim."""
    unwanted = {variable(name) for name in FIELDS if in_environment(os.environ, name)}
    found = {name: value for name, value in os.environ.items() if name not in unwanted}
    here = str(Path(__file__).parents[2])
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (here, found.get("PYTHONPATH"))))
    return found


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens, the ranks do not outlive this."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
