"""`smalti corpus`: what each command says, writes and refuses, and what forgetting finds elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

import smalti as library
from cli_program import blocks, files_of, pictures, smalti
from smalti.cli.app import app
from smalti.corpus import CorpusStore, ImageCorpus
from smalti.errors import InputError
from smalti.receipts.ledger import Ledger
from smalti.sampling import open_run

COMMANDS = ("create", "add", "forget", "list", "verify", "compact")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SMALTI_LEDGER", str(tmp_path / "own" / "ledger.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, three of which have metadata."""
    made = pictures(tmp_path / "pictures")
    (made / "metadata.csv").write_text("file_name,artist,licence\n0.png,Ada,by\n1.png,Bo,\n2.png,Ada,cc0\n")
    return made


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> Path:
    """The same pictures as a store."""
    path = tmp_path / "x.smalti"
    assert smalti("corpus", "create", path, folder).code == 0
    return path


def generate(source: Path, out: Path, *words: object) -> Path:
    """A run of one picture."""
    done = smalti("generate", source, "-o", out, "--seeds", 0, "--steps", 2, "--scales", 3, *words)
    assert done.code == 0, done.err
    return out


def holders(*words: object) -> set[tuple[str, str, str]]:
    """(kind, name, state) of what a dry run of forgetting names."""
    found = smalti("corpus", "forget", *words, "--dry-run", "--json").json["holders"]
    return {(one["kind"], Path(one["path"]).name, one["state"]) for one in found}


def test_help_explains_every_command_and_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    for words in (("corpus",), ("corpus", "--help"), ("corpus", "-h")):
        shown = smalti(*words)
        assert (shown.code, shown.err) == (0, "")
        assert all(f" {command} " in shown.out for command in COMMANDS)
    for command in COMMANDS:
        shown = CliRunner().invoke(app, ["corpus", command, "--help"])
        lines = [line.strip(" │|").split() for line in shown.output.splitlines()]
        options = [words for words in lines if any(word.startswith("--") for word in words[:2])]
        assert any("--json" in words for words in options)
        assert all(sum(word.islower() or word[:1].isupper() for word in words) >= 4 for words in options), options


def test_create_and_list(tmp_path: Path, folder: Path) -> None:
    corpus = ImageCorpus.from_folder(folder)
    made = smalti("corpus", "create", "x.smalti", "pictures")
    assert made.out == f"'x.smalti' has 6 items of 7x6 pixels (grey), digest {corpus.digest[:12]}\n"
    assert made.err == "note: 3 of 6 pictures are without metadata\n"
    assert library.open_images("x.smalti").metadata == corpus.metadata
    listed = smalti("corpus", "list", "x.smalti", "--json").json
    assert {key: listed[key] for key in ("store", "size", "mode", "labelled", "digest", "removed")} == {
        "store": str(tmp_path / "x.smalti"),
        "size": [6, 7],
        "mode": "L",
        "labelled": False,
        "digest": corpus.digest,
        "removed": 0,
    }
    assert [item["id"] for item in listed["items"]] == list(corpus.ids)
    assert {item["source"] for item in listed["items"]} == {str(folder)}
    assert {item["name"]: item["metadata"] for item in listed["items"]}["0.png"] == {"artist": "Ada", "licence": "by"}
    assert [(event["action"], event["items"], event["after"]) for event in listed["log"]] == [
        ("create", 6, corpus.digest)
    ]
    lines = smalti("corpus", "list", "x.smalti").out.splitlines()
    assert lines[:-1] == [f"  {i[:16]}  {name}" for i, name in zip(corpus.ids, corpus.names, strict=True)]
    created = smalti("corpus", "create", "y.smalti", "digits", "--size", "5x4", "--json").json
    assert (created["items"], created["size"], created["labelled"]) == (1797, [4, 5], True)
    first = CorpusStore.open("y.smalti").items()[0]
    assert smalti("corpus", "list", "y.smalti").out.splitlines()[0] == f"  {first.id[:16]}  {first.label}  {first.name}"


def test_create_refuses_a_name_that_is_taken(store: Path, folder: Path) -> None:
    before = store.read_bytes()
    assert "exists already: choose another name" in smalti("corpus", "create", store, folder).failure
    assert store.read_bytes() == before
    assert "the source has an empty name" in smalti("corpus", "create", "y.smalti", "").failure


def test_add_brings_pictures_to_the_size_of_the_store(tmp_path: Path, store: Path, folder: Path) -> None:
    Image.fromarray(blocks(1, size=(12, 14), seed=9)[0]).save(folder / "large.png")
    added = smalti("corpus", "add", store, folder)
    assert added.out.startswith(f"1 item added, 6 there already; '{store}' has 7 items of 7x6 pixels (grey), digest ")
    assert "note: resized to 7x6 with a Lanczos filter: 'large.png'" in added.err
    again = smalti("corpus", "add", store, folder, "--json").json
    assert (again["added"], again["present"], again["forgotten"], again["items"]) == (0, 7, [], 7)
    assert again["digest_before"] == again["digest"]


def test_forget_gives_the_corpus_that_never_had_the_items(store: Path, folder: Path) -> None:
    corpus = library.open_images(store)
    gone = corpus.find("3.png") + corpus.group("artist", "Ada")
    words = ("corpus", "forget", store, "3.png", "--group", "artist=Ada", "--reason", "asked")
    before = store.read_bytes()
    tried = smalti(*words, "--dry-run")
    assert "3 items would be forgotten; " in tried.out
    assert store.read_bytes() == before
    done = smalti(*words, "--json").json
    left = corpus.without(gone)
    assert done["done"] is True
    assert sorted(item["name"] for item in done["forgotten"]) == ["0.png", "2.png", "3.png"]
    assert (done["removal"]["before"], done["removal"]["after"]) == (corpus.digest, left.digest)
    assert (done["removal"]["reason"], done["holders"], done["items"]) == ("asked", [], 3)
    for name in ("0.png", "2.png", "3.png"):
        (folder / name).unlink()
    never = ImageCorpus.from_folder(folder)
    assert library.open_images(store).images.tobytes() == never.images.tobytes()
    assert files_of(generate(store, folder.parent / "forgotten")) == files_of(generate(folder, folder.parent / "never"))
    verified = smalti("corpus", "verify", store)
    assert verified.out == (
        "sound: 3 items (3 different) are those of the log, and nothing left of 3 items forgotten; digest "
        f"{never.digest}\n"
    )


def test_what_was_forgotten_is_listed_without_names(store: Path) -> None:
    corpus = library.open_images(store)
    (one,) = corpus.find("1.png")
    done = smalti("corpus", "forget", store, corpus.ids[one][:12], "--reason", "asked\nin writing")
    assert done.out.splitlines()[0] == f"  {corpus.ids[one][:16]}  1.png"
    assert done.out.splitlines()[1].startswith(f"1 item forgotten; '{store}' has 5 items of 7x6 pixels (grey), digest ")
    assert done.out.splitlines()[1].endswith(f", before {corpus.digest[:12]}")
    listed = smalti("corpus", "list", store, "--removed")
    assert "1.png" not in listed.out
    assert corpus.ids[one] in listed.out
    assert r"asked\nin writing" in listed.out
    (removal,) = smalti("corpus", "list", store, "--removed", "--json").json["removals"]
    assert (removal["ids"], removal["before"]) == ([corpus.ids[one]], corpus.digest)
    again = smalti("corpus", "forget", store, corpus.ids[one], "--reason", "x").failure
    assert again == (
        f"item '{corpus.ids[one]}' was removed on {removal['time']} (asked in writing): nothing of it is left to remove"
    )


def test_forgotten_pictures_stay_out_until_they_are_taken_back(store: Path, folder: Path) -> None:
    smalti("corpus", "forget", store, "1.png", "2.png", "--reason", "asked")
    again = smalti("corpus", "add", store, folder)
    assert again.out.startswith("0 items added, 4 there already; ")
    assert "note: 2 different pictures were forgotten before and left out under any name, such as " in again.err
    back = smalti("corpus", "add", store, folder, "--take-back", "--json").json
    assert (back["added"], back["digest"]) == (2, ImageCorpus.from_folder(folder).digest)
    when = CorpusStore.open(store).events()[-1].time
    assert "those of the log, 2 items forgotten and taken back (see smalti corpus list --removed); digest " in (
        smalti("corpus", "verify", store).out
    )
    assert smalti("corpus", "list", store, "--removed").out.count(f"  taken back on {when}\n") == 2
    smalti("corpus", "forget", store, "0.png", "--reason", "asked")
    assert ", and nothing left of 1 item forgotten, 2 items forgotten and " in smalti("corpus", "verify", store).out


def test_copies_under_other_names_are_said(store: Path, folder: Path) -> None:
    shutil.copy(folder / "0.png", folder / "copy.png")
    smalti("corpus", "add", store, folder)
    identity = CorpusStore.open(store).find(["copy.png"])[0].id
    done = smalti("corpus", "forget", store, "copy.png", "--reason", "x")
    assert f"note: other items have the same pixels, which stay: {identity}\n" in done.err
    again = smalti("corpus", "add", store, folder)
    assert again.out.startswith("0 items added, 6 there already; ")
    assert again.err.endswith(
        f"note: 1 picture was forgotten before and left out under any name, {identity}: see --take-back\n"
    )
    assert "those of the log, 1 item forgotten whose pixels another item has; " in smalti("corpus", "verify", store).out
    failed = smalti("corpus", "forget", store, "copy.png", "--reason", "x").failure
    assert failed.endswith("; names of what was forgotten are erased, see smalti corpus list --removed")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ("nobody", "--reason", "x"),
            2,
            "there is no item 'nobody': give a content id, at least 8 of its first digits",
        ),
        (("0.png",), 2, "forgetting is written into the log: say why with --reason TEXT"),
        (("0.png", "--reason", " "), 2, "forgetting is written into the log: say why with --reason TEXT"),
        (("--reason", "x"), 2, "no item is named: give content ids, names, or a group"),
        (("--group", "artist", "--reason", "x"), 2, "--group 'artist' has no meaning: write COLUMN=VALUE"),
        (("--group", "by=x", "--reason", "x"), 2, "this corpus has no column 'by': choose one of artist, licence"),
        (("--group", "artist=x", "--reason", "x"), 2, "there is no item whose artist is 'x': choose one of Ada, Bo"),
        (("0.png", "--reason", "x", "--look-in", "no"), 1, "'no' is no folder: give one to look in"),
    ],
)
def test_what_cannot_be_forgotten_is_refused(store: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    before = store.read_bytes()
    failed = smalti("corpus", "forget", store, *words)
    assert failed.failure.startswith(sentence)
    assert failed.code == code
    assert store.read_bytes() == before


def test_all_items_of_a_group_without_a_value(store: Path) -> None:
    tried = smalti("corpus", "forget", store, "--group", "artist=", "--dry-run", "--json").json
    assert sorted(item["name"] for item in tried["forgotten"]) == ["3.png", "4.png", "5.png"]
    assert tried["done"] is False
    assert tried["removal"] is None


def test_runs_are_remembered_and_named(tmp_path: Path, store: Path, folder: Path) -> None:
    generate(store, tmp_path / "run")
    generate(store, tmp_path / "small", "--size", "4")
    generate(store, tmp_path / "deleted")
    shutil.rmtree(tmp_path / "deleted")
    # Made before there was a store, from the same pictures: found only where it is looked for.
    generate(folder, tmp_path / "looked" / "deep" / "older")
    remembered = {("run", "run", "holds"), ("run", "small", "holds"), ("run", "deleted", "gone")}
    assert holders(store, "0.png") == remembered
    assert holders(store, "0.png", "--look-in", tmp_path) == {*remembered, ("run", "older", "holds")}
    smalti("corpus", "forget", store, "0.png", "--reason", "asked")
    generate(store, tmp_path / "later")
    # What is forgotten now was in all of them.
    assert holders(store, "1.png") == {*remembered, ("run", "later", "holds")}
    # What was taken out before was not in the latest; nor is a run remembered that another has replaced.
    assert {use.path for use in CorpusStore.open(store).uses_of([CorpusStore.open(store).removals()[0].ids[0]])} == {
        str(tmp_path / name) for name in ("run", "small", "deleted")
    }
    shutil.rmtree(tmp_path / "small")
    shutil.copytree(tmp_path / "later", tmp_path / "small")
    (tmp_path / "run" / "run.json").write_text("{")
    shown = smalti("corpus", "forget", store, "1.png", "--reason", "asked")
    assert "made earlier, and for you to delete or keep:\n" in shown.out
    assert ("run", "run", "may hold") in holders(store, "2.png")


def test_a_run_at_another_size_that_nobody_remembers_may_hold_pieces(tmp_path: Path, store: Path) -> None:
    copy = tmp_path / "before.smalti"
    shutil.copy(store, copy)
    generate(store, tmp_path / "runs" / "small", "--size", "4")
    shutil.copy(copy, store)
    copy.unlink()
    assert holders(store, "0.png") == set()
    assert holders(store, "0.png", "--look-in", tmp_path / "runs") == {("run", "small", "may hold")}


def test_a_run_with_a_label_holds_nothing_of_others(tmp_path: Path) -> None:
    for seed, label in enumerate(("cats", "dogs")):
        pictures(tmp_path / "labelled" / label, seed=seed)
    assert smalti("corpus", "create", "y.smalti", "labelled").code == 0
    generate(tmp_path / "y.smalti", tmp_path / "run", "--label", "cats")
    assert holders("y.smalti", "dogs/0.png") == set()
    assert (
        holders("y.smalti", "cats/0.png")
        == holders("y.smalti", "cats/0.png", "dogs/0.png")
        == {("run", "run", "holds")}
    )


def test_ledgers_and_other_stores_are_named(tmp_path: Path, store: Path) -> None:
    run = generate(store, tmp_path / "run")
    for name in ("ledger.sqlite", "other"):
        Ledger.open(tmp_path / "own" / name, missing="create").enter(open_run(run))
    CorpusStore.open(store).record_use("ledger", tmp_path / "gone", library.open_images(store).digest)
    shutil.copy(store, tmp_path / "backup")
    known = {("run", "run", "holds"), ("ledger", "ledger.sqlite", "holds"), ("ledger", "gone", "gone")}
    assert holders(store, "0.png") == known
    everything = {*known, ("ledger", "other", "holds"), ("store", "backup", "holds")}
    assert holders(store, "0.png", "--look-in", tmp_path, "--look-in", tmp_path / "own") == everything
    smalti("corpus", "forget", tmp_path / "backup", "0.png", "--reason", "asked")
    assert holders(store, "0.png", "--look-in", tmp_path) == everything - {("store", "backup", "holds")}
    (tmp_path / "own" / "ledger.sqlite").write_bytes(b"damaged")
    assert ("ledger", "ledger.sqlite", "may hold") in holders(store, "0.png")


def test_reports_and_effects_are_remembered_and_named(tmp_path: Path, store: Path) -> None:
    run = generate(store, tmp_path / "run")
    assert smalti("explain", run, "-o", tmp_path / "report.html").code == 0
    assert smalti("explain", run, "-o", tmp_path / "rows.csv", "--source", store).code == 0
    assert smalti("explain", run, "--pixel", "0,0").code == 0
    assert smalti("effect", run, "--without", "1.png", "-o", tmp_path / "effect").code == 0
    assert smalti("effect", run, "--without", "1.png").code == 0
    (tmp_path / "rows.csv").unlink()
    assert holders(store, "0.png") == {
        ("run", "run", "holds"),
        ("report", "report.html", "may hold"),
        ("report", "rows.csv", "gone"),
        ("effect", "effect", "may hold"),
    }


def test_reports_and_effects_of_runs_made_from_the_folder_are_found(tmp_path: Path, store: Path, folder: Path) -> None:
    run = generate(folder, tmp_path / "made" / "run")
    at = tmp_path / "made"
    for words in (("explain", run, "-o", at / "receipt"), ("explain", run, "-o", at / "page.html", "--top", 1)):
        assert smalti(*words).code == 0
    assert smalti("explain", run, "-o", at / "one.json").code == 0
    assert smalti("explain", run, "-o", at / "rows.csv").code == 0
    assert smalti("effect", run, "--without", "1.png", "-o", at / "effect").code == 0
    (at / "other.json").write_text("[1]")
    (at / "other.html").write_text("<p>")
    assert holders(store, "1.png") == set()
    found = holders(store, "1.png", "--look-in", at)
    assert ("effect", "effect", "holds") in found
    assert {(kind, name) for kind, name, _ in found} == {
        ("run", "run"),
        ("report", "receipt"),
        ("report", "page.html"),
        ("report", "one.json"),
        ("effect", "effect"),
    }
    # The pictures were never those of this store.
    other = CorpusStore.create(
        tmp_path / "y.smalti", ImageCorpus.from_arrays(blocks(2, size=(6, 7), seed=3)), source=""
    )
    assert holders(other.path, "images[0]", "--look-in", at) == set()


def test_what_is_broken_elsewhere_is_said_without_advice_to_restore_it(tmp_path: Path, store: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "copy.smalti").write_bytes(store.read_bytes()[:5000])
    told = smalti("corpus", "forget", store, "0.png", "--dry-run", "--look-in", tmp_path / "there").out
    assert "copy.smalti' is damaged (" in told
    assert "restore" not in told


def test_forgetting_in_a_damaged_store_is_done_and_warned_of(store: Path) -> None:
    content = bytearray(store.read_bytes())
    pixels = library.open_images(store).images[0].tobytes()
    name = library.open_images(store).names[-1]
    content[content.index(pixels)] ^= 1
    store.write_bytes(content)
    for words in (("--dry-run",), ("--reason", "asked")):
        done = smalti("corpus", "forget", store, name, *words)
        assert done.code == 0
        assert done.err == (
            f"note: '{store}' is damaged (1 problem, see smalti corpus verify), so that what is forgotten may still "
            "be in it: create it again, and delete this file\n"
        )
    assert smalti("corpus", "forget", store, CorpusStore.open(store).items()[-1].id, "--dry-run", "--json").json[
        "problems"
    ] == list(CorpusStore.open(store).verify().problems)


def test_notes_speak_of_samples_only_where_some_are_made(tmp_path: Path) -> None:
    pictures(tmp_path / "one", count=1, size=(12, 14))
    said = "note: only one picture: every sample is composed from it alone\n"
    assert smalti("corpus", "create", "one.smalti", "one", "--size", "7x6").err == (
        "note: resized to 7x6 with a Lanczos filter: '0.png'\n"
    )
    words = ("--seeds", 0, "--steps", 2, "--scales", 3, "--size", "4x4")
    done = smalti("generate", "one.smalti", "-o", "run", *words)
    assert said in done.err
    assert done.err.count("Lanczos") == 2
    assert done.err.count("note: resized to 7x6 with a Lanczos filter, then ") == 1
    assert (
        said.removeprefix("note: ").rstrip()
        in json.loads((tmp_path / "run" / "run.json").read_text())["request"]["notes"]
    )


def test_a_store_that_cannot_be_written_is_still_a_source(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError(f"'{store}' cannot be written.")

    monkeypatch.setattr(CorpusStore, "record_use", refuse)
    done = smalti("generate", store, "-o", tmp_path / "run", "--seeds", 0, "--steps", 2, "--scales", 3)
    assert done.code == 0
    assert f"note: '{store}' cannot be written; smalti corpus forget will not name this run\n" in done.err


def test_verify_says_what_is_wrong(store: Path) -> None:
    sound = smalti("corpus", "verify", store, "--json").json
    assert (sound["sound"], sound["problems"], sound["items"]) == (True, [], 6)
    content = bytearray(store.read_bytes())
    item = CorpusStore.open(store).items()[0]
    pixels = library.open_images(store).images[0].tobytes()
    content[content.index(pixels)] ^= 1
    store.write_bytes(content)
    found = smalti("corpus", "verify", store)
    assert found.code == 1
    lines = found.out.splitlines()
    assert lines[0] == f"item {item.id} ('{item.name}') has other pixels than it was put in with"
    assert lines[-1] == f"not sound: 1 problem with '{store}'; restore it from a backup"
    record: Any = json.loads(smalti("corpus", "verify", store, "--json").out)
    assert (record["sound"], len(record["problems"])) == (False, 1)
    assert "is damaged (pictures are not as they were put in" in smalti("generate", store, "-o", "run").failure


def test_compact_says_both_sizes(store: Path) -> None:
    smalti("corpus", "forget", store, "0.png", "--reason", "asked")
    digest = library.open_images(store).digest
    done = smalti("corpus", "compact", store, "--json").json
    assert (done["bytes_after"], done["digest"]) == (store.stat().st_size, digest)
    assert smalti("corpus", "compact", store).out.startswith(f"{done['bytes_after']:,} bytes before, ")


@pytest.mark.parametrize("command", ["add", "forget", "list", "verify", "compact"])
def test_what_is_no_store_is_refused(tmp_path: Path, folder: Path, command: str) -> None:
    words = {"add": (folder,), "forget": ("x", "--reason", "y")}.get(command, ())
    missing = smalti("corpus", command, tmp_path / "no.smalti", *words).failure
    assert missing.startswith(f"there is no corpus store at '{tmp_path}/no.smalti': check the path")
    (tmp_path / "bad.smalti").write_bytes(b"text")
    assert "is no corpus store" in smalti("corpus", command, tmp_path / "bad.smalti", *words).failure
