"""What a run leaves: the pictures, and what a receipt needs to say where they came from.

A receipt takes the posterior again, with shares, at states that the run passed through. So a trace keeps the state of
every step exactly (16 bits a value), the last posterior mean exactly (the finished picture before rounding to
pixels), and the denoised estimate of every step as pixels, which costs half as much as the states and shows how a
picture came about.

On disk a trace is one file (`smalti.sampling.trace_file`) with the arrays `images`, `states`, `estimates`, `means`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.machines import Machine
from smalti.noise import Level
from smalti.sampling.samples import Samples, at_hand, listed

if TYPE_CHECKING:
    from smalti.receipts import Receipt

__all__ = ["Sample", "Trace"]

_ARRAYS = ("images", "states", "estimates", "means")


@dataclass(frozen=True, eq=False)
class Sample:
    """One seed's part of a trace; the arrays are views of the trace's.

    Attributes:
        seed: the seed.
        image: the finished picture. uint8, shape (H, W, C).
        states: the state at which each step's posterior was taken, in units of 1/4080. int16, shape (steps, H, W, C).
        estimates: posterior mean of each step, as pixels. uint8, shape (steps, H, W, C).
        mean: posterior mean of the last step, in [-1, 1]. float64, shape (H, W, C).
        levels: the levels, noisiest first. Shape (steps,).
        settings: what else decided the sample, see `DDIM.settings`.
        corpus_digest: digest of the corpus.
        machine: the machine that made it, where it is at hand; not part of what is saved.
    """

    seed: int
    image: NDArray[np.uint8]
    states: NDArray[np.int16]
    estimates: NDArray[np.uint8]
    mean: NDArray[np.float64]
    levels: tuple[Level, ...]
    settings: Mapping[str, Any]
    corpus_digest: str
    machine: Machine | None = None

    def __repr__(self) -> str:
        return f"Sample(seed {self.seed}, {' x '.join(map(str, self.image.shape))}, {len(self.levels)} steps)"

    @property
    def receipt(self) -> Receipt:
        """Where the picture came from.

        Raises:
            UsageError: the machine that made it is not at hand.
        """
        from smalti.receipts import Receipt

        return Receipt(self, at_hand(self.machine))


@dataclass(frozen=True, eq=False)
class Trace(Samples[Sample, Machine]):
    """The pictures of a run and the way to them. `trace[k]` is the k-th sample, `trace.of_seed(seed)` the one of a
    seed.

    Attributes:
        images: the finished pictures. uint8, shape (S, H, W, C).
        states: the state at which each step's posterior was taken, in units of 1/4080. int16, shape (S, steps, H, W,
            C).
        estimates: posterior mean of each step, as pixels; the last is the picture. uint8, shape (S, steps, H, W, C).
        means: posterior mean of the last step, in [-1, 1]. float64, shape (S, H, W, C).
        levels: the levels, noisiest first. Shape (steps,).
        seeds: the seeds. Shape (S,).
        settings: what else decided the samples, see `DDIM.settings`; JSON values.
        corpus_digest: digest of the corpus, hexadecimal.
        machine: the machine that made it, where it is at hand: receipts need it. Not part of what is saved.

    Raises:
        UsageError: the arrays do not belong together.
    """

    form: ClassVar[str] = "smalti.trace/1"

    images: NDArray[np.uint8]
    states: NDArray[np.int16]
    estimates: NDArray[np.uint8]
    means: NDArray[np.float64]
    levels: tuple[Level, ...]

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.images.shape[1:]))
        return f"Trace({len(self)} pictures of {size}, {self.steps} steps, seeds {listed(self.seeds)})"

    def __post_init__(self) -> None:
        shape = (len(self.seeds), *self.images.shape[1:])
        walk = (shape[0], len(self.levels), *shape[1:])
        expected = {"images": ("uint8", shape), "states": ("int16", walk), "estimates": ("uint8", walk)}
        for name, (dtype, wanted) in (expected | {"means": ("float64", shape)}).items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != wanted or array.ndim < 4:
                raise UsageError(
                    f"the {name} of {shape[0]} samples of {len(self.levels)} steps are {dtype} of shape {wanted}, but "
                    f"they are {array.dtype} of shape {array.shape}"
                )
        if not np.array_equal(self.images, self.estimates[:, -1]):
            raise UsageError("the pictures of a trace are the estimates of its last step, but they differ")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels)

    def _shape(self) -> tuple[Any, ...]:
        return self.levels, self.images.shape[1:]

    def _sample(self, place: int) -> Sample:
        return Sample(
            seed=self.seeds[place],
            image=self.images[place],
            states=self.states[place],
            estimates=self.estimates[place],
            mean=self.means[place],
            levels=self.levels,
            settings=self.settings,
            corpus_digest=self.corpus_digest,
            machine=self.machine,
        )

    def _part(self, place: int) -> dict[str, Any]:
        return {name: getattr(self, name)[place : place + 1] for name in _ARRAYS}

    @classmethod
    def _joined(cls, parts: Sequence[Trace]) -> dict[str, Any]:
        return {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}

    def _compared(self, machine: Machine) -> dict[str, tuple[Any, Any]]:
        sizes = None if machine.scales is None else [machine.scales.at(level) for level in self.levels]
        found = {"machine": machine.name, "label": machine.label, "patch_sizes": sizes}
        return {name: (value, self.settings.get(name)) for name, value in found.items()}

    def _stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        levels = [[level.time, level.signal, level.noise] for level in self.levels]
        return {name: getattr(self, name) for name in _ARRAYS}, {"levels": levels}

    @classmethod
    def _read(cls, array: Callable[[str], Any], record: Mapping[str, Any]) -> dict[str, Any]:
        levels = tuple(Level(*level) for level in record["levels"])
        return {name: array(name) for name in _ARRAYS} | {"levels": levels}
