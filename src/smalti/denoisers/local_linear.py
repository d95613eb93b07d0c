"""The local linear denoiser: for each patch, the Wiener estimate of the corpus patches that look like it.

For a patch y = x / a of the state, take the K corpus patches nearest to it, with mean m and covariance S (divided by
K):

    estimate = m + S (S + v)^-1 (y - m) = y - v (S + v)^-1 (y - m),      v = s^2 / a^2

and average the estimates of the patches that cover a pixel. It is the step of non-local Bayes (Lebrun, Buades and Morel
2013, SIAM J. Imaging Sci. 6), with a corpus in place of the picture's own patches, and a local *linear* fit where the
equivariant local machine has a local mean. As v goes to 0 it returns y; with K = all it is the Wiener denoiser of
patches.

Exactness: neighbours, m and S come from sums of whole numbers; the system is solved by elimination (L D L^T) in which
every operation is one float64 operation, the same for each patch whatever is solved beside it. No BLAS rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers.denoiser import ClosedForm, Floats, in_chunks, noisy_values, variance
from smalti.denoisers.patches import check_inside, cut, joined, nearest_patches, pixels_at
from smalti.errors import UsageError, whole_number
from smalti.noise import Level
from smalti.window import Scales

__all__ = ["LocalLinear", "Moments", "checked_neighbours", "estimates", "solved"]

# Bytes of the systems that are eliminated side by side: they stay in a cache.
_SYSTEMS = 4e6


class LocalLinear(ClosedForm):
    """Wiener estimates among the nearest patches (see `smalti.denoisers.local_linear`). Tier: *bitwise*.

    Attributes:
        scales: patch sizes over the noise.
        neighbours: how many patches each patch is compared with, for each of the sizes of the scales.
    """

    name = "local-linear"

    def __init__(
        self,
        corpus: ImageCorpus,
        *,
        scales: Scales | int = 5,
        neighbours: int | Sequence[int] | None = None,
        label: str | None = None,
    ) -> None:
        """Takes the corpus.

        Args:
            corpus: the pictures.

        Keyword Args:
            scales: patch sizes over the noise, or one for all levels.
            neighbours: K, or one for each of the sizes of the scales; 300 unless given, or all patches where there are
                fewer.
            label: use only the items with this label.

        Raises:
            UsageError: a patch that does not fit inside the pictures, fewer patches than neighbours, not as many K as
                sizes, or a label that the corpus does not have.
        """
        super().__init__(corpus, label=label)
        self.scales = scales if isinstance(scales, Scales) else Scales.constant(scales)
        for size in self.scales.sizes:
            check_inside(size, corpus.size)
        sizes = self.scales.sizes
        asked = list(neighbours) if isinstance(neighbours, Sequence) else [neighbours] * len(sizes)
        if len(asked) != len(sizes):
            raise UsageError(
                f"there is one number of neighbours for all patch sizes or one for each, but these are {len(asked)} "
                f"for {len(sizes)} sizes"
            )
        self.neighbours = tuple(
            checked_neighbours(count, 300, self.images, size) for count, size in zip(asked, sizes, strict=True)
        )

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if some patch does not fit inside pictures of this height and width."""
        for patch_size in self.scales.sizes:
            check_inside(patch_size, size)

    def patch_size(self, level: Level) -> int:
        """Side of the patches at a level, in pixels."""
        return self.scales.at(level)

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        # One state at a time: the places of its neighbours take 32 K bytes for each of its sites.
        return np.concatenate([self._means(states[n : n + 1], level) for n in range(len(states))])

    def _means(self, state: NDArray[np.int16], level: Level) -> Floats:
        """The mean (1, H, W, C) of a state (1, H, W, C)."""
        place = self.scales.place(level)
        size = self.scales.sizes[place]
        places = nearest_patches(self.images, state, level, size, self.neighbours[place])
        return estimates(self.images, state, level, size, places)


def estimates(
    images: NDArray[np.uint8], states: NDArray[np.int16], level: Level, size: int, places: NDArray[np.int64]
) -> Floats:
    """Pictures (B, H, W, C) from the nearest patches, (B, H - P + 1, W - P + 1, K, 3), of each patch. Tier: bitwise."""
    v = variance(level)
    y = cut(noisy_values(states, level), size)
    rows, near = y.reshape(-1, y.shape[-1]), places.reshape(-1, *places.shape[3:])
    numbers = rows.shape[1]
    out = np.empty_like(rows)
    for chunk in in_chunks(len(rows), int(_SYSTEMS / (8 * numbers * numbers))):
        found = Moments.of(pixels_at(images, near[chunk], size))
        out[chunk] = rows[chunk] - v * solved(found.covariance, v, rows[chunk] - found.mean)
    return joined(out.reshape(y.shape), (states.shape[1], states.shape[2]), size)


@dataclass(frozen=True, eq=False)
class Moments:
    """Means (M, D) and covariances (M, D, D) of M groups of rows."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, rows: Floats) -> Moments:
        """Of centred pixels (M, K, D), which are then divided by 255. Tier: bitwise.

        Sums of squares are whole numbers, K^2 255^2 at most: exact in float64, in any order, up to K = 372,000.
        """
        count = rows.shape[1]
        total = rows.sum(axis=1)
        squares = np.matmul(rows.transpose(0, 2, 1), rows)
        spread = count * squares - total[:, :, None] * total[:, None, :]
        unit = 255.0 * count
        return cls(total / unit, spread / (unit * unit))


def checked_neighbours(asked: int | None, usual: int, images: NDArray[np.uint8], size: int) -> int:
    """How many neighbours a patch has: what was asked for, or the usual number, or all patches where there are fewer.

    Raises:
        UsageError: it is below 1, or there are fewer patches of this size.
    """
    _, rows, columns, _ = images.shape
    available = len(images) * (rows - size + 1) * (columns - size + 1)
    if asked is None:
        return min(usual, available)
    count = whole_number(asked, "The number of neighbours is a whole number from 1", least=1)
    if count > available:
        raise UsageError(
            f"there are {available:,} patches of {size} in these pictures, fewer than the {count:,} neighbours asked "
            "for: ask for fewer"
        )
    return count


def solved(matrices: Floats, v: float, right: Floats) -> Floats:
    """Solves (S + v) z = r for symmetric, positive semidefinite S and v > 0. Tier: bitwise, whatever the batch.

    Args:
        matrices: S. (M, D, D).
        v: above 0.
        right: r. (M, D).

    Returns:
        z. (M, D).
    """
    # Systems lie along the last axis, so that each operation is one long row for all of them.
    a = np.ascontiguousarray(matrices.transpose(1, 2, 0))
    z = np.ascontiguousarray(right.T)
    size = len(a)
    for j in range(size):
        a[j, j] += v
    for j in range(size - 1):
        factor = a[j, j + 1 :] / a[j, j]
        for i in range(j + 1, size):
            a[i, i:] -= factor[i - j - 1] * a[j, i:]
        z[j + 1 :] -= factor * z[j]
    for j in range(size - 1, -1, -1):
        for i in range(j + 1, size):
            z[j] -= a[j, i] * z[i]
        z[j] /= a[j, j]
    return z.T
