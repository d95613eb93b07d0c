"""Intervals by the bootstrap, in whole numbers.

A bootstrap draw takes as many units (prompts, time blocks, seeds, pictures) as there are, with replacement: a vector of
counts. What is added up under these counts is first rounded to whole multiples of a small step, so that sums are exact
in float64 and cannot depend on their order: the same numbers give the same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.noise.words import uniforms

__all__ = ["LEVEL", "Interval", "bootstrapped", "counts", "interval", "means", "medians", "whole"]

LEVEL = 0.95
"""Nominal coverage of every interval."""

_STEP = 2.0**-30
_LARGEST = 2.0**50


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def bootstrapped(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    units: int,
    *,
    draws: int = 2000,
    seed: int = 0,
    purpose: str,
) -> Interval:
    """A statistic of units, with its bootstrap interval. Tier: *bitwise*, if the statistic is.

    Args:
        statistic: from counts (draws, n) to a value for each draw (draws,), such as `medians` of numbers, or a quotient
            of two `means`.
        units: n, how many units there are.

    Keyword Args:
        draws: bootstrap draws.
        seed: of the draws.
        purpose: what they are for; statistics with one purpose and seed share their draws.

    Returns:
        The interval; its ends are NaN where there are fewer than two units, which say nothing of others.
    """
    if units == 0:
        return Interval(math.nan, math.nan, math.nan)
    value = float(statistic(np.ones((1, units)))[0])
    if units == 1:
        return Interval(value, math.nan, math.nan)
    low, high = interval(statistic(counts(draws, units, seed=seed, purpose=purpose)), units)
    return Interval(value, min(low, value), max(high, value))


def counts(draws: int, size: int, *, seed: int, purpose: str) -> NDArray[np.float64]:
    """How often each of `size` units is taken in each draw. Shape (draws, size), whole numbers. Tier: *bitwise*."""
    taken = (uniforms(draws * size, seed=seed, purpose=purpose) * size).astype(np.int64).reshape(draws, size)
    flat = taken + np.arange(draws)[:, None] * size
    return np.bincount(flat.ravel(), minlength=draws * size).reshape(draws, size).astype(np.float64)


def whole(values: ArrayLike, step: float = _STEP) -> NDArray[np.float64]:
    """Values as whole multiples of `step`, a power of two: what can be added up exactly. Same shape.

    Far below 0 they end at -2^50 / 2^13 steps, so that sums under counts of up to 2^13 stay exact.
    """
    return np.maximum(np.rint(np.asarray(values, np.float64) / step), -_LARGEST / 2**13)


def means(values: ArrayLike, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over units of values in [-4096, 4096] under counts. Shapes (n, k) and (draws, n) give (draws, k).

    Tier: *bitwise*.
    """
    return weights @ whole(values) * _STEP / weights.sum(axis=1, keepdims=True)


def medians(values: ArrayLike, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of values under counts; of an even number of them, the mean of the middle two. Shapes (n,) and (draws, n)
    give (draws,). Tier: *bitwise*.
    """
    x = np.asarray(values, np.float64)
    order = np.argsort(x, kind="stable")
    until = np.cumsum(weights[:, order], axis=1)
    total = until[:, -1:]
    lower, upper = ((until < middle).sum(axis=1) for middle in (np.floor((total + 1) / 2), np.floor(total / 2) + 1))
    return (x[order[lower]] + x[order[upper]]) / 2


def interval(drawn: ArrayLike, units: int, level: float = LEVEL) -> tuple[float, float]:
    """The expanded percentile interval of values drawn by resampling few units. Tier: *bitwise*.

    Percentiles of the bootstrap are too narrow by sqrt((n - 1) / n), and by the difference of Student's t from the
    normal distribution; they are taken at Phi(-t sqrt(n / (n - 1))) instead. Each end is a drawn value.
    Source: Hesterberg 2015, "What teachers should know about the bootstrap", section 5.2.
    """
    freedom = max(units - 1, 1)
    tail = NormalDist().cdf(-_student((1.0 + level) / 2, freedom) * math.sqrt(1.0 + 1.0 / freedom))
    ordered = np.sort(np.asarray(drawn, np.float64))
    out = math.floor(tail * len(ordered))
    return float(ordered[out]), float(ordered[-1 - out])


def _student(share: float, freedom: int) -> float:
    """Quantile of Student's t, by the series of Fisher & Cornish 1960: within 3 % from two degrees of freedom on."""
    z = NormalDist().inv_cdf(share)
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(term / freedom ** (k + 1) for k, term in enumerate(terms))
