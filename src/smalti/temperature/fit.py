"""Whether one temperature describes the noise: goodness of fit of the likelihood protocol.

The sites of all greedy paths are ordered by the hazard 1 - q(T) that the estimate predicts, and cut in three parts in
each of which as many runs should leave. Noise of another kind leaves too rarely where a temperature makes it unlikely,
or too often; noise with few configurations leaves in lumps. The statistic is

    sum over the three parts of  (seen - expected)^2 / expected

and p is its rank among as many runs simulated at T on the same paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2, exp2
from smalti.noise.words import uniforms
from smalti.resample import whole
from smalti.temperature.drift import ALARM
from smalti.temperature.likelihood import Sites, hazards

__all__ = ["Fit", "Third", "goodness"]

LEAST = 10
"""Runs that must have left their paths for the fit to say something."""

_STEP = 2.0**-30

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Third:
    """A third of what should leave: mean hazard predicted and seen, and the number of times a run came to a site."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True)
class Fit:
    """How well one temperature describes the noise.

    Attributes:
        thirds: from the lowest predicted hazard to the highest; empty where too few runs left, or none should have.
        p: chance of a worse fit if the noise is a temperature; None where too few runs left.
        text: a sentence.
    """

    thirds: tuple[Third, ...]
    p: float | None
    text: str


def goodness(found: Sites, temperature: float, *, draws: int, seed: int) -> Fit:
    """The fit of a temperature above 0 to sites. Tier: *bitwise* for draws and seed."""
    left = int(found.left.sum())
    if left < LEAST:
        return Fit((), None, f"{left} answers left the likeliest path: too few to say whether one temperature fits.")
    hazard = _step(1.0 - exp2(hazards(found, np.array([temperature]))[0][:, 0] / LN2))
    came, seen = found.came.sum(axis=1), found.left.sum(axis=1)
    expected = hazard * came
    if not expected.sum():
        text = "One temperature does not describe this noise: answers take tokens that it makes impossible."
        return Fit((), 0.0, text)
    order = np.argsort(hazard, kind="stable")
    part = np.empty(len(order), np.int64)
    part[order] = np.minimum(2, np.floor(3 * np.cumsum(expected[order]) / expected.sum())).astype(np.int64)
    inside = part[:, None] == np.arange(3)
    ideal = expected @ inside
    thirds = tuple(
        Third(float(ideal[k] / max(n, 1)), float(seen[inside[:, k]].sum() / max(n, 1)), n)
        for k in range(3)
        for n in [int(came[inside[:, k]].sum())]
    )
    p = _chance(found, hazard, inside, seen @ inside - ideal, np.maximum(ideal, _STEP), draws, seed)
    said = (
        f"One temperature describes the noise (p = {p:.2g})."
        if p >= ALARM
        else f"One temperature does not describe this noise (p = {p:.2g}): {_how(thirds)}"
    )
    return Fit(thirds, p, said)


def _how(thirds: tuple[Third, ...]) -> str:
    """What is seen where a temperature does not fit."""
    rare, middle, common = (f"{third.observed / max(third.predicted, _STEP):.2g}" for third in thirds)
    return (
        f"answers leave the likeliest path {rare}, {middle} and {common} times as often as it predicts "
        "where leaving is rare, middling and common."
    )


def _step(values: Floats) -> Floats:
    """Rounded so that sums are exact."""
    return whole(values, _STEP) * _STEP


def _chance(
    found: Sites, hazard: Floats, inside: NDArray[np.bool_], excess: Floats, ideal: Floats, draws: int, seed: int
) -> float:
    """Rank of the statistic among simulated runs. A run that leaves at D adds [D in part] - hazard up to D in part."""
    simulated = np.zeros((draws, 3))
    for number, prompt in enumerate(np.unique(found.prompt)):
        rows = np.flatnonzero(found.prompt == prompt)
        runs = int(found.came[rows[0]].sum())
        gone = 1.0 - np.cumprod(1.0 - hazard[rows])
        u = uniforms(draws * runs, seed=seed, purpose="temperature/fit", step=number).reshape(draws, runs)
        place = np.searchsorted(gone, u, side="right")
        # Row D of the table is what a run that leaves at D adds; the last row, one that does not leave.
        before = np.cumsum(hazard[rows, None] * inside[rows], axis=0)
        adds = np.concatenate([inside[rows] - before, -before[-1:]])
        simulated += adds[place].sum(axis=1)
    statistic = _step(_step(simulated) ** 2 / ideal).sum(axis=1)
    seen = float(_step(excess**2 / ideal).sum())
    return float(((statistic >= seen - 1e-6).sum() + 1) / (draws + 1))
