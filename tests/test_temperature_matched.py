"""The matched protocol's parts, against independent implementations, and temperatures that must come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from smalti.temperature import curves, matched, published
from smalti.temperature.matched import GRID, Curve, Measured, binomial, invert, isotonic, joined, shares
from smalti.temperature.metrics import Forms
from smalti.temperature.references import MarkovReference, sample
from temperature_recordings import CHAIN

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=9)


@given(VALUES, st.integers(0, 100))
def test_isotonic_as_in_scikit_learn(values: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(values))
    places = np.arange(len(values))
    expected = IsotonicRegression().fit_transform(places, values, sample_weight=weights)
    assert isotonic(np.array([values]), weights)[0] == pytest.approx(expected, abs=1e-12)
    assert isotonic(np.array([values]))[0] == pytest.approx(
        IsotonicRegression().fit_transform(places, values), abs=1e-12
    )


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.floats(0, 1))
def test_inverting_a_rising_curve_gives_back_its_argument(rises: list[float], share: float) -> None:
    t = np.cumsum(np.ones(len(rises)))
    curve = np.cumsum(rises)
    where = share * t[-1]
    value = np.interp(where, [0.0, *t], [0.0, *curve])
    assert invert(curve[None], t, np.array([value]))[0] == pytest.approx(where, abs=1e-9)


def test_level_stretches_give_their_middle_and_ends_are_kept() -> None:
    t = np.array([1.0, 2.0, 4.0, 8.0])
    curve = np.array([[0.1, 0.3, 0.3, 0.5]])
    assert [float(invert(curve, t, np.array([v]))[0]) for v in (0.0, 0.05, 0.3, 0.4, 0.5, 0.9)] == [
        0.0,
        0.5,
        3.0,
        6.0,
        8.0,
        8.0,
    ]


@pytest.mark.parametrize(("seen", "size"), [(0, 10), (1, 10), (4, 30), (30, 30), (50, 100)])
def test_binomial_intervals_as_in_scipy(seen: int, size: int) -> None:
    expected = stats.binomtest(seen, size).proportion_ci(method="exact")
    assert binomial(seen, size) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_shares_rise_from_zero_in_proportion_where_no_prompt_varied() -> None:
    varied = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    curve = Curve("r", np.array([0.01, 0.02, 0.04]), varied, varied)
    # All three together: 0.5 in 0.07. Half of that is due at half of it.
    slope = 0.5 / 0.07
    assert shares(curve, np.array([0.01 * slope, 0.03 * slope])) == pytest.approx([0.01, 0.03])


def drawn(temperature: float, prompts: int, runs: int, seed: int, reference: MarkovReference = CHAIN) -> Measured:
    """A reference at a temperature as a system, to prompts that other seeds do not share."""
    forms = []
    for prompt in range(prompts):
        at = sample(reference, [f"{seed} {prompt}"], [temperature], runs=runs, max_tokens=16, seed=seed)[0, 0]
        forms.append(Forms.of([tuple(map(str, one)) for one in at.tolist()]))
    return curves.of_forms(forms, 16)


def test_both_ways_to_measure_answers_agree() -> None:
    """Pairs of forms, and groups of equal beginnings; within roundings of a mean."""
    curve = curves.ask([CHAIN], ["0 0", "0 1", "0 2"], runs=9, max_tokens=16, seed=0)[0].curve
    for g in (0, 6, 14):
        other = drawn(GRID[g], 3, 9, 0)
        assert curve.behind[:, g] == pytest.approx(other.behind, abs=1e-12)
        assert np.array_equal(curve.varied[:, g], other.varied)


def test_both_protocols_share_answers_where_their_temperatures_coincide() -> None:
    """What is asked at both grids together is what each of them would be answered alone."""
    prompts: list[str] = ["0 0", "0 1"]
    how: dict[str, Any] = {"max_tokens": 5, "seed": 3}
    for runs in (4, 40):
        asked = curves.ask([CHAIN], prompts, runs=runs, **how)[0]
        assert np.array_equal(asked.answers, sample(CHAIN, prompts, matched.GRID, runs=runs, **how))
        assert np.array_equal(asked.published, sample(CHAIN, prompts, published.GRID, runs=32, **how))
        assert not np.array_equal(asked.controls[:, 2], sample(CHAIN, prompts, [0.1], runs=runs, **how)[:, 0])
    asked = curves.ask([CHAIN], prompts, runs=4, **how)[0]
    for g, p in ((0, 0), (9, 1), (31, 0)):
        forms = Forms.of([tuple(map(str, one)) for one in asked.published[p, g].tolist()])
        expected = [forms.exact_match, forms.edit_distance(5), forms.subsequence()]
        assert asked.table[g, p].tolist() == expected


def test_references_remember_what_they_answered() -> None:
    asked = curves.Asked([CHAIN])
    first = asked.answers(["0 0"], runs=3, max_tokens=4, seed=0)
    assert asked.answers(["0 0"], runs=3, max_tokens=4, seed=0) is first
    assert asked.answers(["0 1"], runs=3, max_tokens=4, seed=0) is not first
    assert asked.answers(["0 0"], runs=3, max_tokens=4, seed=1) is not first
    assert len(asked) == 1


def test_a_reference_at_a_known_temperature_comes_back() -> None:
    """Three temperatures and three chains of one kind; nine intervals of 95 %, of which seven must hold (a miss of
    three or more has a chance of 1 in 120).
    """
    prompts = [f"p {k}" for k in range(20)]
    chains = [MarkovReference.random(vocabulary=16, sharpness=3.0, seed=seed) for seed in (3, 4, 5)]
    asked = curves.ask(chains, prompts, runs=12, max_tokens=16, seed=0)
    every = [one.curve for one in asked]
    held = []
    for temperature in (0.03, 0.1, 0.3):
        system = drawn(temperature, 20, 12, 7)
        together, alone = joined(system, every, draws=300, seed=0)
        held += [one.low <= temperature <= one.high for one in alone]
        assert together.low == min(one.low for one in alone)
        assert together.high == max(one.high for one in alone)
        assert min(one.temperature for one in alone) <= together.temperature <= max(one.temperature for one in alone)
    assert sum(held) >= 7


def test_a_system_that_never_varies_has_a_bound_and_no_temperature() -> None:
    asked = curves.ask([CHAIN], [f"p {k}" for k in range(12)], runs=6, max_tokens=16, seed=0)
    together, alone = joined(drawn(0.0, 12, 6, 1), [asked[0].curve], draws=100, seed=0)
    assert together.temperature == alone[0].temperature == 0.0
    assert 0 < together.high < 1
    # What the bound says: at it, none of twelve prompts varies with a chance of 5 %.
    share = 1 - 0.05 ** (1 / 12)
    assert together.high == pytest.approx(float(shares(asked[0].curve, np.array([share]))[0]))


def test_a_system_beyond_the_references_is_capped() -> None:
    ones = np.ones(6)
    curve = Curve("r", np.array(GRID), np.tile(np.linspace(0, 0.5, len(GRID)), (6, 1)), np.ones((6, len(GRID))))
    together, _ = joined(Measured(0.9 * ones, ones), [curve], draws=100, seed=0)
    assert together.capped
    assert together.temperature == matched.GRID[-1]
