"""Powers and logarithms of two against the C library's, and the whole-number weights against exact powers.

The library's `exp2` and `log2` are within one unit in the last place (ulp) of the truth, so an answer within n ulp of
theirs is within n + 1 of the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smalti.engine.arithmetic import exp2, exp2_fraction, integer_weights, log2
from smalti.engine.naive import centred

Values = NDArray[np.float64]


def ulps(found: Values, function: Callable[[float], float], x: Values) -> float:
    """The largest distance of `found` from function(x), in units in the last place of the latter."""
    expected = np.array([function(v) for v in x.tolist()])
    unit = np.spacing(np.abs(expected))
    return float((np.abs(found - expected) / unit).max())


def spread(low: float, high: float) -> Values:
    """Some thousands of numbers of an interval: even, random, and those nearest to both ends."""
    near = np.ldexp(1.0, -np.arange(1, 50)) * (high - low)
    rng = np.random.default_rng(1)
    return np.concatenate([np.linspace(low, high, 4001), rng.uniform(low, high, 20000), low + near, high - near])


def test_powers_of_fractions_are_within_two_units() -> None:
    x = spread(0.0, 1.0)
    x = x[x < 1]
    assert ulps(exp2_fraction(x), math.exp2, x) <= 1


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-60, 60), (-1021, 1023)])
def test_powers_are_within_two_units(low: float, high: float) -> None:
    x = spread(low, high)
    x = x[x < 1023.5]
    assert ulps(exp2(x), math.exp2, x) <= 1


def test_powers_of_whole_numbers_are_exact() -> None:
    n = np.arange(-1074, 1024)
    assert np.array_equal(exp2(n), np.ldexp(1.0, n))


def test_powers_far_below_are_zero() -> None:
    assert exp2([-1080.0, -3000.0, -1e300]).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 2), (0.99, 1.01), (1 - 1e-9, 1 + 1e-9), (1e-300, 1e-3), (1, 2.0**60), (1e3, 1e308)]
)
def test_logarithms_are_within_five_units(low: float, high: float) -> None:
    """Near 1 the quotient, its square, the series and two products each round: 4 ulp at most were seen."""
    x = spread(low, high)
    x = x[x != 1]
    assert ulps(log2(x), math.log2, x) <= 4


def test_logarithms_have_a_relative_error_below_half_a_part_in_two_to_the_fifty() -> None:
    x = np.exp2(spread(-50, 50))
    x = x[x != 1]
    expected = np.array([math.log2(v) for v in x.tolist()])
    assert np.abs(log2(x) / expected - 1).max() <= 2.0**-51


def test_logarithms_of_powers_are_exact() -> None:
    n = np.arange(-1074, 1024)
    assert np.array_equal(log2(np.ldexp(1.0, n)), n)


@given(st.floats(-500, 500))
@example(0.0)
@example(1.0)
def test_logarithm_undoes_power(x: float) -> None:
    """2 ulp of the power are 2 * 2^-52 / ln 2 = 6.5e-16 of its logarithm, and 5 ulp of the logarithm at most 5 * 2^-52
    |x|.
    """
    assert abs(float(log2(exp2(x))) - x) <= 6.5e-16 + 5 * 2.0**-52 * abs(x)


def test_scalars_and_shapes_are_kept() -> None:
    assert exp2(3).shape == log2(8).shape == ()
    assert exp2(np.zeros((2, 3, 4))).shape == log2(np.ones((2, 3, 4))).shape == (2, 3, 4)


# ----------------------------------------------------------------------------------------------------------- weights

SPANS = st.one_of(st.integers(16, 300), st.integers(300, 2**31), st.integers(2**31, 2**60))


@st.composite
def scored(draw: st.DrawFn) -> tuple[list[int], int]:
    span = draw(SPANS)
    reach = min(20 * span, 2**61)
    return draw(st.lists(st.integers(-reach, reach), min_size=1, max_size=50)), span


@given(scored())
def test_weights_are_powers_of_two(problem: tuple[list[int], int]) -> None:
    """w = trunc(2^(15 + 15 r / G)) up to the float32 way there.

    The exponent goes through float32 three times (r, 15 / G, their product), each within a relative 2^-24 of at most
    15: 3 * 15 * 2^-24 * ln 2 =
    1.9e-6 of the weight. The polynomial is within 9e-8 of 2^r with its rounding. Cutting takes away less than 1; the
    cap at 2^30 - 1 no more.
    """
    scores, span = problem
    place, weight, steps = integer_weights(np.array(scores, np.int64), span)
    for e, n, w, log in zip(scores, place.tolist(), weight.tolist(), steps.tolist(), strict=True):
        assert n == e // span
        exponent = 15 * ((e % span) / span)  # Python's quotient of whole numbers is correctly rounded
        true = math.exp2(15 + exponent)
        assert true * (1 - 2e-6) - 1 < w <= true * (1 + 2e-6)
        assert 2**15 <= w < 2**30
        # Half a step for rounding, and 15 * 4096 * 3 * 2^-24 = 0.011 steps for the exponent.
        assert abs(log / 4096 - exponent) <= 0.52 / 4096


@given(scored())
def test_weights_do_not_fall_with_the_score(problem: tuple[list[int], int]) -> None:
    """As whole numbers w 2^(15 n), across places."""
    scores, span = problem
    ordered = sorted({s + d for s in scores for d in (-1, 0, 1)})
    place, weight, steps = integer_weights(np.array(ordered, np.int64), span)
    low = int(place.min())
    absolute = [w << 15 * (n - low) for n, w in zip(place.tolist(), weight.tolist(), strict=True)]
    assert absolute == sorted(absolute)
    logs = [s + 15 * 4096 * n for n, s in zip(place.tolist(), steps.tolist(), strict=True)]
    assert logs == sorted(logs)


@pytest.mark.parametrize("span", [16, 17, 100, 1000, 4097, 2**20 + 1])
def test_weights_do_not_fall_over_two_whole_places(span: int) -> None:
    scores = np.arange(-span, span, dtype=np.int64)
    place, weight, _ = integer_weights(scores, span)
    absolute = weight << 15 * (place + 1)
    assert (np.diff(absolute) >= 0).all()
    assert place[0] == -1
    assert weight[0] == weight[span] == 2**15


def test_weights_do_not_fall_for_any_exponent() -> None:
    """Every span: with G = 15 * 2^k the exponent is r 2^-k, rounded to float32. All 117 million values in [1/1024, 15)
    are looked at.
    """
    bits = [int(np.float32(v).view(np.int32)) for v in (2.0**-10, 15.0)]
    last = 2**15
    for begin in range(bits[0], bits[1], 1 << 21):
        f = np.arange(begin, min(begin + (1 << 21), bits[1]), dtype=np.int32).view(np.float32)
        # As a score of the span 15 * 2^33, exact for these values of at most 24 bits from 2^-33 on.
        scores = np.rint(f.astype(np.float64) * 2.0**33).astype(np.int64)
        place, weight, _ = integer_weights(scores, 15 * 2**33)
        assert (place == 0).all()
        assert weight[0] >= last
        assert (np.diff(weight) >= 0).all()
        last = int(weight[-1])
    assert last < 2**30


def test_pixels_are_centred() -> None:
    q = centred(np.arange(256, dtype=np.uint8))
    assert q.tolist() == list(range(-255, 256, 2))
