"""Stores that cannot be used: every kind of damage, lock and refusal ends in one sentence, and nothing is changed."""

import contextlib
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smalti.corpus import CorpusStore, ImageCorpus, TextCorpus, database, open_images, open_text
from smalti.corpus.store import STORES
from smalti.corpus.store.texts import Texts
from smalti.errors import SmaltiError

ACTIONS: dict[str, Callable[[CorpusStore], object]] = {
    "state": lambda store: store.state(),
    "items": lambda store: store.items(),
    "corpus": lambda store: store.corpus(),
    "corpus at a size": lambda store: store.corpus(size=3 if store.kind == "pictures" else None),
    "add": lambda store: store.add(some(store.kind, 2, first=50), source="more"),
    "forget": lambda store: store.forget(["3"], reason="x"),
    "events": lambda store: store.events(),
    "removals": lambda store: store.removals(),
    "uses": lambda store: store.uses_of(["0" * 64]),
    "record": lambda store: store.record_use("run", "a", "b"),
    "compact": lambda store: store.compact(),
}
CHANGES = ("add", "forget", "record", "compact")


def pictures(count: int, *, first: int = 0, size: tuple[int, int] = (8, 9)) -> ImageCorpus:
    rng = np.random.default_rng(first)
    names = [str(first + i) for i in range(count)]
    return ImageCorpus.from_arrays(rng.integers(0, 256, (count, *size), dtype=np.uint8), names=names)


def some(kind: str, count: int, *, first: int = 0) -> ImageCorpus | TextCorpus:
    """Items of a kind, named by numbers; each has 72 bytes."""
    if kind == "pictures":
        return pictures(count, first=first)
    texts = [random.Random(first + i).randbytes(36).hex() for i in range(count)]
    return TextCorpus.from_texts(texts, names=[str(first + i) for i in range(count)])


@pytest.fixture(params=["pictures", "texts"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CorpusStore[Any]:
    """Twenty pictures or texts, two of which were forgotten."""
    made = CorpusStore.create(tmp_path / "x.smalti", some(request.param, 20), source="here")
    made.forget(["7", "11"], reason="x")
    return made


def refused(path: Path, action: Callable[[], object]) -> str:
    """The sentence an action is refused with, its path cut down to `S`."""
    with pytest.raises(SmaltiError) as caught:
        action()
    sentence = str(caught.value).replace(str(path), "S")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def alter(path: Path, statement: str) -> None:
    """Change a store behind its back."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_files_that_are_no_stores(tmp_path):
    def opened(path: Path) -> str:
        sentence = refused(path, lambda: CorpusStore.open(path))
        if path.suffix == ".smalti" and path.exists() and not path.is_dir():
            assert refused(path, lambda: open_images(path)) == refused(path, lambda: open_text(path)) == sentence
        return sentence

    path = tmp_path / "x.smalti"
    assert opened(path) == "There is no corpus store at 'S': check the path, or make one with smalti corpus create."
    for content in (b"", b"text", b"SQLite format 3\0", os.urandom(5000)):
        path.write_bytes(content)
        assert opened(path) == (
            "'S' is no corpus store, or its beginning is damaged: give another path, or restore it from a backup."
        )
    path.unlink()
    alter(path, "CREATE TABLE t (a)")
    assert opened(path) == "'S' is a database of another kind, and no corpus store: give another path."
    folder = tmp_path / "folder.smalti"
    folder.mkdir()
    assert opened(folder) == "'S' is not a file: give the path of a corpus store."
    os.mkfifo(tmp_path / "pipe.smalti")
    assert opened(tmp_path / "pipe.smalti") == "'S' is not a file: give the path of a corpus store."
    (tmp_path / "picture").write_bytes(b"no store either")
    assert "cannot be read as a picture" in refused(path, lambda: open_images(tmp_path / "picture"))


def test_a_store_that_was_deleted(store):
    store.path.unlink()
    for action in (*ACTIONS.values(), CorpusStore.verify):
        assert refused(store.path, lambda a=action: a(store)).startswith("'S' cannot be opened or written (")
    assert not store.path.exists()


def test_stores_of_a_later_version(store):
    later = STORES[store.kind].version + 1
    alter(store.path, f"PRAGMA user_version = {later}")
    assert refused(store.path, lambda: CorpusStore.open(store.path)) == (
        f"'S' was written by a later Smalti (layout {later}; this one reads {later - 1}): update Smalti."
    )


def test_a_name_that_is_taken(tmp_path, store):
    for path in (store.path, tmp_path):
        assert refused(path, lambda path=path: CorpusStore.create(path, pictures(1), source="")) == (
            "'S' exists already: choose another name, or use smalti corpus add."
        )
    path = tmp_path / "no" / "x.smalti"
    assert refused(path.parent, lambda: CorpusStore.create(path, pictures(1), source="")) == (
        "'S' is no folder: make it first."
    )


def test_a_name_that_is_taken_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "x.smalti"
    link = os.link

    def late(source: Path, target: Path) -> None:
        path.write_text("of another process")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert refused(path, lambda: CorpusStore.create(path, pictures(1), source="")) == (
        "'S' was made by another process just now: choose another name."
    )
    assert path.read_text() == "of another process"
    assert list(tmp_path.iterdir()) == [path]


def test_file_systems_without_links(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    made = CorpusStore.create(tmp_path / "x.smalti", pictures(3), source="")
    assert made.verify().sound
    assert list(tmp_path.iterdir()) == [made.path]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_stores(store, share):
    content = store.path.read_bytes()
    store.path.write_bytes(content[: int(share * len(content))])
    for action in (*ACTIONS.values(), CorpusStore.verify):
        sentence = refused(store.path, lambda a=action: a(store))
        assert sentence.startswith("'S' is damaged (")
        assert sentence.endswith("): restore it from a backup, or create it again.")
    assert store.path.read_bytes() == content[: int(share * len(content))]


@pytest.mark.parametrize("change", CHANGES)
def test_what_lies_behind_the_end_is_removed_by_the_next_change(store, change):
    """A process killed while SQLite shortens the file leaves pages there that may hold pictures."""
    secret = b"a page with a picture" * 400
    with store.path.open("ab") as stream:
        stream.write(secret)
    assert store.verify().problems == ("8400 bytes lie behind its end, which the next change will cut off",)
    assert len(store.corpus()) == 18
    ACTIONS[change](store)
    assert secret[:21] not in store.path.read_bytes()
    assert store.verify().sound


def test_bytes_that_were_changed_are_found_or_do_not_matter(store):
    content = store.path.read_bytes()
    names, corpus = {item.name for item in store.items()}, store.corpus()
    rng = random.Random(0)
    found = 0
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 30])):
            damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
        store.path.write_bytes(damaged)
        try:
            CorpusStore.open(store.path)
            sound = store.verify().sound
        except SmaltiError:
            sound = False
        found += not sound
        failed: set[str] = set()
        for name, action in ACTIONS.items():
            store.path.write_bytes(damaged)
            try:
                result = action(store)
            except SmaltiError:
                failed.add(name)
                continue
            # What is read is right, whatever the state of the rest of the file.
            if name == "corpus":
                assert equal(result, corpus)
            if name == "items":
                assert {item.name for item in store.items()} == names
        assert not (sound and failed)
    assert found > 20


def equal(one: Any, other: Any) -> bool:
    """Whether two corpora hold the same."""
    if isinstance(other, ImageCorpus):
        return np.array_equal(one.images, other.images)
    return one.documents == other.documents


@pytest.mark.parametrize("store", ["pictures"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE pixels SET bytes = zeroblob(72) WHERE slot = 1", "item I ('N') has other pixels than it was put in "
         "with"),
        ("UPDATE pixels SET bytes = x'00' WHERE slot = 1", "item I ('N') has pixels of another length"),
        ("DELETE FROM pixels WHERE slot = 1", "item I ('N') has no pixels"),
        ("UPDATE items SET channels = 3 WHERE place = 1", "item I ('N') has pixels of another length"),
        ("UPDATE items SET id = zeroblob(32) WHERE place = 1",
         "item " + "0" * 64 + " ('N') has other pixels than it was put in with"),
        ("UPDATE pixels SET bytes = randomblob(72) WHERE slot = (SELECT slot FROM items JOIN removed USING (place))",
         "holds pixels that no item needs, and that should be overwritten"),
        ("UPDATE items SET record = x'01' WHERE place = (SELECT place FROM removed)",
         "was forgotten, but its name and metadata are still there"),
        ("DELETE FROM removed", "'S' is damaged (its rows are not as they were written)"),
        ("DELETE FROM items WHERE place = 1", "event 1 of the log does not fit to what is there"),
        ("DELETE FROM items WHERE place = (SELECT place FROM removed)",
         "was forgotten, but is not in the table of items"),
        ("UPDATE items SET record = CAST(x'00' || record AS BLOB) WHERE place = 1",
         "'S' is damaged (its rows are not as they were written)"),
        ("UPDATE items SET label = 'x' WHERE place = 1", "'S' is damaged (its rows are not as they were written)"),
        ("UPDATE items SET declared = 3 WHERE place = 1", "the digest of its items is "),
        ("UPDATE events SET after = 'x' WHERE number = 2", "but by its log it should be x"),
        ("UPDATE events SET items = 5 WHERE number = 2", "event 2 of the log does not fit to what is there"),
        ("DELETE FROM shape", "'S' is damaged (its rows are not as they were written)"),
        ("UPDATE shape SET height = 0", "'S' is damaged (its rows are not as they were written)"),
        ("UPDATE shape SET width = 1000000000000", "'S' is damaged (its rows are not as they were written)"),
    ],
)  # fmt: skip
def test_pictures_that_are_not_as_they_should_be_are_said(store, statement, problem):
    check_said(store, statement, problem)


@pytest.mark.parametrize("store", ["texts"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE texts SET bytes = zeroblob(72) WHERE slot = 1", "item I ('N') has other text than it was put in with"),
        ("UPDATE texts SET bytes = x'ff' WHERE slot = 1", "item I ('N') has other text than it was put in with"),
        ("DELETE FROM texts WHERE slot = 1", "item I ('N') has no text"),
        ("UPDATE texts SET bytes = randomblob(72) WHERE slot = (SELECT slot FROM items JOIN removed USING (place))",
         "holds text that no item needs, and that should be overwritten"),
        ("UPDATE items SET record = x'01' WHERE place = (SELECT place FROM removed)",
         "was forgotten, but its name and metadata are still there"),
        ("UPDATE items SET label = 'x' WHERE place = 1", "'S' is damaged (its rows are not as they were written)"),
        ("DELETE FROM items WHERE place = 1", "event 1 of the log does not fit to what is there"),
        ("UPDATE items SET id = zeroblob(32) WHERE place = 1", "item " + "0" * 64 + " ('N') has other text than"),
        ("UPDATE events SET after = 'x' WHERE number = 2", "but by its log it should be x"),
    ],
)  # fmt: skip
def test_texts_that_are_not_as_they_should_be_are_said(store, statement, problem):
    check_said(store, statement, problem)


def test_a_text_of_another_length_than_its_record_says_is_found(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Texts, "details", classmethod(lambda *_: {"characters": 71}))
        store = CorpusStore.create(tmp_path / "x", some("texts", 1), source="")
    (item,) = store.items()
    assert store.verify().problems == (f"item {item.id} ('0') has another number of characters than its text",)


def test_what_cannot_be_read_back_is_never_used(store):
    table = "pixels" if store.kind == "pictures" else "texts"
    alter(store.path, f"UPDATE {table} SET bytes = zeroblob(72) WHERE slot = 1")
    for name in ("corpus", "corpus at a size"):
        assert refused(store.path, lambda name=name: ACTIONS[name](store)) == (
            f"'S' is damaged ({store.kind} are not as they were put in; smalti corpus verify says which): restore it "
            "from a backup, or create it again."
        )


def check_said(store: CorpusStore[Any], statement: str, problem: str) -> None:
    """A change behind the store's back is among the problems that it finds."""
    first = store.items()[0]
    alter(store.path, statement)
    problems = [
        text.replace(first.id, "I").replace(f"'{first.name}'", "'N'").replace(str(store.path), "S")
        for text in store.verify().problems
    ]
    assert any(problem in text for text in problems), problems


@pytest.mark.parametrize("statement", ["DROP TABLE uses", "CREATE TABLE more (a)", "DROP INDEX items_by_id"])
def test_other_tables(store, statement):
    alter(store.path, statement)
    assert refused(store.path, lambda: CorpusStore.open(store.path)) == (
        "'S' is damaged (its tables are not those of a corpus store): restore it from a backup, or create it again."
    )


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Another user of the store, who is writing."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_a_store_in_use(store, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    with held(store.path):
        for action in (*ACTIONS.values(), CorpusStore.verify):
            assert refused(store.path, lambda a=action: a(store)) == (
                "'S' is in use by another process: wait until that is done, and repeat the command."
            )
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        for name, action in ACTIONS.items():
            if name in CHANGES:
                assert "is in use by another process" in refused(store.path, lambda a=action: a(store))
            else:
                action(store)
    assert store.verify().sound
    assert len(store.items()) == 18


def test_a_full_disk(tmp_path, store, monkeypatch):
    before = store.corpus()
    connect = sqlite3.connect
    limit = store.path.stat().st_size // 4096

    def small(*arguments: Any, **settings: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **settings)
        connection.execute(f"PRAGMA max_page_count = {limit}").close()
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    many = some(store.kind, 60, first=100)
    assert refused(store.path, lambda: store.add(many, source="")) == (
        "The disk is full: 'S' could not be written; free some space and repeat the command."
    )
    limit = 3
    path = tmp_path / "y.smalti"
    assert refused(path, lambda: CorpusStore.create(path, many, source="")) == (
        "The disk is full: 'S' could not be written; free some space and repeat the command."
    )
    monkeypatch.undo()
    assert equal(store.corpus(), before)
    assert store.verify().sound
    assert list(tmp_path.iterdir()) == [store.path]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_store_that_may_only_be_read(someone, what):
    made = CorpusStore.create(someone / "x.smalti", pictures(5), source="")
    (made.path if what == "file" else someone).chmod(0o500 if what == "folder" else 0o400)
    for name, action in ACTIONS.items():
        if name in CHANGES:
            sentence = refused(made.path, lambda a=action: a(made))
            assert sentence.startswith("'S' cannot be opened or written (")
            assert sentence.endswith("): see that it is there, and that you may read and write it and its folder.")
        else:
            action(made)
    assert made.verify().sound
    if what == "folder":
        path = someone / "y.smalti"
        assert refused(path, lambda: CorpusStore.create(path, pictures(1), source="")).startswith(
            "'S' cannot be opened or written ("
        )
    someone.chmod(0o700)
    made.path.chmod(0)
    assert refused(made.path, lambda: open_images(made.path)) == (
        "'S' cannot be opened or written (unable to open database file): see that it is there, and that you may read "
        "and write it and its folder."
    )


def test_what_a_killed_create_left_is_removed(tmp_path, store):
    secret = b"pictures of a command that was stopped"
    old = tmp_path / ".x.smalti.01234567.partial"
    others = [tmp_path / ".x.smalti.0123456.partial", tmp_path / ".y.smalti.01234567.partial"]
    for path in (old, old.with_name(f"{old.name}-journal"), *others):
        path.write_bytes(secret)
    # A process killed between giving the name and taking the old one away leaves a second name.
    os.link(store.path, tmp_path / ".x.smalti.89abcdef.partial")
    store.forget(["3"], reason="x")
    assert sorted(tmp_path.iterdir()) == sorted([*others, store.path])
    assert store.verify().sound
    in_use = tmp_path / ".z.smalti.01234567.partial"
    alter(in_use, "CREATE TABLE t (a)")
    with held(in_use):
        CorpusStore.create(tmp_path / "z.smalti", pictures(1), source="")
        assert in_use.exists()
    old.mkdir()
    assert "was left behind by a command that was stopped, may hold items, and cannot be removed" in refused(
        tmp_path, lambda: store.forget(["4"], reason="x")
    )
    assert len(store.items()) == 17


def test_an_interrupted_create_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smalti.corpus.store.store.write_event", stop)
    with pytest.raises(KeyboardInterrupt):
        CorpusStore.create(tmp_path / "x.smalti", pictures(3), source="")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_change_changes_nothing(store, monkeypatch):
    before = store.path.read_bytes()

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("smalti.corpus.store.store.write_event", stop)
        for action in ("add", "forget"):
            with pytest.raises(KeyboardInterrupt):
                ACTIONS[action](store)
    assert store.path.read_bytes() == before
    assert store.verify().sound
