"""Time of a text, of a whole hybrid posterior, and of both as the corpus grows, with 1.1 M characters of Shakespeare.

    .venv/bin/python bench/text.py [FOLDER]

FOLDER holds `shakespeare.txt`; ../shared/data by default. Larger corpora are repeats of it in which one character in
twenty is replaced by one drawn from it. Each time is the best of three, where it is below two seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters
from smalti.engine import native, text
from smalti.engine.text_query import TextQuery, hybrid, windows_of
from smalti.machines.text import TextMachine
from smalti.sampling.text import TextDenoiser
from smalti.sampling.tokens import MASK, Order, unmask

SITES = 256
SIZES = (100_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
ORDERS: tuple[Order, ...] = ("left-to-right", "confidence")


def seconds(work: Callable[[], object]) -> float:
    """Of the fastest of three runs, or of the one where that is slow."""
    times: list[float] = []
    while len(times) < 3 and (not times or times[0] < 2.0):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def grown(original: str, size: int) -> str:
    """So many characters: the first ones, or repeats in which one in twenty is changed."""
    points = np.frombuffer(original.encode("utf-32-le"), np.uint32)
    rng = np.random.default_rng(0)
    out = np.tile(points, -(-size // len(points)))[:size]
    changed = rng.random(size) < 0.05
    changed[: len(points)] = False
    out[changed] = points[rng.integers(0, len(points), int(changed.sum()))]
    return out.tobytes().decode("utf-32-le")


def write(machine: TextMachine, order: Order) -> int:
    """A text of 256 characters; how many sites were searched for it."""
    denoiser = TextDenoiser(machine)
    for _ in unmask(denoiser, np.full(SITES, MASK, np.int64), seed=0, order=order):
        pass
    return denoiser.searched


def half_masked(machine: TextMachine, original: str) -> np.ndarray:
    """256 characters of the text, every other one masked at random."""
    state = machine.tokenizer.encode(original[500_000 : 500_000 + SITES]).astype(np.int32)
    state[np.random.default_rng(1).random(SITES) < 0.5] = -1
    return state


def main() -> None:
    """Measures and prints."""
    print(f"kernel {native.default_target()}, {native.default_threads()} threads")
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "shakespeare.txt"
    if not path.exists():
        print(f"{path} is not there, so texts are not timed: name the folder that holds it")
        return
    original = path.read_text("utf-8")
    alphabet = Characters("".join(sorted(set(original))))
    start = time.perf_counter()
    machine = TextMachine(TextCorpus.from_texts([original]), alphabet)
    _ = machine.symbols.index
    print(f"{len(original):,} characters, made ready in {time.perf_counter() - start:.2f} s")
    for order in ORDERS:
        searched = write(machine, order)
        taken = seconds(lambda order=order: write(machine, order))
        print(f"{SITES} characters, {order}: {taken:.2f} s ({searched:,} sites searched)")
    state = half_masked(machine, original)
    kernel = hybrid(12, 8.0, 0.7)
    wide = TextMachine(machine.corpus, alphabet, radius=12)
    query = TextQuery(wide.symbols, windows_of(state, np.arange(SITES), 12))
    print(
        f"one hybrid kernel of radius 12, {SITES} sites, half masked: {seconds(lambda: text.sums(query, kernel)):.3f} s"
    )
    print(f"\n{'characters':>12}  {'256 sites':>10}  {'left to right, 64 characters':>29}")
    for size in SIZES:
        machine = TextMachine(TextCorpus.from_texts([grown(original, size)]), alphabet)
        _ = machine.symbols.index
        state = half_masked(machine, original)
        whole = seconds(lambda m=machine, s=state: m(s, np.arange(SITES)))
        short = np.full(64, MASK, np.int64)
        written = seconds(
            lambda m=machine, row=short: list(unmask(TextDenoiser(m), row, seed=0, order="left-to-right"))
        )
        print(f"{size:>12,}  {whole:>8.2f} s  {written:>27.2f} s", flush=True)


if __name__ == "__main__":
    main()
