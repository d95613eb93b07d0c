"""The sampler against its formula written out per value in Python floats, and its independence of batches."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.errors import InputError, UsageError
from smalti.noise import CLEAN, Level, RecordedSchedule, gaussian_state, schedule
from smalti.sampling import DDIM
from smalti.sampling.ddim import pixels_of, state_of
from two_items import Patches, TwoItemMachine, TwoItemPosterior, two_pictures


def test_first_state_is_the_seeds_noise_and_levels_follow_each_other() -> None:
    machine = TwoItemMachine(two_pictures())
    sampler = DDIM(machine, steps=6)
    walk = sampler.run([3, 11])
    assert len(walk) == 6
    steps = list(walk)
    for place, seed in enumerate([3, 11]):
        assert np.array_equal(steps[0].state[place], gaussian_state((5, 4, 3), seed=seed, purpose="image/initial"))
    assert [step.index for step in steps] == list(range(6))
    assert tuple(step.level for step in steps) == schedule("cosine").grid(6) == sampler.levels
    assert [step.next_level for step in steps] == [*sampler.levels[1:], CLEAN]
    for step, following in itertools.pairwise(steps):
        assert following.state is step.next_state
    assert not steps[0].state.flags.writeable
    assert not steps[0].next_state.flags.writeable


def test_each_step_is_the_formula() -> None:
    """Every value of every step, in Python floats (IEEE float64, one operation at a time)."""
    machine = TwoItemMachine(two_pictures(3, 3, 1))
    for step in DDIM(machine, steps=5, schedule="linear").run(range(2)):
        a, s, next_a, next_s = step.level.signal, step.level.noise, step.next_level.signal, step.next_level.noise
        pairs = zip(step.state.ravel().tolist(), step.posterior.mean.ravel().tolist(), strict=True)
        expected = []
        for state, mean in pairs:
            epsilon = (state / 4080 - a * mean) / s
            expected.append(max(-32767, min(32767, round(4080 * (next_a * mean + next_s * epsilon)))))
        assert step.next_state.ravel().tolist() == expected


def test_the_finished_picture_is_the_last_posterior_mean() -> None:
    sampler = DDIM(TwoItemMachine(two_pictures()), steps=4)
    *_, last = sampler.run([0, 1])
    trace = sampler([0, 1])
    assert np.array_equal(trace.means, last.posterior.mean)
    assert np.array_equal(trace.images, np.rint((255 * last.posterior.mean + 255) / 2))
    assert np.array_equal(trace.estimates[:, -1], trace.images)
    assert np.array_equal(last.next_state, state_of(last.posterior.mean))


def test_the_ideal_machine_of_two_items_ends_at_an_item() -> None:
    """At the last of 20 cosine levels, s = 0.078, the items' separation makes the other item's weight vanish."""
    pictures = two_pictures()
    trace = DDIM(TwoItemMachine(pictures))(range(12))
    found = {next(k for k in (0, 1) if np.array_equal(image, pictures[k])) for image in trace.images}
    assert found == {0, 1}


def test_one_step_goes_from_noise_to_the_posterior_mean() -> None:
    trace = DDIM(TwoItemMachine(two_pictures()), steps=1)([7])
    assert trace.states.shape == (1, 1, 5, 4, 3)
    assert np.array_equal(trace.images, pixels_of(trace.means))


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 16])
def test_a_sample_does_not_depend_on_its_batch(batch: int) -> None:
    machine = TwoItemMachine(two_pictures())
    sampler = DDIM(machine, steps=7)
    seeds = [4, 0, 9, 2, 31]
    together = sampler(seeds)
    assert machine.calls == 7
    machine.calls = 0
    cut = sampler(seeds, batch=batch)
    assert machine.calls == 7 * math.ceil(len(seeds) / batch)
    assert cut.to_bytes() == together.to_bytes()
    alone = sampler([9])[0]
    sample = together.of_seed(9)
    for name in ("image", "states", "estimates", "mean"):
        assert np.array_equal(getattr(sample, name), getattr(alone, name))


def test_walking_again_gives_the_same_steps_and_is_lazy() -> None:
    machine = TwoItemMachine(two_pictures())
    walk = DDIM(machine, steps=5).run([0])
    first = next(iter(walk))
    assert machine.calls == 1
    again = list(walk)
    assert np.array_equal(first.next_state, again[0].next_state)
    assert len(again) == 5


def test_recorded_levels_give_the_same_bytes() -> None:
    machine = TwoItemMachine(two_pictures())
    sampler = DDIM(machine, steps=9, schedule="sigmoid")
    recorded = DDIM(machine, steps=9, schedule=RecordedSchedule("sigmoid", sampler.levels))
    assert recorded(range(3)).to_bytes() == sampler(range(3)).to_bytes()


def test_settings_tell_what_decided_the_samples() -> None:
    sampler = DDIM(TwoItemMachine(two_pictures(), label="boats"), steps=3)
    assert sampler.settings() == {
        "sampler": "ddim",
        "schedule": "cosine",
        "machine": "two-item",
        "label": "boats",
        "patch_sizes": [Patches().at(level) for level in sampler.levels],
    }


@given(st.lists(st.floats(-20, 20), min_size=1))
def test_state_grid_rounds_to_the_nearest_and_clips(values: list[float]) -> None:
    x = np.array(values)
    state = state_of(x)
    assert state.dtype == np.int16
    inside = np.abs(x) < 32767 / 4080
    assert (np.abs(state[inside] / 4080 - x[inside]) <= 0.5 / 4080 + 1e-12).all()
    assert (state[x >= 32767 / 4080] == 32767).all()
    assert (state[x <= -32767 / 4080] == -32767).all()


def test_clipping_of_the_state_within_a_walk() -> None:
    """A machine that answers -1 to a state far above pushes the noise prediction, and so the state, beyond the grid."""

    class Contrary(TwoItemMachine):
        def __call__(self, state: Any, level: Level) -> TwoItemPosterior:
            return TwoItemPosterior(mean=-np.sign(state).astype(np.float64), weight=np.zeros((len(state), 1, 1, 1)))

    sampler = DDIM(Contrary(two_pictures()), steps=2, schedule=RecordedSchedule("made up", (
        Level(time=1.0, signal=0.9, noise=0.05), Level(time=0.5, signal=0.1, noise=0.99),
    )))  # fmt: skip
    first, _ = sampler.run([0])
    assert set(np.unique(first.next_state)) <= {-32767, 0, 32767}
    assert np.array_equal(np.sign(first.next_state), np.sign(first.state))


def test_every_pixel_value_survives() -> None:
    values = np.arange(256)
    assert np.array_equal(pixels_of((2 * values - 255) / 255), values)
    assert pixels_of(np.array([-1.5, 1.5])).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ([], "At least one seed is needed, but none was given."),
        ([1, 2, 1], "Each seed gives one picture, but seed 1 is asked for more than once."),
        ([0, -4], "A seed is a whole number from 0, but it is -4."),
        ([1.5], "A seed is a whole number from 0, but it is 1.5."),
        ([True], "A seed is a whole number from 0, but it is True."),
    ],
)
def test_seeds_without_meaning(seeds: list[Any], sentence: str) -> None:
    sampler = DDIM(TwoItemMachine(two_pictures()), steps=2)
    for call in (sampler, sampler.run):
        with pytest.raises(UsageError) as error:
            call(seeds)
        assert str(error.value) == sentence


def test_sizes_and_batches_without_meaning() -> None:
    sampler = DDIM(TwoItemMachine(two_pictures()), steps=2)
    with pytest.raises(UsageError, match=r"makes pictures of size \(5, 4\), not \(8, 8\)"):
        sampler([0], (8, 8))
    with pytest.raises(UsageError, match="at least 1x1 pixels, but the size asked for is 4x0"):
        sampler([0], (0, 4))
    with pytest.raises(UsageError, match="A batch holds at least 1 seed, but the batch size is 0"):
        sampler([0], batch=0)
    with pytest.raises(UsageError, match="number of steps"):
        DDIM(TwoItemMachine(two_pictures()), steps=0)
    with pytest.raises(UsageError, match="no schedule called 'cubic'"):
        DDIM(TwoItemMachine(two_pictures()), schedule="cubic")


@pytest.mark.parametrize("fault", ["nan", "shape", "dtype"])
def test_a_faulty_machine_is_named(fault: str) -> None:
    class Faulty(TwoItemMachine):
        def __call__(self, state: Any, level: Level) -> TwoItemPosterior:
            mean = super().__call__(state, level).mean
            broken = {"nan": mean * np.nan, "shape": mean[..., :1], "dtype": mean.astype(np.float32)}[fault]
            return TwoItemPosterior(mean=broken, weight=np.zeros(1))

    with pytest.raises(InputError, match="The machine 'two-item' must return a finite float64 mean of shape"):
        DDIM(Faulty(two_pictures()), steps=2)([0])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda state: None, r"finite float64 mean of shape \(1, .*, but at time 1.0 it returned NoneType without one"),
        (lambda state: state, "it returned ndarray without one"),  # an array has a mean, but as a method
        (lambda state: state["x"], r"failed when it was asked \(IndexError: .*see that it takes int16 states of shape"),
    ],
)
def test_what_is_no_machine_is_said_in_a_sentence(answer: Any, sentence: str) -> None:
    class Odd(TwoItemMachine):
        def __call__(self, state: Any, level: Level) -> Any:
            return answer(state)

    with pytest.raises(InputError, match=sentence):
        DDIM(Odd(two_pictures()), steps=2)([0])
