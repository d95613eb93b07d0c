"""Whole items beside a machine of patches (`smalti.denoisers.SharedItems`), fitted to a network.

As for patch sizes (`smalti.networks.fitted_scales`), a network draws some seeds, and at each step of its own trajectory
estimates are compared with its own by cosine similarity. For each level, patch size, width and share are those with the
highest mean similarity over the seeds; of equal ones the smaller share, then the smaller size, then the narrower width.

Shares are multiples of 1/16. All of them follow from the estimates at each size and each width: with u the machine's
and v the whole items' estimate and m the network's, the similarity of (1 - share) u + share v needs the products of u,
v and m only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from smalti.calibration.sizes import candidate_sizes
from smalti.corpus import ImageCorpus
from smalti.denoisers.shared_items import Recall, SharedItems, whole_items
from smalti.engine import native
from smalti.engine.posterior import finish
from smalti.errors import InputError, UsageError
from smalti.machines import BorderAware, Ideal, Machine
from smalti.noise import Schedule
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import DDIM, Denoiser, asked, batches, checked_seeds

__all__ = ["SHARES", "WIDTHS", "fit_shared_items"]

WIDTHS = (0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0, 3.0)
"""Widths of the kernel that are tried, in units of the noise."""

SHARES = tuple(part / 16 for part in range(17))
"""Shares of whole items that are tried."""

Floats = NDArray[np.float64]


def fit_shared_items(
    network: Denoiser,
    corpus: ImageCorpus,
    *,
    seeds: Iterable[int],
    steps: int = 20,
    schedule: str | Schedule = "cosine",
    sizes: Iterable[int] | None = None,
    widths: Iterable[float] = WIDTHS,
    kind: type[Machine] = BorderAware,
    label: str | None = None,
    batch: int = 16,
    progress: Progress = SILENT,
) -> SharedItems:
    """Fits patch size, width and share to a network along its own trajectory (see `smalti.networks.fitted_items`).
    Tier: *bitwise* but for the network, so *statistical* with one.

    Args:
        network: the network, or any denoiser in its place.
        corpus: the pictures.

    Keyword Args:
        seeds: what the network draws; others than those that are predicted later, for the fit has seen these. (S,).
        steps: number of levels.
        schedule: noise schedule.
        sizes: candidates, odd; by default 3, 5, 7 ... up to one that covers a picture.
        widths: candidates, in units of the noise.
        kind: the machine, one with windows.
        label: use only the items with this label; the network's own unless given.
        batch: how many seeds share a call.
        progress: shown while it runs.

    Raises:
        UsageError: a seed, size, width or number of steps that cannot be used; other channels or another size of
            pictures than the network's.
        InputError: the network's estimate is 0 everywhere.
    """
    if (network.corpus.channels, network.corpus.size) != (corpus.channels, corpus.size):
        raise UsageError(
            f"The network {network.name} makes pictures of {network.corpus.size}, {network.corpus.channels} channels, "
            f"and those of the corpus have {corpus.size}, {corpus.channels}: whole items cannot be fitted."
        )
    tried = tuple(sorted(set(widths)))
    if not tried:
        raise UsageError("At least one width is needed to fit whole items to a network.")
    if label is None:
        label = getattr(network, "label", None)
    sampler = DDIM(network, steps=steps, schedule=schedule)
    smallest = kind(corpus, scales=1, label=label)
    candidates = candidate_sizes(lambda size: smallest.admission(size, corpus.size), corpus.size, sizes)
    machines = {size: kind(corpus, scales=size, label=label) for size in candidates}
    ideal = Ideal(corpus, label=label)
    groups = [sampler.run(group) for group in batches(checked_seeds(seeds), batch)]
    found: list[tuple[int, float, float]] = []
    with progress.task("fitting whole items", steps) as task:
        for together in zip(*groups, strict=True):
            rows: list[Floats] = []
            for step in together:
                theirs = step.posterior.mean
                if not theirs.any(axis=(1, 2, 3)).all():
                    raise InputError(
                        f"The network {network.name} estimates a picture that is 0 everywhere at time "
                        f"{step.level.time}, to which nothing can be fitted: its weights or its clock are wrong."
                    )
                queries = [whole_items(ideal, step.state, step.level, width) for width in tried]
                whole = [finish(query, native.sums(query))[0] for query in queries]
                patches = [asked(machine, step.state, step.level).mean for machine in machines.values()]
                rows.append(similarities(patches, whole, theirs))
            found.append(_best(np.concatenate(rows), candidates, tried))
            task.advance()
    chosen, widest, shares = zip(*found, strict=True)
    return SharedItems(corpus, Recall(sampler.levels, chosen, widest, shares), kind=kind, label=label)


def similarities(patches: Sequence[Floats], whole: Sequence[Floats], theirs: Floats) -> Floats:
    """Cosine similarity of (1 - share) u + share v with m, for each u, v and share of `SHARES`; 0 where a mixture is 0
    everywhere. Tier: *bitwise*.

    Args:
        patches: the machine's estimates u, (B, H, W, C) each. (P,).
        whole: those of whole items, v, likewise. (K,).
        theirs: the network's, m. (B, H, W, C).

    Returns:
        float64 (B, P, K, shares).
    """
    share = np.array(SHARES)
    out = np.zeros((len(theirs), len(patches), len(whole), len(share)))
    for b, m in enumerate(theirs):
        size = _product(m, m)
        for i, j in np.ndindex(len(patches), len(whole)):
            u, v = patches[i][b], whole[j][b]
            along = (1.0 - share) * _product(u, m) + share * _product(v, m)
            both = 2.0 * share * (1.0 - share) * _product(u, v)
            square = (1.0 - share) * (1.0 - share) * _product(u, u) + both + share * share * _product(v, v)
            out[b, i, j] = np.where(square > 0.0, along / np.sqrt(np.where(square > 0.0, square, 1.0) * size), 0.0)
    return out


def _product(a: Floats, b: Floats) -> float:
    return math.fsum((a * b).ravel().tolist())


def _best(rows: Floats, sizes: Sequence[int], widths: Sequence[float]) -> tuple[int, float, float]:
    """Size, width and share with the highest mean of similarities (S, P, K, shares)."""
    means = {(i, j, k): math.fsum(rows[:, i, j, k].tolist()) / len(rows) for i, j, k in np.ndindex(*rows.shape[1:])}
    i, j, k = max(means, key=lambda at: (means[at], -at[2], -at[0], -at[1]))
    return sizes[i], widths[j], SHARES[k]
