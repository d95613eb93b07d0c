"""The receipt of a sample: which items each of its pixels owes its weight to, exactly.

Three words never mix. The **weight** of an item is its share of the posterior of one step, summed over a sample's
pixels in whole units: its **credit**. The *effect* of an item is what changes in the finished sample when the same
seed runs again without it. A *match* is the nearest place of the corpus: a similarity that says nothing of weight.

A trace keeps the state of every step, so any step is taken apart again from the corpus, bit for bit; no table of
weights is ever stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from smalti.engine import Posterior, native
from smalti.engine.partial import Partial
from smalti.engine.posterior import finish, mean_of
from smalti.engine.query import Query
from smalti.errors import InputError, UsageError
from smalti.machines import Machine
from smalti.receipts.composition import UNITS, Composition, divide
from smalti.receipts.match import nearest_items, nearest_patches
from smalti.sampling.ddim import pixels_of
from smalti.sampling.trace import Sample

__all__ = ["Credit", "Match", "Receipt"]

Tick = Callable[[float], None]

# The credits of a sample are whole numbers of 64 bits, and H W 2^40 of them must fit.
_MOST_PIXELS = 2**63 // UNITS - 1


@dataclass(frozen=True)
class Credit:
    """An item's weight at one step, summed over the pixels of a sample.

    Attributes:
        item: index in the corpus.
        id: its content id.
        name: its name, for people.
        label: its label, or None.
        units: its units; those of all items sum to H W 2^40.
        share: units / (H W 2^40).
    """

    item: int
    id: str
    name: str
    label: str | None
    units: int
    share: float


@dataclass(frozen=True, eq=False)
class Match:
    """What of the corpus a finished picture is nearest to: a similarity, which says nothing of weight. Tier: *bitwise*.

    Attributes:
        patch_size: side of the windows compared, that of the last step; 0 where the machine compares whole images, and
            then the place is the same place in the nearest item.
        item: index in the corpus of the nearest admitted patch's item, -1 where there is none. int64, shape (H, W).
        row, column: its place in the item. int64, shape (H, W).
        rms: root of the mean squared difference over the window, in grey levels; NaN where there is none. float64,
            shape (H, W).
        whole: the nearest whole items and the same root over all pixels, nearest first; empty where sizes differ.
    """

    patch_size: int
    item: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    rms: NDArray[np.float64]
    whole: tuple[tuple[int, float], ...]


class Receipt:
    """Where a finished sample came from. Tier of all of it: *bitwise*.

    Attributes:
        sample: the sample.
        machine: the machine that made it.
        steps: number of steps, T. Steps are named 0 (the noisiest) to T - 1 (the finished picture), or -1 for that.
        whole_units: the units of all items together at a step, H W 2^40.
    """

    def __init__(self, sample: Sample, machine: Machine) -> None:
        """Takes the sample and the machine that made it; nothing is computed yet.

        Raises:
            InputError: the machine has another corpus, or the sample is too large (8 million pixels).
        """
        if machine.corpus.digest != sample.corpus_digest:
            raise InputError(
                f"the sample of seed {sample.seed} was made from the corpus {sample.corpus_digest[:12]}, and this "
                f"machine has {machine.corpus.digest[:12]}: give the machine that made it"
            )
        pixels = sample.image.shape[0] * sample.image.shape[1]
        if pixels > _MOST_PIXELS:
            raise InputError(
                f"the sample of seed {sample.seed} has {pixels:,} pixels, and receipts count exactly up to "
                f"{_MOST_PIXELS:,}: make smaller pictures"
            )
        self.sample = sample
        self.machine = machine
        self.steps = len(sample.levels)
        self.whole_units = pixels * UNITS
        self._credits: dict[int, NDArray[np.int64]] = {}

    def step(self, step: int) -> int:
        """The step's number from 0; negative ones count from the end.

        Raises:
            UsageError: there is no such step.
        """
        return checked_step(step, self.steps)

    def patch_size(self, step: int = -1) -> int:
        """Side of the windows compared at a step, in pixels; 0 where whole images were.

        Raises:
            UsageError: there is no such step.
        """
        return self.machine.patch_size(self.sample.levels[self.step(step)]) if self.machine.has_windows else 0

    def check_pixel(self, row: int, column: int) -> None:
        """Raises `UsageError` if the picture has no such pixel."""
        height, width, _ = self.sample.image.shape
        check_pixel(row, column, (height, width))

    def at(self, step: int = -1, *, top: int = 8, tick: Tick | None = None) -> Composition:
        """The exact weights of a step, with entropy and the best sources of each pixel.

        Three walks over the corpus: the sums, the same for each item, and the best sources. Memory: see
        `smalti.receipts.composition`, and `top` sources and items for each pixel.

        Args:
            step: the step.

        Keyword Args:
            top: how many sources, and how many items, to list at each pixel.
            tick: called with the share of the work done since the last call.

        Raises:
            InputError: the trace is not one that this machine makes.
            UsageError: there is no such step, or `top` is below 1.
        """
        step = self.step(step)
        if top < 1:
            raise UsageError(f"list at least one source of each pixel, not {top}")
        query, total = self._sums(step, spread=True, tick=_part(tick, 1 / 3))
        mean, evidence, entropy, cut = finish(query, total)
        best = native.sources(query, total, keep=top, items=self.machine.items, tick=_part(tick, 1 / 3))
        division = divide(query, total, keep=top, tick=_part(tick, 1 / 3))
        units = self._of_corpus(division.units)
        self._credits[step] = units
        size = self.patch_size(step)
        posterior = Posterior(
            mean=mean,
            evidence=evidence,
            cut=cut,
            state=query.states,
            level=query.level,
            patch_size=size,
            entropy=entropy,
            sources=best,
        )
        return Composition(
            step=step,
            level=query.level,
            patch_size=size,
            posterior=posterior.of_state(0),
            units=units,
            item=np.where(division.item >= 0, self.machine.items[division.item], -1),
            item_units=division.item_units,
            rest_units=UNITS - division.item_units.sum(axis=-1),
        )

    def credits(self, step: int = -1, *, tick: Tick | None = None) -> NDArray[np.int64]:
        """The units of every item of the corpus at a step; kept once computed.

        Two walks over the corpus: the sums, and the same for each item.

        Args:
            step: the step.

        Keyword Args:
            tick: called with the share of the work done since the last call.

        Returns:
            int64, shape (N,), read-only; 0 for items that the machine does not use. They sum to `whole_units`.

        Raises:
            InputError: the trace is not one that this machine makes.
            UsageError: there is no such step.
        """
        step = self.step(step)
        if step in self._credits:
            if tick is not None:
                tick(1.0)
            return self._credits[step]
        query, total = self._sums(step, spread=False, tick=_part(tick, 1 / 2))
        units = self._of_corpus(divide(query, total, keep=1, tick=_part(tick, 1 / 2)).units)
        self._credits[step] = units
        return units

    def items(self, top: int = 10, *, step: int = -1) -> tuple[Credit, ...]:
        """The items with the largest credit at a step, largest first, of equal ones the first; at most `top`, and none
        without credit.

        Raises:
            InputError, UsageError: as `credits`.
        """
        units = self.credits(step)
        corpus = self.machine.corpus
        return tuple(
            Credit(
                item=item,
                id=corpus.ids[item],
                name=corpus.names[item],
                label=None if corpus.labels is None else corpus.labels[item],
                units=int(units[item]),
                share=int(units[item]) / self.whole_units,
            )
            for item in largest(units)[: max(top, 0)].tolist()
        )

    def by(self, column: str, *, step: int = -1) -> dict[str | None, int]:
        """The units of groups of items at a step, largest first, of equal ones by name; they sum to `whole_units`.

        Args:
            column: "label", or a column of the metadata. Items without an entry are the group None.

        Keyword Args:
            step: the step.

        Raises:
            InputError: as `credits`.
            UsageError: there is no such column or step.
        """
        values = self.machine.corpus.values(column)
        units = self.credits(step)
        return grouped(values, units)

    def summary(self, *, tick: Tick | None = None) -> NDArray[np.float64]:
        """A summary over the steps, and no weight of any: the mean over all steps of each item's share of the credits.

        Keyword Args:
            tick: called with the share of the work done since the last call.

        Returns:
            float64, shape (N,).

        Raises:
            InputError: the trace is not one that this machine makes.
        """
        total = np.zeros(len(self.machine.corpus))
        for step in range(self.steps):
            total += self.credits(step, tick=_part(tick, 1 / self.steps)) / self.whole_units
        return total / self.steps

    def match(self, *, keep: int = 5, picture: NDArray[np.uint8] | None = None) -> Match:
        """What of the corpus the finished picture is nearest to, by distance alone.

        Keyword Args:
            keep: how many whole items to list.
            picture: another picture of its size to look for, such as the one that a network drew. uint8, shape (H, W,
                C).

        Raises:
            UsageError: `keep` is below 1.
        """
        machine = self.machine
        picture = self.sample.image if picture is None else picture
        whole: list[tuple[int, float]] = []
        if picture.shape[:2] == machine.corpus.size:
            nearest, squared = nearest_items(machine.images, picture[None], keep=keep)
            rms = np.sqrt(squared[0] / (4.0 * picture.size))
            whole = list(zip(machine.items[nearest[0]].tolist(), rms.tolist(), strict=True))
        size = machine.patch_size(self.sample.levels[-1])
        admission = machine.admission(size, (picture.shape[0], picture.shape[1]))
        if admission.whole != "no":
            row, column = (np.array(place, np.int64) for place in np.indices(picture.shape[:2]))
            item, distance = whole[0]
            return Match(0, np.full_like(row, item), row, column, np.full(row.shape, distance), tuple(whole))
        found = nearest_patches(machine.images, picture, admission)
        item = np.where(found.known, machine.items[found.item], -1)
        return Match(size, item, found.row, found.column, found.rms, tuple(whole))

    def question(self, step: int = -1) -> Query:
        """What the engine was asked at a step: one state, the machine's items.

        Raises:
            UsageError: there is no such step.
        """
        step = self.step(step)
        return self.machine.query(np.ascontiguousarray(self.sample.states[step][None]), self.sample.levels[step])

    def _sums(self, step: int, *, spread: bool, tick: Tick | None) -> tuple[Query, Partial]:
        """The question of a step and its sums, after a check that they are those that the trace came from."""
        query = self.question(step)
        total = native.sums(query, spread=spread, tick=tick)
        mean = mean_of(total)[0]
        same = np.array_equal(pixels_of(mean), self.sample.estimates[step])
        if step == self.steps - 1:
            same = same and np.array_equal(mean, self.sample.mean)
        if not same:
            raise InputError(
                f"step {step} of seed {self.sample.seed} comes out otherwise than the trace says: it was not made by "
                "this machine, or was altered; make the run again from the command in its run.json"
            )
        return query, total

    def _of_corpus(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Units of the machine's items as units of all items of the corpus."""
        out = np.zeros(len(self.machine.corpus), np.int64)
        out[self.machine.items] = units
        out.setflags(write=False)
        return out


def checked_step(step: int, steps: int) -> int:
    """A step's number from 0, of one that may be counted from the end.

    Raises:
        UsageError: there is no such step.
    """
    if isinstance(step, bool) or not hasattr(step, "__index__") or not -steps <= step < steps:
        raise UsageError(
            f"there is no step {step}: this sample has steps 0 to {steps - 1}, and -1 is the last, which gave the "
            "picture"
        )
    return range(steps)[step]


def check_pixel(row: int, column: int, size: tuple[int, int]) -> None:
    """Raises `UsageError` if a picture of this height and width has no such pixel."""
    height, width = size
    if not (0 <= row < height and 0 <= column < width):
        raise UsageError(
            f"there is no pixel {column},{row}: the picture's columns are 0 to {width - 1} and its rows 0 to "
            f"{height - 1}"
        )


def grouped(values: Sequence[str | None], units: NDArray[np.int64]) -> dict[str | None, int]:
    """The units (N,) of items by the group of each, largest group first, of equal ones by name; None comes first."""
    groups: dict[str | None, int] = {}
    for item in np.flatnonzero(units).tolist():
        groups[values[item]] = groups.get(values[item], 0) + int(units[item])
    return dict(sorted(groups.items(), key=lambda group: (-group[1], group[0] is not None, group[0] or "")))


def largest(units: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of what is above 0, largest first, of equal ones the first."""
    order = np.argsort(-units, kind="stable")
    return order[: np.count_nonzero(units)]


def _part(tick: Tick | None, share: float) -> Tick | None:
    return None if tick is None else partial(_scaled, tick, share)


def _scaled(tick: Tick, share: float, done: float) -> None:
    tick(share * done)
