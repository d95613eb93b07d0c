"""Which masked places a step asks about, and which of them it fills: what orders of decoding differ in.

    ancestral        each masked token with probability (a_s - a_t) / (1 - a_t), whatever the denoiser says
    confidence       those with the largest probability
    entropy          those with the smallest entropy
    margin           those with the largest difference between the two largest probabilities
    entropy-bounded  sorted by entropy, as many as keep the sum of entropies minus the largest at most gamma
    threshold        all whose largest probability is at least tau
    left-to-right    the leftmost
    remask           all are drawn; those drawn with the largest probability stay, the rest is masked again

and at least one, so that every sampler ends; in the last step all that is left. Of equal places the leftmost comes
first. (Sahoo et al. 2024, 2406.07524; Kim et al. 2025, 2502.06768, for margin; Ben-Hamu et al. 2025, 2505.24857, for
entropy bounds; Nie et al. 2025, 2502.09992, for remasking.) Tier: *bitwise*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.noise.words import uniforms
from smalti.sampling.text_settings import Order, TextSettings

__all__ = ["Found", "Stage", "asked", "picked"]

Places = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """One step in a block of a row, before the denoiser is asked.

    Attributes:
        number: of the step in its block, from 0; index: in the whole row.
        masked: places of the block that are masked, ascending. Shape (M,).
        wanted: how many there were when the block was begun.
        before, after: shares of tokens kept, at the time of the step and after it.
        last: whether it is the last step of its block.
    """

    number: int
    index: int
    masked: Places
    wanted: int
    before: float
    after: float
    last: bool


@dataclass(frozen=True, eq=False)
class Found:
    """What the denoiser said of the places asked about, and what was drawn there.

    Attributes:
        law: what is drawn from. Shape (S, V).
        entropy: of what the denoiser said, before truncation, in bits. Shape (S,).
        probability: of the token drawn. Shape (S,).
    """

    law: Floats
    entropy: Floats
    probability: Floats


def asked(settings: TextSettings, stage: Stage, *, length: int, seed: int) -> Places:
    """The places that a step asks about, ascending; there may be none. `length`: of the row; `seed`: of the sample."""
    if settings.order == "ancestral" and not stage.last:
        chance = (stage.after - stage.before) / (1.0 - stage.before)
        return stage.masked[uniforms(length, seed=seed, purpose="text/reveal", step=stage.index)[stage.masked] < chance]
    if settings.order == "left-to-right" and settings.steps is None:
        return stage.masked[:1]
    return stage.masked


def picked(settings: TextSettings, stage: Stage, found: Found) -> Places:
    """Which of the places asked about are filled, as indices into them, ascending."""
    assert settings.order is not None
    if settings.order == "ancestral" or stage.last:
        return np.arange(len(found.law))
    if settings.order == "entropy-bounded":
        assert settings.gamma is not None
        return np.sort(_within_entropy(found.entropy, settings.gamma))
    if settings.order == "threshold":
        assert settings.threshold is not None
        return _sure(found.law, settings.threshold)
    # As many are visible after this step as the schedule keeps, and at least one more than before.
    visible = math.ceil(stage.after * stage.wanted) if settings.steps is not None else stage.number + 1
    count = max(1, visible - (stage.wanted - len(stage.masked)))
    return np.sort(_RANKS[settings.order](found)[:count])


def _within_entropy(entropy: Floats, gamma: float) -> Places:
    """The longest prefix, sorted by entropy, whose sum of entropies without the largest is at most gamma."""
    order = np.argsort(entropy, kind="stable")
    before = np.cumsum(entropy[order]) - entropy[order]
    return order[: max(1, int((before <= gamma).sum()))]


def _sure(law: Floats, threshold: float) -> Places:
    largest = law.max(axis=1)
    sure = np.flatnonzero(largest >= threshold)
    return sure if len(sure) else np.array([largest.argmax()])


def _by_confidence(found: Found) -> Places:
    return np.argsort(-found.law.max(axis=1), kind="stable")


def _by_entropy(found: Found) -> Places:
    return np.argsort(found.entropy, kind="stable")


def _by_margin(found: Found) -> Places:
    if found.law.shape[1] == 1:
        return _by_confidence(found)
    top = np.sort(found.law, axis=1)
    return np.argsort(top[:, -2] - top[:, -1], kind="stable")


def _by_place(found: Found) -> Places:
    return np.arange(len(found.law))


def _by_probability(found: Found) -> Places:
    return np.argsort(-found.probability, kind="stable")


_RANKS: dict[Order, Callable[[Found], Places]] = {
    "confidence": _by_confidence,
    "entropy": _by_entropy,
    "margin": _by_margin,
    "left-to-right": _by_place,
    "remask": _by_probability,
}
