"""Several runs in one start of the ranks: python streams.py CASES.json

CASES.json holds a list of options, one object a run. The root prints one line of JSON a run:
[digest, whether z == W x held at the end].
"""

import json
import sys
from pathlib import Path

from distsim import simulation
from distsim.communicator import connect
from distsim.config import Config


def main(path: str) -> None:
    ranks = connect()
    for options in json.loads(Path(path).read_text(encoding="utf-8")):
        summary = simulation.run(Config(**options), ranks)
        if ranks.rank == 0:
            print(json.dumps([summary.digest, summary.consistent]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
