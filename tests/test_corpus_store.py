"""The corpus on disk: what is put in comes out, what is forgotten is gone from every file, and the log says so."""

import dataclasses
import tracemalloc
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smalti
from smalti.corpus import CorpusStore, ImageCorpus, Item, open_images, pixels
from smalti.errors import InputError, UsageError


def noise(count: int, *, size: tuple[int, int] = (4, 5), channels: int = 1, seed: int = 0) -> np.ndarray:
    """Random pictures, none like another. uint8 (count, H, W, C)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, channels), dtype=np.uint8)


def made(
    images: np.ndarray, names: Iterable[str], *, labels: Iterable[str] | None = None, declared: int = 1
) -> ImageCorpus:
    """A corpus as files make it, with an artist for each item."""
    names = tuple(names)
    return ImageCorpus(
        images,
        None if labels is None else tuple(labels),
        names,
        conversions=tuple((f"note on {name}",) for name in names),
        metadata=tuple({"artist": f"artist of {name}"} for name in names),
        declared_channels=declared,
    )


def numbered(count: int, *, first: int = 0, size: tuple[int, int] = (4, 5)) -> ImageCorpus:
    return made(noise(count, seed=first, size=size), [f"picture {first + i}.png" for i in range(count)])


def same(one: ImageCorpus, other: ImageCorpus) -> bool:
    """Whether two corpora are equal in every field, bytes and order included."""
    return one.digest == other.digest and all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        if field.name == "images"
        else getattr(one, field.name) == getattr(other, field.name)
        for field in dataclasses.fields(ImageCorpus)
    )


def bytes_of(folder: Path) -> bytes:
    """Everything in every file of a folder."""
    return b"\n".join(file.read_bytes() for file in folder.iterdir())


def test_what_is_put_in_comes_out(tmp_path, few_digits):
    labelled = few_digits
    coloured = made(noise(3, channels=4), "abc", declared=4)
    for number, corpus in enumerate((labelled, coloured, numbered(1))):
        path = tmp_path / f"{number}.anything"
        store = CorpusStore.create(path, corpus, source="here")
        assert same(store.corpus(), corpus)
        for opened in (open_images(path), open_images(str(path)), CorpusStore.open(path).corpus()):
            assert same(opened, corpus)
        state = store.state()
        assert (state.items, state.size, state.channels, state.digest, state.removed) == (
            len(corpus), corpus.size, corpus.channels, corpus.digest, 0,
        )  # fmt: skip
        assert state.labelled == (corpus.labels is not None)
        assert {item.source for item in store.items()} == {"here"}
        assert [item.id for item in store.items()] == list(corpus.ids)
        check = store.verify()
        assert (check.sound, check.problems, check.digest) == (True, (), corpus.digest)
        assert (check.items, check.different) == (len(corpus), len(set(corpus.ids)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.anything", "1.anything", "2.anything"]


def test_a_store_is_a_source_at_any_size(tmp_path):
    corpus = made(noise(3, size=(8, 8), channels=3), "abc")
    CorpusStore.create(tmp_path / "x.smalti", corpus, source="here")
    arrays = ImageCorpus.from_arrays(corpus.images, names=corpus.names, size=(4, 6))
    opened = smalti.open_images(tmp_path / "x.smalti", size=(4, 6))
    assert np.array_equal(opened.images, arrays.images)
    how = "cut to the shape of 6x4 around the centre, then resized to 6x4 with a Lanczos filter"
    assert sorted(opened.conversions) == [(f"note on {name}", how) for name in "abc"]
    with pytest.raises(UsageError, match="has no meaning"):
        open_images(tmp_path / "x.smalti", size=0)


def test_content_is_stored_once(tmp_path):
    images = np.repeat(noise(1, size=(64, 64)), 50, axis=0)
    CorpusStore.create(tmp_path / "x", made(images, map(str, range(50))), source="")
    assert (tmp_path / "x").stat().st_size < 2 * 64 * 64 + 50_000
    assert CorpusStore.open(tmp_path / "x").verify().different == 1


def test_adding_and_forgetting_equal_the_corpora_in_memory(tmp_path):
    one, two = numbered(5), numbered(4, first=5)
    store = CorpusStore.create(tmp_path / "x", one, source="one")
    added = store.add(two, source="two")
    both = one.adding(two)
    assert same(store.corpus(), both)
    assert (added.items, added.present, added.before, added.after) == (4, 0, one.digest, both.digest)
    removal = store.forget(["picture 6.png", two.ids[0]], reason=" asked ")
    left = both.without({*both.find("picture 6.png"), *both.find(two.ids[0])})
    assert same(store.corpus(), left)
    assert (removal.before, removal.after, removal.reason, removal.kept) == (both.digest, left.digest, "asked", ())
    assert set(removal.ids) == set(both.ids) - set(left.ids)
    assert store.removals() == (removal,)
    assert [(event.action, event.items, event.before, event.after) for event in store.events()] == [
        ("create", 5, None, one.digest),
        ("add", 4, one.digest, both.digest),
        ("forget", len(removal.ids), both.digest, left.digest),
    ]
    assert all(event.time.endswith("+00:00") for event in store.events())


def test_adding_again_adds_what_is_new(tmp_path):
    one, more = numbered(3), numbered(3).adding(numbered(2, first=3))
    store = CorpusStore.create(tmp_path / "x", one, source="folder")
    again = store.add(more, source="folder")
    assert (again.items, again.present) == (2, 3)
    assert same(store.corpus(), more)
    events = store.events()
    nothing = store.add(more, source="folder")
    assert (nothing.items, nothing.present, nothing.before, nothing.after) == (0, 5, more.digest, more.digest)
    assert store.events() == events
    # The same content under another name is another item, as in a folder.
    renamed = made(one.images, ["x", "y", "z"])
    assert store.add(renamed, source="folder").items == 3
    assert len(store.corpus().duplicates()) == 3


def test_equal_items_are_counted(tmp_path):
    image = noise(1)
    twice = made(np.repeat(image, 2, axis=0), ["a", "a"])
    thrice = made(np.repeat(image, 3, axis=0), ["a", "a", "a"])
    store = CorpusStore.create(tmp_path / "x", twice, source="")
    assert same(store.corpus(), twice)
    assert store.add(thrice, source="").items == 1
    assert same(store.corpus(), thrice)


@pytest.mark.parametrize("size", [(2, 3), (8, 8), (40, 41)])
def test_what_is_forgotten_is_in_no_file(tmp_path, size):
    corpus = made(noise(120, size=size), [f"the picture number {i:03}.png" for i in range(120)])
    store = CorpusStore.create(tmp_path / "x.smalti", corpus, source="the folder it came from")
    order = np.random.default_rng(1).permutation(119)
    for part in np.array_split(order, 12):
        store.forget([f"the picture number {i:03}.png" for i in part], reason="asked")
    found = bytes_of(tmp_path)
    for index, name in enumerate(corpus.names):
        content = corpus.images[index].tobytes()
        there = name == "the picture number 119.png"
        assert (content[-6:] in found, content[:6] in found, name.encode() in found) == (there,) * 3
    assert found.count(b"artist of") == found.count(b"note on") == found.count(b"the folder it came from") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.smalti"]
    assert store.verify().sound


@settings(max_examples=15)
@given(st.data())
def test_every_way_leads_to_the_corpus_that_never_had_the_items(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("store")
    sources = []
    for number in range(data.draw(st.integers(1, 3))):
        channels = data.draw(st.sampled_from([1, 3, 4]))
        images = noise(data.draw(st.integers(1, 5)), channels=channels, seed=number)
        labels = [data.draw(st.sampled_from("ab")) for _ in images]
        names = [f"{number}-{i}" for i in range(len(images))]
        sources.append((images, names, labels, data.draw(st.sampled_from([1, channels]))))
    corpora = [made(images, names, labels=labels, declared=declared) for images, names, labels, declared in sources]
    store = CorpusStore.create(folder / "x", corpora[0], source="")
    for corpus in corpora[1:]:
        store.add(corpus, source="")
    every = [name for _, names, _, _ in sources for name in names]
    kept = data.draw(st.sets(st.sampled_from(every), min_size=1))
    for name in data.draw(st.permutations([name for name in every if name not in kept])):
        store.forget([name], reason="x")
        if data.draw(st.booleans()):
            store.compact()
    never = None
    for images, names, labels, declared in sources:
        part = [i for i, name in enumerate(names) if name in kept]
        if part:
            picked = made(images[part], [names[i] for i in part], labels=[labels[i] for i in part], declared=declared)
            never = picked if never is None else never.adding(picked)
    assert never is not None
    assert same(store.corpus(), never)
    assert store.verify().sound


def test_the_only_coloured_picture_and_the_only_declared_channels_go_with_their_items(tmp_path):
    grey = numbered(3)
    store = CorpusStore.create(tmp_path / "x", grey, source="files")
    store.add(made(noise(1, channels=3), ["colour"]), source="files")
    declared = np.repeat(noise(1, seed=9), 4, axis=-1)
    declared[..., 3] = 255
    store.add(ImageCorpus.from_arrays(declared, names=["array"]), source="array")
    assert store.state().channels == 4
    store.forget(["array"], reason="x")
    assert store.state().channels == 3
    store.forget(["colour"], reason="x")
    assert same(store.corpus(), grey)


def test_an_id_stands_for_every_item_of_that_content_and_a_name_for_one(tmp_path):
    images = noise(3)[[0, 0, 0, 1, 2]]
    corpus = made(images, "abcde", labels="ppqpq")
    identity = corpus.ids[corpus.names.index("a")]
    content = images[0].tobytes()
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    removal = store.forget(["a"], reason="x")
    assert (removal.ids, removal.labels, removal.kept) == ((identity,), ("p",), (identity,))
    assert content in bytes_of(tmp_path)
    assert sorted(item.name for item in store.find([identity[:8]])) == ["b", "c"]
    removal = store.forget([identity.upper()[:10]], reason="y")
    assert (removal.ids, removal.labels, removal.kept) == ((identity, identity), ("p", "q"), ())
    assert content not in bytes_of(tmp_path)
    assert store.removals()[0].kept == (identity,)


def test_groups_are_forgotten_as_metadata_and_labels_say(tmp_path):
    rows = [{"artist": "Zoë", "licence": "by"}, {"artist": "Ada"}, {"licence": "by"}, {}]
    corpus = ImageCorpus(noise(4), tuple("ppqq"), tuple("abcd"), conversions=((),) * 4, metadata=tuple(rows))
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    names = {
        ("artist", unicodedata.normalize("NFD", "Zoë")): "a",
        ("artist", None): "cd",
        ("licence", "by"): "ac",
        ("label", "p"): "ab",
    }
    for group, expected in names.items():
        assert sorted(item.name for item in store.find(groups=[group])) == list(expected)
    with pytest.raises(UsageError, match="there is no item whose artist is 'Eve': choose one of Ada, Zoë"):
        store.forget(groups=[("artist", "Eve")], reason="x")
    with pytest.raises(UsageError, match="has no column 'by': choose one of label, artist, licence"):
        store.forget(["a"], groups=[("by", "x")], reason="x")
    assert len(store.items()) == 4
    store.forget(["b"], groups=[("licence", "by")], reason="x")
    assert [item.name for item in store.items()] == ["d"]


def test_what_cannot_be_forgotten_is_refused_and_nothing_changes(tmp_path):
    corpus = numbered(3)
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    store.forget([corpus.ids[0]], reason="the artist asked")
    before = (tmp_path / "x").read_bytes()
    when = store.removals()[0].time
    ids = corpus.ids
    for texts, sentence in [
        ([ids[0]], f"item '{ids[0]}' was removed on {when} (the artist asked): nothing of it is left to remove."),
        ([ids[1], ids[0][:9]], f"item '{ids[0][:9]}' was removed on {when} (the artist asked): nothing of it is left "
         "to remove."),
        (["nobody"], "there is no item 'nobody': give a content id, at least 8 of its first digits, or an item's exact "
         "name; names of what was forgotten are erased, see smalti corpus list --removed."),
        ([], "no item is named: give content ids, names, or a group."),
        (ids[1:], f"without all 2 of its items '{tmp_path}/x' would be empty: leave at least one, or delete the file."),
    ]:  # fmt: skip
        with pytest.raises(UsageError) as caught:
            store.forget(texts, reason="x")
        assert str(caught.value) == sentence
    with pytest.raises(UsageError, match="forgetting needs a reason"):
        store.forget([ids[1]], reason="  ")
    assert (tmp_path / "x").read_bytes() == before


def test_what_was_forgotten_stays_out_unless_it_is_taken_back(tmp_path):
    corpus = numbered(3)
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    gone = corpus.ids[1]
    store.forget([gone], reason="x")
    left = store.corpus()
    again = store.add(corpus, source="")
    assert (again.items, again.present, again.forgotten) == (0, 2, (gone,))
    assert same(store.corpus(), left)
    back = store.add(corpus, source="", forgotten="take back")
    assert (back.items, back.present, back.forgotten) == (1, 2, ())
    assert same(store.corpus(), corpus)
    assert store.verify().sound
    store.forget([gone], reason="again")
    assert len(store.removals()) == 2
    assert same(store.corpus(), left)


def test_what_was_forgotten_by_name_stays_out_where_another_item_has_the_same_pixels(tmp_path):
    images = noise(2)[[0, 0, 1]]
    corpus = made(images, ["cats/tom.png", "copy/tom.png", "other.png"])
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    (gone,) = store.forget(["cats/tom.png"], reason="asked").ids
    left = store.corpus()
    assert store.removals()[0].taken_back == (None,)
    for names in (corpus.names, ("renamed.png", "copy/tom.png", "other.png")):
        again = store.add(made(corpus.images, names), source="")
        assert (again.items, again.present, again.forgotten) == (0, 2, (gone,))
        assert same(store.corpus(), left)
    check = store.verify()
    assert (check.sound, check.removed, check.taken_back, check.kept) == (True, 1, 0, 1)
    # What has all of its items there has nothing left out.
    assert store.add(left, source="").forgotten == ()
    assert store.add(corpus, source="", forgotten="take back").items == 1
    assert same(store.corpus(), corpus)
    assert store.removals()[0].taken_back == (store.events()[-1].time,)
    check = store.verify()
    assert (check.sound, check.removed, check.taken_back, check.kept) == (True, 1, 1, 0)
    # Taken back means that it may come again, until it is forgotten again.
    assert store.add(made(images[:1], ["third.png"]), source="").items == 1
    store.forget(["third.png"], reason="again")
    assert store.add(made(images[:1], ["third.png"]), source="").forgotten == (gone,)
    assert [len(removal.ids) for removal in store.removals()] == [1, 1]


def test_a_name_of_different_pictures_is_refused_where_nothing_can_be_undone(tmp_path):
    one, two = numbered(2), made(noise(3, seed=7), ["picture 0.png", "picture 0.png", "b"])
    store = CorpusStore.create(tmp_path / "x", one, source="")
    store.add(two, source="")
    before = (tmp_path / "x").read_bytes()
    ids = sorted({item.id for item in store.items() if item.name == "picture 0.png"})
    with pytest.raises(UsageError) as caught:
        store.forget(["picture 0.png"], reason="x")
    some = ", ".join(identity[:16] for identity in ids)
    assert str(caught.value) == f"'picture 0.png' is the name of 3 different pictures: give content ids ({some})."
    assert (tmp_path / "x").read_bytes() == before
    assert store.forget(ids[:1], reason="x").ids == (ids[0],)


def test_the_only_item_cannot_be_forgotten(tmp_path):
    store = CorpusStore.create(tmp_path / "x", numbered(1), source="")
    with pytest.raises(UsageError, match=r"^without its only item '.*x' would be empty: leave at least one, or delete"):
        store.forget(["picture 0.png"], reason="x")


def test_what_changed_since_a_digest_is_known(tmp_path):
    one, two = numbered(3), numbered(2, first=3)
    store = CorpusStore.create(tmp_path / "x", one, source="")
    store.record_use("run", tmp_path / "small", "at another size")
    assert store.changed_since(one.digest) is store.changed_since("0" * 64) is None
    store.add(two, source="")
    both, added = store.state().digest, store.events()[-1]
    assert store.changed_since(one.digest) == store.changed_since("at another size") == added
    store.forget([two.ids[0]], reason="x")
    assert store.changed_since(both) == store.events()[-1]
    assert store.changed_since(one.digest) == added
    store.forget([one.ids[0]], reason="x")
    forgotten = store.events()[-1]
    assert store.changed_since(one.digest) == store.changed_since("at another size") == forgotten
    store.add(numbered(1), source="", forgotten="take back")
    store.add(one, source="", forgotten="take back")
    assert store.changed_since(one.digest) == added
    assert store.changed_since(store.state().digest) is None


def test_a_picture_resized_twice_is_told_in_one_note(tmp_path):
    large = ImageCorpus.from_arrays(noise(2, size=(16, 16)), names=["a", "b"], size=8)
    store = CorpusStore.create(tmp_path / "x", large, source="")
    assert store.corpus(size=4).notes == (
        "resized to 8x8 with a Lanczos filter, then resized to 4x4 with a Lanczos filter: 2 pictures, such as 'a'",
    )


def test_compacting_gives_the_space_back(tmp_path):
    store = CorpusStore.create(tmp_path / "x", numbered(20, size=(100, 100)), source="")
    store.forget([f"picture {i}.png" for i in range(10)], reason="x")
    left = store.corpus()
    size = (tmp_path / "x").stat().st_size
    done = store.compact()
    assert (done.before, done.after) == (size, (tmp_path / "x").stat().st_size)
    assert done.after < done.before - 9 * 100 * 100
    assert same(store.corpus(), left)
    assert store.verify().sound
    assert store.verify().removed == 10
    assert store.events()[-1].action == "compact"
    assert store.add(numbered(20, size=(100, 100)), source="", forgotten="take back").items == 10
    assert store.verify().sound


def test_earlier_versions_stay_known_by_digest(tmp_path):
    one, two = numbered(3), numbered(2, first=3)
    store = CorpusStore.create(tmp_path / "x", one, source="")
    store.add(two, source="")
    store.forget([one.ids[0]], reason="x")
    store.compact()
    both = one.adding(two)
    for digest, ids in [(one.digest, one.ids), (both.digest, both.ids), (store.state().digest, store.corpus().ids)]:
        assert store.contained(both.ids, digest=digest) == set(ids)
    assert store.contained(["0" * 64], digest=one.digest) == set()
    assert store.contained(one.ids, digest="0" * 64) is None
    with pytest.raises(UsageError, match="is no content id"):
        store.contained(["no"], digest=one.digest)


def test_uses_are_those_of_versions_that_had_an_item(tmp_path):
    one, two = numbered(3), numbered(2, first=3)
    store = CorpusStore.create(tmp_path / "x", one, source="")
    store.record_use("run", tmp_path / "early", one.digest)
    store.record_use("run", tmp_path / "small", "digest at another size")
    store.add(two, source="")
    late = store.state().digest
    store.record_use("ledger", tmp_path / "late", late)
    store.record_use("ledger", tmp_path / "late", late)
    store.forget([two.ids[0]], reason="x")
    store.record_use("run", tmp_path / "after", store.state().digest)
    # A run that was resumed is remembered for the version that it was made from.
    store.record_use("run", tmp_path / "early", one.digest)

    def paths(*ids: str) -> list[tuple[str, str]]:
        return [(use.kind, Path(use.path).name) for use in store.uses_of(ids)]

    assert paths(two.ids[0]) == [("ledger", "late")]
    assert paths(one.ids[0]) == [("ledger", "late"), ("run", "after"), ("run", "early"), ("run", "small")]
    assert paths(two.ids[1], two.ids[0]) == [("ledger", "late"), ("run", "after")]
    assert paths() == paths("0" * 64) == []
    assert store.verify().sound


def test_corpora_that_cannot_be_one_are_refused(tmp_path, monkeypatch):
    store = CorpusStore.create(tmp_path / "x", numbered(3), source="")
    with pytest.raises(UsageError, match="pictures of 5x4 and 6x6 cannot be in one corpus"):
        store.add(numbered(1, size=(6, 6)), source="")
    with pytest.raises(UsageError, match="one corpus has labels and the other has none"):
        store.add(made(noise(1), "a", labels="b"), source="")
    with pytest.raises(InputError, match="holds half a character"):
        CorpusStore.create(tmp_path / "y", made(noise(1), "a", labels=["\ud800"]), source="")
    monkeypatch.setattr(pixels, "LARGEST_CORPUS", 100)
    with pytest.raises(InputError, match="both corpora together"):
        store.add(numbered(4, first=3), source="")
    assert len(store.items()) == 3
    monkeypatch.setattr(pixels, "LARGEST_CORPUS", 50)
    with pytest.raises(InputError, match=r"more than the 0.0 GiB a corpus may have"):
        store.corpus()


def test_any_name_is_kept(tmp_path):
    names = ["\ud800", "\0", "", "a\nb", "e\u0301.png", "x" * 10_000]
    corpus = ImageCorpus.from_arrays(noise(len(names)), names=names)
    store = CorpusStore.create(tmp_path / "it's 100%?#.smalti", corpus, source="/some where/é")
    assert same(store.corpus(), corpus)
    assert [item.name for item in store.find(["é.png"])] == ["e\u0301.png"]


def test_reading_needs_twice_the_corpus_and_changes_need_no_pixels(tmp_path):
    corpus = numbered(400, size=(64, 64))
    size = corpus.images.nbytes
    store = CorpusStore.create(tmp_path / "x", corpus, source="")
    more = numbered(1, first=400, size=(64, 64))

    def peak(action, *arguments, **settings) -> int:
        tracemalloc.start()
        action(*arguments, **settings)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(store.corpus) < 2.6 * size
    assert peak(store.forget, [corpus.ids[0]], reason="x") < 0.6 * size
    assert peak(store.add, more, source="") < 0.6 * size
    assert peak(store.verify) < 0.6 * size


def test_items_say_all_that_is_known(tmp_path):
    store = CorpusStore.create(tmp_path / "x", made(noise(1), "a", labels="p"), source="one")
    store.add(made(noise(1, channels=3, seed=1), "b", labels="q"), source="two")
    one, two = store.items()
    assert one == Item(
        id=store.corpus().ids[store.corpus().names.index("a")],
        label="p",
        name="a",
        metadata={"artist": "artist of a"},
        conversions=("note on a",),
        source="one",
        channels=1,
        since=1,
    )
    assert (two.name, two.label, two.source, two.channels, two.since) == ("b", "q", "two", 3, 2)
