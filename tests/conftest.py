"""GPUs are for tests that are marked gpu(n), which need n of them, 1 if none is said.

The others see none, so that `--device auto` is the CPU.

Of several processes (launch/test) each takes a file at a time, so that its kernels are compiled
once; tests that are marked alone come last, in one process.
"""

import launchers
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("dist", "no") != "loadgroup":
        return
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    for item in items:
        alone = item.get_closest_marker("alone") is not None
        item.add_marker(pytest.mark.xdist_group("alone" if alone else str(item.path)))


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
