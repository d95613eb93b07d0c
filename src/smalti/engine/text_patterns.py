"""Sums and depths of several kinds from one walk: places counted by what they agree with.

The *pattern* of a place has one bit for each known symbol of a window: whether the place agrees with it. Scores and
depths are functions of it, so the number of places of each pattern and symbol answers for all kernels and ladders at
once. That pays where a window has few known symbols, and where they lie on one side, as in writing from left to right:
patterns are then told apart for the nearest ones, and places that agree with all of these by how far they go on.

Nothing of one window is kept for the next. Reading the text anew costs less than keeping what was found at every place,
which takes as much room as the text itself and has to be written too (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.tokens import TokenCorpus
from smalti.engine import (
    _kernel,  # pyright: ignore[reportAttributeAccessIssue]
    text,
)
from smalti.engine.arithmetic import integer_weights
from smalti.engine.native import Tick, default_threads
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES, Partial
from smalti.engine.text_query import Ladder, Matches, TextQuery, check_ladder

__all__ = ["NEAR", "ask"]

NEAR: int = _kernel.TEXT_NEAR
"""Known symbols that are told apart one by one."""

Counts = NDArray[np.int64]

# How often symbols stand at each distance from each other in a corpus, (distances, V, V).
_PAIRS: WeakKeyDictionary[TokenCorpus, Counts] = WeakKeyDictionary()


def ask(
    query: TextQuery,
    scores: Sequence[Matches],
    ladders: Sequence[Ladder],
    *,
    spread: bool = False,
    threads: int | None = None,
    target: str | None = None,
    tick: Tick | None = None,
) -> tuple[list[Partial], list[Counts]]:
    """What `text.sums` says of each of the scores, and `text.depths` of each of the ladders. Tier: bitwise.

    Scores and ladders may be of any radius up to that of the query. Windows that patterns do not suit are asked about
    there, one question after the other, and so are those with symbols of more than one byte.

    Args:
        query: what to compute.
        scores: what agreement is worth, several times.
        ladders: how windows grow, several times.
        spread: also what the entropy of the weights needs.
        threads: worker threads; all processors by default.
        target: instruction set, one of `native.targets()`; the widest by default.
        tick: called with the share of the work done since the last call.
    """
    questions = len(scores) + len(ladders)
    if not questions:
        return [], []
    how = {"threads": threads, "target": target}
    done = tick or (lambda share: None)
    count, keys = len(query.windows), query.corpus.vocabulary
    ladders = [check_ladder(ladder, query.radius) for ladder in ladders]
    reach = [max(map(abs, chain.from_iterable(ladder))) for ladder in ladders]
    sums = [
        Partial(np.full(count, NO_PLACE, np.int64), np.zeros((count, 1 + keys + spread, SLICES), np.int64), keys)
        for _ in scores
    ]
    depths = [np.zeros((count, len(ladder) + 1, keys), np.int64) for ladder in ladders]
    rows = 2**NEAR + query.radius if _has_patterns(query.corpus) else 1
    for begin, end, part in text.chunks_of(query, rows * keys, None):
        layouts = _layouts(part, scores, ladders)
        counts = _patterns(part, layouts, **how)
        share = (end - begin) / count / questions
        for one, out in zip(scores, sums, strict=True):
            radius = len(one.values) // 2
            told = [layout for layout in layouts if layout.tells_sums(one)]
            for layout in told:
                at = begin + layout.sites
                out.place[at], out.slices[at] = _sums(counts[layout.sites], layout, one, spread)
            rest = _others(told, end - begin)
            if len(rest):
                more = text.sums(part.chosen(rest).within(radius), one, spread=spread, **how)
                out.place[begin + rest], out.slices[begin + rest] = more.place, more.slices
            done(share)
        for ladder, out, radius in zip(ladders, depths, reach, strict=True):
            told = [layout for layout in layouts if layout.tells_depths(ladder)]
            for layout in told:
                out[begin + layout.sites] = _depths(counts[layout.sites], layout, ladder)
            rest = _others(told, end - begin)
            if len(rest):
                out[begin + rest] = text.depths(part.chosen(rest).within(radius), ladder, **how)
            done(share)
    return sums, depths


@dataclass(frozen=True)
class _Layout:
    """Which offsets are known in the windows of some sites, by distance.

    sites: (G,), indices of these sites.
    near: the first `NEAR` of them; bit b of a pattern is for near[b].
    far: the others, if all lie on one side; else they are `unseen`.
    """

    sites: NDArray[np.int64]
    near: tuple[int, ...]
    far: tuple[int, ...]
    unseen: tuple[int, ...]

    def tells_sums(self, scores: Matches) -> bool:
        """Whether only agreement with near symbols is worth anything."""
        radius = len(scores.values) // 2
        return not any(abs(d) <= radius and scores.values[radius + d] > 0 for d in self.far + self.unseen)

    def tells_depths(self, ladder: Ladder) -> bool:
        """Whether no other than near symbols are on the ladder, or it goes by distance."""
        offsets = self.near + self.far + self.unseen
        met = tuple(d for rung in ladder for d in rung if d in offsets)
        return set(met) <= set(self.near) or (not self.unseen and met == offsets[: len(met)])


def _layouts(query: TextQuery, scores: Sequence[Matches], ladders: Sequence[Ladder]) -> list[_Layout]:
    """The sites of which patterns tell something that is asked for, by what is known."""
    if not _has_patterns(query.corpus):
        return []
    found: dict[bytes, list[int]] = {}
    for site, known in enumerate(query.known):
        found.setdefault(known.tobytes(), []).append(site)
    out: list[_Layout] = []
    for known, sites in found.items():
        offsets: list[int] = (np.flatnonzero(np.frombuffer(known, np.bool_)) - query.radius).tolist()
        if 0 in offsets:
            continue
        nearest = tuple(sorted(offsets, key=lambda d: (abs(d), d)))
        near, rest = nearest[:NEAR], nearest[NEAR:]
        both = bool(offsets) and offsets[0] < 0 < offsets[-1]
        one = _Layout(np.array(sites, np.int64), near, () if both else rest, rest if both else ())
        if any(map(one.tells_sums, scores)) or any(map(one.tells_depths, ladders)):
            out.append(one)
    return out


def _has_patterns(corpus: TokenCorpus) -> bool:
    """Whether symbols have one byte. With more of them, counts for each pattern and symbol would be too many."""
    return corpus.symbols.itemsize == 1


def _others(told: Sequence[_Layout], count: int) -> NDArray[np.int64]:
    rest = np.ones(count, np.bool_)
    for layout in told:
        rest[layout.sites] = False
    return np.flatnonzero(rest)


def _patterns(query: TextQuery, layouts: Sequence[_Layout], *, threads: int | None, target: str | None) -> Counts:
    """Places of each pattern, and after the last pattern by how many far symbols they agree with too, (Q, rows, V);
    nothing for sites without a layout.
    """
    near = max((len(layout.near) for layout in layouts), default=0)
    far = max((len(layout.far) for layout in layouts), default=0)
    if not layouts:
        return np.zeros((len(query.windows), 0, query.corpus.vocabulary), np.int64)
    site, terms = _terms(query, layouts)
    everything = query.excluded is None and query.only is None and query.part is None
    counts: Counts = _kernel.text_patterns(
        **text.arguments_of(query, site, terms, threads, target),
        near=near,
        far=far,
        pairs=_pairs(query.corpus, query.radius, threads) if everything else None,
    )
    counts[:, 0] = text.totals_of(query, "symbol") - counts[:, 1:].sum(axis=1)
    return counts


def _terms(query: TextQuery, layouts: Sequence[_Layout]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The site, rising, and (offset, symbol, bit or place after the bits) of each known symbol."""
    sites: list[NDArray[np.int64]] = []
    terms: list[NDArray[np.int64]] = []
    for layout in layouts:
        offsets = np.array(layout.near + layout.far, np.int64)
        symbols = query.windows[layout.sites[:, None], query.radius + offsets]
        shape = symbols.shape
        sites.append(np.broadcast_to(layout.sites[:, None], shape).ravel())
        each = (np.broadcast_to(offsets, shape), symbols, np.broadcast_to(np.arange(len(offsets)), shape))
        terms.append(np.stack(each, axis=2).reshape(-1, 3).astype(np.int64))
    site = np.concatenate(sites)
    order = np.argsort(site, kind="stable")
    return site[order], np.concatenate(terms)[order].astype(np.int32)


def _pairs(corpus: TokenCorpus, distances: int, threads: int | None) -> Counts:
    """How often each symbol stands before each other one, at distances from 1 on, (distances, V, V)."""
    known = _PAIRS.get(corpus)
    if known is None or len(known) < distances:
        known = _kernel.text_pairs(
            symbols=corpus.symbols,
            vocabulary=corpus.vocabulary,
            distances=distances,
            threads=default_threads() if threads is None else threads,
        )
        _PAIRS[corpus] = known
    return known


@lru_cache(maxsize=1024)
def _weights(near: tuple[int, ...], scores: Matches) -> tuple[Counts, Counts, Counts]:
    """The place T of each pattern's weight, its halves at T and T - 1, and what the entropy needs of these: (2^n,),
    (2^n, 2), (2^n, 2).
    """
    radius = len(scores.values) // 2
    patterns = np.arange(2 ** len(near))
    score = np.zeros(len(patterns), np.int64)
    for bit, d in enumerate(near):
        if abs(d) <= radius:
            score += scores.values[radius + d] * (patterns >> bit & 1)
    place, weight, log2 = integer_weights(score, scores.span)
    halves = np.stack([weight >> SLICE_BITS, weight % 2**SLICE_BITS], axis=1)
    return place, halves, halves * np.stack([log2, log2 + SLICE_BITS * 4096], axis=1)


def _sliced(place: Counts, halves: Counts, top: int) -> Counts:
    """Halves of weights in the three slices that end at a place, (2^n, 3)."""
    at = top - (SLICES - 1) + np.arange(SLICES)
    upper, lower = (np.where((place - k)[:, None] == at, halves[:, k : k + 1], 0) for k in (0, 1))
    return upper + lower


def _depths(counts: Counts, layout: _Layout, ladder: Ladder) -> Counts:
    """Counts (G, rungs + 1, V) as `text.depths` has them."""
    own, beyond = _parts(counts, layout)
    # Places that agree with all near symbols, by the least number of far ones that they agree with too, from 1 on.
    from_on = beyond[:, ::-1].cumsum(axis=1)[:, ::-1]
    further = from_on[:, 0] if layout.far else np.int64(0)
    out = np.empty((len(counts), len(ladder) + 1, counts.shape[2]), np.int64)
    out[:, 0] = own.sum(axis=1) + further
    patterns = np.arange(own.shape[1])
    known = set(layout.far)
    met = 0
    for k, rung in enumerate(ladder, 1):
        wanted = sum(1 << layout.near.index(d) for d in rung if d in layout.near)
        kept = np.flatnonzero(patterns & wanted == wanted)
        met += len(known.intersection(rung))
        if met:
            out[:, k] = from_on[:, met - 1]
        elif len(kept) == len(patterns):
            out[:, k] = out[:, k - 1]
        else:
            own, patterns = own[:, kept], patterns[kept]
            out[:, k] = own.sum(axis=1) + further
    return out


def _parts(counts: Counts, layout: _Layout) -> tuple[Counts, Counts]:
    """Places of each pattern that go on no further, (G, 2^n, V), and how many of those that agree with all near symbols
    agree with exactly so many far ones, from 1 on.
    """
    return counts[:, : 2 ** len(layout.near)], counts[:, 2**NEAR : 2**NEAR + len(layout.far)]


def _sums(counts: Counts, layout: _Layout, scores: Matches, spread: bool) -> tuple[NDArray[np.int64], Counts]:
    """Highest places (G,) and slices (G, 1 + V (+ 1), 3) as `text.sums` has them."""
    own, beyond = _parts(counts, layout)
    if layout.far:
        own = own.copy()
        own[:, -1] += beyond.sum(axis=1)
    of_all = own.sum(axis=2)
    at, halves, spreads = _weights(layout.near, scores)
    place = np.where(of_all > 0, at, NO_PLACE).max(axis=1)
    slices = np.zeros((len(own), 1 + own.shape[2] + spread, SLICES), np.int64)
    for top in np.unique(place[place != NO_PLACE]).tolist():
        sites = np.flatnonzero(place == top)
        near_top = _sliced(at, halves, top)
        slices[sites, 0] = of_all[sites] @ near_top
        slices[sites, 1 : 1 + own.shape[2]] = own[sites].transpose(0, 2, 1) @ near_top
        if spread:
            slices[sites, -1] = of_all[sites] @ _sliced(at, spreads, top)
    return place, slices
