"""The proof of a pixel: every one of its sources with a whole-number weight, found again from the definition.

It shares nothing with the kernel but the definition of a weight (`smalti.engine.arithmetic.integer_weights`), and is
meant for one pixel at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smalti.engine import Query
from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import SLICE_BITS, SLICES
from smalti.engine.query import PIXEL_UNIT
from smalti.errors import InputError
from smalti.receipts.receipt import Receipt
from smalti.sampling.ddim import pixels_of
from smalti.window import Span

__all__ = ["ExactPixel", "Source", "exact"]

# Values of corpus places that are looked at together.
_CHUNK = 1 << 21


class Source(NamedTuple):
    """One place of the corpus that a pixel owes weight to.

    item: index in the corpus.
    row, column: the place in the item.
    weight: its weight, a whole number; its share is this over the sum of all.
    values: what stands there, the centred pixel q = 2 u - 255 in each channel.
    """

    item: int
    row: int
    column: int
    weight: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class ExactPixel:
    """All sources of one pixel at one step, and what they make. Tier: *bitwise*.

    Attributes:
        row, column: the pixel.
        step: the step.
        sources: every source that has weight, largest first, equal ones by item, row and column.
    """

    row: int
    column: int
    step: int
    sources: tuple[Source, ...]

    @property
    def weight(self) -> int:
        """The weight of all sources together."""
        return sum(source.weight for source in self.sources)

    @property
    def sums(self) -> tuple[int, ...]:
        """Sum of weight times q of all sources, in each channel. Shape (C,)."""
        return tuple(
            sum(source.weight * source.values[c] for source in self.sources) for c in range(len(self.sources[0].values))
        )

    @property
    def mean(self) -> tuple[Fraction, ...]:
        """Sum of share times value, exactly, in [-1, 1]. Shape (C,)."""
        return tuple(Fraction(total, self.weight * PIXEL_UNIT) for total in self.sums)

    @property
    def rounded(self) -> tuple[float, ...]:
        """The mean with the roundings of a posterior: sums slice by slice, as the engine keeps them. Shape (C,)."""
        weight = self._total([1] * len(self.sources))
        return tuple(
            min(max(self._total([source.values[c] for source in self.sources]) / weight / PIXEL_UNIT, -1.0), 1.0)
            for c in range(len(self.sources[0].values))
        )

    def _total(self, values: Sequence[int]) -> float:
        """Sum of weight times value as `Partial.totals` rounds it."""
        total = 0.0
        for shift in (2 * SLICE_BITS, SLICE_BITS, 0):
            mask = -1 if shift == 2 * SLICE_BITS else 2**SLICE_BITS - 1
            slices = ((source.weight >> shift & mask) * v for source, v in zip(self.sources, values, strict=True))
            total = total * 2.0**SLICE_BITS + float(sum(slices))
        return total


def exact(receipt: Receipt, row: int, column: int, *, step: int = -1) -> ExactPixel:
    """The complete list of sources of one pixel, with whole-number weights. Tier: *bitwise*.

    Memory: a few numbers for each place of some items at a time, and the sources that have weight (at the noisiest
    steps that can be every place of the corpus).

    Args:
        receipt: the receipt.
        row: the pixel's row, from 0 at the top.
        column: its column, from 0 at the left.

    Keyword Args:
        step: the step.

    Raises:
        InputError: the sources do not give the pixel that the trace has.
        UsageError: there is no such pixel or step.
    """
    step = receipt.step(step)
    receipt.check_pixel(row, column)
    query = receipt.question(step)
    chunk = max(1, _CHUNK // int(np.prod(query.images.shape[1:])))
    top: int | None = None
    found: list[_Scores] = []
    for begin in range(0, len(query.images), chunk):
        some = _scores(query, query.images[begin : begin + chunk], row, column)
        highest = int(some.score.max()) // query.span
        top = highest if top is None else max(top, highest)
        # What lies this far below the best has no weight.
        kept = some.score >= (top - SLICES + 1) * query.span
        found.append(_Scores(some.score[kept], some.where[kept] + np.array([begin, 0, 0])))
    assert top is not None
    sources: list[Source] = []
    for some in found:
        place, weight, _ = integer_weights(some.score, query.span)
        # As in the kernel: in units of 2^(15 (T - 2)), T the highest place; what lies lower is dropped.
        mass = (weight << SLICE_BITS) >> (SLICE_BITS * np.minimum(top - place, SLICES))
        for at in np.flatnonzero(mass).tolist():
            item, j, k = some.where[at].tolist()
            values = 2 * query.images[item, j, k].astype(int) - PIXEL_UNIT
            sources.append(Source(int(receipt.machine.items[item]), j, k, int(mass[at]), tuple(values.tolist())))
    sources.sort(key=lambda source: (-source.weight, *source[:3]))
    made = ExactPixel(row, column, step, tuple(sources))
    rounded = np.array(made.rounded)
    same = np.array_equal(pixels_of(rounded), receipt.sample.estimates[step, row, column])
    if step == receipt.steps - 1:
        same = same and np.array_equal(rounded, receipt.sample.mean[row, column])
    if not same:
        raise InputError(
            f"the sources of pixel {column},{row} at step {step} of seed {receipt.sample.seed} do not give what the "
            "trace has: it was not made by this machine, or was altered; make the run again from the command in its "
            "run.json"
        )
    return made


class _Scores(NamedTuple):
    """Scores (n,) of admitted places, and each one's item, row and column (n, 3)."""

    score: NDArray[np.int64]
    where: NDArray[np.int64]


def _scores(query: Query, images: NDArray[np.uint8], row: int, column: int) -> _Scores:
    """Scores of all admitted places of some items for one site of the state."""
    q = 2 * images.astype(np.int64) - PIXEL_UNIT
    state = query.states[0].astype(np.int64)
    height, width, _ = state.shape
    if query.admission.whole == "no":
        half = query.admission.half
        size = 2 * half + 1
        window = query.admission.pad(query.states)[0, row : row + size, column : column + size].astype(np.int64)
        rows, columns = next(
            (_places(r, row), _places(c, column))
            for r, c in query.admission.pairs
            if r.state0 <= row < r.state1 and c.state0 <= column < c.state1
        )
        padded = np.pad(q, ((0, 0), (half, half), (half, half), (0, 0)))
        product = np.zeros((len(q), len(rows), len(columns)), np.int64)
        square = np.zeros_like(product)
        for y in range(size):
            for x in range(size):
                seen = padded[:, rows.start + y : rows.stop + y, columns.start + x : columns.stop + x]
                product += seen @ window[y, x]
                square += (seen * seen).sum(axis=-1)
    else:
        every = query.admission.whole == "every-shift"
        shifts = [(y, x) for y in range(height if every else 1) for x in range(width if every else 1)]
        moved = np.stack([np.roll(state, shift, axis=(0, 1)).reshape(-1) for shift in shifts], axis=1)
        product = (q.reshape(len(q), -1) @ moved).reshape(len(q), height if every else 1, width if every else 1)
        square = np.broadcast_to((q * q).sum(axis=(1, 2, 3))[:, None, None], product.shape)
        rows, columns = range(product.shape[1]), range(product.shape[2])
    offset = np.rint(8.0 * query.level.signal * square.astype(np.float64)).astype(np.int64)
    item, j, k = np.indices(product.shape).reshape(3, -1)
    j, k = j + rows.start, k + columns.start
    if query.admission.whole != "no":
        j, k = (j + row) % height, (k + column) % width
    return _Scores((product - offset).reshape(-1), np.stack([item, j, k], axis=1))


def _places(span: Span, at: int) -> range:
    """Corpus places along one axis that may serve the state place `at`."""
    if span.place == "fixed":
        return range(span.corpus0 + at - span.state0, span.corpus0 + at - span.state0 + 1)
    return range(span.corpus0, span.corpus1)
