"""What a receipt costs beside the last step of generation, with 5,000 and 60,000 MNIST digits: time and memory.

    .venv/bin/python bench/receipts.py [FOLDER]

FOLDER holds `mnist_train.npz` (`images` uint8 (N, 28, 28)); ../shared/data by default. The last step is one call of
the machine at the lowest of 20 noise levels, on a digit with that noise, with patches of 3; the receipt does the same
step again. Each time is the best of three.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import smalti
from smalti.engine import native
from smalti.noise import STATE_UNITS, gaussian_state
from smalti.sampling.ddim import pixels_of, state_of, values_of
from smalti.sampling.trace import Sample


def megabytes() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Of the fastest of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def last_step(machine: smalti.Machine) -> Sample:
    """A sample of one step, at the lowest noise of 20."""
    level = smalti.DDIM(machine, steps=20).levels[-1]
    clean = values_of(machine.images[0])
    noise = gaussian_state(clean.shape, seed=0, purpose="bench") / STATE_UNITS
    state = state_of(level.signal * clean + level.noise * noise)
    mean = machine(state, level).mean
    return Sample(
        seed=0,
        image=pixels_of(mean),
        states=state[None],
        estimates=pixels_of(mean)[None],
        mean=mean,
        levels=(level,),
        settings={},
        corpus_digest=machine.corpus.digest,
        machine=machine,
    )


def main() -> None:
    """Measures and prints."""
    print(f"kernel {native.default_target()}, {native.default_threads()} threads")
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "mnist_train.npz"
    if not path.exists():
        print(f"{path} is not there, so receipts are not measured: name the folder that holds it")
        return
    with np.load(path) as archive:
        images = archive["images"]
    print(f"{'items':>7} {'last step':>10} {'credits':>9} {'ratio':>6} {'receipt':>9} {'ratio':>6}")
    for count in (5_000, 60_000):
        machine = smalti.BorderAware(smalti.ImageCorpus.from_arrays(images[:count]), scales=3)
        sample = last_step(machine)
        step = seconds(lambda m=machine, s=sample: m(s.states[0], s.levels[0]))
        before = megabytes()
        credits = seconds(lambda s=sample: s.receipt.credits())
        more = megabytes() - before
        whole = seconds(lambda s=sample: s.receipt.at(top=8))
        print(
            f"{len(machine.corpus):>7,} {step:>8.2f} s {credits:>7.2f} s {credits / step:>6.2f} {whole:>7.2f} s "
            f"{whole / step:>6.2f}   at most {more:.0f} MB more for credits, {megabytes() - before:.0f} MB for all"
        )
    print("credits: units of every item; receipt: these, entropy, and the 8 best sources and items of each pixel")


if __name__ == "__main__":
    main()
