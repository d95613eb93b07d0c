"""Texts on disk: what is put in comes out, what is forgotten is gone from every file, and kinds are not mixed."""

import dataclasses
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smalti
from smalti.corpus import CorpusStore, ImageCorpus, Item, TextCorpus, open_images, open_text
from smalti.corpus import text as text_module
from smalti.corpus.sources import kind_of
from smalti.corpus.store import held_by, texts
from smalti.errors import InputError, UsageError

LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz \n"))


def written(count: int, *, length: int = 400, seed: int = 0) -> list[str]:
    """Random texts, none like another."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(LETTERS, length)) for _ in range(count)]


def made(documents: Iterable[str], names: Iterable[str]) -> TextCorpus:
    """A corpus as files make it, with an author for each document."""
    names = tuple(names)
    return TextCorpus(
        tuple(documents),
        names,
        conversions=tuple((f"note on {name}",) for name in names),
        metadata=tuple({"author": f"author of {name}"} for name in names),
    )


def numbered(count: int, *, first: int = 0, length: int = 400) -> TextCorpus:
    return made(written(count, length=length, seed=first), [f"text {first + i}" for i in range(count)])


def same(one: TextCorpus, other: TextCorpus) -> bool:
    """Whether two corpora are equal in every field, order included."""
    return one.digest == other.digest and all(
        getattr(one, field.name) == getattr(other, field.name) for field in dataclasses.fields(TextCorpus)
    )


def bytes_of(folder: Path) -> bytes:
    """Everything in every file of a folder."""
    return b"\n".join(file.read_bytes() for file in folder.iterdir())


def windows(content: bytes, length: int = 16) -> set[bytes]:
    """Every stretch of bytes of a length."""
    return {content[i : i + length] for i in range(len(content) - length + 1)}


def test_what_is_put_in_comes_out(tmp_path):
    documents = ("a\nb", "Zoë 漢字 🙂", "\ufefftail\ufeff", "x", "x")
    names = ("n", "\ud800", "\0", "", "two\nlines")
    odd = TextCorpus(("tail\ufeff", *documents), ("bom", *names), metadata=({"e\u0301": "ü"}, {}, {}, {}, {}, {}))
    for number, corpus in enumerate((odd, numbered(5), TextCorpus.builtin("python-manual"))):
        path = tmp_path / f"{number}.anything"
        store = CorpusStore.create(path, corpus, source="here")
        expected = dataclasses.replace(corpus, reading=())
        for opened in (store.corpus(), open_text(path), smalti.open_text(str(path)), CorpusStore.open(path).corpus()):
            assert same(opened, expected)
        assert (held_by(path), store.kind, kind_of(str(path))) == ("texts",) * 3
        state = store.state()
        assert (state.items, state.characters, state.digest, state.removed, state.labelled) == (
            len(corpus), corpus.characters, corpus.digest, 0, False,
        )  # fmt: skip
        assert (state.size, state.channels) == (None, None)
        assert [item.id for item in store.items()] == list(corpus.ids)
        check = store.verify()
        assert (check.sound, check.problems, check.digest) == (True, (), corpus.digest)
        assert (check.items, check.different) == (len(corpus), len(set(corpus.ids)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.anything", "1.anything", "2.anything"]


def test_items_say_all_that_is_known(tmp_path):
    store = CorpusStore.create(tmp_path / "x", made(["Zoë"], "a"), source="one")
    (item,) = store.items()
    assert item == Item(
        id=store.corpus().ids[0],
        label=None,
        name="a",
        metadata={"author": "author of a"},
        conversions=("note on a",),
        source="one",
        since=1,
        characters=3,
    )


def test_content_is_stored_once(tmp_path):
    (text,) = written(1, length=10_000)
    CorpusStore.create(tmp_path / "x", made([text] * 50, map(str, range(50))), source="")
    assert (tmp_path / "x").stat().st_size < 2 * 10_000 + 50_000
    assert CorpusStore.open(tmp_path / "x").verify().different == 1


@settings(max_examples=20)
@given(st.data())
def test_every_way_leads_to_the_corpus_that_never_had_the_documents(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("store")
    several = st.lists(st.text(st.sampled_from("aé\n🙂"), min_size=1, max_size=4), min_size=1, max_size=5)
    sources = [
        made(documents, [f"{number}-{i}" for i in range(len(documents))])
        for number, documents in enumerate(data.draw(st.lists(several, min_size=1, max_size=3)))
    ]
    store = CorpusStore.create(folder / "x", sources[0], source="")
    for corpus in sources[1:]:
        store.add(corpus, source="")
    every = [name for corpus in sources for name in corpus.names]
    kept = data.draw(st.sets(st.sampled_from(every), min_size=1))
    for name in data.draw(st.permutations([name for name in every if name not in kept])):
        store.forget([name], reason="x")
        if data.draw(st.booleans()):
            store.compact()
    both = sources[0]
    for corpus in sources[1:]:
        both = both.adding(corpus)
    never = [(d, n) for d, n in zip(both.documents, both.names, strict=True) if n in kept]
    assert same(store.corpus(), made(*zip(*never, strict=True)))
    assert store.verify().sound


@pytest.mark.parametrize("length", [20, 400, 6000])
def test_no_stretch_of_what_is_forgotten_is_in_any_file(tmp_path, length):
    """Of 16 bytes or more, unless a document that stayed has it too."""
    documents, more = written(30, length=length), written(3, length=length, seed=5)
    if length > 20:
        # What another document has as well stays with it.
        documents[7] = documents[7][: length // 2] + documents[29][length // 2 :]
    names = [f"the document number {i:03}.txt" for i in range(30)]
    store = CorpusStore.create(tmp_path / "x.smalti", made(documents, names), source="the folder it came from")
    store.add(made(more, ["more 0", "more 1", "more 2"]), source="another folder")
    for part in np.array_split(np.random.default_rng(1).permutation(29), 7):
        store.forget([names[i] for i in part], reason="asked")
    store.forget(groups=[("author", "author of more 1")], reason="asked")
    left = set[bytes]().union(*(windows(document.encode()) for document in store.corpus().documents))
    gone = set[bytes]().union(*(windows(document.encode()) for document in [*documents[:29], more[1]])) - left
    assert len(gone) > 20
    found = bytes_of(tmp_path)
    assert not gone & windows(found)
    assert all(document[:20].encode() in found for document in (documents[29], more[0], more[2]))
    assert found.count(b"author of") == found.count(b"note on") == 3
    assert [name.encode() in found for name in names] == [False] * 29 + [True]
    assert [path.name for path in tmp_path.iterdir()] == ["x.smalti"]
    assert store.verify().sound
    before = store.corpus()
    store.compact()
    assert same(store.corpus(), before)
    assert not gone & windows(bytes_of(tmp_path))


def test_what_was_forgotten_stays_out_under_any_name_unless_it_is_taken_back(tmp_path):
    corpus = numbered(3)
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    removal = store.forget(["text 1"], reason="x")
    assert (removal.labels, removal.kept) == ((None,), ())
    left = store.corpus()
    (gone,) = corpus.find("text 1")
    again = store.add(made([corpus.documents[gone]], ["another name"]), source="")
    assert (again.items, again.forgotten) == (0, removal.ids)
    assert same(store.corpus(), left)
    assert store.changed_since(corpus.digest) == store.events()[-1]
    assert store.add(corpus, source="", forgotten="take back").items == 1
    assert same(store.corpus(), corpus)
    assert store.contained(corpus.ids, digest=left.digest) == set(left.ids)


def test_several_sources_are_put_in_at_once_or_not_at_all(tmp_path):
    one, two, three = numbered(2), numbered(2, first=2), numbered(3, first=4)
    store = CorpusStore.create(tmp_path / "x", one, source="one", more=[(two, "two"), (one, "one again")])
    assert same(store.corpus(), one.adding(two))
    assert {item.name: item.source for item in store.items()}["text 2"] == "two"
    assert [(event.action, event.items) for event in store.events()] == [("create", 2), ("add", 2)]
    done = store.add(two, source="two", more=[(three, "three")])
    assert (done.items, done.present, done.after) == (3, 2, store.state().digest)
    assert same(store.corpus(), one.adding(two).adding(three))
    assert store.verify().sound
    before = store.path.read_bytes()
    with pytest.raises(InputError, match="half a character"):
        store.add(numbered(1, first=9), source="nine", more=[(three, "\ud800")])
    assert store.path.read_bytes() == before
    with pytest.raises(InputError, match="half a character"):
        CorpusStore.create(tmp_path / "y", one, source="one", more=[(three, "\ud800")])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_was_found_is_what_goes(tmp_path):
    store = CorpusStore.create(tmp_path / "x", numbered(3), source="")
    found = store.find(["text 0"])
    store.add(numbered(2, first=5), source="")
    assert store.forget(["text 0"], reason="x", found=found).ids == (found[0].id,)


def test_nothing_goes_where_other_items_would_than_were_found(tmp_path):
    store = CorpusStore.create(tmp_path / "x", numbered(3), source="")
    group = [("author", "author of text 1")]
    found = store.find(groups=group)
    late = TextCorpus(tuple(written(1, seed=10)), ("late",), metadata=({"author": "author of text 1"},))
    store.add(late, source="")
    before = store.path.read_bytes()
    with pytest.raises(InputError) as caught:
        store.forget(groups=group, reason="x", found=found)
    assert str(caught.value) == (
        f"'{tmp_path}/x' was changed by another process just now, so that other items would go than were found: look "
        "again, and repeat the command."
    )
    assert store.path.read_bytes() == before
    assert len(store.forget(groups=group, reason="x", found=store.find(groups=group)).ids) == 2


def test_kinds_are_not_mixed(tmp_path):
    pictures = ImageCorpus.builtin("photo", size=4)
    words, looks = tmp_path / "words.smalti", tmp_path / "looks"
    store = CorpusStore.create(words, numbered(2), source="")
    other = CorpusStore.create(looks, pictures, source="")
    with pytest.raises(InputError) as caught:
        open_images(words)
    assert str(caught.value) == f"'{words}' is a store of texts, and pictures are wanted: give a source of pictures."
    with pytest.raises(InputError) as caught:
        open_text(looks)
    assert str(caught.value) == f"'{looks}' is a store of pictures, and texts are wanted: give a source of texts."
    with pytest.raises(
        UsageError, match=r"is a store of texts, and the other corpus holds pictures: keep them in diff"
    ):
        store.add(pictures, source="")  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        UsageError, match=r"is a store of pictures, and the other corpus holds texts: keep them in diff"
    ):
        other.add(numbered(1), source="")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="size 4 is for pictures, and this corpus holds texts: leave it out"):
        store.corpus(size=4)
    assert (kind_of(str(words)), kind_of(str(looks))) == ("texts", "pictures")
    # A store that lies in a folder is no part of it.
    (tmp_path / "a.txt").write_text("text")
    looks.rename(tmp_path / "looks.smalti")
    assert kind_of(str(tmp_path)) == "texts"
    assert open_text(tmp_path).names == ("a.txt",)


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    store = CorpusStore.create(tmp_path / "x", numbered(2, length=100), source="")
    monkeypatch.setattr(texts, "LARGEST_DOCUMENT", 150)
    with pytest.raises(
        InputError, match=r"^'text 5' has 200 bytes, more than the 150 that one document of a store may"
    ):
        store.add(numbered(1, first=5, length=200), source="")
    monkeypatch.setattr(text_module, "LARGEST_TEXT", 350)
    with pytest.raises(
        InputError, match=r"^both corpora together hold 0 MiB of text, more than the 0 MiB a corpus may"
    ):
        store.add(numbered(2, first=5, length=100), source="")
    assert len(store.items()) == 2
    assert store.add(numbered(1, first=5, length=100), source="").items == 1


def test_large_texts_need_a_few_times_their_size(tmp_path):
    (document,) = written(1, length=2_000_000)
    corpus = TextCorpus.from_texts([document, "small"], names=["large", "small"])
    del document

    def peak(action, *arguments, **settings) -> int:
        tracemalloc.start()
        action(*arguments, **settings)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(CorpusStore.create, tmp_path / "x", corpus, source="") < 2.5 * 2_000_000
    store = CorpusStore.open(tmp_path / "x")
    assert peak(store.corpus) < 3.5 * 2_000_000
    assert peak(store.verify) < 2.5 * 2_000_000
    assert peak(store.add, numbered(1), source="") < 500_000
    assert peak(store.find, ["large"]) < 500_000
    assert peak(store.forget, ["large"], reason="x") < 3_000_000
