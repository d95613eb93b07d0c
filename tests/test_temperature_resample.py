"""The bootstrap's counts, exact sums and intervals."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from smalti.temperature import resample
from smalti.temperature.resample import counts, interval, means, whole


def test_each_draw_takes_as_many_units_as_there_are() -> None:
    drawn = counts(400, 7, seed=1, purpose="test")
    assert drawn.shape == (400, 7)
    assert np.array_equal(drawn.sum(axis=1), np.full(400, 7.0))
    assert np.array_equal(drawn, counts(400, 7, seed=1, purpose="test"))
    assert not np.array_equal(drawn, counts(400, 7, seed=2, purpose="test"))
    # 2,800 units in 7 places; each count's deviation is 18.5 and 5 of them are allowed.
    assert np.abs(drawn.sum(axis=0) - 400).max() < 93


def test_means_are_exact_in_any_order() -> None:
    generator = np.random.default_rng(0)
    values = generator.uniform(-1, 1, (50, 3))
    weights = counts(20, 50, seed=0, purpose="test")
    found = means(values, weights)
    order = generator.permutation(50)
    assert np.array_equal(found, means(values[order], weights[:, order]))
    steps = [[Fraction(int(v)) for v in row] for row in whole(values)]
    exact = [
        float(sum(int(w) * row[1] for w, row in zip(one, steps, strict=True)) / 2**30 / 50) for one in weights.tolist()
    ]
    assert found[:, 1] == pytest.approx(exact, abs=1e-15)


def test_whole_numbers_end_far_below() -> None:
    assert whole([-1e30, 2.0**-31 * 3]).tolist() == [-(2.0**37), 2.0]


def test_the_interval_is_of_two_drawn_values_and_wider_than_percentiles_for_few_units() -> None:
    drawn = np.random.default_rng(0).normal(size=2000)
    wide = [interval(drawn, units) for units in (5, 10, 30, 10_000)]
    assert all(low in drawn and high in drawn for low, high in wide)
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(wide))
    ordered = np.sort(drawn)
    assert wide[-1] == (ordered[49], ordered[-50])


@pytest.mark.parametrize("freedom", [2, 3, 5, 9, 29, 99])
def test_students_quantile_as_in_scipy(freedom: int) -> None:
    """The series is cut after the third term: within 3 % from 2 degrees of freedom on."""
    assert resample._student(0.975, freedom) == pytest.approx(float(stats.t.ppf(0.975, freedom)), rel=0.035)


def test_expanded_intervals_of_means_of_few_cover() -> None:
    """The mean of 10 normal numbers, 400 times: coverage 0.95 with a deviation of 0.011; 4 of them are allowed."""
    generator = np.random.default_rng(0)
    weights = counts(1000, 10, seed=0, purpose="test")
    held = 0
    for _ in range(400):
        low, high = interval(means(generator.normal(size=(10, 1)), weights)[:, 0], 10)
        held += low <= 0 <= high
    assert 0.906 <= held / 400 <= 0.994
