"""Small runs for tests of the ledger, in memory, and credits made up for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli_program import blocks
from smalti.corpus import ImageCorpus
from smalti.machines import Ideal
from smalti.receipts import UNITS
from smalti.sampling import DDIM, OpenRun, Request, RunRecord

LICENCES = ("cc0", "cc-by", "cc0", None, "own", "cc-by")


def corpus_of(
    count: int = 6,
    *,
    seed: int = 0,
    licences: Sequence[str | None] | None = LICENCES,
    labels: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> ImageCorpus:
    """Pictures of 4 x 5 blocks, named `picture 0` and on, with a licence each where it is not None."""
    images = blocks(count, size=(4, 5), seed=seed)[..., None]
    metadata: tuple[Mapping[str, str], ...] = ()
    if licences is not None:
        metadata = tuple({} if value is None else {"licence": value} for value in licences[:count])
    given = tuple(names or (f"picture {k}" for k in range(count)))
    conversions = ((),) * count
    return ImageCorpus(
        images, None if labels is None else tuple(labels), given, conversions=conversions, metadata=metadata
    )


def run_of(
    corpus: ImageCorpus, *, seeds: Iterable[int] = range(3), steps: int = 2, folder: str = "/runs/a", **changed: Any
) -> OpenRun:
    """A finished run of the ideal machine, without a folder; `changed` are entries of its request."""
    machine = Ideal(corpus)
    sampler = DDIM(machine, steps=steps)
    request = dataclasses.replace(Request.of(sampler, source="pictures", seeds=seeds), **changed)
    record = RunRecord(request, "done", "2026-01-01T00:00:00+00:00", {})
    return OpenRun(Path(folder), record, sampler(request.seeds), machine)


def units_of(corpus: ImageCorpus, pixels: int, *, seed: int) -> NDArray[np.int64]:
    """Credits made up at random: some items get nothing. int64, shape (N,)."""
    rng = np.random.default_rng(seed)
    whole = pixels * UNITS
    cuts = np.sort(rng.integers(0, whole, len(corpus) - 1, endpoint=True))
    units = np.diff(np.concatenate([[0], cuts, [whole]]))
    nothing = int(rng.integers(len(corpus)))
    units[nothing - 1] += units[nothing]
    units[nothing] = 0
    return units
