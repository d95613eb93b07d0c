"""Items ranked by their exact effect on one sample, the likeliest first, within a budget.

An exact effect costs a run of the seed without the item, so the order in which items are tried matters. It comes from
exact leave-one-out of the steps along the sample's own trace (`smalti.receipts.one_step`), which costs about three
walks a step for all items together: an item's *one-step value* is the root mean square change of a step's mean without
it, summed over the steps. Of the cheap quantities that were tried it orders items best, the last step alone far worse
(docs/concepts/attribution.md). It only orders the work. What counts is the effect, and an item that was not run again
has none stated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from smalti.errors import UsageError
from smalti.machines import Machine
from smalti.progress import SILENT, Progress, Task
from smalti.receipts.effects.rerun import Change, Effect, machine_without, run_again
from smalti.receipts.one_step import leave_one_out
from smalti.sampling.ddim import batches
from smalti.sampling.trace import Trace

__all__ = ["Ranked", "Ranking", "check_budget", "one_step_values", "rank", "within_budget"]

Item = TypeVar("Item")
Found = TypeVar("Found")

# Samples whose sums are held at a time.
_BATCH = 16


@dataclass(frozen=True)
class Ranked:
    """An item of a ranking.

    Attributes:
        item: index in the corpus.
        one_step: its one-step value in grey levels, which orders the work: not an effect.
        effect: its exact effect on the finished picture; None where the budget did not reach it.
    """

    item: int
    one_step: float
    effect: Change | None


@dataclass(frozen=True, eq=False)
class Ranking:
    """Items by effect on one sample. Tier: *bitwise*, but for how many were run again if the budget is in seconds.

    Attributes:
        seed: the sample's seed.
        items: those run again, largest root mean square effect first; then the others, largest one-step value first.
            Items outside the machine's label are not listed: they have no effect.
        runs: how many were run again.
        covered: the share of the sum of all one-step values that belongs to them; 1 where that sum is 0.
    """

    seed: int
    items: tuple[Ranked, ...]
    runs: int
    covered: float


def one_step_values(trace: Trace, machine: Machine, *, progress: Progress = SILENT) -> NDArray[np.float64]:
    """Root mean square change of each step's mean without each item, along a trace. Tier: *bitwise*.

    Args:
        trace: the run, or a part of it.
        machine: the machine that made it, with at least two items.

    Keyword Args:
        progress: where progress is shown.

    Returns:
        Grey levels; 0 for items outside the machine's label. float64 (steps, N, S).

    Raises:
        UsageError: the machine has one item only, or did not make the trace.
    """
    trace = trace.made_by(machine)
    out = np.empty((trace.steps, len(machine.corpus), len(trace)))
    with progress.task("leaving each item out of each step", trace.steps) as task:
        for step, level in enumerate(trace.levels):
            for group in batches(range(len(trace)), _BATCH):
                chosen = slice(group[0], group[-1] + 1)
                tick = partial(_advance, task, len(group) / len(trace))
                found = leave_one_out(machine, trace.states[chosen, step], level, tick=tick)
                out[step, :, chosen] = found.root_mean_square
    return out


def rank(
    sample: Trace,
    machine: Machine,
    *,
    runs: int | None = 16,
    seconds: float | None = None,
    progress: Progress = SILENT,
) -> Ranking:
    """Ranks items by their effect on one sample, each removed by itself. Tier: *bitwise* (see `Ranking`).

    Items are tried in the order of their one-step values, equal ones by index, until the budget is spent.

    Args:
        sample: a trace of one sample, as `trace.only(place)` gives it.
        machine: the machine that made it, with at least two items.

    Keyword Args:
        runs: most items to run the seed again without; None: no limit.
        seconds: no run is begun this long after the first; None: no limit.
        progress: where progress is shown.

    Raises:
        UsageError: more than one sample, a budget that has no meaning, a machine of one item, or one that did not make
            the trace.
    """
    if len(sample) != 1:
        raise UsageError(f"items are ranked for one sample, and this trace has {len(sample)}: choose one seed")
    check_budget(runs, seconds)
    values = one_step_values(sample, machine, progress=progress)[:, :, 0].sum(axis=0)
    order = sorted(machine.items.tolist(), key=lambda item: (-values[item], item))
    tried = order[:runs]
    with progress.task("running again without each", len(tried) * sample.steps) as task:

        def change(item: int) -> Change:
            again = run_again(sample, machine_without(machine, [item]), task=task)
            return Effect((item,), sample, again, proofs=(None,), notes=()).total

        changes = within_budget(tried, change, seconds=seconds)
    done = len(changes)
    found = [Ranked(item, float(values[item]), one) for item, one in zip(tried, changes, strict=False)]
    found.sort(key=lambda one: (-_size(one), one.item))
    left = [Ranked(item, float(values[item]), None) for item in order[done:]]
    total = math.fsum(values[order])
    covered = math.fsum(values[order[:done]]) / total if total else 1.0
    return Ranking(sample.seeds[0], (*found, *left), done, covered)


def check_budget(runs: int | None, seconds: float | None) -> None:
    """Raises `UsageError` for a budget below 0."""
    if (runs is not None and runs < 0) or (seconds is not None and not seconds >= 0):
        raise UsageError(f"a budget is at least 0, and this one is {runs if seconds is None else seconds}")


def within_budget(items: Iterable[Item], run: Callable[[Item], Found], *, seconds: float | None) -> list[Found]:
    """What runs without items, one after the other, came to.

    Args:
        items: in the order in which they are tried.
        run: the run without one.

    Keyword Args:
        seconds: none is begun this long after the first; None: no limit.
    """
    begun = time.monotonic()
    found: list[Found] = []
    for item in items:
        if seconds is not None and time.monotonic() - begun >= seconds:
            break
        found.append(run(item))
    return found


def _advance(task: Task, units: float, share: float) -> None:
    task.advance(units * share)


def _size(ranked: Ranked) -> float:
    return 0.0 if ranked.effect is None else ranked.effect.root_mean_square
