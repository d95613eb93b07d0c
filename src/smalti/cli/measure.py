"""`smalti measure`: how local, how equivariant and how conservative a network is, with closed forms beside it."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.networks import (
    ClockOption,
    DeviceOption,
    NetworkOption,
    OpenedNetwork,
    PaddingOption,
    PredictsOption,
    check_answers,
    network_threads,
    open_network,
)
from smalti.cli.sources import Source, check_new, check_pictures, open_source
from smalti.cli.terminal import columns, counted, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.errors import UsageError
from smalti.noise import SCHEDULES
from smalti.noise import schedule as named_schedule
from smalti.progress import Progress
from smalti.sampling.files import said_plainly, write_file

if TYPE_CHECKING:
    from smalti.networks.measures import Measured, StateSet

STATES = "States"
RESULT, PLOT, MAPS = "measures.json", "measures.png", "maps.png"
_FORMAT = "smalti.measures/1"
_TRAJECTORY, _ITEMS = "trajectory", "items"
# Levels in the table on the screen.
_SHOWN = 5


def measure(
    context: typer.Context,
    source: opt.PicturesArgument,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="Folder for the results.", show_default=False)
    ],
    network: NetworkOption = None,
    padding: PaddingOption = None,
    predicts: PredictsOption = None,
    clock: ClockOption = None,
    device: DeviceOption = "cpu",
    size: opt.SizeOption = None,
    label: opt.LabelOption = None,
    predictors: Annotated[
        str,
        typer.Option(
            "--predictors",
            metavar="LIST",
            help="What is measured beside it: machines and other denoisers, as those of predict, such as "
            "border-aware:network, ideal, wiener.",
            rich_help_panel=opt.MACHINE,
        ),
    ] = "border-aware,ideal",
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="NAME",
            help="Where: at states of the network's own trajectory, or at items of the source under noise.",
            rich_help_panel=STATES,
        ),
    ] = _TRAJECTORY,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="SEEDS", help="One state of each level for each.", rich_help_panel=STATES)
    ] = "0-7",
    steps: Annotated[
        int,
        typer.Option(
            "--steps", metavar="N", min=1, max=10_000, help="Steps from noise to picture.", rich_help_panel=STATES
        ),
    ] = 20,
    every: Annotated[
        int,
        typer.Option(
            "--every",
            metavar="N",
            min=1,
            help="Measure at the last step and each N-th before it.",
            rich_help_panel=STATES,
        ),
    ] = 2,
    schedule: Annotated[
        str | None,
        opt.option(
            "--schedule",
            metavar="NAME",
            help=f"Noise schedule: {', '.join(SCHEDULES)}. Default: that of the network's training, or cosine.",
            panel=STATES,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        opt.threads_option("Threads, of PyTorch too. Default: SMALTI_THREADS, or all processors."),
    ] = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Measure how local, how equivariant, and how near to a gradient a network is, and closed forms beside it.

    Writes all numbers, a plot of them over time, and maps of what an estimate depends on. Small pictures take seconds;
    where pictures are many or large, leave out --predictors that are slow, or choose fewer seeds.
    """
    if network is None:
        raise UsageError("say which network is to be measured: --network MODEL")
    if at not in (_TRAJECTORY, _ITEMS):
        raise UsageError(f"--at {at!r} has no meaning: choose {_TRAJECTORY} or {_ITEMS}")
    check_pictures(source)
    names = tuple(dict.fromkeys(part.strip() for part in predictors.split(",") if part.strip()))
    chosen = opt.read_seeds(seeds)
    check_new(out, source)
    started = time.monotonic()
    with opt.threads_in_use(threads):
        opened = open_source(source, size=opt.read_size(size, option="--size"))
        tell_notes(opened.notes)
        given = open_network(
            network,
            opened.corpus,
            label=opt.read_label(label),
            padding=padding,
            predicts=predicts,
            clock=clock,
            device=device,
        )
        tell_notes(given.notes)
        where = _Where(at, chosen, steps, every, schedule)
        try:
            with network_threads(threads):
                found, settings = _measured(opened, given, names, opt.read_label(label), where, progress())
        except KeyboardInterrupt:
            raise StoppedError(
                "stopped; nothing was written: repeat the command, with fewer --seeds if it is long"
            ) from None
    record = {
        "format": _FORMAT,
        "settings": {"source": opened.place, **settings},
        "network": {"name": given.machine.name, "place": given.place, **given.about},
        "notes": [*opened.notes, *given.notes],
        "command": list(map(shown, context.obj or ())),
        "measured": [each.to_record() for each in found],
    }
    _write(out, record, found)
    seconds = time.monotonic() - started
    if as_json:
        say_json({"folder": shown(out.absolute()), "measures": record, "seconds": round(seconds, 3)})
        return
    beside = f" and {counted(len(names), 'other')}" if names else ""
    say(f"{given.machine.name}{beside}, {counted(len(chosen), 'seed')}, {took(seconds)}")
    for each in found:
        say("")
        for line in _table(each):
            say(line)
    say("")
    paths = {RESULT: "all numbers", PLOT: "over time", MAPS: "what an estimate depends on, by offset"}
    say(columns([(shown(out / name), what) for name, what in paths.items()]))


@dataclass(frozen=True)
class _Where:
    """The states that a person asks for."""

    at: str
    seeds: tuple[int, ...]
    steps: int
    every: int
    schedule: str | None


def _measured(
    opened: Source,
    network: OpenedNetwork,
    names: tuple[str, ...],
    label: str | None,
    where: _Where,
    bar: Progress,
) -> tuple[list[Measured], Mapping[str, Any]]:
    """The network's measures, then those of the others, and the settings for the record."""
    from smalti.networks.measures import measure as measured_in_all_ways
    from smalti.networks.measures import noisy_items, on_trajectory
    from smalti.networks.named import named_predictors
    from smalti.networks.predicted.names import in_words

    corpus = opened.corpus if label is None else opened.corpus.with_label(label)
    levels = where.schedule or network.schedule
    noise = named_schedule(levels) if isinstance(levels, str) else levels
    check_answers(network.machine, noise, where.steps, opened.corpus)
    others: dict[str, Any] = {}
    if names:
        made = named_predictors(
            network.machine, opened.corpus, names, steps=where.steps, schedule=noise, label=label, progress=bar
        )
        others = {in_words(name): denoiser for name, denoiser in made.denoisers.items()}
    for denoiser in others.values():
        check_answers(denoiser, noise, where.steps, opened.corpus)
    states: StateSet
    if where.at == _TRAJECTORY:
        states = on_trajectory(
            network.machine,
            where.seeds,
            steps=where.steps,
            schedule=noise,
            every=where.every,
            size=corpus.size,
            progress=bar,
        )
    else:
        grid = noise.grid(where.steps)
        kept = grid[(len(grid) - 1) % where.every :: where.every]
        states = noisy_items(corpus, kept, where.seeds)
    circular = network.about.get("network", {}).get("padding") == "circular"
    found = [
        measured_in_all_ways(network.machine, states, edges="circular" if circular else "end", progress=bar),
        *(measured_in_all_ways(denoiser, states, name=name, progress=bar) for name, denoiser in others.items()),
    ]
    settings = {
        "corpus_digest": opened.corpus.digest,
        "label": label,
        "states": states.origin,
        "seeds": list(where.seeds),
        "schedule": noise.name,
        "steps": where.steps,
        "every": where.every,
        "times": [level.time for level in states.levels],
    }
    return found, settings


def _write(out: Path, record: Mapping[str, Any], found: Sequence[Measured]) -> None:
    """The record and both plots, each of them whole or not at all."""
    from smalti.networks.measures import plot_maps, plot_measured

    with said_plainly(out):
        out.mkdir(parents=True, exist_ok=True)
    write_file(out / RESULT, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    draw: Callable[[Sequence[Measured], Path], None]
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in ((PLOT, plot_measured), (MAPS, plot_maps)):
            draw(found, Path(folder) / name)
            write_file(out / name, (Path(folder) / name).read_bytes())


def _table(each: Measured) -> list[str]:
    """Medians of one denoiser at some levels, aligned."""
    levels = each.locality.levels
    count = min(_SHOWN, len(levels))
    chosen = sorted({round(k * (len(levels) - 1) / max(1, count - 1)) for k in range(count)}, reverse=True)
    rows = [[each.denoiser, *(f"t = {levels[i].time:g}" for i in chosen)]]
    if each.patch_sizes is not None:
        rows.append(["patch, pixels", *(str(each.patch_sizes[i]) for i in chosen)])
    for reading in each.readings().values():
        medians = reading.medians()
        shown_as = "{:g}" if reading.title.endswith("pixels") else "{:.3f}"
        cells = (medians[i].value for i in chosen)
        rows.append([reading.title, *("-" if math.isnan(value) else shown_as.format(value) for value in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in rows]
