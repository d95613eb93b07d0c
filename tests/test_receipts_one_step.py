"""Exact leave-one-out of one step: the same bytes as a corpus that never had the item."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cli_program import blocks
from problems import level
from smalti.corpus import ImageCorpus
from smalti.engine import native
from smalti.errors import UsageError
from smalti.machines import MACHINES, BorderAware, Ideal, Local, Machine
from smalti.noise import gaussian_state
from smalti.receipts.one_step import leave_one_out, mean_without

# From all items alike to one item alone at nearly every site.
SIGNALS = (0.05, 0.7, 0.99, 0.9999)


def corpus_of(channels: int, *, count: int = 9, labels: list[str] | None = None) -> ImageCorpus:
    pixels = np.stack([blocks(count, size=(6, 5), seed=k) for k in range(channels)], axis=-1)
    return ImageCorpus.from_arrays(pixels, labels=labels)


def made(name: str, corpus: ImageCorpus, *, label: str | None = None) -> Machine:
    kind = MACHINES[name]
    return kind(corpus, scales=3 if kind.has_windows else None, label=label)


def states_of(corpus: ImageCorpus, *, count: int = 2) -> NDArray[np.int16]:
    shape = (*corpus.size, corpus.channels)
    return np.stack([gaussian_state(shape, seed=seed, purpose="test") for seed in range(count)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MACHINES)
def test_the_bytes_of_a_corpus_that_never_had_the_item(name: str, channels: int) -> None:
    corpus = corpus_of(channels)
    machine, states = made(name, corpus), states_of(corpus)
    for signal in SIGNALS:
        found = mean_without(machine, states, level(signal), range(len(corpus)))
        for item in range(len(corpus)):
            without = made(name, corpus.without([item]))(states, level(signal)).mean
            assert np.array_equal(found[item], without), (signal, item)


def test_sites_where_one_item_alone_sets_the_scale_are_among_them() -> None:
    """So that the test above tests the third walk: at a site whose highest place is one item's, the others' differs."""
    corpus = corpus_of(1)
    machine, states = made("border-aware", corpus), states_of(corpus)
    whole = native.sums(machine.query(states, level(0.9999))).place
    others = [
        native.sums(made("border-aware", corpus.without([n])).query(states, level(0.9999))).place
        for n in range(len(corpus))
    ]
    assert (np.array(others) < whole).any(axis=(1, 2, 3)).sum() > 1
    assert (np.array(others) == whole).any()


@pytest.mark.parametrize("name", ["ideal", "border-aware"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_changes_are_added_up_exactly(name: str, signal: float) -> None:
    """The sums are those of the changes and of their squares, each rounded to a multiple of 2^-60."""
    corpus = corpus_of(3)
    machine, states = made(name, corpus), states_of(corpus)
    mean = machine(states, level(signal)).mean
    apart = np.abs(mean_without(machine, states, level(signal), range(len(corpus))) - mean)

    def added(values: NDArray[np.float64]) -> float:
        return sum(int(np.rint(v * 2.0**60)) for v in values.ravel()) / 2**60

    found = leave_one_out(machine, states, level(signal))
    size = mean[0].size
    for item in range(len(corpus)):
        for state in range(2):
            d = apart[item, state]
            assert found.mean_absolute[item, state] == 127.5 * added(d) / size
            assert found.root_mean_square[item, state] == 127.5 * np.sqrt(added(d * d) / size)


def test_neither_batch_nor_parts_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(1)
    machine, states = made("border-aware", corpus), states_of(corpus, count=3)
    together = leave_one_out(machine, states, level(0.99))
    monkeypatch.setattr(native, "_ITEM_SUMS_BYTES", 1)
    for state in range(3):
        alone = leave_one_out(machine, states[state : state + 1], level(0.99))
        assert np.array_equal(alone.mean_absolute[:, 0], together.mean_absolute[:, state])
        assert np.array_equal(alone.root_mean_square[:, 0], together.root_mean_square[:, state])


def test_two_items_leave_the_other_one() -> None:
    """The closed form: without one of two items an ideal machine believes in the other."""
    corpus = corpus_of(3, count=2)
    machine, states = Ideal(corpus), states_of(corpus)
    found = mean_without(machine, states, level(0.5), [0, 1])
    values = (2.0 * corpus.images - 255.0) / 255.0
    # A quotient of two rounded sums: within a few units in the last place.
    assert np.allclose(found, values[::-1, None], rtol=0, atol=1e-15)


def test_items_outside_the_label_change_nothing() -> None:
    corpus = corpus_of(1, labels=list("aabbabbab"))
    machine, states = made("local", corpus, label="a"), states_of(corpus)
    found = leave_one_out(machine, states, level(0.7))
    outside = np.array([label == "b" for label in corpus.labels or ()])
    assert (found.root_mean_square[outside] == 0).all()
    assert (found.root_mean_square[~outside] > 0).all()
    mean = machine(states, level(0.7)).mean
    for item in range(len(corpus)):
        without = made("local", corpus.without([item]), label="a")(states, level(0.7)).mean
        assert np.array_equal(mean_without(machine, states, level(0.7), [item])[0], without)
        assert np.array_equal(without, mean) == outside[item]


def test_a_repeated_item_is_left_out_once() -> None:
    """Its copy stays, as it does in the corpus without one of them."""
    pixels = np.concatenate([blocks(3, size=(6, 5)), blocks(1, size=(6, 5))])
    corpus = ImageCorpus.from_arrays(pixels)
    (pair,) = corpus.duplicates()
    states = states_of(corpus)
    found = mean_without(Local(corpus, scales=3), states, level(0.99), pair)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], Local(corpus.without(pair[:1]), scales=3)(states, level(0.99)).mean)


def test_what_cannot_be_left_out() -> None:
    corpus = corpus_of(1, labels=["a", *"bbbbbbbb"])
    states = states_of(corpus)
    alone = BorderAware(corpus, scales=3, label="a")
    for ask in (lambda: leave_one_out(alone, states, level(0.5)), lambda: mean_without(alone, states, level(0.5), [0])):
        with pytest.raises(UsageError, match="a machine with one item only has nothing left without it"):
            ask()
    for item in (-1, 9):
        with pytest.raises(UsageError, match=f"there is no item {item}: this corpus has items 0 to 8"):
            mean_without(BorderAware(corpus, scales=3), states, level(0.5), [item])
