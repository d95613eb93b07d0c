"""`smalti ledger`: what a ledger holds, checked, and taken out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli import options as opt
from smalti.cli.terminal import columns, counted, one_line, say, say_json
from smalti.corpus.decode import shown
from smalti.errors import UsageError
from smalti.receipts import Entry, Ledger, default_ledger
from smalti.receipts.ledger import run_id
from smalti.sampling import read_run

ledger = typer.Typer(
    help="What the ledger of smalti credit holds: list it, check it, take runs out.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)


@ledger.callback()
def _top(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


@ledger.command("list")
def show(
    item: Annotated[
        list[str] | None,
        opt.option(
            "--item",
            metavar="ITEM",
            help="Only samples that owe something to this item: its content id, the first 8 or more digits of it, or "
            "its exact name. May be given several times.",
        ),
    ] = None,
    place: opt.LedgerOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """List the runs."""
    book = _opened(place)
    entries = book.runs_of(item) if item else book.everything()
    if as_json:
        say_json(_about(book) | {"runs": [_entry(entry) for entry in entries]})
        return
    if entries:
        say(columns((entry.run[:16], f"{_samples(entry)}  {one_line(', '.join(entry.folders))}") for entry in entries))
    say(f"{counted(len(entries), 'run')} in the ledger '{shown(book.path.absolute())}'")


@ledger.command()
def remove(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folders of runs, there or gone, or the first 8 or more digits of what smalti ledger list calls them.",
            show_default=False,
        ),
    ],
    dry_run: Annotated[bool, opt.dry_run_option()] = False,
    place: opt.LedgerOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Take runs out, with every item that nothing else owes; nothing of them stays in the file."""
    book = _opened(place)
    entries = tuple({entry.run: entry for text in runs for entry in _named(book, text)}.values())
    if not dry_run:
        for entry in entries:
            book.remove(entry.run)
    if as_json:
        say_json(_about(book) | {"done": not dry_run, "runs": [_entry(entry) for entry in entries]})
        return
    for entry in entries:
        folders = ", ".join(f"'{one_line(folder)}'" for folder in entry.folders)
        say(f"{_samples(entry)} of {folders} {'would be taken' if dry_run else 'taken'} out")


@ledger.command()
def verify(place: opt.LedgerOption = None, as_json: opt.JsonOption = False) -> None:
    """Check everything: structure, runs, and that the credits of each sample are those entered; exit code 1 if not."""
    book = _opened(place)
    found = book.verify()
    if as_json:
        say_json(_about(book) | asdict(found))
        return
    say(f"sound: {counted(found.runs, 'run')}, {counted(found.samples, 'sample')}, {counted(found.credits, 'credit')}")


def _opened(place: Path | None) -> Ledger:
    return Ledger.open(default_ledger() if place is None else place)


def _named(book: Ledger, text: str) -> Sequence[Entry]:
    """Runs by name, by the folder they were seen in, or by the folder they are in now."""
    try:
        return book.find_runs(text)
    except UsageError:
        if not (Path(text) / "run.json").exists():
            raise
        return book.find_runs(run_id(read_run(Path(text)).request))


def _about(book: Ledger) -> dict[str, Any]:
    return {"ledger": shown(book.path.absolute())}


def _entry(entry: Entry) -> dict[str, Any]:
    return {"run": entry.run, "folders": list(entry.folders), "samples": len(entry.samples)}


def _samples(entry: Entry) -> str:
    return counted(len(entry.samples), "sample")
