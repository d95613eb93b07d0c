"""Patches of a picture: cut out, put back, and where in the corpus the nearest ones are.

All patches here lie wholly inside a picture: there are (H - P + 1)(W - P + 1) of P x P in a picture of H x W. A
denoiser that estimates whole patches estimates each pixel as often as patches cover it, up to P^2 times; the estimates
are averaged (`joined`).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from smalti.corpus.pixels import shown_size
from smalti.engine import Query, native
from smalti.errors import UsageError
from smalti.noise import Level
from smalti.window import Admission, Span, check_patch_size

__all__ = ["check_inside", "cut", "joined", "nearest_patches", "pixels_at"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def check_inside(patch_size: int, *sizes: tuple[int, int]) -> None:
    """Raises `UsageError` unless the patch size is odd and fits inside pictures of these heights and widths."""
    check_patch_size(patch_size)
    for size in sizes:
        if patch_size > min(size):
            raise UsageError(
                f"a patch of {patch_size} does not fit inside pictures of {shown_size(size)}: use smaller patches"
            )


def cut(pictures: NDArray, patch_size: int) -> NDArray:
    """All patches of pictures (B, H, W, C), row by row, as rows of numbers: (B, H - P + 1, W - P + 1, P * P * C)."""
    windows = sliding_window_view(pictures, (patch_size, patch_size), axis=(1, 2))  # pyright: ignore[reportCallIssue, reportArgumentType]
    turned = np.moveaxis(windows, 3, 5)
    return np.ascontiguousarray(turned).reshape(*turned.shape[:3], -1)


def joined(patches: Floats, size: tuple[int, int], patch_size: int) -> Floats:
    """Pictures (B, *size, C) from estimates of all their patches, (B, H - P + 1, W - P + 1, P * P * C): each pixel is
    the average over the patches that cover it. Tier: bitwise; the sum runs over the places in a patch, row by row.
    """
    batch, rows, columns, numbers = patches.shape
    channels = numbers // patch_size**2
    each = patches.reshape(batch, rows, columns, patch_size, patch_size, channels)
    total = np.zeros((batch, *size, channels))
    count = np.zeros((*size, 1))
    for i in range(patch_size):
        for j in range(patch_size):
            total[:, i : i + rows, j : j + columns] += each[:, :, :, i, j]
            count[i : i + rows, j : j + columns] += 1.0
    return total / count


def nearest_patches(
    images: NDArray[np.uint8], states: NDArray[np.int16], level: Level, patch_size: int, keep: int
) -> Places:
    """The `keep` corpus patches nearest to each patch of states at a level; there must be as many. Tier: bitwise.

    The engine's score of a source is, up to a factor and what the patch itself adds, -|x / a - k|^2. Equal ones go by
    item, row and column.

    Returns:
        Item, row and column of the patches' centres, nearest first. int64 (B, H - P + 1, W - P + 1, keep, 3).
    """
    half = patch_size // 2
    sizes = states.shape[1:3], images.shape[1:3]
    height, width = sizes[0]
    spans = tuple(Span(half, state - half, half, item - half, "free") for state, item in zip(*sizes, strict=True))
    query = Query(images, states, Admission(half, "zero", ((spans[0], spans[1]),)), level)
    _, best = native.best(query, keep)
    return best[:, half : height - half, half : width - half, :, 1:]


def pixels_at(images: NDArray[np.uint8], places: Places, patch_size: int) -> Floats:
    """The patches at places (..., 3), as centred whole numbers 2 u - 255; (..., P * P * C)."""
    half = patch_size // 2
    offset = np.arange(-half, half + 1)
    found = images[
        places[..., 0, None, None],
        places[..., 1, None, None] + offset[:, None],
        places[..., 2, None, None] + offset,
    ]
    return 2.0 * found.reshape(*places.shape[:-1], -1).astype(np.float64) - 255.0
