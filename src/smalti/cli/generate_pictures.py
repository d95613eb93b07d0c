"""New pictures from a source of pictures, as a run folder: what `smalti generate` does with pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smalti.cli import options as opt
from smalti.cli.holders import remember_use
from smalti.cli.scales import find_scales, read_scales
from smalti.cli.sources import check_outside, named, open_source
from smalti.cli.terminal import columns, counted, say, tell_notes, took
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


def tell_made(folder: Path, made: Made, *, seconds: float) -> None:
    """Says what was made, for people."""
    request, machine = made.record.request, made.machine
    say(
        f"{counted(len(request.seeds), 'picture')} of {shown_size(request.size)} pixels "
        f"({MODES[machine.corpus.mode]}) from {counted(len(machine.items), 'picture')}, {machine.name} machine, "
        f"{took(seconds)}"
    )
    say(columns(run_paths(folder, request.seeds)))


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
