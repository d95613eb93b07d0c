"""Verbatim spans: equal to the definition by brute force, whatever texts and corpora hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smalti.corpus.text import TextCorpus
from smalti.errors import UsageError
from smalti.receipts.text import Verbatim, verbatim


def longest_by_hand(text: str, documents: tuple[str, ...]) -> list[int]:
    found = []
    for begin in range(len(text)):
        end = begin
        while end < len(text) and any(text[begin : end + 1] in document for document in documents):
            end += 1
        found.append(end - begin)
    return found


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text("ab€", min_size=1, max_size=40), min_size=1, max_size=4),
    text=st.text("ab€\U0001f600", max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    chunk=st.integers(1, 50),
)
def test_spans_are_those_of_the_definition(texts: list[str], text: str, cuts: list[int], chunk: int) -> None:
    # Stretches of the corpus itself, so that there are long spans.
    text += "".join(texts[cut % len(texts)][cut % 7 : cut] for cut in cuts)
    corpus = TextCorpus.from_texts(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbatim, "_CHUNK", chunk)
        found = Verbatim(corpus).of(text, at_least=1, places=1000)
    longest = longest_by_hand(text, corpus.documents)
    assert found.longest.tolist() == longest
    expected = []
    for begin, length in enumerate(longest):
        if length and (begin == 0 or begin + length > begin - 1 + longest[begin - 1]):
            span = text[begin : begin + length]
            places = [
                (d, at)
                for d, document in enumerate(corpus.documents)
                for at in range(len(document))
                if document.startswith(span, at)
            ]
            expected.append((begin, begin + length, len(places), len({d for d, _ in places}), places))
    assert [
        (s.begin, s.end, s.count, s.documents, [(p.document, p.offset) for p in s.places]) for s in found.spans
    ] == expected
    for length in (1, 2, 5):
        covered = np.zeros(len(text), bool)
        for begin, own in enumerate(longest):
            if own >= length:
                covered[begin : begin + own] = True
        assert found.covered(length).tolist() == covered.tolist()
        assert found.inside(length) == (covered.sum() / len(text) if text else None)
    for length, share in enumerate(found.uniqueness, start=1):
        grams = [text[k : k + length] for k in range(len(text) - length + 1)]
        missing = [gram for gram in grams if not any(gram in document for document in corpus.documents)]
        assert share == (len(missing) / len(grams) if grams else None)


def test_no_span_runs_from_one_document_into_the_next() -> None:
    found = Verbatim(TextCorpus.from_texts(["first", "second"])).of("firstsecond", at_least=1)
    assert [(s.begin, s.end) for s in found.spans] == [(0, 5), (5, 11)]
    # Nor does a NUL in the text, which no document holds, match what stands between them.
    assert Verbatim(TextCorpus.from_texts(["ab", "cd"])).of("b\0c").longest.tolist() == [1, 0, 1]


def test_shares_of_some_of_the_characters_and_lists_that_are_cut() -> None:
    found = Verbatim(TextCorpus.from_texts(["abcabcabc"])).of("abcxabc", at_least=3, places=2)
    assert found.inside(3) == 6 / 7
    assert found.inside(3, np.arange(7) > 2) == 3 / 4
    assert found.inside(3, np.zeros(7, bool)) is None
    assert [(s.length, s.count, len(s.places)) for s in found.spans] == [(3, 3, 2), (3, 3, 2)]


def test_a_long_run_of_one_character_in_both() -> None:
    found = Verbatim(TextCorpus.from_texts(["a" * 300_000])).of("a" * 3000)
    assert [(s.begin, s.end, s.count) for s in found.spans] == [(0, 3000, 297_001)]


@pytest.mark.parametrize("wrong", [{"at_least": 0}, {"places": 0}])
def test_settings_without_meaning(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1 character and 1 place"):
        Verbatim(TextCorpus.from_texts(["a"])).of("a", **wrong)
