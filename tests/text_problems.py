"""Small text problems for the engine, chosen by hypothesis: few and many symbols, short documents, all lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters, TokenCorpus
from smalti.engine.text_query import Ladder, Matches, Scores, Substitutions, TextQuery, by_distance, hybrid, leftwards


@dataclass(frozen=True)
class Alphabet(Characters):
    """Characters with a vocabulary that is larger than what the corpus shows, for wider symbols."""

    size: int = 0

    @property
    def vocabulary(self) -> int:
        return max(len(self.alphabet), self.size)


def cut(texts: list[str], *, gap: int, size: int = 0) -> TokenCorpus:
    """Texts as characters of `abcd`, in a vocabulary of at least `size`."""
    return TokenCorpus(TextCorpus.from_texts(texts), Alphabet("abcd", size=size), gap)


@st.composite
def queries(draw: st.DrawFn, *, most: int = 400, widest: int = 11) -> TextQuery:
    """A query that the naive twin can answer in a moment.

    Symbols of four bytes have at most `widest` sites: each costs 70,000 counts for every rung of a ladder.
    """
    texts = draw(st.lists(st.text("abcd", min_size=1, max_size=60), min_size=1, max_size=6))
    if draw(st.booleans()):
        texts.append("ab" * draw(st.integers(1, most // 4)) + draw(st.text("abc", max_size=most // 4)))
    radius = draw(st.integers(1, 9))
    size = draw(st.sampled_from([0, 0, 255, 256, 70_000]))
    corpus = cut(texts, gap=radius + draw(st.integers(0, 3)), size=size)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sites = draw(st.integers(1, widest if size > 65_535 else 11))
    windows = rng.integers(0, 4, (sites, 2 * radius + 1)).astype(np.int32)
    for site in range(sites):
        # Most windows come from the corpus, with a few symbols changed, so that places agree far out.
        if rng.random() < 0.8:
            place = rng.integers(corpus.gap, corpus.places - corpus.gap)
            windows[site] = np.minimum(corpus.symbols[place - radius : place + radius + 1].astype(np.int64), 3)
    windows[rng.random(windows.shape) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))] = -1
    excluded = only = part = None
    if draw(st.booleans()):
        ends = np.sort(rng.integers(-5, corpus.places + 5, (sites, 2)), axis=1)
        excluded = ends.astype(np.int64)
    if draw(st.booleans()):
        only = rng.integers(-1, 4, sites).astype(np.int32)
    if draw(st.booleans()):
        begin, end = sorted(rng.integers(0, corpus.places + 1, 2).tolist())
        part = (begin, end)
    return TextQuery(corpus, windows, excluded=excluded, only=only, part=part)


@st.composite
def scores_for(draw: st.DrawFn, query: TextQuery) -> Scores:
    """Scores that fit a query: usual hybrids, values beyond 16 bits, tables."""
    r, vocabulary = query.radius, query.corpus.vocabulary
    kind = draw(st.sampled_from(["hybrid", "hybrid", "values", "wide", "table"]))
    if kind == "hybrid":
        return hybrid(r, draw(st.floats(0.01, 12.0)), draw(st.floats(0.0, 1.0)))
    if kind == "table" and vocabulary < 1000:
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        table = rng.integers(0, draw(st.sampled_from([3, 500, 2**20])), (vocabulary, vocabulary + 1)).astype(np.int32)
        return Substitutions(table, draw(st.sampled_from([1, 7, 300])), 2 * r + 1)
    most = 2**24 if kind == "wide" else 65535 // (2 * r + 1)
    values = draw(st.lists(st.integers(0, most), min_size=2 * r + 1, max_size=2 * r + 1))
    return Matches(tuple(values), draw(st.sampled_from([1, 10, 256])))


@st.composite
def ladders(draw: st.DrawFn, radius: int) -> Ladder:
    """By distance, leftwards, or rungs at random."""
    kind = draw(st.sampled_from(["distance", "left", "random"]))
    if kind == "distance":
        return by_distance(radius)
    if kind == "left":
        return leftwards(radius)
    offsets = draw(st.permutations([d for d in range(-radius, radius + 1) if d]))
    rungs: list[tuple[int, ...]] = []
    while offsets:
        size = draw(st.integers(1, 3))
        rungs.append(tuple(offsets[:size]))
        offsets = offsets[size:]
    return tuple(rungs[: draw(st.integers(1, len(rungs)))])


def present(rows: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]) -> list[list[tuple[int, int]]]:
    """What a list of sources really holds."""
    return [
        list(zip(score[:kept].tolist(), place[:kept].tolist(), strict=True))
        for kept, score, place in zip(*rows, strict=True)
    ]
