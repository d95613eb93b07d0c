"""What is drawn from a distribution over tokens: temperature, truncation, and the draw itself.

With p the probabilities of V tokens, sorted so that p_1 >= p_2 >= ... (the lower token first among equal ones), a rule
keeps some tokens, never none, and the rest are given no chance:

    temperature T   p^(1/T), normalised; T = 0 keeps the likeliest token
    top-k           the k likeliest (Fan et al. 2018, 1805.04833)
    top-p           the fewest likeliest whose sum is at least P (Holtzman et al. 2020, 1904.09751)
    min-p           those with p at least M times the largest (Nguyen et al. 2025, 2407.01082)
    typical         the fewest whose -log p is nearest to the entropy H(p), with a sum of at least P (Meister et al.
                    2023, 2202.00666)
    top-h           the likeliest for as long as the entropy of what is kept, normalised, is at most A H(p): the rule
                    stated in Potraghloo et al. 2025 (2509.02510), algorithm 1
    top-h-released  what the code published with that paper does: of the 100 likeliest, token i + 1 is kept if the sum
                    of -p_j log p_j over j <= i + 1 is at most A times that sum over all 100; nothing is normalised

Rules are applied in this order, each to what the one before left, normalised. Tier: *bitwise*: powers and logarithms
are Smalti's own, and sums run in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import exp2, log2
from smalti.errors import UsageError

__all__ = ["Truncation", "entropies"]

_RELEASED_TOP = 100

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Truncation:
    """Temperature and truncation of a distribution; the default changes nothing.

    Attributes:
        temperature: at least 0.
        top_k: how many tokens to keep; 0: all.
        top_p: in (0, 1]; 1 keeps all.
        min_p: in [0, 1]; 0 keeps all.
        typical: in (0, 1]; 1 keeps all.
        top_h: A in (0, 1], or None: not used.
        top_h_released: the same for the rule of the released code.

    Raises:
        UsageError: a value lies outside of its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical: float = 1.0
    top_h: float | None = None
    top_h_released: float | None = None

    def __post_init__(self) -> None:
        def check(good: bool, name: str, value: object, meaning: str) -> None:
            if not good:
                raise UsageError(f"{name} {value} has no meaning: give {meaning}")

        check(0.0 <= self.temperature < float("inf"), "temperature", self.temperature, "a number of at least 0")
        check(self.top_k >= 0, "top-k", self.top_k, "a number of tokens, or 0 for all")
        check(0.0 < self.top_p <= 1.0, "top-p", self.top_p, "a sum of probability above 0, at most 1")
        check(0.0 <= self.min_p <= 1.0, "min-p", self.min_p, "a share of the largest probability from 0 to 1")
        check(0.0 < self.typical <= 1.0, "typical", self.typical, "a sum of probability above 0, at most 1")
        for name, value in (("top-h", self.top_h), ("top-h-released", self.top_h_released)):
            check(value is None or 0.0 < value <= 1.0, name, value, "a share of the entropy above 0, at most 1")

    def __call__(self, probabilities: Probabilities) -> Probabilities:
        """The distributions after all rules.

        Args:
            probabilities: non-negative, each row with a positive sum. float64, shape (..., V).

        Returns:
            Rows that sum to 1 (to rounding), zero where a token has no chance. Same shape.
        """
        p = _normalised(probabilities)
        if self.temperature == 0.0:
            out = np.zeros_like(p)
            np.put_along_axis(out, p.argmax(axis=-1)[..., None], 1.0, axis=-1)
            return out
        if self.temperature != 1.0:
            p = _tempered(p, self.temperature)
        if 0 < self.top_k < p.shape[-1]:
            p = _only(p, _top_k(p, self.top_k))
        if self.top_p < 1.0:
            p = _only(p, _top_p(p, self.top_p))
        if self.min_p > 0.0:
            p = _only(p, _min_p(p, self.min_p))
        if self.typical < 1.0:
            p = _only(p, _typical(p, self.typical))
        if self.top_h is not None:
            p = _only(p, _top_h(p, self.top_h))
        if self.top_h_released is not None:
            p = _only(p, _top_h_released(p, self.top_h_released))
        return p


def entropies(probabilities: Probabilities) -> NDArray[np.float64]:
    """Entropy in bits of each distribution; shape (...). Tier: *bitwise*."""
    return _running(_surprise(probabilities))[..., -1]


def _running(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(values, axis=-1)


def _normalised(p: Probabilities) -> Probabilities:
    return p / _running(p)[..., -1:]


def _only(p: Probabilities, keep: NDArray[np.bool_]) -> Probabilities:
    return _normalised(np.where(keep, p, 0.0))


def _surprise(p: Probabilities) -> NDArray[np.float64]:
    """-p log2 p, 0 where p is 0."""
    return -p * log2(np.where(p > 0.0, p, 1.0))


def _tempered(p: Probabilities, temperature: float) -> Probabilities:
    below = log2(np.where(p > 0.0, p, 1.0) / p.max(axis=-1, keepdims=True))
    return _normalised(np.where(p > 0.0, exp2(below / temperature), 0.0))


def _ranked(p: Probabilities) -> tuple[NDArray[np.int64], Probabilities]:
    order = np.argsort(-p, axis=-1, kind="stable")
    return order, np.take_along_axis(p, order, axis=-1)


def _first(order: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tokens are among the first `count` of an order."""
    keep = np.zeros(order.shape, bool)
    np.put_along_axis(keep, order, np.arange(order.shape[-1]) < count[..., None], axis=-1)
    return keep


def _top_k(p: Probabilities, k: int) -> NDArray[np.bool_]:
    return _first(_ranked(p)[0], np.full(p.shape[:-1], k))


def _top_p(p: Probabilities, mass: float) -> NDArray[np.bool_]:
    order, ranked = _ranked(p)
    return _first(order, 1 + (_running(ranked)[..., :-1] < mass).sum(axis=-1))


def _min_p(p: Probabilities, share: float) -> NDArray[np.bool_]:
    return p >= share * p.max(axis=-1, keepdims=True)


def _typical(p: Probabilities, mass: float) -> NDArray[np.bool_]:
    surprise = np.where(p > 0.0, -log2(np.where(p > 0.0, p, 1.0)), np.inf)
    order = np.argsort(np.abs(surprise - entropies(p)[..., None]), axis=-1, kind="stable")
    running = _running(np.take_along_axis(p, order, axis=-1))
    return _first(order, 1 + (running[..., :-1] < mass).sum(axis=-1))


def _top_h(p: Probabilities, share: float) -> NDArray[np.bool_]:
    order, ranked = _ranked(p)
    sums = _running(ranked)
    # The entropy of the first m, normalised: H = sum(-p log p) / s + log s, with s their sum.
    kept = _running(_surprise(ranked)) / sums + log2(sums)
    fits = kept <= share * entropies(p)[..., None]
    return _first(order, np.maximum(np.logical_and.accumulate(fits, axis=-1).sum(axis=-1), 1))


def _top_h_released(p: Probabilities, share: float) -> NDArray[np.bool_]:
    order, ranked = _ranked(p)
    running = _running(_surprise(ranked[..., :_RELEASED_TOP]))
    fits = running[..., 1:] <= share * running[..., -1:]
    return _first(order, 1 + np.logical_and.accumulate(fits, axis=-1).sum(axis=-1))
