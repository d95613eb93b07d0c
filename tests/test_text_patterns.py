"""Patterns answer as the definition does, for all windows, scores and ladders at once, and with few walks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems import SETTINGS, Setting
from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import Characters, TokenCorpus
from smalti.engine import text, text_naive
from smalti.engine.text_patterns import NEAR, ask
from smalti.engine.text_query import (
    Matches,
    TextQuery,
    by_distance,
    hybrid,
    left_first,
    leftwards,
    rightwards,
    windows_of,
)
from smalti.machines.text import TextMachine
from text_problems import cut, ladders, queries


@st.composite
def one_sided(draw: st.DrawFn) -> TextQuery:
    """A query in whose windows nothing is known at the site, and on one side of some."""
    query = draw(queries(widest=2))
    windows = query.windows.copy()
    windows[:, query.radius] = -1
    for window in windows:
        side = draw(st.sampled_from(["both", "left", "right"]))
        if side != "both":
            window[slice(query.radius, None) if side == "left" else slice(query.radius)] = -1
    return replace(query, windows=windows)


@st.composite
def some_scores(draw: st.DrawFn, radius: int) -> Matches:
    r = draw(st.integers(1, radius))
    if draw(st.booleans()):
        return hybrid(r, draw(st.floats(0.01, 12.0)), draw(st.floats(0.0, 1.0)))
    values = draw(st.lists(st.integers(0, 2**24), min_size=2 * r + 1, max_size=2 * r + 1))
    return Matches(tuple(values), draw(st.sampled_from([1, 256])))


@given(st.data(), SETTINGS)
def test_answers_equal_the_definition(data: st.DataObject, setting: Setting) -> None:
    # (Wide symbols have no patterns: they are asked about in the ways that test_text_engine tests with more sites.)
    query = data.draw(st.one_of(queries(widest=2), one_sided()))
    scores = data.draw(st.lists(some_scores(query.radius), max_size=2))
    climbed = data.draw(st.lists(ladders(query.radius), max_size=2))
    spread = data.draw(st.booleans())
    done: list[float] = []
    sums, depths = ask(
        query, scores, climbed, spread=spread, threads=setting.threads, target=setting.target, tick=done.append
    )
    for one, found in zip(scores, sums, strict=True):
        assert found == text_naive.sums(query.within(len(one.values) // 2), one, spread=spread)
    for ladder, found in zip(climbed, depths, strict=True):
        assert np.array_equal(found, text_naive.depths(query, ladder))
    assert sum(done) == pytest.approx(1.0 if scores or climbed else 0.0)


@pytest.mark.parametrize("vocabulary", [1, 2, 255, 256, 257])
@pytest.mark.parametrize("seed", range(3))
def test_all_symbols_of_vocabularies_around_a_byte(vocabulary: int, seed: int) -> None:
    # The last symbol is next to the one of gaps, and from 256 on two bytes hold them.
    rng = np.random.default_rng([vocabulary, seed])
    alphabet = "".join(map(chr, range(0x100, 0x100 + vocabulary)))
    some = rng.choice(vocabulary, min(vocabulary, 4), replace=False)
    texts = ["".join(alphabet[k] for k in rng.choice([*some, vocabulary - 1], size)) for size in (1, 4, 9, 60, 200)]
    corpus = TokenCorpus(TextCorpus.from_texts(texts), Characters(alphabet), 11)
    places = rng.integers(corpus.gap, corpus.places - corpus.gap, 9)
    windows = corpus.symbols[places[:, None] + np.arange(-11, 12)].astype(np.int32)
    # Windows from the corpus, clipped at the ends of documents.
    windows[windows == vocabulary] = -1
    windows[:, 11] = -1
    windows[:3, 11:] = -1
    windows[3:6, :11] = -1
    windows[6:, ::2] = -1
    ends = np.sort(rng.integers(-5, corpus.places + 5, (9, 2)), axis=1)
    ends[0] = (0, corpus.places)
    only = rng.choice([-1, *some], 9).astype(np.int32)
    query = TextQuery(corpus, windows)
    for asked in (
        query,
        replace(query, excluded=ends),
        replace(query, only=only),
        replace(query, part=(13, corpus.places - 20)),
        replace(query, excluded=ends, only=only, part=(0, corpus.places // 2)),
    ):
        scores, climbed = [hybrid(6, 8.0, 0.7), hybrid(11, 3.0, 0.9)], [leftwards(11), by_distance(4), left_first(11)]
        sums, depths = ask(asked, scores, climbed, spread=True)
        for one, found in zip(scores, sums, strict=True):
            assert found == text_naive.sums(asked.within(len(one.values) // 2), one, spread=True)
        for ladder, found in zip(climbed, depths, strict=True):
            assert np.array_equal(found, text_naive.depths(asked, ladder))


def test_matches_may_be_worth_any_amount() -> None:
    # Weights over a hundred million places of 15 bits: what is kept must not grow with their range.
    windows = np.full((2, 17), -1, np.int32)
    windows[:, :8] = [1, 2, 3, 0, 1, 1, 0, 3]
    query = TextQuery(cut(["abcdabbadcab" * 3], gap=8), windows)
    scores = Matches((*[2**27] * 7, 2**26, *[0] * 9), 1)
    for spread in (False, True):
        (found,), _ = ask(query, [scores], [], spread=spread)
        assert found == text_naive.sums(query, scores, spread=spread)


def test_large_corpora_in_many_blocks_and_tasks() -> None:
    rng = np.random.default_rng(1)
    corpus = cut(["".join(rng.choice(list("aaabcd"), size)) for size in (9000, 600_001, 3, 130_000)], gap=14)
    known = rng.integers(0, 4, (70, 29)).astype(np.int32)
    known[:, 14:] = -1
    known[::7, :9] = -1
    query = TextQuery(corpus, known)
    for asked in (query, replace(query, excluded=np.tile(np.array([[5000, 20_000]]), (70, 1)))):
        (sums,), (depths,) = ask(asked, [hybrid(8, 3.0, 0.8)], [leftwards(14)], threads=3)
        assert sums == text.sums(asked.within(8), hybrid(8, 3.0, 0.8), threads=1, target="plain")
        assert np.array_equal(depths, text.depths(asked, leftwards(14), threads=1, target="plain"))


@pytest.mark.parametrize("side", ["left", "right", "few"])
def test_one_walk_answers_for_all_kernels_and_ladders(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = cut(["abcdabbadcab" * 9], gap=12)
    windows = np.tile(np.array([0, 1, 2, 3, 0], np.int32), (3, 5))
    if side == "few":
        windows[:, NEAR:] = -1
    else:
        windows[:, slice(12, None) if side == "left" else slice(13)] = -1
    query = TextQuery(corpus, windows)
    scores = [hybrid(8, 8.0, 0.7), hybrid(4, 12.0, 0.5)]
    climbed = [by_distance(12), leftwards(12), rightwards(12), left_first(12)]
    expected = [text_naive.sums(query.within(len(one.values) // 2), one) for one in scores]
    deep = [text_naive.depths(query, ladder) for ladder in climbed]

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a walk of its own")

    monkeypatch.setattr(text, "sums", refused)
    monkeypatch.setattr(text, "depths", refused)
    sums, depths = ask(query, scores, climbed)
    assert sums == expected
    assert all(np.array_equal(a, b) for a, b in zip(depths, deep, strict=True))


def test_sites_may_be_asked_about_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = TextMachine(TextCorpus.from_texts(["to be or not to be", "that is the question"]), radius=3)
    state = np.append(machine.tokenizer.encode("to be that"), np.full(5, -1)).astype(np.int32)
    windows = windows_of(state, np.arange(len(state)), machine.reach)
    whole = machine.distributions(windows)
    assert np.array_equal(whole, machine(state, np.arange(len(state))).probabilities)
    monkeypatch.setattr("smalti.machines.text._LADDER_NUMBERS", 1)
    assert np.array_equal(machine.distributions(windows), whole)
