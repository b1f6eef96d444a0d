"""The summary of a run as a reader's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distsim.config.conditions import shown
from distsim.files.events import partial_path
from distsim.limits import amount

if TYPE_CHECKING:
    from distsim.runs.results import Summary


def summary(run: Summary, output: str | None) -> str:
    """One line a fact; the digest last."""
    several = run.chains > 1
    longest = " of the longest" if several else ""
    length = f"{run.transitions:,} transitions, model time {run.time:.6g}{longest}"
    speed = f"{run.transitions_per_second:,.0f} transitions a second"
    if run.steps is not None:
        length = f"{run.steps:,} steps{longest}, {run.transitions:,} transitions"
        speed = f"{run.steps_per_second:,.0f} steps, {speed}"
    exchange = f", exchange {run.exchange}" if run.exchange and run.ranks > 1 else ""
    windows = max(run.windows, 1)
    lines = {
        "model": f"{run.model}, tau {shown(run.tau)}, seed {run.seed}",
        "network": _network(run),
        **({"read": "; ".join(run.notes)} if run.notes else {}),
        **({"chains": _chains(run)} if several else {}),
        **({"weights": _weights(run)} if run.storage == "sparse" else {}),
        **({} if run.conditions is None else {"held": _held(run.conditions)}),
        **({} if run.tempering is None else {"swaps": _swaps(run.tempering)}),
        "run": f"{run.engine} on {run.device}, {plural(run.ranks, 'rank')}{exchange}",
        "length": length,
        "speed": f"{speed}; {run.seconds:.2f} s in all",
        "windows": f"{run.windows:,}; a window: {run.transitions / windows:.1f} events, "
        f"{run.replays / windows:.1f} replays, {run.applies / windows:.1f} applies",
        "phases": ", ".join(
            f"{phase} {100 * spent / max(sum(run.phases.values()), 1e-9):.0f}%"
            for phase, spent in run.phases.items()
        ),
        **({} if run.samples is None else {"observed": _observed(run)}),
        "check": "z == W x at the end" if run.consistent else "FAILED: z != W x at the end",
        "output": _output(run, output),
        **({} if run.checkpoint is None else {"saved": run.checkpoint}),
        **({} if run.stopped is None else {"stopped": stopped(run)}),
        "digest": run.digest,
    }
    return "\n".join(f"{name:9}{text}" for name, text in lines.items())


def stopped(run: Summary) -> str:
    """Why a run ended before its length, and how it goes on."""
    if run.checkpoint is None:
        return f"{run.stopped}; cannot be resumed: no --checkpoint FILE was given"
    return f"{run.stopped}; goes on with: distsim resume {run.checkpoint}"


def _network(run: Summary) -> str:
    neurons = plural(run.neurons, "neuron") + (" with names" if run.named else "")
    if run.populations:
        neurons += f", of {plural(run.populations, 'population')}"
    connections = plural(run.connections, "connection")
    without = f", {run.unconnected:,} without any" if run.unconnected else ""
    return f"{run.network}, {neurons}, {connections}{without}"


def _weights(run: Summary) -> str:
    each = " on rank 0" if run.ranks > 1 else ""
    return f"{run.storage}, {amount(run.bytes_of_weights)}{each}"


def _chains(run: Summary) -> str:
    begun = "" if len(run.each) == run.chains else f", {len(run.each):,} begun"
    return f"{run.chains:,}, replicas 0 to {run.chains - 1:,}{begun}; digest and numbers are of all"


def _held(conditions: Mapping[str, int]) -> str:
    """What held when."""
    parts = [plural(conditions["temperatures"], "temperature")]
    if conditions["clamped"]:
        parts.append(plural(conditions["clamped"], "neuron") + " clamped")
    if conditions["stimuli"]:
        parts.append(plural(conditions["stimuli"], "row") + " of stimuli")
    return ", ".join(parts)


def _swaps(tempering: Mapping[str, Any]) -> str:
    """Of rungs side by side how many were accepted; who ended where."""
    accepted = " ".join(f"{share:.2f}" for share in tempering["acceptance"])
    chains = " ".join(map(str, tempering["chains"]))
    return (
        f"{tempering['rounds']:,} rounds, {plural(sum(tempering['round_trips']), 'round trip')}; "
        f"accepted, by pairs of rungs: {accepted}\n"
        f"{'rungs':9}at the end, from {tempering['taus'][0]:g} to {tempering['taus'][-1]:g}, "
        f"the chains {chains}"
    )


def _observed(run: Summary) -> str:
    """What was seen, of all samples; the best of all events."""
    assert run.samples is not None
    parts = [plural(run.samples, "sample") + (" a chain" if run.chains > 1 else "")]
    for name in ("energy", "best_energy", "cut", "best_cut", "activity", "rate"):
        value = getattr(run, name)
        if value is not None:
            parts.append(f"{name.replace('_', ' ')} {value:.6g}{_range(run, name)}")
    return ", ".join(parts)


def _range(run: Summary, name: str) -> str:
    """From the least to the largest of several chains; the mean, or the best, stands before it."""
    values = [one[name] for one in run.each]
    if not values:
        return ""
    reached = ""
    if name.startswith("best"):
        count = sum(value == getattr(run, name) for value in values)
        reached = f", reached by {plural(count, 'chain')}"
    return f" ({min(values):.6g} to {max(values):.6g}{reached})"


def _output(run: Summary, output: str | None) -> str:
    if output is None:
        return "none (--output FILE.h5)"
    if run.stopped is None:
        return output
    return (
        "none yet: of several chains it is written at their end"
        if run.chains > 1
        else (partial_path(output))
    )


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
