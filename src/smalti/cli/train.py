"""`smalti train`: a network that learns to denoise the pictures of a source, to compare with the closed form."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from smalti.cli import options as opt
from smalti.cli.failures import StoppedError
from smalti.cli.signals import asked_to_stop
from smalti.cli.sources import check_pictures, open_source
from smalti.cli.terminal import columns, counted, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError
from smalti.sampling.files import check_creatable, write_file

NETWORK, TRAINING = "Network", "Training"


def train(
    source: opt.PicturesArgument,
    out: Annotated[
        Path,
        opt.option(
            "-o",
            "--out",
            metavar="MODEL",
            help="File for the network, ending in .safetensors; the plot of the loss goes beside it, as .png.",
        ),
    ],
    net: Annotated[
        str,
        typer.Option("--net", metavar="NAME", help="resnet, unet, or unet-attention.", rich_help_panel=NETWORK),
    ] = "resnet",
    padding: Annotated[
        str,
        typer.Option(
            "--padding", metavar="NAME", help="Outside of a picture: zeros, or circular.", rich_help_panel=NETWORK
        ),
    ] = "zeros",
    conditional: Annotated[
        bool,
        opt.option(
            "--conditional",
            help="Tell the network each picture's label, so that it can be asked for one.",
            panel=NETWORK,
        ),
    ] = False,
    channels: Annotated[
        int | None,
        opt.option(
            "--channels",
            metavar="N",
            help="Width of the network, a multiple of 8. Default: the paper's, 256 for resnet and 64 for the others.",
            panel=NETWORK,
        ),
    ] = None,
    layers: Annotated[
        int | None,
        opt.option(
            "--layers",
            metavar="N",
            help="Convolutions of a resnet, or sizes of a unet. Default: the paper's, 6 for resnet and 3 for others.",
            panel=NETWORK,
        ),
    ] = None,
    size: opt.SizeOption = None,
    label: opt.LabelOption = None,
    steps: Annotated[
        int | None,
        opt.option("--steps", metavar="N", min=1, help="Steps of training in all, or else --epochs.", panel=TRAINING),
    ] = None,
    epochs: Annotated[
        int | None,
        opt.option(
            "--epochs", metavar="N", min=1, help="How often each picture is seen; 300 in the paper.", panel=TRAINING
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Pictures in a step.", rich_help_panel=TRAINING)
    ] = 128,
    rate: Annotated[
        float, typer.Option("--rate", metavar="X", help="Step size of Adam.", rich_help_panel=TRAINING)
    ] = 1e-4,
    decay: Annotated[
        float, typer.Option("--decay", metavar="X", help="Factor on it after each step.", rich_help_panel=TRAINING)
    ] = 0.999965,
    ema: Annotated[
        float | None,
        opt.option(
            "--ema",
            metavar="X",
            help="Predict with a running mean of weights that keeps this share a step, such as 0.999. Default: off.",
            panel=TRAINING,
        ),
    ] = None,
    schedule: Annotated[str, opt.schedule_option(TRAINING)] = "cosine",
    seed: Annotated[
        int,
        typer.Option(
            "--seed", metavar="N", min=0, help="Of weights, order, times and noise.", rich_help_panel=TRAINING
        ),
    ] = 0,
    resume: Annotated[
        bool,
        opt.option(
            "--resume",
            help="Go on from MODEL if it is there, to the same weights as without a stop; more steps may be asked for.",
            panel=opt.RUNNING,
        ),
    ] = False,
    device: Annotated[str, opt.device_option(opt.RUNNING)] = "cpu",
    threads: Annotated[
        int | None,
        opt.threads_option(
            "Threads of PyTorch; another number may change the last bits of weights. Default: PyTorch's own."
        ),
    ] = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Train a convolutional network to denoise pictures, as the paper trained those its theory predicts.

    Needs PyTorch. A small one for the built-in digits (32 channels, 3 layers, 500 steps at a rate of 0.001) takes a
    minute or two on two cores.
    """
    from smalti.networks import Net, NetworkConfig, Padding, Plan, StoppedTraining, parameter_count
    from smalti.networks import train as train_network
    from smalti.networks.backend import threads_of_torch, usable_device

    check_pictures(source)
    usable_device(device)
    chosen: Any = _one_of("--net", net, get_args(Net))
    around: Any = _one_of("--padding", padding, get_args(Padding))
    plot = _checked_places(out, resume=resume)
    if steps is not None and epochs is not None:
        raise UsageError("--steps and --epochs both say how long to train: give only one of the two")
    if steps is None and epochs is None:
        raise UsageError("say how long to train: either --steps N or --epochs N")
    opened = open_source(source, size=opt.read_size(size, option="--size"))
    tell_notes(opened.notes)
    corpus = opened.corpus
    label = opt.read_label(label)
    if label is not None:
        corpus = corpus.with_label(label)
    if conditional and corpus.labels is None:
        raise UsageError(f"--conditional needs labels, and '{shown(Path(source))}' has none: leave it out")
    config = NetworkConfig.of_paper(
        chosen,
        padding=around,
        image_channels=corpus.channels,
        labels=tuple(sorted(set(corpus.labels or ()))) if conditional else (),
        channels=channels,
        layers=layers,
    )
    wanted = Plan.steps_of_epochs(epochs, len(corpus), batch) if steps is None and epochs is not None else steps
    assert wanted is not None
    plan = Plan(steps=wanted, seed=seed, batch=batch, rate=rate, decay=decay, ema=ema, schedule=schedule)
    started = time.monotonic()
    with threads_of_torch(threads), asked_to_stop() as stopped:
        try:
            trained = train_network(
                corpus, config, plan, path=out, resume=resume, device=device, stopped=stopped, progress=progress()
            )
        except StoppedTraining as error:
            raise StoppedError(
                f"stopped after {counted(error.steps, 'step')} of {wanted:,}; '{shown(out)}' keeps them: repeat the "
                "command with --resume to go on"
            ) from None
    with tempfile.TemporaryDirectory() as folder:
        trained.plot(Path(folder) / "plot.png")
        write_file(plot, (Path(folder) / "plot.png").read_bytes())
    seconds = time.monotonic() - started
    last = trained.losses[-max(1, len(trained.losses) // 100) :]
    loss = float(last.mean(dtype="float64"))
    weights = parameter_count(trained.module)
    assert trained.training is not None
    if as_json:
        say_json(
            {
                "model": shown(out.absolute()),
                "plot": shown(plot.absolute()),
                "network": trained.config.to_record(),
                "training": trained.training.to_record(),
                "weights": weights,
                "loss": loss,
                "device": device,
                "seconds": round(seconds, 3),
            }
        )
        return
    say(
        f"{net} with {padding} padding, {counted(weights, 'weight')}; {counted(len(corpus), 'picture')}, "
        f"{counted(wanted, 'step')} of {batch}, {took(seconds)}"
    )
    say(f"loss {loss:.4f} (mean squared error of the noise, last {counted(len(last), 'step')})")
    say(columns([(shown(out), "the network"), (shown(plot), "its loss as a plot")]))


def _one_of(option: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise UsageError(f"{option} {given!r} has no meaning: choose one of {', '.join(known)}")
    return given


def _checked_places(out: Path, *, resume: bool) -> Path:
    """The place of the plot, after a check that both files can be written."""
    if out.suffix.lower() != ".safetensors":
        raise UsageError(f"-o '{shown(out)}' must end in .safetensors: that is the form in which networks are kept")
    plot = out.with_suffix(".png")
    for place in (out, plot):
        if place.is_dir():
            raise InputError(f"'{shown(place)}' is a folder: choose another name")
        if place.exists() and not resume:
            raise InputError(
                f"'{shown(place)}' is there already: choose another name, or add --resume to go on from it"
            )
    check_creatable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    return plot
