"""Sums over sources that do not depend on their order, and can be merged and taken apart.

A source with the score E = n G + r has a 30-bit weight in units of 2^(15 (n - 1)) (`arithmetic.integer_weights`). Its
upper 15 bits count at place n, its lower 15 bits at place n - 1. A site keeps the sums at the place T of its highest
source and at the two below it; what lies lower is dropped, source by source. So the sums are functions of the set of
sources, and those of an item are whole numbers that add up to those of the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLICE_BITS = 15
SLICES = 3
NO_PLACE = np.iinfo(np.int64).min


class RecomputeError(ArithmeticError):
    """The part to take away decided how finely the sums were kept: the rest has to be computed anew."""


@dataclass(frozen=True, eq=False)
class Partial:
    """Exact sums over a set of sources at each site. Tier: bitwise.

    place: int64 (B, H, W), the highest place; NO_PLACE where there is no source.
    slices: int64 (B, H, W, Q, 3), sums at places place - 2, place - 1, place. Q = 1 + C: weight, then weight times q
        for each channel; one more, weight times log2 weight, when the entropy is wanted.
    channels: C.
    """

    place: NDArray[np.int64]
    slices: NDArray[np.int64]
    channels: int

    @property
    def has_spread(self) -> bool:
        """Whether the sums for the entropy are there."""
        return self.slices.shape[-2] > 1 + self.channels

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Partial)
            and np.array_equal(self.place, other.place)
            and np.array_equal(self.slices, other.slices)
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def merge(self, other: Partial) -> Partial:
        """The sums over both sets of sources, which must be disjoint. Same bytes as from one walk over all."""
        place = np.maximum(self.place, other.place)
        return Partial(place, self.raised(place) + other.raised(place), self.channels)

    def subtract(self, part: Partial) -> Partial:
        """The sums without the sources of `part`, which must all be in here. Same bytes as never having had them.

        Raises:
            RecomputeError: where `part` holds all sources at a site's highest place, so that the rest would be kept
                more finely.
        """
        slices = self.slices - part.raised(self.place)
        alone = (slices[..., 0, SLICES - 1] == 0) & (self.place != NO_PLACE)
        if alone.any():
            raise RecomputeError(
                f"{int(alone.sum())} sites owe their scale to what is taken away: compute the rest anew"
            )
        return Partial(self.place, slices, self.channels)

    def raised(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slices (B, H, W, Q, 3) as they are from a highest place that is nowhere below this one's."""
        known = self.place != NO_PLACE
        steps = np.where(known, place - np.where(known, self.place, 0), SLICES)
        out = np.zeros_like(self.slices)
        for j in range(SLICES):
            taken = np.minimum(j + steps, SLICES - 1)[..., None, None]
            out[..., j] = np.where(
                (j + steps < SLICES)[..., None], np.take_along_axis(self.slices, taken, -1)[..., 0], 0
            )
        return out

    def totals(self) -> NDArray[np.float64]:
        """The sums as float64 (B, H, W, Q), in units of 2^(15 (place - 2))."""
        s = self.slices.astype(np.float64)
        return (s[..., 2] * 2.0**SLICE_BITS + s[..., 1]) * 2.0**SLICE_BITS + s[..., 0]
