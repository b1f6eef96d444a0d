"""What is computed in both languages, compared bit by bit: the device's code as host code."""

import ctypes
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_code import KERNELS, call, library, needs_compiler
from numba import njit
from numpy.typing import NDArray

from distsim.gpu.layout import STATE, Context
from distsim.kernels import events as words
from distsim.kernels import philox
from distsim.kernels.elementary import LN2, exponential, ln, normal_pair, uniform
from distsim.kernels.gaussian import Formula, gaussian_rows
from distsim.kernels.record import event_times, unpack
from distsim.kernels.updates import random_logit, sweep_logit
from distsim.kernels.window import WIDEST, follow, power_of_two
from distsim.laws.boltzmann import Boltzmann
from distsim.laws.conditions import Conditions
from distsim.laws.law import Law
from distsim.laws.mcculloch_pitts import McCullochPitts
from distsim.laws.names import names
from distsim.laws.window import Window
from distsim.networks.matrices import from_array
from distsim.ranks.communicator import Serial
from distsim.weights.dense import DenseColumns
from distsim.weights.shard import Shard, load

pytestmark = needs_compiler
ARITHMETIC = """
#include "gaussian.cuh"
#include "record.cuh"
#include "updates.cuh"
extern "C" void updates(u64 seed, const i64* step, const i64* neuron, i64 neurons, i64 sequential,
                        double* logit, i64 n) {
    for (i64 k = 0; k < n; k++)
        logit[k] = update_logit(seed, step[k], (u32)neuron[k], neurons, sequential);
}
extern "C" void elementary(const double* x, double* y, const u32* word, double* z, i64 n) {
    for (i64 k = 0; k < n; k++) {
        y[2 * k] = ln(x[k]);
        y[2 * k + 1] = exponential(x[k]);
        Pair pair = normal_pair(word[2 * k], word[2 * k + 1]);
        z[3 * k] = pair.first;
        z[3 * k + 1] = pair.second;
        z[3 * k + 2] = uniform(word[2 * k], word[2 * k + 1]);
    }
}
extern "C" void gaussian(double* y, i64 n, i64 seed, double scale, i64 symmetric) {
    for (i64 i = 0; i < n; i++)
        for (i64 j = 0; j < n; j++) y[i * n + j] = gaussian_weight(seed, i, j, scale, symmetric);
}
extern "C" void draws(const u64* name, u32* word, i64 n) {
    for (i64 k = 0; k < n; k++, name += 5) {
        Words words = draw(name[0], (u32)name[1], name[2], (u32)name[3], (u32)name[4]);
        for (int w = 0; w < 4; w++) *word++ = word_of(words, w);
    }
}
extern "C" void purposes(i64* found) {
    const i64 all[] = {TICKET, FIRST, UPDATE, VISIT, WEIGHT, SWEEP};
    for (i64 purpose : all) *found++ = purpose;
}
extern "C" void parts(const u64* event, i64* part, i64 n) {
    for (i64 k = 0; k < n; k++, part += 4) {
        part[0] = neuron_of(event[k]);
        part[1] = tick_of(event[k]);
        part[2] = sign_of(event[k]);
        part[3] = event_word(part[1], part[0]) | (event[k] & 1);
    }
}
extern "C" void thresholds(const double* value, i64* threshold, i64 n) {
    for (i64 k = 0; k < n; k++) threshold[k] = to_threshold(value[k]);
}
extern "C" void times(const u64* event, double high, double low, double tick, double offset,
                      double* time, i64 n) {
    for (i64 k = 0; k < n; k++) time[k] = time_of(event[k], high, low, tick, offset);
}
extern "C" void digest(const u64* event, const u64* time, i64 position, u64* total, i64 n) {
    for (i64 k = 0; k < n; k++)
        *total += event_digest(time[k], position + k, event[k] & (2 * NEURON_MASK + 1));
}
"""
WINDOW = """
#include "window.cuh"
extern "C" void open(State* state, const Context* context, i64 top) {
    open_window(state, *context, top);
}
extern "C" void close(State* state, const Context* context, const u64* events, i64 count) {
    close_clock(state, *context, events, count);
}
extern "C" void powers(const i64* exponent, double* power, i64 n) {
    for (i64 k = 0; k < n; k++) power[k] = power_of_two(exponent[k]);
}
extern "C" void followed(const i64* given, i64* exponent, i64 n) {
    for (i64 k = 0; k < n; k++, given += 4)
        exponent[k] = follow(given[0], given[1], given[2], given[3]);
}
"""


@pytest.fixture
def arithmetic() -> ctypes.CDLL:
    return library(ARITHMETIC)


def _bits(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return values.view(np.int64)


@njit
def _elementary(x, word):  # type: ignore[no-untyped-def]
    y, z = np.empty(2 * x.size), np.empty(3 * x.size)
    for k in range(x.size):
        y[2 * k] = ln(x[k])
        y[2 * k + 1] = exponential(x[k])
        z[3 * k], z[3 * k + 1] = normal_pair(word[2 * k], word[2 * k + 1])
        z[3 * k + 2] = uniform(word[2 * k], word[2 * k + 1])
    return y, z


def test_elementary_functions(arithmetic: ctypes.CDLL) -> None:
    random = np.random.default_rng(1)
    x = random.random(1_000_000)
    word = random.integers(0, 2**32, 2 * x.size, np.uint32)
    y, z = np.empty(2 * x.size), np.empty(3 * x.size)
    call(arithmetic.elementary, x, y, word, z, x.size)
    wanted = _elementary(x, word)
    assert np.array_equal(_bits(y), _bits(wanted[0]))
    assert np.array_equal(_bits(z), _bits(wanted[1]))


@pytest.mark.parametrize("symmetric", [False, True])
def test_gaussian_weights(arithmetic: ctypes.CDLL, symmetric: bool) -> None:
    n = 65
    weights = np.empty((n, n))
    call(arithmetic.gaussian, weights, n, 7, 0.3, int(symmetric))
    rows = gaussian_rows(Formula(np.uint64(7), 0.3, symmetric), 0, n, n)
    assert np.array_equal(weights, rows)


@njit
def _draws(names):  # type: ignore[no-untyped-def]
    word = np.empty(4 * len(names), np.uint32)
    for k in range(len(names)):
        seed, neuron, count, ticket, purpose = names[k]
        drawn = philox.draw(seed, neuron, count, ticket, purpose)
        for w in range(4):
            word[4 * k + w] = drawn[w]
    return word


def test_draws(arithmetic: ctypes.CDLL) -> None:
    random = np.random.default_rng(2)
    limits = np.array([2**64 - 1, 2**22, 2**64 - 1, 2**24, 7], np.uint64)
    names = random.integers(0, limits, (10_000, 5), np.uint64)
    word = np.empty(4 * len(names), np.uint32)
    call(arithmetic.draws, names, word, len(names))
    assert np.array_equal(word, _draws(names))
    known = "TICKET", "FIRST", "UPDATE", "VISIT", "WEIGHT", "SWEEP"
    purposes = np.empty(len(known), np.int64)
    call(arithmetic.purposes, purposes)
    assert purposes.tolist() == [getattr(philox, name) for name in known]


@njit
def _logits(seed, step, neuron, neurons, sequential):  # type: ignore[no-untyped-def]
    found = np.empty(step.size)
    for k in range(step.size):
        if sequential:
            found[k] = sweep_logit(seed, 0, step[k] // neurons, neuron[k])
        else:
            found[k] = random_logit(seed, 0, step[k], neuron[k])
    return found


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("neurons", [1, 7, 64])
def test_updates(arithmetic: ctypes.CDLL, neurons: int, sequential: bool) -> None:
    random = np.random.default_rng(6)
    step = np.append(np.arange(200), random.integers(0, 2**47, 2000))
    neuron = step % neurons if sequential else random.integers(0, neurons, step.size)
    found = np.empty(step.size)
    call(arithmetic.updates, 2**63 - 5, step, neuron, neurons, int(sequential), found, step.size)
    wanted = _logits(np.uint64(2**63 - 5), step, neuron, neurons, sequential)
    assert np.array_equal(_bits(found), _bits(wanted))


def _some_events(count: int) -> NDArray[np.uint64]:
    random = np.random.default_rng(3)
    some = random.integers(0, 2**64 - 1, count, np.uint64)
    return np.append(some, [np.uint64(1 << 23), words.NO_EVENT - np.uint64(1)])


@njit
def _parts(events):  # type: ignore[no-untyped-def]
    part = np.empty((events.size, 4), np.int64)
    for k in range(events.size):
        event = events[k]
        part[k, 0] = words.neuron_of(event)
        part[k, 1] = words.tick_of(event)
        part[k, 2] = words.sign_of(event)
        part[k, 3] = words.event_word(part[k, 1], part[k, 0]) | event & words.ONE
    return part


@njit
def _thresholds(values):  # type: ignore[no-untyped-def]
    return np.array([words.to_threshold(value) for value in values])


def test_events_and_thresholds(arithmetic: ctypes.CDLL) -> None:
    some = _some_events(10_000)
    part = np.empty((some.size, 4), np.int64)
    call(arithmetic.parts, some, part, some.size)
    assert np.array_equal(part, _parts(some))
    assert np.array_equal(part[:, 3].view(np.uint64), some)
    random = np.random.default_rng(4)
    values = random.normal(size=10_000) * 2.0 ** random.integers(-5, 70, 10_000)
    values[:3] = -0.0, 2.0**62, -(2.0**62)
    threshold = np.empty(values.size, np.int64)
    call(arithmetic.thresholds, values, threshold, values.size)
    assert np.array_equal(threshold, _thresholds(values))


def test_times_and_digest_of_events(arithmetic: ctypes.CDLL) -> None:
    some = _some_events(10_000)
    time, wanted = np.empty(some.size), np.empty(some.size)
    for clock in ((0.0, 0.0, 2.0**-40, -0.5), (1e9 / 3, 1e-9 / 3, 2.0**-37, -0.5),
                  (12345.0, 0.0, 1.0, 0.0)):  # fmt: skip
        call(arithmetic.times, some, *clock, time, some.size)
        event_times(some, *clock, wanted)
        assert np.array_equal(_bits(time), _bits(wanted))
        for position in (0, 2**40 + 7):
            total = np.zeros(1, np.uint64)
            call(arithmetic.digest, some, time, position, total, some.size)
            columns = np.empty(some.size), np.empty(some.size, np.int64), np.empty(some.size, "u1")
            assert int(total[0]) == int(unpack(some, wanted, position, 0, *columns))


# -------------------------------------------------------------------------------- the names
@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.cu*")), ids=lambda path: path.name)
def test_every_cuda_file_names_its_twins(path: Path) -> None:
    """They are there, and one of its own name is among them; or it says that there is none."""
    text = path.read_text(encoding="utf-8")
    heading = text[: text.index("#")]
    own = KERNELS / f"{path.stem}.py"
    if "no twin" in heading:
        assert not own.exists()
        return
    assert "the twin of" in heading.lower()
    named = [KERNELS.parent / name for name in re.findall(r"\w+/\w+\.py", heading)]
    assert named
    assert all(twin.exists() for twin in named)
    assert own in named or not own.exists()


@pytest.mark.parametrize("path", sorted(KERNELS.glob("[!_]*.py")), ids=lambda path: path.name)
def test_twins_that_python_names_are_there(path: Path) -> None:
    heading = path.read_text(encoding="utf-8").split('"""')[1]
    named = re.findall(r"(\w+\.cuh?)\b", heading)
    assert all((KERNELS / name).exists() for name in named)
    own = KERNELS / f"{path.stem}.cuh"
    assert own.name in named or not own.exists()


# -------------------------------------------------------------------------------- the window
def _window(boltzmann: int) -> ctypes.CDLL:
    return library(WINDOW, BOLTZMANN=boltzmann, WEIGHT_BITS=8, Z_BITS=64)


def test_widths() -> None:
    host = _window(0)
    exponent = np.arange(-1100, WIDEST + 1)
    power = np.empty(exponent.size)
    call(host.powers, exponent, power, exponent.size)
    assert power.tolist() == [power_of_two(int(k)) for k in exponent]
    random = np.random.default_rng(5)
    given = random.integers([-50, 0, 1, 0], [50, 200, 100, 2], (10_000, 4))
    found = np.empty(len(given), np.int64)
    call(host.followed, given, found, len(given))
    assert found.tolist() == [
        follow(k, events, target, may_grow=bool(grow)) for k, events, target, grow in given.tolist()
    ]


class _Device:
    """The part of a chain on a device that opens and closes windows, from what a law hands it."""

    def __init__(self, law: Law, neurons: int) -> None:
        self.host = _window(int(not law.bounded))
        self.context = Context(
            scale=law.scale, target=law.target, most=law.most, neurons=neurons,
            per_neuron=law.octaves_per_neuron % 2**64,
        )  # fmt: skip
        self.state = np.zeros(1, STATE)
        self.state["started"] = law.clock.exponent is not None
        self.state["exponent"] = law.clock.exponent or 0

    def open(self, top: int) -> None:
        call(self.host.open, self.state, ctypes.byref(self.context), top)

    def close(self, events: NDArray[np.uint64], *, early: bool) -> None:
        self.state["early"] = early
        call(self.host.close, self.state, ctypes.byref(self.context), events, events.size)

    def clock(self) -> tuple[Any, ...]:
        names = ("number", "high", "low", "exponent")
        return tuple(self.state[name][0].item() for name in names)

    def times(self, events: NDArray[np.uint64]) -> NDArray[np.float64]:
        times = np.empty(events.size)
        high, low, tick, offset = (
            self.state[f"record_{name}"][0] for name in ("high", "low", "tick", "offset")
        )
        event_times(events, high, low, tick, offset, times)
        return times


def _clock(law: Law) -> tuple[Any, ...]:
    clock = law.clock
    return clock.number, clock.high, clock.low, clock.exponent


def _events(random: np.random.Generator, count: int, ticks: int) -> NDArray[np.uint64]:
    tick = np.sort(random.integers(1, ticks + 1, count, np.uint64))
    return tick << np.uint64(words.NEURON_BITS + 1)


def _check_closing(
    law: Law, device: _Device, window: Window, events: NDArray[np.uint64], early: bool
) -> None:
    times = law.close(window, events, early=early)
    device.close(events, early=early)
    assert np.array_equal(_bits(device.times(events)), _bits(times))
    assert device.clock() == _clock(law)


def _shard(neurons: int) -> Shard[DenseColumns]:
    return load(from_array(np.eye(neurons)), 32, Serial(), DenseColumns)


@pytest.mark.parametrize("neurons", [1, 6, 100])
@pytest.mark.parametrize("target", [None, 1, 48, 1024])
@pytest.mark.parametrize("tau", [1e-3, 0.37, 20.0])
def test_windows_of_an_mpm(neurons: int, target: int | None, tau: float) -> None:
    """Mostly within the rule's range, now and then far beyond: rates to 2^+-3000, no events."""
    shard, x = _shard(neurons), np.zeros(1, np.uint8)
    random = np.random.default_rng(neurons + 1000 * (target or 0))
    widest = 0
    for _ in range(50):
        law = McCullochPitts(shard, Conditions.constant(tau), names(0, 0), target, Serial())
        device = _Device(law, neurons)
        around = random.normal() * (1000.0 if random.random() < 0.5 else 10.0)
        for _ in range(40):
            octaves = around + random.normal() * (1000.0 if random.random() < 0.05 else 5.0)
            z = np.array([round(octaves * law.scale * LN2)])
            device.open(int(z[0]))
            window = law.open(z, x)
            widest += window.exponent == WIDEST
            found = (device.state[name][0].item() for name in ("number", "width", "most", "cap"))
            assert tuple(found) == (window.number, window.exponent, window.most, window.cap)
            early = bool(random.random() < 0.3)
            count = int(random.integers(0, window.most + 1)) if random.random() < 0.9 else 0
            events = _events(random, count, 2**words.MPM_TICK_BITS)
            _check_closing(law, device, window, events, early)
    assert 0 < widest < 1000


@pytest.mark.parametrize("neurons", [1, 6, 100, 5000])
@pytest.mark.parametrize("target", [None, 1, 48, 1024])
def test_windows_of_a_bm(neurons: int, target: int | None) -> None:
    """From busy to still, so that the longest window is reached, and back."""
    weights = np.zeros((min(neurons, 100), min(neurons, 100)))
    shard = load(from_array(weights), 32, Serial(), DenseColumns)
    law = Boltzmann(shard, Conditions.constant(1.0), names(0, 0), target, Serial(), "random")
    law.most = max(neurons, law.most)
    device = _Device(law, neurons)
    random = np.random.default_rng(neurons)
    longest = 0
    for number in range(1000):
        device.open(0)
        window = law.open(np.zeros(1, np.int64), np.zeros(1, np.uint8))
        found = (device.state[name][0].item() for name in ("number", "steps", "most", "cap"))
        assert tuple(found) == (window.number, window.steps, window.most, window.cap)
        longest = max(longest, window.steps)
        busy = (0.5, 0.01, 0.0)[number // 50 % 3]
        events = _events(random, int(random.binomial(window.steps, busy)), window.steps)
        _check_closing(law, device, window, events, early=False)
    assert longest == law.most
