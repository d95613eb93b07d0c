"""New texts from a source of texts, as a run folder: what `smalti generate` does with texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smalti.calibration.text import read_text_settings
from smalti.cli.generate_options import DEFAULT_TOP_P, beginning, other_tokens, read_radius, read_similar, template_of
from smalti.cli.holders import remember_use
from smalti.cli.sources import check_outside
from smalti.cli.terminal import columns, counted, one_line, say, tell_notes, took
from smalti.corpus.decode import shown
from smalti.corpus.sources import open_text, place_of
from smalti.errors import InputError, UsageError
from smalti.machines import TextMachine
from smalti.progress import Progress
from smalti.sampling import RunRecord, TextRequest, TextSettings, write_run
from smalti.sampling.ddim import checked_seeds
from smalti.sampling.text_request import ALL_TEXTS, text_name
from smalti.sampling.text_settings import MASKING
from smalti.sampling.truncation import Truncation

_LINES_SHOWN, _LONGEST_LINE, _TEXTS_SHOWN = 12, 400, 4


@dataclass(frozen=True, kw_only=True)
class TextOrder:
    """What a person asks of `generate` for texts: an entry means what the option of its name does; None: its default.

    `sampler` and `truncation` hold the options of `TextSettings` and `Truncation`.
    """

    source: str
    out: Path
    seeds: tuple[int, ...]
    length: int | None = None
    after: str | None = None
    prompt: str | None = None
    infill: str | None = None
    tokens: str | None = None
    noise: str | None = None
    radius: str | None = None
    similar: str | None = None
    jump: float | None = None
    settings: str | None = None
    sampler: Mapping[str, Any] = field(default_factory=dict)
    truncation: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 16
    existing: Literal["refuse", "resume"]
    command: tuple[str, ...]


@dataclass(frozen=True)
class MadeTexts:
    """A finished run of texts, the machine that made it, and the texts."""

    record: RunRecord[TextRequest]
    machine: TextMachine
    texts: tuple[str, ...]


def carry_out_texts(order: TextOrder, *, progress: Progress) -> MadeTexts:
    """Opens the source and carries the run out; notes go to standard error.

    Raises:
        InputError, UsageError: what was asked for cannot be done.
    """
    checked_seeds(order.seeds)
    if order.existing == "refuse" and (order.out / "run.json").exists():
        raise InputError(
            f"'{shown(order.out)}' holds a run already: choose another folder, or add --resume to finish that run"
        )
    given = _machine_settings(order)
    noise = given.get("noise", "hybrid")
    drawing: dict[str, Any] = {name: value for name, value in order.truncation.items() if value is not None}
    if not drawing and noise in MASKING:
        drawing = {"top_p": DEFAULT_TOP_P}
    sampler = TextSettings.for_noise(noise, truncation=Truncation(**drawing), **order.sampler)
    check_outside(order.out, order.source)
    corpus = open_text(order.source)
    tell_notes(corpus.notes)
    machine = TextMachine(corpus, **given)
    after = order.after
    if after is None:
        after = beginning(corpus) if order.prompt is None and order.infill is None else ""
    template = template_of(
        machine.tokenizer, after=after, length=order.length, prompt=order.prompt, infill=order.infill
    )
    notes = _notes(machine, template.gaps)
    tell_notes(notes)
    request = TextRequest.of(
        machine,
        np.array(template.row, np.int32),
        context=template.context,
        sampler=sampler,
        source=place_of(order.source),
        seeds=order.seeds,
        notes=(*corpus.notes, *notes),
        command=order.command,
    )
    # Before the run, so that a stopped one is remembered too.
    tell_notes(remember_use("run", order.out, source=order.source, digest=corpus.digest))
    record = write_run(order.out, request, machine, existing=order.existing, batch=order.batch, progress=progress)
    texts = tuple((order.out / text_name(seed)).read_bytes().decode() for seed in order.seeds)
    return MadeTexts(record, machine, texts)


def tell_texts(folder: Path, made: MadeTexts, *, seconds: float) -> None:
    """Says what was made, for people: the texts, then where they are."""
    request, machine = made.record.request, made.machine
    shown_texts = list(zip(request.seeds, made.texts, strict=True))[:_TEXTS_SHOWN]
    for seed, text in shown_texts:
        say(f"seed {seed}")
        tell_lines(text)
        say("")
    say(
        f"{counted(len(request.seeds), 'text')} of {counted(len(request.template) - request.context, 'token')} "
        f"({machine.tokenizer.name}) from {counted(len(machine.corpus), 'document')} of "
        f"{counted(machine.corpus.characters, 'character')} in all, {machine.noise} noise, radius {_radius(machine)}, "
        f"{took(seconds)}"
    )
    say(columns(text_paths(folder, request.seeds)))


def tell_lines(text: str) -> None:
    """Shows the first lines of a text, each cut where it gets long."""
    lines = text.split("\n")
    for line in lines[:_LINES_SHOWN]:
        rest = f" ... {len(line) - _LONGEST_LINE:,} more characters" if len(line) > _LONGEST_LINE else ""
        say(f"  {one_line(line[:_LONGEST_LINE])}{rest}".rstrip())
    if len(lines) > _LINES_SHOWN:
        more = len(lines) - _LINES_SHOWN
        say(f"  ... {more:,} more line{'' if more == 1 else 's'}")


def text_summary(folder: Path, made: MadeTexts) -> dict[str, Any]:
    """A finished run for programs: the texts, every path, and the content of run.json."""
    absolute, request = folder.absolute(), made.record.request
    return {
        "folder": shown(absolute),
        "texts": [
            {"seed": seed, "file": shown(absolute / text_name(seed)), "text": text}
            for seed, text in zip(request.seeds, made.texts, strict=True)
        ],
        "after": made.machine.tokenizer.decode(request.template[: request.context]),
        "all": shown(absolute / ALL_TEXTS),
        "trace": shown(absolute / "trace.safetensors"),
        "record": shown(absolute / "run.json"),
        "run": json.loads((folder / "run.json").read_bytes()),
    }


def text_paths(folder: Path, seeds: tuple[int, ...]) -> list[tuple[str, str]]:
    """The paths of a run, each with what it holds."""
    first, last = (shown(folder / text_name(seed)) for seed in (seeds[0], seeds[-1]))
    singles = first if len(seeds) == 1 else f"{first}{',' if len(seeds) == 2 else ' ...'} {last}"
    return [
        (singles, "a text for each seed"),
        (shown(folder / ALL_TEXTS), "all of them"),
        (shown(folder / "trace.safetensors"), "every token in its order, exactly"),
        (shown(folder / "run.json"), "all that decided the result"),
    ]


def _machine_settings(order: TextOrder) -> dict[str, Any]:
    """Arguments for the machine: those of a file of settings, and the options, which come first."""
    given = {}
    if order.settings is not None:
        given = read_text_settings(Path(order.settings))
        tell_notes(other_tokens(order.settings, given, order.tokens))
    radius = read_radius(order.radius)
    options = {
        "tokens": order.tokens,
        "noise": order.noise,
        "radius": radius,
        "similar": read_similar(order.similar),
        "jump": order.jump,
    }
    given |= {name: value for name, value in options.items() if value is not None}
    if radius is not None:
        # What back-off sees has no radius of its own on the command line: it is not larger than any other.
        largest = max(radius) if isinstance(radius, tuple) else radius
        given["back_off_radius"] = min(largest, given.get("back_off_radius", TextMachine.back_off_radius))
    if given.get("noise") != "structured":
        for name in ("similar", "jump"):
            if getattr(order, name) is not None:
                raise UsageError(f"--{name} is for --noise structured: leave it out, or choose that noise")
    return given


def _notes(machine: TextMachine, gaps: Sequence[int]) -> tuple[str, ...]:
    notes: list[str] = []
    longest = int(machine.symbols.lengths.max())
    if max(gaps) > longest:
        notes.append(
            f"{max(gaps):,} tokens in a row are to be written, and the longest document has {longest:,}: no document "
            "can give them all"
        )
    if machine.vocabulary == 1:
        notes.append("the corpus has only one token, so that there is one text of each length")
    if machine.noise == "structured":
        notes += _likeness_notes(machine)
    return tuple(notes)


def _likeness_notes(machine: TextMachine) -> list[str]:
    """What a person should know of which tokens turn into which."""
    alone = int((machine.jumps.near.diagonal() == 1.0).sum())
    many = f"{alone:,} of {counted(machine.vocabulary, 'token')}"
    notes = (
        [f"{many} {'is' if alone == 1 else 'are'} like no other: noise turns them into any token alike"]
        if alone
        else []
    )
    if machine.table is not None:
        known = {machine.tokenizer.decode([symbol]) for symbol in range(machine.vocabulary)}
        unknown = [name for name in machine.table.tokens if name not in known]
        if unknown:
            which = repr(unknown[0]) if len(unknown) == 1 else f"{len(unknown):,} tokens such as {unknown[0]!r}"
            notes.append(f"the texts do not have {which} of the table of rates")
    return notes


def _radius(machine: TextMachine) -> str:
    return "..".join(map(str, machine.radius)) if isinstance(machine.radius, tuple) else str(machine.radius)
