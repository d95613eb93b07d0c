"""Measures of denoisers: derivatives against exact covariances, and each measure against denoisers that have it or
not.
"""

from __future__ import annotations

import itertools
import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from problems import level
from reference import missing
from smalti import DDIM, BorderAware, Equivariant, EquivariantLocal, Ideal, ImageCorpus, Level, Local, schedule
from smalti.denoisers import Nearest, Wiener
from smalti.errors import InputError, SmaltiError, UsageError
from smalti.machines import MACHINES, Machine
from smalti.networks import TrainedOn
from smalti.networks.measures import (
    Edges,
    Reading,
    StateSet,
    conservation,
    derivatives,
    dimension,
    equivariance,
    jacobian,
    locality,
    noisy_items,
    on_trajectory,
    plot_readings,
    score_spectrum,
    signs,
    step_units,
    unit_directions,
)
from smalti.sampling.ddim import values_of

Floats = NDArray[np.float64]
States = NDArray[np.int16]

LEVELS = (level(0.3), level(0.7), level(0.95))
ALMOST_CLEAN = Level(time=0.0, signal=1.0, noise=0.002)


class Mean(NamedTuple):
    mean: Floats


class Linear:
    """The mean is a matrix times the state, and a picture."""

    name = "linear"

    def __init__(self, matrix: Floats, picture: Floats, *, rest: float = 0.0) -> None:
        self.matrix, self.picture, self.rest = matrix, picture, rest
        height, width, channels = picture.shape
        self.corpus = TrainedOn("", (height, width), channels)

    def check_output(self, size: tuple[int, int]) -> None:
        assert size == self.corpus.size

    def __call__(self, state: States, level: Level) -> Mean:
        flat = state.reshape(len(state), -1) / 4080
        return Mean((flat @ self.matrix.T).reshape(state.shape) + self.picture + self.rest)


def linear(*shape: int, seed: int = 0, symmetric: bool = False) -> Linear:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(math.prod(shape), math.prod(shape)))
    return Linear(matrix + matrix.T if symmetric else matrix, rng.normal(size=shape))


def smooth(*shape: int, seed: int = 0) -> ImageCorpus:
    """Random pictures (N, H, W, C) whose numbers depend on each other."""
    rough = np.random.default_rng(seed).normal(size=shape)
    mixed = rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 2)
    return ImageCorpus.from_arrays(np.clip(128 + 40 * mixed, 0, 255).astype(np.uint8))


def states(corpus: ImageCorpus, levels: tuple[Level, ...] = LEVELS, samples: int = 2) -> StateSet:
    return noisy_items(corpus, levels, range(samples))


# Derivatives


def test_derivatives_of_a_linear_map_are_the_map() -> None:
    denoiser = linear(2, 3, 1)
    state = states(smooth(4, 2, 3, 1)).values[0, 1]
    # Sums of six products, and a difference that is divided by 2 d > 1e-3.
    assert np.allclose(jacobian(denoiser, state, LEVELS[1]), denoiser.matrix, rtol=0, atol=1e-11)
    drawn = signs(5, (2, 3, 1), seed=0, purpose="test")
    found = derivatives(denoiser, state, LEVELS[1], drawn)
    assert np.allclose(found.reshape(5, 6), drawn.reshape(5, 6) @ denoiser.matrix.T, rtol=0, atol=1e-11)


def exact_jacobian(name: str, corpus: ImageCorpus, state: States, patch: int, at: Level) -> Floats:
    """a / s^2 times the posterior covariance of a site's value and the value that its source has at another place.

    Entry (i, j) is d mean_i / d x_j. Every patch is cut out, weighted and averaged; one channel.
    """
    a, s = at.signal, at.noise
    k, x = values_of(corpus.images)[..., 0], state[..., 0] / 4080
    height, width = x.shape
    if name == "ideal":
        flat = k.reshape(len(k), -1)
        weights = softmax(-np.square(x.ravel() - a * flat).sum(axis=1) / (2 * s * s))
        return a / s**2 * np.cov(flat.T, aweights=weights, bias=True)
    h = patch // 2
    around = np.pad(x, h, mode="wrap" if name == "equivariant-local" else "constant")
    items = np.pad(k, ((0, 0), (h, h), (h, h)))
    out = np.zeros((height, width, height, width))
    for i, j in itertools.product(range(height), range(width)):
        if name == "equivariant-local":
            places = list(itertools.product(range(h, height - h), range(h, width - h)))
        elif name == "local":
            places = [(i, j)]
        else:
            places = [
                (y, z)
                for y, z in itertools.product(range(height), range(width))
                if missing(i, height, h) == missing(y, height, h) and missing(j, width, h) == missing(z, width, h)
            ]
        cut = np.concatenate([items[:, y : y + patch, z : z + patch] for y, z in places])
        weights = softmax(-np.square(around[i : i + patch, j : j + patch] - a * cut).sum(axis=(1, 2)) / (2 * s * s))
        apart = cut - np.tensordot(weights, cut, 1)
        shares = a / s**2 * np.tensordot(weights * apart[:, h, h], apart, 1)
        for u, v in itertools.product(range(patch), range(patch)):
            y, z = i + u - h, j + v - h
            if name == "equivariant-local":
                out[i, j, y % height, z % width] += shares[u, v]
            elif 0 <= y < height and 0 <= z < width:
                out[i, j, y, z] += shares[u, v]
    return out.reshape(height * width, height * width)


@pytest.mark.parametrize(("name", "patch"), [("ideal", 0), ("equivariant-local", 3), ("border-aware", 3), ("local", 5)])
@pytest.mark.parametrize("at", LEVELS, ids=lambda at: str(at.signal))
def test_the_jacobian_of_a_machine_is_the_posterior_covariance(name: str, patch: int, at: Level) -> None:
    corpus = smooth(7, 5, 4, 1)
    machine = MACHINES[name](corpus, scales=patch) if patch else Ideal(corpus)
    state = states(corpus, (at,)).values[0, 0]
    expected = exact_jacobian(name, corpus, state, patch, at)
    found = jacobian(machine, state, at)
    # The discretisation, as derived in the module; and at these levels a mean is within 4e-4 of the formula
    # (test_theory), twice, over 2 d.
    d = step_units(at) / 4080
    allowed = 13 / 3 * d**2 / 6 * (at.signal / at.noise**2) ** 3 + 4e-4 / d
    assert np.abs(found - expected).max() <= allowed
    assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def test_steps_are_what_they_say() -> None:
    wide = level(0.0125)
    assert step_units(wide) == round(4080 * wide.noise / 8)
    assert step_units(LEVELS[2]) == round(4080 * LEVELS[2].noise ** 2 / LEVELS[2].signal / 8)
    assert step_units(wide, 1024) == round(4080 * wide.noise / 8 * 4 / 32)
    assert step_units(ALMOST_CLEAN) == 1


def test_derivatives_do_not_depend_on_the_batch() -> None:
    corpus = smooth(5, 4, 4, 1)
    state = states(corpus).values[0, 1]
    found = [jacobian(BorderAware(corpus, scales=3), state, LEVELS[1], batch=batch) for batch in (1, 5, 64)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_at_the_end_of_the_grid_a_state_is_moved_in() -> None:
    corpus = smooth(5, 3, 4, 1)
    machine = BorderAware(corpus, scales=3)
    state = np.where(states(corpus).values[0, 0] > 0, 32767, -32767).astype(np.int16)
    moved = np.clip(state, 100 - 32767, 32767 - 100)
    found = jacobian(machine, state, LEVELS[0], step=100)
    assert np.array_equal(found, jacobian(machine, moved, LEVELS[0], step=100))
    assert np.isfinite(found).all()


def test_signs_are_fair_and_a_function_of_their_seed() -> None:
    drawn = signs(400, (5, 5, 1), seed=1, purpose="test")
    assert set(np.unique(drawn)) == {-1, 1}
    assert abs(drawn.mean()) < 5 / 100  # five standard deviations of 10,000 signs
    assert np.array_equal(signs(3, (5, 5, 1), seed=1, purpose="test"), drawn[:3])
    assert not np.array_equal(signs(3, (5, 5, 1), seed=1, purpose="test", step=1), drawn[:3])


# States


def test_states_of_the_trajectory_are_those_of_the_sampler() -> None:
    machine = Ideal(smooth(5, 4, 4, 1))
    trace = DDIM(machine, steps=7)(seeds=[3, 5, 9])
    found = on_trajectory(machine, [3, 5, 9], steps=7, batch=2)
    assert np.array_equal(found.values, trace.states)
    assert found.levels == trace.levels
    some = on_trajectory(machine, [3, 5, 9], steps=7, every=3)
    assert np.array_equal(some.values, trace.states[:, [0, 3, 6]])
    assert some.levels == (trace.levels[0], trace.levels[3], trace.levels[6])
    assert len(on_trajectory(machine, [3], steps=7, every=4).levels) == 2


def test_noisy_items_are_a_function_of_the_seed_and_the_level() -> None:
    corpus = smooth(50, 4, 4, 3)
    found = noisy_items(corpus, LEVELS, [4, 7])
    assert np.array_equal(noisy_items(corpus, LEVELS[1:], [7]).values[0], found.values[1, 1:])
    clean = noisy_items(corpus, [ALMOST_CLEAN], [4]).values[0, 0] / 4080
    apart = np.abs(values_of(corpus.images) - clean).max(axis=(1, 2, 3))
    assert apart.min() < 6 * 0.002 + 1 / 4080


# Locality


def shares_of(matrix: Floats, height: int, width: int, *, circular: bool) -> Floats:
    """Share of the energy beyond the centre within each side, by the definition: entry after entry."""
    by_ring = np.zeros(max(height, width) if not circular else max(height, width) // 2 + 1)
    for (i, p), (j, q) in itertools.product(itertools.product(range(height), range(width)), repeat=2):
        down, right = abs(i - j), abs(p - q)
        if circular:
            down, right = min(down, height - down), min(right, width - right)
        by_ring[max(down, right)] += matrix[i * width + p, j * width + q] ** 2
    return np.cumsum(np.r_[0, by_ring[1:]]) / by_ring[1:].sum()


@pytest.mark.parametrize("edges", ["end", "circular"])
def test_shares_of_a_linear_map_are_the_definition(edges: Any) -> None:
    denoiser = linear(4, 5, 1)
    found = locality(denoiser, states(smooth(3, 4, 5, 1)), edges=edges)
    expected = shares_of(denoiser.matrix, 4, 5, circular=edges == "circular")
    assert found.sides == tuple(range(1, 2 * len(expected), 2))
    assert np.allclose(found.shares, expected, rtol=0, atol=1e-9)
    centre = np.square(np.diag(denoiser.matrix)).sum() / np.square(denoiser.matrix).sum()
    assert np.allclose(found.centre, centre, rtol=0, atol=1e-9)
    assert np.allclose(found.energy.sum(axis=(1, 2)), 1.0)
    assert np.allclose(found.energy[:, 3, 4], centre)
    if edges == "circular":
        # Four rows: two away is as far up as down, and three away is one away.
        assert np.array_equal(found.energy[:, 1], found.energy[:, 5])
        assert (found.energy[:, [0, 6]] == 0).all()
        assert (found.energy[:, :, [0, 1, 7, 8]] == 0).all()
    for share in (0.3, 0.9):
        wanted = found.sides[int(np.argmax(expected >= share))]
        assert (found.window(share).values == wanted).all()


def test_channels_are_added() -> None:
    denoiser = linear(2, 3, 3)
    by_pixel = np.square(denoiser.matrix).reshape(6, 3, 6, 3).sum(axis=(1, 3))
    found = locality(denoiser, states(smooth(3, 2, 3, 3)))
    assert np.allclose(found.shares, shares_of(np.sqrt(by_pixel), 2, 3, circular=False), rtol=0, atol=1e-9)


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_the_window_of_a_machine_is_within_its_patch_exactly(patch: int) -> None:
    corpus = smooth(6, 8, 9, 1)
    at = states(corpus)
    cases: list[tuple[Machine, Edges]] = [
        (EquivariantLocal(corpus, scales=patch), "circular"),
        (BorderAware(corpus, scales=patch), "end"),
        (Local(corpus, scales=patch), "end"),
    ]
    for machine, edges in cases:
        found = locality(machine, at, edges=edges, pixels=20)
        assert (found.shares[:, :, found.sides.index(patch) :] == 1.0).all()
        assert (found.window(1.0).values <= patch).all()
        if patch > 1:
            assert (found.window(1.0).values[:, 1] == patch).all()
    wide = locality(Ideal(corpus), at, pixels=20)
    assert (wide.window(0.95).values[:, 1] > 5).all()


def test_a_denoiser_that_does_not_listen_has_a_window_of_one() -> None:
    corpus = smooth(6, 4, 4, 1)
    found = locality(Nearest(corpus), states(corpus, (level(0.9999),)))
    assert (found.window(0.9).values == 1).all()
    assert np.isnan(found.centre).all()
    record = json.loads(found.to_json())
    assert record["centre"]["values"] == [[None], [None]]


def test_pixels_that_are_moved_are_chosen_by_the_seed_and_the_margin() -> None:
    corpus = smooth(4, 12, 12, 1)
    at = states(corpus, LEVELS[:1])
    matrix = np.eye(144)
    matrix[:, 5 * 12 + 6] += 1.0  # all pixels listen to this one
    denoiser = Linear(matrix, np.zeros((12, 12, 1)))
    alone = locality(denoiser, at, margin=5, pixels=4)
    assert (alone.window(1.0).values == 13).all()
    assert (locality(denoiser, at, margin=5).shares == alone.shares).all()
    moved = [locality(denoiser, at, pixels=n).window(1.0).values.max() for n in (1, 144)]
    assert moved == [1, 13]


# Equivariance


def test_machines_that_wrap_around_are_equivariant_bitwise() -> None:
    corpus = smooth(6, 6, 7, 1)
    at = states(corpus)
    shifts = [(1, 0), (0, -1), (3, 3), (8, 13)]
    for machine in (EquivariantLocal(corpus, scales=3), Equivariant(corpus)):
        assert (equivariance(machine, at, shifts=shifts).errors[..., 0] == 0.0).all()


def test_a_machine_that_knows_the_frame_is_equivariant_in_the_interior() -> None:
    corpus = smooth(6, 9, 9, 1)
    found = equivariance(BorderAware(corpus, scales=3), states(corpus), shifts=[(1, 0), (0, 2)])
    assert (found.error(1).values == 0.0).all()
    assert (found.error().values[:, 1] > 0.01).all()
    assert (equivariance(Ideal(corpus), states(corpus)).error(1).values[:, 1] > 0.1).all()


def test_the_error_of_a_fixed_picture_is_its_own_change() -> None:
    picture = np.random.default_rng(0).normal(size=(5, 6, 3))
    fixed = Linear(np.zeros((90, 90)), picture)
    found = equivariance(fixed, states(smooth(3, 5, 6, 3)), shifts=[(2, 0), (0, -1)])
    expected = [
        np.linalg.norm(picture - np.roll(picture, shift, (0, 1))) / np.linalg.norm(picture - picture.mean(axis=(0, 1)))
        for shift in ((2, 0), (0, -1))
    ]
    assert np.allclose(found.errors[..., 0], expected)
    assert np.allclose(found.error().values, math.sqrt(np.square(expected).mean()))
    assert np.allclose(found.error(shift=(0, -1)).values, expected[1])
    # Rows 3 and 4 came from 1 and 2; at margin 1, of rows 1, 2, 3 only 3 was at 1 to 3 before, and columns are 1 to 4.
    inner, before = picture[3, 1:5], picture[1, 1:5]
    by_hand = np.linalg.norm(inner - before) / np.linalg.norm(before - before.mean(axis=0))
    assert np.allclose(found.errors[:, :, 0, 1], by_hand)


def test_margins_end_where_no_pixel_is_left() -> None:
    found = equivariance(linear(4, 6, 1), states(smooth(3, 4, 6, 1)), shifts=[(2, 0), (0, 3)])
    # Of rows 1 and 2 none came from 1 or 2; of columns 1 to 4 the 1 and the 4 did, and of 2 and 3 none.
    assert found.margins == 2
    assert np.isfinite(found.errors[:, :, :, 0]).all()
    assert np.isnan(found.errors[:, :, 0, 1]).all()
    assert np.array_equal(found.error(1).values, found.errors[:, :, 1, 1])
    flat = Linear(np.zeros((24, 24)), np.zeros((4, 6, 1)))
    assert np.isnan(equivariance(flat, states(smooth(3, 4, 6, 1))).error().values).all()


# Conservation


def asymmetries(matrix: Floats, at: Level) -> tuple[float, float]:
    """Those of mean and score of a linear map."""
    score = (at.signal * matrix - np.eye(len(matrix))) / at.noise**2
    mean, score = (np.linalg.norm(m - m.T) / np.linalg.norm(m + m.T) for m in (matrix, score))
    return float(mean), float(score)


def test_asymmetry_of_a_linear_map_is_the_definition() -> None:
    denoiser = linear(2, 3, 1)
    at = states(smooth(3, 2, 3, 1))
    found = conservation(denoiser, at)
    expected = np.array([asymmetries(denoiser.matrix, each) for each in LEVELS])
    assert np.allclose(found.of_mean, expected[:, 0], rtol=0, atol=1e-9)
    assert np.allclose(found.of_score, expected[:, 1], rtol=0, atol=1e-9)
    assert found.probes is None
    # (v^T A u)^2 has mean |A|^2 and a variance of at most 8 |A|^4 (Gaussian u and v; signs have less), so 3,000 of them
    # are within 5 sqrt(8 / 3000) = 26 %, both squares, and the root of their ratio within 30 %; in fact far nearer.
    probed = conservation(denoiser, at, probes=3000)
    assert probed.probes == 3000
    assert np.allclose(probed.of_mean, expected[:, 0], rtol=0.3)
    assert np.allclose(probed.of_score, expected[:, 1], rtol=0.3)


def test_the_mean_over_all_probes_is_the_square_of_the_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = linear(1, 3, 1)
    every = np.array(list(itertools.product((-1, 1), repeat=3)), np.int8).reshape(8, 1, 3, 1)
    pairs = np.concatenate([np.repeat(every, 8, axis=0), np.tile(every, (8, 1, 1, 1))])
    for name, directions in (("curl", pairs), ("dimensions", every)):
        module = import_module(f"smalti.networks.measures.{name}")
        monkeypatch.setattr(module, "signs", lambda *_, given=directions, **__: given)
    at = states(smooth(3, 1, 3, 1))
    found = conservation(denoiser, at, probes=64)
    expected = np.array([asymmetries(denoiser.matrix, each) for each in LEVELS])
    assert np.allclose(found.of_mean, expected[:, 0], rtol=0, atol=1e-9)
    assert np.allclose(found.of_score, expected[:, 1], rtol=0, atol=1e-9)
    trace = np.array([each.signal * np.trace(denoiser.matrix) for each in LEVELS])
    assert np.allclose(dimension(denoiser, at, probes=8).traces, trace, rtol=0, atol=1e-9)


def test_gradients_have_no_asymmetry_and_a_rotation_nothing_else() -> None:
    at = states(smooth(3, 2, 3, 1))
    assert (conservation(linear(2, 3, 1, symmetric=True), at).of_mean < 1e-11).all()
    turn = np.random.default_rng(0).normal(size=(6, 6))
    found = conservation(Linear(turn - turn.T, np.zeros((2, 3, 1))), at)
    assert (found.of_mean > 1e9).all()
    expected = [a.signal * np.linalg.norm(turn - turn.T) / math.sqrt(4 * 6) for a in LEVELS]
    assert np.allclose(found.of_score, 2 * np.array(expected), rtol=0, atol=1e-9)


def test_whole_pictures_are_conservative_and_patches_are_not() -> None:
    corpus = smooth(12, 4, 4, 1)
    at = states(corpus, LEVELS[:2])
    for machine in (Ideal(corpus), Equivariant(corpus)):
        assert (conservation(machine, at).of_mean < 5e-3).all()
        assert (conservation(machine, at).of_score < 2e-3).all()
    assert (conservation(Wiener(corpus), at).of_mean < 1e-9).all()
    for machine in (EquivariantLocal(corpus, scales=3), BorderAware(corpus, scales=3), Local(corpus, scales=3)):
        assert (conservation(machine, at).of_mean[:, 1] > 0.05).all()


def test_probes_find_the_asymmetry_of_a_machine() -> None:
    corpus = smooth(12, 4, 4, 1)
    at = states(corpus, LEVELS[1:2], samples=1)
    machine = EquivariantLocal(corpus, scales=3)
    whole, probed = conservation(machine, at), conservation(machine, at, probes=400)
    # 400 squares are within 5 sqrt(8 / 400) = 70 % at the very most; the root of two of them within a factor 2.
    assert 0.5 < probed.of_mean[0, 0] / whole.of_mean[0, 0] < 2.0


# Dimension


def flat_pictures(d: int, *, count: int = 40, side: int = 4) -> ImageCorpus:
    """Pictures in which groups of pixels are grey alike: d numbers decide each, so they span d dimensions."""
    rng = np.random.default_rng(0)
    groups = np.arange(side * side).reshape(side, side) % d
    greys = rng.integers(0, 256, (count, d))
    return ImageCorpus.from_arrays(greys[:, groups, None].astype(np.uint8))


@pytest.mark.parametrize("d", [1, 3, 7])
def test_a_linear_subspace_has_its_dimension(d: int) -> None:
    corpus = flat_pictures(d)
    denoiser = Wiener(corpus)
    levels = (*LEVELS, ALMOST_CLEAN)
    found = dimension(denoiser, states(corpus, levels))
    values = np.linalg.eigvalsh(np.cov(values_of(corpus.images).reshape(len(corpus), -1).T, bias=True))[-d:]
    expected = [(values / (values + (at.noise / at.signal) ** 2)).sum() for at in levels]
    assert np.allclose(found.traces, expected, rtol=0, atol=1e-9)
    assert np.allclose(found.traces[:, -1], d, rtol=0, atol=1e-3)
    near = level(0.9995)
    assert (score_spectrum(denoiser, corpus.images[:3], near).dimensions == d).all()


def test_single_pictures_have_no_dimension_and_noise_has_all() -> None:
    corpus = smooth(5, 4, 4, 1)
    near = level(0.9995)
    assert (dimension(Ideal(corpus), states(corpus, (near,))).traces == 0.0).all()
    assert (score_spectrum(Ideal(corpus), corpus.images, near).dimensions == 0).all()
    believes = Linear(np.eye(16) / near.signal, np.zeros((4, 4, 1)))
    assert np.allclose(dimension(believes, states(corpus, (near,))).traces, 16)
    found = score_spectrum(believes, corpus.images, near, copies=16)
    assert (found.dimensions == 16).all()
    assert found.singular.shape == (5, 16)


def test_the_trace_of_an_ideal_machine_is_its_posterior_variance() -> None:
    corpus = smooth(7, 3, 4, 1)
    for n, i, state, at in (found := states(corpus, LEVELS[:2])):
        measured = dimension(Ideal(corpus), found).traces[n, i]
        k = values_of(corpus.images).reshape(7, -1)
        weights = softmax(-np.square(state.ravel() / 4080 - at.signal * k).sum(axis=1) / (2 * at.noise**2))
        error = (weights * np.square(k - weights @ k).sum(axis=1)).sum()
        # Twelve entries of the diagonal, each with the errors of test_the_jacobian...
        d, sharp = step_units(at) / 4080, at.signal / at.noise**2
        allowed = 12 * at.signal * (13 / 3 * d**2 / 6 * sharp**3 + 4e-4 / d)
        assert abs(measured - error * (at.signal / at.noise) ** 2) <= min(allowed, 0.05)


# Records and plots


def test_medians_leave_out_what_has_no_meaning() -> None:
    values = np.array([[1.0, np.nan], [2.0, np.nan], [4.0, 5.0], [np.nan, np.nan]])
    reading = Reading("a number", "someone", LEVELS[:2], values)
    first, second = reading.medians()
    assert (first.value, first.low, first.high) == (2.0, 1.0, 4.0)
    assert second.value == 5.0
    assert math.isnan(second.low)
    record = json.loads(json.dumps(reading.to_record(), allow_nan=False))
    assert record["values"] == [[1.0, None], [2.0, None], [4.0, 5.0], [None, None]]
    assert record["medians"] == [[2.0, 1.0, 4.0], [5.0, None, None]]


def test_every_measure_has_a_record_and_a_plot(tmp_path: Path) -> None:
    corpus = smooth(6, 5, 5, 1)
    at, machine = states(corpus), BorderAware(corpus, scales=3)
    found = [
        *(measure(machine, at) for measure in (locality, equivariance, conservation, dimension)),
        score_spectrum(machine, corpus.images[:2], LEVELS[2]),
    ]
    for each in found:
        record = json.loads(each.to_json())
        assert record["denoiser"] == "border-aware"
        each.plot(tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as plot:
            assert plot.width > 400
    assert json.loads(found[0].to_json())["windows"]["0.9"]["values"] == found[0].window(0.9).values.tolist()
    assert [m["time"] for m in json.loads(found[1].to_json())["levels"]] == [m.time for m in LEVELS]
    plot_readings({"one (log)": [found[3].trace]}, tmp_path / "log.png", title="log")
    assert (tmp_path / "log.png").exists()


# Refusals


def test_states_that_are_none_are_refused() -> None:
    machine = Ideal(smooth(5, 4, 4, 1))
    good = states(smooth(5, 4, 4, 1))
    with pytest.raises(InputError, match=r"int16 array of shape \(samples, levels, H, W, C\)"):
        StateSet(good.levels, good.values.astype(np.int32), good.seeds, "")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="3 seeds and 3 levels, and states for 2 and 3"):
        StateSet(good.levels, good.values, (0, 1, 2), "")
    with pytest.raises(UsageError, match="at one level at least"):
        noisy_items(smooth(5, 4, 4, 1), [])
    with pytest.raises(UsageError, match="each so-and-so-many-th is kept"):
        on_trajectory(machine, every=0)
    with pytest.raises(InputError, match=r"A state is an int16 array of shape \(H, W, C\)"):
        derivatives(machine, good.values[0], LEVELS[0], unit_directions((4, 4, 1), range(2)))


def test_settings_without_meaning_are_refused() -> None:
    denoiser, at = linear(3, 4, 1), states(smooth(3, 3, 4, 1))
    state = at.values[0, 0]
    one = unit_directions((3, 4, 1), range(1))
    for wrong in (one[:, :2], np.zeros_like(one), 2 * one):
        with pytest.raises(UsageError, match=r"Directions are arrays of -1, 0 and 1 of shape \(3, 4, 1\)"):
            derivatives(denoiser, state, LEVELS[0], wrong)
    for step in (0, 4081):
        with pytest.raises(UsageError, match=f"units of 1/4080, from 1 to 4080, but it is {step}"):
            derivatives(denoiser, state, LEVELS[0], one, step=step)
    with pytest.raises(UsageError, match="A batch holds at least 1 state"):
        jacobian(denoiser, state, LEVELS[0], batch=0)
    with pytest.raises(UsageError, match="'end' or 'circular', but edges is 'zeros'"):
        locality(denoiser, at, edges="zeros")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="A margin of 2 leaves no pixel of pictures of 4x3"):
        locality(denoiser, at, margin=2)
    with pytest.raises(UsageError, match="A window holds a share above 0, and at most 1"):
        locality(denoiser, at).window(0.0)
    with pytest.raises(UsageError, match=r"the shift \(3, -4\) moves nothing"):
        equivariance(denoiser, at, shifts=[(1, 0), (3, -4)])
    with pytest.raises(UsageError, match="there is none, or one comes twice"):
        equivariance(denoiser, at, shifts=[])
    with pytest.raises(UsageError, match=r"but one is 0\.5"):
        equivariance(denoiser, at, shifts=[(0.5, 1)])  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="A margin of 9 leaves no pixel"):
        equivariance(denoiser, at).error(9)
    with pytest.raises(UsageError, match=r"The shift \(2, 2\) was not measured"):
        equivariance(denoiser, at).error(shift=(2, 2))
    with pytest.raises(UsageError, match="A picture of 1x1 pixels cannot be shifted"):
        equivariance(linear(1, 1, 1), states(smooth(3, 1, 1, 1)))
    for measure in (conservation, dimension):
        with pytest.raises(UsageError, match="The number of probes is at least 1"):
            measure(denoiser, at, probes=0)
    with pytest.raises(UsageError, match="11 copies span 11 directions at most, and a picture has 12 numbers"):
        score_spectrum(denoiser, np.zeros((1, 3, 4, 1), np.uint8), LEVELS[0], copies=11)
    with pytest.raises(InputError, match=r"Pictures are a uint8 array of shape \(S, H, W, C\)"):
        score_spectrum(denoiser, np.zeros((3, 4, 1), np.uint8), LEVELS[0])


def test_a_denoiser_of_no_use_is_refused() -> None:
    at = states(smooth(3, 3, 4, 1))
    with pytest.raises(SmaltiError, match=r"machine 'linear' must return a finite float64 mean .* not all finite"):
        equivariance(Linear(np.zeros((12, 12)), np.zeros((3, 4, 1)), rest=math.nan), at)
    odd = Linear(np.zeros((12, 12)), np.zeros((3, 4, 2)))
    with pytest.raises(SmaltiError, match=r"mean of shape \(4, 3, 4, 1\), but at time 0\.5 it returned float64"):
        equivariance(odd, at)


def test_time_of_a_measure_is_that_of_the_schedule() -> None:
    machine = Ideal(smooth(5, 4, 4, 1))
    found = dimension(machine, on_trajectory(machine, [0], steps=4, every=2))
    assert found.trace.levels == tuple(schedule("cosine").level(t) for t in (0.75, 0.25))
