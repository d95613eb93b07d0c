"""Run folders: the same bytes for the same request, however often the run was interrupted, and plain refusals."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smalti.errors import InputError, UsageError
from smalti.progress import Plain
from smalti.sampling import DDIM, Request, Trace, grid, png_bytes, read_run, trajectory, write_run
from smalti.sampling.files import remove_leftovers
from two_items import TwoItemMachine, two_pictures

SEEDS = (0, 3, 12)
NAMES = ["000000.png", "000003.png", "000012.png", "grid.png", "run.json", "trace.safetensors", "trajectory.png"]


@pytest.fixture
def machine() -> TwoItemMachine:
    return TwoItemMachine(two_pictures())


def request_of(machine: TwoItemMachine, *, seeds: tuple[int, ...] = SEEDS, steps: int = 3) -> Request:
    sampler = DDIM(machine, steps=steps)
    return Request.of(sampler, source="pictures/", seeds=seeds, notes=["two pictures"], command=["smalti", "generate"])


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a run folder, with the one entry taken out that may differ."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    record = json.loads(files["run.json"])
    del record["created"]
    return files | {"run.json": json.dumps(record).encode()}


def test_a_run_folder_holds_pictures_overviews_trace_and_record(machine: TwoItemMachine, tmp_path: Path) -> None:
    request = request_of(machine)
    record = write_run(tmp_path / "a" / "run", request, machine, batch=2)
    folder = tmp_path / "a" / "run"
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    trace = DDIM(machine, steps=3)(SEEDS)
    for sample in trace:
        with Image.open(folder / f"{sample.seed:06d}.png") as opened:
            assert np.array_equal(np.asarray(opened), sample.image)
    assert (folder / "grid.png").read_bytes() == png_bytes(grid(trace.images))
    assert (folder / "trajectory.png").read_bytes() == png_bytes(trajectory(trace.estimates, trace.levels))
    assert (folder / "trace.safetensors").read_bytes() == trace.to_bytes()
    assert record == read_run(folder)
    assert record.status == "done"
    assert record.request == request
    assert sorted(record.files) == [name for name in NAMES if name != "run.json"]
    for name, digest in record.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pictures_have_the_mode_of_the_corpus(tmp_path: Path, channels: int, mode: str) -> None:
    machine = TwoItemMachine(two_pictures(6, 9, channels))
    write_run(tmp_path / "run", request_of(machine), machine)
    trace = Trace.load(tmp_path / "run" / "trace.safetensors")
    with Image.open(tmp_path / "run" / "000003.png") as opened:
        assert (opened.mode, opened.size) == (mode, (9, 6))
        assert np.array_equal(np.asarray(opened).reshape(6, 9, channels), trace.of_seed(3).image)
    with Image.open(tmp_path / "run" / "grid.png") as opened:
        assert opened.mode == "RGB"


def test_run_json_is_the_resolved_request(machine: TwoItemMachine, tmp_path: Path) -> None:
    write_run(tmp_path / "run", request_of(machine), machine)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(record) == ["format", "status", "created", "request", "files"]
    request = record["request"]
    assert request["machine"] == "two-item"
    assert request["seeds"] == [0, 3, 12]
    assert request["size"] == [5, 4]
    assert request["schedule"] == "cosine"
    assert request["patch_sizes"] == [5, 5, 3]
    assert [level["signal"] for level in request["levels"]] == [level.signal for level in DDIM(machine, steps=3).levels]
    assert request["corpus_digest"] == machine.corpus.digest
    assert set(request["versions"]) == {"smalti", "numpy", "pillow", "safetensors", "python"}
    assert request["command"] == ["smalti", "generate"]
    assert request["notes"] == ["two pictures"]
    assert Request.from_json(json.loads(json.dumps(record["request"]))) == request_of(machine)


def test_two_runs_of_a_request_differ_in_nothing_but_when_they_were_created(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import smalti.sampling.run as run

    class Later(run.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return run.datetime(2031, 5, 6, 7, 8, 9, tzinfo=tz)

    write_run(tmp_path / "one", request_of(machine), machine, batch=1)
    monkeypatch.setattr(run, "datetime", Later)
    write_run(tmp_path / "two", request_of(machine), machine)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert read_run(tmp_path / "two").created == "2031-05-06T07:08:09+00:00"
    one, two = ((tmp_path / name / "run.json").read_text().splitlines() for name in ("one", "two"))
    assert len([pair for pair in zip(one, two, strict=True) if pair[0] != pair[1]]) == 1


class Interrupted(BaseException):
    """Stands for whatever stops a process between two operations."""


def interrupt(monkeypatch: pytest.MonkeyPatch, *, at: int, before: bool, error: BaseException) -> Callable[[], int]:
    """Raises just before or after the n-th time a file is put in its place; gives how often that happened."""
    real = Path.replace
    count = 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == at and before:
            raise error
        put = real(self, target)
        if count == at:
            raise error
        return put

    monkeypatch.setattr(Path, "replace", replace)
    return lambda: count


WRITES = 1 + 2 * len(SEEDS) + 1 + 2 + 1
"""run.json, a part and a picture per seed, the trace, two overviews, run.json."""


def test_a_run_makes_the_stated_number_of_writes(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = interrupt(monkeypatch, at=0, before=True, error=Interrupted())
    write_run(tmp_path / "run", request_of(machine), machine)
    assert count() == WRITES


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, WRITES + 1))
def test_interrupted_at_any_write_and_resumed(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, before: bool
) -> None:
    request = request_of(machine)
    write_run(tmp_path / "whole", request, machine)
    with monkeypatch.context() as patch:
        interrupt(patch, at=at, before=before, error=Interrupted())
        with pytest.raises(Interrupted):
            write_run(tmp_path / "cut", request, machine, batch=2)
    machine.calls = 0
    record = write_run(tmp_path / "cut", request, machine, existing="resume", batch=1)
    assert record.status == "done"
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    # Nothing finished is made again: write 1 is run.json, then a part and a picture per seed.
    parts = min(len(SEEDS), max(0, at - 1 - (1 if before else 0) + 1) // 2)
    assert machine.calls == request.steps * (len(SEEDS) - parts)


@pytest.mark.parametrize("call", range(9))
def test_interrupted_inside_the_machine_and_resumed(machine: TwoItemMachine, tmp_path: Path, call: int) -> None:
    class Stops(TwoItemMachine):
        def __call__(self, state: Any, level: Any) -> Any:
            if self.calls == call:
                raise KeyboardInterrupt
            return super().__call__(state, level)

    request = request_of(machine)
    write_run(tmp_path / "whole", request, machine)
    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path / "cut", request, Stops(two_pictures()), batch=1)
    machine.calls = 0
    write_run(tmp_path / "cut", request, machine, existing="resume")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    assert machine.calls == (request.steps if call // 3 < len(SEEDS) else 0)


KILLED = """
import os, signal, sys
from pathlib import Path
from two_items import TwoItemMachine, two_pictures
from smalti.sampling import DDIM, Request, write_run

real, count = os.fsync, 0

def fsync(handle):
    global count
    real(handle)
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = fsync
machine = TwoItemMachine(two_pictures())
sampler = DDIM(machine, steps=3)
request = Request.of(
    sampler, source="pictures/", seeds=(0, 3, 12), notes=["two pictures"], command=["smalti", "generate"]
)
write_run(Path(sys.argv[1]), request, machine, batch=2)
"""


@pytest.mark.parametrize("at", [1, 2, 3, 6, 9, 14, 17, 20, 22])
def test_killed_and_resumed(machine: TwoItemMachine, tmp_path: Path, at: int) -> None:
    """SIGKILL while a temporary file is there (odd counts) or just after one took its place (even counts)."""
    request = request_of(machine)
    write_run(tmp_path / "whole", request, machine)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "cut"), str(at)],
        cwd=Path(__file__).parent,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    write_run(tmp_path / "cut", request, machine, existing="resume")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("at", range(1, WRITES + 1))
def test_a_full_disk_is_one_sentence_and_loses_nothing(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    request = request_of(machine)
    write_run(tmp_path / "whole", request, machine)
    real, count = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal count
        count += 1
        if count == 2 * at - 1:  # each write forces the file, then the folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(InputError, match=r"^The disk is full: .* could not be written; free some space .*\.$"):
            write_run(tmp_path / "cut", request, machine)
    assert not [path for path in (tmp_path / "cut").rglob("*") if path.name.endswith(".partial")]
    write_run(tmp_path / "cut", request, machine, existing="resume")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_damaged_part_is_made_again(machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_of(machine)
    write_run(tmp_path / "whole", request, machine)
    with monkeypatch.context() as patch:
        interrupt(patch, at=WRITES - 3, before=True, error=Interrupted())
        with pytest.raises(Interrupted):
            write_run(tmp_path / "cut", request, machine)
    parts = tmp_path / "cut" / ".parts"
    assert sorted(path.name for path in parts.iterdir()) == [f"{seed:06d}.safetensors" for seed in SEEDS]
    (parts / "000003.safetensors").write_bytes(b"damaged")
    DDIM(machine, steps=2)([12]).save(parts / "000012.safetensors")
    machine.calls = 0
    write_run(tmp_path / "cut", request, machine, existing="resume")
    assert machine.calls == request.steps
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_existing_runs_are_not_overwritten(machine: TwoItemMachine, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    request = request_of(machine)
    write_run(folder, request, machine)
    before = content(folder)
    with pytest.raises(InputError) as refused:
        write_run(folder, request, machine)
    assert str(refused.value) == (
        f"{folder} holds this run already, finished; look at it there, or choose another folder."
    )
    other = request_of(machine, seeds=(0, 1), steps=5)
    for existing in ("refuse", "resume"):
        with pytest.raises(InputError) as refused:
            write_run(folder, other, machine, existing=existing)
        assert str(refused.value) == (
            f"{folder} holds a run with other settings (seeds, levels, patch_sizes); choose another folder, or repeat "
            "the settings in its run.json."
        )
    assert content(folder) == before


def test_resuming_a_finished_run_changes_nothing_and_restores_what_was_deleted(
    machine: TwoItemMachine, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    request = request_of(machine)
    record = write_run(folder, request, machine)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    machine.calls = 0
    assert write_run(folder, request, machine, existing="resume") == record
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    before = content(folder)
    (folder / "000003.png").unlink()
    (folder / "grid.png").unlink()
    write_run(folder, request, machine, existing="resume")
    assert content(folder) == before
    assert machine.calls == 0
    (folder / "trace.safetensors").unlink()
    write_run(folder, request, machine, existing="resume")
    assert content(folder) == before


def test_an_unfinished_run_asks_for_resume(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    request = request_of(machine)
    with monkeypatch.context() as patch:
        interrupt(patch, at=4, before=True, error=Interrupted())
        with pytest.raises(Interrupted):
            write_run(folder, request, machine)
    with pytest.raises(InputError) as refused:
        write_run(folder, request, machine)
    assert (
        str(refused.value)
        == f"{folder} holds this run, unfinished; add --resume to finish it, or choose another folder."
    )
    older = dataclasses.replace(request, versions=dict(request.versions) | {"smalti": "0.0.1"})
    with pytest.raises(InputError, match=r"was begun by Smalti .*, and this is 0\.0\.1; resume it with that version"):
        write_run(folder, older, machine, existing="resume")
    # How the command was typed this time, and where the pictures lie now, are no settings; the record keeps the first.
    retyped = dataclasses.replace(request, command=("smalti", "--resume"), source="./pictures")
    assert write_run(folder, retyped, machine, existing="resume").request == request


def test_altered_pictures_are_not_overwritten(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    request = request_of(machine)
    with monkeypatch.context() as patch:
        interrupt(patch, at=6, before=True, error=Interrupted())
        with pytest.raises(Interrupted):
            write_run(folder, request, machine)
    for altered in (png_bytes(~two_pictures()[0]), b"no picture", b""):
        (folder / "000000.png").write_bytes(altered)
        with pytest.raises(InputError) as refused:
            write_run(folder, request, machine, existing="resume")
        assert str(refused.value) == (
            f"{folder / '000000.png'} is not the picture that this run makes; move it away and resume the run with "
            "--resume."
        )
        assert (folder / "000000.png").read_bytes() == altered
    (folder / "000000.png").unlink()
    assert write_run(folder, request, machine, existing="resume").status == "done"


def test_the_same_pixels_in_other_bytes_are_kept(machine: TwoItemMachine, tmp_path: Path) -> None:
    """Another build of Pillow compresses otherwise; that is no reason to refuse a resume."""
    folder = tmp_path / "run"
    request = request_of(machine)
    write_run(folder, request, machine)
    with Image.open(folder / "000003.png") as opened:
        buffer = io.BytesIO()
        opened.save(buffer, format="PNG", compress_level=0)
    (folder / "000003.png").write_bytes(buffer.getvalue())
    write_run(folder, request, machine, existing="resume")
    assert (folder / "000003.png").read_bytes() == buffer.getvalue()


def test_a_folder_with_foreign_files_is_refused(machine: TwoItemMachine, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "beach.jpg").write_bytes(b"dear to someone")
    for existing in ("refuse", "resume"):
        with pytest.raises(InputError) as refused:
            write_run(folder, request_of(machine), machine, existing=existing)
        assert str(refused.value) == (
            f"{folder} holds files that are not a run's (such as beach.jpg); choose a new or empty folder for a run."
        )
    assert [path.name for path in folder.iterdir()] == ["beach.jpg"]


def test_an_empty_folder_and_leftovers_of_a_killed_start_are_used(machine: TwoItemMachine, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".run.json.4711.partial").write_bytes(b"{")
    write_run(folder, request_of(machine), machine, existing="resume")
    assert sorted(path.name for path in folder.iterdir()) == NAMES


def test_places_that_cannot_hold_a_run(machine: TwoItemMachine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="file is a file, and a run needs a folder; choose another place"):
        write_run(file, request_of(machine), machine)
    with pytest.raises(InputError, match=r"file/run cannot be written \(Not a directory\)"):
        write_run(file / "run", request_of(machine), machine)


def test_two_runs_do_not_write_to_one_folder(machine: TwoItemMachine, tmp_path: Path) -> None:
    """The second begins while the first is inside its machine; the claim is on the open folder, not on the process."""
    folder = tmp_path / "run"
    request = request_of(machine)
    sentences: list[str] = []

    class Intruded(TwoItemMachine):
        def __call__(self, state: Any, level: Any) -> Any:
            with pytest.raises(InputError) as refused:
                write_run(folder, request, machine, existing="resume")
            sentences.append(str(refused.value))
            return super().__call__(state, level)

    assert write_run(folder, request, Intruded(two_pictures())).status == "done"
    assert set(sentences) == {f"Another process is writing to {folder}; wait for it, or choose another folder."}
    assert machine.calls == 0


def test_the_machine_must_be_the_requested_one(machine: TwoItemMachine, tmp_path: Path) -> None:
    request = request_of(machine)
    for other in (TwoItemMachine(~two_pictures()), TwoItemMachine(two_pictures(), label="boats")):
        with pytest.raises(UsageError, match="The machine does not fit the request"):
            write_run(tmp_path / "run", request, other)
    with pytest.raises(UsageError, match=r"makes pictures of size \(5, 4\), not \(9, 9\)"):
        write_run(tmp_path / "run", dataclasses.replace(request, size=(9, 9)), machine)
    with pytest.raises(UsageError, match="A batch holds at least 1 seed"):
        write_run(tmp_path / "run", request, machine, batch=0)
    assert not (tmp_path / "run").exists()


def test_requests_without_meaning(machine: TwoItemMachine) -> None:
    request = request_of(machine)
    for change, sentence in (
        ({"seeds": ()}, "At least one seed"),
        ({"seeds": (1, 1)}, "seed 1 is asked for more than once"),
        ({"levels": ()}, "at least one level"),
        ({"patch_sizes": (3,)}, "1 patch sizes and 3 levels"),
        ({"sampler": "euler"}, "the request says 'euler'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            dataclasses.replace(request, **change)


def test_large_seeds_have_longer_names(machine: TwoItemMachine, tmp_path: Path) -> None:
    write_run(tmp_path / "run", request_of(machine, seeds=(5, 12345678)), machine)
    assert (tmp_path / "run" / "000005.png").exists()
    assert (tmp_path / "run" / "12345678.png").exists()
    assert Trace.load(tmp_path / "run" / "trace.safetensors").seeds == (5, 12345678)


def test_progress_counts_steps_and_seeds_still_to_do(
    machine: TwoItemMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(machine)
    with monkeypatch.context() as patch:
        interrupt(patch, at=4, before=True, error=Interrupted())
        with pytest.raises(Interrupted):
            write_run(tmp_path / "run", request, machine, batch=1)
    stream = io.StringIO()
    write_run(tmp_path / "run", request, machine, existing="resume", progress=Plain(stream, clock=lambda: 0.0))
    assert stream.getvalue() == "generating: 6 of 6, 0 s\n"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": "smalti.run/1", "status": "paused"}',
        b'{"format": "smalti.run/1", "status": "done", "request": {}}',
    ],
)
def test_damaged_records(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "run.json").write_bytes(damage)
    with pytest.raises(InputError) as error:
        read_run(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'run.json'} is damaged: it is not a complete record of a run; restore it from a copy, or run the "
        "request again in another folder."
    )


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("seeds", "abc"),
        ("seeds", [1, 1]),
        ("size", 3),
        ("levels", [{}]),
        ("levels", []),
        ("versions", []),
        ("machine", None),
    ],
)
def test_records_with_entries_of_the_wrong_kind(
    machine: TwoItemMachine, tmp_path: Path, entry: str, value: object
) -> None:
    write_run(tmp_path / "run", request_of(machine), machine)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["request"][entry] = value
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        read_run(tmp_path / "run")


def test_missing_records(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run folder: it holds no run\.json"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "smalti.run/7"}')
    with pytest.raises(InputError, match=r"has the format 'smalti\.run/7'; this Smalti reads 'smalti\.run/1'"):
        read_run(tmp_path)


def test_what_killed_processes_left_of_a_file_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".a.png.{ended.pid}.partial"
    others = [f".a.png.{os.getpid()}.partial", f".b.png.{ended.pid}.partial", ".a.png.partial", "a.png"]
    for name in (left.name, *others):
        (tmp_path / name).write_bytes(b"x")
    remove_leftovers(tmp_path / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    remove_leftovers(tmp_path / "none" / "a.png")
