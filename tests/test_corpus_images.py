"""The corpus record: content ids, canonical order, digests, and what adding and taking away leave."""

import copy
import dataclasses
import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smalti.corpus import ImageCorpus
from smalti.errors import InputError, UsageError

FIELDS = [field.name for field in dataclasses.fields(ImageCorpus)]

# Few distinct values, so that duplicates, greys, and transparent and opaque items all come up.
stacks = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 3, 4])).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 7, 255]))
)
labels_of = st.sampled_from(["a", "b", "é"])


def same(one: ImageCorpus, other: ImageCorpus) -> bool:
    """Whether two corpora are equal in every field, bytes and order included."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        if name == "images"
        else getattr(one, name) == getattr(other, name)
        for name in FIELDS
    )


def as_files(images: np.ndarray, labels: tuple[str, ...] | None = None) -> ImageCorpus:
    """A corpus as files make it: the source declares no number of channels."""
    return ImageCorpus(images, labels, tuple(f"{i}.png" for i in range(len(images))), conversions=((),) * len(images))


@given(stacks, st.data())
def test_every_order_of_input_gives_the_same_object(images, data):
    labels = data.draw(st.lists(labels_of, min_size=len(images), max_size=len(images)))
    names = [f"n{i}" for i in range(len(images))]
    order = data.draw(st.permutations(range(len(images))))
    one = ImageCorpus.from_arrays(images, labels=labels, names=names)
    other = ImageCorpus.from_arrays(
        images[list(order)], labels=[labels[i] for i in order], names=[names[i] for i in order]
    )
    assert same(one, other)
    assert one.digest == other.digest
    assert one.notes == other.notes


@given(stacks)
def test_items_are_the_given_pictures_but_for_colours_nobody_can_see(images):
    corpus = ImageCorpus.from_arrays(images)
    assert corpus.images.shape == images.shape
    for name, item in zip(corpus.names, corpus.images, strict=True):
        original = images[int(name.removeprefix("images[").removesuffix("]"))]
        if images.shape[-1] == 4:
            assert np.array_equal(item[..., 3], original[..., 3])
            visible = original[..., 3] > 0
            assert np.array_equal(item[visible], original[visible])
            assert not item[~visible].any()
        else:
            assert np.array_equal(item, original)


@given(stacks, st.data())
def test_without_equals_never_having_had_the_items(images, data):
    labels = tuple(data.draw(st.lists(labels_of, min_size=len(images), max_size=len(images))))
    corpus = as_files(images, labels)
    gone = data.draw(st.sets(st.integers(0, len(images) - 1), max_size=len(images) - 1))
    kept = [int(name.removesuffix(".png")) for i, name in enumerate(corpus.names) if i not in gone]
    never = ImageCorpus(
        images[kept],
        tuple(labels[i] for i in kept),
        tuple(f"{i}.png" for i in kept),
        conversions=((),) * len(kept),
    )
    left = corpus.without(gone)
    assert same(left, never)
    assert left.digest == never.digest
    # Notes are written into the record of a run: what was forgotten may not be named there.
    assert left.notes == never.notes


@given(stacks, st.data())
def test_adding_what_was_taken_out_gives_the_corpus_back(images, data):
    corpus = as_files(images)
    part = data.draw(st.sets(st.integers(0, len(images) - 1), min_size=1, max_size=max(1, len(images) - 1)))
    if len(part) == len(images):
        return
    one, other = corpus.without(part), corpus.without(set(range(len(corpus))) - part)
    assert same(one.adding(other), corpus)
    assert same(other.adding(one), corpus)


@given(stacks)
def test_duplicates_are_the_groups_of_equal_pictures(images):
    corpus = ImageCorpus.from_arrays(images)
    groups = corpus.duplicates()
    grouped = {index for group in groups for index in group}
    for i in range(len(corpus)):
        equals = tuple(j for j in range(len(corpus)) if np.array_equal(corpus.images[i], corpus.images[j]))
        assert (equals in groups) == (len(equals) > 1) == (i in grouped)
    assert len(corpus) == len(images)


def test_the_id_is_the_hash_of_shape_and_pixels():
    grey = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert ImageCorpus.from_arrays(grey).ids == (hashlib.sha256(b"2 3 1\n" + bytes([1, 2, 3, 4, 5, 6])).hexdigest(),)
    # The same six values as one pixel row of another shape, or as two coloured pixels, are another picture.
    assert ImageCorpus.from_arrays(grey.reshape(1, 3, 2)).ids != ImageCorpus.from_arrays(grey).ids
    assert ImageCorpus.from_arrays(grey.reshape(1, 1, 2, 3)).ids == (
        hashlib.sha256(b"1 2 3\n" + bytes([1, 2, 3, 4, 5, 6])).hexdigest(),
    )


def test_a_grey_picture_has_one_id_in_every_corpus():
    grey = np.array([[[9, 8], [7, 6]]], np.uint8)[..., None]
    rgb = np.repeat(grey, 3, axis=-1)
    rgba = np.concatenate([rgb, np.full_like(grey, 255)], axis=-1)
    coloured = np.array([[[[1, 2, 3], [1, 2, 3]], [[1, 2, 3], [1, 2, 3]]]], np.uint8)
    identity = ImageCorpus.from_arrays(grey).ids[0]
    assert ImageCorpus.from_arrays(rgb).ids == ImageCorpus.from_arrays(rgba).ids == (identity,)
    both = as_files(grey).adding(as_files(coloured))
    assert identity in both.ids
    assert (both.mode, as_files(rgba).mode) == ("RGB", "L")


def test_an_array_keeps_its_channels_and_they_count_in_the_digest():
    grey = np.zeros((1, 2, 2, 1), np.uint8)
    three = ImageCorpus.from_arrays(np.repeat(grey, 3, axis=-1))
    assert three.mode == "RGB"
    assert three.ids == ImageCorpus.from_arrays(grey).ids
    assert three.digest != ImageCorpus.from_arrays(grey).digest


def test_the_digest_covers_pixels_and_labels_but_not_names():
    images = np.arange(16, dtype=np.uint8).reshape(4, 2, 2)
    corpus = ImageCorpus.from_arrays(images, labels=list("abab"))
    assert corpus.digest == ImageCorpus.from_arrays(images, labels=list("abab"), names=list("wxyz")).digest
    assert corpus.digest != ImageCorpus.from_arrays(images, labels=list("abba")).digest
    assert corpus.digest != ImageCorpus.from_arrays(images).digest
    assert corpus.digest != ImageCorpus.from_arrays(images[:3], labels=list("aba")).digest
    # A multiset: an item twice is not an item once.
    assert ImageCorpus.from_arrays(images[[0, 0]]).digest != ImageCorpus.from_arrays(images[:1]).digest


def test_colour_under_transparent_pixels_has_no_influence():
    visible = np.array([[[[1, 2, 3, 255], [0, 0, 0, 0]]]], np.uint8)
    hidden = visible.copy()
    hidden[0, 0, 1, :3] = 99
    one, other = ImageCorpus.from_arrays(visible), ImageCorpus.from_arrays(hidden)
    assert np.array_equal(one.images, other.images)
    assert one.digest == other.digest
    assert "colour under fully transparent pixels set to 0: 'images[0]'" in other.notes
    assert hidden[0, 0, 1, 0] == 99, "the caller's array is left as it was"


def test_a_corpus_cannot_be_changed():
    source = np.zeros((2, 2, 2), np.uint8)
    corpus = ImageCorpus.from_arrays(source)
    source[:] = 1
    assert not corpus.images.any()
    assert corpus.images.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        corpus.images[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.labels = ("a", "b")  # pyright: ignore[reportAttributeAccessIssue]
    for again in (copy.deepcopy(corpus), pickle.loads(pickle.dumps(corpus))):
        assert same(again, corpus)
        assert not again.images.flags.writeable


def test_labels_select_and_unknown_ones_are_listed():
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    corpus = ImageCorpus.from_arrays(images, labels=[3, 10, 3])
    chosen = corpus.with_label("3")
    assert same(chosen, ImageCorpus.from_arrays(images[[0, 2]], labels=[3, 3], names=["images[0]", "images[2]"]))
    with pytest.raises(UsageError) as caught:
        corpus.with_label("4")
    assert str(caught.value) == "there is no label '4': choose one of 10, 3."
    many = ImageCorpus.from_arrays(np.zeros((30, 1, 1), np.uint8), labels=[f"{i:02}" for i in range(30)])
    with pytest.raises(UsageError, match=r"choose one of 00, .*, 19 and 10 more\.$"):
        many.with_label("x")
    with pytest.raises(UsageError) as caught:
        ImageCorpus.from_arrays(images).with_label("3")
    assert str(caught.value) == (
        "there is no label '3': this corpus has no labels; put the pictures into one sub-folder for each."
    )


def test_both_spellings_of_an_accent_are_one_label():
    images = np.arange(2, dtype=np.uint8).reshape(2, 1, 1)
    corpus = ImageCorpus.from_arrays(images, labels=["caf\u00e9", "cafe\u0301"])
    assert len(corpus.with_label("cafe\u0301")) == len(corpus.with_label("caf\u00e9")) == 2


def test_what_cannot_be_taken_out_or_added_is_refused():
    corpus = ImageCorpus.from_arrays(np.zeros((2, 2, 2), np.uint8), labels=["a", "b"])
    for item in (-1, 2):
        with pytest.raises(UsageError) as caught:
            corpus.without([item])
        assert str(caught.value) == f"there is no item {item}: this corpus has items 0 to 1."
    with pytest.raises(UsageError) as caught:
        corpus.without([0, 1, 1])
    assert str(caught.value) == "without all 2 of its items a corpus would be empty: leave at least one."
    with pytest.raises(UsageError) as caught:
        corpus.adding(ImageCorpus.from_arrays(np.zeros((1, 2, 3), np.uint8)))
    assert str(caught.value) == "pictures of 2x2 and 3x2 cannot be in one corpus: read both with one size."
    with pytest.raises(UsageError) as caught:
        corpus.adding(ImageCorpus.from_arrays(np.zeros((1, 2, 2), np.uint8)))
    assert str(caught.value) == "one corpus has labels and the other has none: give labels to both, or to neither."


def test_adding_brings_grey_and_coloured_pictures_together():
    grey = as_files(np.full((1, 1, 2, 1), 5, np.uint8))
    clear = as_files(np.array([[[[1, 2, 3, 0], [1, 2, 3, 9]]]], np.uint8))
    both = grey.adding(clear)
    assert sorted(both.images.reshape(2, -1).tolist()) == [[0, 0, 0, 0, 1, 2, 3, 9], [5, 5, 5, 255, 5, 5, 5, 255]]
    assert "opacity kept as a fourth channel, since 1 of 2 pictures is not opaque everywhere" in both.notes
    assert (
        "1 of 2 pictures is grey and stored with equal red, green and blue, since others have colour or transparency"
        in both.notes
    )


def test_one_item_is_a_corpus_and_identical_items_are_one_with_a_note():
    one = ImageCorpus.from_arrays(np.zeros((1, 1, 1), np.uint8))
    assert len(one) == 1
    assert one.notes == ()
    five = ImageCorpus.from_arrays(np.zeros((5, 1, 1), np.uint8))
    assert len(five) == 5
    assert five.duplicates() == ((0, 1, 2, 3, 4),)
    assert five.notes == ("all 5 pictures are identical; kept as separate items",)
    some = ImageCorpus.from_arrays(np.array([0, 1, 0, 1, 2, 0], np.uint8).reshape(6, 1, 1))
    assert some.notes == ("3 of 6 pictures repeat another one exactly; kept as separate items",)


def test_items_with_one_picture_and_two_labels_are_duplicates():
    corpus = ImageCorpus.from_arrays(np.zeros((2, 1, 1), np.uint8), labels=["b", "a"])
    assert corpus.labels == ("a", "b")
    assert corpus.duplicates() == ((0, 1),)


def test_repr_says_what_it_is():
    corpus = ImageCorpus.from_arrays(np.zeros((2, 3, 4, 3), np.uint8), labels=["a", "b"])
    assert repr(corpus) == f"ImageCorpus(2 of 4x3 RGB, 2 labels, digest {corpus.digest[:12]})"
    assert (corpus.size, corpus.channels, corpus.mode, len(corpus)) == ((3, 4), 3, "RGB", 2)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (
            np.zeros((2, 3, 3)),
            "images is float64, but pictures are uint8 from 0 to 255: "
            "convert values in [0, 1] with numpy.rint(255 * images).astype(numpy.uint8).",
        ),
        (
            np.full((2, 3, 3), np.nan, np.float32),
            "images is float32 and holds NaN, but pictures are uint8 from 0 to 255: "
            "convert values in [0, 1] with numpy.rint(255 * images).astype(numpy.uint8).",
        ),
        (
            np.zeros((2, 3, 3), np.int64),
            "images is int64, but pictures are uint8 from 0 to 255: bring the values there and use "
            ".astype(numpy.uint8).",
        ),
        (
            np.zeros((3, 3), np.uint8),
            "images has shape (3, 3), but must be (pictures, height, width) or (pictures, height, width, channels): "
            "a single picture needs a leading axis, images[None].",
        ),
        (
            np.zeros((1, 1, 1, 1, 1), np.uint8),
            "images has shape (1, 1, 1, 1, 1), but must be (pictures, height, width) or (pictures, height, width, "
            "channels).",
        ),
        (
            np.zeros((5, 3, 8, 8), np.uint8),
            "images has 8 channels (shape (5, 3, 8, 8)), but pictures have 1, 3 or 4: "
            "channels come last, so use .transpose(0, 2, 3, 1).",
        ),
        (np.zeros((5, 8, 8, 2), np.uint8), "images has 2 channels (shape (5, 8, 8, 2)), but pictures have 1, 3 or 4."),
        (np.zeros((0, 8, 8), np.uint8), "images holds no picture: give at least one."),
        ([], "images holds no picture: give at least one."),
        (np.zeros((2, 0, 8), np.uint8), "images has shape (2, 0, 8, 1), but a picture has at least one pixel."),
        (
            [np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8)],
            "images is not one array: all pictures must have one shape, so resize them first.",
        ),
        (
            np.array([[[None]]]),
            "images is object, but pictures are uint8 from 0 to 255: bring the values there and use "
            ".astype(numpy.uint8).",
        ),
    ],
)
def test_arrays_that_are_no_pictures_are_refused_in_one_sentence(images, sentence):
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_arrays(images)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (["a"], "labels has length 1 for 2 pictures: give one label for each."),
        ("ab", "labels is one piece of text, but must be one label for each of the 2 pictures."),
        (
            np.zeros((2, 1), np.int64),
            "labels has shape (2, 1), but must be one label for each of the 2 pictures, shape (2,).",
        ),
        (["a", ""], "labels[1] is empty: give every picture a label, or none at all."),
        ([1, 0.5], "labels[1] is 0.5: a label is text or a whole number."),
        ([True, 1], "labels[0] is True: a label is text or a whole number."),
        ([b"ok", b"\xff"], "labels[1] is b'\\xff', which is not UTF-8 text: store labels as text or whole numbers."),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_sentence(labels, sentence):
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_arrays(np.zeros((2, 1, 1), np.uint8), labels=labels)
    assert str(caught.value) == sentence


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"^names has length 1 for 2 pictures: give one for each.$"):
        ImageCorpus.from_arrays(np.zeros((2, 1, 1), np.uint8), names=["a"])
    with pytest.raises(InputError, match=r"^names\[1\] is 7: a name is text.$"):
        ImageCorpus.from_arrays(np.zeros((2, 1, 1), np.uint8), names=["a", 7])  # pyright: ignore[reportArgumentType]


def test_labels_of_every_kind_become_text():
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)
    for labels in (
        np.array([0, 1, 2, 3], np.uint8),
        np.array(["0", "1", "2", "3"]),
        np.array([b"0", b"1", b"2", b"3"]),
        [0, 1, 2, 3],
        ("0", "1", "2", "3"),
    ):
        corpus = ImageCorpus.from_arrays(images, labels=labels)
        assert corpus.labels is not None
        assert {(name, label) for name, label in zip(corpus.names, corpus.labels, strict=True)} == {
            (f"images[{i}]", str(i)) for i in range(4)
        }
        assert all(type(label) is str for label in corpus.labels)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3, 4]))
@settings(max_examples=50, deadline=None)
def test_any_size_becomes_any_other_and_a_flat_picture_stays_flat(height, width, to_height, to_width, channels):
    value = np.array([200, 90, 30, 128][:channels], np.uint8)
    images = np.broadcast_to(value, (2, height, width, channels))
    corpus = ImageCorpus.from_arrays(images, size=(to_height, to_width))
    assert corpus.images.shape == (2, to_height, to_width, channels)
    # Exact without opacity, since the filter's weights sum to 1. With opacity 128 / 255 a colour v is stored as
    # round(v * 128 / 255) and divided again: the rounding of at most 1/2 grows to 255 / 128 / 2 < 1, and dividing
    # rounds once more.
    assert np.abs(corpus.images.astype(int) - value).max() <= (2 if channels == 4 else 0)


def test_cutting_is_around_the_centre_and_said():
    # Columns 2 to 5 of 8 are the centre square; what is outside must not be there.
    images = np.zeros((1, 4, 8), np.uint8)
    images[:, :, 2:6] = 200
    corpus = ImageCorpus.from_arrays(images, size=4)
    assert np.array_equal(corpus.images[0, ..., 0], np.full((4, 4), 200))
    assert corpus.notes[0] == (
        "cut to the shape of 4x4 around the centre, then resized to 4x4 with a Lanczos filter: 'images[0]'"
    )
    tall = ImageCorpus.from_arrays(images.transpose(0, 2, 1), size=(4, 4))
    assert np.array_equal(tall.images, corpus.images)
    assert ImageCorpus.from_arrays(images, size=(2, 4)).notes[0].startswith("resized to 4x2")
    assert ImageCorpus.from_arrays(images, size=(8, 16)).notes[0].startswith("enlarged to 16x8")
    assert same(ImageCorpus.from_arrays(images, size=(4, 8)), ImageCorpus.from_arrays(images))


def test_hidden_colours_do_not_bleed_when_resizing():
    images = np.zeros((1, 8, 8, 4), np.uint8)
    images[0, :, :4] = [10, 20, 30, 255]
    loud = images.copy()
    loud[0, :, 4:, :3] = 255
    for size in (4, 16, (3, 5)):
        quiet = ImageCorpus.from_arrays(images, size=size)
        assert np.array_equal(quiet.images, ImageCorpus.from_arrays(loud, size=size).images)


@pytest.mark.parametrize("size", [0, -3, 2.5, "32", (4,), (4, 0), (1, 2, 3), True, (None, 3)])
def test_sizes_without_meaning_are_refused(size):
    with pytest.raises(UsageError) as caught:
        ImageCorpus.from_arrays(np.zeros((1, 4, 4), np.uint8), size=size)
    assert str(caught.value) == (
        f"size {size!r} has no meaning: give one whole number of pixels, or (height, width), each at least 1."
    )


def test_sizes_beyond_memory_are_refused(monkeypatch):
    images = np.zeros((3, 4, 4), np.uint8)
    with pytest.raises(UsageError) as caught:
        ImageCorpus.from_arrays(images, size=(20_000, 20_000))
    assert str(caught.value) == (
        "size 20000x20000 is more than the 100,000,000 pixels a picture may have: give a smaller one."
    )
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_arrays(np.broadcast_to(images[:1], (1_000, 4, 4)), size=(5_000, 5_000))
    assert str(caught.value) == (
        "images: 1,000 L pictures of 5000x5000 take 23.3 GiB, "
        "more than the 8.0 GiB a corpus may have: give a smaller size, or fewer pictures."
    )
    monkeypatch.setattr("smalti.corpus.pixels.LARGEST_CORPUS", 60)
    one = ImageCorpus.from_arrays(images)
    with pytest.raises(InputError, match=r"^both corpora together: 6 L pictures of 4x4"):
        one.adding(one)


def test_direct_construction_is_checked_too():
    with pytest.raises(InputError, match=r"^conversions has length 0 for 1 pictures: give one for each.$"):
        ImageCorpus(np.zeros((1, 1, 1, 1), np.uint8), None, ("a",), conversions=())


def test_importing_the_corpus_imports_no_picture_library():
    code = "import sys, smalti.corpus; print({'PIL', 'matplotlib', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
