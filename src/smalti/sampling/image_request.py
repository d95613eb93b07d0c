"""What a run of pictures is asked for, and the files it becomes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.noise import Level, RecordedSchedule
from smalti.progress import Task
from smalti.sampling.ddim import DDIM, Denoiser, checked_seeds
from smalti.sampling.pictures import grid, png_bytes, trajectory
from smalti.sampling.request import Output, RunRequest, text_in, versions_in_use
from smalti.sampling.trace import Trace

__all__ = ["MOST_IN_GRID", "Request", "picture_name"]

MOST_IN_GRID = 256
"""Most samples that grid.png shows."""


@dataclass(frozen=True, kw_only=True)
class Request(RunRequest):
    """Everything that decides a run of pictures.

    Attributes:
        sampler: name of the sampler.
        machine: name of the machine.
        label: the label the corpus is restricted to; None: the whole corpus.
        schedule: name of the noise schedule that the levels came from.
        levels: the levels, noisiest first. Shape (steps,).
        patch_sizes: patch size of each step, or None for a machine without patches. Shape (steps,).
        size: height and width of the pictures.
        corpus_size: height and width of the corpus's items.

    Raises:
        UsageError: a value has no meaning, or two do not fit.
    """

    kind: ClassVar[str] = "pictures"

    sampler: str
    machine: str
    label: str | None
    schedule: str
    levels: tuple[Level, ...]
    patch_sizes: tuple[int, ...] | None
    size: tuple[int, int]
    corpus_size: tuple[int, int]

    def __post_init__(self) -> None:
        checked_seeds(self.seeds)
        RecordedSchedule(self.schedule, self.levels)
        if self.sampler != "ddim":
            raise UsageError(f"The sampler of a run is 'ddim', but the request says {self.sampler!r}.")
        if self.patch_sizes is not None and len(self.patch_sizes) != len(self.levels):
            raise UsageError(
                f"A request has one patch size for each level, but it has {len(self.patch_sizes)} patch sizes and "
                f"{len(self.levels)} levels."
            )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels)

    @classmethod
    def of(
        cls,
        sampler: DDIM,
        *,
        source: str,
        seeds: Iterable[int] = range(16),
        size: tuple[int, int] | None = None,
        notes: Iterable[str] = (),
        command: Iterable[str] = (),
    ) -> Request:
        """The request that a sampler would carry out.

        Args:
            sampler: machine, schedule and steps.

        Keyword Args:
            source: what the corpus was opened from.
            seeds: the seeds, none twice.
            size: height and width of the pictures; the corpus's own unless given.
            notes: what was done to the pictures and settings on the way in.
            command: the command line, word by word.

        Returns:
            The request, with the versions in use.

        Raises:
            UsageError: a seed cannot be used, or the machine cannot make pictures of this size.
        """
        settings = sampler.settings()
        sizes = settings["patch_sizes"]
        return cls(
            source=source,
            corpus_digest=sampler.machine.corpus.digest,
            notes=tuple(notes),
            sampler=settings["sampler"],
            machine=settings["machine"],
            label=settings["label"],
            schedule=settings["schedule"],
            levels=sampler.levels,
            patch_sizes=None if sizes is None else tuple(sizes),
            seeds=checked_seeds(seeds),
            size=sampler.checked_size(size),
            corpus_size=sampler.machine.corpus.size,
            versions=versions_in_use(),
            command=tuple(command),
        )

    def settings(self) -> dict[str, Any]:
        """The part that `DDIM.settings` gives of a sampler."""
        return {
            "sampler": self.sampler,
            "schedule": self.schedule,
            "machine": self.machine,
            "label": self.label,
            "patch_sizes": None if self.patch_sizes is None else list(self.patch_sizes),
        }

    def to_json(self) -> dict[str, Any]:
        """The request as values that JSON can hold; floats come back exactly."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        levels = [{"time": level.time, "signal": level.signal, "noise": level.noise} for level in self.levels]
        return record | {"levels": levels, "versions": dict(self.versions)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Request:
        """The request that `to_json` wrote.

        Args:
            record: what JSON gave back.

        Raises:
            KeyError: an entry is missing.
            TypeError: an entry has the wrong kind.
            ValueError: an entry has a value without meaning.
        """
        height, width = record["size"]
        corpus_height, corpus_width = record["corpus_size"]
        sizes = record["patch_sizes"]
        return cls(
            source=text_in(record["source"]),
            corpus_digest=text_in(record["corpus_digest"]),
            notes=tuple(text_in(note) for note in record["notes"]),
            sampler=text_in(record["sampler"]),
            machine=text_in(record["machine"]),
            label=None if record["label"] is None else text_in(record["label"]),
            schedule=text_in(record["schedule"]),
            levels=tuple(
                Level(time=float(level["time"]), signal=float(level["signal"]), noise=float(level["noise"]))
                for level in record["levels"]
            ),
            patch_sizes=None if sizes is None else tuple(int(size) for size in sizes),
            seeds=checked_seeds(record["seeds"]),
            size=(int(height), int(width)),
            corpus_size=(int(corpus_height), int(corpus_width)),
            versions={text_in(name): text_in(text) for name, text in record["versions"].items()},
            command=tuple(text_in(word) for word in record["command"]),
        )

    def maker(self, machine: Denoiser) -> Callable[[Sequence[int], Task], Trace]:
        """What makes the samples of a few seeds with the machine that the request describes.

        Raises:
            UsageError: it is another machine, or cannot make pictures of this size.
        """
        schedule = RecordedSchedule(self.schedule, self.levels)
        sampler = DDIM(machine, steps=self.steps, schedule=schedule)
        if machine.corpus.digest != self.corpus_digest or sampler.settings() != self.settings():
            raise UsageError(
                f"The machine does not fit the request: the request says {self.settings()} on the corpus "
                f"{self.corpus_digest[:12]}, the machine {sampler.settings()} on {machine.corpus.digest[:12]}."
            )
        sampler.checked_size(self.size)
        return lambda seeds, task: sampler.one_batch(seeds, self.size, task=task)

    def load(self, path: Path) -> Trace:
        """Reads a trace."""
        return Trace.load(path)

    def join(self, parts: Sequence[Trace]) -> Trace:
        """One trace of several."""
        return Trace.join(parts)

    def fits(self, samples: Trace, seeds: Sequence[int]) -> bool:
        """Whether a trace is one of this request, of these seeds."""
        return (
            samples.seeds == tuple(seeds)
            and samples.levels == self.levels
            and samples.settings == self.settings()
            and samples.corpus_digest == self.corpus_digest
            and samples.images.shape[1:3] == self.size
        )

    def sample_names(self) -> tuple[str, ...]:
        """The picture of each seed."""
        return tuple(map(picture_name, self.seeds))

    def overview_names(self) -> tuple[str, ...]:
        """The grid and the trajectory."""
        return ("grid.png", "trajectory.png")

    def sample_files(self, samples: Trace) -> dict[str, Output]:
        """The picture of each seed, as PNG."""
        return {picture_name(sample.seed): _png(sample.image) for sample in samples}

    def overviews(self, samples: Trace) -> dict[str, Output]:
        """The grid and the trajectory, as PNG."""
        return {
            "grid.png": _png(grid(samples.images[:MOST_IN_GRID])),
            "trajectory.png": _png(trajectory(samples.estimates, samples.levels)),
        }


def picture_name(seed: int) -> str:
    """Name of a seed's picture in a run folder: `000037.png`."""
    return f"{seed:06d}.png"


def _png(picture: NDArray[np.uint8]) -> Output:
    return Output("picture", png_bytes(picture), lambda content: _shows(content, picture))


def _shows(content: bytes, picture: NDArray[np.uint8]) -> bool:
    """Whether an image file holds exactly these pixels."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.array_equal(np.asarray(image).reshape(*image.size[::-1], -1), picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
