"""Pairs per second of the engine and of the matrix-product baseline, and the cost of items' own sums beside plain
sums, in turn, on crops of the embedded photograph.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
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
# Channels, patch size and time for the cost of receipts; 0.05 is the last step of a sample in 20 steps.
EXPLAINED = ((3, 3, 0.05), (3, 9, 0.55), (1, 3, 0.05))


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


@dataclass(frozen=True)
class Explained:
    """Seconds of the engine for one posterior, and for each item's own part of it, each the best of a few runs in turn.

    Attributes:
        case: what was asked.
        seconds: of plain sums, as in a step of a sample.
        weights: of the items' weights.
        pixels: of the items' weights and weighted pixels.
    """

    case: Case
    seconds: float
    weights: float
    pixels: float


@dataclass(frozen=True)
class Findings:
    """All that `measure` measures: the engine beside the baseline, against the number of items, and items' own sums."""

    compared: list[Measurement]
    grown: list[Measurement]
    explained: list[Explained]


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
) -> Findings:
    """Measures the engine against the baseline, against the number of items, and for each item by itself.

    Args:
        items: crops in the corpus for the comparison.
        counts: numbers of crops for time against N (3 channels, P = 5, engine only).
        repeats: runs of each; the best counts.
        progress: shown while it runs.

    Returns:
        Measurements for 1 and 3 channels and each patch size, for each count, and for the cases of `EXPLAINED`. Tier:
        statistical (times).
    """
    cases = [Case(items, channels, size, at) for channels in (1, 3) for size, at in SIZES.items()]
    grown = [Case(n, 3, 5, SIZES[5]) for n in counts if n < len(_crops(3))]
    explained = [Case(items, *case) for case in EXPLAINED]
    threads = native.default_threads()
    found = Findings([], [], [])
    with progress.task("measuring", len(cases) + len(grown) + len(explained)) as task, _Sharing() as sharing:
        for case in cases:
            query = case.query()
            engine, plain, shared = _in_turn(
                repeats,
                lambda query=query: _timed(lambda: native.sums(query)),
                lambda case=case: best_time(*case.floats(), blocks=(4, 16, 64), threads=1),
                lambda case=case: sharing.seconds(case, threads),
            )
            pairs, inner = native.pairs_per_item(query) * case.items, case.items * (SIDE - case.patch_size + 1) ** 4
            found.compared.append(Measurement(case, engine, pairs / engine, inner / plain, inner / shared))
            task.advance()
        for case in grown:
            query = case.query()
            (engine,) = _in_turn(repeats, lambda query=query: _timed(lambda: native.sums(query)))
            pairs = native.pairs_per_item(query) * case.items
            found.grown.append(Measurement(case, engine, pairs / engine, None, None))
            task.advance()
        for case in explained:
            found.explained.append(_explain(case, repeats))
            task.advance()
    return found


def _explain(case: Case, repeats: int) -> Explained:
    query = case.query()
    places = native.sums(query).place

    def items(pixels: bool) -> None:
        for _, part in native.item_chunks(query, pixels=pixels):
            native.item_sums(part, places, pixels=pixels)

    times = _in_turn(
        repeats,
        lambda: _timed(lambda: native.sums(query)),
        lambda: _timed(lambda: items(False)),
        lambda: _timed(lambda: items(True)),
    )
    return Explained(case, *times)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _in_turn(repeats: int, *seconds: Callable[[], float]) -> list[float]:
    """The least of some times each, taken in turn so that a busy moment meets all of them."""
    return [min(times) for times in zip(*([take() for take in seconds] for _ in range(repeats)), strict=True)]
