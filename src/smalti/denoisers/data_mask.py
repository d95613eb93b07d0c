"""Windows that the data choose (Lukoianov et al. 2025, arXiv 2509.09672).

The local machine compares a state with every item at the same place, through a window. Here the window of a number i
(a pixel's channel) is what the Wiener denoiser uses to estimate it: with W = S (S + v)^-1,

    window(i)  = { d : |W[i, d]| >= tau max over e of |W[i, e]| }
    logit(i,n) = - sum over d in window(i) of (y[d] - k_n[d])^2 / (2 v)
    mean(i)    = sum over n of softmax(logit(i, .))(n) k_n[i]
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers.denoiser import ClosedForm, Floats, in_chunks, noisy_values, variance
from smalti.denoisers.wiener import Wiener
from smalti.errors import UsageError
from smalti.noise import Level

__all__ = ["DataMaskLocal"]

# Items at a time: their squared distances and logits are float32 (items, H * W * C).
_ITEMS = 512


class DataMaskLocal(ClosedForm):
    """Local with the windows of the data (see `smalti.denoisers.data_mask`). Tier: *statistical*: float32 products.

    Attributes:
        tau: share of a row's largest entry from which on an entry counts.
    """

    name = "data-mask-local"

    def __init__(self, wiener: Wiener | ImageCorpus, *, tau: float = 0.02, label: str | None = None) -> None:
        """Takes the corpus, or a Wiener denoiser of it whose covariance is then known already.

        Args:
            wiener: the pictures, or their Wiener denoiser.

        Keyword Args:
            tau: above 0, at most 1. With 1 the window is (but for ties) one number, with a tiny one the whole picture.
            label: use only the items with this label; a Wiener denoiser has its own.

        Raises:
            UsageError: tau outside of its range, a label that the corpus does not have, or one beside a Wiener
                denoiser.
        """
        if isinstance(wiener, Wiener) and label is not None:
            raise UsageError(f"the label {label!r} belongs to the Wiener denoiser that is given: make that with it")
        known = wiener if isinstance(wiener, Wiener) else Wiener(wiener, label=label)
        super().__init__(known.corpus, label=known.label)
        if not (math.isfinite(tau) and 0.0 < tau <= 1.0):
            raise UsageError(f"tau lies above 0 and up to 1, but it is {tau!r}")
        self.tau = tau
        self._wiener = known
        self._windows: tuple[Level, NDArray[np.float32]] | None = None

    def windows(self, level: Level) -> NDArray[np.float32]:
        """Of each number the numbers in its window, as 0 and 1. (H * W * C, H * W * C)."""
        if self._windows is None or self._windows[0] != level:
            size = np.abs(self._wiener.gain(level))
            inside = size >= self.tau * size.max(axis=1, keepdims=True)
            self._windows = level, inside.astype(np.float32)
        return self._windows[1]

    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        columns = np.ascontiguousarray(self.windows(level).T)
        items = self.values.reshape(len(self.images), -1).astype(np.float32)
        y = noisy_values(states, level).reshape(len(states), -1).astype(np.float32)
        out = np.empty(y.shape)
        for row, found in zip(y, out, strict=True):
            logits = np.empty((len(items), row.size), np.float32)
            for chunk in in_chunks(len(items), _ITEMS):
                logits[chunk] = (row - items[chunk]) ** 2 @ columns
            logits *= np.float32(-0.5 / variance(level))
            logits -= logits.max(axis=0)
            weights = np.exp(logits, out=logits)
            found[:] = np.einsum("ni,ni->i", weights, items) / weights.sum(axis=0)
        return out.reshape(states.shape)
