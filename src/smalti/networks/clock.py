"""What a network is told of the noise: each network has a clock of its own, and a level is a place on it.

A level is a pair (signal a, noise s) with a^2 + s^2 = 1; what all conventions share is the signal-to-noise ratio
a^2 / s^2. A clock finds the time at which the network saw this ratio in training, and the factor on the state x that
the network expects:

    continuous   time t of a schedule, factor 1
    discrete     index i of n training steps with given abar_i, factor 1
    sigma        noise over signal, s / a, factor 1 / a: the network sees x_0 + sigma eps (Karras et al. 2022,
                 2206.00364)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError
from smalti.noise import Level, Schedule
from smalti.noise import schedule as named_schedule
from smalti.noise.schedule import CONTEXT, checked_steps, rounded

__all__ = ["Clock", "ContinuousTime", "DiscreteTime", "SigmaTime"]

_HALVINGS = 40
_EARLIEST = 2.0**-30


class Clock(Protocol):
    """How a network is told a level."""

    def time(self, level: Level) -> float:
        """What the network is told.

        Raises:
            UsageError: the network has not learnt this level.
        """
        ...

    def factor(self, level: Level) -> float:
        """What the state is multiplied by before the network sees it."""
        ...


class ContinuousTime:
    """Time in (0, 1] of a schedule, as the networks of Kamb & Ganguli take it (i / n, cosine without offset).

    Attributes:
        schedule: the schedule the network was trained with.
        unit: what one unit of the schedule's time is on the network's clock.
    """

    def __init__(self, schedule: str | Schedule = "cosine", *, unit: float = 1.0) -> None:
        """A clock that runs along a schedule.

        Args:
            schedule: a name (`smalti.noise.SCHEDULES`) or any `Schedule` on times in (0, 1].

        Keyword Args:
            unit: what time 1 of the schedule is on the network's clock, such as 999 or 1000.

        Raises:
            UsageError: there is no such schedule.
        """
        self.schedule: Schedule = named_schedule(schedule) if isinstance(schedule, str) else schedule
        self.unit = unit

    def time(self, level: Level) -> float:
        """The level's own time, exactly, if it is of the same schedule; otherwise the time of equal signal-to-noise
        ratio, to 2^-40.

        Raises:
            UsageError: the schedule has no such ratio.
        """
        if self._is_own(level):
            return self.unit * level.time
        wanted = level.log_snr
        early, late = _EARLIEST, 1.0
        if not self.schedule.level(late).log_snr <= wanted <= self.schedule.level(early).log_snr:
            raise UsageError(
                f"The network was trained with the {self.schedule.name} schedule, which has no level with signal "
                f"{level.signal:.6g} and noise {level.noise:.6g}: sample with that schedule."
            )
        for _ in range(_HALVINGS):
            middle = (early + late) / 2.0
            if self.schedule.level(middle).log_snr > wanted:
                early = middle
            else:
                late = middle
        return self.unit * late

    def _is_own(self, level: Level) -> bool:
        try:
            own = self.schedule.level(level.time)
        except UsageError:  # a time that only another schedule has
            return False
        return (own.signal, own.noise) == (level.signal, level.noise)

    def factor(self, level: Level) -> float:
        """1."""
        return 1.0


class DiscreteTime:
    """Training steps 0 ... n - 1 with given abar, as in DDPM; it is a `Schedule` too, whose levels are these steps.

    Attributes:
        name: name of the schedule.
        abar: signal^2 of each step. float64 (n,), falling.
    """

    def __init__(self, abar: Sequence[float] | NDArray[np.floating], *, name: str = "discrete") -> None:
        """A clock of n ticks.

        Args:
            abar: signal^2 of each training step, the least noisy first; diffusers: `scheduler.alphas_cumprod`.

        Keyword Args:
            name: name of the schedule, for records.

        Raises:
            InputError: these are not falling numbers in [0, 1).
        """
        values = np.asarray(abar, dtype=np.float64)
        # The last step may have no signal at all, where the schedule was rescaled to end in pure noise.
        falling = values.ndim == 1 and len(values) > 0 and bool((np.diff(values) <= 0).all())
        if not falling or not (np.isfinite(values).all() and values[-1] >= 0.0 and 0.0 < values[0] < 1.0):
            raise InputError(
                "abar, the squared signal of each training step, must fall from below 1 and be at least 0."
            )
        self.name = name
        self.abar = values
        self._levels = [self._level(i) for i in range(len(values))]
        self._log_snr = np.array([level.log_snr for level in self._levels])

    def _level(self, index: int) -> Level:
        with localcontext(CONTEXT):
            kept = Decimal(float(self.abar[index]))
            return Level((index + 1) / len(self.abar), rounded(kept.sqrt()), rounded((1 - kept).sqrt()))

    def time(self, level: Level) -> float:
        """The index of the training step whose log signal-to-noise ratio is nearest to the level's.

        Levels of this clock's own `grid` are met exactly; others with an error of half a training step at most.

        Raises:
            UsageError: the level lies outside of the training steps.
        """
        wanted, steps = level.log_snr, self._log_snr
        index = int(np.abs(steps - wanted).argmin())
        gap = float(np.abs(np.diff(steps)[max(0, index - 1) : index + 1]).max()) if len(steps) > 1 else 0.0
        if abs(float(steps[index]) - wanted) > gap:
            raise UsageError(
                f"The network was trained on {len(steps)} levels, and none is near signal {level.signal:.6g} and noise "
                f"{level.noise:.6g}: sample with its own schedule."
            )
        return float(index)

    def factor(self, level: Level) -> float:
        """1."""
        return 1.0

    def level(self, time: float) -> Level:
        """The training step at a time i / n; in between, the nearest.

        Raises:
            UsageError: the time is not in (0, 1].
        """
        if not 0.0 < time <= 1.0:
            raise UsageError(
                f"The {self.name} schedule has levels at times above 0 and up to 1, but the time is {time}."
            )
        return self._levels[max(0, round(time * len(self._levels)) - 1)]

    def grid(self, steps: int) -> tuple[Level, ...]:
        """Training steps spread evenly, noisiest first.

        Args:
            steps: how many, at most n.

        Returns:
            The levels at indices round(i n / steps) - 1 for i = steps, ..., 1. Shape (steps,).

        Raises:
            UsageError: there are not as many.
        """
        count, ticks = checked_steps(steps), len(self._levels)
        if count > ticks:
            raise UsageError(f"The network was trained on {ticks} levels, and {count} steps are more than that.")
        return tuple(self._levels[(2 * ticks * i + count) // (2 * count) - 1] for i in range(count, 0, -1))


class SigmaTime:
    """The network is told sigma = noise / signal and sees the state divided by the signal: EDM, and any denoiser of
    pictures with plain noise of standard deviation sigma added.
    """

    def time(self, level: Level) -> float:
        """Noise over signal."""
        return level.noise / level.signal

    def factor(self, level: Level) -> float:
        """1 / signal."""
        return 1.0 / level.signal
