"""`smalti calibrate`: patch sizes over the noise, found by leaving pictures out; settings for texts in the same way."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from smalti.calibration import Calibration, cached_calibration
from smalti.calibration.text import AIMS
from smalti.cli import options as opt
from smalti.cli.calibrate_text import calibrate_texts, write_calibration
from smalti.cli.generate_options import TEXT_MACHINE, TextOption, TokensOption
from smalti.cli.holders import remember_use
from smalti.cli.kinds import check_options
from smalti.cli.scales import basis
from smalti.cli.sources import named, open_source
from smalti.cli.terminal import columns, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.corpus.sources import kind_of
from smalti.errors import InputError, UsageError

SEARCH = "Search"


_OF_PICTURES = ("size", "label", "machine", "schedule", "sizes", "levels", "queries", "items")
_OF_TEXTS = ("text", "tokens", "noise", "aim", "samples", "seed")


def calibrate(
    context: typer.Context,
    source: opt.SourceArgument,
    out: Annotated[
        Path,
        opt.option(
            "-o",
            "--out",
            metavar="FILE.json",
            help="File for the patch sizes, or the settings; the plot goes beside it, as FILE.png.",
        ),
    ],
    size: opt.SizeOption = None,
    label: opt.LabelOption = None,
    machine: opt.MachineOption = "border-aware",
    schedule: opt.ScheduleOption = "cosine",
    sizes: Annotated[
        str | None,
        opt.option(
            "--sizes",
            metavar="LIST",
            help="Patch sizes to compare, odd, in pixels, such as 3,5,9. Default: all that fit, 65 at most.",
            panel=SEARCH,
        ),
    ] = None,
    levels: Annotated[
        int | None,
        opt.option(
            "--levels",
            metavar="N",
            min=1,
            max=10_000,
            help="Noise levels. Default: 20, or 10 where 20 take long.",
            panel=SEARCH,
        ),
    ] = None,
    queries: Annotated[
        int | None,
        opt.option(
            "--queries",
            metavar="N",
            min=1,
            help="Pictures left out in turn. Default: 32, or 16 where pictures are large.",
            panel=SEARCH,
        ),
    ] = None,
    items: Annotated[
        int | None,
        opt.option(
            "--items",
            metavar="N",
            min=1,
            help="Pictures that serve as sources. Default: as many as take about a quarter of a minute on four cores.",
            panel=SEARCH,
        ),
    ] = None,
    text: TextOption = False,
    tokens: TokensOption = None,
    noise: Annotated[
        str,
        typer.Option("--noise", metavar="NAME", help="hybrid or mask.", rich_help_panel=TEXT_MACHINE),
    ] = "hybrid",
    aim: Annotated[
        str,
        typer.Option(
            "--aim",
            metavar="NAME",
            help=f"Order in which texts have to be explained well: {', '.join(AIMS)}.",
            rich_help_panel=TEXT_MACHINE,
        ),
    ] = "both",
    samples: Annotated[
        int | None,
        opt.option(
            "--samples",
            metavar="N",
            help="Tokens guessed in each order. Default: 1000, or fewer where that takes long.",
            panel=TEXT_MACHINE,
        ),
    ] = None,
    seed: Annotated[int, opt.token_seed_option(TEXT_MACHINE)] = 0,
    threads: opt.ThreadsOption = None,
    force: Annotated[
        bool,
        opt.option(
            "--force",
            help="Replace the file and its plot if they exist.",
            panel=opt.RUNNING,
        ),
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Find patch sizes, or the settings for texts, by leaving pictures, or texts, out in turn."""
    kind = kind_of(named(source), text=text)
    check_options(context, _OF_TEXTS if kind == "pictures" else _OF_PICTURES, kind, source)
    plot = _checked_places(out, replace=force)
    if kind == "texts":
        with opt.threads_in_use(threads):
            calibrate_texts(
                source, out, plot, tokens=tokens, noise=noise, aim=aim, samples=samples, seed=seed, as_json=as_json
            )
        return
    at_size = opt.read_size(size, option="--size")
    candidates = _read_sizes(sizes)
    opt.read_machine(machine)
    label = opt.read_label(label)
    if not opt.has_patches(machine):
        raise UsageError(f"the {machine} machine compares whole pictures and has no patch sizes: choose another")
    started = time.monotonic()
    with opt.threads_in_use(threads):
        opened = open_source(source, size=at_size)
        tell_notes(opened.notes)
        found, kept = cached_calibration(
            opened.corpus,
            machine=machine,
            schedule=schedule,
            label=label,
            sizes=candidates,
            levels=levels,
            queries=queries,
            items=items,
            progress=progress(),
        )
    if kept:
        tell_notes([f"these pictures were calibrated with these settings before: read from '{shown(kept)}'"])
    tell_notes(remember_use("calibration", out, source=source, digest=opened.corpus.digest))
    write_calibration(found, out, plot)
    if as_json:
        paths = {"calibration": shown(out.absolute()), "plot": shown(plot.absolute())}
        say_json(json.loads(found.to_json()) | paths | {"seconds": round(time.monotonic() - started, 3)})
        return
    _show(found)
    say(f"{basis(found)}, {found.machine} machine, {took(time.monotonic() - started)}")
    say("errors are mean squares, pixels in [-1, 1]; * marks the smallest at each time")
    say(columns([(shown(out), "for generate --scales"), (shown(plot), "the errors as a plot")]))


def _checked_places(out: Path, *, replace: bool) -> Path:
    """The place of the plot, after a check that both may be written."""
    if out.suffix.lower() != ".json":
        raise UsageError(f"-o '{shown(out)}' must end in .json: that is how generate knows such a file")
    plot = out.with_suffix(".png")
    for place in (out, plot):
        if place.exists() and not replace:
            raise InputError(f"'{shown(place)}' is there already: choose another name, or add --force to replace it")
        if place.is_dir():
            raise InputError(f"'{shown(place)}' is a folder: choose another name")
    return plot


def _read_sizes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdecimal() and len(part) < 9 for part in parts):
        raise UsageError(f"--sizes {text!r} has no meaning: give odd numbers of pixels, such as 3,5,9")
    return tuple(int(part) for part in parts)


def _show(found: Calibration) -> None:
    """The table of errors, the chosen ones marked with a star: drawn on a terminal, aligned text otherwise."""
    head, rows = found.table()
    marked = [
        [f"{cell} *" if head[column] == row[1] and column > 1 else f"{cell}  " for column, cell in enumerate(row)]
        for row in rows
    ]
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*head)
        for column in table.columns:
            column.justify = "right"
        for row in marked:
            table.add_row(*(f"[bold]{cell}[/bold]" if cell.endswith("*") else cell for cell in row))
        Console(file=sys.stdout).print(table)
        return
    lines = [[f"{name}  " for name in head], *marked]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        say("".join(cell.rjust(width + 1) for cell, width in zip(line, widths, strict=True)).rstrip())
