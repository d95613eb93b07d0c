"""`smalti calibrate` with texts: files, table, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cli_program import smalti, spawned
from smalti.calibration.text import TextCalibration, calibrate_text
from smalti.corpus import open_text

TEXT = "to be or not to be, that is the question: whether it is nobler in the mind\n"
QUICK = ("--samples", "20", "--noise", "mask")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 5)
    return path


def test_the_file_is_the_calibration_of_the_library(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "s.json"
    words = ("--samples", "30", "--aim", "any", "--seed", "3", "--tokens", "words")
    done = smalti("calibrate", source, "-o", out, *words)
    assert done.code == 0, done.err
    expected = calibrate_text(open_text(source), samples=30, aim="any", seed=3, tokens="words")
    assert TextCalibration.from_json(out.read_text()).to_json() == expected.to_json()
    assert json.loads(out.read_text())["format"] == "smalti.text-settings/1"
    with Image.open(out.with_suffix(".png")) as plot:
        assert min(plot.size) > 300
    assert sorted(path.name for path in out.parent.iterdir()) == ["s.json", "s.png"]
    assert str(out) in done.out
    assert "30 tokens guessed in each order, blocks left out in turn, hybrid noise, " in done.out
    assert sum(line.endswith("*") for line in done.out.splitlines()) == 7


def test_json(source: Path, tmp_path: Path) -> None:
    record = smalti("calibrate", source, "-o", tmp_path / "s.json", *QUICK, "--json").json
    assert (record["file"], record["plot"]) == (str(tmp_path / "s.json"), str(tmp_path / "s.png"))
    kept = json.loads((tmp_path / "s.json").read_text())
    assert {name: record[name] for name in kept} == kept


def test_twice_and_with_other_threads_is_the_same(source: Path, tmp_path: Path) -> None:
    assert smalti("calibrate", source, "-o", tmp_path / "a.json", *QUICK).code == 0
    again = smalti("calibrate", source, "-o", tmp_path / "b.json", *QUICK)
    assert "note: these texts were calibrated with these settings before: read from " in again.err
    apart = spawned(
        *("calibrate", source, "-o", tmp_path / "c.json", *QUICK, "--threads", "1"),
        environment={"SMALTI_CACHE": str(tmp_path / "other"), "SMALTI_KERNEL": "plain"},
    )
    assert apart.code == 0, apart.err
    for suffix in (".json", ".png"):
        assert len({(tmp_path / name).with_suffix(suffix).read_bytes() for name in ("a", "b", "c")}) == 1, suffix


def test_generate_and_score_take_the_file(source: Path, tmp_path: Path) -> None:
    settings = tmp_path / "s.json"
    assert smalti("calibrate", source, "-o", settings, *QUICK).code == 0
    scored = smalti("score", source, "--corpus", source, "--settings", settings, "--json").json
    assert scored["settings"] == json.loads(settings.read_text())["settings"]
    made = smalti("generate", source, "-o", tmp_path / "run", "--length", "8", "--settings", settings)
    assert made.code == 0, made.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--sizes", "3"), 2, "--sizes is for pictures, and "),
        (("--machine", "local"), 2, "--machine is for pictures, and "),
        (("--noise", "uniform"), 2, "only machines with hybrid or mask noise have settings to search, not uniform"),
        (("--aim", "up"), 2, "there is no aim 'up': choose one of both, any, left-to-right"),
        (("--samples", "1"), 2, "a calibration guesses 2 tokens or more, not 1"),
        (("--tokens", "runes"), 2, "there are no tokens called 'runes'"),
    ],
)
def test_settings_without_meaning(
    words: tuple[str, ...], code: int, sentence: str, source: Path, tmp_path: Path
) -> None:
    found = smalti("calibrate", source, "-o", tmp_path / "s.json", *words)
    assert found.code == code
    assert found.failure.startswith(sentence)
    assert not (tmp_path / "s.json").exists()


def test_options_of_texts_for_pictures(tmp_path: Path) -> None:
    found = smalti("calibrate", "digits", "-o", tmp_path / "s.json", "--aim", "any")
    assert (found.code, found.failure) == (2, "--aim is for texts, and 'digits' holds pictures: leave it out")


def test_too_small_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    found = smalti("calibrate", tmp_path / "a.txt", "-o", tmp_path / "s.json")
    assert (found.code, found.failure) == (
        1,
        "a corpus of 3 tokens is too small to leave a part of it out: give at least 100",
    )
    (tmp_path / "a.txt").write_text("a")
    found = smalti("calibrate", tmp_path / "a.txt", "-o", tmp_path / "s.json")
    assert "a corpus of 1 token is too small" in found.failure
