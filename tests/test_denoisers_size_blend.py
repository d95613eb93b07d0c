"""Blends of patch sizes: the least squared error among convex shares, honesty of the items left out, and receipts."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers import Shares, SizeBlend, fit_size_blend
from smalti.denoisers.blend import left_out, noisy_items
from smalti.denoisers.size_blend import convex_shares, products, rounded
from smalti.errors import InputError, UsageError
from smalti.machines import BorderAware, EquivariantLocal, Ideal, Local, Machine
from smalti.noise import gaussian_state, schedule
from smalti.sampling import DDIM
from smalti.sampling.ddim import values_of

LEVEL = schedule("cosine").level(0.3)

Floats = NDArray[np.float64]


def shares(*values: float) -> Shares:
    """The same at all levels."""
    return Shares((LEVEL,), (), np.array([[values]], np.float64))


def noise() -> NDArray[np.int16]:
    return np.stack([gaussian_state((8, 8, 1), seed=seed, purpose="test") for seed in range(3)])


# ----------------------------------------------------------------------------------------------------------- the shares


@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.floats(-2, 2, width=32)))
def test_shares_have_the_least_squared_error(errors: Floats) -> None:
    """They are convex, and at the least the slope (half the derivative along a share) is one number for all that have
    a share and not smaller for the rest: the conditions of Karush, Kuhn and Tucker, which suffice for a convex form.
    """
    squares = errors @ errors.T
    found = convex_shares(squares)
    assert (found >= 0.0).all()
    assert abs(found.sum() - 1.0) < 1e-12
    slope = squares @ found
    assert slope[found > 0.0].max() - slope.min() <= 1e-8 * np.diagonal(squares).min() + 1e-12
    assert found @ squares @ found <= np.diagonal(squares).min() * (1 + 1e-12)


def test_no_other_shares_do_better() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=50) + np.array([[0.3], [0.5], [0.6]]) * rng.normal(size=(3, 50))
    squares = errors @ errors.T
    best = convex_shares(squares)
    for a, b in itertools.product(range(51), repeat=2):
        if a + b <= 50:
            other = np.array([a, b, 50 - a - b]) / 50
            assert best @ squares @ best <= other @ squares @ other


def test_two_estimates_with_independent_errors_share_by_their_precision() -> None:
    """Squared errors of 1 and 3 and no product: shares of 3/4 and 1/4."""
    assert convex_shares(np.diag([1.0, 3.0])).tolist() == [0.75, 0.25]
    assert convex_shares(np.zeros((3, 3))).tolist() == [1.0, 0.0, 0.0]


def test_products_are_sums_over_all_pixels() -> None:
    errors = [np.random.default_rng(n).normal(size=(2, 3, 3, 1)) for n in range(3)]
    rows = np.stack([error.ravel() for error in errors])
    assert np.abs(products(errors) - rows @ rows.T).max() < 1e-13


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda values: sum(values) > 0.01))
def test_rounded_shares_are_parts_of_256(values: Sequence[float]) -> None:
    given_shares = np.array(values) / sum(values)
    found = rounded(given_shares)
    assert found.sum() == 1.0
    assert np.array_equal(found * 256, np.rint(found * 256))
    assert (found >= 0.0).all()
    assert np.abs(found - given_shares).max() <= 1 / 256


# --------------------------------------------------------------------------------------------------------- the denoiser


@pytest.mark.parametrize("kind", [BorderAware, EquivariantLocal, Local])
def test_one_size_is_that_machine(few_digits: ImageCorpus, kind: type[Machine]) -> None:
    """The same bytes; also where another size stands beside it and has no share."""
    machine, states = kind(few_digits, scales=5), noise()
    expected = machine(states, LEVEL)
    for blend in (
        SizeBlend(few_digits, [5], shares(1.0), kind=kind),
        SizeBlend(few_digits, [3, 5, 7], shares(0.0, 1.0, 0.0), kind=kind),
    ):
        found = blend(states, LEVEL)
        assert found.mean.tobytes() == expected.mean.tobytes()
        assert found.patch_size == 5
        assert blend(states[1], LEVEL).mean.tobytes() == expected.mean[1].tobytes()
    blend = SizeBlend(few_digits, [5], shares(1.0), kind=kind)
    drawn, expected = (DDIM(one, steps=3)(seeds=[4]).means for one in (blend, machine))
    assert drawn.tobytes() == expected.tobytes()


def test_the_mean_is_that_of_the_sizes_and_within_the_corpus(few_digits: ImageCorpus) -> None:
    blend, states = SizeBlend(few_digits, [3, 5], shares(0.25, 0.75)), noise()
    three, five = (BorderAware(few_digits, scales=size)(states, LEVEL).mean for size in (3, 5))
    found = blend(states, LEVEL).mean
    assert np.array_equal(found, 0.25 * three + 0.75 * five)
    assert found.min() >= values_of(few_digits.images).min()
    assert found.max() <= values_of(few_digits.images).max()


def test_a_picture_is_the_same_in_any_batch(few_digits: ImageCorpus) -> None:
    blend = SizeBlend(few_digits, [3, 7], shares(0.5, 0.5))
    together, alone = DDIM(blend, steps=4)(seeds=[1, 2, 3]), DDIM(blend, steps=4)(seeds=[2])
    assert together.means[1].tobytes() == alone.means[0].tobytes()


def test_each_items_share_of_a_pixel() -> None:
    """Not negative, and they add up to 1. Where an item is of one colour they tell the whole pixel: it is the sum of
    share times colour. With one size they are the machine's.
    """
    colours = np.array([0, 90, 160, 255], np.uint8)
    corpus = ImageCorpus.from_arrays(np.broadcast_to(colours[:, None, None, None], (4, 8, 8, 1)))
    blend, states = SizeBlend(corpus, [1, 3], shares(0.5, 0.5)), noise()
    found = blend.item_shares(states, LEVEL)
    assert found.shape == (4, 3, 8, 8)
    assert (found >= 0.0).all()
    assert np.abs(found.sum(axis=0) - 1.0).max() < 1e-12
    told = np.einsum("nbij,nijc->bijc", found, values_of(corpus.images))
    assert np.abs(told - blend(states, LEVEL).mean).max() < 1e-12
    assert np.array_equal(blend.item_shares(states[2], LEVEL), found[:, 2])
    machine = BorderAware(corpus, scales=3)(states, LEVEL, report=("shares",))
    assert machine.shares is not None
    one = SizeBlend(corpus, [3], shares(1.0))
    assert np.array_equal(one.item_shares(states, LEVEL), machine.shares)


def test_shares_of_the_nearest_level_are_used(few_digits: ImageCorpus) -> None:
    grid = schedule("cosine").grid(2)
    blend = SizeBlend(few_digits, [3, 5], Shares(grid, (), np.array([[[0.0, 1.0]], [[1.0, 0.0]]])))
    assert [blend.patch_size(schedule("cosine").level(time)) for time in (0.99, 0.6, 0.1)] == [5, 3, 3]


def test_a_digest_tells_what_decides_the_estimates(few_digits: ImageCorpus) -> None:
    made = [
        SizeBlend(few_digits, [3, 5], shares(0.5, 0.5)),
        SizeBlend(few_digits, [3, 5], shares(0.25, 0.75)),
        SizeBlend(few_digits, [3, 7], shares(0.5, 0.5)),
        SizeBlend(few_digits, [3, 5], shares(0.5, 0.5), kind=EquivariantLocal),
    ]
    assert len({blend.digest for blend in made}) == 4
    assert made[0].digest == SizeBlend(few_digits, (3, 5), shares(0.5, 0.5)).digest


# ------------------------------------------------------------------------------------------------- shares from a corpus


def test_shares_are_found_without_the_items_they_are_judged_by(few_digits: ImageCorpus) -> None:
    """Each item is estimated by a corpus that never had it, nor a copy of it."""
    double = ImageCorpus.from_arrays(np.concatenate([few_digits.images, few_digits.images[::2]]))
    blend = fit_size_blend(double, levels=[LEVEL], sizes=[3, 5, 9], queries=len(few_digits))
    # The items, in any order: noise goes by place, so the twin takes them from the states that were asked about.
    items = fit_order(double)
    states = noisy_items(items, LEVEL, step=0, seed=0)
    errors: list[list[Floats]] = [[], [], []]
    for item, state in zip(items, states, strict=True):
        rest = double.without(i for i, image in enumerate(double.images) if np.array_equal(image, item))
        for size, kept in zip((3, 5, 9), errors, strict=True):
            kept.append(BorderAware(rest, scales=size)(state, LEVEL).mean - values_of(item))
    expected = rounded(convex_shares(products([np.stack(kept) for kept in errors])))
    assert np.array_equal(blend.shares.values[0, 0], expected)
    assert blend.machines[0].corpus is double


def fit_order(corpus: ImageCorpus) -> NDArray[np.uint8]:
    """The different items of a corpus in the order in which a fit with seed 0 leaves them out."""
    names = sorted(set(corpus.ids), key=lambda name: hashlib.sha256(f"smalti/size blend/0/{name}".encode()).digest())
    return corpus.images[[corpus.ids.index(name) for name in names]]


def test_copies_of_all_items_change_nothing(few_digits: ImageCorpus) -> None:
    double = ImageCorpus.from_arrays(np.concatenate([few_digits.images, few_digits.images]))
    once, twice = (fit_size_blend(c, levels=[LEVEL], sizes=[3, 5], queries=8) for c in (few_digits, double))
    assert np.array_equal(once.shares.values, twice.shares.values)


def test_a_seed_decides(few_digits: ImageCorpus) -> None:
    fits = [fit_size_blend(few_digits, levels=[LEVEL], queries=4, seed=seed).shares.values for seed in (1, 1, 2)]
    assert np.array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


def test_a_blend_errs_less_than_the_best_of_its_sizes(digits: ImageCorpus) -> None:
    """On digits that nothing has seen, at little and middling noise: even where the size is the best for these."""
    corpus, held_out = left_out(digits, 60, seed=9)
    levels = [schedule("cosine").level(t) for t in (0.05, 0.2, 0.35)]
    blend = fit_size_blend(corpus, levels=levels)
    assert blend.sizes == (3, 5, 7, 9)
    for level in levels:
        states = noisy_items(held_out, level, step=0, seed=77)
        error, *single = (
            float(((d(states, level).mean - values_of(held_out)) ** 2).mean()) for d in (blend, *blend.machines)
        )
        assert error < 0.95 * min(single)


def test_a_label_restricts_the_corpus(digits: ImageCorpus) -> None:
    blend = fit_size_blend(digits, levels=[LEVEL], sizes=[3, 5], label="4", queries=8)
    fours = ImageCorpus.from_arrays(digits.images[digits.places_of("4")])
    alone = SizeBlend(fours, blend.sizes, blend.shares)
    assert np.array_equal(blend(noise(), LEVEL).mean, alone(noise(), LEVEL).mean)
    assert blend.label == "4"


# ------------------------------------------------------------------------------------------------------ what is refused


def test_what_a_size_blend_refuses(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match=r"ascend, and there is at least one; not \(5, 3\)"):
        SizeBlend(few_digits, [5, 3], shares(0.5, 0.5))
    with pytest.raises(UsageError, match="at least one"):
        SizeBlend(few_digits, [], shares())
    with pytest.raises(UsageError, match="odd number of pixels, 1 or more, and 4 is not"):
        SizeBlend(few_digits, [4], shares(1.0))
    with pytest.raises(UsageError, match=r"of 1 patch sizes have the shape \(levels, 1, 1\), not \(1, 1, 2\)"):
        SizeBlend(few_digits, [3], shares(0.5, 0.5))
    with pytest.raises(UsageError, match=r"not \(0, 1, 1\)"):
        SizeBlend(few_digits, [3], Shares((), (), np.zeros((0, 1, 1))))
    for wrong in ((-0.5, 1.5), (0.5, 0.25), (float("nan"), 1.0)):
        with pytest.raises(UsageError, match="not negative and add up to 1"):
            SizeBlend(few_digits, [3, 5], shares(*wrong))
    with pytest.raises(UsageError, match="the ideal machine looks at whole images"):
        SizeBlend(few_digits, [3], shares(1.0), kind=Ideal)
    with pytest.raises(UsageError, match="local machine makes pictures of the corpus's own size"):
        SizeBlend(few_digits, [3], shares(1.0), kind=Local).check_output((9, 8))
    with pytest.raises(InputError, match="a state is an int16 array"):
        SizeBlend(few_digits, [3], shares(1.0)).item_shares(noise()[0, 0], LEVEL)


def test_what_a_fit_refuses(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match="at least one noise level"):
        fit_size_blend(few_digits, levels=[])
    with pytest.raises(UsageError, match="a whole number from 1, but it is 0"):
        fit_size_blend(few_digits, levels=[LEVEL], queries=0)
    with pytest.raises(UsageError, match="the ideal machine looks at whole images"):
        fit_size_blend(few_digits, levels=[LEVEL], kind=Ideal)
    with pytest.raises(UsageError, match="at least two different ones"):
        fit_size_blend(ImageCorpus.from_arrays(np.zeros((3, 8, 8, 1), np.uint8)), levels=[LEVEL])
    with pytest.raises(UsageError, match="does not fit inside pictures of side 8"):
        fit_size_blend(few_digits, levels=[LEVEL], sizes=[9], kind=EquivariantLocal)
