"""LDS: how well scores of items predict what becomes of a picture on half of the corpus.

The linear datamodelling score (Park et al. 2023, "TRAK", arXiv 2303.14186, section 2; after the datamodels of Ilyas et
al. 2022, arXiv 2202.00622) asks: draw subsets of the data, train on each, and correlate, by rank, the actual output
with the one predicted by adding up the scores of the items in the subset. Here:

- a subset is a random half of the machine's items, the other half removed;
- nothing is trained, so the same seed on the half corpus is the exact counterfactual, with no training noise;
- the output is one number for each half: the root mean square change of the finished picture, in grey levels;
- the prediction is the sum of the scores of the removed items;
- the LDS of a sample is Spearman's rank correlation of the two over the halves.

A size of change does not add up over items even where scores are exact effects, so 1 is out of reach for any score.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smalti.errors import UsageError
from smalti.machines import Machine
from smalti.progress import SILENT, Progress
from smalti.receipts.correlation import spearman
from smalti.receipts.effects.rerun import Change, machine_without, run_again
from smalti.sampling.trace import Trace

__all__ = ["Halves", "half_corpora", "lds", "random_halves"]


@dataclass(frozen=True, eq=False)
class Halves:
    """What became of samples on random halves of the corpus. Tier: *bitwise* for the corpus, the seeds and the draw.

    Attributes:
        removed: which items each half lacks; none outside the machine's label. bool (M, N).
        changes: root mean square change of each finished picture on each half, in grey levels. float64 (S, M).
    """

    removed: NDArray[np.bool_]
    changes: NDArray[np.float64]


def half_corpora(
    trace: Trace, machine: Machine, *, count: int = 64, seed: int = 0, progress: Progress = SILENT
) -> Halves:
    """Runs the samples of a trace again on random halves of the machine's items.

    Args:
        trace: the run, or a part of it.
        machine: the machine that made it, with at least two items.

    Keyword Args:
        count: how many halves, M, at least 3.
        seed: of their draw.
        progress: where progress is shown.

    Raises:
        UsageError: too few halves or items, or a machine that did not make the trace.
    """
    trace = trace.made_by(machine)
    if count < 3 or len(machine.items) < 2:
        raise UsageError(
            f"a rank correlation over halves needs 3 halves and 2 items at least, not {count} and {len(machine.items)}"
        )
    removed = np.zeros((count, len(machine.corpus)), np.bool_)
    removed[:, machine.items] = random_halves(len(machine.items), count=count, seed=seed)
    changes = np.empty((len(trace), count))
    with progress.task("running again on halves", count * len(trace) * trace.steps) as task:
        for index, gone in enumerate(removed):
            half = machine_without(machine, np.flatnonzero(gone).tolist())
            if half.corpus.channels != machine.corpus.channels:
                raise UsageError(
                    "a half of this corpus has fewer channels than the whole, and its pictures cannot be compared: "
                    "use pictures that all have colour, or none"
                )
            after = run_again(trace, half, task=task).means
            for place in range(len(trace)):
                changes[place, index] = Change.between(trace.means[place], after[place]).root_mean_square
    return Halves(removed, changes)


def random_halves(items: int, *, count: int, seed: int) -> NDArray[np.bool_]:
    """Which of some items each of `count` random halves lacks: floor(items / 2) each. bool (count, items).

    Each is uniform among all such sets. Tier: *bitwise*: the items of the smallest words of a counter-based generator.
    """
    key = hashlib.sha256(f"smalti/halves/{seed}".encode()).digest()
    words = np.random.Philox(key=np.frombuffer(key[:16], "<u8").astype(np.uint64)).random_raw(count * items)
    order = words.reshape(count, items).argsort(axis=1, kind="stable")
    removed = np.zeros((count, items), np.bool_)
    np.put_along_axis(removed, order[:, : items // 2], True, axis=1)
    return removed


def lds(scores: ArrayLike, halves: Halves) -> NDArray[np.float64]:
    """The LDS of each sample: Spearman's correlation over the halves of summed scores and actual changes.

    Tier: *statistical*: the halves are a draw; for given ones the result is fixed.

    Args:
        scores: of each item of the corpus for each sample, more for a larger expected change. Shape (S, N).
        halves: what `half_corpora` found.

    Returns:
        float64 (S,), in [-1, 1]; NaN where all predictions or all changes are equal.

    Raises:
        UsageError: scores of another shape.
    """
    given = np.asarray(scores, np.float64)
    wanted = (len(halves.changes), halves.removed.shape[1])
    if given.shape != wanted:
        raise UsageError(f"scores have one number for each sample and item, shape {wanted}, not {given.shape}")
    predicted = ([math.fsum(of_sample[gone]) for gone in halves.removed] for of_sample in given)
    return np.array([spearman(p, actual) for p, actual in zip(predicted, halves.changes, strict=True)])
