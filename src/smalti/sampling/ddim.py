"""DDIM: from noise to a picture along the posterior mean (Song et al. 2021, 2010.02502, eq. 12 with sigma = 0).

At each level (a, s) = (signal, noise) a machine gives the posterior mean of the clean picture. With x the state, a'
and s' the next level,

    eps = (x - a mean) / s,        x' = a' mean + s' eps.

The state lives on a grid: x = X / 4080 with X a 16-bit whole number, and X' = round(4080 x') clipped to +-32767. The
last step goes to a' = 1, s' = 0, so the finished picture *is* the last posterior mean, in pixels round((255 mean +
255) / 2).

Exactness: every operation is one IEEE-754 float64 operation per value, rounded on its own, and the noise a picture
starts from is a function of its seed. With a machine that keeps the exactness contract, a picture is the same bytes
whatever the batch it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, SmaltiError, UsageError, whole_number
from smalti.machines import Machine
from smalti.noise import CLEAN, STATE_LIMIT, STATE_UNITS, Level, Schedule, gaussian_state, schedule
from smalti.progress import SILENT, Progress, Task
from smalti.sampling.trace import Trace

__all__ = ["DDIM", "Denoiser", "Step", "Steps", "asked", "checked_seeds", "pixels_of", "state_of", "values_of"]


class DenoiserCorpus(Protocol):
    """What a sampler needs to know of a machine's corpus."""

    @property
    def digest(self) -> str:
        """Digest of the corpus, hexadecimal."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the items, in pixels."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels: 1, 3 or 4."""
        ...


class DenoiserPosterior(Protocol):
    """What a sampler needs of a posterior."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """Posterior mean of the clean picture, in [-1, 1]. Shape (B, H, W, C)."""
        ...


class Denoiser(Protocol):
    """What a sampler needs of a machine. Every machine of Smalti is one, and so is any object with these members.

    A machine may have two more, which go into records: `label` (the label its corpus is restricted to) and `scales`
    (with `at(level)`, its patch size at a level).
    """

    @property
    def name(self) -> str:
        """Name of the machine."""
        ...

    @property
    def corpus(self) -> DenoiserCorpus:
        """The corpus it draws on."""
        ...

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises a `UsageError` if the machine cannot make pictures of this height and width."""
        ...

    def __call__(self, state: NDArray[np.int16], level: Level) -> DenoiserPosterior:
        """The posterior of a batch of states, shape (B, H, W, C), in units of 1/4080."""
        ...


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a batch.

    Attributes:
        index: 0 for the noisiest step.
        level: the level of `state`.
        next_level: the level of `next_state`; `CLEAN` at the last step.
        state: where the posterior was taken, in units of 1/4080. Shape (B, H, W, C).
        posterior: what the machine returned.
        next_state: the state after the step, in units of 1/4080. Shape (B, H, W, C).
    """

    index: int
    level: Level
    next_level: Level
    state: NDArray[np.int16]
    posterior: Any
    next_state: NDArray[np.int16]


class Steps:
    """The steps of one batch, made one at a time as they are asked for; they have a length and can be walked again."""

    def __init__(
        self,
        machine: Denoiser,
        levels: tuple[Level, ...],
        seeds: tuple[int, ...],
        size: tuple[int, int],
        tick: Callable[[float], None] | None = None,
    ):
        """Made by `DDIM.run`."""
        self._machine, self._levels, self._seeds, self._size, self._tick = machine, levels, seeds, size, tick

    def __len__(self) -> int:
        return len(self._levels)

    def __iter__(self) -> Iterator[Step]:
        shape = (*self._size, self._machine.corpus.channels)
        state = np.stack([gaussian_state(shape, seed=seed, purpose="image/initial") for seed in self._seeds])
        state.setflags(write=False)
        for index, (level, following) in enumerate(zip(self._levels, (*self._levels[1:], CLEAN), strict=True)):
            posterior = asked(self._machine, state, level, tick=self._tick)
            mean = posterior.mean
            epsilon = (state / STATE_UNITS - level.signal * mean) / level.noise
            next_state = state_of(following.signal * mean + following.noise * epsilon)
            next_state.setflags(write=False)
            yield Step(index, level, following, state, posterior, next_state)
            state = next_state


class DDIM:
    """The deterministic sampler. Tier: *bitwise*, if the machine is.

    Attributes:
        machine: what gives the posteriors.
        schedule: the noise schedule.
        levels: the levels at which the machine is called, noisiest first. Shape (steps,).
    """

    def __init__(self, machine: Denoiser, *, steps: int = 20, schedule: str | Schedule = "cosine") -> None:
        """Fixes machine and levels.

        Args:
            machine: what gives the posteriors.

        Keyword Args:
            steps: number of steps, at least 1. One step moves a state by about 1/steps, and states are rounded to
                1/4080: beyond some hundreds of steps the rounding weighs as much as the step.
            schedule: a name (`smalti.noise.SCHEDULES`) or any `Schedule`.

        Raises:
            UsageError: unknown schedule, a number of steps that is not at least 1, or so many that the last levels lie
                below what the state grid can tell apart.
        """
        self.machine = machine
        self.schedule = _named(schedule) if isinstance(schedule, str) else schedule
        self.levels = self.schedule.grid(steps)
        if isinstance(machine, Machine):
            for level in self.levels:
                machine.check_level(level)

    def run(
        self,
        seeds: Iterable[int],
        size: tuple[int, int] | None = None,
        *,
        tick: Callable[[float], None] | None = None,
    ) -> Steps:
        """The steps of one batch, lazily: the machine is called once for each, for all seeds together.

        Args:
            seeds: seeds of the samples, whole numbers from 0. Shape (B,).
            size: height and width of the pictures; the corpus's own unless given.

        Keyword Args:
            tick: called with the share of a step that was done since the last call, from within the steps.

        Returns:
            The steps, `len(steps)` of them.

        Raises:
            UsageError: a seed cannot be used, or the machine cannot make pictures of this size.
        """
        return Steps(self.machine, self.levels, checked_seeds(seeds), self.checked_size(size), tick)

    def __call__(
        self,
        seeds: Iterable[int] = range(16),
        size: tuple[int, int] | None = None,
        *,
        batch: int = 16,
        progress: Progress = SILENT,
    ) -> Trace:
        """Samples one picture per seed.

        Args:
            seeds: seeds of the samples, whole numbers from 0, none twice. Shape (S,).
            size: height and width of the pictures; the corpus's own unless given.

        Keyword Args:
            batch: how many seeds share each call of the machine; changes memory and speed, never a byte.
            progress: where progress is shown.

        Returns:
            The pictures, and what a receipt needs of the way to them.

        Raises:
            UsageError: a seed cannot be used, or the machine cannot make pictures of this size.
        """
        chosen = checked_seeds(seeds)
        with progress.task("generating", len(chosen) * len(self.levels)) as task:
            return Trace.join([self.one_batch(group, size, task=task) for group in batches(chosen, batch)])

    def one_batch(self, seeds: Iterable[int], size: tuple[int, int] | None = None, *, task: Task) -> Trace:
        """Samples one batch: one call of the machine per step.

        Args:
            seeds: seeds of the samples, whole numbers from 0, none twice. Shape (B,).
            size: height and width of the pictures; the corpus's own unless given.

        Keyword Args:
            task: advanced by B in the course of every step.

        Returns:
            The batch's trace.

        Raises:
            UsageError: a seed cannot be used, or the machine cannot make pictures of this size.
        """
        chosen = checked_seeds(seeds)
        steps = self.run(chosen, size, tick=lambda share: task.advance(share * len(chosen)))
        states: list[NDArray[np.int16]] = []
        estimates: list[NDArray[np.uint8]] = []
        mean = np.empty(0)
        for step in steps:
            mean = step.posterior.mean
            states.append(step.state)
            estimates.append(pixels_of(mean))
        return Trace(
            images=estimates[-1],
            states=np.stack(states, axis=1),
            estimates=np.stack(estimates, axis=1),
            means=np.array(mean, dtype=np.float64, order="C"),
            levels=self.levels,
            seeds=chosen,
            settings=self.settings(),
            corpus_digest=self.machine.corpus.digest,
            machine=self.machine if isinstance(self.machine, Machine) else None,
        )

    def settings(self) -> dict[str, Any]:
        """What decides a sample beside corpus, levels, seed and size, as values that JSON can hold.

        Returns:
            `sampler`, `schedule`, `machine`, `label` (None: whole corpus), `patch_sizes` (per step; None: no patches).
        """
        scales = getattr(self.machine, "scales", None)
        return {
            "sampler": "ddim",
            "schedule": self.schedule.name,
            "machine": self.machine.name,
            "label": getattr(self.machine, "label", None),
            "patch_sizes": None if scales is None else [int(scales.at(level)) for level in self.levels],
        }

    def checked_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """The size of picture that is meant, checked with the machine.

        Args:
            size: height and width; the corpus's own if None.

        Returns:
            Height and width.

        Raises:
            UsageError: the machine cannot make pictures of this size.
        """
        height, width = self.machine.corpus.size if size is None else size
        if height < 1 or width < 1:
            raise UsageError(f"A picture is at least 1x1 pixels, but the size asked for is {width}x{height}.")
        self.machine.check_output((height, width))
        return height, width


_named = schedule


def state_of(x: NDArray[np.float64]) -> NDArray[np.int16]:
    """Rounds values to the state grid. Tier: *bitwise*.

    Args:
        x: values. Any shape.

    Returns:
        round(4080 x), halves to even, clipped to +-32767. Same shape.
    """
    return np.clip(np.rint(STATE_UNITS * x), -STATE_LIMIT, STATE_LIMIT).astype(np.int16)


def values_of(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixels as values in [-1, 1]. Tier: *bitwise*.

    Args:
        pixels: uint8. Any shape.

    Returns:
        (2 u - 255) / 255. Same shape.
    """
    return (2.0 * pixels.astype(np.float64) - 255.0) / 255.0


def pixels_of(mean: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Pixels of a picture given in [-1, 1]. Tier: *bitwise*.

    Args:
        mean: values. Any shape.

    Returns:
        round((255 mean + 255) / 2), halves to even, clipped to 0 ... 255. Same shape.
    """
    return np.clip(np.rint((255.0 * mean + 255.0) / 2.0), 0, 255).astype(np.uint8)


def checked_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """Seeds as a tuple of plain whole numbers.

    Args:
        seeds: whole numbers from 0.

    Returns:
        The same, in the same order. Shape (S,).

    Raises:
        UsageError: there is none, one is not a whole number from 0, or one comes twice.
    """
    chosen = [whole_number(seed, "A seed is a whole number from 0") for seed in seeds]
    if not chosen:
        raise UsageError("At least one seed is needed, but none was given.")
    if len(set(chosen)) != len(chosen):
        twice = next(seed for seed in chosen if chosen.count(seed) > 1)
        raise UsageError(f"Each seed gives one picture, but seed {twice} is asked for more than once.")
    return tuple(chosen)


def batches(seeds: Sequence[int], batch: int) -> Iterator[tuple[int, ...]]:
    """Cuts seeds into groups of at most `batch`.

    Args:
        seeds: the seeds. Shape (S,).
        batch: largest size of a group, at least 1.

    Returns:
        The groups in order.

    Raises:
        UsageError: `batch` is below 1.
    """
    if batch < 1:
        raise UsageError(f"A batch holds at least 1 seed, but the batch size is {batch}.")
    return (tuple(seeds[start : start + batch]) for start in range(0, len(seeds), batch))


def asked(
    machine: Denoiser, states: NDArray[np.int16], level: Level, *, tick: Callable[[float], None] | None = None
) -> Any:
    """The posterior that a machine returns, once its mean has been checked. Tier: that of the machine.

    Args:
        machine: what gives the posterior.
        states: in units of 1/4080. Shape (B, H, W, C).
        level: their noise level.

    Keyword Args:
        tick: called with the share of the work that was done since the last call.

    Raises:
        InputError: it fails, or its mean is not float64 of the shape of the states, or not finite.
    """
    # A machine of Smalti tells how far it is; any other denoiser is done at once.
    if isinstance(machine, Machine):
        posterior = machine(states, level, tick=tick)
    else:
        posterior = _of_anybody(machine, states, level)
        if tick is not None:
            tick(1.0)
    mean = getattr(posterior, "mean", None)
    if not isinstance(mean, np.ndarray):
        what = f"{type(posterior).__name__} without one"
    elif mean.dtype != np.float64 or mean.shape != states.shape:
        what = f"{mean.dtype} of shape {mean.shape}"
    elif not np.isfinite(mean).all():
        what = f"{mean.dtype} of shape {mean.shape}, not all finite"
    else:
        return posterior
    raise InputError(
        f"The machine {machine.name!r} must return a finite float64 mean of shape {states.shape}, but at time "
        f"{level.time} it returned {what}."
    )


def _of_anybody(denoiser: Denoiser, states: NDArray[np.int16], level: Level) -> Any:
    """What a denoiser of anybody's making returns."""
    try:
        return denoiser(states, level)
    except (SmaltiError, MemoryError):
        raise
    except Exception as error:  # it may fail in any way
        what = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise InputError(
            f"The machine {denoiser.name!r} failed when it was asked ({what}): see that it takes int16 states of shape "
            f"{states.shape} and a level."
        ) from error
