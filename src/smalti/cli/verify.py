"""`smalti verify`: a run again, from its record, compared byte for byte."""

from __future__ import annotations

import time

import typer

from smalti.cli import options as opt
from smalti.cli.terminal import one_line, progress, say, say_json, tell_notes, took
from smalti.corpus.decode import shown
from smalti.sampling import Report, recorded_machine
from smalti.sampling import verify as verify_run


def verify(
    run: opt.RunArgument,
    source: opt.RunSourceOption = None,
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


def _summary(report: Report, *, seconds: float) -> dict[str, object]:
    return {
        "folder": shown(report.folder.absolute()),
        "same": report.same,
        "checked": list(report.checked),
        "differences": [{"file": d.file, "kind": d.kind, "sentence": d.sentence} for d in report.differences],
        "versions": list(report.versions),
        "seconds": round(seconds, 3),
    }
