"""Copied regions and tilings: equal to a search that tries everything, and exact about copies that were planted."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from problems import pictures
from smalti.receipts.copies import copied_region, region, tiling
from smalti.receipts.match import inner_admission, nearest_patches


def largest(
    images: NDArray[np.uint8], picture: NDArray[np.uint8], size: int
) -> tuple[int, int, tuple[int, int], NDArray[np.bool_]] | None:
    """The largest connected union of equal windows over all items and displacements, each one tried."""
    best = None
    height, width = picture.shape[:2]
    for n, item in enumerate(images):
        for dy, dx in product(range(-height + 1, item.shape[0]), range(-width + 1, item.shape[1])):
            moved = np.pad(item.astype(np.int64), ((height, height), (width, width), (0, 0)), constant_values=-1)
            equal = (moved[height + dy : 2 * height + dy, width + dx : 2 * width + dx] == picture).all(axis=2)
            union = ndimage.binary_opening(equal, np.ones((size, size), bool))
            parts, count = ndimage.label(union)  # pyright: ignore[reportGeneralTypeIssues]
            for part in range(1, count + 1):
                mask = parts == part
                if best is None or mask.sum() > best[0]:
                    best = (int(mask.sum()), n, (dy, dx), mask)
    return best


@settings(max_examples=40)
@given(
    data=st.data(),
    channels=st.sampled_from([1, 3, 4]),
    own=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    other=st.tuples(st.integers(3, 6), st.integers(3, 6)),
    size=st.sampled_from([1, 3]),
)
def test_the_copied_region_is_the_largest_of_all(
    data: st.DataObject, channels: int, own: tuple[int, int], other: tuple[int, int], size: int
) -> None:
    images = data.draw(pictures(data.draw(st.integers(1, 4)), other, channels))
    picture = data.draw(pictures(1, own, channels))[0]
    if data.draw(st.booleans()):
        # A picture put together from pieces of the items, so that regions are many and not rectangles.
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        large = np.stack([np.resize(image, (*own, channels)) for image in images])
        choice = rng.integers(0, len(images), own)
        picture = np.ascontiguousarray(np.take_along_axis(large, choice[None, :, :, None], axis=0)[0])
    found, wanted = copied_region(images, picture, patch_size=size), largest(images, picture, size)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    pixels, item, displacement, mask = wanted
    assert (found.pixels, found.item, found.displacement) == (pixels, item, displacement)
    assert np.array_equal(found.mask, mask)
    rows, columns = np.nonzero(mask)
    dy, dx = displacement
    same = [
        n
        for n, image in enumerate(images)
        if all((image[y + dy, x + dx] == picture[y, x]).all() for y, x in zip(rows, columns, strict=True))
    ]
    assert found.others == len(same) - 1
    row, column, height, width = found.box
    assert mask[row : row + height, column : column + width].sum() == pixels


def test_neither_threads_nor_parts_change_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    images = rng.choice(np.array([0, 255], np.uint8), (23, 12, 11, 1))
    picture = rng.choice(np.array([0, 255], np.uint8), (15, 14, 1))
    picture[2:9, 3:10] = images[17, 4:11, 1:8]
    first = copied_region(images, picture)
    assert first is not None
    assert first.item == 17
    assert first.pixels >= 49
    for threads, values, block, first_values in (("1", 10**6, 256, 5000), ("5", 300, 3, 1), ("3", 1, 10**6, 900)):
        monkeypatch.setenv("SMALTI_THREADS", threads)
        monkeypatch.setattr(region, "_CHUNK_VALUES", values)
        monkeypatch.setattr(region, "_BLOCK", block)
        monkeypatch.setattr(region, "_FIRST_VALUES", first_values)
        again = copied_region(images, picture)
        assert again is not None
        assert (again.pixels, again.item, again.displacement, again.others) == (
            *(first.pixels, first.item, first.displacement, first.others),
        )
        assert np.array_equal(again.mask, first.mask)


def test_windows_that_share_a_number_by_chance_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    images, picture = rng.integers(0, 3, (5, 8, 8, 1), np.uint8), rng.integers(0, 3, (9, 9, 1), np.uint8)
    picture[1:6, 2:7] = images[3, 2:7, 1:6]
    first = copied_region(images, picture)
    exact = region._codes
    monkeypatch.setattr(region, "_codes", lambda stack, size: exact(stack, size) % np.uint32(7))
    again = copied_region(images, picture)
    assert first is not None
    assert again is not None
    assert (first.pixels, first.item, first.displacement) == (again.pixels, again.item, again.displacement)
    assert np.array_equal(first.mask, again.mask)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_each_pixel_belongs_to_the_nearest_window_around_it(size: int) -> None:
    rng = np.random.default_rng(size)
    images = rng.integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)
    picture = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
    picture[2:9, 1:8] = images[4, 1:8, 0:7]
    found = nearest_patches(images, picture, inner_admission(size, picture=(10, 12), items=(9, 8)))
    tiles = tiling(found, size)
    half = size // 2
    for y, x in product(range(10), range(12)):
        around = [
            (int(found.squared[v, w]), abs(v - y) ** 2 + abs(w - x) ** 2, v, w)
            for v, w in product(range(y - half, y + half + 1), range(x - half, x + half + 1))
            if 0 <= v < 10 and 0 <= w < 12 and found.known[v, w]
        ]
        squared, _, v, w = min(around)
        assert tiles.squared[y, x] == squared
        assert tiles.item[y, x] == found.item[v, w]
        assert (tiles.row[y, x], tiles.column[y, x]) == (found.row[v, w] + y - v, found.column[v, w] + x - w)
    assert tiles.covered(0)[2:9, 1:8].all()
    assert (tiles.painted(images)[tiles.covered(0)] == picture[tiles.covered(0)]).all()
    # A limit in grey levels is one for the root mean square.
    for levels in (0, 1, 4, 16, 60):
        assert np.array_equal(tiles.covered(levels), tiles.rms <= levels)
