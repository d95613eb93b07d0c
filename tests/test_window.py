"""Admissions and scales: every site once, the padding pattern, and the sentences for what cannot be."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from problems import admissions, level
from reference import missing
from smalti.errors import UsageError
from smalti.noise import CLEAN, Level, schedule
from smalti.window import (
    NAMED_SCALES,
    PAPER_CIFAR10,
    Admission,
    Scales,
    Span,
    border_axis,
    check_patch_size,
    inside_axis,
    local_axis,
    smallest_odd_from,
)

SIDES = st.integers(1, 40)
HALVES = st.integers(0, 22)


def served(axis: tuple[Span, ...], state: int) -> list[set[int]]:
    """For each state place of an axis, the corpus places it may use; fails if one comes twice or not at all."""
    out: list[set[int] | None] = [None] * state
    for span in axis:
        assert not span.empty
        for place in range(span.state0, span.state1):
            assert out[place] is None
            at = span.corpus0 + place - span.state0
            out[place] = set(range(span.corpus0, span.corpus1)) if span.place == "free" else {at}
        if span.place == "fixed":
            assert span.state1 - span.state0 == span.corpus1 - span.corpus0
    assert all(places is not None for places in out)
    return [places for places in out if places is not None]


@given(state=SIDES, corpus=SIDES, half=HALVES)
def test_border_axis_is_the_padding_pattern(state: int, corpus: int, half: int) -> None:
    """A place takes what misses as many places before and behind it; refused only where nothing does, or both edges are
    in sight.
    """
    expected = [{j for j in range(corpus) if missing(j, corpus, half) == missing(i, state, half)} for i in range(state)]
    try:
        axis = border_axis(state, corpus, half)
    except UsageError:
        assert state != corpus
        both = [i for side in (state, corpus) for i in range(side) if min(missing(i, side, half)) > 0]
        assert both or not all(expected)
        return
    assert served(axis, state) == expected
    assert all(expected)


@given(state=SIDES, half=HALVES)
def test_border_axis_takes_every_patch_at_the_corpus_size(state: int, half: int) -> None:
    assert all(i in places for i, places in enumerate(served(border_axis(state, state, half), state)))


@given(side=SIDES)
def test_local_axis_is_the_same_place(side: int) -> None:
    assert served(local_axis(side, side), side) == [{i} for i in range(side)]


@given(state=SIDES, corpus=SIDES, half=HALVES)
def test_inside_axis_is_all_whole_windows(state: int, corpus: int, half: int) -> None:
    assume(corpus >= 2 * half + 1)
    expected = {j for j in range(corpus) if missing(j, corpus, half) == (0, 0)}
    assert served(inside_axis(state, corpus, half), state) == [expected] * state


@given(admissions())
def test_rectangles_cover_each_state_site_once(
    problem: tuple[Admission, tuple[int, int], tuple[int, int]],
) -> None:
    admission, (height, width), (rows, columns) = problem
    if admission.whole != "no":
        assert admission.pairs == ()
        return
    covered = np.zeros((height, width), int)
    for r, c in admission.pairs:
        covered[r.state0 : r.state1, c.state0 : c.state1] += 1
        assert 0 <= r.state0 < r.state1 <= height
        assert 0 <= c.state0 < c.state1 <= width
        assert 0 <= r.corpus0 < r.corpus1 <= rows
        assert 0 <= c.corpus0 < c.corpus1 <= columns
    assert (covered == 1).all()


@pytest.mark.parametrize("half", [0, 1, 3, 9])
def test_padding(half: int) -> None:
    """Zero padding and wrapping, also where the window is wider than the state."""
    states = np.arange(1, 2 * 3 * 4 * 3 + 1, dtype=np.int16).reshape(2, 3, 4, 3)
    rows, columns = np.arange(-half, 3 + half), np.arange(-half, 4 + half)
    wrapped = Admission(half, "circular", ()).pad(states)
    assert wrapped.dtype == np.int16
    assert wrapped.flags.c_contiguous
    assert np.array_equal(wrapped, states[:, rows % 3][:, :, columns % 4])
    zero = Admission(half, "zero", ()).pad(states)
    assert np.array_equal(zero[:, half : half + 3, half : half + 4], states)
    assert np.count_nonzero(zero) == states.size


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: local_axis(9, 8), "a local machine makes pictures of the corpus's own size: 8, not 9"),
        (
            lambda: inside_axis(20, 6, 3),
            "a patch of 7 does not fit inside pictures of side 6: use smaller scales or larger pictures",
        ),
        (
            lambda: border_axis(20, 6, 4),
            "a patch of 9 leaves no inner place in a picture of side 6, which is possible only where output and "
            "corpus have the same size (20 and 6 here): use smaller scales",
        ),
        (
            lambda: border_axis(5, 30, 3),
            "a patch of 7 leaves no inner place in a picture of side 5, which is possible only where output and "
            "corpus have the same size (5 and 30 here): use smaller scales",
        ),
        (lambda: check_patch_size(4), "a patch size is an odd number of pixels, 1 or more, and 4 is not"),
        (lambda: check_patch_size(0), "a patch size is an odd number of pixels, 1 or more, and 0 is not"),
        (lambda: check_patch_size(-3), "a patch size is an odd number of pixels, 1 or more, and -3 is not"),
        (lambda: Scales((), ()), "scales need one patch size for each noise level, and at least one"),
        (lambda: Scales((0.0,), (3, 5)), "scales need one patch size for each noise level, and at least one"),
        (lambda: Scales((0.0, 1.0), (3, 6)), "a patch size is an odd number of pixels, 1 or more, and 6 is not"),
        (lambda: Scales((1.0, 0.0), (3, 5)), "the log signal-to-noise ratios of scales must ascend"),
        (lambda: Scales((1.0, 1.0), (3, 5)), "the log signal-to-noise ratios of scales must ascend"),
        (lambda: Scales((1.0, math.nan), (3, 5)), "the log signal-to-noise ratios of scales must ascend"),
        (lambda: Scales.constant(2), "a patch size is an odd number of pixels, 1 or more, and 2 is not"),
        (lambda: Scales.listed([], schedule=schedule("cosine")), "a list of scales needs at least one patch size"),
        (
            lambda: Scales.named("papers"),
            "no scales are named 'papers': choose from paper-cifar10, or list sizes such as 3,5,7",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(make: object, sentence: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        make()


# -------------------------------------------------------------------------------------------------------------- scales


def test_published_scales_stand_on_the_papers_steps() -> None:
    """Lowest noise first: t = 1/20 has 3, t = 20/20 has 17 (theory.md, section 2)."""
    cosine = schedule("cosine")
    scales = Scales.named("paper-cifar10")
    published = [3, 3, 3, 3, 5, 5, 5, 7, 7, 7, 7, 9, 9, 11, 11, 13, 15, 17, 17, 17]
    assert list(PAPER_CIFAR10) == published == list(NAMED_SCALES["paper-cifar10"])
    assert [scales.at(cosine.level(i / 20)) for i in range(1, 21)] == published
    assert scales.along(cosine.grid(20)) == tuple(published[::-1])


@given(
    sizes=st.lists(st.integers(0, 20).map(lambda n: 2 * n + 1), min_size=1, max_size=30),
    name=st.sampled_from(["cosine", "edm", "linear"]),
)
def test_listed_scales_come_back_on_their_own_steps(sizes: list[int], name: str) -> None:
    scales = Scales.listed(sizes, schedule=schedule(name))
    assert scales.along(schedule(name).grid(len(sizes))) == tuple(sizes[::-1])
    assert scales.along([]) == ()


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=9, unique=True), st.floats(0.001, 0.999))
def test_the_nearest_log_snr_decides(log_snr: list[float], signal: float) -> None:
    log_snr = sorted(log_snr)
    scales = Scales(tuple(log_snr), tuple(2 * n + 1 for n in range(len(log_snr))))
    at = level(signal)
    distance = [abs(v - at.log_snr) for v in log_snr]
    assert scales.at(at) == 2 * distance.index(min(distance)) + 1


def test_between_two_the_noisier_decides() -> None:
    balanced = Level(time=0.5, signal=math.sqrt(0.5), noise=math.sqrt(0.5))
    assert balanced.log_snr == 0
    assert Scales((-1.0, 1.0), (9, 3)).at(balanced) == 9


def test_one_size_for_all() -> None:
    scales = Scales.constant(7)
    assert {scales.at(level(a)) for a in (0.001, 0.5, 0.999)} == {7}
    assert scales.at(CLEAN) == 7
    assert scales == Scales.constant(7) != Scales.constant(5)


@given(st.floats(-100, 1e6))
def test_smallest_odd_number(value: float) -> None:
    n = smallest_odd_from(value)
    assert n % 2 == 1
    assert n - 2 < value <= n
