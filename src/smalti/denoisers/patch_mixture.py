"""The patch mixture: a prior of patches that is smooth, and its exact posterior mean.

Corpus patches lie near a curved surface of few dimensions. Manifold Parzen windows (Vincent and Bengio 2003, NIPS 15)
put at a patch not a point but a flat normal distribution along that surface. Draw R patches of the corpus at random;
each one's K nearest corpus patches have mean m_r and covariance S_r (divided by K). With the prior

    p(k) = 1/R sum over r of N(k; m_r, S_r)

the posterior mean of a noisy patch y = x / a is, exactly,

    share(r) = softmax of log N(y; m_r, S_r + v)
    mean     = sum over r of share(r) [ m_r + S_r (S_r + v)^-1 (y - m_r) ],      v = s^2 / a^2

and the means of the patches that cover a pixel are averaged. K = 1 is the patch composite of the R patches; one
component with K = all is the Wiener denoiser of patches. As in EPLL (Zoran and Weiss 2011, ICCV) the prior is a mixture
of normal distributions; nothing is fitted here.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers.denoiser import ClosedForm, Floats, in_chunks, noisy_values, variance
from smalti.denoisers.local_linear import Moments, checked_neighbours
from smalti.denoisers.patches import check_inside, cut, joined, nearest_patches, pixels_at
from smalti.errors import whole_number
from smalti.noise import STATE_UNITS, Level
from smalti.noise.words import random_words

__all__ = ["PatchMixture"]

# Shares below this are left out: the means move by less than 2 R times as much.
_LEAST_SHARE = 1e-9
# State units in half a grey level: a patch of the corpus is a state without noise.
_UNITS = STATE_UNITS // 255
# All signal, and the least noise at which the engine tells whole scores apart.
_CLEAN = Level(0.0, 1.0, 0.002)
_COMPONENTS_AT_ONCE = 64


class PatchMixture(ClosedForm):
    """Posterior means under a mixture of local normal distributions (see `smalti.denoisers.patch_mixture`). Tier:
    *statistical*: float64 by BLAS and LAPACK.

    Attributes:
        size: side of the patches in pixels.
        components: R.
        neighbours: K.
        seed: of the choice of the R patches.
    """

    name = "patch-mixture"

    def __init__(
        self,
        corpus: ImageCorpus,
        *,
        patch_size: int = 5,
        components: int = 1000,
        neighbours: int | None = None,
        seed: int = 0,
        label: str | None = None,
    ) -> None:
        """Takes the corpus.

        Args:
            corpus: the pictures.

        Keyword Args:
            patch_size: side of the patches, odd.
            components: R, at least 1.
            neighbours: K; 1,000 unless given, or all patches where there are fewer.
            seed: of the choice of the R patches.
            label: use only the items with this label.

        Raises:
            UsageError: a patch that does not fit inside the pictures, numbers that have no meaning, or a label that the
                corpus does not have.
        """
        super().__init__(corpus, label=label)
        check_inside(patch_size, corpus.size)
        self.size = patch_size
        self.components = whole_number(components, "The number of components is a whole number from 1", least=1)
        self.seed = whole_number(seed, "A seed is a whole number from 0")
        self.neighbours = checked_neighbours(neighbours, 1000, self.images, patch_size)

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if the patch does not fit inside pictures of this height and width."""
        check_inside(self.size, size)

    def patch_size(self, level: Level) -> int:
        """Side of the patches, in pixels."""
        return self.size

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of each component. Tier: bitwise."""
        count, rows, columns, _ = self.images.shape
        inside = rows - self.size + 1, columns - self.size + 1
        words = random_words(self.components, seed=self.seed, purpose="patch mixture")
        drawn = (words % np.uint64(count * inside[0] * inside[1])).astype(np.int64)
        half = self.size // 2
        item, row, column = np.unravel_index(drawn, (count, *inside))
        centres = np.stack([item, row + half, column + half], axis=1)
        found: list[Moments] = []
        for chunk in in_chunks(self.components, _COMPONENTS_AT_ONCE):
            patches = pixels_at(self.images, centres[chunk], self.size)
            states = (_UNITS * patches).astype(np.int16).reshape(-1, self.size, self.size, self.corpus.channels)
            places = nearest_patches(self.images, states, _CLEAN, self.size, self.neighbours)[:, 0, 0]
            found.append(Moments.of(pixels_at(self.images, places, self.size)))
        return Moments(np.concatenate([m.mean for m in found]), np.concatenate([m.covariance for m in found]))

    @cached_property
    def _axes(self) -> tuple[Floats, Floats]:
        """Eigenvalues (R, D) and eigenvectors (R, D, D) of the covariances."""
        values, vectors = np.linalg.eigh(self.moments.covariance)
        return np.maximum(values, 0.0), vectors

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        v = variance(level)
        out = [self._means(cut(noisy_values(state[None], level), self.size), v) for state in states]
        return joined(np.concatenate(out), (states.shape[1], states.shape[2]), self.size)

    def _means(self, patches: Floats, v: float) -> Floats:
        """Posterior means of noisy patches (..., D)."""
        y = patches.reshape(-1, patches.shape[-1])
        means, (values, vectors) = self.moments.mean, self._axes
        likely = np.empty((self.components, len(y)))
        for r in range(self.components):
            along = (y - means[r]) @ vectors[r]
            likely[r] = -0.5 * (along**2 @ (1.0 / (values[r] + v)) + np.log(values[r] + v).sum())
        likely -= likely.max(axis=0)
        share = np.exp(likely)
        share /= share.sum(axis=0)
        out = np.zeros_like(y)
        for r in range(self.components):
            some = np.flatnonzero(share[r] >= _LEAST_SHARE)
            along = (y[some] - means[r]) @ vectors[r]
            out[some] += share[r, some, None] * (means[r] + along * (values[r] / (values[r] + v)) @ vectors[r].T)
        return out.reshape(patches.shape)
