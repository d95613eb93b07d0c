"""Schedules against their closed forms, written again here with the C library's functions and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.errors import UsageError
from smalti.noise import CLEAN, SCHEDULES, Level, RecordedSchedule, Schedule, schedule

# Levels are rounded to multiples of 2**-40, an error of at most 2**-41. The formulas below are evaluated in float64
# with a dozen roundings of at most 2**-53 each on values up to 1, and a square root of abar magnifies its error by
# 1 / (2 signal) <= 1 / (2 * 3e-5) < 2**15; so their own error stays below 12 * 2**-53 * 2**15 < 2**-34.
ROUNDING = 2.0**-41
FORMULA = 2.0**-34

TIMES = [1e-6, 1e-3, 0.05, 0.3, 0.5, 0.75, 0.95, 0.998, 1.0]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def signal_and_noise(name: str, t: float) -> tuple[float, float]:
    """The published definitions."""
    if name == "cosine":
        angle = t / 1.008 * math.pi / 2
        return math.cos(angle), math.sin(angle)
    if name == "offset-cosine":
        f = math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
        last = math.cos((0.999 + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
        abar = max(f, (1 - 0.999) * last)
    elif name == "linear":
        abar = math.exp(-(0.1 * t + (20 - 0.1) * t * t / 2))
    elif name == "sigmoid":
        low, high = logistic(-3), logistic(3)
        abar = max((high - logistic(-3 + 6 * t)) / (high - low), 1e-9)
    else:
        sigma = (0.002 ** (1 / 7) + t * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
        return 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
    return math.sqrt(abar), math.sqrt(1 - abar)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("time", TIMES)
def test_closed_form(name: str, time: float) -> None:
    level = schedule(name).level(time)
    signal, noise = signal_and_noise(name, time)
    # sqrt(1 - abar) at time 1e-6 has 1 - abar = 1e-7 (linear) at least, apart from offset-cosine (4e-8): the float64
    # formula magnifies its errors by 1 / (2 noise) <= 2500 < 2**15 there too.
    assert abs(level.signal - signal) <= ROUNDING + FORMULA
    assert abs(level.noise - noise) <= ROUNDING + FORMULA
    assert level.time == time


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 150])
def test_grid(name: str, steps: int) -> None:
    levels = schedule(name).grid(steps)
    assert len(levels) == steps
    assert levels[0] == schedule(name).level(1.0)
    for level in levels:
        assert level == schedule(name).level(level.time)
        assert 0 < level.signal <= 1
        assert 0 < level.noise <= 1
        # Both are within 2**-41 of values whose squares sum to 1, and both are at most 1.
        assert abs(level.signal**2 + level.noise**2 - 1) <= 2 * 2 * ROUNDING + 2**-80 + 3 * 2.0**-53
    log_snr = [level.log_snr for level in levels]
    times = [level.time for level in levels]
    assert log_snr == sorted(set(log_snr))
    assert times == sorted(set(times), reverse=True)
    assert log_snr[-1] < CLEAN.log_snr == math.inf
    if name != "edm":
        assert times == [i / steps for i in range(steps, 0, -1)]


@given(name=st.sampled_from(SCHEDULES), time=st.floats(0.0, 1.0, exclude_min=True))
def test_any_time_has_signal_and_noise_on_the_rounding_grid(name: str, time: float) -> None:
    level = schedule(name).level(time)
    for value in (level.signal, level.noise):
        assert value > 0
        assert (value * 2**40).is_integer()


@given(name=st.sampled_from(SCHEDULES), times=st.tuples(st.floats(1e-9, 1.0), st.floats(1e-9, 1.0)))
def test_noise_never_falls_with_time(name: str, times: tuple[float, float]) -> None:
    early, late = (schedule(name).level(time) for time in sorted(times))
    assert early.noise <= late.noise
    assert early.signal >= late.signal
    assert early.log_snr >= late.log_snr


def test_log_snr_is_twice_the_logarithm_of_signal_over_noise() -> None:
    for name in SCHEDULES:
        for level in schedule(name).grid(20):
            # float64: a division and a logarithm, each within an ulp of a value below 32, and the rounding to 2**-40.
            assert abs(level.log_snr - 2 * math.log(level.signal / level.noise)) <= ROUNDING + 2 * 2.0**-48


def test_offset_cosine_is_nichol_and_dhariwals_thousand_steps() -> None:
    """Their own recipe: betas from ratios of f, clipped at 0.999, and the running product of 1 - beta."""
    steps = 1000

    def f(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = np.array([min(1 - f((i + 1) / steps) / f(i / steps), 0.999) for i in range(steps)])
    abar = np.cumprod(1 - betas)
    levels = schedule("offset-cosine").grid(steps)[::-1]
    # A thousand factors, each within a few 2**-53 of theirs relatively; cos near pi/2 loses another 2**-53 / 1.6e-3.
    np.testing.assert_allclose([level.signal for level in levels], np.sqrt(abar), rtol=1e-10, atol=ROUNDING)
    assert levels[-1].signal == pytest.approx(4.93e-5, rel=1e-3)


def test_linear_is_the_limit_of_ddpms_thousand_steps() -> None:
    betas = np.linspace(1e-4, 0.02, 1000)
    log_abar = np.cumsum(np.log1p(-betas))
    ours = np.array([2 * math.log(schedule("linear").level((i + 1) / 1000).signal) for i in range(1000)])
    # -log(1 - b) exceeds b by at most b^2 / (2 (1 - b)); and the sum of the betas exceeds the integral of a line by at
    # most half the rise of beta, 0.01, plus the shift of their grid (999 gaps instead of 1000), at most another half.
    bound = np.cumsum(betas**2 / (2 * (1 - betas))) + 0.02
    assert (np.abs(log_abar - ours) <= bound).all()


def test_edm_grid_is_karras_et_al_equation_5() -> None:
    steps = 18
    i = np.arange(steps)
    sigmas = (80 ** (1 / 7) + i / (steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    ours = np.array([level.noise / level.signal for level in schedule("edm").grid(steps)])
    # Absolute rounding 2**-41 of noise and signal against values of at least 0.002 and 0.0125: relative 3e-10.
    np.testing.assert_allclose(ours, sigmas, rtol=1e-9)
    assert ours[0] == pytest.approx(80, rel=1e-9)
    assert ours[-1] == pytest.approx(0.002, rel=1e-9)


def test_levels_are_pinned() -> None:
    """Exact values, so that a change of a single bit in any of them is noticed."""
    middle = {name: schedule(name).level(0.5) for name in SCHEDULES}
    assert {name: (round(level.signal * 2**40), round(level.noise * 2**40)) for name, level in middle.items()} == PINNED


PINNED = {
    "cosine": (782303224205, 772610823774),
    "offset-cosine": (772670866110, 782243921216),
    "linear": (309163846968, 1055150953818),
    "sigmoid": (777472127994, 777472127994),
    "edm": (406215688200, 1021721407369),
}


@pytest.mark.parametrize("steps", [0, -3, 2.5, "20", True, None])
def test_steps_must_be_a_whole_number_from_1(steps: object) -> None:
    for name in SCHEDULES:
        with pytest.raises(UsageError, match=r"^The number of steps is a whole number of at least 1, but it is .*\.$"):
            schedule(name).grid(steps)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("time", [0.0, -0.1, 1.5, math.nan, math.inf])
def test_time_outside_of_its_range(time: float) -> None:
    for name in SCHEDULES:
        if name == "edm" and time == 0.0:
            continue
        with pytest.raises(UsageError, match=rf"^The {name} schedule has levels at times .*\.$"):
            schedule(name).level(time)


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(UsageError, match=r"'cosin'.*cosine, offset-cosine, linear, sigmoid, edm"):
        schedule("cosin")
    assert SCHEDULES == ("cosine", "offset-cosine", "linear", "sigmoid", "edm")


def test_recorded_schedule_gives_back_its_levels() -> None:
    levels = schedule("cosine").grid(7)
    recorded = RecordedSchedule("cosine", levels)
    assert recorded.grid(7) == levels
    assert recorded.level(levels[3].time) == levels[3]
    assert isinstance(recorded, Schedule)
    assert isinstance(schedule("cosine"), Schedule)
    with pytest.raises(UsageError, match="has 7 levels, not 8"):
        recorded.grid(8)
    with pytest.raises(UsageError, match=r"no level at time 0\.123"):
        recorded.level(0.123)
    with pytest.raises(UsageError, match="at least one level"):
        RecordedSchedule("cosine", ())
    with pytest.raises(UsageError, match="noise above 0"):
        RecordedSchedule("cosine", (CLEAN,))


@pytest.mark.parametrize(
    "values", [(0.5, 0.0, 1.0), (0.5, math.nan, 0.5), (2.0, 0.5, 0.5), (0.5, 1.5, 0.5), (0.5, 0.5, -1)]
)
def test_a_level_without_meaning_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="A noise level needs"):
        Level(*values)
