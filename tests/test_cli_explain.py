"""`smalti explain`: what it writes, what it says, and each way in which it refuses."""

from __future__ import annotations

import builtins
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_program import pictures, smalti
from smalti.cli import explain_files, explain_forms, explain_words
from smalti.receipts import UNITS
from smalti.receipts.rows import COLUMNS
from smalti.sampling import open_run

SEED_FILES = ("receipt.json", "receipt.parquet", "copy-map.png", "mosaic.png", "effective-sources.png", "sources.png")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of three seeds from labelled pictures; nothing in it may change."""
    place = tmp_path_factory.mktemp("explain")
    for label in ("a", "b"):
        pictures(place / "own" / label, count=4, size=(6, 7), seed=ord(label))
    metadata = "file_name,artist\na/0.png,Anna\na/1.png,Anna\nb/0.png,Ben\n"
    (place / "own" / "metadata.csv").write_text(metadata)
    made = smalti("generate", place / "own", "-o", place / "run", "--seeds", "0,4,9", "--scales", "3", "--steps", "4")
    assert made.code == 0, made.err
    return place


@pytest.fixture
def place(kept: Path, tmp_path: Path) -> Path:
    """A copy of the run to work on; its source is the first folder's."""
    shutil.copytree(kept / "run", tmp_path / "run")
    return tmp_path


def test_a_folder_holds_everything_of_the_first_seed(place: Path) -> None:
    before = {path.name: path.read_bytes() for path in (place / "run").iterdir()}
    done = smalti("explain", place / "run")
    assert done.code == 0, done.err
    folder = place / "run-receipt"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"000000.{name}" for name in SEED_FILES), "report.html"]
    )
    assert "note: seed 0, the first of the run: 2 more with --seed LIST or --seed all" in done.err
    for name in ("report.html", *(f"000000.{name}" for name in SEED_FILES)):
        assert str(folder / name) in done.out
    assert {path.name: path.read_bytes() for path in (place / "run").iterdir()} == before
    record = json.loads((folder / "000000.receipt.json").read_bytes())
    run = open_run(place / "run")
    assert record["run"]["folder"] == str(place / "run")
    assert record["run"]["source"] == run.record.request.source
    assert record["run"]["created"] == run.record.created
    assert record["run"]["versions"] == run.record.request.versions
    assert [step["step"] for step in record["steps"]] == [0, 1, 2, 3]
    assert record["summary"]["credits"]
    credits = run.trace.of_seed(0).receipt.credits()
    assert [units for _, units in record["steps"][-1]["credits"]] == sorted(credits[credits > 0].tolist())[::-1]
    assert "Weight: " in done.out
    assert "By label: " in done.out
    assert "By artist: " in done.out
    assert "(none) (" in done.out
    assert "Match (a similarity, which says nothing of weight): the nearest patch of 3 is " in done.out


def test_the_same_run_gives_the_same_bytes(place: Path) -> None:
    for out in ("one", "two"):
        assert smalti("explain", place / "run", "-o", place / out, "--seed", "4,9").code == 0
    names = sorted(path.name for path in (place / "one").iterdir())
    assert names == sorted([*(f"00000{seed}.{name}" for seed in (4, 9) for name in SEED_FILES), "report.html"])
    for name in names:
        assert (place / "one" / name).read_bytes() == (place / "two" / name).read_bytes(), name


def test_the_table_holds_every_unit(place: Path) -> None:
    import pyarrow.parquet as pq

    done = smalti("explain", place / "run", "-o", place / "rows.parquet", "--seed", "all", "--top", "2")
    assert done.code == 0, done.err
    assert "note: seed" not in done.err
    table = pq.read_table(place / "rows.parquet")
    assert table.column_names == list(COLUMNS)
    assert json.loads(table.schema.metadata[b"smalti"])["seeds"] == [0, 4, 9]
    rows = table.to_pydict()
    units = np.array(rows["units"])
    assert units.dtype == np.int64
    assert units.sum() == 3 * 4 * 6 * 7 * UNITS
    run = open_run(place / "run")
    credits = run.trace.of_seed(9).receipt.credits(1)
    # Two items of each pixel are listed, so that no item has more in the table than its credit.
    for item in range(len(credits)):
        where = (np.array(rows["item"], float) == item) & (np.array(rows["seed"]) == 9) & (np.array(rows["step"]) == 1)
        assert units[where].sum() <= credits[item]
    assert smalti("explain", place / "run", "-o", place / "rows.csv").code == 0
    assert (place / "rows.csv").read_text().splitlines()[0] == ",".join(COLUMNS)


def test_one_file_when_one_is_asked_for(place: Path) -> None:
    assert smalti("explain", place / "run", "-o", place / "folder", "--steps", "0,2").code == 0
    assert smalti("explain", place / "run", "-o", place / "a.json", "--steps", "0,2").code == 0
    assert (place / "a.json").read_bytes() == (place / "folder" / "000000.receipt.json").read_bytes()
    assert [step["step"] for step in json.loads((place / "a.json").read_bytes())["steps"]] == [0, 2, 3]
    assert smalti("explain", place / "run", "-o", place / "a.html", "--steps", "0,2").code == 0
    assert (place / "a.html").read_bytes() == (place / "folder" / "report.html").read_bytes()
    assert b"<html" in (place / "a.html").read_bytes()[:200]


def test_json_says_what_the_receipt_says(place: Path) -> None:
    written = smalti("explain", place / "run", "-o", place / "x", "--json").json
    assert written["place"] == str(place / "x")
    assert set(written["files"]) == {path.name for path in (place / "x").iterdir()}
    (answer,) = written["seeds"]
    receipt = open_run(place / "run").trace.of_seed(0).receipt
    assert (answer["seed"], answer["picture"], answer["step"], answer["patch_size"]) == (0, "000000.png", 3, 3)
    assert answer["weight"]["units"] == receipt.whole_units
    for said_item, credit in zip(answer["weight"]["items"], receipt.items(8), strict=True):
        assert said_item["index"] == credit.item
        assert said_item["units"] == credit.units
        assert said_item["share"] == credit.share
    assert list(answer["groups"]) == ["label", "artist"]
    assert {group["value"]: group["units"] for group in answer["groups"]["artist"]} == receipt.by("artist")
    share = receipt.at().top_share
    assert answer["pixels"]["top_item_share"]["mean"] == share.ravel().mean()
    assert answer["pixels"]["mostly_one_item"] == (share > 0.5).sum()
    match = receipt.match()
    assert answer["match"]["nearest_patch_rms"]["most"] == match.rms.max()
    assert answer["match"]["nearest_items"][0]["index"] == match.whole[0][0]


def test_groups_at_the_steps_asked_for_and_nothing_else(place: Path) -> None:
    words = ("explain", place / "run", "--by", "artist")
    said = smalti(*words, "--steps", "0,2", "--seed", "9", "--json").json
    assert set(said) == {"seeds", "notes", "seconds"}
    (answer,) = said["seeds"]
    assert set(answer) == {"seed", "picture", "by"}
    receipt = open_run(place / "run").trace.of_seed(9).receipt
    assert [at["step"] for at in answer["by"]["steps"]] == [0, 2]
    for at in answer["by"]["steps"]:
        units = receipt.by("artist", step=at["step"])
        assert [(group["value"], group["units"]) for group in at["groups"]] == list(units.items())
        assert sum(group["units"] for group in at["groups"]) == at["units"] == receipt.whole_units
    text = smalti(*words, "--steps", "0,2").out
    assert [line for line in text.splitlines() if line.startswith("By ")] == [
        "By artist, weight at step 0, patches of 3",
        "By artist, weight at step 2, patches of 3",
    ]
    for other in ("Weight: ", "Match", "By label", "Copy map"):
        assert other not in text
    last = smalti(*words).out
    assert "By artist, weight at step 3 (the finished picture), patches of 3\n" in last
    assert last.count("By artist") == 1
    # Where all is written, the last step is answered too.
    assert smalti(*words, "-o", place / "x").out.count("By artist") == 1
    assert [path.name for path in place.iterdir() if path.name != "x"] == ["run"]


def test_groups_of_several_seeds_are_added_up(place: Path) -> None:
    words = ("explain", place / "run", "--by", "label", "--seed", "all", "--steps", "1,3")
    said = smalti(*words, "--json").json
    assert (said["total"]["column"], said["total"]["pictures"]) == ("label", 3)
    trace = open_run(place / "run").trace
    for at in said["total"]["steps"]:
        units = {
            value: sum(sample.receipt.by("label", step=at["step"])[value] for sample in trace) for value in ("a", "b")
        }
        assert {group["value"]: group["units"] for group in at["groups"]} == units
        assert at["units"] == 3 * 6 * 7 * UNITS
        assert sum(group["share"] for group in at["groups"]) == pytest.approx(1)
    text = smalti(*words).out
    assert "All 3 pictures together\nBy label, weight at step 1" in text
    assert "total" not in smalti("explain", place / "run", "--by", "label", "--json").json


def test_a_pixel_is_proved(place: Path) -> None:
    words = ("explain", place / "run", "--pixel", "6,1", "--seed", "9", "--steps", "1,3", "--top", "1000")
    (answer,) = smalti(*words, "--json").json["seeds"]
    assert [path.name for path in place.iterdir()] == ["run"]
    run = open_run(place / "run")
    sample = run.trace.of_seed(9)
    for found, step in zip(answer["pixel"], (1, 3), strict=True):
        assert (found["x"], found["y"], found["step"]) == (6, 1, step)
        assert found["value"] == sample.estimates[step, 1, 6].tolist()
        assert found["others"] == {"sources": 0, "weight": 0}
        images = run.machine.corpus.images
        for source in found["sources"]:
            assert source["value"] == images[source["item"], source["y"], source["x"]].tolist()
        total = sum(source["weight"] for source in found["sources"])
        assert total == found["weight"]
        mean = sum(Fraction(s["weight"] * (2 * s["value"][0] - 255), 255 * total) for s in found["sources"])
        assert mean == Fraction(found["mean_exactly"][0])
        assert float(mean) == pytest.approx(found["mean"][0], rel=1e-15)
    assert answer["pixel"][1]["mean"] == sample.mean[1, 6].tolist()
    text = smalti(*words).out
    assert "Pixel at column 6, row 1, step 1 (patches of 3), has the value" in text
    assert " at column " in text.split("\n")[2]
    assert "Proof: " in text
    assert "Weight: " not in text
    assert f"the mean that this step has, and rounded to a pixel {sample.image[1, 6, 0]}" in text
    few = smalti("explain", place / "run", "--pixel", "0,0", "--top", "1", "--steps", "0")
    assert "all others" in few.out
    assert smalti(*words[:4], "-o", place / "x.json").out.count("Proof: ") == 1
    assert len(json.loads((place / "x.json").read_bytes())["steps"]) == 4


def test_each_proof_names_its_channel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 4), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels)
    run = ("--scales", "3", "--steps", "2", "--seeds", "0")
    assert smalti("generate", tmp_path / "a.npz", "-o", tmp_path / "run", *run).code == 0
    text = smalti("explain", tmp_path / "run", "--pixel", "1,2").out
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith("Proof")] == [
        f"Proof of {channel}" for channel in ("red", "green", "blue", "opacity")
    ]


def test_what_is_little_is_not_nothing() -> None:
    found = {"item": 0, "id": 64 * "0", "name": "x", "label": None, "x": 0, "y": 0, "weight": 1, "value": [3]}
    pixel = {
        **{"x": 0, "y": 0, "step": 0, "patch_size": 3, "value": [3], "weight": 10**9, "weighted_sums": [1]},
        **{"mean": [0.5], "sources": [{**found, "share": 1e-9}], "others": {"sources": 1, "weight": 10**9 - 1}},
    }
    lines = list(explain_words._pixel_lines(pixel))
    assert " <0.01 %  value 3 " in lines[1]
    assert ">99.99 %  all others" in lines[2]


@pytest.mark.parametrize("machine", ["ideal", "equivariant", "local", "equivariant-local"])
def test_every_machine_is_explained(machine: str, kept: Path, tmp_path: Path) -> None:
    scales = () if machine in ("ideal", "equivariant") else ("--scales", "3")
    run = ("--machine", machine, *scales, "--steps", "2", "--seeds", "1", "--label", "a")
    assert smalti("generate", kept / "own", "-o", tmp_path / "run", *run).code == 0
    assert "Proof" in smalti("explain", tmp_path / "run", "--pixel", "3,3").out
    done = smalti("explain", tmp_path / "run", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "the nearest item is " in done.out
    record = json.loads((tmp_path / "out" / "000001.receipt.json").read_bytes())
    assert {item["label"] for item in record["items"]} == {"a"}
    assert record["run"]["label"] == "a"


def test_fewer_sources_are_listed_where_there_would_be_too_many(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_forms, "_MOST_SOURCES", 6 * 7 * 8 * 2)
    done = smalti("explain", place / "run", "-o", place / "few.json")
    assert done.code == 0
    assert "note: 2 of 4 steps are listed, since a record lists about 672 sources" in done.err
    record = json.loads((place / "few.json").read_bytes())
    assert [step["step"] for step in record["steps"]] == [0, 3]
    assert len(record["notes"]) == 1


def test_a_page_of_very_many_seeds_shows_the_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_files, "_MOST_ON_PAGE", 2)
    done = smalti("explain", place / "run", "--seed", "all", "--steps", "last")
    assert "note: the page shows the first 2 of 3 seeds: name others with --seed" in done.err
    names = [f"00000{seed}.{name}" for seed in (0, 4, 9) for name in SEED_FILES]
    assert sorted(path.name for path in (place / "run-receipt").iterdir()) == sorted([*names, "report.html"])


def test_a_large_page_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_files, "_LARGE_PAGE", 1000)
    assert "note: the page has 0 MB: fewer seeds" in smalti("explain", place / "run", "-o", place / "a.html").err


def test_without_pyarrow_there_is_no_table(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if name.split(".")[0] == "pyarrow":
            raise ImportError(name)
        return original(name, globals, locals, fromlist or (), level)

    monkeypatch.setattr(builtins, "__import__", without)
    done = smalti("explain", place / "run")
    assert done.code == 0
    assert "note: no tables of rows were written: run pip install pyarrow to have them\n" in done.err
    assert not (place / "run-receipt" / "000000.receipt.parquet").exists()
    assert "receipt.parquet" not in done.out
    for words in (("--by", "label"), ("-o", place / "one.html"), ("-o", place / "rows.csv")):
        assert "pyarrow" not in smalti("explain", place / "run", *words).err
    refused = smalti("explain", place / "run", "-o", place / "rows.parquet")
    assert refused.code == 1
    assert "run pip install pyarrow" in refused.failure


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--seed", "3"), 2, "the trace has no sample of seed 3; it has 0, 4, 9"),
        (("--seed", "x"), 2, "--seed 'x' has no meaning"),
        (("--steps", "4"), 2, "there is no step 4: this sample has steps 0 to 3"),
        (("--steps", "first"), 2, "--steps 'first' has no meaning"),
        (("--pixel", "7,0"), 2, "there is no pixel 7,0: the picture's columns are 0 to 6 and its rows 0 to 5"),
        (("--pixel", "0,6"), 2, "there is no pixel 0,6"),
        (("--pixel", "3"), 2, "--pixel '3' is not a pixel"),
        (("--by", "licence"), 2, "licence"),
        (("--seed", "all", "-o", "one.json"), 2, "holds the record of one seed, and 3 were asked for"),
        (("--source", "nowhere"), 1, "'nowhere'"),
        (("--top", "0"), 2, "--top"),
        (("-o", "new.txt"), 2, "-o 'new.txt' ends in .txt, which explain does not write: give a name that ends in"),
    ],
)
def test_what_cannot_be_done_is_said(place: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    done = smalti("explain", place / "run", *words)
    assert done.code == code
    assert sentence in done.failure
    assert [path.name for path in place.iterdir()] == ["run"]


def test_nothing_is_written_over_without_force(place: Path) -> None:
    for name in ("a.json", "a.html", "a.csv"):
        (place / name).write_text("mine")
        refused = smalti("explain", place / "run", "-o", place / name, "--steps", "last")
        assert refused.code == 1
        assert "is there already: choose another place with -o, or write over it with --force" in refused.failure
        assert (place / name).read_text() == "mine"
        assert smalti("explain", place / "run", "-o", place / name, "--steps", "last", "--force").code == 0
        assert (place / name).read_text() != "mine"
    (place / "run-receipt").mkdir()
    (place / "run-receipt" / "mine.txt").write_text("mine")
    assert "holds files that are no receipts" in smalti("explain", place / "run").failure
    assert smalti("explain", place / "run", "--force", "--steps", "last").code == 0
    refused = smalti("explain", place / "run").failure
    assert f"'{place / 'run-receipt' / '000000.receipt.json'}' is there already" in refused
    (place / "file").write_text("mine")
    assert "is a file, and receipts need a folder" in smalti("explain", place / "run", "-o", place / "file").failure
    (place / "folder.json").mkdir()
    refused = smalti("explain", place / "run", "-o", place / "folder.json", "--force")
    assert "is a folder, and its name is that of a file" in refused.failure


def test_receipts_stay_out_of_the_source(kept: Path, place: Path) -> None:
    refused = smalti("explain", place / "run", "-o", kept / "own" / "receipts")
    assert refused.code == 2
    assert "its files would be taken for a part of it next time" in refused.failure
    assert not (kept / "own" / "receipts").exists()


def test_the_default_folder_stands_beside_the_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "run")
    done = smalti("explain", ".", "--steps", "last")
    assert done.code == 0, done.err
    assert (place / "run-receipt" / "report.html").exists()


def test_a_run_that_is_not_as_it_was_is_refused(kept: Path, place: Path) -> None:
    assert "is not a run folder" in smalti("explain", place / "none").failure
    run = place / "run"
    record = json.loads((run / "run.json").read_bytes())
    trace = (run / "trace.safetensors").read_bytes()

    (run / "run.json").write_text(json.dumps(record | {"status": "running", "files": {}}))
    assert "is not finished" in smalti("explain", run).failure

    (run / "run.json").write_text(json.dumps(record))
    first = 8 + int.from_bytes(trace[:8], "little")  # of the tensors, behind the header
    (run / "trace.safetensors").write_bytes(trace[:first] + bytes([trace[first] ^ 1]) + trace[first + 1 :])
    assert "was altered after the run" in smalti("explain", run).failure

    (run / "trace.safetensors").write_bytes(trace)
    request = record["request"] | {"versions": record["request"]["versions"] | {"smalti": "0.0.1"}}
    (run / "run.json").write_text(json.dumps(record | {"request": request}))
    assert smalti("explain", run, "--steps", "last", "--by", "label").code == 0

    shutil.copytree(kept / "own", place / "own")
    assert smalti("explain", run, "--by", "label", "--source", place / "own").code == 0
    (place / "own" / "a" / "0.png").unlink()
    changed = smalti("explain", run, "--source", place / "own")
    assert changed.code == 1
    assert "metadata" in changed.failure or "are not those that this run was made from" in changed.failure
    (place / "own" / "metadata.csv").unlink()
    changed = smalti("explain", run, "--source", place / "own")
    assert "are not those that this run was made from" in changed.failure


def shown_on(page: Path) -> list[int]:
    return [int(seed) for seed in re.findall(r'class="receipt" data-seed="([0-9]+)"', page.read_text())]


def test_a_folder_gathers_the_seeds_of_one_run(kept: Path, place: Path) -> None:
    folder = place / "run-receipt"
    assert smalti("explain", place / "run", "--seed", "4", "--steps", "last").code == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = smalti("explain", place / "run", "--seed", "0,9", "--steps", "last")
    assert done.code == 0, done.err
    assert "note: the page shows 1 seed more, whose receipts are in the folder" in done.err
    names = [f"00000{seed}.{name}" for seed in (0, 4, 9) for name in SEED_FILES]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "report.html"])
    assert shown_on(folder / "report.html") == [0, 4, 9]
    for name in first.keys() - {"report.html"}:
        assert (folder / name).read_bytes() == first[name]
    # The same page as of all at once.
    assert smalti("explain", place / "run", "--seed", "all", "--steps", "last", "-o", place / "all").code == 0
    assert (place / "all" / "report.html").read_bytes() == (folder / "report.html").read_bytes()
    again = smalti("explain", place / "run", "--seed", "4", "--force")
    assert again.code == 0
    assert shown_on(folder / "report.html") == [0, 4, 9]

    words = ("--seeds", "1", "--scales", "3", "--steps", "3", "--label", "a")
    assert smalti("generate", kept / "own", "-o", place / "other", *words).code == 0
    refused = smalti("explain", place / "other", "-o", folder, "--force").failure
    assert "is of another run, and a folder holds receipts of one" in refused
    (folder / "000009.receipt.json").write_text("{}")
    refused = smalti("explain", place / "run", "-o", folder, "--force").failure
    assert f"'{folder / '000009.receipt.json'}' is not a record that this Smalti reads" in refused


def test_stopped_by_a_person(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("smalti.receipts.page.page", stop)
        done = smalti("explain", place / "run", "-o", place / "a.html")
        assert (done.code, done.err.splitlines()[-1]) == (
            130,
            "smalti: stopped; nothing was written: repeat the command.",
        )
        done = smalti("explain", place / "run", "--steps", "last")
        assert done.code == 130
        assert f"'{place / 'run-receipt'}' has the files of some seeds and no page of them" in done.err
        assert "repeat the command with --force" in done.err
    assert smalti("explain", place / "run", "--steps", "last", "--force").code == 0
    assert shown_on(place / "run-receipt" / "report.html") == [0]


def test_parents_are_made(place: Path) -> None:
    for name in ("report.html", "r.json", "r.csv", "folder"):
        out = place / "deep" / name / name
        assert smalti("explain", place / "run", "-o", out, "--steps", "last").code == 0
        assert out.exists()
    (place / "file").write_text("mine")
    refused = smalti("explain", place / "run", "-o", place / "file" / "report.html").failure
    assert "report.html cannot be written (Not a directory)" in refused


def test_a_place_that_cannot_be_written_is_found_before_the_work(someone: Path) -> None:
    pictures(someone / "in")
    run = ("--seeds", "0", "--scales", "3", "--steps", "2")
    assert smalti("generate", someone / "in", "-o", someone / "run", *run).code == 0
    (someone / "shut").mkdir(mode=0o500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smalti.cli.explain.open_run", lambda *_, **__: pytest.fail("it has begun"))
        for name in ("report.html", "r.json", "folder"):
            refused = smalti("explain", someone / "run", "-o", someone / "shut" / "deep" / name).failure
            assert "cannot be written (Permission denied)" in refused


@pytest.mark.parametrize("command", [("explain",), ("credit",), ("effect", "--without", "a/0.png")])
def test_a_picture_that_was_replaced_is_refused(command: tuple[str, ...], place: Path) -> None:
    first, *words = command
    picture, other = place / "run" / "000004.png", (place / "run" / "000009.png").read_bytes()
    with Image.open(picture) as image:
        image.load()
        own = picture.read_bytes()
        image.save(picture, compress_level=0)
    assert picture.read_bytes() != own
    assert smalti(first, place / "run", *words).code == 0
    picture.write_bytes(other)
    refused = smalti(first, place / "run", *words)
    assert refused.code == 1
    assert f"{picture} is not the picture that this run made: it was altered or replaced" in refused.failure
    picture.unlink()
    refused = smalti(first, place / "run", *words).failure
    assert f"{picture} is missing; repeat the command of the run with --resume to make it again" in refused
    picture.write_bytes(own)
    (place / "run" / "trace.safetensors").unlink()
    refused = smalti(first, place / "run", *words).failure
    assert "trace.safetensors is missing; repeat the command of the run with --resume" in refused


def test_one_item_is_one(tmp_path: Path) -> None:
    run = ("--seeds", "0", "--scales", "3", "--steps", "2")
    assert smalti("generate", pictures(tmp_path / "in", count=1), "-o", tmp_path / "run", *run).code == 0
    assert "Weight: 1 of 1 item has some; most by" in smalti("explain", tmp_path / "run").out
