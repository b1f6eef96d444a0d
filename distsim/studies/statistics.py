"""Statistics that are exact for long runs: p-values of counts and of occupations."""

from typing import Any

import numpy as np
from scipy import stats

from distsim.studies import enumeration
from distsim.studies.enumeration import Floats

BOUND = 1e-6
FEWEST = 10.0  # expected events in a cell of a chi-square statistic
COARSEST = 0.1  # standard deviation of a fraction of time over its mean


def chi_square(counts: Floats, probabilities: Floats) -> float:
    """p-value of counts [rows, cells], multinomial in each row given its sum.

    The cells of a row that expect fewer than FEWEST are one cell, together with the next larger
    ones until it expects as many. A count in a cell of probability 0 gives 0.
    """
    if counts[probabilities == 0.0].any():
        return 0.0
    statistic, freedom = 0.0, 0
    expectations = counts.sum(axis=1, keepdims=True) * probabilities
    for count, expected in zip(counts, expectations, strict=True):
        order = np.argsort(expected)
        count, expected = count[order], expected[order]
        pooled = int(np.searchsorted(np.cumsum(expected), FEWEST)) + 1
        pooled = max(pooled, int(np.searchsorted(expected, FEWEST)))
        if pooled >= len(count):
            continue
        count = np.append(count[:pooled].sum(), count[pooled:])
        expected = np.append(expected[:pooled].sum(), expected[pooled:])
        statistic += float(((count - expected) ** 2 / expected).sum())
        freedom += len(count) - 1
    return float(stats.chi2.sf(statistic, freedom)) if freedom else 1.0


def jump_occupation(spent: Floats, generator: Floats) -> float:
    """p-value of the times spent in each state by a jump process."""
    return occupation(spent, enumeration.stationary(generator), enumeration.spread(generator))


def step_occupation(visits: Floats, transition: Floats) -> float:
    """p-value of the numbers of visits to each state by a chain in discrete time."""
    generator = transition - np.eye(len(transition))
    law = enumeration.stationary(generator)
    spread = enumeration.spread(generator) - np.diag(law) + np.outer(law, law)
    return occupation(visits, law, spread)


def occupation(spent: Floats, law: Floats, spread: Floats) -> float:
    """p-value of the times spent in each state, [S], of a long run.

    They are asymptotically normal around `law`, with covariances spread / time. What is known too
    coarsely counts as one state with the rest; one state is left out, as the sum is fixed.
    """
    time = spent.sum()
    kept = np.sqrt(np.diag(spread) / time) < COARSEST * law
    if kept.all():
        kept[np.argmax(law)] = False
    off = (spent / time - law)[kept]
    statistic = time * off @ np.linalg.solve(spread[np.ix_(kept, kept)], off)
    return float(stats.chi2.sf(statistic, kept.sum()))


def histogram(shape: tuple[int, ...], row: Any, cell: Any) -> Floats:
    """How often each (row, cell) occurs, float64[rows, cells]."""
    flat = np.bincount(row * shape[1] + cell, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)
