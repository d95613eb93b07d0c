"""Weight: units that sum to 2^40 at each pixel, whatever the machine, and say what the definition says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from cli_program import blocks
from problems import queries
from smalti.corpus import ImageCorpus
from smalti.engine import Query, naive, native
from smalti.engine.query import span_of
from smalti.errors import InputError, UsageError
from smalti.machines import MACHINES, BorderAware, Machine
from smalti.noise import Level
from smalti.receipts import UNITS, Receipt, composition
from smalti.receipts.composition import divide
from smalti.sampling import DDIM
from smalti.sampling.ddim import pixels_of

STEPS = 3


def corpus_of(
    count: int = 6, *, size: tuple[int, int] = (6, 7), channels: int = 1, labels: bool = False
) -> ImageCorpus:
    images = np.stack([blocks(count, size=size, seed=c) for c in range(channels)], axis=-1)
    return ImageCorpus.from_arrays(images, labels=[f"{n % 2}" for n in range(count)] if labels else None)


def machine_of(name: str, corpus: ImageCorpus, *, label: str | None = None) -> Machine:
    kind = MACHINES[name]
    return kind(corpus, scales=3 if kind.has_windows else None, label=label)


def receipt_of(machine: Machine, *, seed: int = 0) -> Receipt:
    return DDIM(machine, steps=STEPS)([seed])[0].receipt


def naive_units(query: Query) -> NDArray[np.int64]:
    """Units (N, H, W) by the rule, from one item after the other."""
    total = naive.sums(query)
    _, height, width, _ = query.states.shape
    out = np.zeros((len(query.images), height, width), np.int64)
    weight = np.zeros(out.shape)
    for n in range(len(query.images)):
        alone = naive.sums(replace(query, images=query.images[n : n + 1]))
        weight[n] = replace(alone, place=total.place, slices=alone.raised(total.place)).totals()[0, ..., 0]
    for y in range(height):
        for x in range(width):
            whole = float(total.totals()[0, y, x, 0])
            out[:, y, x] = [int(float(w) / whole * 2.0**40) for w in weight[:, y, x]]
            out[np.argmax(weight[:, y, x]), y, x] += UNITS - out[:, y, x].sum()
    return out


@settings(max_examples=60)
@given(query=queries())
def test_units_are_those_of_the_rule(query: Query) -> None:
    query = replace(query, states=query.states[:1], exclusions=())
    expected = naive_units(query)
    assert (expected.sum(axis=0) == UNITS).all()
    keep = 3
    found = divide(query, native.sums(query), keep=keep)
    assert np.array_equal(found.units, expected.sum(axis=(1, 2)))
    listed = found.item >= 0
    rows, columns = np.indices(found.item.shape)[:2]
    assert np.array_equal(found.item_units[listed], expected[found.item, rows, columns][listed])
    assert (found.item_units[~listed] == 0).all()
    assert (np.diff(found.item_units, axis=-1) <= 0).all()
    # No item that is not listed has more units than the last one listed.
    rest = UNITS - found.item_units.sum(axis=-1)
    assert (rest >= 0).all()
    for y in range(rest.shape[0]):
        for x in range(rest.shape[1]):
            others = np.delete(expected[:, y, x], found.item[y, x][listed[y, x]])
            assert others.sum() == rest[y, x]
            assert others.max(initial=0) <= found.item_units[y, x, -1]


def test_equal_items_are_listed_in_order_and_the_remainder_goes_to_the_first() -> None:
    picture = blocks(1, size=(4, 4))[..., None]
    corpus = ImageCorpus.from_arrays(np.repeat(picture, 7, axis=0))
    made = receipt_of(BorderAware(corpus, scales=3)).at()
    assert (made.item[..., :7] == np.arange(7)).all()
    assert (made.item[..., 7] == -1).all()
    # Seven equal shares of 2^40: 2^40 = 7 k + 2, as 2^3 = 1 modulo 7.
    assert (made.item_units[..., :7] == [UNITS // 7 + 2] + [UNITS // 7] * 6).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MACHINES)
def test_nothing_is_lost(name: str, channels: int) -> None:
    machine = machine_of(name, corpus_of(channels=channels))
    receipt = receipt_of(machine)
    height, width = machine.corpus.size
    for step in range(STEPS):
        made = receipt.at(step, top=2)
        assert made.units.sum() == receipt.credits(step).sum() == height * width * UNITS == receipt.whole_units
        assert np.array_equal(made.units, receipt.credits(step))
        assert np.array_equal(made.item_units.sum(axis=-1) + made.rest_units, np.full((height, width), UNITS))
        assert made.step == step
        assert made.level == receipt.sample.levels[step]
        assert made.patch_size == (3 if machine.has_windows else 0)
        assert np.array_equal(pixels_of(made.posterior.mean), receipt.sample.estimates[step])
        assert made.posterior.sources is not None
        assert made.posterior.sources.item.shape == (height, width, 2)
        assert ((made.effective_sources >= 1) & (made.top_share > 0) & (made.top_share <= 1)).all()
    assert np.array_equal(receipt.at().posterior.mean, receipt.sample.mean)
    assert receipt.summary().sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", MACHINES)
def test_credits_of_a_label_are_those_of_a_corpus_of_that_label(name: str) -> None:
    corpus = corpus_of(labels=True)
    receipt = receipt_of(machine_of(name, corpus, label="1"))
    alone = receipt_of(machine_of(name, corpus.with_label("1")))
    inside = np.array(corpus.places_of("1"))
    assert np.array_equal(receipt.credits()[inside], alone.credits())
    assert receipt.credits().sum() == receipt.whole_units
    assert np.delete(receipt.credits(), inside).sum() == 0
    assert set(np.unique(receipt.at().item)) <= {-1, *inside.tolist()}
    assert [credit.label for credit in receipt.items()] == ["1"] * len(receipt.items())
    assert receipt.by("label") == {"1": receipt.whole_units}
    assert set(np.unique(receipt.match().item)) <= set(inside.tolist())


@pytest.mark.parametrize("name", ["border-aware", "equivariant"])
def test_threads_chunks_and_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = receipt_of(machine_of(name, corpus_of(20)))
    expected = receipt.at(1, top=4)
    monkeypatch.setenv("SMALTI_THREADS", "3")
    monkeypatch.setattr(composition, "_BLOCK", 1)
    monkeypatch.setattr(native, "_ITEM_SUMS_BYTES", 1)
    found = Receipt(receipt.sample, receipt.machine).at(1, top=4)
    for part in ("units", "item", "item_units", "rest_units"):
        assert np.array_equal(getattr(found, part), getattr(expected, part)), part


def test_items_and_groups_are_the_credits() -> None:
    corpus = ImageCorpus.from_arrays(blocks(6, size=(6, 7))[..., None], labels=["b", "a", "b", "a", "c", "c"])
    receipt = receipt_of(BorderAware(corpus, scales=3))
    credits = receipt.credits()
    assert not credits.flags.writeable
    listed = receipt.items(top=4)
    assert len(listed) == 4
    assert [credit.units for credit in listed] == sorted(credits.tolist(), reverse=True)[:4]
    for credit in receipt.items(top=100):
        assert credit.units == credits[credit.item] > 0
        assert credit.share == credit.units / receipt.whole_units
        assert (credit.id, credit.name) == (corpus.ids[credit.item], corpus.names[credit.item])
    groups = receipt.by("label")
    assert sum(groups.values()) == receipt.whole_units
    assert list(groups.values()) == sorted(groups.values(), reverse=True)
    for label, units in groups.items():
        assert label is not None
        assert units == credits[corpus.places_of(label)].sum()
    assert receipt.items(top=0) == ()


def test_groups_of_metadata_and_items_without_an_entry() -> None:
    corpus = corpus_of(4)
    names = ["anna", None, "anna", "ben"]
    corpus = replace(corpus, metadata=tuple({"artist": name} if name else {} for name in names))
    receipt = receipt_of(BorderAware(corpus, scales=3))
    credits = receipt.credits(0)
    assert receipt.by("artist", step=0) == {
        "anna": credits[0] + credits[2],
        "ben": credits[3],
        None: credits[1],
    }
    with pytest.raises(UsageError, match="artist"):
        receipt.by("licence")


def test_progress_sums_to_the_steps() -> None:
    receipt = receipt_of(BorderAware(corpus_of(), scales=3))
    for work in (receipt.at, receipt.credits, receipt.credits):
        done: list[float] = []
        work(1, tick=done.append)
        assert sum(done) == pytest.approx(1.0)
    done = []
    receipt.summary(tick=done.append)
    assert sum(done) == pytest.approx(1.0)


def test_what_cannot_be_asked_is_said() -> None:
    receipt = receipt_of(BorderAware(corpus_of(), scales=3))
    for step in (3, -4, True, 0.5):
        with pytest.raises(UsageError, match="steps 0 to 2"):
            receipt.credits(step)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="at least one source"):
        receipt.at(top=0)
    with pytest.raises(UsageError, match="no pixel 7,0"):
        receipt.check_pixel(0, 7)


def test_another_machine_is_refused() -> None:
    receipt = receipt_of(BorderAware(corpus_of(), scales=3))
    with pytest.raises(InputError, match="give the machine that made it"):
        Receipt(receipt.sample, BorderAware(corpus_of(5), scales=3))
    other = Receipt(receipt.sample, BorderAware(corpus_of(), scales=5))
    for step in range(STEPS):
        with pytest.raises(InputError, match=f"step {step} of seed 0 comes out otherwise"):
            other.credits(step)


def test_an_altered_trace_is_refused() -> None:
    receipt = receipt_of(BorderAware(corpus_of(), scales=3))
    states, mean = receipt.sample.states.copy(), receipt.sample.mean.copy()
    states[0] = np.roll(states[0], 1, axis=0)
    mean[0, 0] = np.nextafter(mean[0, 0], 0)
    with pytest.raises(InputError, match="step 0 of seed 0 comes out otherwise"):
        Receipt(replace(receipt.sample, states=states), receipt.machine).at(0)
    with pytest.raises(InputError, match="step 2 of seed 0 comes out otherwise"):
        Receipt(replace(receipt.sample, mean=mean), receipt.machine).at()


def test_items_of_very_many_equal_places_are_divided_rightly() -> None:
    # 490,000 places of almost the largest weight each: an item's weight is beyond 63 bits.
    images = np.stack([np.full((700, 700), value, np.uint8) for value in (100, 101)])[..., None]
    machine = MACHINES["equivariant-local"](ImageCorpus.from_arrays(images), scales=1)
    level = Level(0.9, 0.1, 0.99)
    span = span_of(level)
    q = 2 * 101 - 255
    state = max(range(-32767, 0), key=lambda x: (x * q - round(8 * level.signal * q * q)) % span)
    query = machine.query(np.full((1, 1, 1, 1), state, np.int16), level)
    total = native.sums(query)
    division = divide(query, total, keep=2)
    own = [native.sums(replace(query, images=query.images[n : n + 1]), start=total.place) for n in (0, 1)]
    weights = [sum(int(part.slices[0, 0, 0, 0, j]) << (15 * j) for j in range(3)) for part in own]
    assert max(weights) > 2**63
    # Two roundings to 53 bits and one of a quotient, in 40 bits; the first item has what is left over.
    for units, weight in zip(division.units.tolist(), weights, strict=True):
        assert abs(units - UNITS * weight // sum(weights)) <= 1
    assert division.units.sum() == UNITS


def test_too_large_a_sample_is_refused() -> None:
    receipt = receipt_of(BorderAware(corpus_of(), scales=3))
    wide = np.broadcast_to(np.uint8(0), (4096, 4096, 1))
    with pytest.raises(InputError, match="16,777,216 pixels"):
        Receipt(replace(receipt.sample, image=wide), receipt.machine)


def test_match_of_a_copy_is_the_item() -> None:
    corpus = corpus_of()
    receipt = receipt_of(machine_of("ideal", corpus))
    match = receipt.match(keep=2)
    (item, rms), second = match.whole
    assert rms < second[1]
    assert (match.item == item).all()
    assert (match.rms == rms).all()
    assert np.array_equal(match.row, np.indices(corpus.size)[0])
    assert match.patch_size == 0
    difference = receipt.sample.image.astype(float) - corpus.images[item]
    assert rms == pytest.approx(np.sqrt((difference**2).mean()))
    windows = receipt_of(BorderAware(corpus, scales=3)).match()
    assert windows.patch_size == 3
    assert (windows.rms >= 0).all()
