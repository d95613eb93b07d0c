"""Patches of the local linear denoiser: the size and number that err least on items that are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from smalti.corpus import ImageCorpus
from smalti.denoisers import LocalLinear, fit_local_linear
from smalti.denoisers.blend import left_out, noisy_items
from smalti.denoisers.local_linear_fit import best_patches
from smalti.errors import UsageError
from smalti.noise import gaussian_state, schedule
from smalti.sampling.ddim import values_of
from smalti.window import Scales

LEVELS = tuple(schedule("cosine").level(t) for t in (0.7, 0.4, 0.1))


def test_no_other_patches_err_less_on_the_items_left_out(few_digits: ImageCorpus) -> None:
    sizes, counts = (3, 5), (4, 30)
    fitted = fit_local_linear(few_digits, levels=LEVELS, sizes=sizes, neighbours=counts, queries=3, seed=2)
    rest, items = left_out(few_digits, 3, seed=2)
    found = zip(fitted.scales.sizes, fitted.neighbours, strict=True)
    for step, (level, pair) in enumerate(zip(LEVELS, found, strict=True)):
        states = noisy_items(items, level, step=step, seed=2)
        errors = {
            (size, count): np.square(
                LocalLinear(rest, scales=size, neighbours=count)(states, level).mean - values_of(items)
            ).sum()
            for size in sizes
            for count in counts
        }
        assert pair == min(errors, key=errors.__getitem__)
    # The choice is not the same at all levels, and the denoiser that comes back has the whole corpus.
    assert len(set(zip(fitted.scales.sizes, fitted.neighbours, strict=True))) > 1
    assert fitted.corpus.digest == few_digits.digest
    assert len(fitted.images) == len(few_digits)


def test_each_level_has_its_own_patches(few_digits: ImageCorpus) -> None:
    scales = Scales(tuple(level.log_snr for level in LEVELS), (3, 5, 3))
    both = LocalLinear(few_digits, scales=scales, neighbours=[7, 20, 3])
    state = gaussian_state((8, 8, 1), seed=0, purpose="test")
    for level, size, count in zip(LEVELS, scales.sizes, both.neighbours, strict=True):
        alone = LocalLinear(few_digits, scales=size, neighbours=count)
        assert np.array_equal(both(state, level).mean, alone(state, level).mean)
    assert both.digest
    assert both.digest != LocalLinear(few_digits, scales=scales, neighbours=[7, 20, 4]).digest


def test_of_equal_errors_the_smaller_patches_are_taken() -> None:
    """In a corpus of one grey every patch is the same, and every estimate is that grey."""
    grey = ImageCorpus.from_arrays(np.full((3, 7, 7, 1), 128, np.uint8))
    states = noisy_items(grey.images[:2], LEVELS[0], step=0, seed=0)
    clean = values_of(grey.images[:2])
    assert best_patches(grey, states, LEVELS[0], clean, sizes=(5, 3), neighbours=(9, 2)) == (3, 2)


def test_a_label_is_a_corpus_of_its_own(few_digits: ImageCorpus) -> None:
    ones = few_digits.with_label("1")
    asked: dict[str, Any] = {"levels": LEVELS[:1], "sizes": (3, 5), "neighbours": (2, 9), "queries": 2}
    restricted, alone = fit_local_linear(few_digits, label="1", **asked), fit_local_linear(ones, **asked)
    assert (restricted.label, restricted.scales, restricted.neighbours) == ("1", alone.scales, alone.neighbours)
    state = gaussian_state((8, 8, 1), seed=0, purpose="test")
    assert np.array_equal(restricted(state, LEVELS[0]).mean, alone(state, LEVELS[0]).mean)


def test_small_corpora_compare_what_they_have() -> None:
    """Of 3 pictures of 5 x 5 two are left, with 2 patches of 5 and 18 of 3 in all; 5 is the largest that fits."""
    corpus = ImageCorpus.from_arrays(np.random.default_rng(0).integers(0, 256, (3, 5, 5, 1), dtype=np.uint8))
    fitted = fit_local_linear(corpus, levels=LEVELS, queries=1)
    assert fitted.neighbours == (2, 2, 2)
    assert set(fitted.scales.sizes) <= {3, 5}


@pytest.mark.parametrize(
    ("fit", "sentence"),
    [
        (lambda c: fit_local_linear(c, levels=()), "needs at least one noise level to find its patches at"),
        (lambda c: fit_local_linear(c, levels=LEVELS[::-1]), "signal-to-noise ratios of scales must ascend"),
        (lambda c: fit_local_linear(c, levels=LEVELS, sizes=(9,)), "a patch of 9 does not fit inside pictures of 8x8"),
        (lambda c: fit_local_linear(c, levels=LEVELS, neighbours=()), "at least one patch size and one number of"),
        (lambda c: fit_local_linear(c, levels=LEVELS, neighbours=(0,)), "whole number from 1, but it is 0"),
        (lambda c: fit_local_linear(c, levels=LEVELS, sizes=(7,), neighbours=(9999,)), "fewer than the 9,999 neigh"),
        (lambda c: fit_local_linear(c, levels=LEVELS, queries=500), "with 500 items left out nothing would be left"),
    ],
)
def test_what_cannot_be_fitted(
    few_digits: ImageCorpus, fit: Callable[[ImageCorpus], LocalLinear], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        fit(few_digits)
