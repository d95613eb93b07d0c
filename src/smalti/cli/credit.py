"""`smalti credit`: what finished pictures owe to whom, over one run or many, kept in a ledger."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from smalti.cli import options as opt
from smalti.cli.explain_files import holds_network_receipts
from smalti.cli.failures import StoppedError
from smalti.cli.holders import remember_use
from smalti.cli.terminal import counted, one_line, percent, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.corpus.metadata import normal
from smalti.errors import InputError, UsageError
from smalti.receipts import UNITS
from smalti.receipts.ledger import ALWAYS, Entry, Ledger, SampleTotals, Total, default_ledger
from smalti.receipts.tables import check_table_name
from smalti.sampling import OpenRun, open_run, read_run
from smalti.sampling.files import check_creatable
from smalti.sampling.run import read_trace

_TOP = 20


def credit(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Folders of finished runs; nothing in them is changed."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="COLUMN", help="item, id, name, label, or a column of the items' metadata, like licence."
        ),
    ] = "item",
    everything: Annotated[bool, opt.option("--all", help="Count everything in the ledger, not only RUN.")] = False,
    per_sample: Annotated[bool, opt.option("--per-sample", help="List what each sample owes, too.")] = False,
    top: Annotated[
        int | None,
        opt.option(
            "--top",
            metavar="N",
            min=1,
            help=f"List the N largest, and the sum of the others. Default: {_TOP}; all with --json.",
        ),
    ] = None,
    source: opt.RunSourceOption = None,
    ledger: opt.LedgerOption = None,
    export: Annotated[
        Path | None,
        opt.option(
            "--export",
            metavar="FILE",
            help="Write the whole list to a .parquet or .csv file; with --per-sample that of each sample.",
            panel=opt.LEDGER,
        ),
    ] = None,
    force: Annotated[
        bool,
        opt.option("--force", help="Replace the exported file if it exists.", panel=opt.LEDGER),
    ] = False,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Count what pictures and texts owe to the items they were made from, by any column, exactly."""
    folders = list(dict.fromkeys(runs or []))
    if not folders and not everything:
        raise UsageError("there is nothing to count: name a run's folder, or count the whole ledger with --all")
    if not folders and source is not None:
        raise UsageError(f"--source '{source}' says where the pictures of a run are: name the run's folder too")
    if export is not None:
        check_table_name(export)
        if export.exists() and not force:
            raise InputError(f"'{shown(export)}' is there already: choose another name, or add --force to replace it")
        check_creatable(export)
    started = time.monotonic()
    place = default_ledger() if ledger is None else ledger
    with opt.threads_in_use(threads):
        book = Ledger.open(place, missing="create" if folders else "refuse")
        try:
            entered = _entered(book, folders, by=by, source=source, everything=everything)
        except KeyboardInterrupt:
            raise StoppedError(
                "stopped; the ledger keeps what is counted: repeat the command to count the rest"
            ) from None
        chosen = book.everything() if everything else entered
        totals = book.totals(by, chosen)
        found = book.per_sample(by, chosen) if per_sample else ()
        each = [_sample_json(one, top=top) if as_json else _sample_text(one, by=by, top=top or _TOP) for one in found]
        if export is not None:
            named = set(book.sources(chosen))
            if source is not None:
                named |= {(source, digest) for _, digest in book.sources(entered)}
            for origin, digest in sorted(named):
                tell_notes(remember_use("table", export, source=origin, digest=digest))
            book.export(export, by=by, rows="samples" if per_sample else "totals", of=chosen)
    samples = len({sample for entry in chosen for sample in entry.samples})
    count, new = len({entry.run for entry in chosen}), sum(entry.new for entry in entered)
    places = len({folder for entry in chosen for folder in entry.folders})
    seconds = time.monotonic() - started
    if as_json:
        record: dict[str, Any] = {
            "ledger": shown(place.absolute()),
            "by": normal(by),
            "runs": [{"run": e.run, "folders": list(e.folders), "samples": len(e.samples)} for e in chosen],
            "samples": samples,
            "new": new,
            "units_per_pixel": UNITS,
            **_listed(totals, top=top),
        }
        if per_sample:
            record["per_sample"] = each
        record["export"] = None if export is None else shown(export.absolute())
        say_json(record | {"seconds": round(seconds, 3)})
        return
    for text in each:
        say(f"{text}\n")
    if totals:
        say(_table(totals, by=by, top=top or _TOP, samples="show"))
    say(
        f"{counted(samples, 'sample')} of {counted(count, 'run')}"
        f"{f' in {places:,} folders' if places > count else ''}, {new:,} new in the ledger "
        f"'{shown(place.absolute())}', {took(seconds)}"
    )
    if export is not None:
        say(f"written to '{shown(export.absolute())}'")


def _entered(
    book: Ledger, folders: Sequence[Path], *, by: str, source: str | None, everything: bool
) -> tuple[Entry, ...]:
    """The runs, entered into the ledger."""
    entries: list[Entry] = []
    for folder in folders:
        run = _opened(folder, source=source)
        if isinstance(run, InputError):
            if holds_network_receipts(folder):
                raise InputError(
                    f"'{shown(folder)}' holds receipts of a network's pictures, whose weights are those of a machine "
                    "that did not draw them: a ledger takes runs only"
                )
            record = read_run(folder)
            entry = book.find(folder, record, read_trace(folder, record))
            if entry is None:
                raise run
            entries.append(entry)
            tell_notes([f"{str(run).rstrip('.')}; '{shown(folder)}' is counted as the ledger has it"])
            continue
        if folder == folders[-1] and not everything:
            # Told before the work, which may be long; earlier runs may have had the column.
            known = {*ALWAYS, *run.machine.corpus.columns, *book.columns(entries)}
            if normal(by) not in known:
                names = ", ".join([*ALWAYS, *sorted(known.difference(ALWAYS))])
                raise UsageError(f"none of the {run.record.request.kind} has a column {by!r}: choose one of {names}")
        place = run.record.request.source if source is None else source
        # Before the ledger has anything of it, so that a stopped command is remembered too.
        tell_notes(remember_use("ledger", book.path, source=place, digest=run.machine.corpus.digest))
        entry = book.enter(run, progress=progress())
        if entry.corrected:
            tell_notes([f"names or metadata of {counted(entry.corrected, 'item')} brought up to date in the ledger"])
        entries.append(entry)
    return tuple(entries)


def _opened(folder: Path, *, source: str | None) -> OpenRun | InputError:
    """The run, or why it cannot be opened: its pictures may be gone, and the ledger may know what it owes."""
    try:
        return open_run(folder, source=source)
    except InputError as error:
        return error


def _listed(totals: Sequence[Total], *, top: int | None) -> dict[str, Any]:
    """The largest groups, and the sum of the others, as JSON values."""
    first, others = totals[:top], totals[len(totals[:top]) :]
    return {
        "units": sum(total.units for total in totals),
        "totals": [_total_json(total) for total in first],
        "others": {"values": len(others), "units": sum(total.units for total in others)},
    }


def _total_json(total: Total) -> dict[str, Any]:
    item = {} if total.name is None else {"name": total.name, "label": total.label}
    share = float(total.share)
    return {"value": total.value, **item, "units": total.units, "share": share, "samples": total.samples}


def _sample_json(sample: SampleTotals, *, top: int | None) -> dict[str, Any]:
    about = {"run": sample.run, "folder": sample.folder, "seed": sample.seed}
    return about | {"picture_sha256": sample.picture, "pixels": sample.pixels, **_listed(sample.totals, top=top)}


def _sample_text(sample: SampleTotals, *, by: str, top: int) -> str:
    title = f"'{one_line(sample.folder)}', seed {sample.seed}"
    return f"{title}\n{_table(sample.totals, by=by, top=top, samples='leave out')}"


def _table(totals: Sequence[Total], *, by: str, top: int, samples: Literal["show", "leave out"]) -> str:
    """Totals as aligned text. The last row is the exact sum of all, also of those that are not listed."""
    labelled = any(total.label is not None for total in totals)
    names = ["item", "id", *(["label"] if labelled else [])] if by == "item" else [normal(by)]
    rows = [[*map(one_line, names), "share", "units", "samples"]]
    for total in totals[:top]:
        group = [_shown_value(total.value)]
        if by == "item":
            label = [_shown_value(total.label)] if labelled else []
            group = [_shown_value(total.name), (total.value or "")[:12], *label]
        rows.append([*group, percent(total.share), f"{total.units:,}", f"{total.samples:,}"])
    blank = [""] * (len(names) - 1)
    if len(totals) > top:
        rest = totals[top:]
        share = percent(sum((total.share for total in rest), Fraction(0)))
        rows.append([f"{len(rest):,} others", *blank, share, f"{sum(total.units for total in rest):,}", ""])
    rows.append(["total", *blank, "100 %", f"{sum(total.units for total in totals):,}", ""])
    if samples == "leave out":
        rows = [row[:-1] for row in rows]
    return _aligned(rows, text=len(names))


def _aligned(rows: Sequence[Sequence[str]], *, text: int) -> str:
    """Rows with columns of equal width; the first `text` columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < text else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _shown_value(value: str | None) -> str:
    return "(none)" if value is None else one_line(value)
