"""Tokens lose nothing, and say so when they cannot cut a text."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import SLACK, Bytes, TokenCorpus, from_json, tokenizer_for
from smalti.errors import InputError, UsageError

TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30).filter(
        lambda t: t != "\ufeff"
    ),
    min_size=1,
    max_size=5,
)
has_pairs = importlib.util.find_spec("tokenizers") is not None


@given(TEXTS, st.sampled_from(["bytes", "characters", "words"]))
def test_cutting_and_joining_gives_the_text_again(texts: list[str], tokens: str) -> None:
    corpus = TextCorpus.from_texts(texts)
    tokenizer = tokenizer_for(tokens, corpus)
    assert from_json(json.loads(json.dumps(tokenizer.to_json()))) == tokenizer
    assert tokenizer.name == tokens
    for text in corpus.documents:
        symbols = tokenizer.encode(text)
        assert symbols.dtype == np.int32
        assert tokenizer.decode(symbols) == text
        assert symbols.min(initial=0) >= 0
        assert symbols.max(initial=0) < tokenizer.vocabulary


@given(TEXTS, st.integers(1, 5))
def test_documents_lie_between_gaps(texts: list[str], gap: int) -> None:
    corpus = TextCorpus.from_texts(texts)
    cut = TokenCorpus(corpus, tokenizer_for("characters", corpus), gap)
    symbols, v = cut.symbols.tolist(), cut.vocabulary
    again: list[str] = []
    at = 0
    for start, length in zip(cut.starts.tolist(), cut.lengths.tolist(), strict=True):
        assert symbols[at:start] == [v] * gap
        again.append(cut.tokenizer.decode(symbols[start : start + length]))
        at = start + length
    assert tuple(again) == corpus.documents
    assert symbols[at:] == [v] * (gap + SLACK)
    assert cut.places == len(symbols) - SLACK
    document, offset = cut.document_of(np.flatnonzero(cut.documents < len(corpus)))
    assert document.tolist() == [d for d, n in enumerate(cut.lengths) for _ in range(n)]
    assert offset.tolist() == [i for n in cut.lengths for i in range(n)]
    order, first = cut.index
    for symbol in range(v + 1):
        assert (
            order[first[symbol] : first[symbol + 1]].tolist()
            == np.flatnonzero(cut.symbols[: cut.places] == symbol).tolist()
        )


def test_words_and_signs() -> None:
    corpus = TextCorpus.from_texts(["It isn't  so,\nis it?"])
    tokenizer = tokenizer_for("words", corpus)
    pieces = [tokenizer.decode([s]) for s in tokenizer.encode(corpus.documents[0])]
    assert pieces == ["It", " ", "isn't", "  ", "so", ",", "\n", "is", " ", "it", "?"]


@pytest.mark.parametrize(("v", "kind"), [(2, np.uint8), (255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_symbols_are_as_narrow_as_they_can_be(v: int, kind: type) -> None:
    text = "".join(chr(0x10000 + i) for i in range(v))
    corpus = TextCorpus.from_texts([text])
    cut = TokenCorpus(corpus, tokenizer_for("characters", corpus), 1)
    assert cut.vocabulary == v
    assert cut.symbols.dtype == kind


def test_what_the_corpus_never_had() -> None:
    corpus = TextCorpus.from_texts(["to be"])
    with pytest.raises(UsageError, match=r"no character 'x' \(character 2 of the text\)"):
        tokenizer_for("characters", corpus).encode("toxic")
    with pytest.raises(UsageError, match="no word 'toxic'"):
        tokenizer_for("words", corpus).encode("to toxic")
    assert Bytes().decode(Bytes().encode("tøxic")) == "tøxic"
    assert Bytes().decode([0xC3]) == "\ufffd"
    with pytest.raises(UsageError, match="half a character"):
        Bytes().encode("\ud800")


def test_names_and_records_without_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = TextCorpus.from_texts(["a"])
    for name in ("runes", "bpe", "bpe:ten", "bpe:3", "Bytes"):
        with pytest.raises(UsageError, match=name):
            tokenizer_for(name, corpus)
    for record in ({}, {"tokens": 3}, {"tokens": "characters"}, {"tokens": "bpe:300"}, {"tokens": "runes"}):
        with pytest.raises(InputError, match="record of tokens"):
            from_json(record)
    with pytest.raises(UsageError, match="gap of at least 1"):
        TokenCorpus(corpus, Bytes(), 0)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"smalti\[bpe\]"):
        tokenizer_for("bpe:300", corpus)


@pytest.mark.skipif(not has_pairs, reason="the library tokenizers is not installed")
def test_byte_pairs_lose_nothing_and_are_trained_alike() -> None:
    corpus = TextCorpus.from_texts(["to be or not to be " * 20, "  spaces\n\nand Ünicode 😀 \ufeff"])
    tokenizer = tokenizer_for("bpe:300", corpus)
    assert tokenizer == tokenizer_for("bpe:300", corpus)
    assert 256 < tokenizer.vocabulary <= 300
    assert from_json(json.loads(json.dumps(tokenizer.to_json()))) == tokenizer
    for text in (*corpus.documents, "never seen: ж"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
