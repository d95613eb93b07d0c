"""The published protocol against SciPy's distance and small cases worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from smalti.temperature.metrics import Forms
from smalti.temperature.published import GRID, kolmogorov_smirnov, published, rows

SAMPLES = st.lists(st.integers(0, 5), min_size=3, max_size=12)


@given(SAMPLES, SAMPLES)
def test_the_distance_is_that_of_scipy(a: list[int], b: list[int]) -> None:
    expected: Any = stats.ks_2samp(a, b, method="asymp")
    found = kolmogorov_smirnov(np.array(a, float), np.array(b, float))
    assert float(found) == pytest.approx(expected.statistic, abs=1e-12)


def test_the_grid_is_that_of_the_paper() -> None:
    assert GRID[:3] == (0.0, 0.01, 0.02)
    assert GRID[19:22] == (0.19, 0.2, 0.25)
    assert GRID[-6:] == (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert len(GRID) == 32


def test_the_three_numbers_of_a_prompt() -> None:
    """abcd twice and abxd once: a match share of 2/3, one edit and three common units in two of three pairs."""
    forms = Forms.of([tuple("abcd"), tuple("abxd"), tuple("abcd")])
    assert rows([forms], 8)[0].tolist() == pytest.approx([2 / 3, 2 / 3 * 1 / 8, 2 / 3 * 1 / 4])


def test_the_answer_is_the_mean_of_the_closest_temperatures_and_of_ties() -> None:
    """One reference whose numbers are its temperature, and one that says the same at all temperatures."""
    exact = np.repeat(np.array(GRID)[:, None, None], 3, axis=2)
    level = np.full((len(GRID), 1, 3), 0.25)
    system = np.full((1, 3), 0.25)
    both = published(system, [exact, level])
    assert both.by_reference == pytest.approx((0.25, sum(GRID) / len(GRID)))
    assert both.temperature == pytest.approx(sum(both.by_reference) / 2)
    # Of a value between two temperatures all are as far: the distance is 1 everywhere.
    between = published(np.full((1, 3), 0.255), [exact])
    assert between.temperature == pytest.approx(sum(GRID) / len(GRID))


def test_numbers_that_point_to_other_temperatures_are_averaged() -> None:
    exact = np.repeat(np.array(GRID)[:, None, None], 3, axis=2)
    found = published(np.array([[0.1, 0.2, 0.6]]), [exact])
    assert found.temperature == pytest.approx(0.3)
