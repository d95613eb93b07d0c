"""A number measured at several samples and noise levels: its medians, its record, and its plot."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smalti.noise import Level
from smalti.resample import Interval, bootstrapped, medians

__all__ = ["Measurement", "Reading", "level_record", "plot_readings"]


@dataclass(frozen=True, eq=False)
class Reading:
    """One number of a denoiser at each sample and level.

    Attributes:
        title: what it is, with its unit.
        denoiser: name of what was measured.
        levels: the noise levels. (L,).
        values: one number for each sample and level; NaN where it has no meaning. float64 (S, L).
    """

    title: str
    denoiser: str
    levels: tuple[Level, ...]
    values: NDArray[np.float64]

    def medians(self, *, draws: int = 2000, seed: int = 0) -> tuple[Interval, ...]:
        """Median over the samples at each level, with its 95 % bootstrap interval over samples; those without a number
        are left out. (L,). NaN where no sample has one; ends are NaN where only one has. Tier: *bitwise* for these
        numbers.

        Keyword Args:
            draws: bootstrap draws.
            seed: of the draws.
        """
        return tuple(_median(column, draws, seed) for column in self.values.T)

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold: `title`, `values` (S lists of L), `medians` (L of value, low, high); NaN is null."""
        return {
            "title": self.title,
            "values": [_plain(row) for row in self.values],
            "medians": [_plain((m.value, m.low, m.high)) for m in self.medians()],
        }


@dataclass(frozen=True, eq=False)
class Measurement(ABC):
    """What a measure found of a denoiser at states.

    Attributes:
        denoiser: name of what was measured.
        levels: the noise levels. (L,).
        seeds: the samples. (S,).
        origin: where the states come from.
    """

    denoiser: str
    levels: tuple[Level, ...]
    seeds: tuple[int, ...]
    origin: str

    @abstractmethod
    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""

    def head(self, measure: str) -> dict[str, Any]:
        """How the record of this measure begins."""
        return {
            "measure": measure,
            "denoiser": self.denoiser,
            "states": self.origin,
            "seeds": list(self.seeds),
            "levels": level_record(self.levels),
        }

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(self.to_record(), indent=1, allow_nan=False)


def level_record(levels: Sequence[Level]) -> list[dict[str, float]]:
    """Levels as values that JSON can hold."""
    return [{"time": level.time, "signal": level.signal, "noise": level.noise} for level in levels]


def plot_readings(panels: Mapping[str, Sequence[Reading]], path: Path | str, *, title: str = "") -> None:
    """Draws readings against time as a PNG, one panel after another, medians with their intervals.

    Args:
        panels: the readings of each panel, by what stands at its axis; one curve for each denoiser and title. At a
            trailing ` (log)` the axis is logarithmic.
        path: the file.

    Keyword Args:
        title: stands above all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(max(5.0, 4.2 * columns), 3.6 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in cells[len(panels) :]:
        cell.remove()
    legends = [_names(readings) for readings in panels.values()]
    together = len(panels) > 1 and all(names == legends[0] for names in legends)
    for cell, names, (label, readings) in zip(cells, legends, panels.items(), strict=False):
        for number, (name, reading) in enumerate(zip(names, readings, strict=True)):
            times = [level.time for level in reading.levels]
            middle, low, high = np.array([(m.value, m.low, m.high) for m in reading.medians()]).T
            (line,) = cell.plot(times, middle, "o-", markersize=3, color=f"C{number % 10}", label=name)
            cell.fill_between(times, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        if label.endswith(" (log)"):
            cell.set_yscale("log")
        elif not any((reading.values < 0).any() for reading in readings):
            cell.set_ylim(bottom=0)
        cell.set(xlabel="time (noise grows to the right)", ylabel=label.removesuffix(" (log)"))
        if not together:
            cell.legend(fontsize="x-small")
    if together:
        lines, names = cells[0].get_legend_handles_labels()
        figure.legend(lines, names, fontsize="small", loc="outside lower center", ncols=3)
    if title:
        figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _names(readings: Sequence[Reading]) -> list[str]:
    """The names of curves: of the denoisers, with what they show where that differs."""
    several = len({reading.title for reading in readings}) > 1 and len({r.denoiser for r in readings}) < len(readings)
    return [f"{reading.denoiser}, {reading.title}" if several else reading.denoiser for reading in readings]


def _median(values: NDArray[np.float64], draws: int, seed: int) -> Interval:
    known = values[np.isfinite(values)]
    return bootstrapped(
        lambda weights: medians(known, weights), len(known), draws=draws, seed=seed, purpose="networks/measures"
    )


def _plain(numbers: Sequence[float] | NDArray[np.float64]) -> list[float | None]:
    return [float(x) if math.isfinite(x) else None for x in numbers]
