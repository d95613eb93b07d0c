"""Match: what of a corpus a picture is nearest to. A similarity, and nothing more: it says nothing of weight or effect.

Distances are sums of squared differences over a window or a picture, in units of the centred pixel q = 2u - 255, so
whole numbers, four for one squared grey level. A patch is compared with the kernel's own scores: a picture with the
bytes u is the state X = 16 q, and at the signal 1 the score of a corpus patch k is exactly

    E = sum of X k - rint(8 sum of k^2) = 16 sum of q k - 8 sum of k^2,

so that the squared distance is the sum of q^2 - E / 8, without rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.corpus.pixels import shown_size
from smalti.engine import Query, native
from smalti.engine.posterior import window_energy
from smalti.errors import InputError, UsageError
from smalti.noise import Level
from smalti.progress import SILENT, Progress
from smalti.window import Admission, Span, check_patch_size

__all__ = ["NearestPatches", "inner_admission", "nearest_items", "nearest_patches", "squared_distances"]

# Which of two sources scores higher does not depend on the noise; this much is within what a query may have.
_CLEAN = Level(0.0, 1.0, 2.0**-7)
_UNITS = 16
# Values of items that are held as float64 at a time.
_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True, eq=False)
class NearestPatches:
    """The nearest admitted corpus patch of each site of a picture. Tier: bitwise.

    item, row, column: int64 (H, W), the item and the place in it that the site's window is compared with; -1 where the
        admission has no patch for the site.
    squared: int64 (H, W), the sum of squared differences over the window, in units of q = 2u - 255; -1 where there is
        no patch.
    values: int64 (H, W), how many numbers are compared: the pixels of the window times the channels, without those
        that lie beyond the frame of a picture, where both sides hold nothing.
    """

    item: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    squared: NDArray[np.int64]
    values: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is a patch to compare with, (H, W)."""
        return self.item >= 0

    @property
    def rms(self) -> NDArray[np.float64]:
        """Root of the mean squared difference in grey levels, (H, W); NaN where there is no patch."""
        return np.sqrt(np.where(self.known, self.squared, np.nan) / (4.0 * self.values))


def nearest_patches(
    images: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    admission: Admission,
    *,
    progress: Progress = SILENT,
    title: str = "matching",
) -> NearestPatches:
    """The nearest admitted patch of each site, equally near ones by item, row and column.

    Compares H W H' W' N pairs of windows where any may serve any, whatever the patch size, and holds a few numbers for
    each pixel of the picture.

    Args:
        images: the items, uint8 (N, H', W', C), C-contiguous.
        picture: uint8 (H, W, C).
        admission: which patches may serve which sites, for these sizes.

    Keyword Args:
        progress: shows how far the walk is.
        title: what it calls the work.

    Returns:
        The nearest patches. Tier: bitwise.

    Raises:
        InputError: the number of channels differs, or an array is not what it must be.
        UsageError: the admission was made for other sizes, or looks at whole pictures.
    """
    if picture.ndim != 3 or picture.dtype != np.uint8:
        raise InputError(f"a picture to match is uint8 (H, W, C), not {picture.dtype} {picture.shape}")
    if admission.whole != "no":
        raise UsageError("this admission looks at whole pictures and has no patches: use nearest_items")
    states = ((2 * picture.astype(np.int16) - 255) * _UNITS)[None]
    query = Query(images=images, states=states, admission=admission, level=_CLEAN)
    with progress.task(title, len(images)) as task:
        best = native.nearest(query, tick=lambda share: task.advance(share * len(images)))[0]
    score, item, row, column = np.moveaxis(best, -1, 0)
    energy = window_energy(query)[0].astype(np.int64) // _UNITS**2
    squared = np.where(item >= 0, energy - score // 8, -1)
    inside = [_inside(side, admission) for side in picture.shape[:2]]
    return NearestPatches(item, row, column, squared, np.outer(*inside) * picture.shape[2])


def _inside(side: int, admission: Admission) -> NDArray[np.int64]:
    """How many places of a window lie inside a side of this length, for each place on it."""
    at = np.arange(side)
    if admission.padding == "circular":
        return np.full(side, 2 * admission.half + 1)
    return np.minimum(at + admission.half, side - 1) - np.maximum(at - admission.half, 0) + 1


def inner_admission(patch_size: int, *, picture: tuple[int, int], items: tuple[int, int]) -> Admission:
    """Every window that lies inside the picture against every one that lies inside an item; sizes are (H, W).

    Raises:
        UsageError: the patch size is no odd number, or larger than a side of either.
    """
    half = check_patch_size(patch_size)
    for what, size in (("picture", picture), ("pictures of the corpus", items)):
        if min(size) < patch_size:
            raise UsageError(
                f"a patch of {patch_size} does not fit inside the {what} of {shown_size(size)}: use smaller sizes"
            )
    rows, columns = (
        Span(half, own - half, half, other - half, "free") for own, other in zip(picture, items, strict=True)
    )
    return Admission(half, "zero", ((rows, columns),))


def squared_distances(images: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sum of squared differences of each picture and each whole item, in units of q = 2u - 255.

    Args:
        images: the items, uint8 (N, H, W, C).
        pictures: uint8 (S, H, W, C).

    Returns:
        int64 (S, N). Tier: bitwise.

    Raises:
        InputError: the shapes differ.
    """
    return np.concatenate(list(_distances(images, pictures)), axis=1)


def nearest_items(
    images: NDArray[np.uint8], pictures: NDArray[np.uint8], *, keep: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The whole items nearest to each picture, nearest first; equally near ones by index.

    Args:
        images: the items, uint8 (N, H, W, C).
        pictures: uint8 (S, H, W, C).

    Keyword Args:
        keep: how many; all items where there are fewer.

    Returns:
        item: int64 (S, K), and squared: int64 (S, K), sums of squared differences in units of q = 2u - 255. Tier:
            bitwise.

    Raises:
        InputError: the shapes differ.
        UsageError: `keep` is below 1.
    """
    if keep < 1:
        raise UsageError(f"ask for at least one nearest item, not {keep}")
    best = np.empty((len(pictures), 0), np.int64)
    item = np.empty((len(pictures), 0), np.int64)
    begin = 0
    for found in _distances(images, pictures):
        # Items come in order and the sort is stable, so equally near ones stay by index.
        numbers = np.broadcast_to(np.arange(begin, begin + found.shape[1]), found.shape)
        begin += found.shape[1]
        best, item = np.concatenate([best, found], axis=1), np.concatenate([item, numbers], axis=1)
        order = np.argsort(best, axis=1, kind="stable")[:, :keep]
        best, item = np.take_along_axis(best, order, 1), np.take_along_axis(item, order, 1)
    return item, best


def _distances(images: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """The distances to a bounded number of items at a time, int64 (S, n)."""
    if images.ndim != 4 or pictures.ndim != 4 or images.shape[1:] != pictures.shape[1:] or len(images) == 0:
        raise InputError(
            f"whole pictures are compared at one size and number of channels, but these are {pictures.shape[1:]} and "
            f"the items {images.shape[1:]}"
        )
    wanted = _flat(pictures)
    energy = (wanted * wanted).sum(axis=1)
    step = max(1, _CHUNK_VALUES // max(1, wanted.shape[1]))
    for begin in range(0, len(images), step):
        items = _flat(images[begin : begin + step])
        # Whole numbers below 2^53 throughout, so float64 adds them without rounding, in whatever order.
        found = energy[:, None] + (items * items).sum(axis=1) - 2.0 * (wanted @ items.T)
        yield found.astype(np.int64)


def _flat(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return 2.0 * pictures.reshape(len(pictures), -1).astype(np.float64) - 255.0
