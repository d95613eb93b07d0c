"""A prediction as a person asks for it: source, network, predictors and folder, and the work in its order."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smalti.cli import options as opt
from smalti.cli.networks import OpenedNetwork, check_answers, fit_note, network_threads, open_network
from smalti.cli.predict_files import PIECES, begun, check_folder, write_results
from smalti.cli.predict_words import out_of_range, undefined
from smalti.cli.scales import read_calibration
from smalti.cli.sources import Source, check_pictures, open_source
from smalti.cli.terminal import tell_notes
from smalti.errors import UsageError
from smalti.networks import named_predictors, predict
from smalti.networks.named import parsed_name
from smalti.networks.predicted import Case, prediction_record
from smalti.networks.predicted.names import parts
from smalti.noise import Schedule
from smalti.noise import schedule as named_schedule
from smalti.progress import Progress
from smalti.sampling.ddim import checked_seeds
from smalti.sampling.request import versions_in_use
from smalti.window import NAMED_SCALES, Scales

BASELINE = "ideal"
_FORMAT = "smalti.prediction/1"
_FOUND = ("network", "auto")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asks of `predict`: an entry means what the option of its name does; sizes are (height, width)."""

    source: str
    out: Path
    network: str
    padding: str | None
    predicts: str | None
    clock: str | None
    device: str
    seeds: tuple[int, ...]
    size: tuple[int, int] | None
    label: str | None
    machine: str
    scales: tuple[str, ...]
    predictors: tuple[str, ...]
    fit_seeds: tuple[int, ...]
    steps: int
    network_steps: tuple[int, ...]
    schedule: str | None
    batch: int
    threads: int | None
    resume: bool
    parquet: bool
    command: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Predicted:
    """A finished prediction.

    Attributes:
        case: the prediction.
        record: the content of prediction.json.
        paths: its files, each with what it holds.
        pictures: number of pictures that predictors use.
    """

    case: Case
    record: Mapping[str, Any]
    paths: list[tuple[str, str]]
    pictures: int


def carry_out(order: Order, *, progress: Progress) -> Predicted:
    """Opens source and network, finds patch sizes, predicts, and writes the results; notes go to standard error.

    Raises:
        InputError, UsageError: what was asked for cannot be done.
    """
    check_pictures(order.source)
    names = names_of(order)
    seeds = checked_seeds(order.seeds)
    check_folder(order.out, order.source, resume=order.resume)
    if order.parquet:
        from smalti.receipts.tables import check_table_name

        check_table_name("rows.parquet")
    opened = open_source(order.source, size=order.size)
    tell_notes(opened.notes)
    network = open_network(
        order.network,
        opened.corpus,
        label=order.label,
        padding=order.padding,
        predicts=order.predicts,
        clock=order.clock,
        device=order.device,
    )
    notes = list(network.notes)
    # One in Python may have been made for a label, and its predictors are then made from its pictures.
    if order.label is None:
        order = replace(order, label=getattr(network.machine, "label", None))
    if order.label is not None:
        opened.corpus.places_of(order.label)
    if any(name.endswith(":network") for name in names):
        notes.extend(fit_note(seeds, order.fit_seeds))
    tell_notes(notes)
    schedule = order.schedule or network.schedule
    levels = named_schedule(schedule) if isinstance(schedule, str) else schedule
    given = _given(order, levels)
    with network_threads(order.threads):
        for count in sorted({order.steps, *order.network_steps}):
            check_answers(network.machine, levels, count, opened.corpus)
        return _work(order, opened, network, names, given, levels, notes, progress)


def names_of(order: Order) -> tuple[str, ...]:
    """Names of the predictors: the machine with each choice of patch sizes, the baseline, and the others.

    Raises:
        UsageError: a machine without patch sizes is given some, or there is no such predictor.
    """
    if opt.has_patches(order.machine):
        machines = tuple(f"{order.machine}:{words}" for words in order.scales or _FOUND)
    elif order.scales:
        raise UsageError(f"the {order.machine} machine compares whole pictures and takes no --scales: leave it out")
    else:
        machines = (order.machine,)
    words = {*order.scales, *(words for name in order.predictors if (words := parts(name)[1]) is not None)}
    others = (parsed_name(name, words) for name in order.predictors)
    whole = (kind if scales is None else f"{kind}:{scales}" for kind, scales in others)
    return tuple(dict.fromkeys((*machines, BASELINE, *whole)))


def _given(order: Order, levels: Schedule) -> dict[str, Scales]:
    """The patch sizes that words or files say.

    Raises:
        UsageError: the words have no meaning.
        InputError: a file cannot be read, or holds no patch sizes.
    """
    found = {}
    of_others = (parts(name)[1] for name in order.predictors)
    for words in dict.fromkeys((*order.scales, *(words for words in of_others if words is not None))):
        if words in _FOUND:
            continue
        if words in NAMED_SCALES:
            found[words] = Scales.named(words)
        elif re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6})*", words):
            found[words] = Scales.listed(map(int, words.split(",")), schedule=levels)
        elif words.lower().endswith(".json"):
            found[words] = read_calibration(Path(words)).scales
        else:
            raise UsageError(
                f"patch sizes {words!r} have no meaning: give network, auto, {', '.join(NAMED_SCALES)}, odd numbers "
                "from the lowest noise up, such as 3,3,5,9, or a .json file that 'smalti calibrate' or 'smalti "
                "predict' wrote"
            )
    return found


def _work(
    order: Order,
    opened: Source,
    network: OpenedNetwork,
    names: tuple[str, ...],
    given: Mapping[str, Scales],
    levels: Schedule,
    notes: list[str],
    progress: Progress,
) -> Predicted:
    corpus, keep = opened.corpus, order.out / PIECES
    digest = getattr(network.machine, "digest", "") or _identity(order)
    settings: dict[str, Any] = {
        "source": opened.place,
        "corpus_digest": corpus.digest,
        "label": order.label,
        "network": network.place,
        "network_digest": digest,
        "predicts": order.predicts,
        "clock": order.clock,
        "device": order.device,
        "machine": order.machine,
        "schedule": levels.name,
        "steps": order.steps,
        "network_steps": sorted({order.steps, *order.network_steps}),
        "seeds": list(order.seeds),
        "fit_seeds": list(order.fit_seeds),
        "size": list(corpus.size),
        "times": [level.time for level in levels.grid(order.steps)],
    }
    # Those that take no search for patch sizes, so that what can be refused is refused before any search.
    searched = [name for name in names if parsed_name(name, given)[1] in _FOUND]
    common: dict[str, Any] = {"schedule": levels, "label": order.label, "given": given}
    quick = [name for name in names if name not in searched]
    denoisers = dict(named_predictors(network.machine, corpus, quick, **common).denoisers)
    for denoiser in denoisers.values():
        check_answers(denoiser, levels, order.steps, corpus)
    with begun(order.out, settings):
        scales: dict[str, str] = {}
        if searched:
            made = named_predictors(
                network.machine,
                corpus,
                searched,
                **common,
                fit_seeds=order.fit_seeds,
                steps=order.steps,
                batch=order.batch,
                keep=keep,
                network_id=digest,
                progress=progress,
            )
            denoisers |= made.denoisers
            for name, calibration in made.scales.items():
                assert not isinstance(calibration, Scales)
                scales[f"scales-{name.replace(':', '-')}.json"] = calibration.to_json()
        found = predict(
            network.machine,
            {name: denoisers[name] for name in names},
            seeds=order.seeds,
            steps=order.steps,
            network_steps=order.network_steps,
            schedule=levels,
            batch=order.batch,
            keep=keep,
            network_id=digest,
            progress=progress,
        )
        machines = names[: names.index(BASELINE)] or (BASELINE,)
        case = Case(found, network.machine.name, machines, BASELINE)
        odd = [*out_of_range(case), *undefined(case)]
        tell_notes(odd)
        record = {
            "format": _FORMAT,
            "settings": settings,
            "corpus": {"items": len(corpus), "channels": corpus.channels, "size": list(corpus.size)},
            "network": {"name": network.machine.name, **network.about},
            "versions": versions_in_use() | _torch_version(),
            "notes": [*opened.notes, *notes, *odd],
            "command": list(order.command),
            **prediction_record(case),
        }
        paths = write_results(order.out, case, record, scales=scales, parquet=order.parquet)
        used = len(corpus) if order.label is None else len(corpus.places_of(order.label))
        return Predicted(case, record, paths, used)


def _identity(order: Order) -> str:
    """What tells a network in Python from others: its name, how it is asked, and the file of its module where there is
    one.
    """
    file = getattr(sys.modules[order.network.partition(":")[0]], "__file__", None)
    content = b"" if file is None else Path(file).read_bytes()
    asked = json.dumps([order.network, order.predicts, order.clock])
    return hashlib.sha256(asked.encode() + content).hexdigest()


def _torch_version() -> dict[str, str]:
    torch: Any = sys.modules.get("torch")
    return {} if torch is None else {"torch": str(torch.__version__)}
