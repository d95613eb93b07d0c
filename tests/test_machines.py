"""Machines as a person uses them: states and batches, reports, labels, sizes, and the sentences for what cannot be."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from problems import level
from smalti.corpus import ImageCorpus
from smalti.engine import Exclusion, Posterior
from smalti.errors import InputError, UsageError
from smalti.machines import MACHINES, BorderAware, Equivariant, EquivariantLocal, Ideal, Local, Machine
from smalti.noise import Level, gaussian_state, schedule
from smalti.sampling import DDIM
from smalti.window import Scales

LEVEL = level(0.7)


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int16]:
    return gaussian_state(shape, seed=seed, purpose="test")


def random_corpus(*shape: int, labels: list[str] | None = None) -> ImageCorpus:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return ImageCorpus.from_arrays(images, labels=labels)


def made(name: str, corpus: ImageCorpus, patch: int = 3) -> Machine:
    return MACHINES[name](corpus) if name in ("ideal", "equivariant") else MACHINES[name](corpus, scales=patch)


def arrays(posterior: Posterior) -> dict[str, NDArray[Any]]:
    """All arrays of a posterior, by name."""
    found = {name: getattr(posterior, name) for name in ("mean", "evidence", "cut", "state", "entropy", "shares")}
    if posterior.sources is not None:
        found |= {name: getattr(posterior.sources, name) for name in ("item", "row", "column", "weight", "left_out")}
    return {name: array for name, array in found.items() if array is not None}


def test_names() -> None:
    assert list(MACHINES) == ["ideal", "equivariant", "local", "equivariant-local", "border-aware"]
    assert all(machine.name == name for name, machine in MACHINES.items())
    assert set(MACHINES.values()) == {Ideal, Equivariant, Local, EquivariantLocal, BorderAware}


@pytest.mark.parametrize("name", MACHINES)
def test_a_state_alone_and_in_a_batch(few_digits: ImageCorpus, name: str) -> None:
    """Every array of a state's posterior is the same bytes, without the batch axis."""
    machine = made(name, few_digits)
    report: list[Any] = ["entropy", "shares", *(["sources"] if name not in ("ideal", "equivariant") else [])]
    states = np.stack([noise((8, 8, 1), s) for s in range(3)])
    batch = machine(states, LEVEL, report=report, keep=4)
    for i in range(3):
        alone, of_batch = arrays(machine(states[i], LEVEL, report=report, keep=4)), arrays(batch.of_state(i))
        assert alone.keys() == of_batch.keys()
        for field in alone:
            assert alone[field].dtype == of_batch[field].dtype
            assert np.array_equal(alone[field], of_batch[field])
    shapes = {field: array.shape for field, array in arrays(batch).items()}
    one_each, with_channels = (3, 8, 8), (3, 8, 8, 1)
    expected = {"mean": with_channels, "evidence": one_each, "cut": one_each, "state": with_channels}
    expected |= {"entropy": one_each, "shares": (120, *one_each)}
    if "sources" in report:
        expected |= dict.fromkeys(("item", "row", "column", "weight"), (*one_each, 4)) | {"left_out": one_each}
    assert shapes == expected
    assert batch.patch_size == (0 if name in ("ideal", "equivariant") else 3)


@pytest.mark.parametrize("name", MACHINES)
def test_posteriors_lie_where_they_must(few_digits: ImageCorpus, name: str) -> None:
    """The mean within [-1, 1]; 0 <= entropy <= log of the number of sources, up to what is kept of it."""
    machine = made(name, few_digits)
    sources = {
        "ideal": 120,
        "equivariant": 120 * 64,
        "local": 120,
        "equivariant-local": 120 * 36,
        "border-aware": 120 * 36,
    }[name]
    for signal in (0.0125, 0.5, 0.999):
        at = level(signal)
        found = machine(noise((2, 8, 8, 1)), at, report=["entropy"])
        assert found.mean.dtype == found.evidence.dtype == np.float64
        assert found.mean.min() >= -1
        assert found.mean.max() <= 1
        assert found.entropy is not None
        assert found.effective_sources is not None
        assert found.entropy.min() >= 0
        assert found.entropy.max() <= math.log(sources) + math.log(2) / 4096
        assert np.allclose(found.effective_sources, np.exp(found.entropy), rtol=1e-14)
        assert (found.cut >= 0).all()
        assert found.cut.max() <= sources * 2.0**-30


def test_means_stay_within_the_scale() -> None:
    """A mean of pixels lies between them, also where all sources agree on black or white: never beyond [-1, 1]."""
    images = np.random.default_rng(0).integers(0, 256, (1700, 9, 9, 1), dtype=np.uint8)
    images[:, ::2, ::2], images[:, 1::2, 1::2] = 255, 0
    machine = Local(ImageCorpus.from_arrays(images), scales=3)
    states = np.stack([noise((9, 9, 1), seed) for seed in range(20)])
    for signal in (0.05, 0.2, 0.5, 0.8):
        mean = machine(states, level(signal)).mean
        assert mean.max() <= 1
        assert mean.min() >= -1


def test_nothing_is_reported_unasked(few_digits: ImageCorpus) -> None:
    found = BorderAware(few_digits, scales=3)(noise((8, 8, 1)), LEVEL)
    assert found.entropy is None
    assert found.shares is None
    assert found.sources is None
    assert found.effective_sources is None


def test_reports_do_not_change_the_rest(few_digits: ImageCorpus) -> None:
    machine = BorderAware(few_digits, scales=3)
    plain = machine(noise((8, 8, 1)), LEVEL)
    full = machine(noise((8, 8, 1)), LEVEL, report={"entropy", "shares", "sources"})
    for field in ("mean", "evidence", "cut"):
        assert np.array_equal(getattr(plain, field), getattr(full, field))


def test_score_and_noise_are_their_definitions(few_digits: ImageCorpus) -> None:
    """eps = (x - a mean) / s and score = (a mean - x) / s^2 (theory.md, section 2), so x = a mean + s eps and s score =
    -eps.
    """
    found = BorderAware(few_digits, scales=3)(noise((2, 8, 8, 1)), LEVEL)
    x = noise((2, 8, 8, 1)) / 4080
    a, s = LEVEL.signal, LEVEL.noise
    # Three roundings of numbers up to |x| <= 5 on each side.
    assert np.abs(a * found.mean + s * found.noise - x).max() < 8 * 2.0**-52 * 5
    assert np.abs(s * found.score + found.noise).max() < 8 * 2.0**-52 * 10


def test_the_mean_is_made_of_the_sources(few_digits: ImageCorpus) -> None:
    """With all sources listed, the mean is the sum of weight times pixel: 4320 terms, each within 2^-53."""
    machine = BorderAware(few_digits, scales=3)
    at = level(0.9)
    found = machine(noise((8, 8, 1)), at, report=["sources"], keep=120 * 36)
    assert found.sources is not None
    value = (2.0 * few_digits.images - 255) / 255
    s = found.sources
    pixels = np.where(s.item >= 0, value[s.item, s.row, s.column, 0], 0)
    assert np.abs((s.weight * pixels).sum(axis=-1) - found.mean[..., 0]).max() <= 4400 * 2.0**-52 + s.left_out.max()


# ------------------------------------------------------------------------------------------------------------- labels


def test_a_label_restricts_the_corpus(digits: ImageCorpus) -> None:
    at = level(0.6)
    state = noise((8, 8, 1))
    labelled = BorderAware(digits, scales=3, label="7")
    alone = BorderAware(digits.with_label("7"), scales=3)
    one, other = (
        labelled(state, at, report=["entropy", "shares", "sources"]),
        alone(state, at, report=["entropy", "shares", "sources"]),
    )
    for field in ("mean", "evidence", "entropy", "cut", "shares"):
        assert np.array_equal(getattr(one, field), getattr(other, field))
    # Sources are named by their place in the whole corpus.
    assert one.sources is not None
    assert other.sources is not None
    assert digits.labels is not None
    assert {digits.labels[n] for n in np.unique(one.sources.item)} == {"7"}
    assert np.array_equal(one.sources.item, labelled.items[other.sources.item])
    assert [digits.ids[n] for n in labelled.items] == list(alone.corpus.ids)
    assert labelled.label == "7"
    assert labelled.corpus is digits


def test_a_label_is_the_same_however_its_accents_are_coded() -> None:
    corpus = random_corpus(4, 6, 6, labels=["é", "é", "b", "b"])
    for form in ("NFC", "NFD"):
        machine = BorderAware(corpus, scales=3, label=unicodedata.normalize(form, "é"))  # pyright: ignore[reportArgumentType]
        assert len(machine.images) == 2


def test_labels_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="there is no label 'c': choose one of a, b"):
        BorderAware(random_corpus(2, 6, 6, labels=["a", "b"]), scales=3, label="c")
    with pytest.raises(UsageError, match="there is no label 'c': this corpus has no labels"):
        Ideal(random_corpus(2, 6, 6), label="c")


# -------------------------------------------------------------------------------------------------------------- sizes


def test_scales_decide_the_patch(few_digits: ImageCorpus) -> None:
    cosine = schedule("cosine")
    scales = Scales.listed([3, 5, 7], schedule=cosine)
    machine = BorderAware(few_digits, scales=scales)
    for at, size in zip(cosine.grid(3), (7, 5, 3), strict=True):
        assert machine.patch_size(at) == size
        found = machine(noise((8, 8, 1)), at)
        assert found.patch_size == size
        assert np.array_equal(found.mean, BorderAware(few_digits, scales=size)(noise((8, 8, 1)), at).mean)


@pytest.mark.parametrize(
    ("name", "size", "patch"),
    [
        ("border-aware", (5, 21), 3),
        ("border-aware", (4, 4), 5),
        ("border-aware", (33, 6), 7),
        ("equivariant-local", (1, 1), 3),
        ("equivariant-local", (3, 40), 7),
    ],
)
def test_any_size_where_the_machine_allows_it(
    few_digits: ImageCorpus, name: str, size: tuple[int, int], patch: int
) -> None:
    machine = made(name, few_digits, patch)
    machine.check_output(size)
    trace = DDIM(machine, steps=3)([0, 1], size)
    assert trace.images.shape == (2, *size, 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 4), (5, 4)])
@pytest.mark.parametrize("name", MACHINES)
def test_the_smallest_pictures(name: str, size: tuple[int, int], channels: int) -> None:
    corpus = random_corpus(3, *size, channels)
    trace = DDIM(made(name, corpus, 1 if min(size) == 1 else 3), steps=2)([5])
    assert trace.images.shape == (1, *size, channels)


@pytest.mark.parametrize(
    ("name", "patch", "size", "sentence"),
    [
        ("ideal", 0, (8, 9), "the ideal machine makes pictures of the corpus's own size 8x8, not 9x8"),
        ("equivariant", 0, (7, 8), "the equivariant machine makes pictures of the corpus's own size 8x8, not 8x7"),
        ("local", 3, (8, 9), "a local machine makes pictures of the corpus's own size: 8, not 9"),
        (
            "border-aware",
            9,
            (20, 20),
            "a patch of 9 leaves no inner place in a picture of side 8, which is possible only where output and corpus "
            "have the same size (20 and 8 here): use smaller scales",
        ),
    ],
)
def test_sizes_that_cannot_be_made(
    few_digits: ImageCorpus, name: str, patch: int, size: tuple[int, int], sentence: str
) -> None:
    machine = made(name, few_digits, patch)
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        machine.check_output(size)
    with pytest.raises(UsageError, match=re.escape(sentence)):
        machine(noise((*size, 1)), LEVEL)


def test_all_sizes_of_the_scales_are_checked_at_once(few_digits: ImageCorpus) -> None:
    """Before the walk begins, not at the step that needs the patch."""
    scales = Scales((-1.0, 1.0), (9, 3))
    with pytest.raises(UsageError, match="a patch of 9 does not fit inside pictures of side 8"):
        EquivariantLocal(few_digits, scales=scales)
    with pytest.raises(UsageError, match="a patch of 9 leaves no inner place"):
        BorderAware(few_digits, scales=scales).check_output((16, 16))
    BorderAware(few_digits, scales=scales).check_output((8, 8))


# ------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("name", ["local", "equivariant-local", "border-aware"])
def test_missing_scales(few_digits: ImageCorpus, name: str) -> None:
    sentence = (
        f"the {name} machine needs scales: an odd patch size, Scales.listed([3, 5, 7], ...), or calibrate(corpus)"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        MACHINES[name](few_digits)


@pytest.mark.parametrize("name", ["ideal", "equivariant"])
def test_scales_of_no_use(few_digits: ImageCorpus, name: str) -> None:
    with pytest.raises(UsageError, match=f"^the {name} machine looks at whole images and takes no scales$"):
        MACHINES[name](few_digits, scales=3)


def test_an_even_patch(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match=r"^a patch size is an odd number of pixels, 1 or more, and 4 is not$"):
        BorderAware(few_digits, scales=4)


@pytest.mark.parametrize("shape", [(8, 8), (8,), (1, 1, 8, 8, 1)])
def test_states_of_no_shape(few_digits: ImageCorpus, shape: tuple[int, ...]) -> None:
    sentence = "a state is an int16 array of shape (H, W, C), or (B, H, W, C) for a batch"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        BorderAware(few_digits, scales=3)(np.zeros(shape, np.int16), LEVEL)


@pytest.mark.parametrize("state", [np.zeros((8, 8, 3), np.int16), np.zeros((8, 8, 1)), np.zeros((8, 8, 1), np.uint8)])
def test_states_off_the_grid(few_digits: ImageCorpus, state: Any) -> None:
    with pytest.raises(InputError, match=r"^states must be an int16 array"):
        BorderAware(few_digits, scales=3)(state, LEVEL)


def test_unknown_reports(few_digits: ImageCorpus) -> None:
    wrong: Any = ["entropy", "receipt"]
    with pytest.raises(UsageError, match=r"^a posterior has no report named 'receipt': entropy, shares or sources$"):
        BorderAware(few_digits, scales=3)(noise((8, 8, 1)), LEVEL, report=wrong)


def test_sources_of_whole_pictures(few_digits: ImageCorpus) -> None:
    """Items at the same place: at each site the same items with the same weights."""
    found = Ideal(few_digits)(noise((8, 8, 1)), LEVEL, report=["sources"], keep=3).sources
    assert found is not None
    assert found.item.shape == (8, 8, 3)
    assert (found.item == found.item[0, 0]).all()
    assert (found.weight == found.weight[0, 0]).all()
    assert (found.row == np.arange(8)[:, None, None]).all()
    assert (found.column == np.arange(8)[:, None]).all()


def test_levels_without_noise(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match=r"^a machine needs a level with some signal "):
        BorderAware(few_digits, scales=3)(noise((8, 8, 1)), Level(time=0.0, signal=1.0, noise=0.0))


def test_exclusions_one_for_each_state(few_digits: ImageCorpus) -> None:
    with pytest.raises(UsageError, match=r"^give one exclusion for each state, or none$"):
        BorderAware(few_digits, scales=3)(noise((2, 8, 8, 1)), LEVEL, exclude=[Exclusion()])


def test_ticks_add_up(few_digits: ImageCorpus) -> None:
    ticks: list[float] = []
    BorderAware(few_digits, scales=3)(noise((2, 8, 8, 1)), LEVEL, tick=ticks.append)
    assert math.fsum(ticks) == 1.0
