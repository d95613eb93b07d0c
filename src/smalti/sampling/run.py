"""Run folders: a request carried out on disk, so that it can be interrupted, resumed, and checked years later.

A finished run folder holds

    run.json                the request with every setting resolved, when it was created, SHA-256 of every other file
    000000.png ...          one picture per seed, named by the seed
    grid.png                the first samples side by side
    trajectory.png          the way of the first few, from noise
    trace.safetensors       what a receipt needs (see `smalti.sampling.trace`)

Of these, only the entry `created` of run.json differs between two runs of the same request with the same versions.
While a run is under way, `.parts` holds one small trace per finished seed. The order of writing is what makes a kill
at any time harmless: first run.json with the status "running"; per seed, its part and then its picture; when all are
there, the trace, the overviews, then `.parts` is removed, and last run.json says "done". Every file is written whole
or not at all. Resuming walks the same order and makes what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smalti.errors import InputError, UsageError
from smalti.noise import Level, RecordedSchedule
from smalti.progress import SILENT, Progress
from smalti.sampling.ddim import DDIM, Denoiser, batches, checked_seeds
from smalti.sampling.files import is_leftover, said_plainly, write_file
from smalti.sampling.pictures import grid, png_bytes, trajectory
from smalti.sampling.trace import Trace

__all__ = [
    "Difference",
    "Report",
    "Request",
    "RunRecord",
    "picture_name",
    "read_run",
    "read_trace",
    "verify",
    "versions_in_use",
    "write_run",
]

_FORMAT = "smalti.run/1"
_RECORD = "run.json"
_TRACE = "trace.safetensors"
_PARTS = ".parts"
MOST_IN_GRID = 256
"""Most samples that grid.png shows."""


@dataclass(frozen=True)
class Request:
    """Everything that decides a run, resolved: nothing is left to a default or to the C library.

    Attributes:
        source: what the corpus was opened from, as a person wrote it.
        corpus_digest: digest of the machine's corpus, hexadecimal.
        notes: what was done to the pictures and settings on the way in, one sentence each.
        sampler: name of the sampler.
        machine: name of the machine.
        label: the label the corpus is restricted to; None: the whole corpus.
        schedule: name of the noise schedule that the levels came from.
        levels: the levels, noisiest first. Shape (steps,).
        patch_sizes: patch size of each step, or None for a machine without patches. Shape (steps,).
        seeds: the seeds, none twice. Shape (S,).
        size: height and width of the pictures.
        corpus_size: height and width of the corpus's items.
        versions: version of Smalti and of what it stands on.
        command: the command line, word by word; empty if the run was started from Python.

    Raises:
        UsageError: a value has no meaning, or two do not fit.
    """

    source: str
    corpus_digest: str
    notes: tuple[str, ...]
    sampler: str
    machine: str
    label: str | None
    schedule: str
    levels: tuple[Level, ...]
    patch_sizes: tuple[int, ...] | None
    seeds: tuple[int, ...]
    size: tuple[int, int]
    corpus_size: tuple[int, int]
    versions: Mapping[str, str]
    command: tuple[str, ...]

    def __post_init__(self) -> None:
        checked_seeds(self.seeds)
        RecordedSchedule(self.schedule, self.levels)
        if self.sampler != "ddim":
            raise UsageError(f"The sampler of a run is 'ddim', but the request says {self.sampler!r}.")
        if self.patch_sizes is not None and len(self.patch_sizes) != len(self.levels):
            raise UsageError(
                f"A request has one patch size for each level, but it has {len(self.patch_sizes)} patch sizes and "
                f"{len(self.levels)} levels."
            )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.levels)

    @classmethod
    def of(
        cls,
        sampler: DDIM,
        *,
        source: str,
        seeds: Iterable[int] = range(16),
        size: tuple[int, int] | None = None,
        notes: Iterable[str] = (),
        command: Iterable[str] = (),
    ) -> Request:
        """The request that a sampler would carry out.

        Args:
            sampler: machine, schedule and steps.

        Keyword Args:
            source: what the corpus was opened from.
            seeds: the seeds, none twice.
            size: height and width of the pictures; the corpus's own unless given.
            notes: what was done to the pictures and settings on the way in.
            command: the command line, word by word.

        Returns:
            The request, with the versions in use.

        Raises:
            UsageError: a seed cannot be used, or the machine cannot make pictures of this size.
        """
        settings = sampler.settings()
        sizes = settings["patch_sizes"]
        return cls(
            source=source,
            corpus_digest=sampler.machine.corpus.digest,
            notes=tuple(notes),
            sampler=settings["sampler"],
            machine=settings["machine"],
            label=settings["label"],
            schedule=settings["schedule"],
            levels=sampler.levels,
            patch_sizes=None if sizes is None else tuple(sizes),
            seeds=checked_seeds(seeds),
            size=sampler.checked_size(size),
            corpus_size=sampler.machine.corpus.size,
            versions=versions_in_use(),
            command=tuple(command),
        )

    def settings(self) -> dict[str, Any]:
        """The part that `DDIM.settings` gives of a sampler."""
        return {
            "sampler": self.sampler,
            "schedule": self.schedule,
            "machine": self.machine,
            "label": self.label,
            "patch_sizes": None if self.patch_sizes is None else list(self.patch_sizes),
        }

    def changed_from(self, other: Request) -> tuple[str, ...]:
        """Names of the settings in which two requests ask for different samples.

        How the corpus was named, notes, versions and the command line do not count: a corpus is its digest.

        Args:
            other: the request to compare with.

        Returns:
            The names, in the order of the fields; empty if both ask for the same.
        """
        told_apart = (
            field.name for field in fields(self) if field.name not in ("source", "notes", "versions", "command")
        )
        return tuple(name for name in told_apart if getattr(self, name) != getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        """The request as values that JSON can hold; floats come back exactly."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        levels = [{"time": level.time, "signal": level.signal, "noise": level.noise} for level in self.levels]
        return record | {"levels": levels, "versions": dict(self.versions)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Request:
        """The request that `to_json` wrote.

        Args:
            record: what JSON gave back.

        Raises:
            KeyError: an entry is missing.
            TypeError: an entry has the wrong kind.
            ValueError: an entry has a value without meaning.
        """
        height, width = record["size"]
        corpus_height, corpus_width = record["corpus_size"]
        sizes = record["patch_sizes"]
        return cls(
            source=_text(record["source"]),
            corpus_digest=_text(record["corpus_digest"]),
            notes=tuple(_text(note) for note in record["notes"]),
            sampler=_text(record["sampler"]),
            machine=_text(record["machine"]),
            label=None if record["label"] is None else _text(record["label"]),
            schedule=_text(record["schedule"]),
            levels=tuple(
                Level(time=float(level["time"]), signal=float(level["signal"]), noise=float(level["noise"]))
                for level in record["levels"]
            ),
            patch_sizes=None if sizes is None else tuple(int(size) for size in sizes),
            seeds=checked_seeds(record["seeds"]),
            size=(int(height), int(width)),
            corpus_size=(int(corpus_height), int(corpus_width)),
            versions={_text(name): _text(text) for name, text in record["versions"].items()},
            command=tuple(_text(word) for word in record["command"]),
        )


@dataclass(frozen=True)
class RunRecord:
    """What run.json says.

    Attributes:
        request: the request.
        status: "running" until every file is there, then "done".
        created: when the run was begun, UTC, ISO 8601; the only entry that tells two runs of one request apart.
        files: SHA-256 of every other file of the folder, by name; empty while running.
    """

    request: Request
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
    request: Request
    checked: tuple[str, ...]
    differences: tuple[Difference, ...]
    versions: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every byte came again."""
        return not self.differences


def write_run(
    folder: str | Path,
    request: Request,
    machine: Denoiser,
    *,
    existing: Literal["refuse", "resume"] = "refuse",
    batch: int = 16,
    progress: Progress = SILENT,
) -> RunRecord:
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
    sampler = _sampler(request, machine)
    batches(request.seeds, batch)  # refuses a batch size without meaning before anything is written
    with _claimed(folder):
        record = _begun(folder, request, existing)
        request = record.request
        _remove_leftovers(folder)
        if (folder / _TRACE).exists():
            trace = _finished_trace(folder / _TRACE, request)
            for sample in trace:
                _keep_or_write(folder / picture_name(sample.seed), sample.image)
        else:
            missing = _unfinished_seeds(folder, request)
            if missing:
                with progress.task("generating", len(missing) * request.steps) as task:
                    for group in batches(missing, batch):
                        _write_parts(folder, sampler.one_batch(group, request.size, task=task))
            trace = Trace.join([Trace.load(_part(folder, seed)) for seed in request.seeds])
            trace.save(folder / _TRACE)
        for name, picture in _overviews(trace).items():
            _keep_or_write(folder / name, picture)
        with said_plainly(folder / _PARTS), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder / _PARTS)
        files = {name: _sha256((folder / name).read_bytes()) for name in _file_names(request)}
        finished = RunRecord(request, "done", record.created, files)
        if finished != record:
            _write_record(folder, finished)
        return finished


def read_run(folder: str | Path) -> RunRecord:
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
            request=Request.from_json(record["request"]),
            status=record["status"],
            created=_text(record["created"]),
            files={_text(name): _text(digest) for name, digest in record["files"].items()},
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


def read_trace(folder: str | Path, record: RunRecord) -> Trace:
    """The trace of a finished run, after a check that it is the one that was written.

    Args:
        folder: the run folder.
        record: its record.

    Raises:
        InputError: the run is not finished, or the trace is missing, damaged or altered.
    """
    path = Path(folder) / _TRACE
    if record.status != "done":
        raise InputError(f"The run in {folder} is not finished, so it has no trace yet; finish it with --resume.")
    trace = _finished_trace(path, record.request)
    if _sha256(path.read_bytes()) != record.files.get(_TRACE):
        raise InputError(
            f"{path} was altered after the run; restore it, or make the run again from the command in run.json."
        )
    return trace


def verify(
    folder: str | Path,
    make_machine: Callable[[Request], Denoiser],
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
            f"The pictures of {request.source} are not those that the run in {folder} was made from (digest "
            f"{machine.corpus.digest[:12]}, then {request.corpus_digest[:12]}); restore them to verify the run."
        )
    trace = _sampler(request, machine)(request.seeds, request.size, batch=batch, progress=progress)
    pictures = {picture_name(sample.seed): sample.image for sample in trace} | _overviews(trace)
    found = [_compared(folder, record, name, png_bytes(picture), picture) for name, picture in pictures.items()]
    found.append(_compared(folder, record, _TRACE, trace.to_bytes(), None))
    now = versions_in_use()
    return Report(
        folder=folder,
        request=request,
        checked=(*pictures, _TRACE),
        differences=tuple(difference for difference in found if difference is not None),
        versions=tuple(
            f"{name} was {then} in the run and is {now.get(name, 'absent')} now."
            for name, then in request.versions.items()
            if now.get(name) != then
        ),
    )


def picture_name(seed: int) -> str:
    """Name of a seed's picture in a run folder: `000037.png`."""
    return f"{seed:06d}.png"


def versions_in_use() -> dict[str, str]:
    """Version of Smalti, of the libraries that touch a run's bytes, and of Python."""
    found = {}
    for name in ("smalti", "numpy", "pillow", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"python": platform.python_version()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {value!r}")
    return value


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file_names(request: Request) -> tuple[str, ...]:
    return (*(picture_name(seed) for seed in request.seeds), "grid.png", "trajectory.png", _TRACE)


def _part(folder: Path, seed: int) -> Path:
    return folder / _PARTS / f"{seed:06d}.safetensors"


def _sampler(request: Request, machine: Denoiser) -> DDIM:
    """The sampler of a request, after a check that the machine is the one it describes."""
    schedule = RecordedSchedule(request.schedule, request.levels)
    sampler = DDIM(machine, steps=request.steps, schedule=schedule)
    if machine.corpus.digest != request.corpus_digest or sampler.settings() != request.settings():
        raise UsageError(
            f"The machine does not fit the request: the request says {request.settings()} on the corpus "
            f"{request.corpus_digest[:12]}, the machine {sampler.settings()} on {machine.corpus.digest[:12]}."
        )
    sampler.checked_size(request.size)
    return sampler


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it; the claim ends with the process, however that ends."""
    import fcntl

    with said_plainly(folder):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file, and a run needs a folder; choose another place.")
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Another process is writing to {folder}; wait for it, or choose another folder."
            ) from error
        except OSError:
            pass  # some network file systems have no locks; writes are still whole or not at all
        yield
    finally:
        os.close(handle)


def _begun(folder: Path, request: Request, existing: str) -> RunRecord:
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


def _write_record(folder: Path, record: RunRecord) -> None:
    content = {
        "format": _FORMAT,
        "status": record.status,
        "created": record.created,
        "request": record.request.to_json(),
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


def _fits(trace: Trace, request: Request, seeds: Sequence[int]) -> bool:
    return (
        trace.seeds == tuple(seeds)
        and trace.levels == request.levels
        and trace.settings == request.settings()
        and trace.corpus_digest == request.corpus_digest
        and trace.images.shape[1:3] == request.size
    )


def _finished_trace(path: Path, request: Request) -> Trace:
    trace = Trace.load(path)
    if not _fits(trace, request, request.seeds):
        raise InputError(
            f"{path} is not the trace of the run in its folder; move it away and resume the run to make it again."
        )
    return trace


def _unfinished_seeds(folder: Path, request: Request) -> list[int]:
    """Seeds without a usable part; the others have their picture afterwards."""
    unfinished = []
    for seed in request.seeds:
        try:
            part = Trace.load(_part(folder, seed))
        except InputError:
            unfinished.append(seed)
            continue
        if _fits(part, request, [seed]):
            _keep_or_write(folder / picture_name(seed), part.images[0])
        else:
            unfinished.append(seed)
    return unfinished


def _write_parts(folder: Path, trace: Trace) -> None:
    with said_plainly(folder / _PARTS):
        (folder / _PARTS).mkdir(exist_ok=True)
    for place, sample in enumerate(trace):
        trace.only(place).save(_part(folder, sample.seed))
        _keep_or_write(folder / picture_name(sample.seed), sample.image)


def _keep_or_write(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a picture that is not there; one that is there must be the same, since nothing is overwritten."""
    if not path.exists():
        write_file(path, png_bytes(picture))
    elif not _shows(path, picture):
        raise InputError(
            f"{path} is not the picture that this run makes; move it away and resume the run with --resume."
        )


def _shows(path: Path, picture: NDArray[np.uint8]) -> bool:
    """Whether a file holds exactly these pixels, in whatever bytes."""
    from PIL import Image

    try:
        content = path.read_bytes()
        if content == png_bytes(picture):
            return True
        with Image.open(io.BytesIO(content)) as image:
            return np.array_equal(np.asarray(image).reshape(*image.size[::-1], -1), picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _overviews(trace: Trace) -> dict[str, NDArray[np.uint8]]:
    return {
        "grid.png": grid(trace.images[:MOST_IN_GRID]),
        "trajectory.png": trajectory(trace.estimates, trace.levels),
    }


def _compared(
    folder: Path, record: RunRecord, name: str, again: bytes, picture: NDArray[np.uint8] | None
) -> Difference | None:
    """How a file differs from what the request gives again; None if it does not."""
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        return Difference(name, "missing", f"{path} cannot be read ({error.strerror or error}).")
    if content == again:
        return None
    if _sha256(content) != record.files.get(name):
        came = "gives the recorded bytes again" if _sha256(again) == record.files.get(name) else "gives other bytes too"
        return Difference(name, "altered", f"{path} was altered after the run; the request {came}.")
    if picture is not None and _shows(path, picture):
        return Difference(
            name, "encoding", f"{path} has the same pixels, but this build of Pillow writes them in other bytes."
        )
    return Difference(name, "result", f"{path} is as it was written, but the request gives another result now.")
