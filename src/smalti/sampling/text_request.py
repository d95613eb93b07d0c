"""What a run of texts is asked for, and the files it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import from_json
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine, text_machine_from
from smalti.noise.discrete import KEPT
from smalti.progress import Task
from smalti.sampling.ddim import checked_seeds
from smalti.sampling.request import Output, RunRequest, text_in, versions_in_use
from smalti.sampling.text import TextDenoiser, random_start
from smalti.sampling.text_trace import TextTrace
from smalti.sampling.tokens import MASK, ORDERS, Order, TokenStep, Walk, together, unmask_walk, unnoise_walk
from smalti.sampling.truncation import Truncation

__all__ = ["ALL_TEXTS", "TextRequest", "TextSettings", "recorded_text_machine", "text_name"]

ALL_TEXTS = "all.txt"
"""Name of the file that shows all texts."""

STEPS = 50
"""Steps that uniform noise is taken out in unless told."""


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How a row of tokens is filled; see `smalti.sampling.tokens` for what the words mean.

    Attributes:
        order: which places are filled when; None under uniform noise, where all places may change in every step.
        steps: steps, in each block; None: as many as there are places, or as the order needs.
        schedule: of the share of tokens kept.
        block: length of the blocks; None: one for all.
        gamma, threshold: for the orders entropy-bounded and threshold; None for other orders.
        truncation: temperature and truncation.

    Raises:
        UsageError: a setting has no meaning, or none for this order.
    """

    order: Order | None = "left-to-right"
    steps: int | None = None
    schedule: str = "linear"
    block: int | None = None
    gamma: float | None = None
    threshold: float | None = None
    truncation: Truncation = field(default_factory=Truncation)

    def __post_init__(self) -> None:
        if self.order is not None and self.order not in ORDERS:
            raise UsageError(f"there is no order of decoding called {self.order!r}: choose one of {', '.join(ORDERS)}")
        if self.schedule not in KEPT:
            raise UsageError(
                f"there is no schedule of noise on tokens called {self.schedule!r}: choose one of {', '.join(KEPT)}"
            )
        for name, owner in (("gamma", "entropy-bounded"), ("threshold", "threshold")):
            if (getattr(self, name) is not None) != (self.order == owner):
                raise UsageError(f"{name} belongs to the order {owner}: give it there and nowhere else")
        if self.steps is not None and self.order in ("entropy-bounded", "threshold"):
            raise UsageError(f"the order {self.order} takes as many steps as it needs: leave the number of steps out")
        if self.order is None and (self.steps is None or self.block is not None):
            raise UsageError("uniform noise is taken out of the whole text in a number of steps, without blocks")

    @classmethod
    def for_noise(cls, noise: str, **given: Any) -> TextSettings:
        """The settings for a machine's noise, with what was not `given`, or is None, at its default.

        Raises:
            UsageError: a setting has no meaning, or none under this noise.
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        if noise == "uniform":
            for name in ("order", "block", "gamma", "threshold"):
                if name in chosen:
                    raise UsageError(f"under uniform noise every token may change in every step: leave out {name}")
            return cls(**{"order": None, "steps": STEPS, **chosen})
        order = chosen.get("order", "left-to-right")
        own = {"entropy-bounded": {"gamma": 0.1}, "threshold": {"threshold": 0.9}}.get(order, {})
        return cls(**{**own, **chosen})

    def walk(self, vocabulary: int, start: NDArray[np.int32], fixed: NDArray[np.bool_], seed: int) -> Walk:
        """The sampler of one text, from its row at the start; `fixed`: which tokens stay."""
        row = start.astype(np.int64)
        common: dict[str, Any] = {"seed": seed, "schedule": self.schedule, "truncation": self.truncation}
        if self.order is None:
            assert self.steps is not None
            return unnoise_walk(vocabulary, row, steps=self.steps, fixed=fixed, **common)
        own = {name: getattr(self, name) for name in ("gamma", "threshold") if getattr(self, name) is not None}
        return unmask_walk(vocabulary, row, order=self.order, steps=self.steps, block=self.block, **common, **own)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TextSettings:
        """The settings that `to_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        if set(record) != {f.name for f in fields(cls)}:
            raise ValueError("settings")
        return cls(**{**record, "truncation": Truncation(**record["truncation"])})


@dataclass(frozen=True, kw_only=True)
class TextRequest(RunRequest):
    """Everything that decides a run of texts.

    Attributes:
        machine: settings of the machine, see `TextMachine.settings`.
        sampler: how the row is filled.
        tokenizer: what `smalti.corpus.tokens.from_json` makes the tokenizer from.
        template: the row that every sample begins with: tokens that are given, -1 where one is wanted. Shape (L,).

    Raises:
        UsageError: a value has no meaning, or two do not fit.
    """

    kind: ClassVar[str] = "texts"

    machine: Mapping[str, Any]
    sampler: TextSettings
    tokenizer: Mapping[str, Any]
    template: tuple[int, ...]

    def __post_init__(self) -> None:
        checked_seeds(self.seeds)
        if not self.template or MASK not in self.template:
            raise UsageError(
                "there is nothing to write: leave one token open at least (--length, or a gap in --infill)"
            )
        if (self.machine["noise"] == "uniform") != (self.sampler.order is None):
            raise UsageError("an order of decoding is for masks, and uniform noise has none")
        if self.machine["noise"] == "structured":
            raise UsageError(
                "no texts can be made with structured noise, whose steps back are not known: choose mask, hybrid or "
                "uniform"
            )

    @property
    def steps(self) -> int:
        """Units of work of one sample: its open tokens, or the steps under uniform noise."""
        return self.template.count(MASK) if self.sampler.order is not None else self.sampler.steps or 0

    @classmethod
    def of(
        cls,
        machine: TextMachine,
        template: NDArray[np.int32],
        *,
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
        )

    def settings(self) -> dict[str, Any]:
        """What traces keep of the request."""
        return {"machine": dict(self.machine), "sampler": self.sampler.to_json(), "template": list(self.template)}

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
            uniform = self.sampler.order is None
            starts = [random_start(template, machine.vocabulary, seed=s) if uniform else template for s in seeds]
            walks = [
                self.sampler.walk(machine.vocabulary, start, template != MASK, seed)
                for start, seed in zip(starts, seeds, strict=True)
            ]
            steps: list[list[TokenStep]] = [[] for _ in seeds]
            for place, step in together(walks, TextDenoiser(machine).answer):
                steps[place].append(step)
                task.advance(1 if uniform else len(step.sites))
            return TextTrace.of(list(zip(seeds, starts, steps, strict=True)), machine=machine, settings=self.settings())

        return make

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
