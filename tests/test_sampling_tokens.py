"""Discrete samplers, against laws that can be written out in full."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import smalti
from smalti.noise.discrete import KEPT, kept, uniform_reverse
from smalti.noise.words import uniforms
from smalti.sampling.text_settings import ORDERS, TextSettings
from smalti.sampling.tokens import MASK, TokenStep, unmask, unnoise
from smalti.sampling.truncation import Truncation

V, L = 3, 4


def settings(noise: str = "mask", **given) -> TextSettings:
    return TextSettings.for_noise(noise, **given)


class Exact:
    """The exact denoiser of a law over all rows of L tokens, for masks or (leave-one-out) uniform noise."""

    vocabulary = V

    def __init__(self, seed: int = 0, *, uniform: bool = False) -> None:
        self.rows = np.array(list(itertools.product(range(V), repeat=L)))
        self.law = np.random.default_rng(seed).dirichlet(np.full(len(self.rows), 0.3))
        self.uniform = uniform
        self.calls = 0

    def __call__(self, tokens, kept, sites):
        self.calls += 1
        out = []
        for site in sites:
            weight = self.law.copy()
            for other in range(L):
                if other == site or tokens[other] == MASK:
                    continue
                same = self.rows[:, other] == tokens[other]
                weight *= kept * same + (1 - kept) / V if self.uniform else same
            out.append([weight[self.rows[:, site] == a].sum() for a in range(V)])
        return np.array(out) + 1e-300

    def of(self, row) -> float:
        return float(self.law[(self.rows == row).all(axis=1)][0])


def finished(steps) -> tuple[np.ndarray, list[TokenStep]]:
    walked = list(steps)
    return walked[-1].following, walked


ALL_MASKED = np.full(L, MASK)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_fills_the_row_and_keeps_what_is_visible(order):
    for seed in range(20):
        tokens = np.array([MASK, 2, MASK, MASK])
        row, steps = finished(unmask(Exact(), tokens, settings(order=order), seed=seed))
        assert row[1] == 2
        assert (row != MASK).all()
        assert np.array_equal(steps[0].tokens, tokens)
        for step, following in itertools.pairwise(steps):
            assert np.array_equal(step.following, following.tokens)
            assert (step.tokens[step.sites] == MASK).all()
            assert len(step.sites) > 0
        assert [step.index for step in steps] == sorted(step.index for step in steps)


@pytest.mark.parametrize("order", ["confidence", "entropy", "margin", "left-to-right", "remask"])
def test_one_token_a_step_draws_each_from_its_exact_conditional(order):
    # By the chain rule the probabilities of the tokens drawn multiply to that of the row, in whatever order.
    exact = Exact(1)
    for seed in range(10):
        row, steps = finished(unmask(exact, ALL_MASKED, settings(order=order), seed=seed))
        assert len(steps) == L
        product = math.prod(float(p) for step in steps for p in step.probability)
        assert product == pytest.approx(exact.of(row), rel=1e-9)


def test_ancestral_reveals_at_the_rate_of_the_schedule_and_draws_exactly():
    exact = Exact(2)
    seeds, steps = 200, 100
    visible = np.zeros(steps)
    alone = 0
    for seed in range(seeds):
        row, walked = finished(unmask(exact, ALL_MASKED, settings(order="ancestral", steps=steps), seed=seed))
        for step in walked:
            visible[step.index :] += len(step.sites)
        if len(walked) == L:
            alone += 1
            product = math.prod(float(p) for step in walked for p in step.probability)
            assert product == pytest.approx(exact.of(row), rel=1e-9)
    assert alone > seeds / 2
    # Each token is visible after step i with probability i / steps; Hoeffding at odds of e^-8, times 100 steps.
    strays = np.abs(visible / (seeds * L) - (1 + np.arange(steps)) / steps)
    assert strays.max() < math.sqrt((8 + math.log(2 * steps)) / (2 * seeds * L))


def test_rows_come_with_their_exact_probabilities():
    exact = Exact(2)
    seeds = 2000
    counts = np.zeros(len(exact.rows))
    for seed in range(seeds):
        row, _ = finished(unmask(exact, ALL_MASKED, settings(order="left-to-right"), seed=seed))
        counts[int(row @ V ** np.arange(L)[::-1])] += 1
    distance = 0.5 * np.abs(counts / seeds - exact.law).sum()
    # Its mean is at most 1/2 sum of sqrt(p (1 - p) / n); it strays from that by more than 4 / (2 sqrt(n)) at odds of
    # e^-8 (McDiarmid).
    assert distance < 0.5 * np.sqrt(exact.law * (1 - exact.law) / seeds).sum() + 2 / math.sqrt(seeds)


def test_left_to_right_and_blocks_ask_for_what_they_need():
    exact = Exact()
    sites = [step.sites.tolist() for step in unmask(exact, ALL_MASKED, settings(order="left-to-right"), seed=0)]
    assert sites == [[0], [1], [2], [3]]
    steps = list(unmask(exact, ALL_MASKED, settings(order="confidence", block=2), seed=0))
    assert {site for step in steps[:2] for site in step.sites.tolist()} == {0, 1}
    assert {site for step in steps[2:] for site in step.sites.tolist()} == {2, 3}


class Given:
    """A denoiser with the same answer always."""

    vocabulary = 2

    def __init__(self, rows) -> None:
        self.rows = np.array(rows)

    def __call__(self, tokens, kept, sites):
        return self.rows[sites]


GIVEN = Given([[0.6, 0.4], [0.05, 0.95], [0.5, 0.5], [0.8, 0.2]])


@pytest.mark.parametrize("order", ["confidence", "entropy", "margin"])
def test_sure_places_come_first(order):
    steps = unmask(GIVEN, ALL_MASKED, settings(order=order), seed=0)
    assert [step.sites.tolist() for step in steps] == [[1], [3], [0], [2]]


def test_entropy_bounded_groups_are_the_longest_prefix_within_the_bound():
    # Entropies .286, .722, .971, 1 bits: with gamma = 1.1 the sums without the largest are 0, .286, 1.008, 1.979.
    steps = list(unmask(GIVEN, ALL_MASKED, settings(order="entropy-bounded", gamma=1.1), seed=0))
    assert [step.sites.tolist() for step in steps] == [[0, 1, 3], [2]]
    steps = list(unmask(GIVEN, ALL_MASKED, settings(order="entropy-bounded", gamma=0.0), seed=0))
    assert [step.sites.tolist() for step in steps] == [[1], [3], [0], [2]]


def test_threshold_takes_all_that_are_sure_and_one_at_least():
    steps = list(unmask(GIVEN, ALL_MASKED, settings(order="threshold", threshold=0.7), seed=0))
    assert [step.sites.tolist() for step in steps] == [[1, 3], [0], [2]]


def test_fewer_steps_fill_several_places_at_once():
    exact = Exact()
    for order in ("confidence", "entropy", "margin", "left-to-right", "remask", "ancestral"):
        exact.calls = 0
        row, steps = finished(unmask(exact, ALL_MASKED, settings(order=order, steps=2), seed=4))
        assert (row != MASK).all()
        assert exact.calls <= 2
        assert [len(step.sites) for step in steps] == [2, 2] or order == "ancestral"


def test_a_draw_is_a_function_of_seed_step_and_site():
    tokens = np.array([MASK, MASK, MASK, 1])
    first = [step.following.tolist() for step in unmask(Exact(), tokens, seed=5)]
    assert first == [step.following.tolist() for step in unmask(Exact(), tokens, seed=5)]
    assert any(finished(unmask(Exact(), tokens, seed=s))[0].tolist() != first[-1] for s in range(6, 12))
    assert uniforms(3, seed=1, purpose="x").tolist() == uniforms(9, seed=1, purpose="x")[:3].tolist()


def test_truncation_is_what_is_drawn_from():
    for seed in range(5):
        row, steps = finished(unmask(GIVEN, ALL_MASKED, settings(truncation=Truncation(temperature=0)), seed=seed))
        assert row.tolist() == [0, 1, 0, 0]
        assert all(step.probability.tolist() == [1.0] for step in steps)


def test_the_uniform_reverse_step_is_exact():
    # p(x_s = b at a site | x_t), by enumeration of all clean rows, against the step from leave-one-out probabilities.
    exact = Exact(3, uniform=True)
    before, after = 0.3, 0.55
    ratio = before / after
    for tokens in exact.rows[::5]:
        sites = np.arange(L)
        others = exact(tokens, before, sites)
        law = uniform_reverse(others / others.sum(axis=1, keepdims=True), tokens, before, after)
        for site in sites:
            posterior = exact.law.copy()
            for other in range(L):
                posterior *= before * (exact.rows[:, other] == tokens[other]) + (1 - before) / V
            posterior /= posterior.sum()
            for b in range(V):
                # q(x_s = b | x_t, x_0) = q(x_t | x_s = b) q(x_s = b | x_0) / q(x_t | x_0).
                up = ratio * (tokens[site] == b) + (1 - ratio) / V
                down = after * (exact.rows[:, site] == b) + (1 - after) / V
                whole = before * (exact.rows[:, site] == tokens[site]) + (1 - before) / V
                assert law[site, b] == pytest.approx(float((posterior * up * down / whole).sum()), rel=1e-12)


def test_uniform_noise_is_taken_out_of_the_law_it_came_from():
    exact = Exact(2, uniform=True)
    seeds, steps = 600, 40
    counts = np.zeros(len(exact.rows))
    for seed in range(seeds):
        start = (uniforms(L, seed=seed, purpose="start") * V).astype(np.int64)
        row, walked = finished(unnoise(exact, start, settings("uniform", steps=steps), seed=seed))
        assert len(walked) == steps
        counts[int(row @ V ** np.arange(L)[::-1])] += 1
    distance = 0.5 * np.abs(counts / seeds - exact.law).sum()
    # Sites of one step are drawn apart from each other, which costs at most of the order 1 / steps.
    bound = 0.5 * np.sqrt(exact.law * (1 - exact.law) / seeds).sum() + 2 / math.sqrt(seeds)
    assert distance < bound + 2 / steps


def test_fixed_places_stay():
    start = np.array([0, 1, 2, 0])
    fixed = np.array([True, False, True, False])
    row, _ = finished(unnoise(Exact(uniform=True), start, settings("uniform", steps=8), seed=1, fixed=fixed))
    assert row[0] == 0
    assert row[2] == 2


@pytest.mark.parametrize("name", KEPT)
def test_schedules_of_kept_tokens_rise_to_1(name):
    shares = kept(name, 10)
    assert shares.shape == (11,)
    assert (np.diff(shares) > 0).all()
    assert shares[-1] == 1.0
    assert shares[0] <= 0.001 + 2**-40


def test_schedules_of_kept_tokens_are_their_formulas():
    t = np.arange(20, -1, -1) / 20
    for name, formula in (
        ("linear", 1 - t),
        ("cosine", np.cos(np.pi * t / 2)),
        ("log-linear", 1 - 0.999 * t),
        ("fourth-root", (1 - t) ** 0.25),
    ):
        # Rounded to multiples of 2^-40, and at least one.
        np.testing.assert_allclose(kept(name, 20), formula, rtol=0, atol=2**-40)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: settings(order="random"), "there is no order of decoding called 'random'"),
        (lambda: settings(steps=0), "at least 1 step"),
        (lambda: settings(steps=3, order="threshold"), "leave the number of steps out"),
        (lambda: settings(block=0), "at least 1 token long"),
        (lambda: settings(order="entropy-bounded", gamma=-1.0), "give a number of bits of at least 0"),
        (lambda: settings(order="threshold", threshold=1.5), "give a probability above 0"),
        (lambda: unmask(Exact(), np.array([0, 3]), seed=0), "each from 0 to 2 or -1 for the mask"),
        (lambda: unmask(Exact(), np.array([], int), seed=0), "at least one of them"),
        (lambda: unnoise(Exact(), ALL_MASKED, settings("uniform"), seed=0), "uniform noise knows no mask"),
        (lambda: unnoise(Exact(), ALL_MASKED, settings(), seed=0), "an order of decoding is for masks"),
        (lambda: unmask(Exact(), ALL_MASKED, settings("uniform"), seed=0), "these settings have none"),
        (lambda: kept("square", 3), "no schedule of noise on tokens called 'square'"),
        (lambda: kept("linear", 0), "number of steps is a whole number of at least 1"),
        (lambda: list(unmask(Exact(), ALL_MASKED, seed=-1)), "A seed is a whole number from 0"),
    ],
)
def test_settings_without_meaning_are_refused(call, sentence):
    with pytest.raises(smalti.UsageError, match=sentence):
        call()


def test_a_denoiser_that_gives_no_probabilities_is_told():
    with pytest.raises(smalti.SmaltiError, match="must return finite, non-negative float64 of shape"):
        list(unmask(Given([[np.nan, 1.0]] * 4), ALL_MASKED, seed=0))
