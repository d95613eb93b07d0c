"""Pictures for people: samples side by side, their way from noise, and each beside its nearest training item.

Small pictures are enlarged by a whole factor, each pixel to a square, so that every pixel can be seen; large ones are
reduced by a whole factor, by the mean of squares. What has alpha is shown over a checkerboard. The numbers are whole
throughout, and captions use Pillow's bitmap font, so the pixels made here are the same everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.noise import Level

__all__ = ["beside_nearest", "grid", "png_bytes", "tiles", "trajectory"]

Canvas = NDArray[np.uint8]
"""A picture to look at: RGB, shape (H, W, 3)."""

TILE = (64, 512)
"""Least and most pixels of a tile's longer side."""

GAP = 2
"""Pixels between tiles."""

_PAPER = 255
_SQUARE = 8
_CHECKS = (232, 188)
_CAPTION = 14


def grid(images: NDArray[np.uint8], *, columns: int | None = None) -> Canvas:
    """All pictures in rows and columns, in reading order.

    Args:
        images: the pictures, at least one. uint8, shape (N, H, W, C), C in {1, 3, 4}.

    Keyword Args:
        columns: number of columns; unless given, the number that makes the grid about square.

    Returns:
        The grid, RGB.

    Raises:
        UsageError: there is no picture, or `columns` is below 1.
    """
    large = tiles(images)
    if columns is None:
        columns = _columns_for_a_square(len(large), large.shape[1], large.shape[2])
    if columns < 1:
        raise UsageError(f"A grid has at least 1 column, but {columns} were asked for.")
    rows = [large[start : start + columns] for start in range(0, len(large), columns)]
    return _laid_out(rows, gaps=(GAP,) * (min(columns, len(large)) - 1))


def trajectory(estimates: NDArray[np.uint8], levels: Sequence[Level], *, rows: int = 4, columns: int = 8) -> Canvas:
    """How a few samples came about: one row per sample, denoised estimates from the noisiest step to the finished
    picture.

    Args:
        estimates: posterior mean of each step, as pixels. uint8, shape (S, steps, H, W, C).
        levels: the levels of the steps; their times are the captions. Shape (steps,).

    Keyword Args:
        rows: most samples to show, the first ones.
        columns: most steps to show, evenly spread, the first and the last among them.

    Returns:
        The picture, RGB.

    Raises:
        UsageError: there is nothing to show, or the levels do not fit the estimates.
    """
    if rows < 1 or columns < 1 or estimates.ndim != 5 or estimates.shape[1] != len(levels):
        raise UsageError(
            f"A trajectory needs at least 1 row and 1 column and one level for each step, but it has {rows} rows, "
            f"{columns} columns and {len(levels)} levels for estimates of shape {estimates.shape}."
        )
    chosen = _spread(len(levels), columns)
    shown = [tiles(sample[chosen]) for sample in estimates[:rows]]
    body = _laid_out(shown, gaps=(GAP,) * (len(chosen) - 1))
    width = shown[0].shape[2]
    texts = [_time_text(levels[index].time) for index in chosen]
    captions = _captions(texts, [column * (width + GAP) + width // 2 for column in range(len(chosen))], body.shape[1])
    return np.concatenate([captions, body])


def beside_nearest(images: NDArray[np.uint8], nearest: NDArray[np.uint8], *, columns: int | None = None) -> Canvas:
    """Each picture with another at its right, by custom its nearest training item; wide gaps part the pairs.

    Args:
        images: the pictures, at least one. uint8, shape (N, H, W, C), C in {1, 3, 4}.
        nearest: the picture that goes beside each. Same shape.

    Keyword Args:
        columns: number of columns of pairs; unless given, the number that makes the whole about square.

    Returns:
        The pairs in reading order, RGB.

    Raises:
        UsageError: there is no picture, the two have different shapes, or `columns` is below 1.
    """
    if images.shape != nearest.shape:
        raise UsageError(
            f"Each picture goes beside one of its own size, but there are pictures of shape {images.shape} and "
            f"neighbours of shape {nearest.shape}."
        )
    left, right = tiles(images), tiles(nearest)
    if columns is None:
        columns = _columns_for_a_square(len(left), left.shape[1], 2 * left.shape[2])
    if columns < 1:
        raise UsageError(f"The pairs stand in at least 1 column, but {columns} were asked for.")
    mixed = np.stack([left, right], axis=1).reshape(-1, *left.shape[1:])
    rows = [mixed[start : start + 2 * columns] for start in range(0, len(mixed), 2 * columns)]
    shown = min(columns, len(left))
    return _laid_out(rows, gaps=(GAP, 6 * GAP) * (shown - 1) + (GAP,), row_gap=6 * GAP)


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """A picture as the content of a PNG file: pixels and nothing else, no time, no text.

    Tier: *bitwise* for the pixels everywhere, and for the bytes with the same build of Pillow (another zlib may
    compress the same pixels into other bytes).

    Args:
        image: uint8, shape (H, W, C): C = 1 greyscale, 3 RGB, 4 RGBA.

    Returns:
        The file's content.
    """
    from PIL import Image

    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6, optimize=False)
    return buffer.getvalue()


def tiles(images: NDArray[np.uint8], *, sides: tuple[int, int] = TILE) -> NDArray[np.uint8]:
    """Pictures at the size they are shown at, over a checkerboard where they have alpha.

    Args:
        images: the pictures, at least one. uint8, shape (N, H, W, C), C in {1, 3, 4}.

    Keyword Args:
        sides: least and most pixels of the longer side.

    Returns:
        RGB, shape (N, h, w, 3).

    Raises:
        UsageError: there is no picture, or they have another shape.
    """
    if images.ndim != 4 or len(images) == 0 or images.shape[-1] not in (1, 3, 4):
        raise UsageError(
            "Pictures to show have the shape (N, H, W, C) with at least one picture and 1, 3 or 4 channels, but the "
            f"shape is {images.shape}."
        )
    least, most = sides
    side = max(images.shape[1:3])
    enlarge = max(1, -(-least // side))
    large = images.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    large = _over_checkerboard(large) if large.shape[-1] == 4 else np.broadcast_to(large, (*large.shape[:3], 3))
    return _reduced(large, -(-side // most)) if side > most else large


def _over_checkerboard(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels over squares of two greys: (colour * alpha + grey * (255 - alpha)) / 255, rounded."""
    rows, columns = np.ogrid[: tiles.shape[1], : tiles.shape[2]]
    board = np.where((rows // _SQUARE + columns // _SQUARE) % 2, *reversed(_CHECKS)).astype(np.uint16)
    colour, alpha = tiles[..., :3].astype(np.uint16), tiles[..., 3:].astype(np.uint16)
    return ((colour * alpha + board[:, :, None] * (255 - alpha) + 127) // 255).astype(np.uint8)


def _reduced(tiles: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of squares of `factor` pixels, rounded; the last row and column are repeated where a square sticks out."""
    count, height, width, channels = tiles.shape
    rest = [(0, 0), (0, -height % factor), (0, -width % factor), (0, 0)]
    padded = np.pad(tiles, rest, mode="edge")
    squares = padded.reshape(count, padded.shape[1] // factor, factor, padded.shape[2] // factor, factor, channels)
    return ((squares.sum(axis=(2, 4), dtype=np.uint32) + factor * factor // 2) // (factor * factor)).astype(np.uint8)


def _laid_out(rows: Sequence[NDArray[np.uint8]], *, gaps: tuple[int, ...], row_gap: int = GAP) -> Canvas:
    """Tiles on paper, rows of shape (n, h, w, 3), with the given gaps between columns."""
    height, width = rows[0].shape[1:3]
    lefts = [0]
    for gap in gaps:
        lefts.append(lefts[-1] + width + gap)
    canvas = np.full((len(rows) * (height + row_gap) - row_gap, lefts[-1] + width, 3), _PAPER, dtype=np.uint8)
    for index, row in enumerate(rows):
        top = index * (height + row_gap)
        for left, tile in zip(lefts, row, strict=False):
            canvas[top : top + height, left : left + width] = tile
    return canvas


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of 0, ..., count - 1, evenly spread, both ends among them."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count - 1]
    return [(2 * index * (count - 1) + most - 1) // (2 * (most - 1)) for index in range(most)]


def _time_text(time: float) -> str:
    return f"t={time:.3f}".rstrip("0").rstrip(".")


def _captions(texts: Sequence[str], centres: Sequence[int], width: int) -> Canvas:
    """A strip with each text centred at its place."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default_imagefont()
    strip = Image.new("L", (width, _CAPTION), _PAPER)
    draw = ImageDraw.Draw(strip)
    for text, centre in zip(texts, centres, strict=True):
        left, _, right, _ = font.getbbox(text)
        draw.text((max(0, centre - int(right - left) // 2), 1), text, fill=0, font=font)
    return np.repeat(np.asarray(strip)[:, :, None], 3, axis=2)


def _columns_for_a_square(count: int, height: int, width: int) -> int:
    """The fewest columns with which `count` tiles of this height and width are laid out no taller than wide."""
    return next((n for n in range(1, count) if n * width * n >= count * height), count)
