"""The same posterior mean by matrix products: what one writes in an afternoon with NumPy.

Patches are unfolded into rows; a float32 product gives all inner products of a block; then exp and a weighted sum,
with a running maximum. It covers the inner sites only (no borders) and gives float32 means, so it does a little less
than the engine.

`answer_questions` runs in a process of its own, where BLAS is held to one thread and blocks are shared out to cores.
"""

from __future__ import annotations

import json
import signal as interrupts
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Sums(NamedTuple):
    """What a block of items adds: running maximum and sums (S,), weighted values (S, C)."""

    top: Floats
    weight: Floats
    value: Floats


def unfold(pictures: Floats, size: int) -> Floats:
    """Windows of pictures (N, H, W, C) as rows (N * (H - P + 1) * (W - P + 1), C * P * P)."""
    windows = sliding_window_view(pictures, (size, size), axis=(1, 2))  # pyright: ignore[reportCallIssue, reportArgumentType]
    return np.ascontiguousarray(windows.reshape(-1, windows.shape[3] * size * size))


def block_sums(rows: Floats, items: Floats, size: int, signal: float, noise: float) -> Sums:
    """Weights of all patches of the items for all rows of the state, summed."""
    half = size // 2
    inner = np.s_[:, half : items.shape[1] - half, half : items.shape[2] - half]
    centres = np.ascontiguousarray(items[inner].reshape(-1, items.shape[3]))
    patches = unfold(items, size)
    logit = rows @ patches.T
    logit *= np.float32(signal / noise**2)
    logit -= np.float32(0.5 * (signal / noise) ** 2) * np.einsum("ij,ij->i", patches, patches)
    top = logit.max(axis=1)
    logit -= top[:, None]
    np.exp(logit, out=logit)
    return Sums(top, logit.sum(axis=1), logit @ centres)


def combine(a: Sums, b: Sums) -> Sums:
    """The sums over two blocks."""
    top = np.maximum(a.top, b.top)
    x, y = np.exp(a.top - top), np.exp(b.top - top)
    return Sums(top, a.weight * x + b.weight * y, a.value * x[:, None] + b.value * y[:, None])


def posterior_mean(
    state: Floats, corpus: Floats, size: int, signal: float, noise: float, *, block: int, threads: int = 1
) -> Floats:
    """Mean at the inner sites, (S, C), from state (H, W, C) and corpus (N, H, W, C); `block` items at a time."""
    rows = unfold(state[None], size)
    begins = range(0, len(corpus), block)

    def one(begin: int) -> Sums:
        return block_sums(rows, corpus[begin : begin + block], size, signal, noise)

    total: Sums | None = None
    with ThreadPoolExecutor(threads) as pool:
        for part in map(one, begins) if threads == 1 else pool.map(one, begins):
            total = part if total is None else combine(total, part)
    assert total is not None
    return total.value / total.weight[:, None]


def best_time(
    state: Floats, corpus: Floats, size: int, signal: float, noise: float, *, blocks: tuple[int, ...], threads: int
) -> float:
    """Seconds of the fastest of several block sizes."""
    times = []
    for block in blocks:
        start = time.perf_counter()
        posterior_mean(state, corpus, size, signal, noise, block=block, threads=threads)
        times.append(time.perf_counter() - start)
    return min(times)


def answer_questions() -> None:
    """Reads questions from standard input and prints seconds, until the input ends."""
    from smalti.bench.measure import Case

    interrupts.signal(interrupts.SIGINT, interrupts.SIG_IGN)  # who asks is interrupted, and closes the input
    for line in sys.stdin:
        question = json.loads(line)
        threads = question.pop("threads")
        case = Case(**question)
        seconds = best_time(*case.floats(), blocks=(1, 2, 4, 8), threads=threads)
        print(json.dumps(seconds), flush=True)
