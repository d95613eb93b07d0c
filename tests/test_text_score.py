"""Scores against sums written down: exact left to right, the bound in any order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smalti.corpus.text import TextCorpus
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine
from smalti.machines.text_score import score_documents, score_text, total_score

CORPUS = TextCorpus.from_texts(["to be or not to be", "be not to or"])


def test_left_to_right_is_the_log_probability_of_the_text() -> None:
    machine = TextMachine(CORPUS)
    text = "not be or to"
    symbols = machine.tokenizer.encode(text)
    total = 0.0
    for i in range(len(symbols)):
        state = np.append(symbols[:i], np.int32(-1)).astype(np.int32)
        total -= math.log(machine(state, [i]).probabilities[0, symbols[i]])
    found = score_text(machine, text, order="left-to-right")
    # Logarithms of a dozen numbers: rounding only.
    assert found.nats.sum() == pytest.approx(total, rel=1e-12)
    assert found.bits_per_character == pytest.approx(total / math.log(2) / len(text), rel=1e-12)
    assert found.error == 0.0


def test_the_bound_in_any_order_for_one_neighbour() -> None:
    # Of two tokens each sees the other with probability u, on average one half.
    machine = TextMachine(CORPUS, noise="mask", radius=1)
    text = "to"
    a, b = machine.tokenizer.encode(text).tolist()
    expected = 0.0
    for site, own in ((0, a), (1, b)):
        for shown in (-1, (b, a)[site]):
            state = np.full(2, -1, np.int32)
            state[1 - site] = shown
            expected -= math.log(machine(state, [site]).probabilities[0, own]) / 4
    found = score_text(machine, text, samples=4000, seed=1)
    assert found.nats_per_token == pytest.approx(expected, abs=5 * found.nats.std() / 4000**0.5)


def test_a_score_is_a_function_of_its_seed() -> None:
    machine = TextMachine(CORPUS)
    one, again, other = (
        score_text(machine, "to be", samples=20, seed=s, threads=t) for s, t in ((3, 1), (3, 2), (4, 1))
    )
    assert one.nats.tobytes() == again.nats.tobytes()
    assert one.nats.tobytes() != other.nats.tobytes()
    assert one.error > 0


def test_the_whole_document_can_be_left_out() -> None:
    machine = TextMachine(CORPUS)
    document = CORPUS.find("texts[1]")[0]
    never = TextMachine(CORPUS.without([document]), machine.tokenizer)
    text = CORPUS.documents[document]
    left = score_text(machine, text, exclude=machine.places(document))
    assert left.nats.tobytes() == score_text(never, text).nats.tobytes()


def test_scores_without_meaning() -> None:
    machine = TextMachine(CORPUS)
    with pytest.raises(UsageError, match="empty text"):
        score_text(machine, "")
    with pytest.raises(UsageError, match="not 0"):
        score_text(machine, "to", samples=0)
    with pytest.raises(UsageError, match="not 0"):
        score_documents(machine, CORPUS, samples=0)
    with pytest.raises(UsageError, match="not uniform"):
        score_text(TextMachine(CORPUS, noise="uniform"), "to")


def test_documents_are_scored_each_as_if_alone() -> None:
    machine = TextMachine(CORPUS)
    texts = TextCorpus.from_texts(["not to be", "or", "to be or not to be"])
    for order in ("any", "left-to-right"):
        found = score_documents(machine, texts, order=order, seed=5)
        for text, one in zip(texts.documents, found, strict=True):
            assert one.nats.tobytes() == score_text(machine, text, order=order, seed=5).nats.tobytes()
        total = total_score(found)
        nats = sum(float(one.nats.sum()) for one in found)
        assert (total.tokens, total.looked_at) == (29, 29)
        assert total.nats_per_token == pytest.approx(nats / 29, rel=1e-12)
        assert total.bits_per_character == pytest.approx(nats / 29 / math.log(2), rel=1e-12)
        # All tokens of a left-to-right score are exact; a bound is sampled, and errors of documents add in squares.
        squares = sum((one.error * one.characters / 29) ** 2 for one in found)
        assert total.error == pytest.approx(math.sqrt(squares), rel=1e-12)
        assert (total.error == 0.0) == (order == "left-to-right")


def test_samples_are_shared_among_documents_by_length() -> None:
    texts = TextCorpus.from_texts(["to be " * 50, "or not " * 100, "to"])
    found = score_documents(TextMachine(CORPUS), texts, samples=100)
    by_length = sorted((one.tokens, len(one.nats)) for one in found)
    assert by_length == [(2, 2), (300, 30), (700, 70)]


def test_copies_are_left_out_of_the_corpus() -> None:
    corpus = TextCorpus.from_texts(["to be", "or not", "to be"], names=["a", "b", "c"])
    machine = TextMachine(corpus)
    never = TextMachine(
        corpus.without([i for i, document in enumerate(corpus.documents) if document == "to be"]), machine.tokenizer
    )
    texts = TextCorpus.from_texts(["to be", "not to be"])
    found = score_documents(machine, texts, leave_out=True)
    for text, one in zip(texts.documents, found, strict=True):
        judge = never if text == "to be" else machine
        assert one.nats.tobytes() == score_text(judge, text).nats.tobytes()
    with pytest.raises(InputError, match="nothing but the document"):
        score_documents(TextMachine(texts.without([0])), texts, leave_out=True)
