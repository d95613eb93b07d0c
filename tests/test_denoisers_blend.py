"""Blends: the cosine transform, the shares, honesty of the items left out, and what blends are for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.fft import dctn

from smalti.corpus import ImageCorpus
from smalti.denoisers import Blend, LocalLinear, Nearest, PatchMixture, PatchWiener, Shares, Wiener, fit_blend
from smalti.denoisers.blend import RIDGE, WORTH, bands, best_shares, blended, left_out, noisy_items, transformed
from smalti.errors import UsageError
from smalti.machines import BorderAware
from smalti.noise import gaussian_state, schedule
from smalti.sampling import DDIM, Denoiser
from smalti.sampling.ddim import values_of
from two_items import TwoItemMachine

LEVEL = schedule("cosine").level(0.3)
EDGES = (0.2, 0.6)

Floats = NDArray[np.float64]


def shares(*values: Sequence[float]) -> Shares:
    """The same at all levels, for bands with the bounds `EDGES`."""
    return Shares((LEVEL,), EDGES, np.array([values], np.float64))


def estimates(count: int) -> tuple[list[Floats], Floats]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 8, 9, 2))
    return [truth + (0.3 + 0.2 * m) * rng.normal(size=truth.shape) for m in range(count)], truth


def test_the_transform_is_the_cosine_transform() -> None:
    """SciPy's orthonormal DCT-II over rows and columns; so it keeps lengths."""
    x = np.random.default_rng(0).normal(size=(2, 5, 8, 3))
    expected = np.asarray(dctn(x, axes=(1, 2), norm="ortho"), np.float64)
    assert np.abs(transformed(x) - expected).max() < 1e-13


def test_bands_are_octaves_of_the_frequency() -> None:
    found = bands((4, 8), (0.25, 0.5))
    for u in range(4):
        for w in range(8):
            r = np.hypot(u / 4, w / 8)
            assert found[u, w] == int(r >= 0.25) + int(r >= 0.5)


def test_shares_of_each_band_choose_its_estimate() -> None:
    """With a share of 1 for one estimate in each band, the transform of the blend is that estimate's there."""
    (one, other), _ = estimates(2)
    found = transformed(blended([one, other], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), EDGES))
    middle = bands((8, 9), EDGES)[..., None] == 1
    assert np.abs(found - np.where(middle, transformed(other), transformed(one))).max() < 1e-13


def test_shares_minimise_what_they_say() -> None:
    """The stated sum of squares grows in every direction along which shares still add up to 1."""
    found, truth = estimates(3)
    best = best_shares(found, truth, EDGES)
    assert np.abs(best.sum(axis=1) - 1.0).max() < 1e-12
    band = bands((8, 9), EDGES)
    rng = np.random.default_rng(1)
    for b in range(3):
        errors = np.stack([transformed(e - truth)[:, band == b].ravel() for e in found])
        spread = (errors**2).sum(axis=1).mean()
        ridge = RIDGE + WORTH / errors.shape[1]

        def stated(share: Floats, errors: Floats = errors, held: float = ridge * spread) -> float:
            return float(((share @ errors) ** 2).sum() + held * ((share - 1 / 3) ** 2).sum())

        for _ in range(20):
            step = rng.normal(size=3)
            assert stated(best[b] + 1e-3 * (step - step.mean())) > stated(best[b])


def test_estimates_without_error_share_equally() -> None:
    truth = estimates(1)[1]
    assert np.array_equal(best_shares([truth, truth], truth, EDGES), np.full((3, 2), 0.5))


def test_a_blend_of_one_is_that_one(few_digits: ImageCorpus) -> None:
    """The transform there and back is off by some 2^-52 for each of its sums of eight."""
    part = Wiener(few_digits)
    states = gaussian_state((2, 8, 8, 1), seed=0, purpose="test")
    blend = Blend([part], shares([1.0], [1.0], [1.0]))
    assert np.abs(blend(states, LEVEL).mean - part(states, LEVEL).mean).max() < 1e-13
    assert blend(states[0], LEVEL).mean.shape == (8, 8, 1)


def test_shares_of_the_nearest_level_are_used() -> None:
    grid = schedule("cosine").grid(10)
    found = Shares(grid, (), np.arange(10.0).reshape(10, 1, 1))
    assert [found.at(schedule("cosine").level(t))[0, 0] for t in (1.0, 0.52, 0.1, 0.01)] == [0.0, 5.0, 9.0, 9.0]


def test_items_left_out_are_left_out_with_their_copies(few_digits: ImageCorpus) -> None:
    double = ImageCorpus.from_arrays(np.concatenate([few_digits.images, few_digits.images[:40]]))
    rest, items = left_out(double, 30, seed=5)
    assert len({item.tobytes() for item in items}) == 30
    assert not {item.tobytes() for item in items} & {image.tobytes() for image in rest.images}
    assert {item.tobytes() for item in items} | {image.tobytes() for image in rest.images} == {
        image.tobytes() for image in double.images
    }
    again, same = left_out(double, 30, seed=5)
    assert again.digest == rest.digest
    assert np.array_equal(same, items)
    assert left_out(double, 30, seed=6)[0].digest != rest.digest


def test_noise_of_left_out_items_is_their_own(few_digits: ImageCorpus) -> None:
    """States are round(4080 (a x + s eps)), with other noise for each item and step, the same in any batch."""
    items = few_digits.images[:3]
    found = noisy_items(items, LEVEL, step=2, seed=1)
    assert np.array_equal(found[:2], noisy_items(items[:2], LEVEL, step=2, seed=1))
    drawn = (found / 4080 - LEVEL.signal * values_of(items)) / LEVEL.noise
    assert len({row.tobytes() for row in np.rint(100 * drawn)}) == 3
    assert abs(drawn.mean()) < 0.3
    assert not np.array_equal(found, noisy_items(items, LEVEL, step=3, seed=1))


def test_shares_are_found_without_the_items_they_are_judged_by(few_digits: ImageCorpus) -> None:
    """Denoisers are made twice: from the rest, which judges, and from the whole, which is what the blend holds. The
    nearest item would look perfect if it had the item itself: it gets next to no share.
    """
    seen: list[ImageCorpus] = []

    def make(corpus: ImageCorpus) -> list[Denoiser]:
        seen.append(corpus)
        return [Wiener(corpus), Nearest(corpus)]

    level = schedule("cosine").level(0.1)
    blend = fit_blend(few_digits, make, levels=[level], queries=20, edges=())
    rest, items = left_out(few_digits, 20, seed=0)
    assert [corpus.digest for corpus in seen] == [rest.digest, few_digits.digest]
    assert blend.corpus is few_digits
    assert [part.corpus for part in blend.parts] == [few_digits, few_digits]
    states = noisy_items(items, level, step=0, seed=0)
    expected = best_shares([part(states, level).mean for part in make(rest)], values_of(items), ())
    assert np.array_equal(blend.shares.values[0], expected)
    assert abs(expected[0, 1]) < 0.2


def test_a_blend_errs_less_than_the_best_linear_denoiser(digits: ImageCorpus) -> None:
    """On digits that nothing has seen, at little, middling and much noise; and a sampler drives it."""
    corpus, held_out = left_out(digits, 60, seed=9)

    def make(corpus: ImageCorpus) -> list[Denoiser]:
        return [
            Wiener(corpus),
            PatchWiener(corpus, patch_size=5),
            LocalLinear(corpus, scales=3, neighbours=60),
            PatchMixture(corpus, patch_size=3, components=50, neighbours=100),
            BorderAware(corpus, scales=5),
        ]

    levels = [schedule("cosine").level(t) for t in (0.1, 0.3, 0.5)]
    blend = fit_blend(corpus, make, levels=levels, queries=32)
    clean = values_of(held_out)
    for level in levels:
        states = noisy_items(held_out, level, step=0, seed=77)
        error, linear = (float(((d(states, level).mean - clean) ** 2).mean()) for d in (blend, blend.parts[0]))
        assert error < 0.95 * linear
    assert DDIM(blend, steps=2)(seeds=[0]).images.shape == (1, 8, 8, 1)


def test_what_a_blend_refuses(few_digits: ImageCorpus, digits: ImageCorpus) -> None:
    one, other = Wiener(few_digits), Wiener(digits)
    half = shares(*[[0.5, 0.5]] * 3)
    with pytest.raises(UsageError, match="all are of one corpus and label"):
        Blend([one, other], half)
    with pytest.raises(UsageError, match="at least one denoiser"):
        Blend([], half)
    with pytest.raises(UsageError, match="a blend of 1 denoisers"):
        Blend([one], half)
    with pytest.raises(UsageError, match="from pictures at hand"):
        Blend([TwoItemMachine(few_digits.images[:2])], shares([1.0], [1.0], [1.0]))
    with pytest.raises(UsageError, match="does not fit inside pictures of 2x2"):
        Blend([PatchWiener(few_digits, patch_size=3)], shares([1.0], [1.0], [1.0])).check_output((2, 2))
    with pytest.raises(UsageError, match="at least one noise level"):
        fit_blend(few_digits, lambda c: [Wiener(c)], levels=[])
    with pytest.raises(UsageError, match="must ascend"):
        fit_blend(few_digits, lambda c: [Wiener(c)], levels=[LEVEL], edges=(0.5, 0.2))
    with pytest.raises(UsageError, match="nothing would be left of 120 different pictures of 8x8"):
        fit_blend(few_digits, lambda c: [Wiener(c)], levels=[LEVEL], queries=120)
    with pytest.raises(UsageError, match="The number of items to leave out is a whole number from 1, but it is 0"):
        left_out(few_digits, 0, seed=0)
