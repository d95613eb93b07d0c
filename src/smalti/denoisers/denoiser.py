"""What the denoisers of this room share: a corpus, and the way from a state to a posterior that is only a mean.

With the state x = a x_0 + s eps, all of them start from the noisy picture on the scale of the clean one,

    y = x / a = x_0 + sqrt(v) eps',      v = s^2 / a^2.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.corpus.pixels import shown_size
from smalti.engine import Posterior
from smalti.engine.query import span_of
from smalti.errors import InputError, UsageError
from smalti.noise import STATE_UNITS, Level
from smalti.sampling.ddim import values_of
from smalti.window import Scales

__all__ = ["ClosedForm", "in_chunks", "noisy_values", "variance"]

Floats = NDArray[np.float64]


def variance(level: Level) -> float:
    """The variance of the noise on the scale of the clean picture, s^2 / a^2."""
    ratio = level.noise / level.signal
    return ratio * ratio


class ClosedForm(ABC):
    """A denoiser that is called like a machine, and can be sampled like one.

    Attributes:
        name: for records and tables.
        corpus: the pictures.
        label: the label to whose items it is restricted, or None.
        images: pixels of the items it uses, uint8 (N, H, W, C).
    """

    name: str

    def __init__(self, corpus: ImageCorpus, *, label: str | None = None) -> None:
        """Takes the corpus.

        Args:
            corpus: the pictures.

        Keyword Args:
            label: use only the items with this label.

        Raises:
            UsageError: a label that the corpus does not have.
        """
        self.corpus = corpus
        self.label = label
        kept = corpus.images if label is None else corpus.images[corpus.places_of(label)]
        self.images = np.ascontiguousarray(kept)

    @property
    def values(self) -> Floats:
        """The items as values in [-1, 1]; (N, H, W, C)."""
        return values_of(self.images)

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` unless the size is the corpus's own."""
        if size != self.corpus.size:
            raise UsageError(
                f"the {self.name} denoiser makes pictures of the corpus's own size {shown_size(self.corpus.size)}, "
                f"not {shown_size(size)}"
            )

    def patch_size(self, level: Level) -> int:
        """Side of the window at a level in pixels; 0 where whole pictures are looked at."""
        return 0

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the estimates beside corpus and label: the class, and public attributes that are
        numbers, words, scales or rows of these. Empty where there are others, which it could not tell apart.
        Tier: *bitwise*.
        """
        computed = {name for name in dir(type(self)) if isinstance(getattr(type(self), name), cached_property)}
        known = {"corpus", "label", "images", *computed}
        own = {name: value for name, value in vars(self).items() if name[0] != "_" and name not in known}
        plain = (int, float, str, Scales)
        rows = (value if isinstance(value, tuple) else (value,) for value in own.values())
        if not all(isinstance(value, plain) for row in rows for value in row):
            return ""
        described = [f"{name}={own[name]!r}" for name in sorted(own)]
        return hashlib.sha256("\n".join([type(self).__qualname__, *described]).encode()).hexdigest()

    def __call__(self, state: NDArray[np.int16], level: Level) -> Posterior:
        """The estimate of the clean picture. Tier: that of the class.

        Args:
            state: int16 (H, W, C) or (B, H, W, C), in units of 1/4080.
            level: its noise level.

        Returns:
            The posterior: `mean`, which need not lie in [-1, 1], and `patch_size`. `evidence` is NaN and `cut` 0, as
            there are no weights of sources to tell of.

        Raises:
            InputError: a state that is not on the grid or has another number of channels.
            UsageError: a size or level at which the denoiser has no meaning.
        """
        states = admitted_states(state, self.corpus.channels)
        self.check_output((states.shape[1], states.shape[2]))
        span_of(level)
        batch = Posterior(
            mean=np.ascontiguousarray(self._mean(states, level)),
            evidence=np.full(states.shape[:3], np.nan),
            cut=np.zeros(states.shape[:3]),
            state=states,
            level=level,
            patch_size=self.patch_size(level),
        )
        return batch.of_state(0) if state.ndim == 3 else batch

    @abstractmethod
    def _mean(self, states: NDArray[np.int16], level: Level) -> Floats:
        """The means (B, H, W, C) of checked states (B, H, W, C)."""


def admitted_states(state: NDArray[np.int16], channels: int) -> NDArray[np.int16]:
    """A state or a batch of them as a batch.

    Raises:
        InputError: it is neither.
    """
    if state.dtype != np.int16 or state.ndim not in (3, 4) or state.shape[-1] != channels or state.size == 0:
        raise InputError(
            f"a state is an int16 array of shape (H, W, {channels}), or (B, H, W, {channels}) for a batch, "
            f"not {state.dtype} of shape {state.shape}"
        )
    return np.ascontiguousarray(state[None] if state.ndim == 3 else state)


def noisy_values(states: NDArray[np.int16], level: Level) -> Floats:
    """States in units of 1/4080 on the scale of the clean picture, x / a. Same shape."""
    return states / (STATE_UNITS * level.signal)


def in_chunks(count: int, step: int) -> Sequence[slice]:
    """Slices that cover 0 ... count - 1, each of at most `step`, and of 1 at least."""
    step = max(1, step)
    return [slice(begin, min(begin + step, count)) for begin in range(0, count, step)]
