"""Match: nearest patches and items are those of a search one by one, to the last whole number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smalti
from problems import admissions, pictures
from smalti.engine import naive, native
from smalti.errors import InputError, UsageError
from smalti.receipts import match
from smalti.receipts.match import nearest_items, nearest_patches
from smalti.window import Admission


@settings(max_examples=60)
@given(data=st.data(), channels=st.sampled_from([1, 3, 4]))
def test_nearest_patches_are_those_of_a_search_one_by_one(data: st.DataObject, channels: int) -> None:
    admission, state, corpus = data.draw(admissions().filter(lambda a: a[0].whole == "no" and a[0].half <= 9))
    images = data.draw(pictures(data.draw(st.integers(1, 3)), corpus, channels))
    picture = data.draw(pictures(1, state, channels))[0]
    if data.draw(st.booleans()):
        picture = np.resize(images[0], picture.shape)
    found = nearest_patches(images, picture, admission)
    wanted = naive.nearest(images, picture, admission)
    assert np.array_equal(np.stack([found.squared, found.item, found.row, found.column], axis=-1), wanted)
    ones = admission.pad(np.ones((1, *picture.shape), np.int16))[0]
    size = 2 * admission.half + 1
    counted = np.lib.stride_tricks.sliding_window_view(ones, (size, size), axis=(0, 1)).sum(axis=(2, 3, 4))
    assert np.array_equal(found.values, counted)


@pytest.mark.parametrize("kind", [smalti.Local, smalti.EquivariantLocal, smalti.BorderAware])
def test_a_training_item_is_nearest_to_itself(kind: type[smalti.Machine], few_digits: smalti.ImageCorpus) -> None:
    machine = kind(few_digits, scales=5)
    found = nearest_patches(few_digits.images, few_digits.images[7], machine.admission(5, few_digits.size))
    inner = np.s_[2:-2, 2:-2] if kind is smalti.EquivariantLocal else np.s_[:, :]
    assert (found.squared[inner] == 0).all()
    assert (few_digits.images[found.item, found.row, found.column][inner] == few_digits.images[7][inner]).all()


def test_shards_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, few_digits: smalti.ImageCorpus) -> None:
    machine = smalti.BorderAware(few_digits, scales=3)
    # Each item three times, so that equally near patches lie in different shards.
    images = np.concatenate([few_digits.images] * 3)
    picture = smalti.ImageCorpus.builtin("digits").images[1]
    whole = nearest_patches(images, picture, machine.admission(3, few_digits.size))
    monkeypatch.setattr(native, "_SHARD_PAIRS", 1.0)
    parts = nearest_patches(images, picture, machine.admission(3, few_digits.size))
    for name in ("item", "row", "column", "squared"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    assert whole.item.max() < len(few_digits)


def test_root_mean_square_is_in_grey_levels() -> None:
    images, picture = np.full((1, 3, 3, 3), 10, np.uint8), np.full((3, 3, 3), 14, np.uint8)
    found = nearest_patches(images, picture, match.inner_admission(3, picture=(3, 3), items=(3, 3)))
    assert found.rms[1, 1] == 4.0
    assert np.isnan(np.delete(found.rms.ravel(), 4)).all()
    assert found.known.sum() == 1
    # At the frame only what lies inside is compared.
    machine = smalti.BorderAware(smalti.ImageCorpus.from_arrays(images), scales=3)
    assert (match.nearest_patches(images, picture, machine.admission(3, (3, 3))).rms == 4.0).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_nearest_items_are_those_of_a_search_one_by_one(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    items = generator.integers(0, 256, (9, 4, 5, channels), dtype=np.uint8)
    samples = generator.integers(0, 256, (6, 4, 5, channels), dtype=np.uint8)
    items[7] = items[2]
    samples[0] = items[2]
    for values in (1, 3 * items[0].size, 10**6):
        monkeypatch.setattr(match, "_CHUNK_VALUES", values)
        item, squared = nearest_items(items, samples, keep=4)
        assert item.shape == squared.shape == (6, 4)
        for s, sample in enumerate(samples):
            distances = [
                4 * sum((int(a) - int(b)) ** 2 for a, b in zip(sample.flat, other.flat, strict=True)) for other in items
            ]
            order = sorted(range(len(items)), key=lambda n: (distances[n], n))[:4]
            assert item[s].tolist() == order
            assert squared[s].tolist() == [distances[n] for n in order]
        assert np.array_equal(match.squared_distances(items, samples).min(axis=1), squared[:, 0])
    assert nearest_items(items, samples, keep=50)[0].shape == (6, 9)


def test_distances_of_the_largest_pictures_are_exact_in_float64() -> None:
    # All sums are whole numbers of at most 4 channels of the most pixels, each 510 squared apart.
    from smalti.corpus.pixels import LARGEST_PICTURE

    assert math.log2(4 * LARGEST_PICTURE * 510**2) < 53


def test_what_cannot_be_matched() -> None:
    grey, colour = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((4, 4, 3), np.uint8)
    admission = match.inner_admission(3, picture=(4, 4), items=(4, 4))
    with pytest.raises(InputError, match="with the corpus's channels"):
        nearest_patches(grey, colour, admission)
    with pytest.raises(InputError, match=r"a picture to match is uint8 \(H, W, C\), not float64 \(4, 4, 1\)"):
        nearest_patches(grey, np.zeros((4, 4, 1)), admission)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="made for other sizes"):
        nearest_patches(grey, np.zeros((2, 4, 1), np.uint8), admission)
    with pytest.raises(UsageError, match="looks at whole pictures and has no patches: use nearest_items"):
        nearest_patches(grey, grey[0], Admission(0, "zero", (), "same-place"))
    with pytest.raises(InputError, match=r"these are \(4, 4, 3\) and the items \(4, 4, 1\)"):
        nearest_items(grey, colour[None])
    with pytest.raises(UsageError, match="at least one nearest item, not 0"):
        nearest_items(grey, grey, keep=0)
    with pytest.raises(UsageError, match="a patch of 5 does not fit inside the picture of 9x4: use smaller sizes"):
        match.inner_admission(5, picture=(4, 9), items=(9, 9))
    with pytest.raises(UsageError, match="does not fit inside the pictures of the corpus of 4x9"):
        match.inner_admission(5, picture=(9, 9), items=(9, 4))
