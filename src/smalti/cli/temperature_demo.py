"""`smalti temperature --demo`: does the meter find temperatures that were hidden in real servers on this machine?

For each hidden noise a `smalti serve` of its own is started on a loopback address, measured over HTTP as any other
endpoint is, and ended. The noise has a seed and requests go out one at a time, so the demo finds the same each time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalti.cli.failures import StoppedError
from smalti.cli.temperature_files import RESULT, write_results
from smalti.cli.terminal import columns, progress, say, say_json, took
from smalti.corpus.decode import shown
from smalti.errors import InputError
from smalti.progress import SILENT, Progress, Task
from smalti.sampling.files import is_leftover, write_file
from smalti.temperature.analysis import analyse
from smalti.temperature.backoff import Clocks
from smalti.temperature.client import Endpoint
from smalti.temperature.curves import Asked
from smalti.temperature.noise import parse_noise
from smalti.temperature.plan import Plan
from smalti.temperature.prompts import Prompt
from smalti.temperature.record import Recording
from smalti.temperature.references import default_references
from smalti.temperature.reply import Dialect
from smalti.temperature.report import Trial, trials_page
from smalti.temperature.report.words import PROTOCOLS, estimate
from smalti.temperature.runner import measure

__all__ = ["FULL", "SHORT", "Trials", "carry_out_trials", "summary", "tell_trials", "temperature_demo"]

_PAGE = "index.html"
_CORPUS = "python-manual"
_PROGRAM = (sys.executable, "-c", "import sys; from smalti_program import main; sys.exit(main())")
_PATIENCE = 20.0  # seconds that a server may take to end before it is killed

# Beginnings that the manual knows, each with another end: the machine sees no more than the last characters.
_PROMPTS = (
    *(
        "A function definition",
        "The value of the attribute",
        "Names are bound by",
        "If the operands",
        "An exception is",
    ),
    *("When the loop", "The import machinery", "Class objects", "A generator expression", "Note that unlike"),
    *("The syntax of literals", "String concatenation", "Comparisons between", "The method resolution"),
    *("A with statement", "Mutable sequences", "Unless otherwise", "Implementation detail", "For example, the"),
    *("The finally clause", "Default parameter", "An empty tuple", "Each module", "Coroutine objects"),
)


@dataclass(frozen=True)
class Trials:
    """What is tried.

    Attributes:
        noises: hidden noises, one server each.
        prompts: how many prompts.
        repeats: answers to each.
        max_tokens: tokens of an answer.
        references: whether references are asked too, for the matched and the published protocol.
    """

    noises: tuple[str, ...]
    prompts: int
    repeats: int
    max_tokens: int
    references: bool


FULL = Trials(("none", "gumbel:0.01", "gumbel:0.03", "gumbel:0.1"), 12, 16, 24, True)
SHORT = Trials(("none", "gumbel:0.03"), 10, 10, 24, False)


def temperature_demo(out: Path | None, *, seed: int, as_json: bool) -> None:
    """The whole demo, and what it says.

    Args:
        out: folder for the measurements and pages; None keeps nothing.
        seed: of the hidden noise and of the analysis.
        as_json: one JSON object in place of the table.

    Raises:
        InputError: a server cannot be started, or the folder holds something else.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if out is None else out
        try:
            trials = carry_out_trials(folder, FULL, seed=seed, progress=progress())
        except KeyboardInterrupt:
            kept = "" if out is None else f"; '{shown(out)}' keeps what was answered: repeat the command to go on"
            raise StoppedError(f"stopped{kept}") from None
    seconds = time.monotonic() - started
    if as_json:
        say_json(summary(trials, out) | {"seconds": round(seconds, 3)})
        return
    say("Servers on this machine answered at temperature 0, each with noise on its logits that it did not tell:")
    tell_trials(trials, out)
    say(f"Finished in {took(seconds)}")


def summary(trials: Sequence[Trial], out: Path | None) -> dict[str, Any]:
    """The trials as values that JSON can hold; `out` is None where nothing was kept."""
    found = [{"hidden": trial.hidden, "noise": trial.noise, "result": trial.result} for trial in trials]
    return {"folder": None if out is None else shown(out.absolute()), "trials": found}


def tell_trials(trials: Sequence[Trial], out: Path | None) -> None:
    """Says what was hidden, what was found, and where it is kept; `out` is None where nothing was."""
    protocols = [name for name in PROTOCOLS if any(trial.estimate(name) for trial in trials)]
    rows = [("hidden", *protocols)]
    rows += [(trial.noise, *(estimate(trial.estimate(name)) for name in protocols)) for trial in trials]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if out is None:
        say("Nothing was kept; add -o OUT to keep the measurements, with a page of each.")
    else:
        say(columns([(shown(out / _PAGE), "a page of all, with one of each measurement")]))


def carry_out_trials(out: Path, trials: Trials, *, seed: int = 0, progress: Progress = SILENT) -> list[Trial]:
    """Measures one server for each hidden noise, all at the same time, and writes a page of each and of all.

    What an earlier run finished in the folder is kept, and what it began goes on.

    Args:
        out: the folder, which may be new.
        trials: what is tried.

    Keyword Args:
        seed: of the hidden noise and of the analysis.
        progress: where progress is shown.

    Raises:
        InputError: a server cannot be started, or the folder holds something else.
    """
    names = [noise.replace(":", "-") for noise in trials.noises]
    _check_folder(out, names)
    folders = [out / name for name in names]
    missing = [k for k, folder in enumerate(folders) if not (folder / RESULT).exists()]
    if missing:
        recordings = _measured({folders[k]: trials.noises[k] for k in missing}, trials, seed, progress)
        references = Asked(default_references() if trials.references else ())
        for folder, recording in recordings.items():
            found = analyse(recording, references=references, seed=seed, progress=progress)
            write_results(folder, found.to_json(), None)
    tried = [
        Trial(
            hidden=parse_noise(noise).equivalent_temperature,
            noise=noise,
            result=json.loads((folder / RESULT).read_text(encoding="utf-8")),
            page=f"{folder.name}/report.html",
        )
        for noise, folder in zip(trials.noises, folders, strict=True)
    ]
    content = trials_page(tried).encode()
    if not (out / _PAGE).exists() or (out / _PAGE).read_bytes() != content:
        write_file(out / _PAGE, content)
    return tried


def _measured(noises: Mapping[Path, str], trials: Trials, seed: int, progress: Progress) -> dict[Path, Recording]:
    """What servers with these noises answer, by the folders in which it is kept; all are asked at the same time."""
    clocks = Clocks()
    asked = trials.prompts * trials.repeats * len(noises)
    with progress.task("measuring local servers", asked) as task, ThreadPoolExecutor(len(noises)) as pool:
        shared = _Shared(task)
        work = {
            folder: pool.submit(_answers, folder, noise, trials, seed, clocks, shared)
            for folder, noise in noises.items()
        }
        try:
            # One that failed is asked for first, so that its failure is told and not what followed from it.
            done, rest = wait(work.values(), return_when=FIRST_EXCEPTION)
            for one in (*done, *rest):
                one.result()
        except BaseException:
            # Nobody waits for answers any more; those that came are kept.
            clocks.stop.set()
            raise
    return {folder: one.result() for folder, one in work.items()}


def _answers(folder: Path, noise: str, trials: Trials, seed: int, clocks: Clocks, progress: Progress) -> Recording:
    """What a server with this noise answers; earlier answers included."""
    prompts = [Prompt.of(f"{text} ") for text in _PROMPTS[: trials.prompts]]
    plan = Plan(prompts=len(prompts), repeats=trials.repeats, seed=seed)
    dialect = Dialect(api="completions", max_tokens=trials.max_tokens, alternatives=20)
    name = f"hidden noise {noise}"
    with _served(noise, seed, name) as url:
        system = _Local(url, model=name, dialect=dialect)
        return measure(folder, system, prompts, plan, existing="resume", clocks=clocks, progress=progress)


class _Local(Endpoint):
    """A server on this machine, by what it hides: its port is another one each time."""

    @property
    def about(self) -> dict[str, str]:
        return super().about | {"endpoint": "a server on this machine"}


@contextlib.contextmanager
def _served(noise: str, seed: int, name: str) -> Iterator[str]:
    """The address of a `smalti serve` with hidden noise, which ends with the block.

    Raises:
        InputError: it did not start; with what it said.
    """
    words = ("serve", _CORPUS, "--port", "0", "--name", name, "--hidden-noise", noise, "--noise-seed", str(seed))
    command = (*_PROGRAM, *words, "--threads", "1", "--json")
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with server:
        try:
            assert server.stdout is not None
            assert server.stderr is not None
            said = "".join(_until_brace(server.stdout))
            if not said:
                why = server.stderr.read().strip().removeprefix("smalti: ").removesuffix(".") or "it said nothing"
                raise InputError(f"a local server did not start ({why}): see that `smalti serve` works here")
            yield json.loads(said)["url"]
        finally:
            server.terminate()
            killer = threading.Timer(_PATIENCE, server.kill)
            killer.start()
            server.communicate()
            killer.cancel()


def _until_brace(lines: Iterator[str]) -> Iterator[str]:
    """The lines of one JSON object; nothing if the stream ends before it does."""
    read = list[str]()
    for line in lines:
        read.append(line)
        if line.rstrip() == "}":
            yield from read
            return


class _Shared:
    """Progress of several measurements at a time as that of one task."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._lock = threading.Lock()

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        return contextlib.nullcontext(self)

    def advance(self, count: float = 1) -> None:
        with self._lock:
            self._task.advance(count)


def _check_folder(out: Path, names: Sequence[str]) -> None:
    """Refuses a place that holds something else than these trials."""
    if out.exists() and not out.is_dir():
        raise InputError(f"'{shown(out)}' is a file, and the demo needs a folder: choose another place")
    there = {path.name for path in out.iterdir() if not is_leftover(path)} if out.is_dir() else set[str]()
    others = sorted(there - {*names, _PAGE})
    if others:
        raise InputError(
            f"'{shown(out)}' holds files that are not this demo's (such as '{shown(others[0])}'): choose a new folder"
        )
    out.mkdir(parents=True, exist_ok=True)
