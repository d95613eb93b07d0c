"""A copy check as pictures: match, never weight.

`match.png` has a row for each patch size: the picture, the picture put together from its nearest patches, the items
they lie in, and how far away they are. `region.png` shows the largest copied region in the picture and in its item,
`whole.png` the picture beside the whole items nearest to it. `tiled-P.png` is the picture put together from patches of
P, pixel for pixel. The drawn ones are for people, and their bytes may change with the version of matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smalti.receipts.copies.check import CopyCheck, SizeMatch
from smalti.sampling.pictures import png_bytes, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

# Colours that neighbours can be told apart by; the rest is grey.
_COLOURS = ("4e79a7", "f28e2b", "59a14f", "e15759", "b07aa1", "edc948", "76b7b2", "9c755f")
_OTHERS = (205, 205, 205)
_LEVELS = 32
_NAME = 22
_SHOWN = (256, 640)


def draw(found: CopyCheck, names: Sequence[str]) -> dict[str, bytes]:
    """The pictures, as the contents of PNG files by name; `names` are those of the items."""
    out = {"match.png": _sheet(found, names), "whole.png": _whole(found, names)}
    if found.region is not None:
        out["region.png"] = _region(found, names)
    for part in found.sizes:
        out[f"tiled-{part.patch_size}.png"] = png_bytes(part.tiling.painted(found.images))
    return out


def _sheet(found: CopyCheck, names: Sequence[str]) -> bytes:
    height, width = found.picture.shape[:2]
    tall = 2.9 * min(2.0, max(0.4, height / width))
    figure = _figure(13.4, 0.7 + (tall + 0.45) * len(found.sizes))
    figure.suptitle("match: nearest patches of the corpus (similarity, not weight)", fontsize=12)
    cells = figure.subplots(len(found.sizes), 5, squeeze=False, gridspec_kw={"width_ratios": [1, 1, 1, 0.5, 1]})
    # An item has the same colour for all sizes.
    pixels = [np.bincount(part.tiling.item.ravel(), minlength=len(names)) for part in found.sizes]
    top = np.argsort(-np.sum(pixels, axis=0), kind="stable")[: len(_COLOURS)].tolist()
    colours = dict(zip(top, _COLOURS, strict=False))
    for row, part, counts in zip(cells, found.sizes, pixels, strict=True):
        _show(row[0], _visible(found.picture), f"the picture ({width}x{height})")
        painted = _visible(part.tiling.painted(found.images))
        _show(row[1], painted, f"from patches of {part.patch_size} ({100 * part.identical:.1f} % identical)")
        _item_map(row[2], part, colours, len(names))
        _item_legend(row[3], counts, colours, names)
        scale = row[4].imshow(part.tiling.rms, cmap="magma", vmin=0, vmax=_LEVELS, interpolation="nearest")
        _bare(row[4], "distance, grey levels")
        figure.colorbar(scale, ax=row[4], extend="max", fraction=0.05, pad=0.02)
    return _png(figure)


def _item_map(cell: Axes, part: SizeMatch, colours: Mapping[int, str], items: int) -> None:
    colour = np.full((items, 3), _OTHERS, np.uint8)
    for item, text in colours.items():
        colour[item] = tuple(bytes.fromhex(text))
    _show(cell, colour[part.tiling.item], "item of the nearest patch")


def _item_legend(cell: Axes, counts: NDArray[np.int64], colours: Mapping[int, str], names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    cell.axis("off")
    entries = [
        Patch(color=f"#{colours[item]}", label=f"{_short(names[item])}  {_percent(counts[item] / counts.sum())}")
        for item in sorted(colours, key=lambda item: -counts[item])
        if counts[item]
    ]
    rest = int((counts > 0).sum()) - len(entries)
    if rest:
        share = 1.0 - counts[list(colours)].sum() / counts.sum()
        grey = "#{:02x}{:02x}{:02x}".format(*_OTHERS)
        entries.append(Patch(color=grey, label=f"{rest:,} other{'s' if rest > 1 else ''}  {_percent(share)}"))
    legend = cell.legend(handles=entries, loc="center left", fontsize=7.5, frameon=False, borderaxespad=0)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _region(found: CopyCheck, names: Sequence[str]) -> bytes:
    region = found.region
    assert region is not None
    rows, columns = region.displacement
    there = np.zeros(found.images.shape[1:3], bool)
    y, x = np.nonzero(region.mask)
    there[y + rows, x + columns] = True
    figure = _figure(9, 4.9)
    figure.suptitle(f"the largest region that one item has as it is: {region.pixels:,} pixels (match)", fontsize=12)
    left, right = figure.subplots(1, 2)
    _outlined(left, found.picture, region.mask, "in the picture")
    _outlined(right, found.images[region.item], there, f"in {_short(names[region.item])}")
    return _png(figure)


def _outlined(cell: Axes, picture: NDArray[np.uint8], mask: NDArray[np.bool_], title: str) -> None:
    faded = _visible(picture).astype(np.float64)
    factor = faded.shape[0] // mask.shape[0]
    inside = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    faded[~inside] = 0.45 * faded[~inside] + 0.55 * 255
    cell.imshow(faded.astype(np.uint8), interpolation="nearest", extent=(0, mask.shape[1], mask.shape[0], 0))
    # The edges between pixels inside and outside, one line each.
    padded = np.pad(mask, 1)
    for y, x in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]).tolist():
        cell.plot((x, x + 1), (y, y), color="#d62728", linewidth=1.6, solid_capstyle="projecting", clip_on=False)
    for y, x in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]).tolist():
        cell.plot((x, x), (y, y + 1), color="#d62728", linewidth=1.6, solid_capstyle="projecting", clip_on=False)
    _bare(cell, title)


def _whole(found: CopyCheck, names: Sequence[str]) -> bytes:
    height, width = found.fitted.shape[:2]
    figure = _figure(2.2 * (1 + len(found.whole)), 1.25 + 2.0 * min(3.0, max(0.3, height / width)))
    figure.suptitle("match: the nearest whole items (similarity, not weight)", fontsize=12)
    cells = figure.subplots(1, 1 + len(found.whole), squeeze=False)[0]
    _show(
        cells[0], _visible(found.fitted), f"the picture\n{'at the size of the items' if found.fitting else 'as it is'}"
    )
    for cell, near in zip(cells[1:], found.whole, strict=True):
        item = found.images[near.item]
        r = "" if near.r is None else f", r {near.r:.2f}"
        notes = [note for note, so in (("mirrored", near.mirrored), ("near-duplicate", near.near_duplicate)) if so]
        text = "\n".join([_short(names[near.item]), f"rms {near.rms:.1f}{r}", ", ".join(notes)])
        _show(cell, _visible(item[:, ::-1] if near.mirrored else item), text.rstrip())
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _visible(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB, small pictures enlarged by a whole factor, over a checkerboard where there is alpha."""
    return tiles(picture[None], sides=_SHOWN)[0]


def _show(cell: Axes, picture: NDArray[np.uint8], title: str) -> None:
    cell.imshow(picture, interpolation="nearest")
    _bare(cell, title)


def _bare(cell: Axes, title: str) -> None:
    # Names of files may hold what matplotlib would read as formulas.
    cell.set_title(title, fontsize=9, parse_math=False)
    cell.set(xticks=[], yticks=[])
    for edge in cell.spines.values():
        edge.set_visible(False)


def _percent(share: float) -> str:
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def _short(name: str) -> str:
    """The end of a long name: that is where pictures differ."""
    text = "".join(c if c.isprintable() else "?" for c in name)
    return text if len(text) <= _NAME else f"...{text[3 - _NAME :]}"
