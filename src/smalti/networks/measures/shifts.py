"""How equivariant a denoiser is: whether the estimate moves with the picture.

For a shift T of a state, circular, by whole pixels, the **shift error** is

    || f(T x) - T f(x) ||  /  || f(x) - m ||,        m the mean of f(x) over its pixels, for each channel

0 for a denoiser that does not know where it is. 1 is an error as large as all that the estimate shows; two estimates
that have nothing to do with each other, but the same mean and spread, have sqrt(2).

Whoever sees zeros beyond the edge cannot be equivariant there, as a circular shift carries an edge into the middle.
So the error is also taken in the interior: over those pixels that are, before and after the shift, at least m pixels
from every edge. Where the window of a denoiser of patches P is within that, m >= (P - 1) / 2, and the rule that it
applies is the same everywhere, the error is 0.

Kamb & Ganguli 2025 (2412.20292) take equivariance for one of two biases of a convolutional network; Zhang 2019
(1904.11486) measures shifts of classifiers.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.networks.measures.asking import means
from smalti.networks.measures.reading import Measurement, Reading, plot_readings
from smalti.networks.measures.states import StateSet
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser

__all__ = ["Equivariance", "equivariance"]

Floats = NDArray[np.float64]
Shift = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Equivariance(Measurement):
    """Whether the estimate moves with the picture (see `smalti.networks.measures.shifts`).

    Attributes:
        shifts: rows down and columns to the right. (K,).
        errors: shift error over the pixels at least m from every edge, m = 0, 1, ...; 0 is the whole picture. NaN where
            no such pixel is left, or the estimate is the same everywhere. float64 (S, L, K, M).
    """

    shifts: tuple[Shift, ...]
    errors: Floats

    def error(self, margin: int = 0, *, shift: Shift | None = None) -> Reading:
        """The shift error at a margin: root of the mean square over the shifts that leave pixels there, or of one.

        Args:
            margin: m, pixels from the edges; 0 for the whole picture.

        Keyword Args:
            shift: one of the shifts; all unless given.

        Raises:
            UsageError: there is no such margin or shift.
        """
        if not 0 <= margin < self.errors.shape[3]:
            raise UsageError(
                f"A margin of {margin} leaves no pixel of these pictures, after these shifts: choose from 0 to "
                f"{self.errors.shape[3] - 1}."
            )
        if shift is not None and shift not in self.shifts:
            raise UsageError(f"The shift {shift} was not measured: choose from {self.shifts}.")
        chosen = range(len(self.shifts)) if shift is None else [self.shifts.index(shift)]
        squares = np.square(self.errors[:, :, chosen, margin])
        known = np.isfinite(squares)
        counted = known.sum(axis=2)
        total = np.where(known, squares, 0.0).sum(axis=2)
        values = np.sqrt(np.divide(total, counted, out=np.full(total.shape, np.nan), where=counted > 0))
        where = "whole picture" if margin == 0 else f"{margin} from the edges"
        which = "" if shift is None else f", {shift[0]} down and {shift[1]} right"
        return Reading(f"shift error, {where}{which}", self.denoiser, self.levels, values)

    @property
    def margins(self) -> int:
        """How many margins there are: 0, 1, ..., one less."""
        return self.errors.shape[3]

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold: the error at each margin over all shifts, and of the whole picture by shift."""
        return {
            **self.head("equivariance"),
            "shifts": [list(shift) for shift in self.shifts],
            "by_margin": [self.error(margin).to_record() for margin in range(self.margins)],
            "by_shift": [self.error(shift=shift).to_record() for shift in self.shifts],
        }

    def plot(self, path: Path | str) -> None:
        """Draws the error of the whole picture and of its interior, and by shift, against time as a PNG."""
        margins = sorted({0, (self.margins - 1) // 2, self.margins - 1})
        panels = {
            "shift error": [self.error(margin) for margin in margins],
            "shift error, whole picture": [self.error(shift=shift) for shift in self.shifts],
        }
        plot_readings(panels, path, title=self.origin)


def equivariance(
    denoiser: Denoiser,
    states: StateSet,
    *,
    shifts: Sequence[Shift] | None = None,
    batch: int = 64,
    progress: Progress = SILENT,
) -> Equivariance:
    """Measures whether the estimate moves with the picture. Tier: that of the denoiser; 0 is exactly 0 for machines
    that wrap around.

    Args:
        denoiser: a machine, a network, anything that samplers drive.
        states: where it is measured.

    Keyword Args:
        shifts: rows down and columns to the right, whole numbers. Unless given: one row, one column, and half of both
            sides.
        batch: how many states go into one call.
        progress: where progress is shown.

    Returns:
        The errors; one call of a state, and one for each shift, at each state.

    Raises:
        UsageError: there is no shift, one moves nothing, or one comes twice.
        SmaltiError: the denoiser returned something else than means.
    """
    height, width, _ = states.picture
    chosen = _checked(shifts, height, width)
    gaps = [[_gap(move, side) for move, side in zip(shift, (height, width), strict=True)] for shift in chosen]
    most = max(min((height - down - 1) // 2, (width - right - 1) // 2) for down, right in gaps)
    errors = np.full((*states.shape, len(chosen), max(0, most) + 1), np.nan)
    with progress.task(f"shifts of {denoiser.name}", len(states.seeds) * len(states.levels)) as task:
        for n, i, state, level in states:
            moved = np.stack([state, *(np.roll(state, shift, (0, 1)) for shift in chosen)])
            found = means(denoiser, moved, level, batch=batch)
            for k, shift in enumerate(chosen):
                expected = np.roll(found[0], shift, (0, 1))
                errors[n, i, k] = _errors(found[1 + k], expected, shift, errors.shape[3])
            task.advance()
    return Equivariance(denoiser.name, states.levels, states.seeds, states.origin, chosen, errors)


def _checked(shifts: Sequence[Shift] | None, height: int, width: int) -> tuple[Shift, ...]:
    if shifts is None:
        wanted = ((1 % height, 0), (0, 1 % width), (height // 2, width // 2))
        chosen = tuple(dict.fromkeys(shift for shift in wanted if shift != (0, 0)))
        if not chosen:
            raise UsageError("A picture of 1x1 pixels cannot be shifted.")
        return chosen
    chosen = tuple((_whole(down), _whole(right)) for down, right in shifts)
    still = [shift for shift in chosen if shift[0] % height == 0 and shift[1] % width == 0]
    if not chosen or still or len(set(chosen)) != len(chosen):
        what = f"the shift {still[0]} moves nothing" if still else "there is none, or one comes twice"
        raise UsageError(f"Shifts are different moves of a picture of {width}x{height}, but {what}.")
    return chosen


def _whole(value: int) -> int:
    """A whole number of either sign."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"A shift is a whole number of pixels down and one to the right, but one is {value!r}.")
    return operator.index(value)


def _gap(move: int, side: int) -> int:
    """By how many places a circular move is off, the shorter way round."""
    return min(move % side, -move % side)


def _errors(found: Floats, expected: Floats, shift: Shift, margins: int) -> Floats:
    """The shift errors at margins 0, 1, ...; the first is over the whole picture. (M,)."""
    out = np.full(margins, np.nan)
    for margin in range(margins):
        kept = [_kept(margin, move, side) for move, side in zip(shift, found.shape[:2], strict=True)]
        if not all(places.size for places in kept):
            continue
        a, b = (field[np.ix_(*kept)] for field in (found, expected))
        spread = np.sqrt(np.square(b - b.mean(axis=(0, 1))).sum())
        if spread:
            out[margin] = np.sqrt(np.square(a - b).sum()) / spread
    return out


def _kept(margin: int, move: int, side: int) -> NDArray[np.int64]:
    """Places of an axis that are, and were before the move, at least `margin` from both ends; all at margin 0."""
    places = np.arange(side)
    before = (places - move) % side
    return places[(np.minimum(places, before) >= margin) & (np.maximum(places, before) < side - margin)]
