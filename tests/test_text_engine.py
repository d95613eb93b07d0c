"""The text kernel equals the definition, for each instruction set; parts add up; nothing else changes a number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from problems import SETTINGS, Setting
from smalti.engine import text, text_naive
from smalti.engine.text_query import Matches, TextQuery, by_distance, hybrid, leftwards, overlapping, windows_of
from smalti.errors import UsageError
from text_problems import cut, ladders, present, queries, scores_for

BYS: tuple[text.By, ...] = ("symbol", "document")


def spell(state: str) -> np.ndarray:
    return np.array(["abcd".find(c) for c in state], np.int32)


@given(st.data(), SETTINGS)
def test_sums_equal_the_definition(data: st.DataObject, setting: Setting) -> None:
    query = data.draw(queries())
    scores = data.draw(scores_for(query))
    by = data.draw(st.sampled_from(BYS))
    how = {"threads": setting.threads, "target": setting.target}
    for spread in (False, True):
        found = text.sums(query, scores, by=by, spread=spread, **how)
        assert found == text_naive.sums(query, scores, by=by, spread=spread)


@given(st.data(), SETTINGS)
def test_counts_of_matches_equal_the_definition(data: st.DataObject, setting: Setting) -> None:
    query = data.draw(queries())
    by = data.draw(st.sampled_from(BYS))
    found = text.matches(query, by=by, threads=setting.threads, target=setting.target)
    assert np.array_equal(found, text_naive.matches(query, by=by))


@given(st.data(), SETTINGS)
def test_depths_equal_the_definition(data: st.DataObject, setting: Setting) -> None:
    query = data.draw(queries())
    ladder = data.draw(ladders(query.radius))
    by = data.draw(st.sampled_from(BYS))
    found = text.depths(query, ladder, by=by, threads=setting.threads, target=setting.target)
    assert np.array_equal(found, text_naive.depths(query, ladder, by=by))


@given(st.data(), SETTINGS)
def test_best_and_deepest_equal_the_definition(data: st.DataObject, setting: Setting) -> None:
    query = data.draw(queries())
    how = {"keep": data.draw(st.integers(1, 9))}
    scores, ladder = data.draw(scores_for(query)), data.draw(ladders(query.radius))
    setup = {"threads": setting.threads, "target": setting.target}
    assert present(text.best(query, scores, **how, **setup)) == text_naive.best(query, scores, **how)
    assert present(text.deepest(query, ladder, **how, **setup)) == text_naive.deepest(query, ladder, **how)


@given(st.data())
def test_parts_of_the_corpus_add_up(data: st.DataObject) -> None:
    query = replace(data.draw(queries()), part=None)
    scores, ladder = data.draw(scores_for(query)), data.draw(ladders(query.radius))
    cutting = data.draw(st.integers(0, query.corpus.places))
    low, high = replace(query, part=(0, cutting)), replace(query, part=(cutting, query.corpus.places))
    both = text.sums(low, scores, spread=True).merge(text.sums(high, scores, spread=True))
    assert both == text.sums(query, scores, spread=True)
    assert np.array_equal(text.depths(low, ladder) + text.depths(high, ladder), text.depths(query, ladder))
    assert np.array_equal(text.matches(low) + text.matches(high), text.matches(query))


@given(st.data())
def test_documents_add_up_to_the_whole(data: st.DataObject) -> None:
    query = data.draw(queries())
    scores, ladder = data.draw(scores_for(query)), data.draw(ladders(query.radius))
    symbols, documents = text.sums(query, scores), text.sums(query, scores, by="document")
    assert np.array_equal(symbols.place, documents.place)
    assert np.array_equal(symbols.slices[:, 0], documents.slices[:, 1:].sum(axis=1))
    of_symbols, of_documents = text.depths(query, ladder), text.depths(query, ladder, by="document")
    assert np.array_equal(of_symbols.sum(axis=2), of_documents.sum(axis=2))


def test_large_corpora_in_many_blocks_and_tasks() -> None:
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("aaabcd"), size)) for size in (9000, 70_001, 3, 130_000)]
    corpus = cut(texts, gap=4)
    windows = windows_of(spell("abcaabdacba?aab"), range(15), 4)
    query = TextQuery(corpus, windows, excluded=np.tile(np.array([[5000, 20_000]]), (15, 1)))
    scores = hybrid(4, 3.0, 0.8)
    assert text.sums(query, scores, threads=3) == text.sums(query, scores, threads=1, target="plain")
    ladder = by_distance(4)
    assert np.array_equal(text.depths(query, ladder, threads=3), text.depths(query, ladder, threads=1, target="plain"))
    # Each document by itself: a corpus of it alone gives the same numbers.
    whole = text.depths(TextQuery(corpus, windows), ladder)
    alone = [text.depths(TextQuery(cut([t], gap=4), windows), ladder) for t in texts]
    assert np.array_equal(whole, sum(alone))
    heaps = [text.sums(TextQuery(cut([t], gap=4), windows), scores) for t in texts]
    merged = heaps[0].merge(heaps[1]).merge(heaps[2]).merge(heaps[3])
    assert merged == text.sums(TextQuery(corpus, windows), scores)


def test_windows_do_not_reach_into_other_documents() -> None:
    corpus = cut(["ab", "ba"], gap=2)
    query = TextQuery(corpus, windows_of(spell("ab?"), [2], 2))
    counts = text.depths(query, leftwards(2))[0].sum(axis=1)
    # `ab` then anything is nowhere: both documents end there.
    assert counts.tolist() == [4, 1, 0]


def test_what_overlaps_a_block_is_excluded_with_it() -> None:
    corpus = cut(["abcdabcdabcd"], gap=3)
    begin = int(corpus.starts[0]) + 4
    gone = overlapping(begin, begin + 4, 3)
    query = TextQuery(corpus, np.full((1, 7), -1, np.int32), excluded=np.array([gone]))
    # Of 12 places, 4 are in the block and 3 on each side see some of it.
    assert text.matches(query).sum() == 12 - 4 - 6


def test_a_query_says_what_is_wrong_with_it() -> None:
    corpus = cut(["abcd"], gap=2)
    fine = np.zeros((1, 5), np.int32)
    with pytest.raises(UsageError, match="wider gap"):
        TextQuery(corpus, np.zeros((1, 7), np.int32))
    with pytest.raises(UsageError, match="not 0"):
        text.best(TextQuery(corpus, fine), hybrid(2, 1, 1), keep=0)
    with pytest.raises(UsageError, match="at most once"):
        text.depths(TextQuery(corpus, fine), ((1, 1),))
    with pytest.raises(UsageError, match="do not fit"):
        text.sums(TextQuery(corpus, fine), Matches((1, 0, 1), 1))
    with pytest.raises(UsageError, match="at least 1 thread"):
        text.sums(TextQuery(corpus, fine), hybrid(2, 1, 1), threads=0)
