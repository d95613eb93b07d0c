"""NumPy archives as sources: what they may hold, and the sentence for everything else."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from smalti.corpus import ImageCorpus
from smalti.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 6), np.uint8)


def refused(path: Path) -> str:
    """The sentence an archive is refused with, its path cut down to the name."""
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_npz(path)
    return str(caught.value).replace(str(path), path.name)


def outcome(path: Path) -> ImageCorpus | str:
    """The corpus in the archive, or the sentence it is refused with."""
    try:
        return ImageCorpus.from_npz(path)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_gives_what_its_arrays_give(tmp_path, channels, save):
    images = IMAGES if channels is None else np.random.default_rng(1).integers(0, 256, (5, 4, 6, channels), np.uint8)
    labels = np.array([3, 1, 3, 0, 1])
    save(tmp_path / "a.npz", images=images, labels=labels)
    corpus = ImageCorpus.from_npz(tmp_path / "a.npz")
    arrays = ImageCorpus.from_arrays(images, labels=labels)
    assert np.array_equal(corpus.images, arrays.images)
    assert (corpus.names, corpus.labels, corpus.digest) == (arrays.names, arrays.labels, arrays.digest)
    assert sorted(set(corpus.labels or ())) == ["0", "1", "3"]


def test_layout_in_memory_does_not_matter(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.asfortranarray(IMAGES))
    assert ImageCorpus.from_npz(tmp_path / "a.npz").digest == ImageCorpus.from_arrays(IMAGES).digest


def test_labels_may_be_text(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES[:2], labels=np.array(["chat", "été"]))
    assert set(ImageCorpus.from_npz(tmp_path / "a.npz").labels or ()) == {"chat", "été"}


def test_other_arrays_are_left_out_with_a_note(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, zebra=np.zeros(3), author=np.array(["x"]))
    assert ImageCorpus.from_npz(tmp_path / "a.npz").notes == (
        "left out, arrays other than images and labels: author, zebra",
    )


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": IMAGES}, "'a.npz' has no array 'images' (it has x): save it with numpy.savez(file, images=...)."),
        ({}, "'a.npz' has no array 'images' (it has nothing): save it with numpy.savez(file, images=...)."),
        (
            {"images": np.full((2, 2, 2), np.nan)},
            "'a.npz': images is float64 and holds NaN, but pictures are uint8 from 0 to 255: "
            "convert values in [0, 1] with numpy.rint(255 * images).astype(numpy.uint8).",
        ),
        (
            {"images": IMAGES.astype(np.int32)},
            "'a.npz': images is int32, but pictures are uint8 from 0 to 255: bring the values there and use "
            ".astype(numpy.uint8).",
        ),
        ({"images": IMAGES[:0]}, "'a.npz': images holds no picture: give at least one."),
        (
            {"images": IMAGES[0]},
            "'a.npz': images has shape (4, 6), but must be (pictures, height, width) or (pictures, height, width, "
            "channels): "
            "a single picture needs a leading axis, images[None].",
        ),
        (
            {"images": IMAGES, "labels": np.arange(4)},
            "'a.npz': labels has length 4 for 5 pictures: give one label for each.",
        ),
        (
            {"images": IMAGES, "labels": np.zeros(5)},
            "'a.npz': labels[0] is 0.0: a label is text or a whole number.",
        ),
        (
            {"images": IMAGES, "labels": np.array(list("abcde"), object)},
            "'a.npz': labels holds Python objects, which are never loaded: save it as an array of numbers or text.",
        ),
        (
            {"images": np.array([None, 1], object)},
            "'a.npz': images holds Python objects, which are never loaded: save it as an array of numbers or text.",
        ),
    ],
)
def test_archives_with_other_contents_are_refused_in_one_sentence(tmp_path, arrays, sentence):
    np.savez(tmp_path / "a.npz", **arrays)
    assert refused(tmp_path / "a.npz") == sentence


def test_files_that_are_no_archive_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"text", b"PK\x03\x04 nearly"):
        path.write_bytes(content)
        assert refused(path) == (
            "'a.npz' is not a NumPy archive, or is damaged: save it again with numpy.savez(file, images=...)."
        )
    path.unlink()
    np.save(path.with_suffix(".npy"), IMAGES)
    path.with_suffix(".npy").rename(path)
    assert refused(path).startswith("'a.npz' is not a NumPy archive")
    path.unlink()
    assert (
        refused(path) == "'a.npz' cannot be opened (No such file or directory): check the path, and make it readable."
    )
    path.mkdir()
    assert refused(path) == "'a.npz' cannot be opened (Is a directory): check the path, and make it readable."


def test_a_member_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", b"hello")
    assert refused(tmp_path / "a.npz") == (
        "'a.npz' is damaged and cannot be read: save it again with numpy.savez(file, images=...)."
    )


def test_any_damage_gives_a_corpus_or_a_sentence_and_nothing_else(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", images=IMAGES, labels=np.arange(5))
    whole = (tmp_path / "whole.npz").read_bytes()
    random = np.random.default_rng(2)
    refusals = 0
    for trial in range(300):
        broken = bytearray(whole)
        if trial % 2:
            broken = broken[: random.integers(0, len(whole))]
        for place in random.integers(0, max(len(broken), 1), random.integers(1, 4)) if broken else ():
            broken[place] = random.integers(0, 256)
        (tmp_path / "a.npz").write_bytes(broken)
        result = outcome(tmp_path / "a.npz")
        if isinstance(result, str):
            refusals += 1
            assert "a.npz" in result
            assert result.endswith(".")
            assert "\n" not in result
        else:
            # The checksums of the archive guard the pixels: what is read is what was written.
            assert result.ids == ImageCorpus.from_arrays(IMAGES).ids
    assert refusals >= 150, "every archive cut short is refused"


def test_an_archive_that_claims_more_than_memory_is_refused_unread(tmp_path):
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 100, 100)}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("images.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
    assert refused(tmp_path / "a.npz") == (
        "'a.npz': images takes 9,313.2 GiB, more than the 8.0 GiB a corpus may have: save fewer or smaller pictures."
    )
