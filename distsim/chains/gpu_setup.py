"""What a chain on GPUs settles before its first window, on all ranks alike."""

import math
from typing import Any, NamedTuple

from distsim.config.options import Config
from distsim.errors import InputError
from distsim.gpu import capacity
from distsim.gpu.driver import free_memory
from distsim.gpu.layout import MOST_RANKS, PEERS
from distsim.gpu.peers import NO_HANDLE, Peers
from distsim.kernels.events import LIMIT
from distsim.laws.law import Law
from distsim.laws.window import few_weights, largest_target
from distsim.ranks.agreement import gathered
from distsim.ranks.communicator import Communicator
from distsim.weights.shard import Shard
from distsim.weights.source import Network

# In standard deviations of z's change in a window: how far tickets are drawn, and how near to its
# threshold z must start for a ticket to be decided by the events, not by the start. A normal change
# passes the first once in 1,700 times, and then tickets are drawn once more, and the second once in
# 90,000, and then sums are made anew. They decide speed only.
_MARGIN, _DOUBT = 3.25, 4.25
_MOST_AIMED = 1.5  # events of a window, in targets: after more the rule halves the width
_WIDEST = 3.0  # but no more than a factor of e^3 in a rate


class Margins(NamedTuple):
    """How far tickets are drawn above z, and how near to z they are in doubt, in weight units."""

    margin: int
    doubt: int


def margins(law: Law, shard: Shard[Any], slack: int) -> Margins:
    """slack: by how much a device takes z to move too far."""
    deviation = shard.spread * math.sqrt(_MOST_AIMED * law.target)
    widest = _WIDEST * law.scale
    return Margins(
        *(int(min(LIMIT, factor * deviation, widest)) + slack for factor in (_MARGIN, _DOUBT))
    )


def choose_exchange(config: Config, ranks: Communicator) -> str:
    """`nccl`, or `peer` memory. Raises InputError for what was asked and cannot be."""
    here, wish, race = ranks.here()[1], config.exchange, config.engine == "race"
    if ranks.size > MOST_RANKS and not race:
        raise InputError(f"{ranks.size} ranks on GPUs given; allowed: up to {MOST_RANKS} for relax")
    together = ranks.minimum(here) == ranks.size <= PEERS
    if wish == "peer" and (race or not together):
        raise InputError(
            f"exchange peer given for engine {config.engine} and {ranks.size} ranks; "
            f"allowed: nccl, or peer for relax on one host with up to {PEERS} GPUs"
        )
    return "peer" if together and not race and wish != "nccl" else "nccl"


def check_fit(network: Network, config: Config, ranks: Communicator) -> None:
    """Refuse a network that does not fit, before anything is allocated."""
    neurons, bits, size = network.neurons, config.weight_bits, ranks.size
    entries = network.entries(0, neurons)  # of a matrix that is held dense nobody knows yet
    few = entries is not None and few_weights(neurons, entries)
    window = config.window or largest_target(neurons, few=few)
    wanted = capacity.bytes_on_gpu(neurons, bits, window, size)
    free = ranks.minimum(free_memory())
    if wanted <= free:
        return
    enough = capacity.gpus_for(neurons, bits, window, size, free)
    would = "no number of GPUs" if enough is None else f"{enough} GPUs"
    raise InputError(
        f"{network.name} of {neurons} neurons with weights of {bits} bits needs "
        f"{wanted / 2**30:.1f} GiB on each of {size} GPU(s), {free / 2**30:.1f} GiB are free; "
        f"{would} would do"
    )


def open_peers(peers: Peers, log: int, ranks: Communicator, *, must: bool) -> list[int]:
    """Areas for a peer exchange of logs of so many words, by rank; none where some rank has none.

    must: then that is an InputError.
    """
    peers.close()
    ranks.barrier()  # no rank writes any more into what is freed now
    error, handle, areas = None, NO_HANDLE, []
    try:
        handle = peers.make(log)
    except Exception as bad:  # of any GPU whose memory others cannot open
        error = str(bad)
    handles = gathered(ranks, handle)
    try:
        areas = [] if error else peers.open(handles)
    except Exception as bad:  # of any GPU that cannot reach another
        error = str(bad)
    if ranks.minimum(error is None) == 1:
        return areas
    if must:
        ranks.agree(error and f"exchange peer: {error}; allowed here: nccl")
    peers.close()
    ranks.barrier()
    peers.release()
    return []
