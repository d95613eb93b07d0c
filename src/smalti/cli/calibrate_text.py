"""Settings for texts, found by leaving texts out: what `smalti calibrate` does with texts, and how it writes files."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Protocol

from smalti.calibration.text import TextCalibration, cached_text_calibration
from smalti.cli.holders import remember_use
from smalti.cli.terminal import columns, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.corpus.sources import open_text
from smalti.sampling.files import said_plainly, write_file


class _Found(Protocol):
    def plot(self, path: Path) -> None: ...

    def to_json(self) -> str: ...


def write_calibration(found: _Found, out: Path, plot: Path) -> None:
    """The file of a calibration, and its plot."""
    with said_plainly(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        found.plot(Path(folder) / "plot.png")
        write_file(plot, (Path(folder) / "plot.png").read_bytes())
    write_file(out, (found.to_json() + "\n").encode())


def calibrate_texts(
    source: str,
    out: Path,
    plot: Path,
    *,
    tokens: str | None,
    noise: str,
    aim: str,
    samples: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Searches, writes both files and tells what was found.

    Raises:
        InputError, UsageError: what was asked for cannot be done.
    """
    started = time.monotonic()
    corpus = open_text(source)
    tell_notes(corpus.notes)
    found, kept = cached_text_calibration(
        corpus,
        tokens=tokens or "characters",
        noise=noise,
        aim=aim,
        samples=samples,
        seed=seed,
        progress=progress(),
    )
    if kept:
        tell_notes([f"these texts were calibrated with these settings before: read from '{shown(kept)}'"])
    tell_notes(remember_use("calibration", out, source=source, digest=corpus.digest))
    write_calibration(found, out, plot)
    seconds = time.monotonic() - started
    if as_json:
        paths = {"file": shown(out.absolute()), "plot": shown(plot.absolute())}
        say_json(json.loads(found.to_json()) | paths | {"seconds": round(seconds, 3)})
        return
    _show(found)
    say(
        f"{found.samples:,} tokens guessed in each order, {found.left_out} left out in turn, {found.settings['noise']} "
        f"noise, {took(seconds)}"
    )
    (bits, left), (error, left_error) = found.bits, found.errors
    say(f"bits per character: any order {bits:.3f} +- {error:.3f}, left to right {left:.3f} +- {left_error:.3f}")
    say(columns([(shown(out), "for generate --settings"), (shown(plot), "the search as a plot")]))


def _show(found: TextCalibration) -> None:
    """The search: drawn on a terminal, aligned text otherwise."""
    head, rows = found.table()
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*head)
        for row in rows:
            table.add_row(*(f"[bold]{cell}[/bold]" if row[-1] else cell for cell in row))
        Console(file=sys.stdout).print(table)
        return
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
