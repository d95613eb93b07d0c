"""`smalti generate` and `smalti verify`: from pictures to a run folder, and the same bytes again."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import unicodedata
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import smalti as library
from cli_program import Outcome, blocks, files_of, pictures, smalti
from smalti.cli import generate_pictures as generate_module
from smalti.cli.generate_pictures import pairs_to_compare
from smalti.cli.sources import open_source
from smalti.engine import native
from smalti.noise import Level
from smalti.sampling import Request, Trace, read_run, recorded_machine, write_run

QUICK = ("--scales", "3", "--steps", "3", "--seeds", "0-1")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pictures(tmp_path / "pictures")


def generated(source: object, out: Path, *words: object) -> Any:
    """The JSON of a run that must succeed; the last of two equal options counts."""
    return smalti("generate", source, "-o", out, *QUICK, *words, "--json").json


def test_a_run_folder_and_its_paths(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = smalti("generate", source, "-o", out, *QUICK)
    assert done.code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "000000.png",
        "000001.png",
        "grid.png",
        "run.json",
        "trace.safetensors",
        "trajectory.png",
    ]
    assert done.out.splitlines()[0].startswith(
        "2 pictures of 7x6 pixels (grey) from 6 pictures, border-aware machine, "
    )
    assert all(str(out / path.name) in done.out for path in out.iterdir())
    with Image.open(out / "000001.png") as picture:
        assert (picture.size, picture.mode) == ((7, 6), "L")


def test_the_same_from_python(source: Path, tmp_path: Path) -> None:
    generated(source, tmp_path / "run")
    corpus = library.open_images(source)
    machine = library.BorderAware(corpus, scales=3)
    trace = library.DDIM(machine, steps=3)(seeds=range(2))
    assert np.array_equal(Trace.load(tmp_path / "run" / "trace.safetensors").images, trace.images)


def test_json_is_the_record_and_the_paths(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = generated("pictures", Path("run"))
    assert record["run"] == json.loads((tmp_path / "run" / "run.json").read_bytes())
    paths = [*record["pictures"], *(record[name] for name in ("grid", "trajectory", "trace", "record"))]
    assert sorted(paths) == sorted(str(path) for path in (tmp_path / "run").iterdir())
    assert record["folder"] == str(tmp_path / "run")
    assert record["seconds"] > 0
    request = record["run"]["request"]
    assert request["source"] == str(tmp_path / "pictures")
    assert request["command"][:3] == ["smalti", "generate", "pictures"]
    assert (request["seeds"], request["size"], request["patch_sizes"]) == ([0, 1], [6, 7], [3, 3, 3])


@pytest.mark.parametrize("name", library.MACHINES)
def test_every_machine_makes_a_run_that_verifies(name: str, source: Path, tmp_path: Path) -> None:
    scales = () if name in ("ideal", "equivariant") else ("--scales", "3")
    done = smalti(
        "generate", source, "-o", tmp_path / "run", "--machine", name, *scales, "--seeds", "0", "--steps", "3"
    )
    assert done.code == 0, done.err
    found = smalti("verify", tmp_path / "run")
    assert found.code == 0, found
    assert found.out.startswith(f"same: all 4 files of '{tmp_path / 'run'}' came again byte for byte, ")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_colour_and_transparent_pictures(channels: int, tmp_path: Path) -> None:
    pixels = np.stack([blocks(5, size=(6, 6), seed=k) for k in range(channels)], axis=-1)
    np.savez(tmp_path / "a.npz", images=pixels)
    generated(tmp_path / "a.npz", tmp_path / "run")
    with Image.open(tmp_path / "run" / "000000.png") as picture:
        assert picture.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (1, 1), (2, 3)])
def test_small_pictures_with_scales_found_by_calibration(size: tuple[int, int], tmp_path: Path) -> None:
    done = smalti("generate", pictures(tmp_path / "in", size=size), "-o", tmp_path / "run", "--seeds", "0")
    assert done.code == 0, done.err


@pytest.mark.parametrize("text", ["12x9", "9x12", "20"])
def test_one_picture_gives_any_size(text: str, tmp_path: Path) -> None:
    pictures(tmp_path / "in", count=1, size=(8, 10))
    record = generated(tmp_path / "in" / "0.png", tmp_path / "run", "--output-size", text, "--seeds", "0")
    width, height = (int(side) for side in (text.split("x") * 2)[:2])
    assert record["run"]["request"]["size"] == [height, width]
    with Image.open(tmp_path / "run" / "000000.png") as picture:
        assert picture.size == (width, height)
    assert smalti("verify", tmp_path / "run").code == 0


def test_a_large_picture_is_reduced_with_a_note(tmp_path: Path) -> None:
    Image.fromarray(blocks(1, size=(20, 640))[0]).save(tmp_path / "wide.png")
    opened = open_source(str(tmp_path / "wide.png"), size=None)
    assert opened.corpus.size == (10, 320)
    assert opened.notes[-1] == "no --size given, so the picture of 640x20 is used at 320x10 (width x height)"
    assert open_source(str(tmp_path / "wide.png"), size=(20, 640)).corpus.size == (20, 640)
    Image.fromarray(blocks(1, size=(20, 320))[0]).save(tmp_path / "fits.png")
    assert open_source(str(tmp_path / "fits.png"), size=None).corpus.size == (20, 320)


def test_a_size_other_than_the_output_is_found_again(tmp_path: Path) -> None:
    pictures(tmp_path / "in", count=1, size=(9, 12))
    generated(tmp_path / "in" / "0.png", tmp_path / "run", "--size", "8x6", "--output-size", "10")
    found = smalti("verify", tmp_path / "run")
    assert found.code == 0, found


def test_labels_restrict_the_corpus_however_they_are_written(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "blüte") for form in ("NFC", "NFD"))
    pictures(tmp_path / "in" / composed, seed=1)
    pictures(tmp_path / "in" / "blatt", seed=2)
    for place, label in (("a", composed), ("b", decomposed)):
        record = generated(tmp_path / "in", tmp_path / place, "--label", label)
        assert record["run"]["request"]["label"] == composed
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert smalti("verify", tmp_path / "a").code == 0
    alone = Trace.load(tmp_path / "a" / "trace.safetensors").images
    generated(tmp_path / "in" / composed, tmp_path / "c")
    assert np.array_equal(Trace.load(tmp_path / "c" / "trace.safetensors").images, alone)


def test_the_pairs_of_a_run() -> None:
    """Border-aware, patch 3 on 6 x 7 pictures: 4 x 5 inner places, 2 x (4^2 + 5^2) along the edges, 4 corners."""
    corpus = library.ImageCorpus.from_arrays(blocks(5, size=(6, 7)))
    expected = {
        library.BorderAware(corpus, scales=3): (4 * 5) ** 2 + 2 * (4**2 + 5**2) + 4,
        library.Local(corpus, scales=3): 6 * 7,
        library.Ideal(corpus): 6 * 7,
        library.Equivariant(corpus): (6 * 7) ** 2,
    }
    for machine, pairs in expected.items():
        request = Request.of(library.DDIM(machine, steps=4), source="", seeds=range(3))
        assert pairs_to_compare(machine, request) == pairs * 5 * 4 * 3, machine.name


def test_a_long_run_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_module, "_PAIRS_PER_SECOND", 1e3)
    found = smalti("generate", "digits", "-o", tmp_path / "run", *QUICK, "--seeds", "0-100")
    # 38^2 pairs of places in a pair of pictures, 1,797 pictures, 3 steps, 101 seeds.
    assert "note: 1 thousand million pairs of places to compare, about 218 h 24 min on four cores\n" in found.err


# The bytes do not depend on anything but the request.


def test_twice_threads_kernels_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--scales", "3,5,7", "--steps", "6", "--seeds", "0-3")
    generated("digits", tmp_path / "first", *words)
    first = files_of(tmp_path / "first")
    for place, more in {
        "again": (),
        "one": ("--threads", "1"),
        "four": ("--threads", "4"),
        "batch": ("--batch", "3"),
    }.items():
        generated("digits", tmp_path / place, *words, *more)
        assert files_of(tmp_path / place) == first, place
    for kernel in native.targets():
        monkeypatch.setenv("SMALTI_KERNEL", kernel)
        generated("digits", tmp_path / kernel, *words)
        assert files_of(tmp_path / kernel) == first, kernel


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    generated(tmp_path / "in", tmp_path / "a")
    for name in ("0", "1"):
        (tmp_path / "in" / f"{name}.png").rename(tmp_path / "in" / f"9{name}.png")
    generated(tmp_path / "in", tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


# Where patch sizes come from.


def test_scales_are_calibrated_once_and_said_so(source: Path, tmp_path: Path) -> None:
    words = ("generate", source, "--seeds", "0", "--steps", "3")
    first = smalti(*words, "-o", tmp_path / "a")
    second = smalti(*words, "-o", tmp_path / "b")
    note = "patch sizes calibrated: 6 of 6 pictures left out in turn"
    assert f"note: {note} (kept in '{tmp_path / 'cache'}' for these pictures)\n" in first.err
    assert f"note: {note} (read from '{tmp_path / 'cache'}" in second.err
    assert read_run(tmp_path / "a").request.notes == (note,)
    assert read_run(tmp_path / "b").request.notes == (note,)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert smalti("verify", tmp_path / "a").code == 0


def test_lists_and_names_and_files_of_scales(source: Path, tmp_path: Path) -> None:
    listed = generated(source, tmp_path / "a", "--scales", "1,3,5", "--steps", "3")["run"]["request"]
    assert listed["patch_sizes"] == [5, 3, 1]
    named = generated("digits", tmp_path / "b", "--scales", "paper-cifar10", "--steps", "20", "--seeds", "0")
    assert named["run"]["request"]["patch_sizes"] == list(library.Scales.named("paper-cifar10").sizes)
    assert smalti("calibrate", source, "-o", tmp_path / "s.json", "--levels", "4").code == 0
    found = generated(source, tmp_path / "c", "--scales", tmp_path / "s.json", "--steps", "4")["run"]["request"]
    calibration = library.Calibration.from_json((tmp_path / "s.json").read_text())
    assert found["patch_sizes"] == list(calibration.chosen)
    assert found["notes"] == [f"patch sizes from '{tmp_path / 's.json'}'"]
    other = generated("digits", tmp_path / "d", "--machine", "local", "--scales", tmp_path / "s.json")["run"]["request"]
    assert other["notes"] == [
        f"patch sizes from '{tmp_path / 's.json'}', where they were found for the border-aware machine and other "
        "pictures"
    ]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--scales", "4"), 2, "a patch size is an odd number of pixels, 1 or more, and 4 is not"),
        (("--scales", "0"), 2, "a patch size is an odd number of pixels, 1 or more, and 0 is not"),
        (
            ("--scales", "3,"),
            2,
            "--scales '3,' has no meaning: give auto, paper-cifar10, odd patch sizes from the lowest noise up, such as "
            "3,3,5,9, or a .json file that 'smalti calibrate' wrote",
        ),
        (
            ("--scales", "no.json"),
            1,
            "'no.json' cannot be read (No such file or directory): give a file that 'smalti calibrate' wrote",
        ),
        (("--machine", "ideal"), 2, "the ideal machine compares whole pictures and takes no --scales: leave it out"),
        (
            ("--machine", "no"),
            2,
            "there is no machine called 'no': choose one of ideal, equivariant, local, equivariant-local, border-aware",
        ),
        (
            ("--schedule", "no"),
            2,
            "there is no schedule called 'no'; choose one of cosine, offset-cosine, linear, sigmoid, edm",
        ),
        (("--label", "no"), 2, "there is no label 'no': choose one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (("--seeds", "1,1"), 2, "each seed gives one picture, but seed 1 is asked for more than once"),
        (
            ("--machine", "equivariant-local", "--scales", "9"),
            2,
            "a patch of 9 does not fit inside pictures of side 8: use smaller scales or larger pictures",
        ),
        (
            ("--machine", "local", "--output-size", "9"),
            2,
            "a local machine makes pictures of the corpus's own size: 8, not 9",
        ),
        (
            ("--scales", "17", "--output-size", "9"),
            2,
            "a patch of 17 leaves no inner place in a picture of side 8, which is possible only where output and "
            "corpus have the same size (9 and 8 here): use smaller scales",
        ),
    ],
)
def test_settings_without_meaning(words: tuple[str, ...], code: int, sentence: str, tmp_path: Path) -> None:
    found = smalti("generate", "digits", "-o", tmp_path / "run", *QUICK, *words)
    assert (found.code, found.failure) == (code, sentence)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"format": "smalti calibration 1"}', b"null"])
def test_a_file_that_is_no_calibration(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(content)
    found = smalti("generate", "digits", "-o", tmp_path / "run", "--scales", tmp_path / "s.json")
    assert found.code == 1
    assert found.failure.startswith(f"'{tmp_path / 's.json'}' is not ")


# Bad input: design.md's list, as far as it concerns pictures.


def refused(source: object, tmp_path: Path, *words: object) -> str:
    """The sentence of a source that is refused with exit code 1, before anything is written."""
    found = smalti("generate", source, "-o", tmp_path / "run", *QUICK, *words)
    assert found.code == 1
    assert not (tmp_path / "run").exists()
    return found.failure


def test_no_such_source(tmp_path: Path) -> None:
    assert refused(tmp_path / "no", tmp_path) == (
        f"'{tmp_path / 'no'}' does not exist: give a folder of pictures, a picture, an .npz archive, a corpus store, a "
        "text file, a folder of texts, a .jsonl file, or a built-in name (digits, photo, python-manual)"
    )


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    sentence = "holds neither pictures nor texts that can be read (hidden files do not count): put at least one into it"
    assert refused(tmp_path / "in", tmp_path) == f"'{tmp_path / 'in'}' {sentence}"
    (tmp_path / "in" / ".hidden.txt").write_text("a text")
    assert refused(tmp_path / "in", tmp_path) == f"'{tmp_path / 'in'}' {sentence}"


def test_a_file_that_is_no_picture(source: Path, tmp_path: Path) -> None:
    (source / "words.png").write_text("not a picture")
    assert refused(source, tmp_path) == (
        f"'{source / 'words.png'}' cannot be read as a picture: convert it to PNG or JPEG if it is one, otherwise "
        "take it out of the folder"
    )


def test_a_truncated_picture(source: Path, tmp_path: Path) -> None:
    whole = (source / "0.png").read_bytes()
    (source / "0.png").write_bytes(whole[: len(whole) // 2])
    assert refused(source, tmp_path) == (
        f"'{source / '0.png'}' is damaged or cut short, and cannot be decoded: replace it, or take it out"
    )


def test_a_huge_picture(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 11_000, 10_000, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert refused(tmp_path / "huge.png", tmp_path) == (
        f"'{tmp_path / 'huge.png'}' claims 110,000,000 pixels, more than the 100,000,000 pixels a picture may have: "
        "make it smaller first"
    )


def test_mixed_sizes_need_a_size(source: Path, tmp_path: Path) -> None:
    Image.new("L", (5, 9)).save(source / "z.png")
    sentence = refused(source, tmp_path)
    assert sentence.startswith(f"the pictures in '{source}' have different sizes")
    assert "--size" in sentence
    record = generated(source, tmp_path / "run", "--size", "6")
    assert record["run"]["request"]["size"] == [6, 6]
    assert smalti("verify", tmp_path / "run").code == 0


def test_values_that_are_not_pixels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.full((3, 4, 4), np.nan))
    assert refused(tmp_path / "a.npz", tmp_path) == (
        f"'{tmp_path / 'a.npz'}': images is float64 and holds NaN, but pictures are uint8 from 0 to 255: convert "
        "values in [0, 1] with numpy.rint(255 * images).astype(numpy.uint8)"
    )


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK")
    assert refused(tmp_path / "a.npz", tmp_path) == (
        f"'{tmp_path / 'a.npz'}' is not a NumPy archive, or is damaged: save it again with "
        "numpy.savez(file, images=...)"
    )


def test_a_label_without_labels(source: Path, tmp_path: Path) -> None:
    found = smalti("generate", source, "-o", tmp_path / "run", *QUICK, "--label", "a")
    assert (found.code, found.err.splitlines()[-1]) == (
        2,
        "smalti: there is no label 'a': this corpus has no labels; put the pictures into one sub-folder for each.",
    )


def test_conversions_are_shown_and_recorded(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    Image.fromarray(colours, "CMYK").save(place / "cmyk.tif")
    Image.fromarray(colours[..., :3]).quantize(8).save(place / "palette.png")
    Image.fromarray(colours).save(place / "alpha.png")
    Image.fromarray(colours[..., 0].astype(np.uint16) * 257).save(place / "deep.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(colours[..., :3]).save(place / "turned.png", exif=turned)
    done = smalti("generate", place, "-o", tmp_path / "run", *QUICK)
    assert done.code == 0, done.err
    notes = read_run(tmp_path / "run").request.notes
    assert [line.removeprefix("note: ") for line in done.err.splitlines() if line.startswith("note: ")] == list(notes)
    for words in ("16-bit values", "converted from CMYK", "palette", "EXIF", "opacity kept"):
        assert any(words in note for note in notes), words
    assert notes == open_source(str(place), size=None).notes


def test_many_conversions_are_one_note(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for index, pixels in enumerate(blocks(5, size=(6, 6))):
        Image.fromarray(pixels).quantize(4).save(place / f"{index}.png")
    generated(place, tmp_path / "run")
    assert read_run(tmp_path / "run").request.notes == ("palette replaced by its colours: 5 pictures, such as '0.png'",)


@pytest.mark.parametrize("scales", ["3", "auto"])
def test_identical_pictures_are_one(scales: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.repeat(blocks(1, size=(8, 8)), 4, axis=0))
    record = generated(tmp_path / "a.npz", tmp_path / "run", "--scales", scales)
    assert "all 4 pictures are identical; kept as separate items" in record["run"]["request"]["notes"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    found = smalti("generate", "digits", "-o", tmp_path / "run", *QUICK)
    assert (found.code, found.failure) == (
        1,
        f"{tmp_path / 'run'} is a file, and a run needs a folder; choose another place",
    )


def test_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("")
    found = smalti("generate", "digits", "-o", tmp_path / "run", *QUICK)
    assert (found.code, found.failure) == (
        1,
        f"{tmp_path / 'run'} holds files that are not a run's (such as letter.txt); choose a new or empty folder for "
        "a run",
    )


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    generated("digits", out)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    found = smalti("generate", "digits", "-o", out, *QUICK)
    assert (found.code, found.failure) == (
        1,
        f"'{out}' holds a run already: choose another folder, or add --resume to finish that run",
    )
    other = smalti("generate", "digits", "-o", out, *QUICK, "--steps", "4", "--resume")
    assert (other.code, other.failure) == (
        1,
        f"{out} holds a run with other settings (levels, patch_sizes); choose another folder, or repeat the settings "
        "in its run.json",
    )
    generated("digits", out, "--resume")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()} == before


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = os.fsync
    calls = 0

    def full_after_the_record(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(handle)

    monkeypatch.setattr(os, "fsync", full_after_the_record)
    found = smalti("generate", "digits", "-o", tmp_path / "run", *QUICK)
    assert found.code == 1
    assert found.out == ""
    last = found.err.splitlines()[-1]
    assert last.startswith("smalti: the disk is full: ")
    assert last.endswith(
        " could not be written; free some space and run the same command again, with --resume for a run (what is "
        "finished is kept)."
    )
    monkeypatch.undo()
    assert smalti("generate", "digits", "-o", tmp_path / "run", *QUICK, "--resume").code == 0


# Verification.


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Path:
    generated(source, tmp_path / "run")
    return tmp_path / "run"


def test_what_differs_is_listed(run: Path) -> None:
    (run / "000001.png").unlink()
    Image.new("L", (7, 6)).save(run / "000000.png")
    found = smalti("verify", run)
    assert found.code == 1
    assert found.out.splitlines()[:2] == [
        f"{run / '000000.png'} was altered after the run; the request gives the recorded bytes again.",
        f"{run / '000001.png'} cannot be read (No such file or directory).",
    ]
    assert found.out.splitlines()[2].startswith(f"different: 2 of 5 files of '{run}', ")


def test_verification_as_json(run: Path) -> None:
    record = smalti("verify", run, "--json").json
    assert record["same"] is True
    assert record["differences"] == []
    assert record["checked"] == ["000000.png", "000001.png", "grid.png", "trajectory.png", "trace.safetensors"]
    (run / "grid.png").unlink()
    found = smalti("verify", run, "--json")
    assert found.code == 1
    assert [(d["file"], d["kind"]) for d in json.loads(found.out)["differences"]] == [("grid.png", "missing")]


def sentence(found: Outcome) -> tuple[int, str]:
    return found.code, found.failure


def test_a_source_that_moved(run: Path, source: Path, tmp_path: Path) -> None:
    source.rename(tmp_path / "moved")
    assert sentence(smalti("verify", run)) == (
        1,
        f"the pictures of this run are not at '{source}' any more: say where they are with --source PATH",
    )
    assert smalti("verify", run, "--source", tmp_path / "moved").code == 0


def test_a_source_that_changed(run: Path, source: Path) -> None:
    was = read_run(run).request.corpus_digest
    Image.new("L", (7, 6)).save(source / "new.png")
    now = library.open_images(source).digest
    assert sentence(smalti("verify", run)) == (
        1,
        f"the pictures at '{source}' are not those that this run was made from (digest {now[:12]}, then {was[:12]}): "
        "restore them, or say where they are with --source PATH",
    )


def test_verification_from_another_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generated(source.name, Path("run"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert smalti("verify", tmp_path / "run").code == 0


def test_a_run_started_from_python_is_found_by_its_digest(tmp_path: Path) -> None:
    place = pictures(tmp_path / "in", count=1, size=(8, 8)) / "0.png"
    machine = library.BorderAware(library.open_images(place, size=(6, 6)), scales=3)
    request = Request.of(library.DDIM(machine, steps=2), source=str(place), seeds=[0])
    write_run(tmp_path / "run", request, machine)
    assert smalti("verify", tmp_path / "run").code == 0


def test_folders_that_cannot_be_verified(run: Path, tmp_path: Path) -> None:
    assert sentence(smalti("verify", tmp_path / "no")) == (
        1,
        f"{tmp_path / 'no'} is not a run folder: it holds no run.json; give a folder that a run was written to",
    )
    shutil.copytree(run, tmp_path / "damaged")
    (tmp_path / "damaged" / "run.json").write_text("{")
    assert smalti("verify", tmp_path / "damaged").failure.startswith(f"{tmp_path / 'damaged' / 'run.json'} is damaged")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert sentence(smalti("verify", run)) == (
        1,
        f"the run in {run} is not finished, so there is nothing to verify yet; finish it with --resume",
    )


def test_other_versions_are_told_and_are_no_difference(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["request"]["versions"]["numpy"] = "1.0"
    (run / "run.json").write_text(json.dumps(record))
    found = smalti("verify", run)
    assert found.code == 0
    assert f"note: numpy was 1.0 in the run and is {np.__version__} now.\n" in found.err


def test_levels_that_are_equal_but_for_the_time_verify(run: Path) -> None:
    """Schedules that are clipped at their noisy end have several such among many steps."""
    level = Level(time=1.0, signal=0.25, noise=0.75)
    levels = (level, replace(level, time=0.999), Level(time=0.5, signal=0.75, noise=0.25))
    request = replace(read_run(run).request, levels=levels, patch_sizes=(5, 5, 1))
    machine = recorded_machine(request, source=None)
    assert machine.scales is not None
    assert machine.scales.along(levels) == (5, 5, 1)


def test_output_inside_the_source_is_refused(source: Path, tmp_path: Path) -> None:
    done = smalti("generate", source, "-o", source / "new", "--scales", "3")
    assert done.code == 2
    assert "lies in the source" in done.err
    assert not (source / "new").exists()


def test_steps_below_the_state_grid_are_refused_before_any_work(source: Path, tmp_path: Path) -> None:
    done = smalti("generate", source, "-o", tmp_path / "run", "--scales", "3", "--steps", "5000")
    assert done.code == 2
    assert "use fewer steps" in done.err
    assert not (tmp_path / "run").exists()


def test_a_source_without_a_name_is_refused(tmp_path: Path) -> None:
    done = smalti("generate", "", "-o", tmp_path / "run")
    assert done.code == 2
    assert "empty name" in done.err


def test_seeds_given_twice_are_refused_before_calibration(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smalti.cli.generate_pictures.find_scales", lambda *_, **__: pytest.fail("calibrated first"))
    done = smalti("generate", source, "-o", tmp_path / "run", "--seeds", "1,1")
    assert done.code == 2
    assert "seed 1 is asked for more than once" in done.err
