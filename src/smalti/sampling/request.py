"""What a run is asked for, whatever it makes: the part that run folders and their verification rest on.

A `RunRequest` holds every setting resolved, and knows how to make samples, what files they become, and how to tell
the same sample in other bytes. `smalti.sampling.image_request` has the one for pictures.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from smalti.progress import Task
from smalti.sampling.samples import Samples

__all__ = ["Output", "RunRequest", "text_in", "versions_in_use"]


@dataclass(frozen=True)
class Output:
    """A file that samples become.

    Attributes:
        what: what it is called in a sentence, such as "picture".
        content: its bytes.
        shown_by: whether other bytes hold the same, such as the same pixels compressed in another way.
    """

    what: str
    content: bytes
    shown_by: Callable[[bytes], bool] = lambda _: False


@dataclass(frozen=True)
class RunRequest(ABC):
    """Everything that decides a run, resolved: nothing is left to a default or to the C library.

    Attributes:
        source: what the corpus was opened from, as a person wrote it.
        corpus_digest: digest of the machine's corpus, hexadecimal.
        notes: what was done to the sources and settings on the way in, one sentence each.
        seeds: the seeds, none twice. Shape (S,).
        versions: version of Smalti and of what it stands on.
        command: the command line, word by word; empty if the run was started from Python.
    """

    kind: ClassVar[str]

    source: str
    corpus_digest: str
    notes: tuple[str, ...]
    seeds: tuple[int, ...]
    versions: Mapping[str, str]
    command: tuple[str, ...]

    @property
    @abstractmethod
    def steps(self) -> int:
        """Units of work of one sample, for progress."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The request as values that JSON can hold; floats come back exactly."""

    @classmethod
    @abstractmethod
    def from_json(cls, record: Mapping[str, Any]) -> RunRequest:
        """The request that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: an entry is missing, has the wrong kind, or a value without meaning.
        """

    @abstractmethod
    def maker(self, machine: Any) -> Callable[[Sequence[int], Task], Samples[Any, Any]]:
        """What makes the samples of a few seeds with the machine that the request describes.

        Raises:
            UsageError: it is another machine.
        """

    @abstractmethod
    def load(self, path: Path) -> Samples[Any, Any]:
        """Reads what `Samples.save` wrote.

        Raises:
            InputError: the file cannot be read, or is not complete.
        """

    @abstractmethod
    def join(self, parts: Sequence[Any]) -> Samples[Any, Any]:
        """The samples of several parts, in order."""

    @abstractmethod
    def fits(self, samples: Any, seeds: Sequence[int]) -> bool:
        """Whether these are samples of this request, of these seeds."""

    @abstractmethod
    def sample_names(self) -> tuple[str, ...]:
        """Names of the files of single samples, in the order of the seeds."""

    @abstractmethod
    def overview_names(self) -> tuple[str, ...]:
        """Names of the files that show several samples."""

    @abstractmethod
    def sample_files(self, samples: Any) -> dict[str, Output]:
        """A file for each sample, by name."""

    @abstractmethod
    def overviews(self, samples: Any) -> dict[str, Output]:
        """The files that show several samples, by name."""

    def changed_from(self, other: RunRequest) -> tuple[str, ...]:
        """Names of the settings in which two requests ask for different samples.

        How the corpus was named, notes, versions and the command line do not count: a corpus is its digest.

        Args:
            other: the request to compare with.

        Returns:
            The names, in the order of the fields; empty if both ask for the same.
        """
        if self.kind != other.kind:
            return ("kind",)
        told_apart = (
            field.name for field in fields(self) if field.name not in ("source", "notes", "versions", "command")
        )
        return tuple(name for name in told_apart if getattr(self, name) != getattr(other, name))


def versions_in_use() -> dict[str, str]:
    """Version of Smalti, of the libraries that touch a run's bytes, and of Python."""
    found = {}
    for name in ("smalti", "numpy", "pillow", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"python": platform.python_version()}


def text_in(value: Any) -> str:
    """A value of a record that has to be text.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, str):
        raise TypeError(f"not text: {value!r}")
    return value
