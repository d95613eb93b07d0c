"""The largest region that a picture has in common with one item of a corpus: match, whatever the picture came from.

`copied_region` finds the largest connected set of pixels that one item has in the same arrangement: a connected union
of windows of side P, each of them equal to the window of the item at one and the same displacement.

The search is exact. Each window of the picture has a number, and a window of an item that of the windows equal to it.
How many pixels lie in windows that an item has anywhere bounds its regions, and how many lie in windows that it has at
one displacement bounds the region there; only what may beat the largest region so far is looked at more closely, in
the end pixel by pixel. (Windows are told apart by 32 bits, so that two different ones may have one number by chance:
a bound then is looser than it could be, and nothing else changes.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from smalti.engine import native
from smalti.progress import SILENT, Progress

__all__ = ["CopiedRegion", "copied_region"]

# Values of items that are held at a time; those of the first items searched, few but enough to be worth a comparison;
# and displacements that a thread looks at between two signs of progress.
_CHUNK_VALUES = 4_000_000
_FIRST_VALUES = 50_000
_BLOCK = 256

Slices = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class CopiedRegion:
    """The largest connected set of pixels that one item has as well, all at one displacement. Tier: bitwise.

    pixels: how many.
    item: the item; the first, where several give regions as large.
    displacement: (rows, columns) from a pixel of the picture to that of the item.
    mask: bool (H, W), the pixels.
    others: how many other items have the very same pixels at the same places.
    """

    pixels: int
    item: int
    displacement: tuple[int, int]
    mask: NDArray[np.bool_]
    others: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest rectangle around it: first row, first column, height, width."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def copied_region(
    images: NDArray[np.uint8], picture: NDArray[np.uint8], *, patch_size: int = 3, progress: Progress = SILENT
) -> CopiedRegion | None:
    """The largest connected union of windows that are equal to those of one item at one displacement.

    Args:
        images: the items, uint8 (N, H', W', C).
        picture: uint8 (H, W, C).

    Keyword Args:
        patch_size: side of the windows; pixels that are equal by chance make no such windows.
        progress: shows how far the search is.

    Returns:
        The region, the first by item and displacement of equally large ones; None where no window is equal. Tier:
        bitwise.
    """
    search = _Search(images, picture, patch_size)
    with progress.task("looking for windows in common", len(images)) as task:
        bounds = search.bounds(task.advance)
    with progress.task("looking for copied regions", len(images)) as task:
        for share in search.run(bounds):
            task.advance(share * len(images))
    if search.best is None:
        return None
    pixels, item, dy, dx = search.best
    to, there = _overlap(picture.shape[:2], images.shape[1:3], dy, dx)
    mask = np.zeros(picture.shape[:2], bool)
    mask[to] = _largest(_equal_windows(picture[to], images[item][there], patch_size))
    rows, columns = np.nonzero(mask)
    others = sum(
        int((some[:, rows + dy, columns + dx] == picture[rows, columns]).all(axis=(1, 2)).sum())
        for some in _parts(images, len(rows))
    )
    return CopiedRegion(pixels, item, (dy, dx), mask, others - 1)


class _Search:
    """Branch and bound over (item, displacement)."""

    def __init__(self, images: NDArray[np.uint8], picture: NDArray[np.uint8], patch_size: int) -> None:
        self.best: tuple[int, int, int, int] | None = None  # pixels, item, displacement
        self._images, self._picture, self._size = images, picture, patch_size
        self._known, names = np.unique(_codes(picture[None], patch_size)[0], return_inverse=True)
        # (The shape of the inverse depends on NumPy's version.)
        self._own = self._small(names.reshape(picture.shape[0] - patch_size + 1, -1))
        self._lock = Lock()

    def bounds(self, advance: Callable[[int], None]) -> NDArray[np.int64]:
        """How many pixels of the picture lie in windows that an item has, (N,): no region of it is larger."""
        out = []
        for part in _parts(self._images, int(np.prod(self._images.shape[1:3]))):
            for names in self._names(part):
                there = np.zeros(len(self._known) + 1, bool)
                there[names] = True
                there[-1] = False
                out.append(_spread(there[self._own], self._size).sum())
            advance(len(part))
        return np.array(out, np.int64)

    def run(self, bounds: NDArray[np.int64]) -> Iterator[float]:
        """Searches, and tells the shares of the work as they are done."""
        tall, wide = self._images.shape[1:3]
        order = np.argsort(-bounds, kind="stable")
        displacements = _displacements(self._picture.shape[:2], (tall, wide), self._size)
        threads = native.default_threads()
        most, some = (max(1, values // (tall * wide)) for values in (_CHUNK_VALUES, _FIRST_VALUES))
        begin = 0
        with ThreadPoolExecutor(threads) as pool:
            # The most promising items come first, and few of them: they may rule out all others.
            while len(items := order[begin : begin + min(some, most)]):
                done = len(items) / len(order)
                begin, some = begin + len(items), 4 * some
                items = np.sort(items[bounds[items] >= (self.best[0] if self.best else 1)])
                if not len(items):
                    yield done
                    continue
                # Items last, so that each comparison is one long row.
                names = np.ascontiguousarray(np.moveaxis(self._names(self._images[items]), 0, -1))
                for first in range(0, len(displacements), _BLOCK * threads):
                    block = displacements[first : first + _BLOCK * threads]
                    tasks = [pool.submit(self._bounds, names, items, block[i::threads]) for i in range(threads)]
                    found = np.concatenate([task.result() for task in tasks])
                    bound, item, dy, dx = found.T
                    for row in found[np.lexsort((dx, dy, item, -bound))].tolist():
                        self._try(*row)
                    yield done * len(block) / len(displacements)

    def _small(self, names: NDArray[np.int64]) -> NDArray[Any]:
        return names.astype(np.uint16 if len(self._known) < 2**16 else np.uint32)

    def _names(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """The number of each inner window of items; one that the picture does not have gets the next free number."""
        codes = _codes(images, self._size)
        at = np.minimum(np.searchsorted(self._known, codes), len(self._known) - 1)
        return self._small(np.where(self._known[at] == codes, at, len(self._known)))

    def _bounds(self, names: NDArray[Any], items: NDArray[np.int64], part: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows (bound, item, dy, dx) of all that may beat the best region so far, each displacement's most promising
        one tried at once.
        """
        out = [np.empty((0, 4), np.int64)]
        size = self._size
        for dy, dx in part.tolist():
            least = self.best[0] if self.best else 1
            to, there = _overlap(self._own.shape, names.shape[:2], dy, dx)
            rows, columns = (s.stop - s.start + size - 1 for s in to)
            if rows * columns < least:
                break  # the parts that follow overlap even less
            equal = self._own[to][:, :, None] == names[there]
            good = np.flatnonzero(_count(equal) * size * size >= least)
            bounds = _count(_spread(equal[:, :, good], size)) if len(good) else good
            good, bounds = items[good[bounds >= least]], bounds[bounds >= least]
            if len(good):
                out.append(np.stack([bounds, good, np.full_like(good, dy), np.full_like(good, dx)], axis=1))
                self._try(*out[-1][np.argmax(bounds)].tolist())
        return np.concatenate(out)

    def _try(self, bound: int, item: int, dy: int, dx: int) -> None:
        """Compares pixel by pixel, unless the bound says that nothing can be won."""
        if not self._better(bound, item, dy, dx):
            return
        to, there = _overlap(self._picture.shape[:2], self._images.shape[1:3], dy, dx)
        pixels = int(_largest(_equal_windows(self._picture[to], self._images[item][there], self._size)).sum())
        with self._lock:
            if pixels and self._better(pixels, item, dy, dx):
                self.best = (pixels, item, dy, dx)

    def _better(self, pixels: int, item: int, dy: int, dx: int) -> bool:
        return self.best is None or (-pixels, item, dy, dx) < (-self.best[0], *self.best[1:])


def _parts(images: NDArray[np.uint8], values: int) -> Iterator[NDArray[np.uint8]]:
    """A bounded number of items at a time, where `values` of each are wanted."""
    step = max(1, _CHUNK_VALUES // max(1, values))
    for begin in range(0, len(images), step):
        yield images[begin : begin + step]


def _displacements(picture: tuple[int, ...], item: tuple[int, ...], size: int) -> NDArray[np.int64]:
    """All with room for a window, (D, 2), those of large overlap first: their regions rule out much of the rest."""
    lengths = []
    for own, other in zip(picture, item, strict=True):
        d = np.arange(size - own, other - size + 1)
        lengths.append((d, np.minimum(own, other - d) - np.maximum(0, -d)))
    (rows, tall), (columns, wide) = lengths
    order = np.argsort(-(tall[:, None] * wide).ravel(), kind="stable")
    return np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))], axis=1)[order]


def _overlap(picture: tuple[int, ...], item: tuple[int, ...], dy: int, dx: int) -> tuple[Slices, Slices]:
    """Where the two overlap when (dy, dx) leads from a place of the picture to that of the item, in either."""
    to, there = [], []
    for own, other, d in ((picture[0], item[0], dy), (picture[1], item[1], dx)):
        begin, end = max(0, -d), min(own, other - d)
        to.append(slice(begin, end))
        there.append(slice(begin + d, end + d))
    return (to[0], to[1]), (there[0], there[1])


def _codes(images: NDArray[np.uint8], size: int) -> NDArray[np.uint32]:
    """32 bits for each inner window, the same for equal windows, (N, H - size + 1, W - size + 1)."""
    across, down = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77)
    code = np.zeros(images.shape[:3], np.uint32)
    for channel in range(images.shape[3]):
        code = code * np.uint32(0xC2B2AE3D) + images[..., channel]
    for axis, factor in ((2, across), (1, down)):
        windows = sliding_window_view(code, size, axis=axis)
        code = windows[..., 0].copy()
        for place in range(1, size):
            code = code * factor + windows[..., place]
    return code


def _count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true for each item, (h, w, n) to (n,)."""
    total = np.zeros(mask.shape[2], np.int64)
    for begin in range(0, len(mask), 255):
        # At most 255 rows add up without leaving a byte.
        total += mask[begin : begin + 255].view(np.uint8).sum(axis=0, dtype=np.uint8).sum(axis=0, dtype=np.int64)
    return total


def _spread(equal: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pixels that lie in an equal window, (h, w, ...) to (h + size - 1, w + size - 1, ...)."""
    out = equal
    for axis in (0, 1):
        wider = np.zeros((*out.shape[:axis], out.shape[axis] + size - 1, *out.shape[axis + 1 :]), bool)
        for place in range(size):
            wider[(slice(None),) * axis + (slice(place, place + out.shape[axis]),)] |= out
        out = wider
    return out


def _equal_windows(a: NDArray[np.uint8], b: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Pixels (H, W) that lie in a window in which two pictures of one size are equal."""
    equal = (a == b).all(axis=2)
    return _spread(sliding_window_view(equal, (size, size)).all(axis=(2, 3)), size)  # pyright: ignore[reportCallIssue, reportArgumentType]


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part of a mask (H, W) that hangs together along rows and columns; the first of equally large ones."""
    # Runs of each row, joined where they touch a run of the row above.
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    root = list(range(len(row)))

    def find(run: int) -> int:
        while root[run] != run:
            root[run] = run = root[root[run]]
        return run

    starts = np.searchsorted(row, np.arange(len(mask) + 1)).tolist()
    left, right = begin.tolist(), end.tolist()
    for y in range(1, len(mask)):
        above, here = starts[y - 1], starts[y]
        while above < starts[y] and here < starts[y + 1]:
            if left[above] < right[here] and left[here] < right[above]:
                one, other = sorted((find(above), find(here)))
                root[other] = one
            if right[above] < right[here]:
                above += 1
            else:
                here += 1
    parts = np.array([find(run) for run in range(len(root))], np.int64)
    out = np.zeros_like(mask)
    if len(parts):
        sizes = np.bincount(parts, weights=end - begin)
        for run in np.flatnonzero(parts == np.argmax(sizes)):
            out[row[run], begin[run] : end[run]] = True
    return out
