"""GPUs are for tests that are marked gpu(n), which need n of them, 1 if none is said.

The others see none, so that `--device auto` is the CPU.

Of several processes (launch/test) each takes a file at a time, so that its kernels are compiled
once, where xdist can (3.8 does not see groups under pytest 9.2); tests that are marked alone come
last, and while one runs no other does.
"""

import fcntl
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import launchers
import pytest

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # of all processes, where there are several


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if RUN is None:
        return
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    for item in items:
        alone = item.get_closest_marker("alone") is not None
        item.add_marker(pytest.mark.xdist_group("alone" if alone else str(item.path)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tests of other processes share a lock, one that is alone has it for itself."""
    if RUN is None:
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    with (Path(tempfile.gettempdir()) / f"distsim-tests-{RUN}").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
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
