"""Effect: what becomes of finished pictures when items are taken out of the corpus and the same seeds run again.

Removed is what was asked for, all of it at once. Kept on purpose is everything else: machine, label, levels, patch
sizes, picture size and seeds. (A calibration on the smaller corpus might choose other patch sizes; that would be a
second change, and not the effect of the items.) So the effect is an exact counterfactual of one run, not an estimate.

**Cannot have changed.** Let the sums of the whole corpus at a state of the trace have the highest place T at a site. If
the removed items' own sums on that scale are all 0, none of them is at T (a source at T adds at least 1 there), so the
other items' highest place is T too, and their sums are the same whole numbers: the same mean, the same next state.
Where this holds at every site of every step, then, by induction from the noise, which depends on the seed alone, the
run without the items passes through the same states and ends in the same bytes. Such a seed is proved unchanged before
it is run again; the re-run must agree, and `effect` fails loudly if it does not. The proof looks at steps in order and
ends at the first one at which an item had weight. Under strong noise all items weigh about the same, so in most
runs that is the first step; items outside the machine's label have no weight anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.engine import native
from smalti.errors import SmaltiError, UsageError
from smalti.machines import Machine
from smalti.noise import RecordedSchedule
from smalti.progress import SILENT, Progress, Task
from smalti.receipts.correlation import pearson
from smalti.receipts.one_step import GREY_LEVELS
from smalti.sampling.ddim import DDIM, batches, checked_seeds, pixels_of
from smalti.sampling.trace import Trace

__all__ = ["Change", "Effect", "Proof", "SeedEffect", "effect", "machine_without", "prove"]

# Seeds whose sums are held at a time.
_BATCH = 16

ROUNDING = 2.0**-48
"""Differences of two means, in [-1, 1], up to which they count as none.

A mean is a quotient of two sums of three rounded parts each: at most 6 roundings above and below the line and 2 of the
divisions, each of at most 2^-53 of a magnitude of at most 1 (weights times q are bounded by 255 times the weights). So
means that are equal in exact arithmetic come out at most 2 x 14 x 2^-53 < 2^-48 apart.
"""


@dataclass(frozen=True)
class Change:
    """How far apart two finished pictures are, over all their values (pixels and channels). Tier: *bitwise*.

    The pictures are the exact means, before they are rounded to pixels; differences are in grey levels (255 from black
    to white). One that the rounding of the means can make (`ROUNDING`) is 0.

    Attributes:
        mean_absolute: mean of the absolute differences.
        root_mean_square: root of the mean of their squares.
        largest: the largest absolute difference.
        r: Pearson's r between the two pictures; NaN where one of them is of one colour.
        pixels: how many pixels of the finished picture, as written to a file, are not the same.
    """

    mean_absolute: float
    root_mean_square: float
    largest: float
    r: float
    pixels: int

    @classmethod
    def between(cls, before: NDArray[np.float64], after: NDArray[np.float64]) -> Change:
        """The change from one picture or stack of pictures to another, float64 (..., H, W, C) in [-1, 1]."""
        signed = _apart(before, after)
        apart = GREY_LEVELS * np.abs(signed).ravel()
        return cls(
            mean_absolute=math.fsum(apart) / apart.size,
            root_mean_square=math.sqrt(math.fsum(apart * apart) / apart.size),
            largest=float(apart.max()),
            r=pearson(before, np.where(signed == 0.0, before, after)),
            pixels=int((pixels_of(before) != pixels_of(after)).any(axis=-1).sum()),
        )


@dataclass(frozen=True)
class Proof:
    """What the trace of one seed says, before anything is run again, of the weight of the removed items.

    Attributes:
        steps: steps looked at, in order; 0 where all removed items lie outside the machine's label.
        first_weight: the first step at which one of them had weight, from 0; None: at no step, so that the finished
            picture cannot have changed.
    """

    steps: int
    first_weight: int | None

    @property
    def unchanged(self) -> bool:
        """Whether the finished picture cannot have changed."""
        return self.first_weight is None


@dataclass(frozen=True, eq=False)
class SeedEffect:
    """The effect on one seed's picture.

    Attributes:
        seed: the seed.
        before, after: the finished pictures, in the larger number of channels of the two. uint8 (H, W, C).
        difference: after minus before in grey levels, of the exact means. float64 (H, W, C).
        change: how large it is.
        proof: what the trace says of the items' weight; None where the number of channels changed with the corpus.
        parted: the first step after which the two runs are in different states, from 0 (the last step: the finished
            means differ); None: never.
    """

    seed: int
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    difference: NDArray[np.float64]
    change: Change
    proof: Proof | None
    parted: int | None


@dataclass(frozen=True, eq=False)
class Effect:
    """The effect of removing items from the corpus of a run, seed by seed. Tier: *bitwise*.

    Attributes:
        removed: indices in the corpus of `before`, ascending; removed together.
        before: the trace with the whole corpus.
        after: the trace of the same seeds without the items.
        proofs: per seed; None where the number of channels changed.
        notes: what a reader of the result should know, one sentence each.
    """

    removed: tuple[int, ...]
    before: Trace
    after: Trace
    proofs: tuple[Proof | None, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.before)

    def __iter__(self) -> Iterator[SeedEffect]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, index: int) -> SeedEffect:
        """The effect on the sample at a place of the traces."""
        place = range(len(self))[index]
        before, after = self._means()
        one = slice(place, place + 1)
        return SeedEffect(
            seed=self.before.seeds[place],
            before=pixels_of(before[place]),
            after=pixels_of(after[place]),
            difference=GREY_LEVELS * _apart(before[place], after[place]),
            change=Change.between(before[one], after[one]),
            proof=self.proofs[place],
            parted=self._parted(place),
        )

    @property
    def total(self) -> Change:
        """The change over all seeds taken together."""
        return Change.between(*self._means())

    def _means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The finished means in the larger number of channels."""
        most = max(self.before.means.shape[-1], self.after.means.shape[-1])
        return _with_channels(self.before.means, most), _with_channels(self.after.means, most)

    def _parted(self, place: int) -> int | None:
        before, after = self.before[place], self.after[place]
        if before.states.shape != after.states.shape:
            return 0
        differ = (before.states != after.states).any(axis=(1, 2, 3))
        if differ.any():
            return int(differ.argmax()) - 1
        return len(before.levels) - 1 if _apart(before.mean, after.mean).any() else None


def effect(
    trace: Trace,
    machine: Machine,
    items: Iterable[int],
    *,
    seeds: Iterable[int] | None = None,
    progress: Progress = SILENT,
) -> Effect:
    """Runs seeds of a trace again without some items of the corpus. Tier: *bitwise*.

    Costs one run of the seeds, and for the proofs one step of it or more (see the module).

    Args:
        trace: the run, or a part of it.
        machine: the machine that made it.
        items: indices in the machine's corpus, at least one; removed together.

    Keyword Args:
        seeds: seeds of the trace; all unless given.
        progress: where progress is shown.

    Raises:
        UsageError: no item, one that the corpus does not have, or all of the corpus or label; a seed that the trace
            does not have; a machine that did not make the trace.
        SmaltiError: a re-run contradicts a proof, which would be an error of Smalti.
    """
    before = _chosen(trace.made_by(machine), seeds)
    removed = tuple(sorted(set(items)))
    without = machine_without(machine, removed)
    notes: list[str] = []
    proofs: tuple[Proof | None, ...] = (None,) * len(before)
    if without.corpus.channels == machine.corpus.channels:
        proofs = prove(before, machine, removed, progress=progress)
    else:
        notes.append(
            f"without {_them(removed)} the corpus needs {without.corpus.channels} instead of "
            f"{machine.corpus.channels} channels, so a seed's noise is another; the pictures are compared in "
            f"{max(without.corpus.channels, machine.corpus.channels)} channels"
        )
    with progress.task("running again without", len(before) * before.steps) as task:
        found = Effect(removed, before, run_again(before, without, task=task), proofs, tuple(notes))
    _confirm(found)
    return found


def prove(trace: Trace, machine: Machine, items: Iterable[int], *, progress: Progress = SILENT) -> tuple[Proof, ...]:
    """Looks along a trace for the first step at which one of some items had weight; one proof for each sample.

    A sample without such a step is the same, byte for byte, without the items, if the corpus without them has as many
    channels (see the module). Tier: *bitwise*.

    Args:
        trace: the run, or a part of it.
        machine: the machine that made it.
        items: indices in the machine's corpus.

    Keyword Args:
        progress: where progress is shown.

    Raises:
        UsageError: no item, one that the corpus does not have, or a machine that did not make the trace.
    """
    trace = trace.made_by(machine)
    chosen = sorted(set(items))
    if not chosen or chosen[0] < 0 or chosen[-1] >= len(machine.corpus):
        raise UsageError(
            f"a proof is about items of the corpus, at least one of 0 to {len(machine.corpus) - 1}, not {chosen}"
        )
    images = machine.images[np.isin(machine.items, chosen)]
    if len(images) == 0:
        return (Proof(steps=0, first_weight=None),) * len(trace)
    first: list[int | None] = [None] * len(trace)
    with progress.task("looking for weight", len(trace) * trace.steps) as task:
        for group in batches(range(len(trace)), _BATCH):
            open_ones = list(group)
            for step, level in enumerate(trace.levels):
                query = machine.query(np.ascontiguousarray(trace.states[open_ones, step]), level)
                scale = native.sums(query, tick=partial(_advance, task, len(open_ones))).place
                own = native.sums(replace(query, images=np.ascontiguousarray(images)), start=scale)
                weighs = (own.slices[..., 0, :] != 0).any(axis=(1, 2, 3))
                for place in np.compress(weighs, open_ones):
                    first[place] = step
                    task.advance(trace.steps - step - 1)
                open_ones = [place for place in open_ones if first[place] is None]
                if not open_ones:
                    break
    return tuple(Proof(steps=trace.steps if step is None else step + 1, first_weight=step) for step in first)


def machine_without(machine: Machine, items: Sequence[int]) -> Machine:
    """The same machine, with its label and patch sizes, on its corpus without some items.

    Args:
        machine: the machine.
        items: indices in its corpus, at least one.

    Raises:
        UsageError: there is no item to remove, one that the corpus does not have, or none would be left to the machine.
    """
    if not items:
        raise UsageError("an effect is that of removing at least one item, and none was named")
    corpus: ImageCorpus = machine.corpus.without(items)
    if np.isin(machine.items, np.asarray(items)).all():
        raise UsageError(
            f"without {_them(items)} nothing is left of label {machine.label!r}, which the machine is restricted to: "
            "leave at least one of its items"
        )
    return type(machine)(corpus, scales=machine.scales, label=machine.label)


def run_again(trace: Trace, machine: Machine, *, task: Task) -> Trace:
    """The seeds, levels and size of a trace with another machine. Tier: *bitwise*.

    Args:
        trace: the run, or a part of it.
        machine: what gives the posteriors this time.

    Keyword Args:
        task: advanced by the number of samples at every step.
    """
    schedule = RecordedSchedule(trace.settings["schedule"], trace.levels)
    sampler = DDIM(machine, steps=trace.steps, schedule=schedule)
    height, width = trace.images.shape[1:3]
    return Trace.join([sampler.one_batch(group, (height, width), task=task) for group in batches(trace.seeds, _BATCH)])


def _chosen(trace: Trace, seeds: Iterable[int] | None) -> Trace:
    if seeds is None:
        return trace
    wanted = checked_seeds(seeds)
    for seed in wanted:
        trace.of_seed(seed)
    return Trace.join([trace.only(trace.seeds.index(seed)) for seed in wanted])


def _apart(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """What leads from one to the other, and 0 where rounding alone can make the difference."""
    apart = after - before
    return np.where(np.abs(apart) <= ROUNDING, 0.0, apart)


def _confirm(found: Effect) -> None:
    """Raises `SmaltiError` if the runs part before any removed item had weight."""
    for place, proof in enumerate(found.proofs):
        parted = found._parted(place)
        if proof is None:
            continue
        # Proved is more than a difference that counts as none: the very same bytes.
        if parted is None and proof.unchanged and (found.before.means[place] != found.after.means[place]).any():
            parted = found.before.steps - 1
        if parted is None:
            continue
        if proof.first_weight is None or parted < proof.first_weight:
            raise SmaltiError(
                f"seed {found.before.seeds[place]} changed at step {parted} although no removed item had weight so "
                "far, which must not happen: please report it, with the command or the run folder"
            )


def _with_channels(means: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """Values in [-1, 1] with more channels: grey is repeated, opacity is 1."""
    have = means.shape[-1]
    if channels == have:
        return means
    colours = np.repeat(means, 3, axis=-1) if have == 1 else means
    return colours if channels == 3 else np.concatenate([colours, np.ones((*means.shape[:-1], 1))], axis=-1)


def _advance(task: Task, units: float, share: float) -> None:
    task.advance(units * share)


def _them(items: Sequence[int]) -> str:
    return "this item" if len(items) == 1 else f"these {len(items):,} items"
