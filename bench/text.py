"""Time of a text, of a whole hybrid posterior, and of both as the corpus grows, with 1.1 M characters of Shakespeare.

    .venv/bin/python bench/text.py [FOLDER]

FOLDER holds `shakespeare.txt`; ../shared/data by default. Larger corpora are repeats of it in which one character in
twenty is replaced by one drawn from it; smaller ones are its beginning. Each time is the best of three, where it is
below two seconds. Ratios are of times in one run.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters
from smalti.engine import native, text
from smalti.engine.text_patterns import ask
from smalti.engine.text_query import TextQuery, hybrid, leftwards, windows_of
from smalti.machines.text import TextMachine
from smalti.sampling.text import TextDenoiser
from smalti.sampling.text_settings import Order, TextSettings
from smalti.sampling.tokens import MASK, unmask

SITES = 256
SHORT = 64
SIZES = (100_000, 300_000, 1_100_000, 3_300_000, 10_000_000, 30_000_000)


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


def write(denoiser: TextDenoiser, order: Order, length: int, block: int | None = None) -> TextDenoiser:
    """Writes a text of so many characters."""
    for _ in unmask(denoiser, np.full(length, MASK, np.int64), TextSettings(order=order, block=block), seed=0):
        pass
    return denoiser


def half_masked(machine: TextMachine, original: str) -> np.ndarray:
    """256 characters of the text, every other one masked at random."""
    state = machine.tokenizer.encode(original[500_000 : 500_000 + SITES]).astype(np.int32)
    state[np.random.default_rng(1).random(SITES) < 0.5] = -1
    return state


def texts(machine: TextMachine) -> None:
    """Writing 256 characters; what keeping answers saves."""
    cases: tuple[tuple[Order, int | None], ...] = (("left-to-right", None), ("confidence", None), ("confidence", 16))
    for order, block in cases:
        done = write(TextDenoiser(machine), order, SITES, block)
        taken = seconds(lambda o=order, b=block: write(TextDenoiser(machine), o, SITES, b))
        inside = "" if block is None else f" in blocks of {block}"
        print(
            f"{SITES} characters, {order}{inside}: {taken:.2f} s ({done.searched:,} of {done.asked:,} sites searched)"
        )
        if block is not None:
            anew = seconds(lambda o=order, b=block: write(TextDenoiser(machine, remember=False), o, SITES, b))
            print(f"    without the answers kept: {anew:.2f} s, {anew / taken:.1f} times as long")


def tokens(machine: TextMachine, original: str) -> None:
    """A token from left to right: all kernels and ladders from one walk, and each from one of its own."""
    radius = machine.reach
    state = machine.tokenizer.encode(original[500_000 : 500_000 + SHORT + radius]).astype(np.int32)
    windows = windows_of(state, np.arange(radius, radius + SHORT), radius)
    windows[:, radius:] = -1
    queries = [TextQuery(machine.symbols, window[None]) for window in windows]
    kernels, ladder = (hybrid(6, 8.0, 0.7), hybrid(6, 12.0, 0.55)), leftwards(radius)

    def alone() -> None:
        for query in queries:
            for kernel in kernels:
                text.sums(query.within(6), kernel)
            text.depths(query, ladder)

    once = seconds(lambda: [ask(query, kernels, [ladder]) for query in queries])
    each = seconds(alone)
    print(
        f"search for one token, left to right: {1e3 * once / SHORT:.2f} ms; kernels and ladder each by itself "
        f"{1e3 * each / SHORT:.2f} ms, {each / once:.1f} times as long"
    )
    together = seconds(lambda: machine.distributions(windows))
    singly = seconds(lambda: [machine.distributions(window[None]) for window in windows])
    each_of_many = f"{SHORT} at once {1e3 * together / SHORT:.2f} ms each"
    print(f"whole answer for one token: {1e3 * singly / SHORT:.2f} ms; {each_of_many}")


def posteriors(machine: TextMachine, original: str) -> None:
    """One hybrid kernel for 256 sites."""
    state = half_masked(machine, original)
    wide = TextMachine(machine.corpus, machine.tokenizer, radius=12)
    query = TextQuery(wide.symbols, windows_of(state, np.arange(SITES), 12))
    taken = seconds(lambda: text.sums(query, hybrid(12, 8.0, 0.7)))
    print(f"one hybrid kernel of radius 12, {SITES} sites, half masked: {taken:.3f} s")


def growth(original: str, alphabet: Characters) -> None:
    """Times and the most memory so far as the corpus grows."""
    print(f"\n{'characters':>12}  {f'{SITES} sites':>10}  {'left to right':>14}  {'confidence':>11}  {'memory':>9}")
    for size in SIZES:
        machine = TextMachine(TextCorpus.from_texts([grown(original, size)]), alphabet)
        _ = machine.symbols.index
        state = half_masked(machine, original)
        whole = seconds(lambda m=machine, s=state: m(s, np.arange(SITES)))
        ltr, confidence = (
            seconds(lambda m=machine, o=order: write(TextDenoiser(m), o, SHORT))
            for order in ("left-to-right", "confidence")
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)
        print(f"{size:>12,}  {whole:>8.2f} s  {ltr:>12.2f} s  {confidence:>9.2f} s  {memory:>5.2f} GiB", flush=True)


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
    texts(machine)
    tokens(machine, original)
    posteriors(machine, original)
    print(f"\nwriting is of {SHORT} characters; memory is the most so far, the text and its making included")
    growth(original, alphabet)


if __name__ == "__main__":
    main()
