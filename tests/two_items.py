"""A corpus of two items and the machine whose posterior over it is known in closed form.

With items q0 and q1 (centred odd integers, value q / 255) the weight of item 1 is the logistic function of

    (a / s^2) <x, k1 - k0> - (a^2 / 2 s^2) (|k1|^2 - |k0|^2).

Both inner products are computed in whole numbers for each state of the batch on its own, so the posterior of a state
is a function of that state alone.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.noise import Level


@dataclass(frozen=True, eq=False)
class TwoItems:
    images: NDArray[np.uint8]

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self.images.shape).encode() + self.images.tobytes()).hexdigest()

    @property
    def size(self) -> tuple[int, int]:
        return self.images.shape[1], self.images.shape[2]

    @property
    def channels(self) -> int:
        return self.images.shape[3]


@dataclass(frozen=True, eq=False)
class TwoItemPosterior:
    mean: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Patches:
    """Patch sizes as a machine's scales give them: 5 in strong noise, 3 in weak."""

    def at(self, level: Level) -> int:
        return 5 if level.noise > 0.5 else 3


class TwoItemMachine:
    """The ideal machine of two items; counts its calls."""

    name = "two-item"

    def __init__(self, images: NDArray[np.uint8], *, label: str | None = None) -> None:
        self.corpus = TwoItems(images)
        self.label = label
        self.scales = Patches()
        self.calls = 0

    def check_output(self, size: tuple[int, int]) -> None:
        if size != self.corpus.size:
            raise UsageError(f"The two-item machine makes pictures of size {self.corpus.size}, not {size}.")

    def __call__(self, state: NDArray[np.int16], level: Level) -> TwoItemPosterior:
        self.calls += 1
        q0, q1 = 2 * self.corpus.images.astype(np.int64) - 255
        x = state.astype(np.int64)
        norms = int((q1 * q1).sum() - (q0 * q0).sum())
        a, variance = level.signal, level.noise * level.noise
        weights = []
        for one in x:
            inner = int((one * (q1 - q0)).sum())
            logit = a * inner / (4080 * 255) / variance - a * a * norms / (2 * 255 * 255) / variance
            weights.append(1 / (1 + math.exp(-logit)) if logit > -700 else 0.0)
        weight = np.array(weights).reshape(-1, 1, 1, 1)
        return TwoItemPosterior(mean=(q0 * (1 - weight) + q1 * weight) / 255, weight=weight)


def two_pictures(height: int = 5, width: int = 4, channels: int = 3) -> NDArray[np.uint8]:
    """Two pictures with nothing in common, the same every time."""
    place = np.arange(height * width * channels, dtype=np.int64).reshape(height, width, channels)
    return np.stack([place * 37 % 256, (place * 101 + 90) % 256]).astype(np.uint8)
