"""A real SLURM of two nodes, both this host, on loopback, in a folder of its own, for the tests.

Needs SLURM's and MUNGE's daemons (on Debian and Ubuntu: slurm-wlm, munge). What is tested is how
jobs are started, signalled and requeued: the nodes say that they have CPUs, whether or not.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

DAEMONS = ("munged", "slurmctld", "slurmd")
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NODES = ("node1", "node2")
CPUS = 2  # of a node

CONFIGURATION = """\
ClusterName=distsim
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
"""
PARTITION = "PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"


def missing() -> list[str]:
    """Daemons that are not installed."""
    return [name for name in DAEMONS if shutil.which(name, path=SEARCH) is None]


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """The environment with which SLURM's commands reach a cluster that is up meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    started: list[subprocess.Popen[bytes]] = []
    environment = {**os.environ, "PATH": SEARCH, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(log: IO[bytes], name: str, *arguments: str) -> None:
        command = [str(shutil.which(name, path=SEARCH)), *arguments]
        daemon = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        started.append(daemon)

    try:
        with open(folder / "daemons.log", "wb") as log:
            _write_files(folder)
            munge = [
                f"--{option}={folder}/munge.{option.split('-')[0]}"
                for option in ("socket", "key-file", "pid-file", "log-file", "seed-file")
            ]
            start(log, "munged", "--foreground", "--force", *munge)
            _wait(folder, (folder / "munge.socket").exists)
            start(log, "slurmctld", "-D")
            for node in NODES:
                start(log, "slurmd", "-D", "-N", node)
            _wait(folder, lambda: _idle(environment))
            yield environment
    finally:
        for daemon in reversed(started):
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _write_files(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(1024))
    host = socket.gethostname().split(".")[0]
    port, *ports = _free_ports(1 + len(NODES))
    nodes = [
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS}\n"
        for node, port in zip(NODES, ports, strict=True)
    ]
    text = CONFIGURATION.format(host=host, user=getpass.getuser(), folder=folder, port=port)
    (folder / "slurm.conf").write_text("".join([text, *nodes, PARTITION]), encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _idle(environment: dict[str, str]) -> bool:
    shown = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, env=environment
    )
    return shown.stdout.strip() == "idle"


def _wait(folder: Path, ready: object, seconds: float = 30.0) -> None:
    assert callable(ready)
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            logs = [path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log")]
            raise RuntimeError("SLURM does not start:\n" + "\n".join(logs))
        time.sleep(0.1)
