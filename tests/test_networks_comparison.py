"""Agreement of pictures: r, r squared, mean squared error and cosine similarity, and their medians over seeds."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti import InputError, UsageError, schedule
from smalti.networks import Agreement, agreement, step_agreement
from smalti.sampling.ddim import values_of

Floats = NDArray[np.float64]


def pictures(seed: int, count: int = 6) -> Floats:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3, 4, 2))


def by_definition(a: Floats, b: Floats) -> tuple[float, float, float]:
    """r, mse and cosine of two pictures, in exact fractions up to the last square root."""
    x, y = ([Fraction(v) for v in one.ravel().tolist()] for one in (a, b))
    n = len(x)
    dx, dy = ([v - sum(one, Fraction(0)) / n for v in one] for one in (x, y))

    def alike(p: list[Fraction], q: list[Fraction]) -> float:
        inner = sum(u * v for u, v in zip(p, q, strict=True))
        square = inner**2 / (sum(u * u for u in p) * sum(v * v for v in q))
        return math.copysign(math.sqrt(square), inner)

    return alike(dx, dy), float(sum((u - v) ** 2 for u, v in zip(x, y, strict=True)) / n), alike(x, y)


def test_measures_are_as_defined() -> None:
    a, b = pictures(0), pictures(1)
    found = agreement(a, b, range(6))
    expected = np.array([by_definition(*pair) for pair in zip(a, b, strict=True)]).T
    # 24 values: differences from the mean are off by an ulp or so each, of numbers that are not small.
    for measured, exact in zip((found.r, found.mse, found.cosine), expected, strict=True):
        assert measured == pytest.approx(exact, abs=1e-14)
    assert np.array_equal(found.r_squared, found.r**2)


def test_agreement_is_mutual_and_r_is_blind_to_scale() -> None:
    a, b = pictures(0), pictures(1)
    there, back = agreement(a, b, range(6)), agreement(b, a, range(6))
    assert np.array_equal(there.r, back.r)
    assert np.array_equal(there.mse, back.mse)
    assert agreement(a, 0.5 * a + 0.25, range(6)).r == pytest.approx(np.ones(6), abs=1e-15)
    assert agreement(a, -a, range(6)).r == pytest.approx(-np.ones(6), abs=1e-15)
    assert agreement(a, a, range(6)).r.tolist() == [1.0] * 6
    assert agreement(a, a, range(6)).mse.tolist() == [0.0] * 6


def test_pixels_are_taken_as_values() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 1), dtype=np.uint8)
    direct = agreement(pixels[0], pixels[1], range(3))
    assert np.array_equal(direct.mse, agreement(values_of(pixels[0]), values_of(pixels[1]), range(3)).mse)


def test_constant_pictures_have_no_r_and_are_counted() -> None:
    a, b = pictures(0), pictures(1)
    a[2] = 0.5
    b[4] = -1.0
    found = agreement(a, b, range(6))
    assert np.isnan(found.r).tolist() == [False, False, True, False, True, False]
    assert found.undefined == 2
    assert found.median().value == np.median(found.r[[0, 1, 3, 5]])
    assert found.median("mse").value == np.median(found.mse)


def test_medians_are_functions_of_numbers_draws_and_seed() -> None:
    found = agreement(pictures(0, 30), pictures(1, 30), range(30))
    for measure in ("r", "r_squared", "mse", "cosine"):
        median = found.median(measure)
        assert median.value == np.median(getattr(found, measure))
        assert median.low < median.value < median.high
        assert found.median(measure) == median
    assert found.median("r", seed=1) != found.median("r")
    shuffled = np.random.default_rng(2).permutation(30)
    other = agreement(pictures(0, 30)[shuffled], pictures(1, 30)[shuffled], shuffled.tolist())
    assert other.median().value == found.median().value


def test_one_seed_has_no_interval_and_none_no_median() -> None:
    one = agreement(pictures(0, 1), pictures(1, 1), [7])
    assert one.median().value == one.r[0]
    assert math.isnan(one.median().low)
    assert math.isnan(one.median().high)
    flat = agreement(np.zeros((2, 3, 3, 1)), pictures(0, 2)[:, :, :3, :1], [0, 1])
    assert flat.undefined == 2
    assert math.isnan(flat.median().value)
    assert np.isnan(flat.cosine).all()


def test_steps_are_agreements_one_by_one() -> None:
    a, b = (np.random.default_rng(n).uniform(-1, 1, (5, 4, 3, 3, 1)) for n in (0, 1))
    levels = schedule("cosine").grid(4)
    found = step_agreement(a, b, levels, range(5))
    assert found.r.shape == found.mse.shape == found.cosine.shape == (5, 4)
    for step in range(4):
        alone = agreement(a[:, step], b[:, step], range(5))
        assert np.array_equal(found.at(step).r, alone.r)
        assert np.array_equal(found.mse[:, step], alone.mse)
        assert found.median("cosine")[step] == alone.median("cosine")
    assert np.array_equal(found.r_squared, found.r**2)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    a = pictures(0)
    with pytest.raises(InputError, match=r"5 seeds .* shape \(6, 3, 4, 2\)"):
        agreement(a, a, range(5))
    with pytest.raises(InputError, match="compared one by one"):
        agreement(a, a[:, :2], range(6))
    with pytest.raises(InputError, match="not finite"):
        agreement(a, np.where(a > 0.9, np.nan, a), range(6))
    with pytest.raises(InputError, match="at 2 levels"):
        step_agreement(a, a, schedule("cosine").grid(2), range(6))
    with pytest.raises(UsageError, match="more than once"):
        agreement(a[:2], a[:2], [1, 1])
    with pytest.raises(UsageError, match="not by 'ssim'"):
        Agreement((0,), *np.zeros((3, 1))).median("ssim")  # pyright: ignore[reportArgumentType]
