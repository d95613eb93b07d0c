"""Goodness of fit: rare alarms where the noise is a temperature, and alarms where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smalti.temperature.fit import goodness
from smalti.temperature.likelihood import Sites, fit, hazards


def sites_of(left: np.ndarray, gaps: np.ndarray) -> Sites:
    """Sites of runs (P, M) that leave their paths with gaps (P, L) at the places `left`; L stands for never."""
    prompts, length = gaps.shape
    places = np.arange(length)
    came = (left[:, :, None] >= places).sum(axis=1).reshape(-1, 1)
    gone = (left[:, :, None] == places).sum(axis=1).reshape(-1, 1)
    flat, none = gaps.reshape(-1, 1), np.zeros(prompts * length)
    return Sites(np.repeat(np.arange(prompts), length), np.tile(places, prompts), flat, none, none, came, gone)


def simulated(kind: str, seed: int) -> Sites:
    """20 prompts, 10 runs (bounded noise: 30), 24 places, two tokens at each."""
    generator = np.random.default_rng(seed)
    gaps = generator.exponential(1.0, (20, 24))
    shape = (20, 30 if kind == "bounded" else 10, 24)
    if kind == "gumbel":
        noise = generator.logistic(scale=0.1, size=shape)
    elif kind == "bounded":
        noise = generator.uniform(-0.3, 0.3, shape)
    else:  # two configurations, each always the same
        noise = generator.logistic(scale=0.1, size=(20, 2, 24))[:, generator.integers(0, 2, 10)]
    leaves = gaps[:, None] < noise
    left = np.where(leaves.any(axis=2), leaves.argmax(axis=2), 24)
    return sites_of(left, gaps)


def chance(kind: str, seed: int) -> float:
    found = simulated(kind, seed)
    p = goodness(found, fit(found, draws=100, seed=0).temperature, draws=199, seed=0).p
    assert p is not None
    return p


def test_a_temperature_fits() -> None:
    """40 times: with 5 % of alarms, seven or more have a chance of 4 in 1000."""
    assert sum(chance("gumbel", seed) < 0.05 for seed in range(40)) <= 6


@pytest.mark.parametrize("kind", ["bounded", "configurations"])
def test_noise_of_another_kind_does_not(kind: str) -> None:
    assert np.median([chance(kind, seed) for seed in range(9)]) < 0.05


def test_thirds_hold_all_runs_and_a_third_of_what_is_expected_each() -> None:
    found = simulated("gumbel", 0)
    temperature = fit(found, draws=100, seed=0).temperature
    fitted = goodness(found, temperature, draws=99, seed=0)
    assert sum(third.n for third in fitted.thirds) == found.came.sum()
    assert sum(third.observed * third.n for third in fitted.thirds) == pytest.approx(found.left.sum())
    hazard = 1 - np.exp(hazards(found, np.array([temperature]))[0][:, 0])
    expected = (hazard * found.came[:, 0]).sum()
    # A third ends within one site, of at most 10 runs, of its share.
    assert [third.predicted * third.n for third in fitted.thirds] == pytest.approx([expected / 3] * 3, abs=10)
    assert fitted.text == f"One temperature describes the noise (p = {fitted.p:.2g})."


def test_the_sentence_says_what_is_seen() -> None:
    found = simulated("bounded", 1)
    bounded = goodness(found, fit(found, draws=100, seed=0).temperature, draws=199, seed=0)
    ratios = [f"{third.observed / third.predicted:.2g}" for third in bounded.thirds]
    assert bounded.text == (
        f"One temperature does not describe this noise (p = {bounded.p:.2g}): answers leave the likeliest path "
        f"{ratios[0]}, {ratios[1]} and {ratios[2]} times as often as it predicts "
        "where leaving is rare, middling and common."
    )


def test_few_divergences_say_nothing() -> None:
    found = simulated("gumbel", 0)
    few = goodness(replace(found, left=np.minimum(found.left, 0)), 0.01, draws=99, seed=0)
    assert few.p is None
    assert not few.thirds
    assert few.text == "0 answers left the likeliest path: too few to say whether one temperature fits."
