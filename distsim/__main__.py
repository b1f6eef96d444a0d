"""`python -m distsim` and the command `distsim`: one command, and an end to all ranks if it fails.

An exception on one rank would leave the others waiting for it for ever, so it ends them all.
"""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


_HEEDED = signal.getsignal(signal.SIGINT) != signal.SIG_IGN  # else who started it wants it so
if _HEEDED:
    signal.signal(signal.SIGINT, _leave)  # nothing is begun yet that would have to be ended


def _open_standard_files() -> None:
    """A file that is opened later must not take the number of one that was closed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


def main() -> None:
    _open_standard_files()
    from distsim.cli.launch import FAILED, Launch
    from distsim.cli.main import main as command
    from distsim.ranks.signals import interrupt

    # Where colorama is installed Numba's messages have colours, and their end would follow the last
    # line on a terminal, which Open MPI gives to ranks.
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    launch = Launch()
    if _HEEDED:
        signal.signal(signal.SIGINT, interrupt)
    try:
        status = command(sys.argv[1:], launch)
        launch.over()
        sys.stdout.flush()
    except BrokenPipeError:  # who read the output has left; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = FAILED
    except Exception:
        print(f"distsim: error on rank {launch.rank}:", file=sys.stderr)
        traceback.print_exc()
        launch.abort(FAILED)
        status = FAILED
    sys.exit(status)


if __name__ == "__main__":
    main()
