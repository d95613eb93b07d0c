"""`smalti corpus` with texts: what each command says, writes and refuses, and what forgetting finds elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import smalti as library
from cli_program import files_of, pictures, smalti
from smalti.cli import corpus as commands
from smalti.corpus import CorpusStore, ImageCorpus, TextCorpus

WORDS = {
    "a.txt": "To be, or not to be, that is the question.\n",
    "b.txt": "The quick brown fox jumps over the lazy dog; the dog sleeps.\n",
    "letters/c.txt": "Dear friend, nothing here is like anything there.\n",
}


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SMALTI_LEDGER", str(tmp_path / "own" / "ledger.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three documents, two of which have metadata."""
    made = tmp_path / "texts"
    (made / "letters").mkdir(parents=True)
    for name, text in WORDS.items():
        (made / name).write_text(text)
    (made / "metadata.csv").write_text("file_name,author,licence\na.txt,Ann,by\nletters/c.txt,Ann,\n")
    return made


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Two documents as JSON, one to a line."""
    path = tmp_path / "more.jsonl"
    rows = [
        {"text": "A fourth text says that the dog jumps.", "name": "fourth", "author": "Bo"},
        {"text": "A fifth.", "year": 1599},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def store(tmp_path: Path, folder: Path, lines: Path) -> Path:
    """All five documents as a store."""
    path = tmp_path / "book.smalti"
    assert smalti("corpus", "create", path, folder, lines).code == 0
    return path


def generate(source: Path, out: Path, *words: object) -> Path:
    """A run of one short text."""
    done = smalti("generate", source, "-o", out, "--seeds", 0, "--length", 12, *words)
    assert done.code == 0, done.err
    return out


def holders(*words: object) -> set[tuple[str, str, str]]:
    """(kind, name, state) of what a dry run of forgetting names."""
    found = smalti("corpus", "forget", *words, "--dry-run", "--json").json["holders"]
    return {(one["kind"], Path(one["path"]).name, one["state"]) for one in found}


def test_create_and_list(tmp_path: Path, folder: Path, lines: Path) -> None:
    corpus = TextCorpus.from_folder(folder).adding(TextCorpus.from_jsonl(lines))
    made = smalti("corpus", "create", "book.smalti", "texts", "more.jsonl")
    assert made.out == (
        f"'book.smalti' has 5 items of text, {corpus.characters} characters, digest {corpus.digest[:12]}\n"
    )
    opened = library.open_text("book.smalti")
    assert (opened.documents, opened.names, opened.metadata) == (corpus.documents, corpus.names, corpus.metadata)
    listed = smalti("corpus", "list", "book.smalti", "--json").json
    assert {key: listed[key] for key in ("store", "kind", "characters", "digest", "removed")} == {
        "store": str(tmp_path / "book.smalti"),
        "kind": "texts",
        "characters": corpus.characters,
        "digest": corpus.digest,
        "removed": 0,
    }
    items = {item["name"]: item for item in listed["items"]}
    assert {item["id"] for item in listed["items"]} == set(corpus.ids)
    assert items["letters/c.txt"]["metadata"] == {"author": "Ann", "folder": "letters"}
    assert items["more.jsonl:2"]["metadata"] == {"year": "1599"}
    assert (items["a.txt"]["source"], items["fourth"]["source"]) == (str(folder), str(lines))
    assert (items["a.txt"]["characters"], set(items["a.txt"])) == (
        len(WORDS["a.txt"]),
        {"id", "name", "metadata", "conversions", "source", "since", "characters"},
    )
    said = smalti("corpus", "list", "book.smalti").out.splitlines()
    assert f"  {items['a.txt']['id'][:16]}  43  a.txt" in said
    assert f"  {items['more.jsonl:2']['id'][:16]}   8  more.jsonl:2" in said


def test_groups_are_listed_as_they_are_forgotten(store: Path) -> None:
    assert smalti("corpus", "list", store, "--by", "author").out.splitlines()[:-1] == [
        "  2  (none)",
        "  2  Ann",
        "  1  Bo",
    ]
    assert smalti("corpus", "list", store, "--by", "folder", "--json").json["groups"] == [
        {"value": None, "items": 4},
        {"value": "letters", "items": 1},
    ]
    assert "this corpus has no column 'artist': choose one of author, folder, licence, year" in (
        smalti("corpus", "list", store, "--by", "artist").failure
    )
    assert "give one of them" in smalti("corpus", "list", store, "--by", "author", "--removed").failure
    assert smalti("corpus", "create", "d.smalti", "digits").code == 0
    assert smalti("corpus", "list", "d.smalti", "--by", "label", "--json").json["groups"][0] == {
        "value": "3",
        "items": 183,
    }


def test_forget_gives_the_corpus_that_never_had_the_documents(
    tmp_path: Path, store: Path, folder: Path, lines: Path
) -> None:
    corpus = library.open_text(store)
    left = corpus.without(corpus.group("author", "Ann"))
    done = smalti("corpus", "forget", store, "--group", "author=Ann", "--reason", "asked", "--json").json
    assert sorted(item["name"] for item in done["forgotten"]) == ["a.txt", "letters/c.txt"]
    assert (done["removal"]["before"], done["removal"]["after"], done["digest"]) == (
        corpus.digest, left.digest, left.digest,
    )  # fmt: skip
    content = store.read_bytes()
    assert not any(
        WORDS[name].encode()[at : at + 16] in content for name in ("a.txt", "letters/c.txt") for at in range(27)
    )
    assert WORDS["b.txt"].encode() in content
    never = tmp_path / "never.jsonl"
    rows = [{"text": text, "name": name} for text, name in zip(left.documents, left.names, strict=True)]
    never.write_text("\n".join(map(json.dumps, rows)))
    assert files_of(generate(store, tmp_path / "one")) == files_of(generate(never, tmp_path / "two"))
    assert smalti("corpus", "verify", store).out == (
        "sound: 3 items (3 different) are those of the log, and nothing left of 2 items forgotten; digest "
        f"{left.digest}\n"
    )
    again = smalti("corpus", "add", store, folder, lines)
    assert again.out.startswith("0 items added, 3 there already; ")
    assert "note: 2 different texts were forgotten before and left out under any name, such as " in again.err
    back = smalti("corpus", "add", store, folder, lines, "--take-back", "--json").json
    assert (back["added"], back["digest"]) == (2, corpus.digest)
    (removal,) = smalti("corpus", "list", store, "--removed", "--json").json["removals"]
    assert set(removal["ids"]) == set(corpus.ids) - set(left.ids)
    assert smalti("corpus", "compact", store, "--json").json["digest"] == corpus.digest


def test_by_name_and_by_the_beginning_of_an_id(store: Path, folder: Path) -> None:
    shutil.copy(folder / "a.txt", folder / "copy.txt")
    assert smalti("corpus", "add", store, folder).out.startswith("1 item added, 3 there already; ")
    (identity,) = {item.id for item in CorpusStore.open(store).find(["a.txt"])}
    done = smalti("corpus", "forget", store, "copy.txt", "--reason", "x")
    assert f"note: other items have the same text, which stays: {identity}\n" in done.err
    assert "1 item forgotten whose text another item has" in smalti("corpus", "verify", store).out
    tried = smalti("corpus", "forget", store, identity[:9], "--dry-run")
    assert tried.out.splitlines()[0] == f"  {identity[:16]}  43  a.txt"
    assert tried.out.splitlines()[1].startswith(f"1 item would be forgotten; '{store}' has 5 items of text, ")


def test_what_others_add_meanwhile_is_not_taken_with_it(
    store: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = commands.find_holders

    def late(*words: object, **options: object) -> object:
        lines.write_text(json.dumps({"text": "late", "author": "Ann"}))
        assert smalti("corpus", "add", store, lines).code == 0
        return look(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(commands, "find_holders", late)
    failed = smalti("corpus", "forget", store, "--group", "author=Ann", "--reason", "x")
    assert "was changed by another process just now" in failed.err
    assert (failed.code, failed.out) == (1, "")
    assert smalti("corpus", "list", store, "--json").json["removed"] == 0


def test_stores_are_sources_of_every_command(tmp_path: Path, store: Path) -> None:
    run = generate(store, tmp_path / "run", "--tokens", "words")
    assert json.loads((run / "run.json").read_text())["request"]["source"] == str(store)
    assert smalti("verify", run).code == 0
    assert smalti("explain", run, "--by", "author").code == 0
    assert smalti("effect", run, "--without-group", "author=Ann").code == 0
    assert {one["value"] for one in smalti("credit", run, "--by", "author", "--json").json["totals"]} >= {"Ann", None}
    assert smalti("score", tmp_path / "texts" / "a.txt", "--corpus", store, "--samples", 5).code == 0
    assert smalti("calibrate", store, "-o", tmp_path / "s.json", "--samples", 4).code == 0
    assert smalti("corpus", "create", "copy.smalti", store, "--json").json["digest"] == library.open_text(store).digest
    smalti("corpus", "forget", store, "fourth", "--reason", "asked")
    when = CorpusStore.open(store).removals()[0].time
    assert smalti("verify", run).failure == (
        f"an item of the texts of this run was forgotten from '{store}' on {when}, so that nothing can be made again "
        "from them: keep the run as it is, or delete it"
    )


def test_what_was_made_is_remembered_and_named(tmp_path: Path, store: Path, folder: Path) -> None:
    run = generate(store, tmp_path / "run")
    for words in (
        ("explain", run, "-o", tmp_path / "report"),
        ("explain", run, "-o", tmp_path / "report.html"),
        ("effect", run, "--without", "b.txt", "-o", tmp_path / "effect"),
        ("credit", run, "--by", "name", "--export", tmp_path / "names.csv"),
        ("credit", "--all", "--export", tmp_path / "all.csv"),
        ("calibrate", store, "-o", tmp_path / "settings.json", "--samples", 4),
    ):
        assert smalti(*words).code == 0, words
    generate(folder, tmp_path / "elsewhere" / "older")
    (kept,) = (tmp_path / "cache" / "calibrations").iterdir()
    known = {
        ("run", "run", "holds"),
        ("report", "report", "may hold"),
        ("report", "report.html", "may hold"),
        ("effect", "effect", "may hold"),
        ("table", "names.csv", "may hold"),
        ("table", "all.csv", "may hold"),
        ("ledger", "ledger.sqlite", "holds"),
        ("calibration", "settings.json", "holds"),
        ("calibration", kept.name, "holds"),
    }
    assert holders(store, "a.txt") == known
    smalti("corpus", "forget", store, "a.txt", "--reason", "asked")
    generate(store, tmp_path / "later")
    assert ("run", "later", "holds") not in holders_of_gone(store)
    shutil.rmtree(run)
    assert ("run", "run", "gone") in holders(store, "b.txt")


def holders_of_gone(store: Path) -> set[tuple[str, str, str]]:
    """What the store says was made from what it forgot."""
    opened = CorpusStore.open(store)
    found = commands.find_holders(opened, [item_of(identity) for identity in opened.removals()[0].ids], look_in=[])
    return {(one.kind, Path(one.path).name, one.state) for one in found}


def item_of(identity: str) -> commands.Item:
    return commands.Item(
        id=identity, label=None, name="", metadata={}, conversions=(), source="", since=1, characters=1
    )


def test_what_was_made_from_the_folder_is_found_where_it_is_looked_for(tmp_path: Path, folder: Path) -> None:
    at = tmp_path / "made"
    run = generate(folder, at / "run")
    for words in (
        ("explain", run, "-o", at / "report"),
        ("explain", run, "-o", at / "one.json"),
        ("explain", run, "-o", at / "page.html"),
        ("effect", run, "--without", "b.txt", "-o", at / "effect"),
        ("effect", run, "--rank", "--budget", 2, "-o", at / "ranking"),
        ("calibrate", folder, "-o", at / "settings.json", "--samples", 4),
    ):
        assert smalti(*words).code == 0, words
    shutil.rmtree(tmp_path / "cache")
    assert smalti("corpus", "create", "x.smalti", folder).code == 0
    assert smalti("corpus", "create", "y.smalti", "python-manual").code == 0
    assert holders("x.smalti", "a.txt") == set()
    shutil.copy("x.smalti", at / "backup")
    found = holders("x.smalti", "a.txt", "--look-in", at)
    assert {(kind, name) for kind, name, _ in found} == {
        ("run", "run"),
        ("report", "report"),
        ("report", "one.json"),
        ("report", "page.html"),
        ("effect", "effect"),
        ("effect", "ranking"),
        ("calibration", "settings.json"),
        ("store", "backup"),
    }
    assert holders("y.smalti", "if", "--look-in", at) == set()


def test_records_of_matches_and_calibrations_of_pictures_are_found(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", size=(12, 14))
    at = tmp_path / "made"
    assert smalti("match", source / "1.png", "--corpus", source, "--sizes", 3, "-o", at / "match").code == 0
    assert (
        smalti("calibrate", source, "-o", at / "scales.json", "--sizes", "3,5", "--queries", 2, "--levels", 2).code == 0
    )
    shutil.rmtree(tmp_path / "cache")
    assert smalti("corpus", "create", "x.smalti", source).code == 0
    assert holders("x.smalti", "1.png") == set()
    assert holders("x.smalti", "1.png", "--look-in", at) == {
        ("match", "match", "holds"),
        ("calibration", "scales.json", "holds"),
    }


def test_texts_of_a_folder_with_pictures(folder: Path) -> None:
    pictures(folder, count=1)
    assert smalti("corpus", "create", "x.smalti", folder, "--json").json["kind"] == "pictures"
    assert smalti("corpus", "create", "y.smalti", folder, "--text", "--json").json["items"] == 3
    # The store says what is meant.
    assert smalti("corpus", "add", "x.smalti", folder).out.startswith("0 items added, 1 there already; ")
    assert smalti("corpus", "add", "y.smalti", folder).out.startswith("0 items added, 3 there already; ")


def test_metadata_is_read_with_its_folder(folder: Path) -> None:
    made = smalti("corpus", "create", "x.smalti", "texts/a.txt", "texts/b.txt")
    assert made.err == (
        "note: 'texts/metadata.csv' is not read for files named one by one: give their folder if it should be\n"
    )
    assert [dict(row) for row in library.open_text("x.smalti").metadata] == [{}, {}]
    assert smalti("corpus", "create", "y.smalti", "texts/a.txt", "texts/metadata.csv").failure == (
        "'texts/metadata.csv' speaks of the files beside it: give their folder, with which it is read"
    )


def bad(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_sources_that_are_no_texts_are_refused_in_one_sentence(tmp_path: Path, store: Path) -> None:
    half, nul = "holds half a character (a lone surrogate", "holds a NUL character"
    cases = {
        "latin.txt": ("café".encode("latin-1"), "'latin.txt' is not UTF-8 text (byte 3): save it as UTF-8"),
        "empty.txt": (b"", "'empty.txt' is empty: give a file with text in it"),
        "nul.txt": (b"a\0b", f"'nul.txt' {nul} (character 1): text has none, remove it"),
        "half.jsonl": (b'{"text": "a\\ud800"}', f"'half.jsonl:1' {half}, character 1): write it as UTF-8 text"),
        "nul.jsonl": (b'{"text": "\\u0000"}', f"'nul.jsonl:1' {nul} (character 0): text has none, remove it"),
        "who.jsonl": (b'{"text": "a", "who": "\\ud800"}', f"'who.jsonl', line 1, {half}): write it as UTF-8 text"),
        "item.jsonl": (
            b'{"text": "a", "item": "b"}',
            "'item.jsonl', line 1, has a column 'item', which every item has already: rename it, or take it out",
        ),
        "none.jsonl": (
            b'{"text": ""}',
            "'none.jsonl' holds no documents: write one JSON object with a field 'text' on each line",
        ),
    }
    before = store.read_bytes()
    for name, (content, sentence) in cases.items():
        bad(tmp_path / name, content)
        for words in (("create", "x.smalti", name), ("add", store, name), ("add", store, "python-manual", name)):
            failed = smalti("corpus", *words)
            assert failed.err.splitlines()[-1] == f"smalti: {sentence}.", failed.err
            assert (failed.code, failed.out) == (1, "")
    assert store.read_bytes() == before
    assert not (tmp_path / "x.smalti").exists()
    assert "the source has an empty name" in smalti("corpus", "create", "x.smalti", "texts", "").failure
    assert "'no' does not exist" in smalti("corpus", "create", "x.smalti", "texts", "no").failure


def test_kinds_are_not_mixed(tmp_path: Path, store: Path, folder: Path) -> None:
    looks = pictures(tmp_path / "looks")
    assert smalti("corpus", "create", "looks.smalti", looks).code == 0
    apart = "a store has one kind, so keep them in different ones"
    for words, code, sentence in (
        (("corpus", "create", "x.smalti", looks, folder), 2,
         f"'{looks}' holds pictures and '{folder}' holds texts: {apart}"),
        (("corpus", "add", store, looks / "0.png"), 2,
         f"'{store}' holds texts and '{looks}/0.png' holds pictures: {apart}"),
        (("corpus", "add", "looks.smalti", folder), 2,
         f"'looks.smalti' holds pictures and '{folder}' holds texts: {apart}"),
        (("corpus", "create", "x.smalti", folder, "--size", 8), 2,
         f"--size is for pictures, and '{folder}' holds texts: leave it out"),
        (("corpus", "create", "x.smalti", looks / "0.png", "--text"), 2,
         f"'{looks}/0.png' holds pictures: leave --text out"),
        (("score", folder, "--corpus", "looks.smalti"), 1,
         "'looks.smalti' is a store of pictures, and texts are wanted: give a source of texts"),
        (("match", looks / "0.png", "--corpus", store), 1,
         f"'{store}' is a store of texts, and pictures are wanted: give a source of pictures"),
        (("generate", "looks.smalti", "-o", "run", "--prompt", "a"), 2,
         "--prompt is for texts, and 'looks.smalti' holds pictures: leave it out"),
        (("generate", store, "-o", "run", "--label", "a"), 2,
         f"--label is for pictures, and '{store}' holds texts: leave it out"),
    ):  # fmt: skip
        failed = smalti(*words)
        assert (failed.failure, failed.code) == (sentence, code)
    assert not (tmp_path / "x.smalti").exists()


def test_several_sources_of_pictures(tmp_path: Path) -> None:
    one, two = pictures(tmp_path / "one", count=2), pictures(tmp_path / "two", count=3, seed=1)
    made = smalti("corpus", "create", "x.smalti", one, two, "--json").json
    both = ImageCorpus.from_folder(one).adding(ImageCorpus.from_folder(two))
    assert (made["items"], made["digest"], made["kind"]) == (5, both.digest, "pictures")
    three = pictures(tmp_path / "three", count=1, size=(4, 4))
    assert (
        "pictures of 7x6 and 4x4 cannot be in one corpus" in smalti("corpus", "create", "y.smalti", one, three).failure
    )
    assert smalti("corpus", "create", "y.smalti", one, three, "--size", 4, "--json").json["items"] == 3
