"""How well two lists of numbers agree: in value (Pearson) and in order (Spearman)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.errors import UsageError

__all__ = ["pearson", "ranks", "spearman"]


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's r of two arrays of equal size; NaN where one of them is constant. Tier: *bitwise*.

    Sums are rounded once, so the order of the values cannot matter.

    Raises:
        UsageError: the sizes differ.
    """
    x, y = (np.asarray(v, np.float64).ravel() for v in (a, b))
    if x.size != y.size:
        raise UsageError(f"a correlation is of two lists of one length, not of {x.size} and {y.size} numbers")
    if x.size == 0 or x.min() == x.max() or y.min() == y.max():
        return math.nan
    dx, dy = x - math.fsum(x) / x.size, y - math.fsum(y) / y.size
    size = math.sqrt(math.fsum(dx * dx) * math.fsum(dy * dy))
    return min(1.0, max(-1.0, math.fsum(dx * dy) / size)) if size else math.nan


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1 for the smallest value; equal values share the mean of their ranks. Same shape as (n,)."""
    x = np.asarray(values, np.float64).ravel()
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2.0)[place.ravel()]


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's r of the ranks, ties at their mean rank; NaN where one list is constant.

    Tier: *bitwise*.

    Raises:
        UsageError: the sizes differ.
    """
    return pearson(ranks(a), ranks(b))
