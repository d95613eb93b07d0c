"""Verification: the request again, every byte compared, every difference named."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smalti.errors import InputError, UsageError
from smalti.sampling import DDIM, Request, png_bytes, verify, write_run
from two_items import TwoItemMachine, TwoItemPosterior, two_pictures


def make(request: Request) -> TwoItemMachine:
    return TwoItemMachine(two_pictures(), label=request.label)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    machine = TwoItemMachine(two_pictures())
    request = Request.of(DDIM(machine, steps=3), source="pictures/", seeds=[0, 3])
    write_run(tmp_path / "run", request, machine)
    return tmp_path / "run"


def test_an_untouched_run_comes_again(folder: Path) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    report = verify(folder, make, batch=1)
    assert report.same
    assert report.differences == ()
    assert report.versions == ()
    assert report.checked == ("000000.png", "000003.png", "grid.png", "trajectory.png", "trace.safetensors")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_missing_and_altered_files_are_listed(folder: Path) -> None:
    (folder / "000000.png").unlink()
    (folder / "000003.png").write_bytes(png_bytes(~two_pictures()[0]))
    (folder / "trace.safetensors").write_bytes(b"")
    report = verify(folder, make)
    assert not report.same
    assert [(difference.file, difference.kind) for difference in report.differences] == [
        ("000000.png", "missing"),
        ("000003.png", "altered"),
        ("trace.safetensors", "altered"),
    ]
    assert [difference.sentence for difference in report.differences] == [
        f"{folder / '000000.png'} cannot be read (No such file or directory).",
        f"{folder / '000003.png'} was altered after the run; the request gives the recorded bytes again.",
        f"{folder / 'trace.safetensors'} was altered after the run; the request gives the recorded bytes again.",
    ]


def test_another_result_is_told_from_an_altered_file(folder: Path) -> None:
    class Drifted(TwoItemMachine):
        def __call__(self, state: Any, level: Any) -> TwoItemPosterior:
            posterior = super().__call__(state, level)
            mean = posterior.mean.copy()
            mean[:, 0, 0, 0] = np.where(mean[:, 0, 0, 0] > 0, mean[:, 0, 0, 0] - 0.1, mean[:, 0, 0, 0] + 0.1)
            return dataclasses.replace(posterior, mean=mean)

    report = verify(folder, lambda request: Drifted(two_pictures()))
    assert {difference.kind for difference in report.differences} == {"result"}
    assert {difference.file for difference in report.differences} >= {"000000.png", "000003.png", "trace.safetensors"}
    (folder / "000000.png").write_bytes(b"")
    report = verify(folder, lambda request: Drifted(two_pictures()))
    assert report.differences[0].sentence.endswith("was altered after the run; the request gives other bytes too.")


def test_other_compression_of_the_same_pixels_has_its_own_kind(folder: Path) -> None:
    """As after a run by another build of Pillow: the recorded digest is that of the other bytes."""
    import hashlib

    with Image.open(folder / "000003.png") as opened:
        buffer = io.BytesIO()
        opened.save(buffer, format="PNG", compress_level=0)
    (folder / "000003.png").write_bytes(buffer.getvalue())
    record = json.loads((folder / "run.json").read_text())
    record["files"]["000003.png"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    record["request"]["versions"]["pillow"] = "9.0.0"
    (folder / "run.json").write_text(json.dumps(record))
    report = verify(folder, make)
    assert [(difference.file, difference.kind) for difference in report.differences] == [("000003.png", "encoding")]
    assert not report.same
    assert len(report.versions) == 1
    assert report.versions[0].startswith("pillow was 9.0.0 in the run and is ")


def test_pictures_that_changed_at_their_source(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"^The pictures of pictures/ are not those that the run in .* was made from .*\.$"
    ):
        verify(folder, lambda request: TwoItemMachine(~two_pictures()))


def test_a_machine_with_other_settings(folder: Path) -> None:
    with pytest.raises(UsageError, match="The machine does not fit the request"):
        verify(folder, lambda request: TwoItemMachine(two_pictures(), label="boats"))


def test_records_that_cannot_be_verified(folder: Path) -> None:
    path = folder / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"status": "running"}))
    with pytest.raises(
        InputError, match=r"is not finished, so there is nothing to verify yet; finish it with --resume\."
    ):
        verify(folder, make)
    path.write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        verify(folder, make)
    path.unlink()
    with pytest.raises(InputError, match="is not a run folder"):
        verify(folder, make)
