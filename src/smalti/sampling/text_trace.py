"""What a run of texts leaves: the texts, and the order and the odds in which their tokens were drawn.

A receipt asks again what a token was drawn from, at the row of tokens as it was then. So a trace keeps the row at the
start, and every change of it as an event: step, site, token. All events of one step were drawn from one row, the one
before the step.

On disk a trace is one safetensors file, in which one metadata entry `smalti` holds as JSON what is no array (see
`smalti.sampling.trace`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import Tokenizer, from_json
from smalti.errors import UsageError
from smalti.machines.text import TextMachine
from smalti.sampling.samples import Samples, at_hand, listed
from smalti.sampling.text_ranges import character_ranges
from smalti.sampling.tokens import TokenStep

if TYPE_CHECKING:
    from smalti.receipts.text import TextReceipt

__all__ = ["TextEvents", "TextSample", "TextTrace"]

# Characters of a text that its repr shows.
_SHOWN = 40

_EVENTS = {
    "step": np.int32,
    "site": np.int32,
    "token": np.int32,
    "kept": np.float64,
    "probability": np.float64,
    "entropy": np.float64,
}


@dataclass(frozen=True, eq=False)
class TextEvents:
    """Tokens that were drawn, in their order: by step, then by site. Shape (E,) each.

    Attributes:
        step: step of the sampler, from 0. int32.
        site: place in the row. int32.
        token: what was drawn. int32.
        kept: share of tokens that noise had left at the time. float64.
        probability: of the token, in the distribution that it was drawn from. float64.
        entropy: of the machine's distribution at the site, in bits, before truncation. float64.
    """

    step: NDArray[np.int32]
    site: NDArray[np.int32]
    token: NDArray[np.int32]
    kept: NDArray[np.float64]
    probability: NDArray[np.float64]
    entropy: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def of(cls, steps: Sequence[TokenStep]) -> TextEvents:
        """The events of the steps of one sampler."""
        sizes = [len(step.sites) for step in steps]

        def joined(parts: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
            return np.concatenate([*parts, np.zeros(0)]).astype(kind)

        return cls(
            step=np.repeat(np.array([step.index for step in steps], np.int32), sizes),
            site=joined([step.sites for step in steps], np.int32),
            token=joined([step.drawn for step in steps], np.int32),
            kept=np.repeat(np.array([step.kept for step in steps], np.float64), sizes),
            probability=joined([step.probability for step in steps], np.float64),
            entropy=joined([step.entropy for step in steps], np.float64),
        )


@dataclass(frozen=True, eq=False)
class TextSample:
    """One seed's part of a trace; the arrays are views of the trace's.

    Attributes:
        seed: the seed.
        text: the finished text.
        tokens: its tokens. int32, shape (L - C,).
        context: how many tokens C of the row stand before the text, and are no part of it.
        start: the row that the sampler began with, -1 where masked. int32, shape (L,).
        events: the tokens that were drawn, with their places in the row.
        settings: what decided the sample; JSON values.
        tokenizer: how text was cut.
        corpus_digest: digest of the corpus.
        machine: the machine that made it, where it is at hand; not part of what is saved.
    """

    seed: int
    text: str
    tokens: NDArray[np.int32]
    context: int
    start: NDArray[np.int32]
    events: TextEvents
    settings: Mapping[str, Any]
    tokenizer: Tokenizer
    corpus_digest: str
    machine: TextMachine | None = None

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        return f"TextSample(seed {self.seed}, {len(self.tokens)} tokens, {text!r})"

    @property
    def receipt(self) -> TextReceipt:
        """Where the text came from.

        Raises:
            UsageError: the machine that made it is not at hand.
        """
        from smalti.receipts.text import TextReceipt

        return TextReceipt(self, at_hand(self.machine))

    @property
    def after(self) -> str:
        """What stands before the text, and is no part of it."""
        return self.tokenizer.decode(self.start[: self.context].tolist())

    def state(self, event: int) -> NDArray[np.int32]:
        """The row that an event was drawn from: as it was before the event's step.

        Args:
            event: place in `events`, from 0; negative counts from the end.

        Returns:
            The row, -1 where masked. int32, shape (L,).

        Raises:
            IndexError: there is no such event.
        """
        place = range(len(self.events))[event]
        before = int(np.searchsorted(self.events.step, self.events.step[place]))
        row = self.start.copy()
        # Later assignments win, and events are in their order: a site may change more than once.
        for site, token in zip(self.events.site[:before], self.events.token[:before], strict=True):
            row[site] = token
        return row

    @cached_property
    def pieces(self) -> tuple[tuple[int, int], ...]:
        """For each token the characters [begin, end) of `text` that it has a part in; see `character_ranges`."""
        return character_ranges(self.tokenizer, self.tokens)


@dataclass(frozen=True, eq=False)
class TextTrace(Samples[TextSample, TextMachine]):
    """The texts of a run and the way to them. `trace[k]` is the k-th sample, `trace.of_seed(seed)` the one of a seed.

    Attributes:
        seeds: the seeds. Shape (S,).
        start: the rows at the start, -1 where masked. int32, shape (S, L).
        tokens: the finished rows. int32, shape (S, L).
        offsets: events [offsets[k], offsets[k + 1]) are those of sample k. int64, shape (S + 1,).
        events: all events, sample after sample.
        texts: the finished texts, without what stands before them. Shape (S,).
        settings: what decided the samples: those of the machine under "machine", of the sampler, the row they begin
            with, and under "context" how many of its tokens stand before the texts; JSON values.
        tokenizer: what `smalti.corpus.tokens.from_json` makes the tokenizer from.
        corpus_digest: digest of the corpus, hexadecimal.
        machine: the machine that made it, where it is at hand: receipts need it. Not part of what is saved.

    Raises:
        UsageError: the arrays do not belong together.
    """

    form: ClassVar[str] = "smalti.text-trace/1"

    start: NDArray[np.int32]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    events: TextEvents
    texts: tuple[str, ...]
    tokenizer: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"TextTrace({len(self)} texts of {self.length - self.context} tokens, seeds {listed(self.seeds)})"

    def __post_init__(self) -> None:
        count, total = len(self.seeds), len(self.events)
        good = (
            self.tokens.dtype == self.start.dtype == np.int32
            and self.tokens.ndim == 2
            and self.tokens.shape == self.start.shape
            and len(self.tokens) == len(self.texts) == count
            and self.offsets.shape == (count + 1,)
            and (np.diff(self.offsets) >= 0).all()
            and (self.offsets[0], self.offsets[-1]) == (0, total)
            and 0 <= self.context <= self.length
            and all(
                getattr(self.events, name).dtype == kind and getattr(self.events, name).shape == (total,)
                for name, kind in _EVENTS.items()
            )
        )
        if not good:
            raise UsageError(
                f"the arrays of a trace of {count} texts do not belong together: rows of shape {self.tokens.shape}, "
                f"{len(self.texts)} texts and {total} events"
            )

    @classmethod
    def of(
        cls,
        walks: Sequence[tuple[int, NDArray[np.int32], Sequence[TokenStep]]],
        *,
        machine: TextMachine,
        settings: Mapping[str, Any],
    ) -> TextTrace:
        """The trace of what samplers did.

        Args:
            walks: for each sample the seed, the row at the start, and the steps; rows are of one length.

        Keyword Args:
            machine: the machine that was asked.
            settings: what decided the samples; see the attribute.
        """
        events = [TextEvents.of(steps) for _, _, steps in walks]
        finished = [steps[-1].following if steps else start for _, start, steps in walks]
        return cls(
            seeds=tuple(seed for seed, _, _ in walks),
            start=np.stack([start for _, start, _ in walks]).astype(np.int32),
            tokens=np.stack(finished).astype(np.int32),
            offsets=_offsets([len(one) for one in events]),
            events=_joined(events),
            texts=tuple(machine.tokenizer.decode(row[settings["context"] :].tolist()) for row in finished),
            settings=dict(settings),
            tokenizer=machine.tokenizer.to_json(),
            corpus_digest=machine.corpus.digest,
            machine=machine,
        )

    @property
    def length(self) -> int:
        """Number of tokens L of each row."""
        return self.tokens.shape[1]

    @property
    def context(self) -> int:
        """How many tokens of each row stand before the text."""
        return self.settings["context"]

    def _shape(self) -> tuple[Any, ...]:
        return dict(self.tokenizer), self.length

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return from_json(self.tokenizer) if self.machine is None else self.machine.tokenizer

    def _events_of(self, place: int) -> TextEvents:
        there = slice(int(self.offsets[place]), int(self.offsets[place + 1]))
        return TextEvents(**{name: getattr(self.events, name)[there] for name in _EVENTS})

    def _sample(self, place: int) -> TextSample:
        return TextSample(
            seed=self.seeds[place],
            text=self.texts[place],
            tokens=self.tokens[place, self.context :],
            context=self.context,
            start=self.start[place],
            events=self._events_of(place),
            settings=self.settings,
            tokenizer=self._tokenizer,
            corpus_digest=self.corpus_digest,
            machine=self.machine,
        )

    def _part(self, place: int) -> dict[str, Any]:
        one = slice(place, place + 1)
        events = self._events_of(place)
        return {
            "start": self.start[one],
            "tokens": self.tokens[one],
            "offsets": _offsets([len(events)]),
            "events": events,
            "texts": self.texts[one],
        }

    @classmethod
    def _joined(cls, parts: Sequence[TextTrace]) -> dict[str, Any]:
        return {
            "start": np.concatenate([part.start for part in parts]),
            "tokens": np.concatenate([part.tokens for part in parts]),
            "offsets": _offsets([int(size) for part in parts for size in np.diff(part.offsets)]),
            "events": _joined([part.events for part in parts]),
            "texts": tuple(text for part in parts for text in part.texts),
        }

    def _compared(self, machine: TextMachine) -> dict[str, tuple[Any, Any]]:
        found, wanted = machine.settings(), self.settings.get("machine", {})
        return {
            **{name: (found.get(name), wanted.get(name)) for name in found | wanted},
            "tokenizer": (machine.tokenizer.to_json(), dict(self.tokenizer)),
        }

    def _stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        encoded = [text.encode() for text in self.texts]
        arrays = {
            "start": self.start,
            "tokens": self.tokens,
            "offsets": self.offsets,
            "text_bytes": np.frombuffer(b"".join(encoded), np.uint8),
            "text_offsets": _offsets([len(one) for one in encoded]),
            **{name: getattr(self.events, name) for name in _EVENTS},
        }
        return arrays, {"tokenizer": dict(self.tokenizer)}

    @classmethod
    def _read(cls, array: Callable[[str], Any], record: Mapping[str, Any]) -> dict[str, Any]:
        content = array("text_bytes").tobytes()
        ends = array("text_offsets").tolist()
        return {
            "start": array("start"),
            "tokens": array("tokens"),
            "offsets": array("offsets"),
            "events": TextEvents(**{name: array(name) for name in _EVENTS}),
            "texts": tuple(content[a:b].decode() for a, b in itertools.pairwise(ends)),
            "tokenizer": record["tokenizer"],
        }


def _offsets(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _joined(events: Sequence[TextEvents]) -> TextEvents:
    return TextEvents(**{name: np.concatenate([getattr(one, name) for one in events]) for name in _EVENTS})
