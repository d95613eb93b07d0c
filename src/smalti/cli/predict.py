"""`smalti predict`: how well the closed form predicts a trained network, picture by picture."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.networks import (
    DEFAULT_FIT_SEEDS,
    NETWORK,
    ClockOption,
    DeviceOption,
    FitSeedsOption,
    NetworkOption,
    PaddingOption,
    PredictsOption,
)
from smalti.cli.predict_files import ASKED
from smalti.cli.predict_order import Order, carry_out
from smalti.cli.predict_words import basis, comparison, table
from smalti.cli.terminal import columns, counted, progress, say, say_json, took
from smalti.corpus.decode import shown
from smalti.errors import UsageError
from smalti.networks.named import DEFAULT_PREDICTORS

PREDICTORS = "Predictors"

_MACHINE = "border-aware"
_OTHERS = ",".join(name for name in DEFAULT_PREDICTORS if name.partition(":")[0] not in (_MACHINE, "ideal"))


def predict(
    context: typer.Context,
    source: opt.PicturesArgument,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="OUT", help="Folder for the results.", show_default=False),
    ],
    network: NetworkOption = None,
    padding: PaddingOption = None,
    predicts: PredictsOption = None,
    clock: ClockOption = None,
    device: DeviceOption = "cpu",
    network_steps: Annotated[
        str,
        typer.Option(
            "--network-steps",
            metavar="LIST",
            help="Steps from noise to the network's picture; those of --steps come with them.",
            rich_help_panel=NETWORK,
        ),
    ] = "20,150",
    seeds: Annotated[
        str,
        typer.Option("--seeds", metavar="SEEDS", help="Seeds of the noise that all begin with, such as 0-99."),
    ] = "0-99",
    size: opt.SizeOption = None,
    label: Annotated[
        str | None,
        opt.option(
            "--label",
            metavar="LABEL",
            help="Ask the network for this label, and predict from its pictures only. Needed where it was trained with "
            "labels.",
            panel=opt.PICTURES_IN,
        ),
    ] = None,
    machine: Annotated[
        str,
        typer.Option(
            "--machine", metavar="NAME", help="The machine whose prediction is plotted.", rich_help_panel=PREDICTORS
        ),
    ] = _MACHINE,
    scales: Annotated[
        list[str] | None,
        opt.option(
            "--scales",
            metavar="SCALES",
            help="Its patch sizes: network (fitted to this one), auto (calibrated on the source, no network seen), "
            "paper-cifar10, odd numbers from the lowest noise up (3,3,5,9), or a .json file from calibrate. May be "
            "given several times. Default: network and auto.",
            panel=PREDICTORS,
        ),
    ] = None,
    predictors: Annotated[
        str,
        typer.Option(
            "--predictors",
            metavar="LIST",
            help="Others in the table: any machine, nearest, wiener, data-mask-local, patch-composite (slow), "
            "patch-wiener, local-linear, patch-mixture; with patch sizes as in local:network. The ideal machine is "
            "always there.",
            rich_help_panel=PREDICTORS,
        ),
    ] = _OTHERS,
    steps: Annotated[
        int,
        typer.Option(
            "--steps",
            metavar="N",
            min=1,
            max=10_000,
            help="Steps from noise to a predicted picture.",
            rich_help_panel=PREDICTORS,
        ),
    ] = 20,
    schedule: Annotated[
        str | None,
        opt.option(
            "--schedule",
            metavar="NAME",
            help="Noise schedule of all. Default: the one the network was trained with, or cosine.",
            panel=PREDICTORS,
        ),
    ] = None,
    fit_seeds: FitSeedsOption = DEFAULT_FIT_SEEDS,
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            metavar="N",
            min=1,
            help="Seeds worked on at a time; a stopped prediction keeps finished batches.",
            rich_help_panel=opt.RUNNING,
        ),
    ] = 16,
    threads: Annotated[
        int | None,
        opt.threads_option(
            "Threads, of PyTorch too, where another number may change a network's last bits. Default: "
            "SMALTI_THREADS, or all processors."
        ),
    ] = None,
    resume: Annotated[
        bool,
        opt.option(
            "--resume",
            help="Go on with the prediction in OUT; seeds, predictors and patch sizes may be added.",
            panel=opt.RUNNING,
        ),
    ] = False,
    parquet: Annotated[
        bool, opt.option("--parquet", help="Write the tables as Parquet too (needs pyarrow).", panel=opt.RUNNING)
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Predict what a trained network draws, picture by picture, and say how well.

    The same noise goes through the network and through machines and other denoisers that are made from the pictures
    alone. The table tells r and r², the paper's measure; OUT gets the figures, tables and plots.
    """
    if network is None:
        raise UsageError("say which network is to be predicted: --network MODEL")
    started = time.monotonic()
    opt.read_machine(machine)
    order = Order(
        source=source,
        out=out,
        network=network,
        padding=padding,
        predicts=predicts,
        clock=clock,
        device=device,
        seeds=opt.read_seeds(seeds),
        size=opt.read_size(size, option="--size"),
        label=opt.read_label(label),
        machine=machine,
        scales=tuple(dict.fromkeys(scales or ())),
        predictors=_read_list(predictors),
        fit_seeds=opt.read_seeds(fit_seeds, option="--fit-seeds"),
        steps=steps,
        network_steps=_read_steps(network_steps),
        schedule=schedule,
        batch=batch,
        threads=threads,
        resume=resume,
        parquet=parquet,
        command=tuple(map(shown, context.obj or ())),
    )
    with opt.threads_in_use(threads):
        try:
            made = carry_out(order, progress=progress())
        except KeyboardInterrupt:
            if not (out / ASKED).exists():
                raise StoppedError("stopped before the first picture was drawn: repeat the command") from None
            raise StoppedError(
                f"stopped; '{shown(out)}' keeps what is finished: repeat the command with --resume to go on"
            ) from None
    seconds = time.monotonic() - started
    if as_json:
        say_json({"folder": shown(out.absolute()), "prediction": made.record, "seconds": round(seconds, 3)})
        return
    case = made.case
    say(
        f"{case.name}, {counted(len(case.prediction.seeds), 'seed')}, predicted from "
        f"{counted(made.pictures, 'picture')}, {took(seconds)}"
    )
    say("")
    say(table(case))
    say("")
    say(basis(case))
    for how in case.comparisons():
        if how.seeds:
            say(comparison(how, case.finest))
    say("")
    say(columns(made.paths))


def _read_list(text: str) -> tuple[str, ...]:
    """Names of predictors, separated by commas; patch sizes among them keep theirs, as in local:3,5,9."""
    parts = [part.strip() for part in re.split(r",(?![0-9])", text)]
    return tuple(dict.fromkeys(part for part in parts if part))


def _read_steps(text: str) -> tuple[int, ...]:
    """Numbers of steps from `20,150`.

    Raises:
        UsageError: anything else.
    """
    parts = text.split(",")
    if not all(re.fullmatch(r"\s*[1-9][0-9]{0,4}\s*", part, re.ASCII) for part in parts):
        raise UsageError(f"--network-steps {text!r} has no meaning: give numbers of steps, such as 20,150")
    return tuple(sorted({int(part) for part in parts}))
