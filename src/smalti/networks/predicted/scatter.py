"""The paper's scatter plot: how well the machine predicts each picture, against how well the baseline does.

A dot is a picture. Above the diagonal the machine's picture is nearer to the network's than the baseline's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smalti.networks.predicted.figure import Style, new_figure, png
from smalti.networks.predicted.names import brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["scatter"]

_SIDE = 3.9  # inches
_MOST_IN_A_ROW = 3


def scatter(
    machines: Mapping[str, NDArray[np.float64]],
    baseline: NDArray[np.float64],
    *,
    baseline_name: str,
    styles: Mapping[str, Style],
    title: str,
) -> bytes:
    """The plot as the content of a PNG file, a panel for each machine.

    Args:
        machines: r of each machine's pictures with the network's, by name, at least one. NaN: not drawn. (S,) each.
        baseline: r of the baseline's pictures. (S,).

    Keyword Args:
        baseline_name: what the baseline is called.
        styles: how machines are drawn, by name.
        title: what is compared; lines of some 60 letters.
    """
    columns = min(_MOST_IN_A_ROW, len(machines))
    rows = -(-len(machines) // columns)
    figure = new_figure(max(5.2, _SIDE * columns + 0.5), (_SIDE + 0.3) * rows + 0.8, title=title)
    low = _floor(np.concatenate([baseline, *machines.values()]))
    cells: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for cell in cells.ravel()[len(machines) :]:
        cell.set_visible(False)
    for place, (name, r) in enumerate(machines.items()):
        cell = cells.ravel()[place]
        _panel(cell, r, baseline, styles[name], low)
        words = f"{brief(name)}\n{_in_words(r, baseline, baseline_name)}"
        cell.set_title(words, fontsize="small", color=styles[name].colour, parse_math=False)
        if place % columns == 0:
            cell.set_ylabel("r of the machine with the network")
        if place + columns >= len(machines):
            cell.set_xlabel(f"r of {baseline_name} with the network")
            cell.tick_params(labelbottom=True)
    return png(figure)


def _panel(cell: Axes, r: NDArray[np.float64], baseline: NDArray[np.float64], style: Style, low: float) -> None:
    both = np.isfinite(r) & np.isfinite(baseline)
    x, y = baseline[both], r[both]
    high = 1.0 + 0.02 * (1.0 - low)
    cell.plot([low, high], [low, high], color="0.55", linewidth=1, zorder=1)
    cell.scatter(x, y, s=20, color=style.colour, alpha=0.55, linewidths=0, zorder=3)
    cell.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    step = 0.1 if high - low < 0.75 else 0.2
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(1 / step + 1e-9) + 1) * step
    cell.set(xticks=ticks, yticks=ticks)
    cell.set_axisbelow(True)
    cell.grid(color="0.92")
    if len(x):
        cell.axvline(float(np.median(x)), color="black", linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
        cell.axhline(float(np.median(y)), color=style.colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)


def _in_words(r: NDArray[np.float64], baseline: NDArray[np.float64], baseline_name: str) -> str:
    """What a panel shows, for its title."""
    both = np.isfinite(r) & np.isfinite(baseline)
    if not both.any():
        return "no picture has an r"
    x, y = baseline[both], r[both]
    medians = f"medians: {np.median(y):.3f}, {baseline_name} {np.median(x):.3f}"
    return f"{medians}; above the diagonal: {(y > x).sum()} of {len(x)}"


def _floor(values: NDArray[np.float64]) -> float:
    """Where the axes begin: the tenth below all there is."""
    there = values[np.isfinite(values)]
    return float(np.floor(10 * min(0.9, *there.tolist())) / 10) if len(there) else 0.0
