"""`smalti generate`: new pictures or texts from a source, as a run folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli import generate_options as txt
from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.generate_pictures import Made, Order, carry_out, run_summary, tell_made
from smalti.cli.generate_texts import TextOrder, carry_out_texts, tell_texts, text_summary
from smalti.cli.kinds import check_options
from smalti.cli.sources import named
from smalti.cli.terminal import progress, say_json
from smalti.corpus.decode import shown
from smalti.corpus.sources import kind_of
from smalti.noise import SCHEDULES

# Options that mean something for one kind of source only, by the name of their parameter.
_OF_PICTURES = ("output_size", "size", "label", "machine", "scales")
_OF_SAMPLER = ("order", "block", "gamma", "threshold")
_OF_TRUNCATION = ("temperature", "top_k", "top_p", "min_p", "typical", "top_h", "top_h_released")
_OF_TEXTS = (
    *("length", "after", "prompt", "infill", "tokens", "noise", "radius", "similar", "jump", "settings"),
    *_OF_SAMPLER,
    *_OF_TRUNCATION,
)


def generate(
    context: typer.Context,
    source: opt.SourceArgument,
    out: Annotated[
        Path,
        opt.option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder for the run: new, empty, or with --resume that of an earlier one.",
            panel=opt.RUN,
        ),
    ],
    seeds: Annotated[
        str | None,
        opt.option(
            "--seeds",
            metavar="LIST",
            help="One picture or text for each seed: 3, 0-15, 0,2,5-7. Default: 0-15; texts: 0-3.",
            panel=opt.RUN,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        opt.option(
            "--steps",
            metavar="N",
            min=1,
            max=10_000,
            help="Steps from noise to picture, or to text. Default: 20; texts: a token a step, or 50 without masks.",
            panel=opt.RUN,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        opt.option(
            "--schedule",
            metavar="NAME",
            help=f"Noise schedule: {', '.join(SCHEDULES)}; texts: {txt.TEXT_SCHEDULES}. Default: cosine; "
            "texts: linear, or fourth-root without masks.",
            panel=opt.RUN,
        ),
    ] = None,
    output_size: Annotated[
        str | None,
        opt.option(
            "--output-size",
            metavar="N|WxH",
            help="Size of the new pictures, in pixels, width first. Default: that of the source's.",
            panel=opt.PICTURES_OUT,
        ),
    ] = None,
    size: opt.SizeOption = None,
    label: opt.LabelOption = None,
    machine: opt.MachineOption = "border-aware",
    scales: Annotated[
        str | None,
        opt.option(
            "--scales",
            metavar="SCALES",
            help="Patch sizes in pixels: auto (calibrated on the source), paper-cifar10, odd numbers from the lowest "
            "noise up (3,3,5,9), or a .json file from calibrate. Default: auto; ideal and equivariant take none.",
            panel=opt.MACHINE,
        ),
    ] = None,
    text: txt.TextOption = False,
    tokens: txt.TokensOption = None,
    length: txt.LengthOption = None,
    after: txt.AfterOption = None,
    prompt: txt.PromptOption = None,
    infill: txt.InfillOption = None,
    noise: txt.NoiseOption = None,
    radius: txt.RadiusOption = None,
    similar: txt.SimilarOption = None,
    jump: txt.JumpOption = None,
    settings: txt.SettingsOption = None,
    order: txt.OrderOption = None,
    block: txt.BlockOption = None,
    gamma: txt.GammaOption = None,
    threshold: txt.ThresholdOption = None,
    temperature: txt.TemperatureOption = None,
    top_k: txt.TopKOption = None,
    top_p: txt.TopPOption = None,
    min_p: txt.MinPOption = None,
    typical: txt.TypicalOption = None,
    top_h: txt.TopHOption = None,
    top_h_released: txt.TopHReleasedOption = None,
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
        opt.option(
            "--resume",
            help="Finish the run that OUT holds.",
            panel=opt.RUNNING,
        ),
    ] = False,
    as_json: opt.JsonOption = False,
) -> None:
    """Make new pictures or texts from your own."""
    kind = kind_of(named(source), text=text)
    given: dict[str, Any] = context.params
    check_options(context, _OF_TEXTS if kind == "pictures" else _OF_PICTURES, kind, source)
    started = time.monotonic()
    # What both kinds have in common.
    common: dict[str, Any] = {
        "source": source,
        "out": out,
        "seeds": opt.read_seeds(seeds or ("0-15" if kind == "pictures" else "0-3")),
        "existing": "resume" if resume else "refuse",
        "command": tuple(map(shown, context.obj or ())),
    }
    with opt.threads_in_use(threads):
        try:
            if kind == "texts":
                made = carry_out_texts(
                    TextOrder(
                        **common,
                        batch=batch,
                        sampler={"steps": steps, "schedule": schedule} | {name: given[name] for name in _OF_SAMPLER},
                        truncation={name: given[name] for name in _OF_TRUNCATION},
                        **{name: given[name] for name in _OF_TEXTS if name not in (*_OF_SAMPLER, *_OF_TRUNCATION)},
                    ),
                    progress=progress(),
                )
            else:
                made = carry_out(
                    Order(
                        **common,
                        size=opt.read_size(size, option="--size"),
                        output_size=opt.read_size(output_size, option="--output-size"),
                        label=opt.read_label(label),
                        machine=machine,
                        scales=scales,
                        schedule=schedule or "cosine",
                        steps=steps or 20,
                        batch=batch,
                    ),
                    progress=progress(),
                )
        except KeyboardInterrupt:
            if not (out / "run.json").exists():
                raise StoppedError(f"stopped before the first {kind[:-1]} was begun: repeat the command") from None
            raise StoppedError(
                f"stopped; '{shown(out)}' keeps what is finished: repeat the command with --resume to make the rest"
            ) from None
    seconds = time.monotonic() - started
    if as_json:
        summary = text_summary(out, made) if not isinstance(made, Made) else run_summary(out, made.record)
        say_json({**summary, "seconds": round(seconds, 3)})
    elif isinstance(made, Made):
        tell_made(out, made, seconds=seconds)
    else:
        tell_texts(out, made, seconds=seconds)
