"""A network's answer becomes the clean estimate, whatever it was trained to return and however it is told the noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti import DDIM, Ideal, ImageCorpus, InputError, Level, UsageError, schedule
from smalti.networks import (
    Clock,
    ContinuousTime,
    DiscreteTime,
    NetworkMachine,
    Predicts,
    SigmaTime,
    TrainedOn,
    clean_estimate,
)
from smalti.noise import SCHEDULES, gaussian_state
from smalti.sampling.ddim import state_of

# Rounding of one float32 number, as a share of it.
ROUNDED = 2.0**-24
ABAR = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
LEVELS = [schedule("cosine").level(t) for t in (0.05, 0.3, 0.5, 0.8, 1.0)]


class IdealNetwork:
    """The ideal machine as a network that returns noise, clean picture or v, and is asked by any clock."""

    def __init__(self, corpus: ImageCorpus, predicts: Predicts, clock: Clock, level: Level) -> None:
        self.machine, self.predicts, self.clock, self.level = Ideal(corpus), predicts, clock, level

    def __call__(self, x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        a, s = self.level.signal, self.level.noise
        assert (time == np.float32(self.clock.time(self.level))).all()
        state = state_of(x.astype(np.float64).transpose(0, 2, 3, 1) / self.clock.factor(self.level))
        mean = self.machine(state, self.level).mean
        eps = (state / 4080 - a * mean) / s
        answer = {"clean": mean, "noise": eps, "v": a * eps - s * mean}[self.predicts]
        return answer.transpose(0, 3, 1, 2).astype(np.float32)


def machine_of(corpus: ImageCorpus, predicts: Predicts, clock: Clock, level: Level) -> NetworkMachine:
    return NetworkMachine(IdealNetwork(corpus, predicts, clock, level), corpus, predicts=predicts, clock=clock)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: str(level.time))
@pytest.mark.parametrize("predicts", ["noise", "clean", "v"])
@pytest.mark.parametrize("clock", [ContinuousTime(), DiscreteTime(ABAR), SigmaTime()], ids=lambda c: type(c).__name__)
def test_all_parametrisations_and_clocks_give_the_same_mean(
    few_digits: ImageCorpus, predicts: Predicts, clock: Clock, level: Level
) -> None:
    state = gaussian_state((3, 8, 8, 1), seed=1, purpose="test")
    expected = Ideal(few_digits)(state, level)
    found = machine_of(few_digits, predicts, clock, level)(state, level)
    # What float32 loses of the network's answer, and a hundred units in the last place of float64 for the rest.
    a, s, x = level.signal, level.noise, np.abs(state / 4080)
    answer = {"noise": np.abs(expected.noise), "clean": np.abs(expected.mean), "v": (a * x + np.abs(expected.mean)) / s}
    lost = {"noise": s / a, "clean": 1.0, "v": s}[predicts] * answer[predicts] * ROUNDED
    assert (np.abs(found.mean - expected.mean) <= lost + 100 * 2.0**-53 * (1.0 + x / a)).all()
    assert found.level == level
    assert np.isnan(found.evidence).all()


@pytest.mark.parametrize("predicts", ["noise", "clean", "v"])
def test_the_formulas_undo_each_other(predicts: Predicts) -> None:
    level = Level(0.5, 0.6, 0.8)
    clean, eps = np.random.default_rng(0).normal(size=(2, 5))
    answer = {"clean": clean, "noise": eps, "v": 0.6 * eps - 0.8 * clean}[predicts]
    assert np.allclose(clean_estimate(0.6 * clean + 0.8 * eps, answer, level, predicts), clean, rtol=0, atol=1e-14)


def test_one_state_is_a_batch_of_one(few_digits: ImageCorpus) -> None:
    machine = machine_of(few_digits, "noise", ContinuousTime(), LEVELS[2])
    state = gaussian_state((1, 8, 8, 1), seed=1, purpose="test")
    assert np.array_equal(machine(state[0], LEVELS[2]).mean, machine(state, LEVELS[2]).mean[0])


@pytest.mark.parametrize("predicts", ["clean", "v"])
def test_the_sampler_drives_a_network_as_it_drives_a_machine(few_digits: ImageCorpus, predicts: Predicts) -> None:
    class Asked(IdealNetwork):
        def __call__(self, x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
            self.level = schedule("cosine").level(round(float(time[0]), 6))
            return super().__call__(x, time)

    network = Asked(few_digits, predicts, ContinuousTime(), LEVELS[0])
    machine = NetworkMachine(network, few_digits, predicts=predicts, clock=ContinuousTime(), name="ideal-network")
    trace = DDIM(machine, steps=20)(seeds=range(4))
    # The last estimate is an item of the corpus, which float32 cannot move by a grey level.
    assert np.array_equal(trace.images, DDIM(Ideal(few_digits), steps=20)(seeds=range(4)).images)
    assert trace.settings["machine"] == "ideal-network"
    assert trace.settings["patch_sizes"] is None
    assert trace.corpus_digest == few_digits.digest


def test_estimates_are_cut_where_a_pipeline_cuts_them() -> None:
    def three(x: NDArray[np.float32], time: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full_like(x, 3.0)

    trained = TrainedOn("", (4, 4), 1)
    state = np.zeros((4, 4, 1), np.int16)
    for limits, expected in ((None, 3.0), ((-1.0, 1.0), 1.0)):
        machine = NetworkMachine(three, trained, predicts="clean", clock=SigmaTime(), limits=limits)
        assert (machine(state, LEVELS[1]).mean == expected).all()


# Clocks


@pytest.mark.parametrize("name", SCHEDULES)
def test_time_on_the_own_schedule_is_exact(name: str) -> None:
    clock = ContinuousTime(name)
    for level in schedule(name).grid(20):
        assert clock.time(level) == level.time


def test_a_time_that_the_own_schedule_lacks_is_found_by_its_ratio() -> None:
    # EDM's least noise is a level at time 0, where the linear schedule has none.
    least = schedule("edm").grid(2)[-1]
    assert least.time == 0.0
    found = ContinuousTime("linear").time(least)
    assert abs(schedule("linear").level(found).log_snr - least.log_snr) < 1e-3


def test_time_of_another_schedule_is_that_of_equal_ratio() -> None:
    clock = ContinuousTime("cosine", unit=999.0)
    for level in schedule("linear").grid(7)[2:]:
        # abar = cos^2(t / 1.008 pi / 2)
        expected = 1.008 * math.acos(level.signal) * 2.0 / math.pi
        assert abs(clock.time(level) / 999.0 - expected) < 1e-9


def test_a_level_beyond_the_schedule_is_refused() -> None:
    with pytest.raises(UsageError, match="trained with the cosine schedule, which has no level with signal"):
        ContinuousTime("cosine").time(schedule("sigmoid").level(1.0))


def test_a_discrete_clock_meets_its_own_levels_exactly() -> None:
    clock = DiscreteTime(ABAR, name="ddpm")
    for steps in (1, 7, 20, 1000):
        grid = clock.grid(steps)
        indices = [clock.time(level) for level in grid]
        assert indices == [round(1000 * i / steps) - 1 for i in range(steps, 0, -1)]
        for level, index in zip(grid, indices, strict=True):
            assert abs(level.signal**2 - ABAR[int(index)]) < 1e-11
            assert clock.level(level.time) == level


def test_a_discrete_clock_takes_the_nearest_step() -> None:
    clock = DiscreteTime(ABAR)
    ratio = np.log(ABAR / (1.0 - ABAR))
    for level in LEVELS:
        assert clock.time(level) == np.abs(ratio - level.log_snr).argmin()


def test_a_discrete_clock_with_an_end_in_pure_noise() -> None:
    clock = DiscreteTime([0.9, 0.5, 0.0])
    assert [clock.time(level) for level in clock.grid(3)] == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("abar", [[], [1.0, 0.5], [0.5, 0.6], [0.5, math.nan], [[0.5]], [0.5, -0.1]])
def test_training_steps_that_are_none_are_refused(abar: Any) -> None:
    with pytest.raises(InputError, match="abar, the squared signal"):
        DiscreteTime(abar)


def test_levels_outside_of_the_training_steps_are_refused() -> None:
    clock = DiscreteTime(ABAR[300:600])
    for level in (LEVELS[0], LEVELS[-1]):
        with pytest.raises(UsageError, match="trained on 300 levels, and none is near"):
            clock.time(level)
    with pytest.raises(UsageError, match="trained on 300 levels, and 301 steps are more"):
        clock.grid(301)
    with pytest.raises(UsageError, match="above 0 and up to 1, but the time is 0"):
        clock.level(0.0)


# Refusals

Call = Callable[[NDArray[np.float32], NDArray[np.float32]], Any]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda x, time: x[:, :, :3], r"must return numbers of the same shape, but it returned float32 of shape"),
        (lambda x, time: x.astype(np.int32), r"must return numbers of the same shape, but it returned int32"),
        (lambda x, time: np.full_like(x, np.nan), r"not finite at time 0\.3"),
    ],
)
def test_answers_of_no_use_are_refused(answer: Call, sentence: str) -> None:
    machine = NetworkMachine(answer, TrainedOn("", (4, 4), 1), predicts="clean", clock=SigmaTime())
    with pytest.raises(InputError, match=sentence):
        machine(np.zeros((4, 4, 1), np.int16), LEVELS[1])


def test_settings_without_meaning_are_refused() -> None:
    trained = TrainedOn("", (4, 4), 1)
    with pytest.raises(UsageError, match="predicts noise, clean or v, but predicts is 'score'"):
        NetworkMachine(lambda x, time: x, trained, predicts="score", clock=SigmaTime())  # pyright: ignore[reportArgumentType]
    machine = NetworkMachine(lambda x, time: x, trained, predicts="clean", clock=SigmaTime(), multiple=4)
    with pytest.raises(UsageError, match="multiples of 4, not 6x4"):
        DDIM(machine, steps=2)(seeds=[0], size=(4, 6))
    for state in (np.zeros((4, 4, 3), np.int16), np.zeros((4, 4, 1)), np.zeros((4, 4), np.int16)):
        with pytest.raises(InputError, match=r"takes int16 states of shape \(H, W, 1\)"):
            machine(state, LEVELS[1])  # pyright: ignore[reportArgumentType]
