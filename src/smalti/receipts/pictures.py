"""A receipt as pictures: its copy map, its mosaic, how many sources each pixel has, and the sources beside the sample.

All are drawn from a record (`smalti.receipts.record`) and the pictures of the corpus, show the last step listed, and
say weight only, never match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2, exp2
from smalti.receipts.composition import UNITS
from smalti.sampling.pictures import Canvas, tiles

__all__ = ["SIDES", "draw", "heat", "scale_bar", "sheet", "shown_height"]

SIDES = (256, 512)
"""Least and most pixels of the longer side of a picture in a sheet, as `smalti.sampling.pictures.tiles` takes them."""

_THUMB = 44
_MARGIN, _GAP = 18, 14
_TITLE, _TEXT, _SMALL = 17, 14, 12
_INK, _FAINT, _PAPER = (26, 26, 26), (105, 105, 105), (255, 255, 255)
_LEGEND = 11

# Viridis at ninths: even steps to the eye, also in grey and for the colour-blind.
_RAMP = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
# Colours that neighbours can be told apart by.
_COLOURS = tuple(
    tuple(bytes.fromhex(colour))
    for colour in (
        *("4e79a7", "f28e2b", "59a14f", "e15759", "b07aa1", "edc948"),
        *("76b7b2", "9c755f", "ff9da7", "2f4b7c", "8cd17d"),
    )
)
# Of the places of a single item: at its top left, top right, bottom left and bottom right.
_CORNERS = tuple(tuple(bytes.fromhex(colour)) for colour in ("2c3fa8", "e8484a", "2fb46c", "f6d32d"))


@dataclass(frozen=True)
class _Row:
    """A line of a legend: a colour or none, a small picture or none, and two lines of text."""

    colour: tuple[int, ...] | None
    picture: Canvas | None
    text: str
    below: str


def draw(
    record: Mapping[str, Any], images: NDArray[np.uint8], *, caption: str = "picture", owes: str = "it"
) -> dict[str, Canvas]:
    """The pictures of a record, by name: `copy-map`, `mosaic`, `effective-sources`, `sources`.

    Args:
        record: the record.
        images: the corpus's pictures. uint8, shape (N, H, W, C).

    Keyword Args:
        caption: what the picture is.
        owes: what owes weight to items.

    Returns:
        RGB, uint8 (h, w, 3) each.
    """
    height, width = record["run"]["size"]
    step = record["steps"][-1]
    pixels = np.array(record["picture"]["pixels"], np.uint8).reshape(height, width, -1)
    sample = (caption, tiles(pixels[None], sides=SIDES)[0])
    listed = (len(step["pixels"]["item_units"]) // (height * width),)
    owed = np.array(step["pixels"]["items"]).reshape(height, width, *listed)[..., 0]
    share = np.array(step["pixels"]["item_units"]).reshape(height, width, *listed)[..., 0] / UNITS
    sources = exp2(np.array(step["pixels"]["entropy"]).reshape(height, width) / LN2)
    mosaic = _by_place(record, images) if record["run"]["corpus_items"] == 1 else _by_item(record, images, owed)
    seed = record["seed"]
    return {
        "copy-map": sheet(
            f"Seed {seed}: copy map",
            [
                sample,
                ("weight of the item each pixel owes most to", heat(share)),
                ("", scale_bar(shown_height(height, width), [(n / 4, f"{25 * n} %") for n in range(5)])),
            ],
        ),
        "mosaic": sheet(f"Seed {seed}: mosaic", [sample, *mosaic]),
        "effective-sources": sheet(f"Seed {seed}: effective sources, exp(entropy)", [sample, *_counts(sources)]),
        "sources": sheet(
            f"Seed {seed}: the items {owes} owes most weight to",
            [sample, ("share of the whole picture", _credit_legend(record, images))],
        ),
    }


def _by_item(record: Mapping[str, Any], images: NDArray[np.uint8], owed: NDArray[np.int64]) -> list[tuple[str, Canvas]]:
    # All other items in pale colours, so that one can see where one ends and the next begins.
    pale = [[(2 * 255 + value) // 3 for value in colour] for colour in _COLOURS]
    colours = np.array([pale[item % len(pale)] for item in range(len(record["items"]))], np.uint8)
    for colour, (item, _) in zip(_COLOURS, _most_owed(owed), strict=False):
        colours[item] = colour
    painted = tiles(colours[owed][None], sides=SIDES)[0]
    return [
        ("each pixel in the colour of the item it owes most to", painted),
        ("items", _item_legend(record, images, owed)),
    ]


def _by_place(record: Mapping[str, Any], images: NDArray[np.uint8]) -> list[tuple[str, Canvas]]:
    """The mosaic from a single item: what differs between pixels is the place in it."""
    height, width = record["run"]["size"]
    step = record["steps"][-1]["pixels"]
    row, column = (np.array(step[name]).reshape(height, width, -1)[..., 0] for name in ("rows", "cols"))
    down, right = (np.linspace(0.0, 1.0, side) for side in images.shape[1:3])
    y, x = down[:, None, None], right[None, :, None]
    corners = np.array(_CORNERS, np.float64)
    mixed = (1 - y) * ((1 - x) * corners[0] + x * corners[1]) + y * ((1 - x) * corners[2] + x * corners[3])
    colours = np.rint(mixed).astype(np.uint8)
    return [
        ("each pixel in the colour of its best source", tiles(colours[row, column][None], sides=SIDES)[0]),
        ("places of the item", tiles(colours[None], sides=SIDES)[0]),
        ("the item", tiles(images[:1], sides=SIDES)[0]),
    ]


def _most_owed(owed: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Items with the number of pixels that owe most to them, most first."""
    counts = Counter(owed.ravel().tolist())
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_LEGEND]


def _item_legend(record: Mapping[str, Any], images: NDArray[np.uint8], owed: NDArray[np.int64]) -> Canvas:
    rows = [
        _Row(colour, _thumb(record, images, item), _name(record["items"][item]), _pixels(count))
        for colour, (item, count) in zip(_COLOURS, _most_owed(owed), strict=False)
    ]
    rest = owed.size - sum(count for _, count in _most_owed(owed))
    if rest:
        others = len(np.unique(owed)) - len(rows)
        rows.append(_Row(None, None, f"{others:,} other item{'' if others == 1 else 's'}", f"pale, {_pixels(rest)}"))
    return _legend(rows)


def _credit_legend(record: Mapping[str, Any], images: NDArray[np.uint8]) -> Canvas:
    step = record["steps"][-1]
    whole = record["run"]["size"][0] * record["run"]["size"][1] * UNITS
    shown = step["credits"][:_LEGEND]
    rows = [
        _Row(None, _thumb(record, images, item), _name(record["items"][item]), f"{100 * units / whole:.2f} %")
        for item, units in shown
    ]
    others = len(step["credits"]) - len(shown) + step["others"]["items"]
    if others:
        rest = whole - sum(units for _, units in shown)
        rows.append(
            _Row(None, None, f"{others:,} other item{'' if others == 1 else 's'}", f"{100 * rest / whole:.2f} %")
        )
    return _legend(rows)


def _counts(sources: NDArray[np.float64]) -> list[tuple[str, Canvas]]:
    """Effective sources on a scale of powers of ten."""
    decades = max(1, int(np.ceil(np.log10(sources.max()) - 1e-9)))
    ticks = [(n / decades, f"{10**n:,}") for n in range(decades + 1)]
    return [
        ("sources of equal weight that would spread as much", heat(np.log10(np.maximum(sources, 1.0)) / decades)),
        ("", scale_bar(shown_height(*sources.shape), ticks)),
    ]


def heat(values: NDArray[np.float64]) -> Canvas:
    """Numbers from 0 to 1 as colours, at the size pictures are shown at."""
    return tiles(_ramp(values)[None], sides=SIDES)[0]


def _ramp(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    stops = np.array([tuple(bytes.fromhex(colour)) for colour in _RAMP], np.float64)
    at = np.linspace(0.0, 1.0, len(stops))
    return np.stack([np.rint(np.interp(values, at, stops[:, c])) for c in range(3)], axis=-1).astype(np.uint8)


def shown_height(height: int, width: int) -> int:
    """Pixels that a picture of this size is high in a sheet."""
    return tiles(np.zeros((1, height, width, 1), np.uint8), sides=SIDES).shape[1]


def scale_bar(height: int, ticks: Sequence[tuple[float, str]]) -> Canvas:
    """The scale of a heat map: colours from below to above, with ticks beside them."""
    from PIL import Image, ImageDraw

    font = _font(_SMALL)
    wide = 16
    right = wide + 8 + max(int(font.getlength(text)) for _, text in ticks)
    image = Image.new("RGB", (right + 2, height), _PAPER)
    colours = _ramp(np.linspace(1.0, 0.0, height))[:, None].repeat(wide, axis=1)
    image.paste(Image.fromarray(colours), (0, 0))
    pen = ImageDraw.Draw(image)
    for place, text in ticks:
        y = round((1.0 - place) * (height - 1))
        pen.line((wide, y, wide + 3, y), fill=_INK)
        pen.text((wide + 7, min(max(y, _SMALL // 2), height - 1 - _SMALL // 2)), text, _INK, font, anchor="lm")
    return np.asarray(image)


def _legend(rows: Sequence[_Row]) -> Canvas:
    """Lines of a legend, in two columns where there are more than six."""
    from PIL import Image, ImageDraw

    fonts = _font(_TEXT), _font(_SMALL)
    step, per_column = _THUMB + 6, 6
    columns = [rows[at : at + per_column] for at in range(0, len(rows), per_column)]
    lefts = [0]
    for column in columns:
        texts = max(max(fonts[0].getlength(row.text), fonts[1].getlength(row.below)) for row in column)
        swatch = 22 if any(row.colour for row in column) else 0
        lefts.append(lefts[-1] + swatch + _THUMB + 10 + int(texts) + 24)
    image = Image.new("RGB", (lefts[-1], step * min(len(rows), per_column)), _PAPER)
    pen = ImageDraw.Draw(image)
    for left, column in zip(lefts, columns, strict=False):
        for place, row in enumerate(column):
            x, y = left, place * step
            if row.colour:
                pen.rectangle((x, y + 14, x + 15, y + 29), fill=row.colour)
            if any(other.colour for other in column):
                x += 22
            if row.picture is not None:
                tall, wide, _ = row.picture.shape
                image.paste(Image.fromarray(row.picture), (x + (_THUMB - wide) // 2, y + (_THUMB - tall) // 2))
            x += _THUMB + 10
            pen.text((x, y + 14), row.text, _INK, fonts[0], anchor="lm")
            pen.text((x, y + 31), row.below, _FAINT, fonts[1], anchor="lm")
    return np.asarray(image)


def sheet(title: str, parts: Sequence[tuple[str, Canvas]]) -> Canvas:
    """A title over parts side by side, each under its caption."""
    from PIL import Image, ImageDraw

    large, small = _font(_TITLE), _font(_SMALL)
    widths = [max(part.shape[1], int(small.getlength(caption))) for caption, part in parts]
    top = _MARGIN + _TITLE + _GAP + _SMALL + 6
    size = (
        max(2 * _MARGIN + sum(widths) + _GAP * (len(parts) - 1), 2 * _MARGIN + int(large.getlength(title))),
        top + max(part.shape[0] for _, part in parts) + _MARGIN,
    )
    image = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((_MARGIN, _MARGIN + _TITLE), title, _INK, large, anchor="ls")
    x = _MARGIN
    for (caption, part), width in zip(parts, widths, strict=True):
        pen.text((x, top - 6), caption, _FAINT, small, anchor="ls")
        image.paste(Image.fromarray(np.ascontiguousarray(part)), (x, top))
        x += width + _GAP
    return np.asarray(image)


def _thumb(record: Mapping[str, Any], images: NDArray[np.uint8], item: int) -> Canvas:
    return _fitted(tiles(images[record["items"][item]["index"]][None], sides=(_THUMB, SIDES[1]))[0])


def _fitted(picture: Canvas) -> Canvas:
    """A picture at most as large as a thumbnail."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((_THUMB, _THUMB))
    return np.asarray(image)


def _name(item: Mapping[str, Any]) -> str:
    """An item's name for a picture: short, and in letters that the font has."""
    text = "".join(c if c.isprintable() and ord(c) < 256 else "?" for c in item["name"])
    text = text if len(text) <= 28 else f"{text[:12]}…{text[-15:]}"
    label = item["label"]
    return text if label is None or not label.isascii() or len(label) > 16 else f"{text}  ({label})"


def _pixels(count: int) -> str:
    return f"{count:,} pixel{'' if count == 1 else 's'}"


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
