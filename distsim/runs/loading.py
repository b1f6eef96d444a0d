"""Networks that take long to load are seen to: what is loading, how much was read, how long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

from distsim.files.arrays import ArrayFile
from distsim.limits import amount
from distsim.runs.progress import ON_TERMINAL, duration

if TYPE_CHECKING:
    from distsim.runs.preparation import Compilation
    from distsim.runs.progress import Display

SILENT = 2.0  # seconds that a load may take unsaid


@contextlib.contextmanager
def seen(show: Display | None, network: str, compilation: Compilation) -> Iterator[None]:
    """Meanwhile `show` tells, from SILENT seconds on, that this network is loading; but while
    kernels are compiled, which it tells of itself."""
    if show is None:
        yield
        return
    over, begun, before = threading.Event(), monotonic(), ArrayFile.bytes_read

    def tell() -> None:
        wait = SILENT
        while not over.wait(wait):
            if not compilation.compiles:
                read = ArrayFile.bytes_read - before  # none of texts, and of what is generated
                much = f"{amount(read)} read, " if read else ""
                show.doing(f"loading network {network}: {much}{duration(monotonic() - begun)}")
            wait = ON_TERMINAL

    thread = threading.Thread(target=tell, name="loading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        show.clear()
