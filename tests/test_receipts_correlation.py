"""Pearson and Spearman against NumPy and SciPy, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from smalti.errors import UsageError
from smalti.receipts.correlation import pearson, ranks, spearman

# Few different values, so that ties are many; none so small that their sums lose it.
PAIRS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-1000, 1000)), min_size=2, max_size=40)


@given(PAIRS)
def test_as_numpy_and_scipy(pairs: list[tuple[int, int]]) -> None:
    """Within some roundings of float64: both sides add up at most 40 numbers below 1000."""
    a, b = np.array(pairs, np.float64).T
    assert np.array_equal(ranks(a), stats.rankdata(a))
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(pearson(a, b))
        assert math.isnan(spearman(a, b))
        return
    assert pearson(a, b) == pytest.approx(float(np.corrcoef(a, b)[0, 1]), abs=1e-12)
    assert spearman(a, b) == pytest.approx(float(np.asarray(stats.spearmanr(a, b))[0]), abs=1e-12)


@given(PAIRS)
def test_the_order_of_the_pairs_does_not_matter(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, np.float64).T
    order = np.random.default_rng(0).permutation(len(pairs))
    assert np.array_equal(pearson(a, b), pearson(a[order], b[order]), equal_nan=True)
    assert np.array_equal(spearman(a, b), spearman(a[order], b[order]), equal_nan=True)


@given(PAIRS)
def test_only_the_order_of_the_values_matters_to_spearman(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, np.float64).T
    assert np.array_equal(spearman(a, b), spearman(np.exp(a), 3 * b - 7), equal_nan=True)


def test_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="not of 3 and 2 numbers"):
        pearson([1, 2, 3], [1, 2])
