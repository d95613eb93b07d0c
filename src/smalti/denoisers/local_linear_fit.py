"""Which patches the local linear denoiser should have: their size P and their number K, found by leaving items out.

Some items are left out, with all copies of them. At each level they are put under noise, and the denoiser with the
other items estimates what they were, for every P and K among the candidates; those with the least squared error are
taken. One search for the neighbours of a size serves all K: the nearest 50 are the first of the nearest 300.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from smalti.calibration.sizes import candidate_sizes
from smalti.corpus import ImageCorpus
from smalti.denoisers.blend import left_out, noisy_items
from smalti.denoisers.denoiser import Floats
from smalti.denoisers.local_linear import LocalLinear, checked_neighbours, estimates
from smalti.denoisers.patches import check_inside, nearest_patches
from smalti.errors import UsageError
from smalti.noise import Level
from smalti.progress import SILENT, Progress, Task
from smalti.sampling.ddim import values_of
from smalti.window import Scales

__all__ = ["best_patches", "fit_local_linear"]

# Larger patches have few others like them, and systems of so many numbers that they take long.
_MOST_SIZE = 9
_NEIGHBOURS = (25, 50, 100, 200, 300)


def fit_local_linear(
    corpus: ImageCorpus,
    *,
    levels: Iterable[Level],
    sizes: Iterable[int] | None = None,
    neighbours: Iterable[int] | None = None,
    queries: int = 8,
    label: str | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> LocalLinear:
    """A local linear denoiser whose patches come from items of the corpus that are left out. Tier: *bitwise*.

    Args:
        corpus: the pictures.

    Keyword Args:
        levels: noise levels at which size and number are found, noisiest first.
        sizes: patch sizes to compare; 3, 5, 7 and 9 unless given, as far as they fit.
        neighbours: numbers of neighbours to compare; 25, 50, 100, 200 and 300 unless given, or all patches where
            there are fewer.
        queries: how many items are left out; their copies go with them.
        label: use only the items with this label.
        seed: of the noise and of the choice of items.
        progress: shown while it runs.

    Raises:
        UsageError: no level, levels that are not in order, sizes or numbers of neighbours that cannot be, or so many
            queries that nothing is left.
    """
    at = tuple(levels)
    if not at:
        raise UsageError("a local linear fit needs at least one noise level to find its patches at")
    places = tuple(level.log_snr for level in at)
    used = corpus if label is None else corpus.with_label(label)
    rest, items = left_out(used, queries, seed=seed)
    compared = candidate_sizes(lambda size: check_inside(size, corpus.size), corpus.size, sizes, most=_MOST_SIZE)
    most = (checked_neighbours(None, count, rest.images, max(compared)) for count in _NEIGHBOURS)
    counts = tuple(most if neighbours is None else neighbours)
    Scales(places, (1,) * len(at))  # refused now, not at the end
    found: list[tuple[int, int]] = []
    with progress.task("fitting patches", len(at) * len(compared) * len(items)) as task:
        for step, level in enumerate(at):
            states = noisy_items(items, level, step=step, seed=seed)
            found.append(
                best_patches(rest, states, level, values_of(items), sizes=compared, neighbours=counts, task=task)
            )
    scales = Scales(places, tuple(size for size, _ in found))
    return LocalLinear(corpus, scales=scales, neighbours=[count for _, count in found], label=label)


def best_patches(
    corpus: ImageCorpus,
    states: NDArray[np.int16],
    level: Level,
    clean: Floats,
    *,
    sizes: Iterable[int],
    neighbours: Iterable[int],
    task: Task | None = None,
) -> tuple[int, int]:
    """The patch size and the number of neighbours with the least squared error on pictures that are known.

    Tier: *bitwise*. Of equal ones the smaller size and then the smaller number.

    Args:
        corpus: the pictures that patches are taken from.
        states: the noisy pictures, int16 (B, H, W, C), in units of 1/4080.
        level: their noise level.
        clean: what they were, in [-1, 1]. (B, H, W, C).

    Keyword Args:
        sizes: patch sizes to compare.
        neighbours: numbers of neighbours to compare.
        task: told of each picture at each size.

    Raises:
        UsageError: nothing to compare, a size that does not fit, or fewer patches than neighbours.
    """
    counts, compared = sorted(set(neighbours)), sorted(set(sizes))
    if not counts or not compared:
        raise UsageError("a local linear fit compares at least one patch size and one number of neighbours")
    for size in compared:
        check_inside(size, corpus.size)
        for count in counts:
            checked_neighbours(count, count, corpus.images, size)
    errors: dict[tuple[int, int], list[float]] = {}
    for size in compared:
        for state, known in zip(states[:, None], clean, strict=True):
            places = nearest_patches(corpus.images, state, level, size, counts[-1])
            for count in counts:
                mean = estimates(corpus.images, state, level, size, places[..., :count, :])[0]
                squares = np.square(mean - known).ravel().tolist()
                errors.setdefault((size, count), []).append(math.fsum(squares))
            if task is not None:
                task.advance()
    return min(errors, key=lambda pair: math.fsum(errors[pair]))
