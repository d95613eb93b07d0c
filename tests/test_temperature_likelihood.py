"""Temperature by maximum likelihood: hazards, sites, bounds and the maximum, against their definitions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from smalti.temperature.likelihood import GRID, NONE_SEEN, Sites, fit, hazards, log_likelihoods, of_block, sites
from temperature_recordings import CHAIN, LENGTH, answer, recording, simulated

TEMPERATURES = np.array([1e-5, 0.003, 0.05, 0.4, 1.0])


def one_site(logits: list[float], told: int) -> Sites:
    """A site of which the first logits (in falling order) are reported."""
    p = special.softmax(np.array(logits))
    return Sites(
        np.array([0]),
        np.array([0]),
        np.log(p[0] / p[1:told])[None, :],
        np.array([math.log(p[0] / p[told - 1])]),
        np.array([max(0.0, 1 - p[:told].sum()) / p[told - 1]]),
        np.array([[10]]),
        np.array([[3]]),
    )


LOGITS = st.lists(st.floats(-12, 0), min_size=3, max_size=8).map(lambda values: sorted(values, reverse=True))


@given(LOGITS)
def test_hazards_are_those_of_the_softmax(logits: list[float]) -> None:
    """Relative, up to roundings of logarithms of numbers near 1."""
    found = hazards(one_site(logits, len(logits)), TEMPERATURES, tail="none")
    q = special.log_softmax(np.array(logits)[None, :] / TEMPERATURES[:, None], axis=1)
    assert found[0][0] == pytest.approx(q[:, 0], rel=1e-9, abs=1e-14)
    others = np.asarray(special.logsumexp(q[:, 1:], axis=1))
    near = others > -600
    assert found[1][0][near] == pytest.approx(others[near], rel=1e-9)


@given(LOGITS, st.integers(1, 4))
def test_what_is_not_reported_lies_between_certified_bounds(logits: list[float], told: int) -> None:
    """Up to roundings of gaps, 1e-15 or so, divided by the lowest temperature."""
    told = min(told, len(logits) - 1)
    site = one_site(logits, told)
    true = special.log_softmax(np.array(logits)[None, :] / TEMPERATURES[:, None], axis=1)[:, 0]
    least, most = hazards(site, TEMPERATURES, tail="most")[0][0], hazards(site, TEMPERATURES, tail="none")[0][0]
    assert (least <= true + 1e-9).all()
    assert (true <= most + 1e-9).all()


def test_the_bounds_are_reached() -> None:
    """Unreported tokens that are all as likely as the last reported one reach the upper bound of the hazard."""
    logits = [0.0, -1.0, -1.0, -1.0]
    true = special.log_softmax(np.array(logits)[None, :] / TEMPERATURES[:, None], axis=1)[:, 0]
    assert hazards(one_site(logits, 2), TEMPERATURES, tail="most")[0][0] == pytest.approx(true, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("temperature", [0.02, 0.1])
def test_the_maximum_is_that_of_a_general_optimiser(temperature: float) -> None:
    """The parabola between grid points is within a part in a thousand, as is the optimiser."""
    whole = simulated(temperature, top=None if temperature == 0 else 16, seed=4)

    def against(log_t: float) -> float:
        total = 0.0
        for prompt in range(len(whole.prompts)):
            greedy = CHAIN.encode(f"prompt {prompt}")
            runs = [one.tokens for one in whole.of(prompt=prompt)]
            for place in range(LENGTH):
                z = CHAIN.logits([greedy])[0]
                best = int(z.argmax())
                log_q = special.log_softmax(z / math.exp(log_t))
                for run in runs:
                    stays = run[place] == f"t{best}"
                    total += float(log_q[best]) if stays else float(np.log(np.exp(np.delete(log_q, best)).sum()))
                runs = [run for run in runs if run[place] == f"t{best}"]
                greedy = [*greedy, best]
        return -total

    best: Any = optimize.minimize_scalar(
        against, bounds=(math.log(1e-3), 0.0), method="bounded", options={"xatol": 1e-5}
    )
    found = sites(whole)
    assert found is not None
    fitted = fit(found, draws=200, seed=0)
    assert fitted.temperature == pytest.approx(math.exp(best.x), rel=1e-3)
    assert fitted.low < fitted.temperature < fitted.high
    assert fitted.curve.max() == pytest.approx(-best.fun, abs=0.02)
    low, high = fitted.systematic
    assert low <= fitted.temperature <= high


def test_sites_follow_the_likeliest_tokens_and_count_who_leaves() -> None:
    """Three runs: all take a; then b is likelier, which one of them leaves for c; the third place is the two's."""
    first, second, third = (("a", -0.1), ("x", -3.0)), (("b", -0.5), ("c", -1.0)), (("d", -0.2), ("e", -2.0))
    elsewhere = (("z", -0.2), ("y", -2.0))
    whole = recording(
        [
            answer("abd", 0, top=(first, second, third), block=0),
            answer("abe", 1, top=(first, second, third), block=1),
            answer("acz", 2, top=(first, second, elsewhere), block=1),
        ],
        max_tokens=3,
    )
    found = sites(whole)
    assert found is not None
    assert found.place.tolist() == [0, 1, 2]
    assert found.came.tolist() == [[1, 2], [1, 2], [1, 1]]
    assert found.left.tolist() == [[0, 0], [0, 1], [0, 1]]
    assert found.gaps[:, 0] == pytest.approx([2.9, 0.5, 1.8])
    assert found.runs == 3
    assert of_block(found, 0).came.tolist() == [[1], [1], [1]]


def test_a_path_ends_where_a_run_ends_and_skips_what_is_cached() -> None:
    place = (("a", -0.1), ("b", -3.0))
    whole = recording(
        [
            answer("aaaa", 0, top=(place,) * 4),
            answer("aa", 1, top=(place,) * 2, finish="stop"),
            answer("b", 2, top=(place,), cached=True),
        ]
    )
    found = sites(whole)
    assert found is not None
    assert found.place.tolist() == [0, 1]
    assert found.came.tolist() == [[2], [2]]
    assert not found.left.any()


def test_without_alternatives_there_are_no_sites() -> None:
    assert sites(simulated(0.1, prompts=2, runs=2, top=None)) is None
    assert sites(recording([answer("ab", 0, logprobs=(-1.0, -1.0)), answer("ab", 1)])) is None
    assert sites(recording([answer("", 0, top=()), answer("", 1, top=())])) is None


def test_noisy_reports_are_averaged_and_tokens_missing_from_some_belong_to_the_tail() -> None:
    """Of two noisy reports each differs from their mean by sqrt(1/2) of the noise."""
    whole = recording(
        [
            answer("a", 0, top=((("a", -0.2), ("b", -1.8), ("c", -5.0)),)),
            answer("a", 1, top=((("a", -0.4), ("b", -1.4), ("d", -4.0)),)),
            answer("a", 2, prompt=1, repeat=0, top=((("a", -0.2), ("b", -1.8), ("c", -5.0)),)),
        ],
        max_tokens=1,
    )
    found = sites(whole)
    assert found is not None
    assert found.prompt.tolist() == [0]  # the only report of the other prompt says nothing about its own noise
    assert found.gaps[0].tolist() == pytest.approx([(1.6 - 0.3) * 2**0.5])
    assert found.tail_gap[0] == pytest.approx((4.0 - 0.3) * 2**0.5)
    rest = 1 - math.exp(-0.3) - math.exp(-1.6)
    assert found.tail_count[0] == pytest.approx(rest / math.exp(-4.0))


def test_the_same_configuration_once_more_tells_nothing_of_the_noise() -> None:
    """Of two configurations, met any number of times as often, each differs from the mean by sqrt(1/2) of its noise;
    met by one and three of four answers, by sqrt(1 - 10/16).
    """
    tops = ((("a", -0.2), ("b", -1.8)),), ((("a", -0.4), ("b", -1.4)),)
    for met, gap, shrunk in (((0, 1), 1.3, 1 / 2), ((0, 1, 1, 0), 1.3, 1 / 2), ((0, 1, 1, 1), 1.15, 6 / 16)):
        found = sites(recording([answer("a", k, top=tops[which]) for k, which in enumerate(met)], max_tokens=1))
        assert found is not None
        assert found.gaps[0].tolist() == pytest.approx([gap / shrunk**0.5])
        assert found.noisy
    same = sites(recording([answer("a", k, top=tops[0]) for k in range(2)], max_tokens=1))
    assert same is not None
    assert not same.noisy


def test_noise_inside_of_reports_is_found_from_few_repeats() -> None:
    """Two tokens, normal noise of sd 0.3 on their difference, five reports of each of 400 places: the temperature of
    the logistic noise that leaves as often. Within 10 %; the estimate's deviation is about 4 %.
    """
    generator = np.random.default_rng(0)
    answers = []
    for prompt in range(400):
        gap = generator.exponential(0.5)
        for repeat in range(5):
            seen = gap + 0.3 * generator.normal()
            both = -np.logaddexp(0.0, -seen), -np.logaddexp(0.0, seen)
            ordered = sorted(zip("ab", map(float, both), strict=True), key=lambda one: -one[1])
            answers.append(answer(ordered[0][0], len(answers), prompt=prompt, repeat=repeat, top=(tuple(ordered),)))
    found = sites(recording(answers, max_tokens=1))
    assert found is not None
    gaps = generator.exponential(0.5, 200_000)
    leaves = gaps < 0.3 * generator.normal(size=len(gaps))
    best: Any = optimize.minimize_scalar(
        lambda t: float(np.where(leaves, gaps / t, 0.0).mean() + np.log1p(np.exp(-gaps / t)).mean()),
        bounds=(0.05, 0.5),
        method="bounded",
    )
    assert fit(found, draws=100, seed=0).temperature == pytest.approx(best.x, rel=0.1)


def test_where_nobody_leaves_the_answer_is_a_bound() -> None:
    found = sites(simulated(0.0))
    assert found is not None
    fitted = fit(found, draws=200, seed=0)
    assert (fitted.temperature, fitted.low, fitted.left) == (0.0, 0.0, 0)
    stay = hazards(found, np.array([fitted.high]))[0][:, 0]
    assert -(stay * found.came.sum(axis=1)).sum() == pytest.approx(NONE_SEEN, rel=0.01)  # the grid is 8 % wide


def test_a_bound_that_the_answers_cannot_give_is_capped() -> None:
    site = Sites(
        np.array([0]),
        np.array([0]),
        np.array([[50.0]]),
        np.array([50.0]),
        np.array([0.0]),
        np.array([[2]]),
        np.array([[0]]),
    )
    fitted = fit(site, draws=100, seed=0)
    assert fitted.capped
    assert fitted.high == GRID[-1]


def test_prompts_and_blocks_add_up() -> None:
    found = sites(simulated(0.1, prompts=5))
    assert found is not None
    parts = log_likelihoods(found)
    assert parts.shape == (5, 2, len(GRID))
    both = log_likelihoods(of_block(found, 0)) + log_likelihoods(of_block(found, 1))
    assert np.array_equal(parts.sum(axis=1), both.sum(axis=1))


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(20)))
def test_the_order_of_sites_does_not_matter(order: list[int]) -> None:
    found = sites(simulated(0.1, prompts=5))
    assert found is not None
    rows = np.concatenate([order, np.arange(20, len(found.prompt))]).astype(int)
    names = ("prompt", "place", "gaps", "tail_gap", "tail_count", "came", "left")
    moved = replace(found, **{name: getattr(found, name)[rows] for name in names})
    assert np.array_equal(log_likelihoods(found), log_likelihoods(moved))


def test_intervals_cover() -> None:
    """Gumbel noise of scale 0.05, 30 times: at least 25 intervals must hold it; by chance fewer do 3 in 1000 times."""
    held = 0
    for seed in range(30):
        found = sites(simulated(0.05, prompts=10, runs=4, top=16, seed=seed))
        assert found is not None
        fitted = fit(found, draws=200, seed=0)
        held += fitted.low <= 0.05 <= fitted.high
    assert held >= 25


@pytest.mark.parametrize("told", [2, 3, 5])
def test_a_bound_holds_whatever_was_not_reported(told: int) -> None:
    """With fewer alternatives the bound is the same or larger: what is not reported may make nothing vary."""
    bounds = [fit(found, draws=100, seed=0).high for top in (told, 16) if (found := sites(simulated(0.0, top=top)))]
    assert len(bounds) == 2
    assert bounds[0] >= bounds[1]


def test_an_interval_holds_both_assumptions_about_what_was_not_reported() -> None:
    found = sites(simulated(0.3, top=2))
    assert found is not None
    both = fit(found, draws=200, seed=0)
    most = fit(replace(found, gaps=np.c_[found.gaps, found.tail_gap + np.where(found.tail_count > 0, 0, np.inf)],
               tail_count=np.zeros(len(found.prompt))), draws=200, seed=0)  # fmt: skip
    none = fit(replace(found, tail_count=np.zeros(len(found.prompt))), draws=200, seed=0)
    assert both.high == none.high > both.temperature
    assert both.low < most.low or both.low <= none.low
    assert both.low < none.low


def test_the_greedy_token_alone_says_nothing() -> None:
    """With one log-probability at each place, any temperature is possible."""
    assert sites(simulated(0.0, top=1)) is None
    assert sites(simulated(0.3, top=1)) is None


@pytest.mark.parametrize("lowest", [-9999.0, -800.0, -700.0])
def test_log_probabilities_that_stand_for_impossible_tokens(lowest: float) -> None:
    """Servers write some large number for the logarithm of 0, with roundings in all others."""
    tops = (*(((letter, -1e-9), ("z", lowest)) for letter in "abc"), (("d", -0.6), ("e", -0.8), ("z", lowest)))
    answers = [answer("abcd" if k % 7 else "abce", k, logprobs=(-1e-9,) * 4, top=tops) for k in range(20)]
    found = sites(recording(answers))
    assert found is not None
    assert np.isfinite(found.tail_count).all()
    fitted = fit(found, draws=100, seed=0)
    assert fitted.low < fitted.temperature < 1
    # What is left over has a share of at most itself at T = 1, and nothing of it below.
    stay = hazards(found, np.array([0.5]), tail="most")[0]
    assert stay[:3] == pytest.approx(0.0, abs=1e-12)


def test_a_place_at_which_nothing_is_possible_ends_a_path() -> None:
    nothing = (("c", -9999.0), ("z", -9999.0))
    tops = ((("a", -0.1), ("b", -2.4)), (("b", -0.1), ("a", -2.4)), nothing)
    found = sites(recording([answer("abc", k, logprobs=(-0.1, -0.1, -9999.0), top=tops) for k in range(5)]))
    assert found is not None
    assert found.place.tolist() == [0, 1]
    assert math.isfinite(fit(found, draws=100, seed=0).high)
