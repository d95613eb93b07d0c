"""Measures of how answers differ, against their definitions over all pairs, one pair at a time."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.temperature.metrics import (
    Forms,
    edit_distances,
    first_divergence,
    mean_edit_distances,
    mean_subsequences,
    subsequences,
)

ANSWERS = st.lists(st.text("abc", max_size=6).map(tuple), min_size=2, max_size=9)


def edit(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """The definition: delete, insert or replace at the end."""

    @lru_cache(None)
    def at(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return at(len(a), len(b))


def common(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """The longest common subsequence, by trying all of the shorter one's."""
    short, long = sorted((a, b), key=len)
    for size in range(len(short), 0, -1):
        for places in combinations(range(len(short)), size):
            left = iter(long)
            if all(short[p] in left for p in places):
                return size
    return 0


def parted(a: tuple[str, ...], b: tuple[str, ...]) -> int | None:
    ended = [(*answer, *["end"] * 20) for answer in (a, b)]
    return next((place for place in range(20) if ended[0][place] != ended[1][place]), None)


@given(ANSWERS)
def test_as_defined_over_all_pairs(answers: list[tuple[str, ...]]) -> None:
    """Within roundings of a mean of at most 36 numbers."""
    forms = Forms.of(answers)
    pairs = list(combinations(answers, 2))
    assert forms.exact_match == max(answers.count(one) for one in answers) / len(answers)
    assert forms.disagreement == pytest.approx(np.mean([a != b for a, b in pairs]), abs=1e-12)
    assert forms.edit_distance(6) == pytest.approx(np.mean([edit(a, b) / 6 for a, b in pairs]), abs=1e-12)
    lost = [0.0 if a == b else 1 - common(a, b) / min(len(a), len(b)) if a and b else 1.0 for a, b in pairs]
    assert forms.subsequence() == pytest.approx(np.mean(lost), abs=1e-12)
    places = [parted(a, b) for a, b in pairs]
    assert forms.behind(6) == pytest.approx(np.mean([0 if p is None else (6 - p) / 6 for p in places]), abs=1e-12)
    modal = max(dict.fromkeys(answers), key=answers.count)
    assert forms.forms[0] == modal
    assert list(forms.divergences) == [parted(one, modal) for one in answers]


@given(st.lists(ANSWERS, min_size=1, max_size=3))
def test_shared_pairs_are_as_their_own(several: list[list[tuple[str, ...]]]) -> None:
    forms = [Forms.of(answers) for answers in several]
    assert mean_edit_distances(forms, 6) == [one.edit_distance(6) for one in forms]
    assert mean_subsequences(forms) == [one.subsequence() for one in forms]


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(answers: list[tuple[str, ...]], random: Random) -> None:
    other = list(answers)
    random.shuffle(other)
    a, b = Forms.of(answers), Forms.of(other)
    assert (a.exact_match, a.disagreement) == (b.exact_match, b.disagreement)
    assert a.behind(6) == pytest.approx(b.behind(6), abs=1e-12)


@given(st.lists(st.tuples(st.text("ab", max_size=5), st.text("ab", max_size=7)), max_size=12))
def test_pairs_at_a_time_are_as_one_at_a_time(pairs: list[tuple[str, str]]) -> None:
    forms = [tuple(one) for pair in pairs for one in pair]
    left, right = np.arange(0, len(forms), 2), np.arange(1, len(forms), 2)
    both = list(zip(forms[::2], forms[1::2], strict=True))
    assert edit_distances(forms, left, right).tolist() == [edit(a, b) for a, b in both]
    assert subsequences(forms, left, right).tolist() == [common(a, b) for a, b in both]


def test_pairs_in_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = [tuple("abcd"[k] for k in row) for row in np.random.default_rng(0).integers(0, 4, (7, 9))]
    pairs = np.triu_indices(7, 1)
    at_once = edit_distances(forms, *pairs), subsequences(forms, *pairs)
    monkeypatch.setattr("smalti.temperature.metrics._CELLS", 30)
    assert np.array_equal(at_once, (edit_distances(forms, *pairs), subsequences(forms, *pairs)))


def test_disagreement_has_no_bias_at_any_number_of_answers() -> None:
    """All ways to draw n answers from two with probabilities 3/4 and 1/4 have the mean 2 * 3/4 * 1/4."""
    for n in (2, 3, 5):
        expected = 0.0
        for which in range(2**n):
            answers = [("a",) if which >> k & 1 else ("b",) for k in range(n)]
            chance = float(np.prod([0.75 if one == ("a",) else 0.25 for one in answers]))
            expected += chance * Forms.of(answers).disagreement
        assert expected == pytest.approx(2 * 0.75 * 0.25, abs=1e-12)


def test_the_end_of_an_answer_is_a_difference() -> None:
    assert first_divergence("ab", "abc") == 2
    assert first_divergence("", "abc") == 0
    assert first_divergence("abc", "abc") is None
