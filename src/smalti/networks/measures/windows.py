"""How local a denoiser is: from how far around a pixel its estimate comes.

With J_ij = d mean_i / d x_j, the sensitivity of pixel i to the pixel at offset d is the energy

    E(d) = sum over pixels i of |J_(i, i+d)|^2            (all channels added)

If each number of the state trembles independently and slightly, E(d) is what the tremor at offset d adds to the
variance of the estimates. The centre, E(0), is the pixel itself. Of the rest,

    share(P) = sum of E(d) over 0 < max(|d_row|, |d_column|) <= (P - 1) / 2     divided by the same over all d != 0

is what comes from the P x P window, and the **window** at a share such as 90 % is the least odd P with share(P) of at
least that. A machine with patches of P has E = 0 beyond its patch, exactly: so its window is at most P. For a network
it says how much of what it could see it uses.

Kamb & Ganguli 2025 (2412.20292) take locality for one of two biases of a convolutional network; Niedoba et al. 2024
(2411.19339) look at how local the derivatives of trained denoisers are.

Derivatives are taken by columns: the change of all estimates when one number of the state moves. In small pictures all
numbers are moved in turn; in large ones, those of some pixels chosen by the sample's seed. Near an edge there are
fewer neighbours on one side, so energies at great offsets count for fewer pairs. `margin` moves only pixels away
from the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError, whole_number
from smalti.networks.measures.asking import INAUDIBLE, derivatives, unit_directions
from smalti.networks.measures.reading import Measurement, Reading, plot_readings
from smalti.networks.measures.states import StateSet
from smalti.noise.words import uniforms
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import Denoiser

__all__ = ["Edges", "Locality", "locality"]

Floats = NDArray[np.float64]
Edges = Literal["end", "circular"]

SHARES = (0.5, 0.9, 0.95)
"""Shares at which windows are reported."""

# Pixels that are moved in a picture with more of them.
_PIXELS = 64
_SOME = 24


@dataclass(frozen=True, eq=False)
class Locality(Measurement):
    """From how far around a pixel its estimate comes (see `smalti.networks.measures.windows`).

    Attributes:
        edges: whether offsets end at the edge of a picture, or go round.
        sides: odd sides of windows: 1, 3, 5, ... (R,).
        shares: share of the energy beyond the centre that lies within each side; 1 where there is none at all.
            float64 (S, L, R).
        centre: share of the centre in all energy; NaN where the estimate does not depend on the state. float64 (S, L).
        energy: E(d) over its sum, mean of the samples, by row and column of d, 0 in the middle. float64 (L, 2H - 1, 2W
            - 1).
    """

    edges: Edges
    sides: tuple[int, ...]
    shares: Floats
    centre: Floats
    energy: Floats

    def window(self, share: float = 0.9) -> Reading:
        """The least side of a window that holds this share of the energy beyond the centre, in pixels; 1 where there is
        none beyond it.

        Raises:
            UsageError: the share is not above 0 and at most 1.
        """
        if not 0.0 < share <= 1.0:
            raise UsageError(f"A window holds a share above 0, and at most 1, of the energy, but the share is {share}.")
        place = (self.shares >= share).argmax(axis=2)
        values = np.asarray(self.sides, np.float64)[place]
        return Reading(f"{100 * share:g} % window, pixels", self.denoiser, self.levels, values)

    @property
    def of_centre(self) -> Reading:
        """The share of the centre in all energy."""
        return Reading("share of the centre", self.denoiser, self.levels, self.centre)

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            **self.head("locality"),
            "edges": self.edges,
            "sides": list(self.sides),
            "shares": self.shares.tolist(),
            "windows": {f"{share:g}": self.window(share).to_record() for share in SHARES},
            "centre": self.of_centre.to_record(),
        }

    def plot(self, path: Path | str) -> None:
        """Draws windows, and the share of the centre, against time as a PNG."""
        windows = [self.window(share) for share in SHARES]
        plot_readings({"window, pixels": windows, "share of the centre": [self.of_centre]}, path, title=self.origin)


def locality(
    denoiser: Denoiser,
    states: StateSet,
    *,
    edges: Edges = "end",
    pixels: int | None = None,
    margin: int = 0,
    step: int | None = None,
    batch: int = 64,
    progress: Progress = SILENT,
) -> Locality:
    """Measures from how far around a pixel its estimate comes. Tier: *statistical*: differences (see
    `smalti.networks.measures.asking`), and some of the pixels where there are many.

    Args:
        denoiser: a machine, a network, anything that samplers drive.
        states: where it is measured.

    Keyword Args:
        edges: "circular" counts offsets round the picture, for denoisers that see its other side beyond an edge.
        pixels: how many pixels are moved at each state; unless given, all of up to 64, or 24 of more.
        margin: only pixels at least so far from all edges are moved.
        step: of the differences, in units of 1/4080.
        batch: how many states go into one call.
        progress: where progress is shown.

    Returns:
        The shares; two calls of a state for each pixel and channel that is moved, at each state.

    Raises:
        UsageError: a setting has no meaning, or the margin leaves no pixel.
        SmaltiError: the denoiser returned something else than means.
    """
    if edges not in ("end", "circular"):
        raise UsageError(f"Offsets end at the edge or go round it, 'end' or 'circular', but edges is {edges!r}.")
    height, width, channels = states.picture
    around = whole_number(margin, "A margin is a whole number of pixels", least=0)
    inside = np.arange(height * width).reshape(height, width)[around : height - around, around : width - around].ravel()
    if not inside.size:
        raise UsageError(f"A margin of {around} leaves no pixel of pictures of {width}x{height}: choose less.")
    count = len(inside) if len(inside) <= _PIXELS else _SOME
    if pixels is not None:
        count = min(len(inside), whole_number(pixels, "The number of pixels to move is at least 1", least=1))
    rings, sides = _rings(height, width, edges)
    shares = np.ones((*states.shape, len(sides)))
    centre = np.full(states.shape, np.nan)
    energy = np.zeros((len(states.levels), *rings.shape))
    with progress.task(f"locality of {denoiser.name}", len(states.seeds) * len(states.levels)) as task:
        for n, i, state, level in states:
            chosen = _some(inside, count, states.seeds[n])
            numbers = (chosen[:, None] * channels + np.arange(channels)).ravel()
            moved = unit_directions(state.shape, numbers)
            found = derivatives(denoiser, state, level, moved, step=step, batch=batch)
            by_offset = _by_offset(np.square(found).sum(axis=3), numbers // channels, edges)
            total = by_offset.sum()
            if total >= INAUDIBLE**2:
                by_ring = np.array([by_offset[rings == r].sum() for r in range(len(sides))])
                centre[n, i] = by_ring[0] / total
                energy[i] += by_offset / total / len(states.seeds)
                beyond = np.cumsum(by_ring[1:])
                if len(beyond) and beyond[-1]:
                    shares[n, i] = np.concatenate([[0.0], beyond / beyond[-1]])
            task.advance()
    return Locality(denoiser.name, states.levels, states.seeds, states.origin, edges, sides, shares, centre, energy)


def _some(places: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """So many of the places, chosen by the seed; all of them in their order if that is their number."""
    if count == len(places):
        return places
    order = np.argsort(uniforms(len(places), seed=seed, purpose="measures/pixels"), kind="stable")
    return np.sort(places[order[:count]])


def _rings(height: int, width: int, edges: Edges) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """The ring max(|row|, |column|) of each offset, (2H - 1, 2W - 1), and the sides 1, 3, ... of all rings."""
    rows, columns = (np.abs(np.arange(1 - side, side)) for side in (height, width))
    if edges == "circular":
        rows, columns = np.minimum(rows, height - rows), np.minimum(columns, width - columns)
    rings = np.maximum(rows[:, None], columns[None, :])
    return rings, tuple(range(1, 2 * int(rings.max()) + 2, 2))


def _by_offset(energies: Floats, pixels: NDArray[np.int64], edges: Edges) -> Floats:
    """Energies (K, H, W) of all estimates, each for one moved pixel, added by offset from estimate to moved pixel."""
    _, height, width = energies.shape
    out = np.zeros((2 * height - 1, 2 * width - 1))
    for field, pixel in zip(energies, pixels, strict=True):
        row, column = divmod(int(pixel), width)
        # The estimate at (y, x) has offset (row - y, column - x), and row 0 of `out` is offset 1 - H.
        out[row : row + height, column : column + width] += field[::-1, ::-1]
    if edges == "circular":
        for axis, side in enumerate((height, width)):
            out = _folded(out, axis, side)
    return out


def _folded(energies: Floats, axis: int, side: int) -> Floats:
    """Offsets of more than half of the side moved to the nearer way round; both ways get half of what is half away."""
    moved = np.moveaxis(energies, axis, 0)
    out = np.zeros_like(moved)
    for d in range(1 - side, side):
        near = d % side
        ways = [near, near - side] if 2 * near == side else [near if 2 * near < side else near - side]
        for way in ways:
            out[way + side - 1] += moved[d + side - 1] / len(ways)
    return np.moveaxis(out, 0, axis)
