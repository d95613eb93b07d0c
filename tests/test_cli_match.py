"""`smalti match`: what it finds about planted copies, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cli_program import pictures, smalti, spawned
from smalti.cli.holders import find_holders
from smalti.corpus import CorpusStore, ImageCorpus
from smalti.errors import InputError, UsageError
from smalti.receipts.copies import CopyCheck, check_copies, fitting_sizes

SIZES = ("--sizes", "3,5")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six grey pictures of 12 x 11."""
    return pictures(tmp_path / "corpus", size=(11, 12))


def saved(pixels: NDArray[np.uint8], path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def noise(height: int, width: int, *channels: int, seed: int = 9) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def item(folder: Path, name: str) -> NDArray[np.uint8]:
    with Image.open(folder / name) as picture:
        return np.asarray(picture)


def test_a_planted_copy_is_found_and_nothing_else(tmp_path: Path, corpus: Path) -> None:
    pixels = noise(30, 40)
    pixels[5:12, 20:29] = item(corpus, "3.png")[2:9, 1:10]
    found = smalti("match", saved(pixels, tmp_path / "new.png"), "--corpus", corpus, *SIZES, "--json").json
    (entry,) = found["pictures"]
    assert entry["picture"] == str(tmp_path / "new.png")
    assert (entry["size"], entry["mode"], entry["compared_as"]) == ([30, 40], "L", "L")
    for size in entry["sizes"]:
        assert size["identical"] == 63 / 1200
        assert size["items"][0] | {"id": ""} == {
            **{"item": size["items"][0]["item"], "id": "", "name": "3.png"},
            **{"pixels": 63, "share": 63 / 1200},
        }
        assert list(size["within"]) == ["1", "4", "16"]
        shares = [size["identical"], *size["within"].values()]
        assert shares == sorted(shares)
        assert size["windows"] == (30 - size["patch_size"] + 1) * (40 - size["patch_size"] + 1)
    region = entry["copied_region"]
    assert (region["pixels"], region["name"], region["displacement"]) == (63, "3.png", [-3, -19])
    assert region["box"] == {"row": 5, "column": 20, "height": 7, "width": 9}
    assert region["other_items"] == 0
    assert entry["whole"]["near_duplicates"] == []
    assert entry["whole"]["fitting"] == [
        "cut to the shape of 12x11 around the centre, then resized to 12x11 with a Lanczos filter"
    ]
    assert found["corpus"]["digest"] == ImageCorpus.from_folder(corpus).digest
    assert "nothing more" in found["statement"]


def test_an_item_itself_its_mirror_and_a_grey_copy_in_colour(tmp_path: Path, corpus: Path) -> None:
    own = item(corpus, "4.png")
    same = saved(np.repeat(own[:, :, None], 3, axis=2), tmp_path / "same.png")
    mirror = saved(own[:, ::-1], tmp_path / "mirror.png")
    done = smalti("match", same, mirror, "--corpus", corpus, *SIZES, "--json").json
    for entry, mirrored in zip(done["pictures"], (False, True), strict=True):
        near = entry["whole"]["nearest"][0]
        assert (near["name"], near["rms"], near["mirrored"], near["near_duplicate"]) == ("4.png", 0.0, mirrored, True)
        assert near["r"] == pytest.approx(1.0)
        assert entry["whole"]["fitting"] == []
        assert [other["name"] for other in entry["whole"]["near_duplicates"]] == ["4.png"]
    first = done["pictures"][0]
    assert all(size["identical"] == 1.0 for size in first["sizes"])
    assert first["copied_region"]["share"] == 1.0

    text = smalti("match", same, mirror, "--corpus", corpus, *SIZES)
    assert text.code == 0
    rows = {line.split()[0]: line.split() for line in text.out.splitlines() if line.startswith("  '")}
    assert rows[f"'{same}'"][1:3] == ["100.0", "%"]
    assert rows[f"'{same}'"][-1] == "d"
    assert rows[f"'{mirror}'"][-1] == "md"


def test_a_grey_picture_against_a_colour_corpus_and_a_transparent_one(tmp_path: Path) -> None:
    folder = tmp_path / "colour"
    folder.mkdir()
    for index in range(3):
        saved(noise(9, 9, 3, seed=index), folder / f"{index}.png")
    grey = noise(9, 9, seed=5)
    saved(np.repeat(grey[..., None], 3, axis=2), folder / "grey.png")
    clear = np.concatenate([noise(8, 8, 3, seed=6), np.full((8, 8, 1), 255, np.uint8)], axis=2)
    clear[0, 0, 3] = 0
    paths = saved(grey, tmp_path / "g.png"), saved(clear, tmp_path / "c.png")
    found = smalti("match", *paths, "--corpus", folder, "--json")
    first, second = found.json["pictures"]
    assert (first["mode"], first["compared_as"], first["sizes"][-1]["identical"]) == ("L", "RGB", 1.0)
    assert (second["mode"], second["compared_as"]) == ("RGBA", "RGBA")
    assert f"note: '{paths[1]}': colour under fully transparent pixels set to 0" in found.err
    assert [size["patch_size"] for size in first["sizes"]] == [3, 5, 9]
    assert [size["patch_size"] for size in second["sizes"]] == [3, 5]


def test_groups_add_up(tmp_path: Path) -> None:
    for label, seed in (("cat", 1), ("dog", 2)):
        pictures(tmp_path / "pets" / label, count=2, size=(9, 9), seed=seed)
    pixels = noise(20, 20)
    pixels[1:8, 1:8] = item(tmp_path / "pets" / "dog", "0.png")[1:8, 1:8]
    path = saved(pixels, tmp_path / "new.png")
    found = smalti("match", path, "--corpus", tmp_path / "pets", "--by", "label", *SIZES, "--json").json
    size = found["pictures"][0]["sizes"][-1]
    assert size["groups"] == [{"value": "dog", "pixels": 49, "share": 49 / 400}]
    assert sum(group["pixels"] for group in size["groups"]) == sum(one["pixels"] for one in size["items"])
    text = smalti("match", path, "--corpus", tmp_path / "pets", "--by", "label", *SIZES)
    assert "label dog" in text.out
    found = smalti("match", path, "--corpus", tmp_path / "pets", "--by", "artist")
    assert found.code == 2
    assert "'artist'" in found.failure


def test_pictures_of_what_was_found(tmp_path: Path, corpus: Path) -> None:
    pixels = noise(13, 14)
    pixels[2:8, 3:9] = item(corpus, "0.png")[0:6, 1:7]
    out = tmp_path / "out"
    found = smalti("match", saved(pixels, tmp_path / "new.png"), "--corpus", corpus, *SIZES, "-o", out, "--json").json
    names = {path.name for path in out.iterdir()}
    assert names == {"match.json", "match.png", "region.png", "tiled-3.png", "tiled-5.png", "whole.png"}
    assert {Path(path).name for path in found["pictures"][0]["files"]} == names - {"match.json"}
    del found["seconds"]
    assert json.loads((out / "match.json").read_bytes()) == found
    for name in names - {"match.json"}:
        assert item(out, name).shape[1] >= 14
    tiled = item(out, "tiled-5.png")
    assert tiled.shape == (13, 14)
    assert np.array_equal(tiled[2:8, 3:9], pixels[2:8, 3:9])
    again = smalti("match", tmp_path / "new.png", "--corpus", corpus, "-o", out)
    assert (again.code, again.failure) == (
        1,
        f"'{out}' is not an empty folder: choose another, or remove what is there",
    )


def test_pictures_of_one_name_get_folders_of_their_own(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "a").mkdir()
    paths = [saved(noise(6, 6, seed=n), tmp_path / name) for n, name in enumerate(("x.png", "a/x.png", "y$_$.bmp"))]
    done = smalti("match", *paths, "--corpus", corpus, "--sizes", "3", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"match.json", "x", "x-2", "y$_$"}


def test_fail_above(tmp_path: Path, corpus: Path) -> None:
    own, new = corpus / "1.png", saved(noise(9, 9), tmp_path / "new.png")
    for words, code in ((("0.5",), 1), (("1",), 0)):
        done = smalti("match", own, "--corpus", corpus, *SIZES, "--fail-above", *words)
        assert done.code == code
        assert "100.0 %" in done.out
        why = "100.0 % of it lies in windows of 5 that the corpus has as they are, more than 50.0 %"
        assert (f"smalti: '{own}' fails: {why}.\n" in done.err) == (code == 1)
    assert smalti("match", new, "--corpus", corpus, *SIZES, "--fail-above", "0").code == 0
    assert smalti("match", new, own, "--corpus", corpus, *SIZES, "--fail-above", "0").code == 1
    assert smalti("match", own, "--corpus", corpus, "--fail-above", "2").code == 2


def test_what_cannot_be_checked(tmp_path: Path, corpus: Path) -> None:
    small = saved(noise(2, 9), tmp_path / "small.png")
    own = corpus / "0.png"
    gone = tmp_path / "gone.png"
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "tiny").mkdir()
    saved(noise(2, 2), tmp_path / "tiny" / "0.png")
    too_small = (
        f"'{small}' cannot be compared: not even a patch of 3 fits inside the picture of 9x2: use larger pictures"
    )
    cases = [
        ((small,), 2, too_small),
        ((own, small), 2, too_small),
        (
            (small, "--sizes", "3"),
            2,
            f"'{small}' cannot be compared: a patch of 3 does not fit inside the picture of 9x2: use smaller sizes",
        ),
        (
            (own, "--sizes", "3,13"),
            2,
            "a patch of 13 does not fit inside the pictures of the corpus of 12x11: use smaller sizes",
        ),
        ((own, "--sizes", "4"), 2, "a patch size is an odd number of pixels, 1 or more, and 4 is not"),
        ((own, "--sizes", "3;5"), 2, "--sizes '3;5' has no meaning: give odd numbers of pixels, such as 3,5,9"),
        ((own, "--sizes", ""), 2, "--sizes '' has no meaning: give odd numbers of pixels, such as 3,5,9"),
        ((gone,), 1, f"'{gone}' does not exist: check the path, or remove the link"),
        ((tmp_path / "tiny",), 1, f"'{tmp_path / 'tiny'}' is not a regular file: give a picture file"),
        ((own, "-o", corpus / "out"), 2, None),
        ((own, "-o", own), 1, f"'{own}' is not an empty folder: choose another, or remove what is there"),
    ]
    for words, code, sentence in cases:
        found = smalti("match", *words, "--corpus", corpus)
        assert found.code == code, found.err
        assert sentence is None or found.failure == sentence
    assert "cannot be read as a picture" in smalti("match", tmp_path / "text.png", "--corpus", corpus).failure
    found = smalti("match", own, "--corpus", tmp_path / "tiny")
    assert (found.code, found.failure) == (
        2,
        "not even a patch of 3 fits inside the pictures of the corpus of 2x2: use larger pictures",
    )
    large = saved(noise(20, 20), tmp_path / "large.png")
    found = smalti("match", large, "--corpus", corpus, "--sizes", "13")
    assert (found.code, found.failure) == (
        2,
        "a patch of 13 does not fit inside the pictures of the corpus of 12x11: use smaller sizes",
    )
    found = smalti("match", own, "--corpus", "")
    assert (found.code, "--corpus has an empty name" in found.failure) == (2, True)
    assert smalti("match", own).code == 2
    assert smalti("match", "--corpus", corpus).code == 2


def test_flat_pictures_have_no_correlation() -> None:
    flat = np.full((2, 5, 5, 1), 7, np.uint8)
    flat[1] = 9
    found = check_copies(flat[0], flat, sizes=[3])
    assert [(near.rms, near.r, near.near_duplicate) for near in found.whole] == [(0.0, None, True), (2.0, None, False)]
    assert found.near_duplicates == (0,)
    assert found.sizes[0].one_colour == found.sizes[0].windows == 9
    assert found.region is not None
    assert (found.region.pixels, found.region.others) == (25, 0)


def test_library_refuses_what_is_no_picture() -> None:
    images = np.zeros((1, 5, 5, 1), np.uint8)
    with pytest.raises(InputError, match=r"uint8 \(H, W, C\) with 1, 3 or 4 channels, not \(5, 5, 2\)"):
        check_copies(np.zeros((5, 5, 2), np.uint8), images)
    with pytest.raises(UsageError, match="at least one patch size"):
        check_copies(images[0], images, sizes=[])
    assert fitting_sizes(None, picture=(9, 40), items=(16, 16)) == (3, 5, 9)
    assert fitting_sizes([5, 3, 5], picture=(9, 40), items=(16, 16)) == (3, 5)


def test_r_is_pearsons(few_digits: ImageCorpus) -> None:
    picture = few_digits.images[3]
    found = check_copies(picture, few_digits.images, sizes=[3], keep=5)
    assert found.whole[0].item == 3
    for near in found.whole:
        own = picture[:, ::-1] if near.mirrored else picture
        wanted = np.corrcoef(own.ravel(), few_digits.images[near.item].ravel())[0, 1]
        assert near.r == pytest.approx(wanted, abs=1e-12)
        assert near.rms == pytest.approx(
            np.sqrt(((own.astype(float) - few_digits.images[near.item]) ** 2).mean()), abs=1e-12
        )


def test_stopped_by_a_person(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def stop(*words: object, **options: object) -> CopyCheck:
        calls.append(1)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return check_copies(*words, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr("smalti.cli.match.check_copies", stop)
    words = (corpus / "0.png", corpus / "1.png", "--corpus", corpus, "--sizes", "3")
    found = smalti("match", *words)
    assert (found.code, found.out) == (130, "")
    assert found.err.endswith("smalti: stopped; nothing was written: repeat the command.\n")
    found = smalti("match", *words, "-o", tmp_path / "out")
    assert found.code == 130
    assert "without match.json" in found.err
    assert not (tmp_path / "out" / "match.json").exists()


def test_as_a_process_of_its_own(corpus: Path) -> None:
    done = spawned("match", corpus / "2.png", "--corpus", corpus, *SIZES)
    assert done.code == 0, done.err
    assert "near-duplicate" in done.out
    assert "'2.png'" in done.out


def test_a_near_duplicate_fails_where_that_is_asked_for(tmp_path: Path, corpus: Path) -> None:
    own = item(corpus, "1.png")
    mirror = saved(own[:, ::-1], tmp_path / "mirror.png")
    larger = saved(own.repeat(3, axis=0).repeat(3, axis=1), tmp_path / "larger.png")
    new = saved(noise(11, 12), tmp_path / "new.png")
    words = ("--corpus", corpus, "--sizes", "9")
    passed = smalti("match", mirror, larger, new, *words, "--fail-above", "0.5")
    assert passed.code == 0
    for path, noted in ((mirror, True), (larger, True), (new, False)):
        assert (f"note: '{path}' is a near-duplicate, which --fail-above does not look for" in passed.err) == noted
    failed = smalti("match", new, mirror, larger, *words, "--fail-on-near-duplicate", "-o", tmp_path / "out", "--json")
    assert failed.code == 1
    assert f"smalti: '{mirror}' fails: it is a near-duplicate of '1.png'; so does 1 more.\n" in failed.err
    said = json.loads(failed.out)
    assert said["fail"] == {"above": None, "on_near_duplicate": True}
    near = ["it is a near-duplicate of '1.png'"]
    assert said["failed"] == [{"picture": str(path), "why": near} for path in (mirror, larger)]
    assert json.loads((tmp_path / "out" / "match.json").read_bytes())["failed"] == said["failed"]
    both = smalti("match", corpus / "1.png", *words, "--fail-above", "0", "--fail-on-near-duplicate", "--json")
    assert [len(one["why"]) for one in json.loads(both.out)["failed"]] == [2]
    assert smalti("match", new, *words, "--fail-on-near-duplicate", "--json").json["failed"] == []


def test_a_store_remembers_it(tmp_path: Path, corpus: Path) -> None:
    store = tmp_path / "store.smalti"
    assert smalti("corpus", "create", store, corpus).code == 0
    out = tmp_path / "deep" / "out"
    assert smalti("match", corpus / "0.png", "--corpus", store, *SIZES, "-o", out).code == 0
    holders = find_holders(opened := CorpusStore.open(store), opened.items()[:1], look_in=())
    assert [(holder.kind, holder.path, holder.state) for holder in holders] == [("match", str(out), "may hold")]


def test_a_folder_that_cannot_be_made_is_found_before_the_work(someone: Path) -> None:
    corpus = pictures(someone / "corpus", size=(11, 12))
    (someone / "shut").mkdir(mode=0o500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smalti.cli.match.check_copies", lambda *_, **__: pytest.fail("it has begun"))
        patch.setattr("smalti.cli.match._read", lambda path: pytest.fail("it has begun"))
        refused = smalti("match", corpus / "0.png", "--corpus", corpus, "-o", someone / "shut" / "new" / "out")
    assert (refused.code, "cannot be written" in refused.failure) == (1, True)


def test_one_picture_is_one(tmp_path: Path, corpus: Path) -> None:
    done = smalti("match", corpus / "0.png", "--corpus", corpus / "0.png", *SIZES)
    assert done.code == 0
    assert "against 1 picture of 12x11 (L)" in done.out
    assert "every sample" not in done.err
