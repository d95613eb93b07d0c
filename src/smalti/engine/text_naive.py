"""The definition for text, in plain Python, written to be read: what the kernel must equal byte for byte.

It walks through the documents place by place and compares windows symbol by symbol. The tests compare it with the
kernel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES, Partial
from smalti.engine.text_query import Ladder, Matches, Scores, TextQuery


def admitted(query: TextQuery, site: int) -> Iterator[tuple[int, int, int, list[int]]]:
    """(place, document, symbol, window) of each place that may serve a site; V stands outside the document."""
    corpus, r = query.corpus, query.radius
    begin, end = query.places
    excluded = range(*query.excluded[site]) if query.excluded is not None else range(0)
    only = -1 if query.only is None else int(query.only[site])
    for document, (start, length) in enumerate(zip(corpus.starts.tolist(), corpus.lengths.tolist(), strict=True)):
        text = corpus.symbols[start : start + length].tolist()
        for i in range(length):
            place = start + i
            if not begin <= place < end or place in excluded or only not in (-1, text[i]):
                continue
            window = [text[i + d] if 0 <= i + d < length else corpus.vocabulary for d in range(-r, r + 1)]
            yield place, document, text[i], window


def score(window: list[int], known: list[int], scores: Scores) -> int:
    """The score of a window of the corpus against the known symbols."""
    if isinstance(scores, Matches):
        return sum(v for k, x, v in zip(window, known, scores.values, strict=True) if x >= 0 and k == x)
    return sum(int(scores.table[x, k]) for k, x in zip(window, known, strict=True) if x >= 0)


def sums(query: TextQuery, scores: Scores, *, by: str = "symbol", spread: bool = False) -> Partial:
    """As `smalti.engine.text.sums`. Tier: bitwise."""
    keys = _keys(query, by)
    place = np.full(len(query.windows), NO_PLACE, np.int64)
    slices = np.zeros((len(query.windows), 1 + keys + spread, SLICES), np.int64)
    for site, known in enumerate(query.windows.tolist()):
        found = [
            (score(window, known, scores), symbol if by == "symbol" else document)
            for _, document, symbol, window in admitted(query, site)
        ]
        if not found:
            continue
        at, weight, log2 = integer_weights(np.array([s for s, _ in found], np.int64), scores.span)
        top = place[site] = at.max()
        for n, w, log, (_, key) in zip(at.tolist(), weight.tolist(), log2.tolist(), found, strict=True):
            halves = ((n, w >> SLICE_BITS, log), (n - 1, w % 2**SLICE_BITS, log + 15 * 4096))
            for half_at, part, log_above in halves:
                j = half_at - top + SLICES - 1
                if j >= 0:
                    slices[site, 0, j] += part
                    slices[site, 1 + key, j] += part
                    if spread:
                        slices[site, -1, j] += part * log_above
    return Partial(place, slices, keys)


def matches(query: TextQuery, *, by: str = "symbol") -> NDArray[np.int64]:
    """As `smalti.engine.text.matches`. Tier: bitwise."""
    out = np.zeros((len(query.windows), 2 * query.radius + 2, _keys(query, by)), np.int64)
    ones = Matches((1,) * (2 * query.radius + 1), 1)
    for site, known in enumerate(query.windows.tolist()):
        for _, document, symbol, window in admitted(query, site):
            out[site, score(window, known, ones), symbol if by == "symbol" else document] += 1
    return out


def depths(query: TextQuery, ladder: Ladder, *, by: str = "symbol") -> NDArray[np.int64]:
    """As `smalti.engine.text.depths`. Tier: bitwise."""
    r = query.radius
    out = np.zeros((len(query.windows), len(ladder) + 1, _keys(query, by)), np.int64)
    for site, known in enumerate(query.windows.tolist()):
        for _, document, symbol, window in admitted(query, site):
            for depth in range(len(ladder) + 1):
                if all(known[r + d] in (-1, window[r + d]) for rung in ladder[:depth] for d in rung):
                    out[site, depth, symbol if by == "symbol" else document] += 1
    return out


def best(query: TextQuery, scores: Scores, *, keep: int) -> list[list[tuple[int, int]]]:
    """The `keep` places of the highest scores of each site as (score, place), best first, then by place."""
    return [
        sorted(
            ((score(window, known, scores), place) for place, _, _, window in admitted(query, site)),
            key=lambda found: (-found[0], found[1]),
        )[:keep]
        for site, known in enumerate(query.windows.tolist())
    ]


def deepest(query: TextQuery, ladder: Ladder, *, keep: int) -> list[list[tuple[int, int]]]:
    """The `keep` deepest places of each site as (rungs met that know something, place), deepest first, then by place;
    places that meet none are not listed.
    """
    r = query.radius
    out: list[list[tuple[int, int]]] = []
    for site, known in enumerate(query.windows.tolist()):
        rungs = [rung for rung in ladder if any(known[r + d] >= 0 for d in rung)]
        found: list[tuple[int, int]] = []
        for place, _, _, window in admitted(query, site):
            depth = 0
            while depth < len(rungs) and all(known[r + d] in (-1, window[r + d]) for d in rungs[depth]):
                depth += 1
            if depth:
                found.append((depth, place))
        out.append(sorted(found, key=lambda f: (-f[0], f[1]))[:keep])
    return out


def _keys(query: TextQuery, by: str) -> int:
    return query.corpus.vocabulary if by == "symbol" else len(query.corpus.starts)
