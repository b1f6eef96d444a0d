"""Events of several ranks in one order, and what leads from some events to others."""

import random

import numpy as np
import plain
import pytest
from plain import Event

from distsim.kernels.events import NO_EVENT
from distsim.kernels.order import difference, merge


@pytest.mark.parametrize("most", [5, 100])
@pytest.mark.parametrize("stop", [60, 95, int(NO_EVENT)])
def test_events_of_ranks_are_merged_by_time(most: int, stop: int) -> None:
    parts = np.full((3, 5), 7, np.uint64)  # what is behind a rank's events does not count
    counts = np.array([4, 0, 3])
    parts[0, :4] = [20, 50, 61, 97]
    parts[2, :3] = [31, 30, 94]  # one neuron at one tick: into state 1, and back
    events, remote = merge(parts, counts, 2, np.uint64(stop), most)
    wanted = [20, 31, 30, 50, 61, 94, 97]
    wanted = [event for event in wanted if event >> 1 <= stop >> 1][:most]
    assert events.tolist() == wanted
    assert remote.tolist() == [event for event in wanted if event in (20, 50, 61, 97)]


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_any_events_are_merged_by_time(ranks: int) -> None:
    for seed in range(40):
        dice = random.Random(f"merge {ranks} {seed}")
        events = events_by_time(dice, dice.randint(0, 20))
        owners = [event.neuron * ranks // 10 for event in events]
        parts = np.zeros((ranks, 24), np.uint64)
        counts = np.zeros(ranks, np.int64)
        for event, owner in zip(events, owners, strict=True):
            parts[owner, counts[owner]] = plain.words([event])[0]
            counts[owner] += 1
        most, rank = dice.choice([1, 3, 100]), dice.randrange(ranks)
        stop = dice.choice(events) if events and dice.random() < 0.5 else None
        word = NO_EVENT if stop is None else plain.words([stop])[0]
        found, remote = merge(parts, counts, rank, word, most)
        kept = [k for k, event in enumerate(events) if stop is None or event.moment <= stop.moment]
        kept = kept[:most]
        assert plain.events(found) == [events[k] for k in kept]
        assert plain.events(remote) == [events[k] for k in kept if owners[k] != rank]


def events_by_time(dice: random.Random, count: int) -> list[Event]:
    """Of 10 neurons, at few ticks; those of one neuron at one tick change its state and back."""
    made = [Event(dice.randint(1, 6), dice.randrange(10), 0) for _ in range(count)]
    states = [0] * 10
    for k, event in enumerate(sorted(made)):
        states[event.neuron] = 1 - states[event.neuron]
        made[k] = event._replace(state=states[event.neuron])
    return made


def test_differences_lead_from_some_events_to_others() -> None:
    for seed in range(200):
        dice = random.Random(f"difference {seed}")
        events = {event.moment: event for event in events_by_time(dice, 20)}
        before, after = (
            sorted(event for event in events.values() if dice.random() < share)
            for share in (dice.choice([0, 0.5, 1]), dice.choice([0, 0.9, 1]))
        )
        after = [e._replace(state=1 - e.state) if dice.random() < 0.1 else e for e in after]
        found = plain.events(difference(plain.words(before), plain.words(after)))
        assert sorted(found) == sorted(plain.difference(before, after))
        assert [event.moment for event in found] == sorted(event.moment for event in found)
