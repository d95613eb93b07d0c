"""The copy check: how much of a picture from anywhere a corpus could have given. All of it is match, never weight.

For each patch size every window that lies inside the picture is compared with every one that lies inside an item
(`nearest_patches`), and each pixel belongs to the nearest of the windows around it (`tiling`). Beside that stand the
largest connected region that one item has as well (`copied_region`) and the whole items that are nearest to the
picture, as it is and mirrored left to right.

A whole item is called a near-duplicate where the root mean square of the difference is at most `NEAR_LEVELS` grey
levels and the correlation of the values r at least `NEAR_R`. Both are asked for: flat pictures are near to each other
without being alike, and a picture of few bright lines correlates with many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import pixels as px
from smalti.corpus.decode import Picture, resized
from smalti.errors import InputError, UsageError
from smalti.progress import SILENT, Progress
from smalti.receipts.copies.region import CopiedRegion, copied_region
from smalti.receipts.copies.tiling import Tiling, tiling
from smalti.receipts.match import inner_admission, nearest_patches, squared_distances

__all__ = [
    "NEAR_LEVELS",
    "NEAR_R",
    "SIZES",
    "WITHIN",
    "CopyCheck",
    "SizeMatch",
    "WholeMatch",
    "check_copies",
    "fitting_sizes",
]

SIZES = (3, 5, 9, 17)
"""Patch sizes compared unless others are asked for, those that fit."""

WITHIN = (0, 1, 4, 16)
"""Grey levels, root mean square, up to which a window counts as found; 0 is identity."""

NEAR_LEVELS, NEAR_R = 20, 0.95
"""What makes a near-duplicate: at most this root mean square in grey levels, and at least this correlation."""

_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class SizeMatch:
    """The windows of one size. Tier: *bitwise*.

    Attributes:
        patch_size: side of the windows.
        windows: how many lie inside the picture.
        one_colour: how many of them are of a single colour, and so easily found anywhere.
        coverage: share of the picture's pixels that lie in a window whose nearest patch is within each of `WITHIN`.
        distance: the quantiles 0.1, 0.5 and 0.9, over windows, of the root mean square to the nearest patch, in grey
            levels.
        tiling: what stands for each pixel.
    """

    patch_size: int
    windows: int
    one_colour: int
    coverage: tuple[float, ...]
    distance: tuple[float, ...]
    tiling: Tiling

    @property
    def identical(self) -> float:
        """Share of the pixels that lie in a window that the corpus has as it is."""
        return self.coverage[0]

    def pixels(self, levels: int, items: int) -> NDArray[np.int64]:
        """How many pixels each item stands for within so many grey levels, int64 (items,); where several are equally
        near the first does.
        """
        return np.bincount(self.tiling.item[self.tiling.covered(levels)], minlength=items)


@dataclass(frozen=True)
class WholeMatch:
    """A whole item beside the picture, at the corpus's size. Tier: *bitwise*.

    Attributes:
        item: index of the item.
        mirrored: whether the picture is nearer when mirrored left to right.
        rms: root of the mean squared difference, in grey levels.
        r: correlation of all values; None where a picture is of one value.
    """

    item: int
    mirrored: bool
    rms: float
    r: float | None

    @property
    def near_duplicate(self) -> bool:
        """Whether the rule for near-duplicates holds."""
        return self.rms == 0 or (self.rms <= NEAR_LEVELS and self.r is not None and self.r >= NEAR_R)


@dataclass(frozen=True, eq=False)
class CopyCheck:
    """What of a corpus a picture matches: similarities, which say nothing of where it came from.

    Attributes:
        picture: the picture, with the channels that were compared. uint8, shape (H, W, C).
        images: the items, with the same channels. uint8, shape (N, H', W', C).
        sizes: one for each patch size, ascending.
        region: the largest region that one item has as well; None if not even a window of the smallest size is.
        fitted: the picture as it was compared with whole items. uint8, shape (H', W', C).
        fitting: what was done to it for that, in words; empty where it had the size.
        whole: the nearest whole items, nearest first.
        near_duplicates: all items that are near-duplicates, ascending.
    """

    picture: NDArray[np.uint8]
    images: NDArray[np.uint8]
    sizes: tuple[SizeMatch, ...]
    region: CopiedRegion | None
    fitted: NDArray[np.uint8]
    fitting: tuple[str, ...]
    whole: tuple[WholeMatch, ...]
    near_duplicates: tuple[int, ...]


def fitting_sizes(sizes: Sequence[int] | None, *, picture: tuple[int, int], items: tuple[int, int]) -> tuple[int, ...]:
    """The patch sizes to compare, ascending: those asked for, or those of `SIZES` that fit.

    Raises:
        UsageError: one asked for is not odd or does not fit, or none of `SIZES` fits.
    """
    if sizes is not None:
        for size in sizes:
            inner_admission(size, picture=picture, items=items)
        if not sizes:
            raise UsageError("a copy check needs at least one patch size")
        return tuple(sorted(set(sizes)))
    fitting = tuple(size for size in SIZES if size <= min(*picture, *items))
    if not fitting:
        small = "picture" if min(picture) < min(SIZES) else "pictures of the corpus"
        side = picture if min(picture) < min(SIZES) else items
        raise UsageError(
            f"not even a patch of {min(SIZES)} fits inside the {small} of {px.shown_size(side)}: use larger pictures"
        )
    return fitting


def check_copies(
    picture: NDArray[np.uint8],
    images: NDArray[np.uint8],
    *,
    sizes: Sequence[int] | None = None,
    keep: int = 5,
    progress: Progress = SILENT,
) -> CopyCheck:
    """Compares a picture with a corpus.

    The work is one walk over all pairs of places for each size, and a search for the copied region; memory is a few
    numbers for each pixel of the picture, and for each item and displacement that may hold a large region.

    Args:
        picture: uint8, shape (H, W, C).
        images: the items. uint8, shape (N, H', W', C').

    Keyword Args:
        sizes: patch sizes; those of `SIZES` that fit unless given.
        keep: how many whole items to list.
        progress: shows how far the walks are.

    Raises:
        InputError: an array is not what it must be.
        UsageError: a patch size that is not odd or does not fit.
    """
    if picture.ndim != 3 or picture.dtype != np.uint8 or picture.shape[2] not in px.MODES:
        raise InputError(f"a picture to check is uint8 (H, W, C) with 1, 3 or 4 channels, not {picture.shape}")
    channels = max(picture.shape[2], images.shape[3])
    picture, images = (np.ascontiguousarray(px.with_channels(a, channels)) for a in (picture, images))
    chosen = fitting_sizes(sizes, picture=picture.shape[:2], items=images.shape[1:3])
    found = tuple(_size_match(images, picture, size, progress) for size in chosen)
    region = copied_region(images, picture, patch_size=chosen[0], progress=progress)
    fit = resized(Picture(pixels=picture, conversions=()), (images.shape[1], images.shape[2]))
    fitted = px.with_channels(fit.pixels, channels)
    whole, near = _whole(images, fitted, keep)
    return CopyCheck(
        picture=picture,
        images=images,
        sizes=found,
        region=region,
        fitted=fitted,
        fitting=fit.conversions,
        whole=whole,
        near_duplicates=near,
    )


def _size_match(images: NDArray[np.uint8], picture: NDArray[np.uint8], size: int, progress: Progress) -> SizeMatch:
    admission = inner_admission(size, picture=picture.shape[:2], items=images.shape[1:3])
    found = nearest_patches(images, picture, admission, progress=progress, title=f"matching patches of {size}")
    tiles = tiling(found, size)
    return SizeMatch(
        patch_size=size,
        windows=int(found.known.sum()),
        one_colour=_one_colour(picture, size),
        coverage=tuple(float(tiles.covered(levels).mean()) for levels in WITHIN),
        distance=tuple(
            float(q) for q in np.quantile(found.rms[found.known], _QUANTILES, method="inverted_cdf").tolist()
        ),
        tiling=tiles,
    )


def _one_colour(picture: NDArray[np.uint8], size: int) -> int:
    """How many inner windows are of one colour: least and largest value are the same in each channel."""
    least = most = picture
    for axis in (0, 1):
        length = picture.shape[axis] - size + 1
        places = [np.arange(place, place + length) for place in range(size)]
        least = reduce(np.minimum, (least.take(at, axis) for at in places))
        most = reduce(np.maximum, (most.take(at, axis) for at in places))
    return int((least == most).all(axis=2).sum())


def _whole(
    images: NDArray[np.uint8], picture: NDArray[np.uint8], keep: int
) -> tuple[tuple[WholeMatch, ...], tuple[int, ...]]:
    """The nearest whole items, and the indices of all near-duplicates."""
    both = np.stack([picture, picture[:, ::-1]])
    straight, turned = squared_distances(images, both)
    squared = np.minimum(straight, turned)
    order = np.argsort(squared, kind="stable")

    def match(item: int) -> WholeMatch:
        mirrored = bool(turned[item] < straight[item])
        rms = math.sqrt(float(squared[item]) / (4 * picture.size))
        return WholeMatch(item, mirrored, rms, _correlation(both[int(mirrored)], images[item]))

    close = np.flatnonzero(squared <= 4 * NEAR_LEVELS**2 * picture.size)
    near = tuple(item for item in close.tolist() if match(item).near_duplicate)
    return tuple(match(item) for item in order[:keep].tolist()), near


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | None:
    """Pearson's r of all values, from whole numbers."""
    x, y = a.ravel().astype(np.int64), b.ravel().astype(np.int64)
    n = len(x)
    spread = [n * int(v @ v) - int(v.sum()) ** 2 for v in (x, y)]
    if not all(spread):
        return None
    return (n * int(x @ y) - int(x.sum()) * int(y.sum())) / math.sqrt(spread[0]) / math.sqrt(spread[1])
