"""`smalti generate`: new pictures from a source, as a run folder."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.holders import remember_use
from smalti.cli.scales import find_scales, read_scales
from smalti.cli.sources import check_outside, named, open_source
from smalti.cli.terminal import columns, counted, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.corpus.pixels import shown_size
from smalti.engine import native
from smalti.errors import InputError
from smalti.machines import Machine
from smalti.noise import schedule as named_schedule
from smalti.progress import Progress, duration
from smalti.sampling import DDIM, Request, RunRecord, write_run
from smalti.sampling.ddim import checked_seeds
from smalti.sampling.image_request import MOST_IN_GRID, picture_name

MODES = {"L": "grey", "RGB": "RGB", "RGBA": "RGBA"}

# About what the kernel does on four cores; it decides only whether a person is told that a run will be long.
_PAIRS_PER_SECOND = 3e9


def generate(
    context: typer.Context,
    source: opt.SourceArgument,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder for the run: new, empty, or with --resume that of an earlier one.",
            rich_help_panel=opt.PICTURES_OUT,
            show_default=False,
        ),
    ],
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds",
            metavar="LIST",
            help="One picture for each seed: 3, 0-15, 0,2,5-7.",
            rich_help_panel=opt.PICTURES_OUT,
        ),
    ] = "0-15",
    output_size: Annotated[
        str | None,
        typer.Option(
            "--output-size",
            metavar="N|WxH",
            help="Size of the new pictures, in pixels, width first. Default: that of the source's.",
            rich_help_panel=opt.PICTURES_OUT,
            show_default=False,
        ),
    ] = None,
    size: opt.SizeOption = None,
    label: opt.LabelOption = None,
    machine: opt.MachineOption = "border-aware",
    scales: Annotated[
        str | None,
        typer.Option(
            "--scales",
            metavar="SCALES",
            help="Patch sizes in pixels: auto (calibrated on the source), paper-cifar10, odd numbers from the lowest "
            "noise up (3,3,5,9), or a .json file from calibrate. Default: auto; ideal and equivariant take none.",
            rich_help_panel=opt.MACHINE,
            show_default=False,
        ),
    ] = None,
    schedule: opt.ScheduleOption = "cosine",
    steps: Annotated[
        int,
        typer.Option(
            "--steps", metavar="N", min=1, max=10_000, help="Steps from noise to picture.", rich_help_panel=opt.MACHINE
        ),
    ] = 20,
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            metavar="N",
            min=1,
            help="Seeds worked on at a time; a stopped run keeps finished batches. Changes no byte.",
            rich_help_panel=opt.RUNNING,
        ),
    ] = 16,
    threads: opt.ThreadsOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Finish the run that OUT holds.", rich_help_panel=opt.RUNNING, show_default=False
        ),
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Make new pictures from your own."""
    order = Order(
        source=source,
        out=out,
        seeds=opt.read_seeds(seeds),
        size=opt.read_size(size, option="--size"),
        output_size=opt.read_size(output_size, option="--output-size"),
        label=opt.read_label(label),
        machine=machine,
        scales=scales,
        schedule=schedule,
        steps=steps,
        batch=batch,
        existing="resume" if resume else "refuse",
        command=tuple(map(shown, context.obj or ())),
    )
    started = time.monotonic()
    with opt.threads_in_use(threads):
        try:
            made = carry_out(order, progress=progress())
        except KeyboardInterrupt:
            if not (out / "run.json").exists():
                raise StoppedError("stopped before the first picture was begun: repeat the command") from None
            raise StoppedError(
                f"stopped; '{shown(out)}' keeps what is finished: repeat the command with --resume to make the rest"
            ) from None
    seconds = time.monotonic() - started
    if as_json:
        say_json({**run_summary(out, made.record), "seconds": round(seconds, 3)})
        return
    request, machine_used = made.record.request, made.machine
    say(
        f"{counted(len(request.seeds), 'picture')} of {shown_size(request.size)} pixels "
        f"({MODES[machine_used.corpus.mode]}) from {counted(len(machine_used.items), 'picture')}, "
        f"{machine_used.name} machine, {took(seconds)}"
    )
    say(columns(run_paths(out, request.seeds)))


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asks of `generate`: an entry means what the option of its name does; sizes are (height, width)."""

    source: str
    out: Path
    seeds: tuple[int, ...]
    size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None
    label: str | None = None
    machine: str = "border-aware"
    scales: str | None = None
    schedule: str = "cosine"
    steps: int = 20
    batch: int = 16
    existing: Literal["refuse", "resume"]
    command: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """A finished run and the machine that made it."""

    record: RunRecord
    machine: Machine


def carry_out(order: Order, *, progress: Progress) -> Made:
    """Opens the source, finds patch sizes, and carries the run out; notes go to standard error.

    Raises:
        InputError, UsageError: what was asked for cannot be done.
    """
    named(order.source)
    kind = opt.read_machine(order.machine)
    wanted = read_scales(order.scales, machine=order.machine, schedule=order.schedule)
    levels = named_schedule(order.schedule)
    if order.existing == "refuse" and (order.out / "run.json").exists():
        raise InputError(
            f"'{shown(order.out)}' holds a run already: choose another folder, or add --resume to finish that run"
        )
    check_outside(order.out, order.source)
    opened = open_source(order.source, size=order.size)
    notes = opened.notes
    if len(opened.corpus) == 1:
        notes = (*notes, "only one picture: every sample is composed from it alone")
    tell_notes(notes)
    # What can be refused is refused before a calibration, which may take long.
    checked_seeds(order.seeds)
    tried = kind(opened.corpus, scales=1 if opt.has_patches(order.machine) else None, label=order.label)
    DDIM(tried, steps=order.steps, schedule=levels).checked_size(order.output_size)
    found = find_scales(
        wanted,
        opened.corpus,
        machine=order.machine,
        schedule=order.schedule,
        label=order.label,
        output_size=order.output_size,
        progress=progress,
    )
    machine = kind(opened.corpus, scales=found.scales, label=order.label)
    request = Request.of(
        DDIM(machine, steps=order.steps, schedule=levels),
        source=opened.place,
        seeds=order.seeds,
        size=order.output_size,
        notes=(*notes, *found.notes),
        command=order.command,
    )
    pairs = pairs_to_compare(machine, request)
    if pairs > 600 * _PAIRS_PER_SECOND:
        long = duration(pairs / _PAIRS_PER_SECOND)
        tell_notes([f"{pairs / 1e9:,.0f} thousand million pairs of places to compare, about {long} on four cores"])
    # Before the run, so that a stopped one is remembered too.
    tell_notes(remember_use("run", order.out, source=order.source, digest=opened.corpus.digest))
    record = write_run(order.out, request, machine, existing=order.existing, batch=order.batch, progress=progress)
    return Made(record, machine)


def pairs_to_compare(machine: Machine, request: Request) -> int:
    """How many (place of a picture to make, place of a picture of the corpus) pairs a run looks at in all its steps."""
    state = np.zeros((1, *request.size, machine.corpus.channels), np.int16)
    sizes = request.patch_sizes or (1,) * request.steps
    each = {
        size: native.pairs_per_item(machine.query(state, level))
        for size, level in dict(zip(sizes, request.levels, strict=True)).items()
    }
    return sum(map(each.__getitem__, sizes)) * len(machine.items) * len(request.seeds)


def run_summary(folder: Path, record: RunRecord) -> dict[str, Any]:
    """A finished run for programs: the content of run.json and every path."""
    absolute = folder.absolute()
    return {
        "folder": shown(absolute),
        "pictures": [shown(absolute / picture_name(seed)) for seed in record.request.seeds],
        "grid": shown(absolute / "grid.png"),
        "trajectory": shown(absolute / "trajectory.png"),
        "trace": shown(absolute / "trace.safetensors"),
        "record": shown(absolute / "run.json"),
        "run": json.loads((folder / "run.json").read_bytes()),
    }


def run_paths(folder: Path, seeds: tuple[int, ...]) -> list[tuple[str, str]]:
    """The paths of a run, each with what it holds."""
    first, last = (shown(folder / picture_name(seed)) for seed in (seeds[0], seeds[-1]))
    sheet = "all on one sheet" if len(seeds) <= MOST_IN_GRID else f"the first {MOST_IN_GRID} on one sheet"
    singles = first if len(seeds) == 1 else f"{first}{',' if len(seeds) == 2 else ' ...'} {last}"
    return [
        (singles, "a picture for each seed"),
        (shown(folder / "grid.png"), sheet),
        (shown(folder / "trajectory.png"), "how the first ones came about"),
        (shown(folder / "trace.safetensors"), "every step, exactly"),
        (shown(folder / "run.json"), "all that decided the result"),
    ]
