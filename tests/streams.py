"""Several runs in one start of the ranks: python streams.py CASES.json DIGESTS.json

CASES.json holds a list of options, one object a run. The root writes DIGESTS.json, for each run
[digest, that of what it observed, whether z == W x held at the end].
"""

import json
import sys
from pathlib import Path

from distsim.config.options import Config
from distsim.ranks.communicator import connect
from distsim.runs import simulation


def main(asked: str, made: str) -> None:
    ranks = connect()
    runs = []
    for options in json.loads(Path(asked).read_text(encoding="utf-8")):
        summary = simulation.run(Config(**options), ranks)
        runs.append([summary.digest, summary.observables_digest, summary.consistent])
    if ranks.rank == 0:
        Path(made).write_text(json.dumps(runs), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
