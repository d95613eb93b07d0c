"""How far two denoisers agree: Pearson's r, r squared and the mean squared error of the pictures of one seed.

For two pictures x and y of n values each (all pixels, all channels),

    r = sum (x - mean x)(y - mean y) / sqrt( sum (x - mean x)^2  sum (y - mean y)^2 ),      mse = 1/n sum (x - y)^2

and r^2 is the square of r. Both are for one seed; what is reported is their median over seeds, with a bootstrap
interval over seeds. A picture whose values are all the same has no r: it is NaN, medians are those of the other seeds,
and `undefined` says how many such there were.

The cosine similarity of two estimates is sum x y / sqrt( sum x^2  sum y^2 ), by which the literature fits patch sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError
from smalti.noise import Level
from smalti.receipts.correlation import pearson
from smalti.resample import Interval, bootstrapped, medians
from smalti.sampling.ddim import checked_seeds, values_of

__all__ = ["Agreement", "StepAgreement", "agreement", "cosine", "squared_error", "step_agreement"]

Floats = NDArray[np.float64]
Measure = Literal["r", "r_squared", "mse", "cosine"]


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far two denoisers agree, seed by seed (see `smalti.networks.comparison`).

    Attributes:
        seeds: the seeds. (S,).
        r: Pearson's r of the two pictures of a seed; NaN where one of them is constant. float64 (S,).
        mse: mean squared error, pixels in [-1, 1]. float64 (S,).
        cosine: cosine similarity; NaN where one of them is 0 everywhere. float64 (S,).
    """

    seeds: tuple[int, ...]
    r: Floats
    mse: Floats
    cosine: Floats

    @property
    def r_squared(self) -> Floats:
        """The square of r. (S,)."""
        return self.r * self.r

    @property
    def undefined(self) -> int:
        """For how many seeds r is NaN, because a picture is constant; medians of r and r squared leave them out."""
        return int(np.isnan(self.r).sum())

    def median(self, measure: Measure = "r", *, draws: int = 2000, seed: int = 0) -> Interval:
        """The median over the seeds for which the measure is defined, with a 95 % bootstrap interval over these seeds.
        Tier: *bitwise* for these numbers.

        Args:
            measure: "r", "r_squared", "mse" or "cosine".

        Keyword Args:
            draws: bootstrap draws.
            seed: of the draws; the same draws serve all measures and denoisers.

        Returns:
            The interval; all NaN where the measure is defined for no seed, its ends NaN where it is for one only.

        Raises:
            UsageError: there is no such measure.
        """
        if measure not in ("r", "r_squared", "mse", "cosine"):
            raise UsageError(f"an agreement is measured by r, r_squared, mse or cosine, not by {measure!r}")
        values: Floats = getattr(self, measure)
        known = values[~np.isnan(values)]
        return bootstrapped(
            lambda weights: medians(known, weights), len(known), draws=draws, seed=seed, purpose="networks/agreement"
        )


@dataclass(frozen=True, eq=False)
class StepAgreement:
    """How far two denoisers agree at each step, seed by seed.

    Attributes:
        levels: the levels, noisiest first. (T,).
        seeds: the seeds. (S,).
        r, mse, cosine: as in `Agreement`. float64 (S, T).
    """

    levels: tuple[Level, ...]
    seeds: tuple[int, ...]
    r: Floats
    mse: Floats
    cosine: Floats

    @property
    def r_squared(self) -> Floats:
        """The square of r. (S, T)."""
        return self.r * self.r

    def at(self, step: int) -> Agreement:
        """The agreement at a step, from 0 for the noisiest."""
        return Agreement(self.seeds, self.r[:, step], self.mse[:, step], self.cosine[:, step])

    def median(self, measure: Measure = "r", *, draws: int = 2000, seed: int = 0) -> tuple[Interval, ...]:
        """The median at each step, as `Agreement.median`. (T,)."""
        return tuple(self.at(step).median(measure, draws=draws, seed=seed) for step in range(len(self.levels)))


def agreement(pictures: NDArray[Any], others: NDArray[Any], seeds: Iterable[int]) -> Agreement:
    """How far pictures agree with others of the same seeds. Tier: *bitwise*: sums are rounded once.

    Args:
        pictures: values in [-1, 1], such as the `means` of a trace, float64 (S, ...); or pixels, uint8 (S, ...). Means
            are better: pixels are rounded and cut.
        others: the same. (S, ...).
        seeds: the seeds. (S,).

    Raises:
        InputError: the shapes differ, or a value is not finite.
        UsageError: a seed cannot be used.
    """
    chosen = checked_seeds(seeds)
    a, b = (_values(array) for array in (pictures, others))
    if a.shape != b.shape or len(a) != len(chosen):
        raise InputError(
            f"Pictures of {len(chosen)} seeds are compared one by one, but they are arrays of shape {a.shape} and "
            f"{b.shape}."
        )
    pairs = list(zip(a, b, strict=True))
    return Agreement(
        chosen,
        *(np.array([measured(x, y) for x, y in pairs]) for measured in (pearson, squared_error, cosine)),
    )


def step_agreement(
    estimates: NDArray[Any], others: NDArray[Any], levels: Sequence[Level], seeds: Iterable[int]
) -> StepAgreement:
    """How far estimates of all steps agree with others. Tier: *bitwise*.

    Args:
        estimates: values or pixels, as in `agreement`. (S, T, ...).
        others: the same. (S, T, ...).
        levels: the levels. (T,).
        seeds: the seeds. (S,).

    Raises:
        InputError: the shapes differ, or a value is not finite.
        UsageError: a seed cannot be used.
    """
    chosen = checked_seeds(seeds)
    if estimates.shape != others.shape or estimates.shape[:2] != (len(chosen), len(levels)):
        raise InputError(
            f"Estimates of {len(chosen)} seeds at {len(levels)} levels are compared one by one, but they are arrays of "
            f"shape {estimates.shape} and {others.shape}."
        )
    found = [agreement(estimates[:, step], others[:, step], chosen) for step in range(len(levels))]
    r, mse, alike = (np.stack([getattr(one, name) for one in found], axis=1) for name in ("r", "mse", "cosine"))
    return StepAgreement(tuple(levels), chosen, r, mse, alike)


def squared_error(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean squared difference of two arrays of one shape. Tier: *bitwise*."""
    difference = (a - b).ravel()
    return math.fsum(difference * difference) / difference.size


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Cosine similarity of two arrays of one shape; NaN where one of them is 0 everywhere. Tier: *bitwise*."""
    x, y = a.ravel(), b.ravel()
    size = math.sqrt(math.fsum(x * x)) * math.sqrt(math.fsum(y * y))
    return min(1.0, max(-1.0, math.fsum(x * y) / size)) if size else math.nan


def _values(array: NDArray[Any]) -> Floats:
    """Pictures as float64 values."""
    values = values_of(array) if array.dtype == np.uint8 else np.asarray(array, np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise InputError("Pictures are compared by finite values, but some are not finite, or there are none.")
    return values
