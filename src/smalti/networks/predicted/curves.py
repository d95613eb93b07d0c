"""Agreement over time, step by step, and patch sizes over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smalti.networks.predicted.figure import Style, key, new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Curve", "over_time", "sizes_over_time"]

_TIME = "time (noise grows to the right)"


@dataclass(frozen=True, eq=False)
class Curve:
    """Medians over pictures at each step, with their intervals; NaN where there is none. All (T,)."""

    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def over_time(
    free: Mapping[str, Curve],
    along: Mapping[str, Curve],
    errors: Mapping[str, Curve],
    *,
    times: Sequence[float],
    styles: Mapping[str, Style],
    title: str,
) -> bytes:
    """Three plots over time as the content of one PNG file.

    Args:
        free: r of the denoised estimates of two trajectories that begin with the same noise, by predictor.
        along: r of the estimates at the network's own states.
        errors: mean squared difference of the estimates there.

    Keyword Args:
        times: of the steps. (T,).
        styles: how predictors are drawn, by name.
        title: what is compared, one line.
    """
    figure = new_figure(13.2, 5.2, title=title)
    cells: Any = figure.subplots(1, 3)
    floor = _floor([*free.values(), *along.values()])
    for cell, curves, heading in (
        (cells[0], free, "each on its own way: r of the estimates"),
        (cells[1], along, "at the network's own states: r of the estimates"),
    ):
        _draw(cell, curves, times, styles)
        cell.set(title=heading, xlabel=_TIME, ylabel="Pearson's r with the network", ylim=(floor, 1.02))
    _draw(cells[2], errors, times, styles)
    cells[2].set(title="at the network's own states: error of a step", xlabel=_TIME, yscale="log")
    cells[2].set(ylabel="mean squared difference, pixels in [-1, 1]")
    # Two pictures in [-1, 1] differ by 4 at most; a network's estimate from nearly no signal may be anything.
    low, high = cells[2].get_ylim()
    if low < 4.0 < high:
        cells[2].set_ylim(top=4.0)
    for cell in cells:
        cell.title.set_fontsize("medium")
    key(figure, *cells[0].get_legend_handles_labels())
    return png(figure)


def _floor(curves: Sequence[Curve]) -> float:
    """Where the axis of r begins: the tenth below all medians."""
    known = np.concatenate([curve.middle for curve in curves])
    known = known[np.isfinite(known)]
    return float(np.floor(10 * min(0.9, *known.tolist())) / 10) if len(known) else 0.0


def _draw(cell: Axes, curves: Mapping[str, Curve], times: Sequence[float], styles: Mapping[str, Style]) -> None:
    # The first ones are what the plot is about, so they lie on top.
    for height, (name, curve) in enumerate(reversed(list(curves.items()))):
        style = styles[name]
        cell.fill_between(times, curve.low, curve.high, color=style.colour, alpha=0.13, linewidth=0, zorder=2)
        cell.plot(
            times,
            curve.middle,
            color=style.colour,
            linestyle=style.dashes,
            marker=style.marker,
            markersize=3.5,
            linewidth=1.4,
            zorder=3 + height,
        )
    for name in curves:  # entries of the legend in the order given
        style = styles[name]
        cell.plot([], [], color=style.colour, linestyle=style.dashes, marker=style.marker, markersize=3.5, label=name)
    cell.set_axisbelow(True)
    cell.grid(color="0.92")
    cell.set_xlim(-0.02 * max(times), 1.02 * max(times))


def sizes_over_time(
    sizes: Mapping[str, Sequence[int]], *, times: Sequence[float], styles: Mapping[str, Style], title: str
) -> bytes:
    """Patch sizes over time as the content of a PNG file.

    Args:
        sizes: patch sizes in pixels by what they are called; those of equal size are drawn side by side. (T,) each.

    Keyword Args:
        times: of the steps. (T,).
        styles: how they are drawn, by name.
        title: of what machine, one line.
    """
    figure = new_figure(6.6, 4.2, title=title)
    cell: Any = figure.subplots()
    # A small shift parts lines that would hide one another.
    step = 0.09 if len(sizes) > 1 else 0.0
    for place, (name, chosen) in enumerate(sizes.items()):
        style, shift = styles[name], step * (place - (len(sizes) - 1) / 2)
        cell.plot(
            times,
            np.asarray(chosen, np.float64) + shift,
            color=style.colour,
            linestyle=style.dashes,
            marker=style.marker,
            markersize=4.5,
            linewidth=1.4,
            drawstyle="steps-mid",
            label=name,
        )
    found = sorted({size for chosen in sizes.values() for size in chosen})
    cell.set(xlabel=_TIME, ylabel="patch size, pixels", xlim=(-0.02 * max(times), 1.02 * max(times)))
    cell.set(ylim=(min(found) - 1, max(found) + 1))
    cell.set_yticks(_ticks(found))
    cell.grid(color="0.92")
    key(figure, *cell.get_legend_handles_labels())
    return png(figure)


def _ticks(found: Sequence[int]) -> list[int]:
    """Odd sizes to write at the axis: all in the range where they are few."""
    low, high = found[0], found[-1]
    step = 2 * max(1, -(-(high - low) // 28))
    return list(range(low, high + 1, step))
