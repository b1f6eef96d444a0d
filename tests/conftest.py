"""GPUs are for tests that are marked gpu(n), which need n of them, 1 if none is said.

The others see none, so that `--device auto` is the CPU.
"""

import launchers
import pytest


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
