"""GPUs are for tests that are marked gpu(n), which need n of them, 1 if none is said.

The others see none, so that `--device auto` is the CPU.

Of several processes (launch/test) each takes a file at a time, so that what its tests share is made
once; those that take longest begin. While a test that is marked alone runs no other does: such
tests come last, as one file.
"""

import fcntl
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import launchers
import pytest

LONGEST = ("test_reproducibility", "test_checkpoint", "test_faults", "test_law", "test_notebooks")
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # of all processes, where there are several


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if RUN is not None:
        for item in items:
            group = "alone" if alone(item) else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))
        items.sort(key=lambda item: (alone(item), item.path.stem not in LONGEST))


def alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tests of other processes share a room, one that is alone has it for itself.

    Who waits for the room stands in its door: others that came later do not slip in.
    """
    if RUN is None:
        return (yield)
    place = f"{tempfile.gettempdir()}/distsim-tests-{RUN}"
    with Path(f"{place}-room").open("w") as room:
        with Path(f"{place}-door").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone(item) else fcntl.LOCK_SH)
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("gpu"):
        wanted = mark.args[0] if mark.args else 1
        if launchers.gpus() < wanted:
            pytest.skip(f"fewer than {wanted} GPUs with CuPy here")


@pytest.fixture(autouse=True)
def _gpus_are_for_those_who_ask(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if launchers.gpus() and request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr("distsim.gpu.driver.missing", lambda: "hidden from this test")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setitem(launchers.ENVIRONMENT, "CUDA_VISIBLE_DEVICES", "")
