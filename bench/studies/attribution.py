"""Do cheap scores of an item tell its effect, that is, what changes in a finished sample when the item is removed?

Ground truth is the exact effect: each item of a small corpus is removed and every seed is run again, which has no
training noise. Scores of an item for a sample, none of which runs anything again:

    weight, last step       its share of the weight at the last step, which composes the finished picture
    weight, all steps       the mean of that share over the steps, a summary
    left out, last step     exact one-step leave-one-out: root mean square change of the last step's mean without it
    left out, all steps     the same, summed over the steps
    match, nearest          how many pixels have their nearest patch in it; of equally near ones the first item's counts
    match, patches          minus the mean distance of the picture's patches from the nearest ones in it
    match, whole            minus its distance from the finished picture

Two measures, each a mean over samples with a 95 % bootstrap interval over samples (10,000 draws): Spearman's rank
correlation with the exact effect over all items, and the LDS (`smalti.receipts.effects.halves`) over 64 random halves
of the corpus, where the exact effects themselves are a further score. And, as what a ranking with a budget would gain:
the effects of the first tenth of the items by each score, as a share of the tenth with the largest effects.

    .venv/bin/python bench/studies/attribution.py [PICTURE [FOLDER]]

prints the tables and writes the plot, to docs/images/attribution.png unless told otherwise. FOLDER holds
`mnist_train.npz` and `cifar10_10k.npz` (`images` uint8); ../shared/data by default. Without them the digits that come
with Smalti are studied alone, and a plot is written only where PICTURE says so.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import smalti
from smalti.progress import SILENT
from smalti.receipts.correlation import spearman
from smalti.receipts.effects.halves import half_corpora, lds
from smalti.receipts.effects.ranking import one_step_values
from smalti.receipts.effects.rerun import Change, machine_without, run_again
from smalti.receipts.match import nearest_patches, squared_distances

PICTURE = "docs/images/attribution.png"
EXACT = "exact effects"


@dataclass(frozen=True)
class Setting:
    """A corpus, by the number of its items, and how much is asked of it."""

    name: str
    items: int
    seeds: int
    file: str = ""
    halves: int = 64


SETTINGS = (
    Setting("digits, 8 x 8", 200, 32),
    Setting("MNIST, 16 x 16", 120, 16, "mnist_train.npz"),
    Setting("CIFAR-10, 16 x 16", 100, 16, "cifar10_10k.npz"),
)


@dataclass(frozen=True)
class Found:
    """What a setting gave: per score, one number for each sample."""

    setting: Setting
    agreement: dict[str, NDArray[np.float64]]
    lds: dict[str, NDArray[np.float64]]
    gain: dict[str, NDArray[np.float64]]


def corpus_of(setting: Setting, folder: Path) -> smalti.ImageCorpus:
    """`items` pictures, evenly spread over the file; MNIST is padded to 32 x 32 with black, then both are halved."""
    if not setting.file:
        digits = smalti.ImageCorpus.builtin("digits")
        kept = set(np.linspace(0, len(digits) - 1, setting.items).astype(int).tolist())
        return digits.without(set(range(len(digits))) - kept)
    with np.load(folder / setting.file) as archive:
        images = archive["images"]
    images = images[np.linspace(0, len(images) - 1, setting.items).astype(int)]
    if images.ndim == 3:
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return smalti.ImageCorpus.from_arrays(images, size=16)


def exact_effects(trace: smalti.Trace, machine: smalti.Machine) -> NDArray[np.float64]:
    """Root mean square change of each finished picture without each item, grey levels; (S, N)."""
    out = np.empty((len(trace), len(machine.items)))
    for item in range(out.shape[1]):
        with SILENT.task("", 0) as task:
            after = run_again(trace, machine_without(machine, [item]), task=task)
        out[:, item] = [Change.between(*means).root_mean_square for means in zip(trace.means, after.means, strict=True)]
    return out


def scores_of(trace: smalti.Trace, machine: smalti.Machine) -> dict[str, NDArray[np.float64]]:
    """The scores by name, (S, N) each."""
    one_step = one_step_values(trace, machine)
    receipts = [sample.receipt for sample in trace]
    count = len(machine.items)
    nearest = [np.bincount(receipt.match().item.ravel(), minlength=count) for receipt in receipts]
    admission = machine.admission(machine.patch_size(trace.levels[-1]), machine.corpus.size)
    patches = [
        [-nearest_patches(machine.images[n : n + 1], picture, admission).rms.mean() for n in range(count)]
        for picture in trace.images
    ]
    return {
        "weight, last step": np.array([receipt.credits() for receipt in receipts], np.float64),
        "weight, all steps": np.array([receipt.summary() for receipt in receipts]),
        "left out, last step": one_step[-1].T,
        "left out, all steps": one_step.sum(axis=0).T,
        "match, nearest": np.array(nearest, np.float64),
        "match, patches": np.array(patches),
        "match, whole": -squared_distances(machine.images, trace.images).astype(np.float64),
    }


def first_tenth(score: NDArray[np.float64], effects: NDArray[np.float64]) -> float:
    """Summed effects of the tenth of the items with the highest score, over those of the tenth with the largest."""
    count = max(1, len(effects) // 10)
    return float(effects[np.argsort(-score, kind="stable")[:count]].sum() / np.sort(effects)[-count:].sum())


def study(setting: Setting, folder: Path) -> Found:
    """Runs one setting and prints what it found."""
    start = time.perf_counter()
    corpus = corpus_of(setting, folder)
    machine = smalti.BorderAware(corpus, scales=smalti.calibrate(corpus).scales)
    trace = smalti.DDIM(machine, steps=20)(seeds=range(setting.seeds))
    effects = exact_effects(trace, machine)
    scores = scores_of(trace, machine)
    halves = half_corpora(trace, machine, count=setting.halves)
    found = Found(
        setting,
        {name: np.array(list(map(spearman, score, effects))) for name, score in scores.items()},
        {name: lds(score, halves) for name, score in (scores | {EXACT: effects}).items()},
        {name: np.array(list(map(first_tenth, score, effects))) for name, score in scores.items()},
    )
    largest = -np.sort(-effects, axis=1)[:, : max(1, corpus.images.shape[0] // 10)].sum(axis=1) / effects.sum(axis=1)
    print(
        f"\n{setting.name}: {setting.items} items, {setting.seeds} seeds, {setting.halves} halves, "
        f"{time.perf_counter() - start:.0f} s\n"
        f"effect of an item, grey levels: median {np.median(effects):.2f}, largest {effects.max():.1f}, none for "
        f"{(effects == 0).mean():.1%} of the pairs; the tenth with the largest has {largest.mean():.0%} of the sum; "
        f"half of the corpus: {halves.changes.mean():.1f}"
    )
    print(f"{'':<22}{'Spearman with the effect':<28}{'LDS':<28}first tenth")
    for name in found.lds:
        agreement = shown(found.agreement[name]) if name in found.agreement else ""
        gain = f"{found.gain[name].mean():.2f}" if name in found.gain else ""
        print(f"{name:<22}{agreement:<28}{shown(found.lds[name]):<28}{gain}")
    return found


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over samples."""
    draws = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def shown(values: NDArray[np.float64]) -> str:
    low, high = interval(values)
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def plot(results: list[Found], path: str) -> None:
    """Two panels, a score in each row, a setting in each colour; the exact effects agree with themselves."""
    figure = Figure(figsize=(9, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    names = list(results[0].lds)
    for place, found in enumerate(results):
        for panel, measure in zip(panels, (found.agreement, found.lds), strict=True):
            shown_names = [name for name in names if name in measure]
            means = np.array([measure[name].mean() for name in shown_names])
            ends = np.array([interval(measure[name]) for name in shown_names]).T
            rows = np.array([names.index(name) for name in shown_names]) + 0.22 * (place - (len(results) - 1) / 2)
            panel.errorbar(means, rows, xerr=np.abs(ends - means), fmt="o", ms=5, capsize=3, label=found.setting.name)
    for panel, title in zip(panels, ("Spearman with the exact effect", "LDS over random halves"), strict=True):
        panel.set_title(title, fontsize="medium")
        panel.set_yticks(range(len(names)), names)
        panel.axvline(0, color="black", lw=0.8)
        panel.grid(axis="x", alpha=0.3)
        panel.set_xlabel("mean over samples, 95 % interval")
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(results))
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main() -> None:
    """Runs every setting whose pictures are there."""
    picture = sys.argv[1] if len(sys.argv) > 1 else None
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "../shared/data")
    there = [setting for setting in SETTINGS if not setting.file or (folder / setting.file).exists()]
    for setting in SETTINGS:
        if setting not in there:
            print(f"{folder / setting.file} is not there, so {setting.name} is left out: name the folder that holds it")
    results = [study(setting, folder) for setting in there]
    if picture is not None or len(there) == len(SETTINGS):
        plot(results, picture or PICTURE)


if __name__ == "__main__":
    main()
