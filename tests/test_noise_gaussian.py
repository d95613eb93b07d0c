"""Noise on the state grid: the table against independent formulas, the generator against its published definition."""

from __future__ import annotations

import hashlib
import itertools
from decimal import Decimal, localcontext

import numpy as np
import pytest
import scipy.stats

from smalti.errors import UsageError
from smalti.noise import STATE_LIMIT, STATE_UNITS, gaussian_state
from smalti.noise.gaussian import _inverted, _thresholds

HALVES = (np.arange(-STATE_LIMIT, STATE_LIMIT) + 0.5) / STATE_UNITS
"""Upper ends of the cells of k = -32767, ..., 32766, exact to 2**-50."""


def normal_cdf(numerator: int, denominator: int) -> Decimal:
    """Phi of a fraction to 60 digits: 1/2 + phi(x) (x + x^3 / 3 + x^5 / 15 + ...), positive terms only for x > 0."""
    with localcontext() as context:
        context.prec = 90
        x = abs(Decimal(numerator) / Decimal(denominator))
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534")
        term = total = x
        n = 1
        while term > Decimal(10) ** -80:
            n += 2
            term = term * x * x / n
            total += term
        upper = Decimal(1) / 2 + total * (-x * x / 2).exp() / (2 * pi).sqrt()
        return upper if numerator > 0 else 1 - upper


def test_every_threshold_is_the_nearest_whole_number() -> None:
    """Spread over the upper half and at the ends, against a 60-digit series: at most half a unit of 2**-64."""
    table = _thresholds()
    assert table.shape == (2 * STATE_LIMIT,)
    assert table.dtype == np.uint64
    chosen = [*range(0, STATE_LIMIT, 61), -STATE_LIMIT, -2, -1, 1, STATE_LIMIT - 1]
    for k in chosen:
        exact = normal_cdf(2 * k + 1, 2 * STATE_UNITS) * 2**64
        assert abs(int(table[k + STATE_LIMIT]) - exact) <= Decimal("0.5000001")


def test_table_is_the_distribution_function_of_scipy() -> None:
    """scipy's ndtr is good to a few units of the last place, 2**-52 relatively; allow 16 of them on values up to 1."""
    probability = _thresholds().astype(np.float64) / 2.0**64
    np.testing.assert_allclose(probability, scipy.stats.norm.cdf(HALVES), rtol=0, atol=16 * 2.0**-53)
    # In the lower tail the comparison is relative: half a unit of 2**-64 and scipy's own 1e-13 (at -8 it is 6e-16).
    tail = HALVES < -3
    np.testing.assert_allclose(probability[tail], scipy.stats.norm.cdf(HALVES[tail]), rtol=1e-13, atol=2.0**-64)


def test_cell_probabilities_are_those_of_rounded_normal_noise() -> None:
    """Exact differences of the thresholds against the density: P(k) = h phi(kh) (1 + (x^2 - 1) h^2 / 24 + ...)."""
    table = _thresholds()
    cells = np.diff(table).astype(np.float64) / 2.0**64
    x = np.arange(-STATE_LIMIT + 1, STATE_LIMIT) / STATE_UNITS
    h = 1 / STATE_UNITS
    expected = h * scipy.stats.norm.pdf(x) * (1 + (x * x - 1) * h * h / 24)
    # The next term of the series is (x^4 - 6x^2 + 3) h^4 / 1920 < 1e-14 relatively, the pdf has 1e-13 at |x| = 8 (an
    # error of 2**-53 in x^2 / 2 = 32), and each cell is a difference of two thresholds rounded to 2**-65.
    np.testing.assert_allclose(cells, expected, rtol=2e-13, atol=2.0**-64)


def test_table_is_symmetric_and_rising() -> None:
    table = [int(threshold) for threshold in _thresholds()]
    assert all(low + high == 2**64 for low, high in zip(table, reversed(table), strict=True))
    assert all(low < high for low, high in itertools.pairwise(table))
    # The lowest value takes the tail that clipping puts on it: Phi(-8.031) 2^64, about 8900 words of 2^64.
    assert 0 < table[0] < 10_000
    assert not _thresholds().flags.writeable


def philox_words(key: tuple[int, int], count: int) -> list[int]:
    """Philox4x64-10, from the paper (Salmon et al. 2011, section 3.3); the counter starts at 1, as NumPy's does."""
    mask = 2**64 - 1
    words: list[int] = []
    counter = 0
    while len(words) < count:
        counter += 1
        x0, x1, x2, x3 = counter, 0, 0, 0
        k0, k1 = key
        for _ in range(10):
            left, right = 0xD2E7470EE14C6C93 * x0, 0xCA5A826395121157 * x2
            x0, x1, x2, x3 = (right >> 64) ^ x1 ^ k0, right & mask, (left >> 64) ^ x3 ^ k1, left & mask
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
        words += [x0, x1, x2, x3]
    return words[:count]


def test_noise_is_inversion_of_philox_words() -> None:
    digest = hashlib.sha256(b"smalti/image/initial/37/2").digest()
    words = philox_words((int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")), 30)
    table = [int(threshold) for threshold in _thresholds()]
    expected = [sum(threshold <= word for threshold in table) - STATE_LIMIT for word in words]
    noise = gaussian_state((2, 5, 3), seed=37, purpose="image/initial", step=2)
    assert noise.dtype == np.int16
    assert noise.ravel().tolist() == expected


def test_a_word_at_a_threshold_belongs_above_it() -> None:
    """So that exactly T_k words of 2**64 give a value of at most k."""
    table = _thresholds()
    for k in (-STATE_LIMIT, -4080, -1, 0, 5000, STATE_LIMIT - 1):
        at = int(table[k + STATE_LIMIT])
        words = np.array([at - 1, at], dtype=np.uint64)
        assert _inverted(words).tolist() == [k, k + 1]
    assert _inverted(np.array([0, 2**64 - 1], dtype=np.uint64)).tolist() == [-STATE_LIMIT, STATE_LIMIT]


def test_stream_is_pinned() -> None:
    noise = gaussian_state((16, 16, 3), seed=0, purpose="image/initial")
    assert noise.ravel()[:8].tolist() == FIRST
    assert hashlib.sha256(noise.astype("<i2").tobytes()).hexdigest() == DIGEST


FIRST = [-5707, 2675, 428, -8869, -1683, 8640, 2371, -5859]
DIGEST = "009d6b48db481ba16e72e708d4759787c48951b215b893262e70202f09b75390"


def test_moments() -> None:
    """A million values of one stated seed; each bound is 4.5 standard errors (one in 150 000 seeds would fail one)."""
    count = 1_000_000
    z = gaussian_state((count,), seed=1, purpose="test/moments") / STATE_UNITS
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) <= 4.5 * (variance / count) ** 0.5
    # Kolmogorov-Smirnov: the discrete law is within half a cell, 0.5 h phi(0) = 5e-5, of the continuous one.
    distance = float(scipy.stats.kstest(z, "norm").statistic)
    assert distance <= scipy.stats.kstwo.ppf(1 - 1e-5, count) + 5e-5


def test_neighbouring_seeds_steps_and_purposes_are_independent() -> None:
    shape = (200, 200)
    base = gaussian_state(shape, seed=5, purpose="a", step=0).astype(np.float64)
    for other in (
        gaussian_state(shape, seed=6, purpose="a", step=0),
        gaussian_state(shape, seed=5, purpose="a", step=1),
        gaussian_state(shape, seed=5, purpose="b", step=0),
    ):
        # Correlation of 40 000 independent pairs: standard error 1/200.
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) <= 4.5 / 200


def test_noise_depends_on_seed_alone_and_larger_shapes_go_on() -> None:
    one = gaussian_state((4, 4, 3), seed=9, purpose="p")
    assert np.array_equal(one, gaussian_state((4, 4, 3), seed=np.int64(9), purpose="p"))  # pyright: ignore[reportArgumentType]
    assert np.array_equal(one.ravel(), gaussian_state((100,), seed=9, purpose="p")[:48])
    assert gaussian_state((0, 3), seed=0, purpose="p").shape == (0, 3)
    assert gaussian_state((), seed=0, purpose="p").shape == ()


@pytest.mark.parametrize("seed", [-1, 1.5, "3", None, True])
def test_seed_and_step_are_whole_numbers_from_0(seed: object) -> None:
    with pytest.raises(UsageError, match="A seed is a whole number from 0"):
        gaussian_state((2,), seed=seed, purpose="p")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="A step is a whole number from 0"):
        gaussian_state((2,), seed=0, purpose="p", step=seed)  # pyright: ignore[reportArgumentType]
