"""What a run leaves: the pictures, and what a receipt needs to say where they came from.

A receipt takes the posterior again, with shares, at states that the run passed through. So a trace keeps the state of
every step exactly (16 bits a value), the last posterior mean exactly (the finished picture before rounding to
pixels), and the denoised estimate of every step as pixels, which costs half as much as the states and shows how a
picture came about.

On disk a trace is one file (`smalti.sampling.trace_file`) with the arrays `images`, `states`, `estimates`, `means`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.machines import Machine
from smalti.noise import Level
from smalti.sampling.files import write_file
from smalti.sampling.trace_file import read_trace_file, trace_bytes

if TYPE_CHECKING:
    from smalti.receipts import Receipt

__all__ = ["Sample", "Trace", "listed", "place_in"]

_FORMAT = "smalti.trace/1"
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
        if self.machine is None:
            raise UsageError(
                "A receipt takes the machine that made the sample, and this trace came without it: open the run with "
                "open_run(folder), or set it with trace.made_by(machine)."
            )
        from smalti.receipts import Receipt

        return Receipt(self, self.machine)


@dataclass(frozen=True, eq=False)
class Trace:
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

    images: NDArray[np.uint8]
    states: NDArray[np.int16]
    estimates: NDArray[np.uint8]
    means: NDArray[np.float64]
    levels: tuple[Level, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    corpus_digest: str
    machine: Machine | None = None

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
                    f"The {name} of {shape[0]} samples of {len(self.levels)} steps are {dtype} of shape {wanted}, but "
                    f"they are {array.dtype} of shape {array.shape}."
                )
        if not np.array_equal(self.images, self.estimates[:, -1]):
            raise UsageError("The pictures of a trace are the estimates of its last step, but they differ.")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels)

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Sample:
        """The sample at a place of the trace, as views.

        Args:
            index: place, from 0; negative counts from the end.

        Raises:
            IndexError: there is no such place.
        """
        place = place_in(self.seeds, index)
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

    def __iter__(self) -> Iterator[Sample]:
        return (self[place] for place in range(len(self)))

    def of_seed(self, seed: int) -> Sample:
        """The sample of a seed, as views.

        Args:
            seed: one of `seeds`.

        Raises:
            UsageError: the trace has no such seed.
        """
        if seed not in self.seeds:
            raise UsageError(f"The trace has no sample of seed {seed}; it has {listed(self.seeds)}.")
        return self[self.seeds.index(seed)]

    def only(self, place: int) -> Trace:
        """A trace of one sample.

        Args:
            place: place of the sample, from 0.
        """
        one = slice(place, place + 1)
        arrays: dict[str, Any] = {name: getattr(self, name)[one] for name in _ARRAYS}
        return replace(self, seeds=self.seeds[one], **arrays)

    def made_by(self, machine: Machine) -> Trace:
        """The same trace with the machine that made it, so that its samples have receipts.

        Args:
            machine: a machine on the corpus of the trace.

        Raises:
            UsageError: its name, corpus, label or patch sizes are not those of the trace.
        """
        sizes = None if machine.scales is None else [machine.scales.at(level) for level in self.levels]
        found = {"machine": machine.name, "label": machine.label, "patch_sizes": sizes}
        if machine.corpus.digest != self.corpus_digest or found != {name: self.settings.get(name) for name in found}:
            raise UsageError(
                f"The machine {machine.name!r} on the corpus {machine.corpus.digest[:12]} did not make this trace: "
                f"that was {self.settings.get('machine')!r} on {self.corpus_digest[:12]}, with label "
                f"{self.settings.get('label')!r} and patch sizes {self.settings.get('patch_sizes')}."
            )
        return replace(self, machine=machine)

    def same_request(self, other: Trace) -> bool:
        """Whether two traces have the same levels, settings, corpus and picture size, whatever their seeds."""
        return (
            self.levels == other.levels
            and dict(self.settings) == dict(other.settings)
            and self.corpus_digest == other.corpus_digest
            and self.images.shape[1:] == other.images.shape[1:]
        )

    @classmethod
    def join(cls, traces: Sequence[Trace]) -> Trace:
        """One trace of the samples of several, in order.

        Args:
            traces: at least one, all of one request.

        Raises:
            UsageError: there is none, or they are not of one request.
        """
        if not traces or not all(traces[0].same_request(trace) for trace in traces):
            raise UsageError("Traces can be joined only if there is one at least and all have the same settings.")
        arrays: dict[str, Any] = {name: np.concatenate([getattr(trace, name) for trace in traces]) for name in _ARRAYS}
        return replace(traces[0], seeds=tuple(seed for trace in traces for seed in trace.seeds), **arrays)

    def to_bytes(self) -> bytes:
        """The trace as the content of a safetensors file; equal traces give equal bytes. Tier: *bitwise*."""
        record = {
            "format": _FORMAT,
            "levels": [[level.time, level.signal, level.noise] for level in self.levels],
            "seeds": list(self.seeds),
            "settings": dict(self.settings),
            "corpus_digest": self.corpus_digest,
        }
        return trace_bytes({name: getattr(self, name) for name in _ARRAYS}, record)

    def save(self, path: str | Path) -> None:
        """Writes the trace to a file, all of it or nothing.

        Args:
            path: the file, by custom `trace.safetensors`.

        Raises:
            InputError: the file cannot be written.
        """
        write_file(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Reads a trace that `save` wrote.

        Args:
            path: the file.

        Raises:
            InputError: the file cannot be read, or is not a complete trace.
        """
        return read_trace_file(
            path,
            _FORMAT,
            lambda array, record: cls(
                **{name: array(name) for name in _ARRAYS},
                levels=tuple(Level(*level) for level in record["levels"]),
                seeds=tuple(record["seeds"]),
                settings=record["settings"],
                corpus_digest=record["corpus_digest"],
            ),
        )


def place_in(seeds: Sequence[int], index: int) -> int:
    """A place of a trace, from 0, that may be counted from the end.

    Raises:
        IndexError: there is no such place.
    """
    if not -len(seeds) <= index < len(seeds):
        raise IndexError(
            f"there is no sample {index}: the trace has {len(seeds)}, from 0; trace.of_seed(seed) takes a seed"
        )
    return index % len(seeds)


def listed(seeds: Sequence[int]) -> str:
    """The first seeds, and how many more there are."""
    shown = ", ".join(str(seed) for seed in seeds[:8])
    return shown if len(seeds) <= 8 else f"{shown} and {len(seeds) - 8} more"
