"""What traces of pictures and of texts have in common: samples in the order of their seeds, of one request, made by
one machine, and a file that holds them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from numpy.typing import NDArray

from smalti.corpus.items import Items
from smalti.errors import UsageError
from smalti.sampling.files import write_file
from smalti.sampling.trace_file import read_trace_file, trace_bytes

__all__ = ["Samples", "at_hand", "listed"]

# Characters of two differing settings that a sentence shows; an alphabet, or a table of noise, has more.
_SHOWN = 300


class _OnCorpus(Protocol):
    @property
    def corpus(self) -> Items: ...


AnySample = TypeVar("AnySample")
AnyMachine = TypeVar("AnyMachine", bound=_OnCorpus)


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples(ABC, Generic[AnySample, AnyMachine]):
    """The samples of some seeds, and what a receipt needs of the way to them. `samples[k]` is the k-th one,
    `samples.of_seed(seed)` the one of a seed.

    Attributes:
        seeds: the seeds. Shape (S,).
        settings: what decided the samples; JSON values.
        corpus_digest: digest of the corpus, hexadecimal.
        machine: the machine that made them, where it is at hand: receipts need it. Not part of what is saved.
    """

    form: ClassVar[str]

    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    corpus_digest: str
    machine: AnyMachine | None = None

    @abstractmethod
    def _sample(self, place: int) -> AnySample:
        """The sample at a place from 0, as views."""

    @abstractmethod
    def _part(self, place: int) -> Mapping[str, Any]:
        """The fields of `only(place)` that are not this class's."""

    @classmethod
    @abstractmethod
    def _joined(cls, parts: Sequence[Any]) -> Mapping[str, Any]:
        """The fields of `join(parts)` that are not this class's."""

    @abstractmethod
    def _compared(self, machine: AnyMachine) -> Mapping[str, tuple[Any, Any]]:
        """Settings that tell machines on a corpus apart: of this one, and of the one that made the samples."""

    @abstractmethod
    def _shape(self) -> tuple[Any, ...]:
        """What is the same in all traces of one request beside the settings and the corpus."""

    @abstractmethod
    def _stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The arrays of the file, and the entries of its record that are not this class's."""

    @classmethod
    @abstractmethod
    def _read(cls, array: Callable[[str], Any], record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields that are not this class's, from what `_stored` gave."""

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> AnySample:
        """The sample at a place, as views.

        Args:
            index: place, from 0; negative counts from the end.

        Raises:
            IndexError: there is no such place.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"there is no sample {index}: the trace has {len(self)}, from 0; trace.of_seed(seed) takes a seed"
            )
        return self._sample(index % len(self))

    def __iter__(self) -> Iterator[AnySample]:
        return map(self._sample, range(len(self)))

    def of_seed(self, seed: int) -> AnySample:
        """The sample of a seed, as views.

        Args:
            seed: one of `seeds`.

        Raises:
            UsageError: the trace has no such seed.
        """
        if seed not in self.seeds:
            raise UsageError(f"the trace has no sample of seed {seed}; it has {listed(self.seeds)}")
        return self._sample(self.seeds.index(seed))

    def only(self, place: int) -> Self:
        """A trace of one sample.

        Args:
            place: place of the sample, from 0.
        """
        return replace(self, seeds=self.seeds[place : place + 1], **self._part(place))

    def made_by(self, machine: AnyMachine) -> Self:
        """The same trace with the machine that made it, so that its samples have receipts.

        Args:
            machine: a machine on the corpus of the trace.

        Raises:
            UsageError: its settings or its corpus are not those of the trace.
        """
        corpora = (machine.corpus.digest, self.corpus_digest)
        for name, (found, wanted) in {"corpus": corpora, **self._compared(machine)}.items():
            if found != wanted:
                values = f"{found!r}, and that of the trace is {wanted!r}"
                raise UsageError(
                    "the machine did not make this trace: "
                    f"its {name} is {values if len(values) <= _SHOWN else 'another than that of the trace'}"
                )
        return replace(self, machine=machine)

    @classmethod
    def join(cls, traces: Sequence[Self]) -> Self:
        """One trace of the samples of several, in order.

        Args:
            traces: at least one, all of one request.

        Raises:
            UsageError: there is none, or they are not of one request.
        """
        requests = [(trace._shape(), dict(trace.settings), trace.corpus_digest) for trace in traces]
        if not requests or any(request != requests[0] for request in requests):
            raise UsageError("traces can be joined only if there is one at least and all have the same settings")
        return replace(traces[0], seeds=tuple(seed for trace in traces for seed in trace.seeds), **cls._joined(traces))

    def to_bytes(self) -> bytes:
        """The trace as the content of a safetensors file; equal traces give equal bytes. Tier: *bitwise*."""
        arrays, own = self._stored()
        record = {
            "format": self.form,
            "seeds": list(self.seeds),
            "settings": dict(self.settings),
            "corpus_digest": self.corpus_digest,
        }
        return trace_bytes(arrays, record | own)

    def save(self, path: str | Path) -> None:
        """Writes the trace to a file, all of it or nothing.

        Args:
            path: the file, by custom `trace.safetensors`.

        Raises:
            InputError: the file cannot be written.
        """
        write_file(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a trace that `save` wrote.

        Args:
            path: the file.

        Raises:
            InputError: the file cannot be read, or is not a complete trace.
        """
        return read_trace_file(
            path,
            cls.form,
            lambda array, record: cls(
                **cls._read(array, record),
                seeds=tuple(record["seeds"]),
                settings=dict(record["settings"]),
                corpus_digest=record["corpus_digest"],
            ),
        )


def at_hand(machine: AnyMachine | None) -> AnyMachine:
    """The machine that made a sample, for a receipt.

    Raises:
        UsageError: it is not at hand.
    """
    if machine is None:
        raise UsageError(
            "a receipt takes the machine that made the sample, and this trace came without it: open the run with "
            "open_run(folder), or set it with trace.made_by(machine)"
        )
    return machine


def listed(seeds: Sequence[int]) -> str:
    """The first seeds, and how many more there are."""
    shown = ", ".join(str(seed) for seed in seeds[:8])
    return shown if len(seeds) <= 8 else f"{shown} and {len(seeds) - 8} more"
