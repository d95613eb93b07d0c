"""All measures of one denoiser at the same states, and several denoisers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from smalti.machines import Machine
from smalti.networks.measures.curl import Conservation, conservation
from smalti.networks.measures.dimensions import Dimension, dimension
from smalti.networks.measures.reading import Reading, plot_readings
from smalti.networks.measures.shifts import Equivariance, equivariance
from smalti.networks.measures.states import StateSet
from smalti.networks.measures.windows import Edges, Locality, locality
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser

__all__ = ["Measured", "edges_of", "measure", "plot_maps", "plot_measured"]


@dataclass(frozen=True, eq=False)
class Measured:
    """All measures of one denoiser at the same states.

    Attributes:
        locality, equivariance, conservation, dimension: the measures.
        patch_sizes: side of its patches at each level, where it has scales; None otherwise. (L,).
    """

    locality: Locality
    equivariance: Equivariance
    conservation: Conservation
    dimension: Dimension
    patch_sizes: tuple[int, ...] | None

    @property
    def denoiser(self) -> str:
        """Name of what was measured."""
        return self.locality.denoiser

    @property
    def inner_margin(self) -> int:
        """The margin at which the shift error of the interior is told: half of what the shifts leave, rounded up."""
        return self.equivariance.margins // 2

    def readings(self) -> dict[str, Reading]:
        """The numbers that tell most, by their name."""
        return {
            "window_50": self.locality.window(0.5),
            "window_90": self.locality.window(0.9),
            "centre": self.locality.of_centre,
            "shift_error": self.equivariance.error(),
            "shift_error_interior": self.equivariance.error(self.inner_margin),
            "asymmetry_of_mean": self.conservation.mean,
            "asymmetry_of_score": self.conservation.score,
            "dimension": self.dimension.trace,
        }

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold: the record of each measure."""
        return {
            "denoiser": self.denoiser,
            "patch_sizes": None if self.patch_sizes is None else list(self.patch_sizes),
            "locality": self.locality.to_record(),
            "equivariance": self.equivariance.to_record(),
            "conservation": self.conservation.to_record(),
            "dimension": self.dimension.to_record(),
        }


def measure(
    denoiser: Denoiser,
    states: StateSet,
    *,
    name: str | None = None,
    edges: Edges | None = None,
    batch: int = 64,
    progress: Progress = SILENT,
) -> Measured:
    """Measures a denoiser in all ways, each with its own defaults. Tier: *statistical*.

    Args:
        denoiser: a machine, a network, anything that samplers drive.
        states: where it is measured.

    Keyword Args:
        name: what it is called in records and plots; its own name unless given.
        edges: as in `locality`; unless given, what `edges_of` knows.
        batch: how many states go into one call.
        progress: where progress is shown.

    Returns:
        The measures.

    Raises:
        SmaltiError: as the measures.
    """
    scales = getattr(denoiser, "scales", None)
    around = edges_of(denoiser, (states.picture[0], states.picture[1])) if edges is None else edges
    called = denoiser.name if name is None else name
    return Measured(
        replace(locality(denoiser, states, edges=around, batch=batch, progress=progress), denoiser=called),
        replace(equivariance(denoiser, states, batch=batch, progress=progress), denoiser=called),
        replace(conservation(denoiser, states, batch=batch, progress=progress), denoiser=called),
        replace(dimension(denoiser, states, batch=batch, progress=progress), denoiser=called),
        None if scales is None else tuple(int(scales.at(level)) for level in states.levels),
    )


def edges_of(denoiser: Denoiser, size: tuple[int, int]) -> Edges:
    """Whether a machine sees the other side of a picture beyond its edge. Of any other denoiser nothing is known, and
    its offsets end at the edge.

    Args:
        denoiser: anything that samplers drive.
        size: height and width of the pictures.
    """
    if not isinstance(denoiser, Machine):
        return "end"
    admitted = denoiser.admission(1, size)
    return "circular" if admitted.padding == "circular" or admitted.whole == "every-shift" else "end"


def plot_measured(several: Sequence[Measured], path: Path | str) -> None:
    """Draws denoisers side by side against time as a PNG: a panel for each number, a curve for each denoiser.

    Args:
        several: measures at the same states.
        path: the file.
    """
    panels: dict[str, list[Reading]] = {
        "90 % window, pixels": [each.locality.window(0.9) for each in several],
        "shift error, whole picture": [each.equivariance.error() for each in several],
        "shift error, interior": [each.equivariance.error(each.inner_margin) for each in several],
        "asymmetry of the mean": [each.conservation.mean for each in several],
        "asymmetry of the score": [each.conservation.score for each in several],
        f"dimension, of {several[0].dimension.numbers:,}": [each.dimension.trace for each in several],
    }
    plot_readings(panels, path, title=f"at {several[0].locality.origin}")


def plot_maps(several: Sequence[Measured], path: Path | str, *, most: int = 5) -> None:
    """Draws where estimates come from as a PNG: a row for each denoiser, a column for each of some levels. A map is
    the energy by offset without its centre, on one scale for all; the frame is the patch, where there is one.

    Args:
        several: measures at the same states.
        path: the file.

    Keyword Args:
        most: at most so many levels are shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    levels = several[0].locality.levels
    chosen = np.unique(np.linspace(0, len(levels) - 1, min(most, len(levels))).round().astype(int))[::-1]
    _, height, width = several[0].locality.energy.shape
    figure = Figure(figsize=(2 + 2.1 * len(chosen), 0.9 + 2.1 * len(several)), layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(len(several), len(chosen), squeeze=False)
    image = None
    for row, each in zip(cells, several, strict=True):
        row[0].set_ylabel(each.denoiser, fontsize="small")
        for cell, i in zip(row, chosen, strict=True):
            energy = each.locality.energy[i].copy()
            energy[height // 2, width // 2] = 0.0
            total = energy.sum()
            extent = (-width / 2, width / 2, height / 2, -height / 2)
            norm = LogNorm(1e-4, 1, clip=True)
            image = cell.imshow(energy / (total or 1.0), norm=norm, extent=extent, cmap="viridis")
            if each.patch_sizes is not None:
                side = each.patch_sizes[i]
                cell.add_patch(Rectangle((-side / 2, -side / 2), side, side, fill=False, edgecolor="white"))
            cell.set(xticks=[], yticks=[])
    for cell, i in zip(cells[0], chosen, strict=True):
        cell.set_title(f"time {levels[i].time:g}", fontsize="small")
    assert image is not None
    figure.colorbar(image, ax=cells, label="share of the energy beyond the centre", shrink=0.8)
    figure.savefig(path, dpi=120, metadata={"Software": None})
