"""Background temperature of a black box: the temperature at which a reference varies as much.

A reference system, free of noise, is sampled at a grid of temperatures with as many answers to each prompt as the
system gave. Per prompt two things are taken:

    behind    mean over pairs of answers of the share of the answer behind the first difference; free of bias at any n
    varied    whether any two answers differ

The mean of `behind` over prompts, made monotone in T (isotonic regression), is the reference's curve; T is where it
reaches the system's mean, linear between the grid's temperatures and down to 0 at T = 0.

Few prompts carry what little there is to see at low temperatures: those with a near tie on their path. So where less
than half of the prompts varied, or there is just one, the interval also covers what the exact binomial interval of that
share gives on the reference's curve of shares; where none did, the answer is the bound at which the chance of that is
5 %.

A reference with another sharpness has another curve. That error does not shrink with more answers: at least three
references are asked, and their spread is reported as a systematic error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import exp2, log2
from smalti.resample import LEVEL, counts, interval, means

__all__ = ["GRID", "Curve", "Inverted", "Measured", "binomial", "invert", "isotonic", "joined"]

GRID = (0.001, 0.0018, 0.0032, 0.0056, 0.01, 0.02, 0.03, 0.05, 0.08, 0.13, 0.2, 0.3, 0.5, 0.8, 1.0)
"""Temperatures at which references are sampled: about logarithmic, and from 0.01 on among those of Messina & Scotta."""

LEAST_REFERENCES = 3
"""References from which a spread between them says something."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """What the answers of one system to each prompt have.

    Attributes:
        behind: mean share of the answer behind the first difference of two answers. Shape (P,).
        varied: 1 where any two answers differ, else 0. Shape (P,).
    """

    behind: Floats
    varied: Floats


@dataclass(frozen=True, eq=False)
class Curve:
    """What the answers of a reference have.

    Attributes:
        name: the reference.
        temperatures: rising, above 0. Shape (G,).
        behind: as of `Measured`. Shape (P, G).
        varied: as of `Measured`. Shape (P, G).
    """

    name: str
    temperatures: Floats
    behind: Floats
    varied: Floats


@dataclass(frozen=True)
class Inverted:
    """A temperature by one reference, or by several together.

    Attributes:
        name: the reference, or None for several.
        temperature: the estimate; 0 where no answers differed.
        low: lower end of the 95 % interval.
        high: upper end; where no answers differed, the bound.
        capped: whether the estimate or the upper end lies at the highest temperature that was sampled.
    """

    name: str | None
    temperature: float
    low: float
    high: float
    capped: bool


def isotonic(values: Floats, weights: Floats | None = None) -> Floats:
    """The rising sequences closest to given ones by (weighted) squares, along the last axis. Same shape.

    By the min-max formula: at i, the largest over a <= i of the smallest over b >= i of the mean from a to b.
    """
    size = values.shape[-1]
    weights = np.ones(size) if weights is None else weights
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values * weights, axis=-1)], axis=-1)
    total = np.concatenate([[0.0], np.cumsum(weights)])
    first, last = np.indices((size, size))
    inside = last >= first
    below = np.where(inside, total[1:] - total[:-1, None], 1.0)
    mean = np.where(inside, (sums[..., None, 1:] - sums[..., :-1, None]) / below, math.inf)
    smallest = np.minimum.accumulate(mean[..., ::-1], axis=-1)[..., ::-1]
    largest = np.maximum.accumulate(np.where(inside, smallest, -math.inf), axis=-2)
    return np.diagonal(largest, axis1=-2, axis2=-1)


def invert(curves: Floats, temperatures: Floats, values: Floats) -> Floats:
    """Where rising curves reach values.

    Args:
        curves: rising. Shape (n, G).
        temperatures: rising, above 0. Shape (G,).
        values: shape (n,).

    Returns:
        Temperatures; the middle where a curve is level, 0 for values of 0, the last one for values above the curve.
        Shape (n,).
    """
    t = np.concatenate([[0.0], temperatures])
    y = np.concatenate([np.zeros((len(curves), 1)), curves], axis=1)
    rows = np.arange(len(curves))
    ends = []
    for below in ((y < values[:, None]).sum(axis=1), (y <= values[:, None]).sum(axis=1)):
        right = np.clip(below, 1, len(t) - 1)
        rise = y[rows, right] - y[rows, right - 1]
        share = np.where(rise > 0, (values - y[rows, right - 1]) / np.where(rise > 0, rise, 1.0), 0.0)
        ends.append(t[right - 1] + np.clip(share, 0.0, 1.0) * (t[right] - t[right - 1]))
    # Before a level stretch `rise` is that of the stretch's left neighbour; behind it, that of its right one.
    found = 0.5 * (ends[0] + ends[1])
    return np.where(values <= 0, 0.0, np.where(values > y[:, -1], t[-1], found))


def joined(system: Measured, curves: Sequence[Curve], *, draws: int, seed: int) -> tuple[Inverted, list[Inverted]]:
    """The temperature by all references together, and by each. Tier: *bitwise* for draws and seed.

    Together: the geometric mean, with an interval that holds those of all references, for any of them may be like the
    system.

    Args:
        system: P prompts with at least two answers.
        curves: of the same P prompts, with the same number of answers.

    Keyword Args:
        draws: bootstrap draws of prompts, shared by the system and all references.
        seed: of the draws.
    """
    weights = counts(draws, len(system.behind), seed=seed, purpose="temperature/bootstrap/prompts")
    alone = np.ones((1, weights.shape[1]))
    found = [
        _inverted(system, curve, float(_by(system, curve, alone)[0]), _by(system, curve, weights)) for curve in curves
    ]
    point = 0.0
    if all(one.temperature > 0 for one in found):
        point = float(exp2(sum(float(log2(one.temperature)) for one in found) / len(found)))
    low, high = min(one.low for one in found), max(one.high for one in found)
    return Inverted(None, point, low, high, any(one.capped for one in found)), found


def _by(system: Measured, curve: Curve, weights: Floats) -> Floats:
    """The temperature under each row of weights. Shape (n, P) gives (n,)."""
    values = means(system.behind[:, None], weights)[:, 0]
    return invert(isotonic(means(curve.behind, weights)), curve.temperatures, values)


def _inverted(system: Measured, curve: Curve, point: float, sample: Floats) -> Inverted:
    """A point with its interval: of the bootstrap, widened by what the number of prompts that varied allows."""
    size, seen, top = len(system.varied), int(system.varied.sum()), float(curve.temperatures[-1])
    if not seen:
        # The share of prompts at which the chance that none of them varies is 5 %.
        bound = float(shares(curve, np.array([1.0 - float(exp2(log2(1.0 - LEVEL) / size))]))[0])
        return Inverted(curve.name, 0.0, 0.0, bound, bound >= top)
    sample = sample[sample > 0]  # some answers differed, so T is not 0
    low, high = interval(sample, size) if len(sample) else (point, point)
    if 2 * seen < size or size == 1:  # of one prompt, all draws are the same
        least, most = shares(curve, np.array(binomial(seen, size))).tolist()
        low, high = min(low, least), max(high, most)
    return Inverted(curve.name, point, min(low, point), max(high, point), max(high, point) >= top)


def shares(curve: Curve, values: Floats) -> Floats:
    """Where the share of prompts that varied reaches values on a reference's curve. Shape (n,).

    Few prompts vary at the lowest temperatures, often none. Near ties are as frequent as T is large there, so that the
    curve is taken to rise no faster than in proportion to T: a sequence share / T that falls, made so with weights T.
    """
    t = curve.temperatures
    share = means(curve.varied, np.ones((1, len(curve.varied))))
    rising = isotonic(-isotonic(-share / t, t) * t)
    return invert(np.repeat(rising, len(values), axis=0), t, values)


def binomial(seen: int, size: int, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval (Clopper & Pearson 1934) of a share of which `seen` in `size` were found."""
    tail = (1.0 - level) / 2
    low = 0.0 if seen == 0 else _crossing(lambda p: 1.0 - _at_most(seen - 1, size, p) >= tail)
    high = 1.0 if seen == size else _crossing(lambda p: _at_most(seen, size, p) <= tail)
    return low, high


def _at_most(seen: int, size: int, p: float) -> float:
    """Chance of at most `seen` of `size`."""
    return math.fsum(math.comb(size, k) * p**k * (1 - p) ** (size - k) for k in range(seen + 1))


def _crossing(reached: Callable[[float], bool]) -> float:
    """The least share in steps of 2^-40 from which on `reached` holds."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
