"""`smalti temperature`: how much hidden randomness a system has that is asked for none."""

from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smalti.cli import options as opt
from smalti.cli import temperature_options as txt
from smalti.cli.failures import StoppedError
from smalti.cli.terminal import counted, progress, say, say_json, tell, tell_notes, took
from smalti.corpus.decode import shown
from smalti.errors import InputError, UsageError

if TYPE_CHECKING:
    from smalti.cli.temperature_order import Order, Work
    from smalti.temperature.plan import Budget
    from smalti.temperature.references import Reference
    from smalti.temperature.store import Measurement


def temperature(
    context: typer.Context,
    endpoint: txt.EndpointOption = None,
    model: txt.ModelOption = None,
    key_env: txt.KeyEnvOption = None,
    key_header: txt.KeyHeaderOption = None,
    api: txt.ApiOption = None,
    stream: txt.StreamOption = False,
    logprobs: txt.LogprobsOption = None,
    send_seed: txt.SendSeedOption = None,
    fields: txt.FieldsOption = None,
    timeout: txt.TimeoutOption = 60.0,
    callable_: txt.CallableOption = None,
    prompts: txt.PromptsOption = None,
    first: txt.FirstOption = None,
    repeats: txt.RepeatsOption = None,
    max_tokens: txt.MaxTokensOption = None,
    loads: txt.LoadsOption = None,
    blocks: txt.BlocksOption = None,
    pause: txt.PauseOption = None,
    seed: txt.SeedOption = None,
    prices: txt.PricesOption = None,
    yes: txt.YesOption = False,
    references: txt.ReferencesOption = None,
    no_references: txt.NoReferencesOption = False,
    draws: txt.DrawsOption = 2000,
    replay: txt.ReplayOption = None,
    parquet: txt.ParquetOption = False,
    demo: txt.DemoOption = False,
    out: txt.OutOption = None,
    resume: txt.ResumeOption = False,
    threads: opt.ThreadsOption = None,
    as_json: opt.JsonOption = False,
) -> None:
    """Measure how much hidden randomness a system has: its background temperature, with an interval."""
    if demo:
        _check_alone(context, "demo", ("out", "threads", "as_json", "seed"))
        from smalti.cli.temperature_demo import temperature_demo

        with opt.threads_in_use(threads):
            temperature_demo(out, seed=seed or 0, as_json=as_json)
        return
    from smalti.temperature.analysis import analyse

    started = time.monotonic()
    if parquet:
        _check_pyarrow()
    named = [*([] if no_references else [None]), *(references or [])]
    with opt.threads_in_use(threads):
        if replay is not None:
            kept = ("out", "references", "no_references", "draws", "seed", "parquet", "threads", "as_json")
            _check_alone(context, "replay", kept)
            measurement, folder, write = _replayed(replay, out)
            if parquet and not write:
                raise UsageError("--parquet writes a file: say where by -o OUT")
            own = _references(named)
        else:
            from smalti.cli.temperature_order import NO_SYSTEM, Order, read_fields, read_key, read_prices

            if out is None:
                missing = endpoint is None and callable_ is None and not resume
                raise UsageError(
                    NO_SYSTEM if missing else "say where the measurement is kept: -o OUT, a new or empty folder"
                )
            order = Order(
                **{name: context.params[name] for name in _TAKEN},
                out=out,
                key=read_key(key_env),
                loads=tuple(loads or ()),
                fields=read_fields(fields or ()),
                command=tuple(map(shown, context.obj or ())),
            )
            # Before anything is asked, since answers cost money and a name may be wrong.
            own = _references(named)
            measurement = _asked(order, prices=read_prices(prices), yes=yes)
            folder, write = out, True
        recording = measurement.recording()
        seed = measurement.setup.plan.seed if seed is None else seed
        try:
            found = analyse(recording, references=own, draws=draws, seed=seed, progress=progress()).to_json()
        except KeyboardInterrupt:
            if replay is not None:
                raise
            raise StoppedError(
                f"stopped; '{shown(folder)}' keeps every answer: repeat the command with --resume for the result"
            ) from None
        if write:
            from smalti.cli.temperature_files import write_results

            write_results(folder, found, recording if parquet else None)
    seconds = time.monotonic() - started
    if as_json:
        say_json({"folder": shown(folder.absolute()), "result": found, "seconds": round(seconds, 3)})
        return
    from smalti.cli.temperature_files import tell_result

    tell_result(found, folder if write else None)
    say(f"Finished in {took(seconds)}")


_TAKEN = (
    *(
        "endpoint",
        "model",
        "key_header",
        "callable_",
        "api",
        "stream",
        "prompts",
        "first",
        "repeats",
        "blocks",
        "pause",
    ),
    *("max_tokens", "logprobs", "send_seed", "timeout", "seed", "resume"),
)


def _check_alone(context: typer.Context, name: str, allowed: tuple[str, ...]) -> None:
    """Refuses options that mean nothing beside --demo or --replay."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if given is not None and given.name == "COMMANDLINE" and parameter.name not in (name, *allowed):
            raise UsageError(f"{parameter.opts[-1]} means nothing with --{name}: leave one of them out")


def _check_pyarrow() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            "--parquet needs pyarrow, which is not installed: run pip install pyarrow, or leave --parquet out"
        )


def _asked(order: Order, *, prices: tuple[float, float] | None, yes: bool) -> Measurement:
    """The measurement with everything asked that can be."""
    from smalti.cli.temperature_order import learned, work_of
    from smalti.temperature.client import LEARNING
    from smalti.temperature.plan import budget_of
    from smalti.temperature.runner import measure
    from smalti.temperature.store import Measurement

    work = work_of(order)
    plan, dialect = work.plan, work.system.dialect
    if work.measurement is None:
        missing = tuple(r for block in range(plan.blocks) for each in plan.rounds(block) for r in each.requests)
    else:
        missing = work.measurement.missing()
    budget = budget_of(missing, work.prompts, max_tokens=dialect.max_tokens, prices=prices)
    try:
        if missing:
            _confirm(work, budget, yes=yes or dialect.api == "callable")
            work = learned(work)
            if work.measurement is None:
                budget = replace(budget, spare=budget.spare - LEARNING)
            tell_notes(work.system.notes)
        measure(
            order.out,
            work.system,
            work.prompts,
            plan,
            existing="resume" if order.resume else "refuse",
            budget=budget,
            command=order.command,
            progress=progress(),
        )
        return Measurement.opened(order.out)
    except KeyboardInterrupt:
        if not (order.out / "measure.json").exists():
            raise StoppedError("stopped before the first request was answered: repeat the command") from None
        raise StoppedError(
            f"stopped; '{shown(order.out)}' keeps every answer: repeat the command with --resume to ask the rest"
        ) from None


def _confirm(work: Work, budget: Budget, *, yes: bool) -> None:
    """Shows the budget, and asks whether it may be spent.

    Raises:
        StoppedError: it may not.
        UsageError: there is nobody to ask.
    """
    plan = work.plan
    loads = ", ".join(load.name for load in plan.loads)
    tell(
        f"{counted(plan.prompts, 'prompt')}, {counted(plan.repeats, 'repeat')}, {counted(plan.blocks, 'block')}, "
        f"load {loads}: {budget.text}"
    )
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"nobody is here to allow {counted(budget.requests, 'request')}: add --yes to allow them")
    if not typer.confirm("Ask now?", err=True):
        raise StoppedError("nothing was asked, and nothing written")


def _replayed(run: Path, out: Path | None) -> tuple[Measurement, Path, bool]:
    """The measurement in a folder, the folder for what is made of it, and whether that is written."""
    from smalti.cli.temperature_files import RESULT
    from smalti.temperature.store import Measurement, check_free

    measurement = Measurement.opened(run)
    if out is None:
        return measurement, run, False
    if out.resolve() == run.resolve():
        raise InputError(
            f"'{shown(out)}' is the measurement itself, in which --replay changes nothing: choose another folder"
        )
    if (out / RESULT).exists():
        raise InputError(f"'{shown(out)}' holds a result already: choose another folder")
    check_free(out)
    return measurement, out, True


def _references(named: list[str | None]) -> list[Reference]:
    """The references of the matched and the published protocol; None stands for those that come with Smalti."""
    from smalti.corpus.sources import open_text
    from smalti.temperature.references import TextMachineReference, default_references

    own: list[Reference] = []
    for source in named:
        if source is None:
            own += default_references()
            continue
        corpus = open_text(source)
        tell_notes(corpus.notes)
        own.append(TextMachineReference.of_corpus(corpus, source))
    return own
