"""An MPM's window, event by event, on several ranks that meet in memory, each with its own neurons.

    repeat
        propose   each rank its next tickets that fire if nothing changes
        meet      all see all proposals: by time, they are the next events, up to the first word
                  that is the last of some rank's
        for each of them, by time, on every rank
            agree     no other ticket of this rank fires before it; if it is this rank's, it fires
            push      this rank's rows of its column
            deepen    the neurons whose s z came to their lowest ticket not drawn
        until there is one that this rank does not agree to
    at the next meeting what is beyond the first such event is undone on every rank

The first proposal is always right: it is the earliest ticket of all that fires at the present z. If
those before it are right, one that is wrong is seen so by a rank, that whose ticket comes before it
or which it is of: z is exact where a rank looks at a ticket. So what all agree to is the stream of
`engines.race`. The more events are undone, the fewer a rank proposes: that decides speed only.

Tickets that are drawn late, and lie between the last event that all have agreed to and the present
one, did not fire, but may if the present is undone: so they are kept. It has no twin.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from distsim.kernels import dense, queue, sparse, walk_window
from distsim.kernels.events import NO_EVENT, ONE, neuron_of
from distsim.kernels.meeting import GIVEN, give, given, meet
from distsim.kernels.memory import UNCOUNTED, prefetch
from distsim.kernels.waiting import Heads, Seen, deepen, take
from distsim.kernels.walk_tickets import flip, pivot

_NO_ROOM, _EARLY = np.uint64(0), np.uint64(1)  # before all event words: the window ends
_FAR = 12  # tickets ahead, whose neurons are prefetched
_MOST = GIVEN - 1  # proposals of a rank; word 0 is how many events it has agreed to


def _add(columns, event, following, y, crossed):
    raise NotImplementedError


@overload(_add)
def _add_of(columns, event, following, y, crossed):
    """Add the column of an event to y, and prefetch that of the one that likely follows; crossed
    (out), where y changed its sign. Returns how many signs changed."""

    def of_dense(columns, event, following, y, crossed):
        w, ahead = (
            dense.column(columns, neuron_of(event)),
            dense.column(columns, neuron_of(following)),
        )
        large = columns.size * columns.itemsize >= walk_window.AHEAD
        return walk_window.push(y, w, event & ONE == ONE, ahead, large, crossed)

    def of_sparse(columns, event, following, y, crossed):
        queue.ask_for(columns, neuron_of(following))
        begin, end = sparse.column(columns, neuron_of(event))
        return queue.push(y, columns, begin, end, event & ONE == ONE, crossed)

    return of_dense if isinstance(columns, types.Array) else of_sparse


@njit(inline="always")
def _drive(motion, i):
    """s z of local neuron i."""
    y, c, x = motion
    z = np.int64(y[i]) + np.int64(c[i])
    return -z if x[i] else z


@njit(**UNCOUNTED)
def _propose(rule, motion, queue, heads, seen, most):
    """Give the words of the next tickets that fire if nothing changes, at most so many, then
    NO_EVENT. Returns (heads, seen)."""
    key, threshold, order, ahead = queue
    y, c, x = motion
    first, places = rule.first, rule.places
    passed, taken, now, until = seen
    o, found = passed, 0
    while found < most:
        if o == taken:
            if heads.next == heads.early and heads.late == 0:
                break
            if heads.next + _FAR < heads.early:
                i = neuron_of(key[order[heads.next + _FAR]]) - first
                prefetch((y, c, x), i)  # type: ignore[call-arg]
            ahead[taken], heads = take(queue, heads)
            until = key[ahead[taken]]
            taken += 1
        t = ahead[o]
        i = neuron_of(key[t]) - first
        if _drive(motion, i) >= threshold[t, x[i]]:
            give(places, 1 + found, key[t] | (ONE - np.uint64(x[i])))
            found += 1
        o += 1
    for k in range(found, _MOST):
        give(places, 1 + k, NO_EVENT)
    return heads, Seen(passed, taken, now, until)


@njit(**UNCOUNTED)
def _merge(places, proposed, events):
    """The proposals of all ranks, so many of each, by time: events: uint64[...] (out), as many as
    there is room for. Returns how many of them are next, and how many there are."""
    horizon, count = NO_EVENT, 0
    for rank in range(places.ranks):
        horizon = min(horizon, given(places, rank, proposed))
        for k in range(1, proposed + 1):
            word = given(places, rank, k)
            if word == NO_EVENT:
                break
            if count < events.size:
                count += 1
            elif events[count - 1] <= word:
                break
            o = count - 1
            while o > 0 and events[o - 1] > word:
                events[o] = events[o - 1]
                o -= 1
            events[o] = word
    following = 0
    while following < count and events[following] <= horizon:
        following += 1
    return following, count


@njit(**UNCOUNTED)
def _agree(motion, queue, seen, event, first):
    """Whether no ticket of this rank fires before an event, and its own one does; s z of it;
    `seen`, after it if so."""
    key, threshold, _, ahead = queue
    x = motion.x
    passed, taken, _, until = seen
    for o in range(passed, taken):
        t = ahead[o]
        if key[t] > event:
            passed = o
            break
        i = neuron_of(key[t]) - first
        sz = _drive(motion, i)
        if sz >= threshold[t, x[i]]:
            right = key[t] | (ONE - np.uint64(x[i])) == event
            return right, sz, Seen(o + 1, taken, event & ~ONE, until) if right else seen
        passed = o + 1
    if 0 <= neuron_of(event) - first < x.size:
        return False, np.int64(0), seen
    return True, np.int64(0), Seen(passed, taken, event & ~ONE, until)


@njit(**UNCOUNTED)
def _undo(columns, motion, tickets, first, events):
    """Take events back, the last first."""
    for k in range(events.size):
        event = events[events.size - 1 - k]
        i = neuron_of(event) - first
        if 0 <= i < motion.x.size:
            flip(motion, i)
        back = event ^ ONE
        _add(columns, back, back, motion.y, tickets.lanes.crossed)  # type: ignore[no-untyped-call]


@njit(**UNCOUNTED)
def together(rule, here, columns, motion, tickets, log, count, made):
    """As `walk_window.through`, of one of several ranks; count: -1 if there was no room for its
    tickets. log.doubled: the same memory on all ranks."""
    y, c, x = motion
    queue, crossed = tickets.queue, tickets.lanes.crossed
    first, places = rule.first, rule.places
    most = made + here.most
    heads = Heads(0, count, 0, count)
    passed, since = 0, np.uint64(0)  # after the last event that all have agreed to
    seen = Seen(0, 0, since, since)
    lifted = False
    goal, proposed = made, 2
    while True:
        give(places, 0, np.uint64(made))
        if heads.total < 0 or lifted:
            give(places, 1, _NO_ROOM if heads.total < 0 else _EARLY)
        else:
            heads, seen = _propose(rule, motion, queue, heads, seen, proposed)
        meet(places)
        least, agreed = NO_EVENT, made
        for rank in range(places.ranks):
            agreed = min(agreed, np.int64(given(places, rank, 0)))
            least = min(least, given(places, rank, 1))
        if made > agreed:
            _undo(columns, motion, tickets, first, log.event[agreed:made])
            made, lifted = agreed, False
            last = log.event[made - 1] & ~ONE
            o = passed
            while o < seen.taken and queue.key[queue.ahead[o]] <= last:
                o += 1
            seen = Seen(o, seen.taken, last, seen.until)
        passed, since = seen.passed, seen.now
        if agreed < goal:
            goal, proposed = agreed, max(1, proposed // 2)
            continue
        if made == most:
            return made, True, False
        if least == NO_EVENT:
            return made, False, False
        if least <= _EARLY or made == log.event.size:
            return made, least == _EARLY, least != _EARLY
        following, listed = _merge(places, proposed, log.event[made:])
        goal = min(made + following, most)
        listed += made
        seen = Seen(passed, seen.taken, since, max(seen.until, log.event[goal - 1] & ~ONE))
        proposed = min(proposed + 1, _MOST)
        while made < goal and not lifted and heads.total >= 0:
            event = log.event[made]
            right, sz, seen = _agree(motion, queue, seen, event, first)
            if not right:
                break
            i = neuron_of(event) - first
            own = 0 <= i < x.size
            if own:
                log.doubled[made] = -2 * sz - np.int64(rule.diagonal[i])
            made += 1
            found = _add(columns, event, log.event[min(made, listed - 1)], y, crossed)  # type: ignore[no-untyped-call]
            if own:
                flip(motion, i)
                crossed[found] = i  # in its new state
                found += 1
            for f in range(found):
                i = crossed[f]
                sz = _drive(motion, i)
                if sz < pivot(np.int64(c[i]), x[i]):
                    continue
                lifted |= sz > here.cap
                if not lifted and heads.total >= 0:
                    heads, seen = deepen(rule, here, motion, tickets, i, since, heads, seen)
            if own and _again(queue, seen):
                break


@njit(inline="always")
def _again(queue, seen):
    """Whether the next ticket is one of the same neuron at the same tick: if events were undone,
    nothing would tell which of the two has been."""
    passed, taken, now, _ = seen
    return passed < taken and queue.key[queue.ahead[passed]] == now
