"""Hidden noise: names, laws, and the temperature each acts like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest, norm

from smalti.errors import UsageError
from smalti.temperature.noise import HiddenNoise, parse_noise

NAMES = ["none", "gumbel:0.03", "gaussian:0.1", "bounded:0.1", "batch:8x0.05", "gumbel:0.0", "gumbel:1e-05"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back(name: str) -> None:
    assert str(parse_noise(name)) == name
    assert parse_noise(str(parse_noise(name))) == parse_noise(name)


@pytest.mark.parametrize(
    "name",
    ["", "loud", "loud:1", "none:1", "gumbel:", "gumbel:-1", "gumbel:nan", "gumbel:8x0.1", "batch:0.1", "batch:x0.1"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"has no meaning: give none, gumbel:0\.03, .* or batch:8x0\.05"):
        parse_noise(name)


def test_values_without_meaning() -> None:
    with pytest.raises(UsageError, match=r"size 1001\.0 has no meaning: give 0 to 1000 nats"):
        parse_noise("gumbel:1001")
    with pytest.raises(UsageError, match="of 0 configurations has no meaning"):
        parse_noise("batch:0x0.1")
    with pytest.raises(UsageError, match="no hidden noise called 'loud'"):
        HiddenNoise("loud")  # pyright: ignore[reportArgumentType]


def test_gumbel_noise_is_temperature() -> None:
    """argmax(z + T g) is distributed as softmax(z / T): each share within 4.5 standard errors."""
    logits, temperature, count = np.array([0.0, -0.02, -0.05, -0.4]), 0.05, 200_000
    noisy = parse_noise(f"gumbel:{temperature}")(np.tile(logits, (count, 1)), np.random.default_rng(1))
    shares = np.bincount(noisy.argmax(axis=1), minlength=4) / count
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    assert (np.abs(shares - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / count)).all()


@pytest.mark.parametrize(
    ("name", "law"),
    [("gaussian:0.2", norm(scale=0.2).cdf), ("bounded:0.2", lambda x: np.clip((x + 0.2) / 0.4, 0.0, 1.0))],
)
def test_laws(name: str, law: object) -> None:
    noisy = parse_noise(name)(np.full((500, 40), 3.0), np.random.default_rng(2))
    assert kstest((noisy - 3.0).ravel(), law).pvalue > 1e-4


def test_none_changes_nothing_and_gumbel_0_adds_nothing() -> None:
    logits = np.array([[0.0, -np.inf, 2.0]])
    generator = np.random.default_rng(0)
    assert parse_noise("none")(logits, generator) is logits
    assert (parse_noise("gumbel:0")(logits, generator) == logits).all()
    assert np.isneginf(parse_noise("gaussian:1")(logits, generator)[0, 1])


def test_a_configuration_always_errs_in_the_same_way() -> None:
    noise = parse_noise("batch:8x0.05")
    logits = np.random.default_rng(0).normal(size=(6, 50))
    first = noise(logits, np.random.default_rng(1), [0, 1, 2, 7, 8, 9])
    again = noise(logits[::-1], np.random.default_rng(2), [9, 8, 7, 2, 1, 0])[::-1]
    assert (first == again).all()
    assert (noise(logits, np.random.default_rng(3), [8, 9, 10, 15, 0, 1]) == first).all()
    one = noise(logits, np.random.default_rng(3), 3)
    assert (one != first).all()
    errors = np.concatenate([noise(logits, np.random.default_rng(3), k) - logits for k in range(8)])
    assert kstest(errors.ravel(), norm(scale=0.05).cdf).pvalue > 1e-4


def expected_flips(upper: float, survival: object) -> float:
    """E[max(X, 0)], the integral of P(X > m) over margins m."""
    return quad(survival, 0.0, upper, limit=200)[0]  # pyright: ignore[reportArgumentType]


def test_equivalent_temperatures_flip_as_often() -> None:
    """With margins spread evenly near 0, the share of flips is that of the temperature: P(X > m) integrated over m."""
    temperature = expected_flips(60.0, lambda m: 1.0 / (1.0 + np.exp(m)))
    assert temperature == pytest.approx(np.log(2.0))
    gaussian = expected_flips(20.0, lambda m: norm.sf(m / np.sqrt(2.0)))
    bounded = expected_flips(2.0, lambda m: (2.0 - m) ** 2 / 8.0)
    assert parse_noise("gumbel:0.3").equivalent_temperature == 0.3
    assert parse_noise("gaussian:0.3").equivalent_temperature == pytest.approx(0.3 * gaussian / temperature)
    assert parse_noise("bounded:0.3").equivalent_temperature == pytest.approx(0.3 * bounded / temperature)
    assert parse_noise("batch:4x0.3").equivalent_temperature == pytest.approx(0.75 * 0.3 * gaussian / temperature)
    assert parse_noise("batch:1x0.3").equivalent_temperature == parse_noise("none").equivalent_temperature == 0.0
