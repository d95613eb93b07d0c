"""`smalti verify`: a run again, from its record, compared byte for byte."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from smalti.cli import options as opt
from smalti.cli.sources import open_source
from smalti.cli.terminal import one_line, progress, say, say_json, tell_notes, took
from smalti.corpus import BUILTIN, ImageCorpus
from smalti.corpus.decode import shown
from smalti.errors import InputError, SmaltiError
from smalti.machines import Machine
from smalti.sampling import Report, Request
from smalti.sampling import verify as verify_run
from smalti.window import Scales


def verify(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of a finished run; nothing in it is changed.", show_default=False),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="PATH",
            help="Where the pictures are now. Default: where they were.",
            rich_help_panel=opt.PICTURES_IN,
            show_default=False,
        ),
    ] = None,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Make a run again from its record and compare every byte; exit code 1 if any differs."""
    started = time.monotonic()
    with opt.threads_in_use(threads):
        report = verify_run(run, lambda request: recorded_machine(request, source=source), progress=progress())
    seconds = time.monotonic() - started
    if as_json:
        say_json(_summary(report, seconds=seconds))
    else:
        tell_notes(report.versions)
        for difference in report.differences:
            say(one_line(difference.sentence))
        checked, different = len(report.checked), len(report.differences)
        if report.same:
            say(f"same: all {checked} files of '{shown(run)}' came again byte for byte, {took(seconds)}")
        else:
            say(f"different: {different} of {checked} files of '{shown(run)}', {took(seconds)}")
    if not report.same:
        raise typer.Exit(1)


def recorded_machine(request: Request, *, source: str | None) -> Machine:
    """The machine of a recorded run, on its pictures.

    Args:
        request: the record.
        source: where the pictures are now; None: where the record says.

    Raises:
        InputError: the pictures are not there, or are others.
    """
    corpus = _recorded_corpus(request, source=source)
    scales = None
    if request.patch_sizes is not None:
        # Two levels can have one signal-to-noise ratio, where a schedule is flat; their sizes are then the same.
        sizes = {level.log_snr: size for level, size in zip(request.levels, request.patch_sizes, strict=True)}
        scales = Scales(tuple(sizes), tuple(sizes.values()))
    return opt.read_machine(request.machine)(corpus, scales=scales, label=request.label)


def _recorded_corpus(request: Request, *, source: str | None) -> ImageCorpus:
    place = request.source if source is None else source
    if source is None and place not in BUILTIN and not Path(place).exists():
        raise InputError(
            f"the pictures of this run are not at '{shown(place)}' any more: say where they are with --source PATH"
        )
    digest = ""
    for size in (None, request.corpus_size):  # as it is, or made that size
        try:
            corpus = open_source(place, size=size).corpus
        except SmaltiError:
            if size is None:
                continue
            raise
        digest = digest or corpus.digest
        if corpus.digest == request.corpus_digest:
            return corpus
    raise InputError(
        f"the pictures at '{shown(place)}' are not those that this run was made from (digest {digest[:12]}, then "
        f"{request.corpus_digest[:12]}): restore them, or say where they are with --source PATH"
    )


def _summary(report: Report, *, seconds: float) -> dict[str, object]:
    return {
        "folder": shown(report.folder.absolute()),
        "same": report.same,
        "checked": list(report.checked),
        "differences": [{"file": d.file, "kind": d.kind, "sentence": d.sentence} for d in report.differences],
        "versions": list(report.versions),
        "seconds": round(seconds, 3),
    }
