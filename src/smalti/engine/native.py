"""The same sums from the compiled kernel (src/kernel), on threads and vector units.

Long walks are cut into shards of the corpus, whose sums merge exactly, so that progress can be shown and a person can
interrupt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from smalti.engine import _kernel  # pyright: ignore[reportAttributeAccessIssue]
from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES, Partial
from smalti.engine.posterior import Sources
from smalti.engine.query import Exclusion, Query
from smalti.errors import UsageError

Tick = Callable[[float], None]

MOST_THREADS = 1024
# Pairs in one call of the kernel: about a second's work.
_SHARD_PAIRS = 4e9
# Bytes of sums that all threads may hold, if one state needs no more.
_SUMS_BYTES = 256e6


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
) -> Partial:
    """Exact sums over all items. Tier: bitwise; neither threads, target, shards nor batch change a bit.

    Args:
        query: what to compute.
        spread: also what the entropy needs.
        threads: worker threads; all processors by default.
        target: instruction set, one of `targets()`; the widest by default.
        tick: called with the share of the work done since the last call.
        start: int64 (B, H, W), the places to sum from, where a part is wanted on the scale of the whole.
    """
    batches: list[Partial] = []
    if start is None:
        start = np.full(query.states.shape[:3], NO_PLACE, np.int64)
    if start.shape != query.states.shape[:3] or start.dtype != np.int64:
        raise UsageError("the places to sum from are one int64 for each site of each state")
    done = 0
    for chunk in _chunks(query, 1 + query.images.shape[3] + spread):
        total: Partial | None = None
        begin, done = done, done + len(chunk.states)
        for part in _shards(chunk):
            place, slices = _kernel.sums(
                **_arguments(part, threads, target),
                spread=spread,
                shifts=part.admission.whole == "every-shift",
                start=np.ascontiguousarray(start[begin:done]),
            )
            found = Partial(place, slices, query.images.shape[3])
            total = found if total is None else total.merge(found)
            if tick is not None:
                tick(len(part.states) * len(part.images) / (len(query.states) * len(query.images)))
        assert total is not None
        batches.append(total)
    if len(batches) == 1:
        return batches[0]
    return Partial(
        np.concatenate([p.place for p in batches]),
        np.concatenate([p.slices for p in batches]),
        query.images.shape[3],
    )


def sources(
    query: Query,
    total: Partial,
    *,
    keep: int,
    items: NDArray[np.int64] | None = None,
    threads: int | None = None,
    target: str | None = None,
) -> Sources:
    """The `keep` best sources of each site, with exact weights; `total` are the sums of the same query. Tier: bitwise.

    `items` renames the items of the query, int64 (N,).

    Equal scores are listed by item, row and column.
    """
    if query.admission.whole != "no":
        raise UsageError("whole-image machines have whole items as sources: ask for shares")
    if keep < 1:
        raise UsageError(f"ask for at least one source, not {keep}")
    found = [_kernel.sources(**_arguments(part, threads, target), keep=keep) for part in _chunks(query, 8 * keep)]
    kept = np.concatenate([f[0] for f in found])
    rows = np.concatenate([f[1] for f in found])
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


def shares(
    query: Query, total: Partial, items: NDArray[np.int64], *, threads: int | None = None, target: str | None = None
) -> NDArray[np.float64]:
    """The share of each of the items at each site, float64 (len(items), B, H, W); `total` are the sums over the whole
    corpus.

    Tier: bitwise.
    """
    out = np.empty((len(items), *total.place.shape))
    whole = total.totals()[..., 0]
    for i, n in enumerate(items):
        exclusions = tuple(
            replace(e, items=(0, 1) if e.items[0] <= n < e.items[1] else (0, 0)) for e in query.exclusions
        )
        alone = replace(query, images=np.ascontiguousarray(query.images[n : n + 1]), exclusions=exclusions)
        out[i] = sums(alone, threads=threads, target=target, start=total.place).totals()[..., 0] / whole
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
        "threads": default_threads() if threads is None else threads,
        "target": default_target() if target is None else target,
    }


def _chunks(query: Query, quantities: int) -> Iterator[Query]:
    """The query for a few states at a time, so that a thread's sums stay small."""
    per_state = int(np.prod(query.states.shape[1:3])) * quantities * 32
    step = max(1, int(_SUMS_BYTES / per_state / default_threads()))
    for begin in range(0, len(query.states), step):
        chosen = slice(begin, begin + step)
        yield replace(query, states=query.states[chosen], exclusions=query.exclusions[chosen])


def _shards(query: Query) -> Iterator[Query]:
    """The query for a part of the corpus at a time."""
    step = max(16, int(_SHARD_PAIRS / (pairs_per_item(query) * len(query.states))))
    for begin in range(0, len(query.images), step):
        end = min(begin + step, len(query.images))
        yield replace(
            query,
            images=query.images[begin:end],
            exclusions=tuple(
                Exclusion(
                    (min(max(e.items[0], begin), end) - begin, min(max(e.items[1], begin), end) - begin),
                    e.offset,
                    e.radius,
                )
                for e in query.exclusions
            ),
        )
