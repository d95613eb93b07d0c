"""`smalti effect`: what changes without some pictures, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import smalti as library
from cli_program import Outcome, blocks, pictures, smalti
from smalti.cli.effect import Budget, read_budget
from smalti.errors import UsageError
from smalti.receipts.effects.ranking import rank
from smalti.receipts.effects.rerun import effect


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six pictures with the label a, three with b."""
    pictures(tmp_path / "in" / "a", count=6)
    pictures(tmp_path / "in" / "b", count=3, seed=1)
    return tmp_path / "in"


def made(source: Path, out: Path, *words: object) -> Path:
    done = smalti("generate", source, "-o", out, "--scales", "3", "--steps", "3", "--seeds", "0-2", *words)
    assert done.code == 0, done.err
    return out


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Path:
    return made(source, tmp_path / "run", "--label", "a")


def test_the_same_figures_as_from_python(run: Path) -> None:
    opened = library.open_run(run)
    items = opened.machine.corpus.find("a/2.png")
    found = effect(opened.trace, opened.machine, items)
    record = smalti("effect", run, "--without", "a/2.png", "--json").json
    assert record["format"] == "smalti.effect/1"
    assert [item["index"] for item in record["without"]["items"]] == items
    assert record["without"]["corpus_digest"] == opened.machine.corpus.without(items).digest
    assert record["run"]["corpus_digest"] == opened.machine.corpus.digest
    for entry, one in zip(record["seeds"], found, strict=True):
        assert entry["seed"] == one.seed
        assert entry["change"]["root_mean_square"] == one.change.root_mean_square
        assert entry["parted"] == one.parted
        assert entry["proof"] == {"steps": 1, "first_weight": 0, "unchanged": False}
    assert record["total"]["r"] == found.total.r
    assert not {"folder", "pictures"} & set(record) | {"pictures"} & set(record["seeds"][0])


def test_pictures_and_record(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = smalti("effect", run, "--without", "a/2.png", "--seeds", "2,0", "-o", out)
    assert done.code == 0, done.err
    kinds = ("before", "after", "difference")
    named = [f"{seed:06d}-{kind}.png" for seed in (0, 2) for kind in kinds]
    assert sorted(path.name for path in out.iterdir()) == sorted(["effect.json", "effect.png", *named])
    opened = library.open_run(run)
    found = effect(opened.trace, opened.machine, opened.machine.corpus.find("a/2.png"), seeds=[2, 0])
    for one in found:
        shown = {kind: np.asarray(Image.open(out / f"{one.seed:06d}-{kind}.png")) for kind in kinds}
        assert np.array_equal(shown["before"], one.before[..., 0])
        assert np.array_equal(shown["before"], np.asarray(Image.open(run / f"{one.seed:06d}.png")))
        assert np.array_equal(shown["after"], one.after[..., 0])
        apart = np.abs(shown["after"].astype(int) - shown["before"].astype(int))
        assert np.array_equal(shown["difference"], apart)
    record = json.loads((out / "effect.json").read_bytes())
    assert [entry["seed"] for entry in record["seeds"]] == [2, 0]
    assert record["seeds"][0]["pictures"]["after"] == "000002-after.png"
    assert done.out.splitlines()[0].startswith("without 1 of 9 pictures, 2 seeds again, ")
    assert str(out / "effect.png") in done.out
    again = smalti("effect", run, "--without", "a/2.png", "--seeds", "2,0", "-o", tmp_path / "again")
    assert again.code == 0
    assert (tmp_path / "again" / "effect.json").read_bytes() == (out / "effect.json").read_bytes()


def test_proved_and_confirmed(run: Path) -> None:
    done = smalti("effect", run, "--without-group", "label=b")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].startswith("without 3 of 9 pictures, 3 seeds again, ")
    for seed, line in enumerate(done.out.splitlines()[1:4]):
        assert line == (
            f"  seed {seed}: cannot have changed (outside the machine's label), and has not: the same bytes again"
        )
    record = smalti("effect", run, "--without-group", "label=b", "--json").json
    for entry in record["seeds"]:
        assert not entry["changed"]
        assert entry["proof"] == {"steps": 0, "first_weight": None, "unchanged": True}
        assert entry["change"]["largest"] == 0


def test_several_are_removed_together(run: Path) -> None:
    corpus = library.open_run(run).machine.corpus
    first = corpus.ids[corpus.find("a/0.png")[0]]
    words = ("--without", first[:12], "--without", "a/1.png", "--without", "a/0.png", "--without-group", "label=b")
    record = smalti("effect", run, *words, "--json").json
    removed = [*corpus.find(first[:12]), *corpus.find("a/1.png"), *corpus.group("label", "b")]
    assert [item["index"] for item in record["without"]["items"]] == sorted(removed)
    assert record["without"]["corpus_items"] == 4


def test_groups_of_the_metadata(source: Path, tmp_path: Path) -> None:
    lines = ["file_name,licence", "a/0.png,cc0", "a/1.png,cc0", "a/3.png,unknown"]
    (source / "metadata.csv").write_text("\n".join(lines))
    run = made(source, tmp_path / "run")
    for value, names in {
        "cc0": ["a/0.png", "a/1.png"],
        "unknown": ["a/3.png"],
        "": ["a/2.png", "a/4.png", "a/5.png", "b/0.png", "b/1.png", "b/2.png"],
    }.items():
        record = smalti("effect", run, "--without-group", f"licence={value}", "--seeds", 0, "--json").json
        assert sorted(item["name"] for item in record["without"]["items"]) == names
    assert "'mine'" in refused(run, "--without-group", "licence=mine").failure


def test_ranking(run: Path, tmp_path: Path) -> None:
    opened = library.open_run(run)
    found = rank(opened.trace.only(1), opened.machine, runs=4)
    words = ("effect", run, "--rank", "--budget", 4, "--seeds", 1)
    record = smalti(*words, "--json").json
    assert (record["format"], record["seed"], record["runs"]) == ("smalti.effect-ranking/1", 1, 4)
    assert record["covered"] == found.covered
    assert [entry["index"] for entry in record["items"]] == [one.item for one in found.items]
    for entry, one in zip(record["items"], found.items, strict=True):
        assert entry["one_step"] == one.one_step
        size = entry["effect"] if one.effect is None else entry["effect"]["root_mean_square"]
        assert size == ("not run" if one.effect is None else one.effect.root_mean_square)
    done = smalti(*words, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.out.startswith("seed 1: 4 of 6 items, each run again without, with ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["effect.json", "effect.png"]
    listed = [line.split()[3] for line in done.out.splitlines()[2:6]]
    assert listed == [opened.machine.corpus.ids[one.item][:12] for one in found.items[:4]]
    assert "lets no item be run" in smalti("effect", run, "--rank", "--budget", "0s", "-o", tmp_path / "no").failure


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("count", [1, 4, 13])
def test_sheets_of_all_kinds(channels: int, count: int, tmp_path: Path) -> None:
    """Colour and opacity, one block of rows and two, more seeds than a sheet shows; wide pictures."""
    pixels = np.stack([blocks(4, size=(3, 9), seed=k) for k in range(channels)], axis=-1)
    np.savez(tmp_path / "a.npz", images=pixels)
    run = made(tmp_path / "a.npz", tmp_path / "run", "--seeds", f"0-{count - 1}")
    done = smalti("effect", run, "--without", "images[0]", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    with Image.open(tmp_path / "out" / "effect.png") as sheet:
        assert min(sheet.size) > 100
    with Image.open(tmp_path / "out" / "000000-after.png") as picture:
        assert picture.mode == {3: "RGB", 4: "RGBA"}[channels]


def test_a_note_where_the_channels_change(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in")
    colour = np.stack([blocks(1, size=(6, 7), seed=k)[0] for k in range(3)], axis=-1)
    Image.fromarray(colour).save(folder / "colour.png")
    run = made(folder, tmp_path / "run")
    done = smalti("effect", run, "--without", "colour.png", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "note: without this item the corpus needs 1 instead of 3 channels" in done.err
    record: Any = json.loads((tmp_path / "out" / "effect.json").read_bytes())
    assert len(record["notes"]) == 1
    assert record["seeds"][0]["proof"] is None


def refused(run: Path, *words: object) -> Outcome:
    done = smalti("effect", run, *words)
    assert done.code == 2
    return done


def test_wrong_usage(run: Path, tmp_path: Path) -> None:
    cases = {
        "say what to remove with --without ITEM or --without-group COLUMN=VALUE": (),
        "give one or the other": ("--rank", "--without", "a/0.png"),
        "--budget goes with --rank": ("--without", "a/0.png", "--budget", 3),
        "--budget '3.5' has no meaning": ("--rank", "--budget", "3.5"),
        "--rank ranks the items for one seed, and --seeds names 2": ("--rank", "--seeds", "0,1"),
        "no sample of seed 7": ("--without", "a/0.png", "--seeds", "7"),
        "the trace has no sample of seed 9": ("--rank", "--seeds", "9"),
        "--without-group 'label' has no meaning": ("--without-group", "label"),
        "nothing is left of label 'a'": ("--without-group", "label=a"),
        "empty": ("--without-group", "label=a", "--without-group", "label=b"),
    }
    for sentence, words in cases.items():
        assert sentence in refused(run, *words, "-o", tmp_path / "out").err
    for words in (("--without", "nobody.png"), ("--without-group", "label=c"), ("--without-group", "artist=x")):
        assert refused(run, *words).failure
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used(run: Path, source: Path, tmp_path: Path) -> None:
    assert "is not an empty folder" in smalti("effect", run, "--without", "a/0.png", "-o", run).failure
    assert "is not an empty folder" in smalti("effect", run, "--rank", "-o", run / "run.json").failure
    inside = refused(run, "--without", "a/0.png", "-o", source / "out").failure
    assert "lies in the source" in inside
    assert smalti("effect", tmp_path / "none", "--rank").code == 1
    (tmp_path / "empty").mkdir()
    assert smalti("effect", run, "--without", "a/0.png", "-o", tmp_path / "empty").code == 0


def test_pictures_that_have_moved_or_changed(run: Path, source: Path, tmp_path: Path) -> None:
    source.rename(tmp_path / "moved")
    assert "say where they are with --source PATH" in smalti("effect", run, "--rank").failure
    done = smalti("effect", run, "--without", "a/0.png", "--source", tmp_path / "moved")
    assert done.code == 0, done.err
    (tmp_path / "moved" / "a" / "0.png").unlink()
    changed = smalti("effect", run, "--without", "a/1.png", "--source", tmp_path / "moved")
    assert "are not those that this run was made from" in changed.failure


def test_budgets() -> None:
    assert read_budget("40") == Budget(40, None)
    assert read_budget("1.5s") == Budget(None, 1.5)
    assert read_budget("60 s") == Budget(None, 60.0)
    for text in ("0", " 0 ", "0s", "0.000s"):
        with pytest.raises(UsageError, match="lets no item be run: give at least one"):
            read_budget(text)
    for text in ("", "-1", "1.5", "s", "many", "1e3", "10m"):
        with pytest.raises(UsageError, match="has no meaning"):
            read_budget(text)


def test_of_more_seeds_than_a_sheet_shows_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    whole = Figure.suptitle
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **kw: titles.append(text) or whole(self, text, **kw))
    run = made(pictures(tmp_path / "in"), tmp_path / "run", "--seeds", "0-12")
    assert smalti("effect", run, "--without", "0.png", "-o", tmp_path / "out").code == 0
    assert smalti("effect", run, "--without", "0.png", "--seeds", "0-11", "-o", tmp_path / "few").code == 0
    assert titles == ["without 1 of 6 pictures (the first 12 of 13 are shown)", "without 1 of 6 pictures"]


def test_one_of_two_identical_pictures_has_no_effect(tmp_path: Path) -> None:
    """All that is left of it is how a quotient of other sums is rounded."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 6, 7), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels.repeat(3, axis=0))
    run = made(tmp_path / "a.npz", tmp_path / "run")
    record = smalti("effect", run, "--without", "images[1]", "--json").json
    for entry in record["seeds"]:
        assert entry["change"] == {
            **dict.fromkeys(("mean_absolute", "root_mean_square", "largest", "pixels"), 0),
            "r": 1,
        }
        assert not entry["changed"]


@pytest.mark.parametrize("words", [("--without", "a/0.png"), ("--rank",)])
def test_stopped_by_a_person(
    words: tuple[str, ...], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smalti.cli.effect.effect_of", stop)
    monkeypatch.setattr("smalti.cli.effect.rank_items", stop)
    done = smalti("effect", run, *words, "-o", tmp_path / "out")
    assert (done.code, done.failure) == (130, "stopped; nothing was written: repeat the command")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("smalti.cli.effect.open_run", stop)
    done = smalti("effect", run, *words, "-o", tmp_path / "out")
    assert (done.code, done.failure) == (130, "stopped; nothing was left half written")


def test_stopped_while_it_writes(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path, content: bytes) -> None:
        if path.name == "effect.json":
            raise KeyboardInterrupt
        path.write_bytes(content)

    monkeypatch.setattr("smalti.cli.effect.write_file", stop)
    done = smalti("effect", run, "--without", "a/0.png", "-o", tmp_path / "out")
    assert done.code == 130
    assert "holds pictures without effect.json: repeat the command with another folder" in done.err


def test_a_folder_that_cannot_be_made_is_found_before_the_work(someone: Path) -> None:
    run = made(pictures(someone / "in"), someone / "run")
    (someone / "shut").mkdir(mode=0o500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smalti.cli.effect.effect_of", lambda *_, **__: pytest.fail("it has begun"))
        refused = smalti("effect", run, "--without", "0.png", "-o", someone / "shut" / "new" / "out")
    assert (refused.code, "cannot be written" in refused.failure) == (1, True)
