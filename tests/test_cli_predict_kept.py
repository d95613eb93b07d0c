"""What `smalti predict` keeps in its folder: killed, changed, shared, full, and closed to writing."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cli_program import pictures, spawned
from predicting import module, out, predicted, source
from smalti import Ideal
from smalti.sampling.files import claimed, is_leftover

__all__ = ["module", "out", "source"]

PLAIN = ("--seeds", "0-3", "--steps", 3, "--network-steps", 5, "--batch", 2, "--predictors", "nearest")
LISTED = (*PLAIN, "--scales", 3)

KILLED = """
import os, signal
from pathlib import Path
import smalti

class Network(smalti.Ideal):
    calls = 0

    def __call__(self, state, level, *, tick=None):
        Network.calls += 1
        if Network.calls == int(os.environ["UNTIL"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(state, level, tick=tick)
"""


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plots, which take most of the time."""
    monkeypatch.setattr("smalti.cli.predict_files.draw", lambda _: {})


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / "prediction.json").read_bytes())
    del record["command"]
    return {"record": record, **{name: (folder / name).read_bytes() for name in ("rows.csv", "steps.csv")}}


@pytest.mark.parametrize(("until", "scales"), [(4, 3), (6, "network"), (14, 3), (20, 3), (26, "network")])
def test_killed_and_gone_on_with(until: int, scales: object, source: Path, tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    words = ("predict", source, "--network", "killed:Network", *PLAIN, "--scales", scales, "--fit-seeds", "9")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path)), "UNTIL": str(until)}
    killed = spawned(*words, "-o", parts, environment=environment)
    assert killed.code == -signal.SIGKILL
    assert not (parts / "prediction.json").exists()
    # What is left where a file was being written.
    for folder in (parts, *(path.parent for path in (parts / "parts").rglob("*.*"))):
        folder.mkdir(exist_ok=True)
        (folder / ".asked.json.1.partial").write_bytes(b"half")
    environment["UNTIL"] = "0"
    assert spawned(*words, "-o", parts, "--resume", environment=environment).code == 0
    assert spawned(*words, "-o", whole, environment=environment).code == 0
    assert results(parts) == results(whole)
    assert not [path for path in parts.rglob("*") if is_leftover(path)]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--predicts", "clean"), "what is in the network, --predicts"),
        (("--predicts", "noise", "--clock", "sigma"), "what is in the network, --clock"),
    ],
)
def test_the_same_function_asked_otherwise_is_another_network(
    words: tuple[str, ...], what: str, source: Path, out: Path, module: SimpleNamespace
) -> None:
    module.half = lambda x, _: np.float32(0.5) * x
    assert predicted(source, out, "their_network:half", "--predicts", "noise", *LISTED).code == 0
    before = files_of(out)
    found = predicted(source, out, "their_network:half", *words, *LISTED, "--resume")
    assert found.failure == f"'{out}' holds another prediction ({what} differ): choose another folder"
    assert files_of(out) == before


def test_a_network_made_for_a_label_is_predicted_from_its_pictures(tmp_path: Path, module: SimpleNamespace) -> None:
    source = tmp_path / "in"
    for seed, name in enumerate("ab"):
        pictures(source / name, count=3, size=(8, 8), seed=seed)
    module.network = lambda corpus, label="b": Ideal(corpus, label=label)
    without = predicted(source, tmp_path / "one", "their_network:network", *LISTED, "--json").json["prediction"]
    named = predicted(source, tmp_path / "two", "their_network:network", *LISTED, "--label", "b", "--json").json
    assert without["settings"]["label"] == named["prediction"]["settings"]["label"] == "b"
    assert without["predictors"] == named["prediction"]["predictors"]


def test_tables_of_an_earlier_question_go(source: Path, out: Path) -> None:
    pytest.importorskip("pyarrow")
    assert predicted(source, out, "smalti:Ideal", *LISTED, "--parquet").code == 0
    assert (out / "rows.parquet").exists()
    assert predicted(source, out, "smalti:Ideal", *LISTED, "--seeds", "0-4", "--resume").code == 0
    assert not list(out.glob("*.parquet"))


def test_another_process_in_the_folder(source: Path, out: Path) -> None:
    assert predicted(source, out, "smalti:Ideal", *LISTED).code == 0
    before = files_of(out)
    with claimed(out):
        found = predicted(source, out, "smalti:Ideal", *LISTED, "--seeds", "0-4", "--resume")
    assert found.failure == f"another process is writing to {out}; wait for it, or choose another folder"
    assert files_of(out) == before


@pytest.mark.parametrize("room", [1, 2, 9, 13, 14])
def test_a_full_disk(room: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, calls = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2 * room:  # a file, and its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(handle)

    monkeypatch.setattr(os, "fsync", full)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    found = predicted(source, parts, "smalti:Ideal", *LISTED)
    assert found.code == 1
    assert found.out == ""
    assert found.err.splitlines()[-1].startswith("smalti: the disk is full: ")
    assert found.err.endswith(" run the same command again, with --resume for a run (what is finished is kept).\n")
    assert not (parts / "prediction.json").exists()
    monkeypatch.setattr(os, "fsync", synced)
    assert predicted(source, parts, "smalti:Ideal", *LISTED, "--resume").code == 0
    assert predicted(source, whole, "smalti:Ideal", *LISTED).code == 0
    assert results(parts) == results(whole)


def test_a_folder_closed_to_writing(someone: Path) -> None:
    source = pictures(someone / "in", size=(8, 8), count=3)
    closed = someone / "closed"
    closed.mkdir(mode=0o500)
    found = predicted(source, closed / "out", "smalti:Ideal", *LISTED)
    assert found.failure == (
        f"{closed / 'out'} cannot be written (Permission denied); choose a place where files can be created"
    )


def test_a_damaged_piece_is_named(source: Path, out: Path) -> None:
    assert predicted(source, out, "smalti:Ideal", *LISTED).code == 0
    piece = next((out / "parts" / "predictors" / "nearest").iterdir())
    piece.write_bytes(piece.read_bytes()[:100])
    found = predicted(source, out, "smalti:Ideal", *LISTED, "--resume")
    assert found.code == 1
    assert str(piece) in found.err.splitlines()[-1]


def test_other_fit_seeds_are_another_fit(source: Path, out: Path) -> None:
    words = (*PLAIN, "--scales", "network")
    assert predicted(source, out, "smalti:Ideal", *words, "--fit-seeds", "9").code == 0
    before = files_of(out)
    found = predicted(source, out, "smalti:Ideal", *words, "--fit-seeds", "8", "--resume")
    assert found.err.splitlines()[-1] == (
        f"smalti: {out / 'parts' / 'scales' / 'border-aware.json'} was kept by other work than this (seeds differ): "
        "give another folder, or delete it."
    )
    assert files_of(out) == before
