"""One step of a sample taken apart: how much of each pixel's posterior weight each item holds.

The engine's weights are whole numbers (`smalti.engine.partial`), and an item's weight at a pixel is their sum over
the item's own places. To add credits up without rounding, each pixel's weight is divided into `UNITS` = 2^40 whole
units: an item gets floor(w / W * 2^40) of them, w and W being its weight and the weight of all as float64, and what
is left over, less than one unit for each item, goes to the item with the largest weight (the first of equal ones).
So the units of a pixel sum to 2^40, and those of a sample to H W 2^40, with nothing lost.

Items stream through in chunks. Held at once are the sums of one chunk (`smalti.engine.native.item_chunks`, about
64 MB), one number for each item, and the best items of each pixel: never items times pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.engine import Partial, Posterior, Query, native
from smalti.noise import Level

__all__ = ["UNITS", "Composition", "divide"]

UNITS = 2**40
"""Whole units that the weight of each pixel is divided into."""

# Numbers in a block of the work below: a few arrays of this many fit into a processor's cache.
_BLOCK = 1 << 15


@dataclass(frozen=True, eq=False)
class Composition:
    """The exact weights of one step of one sample. Tier: *bitwise*.

    Attributes:
        step: the step, from 0, the noisiest; the last one is the finished picture.
        level: its noise level.
        patch_size: side of the windows that were compared, in pixels; 0 where whole images were.
        posterior: mean, evidence, entropy and the best sources of each pixel; arrays without a batch axis.
        units: weight of each item, summed over the pixels, in units of 2^-40 of a pixel; 0 for items that the machine
            does not use. int64, shape (N,).
        item: the items with the largest weight at each pixel, best first, -1 where fewer have any. int64, shape (H, W,
            M).
        item_units: their units. int64, shape (H, W, M).
        rest_units: units of the pixel that belong to items not listed. int64, shape (H, W).
    """

    step: int
    level: Level
    patch_size: int
    posterior: Posterior
    units: NDArray[np.int64]
    item: NDArray[np.int64]
    item_units: NDArray[np.int64]
    rest_units: NDArray[np.int64]

    @property
    def top_share(self) -> NDArray[np.float64]:
        """The copy map: share of the item that each pixel owes most to. float64, shape (H, W)."""
        return self.item_units[..., 0] / UNITS

    @property
    def effective_sources(self) -> NDArray[np.float64]:
        """exp(entropy): how many sources of equal weight would spread the weight as much. float64, shape (H, W)."""
        found = self.posterior.effective_sources
        assert found is not None
        return found


@dataclass(frozen=True, eq=False)
class Division:
    """The units of a query's items; items by their place in `Query.images`.

    Attributes:
        units: summed over the pixels. int64, shape (N,).
        item, item_units: the best items of each pixel. int64, shape (H, W, M).
    """

    units: NDArray[np.int64]
    item: NDArray[np.int64]
    item_units: NDArray[np.int64]


def divide(query: Query, total: Partial, *, keep: int, tick: Callable[[float], None] | None = None) -> Division:
    """Divides each pixel's weight among the items. Tier: *bitwise*.

    Args:
        query: a question with one state.
        total: its sums over all items.

    Keyword Args:
        keep: how many items to list at each pixel, M; at least 1.
        tick: called with the share of the work done since the last call.

    Returns:
        The units. Memory: see the module; time: one walk over the corpus.
    """
    _, height, width, _ = query.states.shape
    pixels = height * width
    # Dividing by W / 2^40 rounds as dividing by W and multiplying by 2^40 would: powers of two are exact.
    unit = total.totals()[..., 0].reshape(pixels) / UNITS
    units = np.zeros(len(query.images), np.int64)
    given = np.zeros(pixels, np.int64)
    best = _Best(pixels, keep)
    step = max(1, _BLOCK // pixels)
    for first, part in native.item_chunks(query):
        slices = native.item_sums(part, total.place).reshape(len(part.images), pixels, 3)
        for begin in range(0, len(slices), step):
            part_sums = Partial(total.place.reshape(pixels), slices[begin : begin + step, :, None], channels=0)
            weight = part_sums.totals()[..., 0]
            block = (weight / unit).astype(np.int64)
            units[first + begin : first + begin + len(block)] = block.sum(axis=1)
            given += block.sum(axis=0)
            best.add(first + begin, weight, block)
        if tick is not None:
            tick(len(part.images) / len(query.images))
    left = UNITS - given
    np.add.at(units, best.item[:, 0], left)
    best.units[:, 0] += left
    return Division(units, best.item.reshape(height, width, keep), best.units.reshape(height, width, keep))


class _Best:
    """The items of largest weight at each pixel, best first, of equal ones the first; items come in rising order."""

    def __init__(self, pixels: int, keep: int) -> None:
        self.item = np.full((pixels, keep), -1, np.int64)
        self.weight = np.zeros((pixels, keep))
        self.units = np.zeros((pixels, keep), np.int64)

    def add(self, first: int, weight: NDArray[np.float64], units: NDArray[np.int64]) -> None:
        """Takes the items first, first + 1, ... into account; both arrays have the shape (items, pixels)."""
        better = weight > self.weight[:, -1]
        at = np.flatnonzero(better.any(axis=0))
        if not len(at):
            return
        # Candidates of each pixel side by side behind those kept so far, in rising order of items.
        row, item = np.nonzero(better[:, at].T)
        starts = np.searchsorted(row, np.arange(len(at)))
        column = self.item.shape[1] + np.arange(len(row)) - starts[row]
        shape = (len(at), int(column.max()) + 1)
        keep = self.item.shape[1]
        heaviest = np.zeros(shape)
        heaviest[:, :keep] = self.weight[at]
        heaviest[row, column] = weight[item, at[row]]
        found = np.zeros((2, *shape), np.int64)
        found[:, :, :keep] = self.item[at], self.units[at]
        found[:, row, column] = first + item, units[item, at[row]]
        order = np.argsort(-heaviest, axis=1, kind="stable")[:, :keep]
        self.weight[at] = np.take_along_axis(heaviest, order, axis=1)
        self.item[at], self.units[at] = np.take_along_axis(found, order[None], axis=2)
