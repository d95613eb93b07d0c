"""Each item's own sums, sums without an item, and the sources of whole pictures: against the naive twin, with `==`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import SETTINGS, WIDE, Setting, largest_weight, level, queries, wide_problem
from smalti.corpus import ImageCorpus
from smalti.engine import Exclusion, Query, naive, native
from smalti.engine.arithmetic import integer_weights
from smalti.engine.partial import NO_PLACE, SLICE_BITS, SLICES
from smalti.errors import UsageError
from smalti.machines import MACHINES
from smalti.noise import gaussian_state
from smalti.window import Admission, inside_axis

# --------------------------------------------------------------------------------------------------- items' own sums


@settings(max_examples=250)
@given(query=queries(), pixels=st.booleans(), setting=SETTINGS, above=st.integers(0, 3))
def test_item_sums_are_the_naive_twin(query: Query, pixels: bool, setting: Setting, above: int) -> None:
    """On the places of the whole, and on higher ones, as for a part of a larger corpus."""
    place = native.sums(query).place
    start = np.where(place == NO_PLACE, NO_PLACE, place + np.arange(place.size).reshape(place.shape) % (above + 1))
    found = native.item_sums(query, start, pixels=pixels, threads=setting.threads, target=setting.target)
    assert np.array_equal(found, naive.item_sums(query, start, pixels=pixels))


@pytest.mark.parametrize("name", WIDE)
def test_item_sums_beyond_32_bits(name: str) -> None:
    query = wide_problem(name)
    if name == "squares times the signal":
        query = replace(query, states=query.states[:1])
    start = native.sums(query).place
    expected = naive.item_sums(query, start, pixels=True)
    for target in native.targets():
        for pixels in (False, True):
            found = native.item_sums(query, start, pixels=pixels, target=target, threads=2)
            assert np.array_equal(found, expected if pixels else expected[..., :1, :])


MACHINE_CASES = [
    ("border-aware", 1),
    ("border-aware", 3),
    ("border-aware", 9),
    ("equivariant-local", 3),
    ("local", 5),
    ("ideal", 1),
    ("equivariant", 1),
]


def asked(corpus: ImageCorpus, machine: str, patch: int, signal: float, *, batch: int = 2) -> Query:
    whole = machine in ("ideal", "equivariant")
    made = MACHINES[machine](corpus) if whole else MACHINES[machine](corpus, scales=patch)
    at = level(signal)
    noise = np.stack([gaussian_state(corpus.images.shape[1:], seed=s, purpose="test") for s in range(batch)])
    clean = 4080 / 255 * (2.0 * corpus.images[: 40 * batch : 40] - 255)
    return made.query(np.rint(signal * clean + at.noise * noise).astype(np.int16), at)


@pytest.mark.parametrize(("machine", "patch"), MACHINE_CASES)
@pytest.mark.parametrize("signal", [0.05, 0.85, 0.998])
def test_item_sums_are_those_of_the_items_alone_and_add_up(
    few_digits: ImageCorpus, machine: str, patch: int, signal: float
) -> None:
    query = asked(few_digits, machine, patch, signal)
    whole = native.sums(query)
    found = native.item_sums(query, whole.place, pixels=True)
    assert np.array_equal(found.sum(axis=0), whole.slices)
    for n in (0, 15, 16, 119):
        alone = native.sums(replace(query, images=query.images[n : n + 1]), start=whole.place)
        assert np.array_equal(found[n], alone.slices)
    for target in native.targets():
        for threads in (1, 3):
            for pixels in (False, True):
                again = native.item_sums(query, whole.place, pixels=pixels, threads=threads, target=target)
                assert np.array_equal(again, found if pixels else found[..., :1, :])
    order = np.random.default_rng(7).permutation(120)
    shuffled = replace(query, images=np.ascontiguousarray(query.images[order]))
    assert np.array_equal(native.item_sums(shuffled, whole.place, pixels=True), found[order])


def test_chunks_of_items_cover_the_corpus_and_stay_within_their_size(
    few_digits: ImageCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = asked(few_digits, "border-aware", 3, 0.85)
    query = replace(query, exclusions=(Exclusion((10, 40)), Exclusion((0, 0), (0, 1), 2)))
    place = native.sums(query).place
    whole = native.item_sums(query, place, pixels=True)
    (only,) = native.item_chunks(query, pixels=True)
    assert only[0] == 0
    assert np.array_equal(native.item_sums(only[1], place, pixels=True), whole)
    for limit in (1.0, 3.5 * whole[0].nbytes, 50 * whole[0].nbytes):
        monkeypatch.setattr(native, "_ITEM_SUMS_BYTES", limit)
        covered = 0
        for begin, part in native.item_chunks(query, pixels=True):
            assert begin == covered
            slices = native.item_sums(part, place, pixels=True)
            assert slices.nbytes <= limit or len(slices) == 1
            assert np.array_equal(slices, whole[begin : begin + len(slices)])
            covered += len(slices)
        assert covered == 120
        assert len(list(native.item_chunks(query))) <= len(list(native.item_chunks(query, pixels=True)))


@pytest.mark.parametrize("size", [(40, 50), (13, 61), (300, 9)])
def test_one_photograph_is_its_own_whole(size: tuple[int, int]) -> None:
    """Strips of the item and bands of the state, which the cut for memory makes short, are put together again."""
    corpus = ImageCorpus.from_arrays(ImageCorpus.builtin("photo").images[:, 60:100, 100:150].copy())
    machine = MACHINES["border-aware"](corpus, scales=3)
    states = np.stack([gaussian_state((*size, 3), seed=s, purpose="test") for s in range(2)])
    query = machine.query(states, level(0.7), exclusions=(Exclusion((0, 0), (0, 0), 2), Exclusion((0, 0), (3, -5), 1)))
    whole = native.sums(query)
    for target in native.targets():
        for threads in (1, 4):
            found = native.item_sums(query, whole.place, pixels=True, threads=threads, target=target)
            assert np.array_equal(found[0], whole.slices)


@pytest.mark.parametrize("target", native.targets())
@pytest.mark.parametrize("value", [0, 255])
def test_the_fullest_sums_of_an_item(target: str, value: int) -> None:
    """300 x 300 equal sources of one item: 90,000 times the sums of one."""
    at, best = largest_weight(2 * value - 255)
    axis = inside_axis(1, 300, 0)[0]
    query = Query(
        np.full((2, 300, 300, 1), value, np.uint8),
        np.full((1, 1, 1, 1), best, np.int16),
        Admission(0, "zero", ((axis, axis),)),
        at,
    )
    one_axis = inside_axis(1, 1, 0)[0]
    one = naive.sums(
        replace(query, images=query.images[:1, :1, :1].copy(), admission=Admission(0, "zero", ((one_axis, one_axis),)))
    )
    found = native.item_sums(query, one.place, pixels=True, target=target)
    assert np.array_equal(found, np.stack([90000 * one.slices] * 2))


@pytest.mark.parametrize("whole", ["no", "same-place", "every-shift"])
def test_places_of_another_corpus_are_refused(few_digits: ImageCorpus, whole: str) -> None:
    machine = {"no": "border-aware", "same-place": "ideal", "every-shift": "equivariant"}[whole]
    query = asked(few_digits, machine, 3, 0.998)
    place = native.sums(query).place
    sentence = "^the places to sum from are not those of a corpus with these items$"
    with pytest.raises(UsageError, match=sentence):
        native.item_sums(query, place - 1)
    with pytest.raises(UsageError, match=sentence):
        native.item_sums(query, np.full_like(place, NO_PLACE))
    one = place.copy()
    one[1, 7, 7] -= 1
    with pytest.raises(UsageError, match=sentence):
        native.item_sums(query, one, pixels=True)
    with pytest.raises(UsageError, match=r"^the places to sum from are one int64 for each site of each state$"):
        native.item_sums(query, place[:1])


# ----------------------------------------------------------------------------------------------- sums without an item


@settings(max_examples=200)
@given(query=queries(), spread=st.booleans(), setting=SETTINGS, data=st.data())
def test_skipped_items_are_the_naive_twin(query: Query, spread: bool, setting: Setting, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    skip = rng.integers(-1, len(query.images), query.states.shape[:3])
    found = native.sums(query, spread=spread, skip=skip, threads=setting.threads, target=setting.target)
    assert found == naive.sums(query, spread=spread, skip=skip)


@pytest.mark.parametrize("name", WIDE)
def test_skipped_items_beyond_32_bits(name: str) -> None:
    query = wide_problem(name)
    if name == "squares times the signal":
        query = replace(query, states=query.states[:1])
    skip = np.random.default_rng(1).integers(-1, len(query.images), query.states.shape[:3])
    expected = naive.sums(query, spread=True, skip=skip)
    for target in native.targets():
        assert native.sums(query, spread=True, skip=skip, target=target, threads=2) == expected


@pytest.mark.parametrize(("machine", "patch"), MACHINE_CASES)
def test_a_site_without_an_item_is_that_of_a_corpus_without_it(
    few_digits: ImageCorpus, monkeypatch: pytest.MonkeyPatch, machine: str, patch: int
) -> None:
    query = asked(few_digits, machine, patch, 0.998)
    skip = np.random.default_rng(5).choice([-1, 0, 40, 41, 119], query.states.shape[:3])
    whole = native.sums(query, spread=True)
    found = native.sums(query, spread=True, skip=skip)
    for n in (-1, 0, 40, 41, 119):
        rest = [m for m in range(120) if m != n]
        left = native.sums(replace(query, images=np.ascontiguousarray(query.images[rest])), spread=True)
        assert np.array_equal(found.place[skip == n], left.place[skip == n])
        assert np.array_equal(found.slices[skip == n], left.slices[skip == n])
    if (machine, patch) != ("border-aware", 1):  # the picture that was noised decided the scale
        assert (found.place < whole.place).any()
    assert native.sums(query, spread=True, skip=np.full_like(skip, -1)) == whole
    ticks: list[float] = []
    monkeypatch.setattr(native, "_SHARD_PAIRS", 1.0)
    monkeypatch.setattr(native, "_SUMS_BYTES", 1.0)
    assert native.sums(query, spread=True, skip=skip, tick=ticks.append) == found
    assert abs(sum(ticks) - 1) < 1e-9
    # On given places.
    on_whole = native.sums(query, spread=True, skip=skip, start=whole.place)
    assert np.array_equal(on_whole.place, whole.place)
    assert np.array_equal(on_whole.slices, found.raised(whole.place))


def test_a_corpus_of_one_item_without_it_is_nothing() -> None:
    for whole in ("same-place", "every-shift"):
        images, states = np.full((1, 2, 3, 1), 7, np.uint8), np.zeros((1, 2, 3, 1), np.int16)
        query = Query(images, states, Admission(0, "zero", (), whole), level(0.6))
        found = native.sums(query, skip=np.array([[[0, -1, 0], [0, 0, -1]]]))
        assert (found.place == NO_PLACE).tolist() == [[[True, False, True], [True, True, False]]]
        assert (found.slices[0, 0, 0] == 0).all()


def test_skips_that_have_no_meaning_are_refused(few_digits: ImageCorpus) -> None:
    query = asked(few_digits, "local", 3, 0.6)
    sentence = "^the items to skip are one int64 for each site of each state: an item of the query, or -1$"
    wrong: list[Any] = [np.zeros((1, 8, 8), np.int64), np.zeros((2, 8, 8), np.int32)]
    for skip in (*wrong, np.full((2, 8, 8), 120), np.full((2, 8, 8), -2)):
        with pytest.raises(UsageError, match=sentence):
            native.sums(query, skip=skip)


# ---------------------------------------------------------------------------------------- the sources of whole pictures


def _whole_queries() -> st.SearchStrategy[Query]:
    return queries().filter(lambda q: q.admission.whole != "no")


@settings(max_examples=120)
@given(query=_whole_queries(), keep=st.integers(1, 12), setting=SETTINGS)
def test_sources_of_whole_pictures_are_the_best_of_all(query: Query, keep: int, setting: Setting) -> None:
    """Against sorting all items and shifts, ties included; weights against whole numbers of Python.

    A listed weight is one float division of two sums that are rounded three times at most: within 4 * 2^-53.
    """
    total = native.sums(query)
    if (total.place == NO_PLACE).any():
        return
    found = native.sources(query, total, keep=keep, threads=setting.threads, target=setting.target)
    _, height, width, _ = query.states.shape
    every = query.admission.whole == "every-shift"
    shifts = [(dy, dx) for dy in range(height if every else 1) for dx in range(width if every else 1)]
    for state in range(len(query.states)):
        begin, end = query.exclusion(state).items
        for y, x, scores, _ in naive.sites(query, state):
            everything = sorted(
                (-score, n, (y + dy) % height, (x + dx) % width)
                for n, of_item in enumerate(scores)
                if not begin <= n < end
                for score, (dy, dx) in zip(of_item, shifts, strict=True)
            )
            missing = max(keep - len(everything), 0)
            site = (state, y, x)
            for field, index in (("item", 1), ("row", 2), ("column", 3)):
                expected = [s[index] for s in everything[:keep]] + [-1] * missing
                assert getattr(found, field)[site].tolist() == expected
            place, weight, _ = integer_weights(-np.array([s[0] for s in everything]), query.span)
            masses = [
                (int(w) << SLICE_BITS) >> SLICE_BITS * min(int(place.max()) - int(p), SLICES)
                for p, w in zip(place, weight, strict=True)
            ]
            shares = [mass / sum(masses) for mass in masses[:keep]] + [0.0] * missing
            assert np.allclose(found.weight[site], shares, rtol=4 * 2.0**-53, atol=0)
            assert np.isclose(found.left_out[site], sum(masses[keep:]) / sum(masses), rtol=0, atol=6 * 2.0**-53)


@pytest.mark.parametrize("machine", ["ideal", "equivariant"])
def test_the_pixels_of_all_whole_sources_make_the_mean(few_digits: ImageCorpus, machine: str) -> None:
    """With a list long enough for every source, the weighted mean of the pixels it names is the posterior mean."""
    corpus = ImageCorpus.from_arrays(few_digits.images[:6])
    at = level(0.9)
    state = asked(corpus, machine, 1, 0.9, batch=1).states
    found = MACHINES[machine](corpus)(state, at, report=["sources"], keep=6 * 64)
    assert found.sources is not None
    used = found.sources.item >= 0
    assert used.sum(axis=-1).min() == (6 if machine == "ideal" else 6 * 64)
    pixels = 2.0 * corpus.images[found.sources.item, found.sources.row, found.sources.column, 0] / 255 - 1
    mean = (np.where(used, pixels, 0) * found.sources.weight).sum(axis=-1)
    np.testing.assert_allclose(mean, found.mean[..., 0], rtol=0, atol=400 * 2.0**-53)
