"""The consistency theorem on finished digits (Kamb & Ganguli 2025, Theorem 4.1).

As the noise of the last step goes to zero, each pixel of a finished sample equals the centre of the admitted patch that
is nearest, in L2, to the patch around it. The more steps, the less noise is left in the last one.

    .venv/bin/python bench/studies/consistency.py [PICTURE]

prints the table and writes the plot, to docs/images/consistency.png unless told otherwise.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import smalti
from smalti.sampling.ddim import state_of

STEPS = (5, 10, 20, 40, 80, 160, 320, 640)
SEEDS = range(32)


def distances(machine: smalti.Machine, steps: int) -> np.ndarray:
    """Distance of each finished pixel to the centre of its nearest admitted patch, in grey levels; (S, H, W, C).

    Digits have 17 grey levels, so several patches are often equally near; the nearest centre among those counts.
    """
    mean = smalti.DDIM(machine, steps=steps)(seeds=SEEDS).means
    # At a signal of almost 1 the best source of a site is its nearest patch, as 2 x k - k^2 is largest where
    # |x - k|^2 is least; which source is best does not depend on the noise, and equally near ones weigh the same.
    almost_clean = smalti.Level(0.0, (1.0 - 2.0**-16) ** 0.5, 2.0**-8)
    nearest = machine(state_of(mean), almost_clean, report=("sources",), keep=64).sources
    assert nearest is not None
    centre = (2.0 * machine.corpus.images[nearest.item, nearest.row, nearest.column] - 255.0) / 255.0
    away = np.abs(mean[..., None, :] - centre) * 127.5
    return np.where((nearest.weight == nearest.weight[..., :1])[..., None], away, np.inf).min(axis=-2)


def main() -> None:
    """Prints the table and draws the plot."""
    digits = smalti.ImageCorpus.builtin("digits")
    machine = smalti.BorderAware(digits, scales=3)
    schedule = smalti.schedule("cosine")
    print(f"{'steps':>6} {'last noise':>11} {'mean distance':>14} {'within 1 level':>15}")
    table = []
    for steps in STEPS:
        away = distances(machine, steps)
        noise = schedule.grid(steps)[-1].noise
        table.append((noise, away.mean(), (away <= 1).mean()))
        print(f"{steps:>6} {noise:>11.5f} {away.mean():>14.4f} {(away <= 1).mean():>15.4f}")
    noise, mean, equal = np.array(table).T
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(noise, mean, "o-", color="black")
    left.set(xscale="log", xlabel="noise of the last step", ylabel="mean distance, grey levels", ylim=(0, None))
    right.plot(noise, equal, "o-", color="black")
    right.set(xscale="log", xlabel="noise of the last step", ylabel="pixels within 1 grey level", ylim=(0, 1.02))
    figure.suptitle("finished pixels and the centres of their nearest patches (digits, P = 3)", fontsize="medium")
    figure.savefig(
        sys.argv[1] if len(sys.argv) > 1 else "docs/images/consistency.png", dpi=120, metadata={"Software": None}
    )


if __name__ == "__main__":
    main()
