"""Back-off is its recursion, and sums over many empty classes are those over all of them in order, bit for bit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti.engine.arithmetic import LN2, log2
from smalti.engine.text_posterior import BackOff, class_entropy

RULES = [(2.0, 0.7), (0.25, 0.9), (0.0, 0.0), (0.0, 0.3), (1.5, 0.0)]


def some_counts(seed: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Counts (Q, rungs + 1, V) that fall from rung to rung, most of them 0, and which rungs say something."""
    rng = np.random.default_rng(seed)
    sites, rungs, vocabulary = rng.integers(1, 5), rng.integers(1, 6), rng.integers(1, 60)
    counts = rng.integers(0, 9, (sites, rungs, vocabulary)) * (rng.random((sites, rungs, vocabulary)) < 0.4)
    counts[:, 0, 0] += 1
    return np.minimum.accumulate(counts, axis=1), rng.random((sites, rungs - 1)) < 0.7


@pytest.mark.parametrize("rule", RULES)
def test_back_off_is_its_recursion(rule: tuple[float, float]) -> None:
    beta, discount = (Fraction(number) for number in rule)
    for seed in range(20):
        counts, heard = some_counts(seed)
        found, prior = BackOff(*rule).probabilities(counts, heard)
        weights = BackOff(*rule).weights(counts, heard)
        for site, rungs in enumerate(counts.tolist()):
            p, q = [Fraction(1, counts.shape[2])] * counts.shape[2], Fraction(1)
            for k, n in enumerate(rungs):
                if sum(n) and (k == 0 or heard[site, k - 1]):
                    d = [min(discount, one) for one in n]
                    p = [(m - e + (sum(d) + beta) * o) / (sum(n) + beta) for m, e, o in zip(n, d, p, strict=True)]
                    q *= (sum(d) + beta) / (sum(n) + beta)
            assert found[site].tolist() == pytest.approx([float(one) for one in p], rel=1e-13)
            assert prior[site] == pytest.approx(float(q), rel=1e-13)
            # What the places that hold a symbol have, and its part of the prior, are its probability.
            exactly = counts[site] - np.append(counts[site, 1:], 0 * counts[site, :1], axis=0)
            owned = (exactly * weights[site]).sum(axis=0) + prior[site] / counts.shape[2]
            assert owned.tolist() == pytest.approx(found[site].tolist(), rel=1e-12)


def test_the_weights_of_one_symbol_are_those_among_all() -> None:
    for seed in range(20):
        counts, heard = some_counts(seed)
        of = np.random.default_rng(seed).integers(0, counts.shape[2], len(counts))
        back_off = BackOff(*RULES[seed % len(RULES)])
        among = back_off.weights(counts, heard)[np.arange(len(of)), :, of]
        assert np.array_equal(back_off.weights(counts, heard, of)[:, :, 0], among)


def test_discounts_are_added_in_order() -> None:
    """0.7 added a thousand times is not 700: as in a sum over all symbols, which ends in the machine's bytes."""
    counts = np.zeros((1, 1, 4000), np.int64)
    counts[0, 0, ::4] = 3
    found, prior = BackOff(2.0, 0.7).probabilities(counts, np.ones((1, 0), np.bool_))
    passed = 0.0
    for n in counts[0, 0].tolist():
        passed += min(n, 0.7)
    assert passed != 700.0
    assert prior[0] == (passed + 2.0) / 3002.0
    assert found[0, :2].tolist() == [
        (3 - 0.7 + (passed + 2.0) * (1 / 4000)) / 3002.0,
        (0.0 + (passed + 2.0) * (1 / 4000)) / 3002.0,
    ]


def test_entropy_of_classes_is_the_sum_over_all_classes_in_order() -> None:
    rng = np.random.default_rng(2)
    for case in range(200):
        shape = (int(rng.integers(1, 5)), *rng.integers(1, 30, 1 + case % 2).tolist())
        count = rng.integers(0, 50, shape) * (rng.random(shape) < rng.random())
        weight = rng.random(shape) * 10.0 ** rng.integers(-200, 3, shape) * (rng.random(shape) < 0.8)
        found = class_entropy(count, weight)
        for site in range(shape[0]):
            pairs = list(zip(count[site].ravel().tolist(), weight[site].ravel().tolist(), strict=True))
            total = entropy = 0.0
            for n, w in pairs:
                total += n * w
            for n, w in pairs:
                share = w / total if total else 0.0
                entropy -= n * share * float(log2(np.array([share]))[0]) if n and share else 0.0
            assert found[site] == LN2 * max(entropy, 0.0)


def test_entropy_of_classes_counts_places() -> None:
    """Places of equal weight, in whatever classes: the log of how many."""
    assert class_entropy(np.array([[3, 0, 5], [1, 0, 0]]), np.full((2, 3), 0.3)).tolist() == pytest.approx(
        [math.log(8), 0.0], rel=1e-12
    )
    assert class_entropy(np.zeros((2, 3), np.int64), np.ones((2, 3))).tolist() == [0.0, 0.0]
