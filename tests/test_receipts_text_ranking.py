"""Documents ranked by effect: each effect is that of the document alone, and budgets hold."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cli_program import smalti
from smalti.errors import UsageError
from smalti.receipts.text.effect import text_effect
from smalti.receipts.text.ranking import rank_documents
from smalti.sampling import OpenRun, open_run
from text_receipts import TEXTS


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenRun:
    """A run of three texts from five documents."""
    place = tmp_path_factory.mktemp("ranked")
    (place / "own").mkdir()
    for number, text in enumerate(TEXTS):
        (place / "own" / f"{number}.txt").write_text(text)
    words = ("--seeds", "0-2", "--length", "24", "--prompt", "the ")
    made = smalti("generate", place / "own", "-o", place / "run", *words)
    assert made.code == 0, made.err
    return open_run(place / "run")


def test_each_effect_is_that_of_the_document_alone(opened: OpenRun) -> None:
    receipt = opened.trace.of_seed(1).receipt
    units = receipt.credits().tolist()
    found = rank_documents(opened, 1, runs=3)
    order = sorted(range(5), key=lambda d: (-units[d], d))
    assert (found.seed, found.runs, found.whole_units) == (1, 3, receipt.whole_units)
    assert sorted(one.document for one in found.documents[:3]) == sorted(order[:3])
    assert [one.document for one in found.documents[3:]] == order[3:]
    assert all(one.effect is None for one in found.documents[3:])
    assert [one.units for one in found.documents] == [units[one.document] for one in found.documents]
    assert found.covered == sum(units[d] for d in order[:3]) / sum(units)
    for one in found.documents[:3]:
        (alone,) = text_effect(opened, [one.document], seeds=[1])
        assert one.effect is not None
        assert one.effect.after.text == alone.after.text
        assert one.effect.parted == alone.parted
        assert one.effect.tokens_changed == int(alone.changed.sum())
    sizes = [one.effect.tokens_changed for one in found.documents[:3] if one.effect]
    assert sizes == sorted(sizes, reverse=True)


def test_budgets(opened: OpenRun) -> None:
    assert (rank_documents(opened, 0, runs=0).runs, rank_documents(opened, 0, runs=0).covered) == (0, 0.0)
    assert rank_documents(opened, 0, runs=None, seconds=0.0).runs == 0
    every = rank_documents(opened, 0, runs=None)
    assert (every.runs, every.covered) == (5, 1.0)
    for runs, seconds in ((-1, None), (None, -1.0), (None, math.nan)):
        with pytest.raises(UsageError, match="a budget is at least 0"):
            rank_documents(opened, 0, runs=runs, seconds=seconds)
    with pytest.raises(UsageError, match="no sample of seed 9"):
        rank_documents(opened, 9)


def test_one_document_alone_cannot_be_ranked(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(TEXTS[0] * 3)
    made = smalti("generate", tmp_path / "one.txt", "-o", tmp_path / "run", "--seeds", "0", "--length", "9")
    assert made.code == 0, made.err
    done = smalti("effect", tmp_path / "run", "--rank")
    assert (done.code, "a corpus of one document has nothing left without it" in done.err) == (2, True)
