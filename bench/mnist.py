"""Time and memory of a 20-step sample from 5,000 MNIST digits at 32 x 32, and of 16 embedded digits.

    .venv/bin/python bench/mnist.py [FOLDER]

FOLDER holds `mnist_train.npz` (`images` uint8 (N, 28, 28)); ../shared/data by default. The digits are
padded with black.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

import smalti
from smalti.engine import native


def megabytes() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def main() -> None:
    """Measures and prints."""
    print(f"kernel {native.default_target()}, {native.default_threads()} threads")
    start = time.perf_counter()
    digits = smalti.ImageCorpus.builtin("digits")
    scales = smalti.calibrate(digits).scales
    calibrated = time.perf_counter()
    smalti.DDIM(smalti.BorderAware(digits, scales=scales), steps=20)(seeds=range(16))
    print(f"16 embedded digits: {time.perf_counter() - calibrated:.2f} s, and {calibrated - start:.2f} s to calibrate")

    path = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data") / "mnist_train.npz"
    if not path.exists():
        print(f"{path} is not there, so MNIST is left out: name the folder that holds it")
        return
    with np.load(path) as archive:
        # Every twelfth, since the file is sorted by digit.
        images = np.pad(archive["images"][::12][:5000], ((0, 0), (2, 2), (2, 2)))
    corpus = smalti.ImageCorpus.from_arrays(images)
    before = megabytes()
    start = time.perf_counter()
    calibration = smalti.calibrate(corpus)
    calibrated = time.perf_counter()
    machine = smalti.BorderAware(corpus, scales=calibration.scales)
    one = time.perf_counter()
    smalti.DDIM(machine, steps=20)(seeds=[0])
    sixteen = time.perf_counter()
    smalti.DDIM(machine, steps=20)(seeds=range(4))
    end = time.perf_counter()
    print(f"5,000 MNIST digits, sizes {calibration.chosen} (noisiest first)")
    print(f"calibrating on {calibration.items} items: {calibrated - start:.1f} s")
    print(f"one sample of 20 steps: {sixteen - one:.1f} s; four together: {end - sixteen:.1f} s")
    print(f"memory: {before:.0f} MB with the corpus, at most {megabytes() - before:.0f} MB more")


if __name__ == "__main__":
    main()
