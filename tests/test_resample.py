"""The bootstrap's counts, exact sums and intervals."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from smalti import resample
from smalti.resample import bootstrapped, counts, interval, means, medians, whole


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


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_medians_under_counts_are_those_of_the_values_repeated(size: int) -> None:
    values = np.random.default_rng(size).integers(0, 5, size) / 4
    weights = counts(50, size, seed=3, purpose="test")
    repeated = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    assert np.array_equal(medians(values, weights), repeated)


def test_a_bootstrapped_statistic_is_its_value_between_two_drawn_ones() -> None:
    a, b = np.random.default_rng(0).uniform(1, 2, (2, 20))

    def quotient(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return (means(a[:, None], weights) / means(b[:, None], weights))[:, 0]

    found = bootstrapped(quotient, 20, draws=300, seed=4, purpose="test")
    drawn = quotient(counts(300, 20, seed=4, purpose="test"))
    assert found.value == pytest.approx(a.sum() / b.sum(), abs=1e-8)  # values are multiples of 2^-30
    assert found.low < found.value < found.high
    assert (found.low, found.high) == interval(drawn, 20)


def test_no_unit_says_nothing_and_one_says_nothing_of_others() -> None:
    none = bootstrapped(lambda w: medians([], w), 0, purpose="test")
    assert np.isnan([none.value, none.low, none.high]).all()
    one = bootstrapped(lambda w: medians([3.0], w), 1, purpose="test")
    assert one.value == 3.0
    assert np.isnan([one.low, one.high]).all()


def test_intervals_of_medians_cover() -> None:
    """The median of 31 normal numbers, 400 times: coverage 0.95 with a deviation of 0.011; 4 of them are allowed, and
    more coverage, as percentiles of medians are drawn values.
    """
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        values = generator.normal(size=31)
        found = bootstrapped(lambda w, v=values: medians(v, w), 31, draws=400, purpose="test")
        held += found.low <= 0 <= found.high
    assert held / 400 >= 0.906
