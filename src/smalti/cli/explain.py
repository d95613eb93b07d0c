"""`smalti explain`: where the pictures or texts of a run came from, as files, as one page, and as an answer about one
pixel or token.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from smalti.cli import options as opt
from smalti.cli.explain_files import Writer, check_free, check_one, check_place, place_of
from smalti.cli.explain_forms import form_of, most_sources
from smalti.cli.explain_network import explain_network
from smalti.cli.explain_network_order import (
    STEPS,
    LabelOption,
    MachineOption,
    NetworkOrder,
    NetworkStepsOption,
    ScalesOption,
    ScheduleOption,
    SizeOption,
)
from smalti.cli.explain_texts import explained_texts, text_lines_of, text_lines_of_total, total_of_texts
from smalti.cli.explain_words import answer_of, lines_of, lines_of_total, total_of
from smalti.cli.failures import StoppedError
from smalti.cli.holders import remember_use
from smalti.cli.networks import (
    DEFAULT_FIT_SEEDS,
    ClockOption,
    DeviceOption,
    FitSeedsOption,
    NetworkOption,
    PaddingOption,
    PredictsOption,
)
from smalti.cli.sources import check_outside
from smalti.cli.terminal import columns, one_line, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.errors import UsageError
from smalti.progress import Progress
from smalti.receipts import Receipt
from smalti.sampling import OpenRun, open_run

Steps = Literal["last", "all"] | tuple[int, ...] | None
"""What --steps asks for; None: nothing."""


# Options that mean something for one use only, by the name of their parameter.
_OF_NETWORKS = (
    *("machine", "scales", "fit_seeds", "schedule", "network_steps", "size", "label", "padding", "predicts", "clock"),
    "device",
)
_OF_RUNS = ("source", "token")


def explain(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SOURCE",
            help="Folder of a finished run; nothing in it is changed. With --network: pictures, as for generate.",
            show_default=False,
        ),
    ],
    seed: Annotated[
        str | None,
        opt.option(
            "--seed",
            metavar="LIST|all",
            help="Seeds of the run: 3, 0-15, 0,2,5-7, or all. Default: the first; with --network 0.",
            panel=opt.RUN,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        opt.option(
            "-o",
            "--out",
            metavar="PLACE",
            help="Folder for all of it, or one file: report.html, receipt.json, rows.parquet or rows.csv. Default: the "
            "folder RUN-receipt; with --pixel, --token or --by nothing is written.",
            panel=opt.RESULT,
        ),
    ] = None,
    steps: Annotated[
        str | None,
        opt.option(
            "--steps",
            metavar="last|all|LIST",
            help="Steps of pictures to take apart, from 0, the noisiest; --by and --pixel are answered at these. "
            "Default: all are written, and the last is answered.",
            panel=opt.RESULT,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="K",
            min=1,
            max=1000,
            help="Sources and items listed for each pixel and step, or each token.",
            rich_help_panel=opt.RESULT,
        ),
    ] = 8,
    by: Annotated[
        str | None,
        opt.option(
            "--by",
            metavar="COLUMN",
            help="Print the credit of groups alone: of labels, or of a column of the metadata; with several seeds "
            "their sum too. For more than one run see smalti credit.",
            panel=opt.RESULT,
        ),
    ] = None,
    pixel: Annotated[
        str | None,
        opt.option(
            "--pixel",
            metavar="X,Y",
            help="Print all sources of one pixel alone, given by its column and its row, both from 0, and the proof "
            "that they make it.",
            panel=opt.RESULT,
        ),
    ] = None,
    token: Annotated[
        str | None,
        opt.option(
            "--token",
            metavar="LIST",
            help="Print how tokens of a text were drawn alone, and the proof of what they owe: 12, or 12-15,40, from "
            "0.",
            panel=opt.RESULT,
        ),
    ] = None,
    network: NetworkOption = None,
    machine: MachineOption = "border-aware",
    scales: ScalesOption = None,
    fit_seeds: FitSeedsOption = DEFAULT_FIT_SEEDS,
    schedule: ScheduleOption = None,
    network_steps: NetworkStepsOption = STEPS,
    size: SizeOption = None,
    label: LabelOption = None,
    padding: PaddingOption = None,
    predicts: PredictsOption = None,
    clock: ClockOption = None,
    device: DeviceOption = "cpu",
    source: opt.RunSourceOption = None,
    force: Annotated[
        bool,
        opt.option(
            "--force",
            help="Write over files of the same name; those of other seeds stay.",
            panel=opt.RUNNING,
        ),
    ] = False,
    threads: Annotated[
        int | None,
        opt.threads_option(
            "Threads; changes speed, never a byte but for the last bits of a network. Default: SMALTI_THREADS, "
            "or all processors."
        ),
    ] = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Say which of your pictures each pixel of a run came from, or which texts each token: exact weights.

    With --network: a network's picture, explained by the weights of a machine, and how far to trust that.
    """
    _check_use(context, network)
    at = None if pixel is None else read_pixel(pixel)
    tokens = None if token is None else tuple(dict.fromkeys(opt.read_seeds(token, option="--token")))
    chosen = read_steps(steps)
    if network is not None:
        explain_network(
            NetworkOrder(
                source=run,
                network=network,
                seed=seed,
                out=out,
                steps=chosen,
                top=top,
                by=by,
                at=at,
                machine=machine,
                scales=scales,
                fit_seeds=fit_seeds,
                schedule=schedule,
                network_steps=network_steps,
                size=size,
                label=label,
                padding=padding,
                predicts=predicts,
                clock=clock,
                device=device,
                force=force,
                threads=threads,
                as_json=as_json,
            )
        )
        return
    place = place_of(Path(run), out, asks=not pixel is token is by is None)
    started = time.monotonic()
    with opt.threads_in_use(threads):
        check_place(place, force=force)
        opened = open_run(run, source=source)
        numbers = _seeds(seed, opened)
        origin = opened.record.request.source if source is None else source
        texts = opened.record.request.kind == "texts"
        _check_kind(texts, {"--pixel": pixel, "--steps": steps, "--token": token})
        receipts = [opened.trace.of_seed(number).receipt for number in numbers]
        if by is not None:
            opened.machine.corpus.values(by)
        for asked in tokens or ():
            receipts[0].last_event(asked)
        if not texts:
            _check_steps(receipts[0], at=at, steps=chosen)
        check_one(place, numbers)
        if place.what == "folder" and place.path is not None:
            check_outside(place.path, origin)
        form = form_of(opened)
        beside = check_free(place, form, numbers, force=force)
        if place.path is not None:
            tell_notes(remember_use("report", place.path, source=origin, digest=opened.machine.corpus.digest))
        writer = Writer(place, form, seeds=len(receipts), beside=beside)
        bar = progress()
        try:
            if texts:
                answers, notes = explained_texts(opened, receipts, writer, top=top, by=by, tokens=tokens or (), bar=bar)
            else:
                answers, notes = _explained(opened, receipts, writer, steps=chosen, top=top, by=by, at=at, bar=bar)
        except KeyboardInterrupt:
            raise StoppedError(writer.what_is_left()) from None
    total = None
    if by is not None and len(answers) > 1:
        total = total_of_texts(answers) if texts else total_of(answers)
    seconds = time.monotonic() - started
    if seed is None and len(opened.trace) > 1:
        others = len(opened.trace) - 1
        notes = (
            f"seed {numbers[0]}, the first of the run: {others} more with --seed LIST or --seed all",
            *notes,
        )
    if as_json:
        written = {} if place.path is None else {"place": shown(place.path.absolute()), "files": list(writer.files)}
        together = {} if total is None else {"total": total}
        say_json({**written, "seeds": answers, **together, "notes": list(notes), "seconds": round(seconds, 3)})
        return
    tell_notes(notes)
    for answer in answers:
        for line in text_lines_of(answer, opened) if texts else lines_of(answer, opened):
            say(one_line(line))
    if total is not None:
        for line in text_lines_of_total(total) if texts else lines_of_total(total):
            say(one_line(line))
    if place.path is not None:
        say(f"Written in {took(seconds)}")
        say(columns(writer.files_said()))


def _check_use(context: typer.Context, network: str | None) -> None:
    """Refuses options of the other use: of runs, or of networks.

    Raises:
        UsageError: one was given.
    """
    for name in _OF_NETWORKS if network is None else _OF_RUNS:
        where = context.get_parameter_source(name)
        if where is not None and where.name != "DEFAULT":
            why = "for a network's picture, and there is no --network" if network is None else "for runs, not --network"
            raise UsageError(f"--{name.replace('_', '-')} is {why}: leave it out")


def read_pixel(text: str) -> tuple[int, int]:
    """Row and column from `X,Y`: column first, as on the command line.

    Raises:
        UsageError: anything else.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*", text)
    if not found:
        raise UsageError(
            f"--pixel {text!r} is not a pixel: give its column and its row from the top left, both from 0, such as 12,7"
        )
    return int(found[2]), int(found[1])


def read_steps(text: str | None) -> Steps:
    """Steps from `last`, `all`, or numbers and ranges; None stays None.

    Raises:
        UsageError: anything else.
    """
    if text is None or text == "last" or text == "all":
        return text
    return opt.read_seeds(text, option="--steps")


def _seeds(text: str | None, opened: OpenRun) -> tuple[int, ...]:
    if text is None:
        return opened.trace.seeds[:1]
    return opened.trace.seeds if text == "all" else tuple(dict.fromkeys(opt.read_seeds(text, option="--seed")))


def _check_kind(texts: bool, given: dict[str, str | None]) -> None:
    """Refuses options that are for the other kind of run."""
    for name, value in given.items():
        if value is not None and (name == "--token") != texts:
            made, other = ("texts", "pictures") if texts else ("pictures", "texts")
            raise UsageError(f"{name} is for {other}, and this run made {made}: leave it out")


def _check_steps(receipt: Receipt, *, at: tuple[int, int] | None, steps: Steps) -> None:
    if isinstance(steps, tuple):
        for step in steps:
            receipt.step(step)
    if at is not None:
        receipt.check_pixel(*at)


def _explained(
    opened: OpenRun,
    receipts: Sequence[Receipt],
    writer: Writer,
    *,
    steps: Steps,
    top: int,
    by: str | None,
    at: tuple[int, int] | None,
    bar: Progress,
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """What is said of each seed, and notes; the files are written."""
    from smalti.receipts.record import plan, record, steps_of

    count = receipts[0].steps
    asked = range(count) if steps == "all" else (count - 1,) if steps is None or steps == "last" else steps
    answers: list[dict[str, Any]] = []
    if not writer.writes:
        with bar.task("explaining", len(receipts) * len(asked)) as task:
            for receipt in receipts:
                answers.append(answer_of(receipt, None, by=by, at=at, steps=asked, top=top, tick=task.advance))
        return answers, ()
    kept = "all" if steps is None else steps
    plans = [plan(receipt, steps=kept, top=top, most=most_sources(writer.together)) for receipt in receipts]
    with bar.task("explaining", sum(map(steps_of, receipts, plans))) as task:
        for receipt, chosen in zip(receipts, plans, strict=True):
            made = record(receipt, chosen, folder=shown(opened.folder), run=opened.record, tick=task.advance)
            answers.append(answer_of(receipt, made, by=by, at=at, steps=asked, top=top))
            writer.add(made)
    writer.finish()
    notes = dict.fromkeys(note for chosen in plans for note in chosen.notes)
    return answers, (*notes, *writer.notes)
