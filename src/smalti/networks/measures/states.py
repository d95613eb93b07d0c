"""Where a denoiser is measured: the states of a sampler's trajectory, or pictures under noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.errors import InputError, UsageError, whole_number
from smalti.noise import STATE_UNITS, Level, Schedule, gaussian_state
from smalti.noise.words import uniforms
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import DDIM, Denoiser, batches, checked_seeds, state_of, values_of

__all__ = ["StateSet", "noisy_items", "on_trajectory"]

# A noise level as a step of the noise's generator: times are told apart to a millionth.
_TIMES = 1 << 20


@dataclass(frozen=True, eq=False)
class StateSet:
    """States at several levels.

    Attributes:
        levels: the noise levels, noisiest first. (L,).
        values: the states, in units of 1/4080. int16 (S, L, H, W, C).
        seeds: seed of each sample. (S,).
        origin: where they come from, in words.

    Raises:
        InputError: the arrays do not belong together.
    """

    levels: tuple[Level, ...]
    values: NDArray[np.int16]
    seeds: tuple[int, ...]
    origin: str

    def __post_init__(self) -> None:
        if self.values.dtype != np.int16 or self.values.ndim != 5 or self.values.size == 0:
            raise InputError(
                "A set of states is an int16 array of shape (samples, levels, H, W, C), none of them 0, not "
                f"{self.values.dtype} of shape {self.values.shape}."
            )
        if self.values.shape[:2] != (len(self.seeds), len(self.levels)):
            raise InputError(
                f"There are {len(self.seeds)} seeds and {len(self.levels)} levels, and states for "
                f"{self.values.shape[0]} and {self.values.shape[1]}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples, and of levels."""
        return len(self.seeds), len(self.levels)

    @property
    def picture(self) -> tuple[int, int, int]:
        """Height, width and channels of a state."""
        height, width, channels = self.values.shape[2:]
        return height, width, channels

    def __iter__(self) -> Iterator[tuple[int, int, NDArray[np.int16], Level]]:
        """Each state with its level: (sample, place of the level, state (H, W, C), level)."""
        for n in range(len(self.seeds)):
            for i, level in enumerate(self.levels):
                yield n, i, self.values[n, i], level


def on_trajectory(
    denoiser: Denoiser,
    seeds: Iterable[int] = range(8),
    *,
    steps: int = 20,
    schedule: str | Schedule = "cosine",
    every: int = 1,
    size: tuple[int, int] | None = None,
    batch: int = 16,
    progress: Progress = SILENT,
) -> StateSet:
    """The states through which the sampler leads a denoiser: what it really meets. Tier: that of the denoiser.

    Args:
        denoiser: what is sampled with (`DDIM`).
        seeds: whole numbers from 0, none twice. (S,).

    Keyword Args:
        steps: steps of the sampler.
        schedule: name of a noise schedule, or any `Schedule`.
        every: keep the last step and each `every`-th before it.
        size: height and width of the pictures; the corpus's own unless given.
        batch: how many seeds share a call.
        progress: where progress is shown.

    Returns:
        The states.

    Raises:
        UsageError: a setting has no meaning, or does not fit the denoiser.
    """
    sampler = DDIM(denoiser, steps=steps, schedule=schedule)
    every = whole_number(every, "Of the steps each so-and-so-many-th is kept, a whole number of at least 1", least=1)
    kept = range((len(sampler.levels) - 1) % every, len(sampler.levels), every)
    chosen = checked_seeds(seeds)
    found: list[NDArray[np.int16]] = []
    with progress.task(f"trajectories of {denoiser.name}", len(chosen) * len(sampler.levels)) as task:
        for group in batches(chosen, batch):
            walked: list[NDArray[np.int16]] = []
            for step in sampler.run(group, size):
                walked.append(step.state)
                task.advance(len(group))
            found.append(np.stack([walked[i] for i in kept], axis=1))
    return StateSet(
        tuple(sampler.levels[i] for i in kept), np.concatenate(found), chosen, f"the trajectory of {denoiser.name}"
    )


def noisy_items(corpus: ImageCorpus, levels: Sequence[Level], seeds: Iterable[int] = range(8)) -> StateSet:
    """Pictures of a corpus under noise. A seed chooses the picture and the noise, at each level anew. Tier: *bitwise*.

    Args:
        corpus: the pictures.
        levels: noise levels. (L,).
        seeds: whole numbers from 0, none twice. (S,).

    Returns:
        The states round(4080 (a x_0 + s eps)).

    Raises:
        UsageError: there is no level, or a seed cannot be used.
    """
    if not levels:
        raise UsageError("Pictures are put under noise at one level at least, but none was given.")
    chosen = checked_seeds(seeds)
    found = np.empty((len(chosen), len(levels), *corpus.images.shape[1:]), np.int16)
    for n, seed in enumerate(chosen):
        item = int(uniforms(1, seed=seed, purpose="measures/item")[0] * len(corpus))
        clean = values_of(corpus.images[item])
        for i, level in enumerate(levels):
            noise = gaussian_state(clean.shape, seed=seed, purpose="measures/noise", step=round(level.time * _TIMES))
            found[n, i] = state_of(level.signal * clean + level.noise * (noise / STATE_UNITS))
    return StateSet(tuple(levels), found, chosen, "items of the corpus under noise")
