"""`smalti demo`: what it makes, and that making it twice keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

import smalti as library
from cli_program import smalti
from smalti.receipts.match import nearest_items
from smalti.sampling import Trace, beside_nearest, png_bytes


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_the_demo_and_the_demo_again(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = smalti("demo", "-o", out)
    assert done.code == 0, done.err
    made = everything(out)
    assert {name.split("/")[0] for name in made} == {
        *("digits", "texture", "text", "temperature", "digits-beside-nearest.png")
    }
    named = {name for name in made if "/0000" not in name and not name.startswith("temperature/")}
    assert all(str(out / name) in done.out for name in {*named, "temperature/index.html"})

    images = Trace.load(out / "digits" / "trace.safetensors").images
    assert images.shape == (16, 8, 8, 1)
    training = library.ImageCorpus.builtin("digits").images
    nearest = training[nearest_items(training, images)[0][:, 0]]
    assert (images != nearest).any(axis=(1, 2, 3)).all(), "every digit is new"
    assert made["digits-beside-nearest.png"][0] == png_bytes(beside_nearest(images, nearest, columns=4))
    assert Trace.load(out / "texture" / "trace.safetensors").images.shape == (1, 160, 256, 3)
    assert smalti("verify", out / "digits").code == 0
    assert smalti("verify", out / "text").code == 0
    text = (out / "text" / "000000.txt").read_text(encoding="utf-8")
    assert len(text) == 256
    assert text.split("\n")[0] in done.out

    # No noise is told from hidden noise, and both are in their intervals.
    page = (out / "temperature" / "index.html").read_text(encoding="utf-8")
    assert "hold the hidden temperature: likelihood 2 of 2." in page

    again = smalti("demo", "-o", out, "--json").json
    assert again["pairs"] == str(out / "digits-beside-nearest.png")
    assert (again["digits"]["folder"], again["texture"]["folder"]) == (str(out / "digits"), str(out / "texture"))
    assert again["text"]["texts"][0]["text"] == text
    assert [one["noise"] for one in again["temperature"]["trials"]] == ["none", "gumbel:0.03"]
    assert everything(out) == made

    # The demo names a command that makes the same.
    command = again["digits"]["run"]["request"]["command"]
    command[command.index("-o") + 1] = str(tmp_path / "same")
    assert smalti(*command[1:]).code == 0
    for path in (tmp_path / "same").glob("*[!n]"):
        assert path.read_bytes() == made[f"digits/{path.name}"][0]


def test_a_folder_that_is_no_demo(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("")
    found = smalti("demo", "-o", tmp_path)
    assert (found.code, found.failure) == (
        1,
        f"'{tmp_path}' holds files that are not a demo's (such as 'letter.txt'): choose a new folder",
    )
    found = smalti("demo", "-o", tmp_path / "letter.txt")
    assert (found.code, found.failure) == (
        1,
        f"'{tmp_path / 'letter.txt'}' is a file, and the demo needs a folder: choose another place",
    )
