"""How well does the closed form predict networks that were trained here, picture by picture?

    .venv/bin/python bench/studies/prediction.py [FOLDER [PLACE]] [--data digits,mnist] [--seeds N] [--items N]

Trains the paper's networks, smaller and shorter, on the built-in digits (8 x 8) and on 2,000 MNIST digits, every
thirtieth (FOLDER/mnist_train.npz, ../shared/data by default; enlarged from 28 x 28 to 32 x 32). Then predicts what they
draw from the same noise: machines with patch sizes fitted to the network and with sizes from leaving items out, the
ideal machine, and siblings. Prints the tables of docs/studies/prediction.md with 95 % bootstrap intervals over seeds,
and draws its plots into PLACE, docs/studies by default.

Needs PyTorch. Networks and finished batches are kept in out/studies/prediction, so that a stopped study goes on where
it was. Some hours on four cores, most of them training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smalti.corpus import ImageCorpus
from smalti.networks import (
    Net,
    Network,
    NetworkConfig,
    Padding,
    Plan,
    Prediction,
    load_network,
    named_predictors,
    predict,
    train,
)
from smalti.networks.kept import safe_name
from smalti.networks.predicted import Case, draw
from smalti.networks.predicted.figure import Style, new_figure, png, styles
from smalti.progress import Plain
from smalti.resample import Interval
from smalti.sampling.files import write_file

KEPT = Path("out/studies/prediction")
TOLD = Plain(sys.stderr, interval=60.0)
FINEST = 150
STAGES = {"digits": (300, 1000, 3000, 12000), "mnist": (300, 1000, 3000, 6000)}
BASELINE = "ideal"
SIBLINGS = ("nearest", "data-mask-local")
# Median r of the equivariant local machine that fits the padding, and of the ideal one; none for attention on MNIST.
PUBLISHED = {
    ("mnist", "resnet", "zeros"): (0.94, 0.61),
    ("mnist", "unet", "zeros"): (0.89, 0.70),
    ("mnist", "resnet", "circular"): (0.77, 0.15),
}
DRAWN = ("scatter.png", "pairs.png", "time.png", "scales.png")


@dataclass(frozen=True)
class Subject:
    """A network of the study.

    Attributes:
        data: name of its pictures.
        net: its kind.
        padding: what is outside of a picture.
        channels: its width.
        layers: its depth, see `NetworkConfig`.
        batch: pictures in a step of its training.
        stages: numbers of steps after which it is looked at.
    """

    data: str
    net: Net
    padding: Padding
    channels: int
    layers: int
    batch: int
    stages: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its name in files and tables."""
        return f"{self.data}-{self.net.removeprefix('unet-')}-{self.padding}"

    @property
    def machine(self) -> str:
        """The machine that the theory has for it."""
        return "border-aware" if self.padding == "zeros" else "equivariant-local"

    def file(self, steps: int) -> Path:
        """Where it is kept after so many steps."""
        return KEPT / "networks" / f"{self.name}-{steps}.safetensors"

    def trained(self, corpus: ImageCorpus, steps: int) -> Network:
        """The network after so many steps, read or trained from the stage before."""
        path = self.file(steps)
        if not path.exists():
            earlier = [stage for stage in self.stages if stage < steps]
            working = path.with_name(f"{self.name}.safetensors")
            if earlier and not working.exists():
                self.trained(corpus, earlier[-1])
                write_file(working, self.file(earlier[-1]).read_bytes())
            path.parent.mkdir(parents=True, exist_ok=True)
            config = NetworkConfig.of_paper(
                self.net,
                padding=self.padding,
                image_channels=corpus.channels,
                channels=self.channels,
                layers=self.layers,
            )
            plan = Plan(steps=steps, batch=self.batch, rate=1e-3, decay=0.9998)
            train(corpus, config, plan, path=working, resume=True, progress=TOLD)
            write_file(path, working.read_bytes())
        return load_network(path)


def _subjects() -> tuple[Subject, ...]:
    found = list[Subject]()
    for data, size, batch in (("digits", (64, 3, 32), 128), ("mnist", (32, 6, 16), 32)):
        wide, deep, narrow = size
        for padding in ("zeros", "circular"):
            stages = STAGES[data] if padding == "zeros" else STAGES[data][-1:]
            found.append(Subject(data, "resnet", padding, wide, deep, batch, stages))
            found.append(Subject(data, "unet", padding, narrow, 3, batch, STAGES[data][-1:]))
        found.append(Subject(data, "unet-attention", "zeros", narrow, 3, batch, STAGES[data][-1:]))
    return tuple(found)


SUBJECTS = _subjects()


@dataclass(frozen=True, eq=False)
class Found:
    """A network and its prediction."""

    subject: Subject
    steps: int
    network: Network
    prediction: Prediction

    @property
    def loss(self) -> float:
        """Mean loss of the last hundredth of the training, of 100 steps at least."""
        return float(self.network.losses[-max(100, self.steps // 100) :].mean(dtype=np.float64))

    @property
    def machines(self) -> tuple[str, str]:
        """The machine of the theory, with fitted sizes and with those from leaving items out."""
        return f"{self.subject.machine}:network", f"{self.subject.machine}:auto"

    @property
    def case(self) -> Case:
        """The prediction with what is in focus."""
        title = f"{self.subject.data} {self.subject.net}, {self.subject.padding}"
        return Case(prediction=self.prediction, name=title, machines=self.machines, baseline=BASELINE)

    def median(self, name: str, measure: Any = "r", steps: int = FINEST) -> Interval:
        """The median of a measure of a predictor's pictures."""
        return self.prediction.agreement(name, steps).median(measure)


def read(folder: Path, data: str, items: int) -> ImageCorpus:
    """The pictures."""
    if data == "digits":
        return ImageCorpus.builtin("digits")
    with np.load(folder / "mnist_train.npz") as stored:
        chosen = slice(None, None, len(stored["labels"]) // items)  # the file is sorted by label
        images, labels = stored["images"][chosen][:items], stored["labels"][chosen][:items]
    KEPT.mkdir(parents=True, exist_ok=True)
    place = KEPT / f"mnist-{items}.npz"
    if not place.exists():
        np.savez(place, images=images, labels=labels)
    return ImageCorpus.from_npz(place, size=(32, 32))


def predicted(subject: Subject, corpus: ImageCorpus, steps: int, seeds: int) -> Found:
    """A network after so many steps of training, and its prediction."""
    network = subject.trained(corpus, steps)
    machine = network.machine(corpus)
    other = {"border-aware": "equivariant-local", "equivariant-local": "border-aware"}[subject.machine]
    names = [f"{subject.machine}:network", f"{subject.machine}:auto", BASELINE]
    along = list[str]()
    if steps == subject.stages[-1]:
        names.append("wiener")
        if subject.net == "resnet" and subject.padding == "zeros":
            along = list(names)
            # With 2,000 pictures of 32 x 32 each of these takes as long as the machine itself.
            names += [f"{other}:auto", "local:auto", *SIBLINGS] if subject.data == "digits" else ["nearest"]
    keep = KEPT / "parts" / f"{subject.name}-{steps}"
    print(f"{subject.name}, {steps} steps", file=sys.stderr)
    # The pieces of this study were made with a climb, which at much noise may miss the most similar size by a little.
    found = named_predictors(machine, corpus, names, search="climb", keep=keep, progress=TOLD)
    _share(keep, KEPT / "parts" / subject.data, [name for name in names if not name.endswith(":network")])
    prediction = predict(
        machine,
        found.denoisers,
        seeds=range(seeds),
        network_steps=(20, FINEST),
        along=along,
        keep=keep,
        progress=TOLD,
    )
    return Found(subject, steps, network, prediction)


def _share(keep: Path, common: Path, names: Sequence[str]) -> None:
    """Lets networks of the same pictures keep the traces of predictors that saw no network in one place."""
    for name in names:
        place, target = keep / "predictors" / safe_name(name), common / safe_name(name)
        target.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(target.absolute(), target_is_directory=True)


def tables(data: str, corpus: ImageCorpus, found: Sequence[Found]) -> None:
    """Prints what was found, in Markdown."""
    finished = [one for one in found if one.steps == one.subject.stages[-1]]
    seeds = len(finished[0].prediction.seeds)
    print(f"\n## {data}: {len(corpus):,} pictures of {corpus.size[1]} x {corpus.size[0]}, {seeds} seeds\n")
    print("| network | weights | loss | fitted r | r² | leave-one-out r | r² | ideal r | r² | published r (ideal) |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for one in finished:
        cells = [_said(one.median(name, measure)) for name in (*one.machines, BASELINE) for measure in _MEASURES]
        known = PUBLISHED.get((data, one.subject.net, one.subject.padding))
        there = f"{known[0]:.2f} ({known[1]:.2f})" if known else ""
        weights = sum(weight.numel() for weight in one.network.module.parameters())
        print(f"| {one.case.name} | {weights:,} | {one.loss:.4f} | {' | '.join(cells)} | {there} |")
    print("\nFitted against leave-one-out sizes, seed by seed (median difference of r), with 150 and 20 steps:\n")
    print("| network | 150 steps | 20 steps | leave-one-out less ideal, 150 steps |\n|---|---|---|---|")
    for one in finished:
        fitted, out = one.machines
        pairs = [(fitted, out, FINEST), (fitted, out, 20), (out, BASELINE, FINEST)]
        cells = [_said(one.prediction.difference(a, b, "r", steps)) for a, b, steps in pairs]
        print(f"| {one.case.name} | {' | '.join(cells)} |")
    print(f"\nAll predictors, median r with the network of {FINEST} steps:\n")
    names = list(dict.fromkeys(name for one in finished for name in one.prediction.predictors))
    print(f"| predictor | {' | '.join(one.case.name for one in finished)} |\n|---|{'---|' * len(finished)}")
    for name in names:
        cells = [_said(one.median(name)) if name in one.prediction.predictors else "" for one in finished]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\nPatch sizes, noisiest first:\n")
    for one in finished:
        for name in one.machines:
            sizes = " ".join(map(str, one.prediction.predictors[name].settings["patch_sizes"]))
            print(f"- {one.case.name}, {name}: {sizes}")
    print("\nHow far training got:\n")
    print("| network | steps | epochs | loss | fitted r | leave-one-out r | ideal r |\n|---|---|---|---|---|---|---|")
    for one in found:
        if len(one.subject.stages) > 1:
            cells = [_said(one.median(name)) for name in (*one.machines, BASELINE)]
            epochs = one.steps * one.subject.batch / len(corpus)
            print(f"| {one.case.name} | {one.steps:,} | {epochs:.0f} | {one.loss:.4f} | {' | '.join(cells)} |")


_MEASURES = ("r", "r_squared")


def _said(found: Interval) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def summary(data: str, found: Sequence[Found]) -> bytes:
    """The plot of all networks: medians with intervals; and r and loss as training goes on."""
    finished = [one for one in found if one.steps == one.subject.stages[-1]]
    figure = new_figure(13, 4.9)
    learning = [one for one in found if len(one.subject.stages) > 1]
    widths = (1.5, 1, 1) if len(learning) > 1 else (1.5, 1)
    cells: Any = figure.subplots(1, len(widths), width_ratios=widths)
    labels = ("fitted to the network", "leave-one-out", "ideal")
    style = styles(labels, baseline="ideal")
    for place, one in enumerate(finished):
        for shift, (label, name) in enumerate(zip(labels, (*one.machines, BASELINE), strict=True)):
            at = one.median(name)
            height = place + 0.22 * (shift - 1)
            cells[0].plot([at.low, at.high], [height, height], color=style[label].colour, linewidth=1.6)
            cells[0].plot([at.value], [height], marker=style[label].marker, color=style[label].colour, markersize=5)
        known = PUBLISHED.get((data, one.subject.net, one.subject.padding))
        for value, label in zip(known or (), ("fitted to the network", "ideal"), strict=False):
            cells[0].plot([value], [place + 0.36], marker="|", color=style[label].colour, markersize=11, linewidth=0)
    for label in labels:
        cells[0].plot([], [], marker=style[label].marker, color=style[label].colour, label=label)
    if data == "mnist":
        cells[0].plot([], [], marker="|", color="0.4", linewidth=0, markersize=11, label="published, their networks")
    cells[0].set_yticks(range(len(finished)), [f"{one.subject.net}\n{one.subject.padding}" for one in finished])
    cells[0].set(xlabel=f"median r with the network's pictures, {FINEST} steps", ylim=(len(finished) - 0.4, -0.6))
    handles, names = cells[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=4, fontsize="small", frameon=False)
    if len(learning) > 1:
        _as_it_learns(cells[1], learning, labels, style)
    for number, one in enumerate(finished):
        losses = one.network.losses.astype(np.float64)
        ends = np.unique(np.geomspace(20, len(losses), 60).round().astype(int))
        means = [losses[a:b].mean() for a, b in zip((0, *ends), ends, strict=False)]
        colour = list(styles([str(n) for n in range(len(finished))], baseline="").values())[1 + number].colour
        cells[-1].plot(ends, means, color=colour, label=f"{one.subject.net}, {one.subject.padding}")
    cells[-1].set(xscale="log", yscale="log", xlabel="steps of training", title="loss: squared error of the noise")
    cells[-1].legend(fontsize="small")
    for cell in cells:
        cell.set_axisbelow(True)
        cell.grid(color="0.92")
        cell.title.set_fontsize("medium")
    figure.suptitle(f"{data}: networks trained here, and what predicts their pictures", fontsize="medium")
    return png(figure)


def _as_it_learns(cell: Any, found: Sequence[Found], labels: Sequence[str], style: Mapping[str, Style]) -> None:
    """Draws r against the steps of training."""
    steps = [one.steps for one in found]
    for label, place in zip(labels, (0, 1, None), strict=True):
        points = [one.median(BASELINE if place is None else one.machines[place]) for one in found]
        values = np.array([[at.value, at.low, at.high] for at in points])
        cell.plot(steps, values[:, 0], color=style[label].colour, marker=style[label].marker, label=label)
        cell.fill_between(steps, values[:, 1], values[:, 2], color=style[label].colour, alpha=0.13, linewidth=0)
    cell.set(xscale="log", xlabel="steps of training", ylabel="median r", title="resnet, zeros: as training goes on")


def stages(data: Sequence[str]) -> Iterator[tuple[Subject, int]]:
    """What is predicted, in order: finished networks first."""
    wanted = [subject for subject in SUBJECTS if subject.data in data]
    yield from ((subject, subject.stages[-1]) for subject in wanted)
    yield from ((subject, steps) for subject in wanted for steps in subject.stages[:-1])


def main() -> None:
    """Trains what is missing, predicts, prints the tables and draws the plots."""
    parser = argparse.ArgumentParser(description="How well the closed form predicts networks trained here.")
    parser.add_argument("folder", nargs="?", default="../shared/data", type=Path)
    parser.add_argument("place", nargs="?", default="docs/studies", type=Path)
    parser.add_argument("--data", default="digits,mnist")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--items", type=int, default=2000, help="MNIST digits; a network of other ones is trained anew")
    asked = parser.parse_args()
    data = asked.data.split(",")
    corpora = {name: read(asked.folder, name, asked.items) for name in data}
    found: Mapping[str, list[Found]] = {name: [] for name in data}
    for subject, steps in stages(data):
        found[subject.data].append(predicted(subject, corpora[subject.data], steps, asked.seeds))
    for name, all_of_it in found.items():
        ordered = sorted(all_of_it, key=lambda one: (SUBJECTS.index(one.subject), one.steps))
        tables(name, corpora[name], ordered)
        write_file(asked.place / f"prediction-{name}.png", summary(name, ordered))
        main_case = next(
            one for one in ordered if one.subject.net == "resnet" and one.steps == one.subject.stages[-1]
        ).case
        for picture, content in draw(main_case).items():
            if picture in DRAWN:
                write_file(asked.place / f"prediction-{name}-{picture}", content)


if __name__ == "__main__":
    main()
