"""The proof of a pixel: all sources with whole-number weights, found again without the kernel."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from smalti.corpus import ImageCorpus
from smalti.engine import native
from smalti.errors import InputError, UsageError
from smalti.machines import MACHINES
from smalti.receipts import Receipt, exact
from test_receipts_weight import corpus_of, machine_of, receipt_of


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", MACHINES)
def test_all_sources_make_the_pixel(name: str, channels: int) -> None:
    receipt = receipt_of(machine_of(name, corpus_of(channels=channels)))
    images = receipt.machine.corpus.images
    for step in range(receipt.steps):
        made = receipt.at(step, top=4)
        best = made.posterior.sources
        assert best is not None
        slices = native.sums(receipt.question(step)).slices[0]
        for row, column in ((0, 0), (2, 3), (5, 6)):
            found = exact(receipt, row, column, step=step)
            # The kernel's sums, as whole numbers.
            sums = [sum(int(s) << 15 * j for j, s in enumerate(of)) for of in slices[row, column]]
            assert [found.weight, *found.sums] == sums
            assert sum(Fraction(source.weight, found.weight) for source in found.sources) == 1
            assert found.mean == tuple(
                sum(Fraction(s.weight, found.weight) * Fraction(s.values[c], 255) for s in found.sources)
                for c in range(channels)
            )
            assert found.rounded == tuple(made.posterior.mean[row, column])
            for source in found.sources:
                assert source.values == tuple(2 * images[source.item, source.row, source.column].astype(int) - 255)
            listed = [
                (int(best.item[row, column, k]), int(best.row[row, column, k]), int(best.column[row, column, k]))
                for k in range(4)
                if best.weight[row, column, k] > 0
            ]
            by_place = {source[:3]: source.weight for source in found.sources}
            shares = [by_place[place] / found.weight for place in listed]
            assert shares == best.weight[row, column, : len(listed)].tolist()
            assert min((by_place[place] for place in listed), default=0) >= max(
                (weight for place, weight in by_place.items() if place not in listed), default=0
            )
    last = exact(receipt, 2, 3)
    assert last.rounded == tuple(receipt.sample.mean[2, 3])
    # Each of the two quotients is rounded once, to within 2^-53 of itself.
    for rounded, mean in zip(last.rounded, last.mean, strict=True):
        assert abs(Fraction(rounded) - mean) <= Fraction(5, 2 * 2**53) * abs(mean)


def test_items_of_a_label_keep_their_index() -> None:
    corpus = corpus_of(labels=True)
    receipt = receipt_of(machine_of("border-aware", corpus, label="1"))
    found = exact(receipt, 1, 1, step=0)
    assert {source.item for source in found.sources} <= set(corpus.places_of("1"))


def test_chunks_of_items_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = receipt_of(machine_of("border-aware", corpus_of(20)))
    expected = [exact(receipt, 2, 2, step=step) for step in range(3)]
    monkeypatch.setattr("smalti.receipts.proof._CHUNK", 1)
    assert [exact(receipt, 2, 2, step=step) for step in range(3)] == expected


def test_what_cannot_be_asked_is_said(few_digits: ImageCorpus) -> None:
    receipt = receipt_of(machine_of("border-aware", few_digits))
    with pytest.raises(UsageError, match="no pixel 8,0: the picture's columns are 0 to 7"):
        exact(receipt, 0, 8)
    with pytest.raises(UsageError, match="no pixel 0,-1"):
        exact(receipt, -1, 0)
    with pytest.raises(UsageError, match="steps 0 to 2"):
        exact(receipt, 0, 0, step=3)
    states = receipt.sample.states.copy()
    states[2] = np.roll(states[2], 1, axis=1)
    with pytest.raises(InputError, match="do not give what the trace has"):
        exact(Receipt(replace(receipt.sample, states=states), receipt.machine), 3, 4)
