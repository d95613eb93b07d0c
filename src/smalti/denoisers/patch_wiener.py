"""The Wiener denoiser of patches: mean and covariance of all patches of the corpus, wherever they lie.

Patches are many where pictures are few, so their covariance is known well; and it knows nothing of places, nor of what
is farther apart than a patch is wide.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers.denoiser import ClosedForm, Floats, in_chunks, noisy_values, variance
from smalti.denoisers.patches import check_inside, cut, joined
from smalti.denoisers.wiener import Spectrum
from smalti.noise import Level

__all__ = ["PatchWiener"]

# Items whose patches are summed at a time.
_ITEMS = 16


class PatchWiener(ClosedForm):
    """The best linear estimate of patches, averaged (see `smalti.denoisers.patch_wiener`). Tier: *statistical*, as
    `Wiener`.

    Attributes:
        size: side of the patches in pixels.
    """

    name = "patch-wiener"

    def __init__(self, corpus: ImageCorpus, *, patch_size: int = 13, label: str | None = None) -> None:
        """Takes the corpus.

        Args:
            corpus: the pictures.

        Keyword Args:
            patch_size: side of the patches, odd.
            label: use only the items with this label.

        Raises:
            UsageError: a patch that does not fit inside the pictures, or a label that the corpus does not have.
        """
        super().__init__(corpus, label=label)
        check_inside(patch_size, corpus.size)
        self.size = patch_size

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if the patch does not fit inside pictures of this height and width."""
        check_inside(self.size, size)

    def patch_size(self, level: Level) -> int:
        """Side of the patches, in pixels."""
        return self.size

    @cached_property
    def spectrum(self) -> Spectrum:
        """Mean and covariance of all patches."""
        numbers = self.size**2 * self.corpus.channels
        total, squares, count = np.zeros(numbers), np.zeros((numbers, numbers)), 0
        for chunk in in_chunks(len(self.images), _ITEMS):
            rows = cut(self.images[chunk], self.size).reshape(-1, numbers)
            # Whole numbers: the sums are exact up to 10^11 patches.
            exact = 2.0 * rows.astype(np.float64) - 255.0
            total += exact.sum(axis=0)
            squares += exact.T @ exact
            count += len(rows)
        return Spectrum.of_sums(total, squares, count)

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        y = cut(noisy_values(states, level), self.size)
        return joined(self.spectrum.estimate(y, variance(level)), (states.shape[1], states.shape[2]), self.size)
