"""Networks and closed forms measured: how local, how equivariant, how near to a gradient, of how many dimensions.

    .venv/bin/python bench/studies/measures.py [--network FILE]... [--source SOURCE] [--size N] [--beside NAMES]
        [--seeds N] [--picture FILE] [--maps FILE]

FILE is a network of `smalti train` on these pictures; its name is its label. Without any, three small ones are trained
on the built-in digits, and kept in out/studies/measures (some ten minutes of one core). Needs PyTorch. Each network is
measured at states of its own trajectory, every second of 20 steps; what NAMES say (as in `smalti predict`), at those of
the first. Prints the tables of docs/concepts/measures.md, and draws its plots.

Three networks and two closed forms on the digits take some minutes of one core; with larger pictures or more items it
is the machines that take long, and `--beside wiener` leaves them out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import smalti
from smalti.corpus import open_images
from smalti.networks import NetworkConfig, Plan, load_network, train
from smalti.networks.measures import Measured, measure, on_trajectory, plot_maps, plot_readings, score_spectrum
from smalti.networks.measures.reading import Reading
from smalti.networks.named import named_predictors

KEPT = Path("out/studies/measures")
SHOWN = (0.05, 0.25, 0.45, 0.65, 0.85)
TRAINED = {
    "resnet-zeros": ("resnet", "zeros"),
    "resnet-circular": ("resnet", "circular"),
    "unet-zeros": ("unet", "zeros"),
}


def trained(corpus: smalti.ImageCorpus) -> list[Path]:
    """Three small networks, now or earlier."""
    KEPT.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (net, padding) in TRAINED.items():
        path = KEPT / f"{name}.safetensors"
        if not path.exists():
            print(f"training {name}", file=sys.stderr, flush=True)
            config = NetworkConfig.of_paper(net, padding=padding, image_channels=corpus.channels, channels=32, layers=3)  # pyright: ignore[reportArgumentType]
            train(corpus, config, Plan(steps=1500, rate=1e-3), path=path)
        paths.append(path)
    return paths


def measured(corpus: smalti.ImageCorpus, networks: list[Path], beside: list[str], seeds: int) -> list[Measured]:
    """Everything that is measured, networks first."""
    found: list[Measured] = []
    first = None
    for path in networks:
        network = load_network(path)
        machine = network.machine(corpus)
        states = on_trajectory(machine, range(seeds), every=2)
        first = first or (machine, states)
        edges = "circular" if network.config.padding == "circular" else "end"
        found.append(measure(machine, states, name=path.stem, edges=edges))
        print(f"{path.stem} measured", file=sys.stderr, flush=True)
        spectrum = score_spectrum(machine, corpus.images[:: len(corpus) // 8][:8], states.levels[-1])
        print(
            f"- {path.stem}, scores around 8 items at t = {states.levels[-1].time:g}: dimensions "
            f"{sorted(spectrum.dimensions.tolist())}, greatest drops {min(spectrum.drops):.2f} to "
            f"{max(spectrum.drops):.2f}"
        )
    assert first is not None
    machine, states = first
    if beside:
        for name, denoiser in named_predictors(machine, corpus, beside).denoisers.items():
            found.append(measure(denoiser, states, name=name))
            print(f"{name} measured", file=sys.stderr, flush=True)
    return found


def table(found: list[Measured]) -> None:
    """Prints medians, in Markdown."""
    levels = found[0].locality.levels
    places = [min(range(len(levels)), key=lambda i: abs(levels[i].time - t)) for t in SHOWN]
    print(f"\n| | {' | '.join(f't = {levels[i].time:g}' for i in places)} |")
    print("|---|" + "---|" * len(places))
    readings = [each.readings() for each in found]
    for kind in readings[0]:
        print(f"| **{readings[0][kind].title}** |" + " |" * len(places))
        for each, named in zip(found, readings, strict=True):
            print(f"| {each.denoiser} | {' | '.join(cell(named[kind], i) for i in places)} |")
    for each in found:
        if each.patch_sizes is not None:
            print(f"| *patch of {each.denoiser}* | {' | '.join(str(each.patch_sizes[i]) for i in places)} |")


def cell(reading: Reading, place: int) -> str:
    """A median with its interval."""
    median = reading.medians()[place]
    if median.value != median.value:
        return "-"
    if reading.title.endswith("pixels"):
        return f"{median.value:g} [{median.low:g}, {median.high:g}]"
    digits = 1 if reading.title.startswith("dimension") else 3
    return f"{median.value:.{digits}f} [{median.low:.{digits}f}, {median.high:.{digits}f}]"


def plot(found: list[Measured], place: Path) -> None:
    """Draws all over time."""
    named = [each.readings() for each in found]
    panels = {
        "90 % window, pixels": "window_90",
        "shift error, whole picture": "shift_error",
        "shift error, interior": "shift_error_interior",
        "asymmetry of the mean": "asymmetry_of_mean",
        "asymmetry of the score": "asymmetry_of_score",
        named[0]["dimension"].title: "dimension",
    }
    plot_readings({label: [each[kind] for each in named] for label, kind in panels.items()}, place)


def main() -> None:
    """Prints the tables and draws the plots."""
    parser = argparse.ArgumentParser(description="Networks and closed forms measured.")
    parser.add_argument("--network", action="append", type=Path, default=[])
    parser.add_argument("--source", default="digits")
    parser.add_argument("--size", type=int)
    parser.add_argument("--beside", default="border-aware:network,ideal")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--picture", type=Path, default=Path("docs/images/measures.png"))
    parser.add_argument("--maps", type=Path, default=Path("docs/images/measures-maps.png"))
    asked = parser.parse_args()
    corpus = open_images(asked.source, size=None if asked.size is None else (asked.size, asked.size))
    beside = [name for name in asked.beside.split(",") if name]
    found = measured(corpus, asked.network or trained(corpus), beside, asked.seeds)
    table(found)
    plot(found, asked.picture)
    plot_maps(found, asked.maps)


if __name__ == "__main__":
    main()
