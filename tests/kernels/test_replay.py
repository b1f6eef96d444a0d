"""Guesses, replays and their checks against the plain loop, on random small cases."""

import random

import numpy as np
import plain
import pytest
from plain import Event, Part, Ticket

from distsim.kernels.apply import PASS, Marks
from distsim.kernels.events import NO_EVENT
from distsim.kernels.replay import Bounds, guess, replay, unsettled
from distsim.kernels.tickets import SLOT_KIND, TICKET_KIND, Drawn

TICKS = 12  # few, or very few, so that several tickets and events are at one
FAR = 2**62
WIDTHS = (8, 16, 32)


def merged(*parts: list[Event]) -> list[Event]:
    return sorted((event for part in parts for event in part), key=lambda event: event.moment)


def bounds(dice: random.Random, part: Part, events: list[Event], *, width: int = 0) -> Bounds:
    """On z on the way, as tight as can be or wider by up to `width`."""
    high, low = part.extremes(events)
    return Bounds(
        part.numbers([value + dice.randint(0, width) for value in high]),
        part.numbers([value - dice.randint(0, width) for value in low]),
    )


NOTHING = np.empty(0, np.int64)


def marks(dice: random.Random, part: Part, drawn: Drawn, applied: list[Event]) -> Marks:
    """z of some or all of the slots' neurons before each pass of `applied`."""
    neurons = drawn.slots["neuron"][: dice.randint(0, drawn.slots.size)]
    values = [[part.after(applied[:k])[i] for i in neurons] for k in range(0, len(applied), PASS)]
    shape = -(-len(applied) // PASS), neurons.size
    return Marks(plain.words(applied), np.array(values, np.int64).reshape(shape), NOTHING)


def others(dice: random.Random, part: Part, events: list[Event]) -> list[Event]:
    """Events that are not quite these, as of an earlier replay."""
    kept = [event for event in events if dice.random() < 0.7]
    more = [
        Event(dice.randint(1, TICKS), dice.randrange(len(part.weights)), dice.randrange(2))
        for _ in range(dice.choice([0, 2, 2 * PASS]))
    ]
    moments = {event.moment for event in kept}
    return merged(
        kept, list({event.moment: event for event in more if event.moment not in moments}.values())
    )


def replayed(
    part: Part, given: Bounds, drawn: Drawn, known: Marks, remote: list[Event], most: int, cap: int
) -> tuple[list[Event], bool]:
    """What the compiled loop finds: the events, and whether the window ends after the last."""
    rank = tuple(part.local()), tuple(given), tuple(drawn), tuple(known)  # as an engine calls it
    mine, stop = replay(*rank, plain.words(remote), most, cap)
    if stop != NO_EVENT:
        assert stop == mine[-1]
    return plain.events(mine), stop != NO_EVENT


@pytest.mark.parametrize("bits", WIDTHS)
def test_replays_are_the_plain_loop(bits: int) -> None:
    """Whatever was applied before, however tight the bounds, on however many ranks."""
    ended = fired = 0
    for seed in range(150):
        dice = random.Random(f"replay {bits} {seed}")
        part = plain.part(dice, bits)
        ticks = dice.choice([3, TICKS])
        tickets = plain.tickets(dice, part, dice.randint(0, 30), ticks)
        remote = plain.remote_events(dice, part, dice.choice([0, 3, 20]), ticks)
        most = dice.choice([1, 2, 5, 10**6])
        cap = dice.choice([FAR, 4 * plain.scale(part), 0])
        wanted, early = plain.run(part, tickets, remote, most, cap)
        everything = merged(wanted, remote)
        given = bounds(dice, part, everything, width=dice.choice([0, plain.scale(part)]))
        drawn = plain.drawn(dice, part, tickets)
        known = marks(dice, part, drawn, others(dice, part, everything))
        assert replayed(part, given, drawn, known, remote, most, cap) == (wanted, early)
        ended += early
        fired += len(wanted)
    assert ended > 20
    assert fired > 300


@pytest.mark.parametrize("bits", WIDTHS)
def test_guesses_are_the_plain_loop_without_inputs(bits: int) -> None:
    for seed in range(50):
        dice = random.Random(f"guess {bits} {seed}")
        part = plain.part(dice, bits)
        tickets = plain.tickets(dice, part, dice.randint(0, 30), TICKS)
        alone = Part([[0] * 9] * 9, part.first, part.z, part.x, bits)
        most = dice.choice([1, 3, 10**6])
        mine = guess(tuple(part.local()), tuple(plain.drawn(dice, part, tickets)), most)
        assert plain.events(mine) == plain.run(alone, tickets, most=most)[0]


def one_neuron(z: int, x: int, *moments: int, threshold: int) -> tuple[Part, Drawn]:
    """A neuron without inputs, with tickets of one threshold."""
    part = Part([[0]], 0, [z], [x], 8)
    tickets = [Ticket(tick, 0, threshold, threshold) for tick in moments]
    return part, plain.drawn(random.Random(1), part, tickets)


@pytest.mark.parametrize(
    ("threshold", "high", "low", "fires"),
    [
        (5, 4, -9, False),  # beyond reach: the bounds say so, though z does not
        (5, 5, -9, True),  # within reach, and looked at
        (6, 9, 6, True),  # reached for certain, by the bounds alone
        (6, 9, 5, False),
    ],
)
@pytest.mark.parametrize("x", [0, 1])
def test_bounds_decide_what_is_beyond_them(
    x: int, threshold: int, high: int, low: int, fires: bool
) -> None:
    s = 1 - 2 * x
    part, drawn = one_neuron(5 * s, x, 3, threshold=threshold)
    given = Bounds(*(part.numbers([value]) for value in ((high, low) if s > 0 else (-low, -high))))
    nothing = Marks(plain.words([]), np.empty((0, 0), np.int64), NOTHING)
    found, _ = replayed(part, given, drawn, nothing, [], 9, FAR)
    assert bool(found) == fires


def test_two_tickets_at_one_tick_are_looked_at_whatever_the_bounds() -> None:
    part, drawn = one_neuron(0, 0, 3, 3, threshold=0)
    given = Bounds(part.numbers([-7]), part.numbers([-7]))  # beyond reach, which is not so
    nothing = Marks(plain.words([]), np.empty((0, 0), np.int64), NOTHING)
    found, _ = replayed(part, given, drawn, nothing, [], 9, FAR)
    assert found == [(3, 0, 1), (3, 0, 0)]


@pytest.mark.parametrize("bits", WIDTHS)
def test_what_a_replay_took_from_old_bounds_is_checked_by_the_new(bits: int) -> None:
    """A rank alone: it replays with bounds for other events than it finds; some tickets are new."""
    answers = {False: 0, True: 0}
    for seed in range(300):
        dice = random.Random(f"unsettled {bits} {seed}")
        part = plain.part(dice, bits)
        tickets = plain.tickets(dice, part, dice.randint(1, 16), TICKS)
        most = dice.choice([2, 10**6])
        drawn = plain.drawn(dice, part, tickets)
        known = max(0, drawn.tickets.size - dice.choice([0, 0, 1, 3]))
        old = Drawn(drawn.slots, drawn.tickets[:known], drawn.order[drawn.order < known])
        bounded = others(dice, part, plain.run(part, tickets)[0])
        before = bounds(dice, part, bounded, width=dice.choice([0, plain.scale(part)]))
        nothing = Marks(plain.words([]), np.empty((0, 0), np.int64), NOTHING)
        found, early = replayed(part, before, old, nothing, [], most, FAR)
        body = found[:-1] if early else found
        changes = sorted(plain.difference(bounded, body), key=lambda event: event.moment)
        answer = unsettled(
            tuple(part.local()),
            tuple(bounds(dice, part, body, width=dice.choice([0, plain.scale(part)]))),
            tuple(drawn),
            known,
            plain.words(changes),
            plain.words(found),
            early,
        )
        wanted = disagrees(part, tickets, (drawn.order >= known).tolist(), found, early)
        assert answer == wanted
        answers[wanted] += 1
    assert min(answers.values()) > 40


def disagrees(
    part: Part, by_time: list[Ticket], new: list[bool], events: list[Event], early: bool
) -> bool:
    """Whether some ticket does not go with the events, or a new one is at the tick of another."""
    end = events[-1].moment if early else (10**9, 0)
    moments = [ticket.moment for ticket in by_time]
    for ticket in by_time:
        if ticket.moment > end:
            continue
        if moments.count(ticket.moment) > 1:
            if any(new[m] for m in range(len(moments)) if moments[m] == ticket.moment):
                return True
            continue  # the replay looked at both
        earlier = [event for event in events if event.moment < ticket.moment]
        i = ticket.neuron - part.first
        z = part.after(earlier)[i]
        x = next((e.state for e in reversed(earlier) if e.neuron == ticket.neuron), part.x[i])
        fires = (z if x == 0 else -z) >= (ticket.up if x == 0 else ticket.down)
        if fires != (ticket.moment in {event.moment for event in events}):
            return True
    return False


@pytest.mark.parametrize(
    ("state", "threshold", "reached", "new", "wanted"),
    [
        (0, 50, (0, 100), True, False),  # the replay looked at it closely
        (0, 50, (0, 40), True, True),  # it held for beyond reach what fires
        (0, 150, (0, 40), True, False),  # it is beyond reach still
        (0, -50, (0, 40), True, True),  # it held for certain what did not fire: no such event
        (0, 50, (0, 40), False, False),  # no change before the ticket moves what the replay saw
        (1, 50, (-40, 0), True, True),  # the same from the other state
        (1, 50, (-100, 0), True, False),
        (1, 150, (-40, 0), True, False),
        (1, 50, (-40, 0), False, False),
    ],
)
def test_a_ticket_that_comes_within_the_bounds_is_looked_at(
    state: int, threshold: int, reached: tuple[int, int], new: bool, wanted: bool
) -> None:
    """Neuron 0 has a ticket at tick 9; neuron 1's event at tick 5, new or not since the replay's
    bounds, moves its z to +-80."""
    sign = 1 - 2 * state
    part = Part([[0, 0], [0, 0]], 0, [0, 0], [state, 0], 8)
    part.weights[0][1] = 80 * sign
    event = Event(5, 1, 1)
    drawn = plain.drawn(random.Random(1), part, [Ticket(9, 0, threshold, threshold)])
    drawn.slots["low"], drawn.slots["high"] = reached
    high, low = part.extremes([event])
    answer = unsettled(
        tuple(part.local()),
        (part.numbers(high), part.numbers(low)),
        tuple(drawn),
        1,
        plain.words([event if new else event._replace(tick=12)]),
        plain.words([event]),
        False,
    )
    assert answer == wanted


@pytest.mark.parametrize(
    ("ticks", "early", "wanted"),
    [((5, 9, 9), False, True), ((9, 5, 9), True, False), ((5, 9, 7), False, False)],
)
def test_a_new_ticket_at_the_tick_of_another_is_for_a_replay(
    ticks: tuple[int, ...], early: bool, wanted: bool
) -> None:
    """The last of three tickets is new, none fires; the window may end early, at tick 6."""
    part = Part([[0, 0], [0, 0]], 0, [0, 0], [0, 0], 8)
    slots, tickets = np.zeros(1, SLOT_KIND), np.zeros(3, TICKET_KIND)
    tickets["key"] = np.array(ticks) << 23
    tickets["threshold"] = 100
    answer = unsettled(
        tuple(part.local()),
        (part.numbers([0, 0]), part.numbers([0, 0])),
        (slots, tickets, np.argsort(ticks, kind="stable")),
        2,
        plain.words([]),
        plain.words([Event(6, 1, 1)]),
        early,
    )
    assert answer == wanted
