"""Denoisers: each against its formula written out, what it tends to at the ends of its range, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import multivariate_normal

from problems import level
from smalti.corpus import ImageCorpus
from smalti.denoisers import (
    ClosedForm,
    DataMaskLocal,
    LocalLinear,
    Nearest,
    PatchComposite,
    PatchMixture,
    PatchWiener,
    Wiener,
)
from smalti.denoisers.denoiser import variance
from smalti.denoisers.local_linear import solved
from smalti.denoisers.patches import cut, joined
from smalti.errors import InputError, UsageError
from smalti.machines import EquivariantLocal, Ideal
from smalti.noise import Level, gaussian_state, schedule
from smalti.sampling import DDIM
from smalti.sampling.ddim import values_of
from smalti.window import Scales

LEVEL = schedule("cosine").level(0.3)
ALMOST_CLEAN = Level(time=0.0, signal=1.0, noise=0.002)

Floats = NDArray[np.float64]
States = NDArray[np.int16]

ALL: dict[str, Callable[[ImageCorpus], ClosedForm]] = {
    "wiener": Wiener,
    "patch-wiener": lambda corpus: PatchWiener(corpus, patch_size=3),
    "nearest": Nearest,
    "data-mask-local": DataMaskLocal,
    "patch-composite": lambda corpus: PatchComposite(corpus, scales=3),
    "local-linear": lambda corpus: LocalLinear(corpus, scales=3, neighbours=40),
    "patch-mixture": lambda corpus: PatchMixture(corpus, patch_size=3, components=20, neighbours=40),
}
WHOLE = ("wiener", "nearest", "data-mask-local")


def pictures(*shape: int, seed: int = 0) -> ImageCorpus:
    """Random pictures (N, H, W, C) that are smooth, so that their numbers depend on each other."""
    rough = np.random.default_rng(seed).normal(size=shape)
    smooth = rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 2) + rough[:, :1, :1]
    return ImageCorpus.from_arrays(np.clip(128 + 40 * smooth, 0, 255).astype(np.uint8))


def noise(*shape: int, seed: int = 0) -> States:
    return gaussian_state(shape, seed=seed, purpose="test")


def clean(states: States, at: Level) -> Floats:
    return states / 4080 / at.signal


def linear(rows: Floats, y: Floats, v: float) -> Floats:
    """The Wiener estimate of y (..., D) from rows (N, D), as the formula stands."""
    mean, spread = rows.mean(axis=0), np.cov(rows.T, bias=True)
    gain = spread @ np.linalg.inv(spread + v * np.eye(len(mean)))
    return mean + (y - mean) @ gain.T


# ------------------------------------------------------------------------------------------------------ what all share


@pytest.mark.parametrize("name", ALL)
def test_a_state_alone_and_in_a_batch(few_digits: ImageCorpus, name: str) -> None:
    """Shapes and fields; and a state's mean is that in a batch, within the last bits where the tier is statistical."""
    denoiser = ALL[name](few_digits)
    states = np.stack([noise(8, 8, 1, seed=seed) for seed in range(3)])
    batch = denoiser(states, LEVEL)
    assert denoiser.name == name
    assert batch.mean.shape == (3, 8, 8, 1)
    assert batch.mean.dtype == np.float64
    assert batch.patch_size == (0 if name in WHOLE else 3)
    assert np.isnan(batch.evidence).all()
    assert not batch.cut.any()
    assert batch.entropy is batch.shares is batch.sources is None
    tolerance = {"nearest": 0.0, "local-linear": 0.0, "data-mask-local": 1e-5, "patch-composite": 1e-5}.get(name, 1e-12)
    for state, mean in zip(states, batch.mean, strict=True):
        alone = denoiser(state, LEVEL)
        assert alone.mean.shape == (8, 8, 1)
        assert np.abs(alone.mean - mean).max() <= tolerance


@pytest.mark.parametrize("name", ALL)
def test_a_sampler_drives_it(few_digits: ImageCorpus, name: str) -> None:
    trace = DDIM(ALL[name](few_digits), steps=3)(seeds=[4, 5])
    assert trace.images.shape == (2, 8, 8, 1)
    assert trace.settings["machine"] == name


@pytest.mark.parametrize("name", ALL)
def test_order_and_label_of_the_items(few_digits: ImageCorpus, name: str) -> None:
    """A corpus is a set; and a label restricts it to the items that have it."""
    assert few_digits.labels is not None
    state = noise(8, 8, 1)
    ones = few_digits.with_label("1")
    restricted: ClosedForm
    cases: dict[str, Callable[[ImageCorpus, str | None], ClosedForm]] = {
        "wiener": lambda c, label: Wiener(c, label=label),
        "patch-wiener": lambda c, label: PatchWiener(c, patch_size=3, label=label),
        "nearest": lambda c, label: Nearest(c, label=label),
        "data-mask-local": lambda c, label: DataMaskLocal(c, label=label),
        "patch-composite": lambda c, label: PatchComposite(c, scales=3, label=label),
        "local-linear": lambda c, label: LocalLinear(c, scales=3, label=label),
        "patch-mixture": lambda c, label: PatchMixture(c, patch_size=3, components=9, label=label),
    }
    restricted, alone = cases[name](few_digits, "1"), cases[name](ones, None)
    assert restricted.label == "1"
    assert np.array_equal(restricted(state, LEVEL).mean, alone(state, LEVEL).mean)
    with pytest.raises(UsageError, match="label"):
        cases[name](few_digits, "eleven")


@pytest.mark.parametrize("name", ALL)
def test_states_that_cannot_be(few_digits: ImageCorpus, name: str) -> None:
    denoiser = ALL[name](few_digits)
    wrong: list[NDArray[Any]] = [noise(8, 8, 3), noise(8, 8), np.zeros((8, 8, 1), np.int32), noise(0, 8, 8, 1)]
    for state in wrong:
        with pytest.raises(InputError, match=r"a state is an int16 array of shape \(H, W, 1\)"):
            denoiser(state, LEVEL)
    with pytest.raises(UsageError, match="beyond what the state grid can tell apart"):
        denoiser(noise(8, 8, 1), Level(time=0.0, signal=1.0, noise=1e-4))


@pytest.mark.parametrize("name", ALL)
def test_sizes_of_pictures(few_digits: ImageCorpus, name: str) -> None:
    """Patches make pictures of any size they fit into; whole pictures are of the corpus's own size."""
    denoiser = ALL[name](few_digits)
    if name in WHOLE:
        with pytest.raises(UsageError, match="makes pictures of the corpus's own size 8x8, not 10x9"):
            denoiser(noise(9, 10, 1), LEVEL)
        return
    assert denoiser(noise(9, 10, 1), LEVEL).mean.shape == (9, 10, 1)
    with pytest.raises(UsageError, match="a patch of 3 does not fit inside pictures of 9x2"):
        denoiser.check_output((2, 9))


# ------------------------------------------------------------------------------------------------------------- patches


def test_patches_cut_and_joined_again() -> None:
    """Whole numbers come back exactly, as the average of equal ones; and a patch is what a window shows."""
    x = np.random.default_rng(0).integers(-255, 256, (2, 6, 9, 3)).astype(np.float64)
    patches = cut(x, 5)
    assert patches.shape == (2, 2, 5, 75)
    assert np.array_equal(patches[1, 1, 3].reshape(5, 5, 3), x[1, 1:6, 3:8])
    assert np.array_equal(joined(patches, (6, 9), 5), x)


def test_pixels_are_averages_over_the_patches_that_cover_them() -> None:
    estimates = np.random.default_rng(0).normal(size=(1, 3, 4, 9))
    total, count = np.zeros((5, 6)), np.zeros((5, 6))
    for i in range(3):
        for j in range(4):
            total[i : i + 3, j : j + 3] += estimates[0, i, j].reshape(3, 3)
            count[i : i + 3, j : j + 3] += 1
    # At most nine terms in another order.
    assert np.abs(joined(estimates, (5, 6), 3)[0, ..., 0] - total / count).max() < 1e-14


# -------------------------------------------------------------------------------------------------------------- linear


@pytest.mark.parametrize("items", [5, 200])
def test_wiener_is_its_formula(items: int) -> None:
    """With fewer items than numbers and with more. S has eigenvalues below 10 and v is above 0.05, so inverting loses
    a factor of 200 of 2^-52 at most.
    """
    corpus = pictures(items, 4, 5, 3)
    states = noise(2, 4, 5, 3)
    for at in (level(0.5), level(0.97)):
        y = clean(states, at)
        expected = linear(values_of(corpus.images).reshape(items, -1), y.reshape(2, -1), variance(at))
        assert np.abs(Wiener(corpus)(states, at).mean.reshape(2, -1) - expected).max() < 1e-11


def test_wiener_of_one_item_returns_it() -> None:
    corpus = pictures(1, 4, 4, 1)
    assert np.abs(Wiener(corpus)(noise(4, 4, 1), LEVEL).mean - values_of(corpus.images)[0]).max() < 1e-15


def test_no_linear_denoiser_errs_less_than_wiener() -> None:
    """The expected squared error of a gain G over the corpus is tr((G - 1) S (G - 1)^T) + v tr(G G^T): any other gain
    than Wiener's has a larger one.
    """
    corpus, v = pictures(60, 3, 3, 1), variance(LEVEL)
    spread = np.cov(values_of(corpus.images).reshape(60, -1).T, bias=True)

    def expected(gain: Floats) -> float:
        off = gain - np.eye(9)
        return float(np.trace(off @ spread @ off.T) + v * np.trace(gain @ gain.T))

    best = Wiener(corpus).gain(LEVEL)
    rng = np.random.default_rng(0)
    assert all(expected(best + 1e-3 * rng.normal(size=(9, 9))) > expected(best) for _ in range(50))


def test_patch_wiener_of_whole_pictures_is_wiener() -> None:
    corpus, states = pictures(300, 5, 5, 1), noise(2, 5, 5, 1)
    found = PatchWiener(corpus, patch_size=5)(states, LEVEL).mean
    assert np.abs(found - Wiener(corpus)(states, LEVEL).mean).max() < 1e-11


def test_too_large_a_covariance() -> None:
    corpus = pictures(3, 2, 2, 1)
    denoiser = Wiener(corpus)
    denoiser.images = np.broadcast_to(np.uint8(0), (20_000, 200, 200, 1))
    with pytest.raises(UsageError, match=r"at most 12,288 numbers, or as few items, not 20,000 items of 40,000"):
        _ = denoiser.spectrum


# --------------------------------------------------------------------------------------------------------- local linear


def test_local_linear_is_its_formula() -> None:
    """Patch by patch, from the K nearest of all corpus patches, in float64."""
    corpus, states, size, keep = pictures(6, 7, 8, 3), noise(1, 7, 8, 3), 3, 30
    at, rows = LEVEL, cut(values_of(corpus.images), 3).reshape(-1, 27)
    y = cut(clean(states, at), size)
    out = np.empty_like(y)
    for place in np.ndindex(y.shape[:3]):
        nearest = np.argsort(((rows - y[place]) ** 2).sum(axis=1))[:keep]
        out[place] = linear(rows[nearest], y[place], variance(at))
    found = LocalLinear(corpus, scales=size, neighbours=keep)(states, at).mean
    assert np.abs(found - joined(out, (7, 8), size)).max() < 1e-11


def test_local_linear_with_all_neighbours_is_linear() -> None:
    corpus, states = pictures(9, 7, 7, 1), noise(2, 7, 7, 1)
    found = LocalLinear(corpus, scales=3, neighbours=9 * 25)(states, LEVEL).mean
    assert np.abs(found - PatchWiener(corpus, patch_size=3)(states, LEVEL).mean).max() < 1e-11


def test_local_linear_with_one_neighbour_is_the_nearest_patch() -> None:
    """S = 0, so y - v (y - m) / v: the nearest patch, up to rounding."""
    corpus, states = pictures(9, 5, 5, 1), noise(1, 5, 5, 1)
    found = LocalLinear(corpus, scales=5, neighbours=1)(states, LEVEL).mean
    assert np.abs(found - Nearest(corpus)(states, LEVEL).mean).max() < 1e-14


def test_local_linear_returns_the_picture_where_there_is_no_noise() -> None:
    """What it takes away is v (S + v)^-1 (y - m), of length at most v / (least eigenvalue of S) |y - m|; with v = 4e-6
    and eigenvalues from about 0.01, a small part of a grey level.
    """
    corpus = pictures(40, 7, 7, 1)
    states = (noise(1, 7, 7, 1) // 8).astype(np.int16)
    found = LocalLinear(corpus, scales=3, neighbours=400)(states, ALMOST_CLEAN).mean
    assert np.abs(found - clean(states, ALMOST_CLEAN)).max() < 1e-3


def test_local_linear_is_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the threads, the batch, and how systems are grouped; and forgetting is never having had."""
    corpus, states = pictures(8, 9, 9, 3), noise(3, 9, 9, 3)
    expected = LocalLinear(corpus, scales=5, neighbours=50)(states, LEVEL).mean
    monkeypatch.setenv("SMALTI_THREADS", "3")
    monkeypatch.setattr("smalti.denoisers.local_linear._SYSTEMS", 1.0)
    denoiser = LocalLinear(corpus, scales=5, neighbours=50)
    assert np.array_equal(np.stack([denoiser(state, LEVEL).mean for state in states]), expected)
    without = corpus.without([2])
    never = ImageCorpus.from_arrays(np.delete(corpus.images, 2, axis=0)[::-1])
    one, other = (LocalLinear(c, scales=5, neighbours=50)(states, LEVEL).mean for c in (without, never))
    assert np.array_equal(one, other)


def test_systems_are_solved() -> None:
    """Elimination of a positive definite system is backward stable: with condition c the error is of order D c 2^-53,
    here 9 x 1e4 x 1e-16.
    """
    rng = np.random.default_rng(0)
    a = rng.normal(size=(7, 9, 6))
    right = rng.normal(size=(7, 9))
    found = solved(a @ a.transpose(0, 2, 1), 0.01, right)
    expected = np.linalg.solve(a @ a.transpose(0, 2, 1) + 0.01 * np.eye(9), right[..., None])[..., 0]
    assert np.abs(found - expected).max() < 1e-9
    assert np.array_equal(solved((a @ a.transpose(0, 2, 1))[3:4], 0.01, right[3:4]), found[3:4])


# ------------------------------------------------------------------------------------------------------- patch mixture


def test_patch_mixture_is_its_posterior_mean() -> None:
    """Against densities of SciPy; shares below 1e-9 are left out of at most 12."""
    corpus, states, at = pictures(6, 6, 6, 1), noise(1, 6, 6, 1), LEVEL
    v = variance(at)
    denoiser = PatchMixture(corpus, patch_size=3, components=12, neighbours=20, seed=3)
    mean, spread = denoiser.moments.mean, denoiser.moments.covariance
    y = cut(clean(states, at), 3)
    flat = y.reshape(-1, 9)
    log = [multivariate_normal(m, s + v * np.eye(9)).logpdf(flat) for m, s in zip(mean, spread, strict=True)]
    share = softmax(np.array(log), axis=0)
    each = [m + (flat - m) @ (s @ np.linalg.inv(s + v * np.eye(9))).T for m, s in zip(mean, spread, strict=True)]
    expected = np.einsum("rn,rnd->nd", share, np.array(each)).reshape(y.shape)
    assert np.abs(denoiser(states, at).mean - joined(expected, (6, 6), 3)).max() < 1e-7


def test_components_are_nearest_patches_of_a_patch() -> None:
    """One component's neighbours are the K patches nearest to one of the corpus patches, that patch among them."""
    corpus = pictures(5, 6, 6, 1)
    rows = cut(values_of(corpus.images), 3).reshape(-1, 9)
    found = PatchMixture(corpus, patch_size=3, components=1, neighbours=7, seed=1).moments
    groups = [rows[np.argsort(((rows - row) ** 2).sum(axis=1))[:7]] for row in rows]
    off = [np.abs(group.mean(axis=0) - found.mean[0]).max() for group in groups]
    at = int(np.argmin(off))
    assert off[at] < 1e-14
    assert np.abs(np.cov(groups[at].T, bias=True) - found.covariance[0]).max() < 1e-14


def test_one_component_with_all_neighbours_is_linear() -> None:
    corpus, states = pictures(9, 7, 7, 1), noise(2, 7, 7, 1)
    found = PatchMixture(corpus, patch_size=3, components=1, neighbours=9 * 25)(states, LEVEL).mean
    assert np.abs(found - PatchWiener(corpus, patch_size=3)(states, LEVEL).mean).max() < 1e-11


def test_components_of_one_patch_are_a_patch_composite() -> None:
    """With K = 1 and so many components that each patch comes up as often as another, on average: one picture that is
    one patch, so all components are that patch.
    """
    corpus, states = pictures(1, 3, 3, 1), noise(2, 3, 3, 1)
    found = PatchMixture(corpus, patch_size=3, components=4, neighbours=1)(states, LEVEL).mean
    assert np.abs(found - PatchComposite(corpus, scales=3)(states, LEVEL).mean).max() < 1e-6


# ------------------------------------------------------------------------------------------------------------ siblings


@pytest.mark.parametrize("t", [0.05, 0.3, 0.9])
def test_patch_composite_is_its_formula(t: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, all patches at once. In float32 a logit of size |y . k| / v is off by 2^-24 of it, a few times; at
    t = .05 that is 27 / 0.006 / 2^24 = 3e-4, and the mean moves by as much times the spread of the sources.
    """
    monkeypatch.setattr("smalti.denoisers.patch_composite._BLOCK", 1.0)  # one item at a time
    at = schedule("cosine").level(t)
    corpus = pictures(5, 7, 8, 3)
    states = np.rint(4080 * (at.signal * values_of(corpus.images[:1]) + at.noise * noise(1, 7, 8, 3) / 4080))
    states = states.astype(np.int16)
    rows = cut(values_of(corpus.images), 3).reshape(-1, 27)
    y = cut(clean(states, at), 3)
    distance = ((y[..., None, :] - rows) ** 2).sum(axis=-1)
    expected = joined(softmax(-distance / (2 * variance(at)), axis=-1) @ rows, (7, 8), 3)
    assert np.abs(PatchComposite(corpus, scales=3)(states, at).mean - expected).max() < 1e-3


def test_patch_composite_of_single_pixels_is_the_equivariant_local_machine(few_digits: ImageCorpus) -> None:
    """The engine's means are within 1e-3 of the formula at this level (tests/reference.py)."""
    states = noise(2, 8, 8, 1)
    found = PatchComposite(few_digits, scales=1)(states, LEVEL).mean
    assert np.abs(found - EquivariantLocal(few_digits, scales=1)(states, LEVEL).mean).max() < 1e-3


def test_patch_composite_follows_its_scales(few_digits: ImageCorpus) -> None:
    scales = Scales.listed([3, 5], schedule=schedule("cosine"))
    denoiser = PatchComposite(few_digits, scales=scales)
    assert [denoiser(noise(8, 8, 1), schedule("cosine").level(t)).patch_size for t in (0.5, 1.0)] == [3, 5]


def test_data_masks_are_their_formula() -> None:
    """Window by window, in float64; float32 logits are off by 2^-24 of at most some hundreds."""
    corpus, states, tau = pictures(9, 4, 4, 1), noise(1, 4, 4, 1), 0.3
    rows, y, v = values_of(corpus.images).reshape(9, 16), clean(states, LEVEL).reshape(16), variance(LEVEL)
    spread = np.cov(rows.T, bias=True)
    gain = np.abs(spread @ np.linalg.inv(spread + v * np.eye(16)))
    expected = np.empty(16)
    for i in range(16):
        window = gain[i] >= tau * gain[i].max()
        expected[i] = softmax(-((rows - y)[:, window] ** 2).sum(axis=1) / (2 * v)) @ rows[:, i]
    found = DataMaskLocal(corpus, tau=tau)(states, LEVEL).mean.reshape(16)
    assert np.abs(found - expected).max() < 1e-4


def test_data_masks_that_let_everything_through_are_the_ideal_machine(few_digits: ImageCorpus) -> None:
    states = noise(2, 8, 8, 1)
    denoiser = DataMaskLocal(few_digits, tau=1e-300)
    # Pixels that are black in all items are never used, nor needed: all items agree there.
    found = denoiser(states, LEVEL).mean
    varied = values_of(few_digits.images).std(axis=0) > 0
    assert np.abs(found - Ideal(few_digits)(states, LEVEL).mean)[:, varied].max() < 1e-3


def test_data_masks_of_a_wiener_denoiser(few_digits: ImageCorpus) -> None:
    """It lends its covariance and keeps its label."""
    state = noise(8, 8, 1)
    lent = DataMaskLocal(Wiener(few_digits, label="1"))
    assert lent.label == "1"
    assert np.array_equal(lent(state, LEVEL).mean, DataMaskLocal(few_digits, label="1")(state, LEVEL).mean)
    with pytest.raises(UsageError, match="the label '2' belongs to the Wiener denoiser"):
        DataMaskLocal(Wiener(few_digits), label="2")


@pytest.mark.parametrize("t", [0.05, 0.9])
def test_nearest_is_the_nearest_item(few_digits: ImageCorpus, t: float) -> None:
    at, states = schedule("cosine").level(t), noise(3, 8, 8, 1)
    values = values_of(few_digits.images)
    distance = ((clean(states, at)[:, None] - values) ** 2).sum(axis=(2, 3, 4))
    assert np.array_equal(Nearest(few_digits)(states, at).mean, values[distance.argmin(axis=1)])


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("tau", [0.0, -1.0, 1.5, math.nan])
def test_tau_out_of_range(few_digits: ImageCorpus, tau: float) -> None:
    with pytest.raises(UsageError, match="tau lies above 0 and up to 1"):
        DataMaskLocal(few_digits, tau=tau)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda c: LocalLinear(c, scales=9), "a patch of 9 does not fit inside pictures of 8x8"),
        (lambda c: LocalLinear(c, scales=4), "a patch size is an odd number"),
        (lambda c: LocalLinear(c, scales=7, neighbours=481), "there are 480 patches of 7 in these pictures"),
        (lambda c: LocalLinear(c, neighbours=0), "The number of neighbours is a whole number from 1, but it is 0"),
        (lambda c: LocalLinear(c, neighbours=[9, 9]), "one for each, but these are 2 for 1 sizes"),
        (lambda c: PatchMixture(c, patch_size=9), "a patch of 9 does not fit inside"),
        (lambda c: PatchMixture(c, components=0), "The number of components is a whole number from 1, but it is 0"),
        (lambda c: PatchMixture(c, patch_size=7, neighbours=481), "there are 480 patches of 7"),
        (lambda c: PatchMixture(c, seed=-1), "A seed is a whole number from 0, but it is -1"),
        (lambda c: PatchComposite(c, scales=9), "a patch of 9 does not fit inside"),
        (lambda c: PatchWiener(c, patch_size=9), "a patch of 9 does not fit inside"),
    ],
)
def test_settings_that_cannot_be(
    few_digits: ImageCorpus, make: Callable[[ImageCorpus], ClosedForm], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        make(few_digits)


def test_fewer_patches_than_usual_are_all_used() -> None:
    corpus = pictures(2, 5, 5, 1)
    assert LocalLinear(corpus, scales=3).neighbours == (18,)
    assert PatchMixture(corpus, patch_size=3, components=2).neighbours == 18
