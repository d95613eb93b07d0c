"""Finished runs opened again: their record, their trace, and the machine that made them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalti.corpus import BUILTIN, CorpusStore, ImageCorpus, TextCorpus, open_images, open_text
from smalti.corpus.decode import shown
from smalti.corpus.store import is_store
from smalti.corpus.text import BUILTIN_TEXT
from smalti.errors import InputError, SmaltiError
from smalti.machines import MACHINES, Machine
from smalti.sampling.image_request import Request
from smalti.sampling.request import RunRequest
from smalti.sampling.run import RunRecord, read_run, read_trace
from smalti.sampling.text_request import TextRequest, recorded_text_machine
from smalti.window import Scales

__all__ = ["OpenRun", "open_run", "recorded_machine"]


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A finished run, opened again.

    Attributes:
        folder: the run folder.
        record: what its run.json says.
        trace: its trace, with the machine: a `Trace` of pictures or a `TextTrace`, as `record.request.kind` says.
        machine: the machine that made it, on its pictures or documents: a `Machine` or a `TextMachine`.
    """

    folder: Path
    record: RunRecord[Any]
    trace: Any
    machine: Any

    def __repr__(self) -> str:
        return f"OpenRun({shown(self.folder)!r}, {self.trace!r})"


def open_run(folder: str | Path, *, source: str | Path | None = None) -> OpenRun:
    """Opens a finished run and the pictures or texts it was made from. Tier: *bitwise*.

    Args:
        folder: the run folder; nothing in it is changed.

    Keyword Args:
        source: where the pictures or texts are now; where the record says unless given.

    Raises:
        InputError: the run is missing, damaged, altered or not finished, or its source is not there or is another.
    """
    folder = Path(folder)
    record = read_run(folder)
    trace = read_trace(folder, record)
    machine = recorded_machine(record.request, source=source)
    return OpenRun(folder, record, trace.made_by(machine), machine)


def recorded_machine(request: RunRequest, *, source: str | Path | None = None) -> Any:
    """The machine of a recorded run, on its pictures or documents.

    Args:
        request: the record.

    Keyword Args:
        source: where the pictures or texts are now; where the record says unless given.

    Raises:
        InputError: the source is not there, or is another; or the record names a machine that there is not.
    """
    if isinstance(request, TextRequest):
        return recorded_text_machine(request, _recorded_texts(request, source=source))
    assert isinstance(request, Request)
    return _recorded_picture_machine(request, source=source)


def _recorded_picture_machine(request: Request, *, source: str | Path | None) -> Machine:
    corpus = _recorded_corpus(request, source=source)
    scales = None
    if request.patch_sizes is not None:
        # Two levels can have one signal-to-noise ratio, where a schedule is flat; their sizes are then the same.
        sizes = {level.log_snr: size for level, size in zip(request.levels, request.patch_sizes, strict=True)}
        scales = Scales(tuple(sizes), tuple(sizes.values()))
    if request.machine not in MACHINES:
        raise InputError(
            f"the run was made by a machine called {request.machine!r}, which this Smalti does not have: "
            f"it has {', '.join(MACHINES)}"
        )
    return MACHINES[request.machine](corpus, scales=scales, label=request.label)


def _recorded_texts(request: TextRequest, *, source: str | Path | None) -> TextCorpus:
    place = _there(request, source, BUILTIN_TEXT)
    corpus = open_text(place)
    if corpus.digest != request.corpus_digest:
        raise _others(request, place, corpus.digest)
    return corpus


def _recorded_corpus(request: Request, *, source: str | Path | None) -> ImageCorpus:
    place = _there(request, source, BUILTIN)
    digest = ""
    for size in (None, request.corpus_size):  # as it is, or made that size
        try:
            corpus = open_images(place, size=size)
        except SmaltiError:
            if size is None:
                continue
            raise
        digest = digest or corpus.digest
        if corpus.digest == request.corpus_digest:
            return corpus
    raise _others(request, place, digest)


def _there(request: RunRequest, source: str | Path | None, builtin: tuple[str, ...]) -> str | Path:
    """Where the source of a run should be."""
    place = request.source if source is None else source
    if source is None and place not in builtin and not Path(place).exists():
        raise InputError(
            f"the {request.kind} of this run are not at '{shown(place)}' any more: say where they are with --source "
            "PATH"
        )
    return place


def _others(request: RunRequest, place: str | Path, digest: str) -> InputError:
    _say_what_changed(Path(place), request)
    return InputError(
        f"the {request.kind} at '{shown(place)}' are not those that this run was made from (digest {digest[:12]}, then "
        f"{request.corpus_digest[:12]}): restore them, or say where they are with --source PATH"
    )


def _say_what_changed(place: Path, request: RunRequest) -> None:
    """Raises `InputError` if a corpus store knows why it is not the corpus that a run was made from."""
    if not is_store(place):
        return
    event = CorpusStore.open(place).changed_since(request.corpus_digest)
    if event is None:
        return
    if event.action == "forget":
        raise InputError(
            f"an item of the {request.kind} of this run was forgotten from '{shown(place)}' on {event.time}, so that "
            "nothing can be made again from them: keep the run as it is, or delete it"
        )
    raise InputError(
        f"items were added to '{shown(place)}' on {event.time}, after this run was made: say where the {request.kind} "
        "are as they were with --source PATH"
    )
