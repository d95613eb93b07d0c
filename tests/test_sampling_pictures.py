"""Overview pictures: where every pixel of them comes from."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from smalti.errors import UsageError
from smalti.noise import schedule
from smalti.sampling import beside_nearest, grid, png_bytes, trajectory
from smalti.sampling.pictures import GAP

PAPER = [255, 255, 255]


def pictures(count: int, height: int, width: int, channels: int) -> np.ndarray:
    """Pictures without pure white, so that paper can be told from them."""
    return np.random.default_rng(0).integers(0, 250, (count, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width", "factor"), [(8, 8, 8), (4, 4, 16), (28, 28, 3), (32, 32, 2), (5, 40, 2), (64, 9, 1)]
)
def test_grid_enlarges_by_a_whole_factor(channels: int, height: int, width: int, factor: int) -> None:
    images = pictures(5, height, width, channels)
    canvas = grid(images, columns=3)
    h, w = height * factor, width * factor
    assert max(h, w) >= 64 > (factor - 1) * max(height, width)
    assert canvas.shape == (2 * h + GAP, 3 * w + 2 * GAP, 3)
    for place, image in enumerate(images):
        top, left = place // 3 * (h + GAP), place % 3 * (w + GAP)
        tile = canvas[top : top + h, left : left + w]
        assert np.array_equal(tile[::factor, ::factor], np.broadcast_to(image, (height, width, 3)))
        assert np.array_equal(tile, tile[::factor, ::factor].repeat(factor, 0).repeat(factor, 1))
    assert (canvas[h : h + GAP] == PAPER).all()
    assert (canvas[:, w : w + GAP] == PAPER).all()
    assert (canvas[h:, 2 * (w + GAP) :] == PAPER).all()


def test_grid_is_about_square() -> None:
    for count in (1, 2, 5, 16, 17, 100):
        canvas = grid(pictures(count, 8, 8, 1))
        assert canvas.shape[1] >= canvas.shape[0]
        assert canvas.shape[1] <= canvas.shape[0] + 2 * (64 + GAP)
    tall = grid(pictures(12, 16, 64, 3))
    assert 0.5 <= tall.shape[0] / tall.shape[1] <= 1.5


def test_alpha_is_shown_over_a_checkerboard() -> None:
    images = np.zeros((1, 64, 64, 4), dtype=np.uint8)
    images[0, :, :, :3] = (10, 20, 30)
    images[0, 32:, :, 3] = 255
    images[0, :32, 32:, 3] = 128
    canvas = grid(images)
    assert (canvas[32:] == (10, 20, 30)).all()
    clear = canvas[:32, :32]
    assert set(np.unique(clear)) == {188, 232}
    assert (clear[:8, :8] == 232).all()
    assert (clear[:8, 8:16] == 188).all()
    assert (clear[8:16, :8] == 188).all()
    half = canvas[:8, 32:40]
    expected = [round((colour * 128 + 232 * 127) / 255) for colour in (10, 20, 30)]
    assert (half == expected).all()


def test_large_pictures_are_reduced_by_means_of_squares() -> None:
    images = pictures(2, 1026, 700, 3)
    canvas = grid(images, columns=1)
    assert canvas.shape == (2 * 342 + GAP, 234, 3)
    block = images[0, 3:6, 6:9].astype(np.float64).mean(axis=(0, 1))
    assert np.abs(canvas[1, 2] - block).max() <= 0.5
    # 700 = 3 * 233 + 1: the last square repeats the last column.
    edge = images[0, :3, 699].astype(np.float64).mean(axis=0)
    assert np.abs(canvas[0, 233] - edge).max() <= 0.5


def test_trajectory_has_a_row_per_sample_and_a_column_per_time() -> None:
    levels = schedule("cosine").grid(20)
    estimates = np.random.default_rng(1).integers(0, 250, (6, 20, 8, 8, 1), dtype=np.uint8)
    canvas = trajectory(estimates, levels)
    strip = 14
    assert canvas.shape == (strip + 4 * 64 + 3 * GAP, 8 * 64 + 7 * GAP, 3)
    shown = [0, 3, 5, 8, 11, 14, 16, 19]
    for row in range(4):
        for column, step in enumerate(shown):
            top, left = strip + row * (64 + GAP), column * (64 + GAP)
            tile = canvas[top : top + 64 : 8, left : left + 64 : 8]
            assert np.array_equal(tile, np.broadcast_to(estimates[row, step], (8, 8, 3)))
    captions = canvas[:strip]
    for column in range(8):
        left = column * (64 + GAP)
        assert (captions[:, left : left + 64] < 128).any()
    # Times 1 and 0.05 are the first and the last; different texts are different pixels.
    assert not np.array_equal(captions[:, :64], captions[:, -64:])


@pytest.mark.parametrize(("steps", "columns", "shown"), [(1, 8, 1), (3, 8, 3), (8, 8, 8), (100, 5, 5), (5, 1, 1)])
def test_trajectory_shows_the_first_and_last_step(steps: int, columns: int, shown: int) -> None:
    estimates = np.zeros((1, steps, 64, 64, 1), dtype=np.uint8)
    estimates[0, :, 0, 0, 0] = np.arange(steps) + 1
    canvas = trajectory(estimates, schedule("cosine").grid(steps), columns=columns)
    corners = [int(canvas[14, column * (64 + GAP), 0]) - 1 for column in range(shown)]
    assert canvas.shape[1] == shown * 64 + (shown - 1) * GAP
    assert corners[-1] == steps - 1
    assert corners == sorted(set(corners))
    if shown > 1:
        assert corners[0] == 0
        gaps = np.diff(corners)
        assert gaps.max() - gaps.min() <= 1


def test_pairs_stand_together() -> None:
    images, nearest = pictures(3, 32, 32, 3), 249 - pictures(3, 32, 32, 3)
    canvas = beside_nearest(images, nearest, columns=2)
    wide = 6 * GAP
    assert canvas.shape == (2 * 64 + wide, 4 * 64 + 2 * GAP + wide, 3)
    assert np.array_equal(canvas[:64:2, :64:2], images[0])
    assert np.array_equal(canvas[:64:2, 64 + GAP : 128 + GAP : 2], nearest[0])
    assert np.array_equal(canvas[:64:2, 128 + GAP + wide : 192 + GAP + wide : 2], images[1])
    assert np.array_equal(canvas[64 + wide :: 2, 64 + GAP : 128 + GAP : 2], nearest[2])
    assert (canvas[64 : 64 + wide] == PAPER).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_holds_the_pixels_and_nothing_else(channels: int) -> None:
    image = pictures(1, 6, 9, channels)[0]
    content = png_bytes(image)
    assert content == png_bytes(np.asfortranarray(image))
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        assert opened.size == (9, 6)
        assert opened.info == {}
        assert np.array_equal(np.asarray(opened).reshape(6, 9, channels), image)
    kinds, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        kinds.append(content[at + 4 : at + 8])
        at += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(UsageError, match=r"at least one picture .* the shape is \(0, 8, 8, 1\)"):
        grid(np.zeros((0, 8, 8, 1), np.uint8))
    with pytest.raises(UsageError, match="1, 3 or 4 channels"):
        grid(np.zeros((1, 8, 8, 2), np.uint8))
    with pytest.raises(UsageError, match="at least 1 column, but 0"):
        grid(pictures(1, 8, 8, 1), columns=0)
    with pytest.raises(UsageError, match="one of its own size"):
        beside_nearest(pictures(1, 8, 8, 1), pictures(2, 8, 8, 1))
    with pytest.raises(UsageError, match="at least 1 column, but 0"):
        beside_nearest(pictures(1, 8, 8, 1), pictures(1, 8, 8, 1), columns=0)
    with pytest.raises(UsageError, match="one level for each step"):
        trajectory(np.zeros((1, 3, 8, 8, 1), np.uint8), schedule("cosine").grid(2))
