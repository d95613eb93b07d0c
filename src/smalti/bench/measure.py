"""Pairs per second of the engine and of the matrix-product baseline, in turn, on crops of the embedded photograph."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from smalti.bench.baseline import best_time
from smalti.corpus import ImageCorpus
from smalti.engine import Query, native
from smalti.machines import BorderAware
from smalti.noise import STATE_UNITS, gaussian_state, schedule
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import state_of, values_of

# Patch sizes, and the time at which a calibration of natural pictures of 32 x 32 chooses them.
SIZES = {3: 0.15, 5: 0.35, 9: 0.55, 13: 0.7, 17: 0.85}
SIDE = 32


@dataclass(frozen=True)
class Case:
    """One question: N crops, C channels, patch size P at a time of the cosine schedule."""

    items: int
    channels: int
    patch_size: int
    time: float

    def query(self) -> Query:
        """The engine's question: a noisy crop that is not among the items."""
        crops = _crops(self.channels)
        machine = BorderAware(ImageCorpus.from_arrays(crops[: self.items]), scales=self.patch_size)
        level = schedule("cosine").level(self.time)
        clean = values_of(crops[-1])
        noise = gaussian_state(clean.shape, seed=0, purpose="bench") / STATE_UNITS
        return machine.query(state_of(level.signal * clean + level.noise * noise)[None], level)

    def floats(self) -> tuple[NDArray[np.float32], NDArray[np.float32], int, float, float]:
        """The baseline's: state, corpus, patch size, signal, noise."""
        query = self.query()
        state = (query.states[0] / STATE_UNITS).astype(np.float32)
        corpus = values_of(query.images).astype(np.float32)
        return state, corpus, self.patch_size, query.level.signal, query.level.noise


@dataclass(frozen=True)
class Measurement:
    """Pairs of (state site, corpus site) per second, each the best of a few runs in turn.

    Attributes:
        case: what was asked.
        seconds: of the engine.
        engine: pairs per second.
        plain: pairs per second of the baseline, blocks one after the other, BLAS on all cores.
        shared: pairs per second of the baseline, a block on each core, BLAS on one thread. Of both the best of several
            block sizes; None: not measured.
    """

    case: Case
    seconds: float
    engine: float
    plain: float | None
    shared: float | None


@lru_cache(maxsize=2)
def _crops(channels: int) -> NDArray[np.uint8]:
    """Crops of the photograph, 4 pixels apart, in an order that mixes them."""
    photo = ImageCorpus.builtin("photo").images[0]
    if channels == 1:
        photo = np.rint(photo @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
    windows = sliding_window_view(photo, (SIDE, SIDE), axis=(0, 1))[::4, ::4]  # pyright: ignore[reportCallIssue, reportArgumentType]
    crops = np.moveaxis(windows.reshape(-1, photo.shape[2], SIDE, SIDE), 1, 3)
    order = np.arange(len(crops)) * 1009 % len(crops)
    return np.ascontiguousarray(crops[order])


class _Sharing:
    """The baseline in a process of its own, where BLAS uses one thread."""

    def __init__(self) -> None:
        single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from smalti.bench.baseline import answer_questions; answer_questions()"],
            env={**os.environ, **single, "VECLIB_MAXIMUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> _Sharing:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seconds(self, case: Case, threads: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**asdict(case), "threads": threads}) + "\n")
        self._process.stdin.flush()
        return float(json.loads(self._process.stdout.readline()))


def measure(
    *,
    items: int = 400,
    counts: tuple[int, ...] = (100, 200, 400, 800, 1600),
    repeats: int = 3,
    progress: Progress = SILENT,
) -> tuple[list[Measurement], list[Measurement]]:
    """Measures the engine against the baseline, and against the number of items.

    Args:
        items: crops in the corpus for the comparison.
        counts: numbers of crops for time against N (3 channels, P = 5, engine only).
        repeats: runs of each; the best counts.
        progress: shown while it runs.

    Returns:
        Measurements for 1 and 3 channels and each patch size, and for each count. Tier: statistical (times).
    """
    cases = [Case(items, channels, size, at) for channels in (1, 3) for size, at in SIZES.items()]
    grown = [Case(n, 3, 5, SIZES[5]) for n in counts if n < len(_crops(3))]
    threads = native.default_threads()
    found: list[Measurement] = []
    with progress.task("measuring", len(cases) + len(grown)) as task, _Sharing() as sharing:
        for place, case in enumerate(cases + grown):
            compared = place < len(cases)
            query = case.query()
            pairs = native.pairs_per_item(query) * case.items
            inner = case.items * (SIDE - case.patch_size + 1) ** 4
            times: dict[str, list[float]] = {"engine": [], "plain": [], "shared": []}
            for _ in range(repeats):
                start = time.perf_counter()
                native.sums(query)
                times["engine"].append(time.perf_counter() - start)
                if compared:
                    times["plain"].append(best_time(*case.floats(), blocks=(4, 16, 64), threads=1))
                    times["shared"].append(sharing.seconds(case, threads))
            best = {name: min(t) for name, t in times.items() if t}
            found.append(
                Measurement(
                    case,
                    best["engine"],
                    pairs / best["engine"],
                    inner / best["plain"] if compared else None,
                    inner / best["shared"] if compared else None,
                )
            )
            task.advance()
    return found[: len(cases)], found[len(cases) :]
