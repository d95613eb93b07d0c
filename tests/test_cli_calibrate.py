"""`smalti calibrate`: files, table, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import smalti as library
from cli_program import blocks, pictures, smalti, spawned
from smalti.calibration import Calibration


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pictures(tmp_path / "pictures")


def test_the_file_is_the_calibration_of_the_library(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "s.json"
    words = (
        "--sizes",
        "1,5,3",
        "--levels",
        "4",
        "--queries",
        "3",
        "--items",
        "5",
        "--schedule",
        "edm",
        "--machine",
        "local",
    )
    done = smalti("calibrate", source, "-o", out, *words)
    assert done.code == 0, done.err
    corpus = library.open_images(source)
    expected = library.calibrate(corpus, sizes=(1, 3, 5), levels=4, queries=3, items=5, schedule="edm", machine="local")
    assert Calibration.from_json(out.read_text()).to_json() == expected.to_json()
    with Image.open(out.with_suffix(".png")) as plot:
        assert min(plot.size) > 300
    assert sorted(path.name for path in out.parent.iterdir()) == ["s.json", "s.png"]
    assert str(out) in done.out
    assert str(out.with_suffix(".png")) in done.out
    assert "3 of 5 pictures left out in turn, local machine, " in done.out


def test_the_table_is_aligned_and_marks_what_was_chosen(source: Path, tmp_path: Path) -> None:
    done = smalti("calibrate", source, "-o", tmp_path / "s.json", "--levels", "4")
    found = Calibration.from_json((tmp_path / "s.json").read_text())
    head, *rows = done.out.splitlines()[:5]
    assert head.split() == ["time", "chosen", *map(str, found.sizes)]
    for row, chosen in zip(rows, found.chosen, strict=True):
        cells = row.split()
        assert cells[1] == str(chosen)
        assert cells.count("*") == 1
        end = head.index(f" {chosen}", head.index("chosen") + 6) + 1 + len(str(chosen))
        assert row[end : end + 2] == " *"


def test_json(source: Path, tmp_path: Path) -> None:
    record = smalti("calibrate", source, "-o", tmp_path / "s.json", "--levels", "3", "--json").json
    assert (record["calibration"], record["plot"]) == (str(tmp_path / "s.json"), str(tmp_path / "s.png"))
    assert record["seconds"] > 0
    kept = json.loads((tmp_path / "s.json").read_text())
    assert {name: record[name] for name in kept} == kept


def test_twice_and_with_other_threads_is_the_same(source: Path, tmp_path: Path) -> None:
    assert smalti("calibrate", source, "-o", tmp_path / "a.json", "--levels", "3").code == 0
    again = smalti("calibrate", source, "-o", tmp_path / "b.json", "--levels", "3")
    assert "note: these pictures were calibrated with these settings before: read from " in again.err
    apart = spawned(
        *("calibrate", source, "-o", tmp_path / "c.json", "--levels", "3", "--threads", "1"),
        environment={"SMALTI_CACHE": str(tmp_path / "other"), "SMALTI_KERNEL": "plain"},
    )
    assert apart.code == 0, apart.err
    for suffix in (".json", ".png"):
        contents = {(tmp_path / name).with_suffix(suffix).read_bytes() for name in ("a", "b", "c")}
        assert len(contents) == 1, suffix


def test_one_picture(tmp_path: Path) -> None:
    Image.fromarray(blocks(1, size=(16, 20))[0]).save(tmp_path / "one.png")
    done = smalti("calibrate", tmp_path / "one.png", "-o", tmp_path / "s.json", "--levels", "2", "--queries", "2")
    assert done.code == 0, done.err
    assert "at 2 places of one picture, those overlapping them left out, border-aware machine" in done.out


@pytest.mark.parametrize("there", ["s.json", "s.png"])
def test_what_is_there_is_replaced_only_by_force(there: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    words = ("calibrate", source, "-o", tmp_path / "s.json", "--levels", "2")
    found = smalti(*words)
    assert (found.code, found.failure) == (
        1,
        f"'{tmp_path / there}' is there already: choose another name, or add --force to replace it",
    )
    assert (tmp_path / there).read_text() == "mine"
    assert smalti(*words, "--force").code == 0
    assert b"mine" not in (tmp_path / there).read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--machine", "ideal"), 2, "the ideal machine compares whole pictures and has no patch sizes: choose another"),
        (
            ("--machine", "no"),
            2,
            "there is no machine called 'no': choose one of ideal, equivariant, local, equivariant-local, border-aware",
        ),
        (("--sizes", "3,4"), 2, "a patch size is an odd number of pixels, 1 or more, and 4 is not"),
        (("--sizes", "3,x"), 2, "--sizes '3,x' has no meaning: give odd numbers of pixels, such as 3,5,9"),
        (("--sizes", "9", "--machine", "equivariant-local"), 2, "a patch of 9 does not fit inside pictures of side 8"),
        (("--items", "1"), 2, "a calibration compares an item with others: let at least 2 items serve"),
        (("--label", "no"), 2, "there is no label 'no': choose one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (("--schedule", "no"), 2, "there is no schedule called 'no'; choose one of cosine, "),
    ],
)
def test_settings_without_meaning(words: tuple[str, ...], code: int, sentence: str, tmp_path: Path) -> None:
    found = smalti("calibrate", "digits", "-o", tmp_path / "s.json", *words)
    assert found.code == code
    assert found.failure.startswith(sentence)
    assert not (tmp_path / "s.json").exists()


def test_the_name_ends_in_json(tmp_path: Path) -> None:
    found = smalti("calibrate", "digits", "-o", tmp_path / "scales")
    assert (found.code, found.failure) == (
        2,
        f"-o '{tmp_path / 'scales'}' must end in .json: that is how generate knows such a file",
    )
