"""Match for text: which stretches of a finished text stand in the corpus, character for character.

A **span** is a stretch of the text that occurs in some document and that cannot be made longer on either side without
losing that. Spans are a similarity and say nothing of weight: a text may repeat a line that no token was drawn from.

For each place of the corpus the longest stretch that occurs anywhere in the text is found, all places at a time.
Stretches of 1, 2, 4, ... characters are named by their rank among those of the text (prefix doubling, after Manber and
Myers 1993), in the text and in the corpus; the longest stretch is then put together from the largest pieces down,
while the suffixes of the text that begin with it stay one interval of their sorted list. Work: (places of the corpus)
x (log of the length of the text)^2 at most, whatever the two hold. Memory: a few arrays of `_CHUNK` places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.errors import UsageError

__all__ = ["LENGTHS", "LONGEST_GRAM", "Span", "SpanPlace", "TextMatch", "Verbatim"]

LENGTHS = (8, 16, 32)
"""Lengths of spans, in characters, that shares of a text are told for."""

LONGEST_GRAM = 64
"""Most characters of the stretches that `TextMatch.uniqueness` counts."""

# Places of the corpus that are worked on at a time.
_CHUNK = 1 << 18
_NO_CHARACTER = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True)
class SpanPlace:
    """Where a span stands in the corpus.

    Attributes:
        document: index in the corpus.
        offset: its first character there, from 0.
    """

    document: int
    offset: int


@dataclass(frozen=True)
class Span:
    """A stretch of a text that the corpus holds, and that cannot be made longer.

    Attributes:
        begin, end: its characters, [begin, end).
        count: how often it stands in the corpus; occurrences may overlap.
        documents: in how many documents.
        places: the first of them, by document and offset.
    """

    begin: int
    end: int
    count: int
    documents: int
    places: tuple[SpanPlace, ...]

    @property
    def length(self) -> int:
        """How many characters it has."""
        return self.end - self.begin


@dataclass(frozen=True, eq=False)
class TextMatch:
    """What of a text stands in the corpus: a similarity, which says nothing of weight. Tier: *bitwise*.

    Attributes:
        longest: the length of the longest stretch from each character on that the corpus holds. int64, shape (n,).
        spans: the maximal ones of at least the length asked for, by their place in the text.
    """

    longest: NDArray[np.int64]
    spans: tuple[Span, ...]

    def inside(self, length: int, among: NDArray[np.bool_] | None = None) -> float | None:
        """The share of the characters that lie in spans of at least `length`; None where there is no character.

        Args:
            length: characters.
            among: which characters count; all unless given. Shape (n,).
        """
        covered = self.covered(length)
        chosen = covered if among is None else covered[among]
        return float(chosen.sum() / len(chosen)) if len(chosen) else None

    def covered(self, length: int) -> NDArray[np.bool_]:
        """Whether each character lies in a span of at least `length`, (n,)."""
        begin = np.flatnonzero(self.longest >= length)
        ends = np.zeros(len(self.longest) + 1, np.int64)
        np.add.at(ends, begin, 1)
        np.add.at(ends, begin + self.longest[begin], -1)
        return np.cumsum(ends)[:-1] > 0

    @cached_property
    def uniqueness(self) -> tuple[float | None, ...]:
        """For L = 1 ... 64 the share of the text's stretches of L characters, counted at every place, that occur
        nowhere in the corpus; None where the text is shorter.
        """
        n = len(self.longest)
        return tuple(
            float((self.longest[: n - length + 1] < length).sum() / (n - length + 1)) if length <= n else None
            for length in range(1, LONGEST_GRAM + 1)
        )


class Verbatim:
    """Finds what of texts stands in a corpus. Making one costs a copy of the corpus, 4 bytes a character."""

    def __init__(self, corpus: TextCorpus) -> None:
        """Takes the corpus; no stretch is found across two documents."""
        lengths = np.array([len(text) for text in corpus.documents], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
        self._points = np.full(int((lengths + 1).sum()), _NO_CHARACTER, np.uint32)
        for start, text in zip(self._starts, corpus.documents, strict=True):
            self._points[start : start + len(text)] = _points(text)

    def of(self, text: str, *, at_least: int = LENGTHS[0], places: int = 8) -> TextMatch:
        """The spans of a text.

        Args:
            text: any text.

        Keyword Args:
            at_least: the shortest span that is listed, in characters.
            places: how many places of each span are listed.

        Raises:
            UsageError: either is below 1.
        """
        if at_least < 1 or places < 1:
            raise UsageError(f"spans have at least 1 character and 1 place to list, not {at_least} and {places}")
        if not text:
            return TextMatch(np.zeros(0, np.int64), ())
        index = _Ranks(_points(text))
        best = np.zeros(len(text), np.int64)
        kept: list[NDArray[np.int64]] = []
        for first, rank, length in self._walk(index):
            np.maximum.at(best, rank, length)
            long = np.flatnonzero(length >= at_least)
            kept.append(np.stack([first + long, rank[long], length[long]]))
        longest = _spread(best, index)
        ends = np.arange(len(text)) + longest
        maximal = (longest >= at_least) & (ends > np.concatenate([[0], ends[:-1]]))
        found = np.concatenate(kept, axis=1)
        found = found[:, np.argsort(found[1], kind="stable")]
        spans = tuple(
            self._span(begin, int(longest[begin]), index, found, places) for begin in np.flatnonzero(maximal).tolist()
        )
        return TextMatch(longest, spans)

    def _walk(self, index: _Ranks) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """(first place, the rank of a suffix of the text and how many characters it shares) for a chunk of places."""
        longest = len(index.order)
        for first in range(0, len(self._points), _CHUNK):
            places = min(_CHUNK, len(self._points) - first)
            rank, length = index.longest(self._points[first : first + places + longest], places)
            yield first, rank, length

    def _span(self, begin: int, length: int, index: _Ranks, found: NDArray[np.int64], places: int) -> Span:
        """A span; `found` are places of the corpus, with a suffix and what they share with it, by suffix."""
        low, high = index.beginning_with(begin, length)
        place, _, shared = found[:, slice(*np.searchsorted(found[1], [low, high]))]
        there = np.sort(place[shared >= length])
        document = np.searchsorted(self._starts, there, side="right") - 1
        listed = tuple(
            SpanPlace(d, p - int(self._starts[d]))
            for d, p in zip(document[:places].tolist(), there[:places].tolist(), strict=True)
        )
        return Span(begin, begin + length, len(there), len(np.unique(document)), listed)


class _Ranks:
    """The stretches of 2^k characters of a text, by rank, and its suffixes, sorted."""

    def __init__(self, points: NDArray[np.uint32]) -> None:
        self.alphabet, rank = np.unique(points, return_inverse=True)
        count = len(points)
        rank = rank.astype(np.int64)
        # Stretches at the end of the text are shorter, and stand before all longer ones that begin with them.
        self.ranks = [rank]
        self.keys: list[NDArray[np.int64]] = []
        while len(self.keys) == 0 or 2 ** len(self.keys) < count:
            after = np.zeros(count, np.int64)
            step = 2 ** len(self.keys)
            after[: max(0, count - step)] = rank[step:] + 1
            keys, rank = np.unique(rank * (count + 1) + after, return_inverse=True)
            rank = rank.astype(np.int64)
            self.keys.append(keys)
            self.ranks.append(rank)
        self.order = np.argsort(rank, kind="stable")
        self.place = np.empty(count, np.int64)
        self.place[self.order] = np.arange(count)
        # Where, among the sorted suffixes, those with each rank begin, and the last end.
        self.first = [np.searchsorted(r[self.order], np.arange(int(r.max()) + 2)) for r in self.ranks]
        # Beyond the end of the text nothing follows.
        self.padded = [np.concatenate([r, np.full(2 * count, -1, np.int64)]) for r in self.ranks]

    def longest(self, points: NDArray[np.uint32], places: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of the first `places` of a stretch of the corpus a suffix, by its place in the order, and how many
        characters the two share; no suffix shares more.
        """
        found = np.minimum(np.searchsorted(self.alphabet, points), len(self.alphabet) - 1)
        classes = [np.where(self.alphabet[found] == points, found, -1)]
        for keys in self.keys:
            before, step = classes[-1], 2 ** (len(classes) - 1)
            known = np.flatnonzero(before[: max(0, len(before) - step)] >= 0)
            known = known[before[known + step] >= 0]
            if not len(known):
                break
            key = before[known] * (len(self.order) + 1) + before[known + step] + 1
            at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            made = np.full(len(before), -1, np.int64)
            made[known] = np.where(keys[at] == key, at, -1)
            classes.append(made)
        low = np.zeros(places, np.int64)
        high = np.full(places, len(self.order), np.int64)
        length = np.zeros(places, np.int64)
        for k in reversed(range(len(classes))):
            there = np.minimum(np.arange(places) + length, len(points) - 1)
            named = np.where(np.arange(places) + length < len(points), classes[k][there], -1)
            fresh = np.flatnonzero((named >= 0) & (length == 0))
            low[fresh], high[fresh] = self.first[k][named[fresh]], self.first[k][named[fresh] + 1]
            length[fresh] = 2**k
            more = np.flatnonzero((named >= 0) & (length > 0) & (length + 2**k <= len(self.order)))
            more = np.setdiff1d(more, fresh, assume_unique=True)
            begin, end = self._narrowed(k, low[more], high[more], length[more], named[more])
            longer = end > begin
            more = more[longer]
            low[more], high[more] = begin[longer], end[longer]
            length[more] += 2**k
        return low, length

    def _narrowed(
        self,
        k: int,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        length: NDArray[np.int64],
        wanted: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of intervals of suffixes that share `length` characters the part that goes on with a stretch `wanted`."""
        padded = self.padded[k]

        def bound(value: NDArray[np.int64]) -> NDArray[np.int64]:
            begin, end = low.copy(), high.copy()
            while True:
                open_ones = np.flatnonzero(begin < end)
                if not len(open_ones):
                    return begin
                middle = (begin[open_ones] + end[open_ones]) >> 1
                smaller = padded[self.order[middle] + length[open_ones]] < value[open_ones]
                begin[open_ones] = np.where(smaller, middle + 1, begin[open_ones])
                end[open_ones] = np.where(smaller, end[open_ones], middle)

        return bound(wanted), bound(wanted + 1)

    def beginning_with(self, begin: int, length: int) -> tuple[int, int]:
        """The interval of sorted suffixes that begin with the `length` characters from `begin` on."""
        breaks = np.flatnonzero(self.shared < length)
        at = int(np.searchsorted(breaks, self.place[begin]))
        low = int(breaks[at - 1]) + 1 if at else 0
        return low, int(breaks[at]) + 1 if at < len(breaks) else len(self.order)

    @cached_property
    def shared(self) -> NDArray[np.int64]:
        """How many characters each suffix shares with the next in order, (n - 1,)."""
        left, right = self.order[:-1].copy(), self.order[1:].copy()
        out = np.zeros(len(left), np.int64)
        for k in reversed(range(len(self.ranks))):
            # Equal ranks of what is there in full: shorter stretches at the end are like no other.
            same = (self.padded[k][left] == self.padded[k][right]) & (self.padded[k][left] >= 0)
            out[same] += 2**k
            left[same] += 2**k
            right[same] += 2**k
        return out


def _spread(best: NDArray[np.int64], index: _Ranks) -> NDArray[np.int64]:
    """What each place of the text shares with the corpus, from what single suffixes do: a suffix shares with it all
    that it has in common with one that does.
    """
    shared = index.shared.tolist()
    values = best.tolist()
    for rank in range(1, len(values)):
        values[rank] = max(values[rank], min(values[rank - 1], shared[rank - 1]))
    for rank in reversed(range(len(values) - 1)):
        values[rank] = max(values[rank], min(values[rank + 1], shared[rank]))
    out = np.empty(len(values), np.int64)
    out[index.order] = values
    return out


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
