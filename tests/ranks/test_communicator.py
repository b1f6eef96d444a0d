"""The contract of ranks, kept by all that implement it: one rank, MPI's, and the tests' threads."""

import subprocess
import sys

import launchers
import pytest
import ranks_contract
from thread_ranks import on_ranks

from distsim.ranks.communicator import Communicator, Serial
from distsim.ranks.mpi import Mpi

SCRIPT = f"{launchers.TESTS}/ranks_contract.py"
MEMBERS = {
    "rank", "size", "library", "minimum", "maximum", "largest", "total", "exchange", "gather",
    "agree", "here", "side_by_side", "share", "groups", "barrier", "abort",
}  # fmt: skip


def test_the_contract_is_what_is_checked() -> None:
    declared = {*Communicator.__annotations__, *vars(Communicator)}
    assert {name for name in declared if not name.startswith("_")} == MEMBERS
    assert all(hasattr(Mpi, name) for name in MEMBERS - {"rank", "size", "library"})


def test_one_rank_keeps_the_contract() -> None:
    ranks_contract.check(Serial())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_threads_keep_the_contract(size: int) -> None:
    on_ranks(size, ranks_contract.check)


@launchers.needs_mpirun
@pytest.mark.parametrize("size", [1, 2, 3])
def test_ranks_of_mpi_keep_the_contract(size: int) -> None:
    assert launchers.start(size, SCRIPT) == f"kept by {size}\n"


def test_one_rank_ends_itself() -> None:
    program = "from distsim.ranks.communicator import Serial; Serial().abort(7)"
    done = subprocess.run([sys.executable, "-c", program], env=launchers.ENVIRONMENT)
    assert done.returncode == 7


@launchers.needs_mpirun
def test_a_rank_of_mpi_ends_all() -> None:
    """The others wait for it at a barrier, and would for ever."""
    command = [*launchers.python(2), SCRIPT, "abort"]
    done = subprocess.run(command, env=launchers.ENVIRONMENT, capture_output=True, timeout=120)
    assert done.returncode != 0
    assert b"AssertionError" not in done.stderr
