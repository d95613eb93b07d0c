"""Pictures in rows and columns with words beside, above and below them; each pixel is a square of whole dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.networks.predicted.figure import new_figure, png
from smalti.networks.predicted.names import brief
from smalti.sampling.pictures import tiles

__all__ = ["Group", "sheet"]

_DOTS = 100  # an inch, so that a dot is a hundredth
_SIDES = (72, 256)
_GAP, _PARTED, _MARGIN = 4, 26, 12
_LINE = 17
_TITLE, _TEXT, _SMALL = 11, 9, 8  # points
_LETTER = 7.4  # about the width of a letter of the text, in dots


@dataclass(frozen=True, eq=False)
class Group:
    """Some columns, or rows, that stand together.

    Attributes:
        heading: what they have in common, one short line.
        names: of each of them.
    """

    heading: str
    names: tuple[str, ...]


def sheet(
    pictures: Sequence[NDArray[np.uint8]],
    *,
    title: str,
    rows: Sequence[Group],
    columns: Sequence[Group],
    notes: Sequence[Sequence[str]] | None = None,
) -> bytes:
    """Pictures in rows as the content of a PNG file; wide gaps part the groups.

    Args:
        pictures: one array a row, all of the same shape: uint8 (C, H, W, channels).

    Keyword Args:
        title: what is shown, one line.
        rows: the rows in groups, R names in all; a group's heading stands above its rows.
        columns: the columns in groups, C names in all; names and headings stand above them. A heading or name may be
            empty.
        notes: what is written below each picture, R x C; nothing unless given.
    """
    shown = [tiles(row, sides=_SIDES) for row in pictures]
    height, width = shown[0].shape[1:3]
    below = _LINE if notes is not None else 0
    names = [brief(name) for group in rows for name in group.names]
    headings = any(group.heading for group in rows)
    left = _MARGIN + int(_LETTER * max(map(len, names))) + 8
    lefts = _places([len(group.names) for group in columns], width + _GAP, _PARTED, left)
    top = _MARGIN + _LINE + 8 + (_LINE if any(g.heading for g in columns) else 0)
    top += _LINE if any(name for g in columns for name in g.names) else 0
    parted = _LINE + 8 if headings else _PARTED
    tops = _places([len(g.names) for g in rows], height + below + _GAP, parted, top + (_LINE if headings else 0))
    full = (max(lefts[-1] + width + _MARGIN, _MARGIN + int(1.1 * _LETTER * len(title))), tops[-1] + height + below)
    size = full[0], full[1] + _MARGIN
    canvas = np.full((size[1], size[0], 3), 255, np.uint8)
    for row, at in zip(shown, tops, strict=True):
        for tile, place in zip(row, lefts, strict=True):
            canvas[at : at + height, place : place + width] = tile

    figure = new_figure(size[0] / _DOTS, size[1] / _DOTS, layout="none")
    cell = figure.add_axes((0, 0, 1, 1))
    cell.imshow(canvas, interpolation="nearest", extent=(0, size[0], size[1], 0), aspect="auto")
    cell.axis("off")

    def write(x: float, y: float, text: str, points: int, align: str, *, weight: str = "normal") -> None:
        # Names may hold what matplotlib would read as formulas.
        cell.text(x, y, text, fontsize=points, ha=align, va="center", weight=weight, parse_math=False)

    write(_MARGIN, _MARGIN + _LINE / 2, title, _TITLE, "left")
    begin = 0
    for group in columns:
        ends = lefts[begin], lefts[begin + len(group.names) - 1] + width
        write(sum(ends) / 2, _MARGIN + 1.5 * _LINE + 6, group.heading, _TEXT, "center", weight="bold")
        for place, name in zip(lefts[begin:], group.names, strict=False):
            write(place + width / 2, top - _LINE / 2 - 1, name, _TEXT, "center")
        begin += len(group.names)
    begin = 0
    for group in rows:
        write(_MARGIN, tops[begin] - _LINE / 2 - 2, group.heading, _TEXT, "left", weight="bold")
        for at, name in zip(tops[begin:], group.names, strict=False):
            write(left - 8, at + height / 2, brief(name), _TEXT, "right")
        begin += len(group.names)
    for at, line in zip(tops, notes or (), strict=False):
        for place, text in zip(lefts, line, strict=True):
            write(place + width / 2, at + height + _LINE / 2 - 1, text, _SMALL, "center")
    return png(figure, dots=_DOTS)


def _places(counts: Sequence[int], step: int, parted: int, first: int) -> list[int]:
    """Where things begin that stand in groups, one after the other."""
    out: list[int] = []
    for count in counts:
        start = first if not out else out[-1] + step + parted
        out += [start + step * place for place in range(count)]
    return out
