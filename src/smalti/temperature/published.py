"""The published protocol, to the letter (Messina & Scotta 2026, arXiv 2604.22411, and their notebooks).

30 prompts, 32 new tokens; references sampled 32 times at each temperature of a grid, the system 100 times at
temperature 0. Per prompt three numbers: the largest exact-match share, the mean pairwise edit distance / 32, the mean
pairwise 1 - LCS / shorter length. For each reference and each number, the temperature of the grid at which the
two-sample Kolmogorov-Smirnov distance across prompts is smallest; of ties, their mean. The answer is the mean over
references and numbers. It has no uncertainty. Known weak points: the match share of 100 runs is compared with that of
32, a deterministic system ties with several temperatures, and a reference of another sharpness rescales the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from smalti.temperature.metrics import Forms, mean_edit_distances, mean_subsequences

__all__ = [
    "GRID",
    "PROMPTS",
    "REFERENCE_RUNS",
    "RUNS",
    "TOKENS",
    "Published",
    "kolmogorov_smirnov",
    "published",
    "rows",
]

GRID = tuple(k / 100 for k in [*range(20), *range(20, 51, 5), *range(60, 101, 10)])
PROMPTS, RUNS, REFERENCE_RUNS, TOKENS = 30, 100, 32, 32

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """The published protocol's answer.

    Attributes:
        temperature: mean over references and numbers.
        by_reference: the mean of each reference's three numbers.
    """

    temperature: float
    by_reference: tuple[float, ...]


def rows(several: Sequence[Forms], length: int) -> Floats:
    """The three numbers of prompts: exact match, edit distance / length, 1 - LCS / shorter length. Shape (P, 3)."""
    exact = [one.exact_match for one in several]
    return np.array([exact, mean_edit_distances(several, length), mean_subsequences(several)]).T


def kolmogorov_smirnov(a: Floats, b: Floats) -> Fraction:
    """The two-sample distance: the largest difference of the two distribution functions. Exact."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    behind = np.searchsorted(a, both, side="right") * len(b) - np.searchsorted(b, both, side="right") * len(a)
    return Fraction(int(np.abs(behind).max()), len(a) * len(b))


def published(system: Floats, references: Sequence[Floats]) -> Published:
    """The answer from tables of the three numbers. Tier: *bitwise*.

    Args:
        system: shape (P, 3).
        references: for each reference, at each temperature of `GRID`. Shape (G, P', 3).
    """
    means = [sum((_nearest(system[:, k], table[:, :, k]) for k in range(3)), Fraction()) / 3 for table in references]
    return Published(float(sum(means, Fraction()) / len(means)), tuple(float(one) for one in means))


def _nearest(values: Floats, table: Floats) -> Fraction:
    """The mean of the temperatures at the smallest distance; table has shape (G, P')."""
    distances = [kolmogorov_smirnov(values, other) for other in table]
    tied = [Fraction(round(100 * t), 100) for t, d in zip(GRID, distances, strict=True) if d == min(distances)]
    return sum(tied, Fraction()) / len(tied)
