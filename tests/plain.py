"""The compiled loops once more in plain Python: lists and integers, the mathematics library.

No compiled code, no arrays of events, nothing that is known of how the engines save work. Events
and tickets are tuples here; `words` and `drawn` turn them into what the compiled loops take.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from distsim.kernels.dense import make_columns
from distsim.kernels.replay import Local
from distsim.kernels.tickets import SLOT_KIND, TICKET_KIND, Drawn

# ------------------------------------------------------------------------------- random numbers
TICKET, FIRST, UPDATE, VISIT = range(4)
SWEEP = 8
WORD = 2**32


def philox(key: int, counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    c0, c1, c2, c3 = counter
    k0, k1 = key % WORD, key // WORD
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 // WORD ^ c1 ^ k0, p1 % WORD, p0 // WORD ^ c3 ^ k1, p0 % WORD
        k0, k1 = (k0 + 0x9E3779B9) % WORD, (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


def draw(seed: int, neuron: int, count: int, ticket: int, purpose: int) -> tuple[int, ...]:
    return philox(seed, (neuron, count % WORD, count // WORD, ticket * 256 + purpose))


def uniform(high: int, low: int) -> float:
    return ((high * WORD + low) // 2**12 + 0.5) / 2**52


def updating(seed: int, step: int, neuron: int, neurons: int, sequential: bool) -> float:
    """The uniform of an update of a BM of so many neurons."""
    if sequential:
        halves = (draw(seed, neuron // 4, step // neurons, half, SWEEP) for half in range(2))
        return uniform(*(words[neuron % 4] for words in halves))
    return uniform(*draw(seed, neuron, step, 0, UPDATE)[:2])


def threshold(value: float) -> int:
    """The smallest integer at or above, cut to +-2^62."""
    return math.ceil(max(-(2.0**62), min(2.0**62, value)))


# -------------------------------------------------------------------------- events and tickets
class Event(NamedTuple):
    tick: int
    neuron: int  # of all
    state: int

    @property
    def sign(self) -> int:
        return 2 * self.state - 1

    @property
    def moment(self) -> tuple[int, int]:
        return self.tick, self.neuron


class Ticket(NamedTuple):
    """It fires iff s z >= up in state 0, >= down in state 1."""

    tick: int
    neuron: int
    up: int
    down: int

    @property
    def moment(self) -> tuple[int, int]:
        return self.tick, self.neuron


Events: TypeAlias = list[Event]


def words(events: Iterable[Event]) -> NDArray[np.uint64]:
    return np.array([tick << 23 | i << 1 | state for tick, i, state in events], np.uint64)


def events(words: Iterable[Any]) -> Events:
    return [
        Event(int(word) >> 23, (int(word) >> 1) % 2**22, int(word) % 2)
        for word in words
    ]  # fmt: skip


def difference(before: Sequence[Event], after: Sequence[Event]) -> list[Event]:
    """What must be added to the events `before`, or taken back, to have the events `after`."""
    gone = [event for event in before if event not in after]
    new = [event for event in after if event not in before]
    return [*(event._replace(state=1 - event.state) for event in gone), *new]


# ------------------------------------------------------------------------- a rank's part of W
@dataclass
class Part:
    """A rank's part of a small network at a window's start.

    weights: of all neurons, weights[i][j]; z, x: of the local ones, from `first` on.
    """

    weights: list[list[int]]
    first: int
    z: list[int]
    x: list[int]
    bits: int

    @property
    def kind(self) -> type[np.int32] | type[np.int64]:
        """Of z, as a shard has it."""
        return np.int32 if self.bits < 32 else np.int64

    @property
    def size(self) -> int:
        return len(self.x)

    def owns(self, neuron: int) -> bool:
        return self.first <= neuron < self.first + self.size

    def column(self, neuron: int) -> list[int]:
        """The weights onto the local neurons."""
        return [row[neuron] for row in self.weights[self.first : self.first + self.size]]

    def columns(self) -> Any:
        columns = make_columns(len(self.weights), self.size, self.bits)
        for j in range(len(self.weights)):
            columns[j, : self.size] = self.column(j)
        return columns

    def local(self) -> Local:
        columns = self.columns()
        own = np.arange(self.size)
        return Local(
            columns, columns[self.first + own, own], self.first, self.numbers(self.z),
            np.array(self.x, np.uint8),
        )  # fmt: skip

    def numbers(self, values: Sequence[int]) -> NDArray[Any]:
        return np.array(values, self.kind)

    def after(self, events: Iterable[Event]) -> list[int]:
        """z after these events."""
        z = list(self.z)
        for event in events:
            z = [a + event.sign * w for a, w in zip(z, self.column(event.neuron), strict=True)]
        return z

    def extremes(self, events: Sequence[Event]) -> tuple[list[int], list[int]]:
        """The largest and the least z of each local neuron on the way."""
        z, high, low = list(self.z), list(self.z), list(self.z)
        for event in events:
            z = [a + event.sign * w for a, w in zip(z, self.column(event.neuron), strict=True)]
            high, low = list(map(max, high, z)), list(map(min, low, z))
        return high, low


def part(dice: random.Random, bits: int, *, neurons: int = 9, size: int = 4) -> Part:
    """Small weights, so that responses often are a threshold exactly; or as large as can be."""
    largest = dice.choice([2, 2 ** (bits - 1) - 1])
    first = dice.randrange(neurons - size + 1)
    weights = [[dice.randint(-largest, largest) for _ in range(neurons)] for _ in range(neurons)]
    z = [dice.randint(-2 * largest, 2 * largest) for _ in range(size)]
    return Part(weights, first, z, [dice.randrange(2) for _ in range(size)], bits)


def scale(part: Part) -> int:
    return max(1, *(abs(w) for row in part.weights for w in row))


def tickets(dice: random.Random, part: Part, count: int, ticks: int) -> list[Ticket]:
    """Of local neurons, by time; those of one neuron at one tick in their order."""
    reach = 3 * scale(part)
    made = [
        Ticket(
            dice.randint(1, ticks),
            part.first + dice.randrange(part.size),
            dice.randint(-reach, reach),
            dice.randint(-reach, reach),
        )
        for _ in range(count)
    ]
    return sorted(made, key=lambda ticket: ticket.moment)


def remote_events(dice: random.Random, part: Part, count: int, ticks: int) -> Events:
    """Of the neurons of other ranks, each changing its state from event to event, by time."""
    others = [j for j in range(len(part.weights)) if not part.owns(j)]
    states = {j: dice.randrange(2) for j in others}
    made = []
    for tick, neuron in sorted((dice.randint(1, ticks), dice.choice(others)) for _ in range(count)):
        states[neuron] = 1 - states[neuron]
        made.append(Event(tick, neuron, states[neuron]))
    return made


def drawn(dice: random.Random, part: Part, by_time: Sequence[Ticket]) -> Drawn:
    """As the compiled loops hold them: tickets of a neuron in their order, all else in none."""
    neurons = list({ticket.neuron for ticket in by_time})
    dice.shuffle(neurons)
    slots = np.zeros(len(neurons), SLOT_KIND)
    slots["neuron"] = [neuron - part.first for neuron in neurons]
    held = dice.sample(range(len(by_time)), len(by_time))
    places = {}  # tickets of one neuron at one tick stay in order
    for moment in {ticket.moment for ticket in by_time}:
        mine = [t for t in range(len(by_time)) if by_time[t].moment == moment]
        for t, place in zip(mine, sorted(held.index(t) for t in mine), strict=True):
            places[t] = place
    array = np.zeros(len(by_time), TICKET_KIND)
    order = np.empty(len(by_time), np.int64)
    for t, ticket in enumerate(by_time):
        array["key"][places[t]] = ticket.tick << 23 | ticket.neuron << 1
        array["slot"][places[t]] = neurons.index(ticket.neuron)
        array["threshold"][places[t]] = ticket.up, ticket.down
        order[t] = places[t]
    return Drawn(slots, array, order)


# ---------------------------------------------------------------------------------- the loop
def run(
    part: Part,
    by_time: Sequence[Ticket],
    remote: Sequence[Event] = (),
    most: int = 10**9,
    cap: int = 2**62,
) -> tuple[Events, bool]:
    """The events of local neurons; whether one ended the window: the `most`-th, or one that lifted
    its own neuron's s z above the cap."""
    z, x = list(part.z), list(part.x)
    made: Events = []

    def add(event: Event) -> None:
        for i, w in enumerate(part.column(event.neuron)):
            z[i] += event.sign * w

    todo: list[Event | Ticket] = [*remote, *by_time]
    for one in sorted(todo, key=lambda one: one.moment):
        if isinstance(one, Event):
            add(one)
            continue
        i = one.neuron - part.first
        if (z[i] if x[i] == 0 else -z[i]) < (one.up if x[i] == 0 else one.down):
            continue
        x[i] = 1 - x[i]
        made.append(Event(one.tick, one.neuron, x[i]))
        add(made[-1])
        if len(made) == most or (z[i] if x[i] == 0 else -z[i]) > cap:
            return made, True
    return made, False
