"""How far the answers to one prompt differ from each other.

All measures are of n answers of which c_1 >= c_2 >= ... are equal:

    exact match     c_1 / n, the share of the most frequent answer; it falls with n, all else equal
    disagreement    1 - sum c (c - 1) / (n (n - 1)): the share of pairs that differ, without bias at any n
    edit distance   mean over pairs of the fewest units inserted, deleted or replaced, divided by a length
    subsequence     mean over pairs of 1 - LCS / the shorter length
    behind          mean over pairs of the share of a length that lies behind the first difference

Answers are tuples of units. The end of an answer is a difference, as a unit would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.temperature.record import Answer

__all__ = [
    "Forms",
    "edit_distances",
    "first_divergence",
    "mean_edit_distances",
    "mean_subsequences",
    "subsequences",
]

_CELLS = 4_000_000
"""Cells of a table of pairs by places that are worked on at a time."""

Units = tuple[str, ...]
Row = NDArray[np.int32]
Places = NDArray[np.intp]


def first_divergence(a: Sequence[str], b: Sequence[str]) -> int | None:
    """The first place at which two answers differ, from 0; None where they are equal. Tier: *bitwise*."""
    for place, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return place
    return None if len(a) == len(b) else min(len(a), len(b))


@dataclass(frozen=True, eq=False)
class Forms:
    """The different answers to one prompt.

    Attributes:
        forms: the different answers, the most frequent first; of equally frequent ones the one asked for first.
        counts: how often each was given. Shape (K,).
        which: the form of each answer, in the order of asking. Shape (n,).
    """

    forms: tuple[Units, ...]
    counts: NDArray[np.int64]
    which: NDArray[np.int64]

    @classmethod
    def of(cls, answers: Iterable[Answer] | Iterable[Units]) -> Forms:
        """The forms of answers that are in the order of asking."""
        units = [answer.tokens if isinstance(answer, Answer) else tuple(answer) for answer in answers]
        seen = dict[Units, int]()
        for answer in units:
            seen[answer] = seen.get(answer, 0) + 1
        forms = sorted(seen, key=lambda form: -seen[form])
        place = {form: k for k, form in enumerate(forms)}
        counts = np.array([seen[form] for form in forms], np.int64)
        return cls(tuple(forms), counts, np.array([place[answer] for answer in units], np.int64))

    @property
    def runs(self) -> int:
        """Number of answers."""
        return len(self.which)

    @property
    def exact_match(self) -> float:
        """Share of the most frequent answer. Tier: *bitwise*."""
        return int(self.counts[0]) / self.runs

    @property
    def disagreement(self) -> float:
        """Share of pairs that differ, from two answers on. Tier: *bitwise*."""
        same = int((self.counts * (self.counts - 1)).sum())
        return 1.0 - same / (self.runs * (self.runs - 1))

    @cached_property
    def divergences(self) -> tuple[int | None, ...]:
        """For each answer, where it first differs from the most frequent one; None where it does not."""
        of_form = [first_divergence(form, self.forms[0]) for form in self.forms]
        return tuple(of_form[k] for k in self.which.tolist())

    def edit_distance(self, length: int) -> float:
        """Mean edit distance of pairs divided by `length`, from two answers on. Tier: *bitwise*."""
        return mean_edit_distances([self], length)[0]

    def subsequence(self) -> float:
        """Mean of 1 - LCS / the shorter length over pairs, from two answers on; 1 where just one of the two is empty.

        Tier: *bitwise*.
        """
        return mean_subsequences([self])[0]

    def behind(self, length: int) -> float:
        """Mean share of `length` that lies behind the first difference of a pair, from two answers on.

        Tier: *bitwise*.
        """
        a, b = self.pairs
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        places = [first_divergence(self.forms[i], self.forms[j]) for i, j in pairs]
        return self.mean(np.array([length - min(place or 0, length) for place in places], np.float64), length)

    @cached_property
    def pairs(self) -> tuple[Places, Places]:
        """All pairs of different forms."""
        return np.triu_indices(len(self.forms), 1)

    def mean(self, values: NDArray[np.float64], length: int) -> float:
        """Mean over pairs of answers of what pairs of forms have; equal answers have 0. Sums in order."""
        a, b = self.pairs
        if not len(a):
            return 0.0
        total = np.cumsum(values * (self.counts[a] * self.counts[b]))[-1]
        return float(total / (self.runs * (self.runs - 1) / 2) / length)


def mean_edit_distances(several: Sequence[Forms], length: int) -> list[float]:
    """`Forms.edit_distance` of each; what pairs they share is computed once. Tier: *bitwise*."""
    union, places = _shared(several)
    distances = edit_distances(union, *places.pairs)
    return [one.mean(distances[at], length) for one, at in zip(several, places.of, strict=True)]


def mean_subsequences(several: Sequence[Forms]) -> list[float]:
    """`Forms.subsequence` of each; what pairs they share is computed once. Tier: *bitwise*."""
    union, places = _shared(several)
    a, b = places.pairs
    lengths = np.array([len(form) for form in union])
    shorter = np.minimum(lengths[a], lengths[b])
    apart = np.where(shorter > 0, 1.0 - subsequences(union, a, b) / np.maximum(shorter, 1), 1.0)
    return [one.mean(apart[at], 1) for one, at in zip(several, places.of, strict=True)]


@dataclass(frozen=True, eq=False)
class _Shared:
    """The different pairs of several `Forms`.

    pairs: both forms of each, as numbers in their union.
    of: for each of the `Forms`, which of these its pairs are.
    """

    pairs: tuple[Places, Places]
    of: list[Places]


def _shared(several: Sequence[Forms]) -> tuple[list[Units], _Shared]:
    """The union of the forms, and its pairs."""
    number = dict[Units, int]()
    keys = []
    for one in several:
        own = np.array([number.setdefault(form, len(number)) for form in one.forms], np.intp)
        a, b = one.pairs
        keys.append(np.stack([np.minimum(own[a], own[b]), np.maximum(own[a], own[b])]))
    both = np.concatenate(keys, axis=1)
    distinct, at = np.unique(both[0] * len(number) + both[1], return_inverse=True)
    sizes = np.cumsum([key.shape[1] for key in keys])[:-1]
    return list(number), _Shared(np.divmod(distinct, max(len(number), 1)), np.split(at, sizes))


def edit_distances(forms: Sequence[Units], left: Places, right: Places) -> NDArray[np.float64]:
    """Levenshtein distances of pairs: of `forms[left[i]]` with `forms[right[i]]`. Shape (n,). Tier: *bitwise*.

    Row by row of the usual table, all pairs at a time: with what comes from above and from the side known, the
    cheapest way along the row is a running minimum.
    """
    return _last_cells(forms, left, right, _edit_row, lambda width: np.arange(width + 1, dtype=np.int32))


def subsequences(forms: Sequence[Units], left: Places, right: Places) -> NDArray[np.float64]:
    """Lengths of longest common subsequences of pairs, as `edit_distances`. Shape (n,). Tier: *bitwise*."""
    return _last_cells(forms, left, right, _common_row, lambda width: np.zeros(width + 1, np.int32))


def _edit_row(above: Row, same: NDArray[np.bool_], row: int) -> Row:
    reached = np.empty_like(above)
    reached[:, 0] = row
    reached[:, 1:] = np.minimum(above[:, 1:] + 1, above[:, :-1] + ~same)
    steps = np.arange(above.shape[1], dtype=np.int32)
    return np.minimum.accumulate(reached - steps, axis=1) + steps


def _common_row(above: Row, same: NDArray[np.bool_], row: int) -> Row:
    reached = above.copy()
    reached[:, 1:] = np.maximum(reached[:, 1:], above[:, :-1] + same)
    return np.maximum.accumulate(reached, axis=1)


def _last_cells(
    forms: Sequence[Units],
    left: Places,
    right: Places,
    step: Callable[[Row, NDArray[np.bool_], int], Row],
    first: Callable[[int], Row],
) -> NDArray[np.float64]:
    """The last cell of each pair's table, some pairs at a time."""
    codes = dict[str, int]()
    lengths = np.array([len(form) for form in forms], np.int64)
    longest = int(lengths.max(initial=0))
    table = np.full((len(forms), longest), -1, np.int32)
    for k, form in enumerate(forms):
        table[k, : len(form)] = [codes.setdefault(unit, len(codes)) for unit in form]
    chunk = max(1, _CELLS // (longest + 1))
    out = np.zeros(len(left))
    for begin in range(0, len(left), chunk):
        one, other = left[begin : begin + chunk], right[begin : begin + chunk]
        # What lies behind the ends is never read: each pair's cell is taken in its own row and column.
        a, b, pairs = table[one], table[other], np.arange(len(one))
        row = np.repeat(first(longest)[None, :], len(one), axis=0)
        found = row[pairs, lengths[other]]
        for at in range(longest):
            row = step(row, a[:, at : at + 1] == b, at + 1)
            found = np.where(lengths[one] == at + 1, row[pairs, lengths[other]], found)
        out[begin : begin + chunk] = found
    return out
