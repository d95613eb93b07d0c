"""What the engine is asked about text: windows of known symbols, a corpus of symbols, and what a match is worth.

A wanted site is described by the symbols known around it, its *window*; -1 stands where nothing is known (a mask, the
end of the text, the site itself). Every place of the corpus inside a document may serve it. How well one agrees is told
in one of three ways:

- its **score**, the integer sum over the window of a value for each offset where the corpus holds the same symbol
  (`Matches`) or of a table entry for each pair of symbols (`Substitutions`); its weight is 2^(score / unit), in places
  and halves as for pictures (`smalti.engine.partial`);
- the **number of matches**;
- its **depth** on a ladder: how many rungs, from the first on, it agrees with completely. A rung is a set of offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.corpus.tokens import TokenCorpus
from smalti.engine.arithmetic import LN2, log2
from smalti.errors import InputError, UsageError

Ladder: TypeAlias = tuple[tuple[int, ...], ...]
Place = TypeVar("Place", int, NDArray[np.int64])

MOST_SCORE = 2**31 - 1
_UNIT_BITS = (
    8  # of a score for matches: values are rounded to 1/256 bit, so that the scores of usual windows fit 16 bits
)
_TABLE_BITS = 16


@dataclass(frozen=True, eq=False)
class TextQuery:
    """One question about text.

    Args:
        corpus: the symbols of all documents.
        windows: int32 (Q, 2 R + 1), the symbols known at offsets -R to R of each wanted site; -1: nothing known.
        excluded: int64 (Q, 2), for each site a range [begin, end) of places that may not serve it; none by default.
        only: int32 (Q,), for each site the one symbol that a place must hold to count, -1 for any; any by default.
        part: the places that are looked at, [begin, end); all by default.
    """

    corpus: TokenCorpus
    windows: NDArray[np.int32]
    excluded: NDArray[np.int64] | None = None
    only: NDArray[np.int32] | None = None
    part: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        w = self.windows
        if w.dtype != np.int32 or w.ndim != 2 or w.shape[1] % 2 == 0:
            raise InputError("windows must be an int32 array of shape (Q, 2 R + 1)")
        if len(w) == 0:
            raise InputError("there are no sites to ask about")
        if self.radius > self.corpus.gap:
            raise UsageError(
                f"windows of radius {self.radius} reach across the gaps of {self.corpus.gap} between documents: make "
                "the token corpus with a wider gap"
            )
        if w.min() < -1 or w.max() >= self.corpus.vocabulary:
            raise InputError(f"symbols must lie within -1 (unknown) and {self.corpus.vocabulary - 1}")
        if self.excluded is not None and (self.excluded.shape != (len(w), 2) or self.excluded.dtype != np.int64):
            raise InputError("excluded ranges must be an int64 array of shape (Q, 2)")
        if self.only is not None and (self.only.shape != (len(w),) or self.only.dtype != np.int32):
            raise InputError("the symbols asked for must be an int32 array of shape (Q,)")
        begin, end = self.places
        if not 0 <= begin <= end <= self.corpus.places:
            raise UsageError(
                f"places {begin} to {end} are not in this corpus: give a part of 0 to {self.corpus.places}"
            )

    @property
    def radius(self) -> int:
        """R, the largest offset."""
        return self.windows.shape[1] // 2

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Where a symbol is known, (Q, 2 R + 1)."""
        return self.windows >= 0

    def heard(self, ladder: Ladder) -> NDArray[np.bool_]:
        """Whether anything is known on each rung, (Q, rungs)."""
        return self._heard(ladder)[0]

    def rungs(self, ladder: Ladder) -> Ladder:
        """The rungs of a ladder of which any site knows something; the first, if there are none."""
        return self._heard(ladder)[1]

    def _heard(self, ladder: Ladder) -> tuple[NDArray[np.bool_], Ladder]:
        if ladder not in self._ladders:
            columns = self.radius + np.array([d for rung in ladder for d in rung])
            begins = np.cumsum([0, *map(len, ladder[:-1])])
            heard = np.logical_or.reduceat(self.known[:, columns], begins, axis=1)
            rungs = tuple(ladder[k] for k in np.flatnonzero(heard.any(axis=0)).tolist())
            self._ladders[ladder] = heard, rungs or ladder[:1]
        return self._ladders[ladder]

    @cached_property
    def _ladders(self) -> dict[Ladder, tuple[NDArray[np.bool_], Ladder]]:
        return {}

    @property
    def places(self) -> tuple[int, int]:
        """The places that are looked at, [begin, end)."""
        return (0, self.corpus.places) if self.part is None else self.part

    def sites(self, begin: int, end: int) -> TextQuery:
        """The same question about sites [begin, end)."""
        return self if (begin, end) == (0, len(self.windows)) else self._at(slice(begin, end))

    def chosen(self, sites: NDArray[np.int64]) -> TextQuery:
        """The same question about some sites, by their indices."""
        return self._at(sites)

    def within(self, radius: int) -> TextQuery:
        """The same question with windows of a smaller radius."""
        cut = self.radius - radius
        if cut == 0:
            return self
        return replace(self, windows=np.ascontiguousarray(self.windows[:, cut : self.windows.shape[1] - cut]))

    def _at(self, sites: slice | NDArray[np.int64]) -> TextQuery:
        return replace(
            self,
            windows=self.windows[sites],
            excluded=None if self.excluded is None else self.excluded[sites],
            only=None if self.only is None else self.only[sites],
        )


def windows_of(state: NDArray[np.int32], sites: ArrayLike, radius: int) -> NDArray[np.int32]:
    """Windows int32 (Q, 2 R + 1) around sites of a state int32 (L,), clipped at its ends; the site itself unknown."""
    padded = np.full(len(state) + 2 * radius, -1, np.int32)
    padded[radius : radius + len(state)] = state
    where = np.asarray(sites, np.int64)
    windows = padded[where[:, None] + np.arange(2 * radius + 1)]
    windows[:, radius] = -1
    return windows


def overlapping(begin: Place, end: Place, radius: int) -> tuple[Place, Place]:
    """The places whose windows overlap places [begin, end), for one block or many: what to exclude so that nothing of
    a block is seen.
    """
    return begin - radius, end + radius


@cache
def by_distance(radius: int) -> Ladder:
    """Rung k has the offsets -k and k."""
    return tuple((-k, k) for k in range(1, radius + 1))


@cache
def leftwards(radius: int) -> Ladder:
    """Rung k has the offset -k: the ladder of left-to-right counting."""
    return tuple((-k,) for k in range(1, radius + 1))


@cache
def rightwards(radius: int) -> Ladder:
    """Rung k has the offset k."""
    return tuple((k,) for k in range(1, radius + 1))


@cache
def left_first(radius: int) -> Ladder:
    """Rungs of one offset each: -1, 1, -2, 2, ..."""
    return tuple((side * k,) for k in range(1, radius + 1) for side in (-1, 1))


@cache
def right_first(radius: int) -> Ladder:
    """Rungs of one offset each: 1, -1, 2, -2, ..."""
    return tuple((side * k,) for k in range(1, radius + 1) for side in (1, -1))


LADDERS = {
    "distance": by_distance,
    "left": leftwards,
    "right": rightwards,
    "left-first": left_first,
    "right-first": right_first,
}
"""Ladders by name: radius to rungs."""


@dataclass(frozen=True)
class Matches:
    """A matching symbol at offset d is worth 2^(values[d + R] / unit); a mismatch, and an unknown symbol, nothing."""

    values: tuple[int, ...]
    unit: int

    def __post_init__(self) -> None:
        if len(self.values) % 2 == 0 or min(self.values) < 0 or self.unit < 1:
            raise UsageError("values of matches are whole numbers of at least 0, one for each of 2 R + 1 offsets")
        if self.largest > MOST_SCORE:
            raise UsageError("these matches are worth more than scores can hold: use smaller ones, or a smaller radius")

    @property
    def largest(self) -> int:
        """No score is higher."""
        return sum(self.values)

    @property
    def span(self) -> int:
        """Score units in a place, worth 15 bits of weight."""
        return 15 * self.unit


@dataclass(frozen=True, eq=False)
class Substitutions:
    """Symbol k of the corpus where x is known is worth 2^(table[x, k] / unit).

    table: int32 (V, V + 1), at least 0; its last column is for places outside the document.
    offsets: how many offsets of a window may be known, for the bound on scores.
    """

    table: NDArray[np.int32]
    unit: int
    offsets: int

    @cached_property
    def largest(self) -> int:
        """No score is higher."""
        return int(self.table.max()) * self.offsets

    @property
    def span(self) -> int:
        """Score units in a place, worth 15 bits of weight."""
        return 15 * self.unit


Scores: TypeAlias = Matches | Substitutions


def hybrid(radius: int, kappa: float, gamma: float) -> Matches:
    """A visible match at offset d is worth kappa gamma^(|d| - 1) nats, rounded to 1/256 bit. Tier: bitwise.

    Raises:
        UsageError: for a radius below 1, a kappa that is not positive, or a gamma outside 0 to 1.
    """
    if radius < 1 or not 0.0 < kappa < float("inf") or not 0.0 <= gamma <= 1.0:
        raise UsageError(
            f"a hybrid with radius {radius}, kappa {kappa:g} and gamma {gamma:g} has no meaning: give a radius of at "
            "least 1, a kappa above 0 and a gamma of 0 to 1"
        )
    unit = 2**_UNIT_BITS
    values: list[int] = []
    worth = float(kappa)
    for _ in range(radius):
        values.append(round(worth / LN2 * unit))
        worth *= gamma
    return Matches((*reversed(values), 0, *values), unit)


def substitutions(rows: NDArray[np.float64], radius: int) -> Substitutions:
    """Log-likelihood ratios of a row-stochastic matrix Q[k, x] > 0, (V, V): what symbol k turns into. Tier: bitwise.

    For each x the symbol that turns into it least often is worth nothing, and so is a place outside the document.

    Raises:
        UsageError: if the matrix is not square and positive with rows that sum to 1.
    """
    q = np.asarray(rows, np.float64)
    if q.ndim != 2 or q.shape[0] != q.shape[1] or not (q > 0).all() or not np.allclose(q.sum(1), 1.0, atol=1e-9):
        raise UsageError("structured noise needs a square matrix of positive numbers whose rows sum to 1")
    bits = log2(q).T
    bits = bits - bits.min(axis=1, keepdims=True)
    unit = 2**_TABLE_BITS
    while unit > 1 and float(bits.max()) * unit * 2 * radius > MOST_SCORE / 2:
        unit //= 2
    table = np.zeros((len(q), len(q) + 1), np.int32)
    table[:, :-1] = np.rint(bits * unit).astype(np.int32)
    return Substitutions(table, unit, 2 * radius)


def check_ladder(ladder: Sequence[Sequence[int]], radius: int) -> Ladder:
    """The ladder as tuples. Raises `UsageError` for an offset that is 0, twice there, or beyond the window, and for an
    empty ladder or rung.
    """
    offsets = [d for rung in ladder for d in rung]
    if (
        not ladder
        or not all(ladder)
        or len(set(offsets)) < len(offsets)
        or any(d == 0 or abs(d) > radius for d in offsets)
    ):
        raise UsageError(
            f"the rungs of a ladder hold offsets of -{radius} to {radius} without 0, each at most once, and none is "
            "empty"
        )
    return tuple(tuple(rung) for rung in ladder)
