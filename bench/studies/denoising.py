"""Held-out denoising: every machine, the published siblings, ours, and trained networks, against the best linear one.

    .venv/bin/python bench/studies/denoising.py [FOLDER [PICTURE [TABLE]]] [--items N] [--held-out M]
        [--times T,T,...] [--data NAME,NAME] [--network NAME=PATH ...]

FOLDER holds `cifar10_10k.npz`, `mnist_train.npz` and `mnist_test.npz` (`images` uint8 (N, H, W) or (N, H, W, 3), and
`labels`); ../shared/data by default. Noise is added to M pictures that no denoiser has seen, and each denoiser, made
from N others, estimates what they were. Patch sizes, tau and the shares of the blend are chosen on items of the corpus
that are left out. Prints the tables of docs/concepts/denoisers.md, draws the plot, to docs/images/denoising.png unless
told otherwise, and writes all figures with their intervals, to docs/studies/denoising.csv unless told otherwise.

All files are sorted by class. The corpus of MNIST is N pictures at even distances in `mnist_train.npz`, at 32 x 32
(Lanczos), with labels; its held-out pictures come from `mnist_test.npz`, shuffled. `cifar10_10k.npz` is shuffled: the
first N are the corpus, without labels, and the last M are held out.

`--network` adds a network of `smalti train` to the data set it was trained on: to be compared it must have seen the
same corpus, N pictures and no others, which the digest in its file tells. It needs PyTorch; nothing else here does.

What is found at a noise level is kept in out/studies/denoising and not computed again; remove it after a change to a
denoiser. With 2,000 and 24 pictures a level of CIFAR-10 takes three to ten minutes of two cores. Set
OPENBLAS_NUM_THREADS=1 on a machine that does other work.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import smalti
from smalti.calibration import cached_calibration
from smalti.denoisers import DataMaskLocal, LocalLinear, Nearest, PatchComposite, PatchMixture, PatchWiener, Wiener
from smalti.denoisers.blend import EDGES, best_shares, blended, left_out, noisy_items
from smalti.denoisers.local_linear_fit import best_patches
from smalti.errors import SmaltiError
from smalti.networks import load_network
from smalti.networks.checkpoint import read_checkpoint
from smalti.noise import STATE_UNITS, gaussian_state
from smalti.receipts.correlation import pearson
from smalti.resample import Interval, bootstrapped, means, medians
from smalti.sampling import Denoiser
from smalti.sampling.ddim import state_of, values_of
from smalti.sampling.files import write_file

# A file of pictures, and where held-out ones come from another, that.
DATA = {"CIFAR-10": ("cifar10_10k.npz", None), "MNIST": ("mnist_train.npz", "mnist_test.npz")}
SIDE = 32
TIMES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
QUERIES, FEW = 8, 4
TAUS = (0.02, 0.05, 0.1, 0.2, 0.4)
# Patches of local linear fits to choose from, below and from t = .4.
SIDES = {False: (5, 7), True: (7, 9)}
# As many as a local linear fit has unless told otherwise.
NEIGHBOURS = 300
# So many of the held-out pictures go to the patch composite, which costs as much as the rest together.
COMPOSITE = 6
OTHERS = 10_000
KEPT = Path("out/studies/denoising")
BLENDED = ("wiener", "patch-wiener", "local-linear", "patch-mixture", "border-aware")
ALL_WIENER = "wiener, all others"
# Of the printed table of errors, r and r squared; the file has them all.
IN_FULL = (0.1, 0.3, 0.5)
# What is beyond the range of the plot.
NOT_DRAWN = ("noisy picture", "nearest", "ideal")

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]
States = NDArray[np.int16]


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

    @classmethod
    def of(cls, estimates: dict[str, Floats], clean: Floats, chosen: str = "") -> Found:
        """From estimates (M or fewer, H, W, C) of clean pictures (M, H, W, C)."""
        errors, r = np.full((2, len(estimates), len(clean)), np.nan)
        for d, mean in enumerate(estimates.values()):
            errors[d, : len(mean)] = np.square(mean - clean[: len(mean)]).mean(axis=(1, 2, 3))
            r[d, : len(mean)] = [pearson(a, b) for a, b in zip(mean, clean, strict=False)]
        return cls(tuple(estimates), errors, r, chosen)

    def beside(self, other: Found) -> Found:
        """With the denoisers of another on the same pictures."""
        errors, r = np.concatenate([self.errors, other.errors]), np.concatenate([self.r, other.r])
        return Found(self.names + other.names, errors, r, self.chosen)

    def error(self, name: str, over: str | None = None) -> Interval:
        """Mean error, or that over the mean error of another denoiser on the same pictures."""
        mine = self.errors[self.names.index(name)]
        its = np.ones_like(mine) if over is None else self.errors[self.names.index(over)]
        there = np.isfinite(mine) & np.isfinite(its)
        pair = np.stack([mine[there], its[there]], axis=1)

        def quotient(counts: Floats) -> Floats:
            found = means(pair, counts)
            return found[:, 0] / found[:, 1]

        return bootstrapped(quotient, len(pair), purpose="denoising")

    def correlation(self, name: str, power: int) -> Interval:
        """Median of r, or of r squared."""
        row = self.r[self.names.index(name)]
        row = row[np.isfinite(row)] ** power
        return bootstrapped(lambda counts: medians(row, counts), len(row), purpose="denoising")


@dataclass(frozen=True, eq=False)
class Source:
    """A data set: the corpus, held-out pictures, the corpus of all that are not held out, and networks by name."""

    name: str
    corpus: smalti.ImageCorpus
    others: smalti.ImageCorpus
    held_out: Pictures
    networks: dict[str, Path]

    def noisy(self, level: smalti.Level) -> States:
        """The held-out pictures at a level."""
        shape, step = self.held_out.shape[1:], round(1000 * level.time)
        noise = [gaussian_state(shape, seed=n, purpose="held out", step=step) for n in range(len(self.held_out))]
        return state_of(level.signal * values_of(self.held_out) + level.noise * np.stack(noise) / STATE_UNITS)

    def kept(self, t: float, compute: Callable[[], Found], of: str = "") -> Found:
        """What was found at a level, now or earlier; `of` tells what is not of the corpus alone."""
        place = KEPT / f"{self.name}-{self.corpus.digest[:12]}-{len(self.held_out)}-{t:g}{of}.npz"
        if not place.exists():
            start = time.monotonic()
            found = compute()
            packed = io.BytesIO()
            np.savez(packed, names=found.names, errors=found.errors, r=found.r, chosen=found.chosen)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_file(place, packed.getvalue())
            print(f"{self.name}, t = {t:g}{of}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        with np.load(place) as stored:
            names = tuple(str(name) for name in stored["names"])
            return Found(names, stored["errors"], stored["r"], str(stored["chosen"]))


def arrays(path: Path) -> tuple[Pictures, NDArray[np.uint8]]:
    """Pictures and labels of an archive."""
    if not path.exists():
        sys.exit(f"{path} is not there: name the folder that holds it")
    with np.load(path) as archive:
        return archive["images"], archive["labels"]


def read(folder: Path, name: str, items: int, held_out: int) -> Source:
    """A data set, the same each time."""
    train, test = DATA[name]
    images, labels = arrays(folder / train)
    if test is None:
        images, labels = images[np.random.default_rng(0).permutation(len(images))], None
        images, last = images[:-held_out], images[-held_out:]
    else:
        unseen = arrays(folder / test)[0]
        last = unseen[np.random.default_rng(0).permutation(len(unseen))[:held_out]]

    def corpus_of(count: int) -> smalti.ImageCorpus:
        apart = 1 if test is None else max(1, len(images) // count)
        chosen = slice(None, apart * count, apart)
        return smalti.ImageCorpus.from_arrays(
            images[chosen], labels=None if labels is None else labels[chosen], size=SIDE
        )

    corpus, others = corpus_of(items), corpus_of(OTHERS)
    alone = [smalti.ImageCorpus.from_arrays(picture[None], size=SIDE) for picture in last]
    if {one.ids[0] for one in alone} & {*corpus.ids, *others.ids}:
        sys.exit(f"{name}: a picture that would be held out has a copy in the corpus; hold out another number")
    return Source(name, corpus, others, np.concatenate([one.images for one in alone]), {})


def with_networks(sources: Sequence[Source], asked: Sequence[str]) -> list[Source]:
    """The data sets with the networks that were trained on their corpora."""
    out = {source.corpus.digest: source for source in sources}
    for text in asked:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            sys.exit(f"--network takes NAME=PATH, such as resnet=resnet.safetensors, not {text!r}")
        training = read_checkpoint(path).training
        source = out.get(training.corpus_digest)
        if source is None:
            known = ", ".join(f"{s.name} {s.corpus.digest[:12]}" for s in sources)
            sys.exit(
                f"{path} was trained on another corpus, {training.corpus_digest[:12]}, than those compared here "
                f"({known}), and may have seen what is held out: train it on one of these"
            )
        if f"network {name}" in source.networks:
            sys.exit(f"two networks are called {name}: give each a name of its own")
        networks = {**source.networks, f"network {name}": Path(path)}
        out[training.corpus_digest] = replace(source, networks=networks)
    return list(out.values())


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


def error(denoiser: Denoiser, states: States, level: smalti.Level, clean: Floats) -> float:
    """Mean squared error of a denoiser on noisy pictures."""
    return float(np.square(denoiser(states, level).mean - clean).mean())


def measure(source: Source, whole: Makers, rest: Makers, queries: Pictures, everything: Wiener, t: float) -> Found:
    """All denoisers in closed form at one level."""
    level = smalti.schedule("cosine").level(t)
    states, clean = noisy_items(queries, level, step=round(1000 * t), seed=0), values_of(queries)
    few = states[:FEW], level, clean[:FEW]
    side, _ = best_patches(rest.corpus, *few, sizes=SIDES[t >= 0.4], neighbours=(NEIGHBOURS,))
    by_tau = {tau: error(DataMaskLocal(rest.wiener, tau=tau), *few) for tau in TAUS}
    tau = min(by_tau, key=by_tau.__getitem__)
    shares = best_shares([part(states, level).mean for part in rest.parts(side)], clean, EDGES)

    states = source.noisy(level)
    estimates = {"noisy picture": states / STATE_UNITS / level.signal}
    for denoiser in (*whole.rest(tau), *whole.parts(side)):
        some = states[:COMPOSITE] if denoiser.name == "patch-composite" else states
        estimates[denoiser.name] = denoiser(some, level).mean
    estimates[ALL_WIENER] = everything(states, level).mean
    estimates["blend"] = blended([estimates[name] for name in BLENDED], shares, EDGES)
    sizes = ", ".join(f"{name} {scales.at(level)}" for name, scales in whole.scales.items())
    return Found.of(estimates, values_of(source.held_out), f"{sizes}, local-linear {side}, tau {tau:g}")


def ask(source: Source, path: Path, t: float) -> Found:
    """A network at one level, without a name."""
    level = smalti.schedule("cosine").level(t)
    mean = load_network(path).machine()(source.noisy(level), level).mean
    return Found.of({"": mean}, values_of(source.held_out))


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

    out: dict[float, Found] = {}
    for t in times:
        out[t] = source.kept(t, lambda t=t: measure(source, *makers(), t))
        for name, path in source.networks.items():
            key = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            answer = source.kept(t, lambda t=t, path=path: ask(source, path, t), f"-network-{key}")
            out[t] = out[t].beside(replace(answer, names=(name,)))
    return dict(sorted(out.items()))


def tables(source: Source, found: dict[float, Found]) -> None:
    """Prints what was found, in Markdown."""
    print(f"\n## {source.name}: {len(source.corpus):,} items, {len(source.held_out)} held out\n")
    print("Mean squared error, divided by that of the Wiener denoiser on the same items:\n")
    print(f"| denoiser | {' | '.join(f't = {t:g}' for t in found)} |\n|---|{'---|' * len(found)}")

    def row(title: str, cell: Callable[[Found], str]) -> None:
        print(f"| {title} | {' | '.join(cell(at) for at in found.values())} |")

    def shown(ratio: Interval) -> str:
        return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"

    first = next(iter(found.values()))
    there = np.isfinite(first.errors).sum(axis=1)
    names = {
        name: name if n == len(source.held_out) else f"{name} ({n} pictures)"
        for name, n in zip(first.names, there, strict=True)
    }
    for name, title in names.items():
        row(title, lambda at, name=name: "1" if name == "wiener" else shown(at.error(name, "wiener")))
    row(f"blend, over {ALL_WIENER} ({len(source.others):,})", lambda at: shown(at.error("blend", ALL_WIENER)))
    for name in source.networks:
        row(f"{name}, over blend", lambda at, name=name: shown(at.error(name, "blend")))
    row("local-linear, over patch-composite", lambda at: shown(at.error("local-linear", "patch-composite")))
    shown_in_full = {t: at for t, at in found.items() if t in IN_FULL} or found
    print("\nMean squared error, and medians over the pictures of Pearson's r with the clean picture and of r²:\n")
    print(f"| denoiser |{''.join(f' t = {t:g}: MSE | r | r² |' for t in shown_in_full)}")
    print("|---|" + "---|---|---|" * len(shown_in_full))
    for name, title in names.items():
        cells = (
            f"{at.error(name).value:.5f} | {at.correlation(name, 1).value:.3f} | {at.correlation(name, 2).value:.3f}"
            for at in shown_in_full.values()
        )
        print(f"| {title} | {' | '.join(cells)} |")
    print("\nChosen on items of the corpus:\n")
    for t, at in found.items():
        print(f"- t = {t:g}: {at.chosen}")


def figures(results: dict[str, dict[float, Found]]) -> Iterator[dict[str, object]]:
    """Every figure with its interval: a row for each denoiser, level and data set."""
    for data, found in results.items():
        for t, at in found.items():
            for name in at.names:
                pictures = int(np.isfinite(at.errors[at.names.index(name)]).sum())
                row: dict[str, object] = {"data": data, "t": f"{t:g}", "denoiser": name, "pictures": pictures}
                values = {
                    "mse": at.error(name),
                    "mse over wiener": at.error(name, "wiener"),
                    "r": at.correlation(name, 1),
                    "r2": at.correlation(name, 2),
                }
                for column, value in values.items():
                    ends = {"": value.value, " low": value.low, " high": value.high}
                    row |= {column + end: f"{number:.5f}" for end, number in ends.items()}
                yield row


def table_file(results: dict[str, dict[float, Found]]) -> bytes:
    """All figures as comma-separated values."""
    rows = list(figures(results))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def plot(results: dict[str, dict[float, Found]], place: Path) -> None:
    """Draws the ratios."""
    figure = Figure(figsize=(5.2 * len(results) + 2, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(1, len(results), squeeze=False)[0]
    for cell, (data, found) in zip(cells, results.items(), strict=True):
        names = [name for name in next(iter(found.values())).names if name not in NOT_DRAWN]
        for number, name in enumerate(names):
            ratios = [at.error(name, "wiener") for at in found.values()]
            network, thick = name.startswith("network "), name == "blend"
            colour = "black" if thick or network else f"C{number % 10}"
            style = (
                ("--s", ":^", "-.D", "--P", ":x", "-.v")[(number - names.index("blend") - 1) % 6] if network else "-o"
            )
            middle = [ratio.value for ratio in ratios]
            width = 2.2 if thick else 1.2
            cell.plot(
                list(found),
                middle,
                style,
                color=colour,
                linewidth=width,
                markersize=3.5,
                label=name,
                zorder=3 if thick else 2,
            )
            if name in ("blend", "local-linear"):
                low, high = [ratio.low for ratio in ratios], [ratio.high for ratio in ratios]
                cell.fill_between(list(found), low, high, color=colour, alpha=0.13, linewidth=0)
        cell.axhline(1.0, color="grey", linestyle=":", linewidth=1)
        cell.set(title=data, xlabel="time (noise grows to the right)", yscale="log")
        low, high = cell.get_ylim()
        ticks = [tick for tick in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 5) if low <= tick <= high]
        cell.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        cell.minorticks_off()
    cells[0].set_ylabel("squared error / Wiener's")
    entries: dict[str, Artist] = {}
    for cell in cells:
        handles, labels = cell.get_legend_handles_labels()
        entries |= {label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries}
    figure.legend(list(entries.values()), list(entries), loc="outside right center", fontsize="small", frameon=False)
    figure.suptitle("denoising pictures that nobody has seen", fontsize="medium")
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, metadata={"Software": None}, format="png")
    write_file(place, drawn.getvalue())


def main() -> None:
    """Prints the tables, draws the plot and writes the figures."""
    parser = argparse.ArgumentParser(description="Held-out denoising error of all denoisers.")
    parser.add_argument("folder", nargs="?", default="../shared/data", type=Path)
    parser.add_argument("picture", nargs="?", default="docs/images/denoising.png", type=Path)
    parser.add_argument("table", nargs="?", default="docs/studies/denoising.csv", type=Path)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--held-out", type=int, default=24)
    parser.add_argument("--times", default=",".join(f"{t:g}" for t in TIMES))
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--network", action="append", default=[], metavar="NAME=PATH")
    asked = parser.parse_args()
    times = [float(t) for t in asked.times.split(",")]
    try:
        sources = [read(asked.folder, name, asked.items, asked.held_out) for name in asked.data.split(",")]
        results: dict[str, dict[float, Found]] = {}
        for source in with_networks(sources, asked.network):
            results[source.name] = study(source, times)
            tables(source, results[source.name])
    except SmaltiError as refusal:
        sys.exit(str(refusal))
    plot(results, asked.picture)
    asked.table.parent.mkdir(parents=True, exist_ok=True)
    write_file(asked.table, table_file(results))


if __name__ == "__main__":
    main()
