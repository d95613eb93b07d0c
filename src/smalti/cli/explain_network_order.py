"""What a person asks of `smalti explain SOURCE --network MODEL`, and all that is opened for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli import options as opt
from smalti.cli.explain_files import Place, check_free, check_one, check_place, place_of
from smalti.cli.explain_forms import form_of_network
from smalti.cli.networks import NETWORK, OpenedNetwork, check_answers, fit_note, network_threads, open_network
from smalti.cli.scales import ScalesFound, find_scales, read_scales
from smalti.cli.sources import Source, check_outside, check_pictures, named, open_source
from smalti.cli.terminal import counted, progress, tell_notes
from smalti.corpus import ImageCorpus
from smalti.machines import Machine
from smalti.networks.fitted_scales import fit_scales
from smalti.noise import SCHEDULES, Schedule
from smalti.noise import schedule as named_schedule
from smalti.receipts.receipt import check_pixel, checked_step
from smalti.sampling import DDIM, Denoiser
from smalti.sampling.ddim import checked_seeds

STEPS = 20

MachineOption = Annotated[
    str,
    typer.Option(
        "--machine", metavar="NAME", help="The machine that explains a network's picture.", rich_help_panel=NETWORK
    ),
]
ScalesOption = Annotated[
    str | None,
    opt.option(
        "--scales",
        metavar="SCALES",
        help="Its patch sizes: auto (calibrated on the source, no network seen), network (fitted to this one), "
        "paper-cifar10, odd numbers from the lowest noise up (3,3,5,9), or a .json file from calibrate. Default: auto.",
        panel=NETWORK,
    ),
]
ScheduleOption = Annotated[
    str | None,
    opt.option(
        "--schedule",
        metavar="NAME",
        help="Noise schedule of both. Default: the one the network was trained with, or cosine.",
        panel=NETWORK,
    ),
]
SizeOption = Annotated[
    str | None,
    opt.option(
        "--size",
        metavar="N|WxH",
        help="Size at which SOURCE's pictures are used, and of the network's, in pixels. Default: their own.",
        panel=NETWORK,
    ),
]
LabelOption = Annotated[
    str | None,
    opt.option(
        "--label",
        metavar="LABEL",
        help="Ask the network for this label, and explain from its pictures only. Needed where it was trained with "
        "labels.",
        panel=NETWORK,
    ),
]
NetworkStepsOption = Annotated[
    int,
    typer.Option(
        "--network-steps",
        metavar="N",
        min=1,
        max=10_000,
        help="Steps from noise to the network's picture.",
        rich_help_panel=NETWORK,
    ),
]


@dataclass(frozen=True, kw_only=True)
class NetworkOrder:
    """What a person asks: an entry means what the option of its name does; `at` is a row and a column."""

    source: str
    network: str
    seed: str | None
    out: Path | None
    steps: Any
    top: int
    by: str | None
    at: tuple[int, int] | None
    machine: str
    scales: str | None
    fit_seeds: str
    schedule: str | None
    network_steps: int
    size: str | None
    label: str | None
    padding: str | None
    predicts: str | None
    clock: str | None
    device: str
    force: bool
    threads: int | None
    as_json: bool


@dataclass(frozen=True, eq=False)
class Ready:
    """All that is opened before the first picture: what is asked of what, and where it goes."""

    seeds: tuple[int, ...]
    place: Place
    source: Source
    network: OpenedNetwork
    sampler: DDIM
    notes: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        """The machine that explains."""
        assert isinstance(self.sampler.machine, Machine)
        return self.sampler.machine


def open_all(order: NetworkOrder) -> Ready:
    """Opens source, network and machine; what can be refused is refused before patch sizes are found, which may take
    long.

    Raises:
        InputError, UsageError: what was asked for cannot be done.
    """
    named(order.source)
    place = _place(order)
    seeds = checked_seeds(dict.fromkeys(opt.read_seeds(order.seed or "0", option="--seed")))
    fit_seeds = checked_seeds(dict.fromkeys(opt.read_seeds(order.fit_seeds, option="--fit-seeds")))
    for step in order.steps if isinstance(order.steps, tuple) else ():
        checked_step(step, order.network_steps)
    check_place(place, force=order.force)
    check_one(place, seeds)
    if place.what == "folder" and place.path is not None:
        check_outside(place.path, order.source)
    check_pictures(order.source)
    source = open_source(order.source, size=opt.read_size(order.size, option="--size"))
    corpus, label = source.corpus, opt.read_label(order.label)
    tell_notes(source.notes)
    check_free(place, form_of_network({}, corpus.images), seeds, force=order.force)
    if order.at is not None:
        check_pixel(*order.at, corpus.size)
    if order.by is not None:
        corpus.values(order.by)
    kind = opt.read_machine(order.machine)
    tried = kind(corpus, scales=1 if kind.has_windows else None, label=label)
    network = open_network(
        order.network,
        corpus,
        label=label,
        padding=order.padding,
        predicts=order.predicts,
        clock=order.clock,
        device=order.device,
    )
    tell_notes(network.notes)
    chosen = order.schedule or network.schedule
    levels = named_schedule(chosen) if isinstance(chosen, str) else chosen
    for denoiser in (tried, network.machine):
        check_answers(denoiser, levels, order.network_steps, corpus)
    with network_threads(order.threads):
        found = _scales(order, corpus, label, network.machine, levels, seeds, fit_seeds)
    sampler = DDIM(kind(corpus, scales=found.scales, label=label), steps=order.network_steps, schedule=levels)
    return Ready(seeds, place, source, network, sampler, (*source.notes, *network.notes, *found.notes))


def _scales(
    order: NetworkOrder,
    corpus: ImageCorpus,
    label: str | None,
    network: Denoiser,
    levels: Schedule,
    seeds: Sequence[int],
    fit_seeds: Sequence[int],
) -> ScalesFound:
    """The machine's patch sizes: fitted to the network, or as for any machine."""
    # Sizes belong to levels of equal noise, whatever the schedule; one without a name is calibrated along cosine.
    schedule = levels.name if levels.name in SCHEDULES else "cosine"
    if order.scales != "network" or not opt.has_patches(order.machine):
        wanted = read_scales(order.scales, machine=order.machine, schedule=schedule)
        return find_scales(
            wanted,
            corpus,
            machine=order.machine,
            schedule=schedule,
            label=label,
            output_size=None,
            progress=progress(),
        )
    notes = (
        f"patch sizes fitted to the network with {counted(len(fit_seeds), 'seed')}, so that the machine has seen of it "
        "how far it looks",
        *fit_note(seeds, fit_seeds),
    )
    tell_notes(notes)
    found = fit_scales(
        network,
        order.machine,
        corpus,
        seeds=fit_seeds,
        steps=order.network_steps,
        schedule=levels,
        label=label,
        progress=progress(),
    )
    return ScalesFound(found.scales, notes)


def _place(order: NetworkOrder) -> Place:
    """What is written: what -o says, or a folder beside the network's file."""
    asks = order.at is not None or order.by is not None
    file = Path(order.network)
    beside = file.with_name(file.stem) if file.name and file.exists() else Path(order.network.replace(":", "."))
    return place_of(beside, order.out, asks=asks)
