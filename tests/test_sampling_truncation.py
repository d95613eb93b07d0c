"""Temperature and truncation against definitions written out in plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

import smalti
from smalti.sampling.truncation import Truncation, entropies


def distributions() -> list[list[float]]:
    rng = np.random.default_rng(3)
    rows = [rng.dirichlet(np.full(n, a)).tolist() for n in (2, 5, 30, 150) for a in (0.1, 1.0, 10.0) for _ in range(3)]
    return [*rows, [1.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.25, 0.0]]


def entropy(p: list[float]) -> float:
    return -sum(x * math.log2(x) for x in p if x > 0)


def ranked(p: list[float]) -> list[int]:
    return sorted(range(len(p)), key=lambda i: (-p[i], i))


def fewest(p: list[float], order: list[int], mass: float) -> set[int]:
    kept: set[int] = set()
    total = 0.0
    for i in order:
        if kept and total >= mass:
            break
        kept.add(i)
        total += p[i]
    return kept


def top_h(p: list[float], share: float) -> set[int]:
    kept: list[int] = []
    for i in ranked(p):
        q = [p[j] for j in (*kept, i)]
        if kept and entropy([x / sum(q) for x in q]) > share * entropy(p):
            break
        kept.append(i)
    return set(kept)


def top_h_released(p: list[float], share: float) -> set[int]:
    order = ranked(p)[:100]
    limit = share * entropy([p[i] for i in order])
    kept = order[:1]
    for i, following in itertools.pairwise(order):
        if entropy([p[j] for j in (*kept, following)]) > limit:
            break
        assert i == kept[-1]
        kept.append(following)
    return set(kept)


RULES: dict[str, tuple[Truncation, Callable[[list[float]], set[int]]]] = {
    "top-k": (Truncation(top_k=3), lambda p: set(ranked(p)[:3])),
    "top-p": (Truncation(top_p=0.7), lambda p: fewest(p, ranked(p), 0.7)),
    "min-p": (Truncation(min_p=0.3), lambda p: {i for i, x in enumerate(p) if x >= 0.3 * max(p)}),
    "typical": (
        Truncation(typical=0.6),
        lambda p: fewest(
            p,
            sorted(range(len(p)), key=lambda i: abs(-math.log2(p[i]) - entropy(p)) if p[i] > 0 else math.inf),
            0.6,
        ),
    ),
    "top-h": (Truncation(top_h=0.4), lambda p: top_h(p, 0.4)),
    "top-h-released": (Truncation(top_h_released=0.4), lambda p: top_h_released(p, 0.4)),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_what_its_definition_keeps_and_renormalises(name):
    rule, definition = RULES[name]
    for p in distributions():
        if name == "typical" and len(set(p)) < len(p):
            continue  # equal probabilities tie, and rounding decides which comes first
        kept = definition(p)
        found = rule(np.array(p))
        total = sum(p[i] for i in kept)
        # Sums of up to 150 terms in another order: 150 roundings of 2^-53.
        expected = [p[i] / total if i in kept else 0.0 for i in range(len(p))]
        np.testing.assert_allclose(found, expected, rtol=200 * 2**-52, atol=0)


def test_the_two_rules_called_top_h_differ():
    # H = 1.846 bits, half of it 0.923. Normalised, the first two have 0.985 bits: too many. As they are, their sum of
    # -p log p is 0.5 and 1.029 bits for one and two tokens; at 0.6 H = 1.108 two are kept by the one rule only.
    p = np.array([0.4, 0.3, 0.2, 0.1])
    assert (Truncation(top_h=0.52)(p) > 0).sum() == 1
    assert (Truncation(top_h=0.54)(p) > 0).sum() == 2
    assert (Truncation(top_h_released=0.54)(p) > 0).sum() == 1
    assert (Truncation(top_h_released=0.6)(p) > 0).sum() == 2


def test_temperature_is_a_power():
    for p in distributions():
        powers = np.array(p) ** (1 / 0.7)
        np.testing.assert_allclose(Truncation(temperature=0.7)(np.array(p)), powers / powers.sum(), rtol=1e-12)


def test_temperature_0_keeps_the_first_of_the_likeliest():
    assert Truncation(temperature=0)(np.array([[0.2, 0.4, 0.4], [1.0, 0, 0]])).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_the_default_changes_nothing_but_the_sum():
    assert Truncation()(np.array([1.0, 3.0])).tolist() == [0.25, 0.75]


def test_rules_apply_one_after_the_other():
    p = np.array([0.4, 0.3, 0.2, 0.1])
    both = Truncation(top_k=3, top_p=0.75)(p)
    first = Truncation(top_k=3)(p)
    np.testing.assert_allclose(both, Truncation(top_p=0.75)(first), rtol=4 * 2**-52)  # normalised once more
    assert (both > 0).sum() == 2  # of what top-k left, 4/9 and 3/9 sum to more than 0.75


def test_rows_do_not_depend_on_each_other():
    rows = np.random.default_rng(1).dirichlet(np.ones(9), size=5)
    rule = Truncation(temperature=0.8, top_k=7, top_p=0.9, min_p=0.01, typical=0.95, top_h=0.9)
    assert all(np.array_equal(rule(rows)[i], rule(rows[i])) for i in range(5))


def test_entropy_is_in_bits():
    for p in distributions():
        assert entropies(np.array(p)) == pytest.approx(entropy(p), rel=1e-12, abs=1e-14)
    assert entropies(np.full(8, 0.125)) == 3.0


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"temperature": -1.0}, "temperature -1.0 has no meaning: give a number of at least 0"),
        ({"temperature": float("nan")}, "temperature nan has no meaning: give a number of at least 0"),
        ({"top_k": -1}, "top-k -1 has no meaning: give a number of tokens, or 0 for all"),
        ({"top_p": 0.0}, "top-p 0.0 has no meaning: give a sum of probability above 0, at most 1"),
        ({"min_p": 1.5}, "min-p 1.5 has no meaning: give a share of the largest probability from 0 to 1"),
        ({"typical": 2.0}, "typical 2.0 has no meaning: give a sum of probability above 0, at most 1"),
        ({"top_h": 0.0}, "top-h 0.0 has no meaning: give a share of the entropy above 0, at most 1"),
        ({"top_h_released": 2.0}, "top-h-released 2.0 has no meaning: give a share of the entropy above 0, at most 1"),
    ],
)
def test_settings_without_meaning_are_refused(setting, sentence):
    with pytest.raises(smalti.UsageError) as refused:
        Truncation(**setting)
    assert str(refused.value) == sentence
