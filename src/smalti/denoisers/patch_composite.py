"""Patch composite (PSPC, Niedoba et al. 2025, arXiv 2411.19339): posterior means of whole patches, averaged.

For every patch of the state, inside the picture, over all patches j of the corpus,

    weight(j) = softmax of - |y(patch) - k_j|^2 / (2 v),      patch mean = sum over j of weight(j) k_j

and a pixel is the average of what the patches that cover it say of it. The equivariant local machine asks only the
patch of which the pixel is the centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers.denoiser import ClosedForm, Floats, in_chunks, noisy_values, variance
from smalti.denoisers.patches import check_inside, cut, joined
from smalti.noise import Level
from smalti.window import Scales

__all__ = ["PatchComposite"]

# Bytes of a block of weights.
_BLOCK = 128e6


class PatchComposite(ClosedForm):
    """Posterior means of whole patches, averaged (see `smalti.denoisers.patch_composite`). Tier: *statistical*:
    float32 products. A logit is off by some 2^-24 |y . k| / v, which counts where v is tiny.

    Attributes:
        scales: patch sizes over the noise.
    """

    name = "patch-composite"

    def __init__(self, corpus: ImageCorpus, *, scales: Scales | int, label: str | None = None) -> None:
        """Takes the corpus.

        Args:
            corpus: the pictures.

        Keyword Args:
            scales: patch sizes over the noise, or one for all levels.
            label: use only the items with this label.

        Raises:
            UsageError: a patch that does not fit inside the pictures, or a label that the corpus does not have.
        """
        super().__init__(corpus, label=label)
        self.scales = scales if isinstance(scales, Scales) else Scales.constant(scales)
        for size in self.scales.sizes:
            check_inside(size, corpus.size)

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if some patch does not fit inside pictures of this height and width."""
        for patch_size in self.scales.sizes:
            check_inside(patch_size, size)

    def patch_size(self, level: Level) -> int:
        """Side of the patches at a level, in pixels."""
        return self.scales.at(level)

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        size, v = self.patch_size(level), variance(level)
        y = cut(noisy_values(states, level), size)
        rows = y.reshape(-1, y.shape[-1]).astype(np.float32)
        numbers = rows.shape[1]
        top = np.full(len(rows), -np.inf, np.float32)
        weight = np.zeros(len(rows))
        total = np.zeros((len(rows), numbers))
        per_item = (self.images.shape[1] - size + 1) * (self.images.shape[2] - size + 1)
        items = self.values.astype(np.float32)
        for chunk in in_chunks(len(items), int(_BLOCK / (4 * per_item * len(rows)))):
            patches = cut(items[chunk], size).reshape(-1, numbers)
            logits = rows @ patches.T
            logits -= 0.5 * np.einsum("jd,jd->j", patches, patches)
            logits /= np.float32(v)
            above = np.maximum(top, logits.max(axis=1))
            logits -= above[:, None]
            weights = np.exp(logits, out=logits)
            rest = np.exp(top - above)
            weight = weight * rest + weights.sum(axis=1, dtype=np.float64)
            total = total * rest[:, None] + weights @ patches
            top = above
        means = (total / weight[:, None]).reshape(y.shape)
        return joined(means, (states.shape[1], states.shape[2]), size)
