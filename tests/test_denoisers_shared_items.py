"""Whole items beside patches: the ends of the dial, widths of kernels, weights of items, and the fit to a network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti.corpus import ImageCorpus
from smalti.denoisers import Nearest, Recall, SharedItems
from smalti.engine import naive, native
from smalti.engine.posterior import finish
from smalti.errors import InputError, UsageError
from smalti.machines import BorderAware, EquivariantLocal, Ideal, Machine
from smalti.networks import fit_shared_items
from smalti.networks.comparison import cosine
from smalti.networks.fitted_items import SHARES, similarities
from smalti.noise import STATE_UNITS, Level, gaussian_state, schedule
from smalti.sampling import DDIM
from smalti.sampling.ddim import values_of

LEVEL = schedule("cosine").level(0.3)


def recall(*, size: int = 3, width: float = 1.0, share: float = 0.5) -> Recall:
    """The same at all levels."""
    return Recall((LEVEL,), (size,), (width,), (share,))


def noisy(corpus: ImageCorpus, level: Level = LEVEL, *, count: int = 3) -> NDArray[np.int16]:
    """Items of the corpus under noise."""
    noise = np.stack([gaussian_state((8, 8, 1), seed=n, purpose="test") for n in range(count)])
    clean = STATE_UNITS * values_of(corpus.images[:count])
    return np.rint(level.signal * clean + level.noise * noise).astype(np.int16)


# ------------------------------------------------------------------------------------------------ the ends of the dial


@pytest.mark.parametrize("kind", [BorderAware, EquivariantLocal])
@pytest.mark.parametrize("time", [0.1, 0.5, 1.0])
def test_without_a_share_it_is_the_machine_and_with_all_of_it_the_ideal_one(
    few_digits: ImageCorpus, kind: type[Machine], time: float
) -> None:
    """Byte for byte, and so are the pictures drawn."""
    level = schedule("cosine").level(time)
    states = noisy(few_digits, level)
    for share, machine in ((0.0, kind(few_digits, scales=5)), (1.0, Ideal(few_digits))):
        denoiser = SharedItems(few_digits, recall(size=5, share=share), kind=kind)
        found, expected = denoiser(states, level), machine(states, level)
        assert found.mean.tobytes() == expected.mean.tobytes()
        assert found.patch_size == expected.patch_size
        drawn, wanted = (DDIM(one, steps=3)(seeds=[4]).means for one in (denoiser, machine))
        assert drawn.tobytes() == wanted.tobytes()


def test_a_narrow_kernel_recalls_the_nearest_item(few_digits: ImageCorpus) -> None:
    states = noisy(few_digits)
    found = SharedItems(few_digits, recall(width=0.1, share=1.0))(states, LEVEL).mean
    assert np.array_equal(found, Nearest(few_digits)(states, LEVEL).mean)


def test_a_wide_kernel_recalls_the_mean_of_all_items(few_digits: ImageCorpus) -> None:
    """The width is such that no two logits differ by more than 10^-5, so no weight differs by more than that part from
    1 / N, and no mean of values in [-1, 1] by more than 2 10^-5.
    """
    states = noisy(few_digits)
    x = states / STATE_UNITS
    squares = ((x[None] - LEVEL.signal * values_of(few_digits.images)[:, None]) ** 2).sum(axis=(2, 3, 4))
    width = math.sqrt(float(squares.max()) / 2e-5) / LEVEL.noise
    found = SharedItems(few_digits, recall(width=width, share=1.0))(states, LEVEL).mean
    assert np.abs(found - values_of(few_digits.images).mean(axis=0)).max() < 2e-5


# ----------------------------------------------------------------------------------------------------- between the ends


@pytest.mark.parametrize("width", [0.7, 1.0, 2.0])
def test_it_is_the_formula(few_digits: ImageCorpus, width: float) -> None:
    """Against the formula in float64. The engine rounds a score by at most a unit, here less than 10^-5 bits of weight,
    and their scale by a part in 2 G, here less than 10^-4 of any logit.
    """
    states = noisy(few_digits)
    values, x = values_of(few_digits.images), states / STATE_UNITS
    squares = ((x[None] - LEVEL.signal * values[:, None]) ** 2).sum(axis=(2, 3, 4))
    logits = -squares / (2.0 * (width * LEVEL.noise) ** 2)
    weights = np.exp(logits - logits.max(axis=0))
    weights /= weights.sum(axis=0)
    patches = BorderAware(few_digits, scales=3)(states, LEVEL).mean
    expected = 0.75 * patches + 0.25 * np.einsum("nb,nhwc->bhwc", weights, values)
    found = SharedItems(few_digits, recall(width=width, share=0.25))(states, LEVEL).mean
    assert np.abs(found - expected).max() < 1e-4


def test_a_wider_kernel_has_the_same_sums_from_the_definition(few_digits: ImageCorpus) -> None:
    """The naive twin, byte for byte, for patches and whole items; its evidence is that of the wider kernel."""
    few = ImageCorpus.from_arrays(few_digits.images[:6])
    for machine in (BorderAware(few, scales=3), Ideal(few)):
        query = replace(machine.query(noisy(few, count=1), LEVEL), width=1.7)
        assert native.sums(query) == naive.sums(query)
    x, values = noisy(few, count=1) / STATE_UNITS, values_of(few.images)
    squares = ((x - LEVEL.signal * values) ** 2).sum(axis=(1, 2, 3))
    expected = math.log(np.exp(-squares / (2.0 * (1.7 * LEVEL.noise) ** 2)).sum())
    query = replace(Ideal(few).query(noisy(few, count=1), LEVEL), width=1.7)
    assert np.abs(finish(query, native.sums(query))[1] - expected).max() < 1e-3


def test_a_kernel_as_wide_as_another_levels_noise_is_that_levels(few_digits: ImageCorpus) -> None:
    """Only the product of width and noise decides."""
    machine, states = BorderAware(few_digits, scales=3), noisy(few_digits)
    wider = Level(LEVEL.time, LEVEL.signal, 2.0 * LEVEL.noise)
    one, other = replace(machine.query(states, LEVEL), width=2.0), machine.query(states, wider)
    assert native.sums(one) == native.sums(other)


def test_each_items_share_of_a_pixel() -> None:
    """Not negative, and they add up to 1. Where an item is of one colour they tell the whole pixel."""
    colours = np.array([0, 90, 160, 255], np.uint8)
    corpus = ImageCorpus.from_arrays(np.broadcast_to(colours[:, None, None, None], (4, 8, 8, 1)).copy())
    level = schedule("cosine").level(0.9)
    states = np.stack([gaussian_state((8, 8, 1), seed=n, purpose="test") for n in range(2)])
    for share in (0.0, 0.3, 1.0):
        denoiser = SharedItems(corpus, recall(share=share, width=1.4))
        shares = denoiser.item_shares(states, level)
        assert shares.shape == (4, 2, 8, 8)
        assert (shares >= 0.0).all()
        assert np.abs(shares.sum(axis=0) - 1.0).max() < 1e-14
        mean = np.einsum("nbhw,n->bhw", shares, values_of(corpus.images)[:, 0, 0, 0])
        assert np.abs(mean - denoiser(states, level).mean[..., 0]).max() < 1e-14
        assert denoiser.item_shares(states[1], level).tobytes() == np.ascontiguousarray(shares[:, 1]).tobytes()
    whole = SharedItems(corpus, recall(share=1.0)).item_shares(states, level)
    assert np.array_equal(whole, np.broadcast_to(whole[:, :, :1, :1], whole.shape))


def test_a_picture_is_the_same_in_any_batch_and_order_of_items(few_digits: ImageCorpus) -> None:
    denoiser = SharedItems(few_digits, recall(width=1.4))
    together, alone = DDIM(denoiser, steps=4)(seeds=[1, 2, 3]), DDIM(denoiser, steps=4)(seeds=[2])
    assert together.means[1].tobytes() == alone.means[0].tobytes()
    turned = SharedItems(ImageCorpus.from_arrays(few_digits.images[::-1].copy()), recall(width=1.4))
    assert DDIM(turned, steps=4)(seeds=[2]).means.tobytes() == alone.means.tobytes()


def test_its_digest_tells_what_decides_it(few_digits: ImageCorpus) -> None:
    made = [
        SharedItems(few_digits, recall()),
        SharedItems(few_digits, recall(width=1.4)),
        SharedItems(few_digits, recall(share=0.25)),
        SharedItems(few_digits, recall(), kind=EquivariantLocal),
    ]
    assert len({one.digest for one in made}) == len(made)
    assert made[0].digest == SharedItems(few_digits, recall()).digest


# ----------------------------------------------------------------------------------------------------- fit to a network


@dataclass(frozen=True)
class _Known:
    """A known denoiser in the place of a network."""

    inner: Any
    factor: float = 1.0
    name: str = "known"
    label: str | None = None

    @property
    def corpus(self) -> ImageCorpus:
        return self.inner.corpus

    def check_output(self, size: tuple[int, int]) -> None:
        self.inner.check_output(size)

    def __call__(self, state: NDArray[np.int16], level: Level) -> Any:
        posterior = self.inner(state, level)
        return replace(posterior, mean=self.factor * posterior.mean)


def test_the_fit_finds_what_a_network_is_made_of(few_digits: ImageCorpus) -> None:
    levels = schedule("cosine").grid(4)
    made = Recall(levels, (7, 5, 5, 3), (1.4, 1.0, 2.0, 1.4), (0.75, 0.5, 0.25, 0.375))
    found = fit_shared_items(
        _Known(SharedItems(few_digits, made)), few_digits, seeds=range(3), steps=4, sizes=(3, 5, 7), widths=(1, 1.4, 2)
    )
    assert found.recall == made


def test_the_fit_to_a_machine_gives_no_share_to_whole_items(few_digits: ImageCorpus) -> None:
    network = _Known(BorderAware(few_digits, scales=3))
    found = fit_shared_items(network, few_digits, seeds=range(3), steps=3, sizes=(3, 5), widths=(1.0, 1.4))
    assert found.recall.shares == (0.0, 0.0, 0.0)
    assert found.recall.sizes == (3, 3, 3)


def test_similarities_are_those_of_the_mixtures() -> None:
    rng = np.random.default_rng(0)
    patches, whole = ([rng.normal(size=(2, 3, 3, 1)) for _ in range(count)] for count in (2, 3))
    theirs = rng.normal(size=(2, 3, 3, 1))
    found = similarities(patches, whole, theirs)
    for b, i, j, k in np.ndindex(*found.shape):
        mixed = (1.0 - SHARES[k]) * patches[i][b] + SHARES[k] * whole[j][b]
        assert abs(found[b, i, j, k] - cosine(mixed, theirs[b])) < 1e-12
    nothing = [np.zeros((2, 3, 3, 1))]
    assert (similarities(nothing, nothing, theirs) == 0.0).all()


# -------------------------------------------------------------------------------------------------------- what is wrong


def test_what_cannot_be_is_refused(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match=r"between 0 and 1, and 1\.5 does not"):
        recall(share=1.5)
    for width in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match=f"a number above 0, in units of the noise, not {width}"):
            recall(width=width)
        with pytest.raises(UsageError, match=f"a number above 0, in units of the noise, not {width}"):
            replace(Ideal(few_digits).query(noisy(few_digits), LEVEL), width=width)
    with pytest.raises(UsageError, match="for each level, and at least one level"):
        Recall((), (), (), ())
    with pytest.raises(UsageError, match="for each level, and at least one level"):
        Recall((LEVEL,), (3, 5), (1.0,), (0.5,))
    with pytest.raises(UsageError, match="the ideal machine looks at whole images already"):
        SharedItems(few_digits, recall(), kind=Ideal)
    with pytest.raises(UsageError, match="own size"):
        DDIM(SharedItems(few_digits, recall()), steps=2)(seeds=[0], size=(10, 10))


def test_fits_that_cannot_be_are_refused(few_digits: ImageCorpus) -> None:
    network = _Known(BorderAware(few_digits, scales=3))
    with pytest.raises(UsageError, match="At least one width"):
        fit_shared_items(network, few_digits, seeds=[0], steps=2, widths=())
    with pytest.raises(InputError, match="a picture that is 0 everywhere"):
        fit_shared_items(replace(network, factor=0.0), few_digits, seeds=[0], steps=2)
    smaller = ImageCorpus.from_arrays(few_digits.images[:, :6, :6].copy())
    with pytest.raises(UsageError, match="whole items cannot be fitted"):
        fit_shared_items(network, smaller, seeds=[0], steps=2)
