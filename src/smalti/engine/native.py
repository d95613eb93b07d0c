"""The same sums from the compiled kernel (src/kernel), on threads and vector units.

Long walks are cut into shards of the corpus, whose sums merge exactly, and bands of the states' rows, so that progress
can be shown and a person can interrupt.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from smalti.engine import _kernel  # pyright: ignore[reportAttributeAccessIssue]
from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES, Partial
from smalti.engine.posterior import Sources
from smalti.engine.query import Query
from smalti.errors import UsageError

Tick = Callable[[float], None]

MOST_THREADS = 1024
# Pairs in one call of the kernel: about a second's work. With fewer items vector lanes would idle, and with fewer rows
# of the states filling the windows would cost more than the rest.
_SHARD_PAIRS = 4e9
_LEAST_ITEMS = 16
_LEAST_ROWS = 8
# Bytes of sums that all threads may hold, if one state needs no more.
_SUMS_BYTES = 256e6
# Behind every score there is, its sign turned.
_NO_SCORE = np.iinfo(np.int64).max
# Bytes of a chunk of items' own sums.
_ITEM_SUMS_BYTES = 64e6


@cache
def targets() -> dict[str, int]:
    """Kernels this processor can run, widest first: name -> vector lanes."""
    return dict(_kernel.targets())


def default_target() -> str:
    """The widest kernel, or the one named by the environment variable SMALTI_KERNEL."""
    wanted = os.environ.get("SMALTI_KERNEL")
    if not wanted:
        return next(iter(targets()))
    if wanted not in targets():
        raise UsageError(
            f"SMALTI_KERNEL={wanted} is not a kernel of this processor: choose from {', '.join(targets())}"
        )
    return wanted


def default_threads() -> int:
    """The processors this process may use, or the number in the environment variable SMALTI_THREADS."""
    wanted = os.environ.get("SMALTI_THREADS")
    if not wanted:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not wanted.isdecimal() or not 1 <= int(wanted) <= MOST_THREADS:
        raise UsageError(f"SMALTI_THREADS={wanted} is not a number of threads: give 1 to {MOST_THREADS}")
    return int(wanted)


def pairs_per_item(query: Query) -> int:
    """How many (state site, corpus site) pairs one state and one item make."""
    if query.admission.whole != "no":
        sites = int(np.prod(query.states.shape[1:3]))
        return sites * (sites if query.admission.whole == "every-shift" else 1)
    total = 0
    for rows, columns in query.admission.pairs:
        n = 1
        for span in (rows, columns):
            n *= (span.state1 - span.state0) * (span.corpus1 - span.corpus0 if span.place == "free" else 1)
        total += n
    return total


def sums(
    query: Query,
    *,
    spread: bool = False,
    threads: int | None = None,
    target: str | None = None,
    tick: Tick | None = None,
    start: NDArray[np.int64] | None = None,
    skip: NDArray[np.int64] | None = None,
) -> Partial:
    """Exact sums over all items. Tier: bitwise; neither threads, target, shards nor batch change a bit.

    Args:
        query: what to compute.
        spread: also what the entropy needs.
        threads: worker threads; all processors by default.
        target: instruction set, one of `targets()`; the widest by default.
        tick: called with the share of the work done since the last call.
        start: int64 (B, H, W), the places to sum from, where a part is wanted on the scale of the whole.
        skip: int64 (B, H, W), an item of the query that may not serve the site, -1 for none. The sums of the site are
            those of a corpus without that item.
    """
    shape = query.states.shape[:3]
    if start is None:
        start = np.full(shape, NO_PLACE, np.int64)
    if start.shape != shape or start.dtype != np.int64:
        raise UsageError("the places to sum from are one int64 for each site of each state")
    if skip is not None:
        if skip.shape != shape or skip.dtype != np.int64 or skip.min() < -1 or skip.max() >= len(query.images):
            raise UsageError("the items to skip are one int64 for each site of each state: an item of the query, or -1")
        if query.admission.whole != "no":
            return _whole_sums_without(query, skip, spread, threads, target, tick, start)
    place, slices = start.copy(), np.zeros((*shape, 1 + query.images.shape[3] + spread, SLICES), np.int64)
    for part in _parts(query, slices.shape[-2]):
        places, sums_of_part = _kernel.sums(
            **_arguments(part.query, threads, target),
            spread=spread,
            start=np.ascontiguousarray(start[part.states]),
            skip=None if skip is None else _within(skip[part.states], part.first, len(part.query.images)),
        )
        found = Partial(places[:, part.rows], sums_of_part[:, part.rows], query.images.shape[3])
        here = part.states, part.rows
        if part.first > 0:
            found = found.merge(Partial(place[here], slices[here], found.channels))
        place[here], slices[here] = found.place, found.slices
        if tick is not None:
            tick(part.share)
    return Partial(place, slices, query.images.shape[3])


def _within(skip: NDArray[np.int64], first: int, items: int) -> NDArray[np.int64]:
    """The items to skip as those of a shard that begins at item `first`."""
    return np.where((skip >= first) & (skip < first + items), skip - first, -1)


def _whole_sums_without(
    query: Query,
    skip: NDArray[np.int64],
    spread: bool,
    threads: int | None,
    target: str | None,
    tick: Tick | None,
    start: NDArray[np.int64],
) -> Partial:
    """`sums` with `skip` for whole-image machines: a walk for each of the items that some site skips."""
    items = len(query.images)
    place, skipped = start.copy(), np.unique(skip)
    slices = np.zeros((*skip.shape, 1 + query.images.shape[3] + spread, SLICES), np.int64)
    for n in map(int, skipped):
        chosen = skip == n
        for begin, end in ((0, items),) if n < 0 else ((0, n), (n + 1, items)):
            if begin == end:
                continue
            part = _of_items(query, begin, end)
            found = Partial(place, slices, query.images.shape[3]).merge(
                sums(part, spread=spread, threads=threads, target=target, start=start)
            )
            place = np.where(chosen, found.place, place)
            slices = np.where(chosen[..., None, None], found.slices, slices)
            if tick is not None:
                tick((end - begin) / ((items - (n >= 0)) * len(skipped)))
    return Partial(place, slices, query.images.shape[3])


def sources(
    query: Query,
    total: Partial,
    *,
    keep: int,
    items: NDArray[np.int64] | None = None,
    threads: int | None = None,
    target: str | None = None,
    tick: Tick | None = None,
) -> Sources:
    """The `keep` best sources of each site, with exact weights; `total` are the sums of the same query. Tier: bitwise.

    `items` renames the items of the query, int64 (N,). `tick` is called with the share of the work done since the last
    call. Of whole-image machines a source is the pixel of an item (or of
    its circular shift) that stands at the site.

    Equal scores are listed by item, row and column.
    """
    if keep < 1:
        raise UsageError(f"ask for at least one source, not {keep}")
    kept, rows = best(query, keep, threads=threads, target=target, tick=tick)
    score, item, row, column = np.moveaxis(rows, -1, 0)
    present = np.arange(keep) < kept[..., None]
    place, weight, _ = integer_weights(np.where(present, score, 0), query.span)
    down = np.clip(total.place[..., None] - place, 0, SLICES)
    mass = np.where(present, (weight << SLICE_BITS) >> (SLICE_BITS * down), 0)
    whole = total.totals()[..., 0]
    return Sources(
        item=np.where(present, item if items is None else items[np.where(present, item, 0)], -1),
        row=np.where(present, row, -1),
        column=np.where(present, column, -1),
        weight=mass / whole[..., None],
        left_out=(whole - mass.sum(axis=-1)) / whole,
    )


def nearest(
    query: Query, *, threads: int | None = None, target: str | None = None, tick: Tick | None = None
) -> NDArray[np.int64]:
    """The best source of each site as int64 (B, H, W, 4): score, item of the query, row, column; -1 for all of them
    where there is none. Equal scores go by item, row and column. Tier: bitwise.

    `tick` is called with the share of the work done since the last call.
    """
    kept, rows = best(query, 1, threads=threads, target=target, tick=tick)
    return np.where(kept[..., None] > 0, rows[..., 0, :], -1)


def best(
    query: Query, keep: int, *, threads: int | None = None, target: str | None = None, tick: Tick | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The `keep` best sources of each site, best first; equal scores go by item, row and column. Tier: bitwise.

    `tick` is called with the share of the work done since the last call.

    Returns:
        How many each site has, at most `keep`, int64 (B, H, W); and score, item of the query, row and column of each,
        int64 (B, H, W, keep, 4).
    """
    kept = np.zeros(query.states.shape[:3], np.int64)
    rows = np.zeros((*kept.shape, keep, 4), np.int64)
    for part in _parts(query, 8 * keep):
        here = part.states, part.rows
        counts, found = (f[:, part.rows] for f in _kernel.sources(**_arguments(part.query, threads, target), keep=keep))
        found = found + np.array([0, part.first, 0, 0])
        if part.first > 0:
            # Shards come in the order of the items and the sort is stable, so equal scores stay in order.
            both = np.concatenate([rows[here], found], axis=-2)
            there = np.concatenate([np.arange(keep) < n[..., None] for n in (kept[here], counts)], axis=-1)
            order = np.argsort(np.where(there, -both[..., 0], _NO_SCORE), axis=-1, kind="stable")[..., :keep]
            found = np.take_along_axis(both, order[..., None], axis=-2)
            counts = np.minimum(kept[here] + counts, keep)
        kept[here], rows[here] = counts, found
        if tick is not None:
            tick(part.share)
    return kept, rows


def item_sums(
    query: Query,
    start: NDArray[np.int64],
    *,
    pixels: bool = False,
    threads: int | None = None,
    target: str | None = None,
) -> NDArray[np.int64]:
    """Each item's own sums on a given scale, int64 (N, B, H, W, Q, 3). Tier: bitwise.

    They are the slices of `sums(that item alone, start=start)`, so those of all items add up to the corpus's. Q = 1,
    the weight; with `pixels` Q = 1 + C, also the weight times q for each channel. See `item_chunks` for bounded parts.

    Args:
        query: the items.
        start: int64 (B, H, W), the places of the sums over a corpus with these items.
        pixels: also the weighted channels.
        threads: worker threads; all processors by default.
        target: instruction set, one of `targets()`; the widest by default.

    Raises:
        UsageError: if an item has a source above its site's place, so that these are not the places of its corpus.
    """
    if start.shape != query.states.shape[:3] or start.dtype != np.int64:
        raise UsageError("the places to sum from are one int64 for each site of each state")
    total: NDArray[np.int64] | None = None
    for _, band in _bands(query):
        arguments = _arguments(band, threads, target)
        fits, slices = _kernel.item_sums(**arguments, pixels=pixels, start=np.ascontiguousarray(start))
        if not fits:
            raise UsageError("the places to sum from are not those of a corpus with these items")
        if total is None:
            total = slices
        else:  # (other rows are zero)
            total += slices
    assert total is not None
    return total


def item_chunks(query: Query, *, pixels: bool = False) -> Iterator[tuple[int, Query]]:
    """The query for a few items at a time, each with the index of its first item.

    The items' own sums of a chunk are about 64 MB (more only where those of one item are), and about a second's work.
    """
    per_item = int(np.prod(query.states.shape[:3])) * (1 + query.images.shape[3] if pixels else 1) * SLICES * 8
    work = pairs_per_item(query) * len(query.states)
    step = max(1, int(min(_ITEM_SUMS_BYTES / per_item, max(_LEAST_ITEMS, _SHARD_PAIRS / work))))
    for begin in range(0, len(query.images), step):
        yield begin, _of_items(query, begin, begin + step)


def shares(
    query: Query, total: Partial, *, threads: int | None = None, target: str | None = None
) -> NDArray[np.float64]:
    """The share of each item at each site, float64 (N, B, H, W); `total` are the sums of the same query.

    Tier: bitwise.
    """
    out = np.empty((len(query.images), *total.place.shape))
    whole = total.totals()[..., 0]
    for begin, part in item_chunks(query):
        slices = item_sums(part, total.place, threads=threads, target=target)
        out[begin : begin + len(slices)] = Partial(total.place, slices, 0).totals()[..., 0] / whole
    return out


def _arguments(query: Query, threads: int | None, target: str | None) -> dict[str, object]:
    if threads is not None and threads < 1:
        raise UsageError(f"the kernel needs at least 1 thread, not {threads}")
    rects = np.array(
        [
            (
                r.state0,
                r.state1,
                c.state0,
                c.state1,
                r.corpus0,
                r.corpus1,
                c.corpus0,
                c.corpus1,
                r.place == "fixed",
                c.place == "fixed",
            )
            for r, c in query.admission.pairs
        ],
        np.int32,
    ).reshape(-1, 10)
    exclusions = np.array(
        [(*e.items, *e.offset, e.radius) for e in map(query.exclusion, range(len(query.states)))], np.int64
    )
    return {
        "images": query.images,
        "padded": query.admission.pad(query.states),
        "exclusions": exclusions,
        "rects": rects,
        "half": query.admission.half,
        "signal": query.level.signal,
        "span": query.span,
        "rate": np.float32(15.0 / query.span),
        "shifts": query.admission.whole == "every-shift",
        "threads": default_threads() if threads is None else threads,
        "target": default_target() if target is None else target,
    }


@dataclass(frozen=True)
class _Part:
    """A part of a query that one call of the kernel answers: about a second's work, so that a person can interrupt."""

    states: slice
    rows: slice  # of the states
    first: int  # item
    share: float  # of the query's work
    query: Query


def _parts(query: Query, quantities: int) -> Iterator[_Part]:
    """The query in parts. The items of the same states and rows come in order, the first of them with `first` 0."""
    work = pairs_per_item(query) * len(query.states) * len(query.images)
    for states, chunk in _chunks(query, quantities):
        for rows, band in _bands(chunk):
            per_item = pairs_per_item(band) * len(band.states)
            for first, shard in _shards(band):
                yield _Part(states, rows, first, per_item * len(shard.images) / work, shard)


def _chunks(query: Query, quantities: int) -> Iterator[tuple[slice, Query]]:
    """The query for a few states at a time, so that a thread's sums stay small."""
    per_state = int(np.prod(query.states.shape[1:3])) * quantities * 32
    step = max(1, int(_SUMS_BYTES / per_state / default_threads()))
    for begin in range(0, len(query.states), step):
        chosen = slice(begin, begin + step)
        yield chosen, replace(query, states=query.states[chosen], exclusions=query.exclusions[chosen])


def _bands(query: Query) -> Iterator[tuple[slice, Query]]:
    """The query for some rows of the states at a time, where a few items make more than a second's work."""
    _, height, width, _ = query.states.shape
    least = pairs_per_item(query) * len(query.states) * min(_LEAST_ITEMS, len(query.images))
    bands = 1 if query.admission.whole != "no" else max(1, math.ceil(least / _SHARD_PAIRS))
    step = max(_LEAST_ROWS, math.ceil(height / bands))
    for begin in range(0, height, step):
        if begin == 0 and step >= height:
            yield slice(0, height), query
            continue
        admission = query.admission.within((begin, begin + step), (0, width))
        if admission.pairs:
            yield slice(begin, begin + step), replace(query, admission=admission)


def _shards(query: Query) -> Iterator[tuple[int, Query]]:
    """The query for a part of the corpus at a time, each with the index of its first item."""
    least = 1 if query.admission.whole != "no" else _LEAST_ITEMS
    step = max(least, int(_SHARD_PAIRS / (pairs_per_item(query) * len(query.states))))
    for begin in range(0, len(query.images), step):
        yield begin, _of_items(query, begin, begin + step)


def _of_items(query: Query, begin: int, end: int) -> Query:
    """The query for items [begin, end) only."""
    images = query.images[begin:end]

    def within(item: int) -> int:
        return min(max(item - begin, 0), len(images))

    exclusions = tuple(replace(e, items=(within(e.items[0]), within(e.items[1]))) for e in query.exclusions)
    return replace(query, images=images, exclusions=exclusions)
