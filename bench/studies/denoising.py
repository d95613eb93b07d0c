"""Held-out denoising: every machine, the published siblings and ours, against the best linear denoiser.

    .venv/bin/python bench/studies/denoising.py [FOLDER [PICTURE]] [--items N] [--held-out M] [--times T,T,...]
        [--data NAME,NAME]

FOLDER holds `cifar10_10k.npz` and `mnist_train.npz` (`images` uint8 (N, H, W) or (N, H, W, 3)); ../shared/data by
default. Noise is added to M pictures that no denoiser has seen, and each denoiser, made from N others, estimates what
they were. Patch sizes, tau and the shares of the blend are chosen on items of the corpus that are left out. Prints the
tables of docs/concepts/denoisers.md and draws the plot, to docs/images/denoising.png unless told otherwise.

What is found at a noise level is kept in out/studies/denoising and not computed again; remove it after a change to a
denoiser. With 2,000 and 24 pictures a level of CIFAR-10 takes some six minutes of one core. Set OPENBLAS_NUM_THREADS=1
on a machine that does other work.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import smalti
from smalti.calibration import cached_calibration
from smalti.denoisers import DataMaskLocal, LocalLinear, Nearest, PatchComposite, PatchMixture, PatchWiener, Wiener
from smalti.denoisers.blend import EDGES, best_shares, blended, left_out, noisy_items
from smalti.noise import STATE_UNITS, gaussian_state
from smalti.receipts.correlation import pearson
from smalti.sampling import Denoiser
from smalti.sampling.ddim import state_of, values_of
from smalti.sampling.files import write_file

DATA = {"CIFAR-10": "cifar10_10k.npz", "MNIST": "mnist_train.npz"}
TIMES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
QUERIES, FEW = 8, 4
TAUS = (0.02, 0.05, 0.1, 0.2, 0.4)
# Patches of local linear fits to choose from, below and from t = .4.
SIDES = {False: (5, 7), True: (7, 9)}
# So many of the held-out pictures go to the patch composite, which costs as much as the rest together.
COMPOSITE = 6
KEPT = Path("out/studies/denoising")
BLENDED = ("wiener", "patch-wiener", "local-linear", "patch-mixture", "border-aware")
ALL_WIENER = "wiener, all others"

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]
Made = Callable[[smalti.ImageCorpus], Denoiser]


@dataclass(frozen=True, eq=False)
class Found:
    """One data set at one level.

    Attributes:
        names: of the denoisers. (D,).
        errors: mean squared error, pixels in [-1, 1]; NaN where an item was left out. (D, M).
        r: Pearson correlation with the clean picture. (D, M).
        chosen: what was chosen on items of the corpus, in words.
    """

    names: tuple[str, ...]
    errors: Floats
    r: Floats
    chosen: str

    def ratio(self, name: str, other: str = "wiener") -> tuple[float, float, float]:
        """Mean error over that of another denoiser on the same items, with a bootstrap interval of 95 % over items."""
        mine, its = (self.errors[self.names.index(n)] for n in (name, other))
        both = np.isfinite(mine) & np.isfinite(its)
        mine, its = mine[both], its[both]
        draws = np.random.default_rng(0).integers(len(mine), size=(4000, len(mine)))
        low, high = np.quantile(mine[draws].mean(axis=1) / its[draws].mean(axis=1), [0.025, 0.975])
        return float(mine.mean() / its.mean()), float(low), float(high)


@dataclass(frozen=True, eq=False)
class Source:
    """A data set: the corpus, held-out pictures, and a Wiener denoiser of all that are not held out."""

    name: str
    corpus: smalti.ImageCorpus
    others: smalti.ImageCorpus
    held_out: Pictures


def read(folder: Path, name: str, items: int, held_out: int) -> Source:
    """The pictures in a random order that is the same each time: the first are the corpus, the last are held out."""
    path = folder / DATA[name]
    if not path.exists():
        sys.exit(f"{path} is not there: name the folder that holds it")
    with np.load(path) as archive:
        images = archive["images"]
    images = images[np.random.default_rng(0).permutation(len(images))]
    if images.ndim == 3:
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]  # the 32 x 32 of the literature
    last = images[-held_out:]
    corpus, others = (smalti.ImageCorpus.from_arrays(images[:n]) for n in (items, min(len(images) - held_out, 10_000)))
    return Source(name, corpus, others, last)


class Makers:
    """Denoisers of a corpus, made once each."""

    def __init__(self, corpus: smalti.ImageCorpus, scales: dict[str, smalti.Scales]) -> None:
        self.corpus, self.scales = corpus, scales
        self.wiener, self.patch_wiener = Wiener(corpus), PatchWiener(corpus)
        self.mixture = PatchMixture(corpus)

    def parts(self, side: int) -> tuple[Denoiser, ...]:
        """Those that are blended."""
        machine = smalti.BorderAware(self.corpus, scales=self.scales["border-aware"])
        return self.wiener, self.patch_wiener, LocalLinear(self.corpus, scales=side), self.mixture, machine

    def rest(self, tau: float) -> tuple[Denoiser, ...]:
        """The other machines and the siblings."""
        machines = (
            smalti.MACHINES[name](self.corpus, scales=self.scales[name]) for name in ("local", "equivariant-local")
        )
        composite = PatchComposite(self.corpus, scales=self.scales["equivariant-local"])
        mask = DataMaskLocal(self.wiener, tau=tau)
        return smalti.Ideal(self.corpus), Nearest(self.corpus), *machines, composite, mask


def error(denoiser: Denoiser, states: NDArray[np.int16], level: smalti.Level, clean: Floats) -> float:
    """Mean squared error of a denoiser on noisy pictures."""
    return float(np.square(denoiser(states, level).mean - clean).mean())


def measure(source: Source, whole: Makers, rest: Makers, queries: Pictures, everything: Wiener, t: float) -> Found:
    """All denoisers at one level."""
    level = smalti.schedule("cosine").level(t)
    step = round(1000 * t)
    states, clean = noisy_items(queries, level, step=step, seed=0), values_of(queries)
    few = states[:FEW], level, clean[:FEW]
    by_side = {side: error(LocalLinear(rest.corpus, scales=side), *few) for side in SIDES[t >= 0.4]}
    by_tau = {tau: error(DataMaskLocal(rest.wiener, tau=tau), *few) for tau in TAUS}
    side, tau = min(by_side, key=by_side.__getitem__), min(by_tau, key=by_tau.__getitem__)
    shares = best_shares([part(states, level).mean for part in rest.parts(side)], clean, EDGES)

    shape = source.held_out.shape[1:]
    noise = [gaussian_state(shape, seed=n, purpose="held out", step=step) for n in range(len(source.held_out))]
    clean = values_of(source.held_out)
    states = state_of(level.signal * clean + level.noise * np.stack(noise) / STATE_UNITS)
    means = {"noisy picture": states / STATE_UNITS / level.signal}
    for denoiser in (*whole.rest(tau), *whole.parts(side)):
        some = states[:COMPOSITE] if denoiser.name == "patch-composite" else states
        means[denoiser.name] = denoiser(some, level).mean
    means[ALL_WIENER] = everything(states, level).mean
    means["blend"] = blended([means[name] for name in BLENDED], shares, EDGES)
    errors, r = np.full((2, len(means), len(clean)), np.nan)
    for d, mean in enumerate(means.values()):
        errors[d, : len(mean)] = np.square(mean - clean[: len(mean)]).mean(axis=(1, 2, 3))
        r[d, : len(mean)] = [pearson(a, b) for a, b in zip(mean, clean, strict=False)]
    sizes = ", ".join(f"{name} {scales.at(level)}" for name, scales in whole.scales.items())
    return Found(tuple(means), errors, r, f"{sizes}, local-linear {side}, tau {tau:g}")


def kept(source: Source, t: float, compute: Callable[[], Found]) -> Found:
    """What was found at a level, now or earlier."""
    place = KEPT / f"{source.name}-{source.corpus.digest[:12]}-{len(source.held_out)}-{t:g}.npz"
    if not place.exists():
        start = time.monotonic()
        found = compute()
        packed = io.BytesIO()
        np.savez(packed, names=found.names, errors=found.errors, r=found.r, chosen=found.chosen)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, packed.getvalue())
        print(f"{source.name}, t = {t:g}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    with np.load(place) as stored:
        names = tuple(str(name) for name in stored["names"])
        return Found(names, stored["errors"], stored["r"], str(stored["chosen"]))


def study(source: Source, times: Sequence[float]) -> dict[float, Found]:
    """One data set at all levels."""
    made: list[tuple[Makers, Makers, Pictures, Wiener]] = []

    def makers() -> tuple[Makers, Makers, Pictures, Wiener]:
        if not made:
            scales = {
                name: cached_calibration(source.corpus, machine=name, levels=10, queries=QUERIES)[0].scales
                for name in ("local", "equivariant-local", "border-aware")
            }
            rest, queries = left_out(source.corpus, QUERIES, seed=0)
            made.append((Makers(source.corpus, scales), Makers(rest, scales), queries, Wiener(source.others)))
        return made[0]

    found = {t: kept(source, t, lambda t=t: measure(source, *makers(), t)) for t in times}
    return dict(sorted(found.items()))


def tables(source: Source, found: dict[float, Found]) -> None:
    """Prints what was found, in Markdown."""
    names = next(iter(found.values())).names
    print(f"\n## {source.name}: {len(source.corpus):,} items, {len(source.held_out)} held out\n")
    print("Mean squared error, divided by that of the Wiener denoiser on the same items:\n")
    print(f"| denoiser | {' | '.join(f't = {t:g}' for t in found)} |")
    print("|---|" + "---|" * len(found))
    for name in names:
        cells = ("{:.3f} [{:.3f}, {:.3f}]".format(*at.ratio(name)) for at in found.values())
        print(f"| {name} | {' | '.join(cells)} |")
    cells = ("{:.3f} [{:.3f}, {:.3f}]".format(*at.ratio("blend", ALL_WIENER)) for at in found.values())
    print(f"| blend, over {ALL_WIENER} ({len(source.others):,} items) | {' | '.join(cells)} |")
    cells = ("{:.3f} [{:.3f}, {:.3f}]".format(*at.ratio("local-linear", "patch-composite")) for at in found.values())
    print(f"| local-linear, over patch-composite on its {COMPOSITE} pictures | {' | '.join(cells)} |")
    cells = (f"{at.errors[at.names.index('wiener')].mean():.5f}" for at in found.values())
    print(f"| *error of wiener* | {' | '.join(cells)} |")
    print("\nPearson's r with the clean picture, and r², medians over the pictures:\n")
    print(f"| denoiser | {' | '.join(f't = {t:g}' for t in found)} |")
    print("|---|" + "---|" * len(found))
    for name in names:
        cells = []
        for at in found.values():
            row = at.r[at.names.index(name)]
            row = row[np.isfinite(row)]
            cells.append(f"{np.median(row):.3f}, {np.median(row**2):.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
    print("\nChosen on items of the corpus:\n")
    for t, at in found.items():
        print(f"- t = {t:g}: {at.chosen}")


def plot(results: dict[str, dict[float, Found]], place: Path) -> None:
    """Draws the ratios."""
    figure = Figure(figsize=(6 * len(results), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(1, len(results), squeeze=False)[0]
    for cell, (name, found) in zip(cells, results.items(), strict=True):
        names = [n for n in next(iter(found.values())).names if n not in ("noisy picture", "nearest", "ideal")]
        for number, denoiser in enumerate(names):
            middle, low, high = np.array([at.ratio(denoiser) for at in found.values()]).T
            thick = denoiser == "blend"
            colour = "black" if thick else f"C{number % 10}"
            cell.plot(
                list(found), middle, "o-", color=colour, linewidth=2.2 if thick else 1, markersize=3, label=denoiser
            )
            cell.fill_between(list(found), low, high, color=colour, alpha=0.12, linewidth=0)
        cell.axhline(1.0, color="grey", linestyle=":")
        cell.set(title=name, xlabel="time (noise grows to the right)", ylabel="squared error / Wiener's", yscale="log")
        cell.set(ylim=(0.4, 8))
        cell.set_yticks([0.5, 0.7, 1, 2, 4, 8], labels=["0.5", "0.7", "1", "2", "4", "8"])
        cell.minorticks_off()
    cells[0].legend(fontsize="x-small")
    figure.suptitle("denoising pictures that nobody has seen", fontsize="medium")
    figure.savefig(place, dpi=120, metadata={"Software": None})


def main() -> None:
    """Prints the tables and draws the plot."""
    parser = argparse.ArgumentParser(description="Held-out denoising error of all denoisers.")
    parser.add_argument("folder", nargs="?", default="../shared/data", type=Path)
    parser.add_argument("picture", nargs="?", default="docs/images/denoising.png", type=Path)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--held-out", type=int, default=24)
    parser.add_argument("--times", default=",".join(f"{t:g}" for t in TIMES))
    parser.add_argument("--data", default=",".join(DATA))
    asked = parser.parse_args()
    times = [float(t) for t in asked.times.split(",")]
    results: dict[str, dict[float, Found]] = {}
    for name in asked.data.split(","):
        source = read(asked.folder, name, asked.items, asked.held_out)
        results[name] = study(source, times)
        tables(source, results[name])
    plot(results, asked.picture)


if __name__ == "__main__":
    main()
