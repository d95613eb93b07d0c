"""Every question the engine refuses, each in one sentence, before the kernel sees it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems import level
from smalti.engine import Exclusion, Query, native
from smalti.engine.posterior import window_energy
from smalti.errors import InputError, SmaltiError, UsageError
from smalti.noise import CLEAN, Level
from smalti.window import Admission, border_axis, inside_axis, local_axis

IMAGES = np.arange(3 * 5 * 6 * 3, dtype=np.uint8).reshape(3, 5, 6, 3)
STATES = np.arange(2 * 5 * 6 * 3, dtype=np.int16).reshape(2, 5, 6, 3) * 50


def local(half: int = 1) -> Admission:
    return Admission(half, "zero", ((local_axis(5, 5)[0], local_axis(6, 6)[0]),))


def query(**changes: Any) -> Query:
    return Query(**{"images": IMAGES, "states": STATES, "admission": local(), "level": level(0.6)} | changes)


WHOLE = Admission(0, "zero", (), "same-place")
IMAGES_SENTENCE = "corpus images must be a C-contiguous uint8 array of shape (N, H, W, C)"
STATES_SENTENCE = "states must be an int16 array of shape (B, H, W, C) with the corpus's channels"


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"images": IMAGES.astype(np.int16)}, InputError, IMAGES_SENTENCE),
        ({"images": IMAGES[0]}, InputError, IMAGES_SENTENCE),
        ({"images": IMAGES[:, ::2]}, InputError, IMAGES_SENTENCE),
        ({"images": np.asfortranarray(IMAGES)}, InputError, IMAGES_SENTENCE),
        ({"images": IMAGES[:0]}, InputError, "the corpus has no items"),
        ({"images": IMAGES[..., :2].copy()}, InputError, "pictures have 1, 3 or 4 channels, not 2"),
        ({"states": STATES.astype(np.int32)}, InputError, STATES_SENTENCE),
        ({"states": STATES / 4080}, InputError, STATES_SENTENCE),
        ({"states": STATES[0]}, InputError, STATES_SENTENCE),
        ({"states": STATES[..., :1]}, InputError, STATES_SENTENCE),
        ({"states": STATES[:0]}, InputError, "there are no states to ask about"),
        ({"states": STATES[:, :0]}, InputError, "there are no states to ask about"),
        (
            {"states": np.where(STATES == 0, -32768, STATES).astype(np.int16)},
            InputError,
            "state values must lie within +-32767 units of 1/4080",
        ),
        (
            {"level": CLEAN},
            UsageError,
            "a machine needs a level with some signal (above 0, at most 1) and some noise (above 0), "
            "not signal 1 and noise 0",
        ),
        ({"exclusions": (Exclusion(),)}, UsageError, "give one exclusion for each state, or none"),
        ({"exclusions": (Exclusion(),) * 3}, UsageError, "give one exclusion for each state, or none"),
        (
            {"admission": WHOLE, "exclusions": (Exclusion(), Exclusion(radius=1))},
            UsageError,
            "a whole-image machine leaves out whole items, not places",
        ),
        (
            {"admission": WHOLE, "states": STATES[:, :4]},
            UsageError,
            "a whole-image machine makes pictures of the corpus's own size",
        ),
    ],
)
def test_what_cannot_be_asked(changes: dict[str, Any], kind: type[SmaltiError], sentence: str) -> None:
    with pytest.raises(kind) as error:
        query(**changes)
    assert type(error.value) is kind
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        (Level(0.0, 1.0, 0.001), "the level signal 1, noise 0.001 is beyond what the state grid can tell apart"),
        (Level(0.0, 1.0, 1e-300), "the level signal 1, noise 1e-300 is beyond what the state grid can tell apart"),
        (Level(1.0, 1e-13, 1.0), "the level signal 1e-13, noise 1 is beyond what the state grid can tell apart"),
    ],
)
def test_levels_beyond_the_grid(at: Level, sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        native.sums(query(level=at))
    assert str(error.value).startswith(sentence)


@given(st.floats(1e-11, 1), st.floats(0.0013, 1))
def test_a_span_is_fifteen_binary_places(signal: float, noise: float) -> None:
    """15 E / G binary places are a X q / (4080 255 s^2) nats for a score E = X q, to within half a unit of G and
    rounding in float64.
    """
    span = query(level=Level(time=0.5, signal=signal, noise=noise)).span
    exact = 15 * math.log(2) * 4080 * 255 * noise**2 / signal
    assert abs(span - exact) <= 0.5 + 1e-14 * exact
    assert span >= 16


@given(st.integers(0, 4), st.sampled_from(["zero", "circular"]), st.integers(0, 2**32))
def test_window_energy_is_the_sum_of_squares(half: int, padding: Any, seed: int) -> None:
    """In whole numbers, also at the ends of the grid."""
    rng = np.random.default_rng(seed)
    states = rng.choice(np.array([-32767, -1, 0, 5, 32767], np.int16), (2, 5, 6, 3))
    admission = replace(local(half), padding=padding)
    padded = np.pad(
        states.astype(object),
        ((0, 0), (half, half), (half, half), (0, 0)),
        mode="constant" if padding == "zero" else "wrap",
    )
    found = window_energy(query(states=states, admission=admission))
    assert found.shape == (2, 5, 6)
    for b, y, x in np.ndindex(2, 5, 6):
        assert found[b, y, x] == (padded[b, y : y + 2 * half + 1, x : x + 2 * half + 1] ** 2).sum()
    whole = window_energy(query(states=states, admission=WHOLE))
    assert np.array_equal(
        whole, np.broadcast_to((states.astype(np.int64) ** 2).sum((1, 2, 3))[:, None, None], (2, 5, 6))
    )


@pytest.mark.parametrize("keep", [0, -1])
def test_no_sources_are_refused(keep: int) -> None:
    asked = query()
    with pytest.raises(UsageError) as error:
        native.sources(asked, native.sums(asked), keep=keep)
    assert str(error.value) == f"ask for at least one source, not {keep}"


def test_exclusions_are_by_state_and_none_by_default() -> None:
    assert query().exclusion(1) == Exclusion() == Exclusion((0, 0), (0, 0), 0)
    chosen = (Exclusion((0, 1)), Exclusion(radius=3))
    assert [query(exclusions=chosen).exclusion(i) for i in (0, 1)] == list(chosen)
    # A list serves as well as a tuple, and other layouts of the states in memory are the same question.
    whole = native.sums(query(exclusions=chosen), spread=True)
    assert native.sums(query(exclusions=list(chosen)), spread=True) == whole
    assert native.sums(query(exclusions=chosen, states=np.asfortranarray(STATES)), spread=True) == whole


def test_a_record_names_the_admissions_it_was_made_for() -> None:
    """The three kinds of axis give three different questions for the same pictures."""
    axes = [
        tuple((r, c) for r in make[0] for c in make[1])
        for make in (
            (local_axis(5, 5), local_axis(6, 6)),
            (inside_axis(5, 5, 1), inside_axis(6, 6, 1)),
            (border_axis(5, 5, 1), border_axis(6, 6, 1)),
        )
    ]
    found = [native.sums(query(admission=Admission(1, "zero", pairs))) for pairs in axes]
    assert found[0] != found[1] != found[2] != found[0]
