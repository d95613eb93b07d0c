"""The nearest windows of a corpus put together: each pixel from the nearest of the windows it lies in. All is match."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from smalti.receipts.match import NearestPatches

__all__ = ["Tiling", "tiling"]

_UNITS_PER_LEVEL = 2


@dataclass(frozen=True, eq=False)
class Tiling:
    """For each pixel the nearest of the windows it lies in, and what the corpus has in its place. Tier: bitwise.

    item, row, column: int64 (H, W), the item and the place in it that stands for the pixel.
    squared: int64 (H, W), squared distance of that window, in units of q = 2u - 255.
    values: how many numbers a window compares.
    """

    item: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    squared: NDArray[np.int64]
    values: int

    @property
    def rms(self) -> NDArray[np.float64]:
        """Root of the mean squared difference of the window in grey levels, (H, W)."""
        return np.sqrt(self.squared / (_UNITS_PER_LEVEL**2 * self.values))

    def covered(self, levels: int) -> NDArray[np.bool_]:
        """Pixels that lie in a window whose nearest patch differs by at most this root mean square; (H, W)."""
        return self.squared <= _UNITS_PER_LEVEL**2 * levels**2 * self.values

    def painted(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture put together from the items, uint8 (H, W, C)."""
        return images[self.item, self.row, self.column]


def tiling(found: NearestPatches, patch_size: int) -> Tiling:
    """The nearest window around each pixel, from the nearest patch of every inner window; of equally near windows the
    one whose centre is nearest to the pixel, then the upper, then the left one. Tier: bitwise.
    """
    height, width = found.item.shape
    half = patch_size // 2
    far = np.iinfo(np.int64).max
    own = np.where(found.known, found.squared, far)
    squared = np.full((height, width), far)
    item, row, column = (np.full((height, width), -1, np.int64) for _ in range(3))
    offsets = sorted(product(range(-half, half + 1), repeat=2), key=lambda o: (o[0] ** 2 + o[1] ** 2, o))
    for dy, dx in offsets:
        # The window whose centre lies at (dy, dx) from the pixel.
        to = np.s_[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
        there = np.s_[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
        nearer = own[there] < squared[to]
        squared[to][nearer] = own[there][nearer]
        item[to][nearer] = found.item[there][nearer]
        row[to][nearer] = found.row[there][nearer] - dy
        column[to][nearer] = found.column[there][nearer] - dx
    return Tiling(item, row, column, squared, int(found.values.max()))
