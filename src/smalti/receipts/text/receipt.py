"""The receipt of a text: which documents and places each of its tokens owes its weight to, exactly.

The words are those of pictures (`smalti.receipts.receipt`). The **weight** of a document at a token is its share of the
chance that the machine gave to the token at the step at which it was drawn; its **credit** is that summed over the
text, in whole units. A trace tells every step's state, so each token's distribution is made again from the corpus, and
refused where it is not the one of the trace.

Some of a text has no document, and is told apart: tokens that were **given** (a prompt), tokens of the **noise** that a
run under uniform noise began with and never changed, what such a run drew from its noise, and the share of the
**prior**, which back-off leaves to no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smalti.engine.text_posterior import TextSources
from smalti.engine.text_query import windows_of
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine, TextReport
from smalti.noise.discrete import kept
from smalti.receipts.composition import UNITS
from smalti.receipts.receipt import Credit, grouped, largest
from smalti.receipts.text.places import characters_of
from smalti.receipts.text.units import divided
from smalti.receipts.text.verbatim import LENGTHS, TextMatch, Verbatim
from smalti.sampling.text_settings import MASKING
from smalti.sampling.text_trace import TextSample
from smalti.sampling.truncation import Truncation, entropies

__all__ = ["NO_DOCUMENT", "Origin", "TextComposition", "TextReceipt"]

Origin = Literal["drawn", "given", "noise"]
"""Where a token came from: drawn at a step, given beforehand, or left of the noise a run began with."""

NO_DOCUMENT = ("given", "noise", "prior")
"""What has units without a document."""

Tick = Callable[[float], None]

# The credits of a text are whole numbers of 64 bits.
_MOST_TOKENS = 2**63 // UNITS - 1
# Counts by symbol and rung of a ladder that are held at a time. More of them fill memory faster than a processor does.
_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class TextComposition:
    """The exact weights of a text, token by token. Tier: *bitwise*.

    L tokens, D documents, M documents, K sources and T symbols listed for each token; -1 and 0 where there are fewer,
    and at tokens that were not drawn.

    Attributes:
        origin: of each token.
        step: the step at which it was drawn, -1 if it was not. int64, shape (L,).
        probability: its chance in the distribution it was drawn from. float64, shape (L,).
        posterior: its chance in the machine's posterior, before temperature and truncation. float64, shape (L,).
        entropy: of that posterior, in bits. float64, shape (L,).
        effective_sources: exp(entropy of the weights of all places); for machines that mix parts a lower bound.
            float64, shape (L,).
        symbol, symbol_probability: the likeliest symbols of the posterior, best first. Shape (L, T).
        units: of each document, summed over the text, in units of 2^-40 of a token. int64, shape (D,).
        no_document: units of `NO_DOCUMENT` at each token. int64, shape (L, 3).
        document, document_units: the documents with the largest weight at each token, best first. Shape (L, M).
        rest_units: of documents that are not listed. int64, shape (L,).
        source, source_begin, source_end: document and characters [begin, end) of the best places. Shape (L, K).
        source_share: their share of the token. float64, shape (L, K).
        left_out: the share of all other places. float64, shape (L,).
    """

    origin: tuple[Origin, ...]
    step: NDArray[np.int64]
    probability: NDArray[np.float64]
    posterior: NDArray[np.float64]
    entropy: NDArray[np.float64]
    effective_sources: NDArray[np.float64]
    symbol: NDArray[np.int64]
    symbol_probability: NDArray[np.float64]
    units: NDArray[np.int64]
    no_document: NDArray[np.int64]
    document: NDArray[np.int64]
    document_units: NDArray[np.int64]
    rest_units: NDArray[np.int64]
    source: NDArray[np.int64]
    source_begin: NDArray[np.int64]
    source_end: NDArray[np.int64]
    source_share: NDArray[np.float64]
    left_out: NDArray[np.float64]

    @property
    def top_share(self) -> NDArray[np.float64]:
        """Share of the document that each token owes most to, (L,)."""
        return self.document_units[:, 0] / UNITS


class TextReceipt:
    """Where a text came from. Tier of all of it: *bitwise*.

    Attributes:
        sample: the text, and the way to it.
        machine: the machine that made it.
        whole_units: the units of all documents and of none together, L 2^40.
    """

    def __init__(self, sample: TextSample, machine: TextMachine) -> None:
        """Takes the sample and the machine that made it; nothing is computed yet.

        Raises:
            InputError: the machine has another corpus, or the text is too long (8 million tokens).
        """
        if machine.corpus.digest != sample.corpus_digest:
            raise InputError(
                f"the text of seed {sample.seed} was made from the corpus {sample.corpus_digest[:12]}, and this "
                f"machine has {machine.corpus.digest[:12]}: give the machine that made it"
            )
        if len(sample.tokens) > _MOST_TOKENS:
            raise InputError(
                f"the text of seed {sample.seed} has {len(sample.tokens):,} tokens, and receipts count exactly up to "
                f"{_MOST_TOKENS:,}: make shorter texts"
            )
        self.sample = sample
        self.machine = machine
        self.whole_units = len(sample.tokens) * UNITS
        self._composition: TextComposition | None = None
        self._units: TextComposition | None = None
        self._ranges: dict[int, NDArray[np.int64]] = {}

    def at(self, *, top: int = 8, tick: Tick | None = None) -> TextComposition:
        """The exact weights of every token at the step at which it was drawn; kept once computed.

        Three walks over the corpus: the distribution, the weights of the documents, and the best places.

        Keyword Args:
            top: how many documents, sources and symbols to list for each token.
            tick: called with the share of the work done since the last call.

        Raises:
            InputError: the trace is not one that this machine makes.
            UsageError: `top` is below 1.
        """
        if top < 1:
            raise UsageError(f"list at least one source of each token, not {top}")
        known = self._composition
        if known is None or known.document.shape[1] != top:
            known = self._composed(top, tick, places=True)
            self._composition = known
        elif tick is not None:
            tick(1.0)
        return known

    def credits(self, *, tick: Tick | None = None) -> NDArray[np.int64]:
        """The units of every document; with those of `no_document` they sum to `whole_units`.

        Keyword Args:
            tick: called with the share of the work done since the last call.

        Returns:
            int64, shape (D,), read-only.

        Raises:
            InputError: the trace is not one that this machine makes.
        """
        return self._any(tick).units

    def no_document(self) -> dict[str, int]:
        """The units that no document has, by what has them instead: `NO_DOCUMENT`.

        Raises:
            InputError: the trace is not one that this machine makes.
        """
        return dict(zip(NO_DOCUMENT, self._any(None).no_document.sum(axis=0).tolist(), strict=True))

    def items(self, top: int = 10) -> tuple[Credit, ...]:
        """The documents with the largest credit, largest first, of equal ones the first; at most `top`, and none
        without credit.

        Raises:
            InputError: the trace is not one that this machine makes.
        """
        units, corpus = self.credits(), self.machine.corpus
        return tuple(
            Credit(d, corpus.ids[d], corpus.names[d], None, int(units[d]), int(units[d]) / self.whole_units)
            for d in largest(units)[: max(top, 0)].tolist()
        )

    def by(self, column: str) -> dict[str | None, int]:
        """The units of groups of documents, largest first, of equal ones by name.

        Args:
            column: of the metadata. Documents without an entry are the group None; what no document has is in none.

        Raises:
            InputError: the trace is not one that this machine makes.
            UsageError: there is no such column.
        """
        values = self.machine.corpus.values(column)
        return grouped(values, self.credits())

    def match(self, verbatim: Verbatim | None = None, *, at_least: int = LENGTHS[0]) -> TextMatch:
        """What of the text stands in the corpus, character for character; it says nothing of weight.

        Args:
            verbatim: the machine's corpus, where several texts are looked at; made anew unless given.

        Keyword Args:
            at_least: the shortest span that is listed, in characters.
        """
        return (Verbatim(self.machine.corpus) if verbatim is None else verbatim).of(self.sample.text, at_least=at_least)

    def _any(self, tick: Tick | None) -> TextComposition:
        """A composition whose units are known; places and effective sources, which cost more, may be missing."""
        if self._composition is not None:
            self._units = self._composition
        if self._units is None:
            self._units = self._composed(1, tick, places=False)
        elif tick is not None:
            tick(1.0)
        return self._units

    def _composed(self, top: int, tick: Tick | None, *, places: bool) -> TextComposition:
        sample, machine = self.sample, self.machine
        count, documents = len(sample.tokens), len(machine.corpus)
        symbols = min(top, machine.vocabulary)
        last = self._last_events()
        out = TextComposition(
            origin=tuple(
                "drawn" if event >= 0 else "given" if given else "noise"
                for event, given in zip(last.tolist(), self._given.tolist(), strict=True)
            ),
            step=np.full(count, -1, np.int64),
            probability=np.zeros(count),
            posterior=np.zeros(count),
            entropy=np.zeros(count),
            effective_sources=np.zeros(count),
            symbol=np.full((count, symbols), -1, np.int64),
            symbol_probability=np.zeros((count, symbols)),
            units=np.zeros(documents, np.int64),
            no_document=np.zeros((count, len(NO_DOCUMENT)), np.int64),
            document=np.full((count, top), -1, np.int64),
            document_units=np.zeros((count, top), np.int64),
            rest_units=np.zeros(count, np.int64),
            source=np.full((count, top), -1, np.int64),
            source_begin=np.full((count, top), -1, np.int64),
            source_end=np.full((count, top), -1, np.int64),
            source_share=np.zeros((count, top)),
            left_out=np.zeros(count),
        )
        for site, origin in enumerate(out.origin):
            if origin != "drawn":
                out.no_document[site, NO_DOCUMENT.index(origin)] = UNITS
        drawn = last[last >= 0]
        for batch, keep, visible in self._batches(drawn):
            self._compose(out, batch, keep, visible, top, places)
            if tick is not None:
                tick(len(batch) / len(drawn))
        if tick is not None and not len(drawn):
            tick(1.0)
        out.units.setflags(write=False)
        return out

    def _compose(
        self,
        out: TextComposition,
        events: NDArray[np.int64],
        keep: float | None,
        visible: float,
        top: int,
        places: bool,
    ) -> None:
        """Fills in the tokens of some events."""
        machine, drawn = self.machine, self.sample.events
        reach = machine.reach
        windows = self._windows[events]
        # Windows side by side: no site sees beyond its own, which reaches as far as the machine looks.
        state = windows.ravel()
        sites = np.arange(len(events)) * windows.shape[1] + reach
        token = drawn.token[events].astype(np.int32)
        asked: tuple[TextReport, ...] = ("effective_sources", "sources") if places else ()
        found = machine(state, sites, keep=keep, visible=visible, report=asked, top=top, of=token)
        given = found.probabilities
        entropy = entropies(given / np.cumsum(given, axis=1)[:, -1:])
        every = np.arange(len(events))
        law, of_sources, of_noise = self.drawn_from(given, windows[:, reach], events)
        chance = law[every, token]
        if not np.array_equal(entropy, drawn.entropy[events]) or not np.array_equal(chance, drawn.probability[events]):
            raise InputError(
                f"a token of seed {self.sample.seed} comes out otherwise than the trace says: it was not made by this "
                "machine, or was altered; make the run again from the command in its run.json"
            )
        posterior = given[every, token]
        at = drawn.site[events] - self.sample.context
        out.step[at] = drawn.step[events]
        out.probability[at] = chance
        out.posterior[at] = posterior
        out.entropy[at] = entropy
        best = np.argsort(-given, axis=1, kind="stable")[:, : out.symbol.shape[1]]
        out.symbol[at], out.symbol_probability[at] = best, np.take_along_axis(given, best, axis=1)
        # What the token has of places, of the prior, and of the noise; all three sum to 1.
        safe = np.where(posterior > 0, posterior, 1.0)
        prior = of_sources * found.prior / given.shape[1] / safe
        for index, weights in machine.document_weights(state, sites, token, keep=keep, visible=visible):
            parts = np.concatenate([of_sources[index] / safe[index] * weights, [of_noise[index], prior[index]]])
            self._divide(out, int(at[index]), divided(parts))
        if found.sources is not None and found.effective_sources is not None:
            out.effective_sources[at] = found.effective_sources
            self._place(out, at, found.sources, of_sources / safe)

    def _place(
        self, out: TextComposition, at: NDArray[np.int32], sources: TextSources, scale: NDArray[np.float64]
    ) -> None:
        """Enters the best places of some tokens; `scale` makes shares of a token of weights in a posterior, (E,)."""
        there = sources.weight > 0
        listed = sources.document.shape[1]
        out.source[at, :listed] = np.where(there, sources.document, -1)
        out.source_share[at, :listed] = np.where(there, scale[:, None] * sources.weight, 0.0)
        out.left_out[at] = scale * sources.left_out
        for index, rank in zip(*np.nonzero(there), strict=True):
            begin, end = self.characters(int(sources.document[index, rank]), int(sources.offset[index, rank]))
            out.source_begin[at[index], rank], out.source_end[at[index], rank] = begin, end

    def _divide(self, out: TextComposition, site: int, units: NDArray[np.int64]) -> None:
        """Enters the units of one token: of all documents, of the noise and of the prior."""
        own = units[: len(out.units)]
        np.add(out.units, own, out=out.units)
        out.no_document[site, 1:] = units[len(out.units) :]
        keep = min(out.document.shape[1], len(own))
        best = np.argsort(-own, kind="stable")[:keep]
        best = best[own[best] > 0]
        out.document[site, : len(best)] = best
        out.document_units[site, : len(best)] = own[best]
        out.rest_units[site] = int(own.sum()) - int(own[best].sum())

    def drawn_from(
        self, given: NDArray[np.float64], before: NDArray[np.int32], events: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What tokens of one step were drawn from, and how much of each is the posterior's. Tier: *bitwise*.

        Args:
            given: the machine's posteriors, before temperature and truncation. float64, shape (E, V).
            before: the tokens that the row held there before. int32, shape (E,).
            events: places in the sample's events; under noise without masks all of one step.

        Returns:
            The distributions (E, V); of the token that was drawn the share that is the posterior's, and the share that
            is the noise's, both (E,), which sum to 1.
        """
        posterior = self._truncation(given)
        if self._masks:
            return posterior, np.ones(len(events)), np.zeros(len(events))
        drawn = self.sample.events
        sampler, step = self.sample.settings["sampler"], int(drawn.step[events[0]])
        after = float(kept(sampler["schedule"], sampler["steps"])[step + 1])
        law = self.machine.reverse(posterior, before.astype(np.int64), float(drawn.kept[events[0]]), after)
        of_posterior, of_noise = self.machine.split(posterior, drawn.token[events].astype(np.int64), after)
        whole = of_posterior + of_noise
        return law, of_posterior / whole, of_noise / whole

    @property
    def _given(self) -> NDArray[np.bool_]:
        """Which tokens of the text were there before the run, (L,)."""
        return np.array(self.sample.settings["template"])[self.sample.context :] >= 0

    @property
    def _masks(self) -> bool:
        return self.machine.noise in MASKING

    @cached_property
    def _truncation(self) -> Truncation:
        return Truncation(**self.sample.settings["sampler"]["truncation"])

    def last_event(self, token: int) -> int | None:
        """The place in the sample's events of the one that gave a token of the text; None if it was not drawn.

        Raises:
            UsageError: there is no such token.
        """
        if not 0 <= token < len(self.sample.tokens):
            raise UsageError(f"there is no token {token}: the text's tokens are 0 to {len(self.sample.tokens) - 1}")
        event = int(self._last_events()[token])
        return None if event < 0 else event

    def _last_events(self) -> NDArray[np.int64]:
        """The event that gave each token of the text, -1 where none did, (L,)."""
        last = np.full(len(self.sample.tokens), -1, np.int64)
        last[self.sample.events.site - self.sample.context] = np.arange(len(self.sample.events))  # later ones win
        return last

    @cached_property
    def _windows(self) -> NDArray[np.int32]:
        """The tokens around the site of each event, at its step, the site's own among them, (E, 2 reach + 1)."""
        events, reach = self.sample.events, self.machine.reach
        row = self.sample.start.copy()
        out = np.full((len(events), 2 * reach + 1), -1, np.int32)
        ends = np.flatnonzero(np.diff(events.step)) + 1
        for group in np.split(np.arange(len(events)), ends):
            sites = events.site[group]
            out[group] = windows_of(row, sites, reach)
            out[group, reach] = row[sites]
            row[sites] = events.token[group]
        return out

    def _batches(self, events: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], float | None, float]]:
        """The events, a few at a time, with what those of a batch have in common: the share of tokens that noise
        without masks kept, and a share of the row that is visible at which the machine's radius is theirs.
        """
        most = max(1, _NUMBERS // (self.machine.vocabulary * (2 * self.machine.reach + 1)))
        if self._masks:
            visible = self._visible[events]
            radii = self.machine.radius_at(visible)
            for radius in np.unique(radii):
                chosen = events[radii == radius]
                for begin in range(0, len(chosen), most):
                    yield chosen[begin : begin + most], None, float(visible[radii == radius][0])
            return
        steps = self.sample.events.step[events]
        for step in np.unique(steps):
            chosen = events[steps == step]
            for begin in range(0, len(chosen), most):
                kept_then = float(self.sample.events.kept[chosen[0]])
                yield chosen[begin : begin + most], kept_then, kept_then

    @property
    def _visible(self) -> NDArray[np.float64]:
        """The share of the row that masks had left when each event was drawn, (E,)."""
        before = np.searchsorted(self.sample.events.step, self.sample.events.step)
        return ((self.sample.start >= 0).sum() + before) / len(self.sample.start)

    def characters(self, document: int, offset: int) -> tuple[int, int]:
        """The characters [begin, end) of a token of a document."""
        if document not in self._ranges:
            text = self.machine.corpus.documents[document]
            self._ranges[document] = characters_of(self.machine.tokenizer, text)
        begin, end = self._ranges[document][offset].tolist()
        return begin, end
