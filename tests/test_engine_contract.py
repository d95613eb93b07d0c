"""The exactness contract on real pictures: what may not be seen in a result is not seen in a single bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from problems import level
from smalti.corpus import ImageCorpus
from smalti.engine import Exclusion, Partial, Query, RecomputeError, native
from smalti.engine.posterior import finish
from smalti.machines import MACHINES, BorderAware, Machine
from smalti.noise import Level, gaussian_state
from smalti.sampling.ddim import state_of
from smalti.window import Admission, local_axis

LEVELS = [level(a) for a in (0.0125, 0.4, 0.85, 0.998)]


def noised(images: NDArray[np.uint8], at: Level) -> NDArray[np.int16]:
    """Pictures with noise of their own, on the state grid; same shape."""
    noise = np.stack([gaussian_state(image.shape, seed=s, purpose="test") for s, image in enumerate(images)])
    return state_of(at.signal * (2.0 * images / 255 - 1) + at.noise * noise / 4080)


def asked(corpus: ImageCorpus, at: Level, *, machine: str = "border-aware", patch: int = 3, batch: int = 3) -> Query:
    made = machine_of(machine, corpus, patch)
    return made.query(noised(corpus.images[: 97 * batch : 97], at), at)


def machine_of(name: str, corpus: ImageCorpus, patch: int) -> Machine:
    return MACHINES[name](corpus) if name in ("ideal", "equivariant") else MACHINES[name](corpus, scales=patch)


# (machine, patch); the equivariant machine costs 64 times the others.
MACHINE_CASES = [
    ("border-aware", 1),
    ("border-aware", 3),
    ("border-aware", 5),
    ("border-aware", 9),
    ("equivariant-local", 3),
    ("local", 5),
    ("ideal", 1),
    ("equivariant", 1),
]


@pytest.mark.parametrize(("machine", "patch"), MACHINE_CASES)
@pytest.mark.parametrize("at", LEVELS, ids=lambda at: f"signal {at.signal}")
def test_threads_targets_and_order_leave_no_trace(
    digits: ImageCorpus, few_digits: ImageCorpus, machine: str, patch: int, at: Level
) -> None:
    query = asked(few_digits if machine == "equivariant" else digits, at, machine=machine, patch=patch)
    whole = native.sums(query, spread=True, threads=1)
    for threads in (2, 3, 4, 5):
        assert native.sums(query, spread=True, threads=threads) == whole
    for target in native.targets():
        assert native.sums(query, spread=True, target=target) == whole
    order = np.random.default_rng(7).permutation(len(query.images))
    assert native.sums(replace(query, images=np.ascontiguousarray(query.images[order])), spread=True) == whole
    no_spread = native.sums(query)
    assert np.array_equal(no_spread.slices, whole.slices[..., :-1, :])
    assert np.array_equal(no_spread.place, whole.place)


@pytest.mark.parametrize(("machine", "patch"), MACHINE_CASES)
@pytest.mark.parametrize("at", LEVELS, ids=lambda at: f"signal {at.signal}")
def test_shards_merge_to_the_whole(few_digits: ImageCorpus, machine: str, patch: int, at: Level) -> None:
    query = asked(few_digits, at, machine=machine, patch=patch, batch=2)
    whole = native.sums(query, spread=True)
    rng = np.random.default_rng(3)
    for cuts in ([60], [1, 119], [17, 40, 41, 80, 100], list(range(1, 120))):
        bounds = [0, *cuts, 120]
        parts = [
            native.sums(replace(query, images=np.ascontiguousarray(query.images[a:b])), spread=True)
            for a, b in pairwise(bounds)
        ]
        in_order = parts[0]
        for part in parts[1:]:
            in_order = in_order.merge(part)
        assert in_order == whole
        while len(parts) > 1:  # any tree
            one = parts.pop(rng.integers(len(parts)))
            other = parts.pop(rng.integers(len(parts)))
            parts.append(one.merge(other))
        assert parts[0] == whole


@pytest.mark.parametrize(("machine", "patch"), MACHINE_CASES)
@pytest.mark.parametrize("at", LEVELS, ids=lambda at: f"signal {at.signal}")
def test_taking_away_is_never_having_had(few_digits: ImageCorpus, machine: str, patch: int, at: Level) -> None:
    """Byte for byte; and where the taken part alone decided a site's scale, and nowhere else, it says so."""
    query = asked(few_digits, at, machine=machine, patch=patch, batch=1)
    whole = native.sums(query, spread=True)
    refused = 0
    for begin, end in ((0, 1), (50, 60), (3, 119), (0, 120)):
        part = native.sums(replace(query, images=query.images[begin:end].copy()), spread=True)
        rest = [n for n in range(120) if not begin <= n < end]
        if not rest:
            with pytest.raises(RecomputeError):
                whole.subtract(part)
            continue
        left = native.sums(replace(query, images=np.ascontiguousarray(query.images[rest])), spread=True)
        out = native.sums(replace(query, exclusions=(Exclusion((begin, end)),)), spread=True)
        assert out == left
        if (left.place < whole.place).any():
            refused += 1
            with pytest.raises(RecomputeError):
                whole.subtract(part)
        else:
            assert whole.subtract(part) == left
            assert left.merge(part) == whole
    if at.signal > 0.99 and (machine, patch) != ("border-aware", 1):
        assert refused  # low noise: the picture that was noised is alone in its reach


@pytest.mark.parametrize(("machine", "patch"), MACHINE_CASES)
def test_a_batch_leaves_no_trace(few_digits: ImageCorpus, machine: str, patch: int) -> None:
    at = level(0.6)
    query = asked(few_digits, at, machine=machine, patch=patch, batch=1)
    states = noised(few_digits.images[::25], at)
    states[1] = -32767  # a state that needs wider sums and other places than its neighbours
    together = native.sums(replace(query, states=states), spread=True)
    for i, state in enumerate(states):
        alone = native.sums(replace(query, states=state[None]), spread=True)
        assert np.array_equal(together.place[i], alone.place[0])
        assert np.array_equal(together.slices[i], alone.slices[0])
    order = [3, 0, 2, 1, 3]
    shuffled = native.sums(replace(query, states=states[order]), spread=True)
    assert np.array_equal(shuffled.slices, together.slices[order])


def test_cuts_of_long_walks_leave_no_trace(digits: ImageCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of the corpus and chunks of the batch, as for large problems; the ticks add up to all the work."""
    at = level(0.6)
    query = asked(digits, at, patch=3, batch=4)
    query = replace(query, exclusions=tuple(Exclusion((40 * i, 40 * i + 300), (0, 4), i) for i in range(4)))
    ticks: list[float] = []
    total = native.sums(query, spread=True, tick=ticks.append)
    assert ticks == [1.0]
    kept = native.sources(query, total, keep=5)
    shares = native.shares(query, total)
    for name, value in (("_SHARD_PAIRS", 1.0), ("_SUMS_BYTES", 1.0)):
        monkeypatch.setattr(native, name, value)
        ticks.clear()
        assert native.sums(query, spread=True, tick=ticks.append) == total
        assert len(ticks) == {"_SHARD_PAIRS": 113, "_SUMS_BYTES": 4 * 113}[name]
        assert abs(sum(ticks) - 1) < 1e-12  # 452 additions of numbers below 1
        again = native.sources(query, total, keep=5)
        for field in ("item", "row", "column", "weight", "left_out"):
            assert np.array_equal(getattr(again, field), getattr(kept, field))
        assert np.array_equal(native.shares(query, total), shares)
        assert native.sums(query, spread=True, start=total.place) == total


@pytest.mark.parametrize("patch", [1, 7])
def test_cuts_of_a_large_picture_leave_no_trace(monkeypatch: pytest.MonkeyPatch, patch: int) -> None:
    """One photograph cannot be cut into items, so the rows of the states are."""
    photo = ImageCorpus.from_arrays(ImageCorpus.builtin("photo").images[:, 60:100, 100:150].copy())
    states = np.stack([gaussian_state((45, 30, 3), seed=s, purpose="test") for s in range(2)])
    query = BorderAware(photo, scales=patch).query(
        states, level(0.7), exclusions=(Exclusion(), Exclusion(offset=(3, -5), radius=2))
    )
    total = native.sums(query, spread=True)
    kept = native.sources(query, total, keep=3)
    nearest = native.nearest(query)
    items = native.item_sums(query, total.place, pixels=True)
    skip = np.random.default_rng(0).integers(-1, 1, states.shape[:3])
    skipped = native.sums(query, skip=skip)
    monkeypatch.setattr(native, "_SHARD_PAIRS", 1.0)
    ticks: list[float] = []
    assert native.sums(query, spread=True, tick=ticks.append) == total
    assert len(ticks) == 6  # of 8 rows
    assert abs(sum(ticks) - 1) < 1e-12
    assert native.sums(query, skip=skip) == skipped
    assert native.sums(query, spread=True, start=total.place) == total
    again = native.sources(query, total, keep=3)
    for field in ("item", "row", "column", "weight", "left_out"):
        assert np.array_equal(getattr(again, field), getattr(kept, field))
    assert np.array_equal(native.nearest(query), nearest)
    assert np.array_equal(native.item_sums(query, total.place, pixels=True), items)


def test_sources_depend_on_nothing_else(digits: ImageCorpus) -> None:
    query = asked(digits, level(0.85), patch=3)
    total = native.sums(query)
    one = native.sources(query, total, keep=6, threads=1)
    for threads, target in ((4, None), (3, "plain"), (2, next(iter(native.targets())))):
        other = native.sources(query, total, keep=6, threads=threads, target=target)
        for field in ("item", "row", "column", "weight", "left_out"):
            assert np.array_equal(getattr(one, field), getattr(other, field))
    assert (np.diff(one.weight, axis=-1) <= 0).all()
    # A longer list begins with the shorter one.
    longer = native.sources(query, total, keep=20)
    for field in ("item", "row", "column", "weight"):
        assert np.array_equal(getattr(one, field), getattr(longer, field)[..., :6])


def test_shares_of_all_digits_make_one(few_digits: ImageCorpus) -> None:
    """120 quotients within 2^-53 each, and as many additions."""
    at = level(0.7)
    machine = BorderAware(few_digits, scales=3)
    found = machine(noised(few_digits.images[:2], at), at, report=["shares", "sources"], keep=3000)
    assert found.shares is not None
    assert found.sources is not None
    assert found.shares.shape == (120, 2, 8, 8)
    assert np.abs(found.shares.sum(axis=0) - 1).max() < 250 * 2.0**-53
    # The list is long enough to hold every source of a border site: then its masses, added up by item, are the shares.
    complete = found.sources.left_out == 0
    assert complete[:, 0].all()
    by_item = np.zeros((120, 2, 8, 8))
    for n in range(120):
        by_item[n] = np.where(found.sources.item == n, found.sources.weight, 0).sum(axis=-1)
    assert np.abs(by_item - found.shares)[:, complete].max() < 3000 * 2.0**-53


@pytest.mark.parametrize(
    ("patch", "size"), [(3, (40, 50)), (7, (40, 50)), (7, (13, 61)), (15, (28, 15)), (1, (1, 1)), (3, (2, 90))]
)
def test_one_photograph_and_other_sizes(patch: int, size: tuple[int, int]) -> None:
    """A single item is cut into strips, and states into bands: nothing of it is seen, also with places left out."""
    corpus = ImageCorpus.builtin("photo").images[:, 60:100, 100:150].copy()
    machine = BorderAware(ImageCorpus.from_arrays(corpus), scales=patch)
    at = level(0.7)
    noise = np.stack([gaussian_state((*size, 3), seed=s, purpose="test") for s in range(2)])
    query = machine.query(noise, at, exclusions=(Exclusion((0, 0), (0, 0), 2), Exclusion((0, 0), (3, -5), 1)))
    one = native.sums(query, spread=True, threads=1, target="plain")
    for target in native.targets():
        for threads in (1, 4):
            assert native.sums(query, spread=True, threads=threads, target=target) == one
    if size[0] > 2:
        turned = replace(
            query, images=np.ascontiguousarray(query.images[:, ::-1, ::-1]), states=query.states[:, ::-1, ::-1].copy(),
            exclusions=tuple(replace(e, offset=_turned(e.offset, size, corpus.shape[1:3])) for e in query.exclusions),
        )  # fmt: skip
        other = native.sums(turned, spread=True)
        assert np.array_equal(other.place[:, ::-1, ::-1], one.place)
        assert np.array_equal(other.slices[:, ::-1, ::-1], one.slices)


def _turned(offset: tuple[int, int], state: tuple[int, int], corpus: tuple[int, ...]) -> tuple[int, int]:
    """An offset after both pictures were turned by 180 degrees: (corpus - 1 - j) - (state - 1 - i)."""
    return corpus[0] - state[0] - offset[0], corpus[1] - state[1] - offset[1]


@pytest.mark.slow
@pytest.mark.parametrize("patch", [3, 7, 13, 17])
def test_a_photograph_in_colour_with_every_kernel(patch: int) -> None:
    """64 x 96 pixels in 3 channels against a state of 32 x 40: large windows need sums of 64 bits in some blocks."""
    photo = ImageCorpus.from_arrays(ImageCorpus.builtin("photo").images[:, 50:114, 100:196])
    machine = BorderAware(photo, scales=patch)
    for at in (level(0.05), level(0.9)):
        states = np.stack([gaussian_state((32, 40, 3), seed=s, purpose="test") for s in range(2)])
        states[1] = np.clip(6 * states[1].astype(np.int64), -32767, 32767)
        query = machine.query(states, at)
        one = native.sums(query, spread=True)
        for target in native.targets():
            assert native.sums(query, spread=True, target=target, threads=3) == one


# ------------------------------------------------------------------------------------------------- from sums to answers


def test_forgetting_an_item_gives_the_machine_that_never_had_it(few_digits: ImageCorpus) -> None:
    at = level(0.9)
    state = noised(few_digits.images[30:31], at)[0]
    left_out = BorderAware(few_digits, scales=3)(state[None], at, report=["entropy"], exclude=[Exclusion((30, 33))])
    forgotten = BorderAware(few_digits.without([30, 31, 32]), scales=3)(state, at, report=["entropy"])
    for field in ("mean", "evidence", "entropy"):
        assert np.array_equal(getattr(left_out, field)[0], getattr(forgotten, field))


def test_nothing_left_to_draw_on_is_said(few_digits: ImageCorpus) -> None:
    from smalti.errors import InputError

    at = level(0.9)
    query = asked(few_digits, at, batch=1)
    none = native.sums(replace(query, exclusions=(Exclusion((0, 120)),)))
    sentence = "^64 sites have no admitted source left: leave out less, or use a larger corpus$"
    with pytest.raises(InputError, match=sentence):
        finish(query, none)
    # In the corner a patch has one place in each item, at displacement 0.
    with pytest.raises(InputError, match=r"^4 sites have no admitted source left"):
        BorderAware(few_digits, scales=3)(query.states, at, exclude=[Exclusion(offset=(0, 0), radius=1)])


def test_cut_bounds_what_was_dropped(few_digits: ImageCorpus) -> None:
    """What is missing from the kept sums, in exact whole numbers: never more than `cut` says."""
    for at in LEVELS:
        query = asked(few_digits, at, patch=3, batch=1)
        total = native.sums(query)
        _, _, _, cut = finish(query, total)
        # Sums from one place further down keep 15 bits more of the same sources.
        finer = _with_two_more_places(query, total)
        kept = total.totals()[..., 0]
        assert ((finer - kept) / finer <= cut).all()
        assert (cut < 1e-3).all()


def _with_two_more_places(query: Query, total: Partial) -> NDArray[np.float64]:
    """The weight sums with nothing dropped above 60 bits below the best, from the naive scores of each site."""
    from smalti.engine import naive
    from smalti.engine.arithmetic import integer_weights

    out = np.zeros(total.place.shape)
    for y, x, scores, _ in naive.sites(query, 0):
        place, weight, _ = integer_weights(np.concatenate([np.array(s, np.int64) for s in scores]), query.span)
        shift = 15 * (np.maximum(place - total.place[0, y, x], -5) + 1)
        out[0, y, x] = np.ldexp(weight.astype(np.float64), shift.astype(np.int32)).sum()
    return out


@pytest.mark.parametrize(
    ("variable", "value", "call", "sentence"),
    [
        ("SMALTI_THREADS", "0", native.default_threads, "SMALTI_THREADS=0 is not a number of threads: give 1 to 1024"),
        (
            "SMALTI_THREADS",
            "-2",
            native.default_threads,
            "SMALTI_THREADS=-2 is not a number of threads: give 1 to 1024",
        ),
        (
            "SMALTI_THREADS",
            "four",
            native.default_threads,
            "SMALTI_THREADS=four is not a number of threads: give 1 to 1024",
        ),
        (
            "SMALTI_THREADS",
            "1025",
            native.default_threads,
            "SMALTI_THREADS=1025 is not a number of threads: give 1 to 1024",
        ),
        (
            "SMALTI_KERNEL",
            "mmx",
            native.default_target,
            f"SMALTI_KERNEL=mmx is not a kernel of this processor: choose from {', '.join(native.targets())}",
        ),
    ],
)
def test_environment_that_has_no_meaning(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, call: Callable[[], object], sentence: str
) -> None:
    from smalti.errors import UsageError

    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as error:
        call()
    assert str(error.value) == sentence


@pytest.mark.parametrize("variable", ["SMALTI_THREADS", "SMALTI_KERNEL"])
def test_environment_that_is_empty_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv(variable, raising=False)
    before = native.default_threads(), native.default_target()
    monkeypatch.setenv(variable, "")
    assert (native.default_threads(), native.default_target()) == before


def test_environment_chooses_threads_and_kernel(monkeypatch: pytest.MonkeyPatch, few_digits: ImageCorpus) -> None:
    query = asked(few_digits, level(0.5))
    monkeypatch.delenv("SMALTI_KERNEL", raising=False)
    monkeypatch.delenv("SMALTI_THREADS", raising=False)
    assert native.default_threads() >= 1
    assert native.default_target() == next(iter(native.targets()))
    lanes = list(native.targets().values())
    assert lanes == sorted(lanes, reverse=True)
    whole = native.sums(query)
    for target in native.targets():
        monkeypatch.setenv("SMALTI_KERNEL", target)
        monkeypatch.setenv("SMALTI_THREADS", "3")
        assert native.default_target() == target
        assert native.default_threads() == 3
        assert native.sums(query) == whole


def test_pairs_per_item_counts_what_the_admission_admits(few_digits: ImageCorpus) -> None:
    """By counting, for the 8 x 8 digits: one place in each corner, 6 x 6 (P = 3) inside, 6 along each edge."""
    at = level(0.5)
    expected = {
        ("border-aware", 3): 36 * 36 + 4 * 6 * 6 + 4,
        ("equivariant-local", 3): 64 * 36,
        ("local", 3): 64,
        ("ideal", 1): 64,
        ("equivariant", 1): 64 * 64,
    }
    for (machine, patch), pairs in expected.items():
        assert native.pairs_per_item(asked(few_digits, at, machine=machine, patch=patch)) == pairs


@pytest.mark.parametrize("target", native.targets())
def test_sources_of_blocks_that_need_64_bits_and_blocks_that_do_not(target: str) -> None:
    """White items score below -2^31 against a dark state and are walked in 64 bits; the grey ones that follow are far
    nearer and are walked in 32 bits. A list that the white ones filled must give way to the grey ones.
    """
    lanes = native.targets()[target]
    side = 19
    axis = local_axis(side, side)[0]
    images = np.full((2 * lanes, side, side, 4), 255, np.uint8)
    images[lanes:] = np.random.default_rng(0).integers(127, 129, images[lanes:].shape)
    states = np.full((1, side, side, 4), -28000, np.int16)
    asked = Query(images, states, Admission(18, "zero", ((axis, axis),)), Level(0.5, 0.6, 0.8))
    total = native.sums(asked, threads=1, target=target)
    one, two = (native.sources(asked, total, keep=3, threads=n, target=target) for n in (1, 2))
    assert (one.item >= lanes).all()
    assert (one.item == two.item).all()
    np.testing.assert_allclose(one.weight.sum(axis=-1) + one.left_out, 1, atol=1e-12)
