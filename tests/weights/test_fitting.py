"""What memory is there, what a network needs of it, and the refusal, on every rank alike."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import launchers
import numpy as np
import pytest
from made_networks import lines
from scipy.sparse import csr_array

import distsim
from distsim.errors import InputError
from distsim.networks.matrices import Sparse, from_array
from distsim.ranks.communicator import Serial
from distsim.weights import capacity, fitting
from distsim.weights.source import Network

GIB = 1 << 30
MEMINFO = "MemTotal:  16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n"  # 8 GiB


@pytest.fixture
def host(tmp_path: Path) -> Callable[[str, str], None]:
    """Write a file of a made-up host, whose root is tmp_path."""

    def write(path: str, text: str) -> None:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    write("proc/meminfo", MEMINFO)
    return write


Host = Callable[[str, str], None]


def test_ranks_share_what_a_host_has(host: Host, tmp_path: Path) -> None:
    assert fitting.available(1, tmp_path) == 8 * GIB
    assert fitting.available(4, tmp_path) == 2 * GIB


def test_a_host_that_does_not_say_has_what_was_built_in(tmp_path: Path) -> None:
    assert fitting.available(1, tmp_path) > 0


def test_a_control_group_of_version_2_limits_all_under_it(host: Host, tmp_path: Path) -> None:
    host("proc/self/cgroup", "0::/system.slice/job_1/step_0\n")
    group = "sys/fs/cgroup/system.slice/job_1"
    host(f"{group}/step_0/memory.max", "max\n")
    host(f"{group}/step_0/memory.current", "5\n")
    host(f"{group}/memory.max", f"{3 * GIB}\n")
    host(f"{group}/memory.current", f"{2 * GIB}\n")
    host(f"{group}/memory.stat", f"anon 7\ninactive_file {GIB // 4}\nactive_file {GIB // 4}\n")
    assert fitting.available(1, tmp_path) == 1.5 * GIB
    assert fitting.available(3, tmp_path) == 0.5 * GIB


@pytest.mark.parametrize("seen", ["docker/1a2b", ""])  # by the host; inside the container
def test_a_control_group_of_version_1(seen: str, host: Host, tmp_path: Path) -> None:
    host("proc/self/cgroup", "5:cpu,cpuacct:/docker/1a2b\n4:memory:/docker/1a2b\n0::/init\n")
    host(f"sys/fs/cgroup/memory/{seen}/memory.limit_in_bytes", f"{2 * GIB}")
    host(f"sys/fs/cgroup/memory/{seen}/memory.usage_in_bytes", f"{GIB}")
    host(f"sys/fs/cgroup/memory/{seen}/memory.stat", f"total_inactive_file {GIB // 2}\nrss 1\n")
    assert fitting.available(1, tmp_path) == 1.5 * GIB


def test_a_control_group_that_is_full_leaves_nothing(host: Host, tmp_path: Path) -> None:
    host("proc/self/cgroup", "0::/a\n")
    host("sys/fs/cgroup/a/memory.max", "1000")
    host("sys/fs/cgroup/a/memory.current", "1001")
    assert fitting.available(1, tmp_path) == 0


def test_a_process_s_own_limit_is_not_shared(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host("proc/self/statm", "1000 500 1 1 0 1 0\n")
    page = resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (GIB + 1000 * page, GIB))
    for ranks in (1, 4, 8):
        assert fitting.available(ranks, tmp_path) == GIB


def test_the_least_number_of_ranks_for_some_memory() -> None:
    neurons, bits = 100_000, 16
    for size in (1, 3, 7):
        free = capacity.bytes_on_host(neurons, bits, 12)
        enough = capacity.ranks_for(neurons, bits, size, free)
        assert enough is not None
        assert capacity.bytes_on_host(neurons, bits, enough) <= free
        assert capacity.bytes_on_host(neurons, bits, enough - 1) > free
        assert capacity.ranks_for(neurons, bits, 40, free) == 40
    assert capacity.ranks_for(neurons, bits, 1, capacity.SPARE) is None


def network(name: str, neurons: int, entries: int = 0) -> Sparse:
    """With so many weights onto the first neuron."""
    k = np.arange(entries)
    return Sparse(name, csr_array((np.ones(entries), (0 * k, k)), (neurons, neurons)))


class Four(Serial):
    """One of four ranks, two on a host."""

    rank, size = 1, 4

    def here(self) -> tuple[int, int]:
        return 1, 2


def test_what_does_not_fit_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "available", lambda here: 6 * GIB // here)
    fitting.check_memory(network("W", 40_000), 16, Four())
    wanted = (
        r"^W: 100,000 neurons with weights of 32 bits given, 9\.4\d\d GiB on each of 4 rank\(s\); "
        r"allowed: 3 GiB, what is available on this host to each of its 2 rank\(s\); "
        r"weights of 8 bits or 13 ranks, 2 a host like this, would do$"
    )
    with pytest.raises(InputError, match=wanted):
        fitting.check_memory(network("W", 100_000), 32, Four())
    monkeypatch.setattr(fitting, "available", lambda here: 1000)
    with pytest.raises(InputError, match=r"; no number of ranks would do$"):
        fitting.check_memory(network("W", 10), 8, Four())


def test_sparse_weights_need_room_for_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    neurons, most = 1_000_000, 500_000
    given = network("W", neurons, most)
    assert fitting.sparse_entries("dense", given, 8, Serial(), walks=True) is None
    assert fitting.sparse_entries("auto", given, 8, Serial(), walks=True) == most
    free = capacity.bytes_on_host(neurons, 8, 1, most)
    assert free < 5 * most + 300 * neurons
    monkeypatch.setattr(fitting, "available", lambda here: free)
    fitting.check_memory(given, 8, Serial(), most)
    with pytest.raises(InputError, match=r"W: 1,000,000 neurons with 500,000 sparse weights of 16"):
        fitting.check_memory(given, 16, Serial(), most)


def test_auto_is_sparse_where_few_weights_are_there() -> None:
    def entries(given: Network, storage: str = "auto") -> int | None:
        return fitting.sparse_entries(storage, given, 8, Serial(), walks=True)

    assert entries(network("W", 4000, 4000)) == 4000
    assert entries(network("W", 1024, 1024)) == 1024
    assert entries(network("W", 1000, 100)) is None
    dense = from_array(np.zeros((1100, 1100)))
    assert entries(dense) is None
    assert entries(dense, "sparse") == 1100**2
    few, many = (csr_array(np.tril(np.ones((1100, 1100)), -k)) for k in (900, 100))
    assert entries(Sparse("W", few)) == 199 * 200 // 2 + 200
    assert entries(Sparse("W", many)) is None


def test_auto_is_dense_for_other_engines_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = network("W", 40_000, 40_000)
    for free, wanted in ((1 << 40, None), (1 << 30, 40_000)):
        monkeypatch.setattr(fitting, "available", lambda here, free=free: free)
        assert fitting.sparse_entries("auto", given, 8, Serial(), walks=False) == wanted
        assert fitting.sparse_entries("auto", given, 8, Serial(), walks=True) == 40_000


# ------------------------------------------------------------------------- as users meet it


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=launchers.needs_mpirun)])
def test_a_run_that_cannot_fit_is_one_message(ranks: int, tmp_path: Path) -> None:
    path = lines(tmp_path / "w.csv", "source,target,weight", "0,4000000,1")
    start = launchers.python(ranks) if ranks > 1 else [sys.executable]
    for named in (["gaussian", "--neurons", "4000000"], [str(path), "--storage", "dense"]):
        done = subprocess.run(
            [*start, "-m", "distsim", "--network", *named, "--time", "1"],
            capture_output=True,
            text=True,
            timeout=120,
            env=launchers.ENVIRONMENT,
        )
        assert done.returncode == 2
        assert re.fullmatch(
            rf"distsim: .*: 4,000,00. neurons with weights of 32 bits given, .* of {ranks} .*\n",
            done.stderr,
        )


def test_an_array_that_cannot_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "available", lambda here: capacity.SPARE)
    with pytest.raises(InputError, match="array: 3 neurons with weights of 32 bits given"):
        distsim.simulate(np.zeros((3, 3)), transitions=1)
