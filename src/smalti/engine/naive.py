"""The definition, in NumPy integers, written to be read: what the kernel must equal byte for byte.

It looks at one state site at a time, takes the admitted patches out one by one, and adds up their weights one after
the other. Far too slow for real use; the tests compare it with the kernel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES, Partial
from smalti.engine.query import Exclusion, Query
from smalti.window import Admission, Span


def centred(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels as the odd integers 2u - 255; same shape."""
    return 2 * images.astype(np.int64) - 255


def sums(query: Query, *, spread: bool = False, skip: NDArray[np.int64] | None = None) -> Partial:
    """Exact sums over all sources, as `smalti.engine.native.sums`; `skip` is int64 (B, H, W). Tier: bitwise."""
    b, height, width, channels = query.states.shape
    highest = np.full((b, height, width), NO_PLACE, np.int64)
    slices = np.zeros((b, height, width, 1 + channels + spread, SLICES), np.int64)
    for state in range(b):
        left_out = range(*query.exclusion(state).items)
        for y, x, scores, pixels in sites(query, state):
            found = [
                (place, weight, log2, q)
                for n, (of_item, pixels_of_item) in enumerate(zip(scores, pixels, strict=True))
                if n not in left_out and (skip is None or n != skip[state, y, x])
                for place, weight, log2, q in zip(
                    *integer_weights(np.array(of_item, np.int64), query.span), pixels_of_item, strict=True
                )
            ]
            if not found:
                continue
            top = highest[state, y, x] = max(place for place, *_ in found)
            for place, weight, log2, q in found:
                halves = ((place, weight >> SLICE_BITS, log2), (place - 1, weight % 2**SLICE_BITS, log2 + 15 * 4096))
                for at, part, log2_above in halves:
                    j = at - top + SLICES - 1
                    if j >= 0:
                        amounts = [part, *(part * q), part * log2_above]
                        slices[state, y, x, :, j] += amounts[: 1 + channels + spread]
    return Partial(highest, slices, channels)


def item_sums(query: Query, start: NDArray[np.int64], *, pixels: bool = False) -> NDArray[np.int64]:
    """Each item's own sums from the places `start` on, as `smalti.engine.native.item_sums`. Tier: bitwise."""
    out: list[NDArray[np.int64]] = []
    for n in range(len(query.images)):
        exclusions = tuple(
            replace(e, items=(0, int(n in range(*e.items)))) for e in map(query.exclusion, range(len(query.states)))
        )
        alone = sums(replace(query, images=query.images[n : n + 1], exclusions=exclusions))
        out.append(alone.raised(start)[..., : 1 + query.images.shape[3] if pixels else 1, :])
    return np.stack(out)


def sites(query: Query, state: int):
    """Each state site with the scores of its admitted corpus sites: (y, x, list of scores per item, list of pixels
    per item).

    Scores are lists of integers E; pixels are arrays (admitted, C). For whole-image machines an admitted site is an
    item or a shift of it, and its score is the same for all state sites.
    """
    q = centred(query.images)
    x_t = query.states[state].astype(np.int64)
    eight_a = 8.0 * query.level.signal
    height, width, _ = x_t.shape
    items, channels = len(q), q.shape[3]
    if query.admission.whole != "no":
        every = query.admission.whole == "every-shift"
        shifts = [(dy, dx) for dy in range(height if every else 1) for dx in range(width if every else 1)]
        moved = [np.roll(q, (-dy, -dx), axis=(1, 2)) for dy, dx in shifts]
        offset = [int(np.rint(eight_a * float((q[n] ** 2).sum()))) for n in range(items)]
        scores = [[int((x_t * m[n]).sum()) - offset[n] for m in moved] for n in range(items)]
        for y in range(height):
            for x in range(width):
                yield y, x, scores, [np.stack([m[n, y, x] for m in moved]) for n in range(items)]
        return
    half = query.admission.half
    size = 2 * half + 1
    state_windows = sliding_window_view(
        query.admission.pad(query.states)[state].astype(np.int64), (size, size), axis=(0, 1)
    )  # pyright: ignore[reportCallIssue, reportArgumentType]
    padded = np.pad(q, ((0, 0), (half, half), (half, half), (0, 0)))
    corpus_windows = sliding_window_view(padded, (size, size), axis=(1, 2))  # pyright: ignore[reportCallIssue, reportArgumentType]
    exclusion = query.exclusion(state)
    for rows, columns in query.admission.pairs:
        for y in range(rows.state0, rows.state1):
            for x in range(columns.state0, columns.state1):
                admitted = [
                    (j, k)
                    for j in _places(rows, y)
                    for k in _places(columns, x)
                    if not _overlaps(exclusion, j - y, k - x)
                ]
                scores, pixels = [], []
                for n in range(items):
                    scores.append(
                        [
                            int((state_windows[y, x] * corpus_windows[n, j, k]).sum())
                            - int(np.rint(eight_a * float((corpus_windows[n, j, k] ** 2).sum())))
                            for j, k in admitted
                        ]
                    )
                    pixels.append(np.array([q[n, j, k] for j, k in admitted]).reshape(len(admitted), channels))
                yield y, x, scores, pixels


def nearest(images: NDArray[np.uint8], picture: NDArray[np.uint8], admission: Admission) -> NDArray[np.int64]:
    """The nearest admitted patch of each site of a picture (H, W, C): squared distance in units of q = 2u - 255, item,
    row, column; int64 (H, W, 4), -1 where there is none. Equally near ones go by item, row and column.

    `smalti.receipts.nearest_patches` finds the same from scores. Tier: bitwise.
    """
    half = admission.half
    around = ((half, half), (half, half), (0, 0))
    state = np.pad(centred(picture), around, "wrap" if admission.padding == "circular" else "constant")
    items = np.pad(centred(images), ((0, 0), *around))
    size = 2 * half + 1
    out = np.full((*picture.shape[:2], 4), -1, np.int64)
    for rows, columns in admission.pairs:
        for y in range(rows.state0, rows.state1):
            for x in range(columns.state0, columns.state1):
                window = state[y : y + size, x : x + size]
                out[y, x] = min(
                    (int(((window - item[j : j + size, k : k + size]) ** 2).sum()), n, j, k)
                    for n, item in enumerate(items)
                    for j in _places(rows, y)
                    for k in _places(columns, x)
                )
    return out


def _places(span: Span, place: int) -> range:
    if span.place == "fixed":
        return range(span.corpus0 + place - span.state0, span.corpus0 + place - span.state0 + 1)
    return range(span.corpus0, span.corpus1)


def _overlaps(exclusion: Exclusion, dy: int, dx: int) -> bool:
    return abs(dy - exclusion.offset[0]) < exclusion.radius and abs(dx - exclusion.offset[1]) < exclusion.radius
