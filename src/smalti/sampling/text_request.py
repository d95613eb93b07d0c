"""What a run of texts is asked for, and the files it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import from_json
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine, text_machine_from
from smalti.progress import Task
from smalti.sampling.ddim import checked_seeds
from smalti.sampling.request import Output, RunRequest, text_in, versions_in_use
from smalti.sampling.text import TextDenoiser, random_start
from smalti.sampling.text_settings import MASKING, TextSettings
from smalti.sampling.text_trace import TextTrace
from smalti.sampling.tokens import MASK, TokenStep, Walk, together, unmask_walk, unnoise_walk

__all__ = ["ALL_TEXTS", "TextRequest", "recorded_text_machine", "text_name"]

ALL_TEXTS = "all.txt"
"""Name of the file that shows all texts."""

# Fields of a request that gather settings which a person gives one by one.
_GATHERED = ("machine", "sampler", "tokenizer", "template", "context")


@dataclass(frozen=True, kw_only=True)
class TextRequest(RunRequest):
    """Everything that decides a run of texts.

    Attributes:
        machine: settings of the machine, see `TextMachine.settings`.
        sampler: how the row is filled.
        tokenizer: what `smalti.corpus.tokens.from_json` makes the tokenizer from.
        template: the row that every sample begins with: tokens that are given, -1 where one is wanted. Shape (L,).
        context: how many tokens of the row, from its first, stand before the text and are no part of it: all given.

    Raises:
        UsageError: a value has no meaning, or two do not fit.
    """

    kind: ClassVar[str] = "texts"

    machine: Mapping[str, Any]
    sampler: TextSettings
    tokenizer: Mapping[str, Any]
    template: tuple[int, ...]
    context: int = 0

    def __post_init__(self) -> None:
        checked_seeds(self.seeds)
        if not self.template or MASK not in self.template:
            raise UsageError(
                "there is nothing to write: leave one token open at least (--length, or a gap in --infill)"
            )
        if not 0 <= self.context < len(self.template) or MASK in self.template[: self.context]:
            raise UsageError("what stands before a text is given, all of it, and something comes after it")
        if (self.machine["noise"] in MASKING) != (self.sampler.order is not None):
            raise UsageError("an order of decoding is for masks, and uniform and structured noise have none")

    @property
    def steps(self) -> int:
        """Units of work of one sample: its open tokens, or the steps under noise without masks."""
        return self.template.count(MASK) if self.sampler.order is not None else self.sampler.steps or 0

    @classmethod
    def of(
        cls,
        machine: TextMachine,
        template: NDArray[np.int32],
        *,
        context: int = 0,
        sampler: TextSettings | None = None,
        source: str,
        seeds: Iterable[int] = range(4),
        notes: Iterable[str] = (),
        command: Iterable[str] = (),
    ) -> TextRequest:
        """The request for texts of a machine.

        Args:
            machine: the machine.
            template: the row to begin with, -1 where a token is wanted. int32, shape (L,).

        Keyword Args:
            context: how many of its tokens stand before the text, and are no part of it.
            sampler: how it is filled; the default for the machine's noise unless given.
            source: what the corpus was opened from.
            seeds: the seeds, none twice.
            notes: what was done to the texts and settings on the way in.
            command: the command line, word by word.

        Returns:
            The request, with the versions in use.

        Raises:
            UsageError: a setting cannot be used.
        """
        return cls(
            source=source,
            corpus_digest=machine.corpus.digest,
            notes=tuple(notes),
            seeds=checked_seeds(seeds),
            versions=versions_in_use(),
            command=tuple(command),
            machine=machine.settings(),
            sampler=sampler or TextSettings.for_noise(machine.noise),
            tokenizer=machine.tokenizer.to_json(),
            template=tuple(int(token) for token in template),
            context=context,
        )

    def settings(self) -> dict[str, Any]:
        """What traces keep of the request."""
        return {
            "machine": dict(self.machine),
            "sampler": self.sampler.to_json(),
            "template": list(self.template),
            "context": self.context,
        }

    def changed_from(self, other: RunRequest) -> tuple[str, ...]:
        """See `RunRequest`; what is gathered in one field is named as it is asked for: `length`, `prompt`, `radius`."""
        changed = super().changed_from(other)
        if not isinstance(other, TextRequest):
            return changed
        ours, theirs = self._asked(), other._asked()
        inside = [name for name in ours if name in theirs and ours[name] != theirs[name]]
        if ("infill" in ours) != ("infill" in theirs):
            inside.append("infill")
        plain = [name for name in changed if name not in _GATHERED]
        # A field that differs is never left unsaid, whatever it is made of.
        return (*plain, *inside) or changed

    def _asked(self) -> dict[str, Any]:
        """What a person asked for, by name, of the fields that gather several settings."""
        tokenizer = from_json(self.tokenizer)
        row, gaps = self.template[self.context :], self.template.count(MASK)
        asked: dict[str, Any] = {"after": tokenizer.decode(self.template[: self.context])}
        if MASK in row[: len(row) - gaps]:
            asked["infill"] = row
        else:
            asked |= {"prompt": tokenizer.decode(row[: len(row) - gaps]), "length": gaps}
        sampler = self.sampler.to_json()
        return asked | dict(self.machine) | sampler.pop("truncation") | sampler

    def to_json(self) -> dict[str, Any]:
        """See `RunRequest`."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return record | {
            "versions": dict(self.versions),
            "machine": dict(self.machine),
            "sampler": self.sampler.to_json(),
            "tokenizer": dict(self.tokenizer),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TextRequest:
        """See `RunRequest`."""
        from_json(record["tokenizer"])
        return cls(
            source=text_in(record["source"]),
            corpus_digest=text_in(record["corpus_digest"]),
            notes=tuple(text_in(note) for note in record["notes"]),
            seeds=checked_seeds(record["seeds"]),
            versions={text_in(name): text_in(text) for name, text in record["versions"].items()},
            command=tuple(text_in(word) for word in record["command"]),
            machine=dict(record["machine"]),
            sampler=TextSettings.from_json(record["sampler"]),
            tokenizer=dict(record["tokenizer"]),
            template=tuple(int(token) for token in record["template"]),
            context=int(record["context"]),
        )

    def maker(self, machine: TextMachine) -> Callable[[Sequence[int], Task], TextTrace]:
        """See `RunRequest`."""
        found = (machine.corpus.digest, machine.settings(), machine.tokenizer.to_json())
        if found != (self.corpus_digest, dict(self.machine), dict(self.tokenizer)):
            raise UsageError(
                f"the machine does not fit the request: the request says {dict(self.machine)} on the corpus "
                f"{self.corpus_digest[:12]}, the machine {found[1]} on {found[0][:12]}"
            )
        template = np.array(self.template, np.int32)

        def make(seeds: Sequence[int], task: Task) -> TextTrace:
            masks = self.sampler.order is not None
            starts = [template if masks else random_start(template, machine.vocabulary, seed=s) for s in seeds]
            walks = [self._walk(machine, start, seed) for start, seed in zip(starts, seeds, strict=True)]
            steps: list[list[TokenStep]] = [[] for _ in seeds]
            for place, step in together(walks, TextDenoiser(machine).answer):
                steps[place].append(step)
                task.advance(len(step.sites) if masks else 1)
            return TextTrace.of(list(zip(seeds, starts, steps, strict=True)), machine=machine, settings=self.settings())

        return make

    def _walk(self, machine: TextMachine, start: NDArray[np.int32], seed: int) -> Walk:
        """The sampler of one text, from its row at the start."""
        row = start.astype(np.int64)
        if self.sampler.order is not None:
            return unmask_walk(machine.vocabulary, row, self.sampler, seed=seed)
        fixed = np.array(self.template) != MASK
        return unnoise_walk(machine.vocabulary, row, self.sampler, seed=seed, fixed=fixed, reverse=machine.reverse)

    def load(self, path: Path) -> TextTrace:
        """See `RunRequest`."""
        return TextTrace.load(path)

    def join(self, parts: Sequence[TextTrace]) -> TextTrace:
        """See `RunRequest`."""
        return TextTrace.join(parts)

    def fits(self, samples: TextTrace, seeds: Sequence[int]) -> bool:
        """See `RunRequest`."""
        return (
            samples.seeds == tuple(seeds)
            and dict(samples.settings) == self.settings()
            and dict(samples.tokenizer) == dict(self.tokenizer)
            and samples.corpus_digest == self.corpus_digest
            and samples.length == len(self.template)
        )

    def sample_names(self) -> tuple[str, ...]:
        """The text of each seed."""
        return tuple(map(text_name, self.seeds))

    def overview_names(self) -> tuple[str, ...]:
        """All texts in one file."""
        return (ALL_TEXTS,)

    def sample_files(self, samples: TextTrace) -> dict[str, Output]:
        """The text of each seed, as UTF-8 and as it is: no line end is added."""
        return {text_name(sample.seed): Output("text", sample.text.encode()) for sample in samples}

    def overviews(self, samples: TextTrace) -> dict[str, Output]:
        """All texts, each under a line with its seed."""
        whole = "\n".join(f"--- seed {sample.seed} ---\n{sample.text}\n" for sample in samples)
        return {ALL_TEXTS: Output("text", whole.encode())}


def text_name(seed: int) -> str:
    """Name of a seed's text in a run folder: `000037.txt`."""
    return f"{seed:06d}.txt"


def recorded_text_machine(request: TextRequest, corpus: TextCorpus) -> TextMachine:
    """The machine of a recorded run, on its documents.

    Raises:
        InputError: the record is not that of a machine that this Smalti has.
    """
    try:
        return text_machine_from(request.machine, corpus, from_json(request.tokenizer))
    except (UsageError, TypeError) as error:
        raise InputError(f"the machine of this run cannot be made again: {error}") from error
