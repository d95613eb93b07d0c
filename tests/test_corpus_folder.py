"""Folders of pictures: which files count, which labels they get, and what is refused with which sentence."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smalti.corpus import ImageCorpus, open_images
from smalti.errors import InputError, UsageError


def save(path: Path, value: int = 0, *, size: tuple[int, int] = (4, 4), mode: str = "L") -> Path:
    """A flat picture at `path`; size is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size
    Image.new(mode, (width, height), value if mode == "L" else (value, 1, 2)).save(path)
    return path


def refused(folder: Path) -> str:
    """The sentence a folder is refused with, its path cut down to `F`."""
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_folder(folder)
    return str(caught.value).replace(str(folder), "F")


def test_subfolders_are_labels_by_their_first_part(tmp_path):
    save(tmp_path / "cats" / "a.png", 1)
    save(tmp_path / "cats" / "old" / "b.png", 2)
    save(tmp_path / "dogs" / "a.png", 3)
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.labels is not None
    assert dict(zip(corpus.names, corpus.labels, strict=True)) == {
        "cats/a.png": "cats",
        "cats/old/b.png": "cats",
        "dogs/a.png": "dogs",
    }
    assert sorted(corpus.with_label("cats").names) == ["cats/a.png", "cats/old/b.png"]
    # What the label selects is what the sub-folder alone would have given, but for the label itself.
    alone = ImageCorpus.from_folder(tmp_path / "dogs")
    assert alone.labels is None
    assert corpus.with_label("dogs").ids == alone.ids


def test_a_flat_folder_has_no_labels(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    (tmp_path / "empty").mkdir()
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.labels is None
    assert sorted(corpus.names) == ["0.png", "1.png", "2.png"]
    assert corpus.notes == ()


def test_pictures_beside_and_in_subfolders_are_refused(tmp_path):
    save(tmp_path / "b.png")
    save(tmp_path / "cats" / "a.png")
    assert refused(tmp_path) == (
        "'F' holds pictures beside its sub-folders ('b.png') and in them ('cats/a.png'): "
        "sub-folders are labels, so move every picture into one, or all of them out."
    )


@given(st.permutations(range(6)))
@settings(max_examples=10, deadline=None)
def test_the_order_in_which_files_are_made_does_not_matter(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    for i in order:
        save(folder / f"{i}.png", i // 2)
    corpus = ImageCorpus.from_folder(folder)
    arrays = ImageCorpus.from_arrays(
        np.array([np.full((4, 4), i // 2, np.uint8) for i in range(6)]), names=[f"{i}.png" for i in range(6)]
    )
    assert np.array_equal(corpus.images, arrays.images)
    assert (corpus.names, corpus.ids, corpus.digest) == (arrays.names, arrays.ids, arrays.digest)
    assert corpus.duplicates() == ((0, 1), (2, 3), (4, 5))


def test_the_number_of_threads_does_not_matter(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(60):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(tmp_path / f"{i}.png")
    corpora = []
    for cores in (1, 2, 64, None):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        corpora.append(ImageCorpus.from_folder(tmp_path, size=4))
    assert len({(corpus.images.tobytes(), corpus.names, corpus.notes) for corpus in corpora}) == 1


def test_the_mode_is_the_smallest_that_loses_nothing(tmp_path):
    save(tmp_path / "a.png", 5)
    Image.new("RGB", (4, 4), (7, 7, 7)).save(tmp_path / "b.png")
    assert ImageCorpus.from_folder(tmp_path).mode == "L"
    save(tmp_path / "c.png", 7, mode="RGB")
    assert ImageCorpus.from_folder(tmp_path).mode == "RGB"
    Image.new("RGBA", (4, 4), (7, 7, 7, 255)).save(tmp_path / "d.png")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.mode == "RGB"
    assert corpus.notes == (
        "alpha channel left out, since it is opaque everywhere: 'd.png'",
        "3 of 4 pictures are grey and stored with equal red, green and blue, since others have colour or transparency",
        "1 of 4 pictures repeat another one exactly; kept as separate items",
    )
    Image.new("RGBA", (4, 4), (7, 7, 7, 254)).save(tmp_path / "e.png")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.mode == "RGBA"
    assert "opacity kept as a fourth channel, since 1 of 5 pictures is not opaque everywhere" in corpus.notes


def test_forgetting_a_picture_equals_a_folder_without_it(tmp_path):
    save(tmp_path / "a.png", 5)
    save(tmp_path / "b.png", 6)
    save(tmp_path / "coloured.png", 7, mode="RGB")
    corpus = ImageCorpus.from_folder(tmp_path)
    left = corpus.without([corpus.names.index("coloured.png")])
    (tmp_path / "coloured.png").unlink()
    never = ImageCorpus.from_folder(tmp_path)
    assert np.array_equal(left.images, never.images)
    assert (left.digest, left.mode, left.notes) == (never.digest, "L", never.notes)


def test_mixed_sizes_are_refused_without_a_size_and_resized_with_one(tmp_path):
    save(tmp_path / "a.png", 10, size=(4, 6))
    save(tmp_path / "b.png", 20, size=(4, 6))
    save(tmp_path / "c.png", 30, size=(5, 5))
    assert refused(tmp_path) == (
        "the pictures in 'F' have different sizes: 'a.png' is 6x4 and 'c.png' is 5x5: "
        "pass --size (from Python: size=) to bring all to one."
    )
    corpus = ImageCorpus.from_folder(tmp_path, size=3)
    assert sorted(corpus.images[:, 0, 0, 0]) == [10, 20, 30]
    assert corpus.images.shape == (3, 3, 3, 1)
    assert corpus.notes == (
        "cut to the shape of 3x3 around the centre, then resized to 3x3 with a Lanczos filter: 2 pictures, such "
        "as 'a.png'",
        "resized to 3x3 with a Lanczos filter: 'c.png'",
    )
    assert ImageCorpus.from_folder(tmp_path, size=(4, 6)).size == (4, 6)


def test_sizes_are_compared_after_turning_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    save(tmp_path / "b.png", size=(6, 4))
    assert ImageCorpus.from_folder(tmp_path).size == (6, 4)


def test_hidden_and_side_files_are_left_out_with_a_note(tmp_path):
    save(tmp_path / "cats" / "a.png")
    save(tmp_path / ".thumbnails" / "a.png")
    save(tmp_path / "cats" / "._a.png")
    (tmp_path / "labels.CSV").write_text("a,b")
    (tmp_path / "README").write_text("hello")
    (tmp_path / "cats" / "notes.txt").write_text("hello")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.names == ("cats/a.png",)
    assert corpus.notes == (
        "left out, hidden: 2 such as '.thumbnails'",
        "left out, not a picture: 3 such as 'README'",
    )


def test_any_other_file_must_be_a_picture(tmp_path):
    save(tmp_path / "a.png")
    for name in ("b.mp4", "b.zip", "Makefile", "b"):
        (tmp_path / name).write_bytes(b"something else")
        assert refused(tmp_path) == (
            f"'F/{name}' cannot be read as a picture: convert it to PNG or JPEG if it is one, "
            "otherwise take it out of the folder."
        )
        (tmp_path / name).unlink()
    whole = save(tmp_path / "b.png", size=(300, 300)).read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    assert refused(tmp_path) == "'F/b.png' is damaged or cut short, and cannot be decoded: replace it, or take it out."


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert refused(tmp_path) == "'F/b.png' is not a regular file: give a picture file."


def test_empty_and_missing_folders_are_refused(tmp_path):
    assert refused(tmp_path) == "'F' holds no picture: put at least one into it."
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("")
    assert refused(tmp_path) == (
        "'F' holds no picture (left out, not a picture: 'sub/a.txt'): put at least one into it."
    )
    assert refused(tmp_path / "no") == "'F' does not exist: give a folder of pictures."
    assert refused(tmp_path / "sub" / "a.txt") == "'F' is not a folder: give a folder of pictures."


def test_one_picture_and_identical_pictures_are_folders_like_any_other(tmp_path):
    save(tmp_path / "a.png")
    assert ImageCorpus.from_folder(tmp_path).notes == ()
    save(tmp_path / "b.png")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.notes == ("all 2 pictures are identical; kept as separate items",)
    assert corpus.duplicates() == ((0, 1),)


def test_pictures_of_one_pixel_are_pictures(tmp_path):
    save(tmp_path / "a.png", 3, size=(1, 1))
    assert ImageCorpus.from_folder(tmp_path).images.tolist() == [[[[3]]]]


def test_links_to_folders_are_not_followed_so_loops_cannot_arise(tmp_path):
    save(tmp_path / "cats" / "a.png")
    (tmp_path / "cats" / "again").symlink_to(tmp_path)
    (tmp_path / "here").symlink_to(".")
    corpus = ImageCorpus.from_folder(tmp_path)
    assert corpus.names == ("cats/a.png",)
    assert "left out, a link to a folder: 2 such as 'cats/again'" in corpus.notes
    # The folder that is named may itself be a link, and so may files.
    outside = save(tmp_path.parent / f"{tmp_path.name}-outside" / "b.png", 9)
    (tmp_path / "cats" / "b.png").symlink_to(outside)
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path)
    assert sorted(ImageCorpus.from_folder(tmp_path.parent / f"{tmp_path.name}-link").names) == [
        "cats/a.png",
        "cats/b.png",
    ]


def test_links_that_lead_nowhere_or_round_are_refused(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("gone.png")
    assert refused(tmp_path) == (
        "'F/b.png' is a link to a file that does not exist: check the path, or remove the link."
    )
    (tmp_path / "b.png").unlink()
    (tmp_path / "b.png").symlink_to("b.png")
    assert refused(tmp_path) == (
        f"'F/b.png' cannot be opened ({os.strerror(errno.ELOOP)}): make it readable, or take it out."
    )


def test_very_deep_folders_are_read(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 400)
    save(deep / "a.png")
    assert ImageCorpus.from_folder(tmp_path).labels == ("d",)


def test_files_and_folders_that_may_not_be_read_are_refused(someone):
    path = save(someone / "a.png")
    path.chmod(0)
    denied = os.strerror(errno.EACCES)
    assert refused(someone) == f"'F/a.png' cannot be opened ({denied}): make it readable, or take it out."
    path.chmod(0o600)
    (someone / "sub").mkdir(mode=0)
    assert refused(someone) == f"'F/sub' cannot be listed ({denied}): make it readable, or take it out."
    (someone / "a.npz").touch(mode=0)
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_npz(someone / "a.npz")
    assert str(caught.value) == (
        f"'{someone}/a.npz' cannot be opened ({denied}): check the path, and make it readable."
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="this file system has only Unicode names")
def test_names_that_are_not_unicode_are_shown_with_their_bytes(tmp_path):
    save(tmp_path / "caf\udce9" / "a.png", 1)
    save(tmp_path / "caf\u00e9" / "a.png", 2)
    corpus = ImageCorpus.from_folder(tmp_path)
    assert sorted(corpus.names) == ["caf\\xe9/a.png", "café/a.png"]
    assert corpus.labels is not None
    assert sorted(corpus.labels) == ["caf\\xe9", "café"]


def test_pictures_too_many_for_memory_are_refused_after_the_first(tmp_path, monkeypatch):
    for i in range(10):
        save(tmp_path / f"{i}.png", i, mode="RGB")
    (tmp_path / "9.png").write_bytes(b"not reached")
    monkeypatch.setattr("smalti.corpus.pixels.LARGEST_CORPUS", 10 * 4 * 4 * 3 - 1)
    assert refused(tmp_path) == (
        "'F': 10 RGB pictures of 4x4 take 0.0 GiB, more than the 0.0 GiB a corpus may have: "
        "give a smaller size, or fewer pictures."
    )


def test_open_images_takes_each_kind_of_source(tmp_path):
    folder, picture, archive = tmp_path / "f", tmp_path / "p.png", tmp_path / "n.NPZ"
    save(folder / "a.png", 7)
    save(picture, 7)
    with archive.open("wb") as stream:
        np.savez(stream, images=np.full((1, 4, 4), 7, np.uint8))
    corpora = [open_images(source) for path in (folder, picture, archive) for source in (path, str(path))]
    assert len({corpus.digest for corpus in corpora}) == 1
    assert [corpus.names[0] for corpus in corpora[::2]] == ["a.png", "p.png", "images[0]"]
    for source in (folder, picture, archive, "digits", "photo"):
        assert open_images(source, size=(2, 3)).size == (2, 3)
        with pytest.raises(UsageError):
            open_images(source, size=0)


def test_a_builtin_name_means_the_builtin_wherever_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = open_images("photo")
    assert all("built-in" not in note for note in before.notes)
    save(tmp_path / "photo" / "a.png", 7)
    after = open_images("photo")
    assert after.digest == before.digest
    assert "the built-in example photo is used; the path of that name is ./photo" in after.notes
    assert open_images("./photo").names == open_images(Path("photo")).names == ("a.png",)


def test_a_source_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        open_images(tmp_path / "no")
    assert str(caught.value) == (
        f"'{tmp_path}/no' does not exist: give a folder of pictures, a picture, an .npz archive, "
        "a corpus store, or a built-in name (digits, photo)."
    )
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(InputError, match="is a link to a file that does not exist"):
        open_images(tmp_path / "link")
