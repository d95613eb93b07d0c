"""Effects as pictures: the difference as a picture, and sheets that show before, after and difference side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smalti.receipts.effects.rerun import SeedEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_ROWS", "Row", "difference_picture", "sheet"]

MOST_ROWS = 12
"""Most rows of a sheet."""

_CELL = 1.35  # inches
_DOTS = 120  # an inch
_THUMBNAILS = 12


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a sheet.

    Attributes:
        effect: what to show.
        heading: one short line.
        removed: the removed item, shown first, where rows differ in it. uint8 (H, W, C), or None.
    """

    effect: SeedEffect
    heading: str
    removed: NDArray[np.uint8] | None = None


def difference_picture(effect: SeedEffect) -> NDArray[np.uint8]:
    """How far each pixel of the finished picture moved: its largest channel's difference in grey levels. uint8 (H, W,
    1). Tier: *bitwise*.
    """
    apart = np.abs(effect.after.astype(np.int16) - effect.before.astype(np.int16)).max(axis=-1, keepdims=True)
    return apart.astype(np.uint8)


def sheet(rows: Sequence[Row], *, title: str, removed: Sequence[NDArray[np.uint8]] = ()) -> bytes:
    """A picture, as the content of a PNG file, of effects in rows: before, after, and the difference on one scale.

    Args:
        rows: at least one; those after the first 12 are not shown, which the title says.

    Keyword Args:
        title: what the sheet shows, one line.
        removed: the items removed in all rows, uint8 (H, W, C) each; at most 12 are shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    shown = rows[:MOST_ROWS]
    names = [*(["removed"] if shown[0].removed is not None else []), "before", "after", "difference"]
    blocks = 1 if len(shown) <= 3 else 2
    lines = math.ceil(len(shown) / blocks)
    height, width = shown[0].effect.before.shape[:2]
    tall = _CELL * min(2.0, max(0.5, height / width))
    strip = 0.75 if removed else 0.0
    # A narrow empty column parts two blocks.
    widths = ([1.0] * len(names) + [0.15]) * blocks
    size = (sum(widths) * _CELL + 0.7, lines * (tall + 0.3) + strip + 0.75)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    more = f" (the first {len(shown)} of {len(rows)} are shown)" if len(shown) < len(rows) else ""
    figure.suptitle(f"{title}{more}", fontsize="medium")
    grid: Any = figure
    if removed:
        parts: Any = figure.subfigures(2, 1, height_ratios=[strip, size[1] - strip])
        _thumbnails(parts[0], removed)
        grid = parts[1]
    axes = grid.subplots(lines, len(widths), squeeze=False, width_ratios=widths)
    for cell in axes.ravel():
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_visible(False)
    amounts = [np.sqrt((row.effect.difference**2).mean(axis=-1)) for row in shown]
    # A top below one grey level would make what no eye can see look like a change; roots show small ones beside large.
    scale = PowerNorm(0.5, vmin=0, vmax=max(1.0, *(float(amount.max()) for amount in amounts)))
    image = None
    for place, (row, amount) in enumerate(zip(shown, amounts, strict=True)):
        line, block = divmod(place, blocks)
        cells = axes[line, block * (len(names) + 1) :][: len(names)]
        pictures = [*([] if row.removed is None else [row.removed]), row.effect.before, row.effect.after]
        for cell, picture in zip(cells, pictures, strict=False):
            _show(cell, picture)
        image = cells[-1].imshow(amount, cmap="inferno", norm=scale, interpolation="nearest")
        if line == 0:
            for cell, name in zip(cells, names, strict=True):
                cell.set_title(name, fontsize="small")
        cells[len(names) // 2].set_xlabel(row.heading, fontsize="x-small")
    assert image is not None
    bar = grid.colorbar(image, ax=axes, fraction=0.03, pad=0.01, aspect=12 * lines)
    bar.set_label("difference, grey levels (root scale)", fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DOTS, metadata={"Software": None})
    return out.getvalue()


def _thumbnails(part: Figure, removed: Sequence[NDArray[np.uint8]]) -> None:
    few = removed[:_THUMBNAILS]
    more = f", {len(few)} of {len(removed)}" if len(few) < len(removed) else ""
    part.suptitle(f"removed{more}", fontsize="small")
    cells: Any = part.subplots(1, _THUMBNAILS, squeeze=False)[0]
    for cell in cells:
        cell.axis("off")
    first = (_THUMBNAILS - len(few)) // 2
    for cell, picture in zip(cells[first:], few, strict=False):
        _show(cell, picture)


def _show(cell: Axes, picture: NDArray[np.uint8]) -> None:
    pixels = picture[..., 0] if picture.shape[-1] == 1 else picture
    cell.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
