"""`smalti explain SOURCE --network MODEL`: a network draws a picture, and a machine takes it apart along the way."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smalti.cli import options as opt
from smalti.cli.explain_files import Writer, check_free
from smalti.cli.explain_forms import form_of_network, most_sources
from smalti.cli.explain_network_order import NetworkOrder, Ready, open_all
from smalti.cli.explain_words import Wording, answer_of, lines_of_total, lines_under, total_of
from smalti.cli.failures import StoppedError
from smalti.cli.holders import remember_use
from smalti.cli.networks import network_threads
from smalti.cli.terminal import columns, one_line, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.corpus.pixels import shown_size
from smalti.networks.comparison import agreement
from smalti.networks.receipt import GREY_LEVELS, WALKS, NetworkReceipt, one_receipt
from smalti.networks.receipt_record import agreement_record, identity, network_record
from smalti.progress import Progress, Task
from smalti.receipts.record import plan
from smalti.sampling.ddim import pixels_of
from smalti.sampling.request import versions_in_use

_WORDS = Wording(last="the last", weight="Weight of the machine (not of the network)")


def explain_network(order: NetworkOrder) -> None:
    """Draws pictures with the network, takes them apart with the machine, and says what was found.

    Raises:
        InputError, UsageError: what was asked for cannot be done.
    """
    started = time.monotonic()
    with opt.threads_in_use(order.threads):
        ready = open_all(order)
        with network_threads(order.threads):
            answers, writer, notes, middle = _explained(order, ready, progress())
    total = total_of(answers) if order.by is not None and len(answers) > 1 else None
    place, seconds = ready.place.path, time.monotonic() - started
    if order.as_json:
        written = {} if place is None else {"place": shown(place.absolute()), "files": list(writer.files)}
        together = {} if total is None else {"total": total}
        median = {} if middle is None else {"median_r": middle}
        say_json(
            {**written, "seeds": answers, **together, **median, "notes": list(notes), "seconds": round(seconds, 3)}
        )
        return
    tell_notes(notes)
    for answer in answers:
        for line in _lines(answer, ready, order.network):
            say(one_line(line))
    if total is not None:
        for line in lines_of_total(total, _WORDS):
            say(one_line(line))
    if middle is not None:
        say(
            f"Median r of {len(answers)} seeds: {middle['value']:.3f}, 95 % interval {middle['low']:.3f} to "
            f"{middle['high']:.3f}"
        )
    if place is not None:
        say(f"Written in {took(seconds)}")
        say(columns(writer.files_said()))


def _explained(
    order: NetworkOrder, ready: Ready, bar: Progress
) -> tuple[list[dict[str, Any]], Writer, tuple[str, ...], dict[str, float] | None]:
    """What is said of each seed, the files that were written, notes, and the median of r where there are several."""
    machine, place = ready.machine, ready.place
    identified = identity(ready.network.machine, ready.sampler, place=ready.network.place)
    run = {
        "corpus_digest": machine.corpus.digest,
        "machine": machine.name,
        "label": machine.label,
        "size": list(machine.corpus.size),
        "network": identified,
    }
    form = form_of_network(run, machine.corpus.images)
    beside = check_free(place, form, ready.seeds, force=order.force)
    if place.path is not None:
        tell_notes(remember_use("report", place.path, source=order.source, digest=machine.corpus.digest))
    writer = Writer(place, form, seeds=len(ready.seeds), beside=beside)
    answers: list[dict[str, Any]] = []
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    notes: dict[str, None] = {}

    def answered(found: NetworkReceipt, task: Task) -> dict[str, Any]:
        receipt = found.receipt
        common: dict[str, Any] = {"by": order.by, "at": order.at, "steps": asked, "top": order.top}
        if not writer.writes:
            answer = answer_of(receipt, None, **common, tick=task.advance)
        else:
            chosen = plan(receipt, steps=kept, top=order.top, most=most_sources(writer.together))
            made = network_record(
                found,
                chosen,
                network=identified,
                about=ready.network.about,
                source=ready.source.place,
                versions=versions_in_use(),
                notes=ready.notes,
                tick=task.advance,
            )
            answer = answer_of(receipt, made, **common)
            writer.add(made)
            notes.update(dict.fromkeys(chosen.notes))
        _add_pixels(found, answer.get("pixel", ()))
        return {**answer, "network": {"name": found.name, **agreement_record(found)}}

    kept: Any = "all" if order.steps is None else order.steps
    count = len(ready.sampler.levels)
    asked = _asked(order.steps, count)
    # A plan may leave steps out later, and then the work ends a little early.
    each = WALKS * count + (len(asked) if not writer.writes else count if kept == "all" else len({*asked, count - 1}))
    try:
        with bar.task("drawing and explaining", each * len(ready.seeds)) as task:
            for seed in ready.seeds:
                found = one_receipt(
                    ready.network.machine, machine, seed, steps=count, schedule=ready.sampler.schedule, task=task
                )
                answers.append(answered(found, task))
                pairs.append((found.own.mean, found.network[-1]))
        writer.finish()
    except KeyboardInterrupt:
        raise StoppedError(writer.what_is_left()) from None
    middle = _middle(pairs, ready.seeds)
    return answers, writer, (*notes, *writer.notes), middle


def _middle(pairs: Sequence[tuple[np.ndarray, np.ndarray]], seeds: Sequence[int]) -> dict[str, float] | None:
    """The median of r over several seeds with its interval; None where there is none."""
    if len(pairs) < 2:
        return None
    own, others = (np.stack(pictures) for pictures in zip(*pairs, strict=True))
    median = agreement(own, others, seeds).median("r")
    found = {"value": median.value, "low": median.low, "high": median.high}
    return None if any(map(math.isnan, found.values())) else found


def _add_pixels(found: NetworkReceipt, pixels: Iterable[dict[str, Any]]) -> None:
    """Adds what the network said to what the machine says of a pixel at some steps."""
    for pixel in pixels:
        mean = found.network[pixel["step"], pixel["y"], pixel["x"]]
        apart = found.differences[pixel["step"], pixel["y"], pixel["x"]]
        pixel["network"] = {"value": pixels_of(mean).tolist(), "mean": mean.tolist(), "difference": float(apart)}


def _lines(answer: Mapping[str, Any], ready: Ready, place: str) -> Iterable[str]:
    """The answer in words: how far to trust it comes first."""
    machine, network = ready.machine, answer["network"]
    last = len(ready.sampler.levels) - 1
    title = (
        f"Seed {answer['seed']}: {shown_size(machine.corpus.size)} pixels, drawn by {network['name']} of "
        f"'{shown(Path(place))}', taken apart by the {machine.name} machine"
    )
    first, *lines = lines_under(title, answer, last=last, items=len(machine.items), words=_WORDS)
    yield first
    trust, along = network["trust"], network["along"]["r"]
    squared = "" if trust["r"] is None else f", r² {_r(trust['r_squared'])}"
    apart = GREY_LEVELS * math.sqrt(trust["mse"])
    yield (
        f"Trust: r {_r(trust['r'])}{squared}, {apart:.1f} grey levels (root mean square) between the picture that the "
        "machine draws alone from this noise and the network's; the weights are the machine's, and explain the "
        "network's picture only that far"
    )
    at = ", ".join(f"{_r(along[step])} at step {step}" for step in sorted({0, last // 2, last}))
    yield (
        f"At the network's own states the two estimates have r {at}; at the last steps this says little, since the "
        "state is almost clean"
    )
    yield from lines


def _r(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _asked(steps: Any, count: int) -> Sequence[int]:
    """The steps that are answered."""
    if steps == "all":
        return range(count)
    return (count - 1,) if steps is None or steps == "last" else steps
