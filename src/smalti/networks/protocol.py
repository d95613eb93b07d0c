"""How a network is asked, and how its answer becomes a posterior.

At a level with signal a and noise s, a state is x = a x_0 + s eps with a^2 + s^2 = 1. Networks are trained to return
different things; the estimate of the clean picture, E[x_0 | x], follows from each exactly:

    noise   eps                 mean = (x - s eps) / a
    clean   x_0                 mean = x_0            (also EDM's D(x_0 + sigma eps; sigma))
    v       a eps - s x_0       mean = a x - s v      (Salimans & Ho 2022, 2202.00512, section 4)

They are computed in float64 from the network's float32 numbers. So the mean of an ideal network has an error of at
most 2^-24 (|eps| s / a), 2^-24 |x_0| or 2^-24 |v| s from the rounding of its output.

Any Python callable predict(x, time) on NumPy arrays can be asked in this way. Together with its clock (what it is told
of the level, `smalti.networks.clock`) it makes a machine, which samplers drive as they drive Smalti's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.pixels import shown_size
from smalti.engine import Posterior
from smalti.errors import InputError, SmaltiError, UsageError
from smalti.networks.clock import Clock
from smalti.noise import STATE_UNITS, Level
from smalti.sampling.ddim import DenoiserCorpus

__all__ = ["NetworkMachine", "Predictor", "Predicts", "TrainedOn", "clean_estimate"]

Predicts = Literal["noise", "clean", "v"]


class Predictor(Protocol):
    """A network as a function on arrays."""

    def __call__(self, x: NDArray[np.float32], time: NDArray[np.float32], /) -> NDArray[Any]:
        """What the network returns.

        Args:
            x: noisy pictures, channels first, times the clock's factor. float32 (B, C, H, W).
            time: what the network is told of the level; equal numbers. float32 (B,).

        Returns:
            The prediction. Shape (B, C, H, W).
        """
        ...


@dataclass(frozen=True)
class TrainedOn:
    """What is known of the pictures of a network where the corpus itself is not at hand.

    Attributes:
        digest: digest of the corpus; empty where it is not known.
        size: height and width, in pixels.
        channels: 1, 3 or 4.
    """

    digest: str
    size: tuple[int, int]
    channels: int


def clean_estimate(
    x: NDArray[np.float64], predicted: NDArray[np.float64], level: Level, predicts: Predicts
) -> NDArray[np.float64]:
    """The estimate of the clean picture from what a network predicts (see the module). Tier: *bitwise*.

    Args:
        x: the state, a x_0 + s eps. Any shape.
        predicted: what the network returned. Same shape.
        level: signal a and noise s.
        predicts: what the network was trained to return.

    Returns:
        The mean. Same shape.
    """
    if predicts == "clean":
        return predicted
    if predicts == "noise":
        return (x - level.noise * predicted) / level.signal
    return level.signal * x - level.noise * predicted


class NetworkMachine:
    """A network as a machine: called with a state and a level, it returns a posterior. Tier: *statistical*: the float32
    arithmetic of a network may depend on the processor, the library, the number of threads and the batch.

    Attributes:
        name: name, for records.
        corpus: the corpus it was trained on, or what is known of it.
        label: the label it is asked for, or None.
        predicts: what the network returns.
        clock: how it is told the level.
        limits: lowest and highest value to which estimates are cut, or None.
        multiple: sides of pictures must be multiples of this.
        digest: of what decides its answers beside corpus and label, its weights above all; empty where not known.
    """

    def __init__(
        self,
        predict: Predictor,
        corpus: DenoiserCorpus,
        *,
        predicts: Predicts,
        clock: Clock,
        name: str = "network",
        label: str | None = None,
        limits: tuple[float, float] | None = None,
        multiple: int = 1,
        digest: str = "",
    ) -> None:
        """Makes a machine of a callable.

        Args:
            predict: the network, a function on arrays (`Predictor`).
            corpus: an `ImageCorpus`, or `TrainedOn`.

        Keyword Args:
            predicts: what it returns: "noise", "clean" or "v".
            clock: how it is told the level: `ContinuousTime`, `DiscreteTime` or `SigmaTime`.
            name: name, for records.
            label: the label that `predict` asks for, for records.
            limits: cut the estimates to this range, as some pipelines do; the paper's networks are used without.
            multiple: sides of pictures must be multiples of this, such as 4 for two halvings.
            digest: of what decides its answers beside corpus and label, such as its weights; work that is kept between
                runs is known by it.

        Raises:
            UsageError: `predicts` is none of the three.
        """
        if predicts not in get_args(Predicts):
            raise UsageError(f"A network predicts noise, clean or v, but predicts is {predicts!r}.")
        self._predict = predict
        self.corpus = corpus
        self.predicts: Predicts = predicts
        self.clock = clock
        self.name = name
        self.label = label
        self.limits = limits
        self.multiple = multiple
        self.digest = digest

    def check_output(self, size: tuple[int, int]) -> None:
        """Raises `UsageError` if the network cannot make pictures of this height and width."""
        if any(side % self.multiple for side in size):
            raise UsageError(
                f"The network {self.name} makes pictures whose sides are multiples of {self.multiple}, not "
                f"{shown_size(size)}."
            )

    def __call__(self, state: NDArray[np.int16], level: Level) -> Posterior:
        """The network's estimate of the clean picture.

        Args:
            state: int16 (H, W, C) or (B, H, W, C), in units of 1/4080.
            level: its noise level.

        Returns:
            The posterior. `mean` is the estimate and need not lie in [-1, 1]; a network gives no `evidence` (NaN) and
            drops no sources (`cut` is 0); `patch_size` is 0.

        Raises:
            InputError: a state of another form, or the network returned another shape, or numbers that are not finite.
            UsageError: a size or level that the network has not learnt.
        """
        if state.dtype != np.int16 or state.ndim not in (3, 4) or state.shape[-1] != self.corpus.channels:
            raise InputError(
                f"The network {self.name} takes int16 states of shape (H, W, {self.corpus.channels}), or a batch of "
                f"them, not {state.dtype} of shape {state.shape}."
            )
        states = state[None] if state.ndim == 3 else state
        self.check_output((states.shape[1], states.shape[2]))
        x = states / STATE_UNITS
        predicted = self._asked(x, level)
        mean = np.ascontiguousarray(clean_estimate(x, predicted, level, self.predicts))
        if self.limits is not None:
            mean = np.clip(mean, *self.limits)
        sites = states.shape[:3]
        batch = Posterior(
            mean=mean,
            evidence=np.full(sites, np.nan),
            cut=np.zeros(sites),
            state=states,
            level=level,
            patch_size=0,
        )
        return batch.of_state(0) if state.ndim == 3 else batch

    def _asked(self, x: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
        """What the network returns for x (B, H, W, C), as float64 (B, H, W, C)."""
        seen = np.ascontiguousarray((x * self.clock.factor(level)).transpose(0, 3, 1, 2), dtype=np.float32)
        told = np.full(len(x), self.clock.time(level), dtype=np.float32)
        try:
            found = np.asarray(self._predict(seen, told))
        except (SmaltiError, MemoryError):
            raise
        except Exception as error:  # a network is anybody's function, and may fail in any way
            what = ": ".join(filter(None, (type(error).__name__, str(error))))
            raise InputError(
                f"The network {self.name} failed when it was asked ({what}): see that it takes float32 pictures of "
                f"shape {seen.shape} and times of shape {told.shape}."
            ) from error
        if found.shape != seen.shape or found.dtype.kind != "f":
            raise InputError(
                f"The network {self.name} was given pictures of shape {seen.shape} and must return numbers of the same "
                f"shape, but it returned {found.dtype} of shape {found.shape}."
            )
        if not np.isfinite(found).all():
            raise InputError(
                f"The network {self.name} returned numbers that are not finite at time {level.time}: its weights or "
                "its clock are wrong."
            )
        return found.astype(np.float64).transpose(0, 2, 3, 1)
