"""What a text posterior is a mixture of: a kernel over scores, a back-off on a ladder, a count of matches.

Each part knows its distribution, and the weight of any place: what that place alone contributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.engine import text
from smalti.engine.arithmetic import LN2, integer_weights, log2
from smalti.engine.partial import SLICE_BITS, SLICES, Partial
from smalti.engine.text_posterior import (
    BackOff,
    class_entropy,
    evidence_of,
    shares_of,
    source_entropy,
    support_of,
)
from smalti.engine.text_query import Ladder, Matches, Scores, TextQuery
from smalti.errors import InputError, UsageError

Floats = NDArray[np.float64]
Symbols = NDArray[np.int32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Part(ABC):
    """One term of a mixture, for Q sites.

    share: float64 (Q,), of the mixture.
    probabilities: float64 (Q, V).
    support: int64 (Q,), the last rung that some place meets; -1 without a ladder.
    prior: float64 (Q,), the mass of no place.
    """

    query: TextQuery
    share: Floats
    probabilities: Floats
    support: NDArray[np.int64]
    prior: Floats

    @property
    @abstractmethod
    def evidence(self) -> Floats:
        """Log of the sum over places of exp(logit), nats (Q,)."""

    @abstractmethod
    def entropy(self) -> Floats:
        """Of the weights of the places, nats (Q,)."""

    def mass(self, of: Symbols) -> Floats:
        """(Q,), the mass of all places that hold a symbol; -1: of all."""
        own = self.probabilities[np.arange(len(of)), np.maximum(of, 0)] - self.prior / self.probabilities.shape[1]
        return np.where(of >= 0, own, 1.0 - self.prior)

    @abstractmethod
    def best(self, of: Symbols, top: int) -> NDArray[np.int64]:
        """(Q, top), its best places that hold a symbol, -1 where there are fewer."""

    @abstractmethod
    def weights(self, around: NDArray[np.int64], symbol: NDArray[np.int64]) -> Floats:
        """(Q, K), the weights of places of which is given what the corpus holds around (Q, K, 2 R' + 1) and there."""

    @abstractmethod
    def documents(self, of: Symbols, threads: int | None) -> Floats:
        """(Q, D), the mass of each document's places that hold a symbol."""


def sum_of(terms: Iterable[Floats]) -> Floats:
    """Arrays added in their order."""
    first, *others = terms
    for other in others:
        first = first + other
    return first


def ratio_of(keep: float, vocabulary: int) -> float:
    """How much likelier a match is than a mismatch, 1 + a V / (1 - a). Raises `UsageError` unless 0 <= a < 1."""
    if not 0.0 <= keep < 1.0:
        raise UsageError(f"a symbol is kept with a probability of 0 to below 1, not {keep:g}")
    return 1.0 + keep * vocabulary / (1.0 - keep)


def _asking(query: TextQuery, of: Symbols) -> TextQuery:
    return replace(query, only=np.ascontiguousarray(of, np.int32))


def _narrow_around(around: NDArray[np.int64], radius: int) -> NDArray[np.int64]:
    cut = around.shape[2] // 2 - radius
    return around[:, :, cut : around.shape[2] - cut]


# ------------------------------------------------------------------------------------------------------------- kernel


@dataclass(frozen=True, eq=False, kw_only=True)
class KernelPart(Part):
    """Weights 2^(score / unit)."""

    scores: Scores
    sums: Partial

    @property
    def evidence(self) -> Floats:
        """See `Part`."""
        return evidence_of(self.sums)

    def entropy(self) -> Floats:
        """See `Part`."""
        return source_entropy(self.sums)

    def best(self, of: Symbols, top: int) -> NDArray[np.int64]:
        """See `Part`."""
        kept, _, places = text.best(_asking(self.query, of), self.scores, keep=top)
        return np.where(np.arange(top) < kept[:, None], places, -1)

    def weights(self, around: NDArray[np.int64], symbol: NDArray[np.int64]) -> Floats:
        """See `Part`."""
        near = _narrow_around(around, self.query.radius)
        known = self.query.windows[:, None, :].astype(np.int64)
        if isinstance(self.scores, Matches):
            score = ((near == known) * np.array(self.scores.values, np.int64)).sum(axis=2)
        else:
            score = np.where(known >= 0, self.scores.table[np.maximum(known, 0), near], 0).sum(axis=2, dtype=np.int64)
        place, weight, _ = integer_weights(score, self.scores.span)
        down = np.clip(self.sums.place[:, None] - place, 0, SLICES)
        kept = ((weight << SLICE_BITS) >> (SLICE_BITS * down)).astype(np.float64)
        return kept / self.sums.totals()[:, :1]

    def documents(self, of: Symbols, threads: int | None) -> Floats:
        """See `Part`."""
        asked = _asking(self.query, of)
        by = text.sums(asked, self.scores, by="document", start=self.sums.place, threads=threads)
        return by.totals()[:, 1:] / self.sums.totals()[:, :1]


def kernel_part(query: TextQuery, scores: Scores, sums: Partial, share: Floats) -> KernelPart:
    """The part of a kernel, from its sums (with `spread`, if its entropy will be asked for)."""
    none = np.zeros(len(query.windows))
    return KernelPart(
        query=query,
        scores=scores,
        sums=sums,
        share=share,
        probabilities=shares_of(sums),
        support=np.full(len(none), -1, np.int64),
        prior=none,
    )


# ----------------------------------------------------------------------------------------------------------- back-off


@dataclass(frozen=True, eq=False, kw_only=True)
class BackOffPart(Part):
    """Counts on a ladder."""

    ladder: Ladder
    back_off: BackOff
    counts: NDArray[np.int64]
    heard: NDArray[np.bool_]

    @property
    def evidence(self) -> Floats:
        """See `Part`: log of how many places agree with all that is known, -inf for none."""
        agree = self.counts[:, -1].sum(axis=1)
        return np.where(agree > 0, LN2 * log2(np.maximum(agree, 1)), -np.inf)

    @cached_property
    def by_depth(self) -> Floats:
        """The weight of a place by the rungs it meets and its symbol, (Q, rungs + 1, V)."""
        return self.back_off.weights(self.counts, self.heard)

    def on(self, query: TextQuery, ladder: Ladder, share: Floats) -> BackOffPart:
        """The same part in another share, for windows and a ladder that differ in nothing that is known."""
        if ladder == self.ladder:
            return replace(self, query=query, share=share)
        heard = query.heard(ladder)
        met = np.concatenate([[0], np.cumsum(heard.any(axis=0))])
        counts = self.counts[:, met]
        return replace(
            self, query=query, ladder=ladder, counts=counts, heard=heard, support=support_of(counts, heard), share=share
        )

    def entropy(self) -> Floats:
        """See `Part`."""
        exactly = self.counts.copy()
        exactly[:, :-1] -= self.counts[:, 1:]
        return class_entropy(exactly, self.by_depth)

    def best(self, of: Symbols, top: int) -> NDArray[np.int64]:
        """See `Part`."""
        kept, _, places = text.deepest(_asking(self.query, of), self.ladder, keep=top)
        return np.where(np.arange(top) < kept[:, None], places, -1)

    def weights(self, around: NDArray[np.int64], symbol: NDArray[np.int64]) -> Floats:
        """See `Part`."""
        r = self.query.radius
        near = _narrow_around(around, r)
        known = self.query.windows[:, None, :].astype(np.int64)
        agrees = (near == known) | (known < 0)
        met = np.ones(symbol.shape, np.bool_)
        depth = np.zeros(symbol.shape, np.int64)
        for rung in self.ladder:
            met = met & agrees[:, :, [r + d for d in rung]].all(axis=2)
            depth += met
        # A site whose place lies in a gap has no weight: its symbol is none of the vocabulary.
        inside = symbol < self.counts.shape[2]
        rows = np.arange(len(symbol))[:, None]
        return np.where(inside, self.by_depth[rows, depth, np.where(inside, symbol, 0)], 0.0)

    def documents(self, of: Symbols, threads: int | None) -> Floats:
        """See `Part`."""
        counts = text.depths(_asking(self.query, of), self.ladder, by="document", threads=threads)
        counts[:, :-1] -= counts[:, 1:]
        of_depth = self.back_off.weights(self.counts, self.heard, of)[:, :, 0]
        return sum_of(counts[:, k] * of_depth[:, k : k + 1] for k in range(counts.shape[1]))


def back_off_part(
    query: TextQuery, ladder: Ladder, back_off: BackOff, counts: NDArray[np.int64], share: Floats
) -> BackOffPart:
    """The part of a back-off, from how many places agree with the first rungs."""
    if (counts[:, 0].sum(axis=1) == 0).any():
        raise InputError("some sites have no admitted place left: leave out less, or use a larger corpus")
    heard = query.heard(ladder)
    p, prior = back_off.probabilities(counts, heard)
    return BackOffPart(
        query=query,
        ladder=ladder,
        back_off=back_off,
        counts=counts,
        heard=heard,
        share=share,
        probabilities=p,
        support=support_of(counts, heard),
        prior=prior,
    )


# ------------------------------------------------------------------------------------------------------------ matches


@dataclass(frozen=True, eq=False, kw_only=True)
class UniformPart(Part):
    """Counts of matches, each of which is worth a factor."""

    counts: NDArray[np.int64]
    of_matches: Floats
    log_sum: Floats

    @property
    def evidence(self) -> Floats:
        """See `Part`."""
        return self.log_sum

    def entropy(self) -> Floats:
        """See `Part`."""
        return class_entropy(self.counts.sum(axis=2), self.of_matches)

    def best(self, of: Symbols, top: int) -> NDArray[np.int64]:
        """See `Part`."""
        ones = Matches((1,) * self.query.windows.shape[1], 1)
        kept, _, places = text.best(_asking(self.query, of), ones, keep=top)
        return np.where(np.arange(top) < kept[:, None], places, -1)

    def weights(self, around: NDArray[np.int64], symbol: NDArray[np.int64]) -> Floats:
        """See `Part`."""
        near = _narrow_around(around, self.query.radius)
        many = (near == self.query.windows[:, None, :]).sum(axis=2)
        return np.take_along_axis(self.of_matches, many, axis=1)

    def documents(self, of: Symbols, threads: int | None) -> Floats:
        """See `Part`."""
        counts = text.matches(_asking(self.query, of), by="document", threads=threads).astype(np.float64)
        return sum_of(counts[:, m] * self.of_matches[:, m : m + 1] for m in range(counts.shape[1]))


def uniform_part(query: TextQuery, ratio: float, share: Floats, how: dict[str, Any]) -> UniformPart:
    """The part of uniform noise, whose matches are worth a factor `ratio` each."""
    counts = text.matches(query, **how)
    many = counts.sum(axis=2)
    if (many.sum(axis=1) == 0).any():
        raise InputError("some sites have no admitted place left: leave out less, or use a larger corpus")
    rows = counts.shape[1]
    top = np.where(many > 0, np.arange(rows), 0).max(axis=1)
    powers = np.cumprod(np.r_[1.0, np.full(rows - 1, 1.0 / ratio)])
    below = top[:, None] - np.arange(rows)
    weight = np.where(below >= 0, powers[np.maximum(below, 0)], 0.0)
    by_symbol = sum_of(counts[:, m].astype(np.float64) * weight[:, m : m + 1] for m in range(rows))
    total = np.cumsum(by_symbol, axis=1)[:, -1]
    none = np.zeros(len(top))
    return UniformPart(
        query=query,
        counts=counts,
        of_matches=weight / total[:, None],
        share=share,
        probabilities=by_symbol / total[:, None],
        log_sum=LN2 * (log2(total) + top * log2(ratio)),
        support=np.full(len(top), -1, np.int64),
        prior=none,
    )
