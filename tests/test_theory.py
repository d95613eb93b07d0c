"""Truths from outside: an independent float64 formula, closed forms, and the theorems of Kamb & Ganguli (2025).

Nothing here is compared with the engine's own twin; see `reference.py` for the formula and for where tolerances come
from.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from problems import level
from reference import sites, tolerances
from smalti.corpus import ImageCorpus
from smalti.machines import MACHINES, BorderAware, Equivariant, EquivariantLocal, Ideal, Machine
from smalti.noise import Level, gaussian_state
from smalti.sampling import DDIM
from smalti.sampling.ddim import state_of


def noised(image: NDArray[np.uint8], at: Level, seed: int) -> NDArray[np.int16]:
    """A picture with noise, on the state grid."""
    x = at.signal * (2.0 * image / 255 - 1) + at.noise * gaussian_state(image.shape, seed=seed, purpose="test") / 4080
    return state_of(x)


def corpus_of(shape: tuple[int, ...], seed: int) -> ImageCorpus:
    """Smooth random pictures, uint8 (N, H, W, C): items and places are alike, so that many sources count."""
    rng = np.random.default_rng(seed)
    _, height, width, channels = shape
    rough = rng.normal(size=shape)
    wave = np.cos(np.arange(height)[:, None, None] * 0.7 + np.arange(width)[None, :, None] * 0.4 + np.arange(channels))
    return ImageCorpus.from_arrays(np.clip(np.rint(127 + 60 * wave + 35 * rough), 0, 255).astype(np.uint8))


# (machine, patch, corpus shape, state size where it is not the corpus's)
CASES = [
    ("ideal", 1, (9, 5, 4, 3), None),
    ("equivariant", 1, (4, 4, 5, 1), None),
    ("local", 3, (12, 5, 4, 3), None),
    ("local", 9, (12, 4, 4, 4), None),
    ("equivariant-local", 3, (5, 6, 7, 1), None),
    ("equivariant-local", 5, (6, 6, 8, 3), (4, 9)),
    ("equivariant-local", 5, (6, 6, 8, 1), (3, 2)),
    ("border-aware", 1, (6, 4, 4, 1), None),
    ("border-aware", 3, (5, 6, 8, 3), None),
    ("border-aware", 3, (5, 6, 7, 4), (5, 9)),
    ("border-aware", 5, (5, 7, 9, 1), (10, 6)),
    ("border-aware", 5, (9, 4, 6, 1), None),
    ("border-aware", 7, (9, 5, 6, 1), None),
    ("border-aware", 13, (9, 5, 6, 1), None),
]


def made(name: str, corpus: ImageCorpus, patch: int) -> Machine:
    return MACHINES[name](corpus) if name in ("ideal", "equivariant") else MACHINES[name](corpus, scales=patch)


@pytest.mark.parametrize(("name", "patch", "shape", "size"), CASES)
@pytest.mark.parametrize("signal", [0.0125, 0.3, 0.7, 0.95, 0.997, 0.9999])
def test_machines_are_the_formula(
    name: str, patch: int, shape: tuple[int, ...], size: tuple[int, int] | None, signal: float
) -> None:
    corpus, at = corpus_of(shape, 3), level(signal)
    height, width = size or corpus.size
    clean = np.resize(corpus.images[0], (height, width, corpus.channels))
    state = noised(clean, at, 11)
    found = made(name, corpus, patch)(state, at, report=["entropy"])
    assert found.entropy is not None
    reference = sites(name, corpus.images, state, patch=patch, signal=at.signal, noise=at.noise)
    worst = 0.0
    for i in range(height):
        for j in range(width):
            site = reference[i][j]
            allowed = tolerances(site, signal=at.signal, noise=at.noise)
            worst = max(worst, allowed.mean)
            assert np.abs(found.mean[i, j] - site.mean).max() <= allowed.mean
            assert abs(found.evidence[i, j] - site.evidence) <= allowed.evidence
            assert abs(found.entropy[i, j] - site.entropy) <= allowed.entropy
            assert found.cut[i, j] <= len(site.logits) * 2.0**-30
    # The tolerance says something: below 2e-4, but for the last levels, where a score unit is 4e-4 and 5e-3 nats.
    assert worst < {0.997: 2e-3, 0.9999: 0.02}.get(signal, 4e-4)


@pytest.mark.parametrize("patch", [3, 5, 7])
def test_border_aware_on_digits_is_the_formula(few_digits: ImageCorpus, patch: int) -> None:
    at = level(0.8)
    state = noised(few_digits.images[5], at, 2)
    found = BorderAware(few_digits, scales=patch)(state, at, report=["entropy"])
    assert found.entropy is not None
    reference = sites("border-aware", few_digits.images, state, patch=patch, signal=at.signal, noise=at.noise)
    for i in range(8):
        for j in range(8):
            allowed = tolerances(reference[i][j], signal=at.signal, noise=at.noise)
            assert np.abs(found.mean[i, j] - reference[i][j].mean).max() <= allowed.mean
            assert abs(found.evidence[i, j] - reference[i][j].evidence) <= allowed.evidence
            assert abs(found.entropy[i, j] - reference[i][j].entropy) <= allowed.entropy


# -------------------------------------------------------------------------------- Theorem 4.1: consistency at the end

HARD = Level(time=0.0, signal=1.0, noise=0.002)


def flowed(machine: Machine, state: NDArray[np.int16], halvings: int) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Follows the flow towards t = 0 beyond the grid's last level: mean and state after `halvings` of the noise.

    A DDIM step from noise s to s / 2 at signal 1 is x' = mean + (x - mean) / 2. Once the nearest patch has all the
    weight, the mean no longer depends on s, so the machine may be asked at one fixed small s while the steps go on
    for ever.
    """
    mean = machine(state, HARD).mean
    for _ in range(halvings):
        state = state_of(mean + (state / 4080 - mean) / 2)
        mean = machine(state, HARD).mean
    return mean, state


def votes(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each 3 x 3 patch of pictures (B, H, W, C) that wrap around."""
    return sum((np.roll(pictures, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)), np.zeros_like(pictures))


@pytest.fixture(scope="module")
def black_and_white() -> EquivariantLocal:
    pictures = np.stack([np.zeros((8, 8, 1), np.uint8), np.full((8, 8, 1), 255, np.uint8)])
    return EquivariantLocal(ImageCorpus.from_arrays(pictures), scales=3)


@pytest.mark.parametrize("signal", [0.05, 0.5, 0.99])
def test_black_and_white_closed_form(black_and_white: EquivariantLocal, signal: float) -> None:
    """|k|^2 is the same for black and white, so the mean is tanh(a S / s^2), S the sum of the state over the patch.

    The weights' logarithms are off by eta (`reference.tolerances`: two sources up to 36 copies, u <= 7e-5 here), so
    the mean by less than 2e-4.
    """
    at = level(signal)
    state = np.stack([gaussian_state((8, 8, 1), seed=s, purpose="test") for s in range(4)])
    expected = 2 * expit(2 * at.signal * votes(state / 4080) / at.noise**2) - 1
    assert np.abs(black_and_white(state, at).mean - expected).max() < 2e-4


def test_black_and_white_ends_at_majorities(black_and_white: EquivariantLocal) -> None:
    """The toy of the consistency theorem: each finished pixel is the majority of its 3 x 3 patch.

    The theorem speaks of the limit. After 20 steps of the cosine one pixel in 60 is still on its way (an island of
    one colour shrinks pixel by pixel, each in its turn); with more steps fewer are left; and on the flow to t = 0
    none.
    """
    share = []
    for steps in (20, 80, 320):
        trace = DDIM(black_and_white, steps=steps)(range(64))
        sign = np.sign(trace.means)
        assert (sign != 0).all()
        against = np.sign(votes(sign)) != sign
        share.append(1 - against.mean())
    assert 0.98 < share[0] < share[1] < share[2]
    start = DDIM(black_and_white, steps=20)(range(64)).states[:, -1]
    mean, state = flowed(black_and_white, start, 80)
    assert np.array_equal(state, 4080 * mean)
    assert set(np.unique(mean)) == {-1.0, 1.0}
    assert np.array_equal(mean, np.sign(votes(mean)))


def to_nearest_centre(images: NDArray[np.uint8], pictures: NDArray[np.float64], patch: int) -> NDArray[np.float64]:
    """How far each pixel of grey pictures (B, H, W) is from the centre of its nearest admitted patch (border-aware);
    same shape.

    By brute force over all patches with the same padding pattern; of equally near patches, the one with the nearest
    centre.
    """
    far = np.empty(pictures.shape)
    for b, picture in enumerate(pictures):
        units = np.rint(4080 * picture[..., None]).astype(np.int16)
        for i, line in enumerate(sites("border-aware", images, units, patch=patch, signal=1.0, noise=math.sqrt(0.5))):
            for j, site in enumerate(line):  # a logit is then minus the squared distance
                nearest = site.logits >= site.logits.max() - 1e-9
                far[b, i, j] = np.abs(site.pixels[nearest, 0] - picture[i, j]).min()
    return far


def test_digits_end_at_nearest_patches(digits: ImageCorpus) -> None:
    """Theorem 4.1 on real pictures: the lower the last noise level, the more pixels are the centre of their nearest
    admitted patch.

    At 20, 80 and 320 steps of the cosine the last level has s = 0.078, 0.019 and 0.0049. Weights other than the
    nearest patch's fall off over distances of s, so a settled pixel is within one step of a picture's grey values (1
    / 127.5).
    """
    machine = BorderAware(digits, scales=3)
    share, distance = [], []
    for steps in (20, 80, 320):
        far = to_nearest_centre(digits.images, DDIM(machine, steps=steps)(range(3)).means[..., 0], 3)
        share.append(float((far <= 1 / 127.5).mean()))
        distance.append(float(far.mean()))
    assert share[0] < share[1] < share[2]
    assert distance[0] > distance[1] > distance[2]
    assert share[0] > 0.6
    assert share[2] > 0.85


def test_digits_on_the_flow_to_zero_end_at_nearest_patches(digits: ImageCorpus) -> None:
    """The limit itself: the flow comes to rest, and then every pixel is exactly the centre of its nearest admitted
    patch.
    """
    machine = BorderAware(digits, scales=3)
    mean, state = flowed(machine, DDIM(machine, steps=20)(range(8)).states[:, -1], 200)
    assert np.array_equal(state, state_of(mean))
    assert to_nearest_centre(digits.images, mean[..., 0], 3).max() <= 1e-15


# ------------------------------------------------------------------------------------------------------- closed forms


def test_ideal_machine_returns_training_pictures(digits: ImageCorpus) -> None:
    known = {image.tobytes() for image in digits.images}
    trace = DDIM(Ideal(digits))(range(24))
    assert all(image.tobytes() in known for image in trace.images)
    assert len({image.tobytes() for image in trace.images}) > 12


def test_equivariant_machine_returns_shifted_training_pictures(few_digits: ImageCorpus) -> None:
    known = {
        np.roll(image, (i, j), (0, 1)).tobytes() for image in few_digits.images for i in range(8) for j in range(8)
    }
    trace = DDIM(Equivariant(few_digits))(range(12))
    assert all(image.tobytes() in known for image in trace.images)


@pytest.mark.parametrize("name", ["ideal", "local", "border-aware"])
def test_one_item_is_all_there_is(name: str) -> None:
    """With one item, and windows that tell every place apart, the only source of a pixel is that pixel."""
    picture = np.random.default_rng(4).integers(0, 256, (1, 5, 6, 3), dtype=np.uint8)
    corpus = ImageCorpus.from_arrays(picture)
    machine = made(name, corpus, 13)
    for signal in (0.01, 0.6, 0.999):
        at = level(signal)
        found = machine(gaussian_state((5, 6, 3), seed=1, purpose="test"), at, report=["entropy", "shares"])
        assert np.array_equal(found.mean, (2.0 * picture[0] - 255) / 255)
        assert found.entropy is not None
        # One source with 30-bit weight: log2 of the weight, kept in steps of 2^-12, against log2 of the cut one.
        assert found.entropy.max() <= math.log(2) * (0.51 / 4096 + 2.0**-15 * 1.45)
        assert found.shares is not None
        assert np.array_equal(found.shares, np.ones((1, 5, 6)))
    assert np.array_equal(DDIM(machine, steps=3)([0]).images, picture)


@pytest.mark.parametrize("signal", [0.1, 0.6, 0.95])
def test_windows_of_one_pixel_are_histograms(signal: float) -> None:
    """P = 1: the posterior of a pixel is the histogram of all the corpus's pixels, times a normal density."""
    corpus, at = corpus_of((7, 9, 6, 1), 8), level(signal)
    values, counts = np.unique(corpus.images, return_counts=True)
    k = 2.0 * values / 255 - 1
    state = gaussian_state((9, 6, 1), seed=5, purpose="test")
    x = state[..., 0, None] / 4080
    logits = np.log(counts) - (x - at.signal * k) ** 2 / (2 * at.noise**2)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    # 378 sources of one place: eta = u + 50 ln 2 / (2 G) + 5e-6 + 2^-15 of reference.tolerances, and u = 15 ln 2 / G.
    g = 15 * math.log(2) * 4080 * 255 * at.noise**2 / at.signal
    eta = (15 + 25) * math.log(2) / (g - 1) + 5e-6 + 2.0**-15 * 1.0001
    for name in ("border-aware", "equivariant-local"):
        found = made(name, corpus, 1)(state, at)
        assert np.abs(found.mean[..., 0] - weights @ k).max() <= math.expm1(eta) + 2 * 378 * 2.0**-29


@pytest.mark.parametrize(("signal", "difference"), [(0.3, 320), (0.6, 160), (0.9, 60)])
def test_score_is_the_gradient_of_the_evidence(signal: float, difference: int) -> None:
    """Central differences of the evidence of the ideal machine over +-`difference` units of the grid, at every pixel.

    evidence(x) = log of the sum of exp((a k x - a^2 |k|^2 / 2) / s^2) over items - |x|^2 / (2 s^2). The central
    difference of the second term is exact. The third derivative of the first along one pixel is the third central
    moment of (a / s^2) k, k in an interval of length r, and so at most
    0.0963 (a r / s^2)^3 (Popoviciu's bound for third moments, r^3 / (6 sqrt 3)). So with h = difference / 4080

        |central difference - score| <= h^2 / 6 * 0.0963 (a r / s^2)^3 + (error of the evidence) / h + (a / s^2)
        (error of the mean).
    """
    at = level(signal)
    rng = np.random.default_rng(6)
    base = rng.integers(80, 176, (1, 4, 4, 1))
    corpus = ImageCorpus.from_arrays((base + rng.integers(-40, 41, (25, 4, 4, 1))).astype(np.uint8))
    machine = Ideal(corpus)
    state = noised(corpus.images[3], at, 4)
    steps = difference * np.eye(16, dtype=np.int16).reshape(16, 4, 4, 1)
    h = difference / 4080
    up, down = (machine((state + sign * steps).astype(np.int16), at).evidence[:, 0, 0] for sign in (1, -1))
    found = machine(state, at)
    gradient = ((up - down) / (2 * h)).reshape(4, 4, 1)
    both = [
        sites("ideal", corpus.images, x, patch=1, signal=at.signal, noise=at.noise)[0][0]
        for x in (state, state + steps[0])
    ]
    allowed = [tolerances(site, signal=at.signal, noise=at.noise) for site in both]
    r = (np.ptp(corpus.images.astype(int), axis=0).max() + 1) * 2 / 255
    steep = at.signal / at.noise**2
    bound = (
        h * h / 6 * 0.0963 * (steep * r) ** 3
        + 1.1 * max(t.evidence for t in allowed) / h  # 1.1: the other states' energies differ by less
        + steep * allowed[0].mean
    )
    assert np.abs(gradient - found.score).max() <= bound
    assert bound < 0.05 * np.abs(found.score).max()


# --------------------------------------------------------------------------------------------------------- symmetries


@pytest.mark.parametrize("patch", [9, 11, 17])
def test_border_aware_is_local_when_the_patch_reaches_the_side(few_digits: ImageCorpus, patch: int) -> None:
    """With P > side every place has a padding pattern of its own."""
    one, other = BorderAware(few_digits, scales=patch), made("local", few_digits, patch)
    for signal in (0.05, 0.7, 0.99):
        at = level(signal)
        state = noised(few_digits.images[9], at, 7)
        a, b = one(state, at, report=["entropy"]), other(state, at, report=["entropy"])
        for name in ("mean", "evidence", "entropy", "cut"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
    assert DDIM(one)(range(4)).images.tobytes() == DDIM(other)(range(4)).images.tobytes()


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (-2, 5)])
@pytest.mark.parametrize("name", ["equivariant", "equivariant-local"])
def test_equivariant_machines_commute_with_shifts(few_digits: ImageCorpus, name: str, shift: tuple[int, int]) -> None:
    machine = made(name, few_digits, 5)
    for signal in (0.02, 0.6, 0.97):
        at = level(signal)
        state = noised(few_digits.images[9], at, 7)
        here, there = (machine(s, at, report=["entropy"]) for s in (state, np.roll(state, shift, (0, 1))))
        for field in ("mean", "evidence", "entropy", "cut"):
            assert np.array_equal(np.roll(getattr(here, field), shift, (0, 1)), getattr(there, field))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", sorted(MACHINES))
def test_machines_commute_with_reflection(few_digits: ImageCorpus, name: str, axis: int) -> None:
    mirrored = ImageCorpus.from_arrays(np.flip(few_digits.images, axis + 1))
    at = level(0.7)
    state = noised(few_digits.images[9], at, 7)
    here = made(name, few_digits, 5)(state, at, report=["entropy"])
    there = made(name, mirrored, 5)(np.flip(state, axis).copy(), at, report=["entropy"])
    for field in ("mean", "evidence", "entropy", "cut"):
        assert np.array_equal(np.flip(getattr(here, field), axis), getattr(there, field))


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_negatives_have_negative_means(few_digits: ImageCorpus, name: str) -> None:
    """u -> 255 - u and x -> -x turn every q and every X around and leave every score as it is."""
    negative = ImageCorpus.from_arrays(255 - few_digits.images)
    at = level(0.7)
    state = noised(few_digits.images[9], at, 7)
    here = made(name, few_digits, 5)(state, at, report=["entropy"])
    there = made(name, negative, 5)(-state, at, report=["entropy"])
    assert np.array_equal(-here.mean, there.mean)
    for field in ("evidence", "entropy", "cut"):
        assert np.array_equal(getattr(here, field), getattr(there, field))


def test_grey_pictures_stored_in_colour_answer_as_with_three_times_the_evidence(few_digits: ImageCorpus) -> None:
    """Equal channels multiply each logit by 3, which is the grey machine at a = 1 with the noise divided by sqrt 3.

    The scores are then the same whole numbers times 3, and so is the span: 3 G rounds to another number than round(G)
    times 3, which moves logits by a factor within 1 +- 1 / G; with that, both sides are as near to each other as
    twice their tolerance.
    """
    colour = ImageCorpus.from_arrays(np.repeat(few_digits.images, 3, axis=3))
    s = 0.3
    state = noised(few_digits.images[9], Level(time=0.5, signal=1.0, noise=s), 7)
    three = BorderAware(colour, scales=3)(np.repeat(state, 3, axis=2), Level(time=0.5, signal=1.0, noise=s)).mean
    one = BorderAware(few_digits, scales=3)(state, Level(time=0.5, signal=1.0, noise=s / math.sqrt(3))).mean
    reference = sites("border-aware", few_digits.images, state, patch=3, signal=1.0, noise=s / math.sqrt(3))
    allowed = [[tolerances(site, signal=1.0, noise=s / math.sqrt(3)).mean for site in line] for line in reference]
    assert (np.abs(three - one) <= 2 * np.array(allowed)[..., None]).all()
    assert np.array_equal(three[..., 0], three[..., 2])
