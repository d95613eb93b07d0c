"""Asking a denoiser around a state: differences of its mean, in steps that the state grid holds exactly.

A state is a vector X of D whole numbers in units of 1/4080 = 1/U, and f(x) the mean at x = X / U. Along a direction v
of numbers -1, 0 and 1, the derivative J v, with J_ij = d f_i / d x_j, is taken as the central difference

    (f((X + h v) / U) - f((X - h v) / U)) / (2 h / U),

whose states are exact, as X, h and v are whole. With d = h / U its error is d^2 / 6 times the third derivative along v.

For a machine that is known. Its mean is a mean under weights exp(a x.k / s^2 + ...), so each derivative is a joint
cumulant of the sources: J = a / s^2 Cov, and the third is (a / s^2)^3 kappa_4. Sources lie in [-1, 1], where a fourth
central moment is at most 4/3, by Hoelder a mixed one too, and three products of covariances are at most 3: so along
one number |kappa_4| <= 13/3. The step

    d = s / 8 min(1, s / a) min(1, 4 / sqrt(n)),          n the numbers that v moves,

moves the logarithm of a weight by at most 1/8 per unit of its source's value. So for n = 1 the error of an entry of J
is at most 0.0113 a / s^2, where entries reach a / s^2. Along n numbers at random signs a source's product with v grows
like sqrt(n), and the step shrinks with it. Never being more than s / 8, it stays small beside the noise that a network
has learnt to see.

The other error is that of the mean itself, divided by d: float32 leaves a network about 7 digits, of a noise that
counts s / a times; machines have a proven bound of about 4e-5, and mostly far less. A smaller step would raise this
one. h is rounded, and at least 1; under the least noise that is more than d asks for.

Where a state is nearer than a step to the end of the grid, 8.03, as those of a badly trained network can be, it is
first moved in by as much.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError, whole_number
from smalti.noise import STATE_LIMIT, STATE_UNITS, Level
from smalti.noise.words import random_words
from smalti.sampling.ddim import Denoiser, asked

__all__ = ["INAUDIBLE", "asked", "derivatives", "jacobian", "probes_for", "signs", "step_units", "unit_directions"]

Floats = NDArray[np.float64]
States = NDArray[np.int16]
Directions = NDArray[np.int8]

INAUDIBLE = 1e-6
"""Derivatives that are less than this, all together, are rounding: the mean does not depend on the state."""

# Numbers in a picture up to which its Jacobian is computed whole, and probes of larger ones.
_WHOLE, _PROBES = 128, 16
# Of the noise, and how many numbers move before the step shrinks; see the module.
_SHARE, _FREE = 1 / 8, 16
_STEP = f"A step is a whole number of units of 1/{STATE_UNITS}, from 1 to {STATE_UNITS}"


def probes_for(picture: tuple[int, ...], asked: int | None) -> int | None:
    """How many random probes a picture of this shape gets at each state; None: its whole Jacobian is computed.

    Args:
        picture: (H, W, C).
        asked: the number asked for; unless given, none for pictures of up to 128 numbers, and 16 for larger ones.

    Raises:
        UsageError: fewer than 1 are asked for.
    """
    if asked is not None:
        return whole_number(asked, "The number of probes is at least 1", least=1)
    return _PROBES if math.prod(picture) > _WHOLE else None


def step_units(level: Level, numbers: int = 1) -> int:
    """The step h of the module in units of 1/4080, at least 1.

    Args:
        level: the noise level.
        numbers: how many numbers of the state move.
    """
    wide = level.noise * min(1.0, level.noise / level.signal) * _SHARE
    return max(1, round(STATE_UNITS * wide * min(1.0, math.sqrt(_FREE / numbers))))


def means(denoiser: Denoiser, states: States, level: Level, *, batch: int) -> Floats:
    """Means of a denoiser at states, `batch` of them in a call.

    Args:
        denoiser: what is asked.
        states: int16 (B, H, W, C), in units of 1/4080.
        level: their noise level.

    Keyword Args:
        batch: how many states go into one call.

    Returns:
        The means. (B, H, W, C).

    Raises:
        SmaltiError: the denoiser returned something else, or numbers that are not finite.
        UsageError: `batch` is below 1.
    """
    batch = whole_number(batch, "A batch holds at least 1 state", least=1)
    found = np.empty(states.shape)
    for begin in range(0, len(states), batch):
        part = np.ascontiguousarray(states[begin : begin + batch])
        found[begin : begin + batch] = asked(denoiser, part, level).mean
    return found


def derivatives(
    denoiser: Denoiser,
    state: States,
    level: Level,
    directions: Directions,
    *,
    step: int | None = None,
    batch: int = 64,
) -> Floats:
    """J v for directions v, by central differences; see the module for step and error.

    Args:
        denoiser: what is asked.
        state: int16 (H, W, C), in units of 1/4080.
        level: its noise level.
        directions: numbers -1, 0 and 1, none of them all 0. int8 (K, H, W, C).

    Keyword Args:
        step: h in units of 1/4080; `step_units` of the numbers that move unless given.
        batch: how many states go into one call.

    Returns:
        Change of the mean per change of the state. (K, H, W, C).

    Raises:
        InputError: the state is no such array.
        UsageError: a step or a batch without meaning, or directions of another shape.
    """
    if state.dtype != np.int16 or state.ndim != 3:
        raise InputError(f"A state is an int16 array of shape (H, W, C), not {state.dtype} of shape {state.shape}.")
    moved = np.abs(directions).reshape(len(directions), -1).sum(axis=1, dtype=np.int64)
    if directions.shape[1:] != state.shape or not moved.all() or np.abs(directions).max() > 1:
        raise UsageError(f"Directions are arrays of -1, 0 and 1 of shape {state.shape}, and none of them all 0.")
    if step is not None and whole_number(step, _STEP, least=1) > STATE_UNITS:
        raise UsageError(f"{_STEP}, but it is {step}.")
    steps = np.array([step_units(level, int(n)) if step is None else step for n in moved])
    inside = STATE_LIMIT - int(steps.max())
    state = np.clip(state, -inside, inside)
    moves = directions * steps.astype(np.int16)[:, None, None, None]
    out = np.empty(directions.shape)
    half = max(1, whole_number(batch, "A batch holds at least 1 state", least=1) // 2)
    for begin in range(0, len(moves), half):
        part = moves[begin : begin + half]
        ends = means(denoiser, np.concatenate([state + part, state - part]), level, batch=batch)
        wide = 2.0 * steps[begin : begin + half, None, None, None] / STATE_UNITS
        out[begin : begin + half] = (ends[: len(part)] - ends[len(part) :]) / wide
    return out


def jacobian(denoiser: Denoiser, state: States, level: Level, *, step: int | None = None, batch: int = 64) -> Floats:
    """All of J: the derivative of each number of the mean by each of the state, two calls of a state for each number.

    Args:
        denoiser: what is asked.
        state: int16 (H, W, C), in units of 1/4080.
        level: its noise level.

    Keyword Args:
        step: as in `derivatives`.
        batch: how many states go into one call.

    Returns:
        Entry (i, j) is d mean_i / d x_j, numbers counted in C order. (D, D) with D = H W C.

    Raises:
        InputError, UsageError: as `derivatives`.
    """
    count = state.size
    columns = derivatives(denoiser, state, level, unit_directions(state.shape, range(count)), step=step, batch=batch)
    return np.ascontiguousarray(columns.reshape(count, count).T)


def unit_directions(shape: tuple[int, ...], numbers: range | NDArray[np.int64]) -> Directions:
    """Directions that move one number each. int8, K arrays."""
    count = math.prod(shape)
    out = np.zeros((len(numbers), count), np.int8)
    out[np.arange(len(numbers)), np.asarray(numbers)] = 1
    return out.reshape(len(numbers), *shape)


def signs(count: int, shape: tuple[int, ...], *, seed: int, purpose: str, step: int = 0) -> Directions:
    """Directions of independent fair signs, a function of seed, purpose and step. Tier: *bitwise*. int8, K arrays."""
    words = random_words(count * math.prod(shape), seed=seed, purpose=purpose, step=step)
    return np.where(words >> np.uint64(63), 1, -1).astype(np.int8).reshape(count, *shape)
