"""`python -m distsim` and the command `distsim`: one command, and an end to all ranks if it fails.

An exception on one rank would leave the others waiting for it for ever, so it ends them all.
"""

import os
import sys
import traceback

from distsim.cli import main as cli


def main() -> None:
    # Where colorama is installed Numba's messages have colours, and their end would follow the last
    # line on a terminal, which Open MPI gives to ranks.
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    launch = cli.Launch()
    try:
        status = cli.main(sys.argv[1:], launch)
        launch.over()
    except Exception:
        print(f"distsim: error on rank {launch.rank}:", file=sys.stderr)
        traceback.print_exc()
        launch.abort(cli.FAILED)
        status = cli.FAILED
    sys.exit(status)


if __name__ == "__main__":
    main()
