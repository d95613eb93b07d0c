"""What one step would believe without each item: exact leave-one-out of all items in three walks over the corpus.

With w_n the share of item n at a site and mean_n its own posterior mean,

    mean without n  =  (mean - w_n mean_n) / (1 - w_n).

In whole numbers this is a subtraction. The sums of the corpus (first walk) and those of each item on the same scale
(second walk, a few items at a time) are sums over sources, so their difference is the sum over all other sources, to
the last bit, unless item n alone holds the highest place of the site, by which the scale is set. At most one item can
do that at a site; for all such sites together a third walk leaves the site's own item out.

Each result equals, byte for byte, the posterior mean that the machine gives on `corpus.without([n])` at that state, as
long as the corpus without it has the same number of channels. This is one step's answer. What happens to the finished
picture, when every later step answers to the change, is the item's *effect* (`smalti.receipts.effects`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smalti.engine import Partial, Query, native
from smalti.engine.partial import NO_PLACE, SLICES
from smalti.engine.posterior import mean_of
from smalti.errors import UsageError
from smalti.machines import Machine
from smalti.noise import Level

__all__ = ["GREY_LEVELS", "LeaveOneOut", "leave_one_out", "mean_without"]

Tick = Callable[[float], None]

GREY_LEVELS = 127.5
"""Grey levels in 1.0: pixels 0 to 255 stand for values from -1 to 1."""

# Changes of a value and their squares are rounded to whole multiples of 2^-60; neither exceeds 4.
_UNIT_BITS = 60
_HALF_BITS = 31


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """By how much the posterior mean of one step changes without each item of the corpus. Tier: *bitwise*.

    Over the values of a state (its pixels and channels) the changes and their squares are added up in whole multiples
    of 2^-60 in [-1, 1], so that the order of the walk cannot matter.

    Attributes:
        mean_absolute: mean absolute change in grey levels; 0 for items outside the machine's label. float64 (N, B).
        root_mean_square: root of the mean squared change, in grey levels. float64 (N, B).
    """

    mean_absolute: NDArray[np.float64]
    root_mean_square: NDArray[np.float64]


def leave_one_out(
    machine: Machine, states: NDArray[np.int16], level: Level, *, tick: Tick | None = None
) -> LeaveOneOut:
    """The change of one step's mean without each item of the corpus, exactly. Tier: *bitwise*.

    Costs three walks over the corpus, which take as long as three to five steps of the sampler, and longer for very
    small pictures. Holds about four times 64 MB, or four times one item's sums if those are more (24 (1 + C) B H W
    bytes), whatever the number of items.

    Args:
        machine: the machine, with at least two items.
        states: where the step is taken, in units of 1/4080. int16 (B, H, W, C).
        level: the noise level of the states.

    Keyword Args:
        tick: called with the share of the work done since the last call.

    Raises:
        UsageError: the machine has one item only.
        InputError: the states are not on the grid, or do not fit the corpus.
    """
    query = machine.query(np.ascontiguousarray(states), level)
    _check_two(len(query.images))
    total = native.sums(query)
    mean = mean_of(total)
    absolute = _Tally(len(query.images), len(states))
    squared = _Tally(len(query.images), len(states))
    for items, means in _without_each(query, total, np.arange(len(query.images)), tick=tick):
        change = means - mean
        change[np.isnan(change)] = 0.0
        absolute.add(items, np.abs(change))
        squared.add(items, change * change)
    values = int(np.prod(mean.shape[1:]))
    whole = np.zeros((2, len(machine.corpus), len(states)))
    whole[0, machine.items] = GREY_LEVELS * absolute.sums() / values
    whole[1, machine.items] = GREY_LEVELS * np.sqrt(squared.sums() / values)
    return LeaveOneOut(mean_absolute=whole[0], root_mean_square=whole[1])


def mean_without(
    machine: Machine, states: NDArray[np.int16], level: Level, items: Sequence[int]
) -> NDArray[np.float64]:
    """The posterior mean of one step without each of a few items, (len(items), B, H, W, C). Tier: *bitwise*.

    Equal, byte for byte, to the mean of the machine on `corpus.without([item])` where that has as many channels. An
    item outside the machine's label changes nothing. Costs one walk over the corpus, another over these items alone,
    and a third over the corpus where one of them has a site's highest place to itself.

    Args:
        machine: the machine, with at least two items.
        states: where the step is taken, in units of 1/4080. int16 (B, H, W, C).
        level: the noise level of the states.
        items: indices in the machine's corpus; each is left out by itself.

    Raises:
        UsageError: there is no such item, or the machine has one item only.
    """
    query = machine.query(np.ascontiguousarray(states), level)
    _check_two(len(query.images))
    for item in items:
        if not 0 <= item < len(machine.corpus):
            raise UsageError(f"there is no item {item}: this corpus has items 0 to {len(machine.corpus) - 1}")
    total = native.sums(query)
    out = np.repeat(mean_of(total)[None], len(items), axis=0)
    wanted = np.asarray(items, np.int64)
    used = np.flatnonzero(np.isin(machine.items, wanted))
    for found, means in _without_each(query, total, used) if len(used) else ():
        for index, item in enumerate(machine.items[found]):
            for place in np.flatnonzero(wanted == item):
                known = ~np.isnan(means[index])
                out[place][known] = means[index][known]
    return out


def _without_each(
    query: Query, total: Partial, chosen: NDArray[np.int64], *, tick: Tick | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Means without items: (items of the query (n,), means float64 (n, B, H, W, C)), a bounded number at a time.

    Together they have each site of each of the `chosen` items (ascending, at least one) once; a site that another yield
    of the same item has is NaN. `tick` is called with the share of them walked over since the last call.
    """
    sole = np.full(total.place.shape, -1, np.int64)
    of_them = query if len(chosen) == len(query.images) else replace(query, images=query.images[chosen])
    for first, chunk in native.item_chunks(of_them, pixels=True):
        rest = native.item_sums(chunk, total.place, pixels=True)
        items = chosen[first : first + len(rest)]
        np.subtract(total.slices[..., : 1 + total.channels, :], rest, out=rest)
        alone = rest[..., 0, SLICES - 1] == 0
        sole = np.where(alone.any(axis=0), items[alone.argmax(axis=0)], sole)
        place = np.where(alone, NO_PLACE, total.place)
        yield items, mean_of(Partial(place, rest, total.channels))
        if tick is not None:
            tick(len(rest) / len(chosen))
    if (sole < 0).all():
        return
    others = mean_of(native.sums(query, skip=sole))
    for item in np.unique(sole[sole >= 0]):
        yield np.array([item]), np.where((sole == item)[..., None], others, np.nan)[None]


class _Tally:
    """Sums for each item and state of numbers from 0 to 4, each rounded to a multiple of 2^-60.

    They are kept as two whole numbers of 31 bits each, so that 2^31 of them can be added without loss.
    """

    def __init__(self, items: int, states: int) -> None:
        self._high = np.zeros((items, states), np.int64)
        self._low = np.zeros((items, states), np.int64)

    def add(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Adds values (n, B, H, W, C) to their items (n,), none of which comes twice."""
        units = np.rint(np.ldexp(values, _UNIT_BITS)).astype(np.int64)
        self._high[items] += (units >> _HALF_BITS).sum(axis=(2, 3, 4))
        self._low[items] += (units & (2**_HALF_BITS - 1)).sum(axis=(2, 3, 4))

    def sums(self) -> NDArray[np.float64]:
        """The sums, each rounded to float64; (items, states)."""
        carried = self._high + (self._low >> _HALF_BITS)
        return np.ldexp(carried.astype(np.float64), _HALF_BITS - _UNIT_BITS) + np.ldexp(
            (self._low & (2**_HALF_BITS - 1)).astype(np.float64), -_UNIT_BITS
        )


def _check_two(items: int) -> None:
    if items < 2:
        raise UsageError("a machine with one item only has nothing left without it: use a larger corpus or label")
