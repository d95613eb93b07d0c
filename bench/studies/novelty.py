"""Memorisation against creativity: what samples owe to single pictures, as the patch and the corpus grow.

    .venv/bin/python bench/studies/novelty.py [FOLDER [PICTURE]]

FOLDER holds `mnist_train.npz` and `cifar10_10k.npz` (`images` uint8 (N, H, W) or (N, H, W, 3)); ../shared/data by
default. Prints the tables of docs/concepts/novelty.md and writes its two plots, PICTURE (docs/images/novelty.png by
default) and the same name ending in -samples. About six minutes on four cores.

For each seed a random subset of n pictures is drawn, and the same noise is turned into a picture from the subset and
from all. Scales stay those of all, whatever n.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import smalti
from smalti.receipts import Receipt, nearest_items
from smalti.receipts.copies import tiling
from smalti.receipts.correlation import pearson
from smalti.receipts.match import inner_admission, nearest_patches

ALL = 5000
SUBSETS = (10, 30, 100, 300, 1000, 3000)
SEEDS = range(8)
IDEAL_SEEDS = range(64)
# Taking a finished picture apart needs a walk for each item, so of large corpora only these are.
TAKEN_APART = range(4)
FLOOR_ITEMS = 300
FLOORS = (3, 5, 7, 9, 13, 17, 33)
TILE = 5
HELD_OUT = 64
SCALES = smalti.Scales.named("paper-cifar10")

Pictures = NDArray[np.uint8]
Middle = tuple[float, float, float]


@dataclass
class Source:
    """The pictures of a data set, those used and others held out, and what was found."""

    name: str
    images: Pictures
    held_out: Pictures
    rows: list[dict[str, Middle]] = field(default_factory=list)
    floors: list[dict[str, Middle]] = field(default_factory=list)
    strip: list[Pictures] = field(default_factory=list)
    other_seeds: float = 0.0


def read(folder: Path) -> list[Source]:
    """Both data sets, in a random order that is the same each time."""
    out = []
    for name, file in (("MNIST", "mnist_train.npz"), ("CIFAR-10", "cifar10_10k.npz")):
        if not (folder / file).exists():
            sys.exit(f"{folder / file} is not there: name the folder that holds it")
        with np.load(folder / file) as archive:
            images = archive["images"]
        images = images[np.random.default_rng(0).permutation(len(images))[: ALL + HELD_OUT]]
        if images.ndim == 3:
            images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]  # the 32 x 32 of the literature
        out.append(Source(name, images[:ALL], images[ALL:]))
    return out


def samples(images: Pictures, seeds: Iterable[int], *, floor: int = 1) -> smalti.Trace:
    """Samples of the border-aware machine; no patch is smaller than the floor."""
    scales = smalti.Scales(SCALES.log_snr, tuple(max(size, floor) for size in SCALES.sizes))
    machine = smalti.BorderAware(smalti.ImageCorpus.from_arrays(images), scales=scales)
    return smalti.DDIM(machine, steps=20)(seeds=list(seeds))


def ideal(images: Pictures, seeds: Iterable[int]) -> Pictures:
    """Pictures of the ideal machine."""
    machine = smalti.Ideal(smalti.ImageCorpus.from_arrays(images))
    return smalti.DDIM(machine, steps=20)(seeds=list(seeds)).images


def middle(values: Iterable[float]) -> Middle:
    """Median with a bootstrap interval of 95 %."""
    found = np.array(list(values))
    draws = np.random.default_rng(0).integers(len(found), size=(4000, len(found)))
    low, high = np.quantile(np.median(found[draws], axis=1), [0.025, 0.975])
    return float(np.median(found)), float(low), float(high)


def nearest_rms(images: Pictures, pictures: Pictures) -> list[float]:
    """Grey levels, root mean square, from each picture to the nearest whole item."""
    _, squared = nearest_items(images, pictures)
    return np.sqrt(squared[:, 0] / (4.0 * pictures[0].size)).tolist()


def novelty(traces: Iterable[smalti.Trace]) -> dict[str, list[float]]:
    """For each sample what it owes to single items (weight), and what of it the corpus has as it is (match).

    Both over the pixels with detail, those whose neighbours are not all like them: the black around digits has
    thousands of equal sources, and is found in every digit.
    """
    out: dict[str, list[float]] = {"top share": [], "sources": [], "identical": [], "within 4": []}
    for trace in traces:
        machine = trace.machine
        assert machine is not None
        images = machine.corpus.images
        for sample in trace:
            detail = with_detail(sample.image)
            last = Receipt(sample, machine).at(-1)
            out["top share"].append(float(last.top_share[detail].mean()))
            out["sources"].append(float(np.median(last.effective_sources[detail])))
            admission = inner_admission(TILE, picture=sample.image.shape[:2], items=images.shape[1:3])
            found = tiling(nearest_patches(images, sample.image, admission), TILE)
            out["identical"].append(float(found.covered(0)[detail].mean()))
            out["within 4"].append(float(found.covered(4)[detail].mean()))
    return out


def with_detail(picture: Pictures) -> NDArray[np.bool_]:
    """Pixels (H, W) whose eight neighbours, those there are, do not all have their value."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge"), (3, 3), (0, 1)
    )
    return (windows.max(axis=(3, 4)) > windows.min(axis=(3, 4))).any(axis=2)


def middles(values: dict[str, list[float]]) -> dict[str, Middle]:
    """Each with its interval."""
    return {key: middle(found) for key, found in values.items()}


def study(source: Source) -> None:
    """Fills the tables of a data set."""
    whole = samples(source.images, SEEDS)
    ideal_whole = ideal(source.images, IDEAL_SEEDS)
    source.other_seeds = float(np.median([pearson(a, b) for i, a in enumerate(whole.images) for b in whole.images[:i]]))
    for n in (*SUBSETS, len(source.images)):
        row: dict[str, list[float]] = {}
        subsets = {seed: subset(source, n, seed) for seed in IDEAL_SEEDS}
        if n == len(source.images):
            traces = [whole.only(place) for place in range(len(SEEDS))]
        else:
            traces = [samples(subsets[seed], [seed]) for seed in SEEDS]
            pairs = [(trace.images[0], other) for trace, other in zip(traces, whole.images, strict=True)]
            row["r"] = [pearson(*pair) for pair in pairs]
            row["r^2"] = [r * r for r in row["r"]]
            row["ideal r"] = [
                pearson(ideal(subsets[seed], [seed])[0], other)
                for seed, other in zip(IDEAL_SEEDS, ideal_whole, strict=True)
            ]
            row["ideal r^2"] = [r * r for r in row["ideal r"]]
        row["nearest"] = [
            nearest_rms(subsets[seed], trace.images)[0] for seed, trace in zip(SEEDS, traces, strict=True)
        ]
        row["held out"] = [
            nearest_rms(subsets[seed], source.held_out[seed : seed + 1])[0] for seed in range(len(source.held_out))
        ]
        apart = traces if n < 1000 else [traces[place] for place in TAKEN_APART]
        row |= novelty(apart) if n < len(source.images) else {}
        source.rows.append({"n": (n, n, n), **middles(row)})
        source.strip.append(np.concatenate([trace.images for trace in traces[:2]]))
    few = source.images[:FLOOR_ITEMS]
    for floor in FLOORS:
        trace = samples(few, SEEDS, floor=floor)
        row = novelty([trace]) | {"nearest": nearest_rms(few, trace.images)}
        source.floors.append({"n": (floor, floor, floor), **middles(row)})


def subset(source: Source, n: int, seed: int) -> Pictures:
    """The n pictures that a seed draws."""
    return source.images[np.sort(np.random.default_rng([n, seed]).permutation(len(source.images))[:n])]


def table(head: str, rows: list[dict[str, Middle]], columns: dict[str, tuple[str, int]]) -> None:
    """A table in Markdown: medians with their intervals."""
    print(f"\n| {head} | {' | '.join(name for name, _ in columns.values())} |")
    print("|---|" + "---|" * len(columns))
    for row in rows:
        cells = []
        for key, (_, digits) in columns.items():
            found = row.get(key)
            cells.append(
                "" if found is None else f"{found[0]:.{digits}f} [{found[1]:.{digits}f}, {found[2]:.{digits}f}]"
            )
        print(f"| {row['n'][0]:,.0f} | {' | '.join(cells)} |")


LIKE = {"r": ("r", 3), "r^2": ("r^2", 3), "ideal r": ("r, ideal machine", 3), "ideal r^2": ("r^2, ideal machine", 3)}
NEW = {
    "top share": ("largest item share", 3),
    "sources": ("effective sources", 1),
    "nearest": ("nearest whole item", 1),
    "held out": ("the same, held-out pictures", 1),
    "identical": (f"windows of {TILE} identical", 3),
    "within 4": (f"windows of {TILE} within 4 levels", 3),
}


def plot(found: list[Source], place: Path) -> None:
    """Draws what the tables say."""
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(2, 4)
    for line, source in zip(cells, found, strict=True):
        rows, n = source.rows, [row["n"][0] for row in source.rows]
        some = [row for row in rows if "r" in row]
        draw(line[0], some, "r", "black", "border-aware machine")
        draw(line[0], some, "ideal r", "tab:red", "ideal machine")
        line[0].axhline(source.other_seeds, color="grey", linestyle=":", label="border-aware, another seed")
        line[0].set(
            ylabel=f"{source.name}\nr with the picture from all {ALL:,}", ylim=(min(-0.05, source.other_seeds), 1.02)
        )
        draw(line[1], rows, "nearest", "black", "new picture")
        draw(line[1], rows, "held out", "tab:blue", "held-out picture")
        line[1].set(ylabel="grey levels to the nearest whole item", ylim=(0, None))
        taken = [row for row in rows if "top share" in row]
        draw(line[2], taken, "top share", "black", "largest item share (weight)")
        draw(line[2], taken, "identical", "tab:blue", f"in an identical window of {TILE} (match)")
        for cell in line[:3]:
            cell.set(xscale="log", xlabel="pictures in the corpus", xlim=(n[0] / 1.3, n[-1] * 1.3))
        draw(line[3], source.floors, "top share", "black", "largest item share (weight)")
        draw(line[3], source.floors, "identical", "tab:blue", f"in an identical window of {TILE} (match)")
        line[3].set(xlabel=f"smallest patch size ({FLOOR_ITEMS} pictures)", xticks=FLOORS)
        for cell in line[2:]:
            cell.set(ylabel="share of the pixels with detail", ylim=(-0.02, 1.02))
    for cell in cells[0]:
        cell.legend(fontsize="x-small")
    figure.suptitle("the same noise, more pictures; medians over seeds with intervals of 95 %", fontsize="medium")
    figure.savefig(place, dpi=120, metadata={"Software": None})


def draw(cell: Axes, rows: list[dict[str, Middle]], key: str, colour: str, label: str) -> None:
    """A line of medians in its band of intervals."""
    x = [row["n"][0] for row in rows]
    mid, low, high = np.array([row[key] for row in rows]).T
    cell.plot(x, mid, "o-", color=colour, markersize=3.5, label=label)
    cell.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def plot_samples(found: list[Source], place: Path) -> None:
    """Draws two seeds of each data set from few pictures and from all."""
    rows = [[strip[seed] for strip in source.strip] for source in found for seed in (0, 1)]
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(len(rows), len(rows[0]))
    for line, pictures in zip(cells, rows, strict=True):
        for cell, picture in zip(line, pictures, strict=True):
            cell.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)), interpolation="nearest")
            cell.set(xticks=[], yticks=[])
    for cell, row in zip(cells[0], found[0].rows, strict=True):
        cell.set_title(f"{row['n'][0]:,.0f}", fontsize="medium")
    figure.suptitle("one seed in each line, from random subsets of so many pictures and (right) from all")
    figure.savefig(place, dpi=110, metadata={"Software": None})


def main() -> None:
    """Prints the tables and draws the plots."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    place = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images/novelty.png")
    found = read(folder)
    for source in found:
        start = time.monotonic()
        study(source)
        print(f"\n## {source.name} ({time.monotonic() - start:.0f} s)")
        print(f"\nr between border-aware samples of different seeds: {source.other_seeds:.3f} (median)")
        table("pictures", source.rows[:-1], LIKE)
        table("pictures", source.rows, NEW)
        table(
            f"smallest patch, {FLOOR_ITEMS} pictures", source.floors, {k: v for k, v in NEW.items() if k != "held out"}
        )
    plot(found, place)
    plot_samples(found, place.with_name(f"{place.stem}-samples.png"))


if __name__ == "__main__":
    main()
