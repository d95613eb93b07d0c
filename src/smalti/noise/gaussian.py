"""Gaussian noise on the state grid, drawn exactly and the same everywhere.

A state value is a whole number X of units of 1/4080, held in 16 bits. Standard normal noise on that grid is
X = round(4080 z) clipped to +-32767, z ~ N(0, 1), so with h = 1/4080 and Phi the normal distribution function

    P(X <= k) = Phi((k + 1/2) h)     for k = -32767, ..., 32766.

Each X is drawn by inversion: a 64-bit random word w gives the number of thresholds T_k = round(2^64 Phi((k + 1/2) h))
that are at most w. As w is uniform, P(X <= k) is T_k / 2^64 with no error at all, and T_k / 2^64 is within 2^-65 of
Phi: the table *is* the law.

The thresholds are computed in whole numbers (fixed point with 160 binary places), with no call of erf or exp, so the
table is the same on every machine. One value uses one random word (`smalti.noise.words`), in C order of the shape. So
noise is a function of (purpose, seed, step) and the place, never of what else is drawn.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from smalti.noise.words import random_words

__all__ = ["STATE_LIMIT", "STATE_UNITS", "gaussian_state"]

STATE_UNITS = 4080
"""State units in 1.0: a state value X stands for x = X / 4080."""

STATE_LIMIT = 32767
"""Largest state value; x reaches +-8.03."""

_PLACES = 160
"""Binary places of the fixed-point numbers that the thresholds are computed with."""

_ONE = 1 << _PLACES

_PI_FIXED = 0x3243F6A8885A308D313198A2E03707344A4093822
"""Pi in fixed point, rounded down."""


def gaussian_state(shape: tuple[int, ...], *, seed: int, purpose: str, step: int = 0) -> NDArray[np.int16]:
    """Standard normal noise in state units. Tier: *bitwise*; the law is exact (see the module).

    Args:
        shape: shape of the answer, for a picture (H, W, C).
        seed: seed of the sample, from 0.
        purpose: what the noise is for; another purpose gives independent noise.
        step: step of the sampler, from 0; another step gives independent noise.

    Returns:
        Noise in units of 1/4080. Shape `shape`.

    Raises:
        UsageError: seed or step is not a whole number from 0.
    """
    count = 1
    for side in shape:
        count *= side
    return _inverted(random_words(count, seed=seed, purpose=purpose, step=step)).reshape(shape)


def _inverted(words: NDArray[np.uint64]) -> NDArray[np.int16]:
    """The state value that each word stands for: -32767 and the number of thresholds at most the word."""
    return (np.searchsorted(_thresholds(), words, side="right") - STATE_LIMIT).astype(np.int16)


@functools.cache
def _thresholds() -> NDArray[np.uint64]:
    """T_k for k = -32767, ..., 32766, each the whole number nearest to 2^64 Phi((k + 1/2) h). Shape (65534,).

    The mass of the cell around x = k h is the Taylor series of the density integrated over the cell,

        h phi(x) (1 + He2(x) v / 6 + He4(x) v^2 / 120 + He6(x) v^3 / 5040 + ...),      v = (h / 2)^2,

    with He the Hermite polynomials, in which the first term left out is below 1e-29 of the whole for |x| <= 8.03. The
    density goes from cell to cell by phi((k + 1) h) = phi(k h) r_k, r_(k+1) = r_k exp(-h^2); these products lose less
    than 2^-120.
    """
    h_squared = _ONE // STATE_UNITS**2
    v = h_squared // 4
    ratio_step = _exp_minus(h_squared)
    ratio = _exp_minus(h_squared // 2)
    mass = _ONE * _ONE // (_square_root(2 * _PI_FIXED) * STATE_UNITS)
    coefficients = (_ONE // 6, v // 120, (v * v >> _PLACES) // 5040)
    total = _ONE // 2
    upper: list[int] = []
    for k in range(STATE_LIMIT):
        y = k * k * h_squared
        he2 = y - _ONE
        he4 = (y * (y - 6 * _ONE) >> _PLACES) + 3 * _ONE
        he6 = (y * ((y * (y - 15 * _ONE) >> _PLACES) + 45 * _ONE) >> _PLACES) - 15 * _ONE
        series = sum(c * he for c, he in zip(coefficients, (he2, he4, he6), strict=True)) >> _PLACES
        cell = mass * (_ONE + (v * series >> _PLACES)) >> _PLACES
        total += cell // 2 if k == 0 else cell
        upper.append(((total >> (_PLACES - 65)) + 1) >> 1)
        mass = mass * ratio >> _PLACES
        ratio = ratio * ratio_step >> _PLACES
    table = np.array([2**64 - threshold for threshold in reversed(upper)] + upper, dtype=np.uint64)
    table.setflags(write=False)
    return table


def _exp_minus(value: int) -> int:
    """exp(-value) in fixed point, for a small value, by its series."""
    total = term = _ONE
    n = 0
    while term:
        n += 1
        term = (term * value >> _PLACES) // n
        total += -term if n % 2 else term
    return total


def _square_root(value: int) -> int:
    """Square root in fixed point, by Newton's iteration on whole numbers, rounded down."""
    target = value << _PLACES
    root = 1 << (target.bit_length() + 1) // 2
    while (better := (root + target // root) // 2) < root:
        root = better
    return root
