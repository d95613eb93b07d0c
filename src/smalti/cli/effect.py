"""`smalti effect`: a run's seeds again without some items, and items ranked by what their removal changes."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smalti.cli import options as opt
from smalti.cli.effect_texts import DIFF, ranked_texts, removed_texts
from smalti.cli.effect_words import DRAWN, LISTED, ranking_lines
from smalti.cli.failures import StoppedError
from smalti.cli.holders import remember_use
from smalti.cli.sources import check_new
from smalti.cli.terminal import columns, counted, one_line, progress, say, say_json, tell_notes, took
from smalti.corpus import ImageCorpus
from smalti.corpus.decode import shown
from smalti.corpus.text import TextCorpus
from smalti.errors import UsageError
from smalti.progress import Progress
from smalti.receipts.effects.pictures import Row, difference_picture, sheet
from smalti.receipts.effects.ranking import rank as rank_items
from smalti.receipts.effects.record import effect_record, picture_names, ranking_record
from smalti.receipts.effects.rerun import Change, SeedEffect
from smalti.receipts.effects.rerun import effect as effect_of
from smalti.sampling import OpenRun, open_run, png_bytes
from smalti.sampling.files import said_plainly, write_file

_DEFAULT_BUDGET = "16"
_SHEET, _RECORD = "effect.png", "effect.json"


def effect(
    run: opt.RunArgument,
    without: Annotated[
        list[str] | None,
        opt.option(
            "--without",
            metavar="ITEM",
            help="Item to remove, a picture or a document: its content id, the first 8 or more digits of it, or its "
            "name. May be given several times; all are removed together.",
            panel=opt.GOES,
        ),
    ] = None,
    without_group: Annotated[
        list[str] | None,
        opt.option(
            "--without-group",
            metavar="COLUMN=VALUE",
            help="Remove all items of a group, such as label=7 or licence=unknown; licence= for those that have none. "
            "May be given several times.",
            panel=opt.GOES,
        ),
    ] = None,
    rank: Annotated[
        bool,
        opt.option(
            "--rank",
            help="Rank single items by their effect on one seed instead.",
            panel=opt.RESULT,
        ),
    ] = False,
    budget: Annotated[
        str | None,
        opt.option(
            "--budget",
            metavar="N|Ns",
            help=f"With --rank: how many items to run the seed again without (40), or for how many seconds (60s). "
            f"Default: {_DEFAULT_BUDGET} items.",
            panel=opt.RESULT,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        opt.option(
            "--seeds",
            metavar="LIST",
            help="Seeds of the run: 3, 0-15, 0,2,5-7. Default: all; with --rank the first.",
            panel=opt.RUN,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        opt.option(
            "-o",
            "--out",
            metavar="OUT",
            help="New or empty folder for pictures or texts, before and after, and effect.json. Default: only the "
            "figures are printed.",
            panel=opt.RESULT,
        ),
    ] = None,
    source: opt.RunSourceOption = None,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Make a run's seeds again without some items, and say what changes."""
    removing = bool(without or without_group)
    if removing == rank:
        raise UsageError(
            "--rank removes items one by one, and --without and --without-group remove those named together: give one "
            "or the other"
            if rank
            else "say what to remove with --without ITEM or --without-group COLUMN=VALUE, or rank all items with --rank"
        )
    if budget is not None and not rank:
        raise UsageError("--budget goes with --rank: without it, the items named are removed together in one run")
    limit = read_budget(_DEFAULT_BUDGET if budget is None else budget)
    wanted = None if seeds is None else opt.read_seeds(seeds)
    started = time.monotonic()
    with opt.threads_in_use(threads):
        opened = open_run(run, source=source)
        place = opened.record.request.source if source is None else source
        if out is not None:
            check_new(out, place)
        texts = opened.record.request.kind == "texts"
        try:
            if rank:
                chosen = _one_seed(opened, wanted)
                if texts:
                    record, lines, files = ranked_texts(
                        opened, chosen, runs=limit.runs, seconds=limit.seconds, bar=progress()
                    )
                else:
                    record, lines, files = _ranked(opened, chosen, limit, draw=out is not None, bar=progress())
            else:
                corpus = opened.machine.corpus
                items = _items(corpus, without or (), without_group or ())
                if texts:
                    record, lines, files = removed_texts(opened, items, wanted, bar=progress())
                else:
                    record, lines, files = _removed(opened, items, wanted, draw=out is not None, bar=progress())
            if out is not None:
                tell_notes(remember_use("effect", out, source=place, digest=opened.machine.corpus.digest))
                _write(out, files, record)
        except KeyboardInterrupt:
            raise StoppedError(_what_is_left(out)) from None
    seconds = time.monotonic() - started
    if as_json:
        folder = {} if out is None else {"folder": shown(out.absolute())}
        say_json({**record, **folder, "seconds": round(seconds, 3)})
        return
    tell_notes(record.get("notes", ()))
    say(f"{lines[0]}, {took(seconds)}")
    for line in lines[1:]:
        say(one_line(line))
    if out is not None:
        drawn = [(shown(out / name), "to look at") for name in (_SHEET, DIFF) if name in files]
        say(columns([*drawn, (shown(out / _RECORD), "all figures")]))


@dataclass(frozen=True)
class Budget:
    """How many runs, or for how many seconds runs may be begun; None: no limit."""

    runs: int | None
    seconds: float | None


def read_budget(text: str) -> Budget:
    """A budget from `40` (runs) or `60s` (seconds).

    Raises:
        UsageError: anything else, and nothing at all.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(s?)\s*", text)
    if found and float(found[1]) == 0:
        raise UsageError(f"--budget {text!r} lets no item be run: give at least one, or seconds, such as 60s")
    if not found or ("." in found[1] and not found[2]):
        raise UsageError(
            f"--budget {text!r} has no meaning: give a number of items, such as 40, or seconds, such as 60s"
        )
    return Budget(None, float(found[1])) if found[2] else Budget(int(found[1]), None)


def _items(corpus: ImageCorpus | TextCorpus, names: Sequence[str], groups: Sequence[str]) -> list[int]:
    found: set[int] = set()
    for name in names:
        found.update(corpus.find(name))
    for group in groups:
        found.update(corpus.group(*opt.read_group(group, option="--without-group")))
    return sorted(found)


def _removed(
    opened: OpenRun, items: list[int], seeds: Sequence[int] | None, *, draw: bool, bar: Progress
) -> tuple[dict[str, Any], list[str], dict[str, bytes]]:
    """Record, lines of text, and pictures by file name, of removing items together."""
    found = effect_of(opened.trace, opened.machine, items, seeds=seeds, progress=bar)
    corpus = opened.machine.corpus
    removed = f"without {len(items):,} of {counted(len(corpus), 'picture')}"
    lines = [f"{removed}, {counted(len(found), 'seed')} again"]
    record = effect_record(found, opened)
    files: dict[str, bytes] = {}
    rows: list[Row] = []
    for one, entry in zip(found, record["seeds"], strict=True):
        lines.append(f"  seed {one.seed}: {_sentence(one, found.before.steps)}")
        if draw:
            entry["pictures"] = picture_names(one.seed)
            pictures = (one.before, one.after, difference_picture(one))
            files |= dict(zip(entry["pictures"].values(), map(png_bytes, pictures), strict=True))
            short = "unchanged" if one.parted is None else f"rms {one.change.root_mean_square:.3g}"
            rows.append(Row(one, f"seed {one.seed}: {short}"))
    if len(found) > 1:
        lines.append(f"  all: {_figures(found.total)}")
    if draw:
        files[_SHEET] = sheet(rows, title=removed, removed=[corpus.images[item] for item in items])
    return record, lines, files


def _one_seed(opened: OpenRun, seeds: Sequence[int] | None) -> int:
    """The seed that items are ranked for."""
    if seeds is None:
        return opened.trace.seeds[0]
    if len(seeds) != 1:
        raise UsageError(f"--rank ranks the items for one seed, and --seeds names {len(seeds)}: give one")
    return opened.trace.of_seed(seeds[0]).seed


def _ranked(
    opened: OpenRun, seed: int, budget: Budget, *, draw: bool, bar: Progress
) -> tuple[dict[str, Any], list[str], dict[str, bytes]]:
    """Record, lines of text, and pictures by file name, of a ranking of items for one seed."""
    trace, machine, corpus = opened.trace, opened.machine, opened.machine.corpus
    sample = trace.only(trace.seeds.index(seed))
    found = rank_items(sample, machine, runs=budget.runs, seconds=budget.seconds, progress=bar)
    tried = [(one, one.effect) for one in found.items if one.effect is not None][:LISTED]
    lines = ranking_lines(
        seed,
        runs=found.runs,
        among=len(found.items),
        thing="item",
        covered=found.covered,
        of="the sum of the one-step values",
        head="  effect  largest  one-step  item",
        rows=[
            f"{change.root_mean_square:>8.3f} {change.largest:>8.2f} {one.one_step:>9.3f}  "
            f"{corpus.ids[one.item][:12]}  {corpus.names[one.item]}"
            f"{'' if corpus.labels is None else f' ({corpus.labels[one.item]})'}"
            for one, change in tried
        ],
        told=(
            "effect: root mean square change of the picture, and its largest, in grey levels; exact",
            "one-step: change of the steps' means, summed; it only orders the work",
        ),
    )
    rows = [
        Row(
            effect_of(sample, machine, [one.item])[0],
            f"{corpus.ids[one.item][:8]}: rms {change.root_mean_square:.3g}",
            removed=corpus.images[one.item],
        )
        for one, change in (tried[:DRAWN] if draw else ())
    ]
    files = (
        {_SHEET: sheet(rows, title=f"seed {seed} without each of the items with the largest effect")} if rows else {}
    )
    return ranking_record(found, opened), lines, files


def _sentence(one: SeedEffect, steps: int) -> str:
    if one.proof is not None and one.proof.unchanged:
        why = f"no weight at any of {steps} steps" if one.proof.steps else "outside the machine's label"
        return f"cannot have changed ({why}), and has not: the same bytes again"
    if one.parted is None:
        return "unchanged, although there was weight: too little to move any state"
    return f"{_figures(one.change)}; the runs part at step {one.parted} (of 0 to {steps - 1})"


def _figures(change: Change) -> str:
    r = "undefined" if math.isnan(change.r) else f"{change.r:.4f}"
    return (
        f"mean {change.mean_absolute:.3g}, rms {change.root_mean_square:.3g}, largest {change.largest:.3g} grey "
        f"levels, r {r}, {change.pixels:,} pixels differ"
    )


def _what_is_left(out: Path | None) -> str:
    if out is None or not out.exists() or not any(out.iterdir()):
        return "stopped; nothing was written: repeat the command"
    return f"stopped; '{shown(out)}' holds pictures without {_RECORD}: repeat the command with another folder"


def _write(out: Path, files: dict[str, bytes], record: dict[str, Any]) -> None:
    """All pictures, and last effect.json: where that is, everything is."""
    with said_plainly(out):
        out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_file(out / name, content)
    write_file(out / _RECORD, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode("ascii"))
