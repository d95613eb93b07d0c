"""The kernel against the naive twin: the same integers, whatever the problem.

The naive twin is the definition of the sums, so every comparison is with `==`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import SETTINGS, WIDE, Setting, largest_weight, level, queries, wide_problem
from smalti.corpus import ImageCorpus
from smalti.engine import Exclusion, Partial, Query, RecomputeError, naive, native
from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES
from smalti.noise import Level, gaussian_state
from smalti.window import Admission, Span, border_axis, inside_axis, local_axis


def admitted_places(query: Query, exclusion: Exclusion, y: int, x: int) -> list[tuple[int, int]]:
    """Corpus places (row, column) that may serve state site (y, x), in reading order."""

    def places(span: Span, at: int) -> range:
        if span.place == "fixed":
            return range(span.corpus0 + at - span.state0, span.corpus0 + at - span.state0 + 1)
        return range(span.corpus0, span.corpus1)

    (pair,) = [
        (rows, columns)
        for rows, columns in query.admission.pairs
        if rows.state0 <= y < rows.state1 and columns.state0 <= x < columns.state1
    ]
    r, (dy, dx) = exclusion.radius, exclusion.offset
    return [
        (j, k)
        for j in places(pair[0], y)
        for k in places(pair[1], x)
        if not (-r < j - y - dy < r and -r < k - x - dx < r)
    ]


def ranked(query: Query, state: int) -> Iterator[tuple[int, int, list[tuple[int, int, int, int]]]]:
    """Each site with all its sources (score, item, row, column), best first: by score, then item, row, column."""
    exclusion = query.exclusion(state)
    for y, x, scores, _ in naive.sites(query, state):
        places = admitted_places(query, exclusion, y, x)
        found = [
            (score, n, j, k)
            for n, of_item in enumerate(scores)
            if not exclusion.items[0] <= n < exclusion.items[1]
            for score, (j, k) in zip(of_item, places, strict=True)
        ]
        yield y, x, sorted(found, key=lambda s: (-s[0], *s[1:]))


def of_items(query: Query, items: list[int]) -> Query:
    """The query as if the corpus had only these items, in this order; exclusions of items must not be there."""
    assert not any(e.items[0] < e.items[1] for e in query.exclusions)
    return replace(query, images=np.ascontiguousarray(query.images[items]))


def some(exclusions: tuple[Exclusion, ...]) -> tuple[Exclusion, ...]:
    """The exclusions by place, without those by item."""
    return tuple(replace(e, items=(0, 0)) for e in exclusions)


@settings(max_examples=400)
@given(query=queries(), spread=st.booleans(), setting=SETTINGS)
def test_kernel_is_the_naive_twin(query: Query, spread: bool, setting: Setting) -> None:
    found = native.sums(query, spread=spread, threads=setting.threads, target=setting.target)
    assert found == naive.sums(query, spread=spread)
    assert found.has_spread == spread


@pytest.mark.slow
@settings(max_examples=2500)
@given(query=queries(), spread=st.booleans(), setting=SETTINGS)
def test_kernel_is_the_naive_twin_at_length(query: Query, spread: bool, setting: Setting) -> None:
    assert native.sums(query, spread=spread, threads=setting.threads, target=setting.target) == naive.sums(
        query, spread=spread
    )


@pytest.mark.parametrize("name", WIDE)
def test_scores_beyond_32_bits(name: str) -> None:
    query = wide_problem(name)
    if name == "squares times the signal":
        query = replace(query, states=query.states[:1])
    expected = naive.sums(query, spread=True)
    for target in native.targets():
        for threads in (1, 2):
            assert native.sums(query, spread=True, target=target, threads=threads) == expected


@pytest.mark.parametrize("target", native.targets())
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("items", [1, 40])
def test_the_fullest_sums(target: str, value: int, items: int) -> None:
    """Identical sources of the largest weight, 25 x 25 in each lane: the sums are the number of sources times those
    of one.

    With P = 1 and constant pictures all scores are equal. Signal and state are searched for a score of one unit below a
    place, whose weight is the largest of all, 2^30 - 1: both its halves are 2^15 - 1, where a lane's 32-bit sums hold
    just 256 products with a pixel of +-255.
    """
    q = 2 * value - 255
    at, best = largest_weight(q)
    side = 25
    axis = inside_axis(2, side, 0)[0]
    query = Query(
        np.full((items, side, side, 1), value, np.uint8),
        np.full((1, 2, 2, 1), best, np.int16),
        Admission(0, "zero", ((axis, axis),)),
        at,
    )
    one_axis = inside_axis(2, 1, 0)[0]
    one = naive.sums(
        Query(query.images[:1, :1, :1].copy(), query.states, Admission(0, "zero", ((one_axis, one_axis),)), at),
        spread=True,
    )
    assert one.slices[0, 0, 0, 0].tolist() == [0, 2**15 - 1, 2**15 - 1]
    found = native.sums(query, spread=True, target=target)
    assert np.array_equal(found.place, one.place)
    assert np.array_equal(found.slices, one.slices * items * side * side)
    # As whole pictures of one pixel, whose scores are the same.
    whole = Query(
        query.images[:, :1, :1].copy(), query.states[:, :1, :1], Admission(0, "zero", (), "same-place"), query.level
    )
    found = native.sums(whole, spread=True, target=target)
    assert np.array_equal(found.place, one.place[:, :1, :1])
    assert np.array_equal(found.slices, one.slices[:, :1, :1] * items)


def test_kernel_is_the_naive_twin_on_digits(digits: ImageCorpus) -> None:
    images = np.ascontiguousarray(digits.images[::350])
    axes = border_axis(8, 8, 1)
    admission = Admission(1, "zero", tuple((r, c) for r in axes for c in axes))
    for signal in (0.1, 0.8, 0.999):
        at = level(signal)
        noise = gaussian_state((8, 8, 1), seed=3, purpose="test")
        clean = signal * 4080 / 255 * (2.0 * digits.images[17] - 255)
        state = np.rint(clean + at.noise * noise).astype(np.int16)[None]
        query = Query(images, state, admission, at)
        assert native.sums(query, spread=True) == naive.sums(query, spread=True)


@settings(max_examples=150)
@given(query=queries(whole=False), keep=st.integers(1, 12), setting=SETTINGS)
def test_sources_are_the_best_of_all(query: Query, keep: int, setting: Setting) -> None:
    """The list against sorting all scores, ties included; weights against whole numbers of Python.

    A listed weight is one float division of two sums; the sums are rounded to float64 three times at most, so it lies
    within 4 * 2^-53 of the true quotient.
    """
    total = native.sums(query)
    if (total.place == NO_PLACE).any():
        return
    found = native.sources(query, total, keep=keep, threads=setting.threads, target=setting.target)
    assert np.allclose(found.left_out + found.weight.sum(axis=-1), 1.0, rtol=0, atol=(keep + 6) * 2.0**-52)
    for state in range(len(query.states)):
        for y, x, all_sources in ranked(query, state):
            best = all_sources[:keep]
            missing = keep - len(best)
            site = (state, y, x)
            assert found.item[site].tolist() == [s[1] for s in best] + [-1] * missing
            assert found.row[site].tolist() == [s[2] for s in best] + [-1] * missing
            assert found.column[site].tolist() == [s[3] for s in best] + [-1] * missing
            place, weight, _ = integer_weights(np.array([s[0] for s in all_sources]), query.span)
            top = int(place.max())
            masses = [
                (int(w) << SLICE_BITS) >> SLICE_BITS * min(top - int(n), 3) for n, w in zip(place, weight, strict=True)
            ]
            whole = sum(masses)
            expected = [mass / whole for mass in masses[:keep]] + [0.0] * missing
            assert np.allclose(found.weight[site], expected, rtol=4 * 2.0**-53, atol=0)
            assert np.isclose(found.left_out[site], sum(masses[keep:]) / whole, rtol=0, atol=6 * 2.0**-53)


@settings(max_examples=150)
@given(query=queries(most_items=12), spread=st.booleans(), data=st.data())
def test_parts_merge_and_come_apart(query: Query, spread: bool, data: st.DataObject) -> None:
    """Any cut of the corpus, merged along any tree, is the whole; what is taken away was never there."""
    query = replace(query, exclusions=some(tuple(query.exclusions)))
    whole = native.sums(query, spread=spread)
    group = data.draw(st.lists(st.integers(0, 4), min_size=len(query.images), max_size=len(query.images)))
    members = [[n for n, g in enumerate(group) if g == which] for which in sorted(set(group))]
    parts = [native.sums(of_items(query, items), spread=spread) for items in members]
    tree = list(parts)
    while len(tree) > 1:
        one = tree.pop(data.draw(st.integers(0, len(tree) - 1)))
        other = tree.pop(data.draw(st.integers(0, len(tree) - 1)))
        tree.append(one.merge(other))
    assert tree[0] == whole
    if len(members) == 1:
        with pytest.raises(RecomputeError) if (whole.place != NO_PLACE).any() else _nothing():
            whole.subtract(parts[0])
        return
    rest = native.sums(of_items(query, [n for items in members[1:] for n in items]), spread=spread)
    if (rest.place < whole.place).any():
        with pytest.raises(RecomputeError, match=f"^{int((rest.place < whole.place).sum())} sites owe their scale"):
            whole.subtract(parts[0])
    else:
        assert whole.subtract(parts[0]) == rest


class _nothing:  # noqa: N801
    """A context in which nothing is expected."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@settings(max_examples=150)
@given(query=queries(most_items=10), spread=st.booleans(), setting=SETTINGS)
def test_items_started_at_the_whole_add_up_to_it(query: Query, spread: bool, setting: Setting) -> None:
    """The sums of single items on the whole's scale are whole numbers that add up to the whole's."""
    query = replace(query, exclusions=some(tuple(query.exclusions)))
    whole = native.sums(query, spread=spread)
    total = np.zeros_like(whole.slices)
    for n in range(len(query.images)):
        alone = native.sums(
            of_items(query, [n]), spread=spread, start=whole.place, threads=setting.threads, target=setting.target
        )
        assert np.array_equal(alone.place, whole.place)
        assert np.array_equal(alone.slices, naive.sums(of_items(query, [n]), spread=spread).raised(whole.place))
        total += alone.slices
    assert np.array_equal(total, whole.slices)


@settings(max_examples=150)
@given(query=queries(most_items=12), setting=SETTINGS)
def test_shares_are_parts_of_the_whole(query: Query, setting: Setting) -> None:
    """Shares add up to 1 within rounding: N quotients and N additions, each within 2^-53, and 3 for the total."""
    whole = native.sums(query)
    if (whole.place == NO_PLACE).any():
        return
    items = len(query.images)
    found = native.shares(query, whole, threads=setting.threads, target=setting.target)
    assert found.shape == (items, *whole.place.shape)
    assert (found >= 0).all()
    assert np.allclose(found.sum(axis=0), 1.0, rtol=0, atol=(2 * items + 8) * 2.0**-53)
    for state in range(len(query.states)):
        begin, end = query.exclusion(state).items
        assert (found[begin:end, state] == 0).all()


@settings(max_examples=100)
@given(query=queries(), spread=st.booleans(), setting=SETTINGS)
def test_left_out_items_were_never_there(query: Query, spread: bool, setting: Setting) -> None:
    found = native.sums(query, spread=spread, threads=setting.threads, target=setting.target)
    for state in range(len(query.states)):
        begin, end = query.exclusion(state).items
        rest = [n for n in range(len(query.images)) if not begin <= n < end]
        if not rest:
            assert (found.place[state] == NO_PLACE).all()
            assert (found.slices[state] == 0).all()
            continue
        without = replace(
            query,
            images=np.ascontiguousarray(query.images[rest]),
            states=query.states[state : state + 1],
            exclusions=some((query.exclusion(state),)),
        )
        alone = native.sums(without, spread=spread)
        assert np.array_equal(found.place[state], alone.place[0])
        assert np.array_equal(found.slices[state], alone.slices[0])


@settings(max_examples=100)
@given(query=queries(), order=st.randoms(use_true_random=False), setting=SETTINGS)
def test_order_of_items_does_not_matter(query: Query, order: random.Random, setting: Setting) -> None:
    query = replace(query, exclusions=some(tuple(query.exclusions)))
    items = list(range(len(query.images)))
    order.shuffle(items)
    found = native.sums(of_items(query, items), spread=True, threads=setting.threads, target=setting.target)
    assert found == native.sums(query, spread=True)


def test_merging_with_nothing_changes_nothing() -> None:
    axis = inside_axis(4, 4, 1)[0]
    query = Query(
        np.random.default_rng(1).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8),
        np.zeros((1, 4, 4, 1), np.int16),
        Admission(1, "circular", ((axis, axis),)),
        level(0.6),
    )
    whole = native.sums(query, spread=True)
    nothing = native.sums(replace(query, exclusions=(Exclusion((0, 3)),)), spread=True)
    assert (nothing.place == NO_PLACE).all()
    assert whole.merge(nothing) == whole == nothing.merge(whole)
    assert nothing.merge(nothing) == nothing
    assert whole.subtract(nothing) == whole
    assert nothing.subtract(nothing) == nothing


def test_partials_are_equal_by_value_only() -> None:
    place, slices = np.zeros((1, 1, 1), np.int64), np.zeros((1, 1, 1, 2, SLICES), np.int64)
    one = Partial(place, slices, 1)
    assert one == Partial(place.copy(), slices.copy(), 1)
    assert one != Partial(place + 1, slices, 1)
    assert one != Partial(place, slices + 1, 1)
    assert one != "a partial"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_lowest_noise_the_grid_allows() -> None:
    """A place of 16 score units: of the 12 x 12 patches nearly all lie out of reach, and the twin agrees on the few
    left.
    """
    rng = np.random.default_rng(2)
    images = rng.integers(120, 136, (2, 6, 6, 3), dtype=np.uint8)
    states = (16 * (2 * images[:1].astype(np.int64) - 255)).astype(np.int16)
    axes = border_axis(6, 6, 1)
    at = Level(time=0.0, signal=1.0, noise=0.0012)
    query = Query(images, states, Admission(1, "zero", tuple((r, c) for r in axes for c in axes)), at)
    assert query.span == 16
    found = native.sums(query, spread=True)
    assert found == naive.sums(query, spread=True)


@pytest.mark.parametrize("threads", sorted({1, 2, 3, 5, 16, os.cpu_count() or 1}))
def test_more_threads_than_work(threads: int) -> None:
    axis = local_axis(2, 2)[0]
    query = Query(
        np.full((1, 2, 2, 1), 9, np.uint8),
        np.ones((1, 2, 2, 1), np.int16),
        Admission(0, "zero", ((axis, axis),)),
        level(0.4),
    )
    assert native.sums(query, threads=threads) == naive.sums(query)
