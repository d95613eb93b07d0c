"""Noise schedules: how much signal and how much noise a state holds at each time.

The forward process is variance preserving Gaussian noise,

    x_t = signal(t) * x_0 + noise(t) * eps,      signal(t)^2 + noise(t)^2 = 1,      eps ~ N(0, 1) per value,

with `time` t running from 0 (the picture) to 1 (almost only noise). Papers write abar(t) for signal(t)^2. The
schedules, in terms of abar or of sigma = noise / signal:

    cosine          abar = cos^2( (t / 1.008) pi / 2 )
    offset-cosine   abar = f(t) / f(0), f(t) = cos^2( (t + .008) / 1.008 pi / 2 )
    linear          abar = exp( -(0.1 t + 9.95 t^2) )
    sigmoid         abar falls along a logistic curve, start -3, end 3, tau 1
    edm             sigma = ( .002^(1/7) + t (80^(1/7) - .002^(1/7)) )^7

Sources: Kamb & Ganguli 2025 (2412.20292); Nichol & Dhariwal 2021 (2102.09672), eq. 17; Ho et al. 2020 (2006.11239),
section 4, in the continuous-time form of Song et al. 2021 (2011.13456), appendix C; Jabri et al. 2023 (2212.11972) with
the function of Chen 2023 (2301.10972), algorithm 1; Karras et al. 2022 (2206.00364), eq. 5.

Levels must be the same bytes on every machine, because a sample is a function of them. They are therefore computed in
decimal arithmetic of a stated precision, in which every operation is defined to the last digit, and not with the C
library's cos and exp, which differ in their last bit from one system to the next; the result is rounded to a whole
multiple of 2**-40, so that neither the precision of the decimals nor the order of their operations is visible in it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Protocol, runtime_checkable

from smalti.errors import UsageError, whole_number

__all__ = ["CLEAN", "SCHEDULES", "Level", "RecordedSchedule", "Schedule", "schedule"]

_DIGITS = 50
"""Decimal digits carried; an answer is used to 2**-40, about 12 digits."""

CONTEXT = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN)

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")

_UNIT = 1 << 40
"""Signal and noise are whole multiples of 1 / _UNIT."""


@dataclass(frozen=True)
class Level:
    """One noise level: `x_t = signal * x_0 + noise * eps`.

    Attributes:
        time: position in the schedule, 0 (clean) to 1 (noisiest).
        signal: factor on the clean picture (papers: a_t = sqrt(abar_t)), in (0, 1].
        noise: standard deviation of the noise (papers: s_t), in [0, 1]; 0 only for `CLEAN`, where no machine is
            called.

    Raises:
        UsageError: a value is not a number or lies outside of its range.
    """

    time: float
    signal: float
    noise: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.time <= 1.0 and 0.0 < self.signal <= 1.0 and 0.0 <= self.noise <= 1.0):
            raise UsageError(
                f"A noise level needs time in [0, 1], signal in (0, 1] and noise in [0, 1], but it has "
                f"time {self.time}, signal {self.signal} and noise {self.noise}."
            )

    @property
    def log_snr(self) -> float:
        """Logarithm of the signal-to-noise ratio, 2 ln(signal / noise), in nats; infinite for `CLEAN`.

        Tier: *bitwise*; rounded to a multiple of 2**-40.
        """
        if self.noise == 0.0:
            return math.inf
        with localcontext(CONTEXT):
            ratio = (Decimal(self.signal) / Decimal(self.noise)).ln()
            return int((2 * ratio * _UNIT).to_integral_value()) / _UNIT


CLEAN = Level(time=0.0, signal=1.0, noise=0.0)
"""Where the last step goes: the finished picture."""


@runtime_checkable
class Schedule(Protocol):
    """What a sampler needs to know of a noise schedule; any object with these three will do."""

    @property
    def name(self) -> str:
        """Name for records and messages."""
        ...

    def level(self, time: float) -> Level:
        """The level at `time` in (0, 1]; a schedule that is still noisy at its end (edm) takes 0 too."""
        ...

    def grid(self, steps: int) -> tuple[Level, ...]:
        """The `steps` levels at which a machine is called, noisiest first; after the last one comes `CLEAN`."""
        ...


class _Published(ABC):
    """What the five published schedules share: checks, the default grid of times, and the rounding."""

    name: str

    @abstractmethod
    def _squares(self, time: Decimal) -> tuple[Decimal, Decimal]:
        """Unrounded (signal^2, noise^2) at a time."""

    def level(self, time: float) -> Level:
        """The level at one time. Tier: *bitwise*.

        Args:
            time: in (0, 1].

        Returns:
            Signal and noise, each rounded to the nearest multiple of 2**-40 and at least 2**-40, so both are above 0.

        Raises:
            UsageError: the time is outside of its range.
        """
        time = float(time)
        self._check(time)
        with localcontext(CONTEXT):
            signal_squared, noise_squared = self._squares(Decimal(time))
            return Level(time=time, signal=rounded(signal_squared.sqrt()), noise=rounded(noise_squared.sqrt()))

    def grid(self, steps: int) -> tuple[Level, ...]:
        """Levels at times i / steps for i = steps, ..., 1 (Kamb & Ganguli's grid). Tier: *bitwise*.

        Args:
            steps: number of levels, at least 1.

        Returns:
            The levels, noisiest first. Shape (steps,).

        Raises:
            UsageError: `steps` is not a whole number of at least 1.
        """
        steps = checked_steps(steps)
        return tuple(self.level(i / steps) for i in range(steps, 0, -1))

    def _check(self, time: float) -> None:
        if not 0.0 < time <= 1.0:
            raise UsageError(
                f"The {self.name} schedule has levels at times above 0 and up to 1, but the time is {time}."
            )

    def __repr__(self) -> str:
        return f"schedule({self.name!r})"


class _Cosine(_Published):
    """abar(t) = cos^2( (t / 1.008) pi / 2 ): the paper's cosine, without offset. At t = 1 the signal is 0.0125."""

    name = "cosine"

    def _squares(self, time: Decimal) -> tuple[Decimal, Decimal]:
        return cos_squared_and_rest(time / Decimal("1.008") * PI / 2)


class _OffsetCosine(_Published):
    """Cosine with offset 0.008; the signal never falls below the floor that the authors' own clip leaves.

    Nichol & Dhariwal clip beta_i = 1 - abar_i / abar_(i-1) at 0.999, which only the very last of their steps needs,
    where f is 0. In their thousand steps that leaves abar(1) = (1 - 0.999) f(0.999) / f(0) = 2.4e-9. The same value
    is the floor here, at any time: the signal is at least 4.9e-5, and on the grid of 1000 steps every level is
    theirs.
    """

    name = "offset-cosine"

    def _squares(self, time: Decimal) -> tuple[Decimal, Decimal]:
        kept, lost = self._unclipped(time)
        floor = Decimal("0.001") * self._unclipped(Decimal("0.999"))[0]
        return (kept, lost) if kept > floor else (floor, 1 - floor)

    def _unclipped(self, time: Decimal) -> tuple[Decimal, Decimal]:
        offset, length = Decimal("0.008"), Decimal("1.008")
        at_zero, _ = cos_squared_and_rest(offset / length * PI / 2)
        at_time, _ = cos_squared_and_rest((time + offset) / length * PI / 2)
        return at_time / at_zero, (at_zero - at_time) / at_zero


class _Linear(_Published):
    """The variance-preserving diffusion whose rate is linear, beta(t) = 0.1 + 19.9 t, so abar = exp(-integral of beta).

    It is the limit of DDPM's thousand steps with beta from 1e-4 to 0.02 (each times 1000). At t = 1 the signal is
    0.0066.
    """

    name = "linear"

    def _squares(self, time: Decimal) -> tuple[Decimal, Decimal]:
        kept = (-(Decimal("0.1") * time + Decimal("9.95") * time * time)).exp()
        return kept, 1 - kept


class _Sigmoid(_Published):
    """abar(t) = (g(end) - g(start + t (end - start))) / (g(end) - g(start)), g the logistic function, start -3, end 3.

    Clipped from below at 1e-9, as the authors do: at t = 1 the signal is 3.2e-5.
    """

    name = "sigmoid"

    def _squares(self, time: Decimal) -> tuple[Decimal, Decimal]:
        start, end = Decimal(-3), Decimal(3)
        low, high, here = _logistic(start), _logistic(end), _logistic(start + time * (end - start))
        kept = max((high - here) / (high - low), Decimal("1e-9"))
        return kept, 1 - kept


class _EDM(_Published):
    """Karras et al.'s sigma from 80 to 0.002 with rho = 7, written variance preserving: signal = 1 / sqrt(1 + sigma^2).

    Sigma is 0.002 at time 0, not 0, so time 0 is a level too; the grid uses it: sigma is 80 at the first of its
    levels and 0.002 at the last (at the only one, 80).
    """

    name = "edm"

    def _squares(self, time: Decimal) -> tuple[Decimal, Decimal]:
        least, most = Decimal("0.002"), Decimal(80)
        root = Decimal(1) / 7
        variance = (least**root + time * (most**root - least**root)) ** 14
        return 1 / (1 + variance), variance / (1 + variance)

    def grid(self, steps: int) -> tuple[Level, ...]:
        """Levels at times i / (steps - 1) for i = steps - 1, ..., 0: Karras et al.'s grid. Tier: *bitwise*.

        Args:
            steps: number of levels, at least 1; with 1, the level at time 1.

        Returns:
            The levels, noisiest first. Shape (steps,).

        Raises:
            UsageError: `steps` is not a whole number of at least 1.
        """
        last = checked_steps(steps) - 1
        return (self.level(1.0), *(self.level(i / last) for i in range(last - 1, -1, -1)))

    def _check(self, time: float) -> None:
        if not 0.0 <= time <= 1.0:
            raise UsageError(f"The edm schedule has levels at times from 0 to 1, but the time is {time}.")


class RecordedSchedule:
    """The levels of an earlier run, as a schedule: whatever they were computed by, they are used as recorded."""

    def __init__(self, name: str, levels: tuple[Level, ...]) -> None:
        """Takes levels as they are.

        Args:
            name: name of the schedule that the levels came from.
            levels: noisiest first. Shape (steps,).

        Raises:
            UsageError: there is no level, or one has no noise.
        """
        if not levels or any(level.noise == 0.0 for level in levels):
            raise UsageError("A recorded schedule needs at least one level, and noise above 0 at every level.")
        self.name = name
        self.levels = tuple(levels)

    def level(self, time: float) -> Level:
        """The recorded level at exactly this time.

        Args:
            time: one of the recorded times.

        Returns:
            The level.

        Raises:
            UsageError: no level was recorded at this time.
        """
        for level in self.levels:
            if level.time == time:
                return level
        raise UsageError(f"The record of the {self.name} schedule has no level at time {time}.")

    def grid(self, steps: int) -> tuple[Level, ...]:
        """The recorded levels.

        Args:
            steps: their number.

        Returns:
            The levels, noisiest first. Shape (steps,).

        Raises:
            UsageError: another number of levels was recorded.
        """
        if checked_steps(steps) != len(self.levels):
            raise UsageError(f"The record of the {self.name} schedule has {len(self.levels)} levels, not {steps}.")
        return self.levels


_MAKERS: dict[str, Callable[[], Schedule]] = {
    maker.name: maker for maker in (_Cosine, _OffsetCosine, _Linear, _Sigmoid, _EDM)
}

SCHEDULES: tuple[str, ...] = tuple(_MAKERS)
"""Names that `schedule` knows."""


def schedule(name: str) -> Schedule:
    """The schedule of a name.

    Args:
        name: one of `SCHEDULES`.

    Returns:
        The schedule.

    Raises:
        UsageError: there is no such schedule; the sentence lists those there are.
    """
    if name not in _MAKERS:
        raise UsageError(f"There is no schedule called {name!r}; choose one of {', '.join(SCHEDULES)}.")
    return _MAKERS[name]()


def checked_steps(steps: int) -> int:
    return whole_number(steps, "The number of steps is a whole number of at least 1", least=1)


def rounded(value: Decimal) -> float:
    """Nearest multiple of 2**-40, at least 2**-40; exact as a float, since values up to 1 need 41 bits at most."""
    return max(int((value * _UNIT).to_integral_value()), 1) / _UNIT


def cos_squared_and_rest(angle: Decimal) -> tuple[Decimal, Decimal]:
    """cos^2 and sin^2 of an angle in [0, pi / 2], from the Taylor series of cos(2 angle).

    The largest term is below e^pi = 23, so the alternating sum costs two digits of the fifty.
    """
    square = -4 * angle * angle
    term = total = Decimal(1)
    n = 0
    while abs(term) > Decimal(10) ** -(_DIGITS + 5):
        term = term * square / ((n + 1) * (n + 2))
        total += term
        n += 2
    return (1 + total) / 2, (1 - total) / 2


def _logistic(value: Decimal) -> Decimal:
    return 1 / (1 + (-value).exp())
