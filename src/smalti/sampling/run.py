"""Run folders: a request carried out on disk, so that it can be interrupted, resumed, and checked years later.

A finished run folder holds

    run.json                the request with every setting resolved, when it was created, SHA-256 of every other file
    000000.png ...          one file per seed, named by the seed (pictures: PNG, texts: .txt)
    grid.png                the first samples side by side (texts: all.txt, all of them)
    trajectory.png          the way of the first few, from noise (pictures)
    trace.safetensors       what a receipt needs (see `smalti.sampling.trace` and `smalti.sampling.text_trace`)

Of these, only the entry `created` of run.json differs between two runs of the same request with the same versions.
While a run is under way, `.parts` holds one small trace per finished seed. The order of writing is what makes a kill
at any time harmless: first run.json with the status "running"; per seed, its part and then its file; when all are
there, the trace, the overviews, then `.parts` is removed, and last run.json says "done". Every file is written whole
or not at all. Resuming walks the same order and makes what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from smalti.errors import InputError
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import batches
from smalti.sampling.files import claimed, is_leftover, said_plainly, write_file
from smalti.sampling.image_request import Request
from smalti.sampling.request import Output, RunRequest, text_in, versions_in_use
from smalti.sampling.samples import Samples
from smalti.sampling.text_request import TextRequest

__all__ = [
    "Difference",
    "Report",
    "RunRecord",
    "read_run",
    "read_trace",
    "verify",
    "write_run",
]

_FORMAT = "smalti.run/1"
_RECORD = "run.json"
_TRACE = "trace.safetensors"
_PARTS = ".parts"
_KINDS: dict[str, type[RunRequest]] = {kind.kind: kind for kind in (Request, TextRequest)}


AnyRequest = TypeVar("AnyRequest", bound=RunRequest)


@dataclass(frozen=True)
class RunRecord(Generic[AnyRequest]):
    """What run.json says.

    Attributes:
        request: the request.
        status: "running" until every file is there, then "done".
        created: when the run was begun, UTC, ISO 8601; the only entry that tells two runs of one request apart.
        files: SHA-256 of every other file of the folder, by name; empty while running.
    """

    request: AnyRequest
    status: Literal["running", "done"]
    created: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """One file that a repeated run does not give again.

    Attributes:
        file: name of the file in the run folder.
        kind: "missing": the file is not there; "altered": the file was changed after the run; "encoding": the same
            pixels in other bytes; "result": the request gives another result now.
        sentence: what a person should know.
    """

    file: str
    kind: Literal["missing", "altered", "encoding", "result"]
    sentence: str


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Attributes:
        folder: the run folder.
        request: its request.
        checked: names of the files that were made again and compared.
        differences: those that differ, in the order checked.
        versions: what has another version than in the run, one sentence each; no difference in itself.
    """

    folder: Path
    request: RunRequest
    checked: tuple[str, ...]
    differences: tuple[Difference, ...]
    versions: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every byte came again."""
        return not self.differences


def write_run(
    folder: str | Path,
    request: AnyRequest,
    machine: Any,
    *,
    existing: Literal["refuse", "resume"] = "refuse",
    batch: int = 16,
    progress: Progress = SILENT,
) -> RunRecord[AnyRequest]:
    """Carries out a request in a folder. Tier: *bitwise*, if the machine is: see the module for the one entry that
    differs.

    Args:
        folder: the run folder; made if it is not there.
        request: what to make.
        machine: the machine that the request names, with its settings.

    Keyword Args:
        existing: what to do if the folder holds a run of this request: "refuse", or "resume", which makes what is
            missing of it, if anything is. A folder without a run is begun in both cases.
        batch: how many seeds share each call of the machine; changes memory and speed, never a byte. Finished
            batches survive an interruption.
        progress: where progress is shown.

    Returns:
        The record, status "done".

    Raises:
        InputError: the folder holds another run, a finished run (unless resuming), or files that are not a run's;
            another process is writing to it; a file in it was altered; it cannot be written or the disk is full.
        UsageError: the machine is not the one that the request describes.
    """
    folder = Path(folder)
    make = request.maker(machine)
    batches(request.seeds, batch)  # refuses a batch size without meaning before anything is written
    with claimed(folder):
        record = _begun(folder, request, existing)
        request = record.request
        _remove_leftovers(folder)
        if (folder / _TRACE).exists():
            samples = _finished_trace(folder / _TRACE, request)
            _keep_or_write(folder, request.sample_files(samples))
        else:
            missing = _unfinished_seeds(folder, request)
            if missing:
                with progress.task("generating", len(missing) * request.steps) as task:
                    for group in batches(missing, batch):
                        _write_parts(folder, request, make(group, task))
            samples = request.join([request.load(_part(folder, seed)) for seed in request.seeds])
            samples.save(folder / _TRACE)
        _keep_or_write(folder, request.overviews(samples))
        with said_plainly(folder / _PARTS), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder / _PARTS)
        files = {name: _sha256((folder / name).read_bytes()) for name in _file_names(request)}
        finished = RunRecord(request, "done", record.created, files)
        if finished != record:
            _write_record(folder, finished)
        return finished


def read_run(folder: str | Path) -> RunRecord[Any]:
    """Reads run.json of a run folder.

    Args:
        folder: the run folder.

    Returns:
        What it says.

    Raises:
        InputError: there is no run.json, or it is not a record that this Smalti can read.
    """
    path = Path(folder) / _RECORD
    try:
        record = json.loads(path.read_bytes())
        if record["format"] != _FORMAT:
            raise InputError(f"{path} has the format {record['format']!r}; this Smalti reads {_FORMAT!r}.")
        if record["status"] not in ("running", "done"):
            raise ValueError("status")
        return RunRecord(
            # The first runs were all of pictures, and did not say so.
            request=_KINDS[record["request"].get("kind", "pictures")].from_json(record["request"]),
            status=record["status"],
            created=text_in(record["created"]),
            files={text_in(name): text_in(digest) for name, digest in record["files"].items()},
        )
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} is not a run folder: it holds no run.json; give a folder that a run was written to."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); give a folder that a run was written to."
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged: it is not a complete record of a run; restore it from a copy, or run the request "
            "again in another folder."
        ) from error


def read_trace(folder: str | Path, record: RunRecord[Any]) -> Any:
    """The trace of a finished run, after a check that it and the sample files are those that were written.

    What is said of a trace is said of the files beside it, so these must hold the same samples; the same pixels in
    other bytes are fine.

    Args:
        folder: the run folder.
        record: its record.

    Raises:
        InputError: the run is not finished, the trace is missing, damaged or altered, or a sample file is missing or
            holds something else.
    """
    path = Path(folder) / _TRACE
    if record.status != "done":
        raise InputError(f"The run in {folder} is not finished, so it has no trace yet; finish it with --resume.")
    if not path.exists():
        raise InputError(f"{path} is missing; repeat the command of the run with --resume to make it again.")
    samples = _finished_trace(path, record.request)
    if _sha256(path.read_bytes()) != record.files.get(_TRACE):
        raise InputError(
            f"{path} was altered after the run; restore it, or make the run again from the command in run.json."
        )
    for place, name in enumerate(record.request.sample_names()):
        _check_sample(Path(folder) / name, record, samples, place)
    return samples


def verify(
    folder: str | Path,
    make_machine: Callable[[Any], Any],
    *,
    batch: int = 16,
    progress: Progress = SILENT,
) -> Report:
    """Carries out a finished run's request again, in memory, and compares every file with what comes out.

    Args:
        folder: the run folder; nothing in it is changed.
        make_machine: opens the request's source and gives the machine that the request describes.

    Keyword Args:
        batch: how many seeds share each call of the machine.
        progress: where progress is shown.

    Returns:
        What was compared, and what differs. A missing or altered file is a difference, not an error.

    Raises:
        InputError: run.json is missing, damaged or not finished, or the source no longer gives the same corpus.
        UsageError: the machine made is not the one that the request describes.
    """
    folder = Path(folder)
    record = read_run(folder)
    request = record.request
    if record.status != "done":
        raise InputError(
            f"The run in {folder} is not finished, so there is nothing to verify yet; finish it with --resume."
        )
    machine = make_machine(request)
    if machine.corpus.digest != request.corpus_digest:
        raise InputError(
            f"The {request.kind} of {request.source} are not those that the run in {folder} was made from (digest "
            f"{machine.corpus.digest[:12]}, then {request.corpus_digest[:12]}); restore them to verify the run."
        )
    make = request.maker(machine)
    with progress.task("generating", len(request.seeds) * request.steps) as task:
        samples = request.join([make(group, task) for group in batches(request.seeds, batch)])
    outputs = request.sample_files(samples) | request.overviews(samples)
    outputs[_TRACE] = Output("trace", samples.to_bytes())
    found = [_compared(folder, record, name, output) for name, output in outputs.items()]
    now = versions_in_use()
    return Report(
        folder=folder,
        request=request,
        checked=tuple(outputs),
        differences=tuple(difference for difference in found if difference is not None),
        versions=tuple(
            f"{name} was {then} in the run and is {now.get(name, 'absent')} now."
            for name, then in request.versions.items()
            if now.get(name) != then
        ),
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file_names(request: RunRequest) -> tuple[str, ...]:
    return (*request.sample_names(), *request.overview_names(), _TRACE)


def _part(folder: Path, seed: int) -> Path:
    return folder / _PARTS / f"{seed:06d}.safetensors"


def _begun(folder: Path, request: AnyRequest, existing: str) -> RunRecord[AnyRequest]:
    """The record of the run in the folder, begun now if there is none."""
    if (folder / _RECORD).exists():
        record = read_run(folder)
        changed = record.request.changed_from(request)
        if changed:
            raise InputError(
                f"{folder} holds a run with other settings ({', '.join(changed)}); choose another folder, or repeat "
                "the settings in its run.json."
            )
        if existing == "refuse" and record.status == "done":
            raise InputError(f"{folder} holds this run already, finished; look at it there, or choose another folder.")
        if existing == "refuse":
            raise InputError(
                f"{folder} holds this run, unfinished; add --resume to finish it, or choose another folder."
            )
        then, now = record.request.versions.get("smalti"), request.versions.get("smalti")
        if record.status == "running" and then != now:
            raise InputError(
                f"The run in {folder} was begun by Smalti {then}, and this is {now}; resume it with that version, or "
                "choose another folder."
            )
        return record
    foreign = sorted(path.name for path in folder.iterdir() if not is_leftover(path))
    if foreign:
        raise InputError(
            f"{folder} holds files that are not a run's (such as {foreign[0]}); choose a new or empty folder for a run."
        )
    record = RunRecord(request, "running", datetime.now(UTC).isoformat(timespec="seconds"), {})
    _write_record(folder, record)
    return record


def _write_record(folder: Path, record: RunRecord[Any]) -> None:
    content = {
        "format": _FORMAT,
        "status": record.status,
        "created": record.created,
        "request": {"kind": record.request.kind, **record.request.to_json()},
        "files": dict(record.files),
    }
    write_file(folder / _RECORD, (json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def _remove_leftovers(folder: Path) -> None:
    for place in (folder, folder / _PARTS):
        if place.is_dir():
            for path in place.iterdir():
                if is_leftover(path):
                    with said_plainly(path):
                        path.unlink()


def _finished_trace(path: Path, request: RunRequest) -> Samples[Any, Any]:
    samples = request.load(path)
    if not request.fits(samples, request.seeds):
        raise InputError(
            f"{path} is not the trace of the run in its folder; move it away and resume the run to make it again."
        )
    return samples


def _check_sample(path: Path, record: RunRecord[Any], samples: Samples[Any, Any], place: int) -> None:
    """Refuses a sample file that is missing or does not hold the sample."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; repeat the command of the run with --resume to make it again.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); make it readable.") from error
    if _sha256(content) == record.files.get(path.name):
        return
    (output,) = record.request.sample_files(samples.only(place)).values()
    if content != output.content and not output.shown_by(content):
        raise InputError(
            f"{path} is not the {output.what} that this run made: it was altered or replaced; move it away, and repeat "
            "the command of the run with --resume to make it again."
        )


def _unfinished_seeds(folder: Path, request: RunRequest) -> list[int]:
    """Seeds without a usable part; the others have their file afterwards."""
    unfinished = []
    for seed in request.seeds:
        try:
            part = request.load(_part(folder, seed))
        except InputError:
            unfinished.append(seed)
            continue
        if request.fits(part, [seed]):
            _keep_or_write(folder, request.sample_files(part))
        else:
            unfinished.append(seed)
    return unfinished


def _write_parts(folder: Path, request: RunRequest, samples: Samples[Any, Any]) -> None:
    with said_plainly(folder / _PARTS):
        (folder / _PARTS).mkdir(exist_ok=True)
    for place, seed in enumerate(samples.seeds):
        part = samples.only(place)
        part.save(_part(folder, seed))
        _keep_or_write(folder, request.sample_files(part))


def _keep_or_write(folder: Path, outputs: Mapping[str, Output]) -> None:
    """Writes files that are not there; one that is there must be the same, since nothing is overwritten."""
    for name, output in outputs.items():
        path = folder / name
        if not path.exists():
            write_file(path, output.content)
        elif not _holds(path, output):
            raise InputError(
                f"{path} is not the {output.what} that this run makes; move it away and resume the run with --resume."
            )


def _holds(path: Path, output: Output) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return content == output.content or output.shown_by(content)


def _compared(folder: Path, record: RunRecord[Any], name: str, output: Output) -> Difference | None:
    """How a file differs from what the request gives again; None if it does not."""
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        return Difference(name, "missing", f"{path} cannot be read ({error.strerror or error}).")
    if content == output.content:
        return None
    if _sha256(content) != record.files.get(name):
        known = _sha256(output.content) == record.files.get(name)
        came = "gives the recorded bytes again" if known else "gives other bytes too"
        return Difference(name, "altered", f"{path} was altered after the run; the request {came}.")
    if output.shown_by(content):
        return Difference(
            name, "encoding", f"{path} has the same pixels, but this build of Pillow writes them in other bytes."
        )
    return Difference(name, "result", f"{path} is as it was written, but the request gives another result now.")
