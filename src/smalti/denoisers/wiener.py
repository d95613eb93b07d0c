"""The Wiener denoiser: the best linear estimate, from the mean and the covariance of the corpus.

    mean(x) = m + S (S + v)^-1 (y - m),      y = x / a,  v = s^2 / a^2

with m the mean picture and S the covariance of whole pictures, divided by N. It is the posterior mean if pictures were
normally distributed, and no linear denoiser has a smaller squared error over the corpus. `Spectrum` is the same for
any numbers, and serves patches as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.denoisers.denoiser import ClosedForm, Floats, noisy_values, variance
from smalti.errors import UsageError
from smalti.noise import Level

__all__ = ["Spectrum", "Wiener"]

# The eigenvectors of 12,288 numbers (a colour picture of 64 x 64) take 1.2 GB, and minutes.
_LARGEST = 12288


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Mean and covariance of rows of numbers, the covariance by its eigenvectors.

    Attributes:
        mean: (D,).
        values: eigenvalues above 0, ascending. (R,) with R <= D.
        vectors: the eigenvector of each in a column. (D, R).
    """

    mean: Floats
    values: Floats
    vectors: Floats

    @classmethod
    def of(cls, rows: NDArray[np.uint8]) -> Spectrum:
        """Of rows of pixels (N, D)."""
        count, numbers = rows.shape
        exact = 2.0 * rows.astype(np.float64) - 255.0
        if count >= numbers:
            return cls.of_sums(exact.sum(axis=0), exact.T @ exact, count)
        # There are no more directions than rows, and the smaller matrix has them all.
        mean = exact.sum(axis=0) / count
        exact -= mean
        values, few = np.linalg.eigh(exact @ exact.T / count)
        kept = values > _least(values)
        return cls(mean / 255.0, values[kept] / 255.0**2, exact.T @ few[:, kept] / np.sqrt(values[kept] * count))

    @classmethod
    def of_sums(cls, total: Floats, squares: Floats, count: int) -> Spectrum:
        """Of the sum (D,) of `count` rows of centred pixels 2 u - 255, and the sum (D, D) of their outer products."""
        mean = total / count
        values, vectors = np.linalg.eigh(squares / count - np.outer(mean, mean))
        kept = values > _least(values)
        return cls(mean / 255.0, values[kept] / 255.0**2, vectors[:, kept])

    def estimate(self, rows: Floats, v: float) -> Floats:
        """The estimates m + S (S + v)^-1 (y - m) of rows y (..., D)."""
        return self.mean + ((rows - self.mean) @ self.vectors * (self.values / (self.values + v))) @ self.vectors.T


class Wiener(ClosedForm):
    """The best linear estimate (see `smalti.denoisers.wiener`). Tier: *statistical*: float64 by BLAS and LAPACK, whose
    last bits depend on library, processor and threads.
    """

    name = "wiener"

    @cached_property
    def spectrum(self) -> Spectrum:
        """Mean and covariance of whole pictures.

        Raises:
            UsageError: the pictures are so large, and so many, that their covariance is out of reach.
        """
        rows = self.images.reshape(len(self.images), -1)
        if min(rows.shape) > _LARGEST:
            raise UsageError(
                f"the wiener denoiser needs pictures of at most {_LARGEST:,} numbers, or as few items, "
                f"not {rows.shape[0]:,} items of {rows.shape[1]:,}: use smaller pictures"
            )
        return Spectrum.of(rows)

    def gain(self, level: Level) -> Floats:
        """S (S + v)^-1, by which a noisy picture acts on the estimate. (H * W * C, H * W * C)."""
        found = self.spectrum
        return (found.vectors * (found.values / (found.values + variance(level)))) @ found.vectors.T

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        y = noisy_values(states, level)
        return self.spectrum.estimate(y.reshape(len(y), -1), variance(level)).reshape(y.shape)


def _least(values: Floats) -> float:
    """Below this an eigenvalue of ascending ones is 0 but for rounding; pixels vary by 1 at least, or not at all."""
    return max(1e-9, 1e-12 * values[-1])
