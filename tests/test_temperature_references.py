"""Reference systems: their logits are exact, and what is sampled from them has the law it should."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.corpus.tokens import encode_known, tokenizer_for
from smalti.errors import InputError, UsageError
from smalti.machines.text import TextMachine
from smalti.noise.words import uniforms
from smalti.sampling.text import TextDenoiser
from smalti.temperature.noise import logarithms
from smalti.temperature.references import (
    ENDED,
    MarkovReference,
    Reference,
    TextMachineReference,
    TransformersReference,
    default_references,
    sample,
)

TEXTS = ["the cat sat on the mat and the rat sat on the cat", "a bat and a hat sat on the mat"]


class Counting:
    """A chain that notes which prefixes it was asked about, and ends with token 0."""

    def __init__(self, chain: MarkovReference) -> None:
        self.chain, self.asked = chain, list[tuple[int, ...]]()
        self.name, self.vocabulary, self.ends = "counting", chain.vocabulary, frozenset({0})

    def logits(self, prefixes: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        self.asked += [tuple(prefix) for prefix in prefixes]
        return self.chain.logits(prefixes)

    def encode(self, text: str) -> list[int]:
        return self.chain.encode(text)

    def decode(self, tokens: Sequence[int]) -> list[str]:
        return self.chain.decode(tokens)


@pytest.fixture(scope="module")
def machine() -> TextMachine:
    return TextMachine(TextCorpus.from_texts(TEXTS), radius=3, back_off_radius=4)


def naive(reference: Reference, prompt: str, length: int) -> list[int]:
    """What is said at temperature 0, one token after the other."""
    prefix = reference.encode(prompt)
    said: list[int] = []
    while len(said) < length and not (said and said[-1] in reference.ends):
        said.append(int(np.flatnonzero((z := reference.logits([prefix + said])[0]) == z.max())[0]))
    return said


def test_temperature_0_says_the_likeliest_token_whatever_the_run(machine: TextMachine) -> None:
    for reference in (TextMachineReference(machine, "cats"), MarkovReference.random(vocabulary=7, seed=3)):
        found = sample(reference, ["what sat"], [0.0, 0.4], runs=4, max_tokens=12, seed=5)[0]
        assert found.shape == (2, 4, 12)
        assert (found[0] == naive(reference, "what sat", 12)).all()


def test_equal_prefixes_are_asked_once_and_ends_end() -> None:
    reference = Counting(MarkovReference.random(vocabulary=5, order=1, seed=1))
    found = sample(reference, ["x"], [0.0, 0.1, 1.0, 4.0], runs=20, max_tokens=9, seed=0)[0]
    assert len(reference.asked) == len(set(reference.asked))
    begin = len(reference.encode("x"))
    rows = found.reshape(-1, 9)
    live = {(*reference.encode("x"), *row[:k].tolist()) for row in rows for k in range(9) if ENDED not in row[: k + 1]}
    assert set(reference.asked) == live
    assert min(map(len, reference.asked)) == begin
    ended = [row for row in rows if (row == 0).any()]
    assert ended
    for row in rows:
        where = np.flatnonzero(row == 0)
        assert (row[where[0] + 1 :] == ENDED).all() if len(where) else (row != ENDED).all()


def test_common_random_numbers() -> None:
    """What a run says depends on neither the other prompts, temperatures and runs nor the length."""
    reference = MarkovReference.random(vocabulary=11, seed=2)
    prompts, grid, several = ["p", "q", "p r"], [0.0, 0.01, 0.2, 1.0], [6, 2, 4, 6]
    all_at_once = sample(reference, prompts, grid, runs=6, max_tokens=10, seed=4)
    assert len(np.unique(all_at_once[:, 3, 0], axis=0)) == 3
    for p, prompt in enumerate(prompts):
        for t, temperature in enumerate(grid):
            alone = sample(reference, [prompt], [temperature], runs=3, max_tokens=7, seed=4)[0, 0]
            assert (alone == all_at_once[p, t, :3, :7]).all()
    fewer = sample(reference, prompts, grid, runs=several, max_tokens=10, seed=4)
    for t, runs in enumerate(several):
        assert (fewer[:, t, :runs] == all_at_once[:, t, :runs]).all()
        assert (fewer[:, t, runs:] == ENDED).all()
    assert (sample(reference, prompts, grid, runs=6, max_tokens=10, seed=5) != all_at_once).any()


def test_an_answer_is_the_greatest_of_logits_with_their_noise() -> None:
    """The definition, one run after the other."""
    reference = Counting(MarkovReference.random(vocabulary=5, order=2, seed=8))
    found = sample(reference, ["a", "b"], [0.0, 0.3, 2.0], runs=4, max_tokens=6, seed=9)
    for p, prompt in enumerate(["a", "b"]):
        purpose = f"temperature/reference/{hashlib.sha256(prompt.encode()).hexdigest()}"
        for t, temperature in enumerate([0.0, 0.3, 2.0]):
            for run in range(4):
                said: list[int] = []
                while len(said) < 6 and not (said and said[-1] in reference.ends):
                    u = uniforms(4 * 5, seed=9, purpose=purpose, step=len(said)).reshape(4, 5)[run]
                    z = reference.logits([reference.encode(prompt) + said])[0]
                    said.append(int((z - temperature * np.log(-np.log(u))).argmax()))
                assert found[p, t, run].tolist() == said + [ENDED] * (6 - len(said))


def test_how_much_is_held_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Counting(MarkovReference.random(vocabulary=5, order=1, seed=1))
    how: dict[str, Any] = {"runs": 20, "max_tokens": 6, "seed": 0}
    found = sample(reference, ["x", "y"], [0.0, 0.5, 2.0], **how)
    for numbers in (1, 15, 60):
        monkeypatch.setattr("smalti.temperature.references._NUMBERS", numbers)
        assert (sample(reference, ["x", "y"], [0.0, 0.5, 2.0], **how) == found).all()


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_what_is_sampled_has_the_law_of_the_temperature(temperature: float) -> None:
    """First and second tokens have the probabilities of the chain: shares within 4.5 standard errors."""
    reference = MarkovReference.random(vocabulary=4, order=1, sharpness=0.6, seed=0)
    count = 40_000
    found = sample(reference, ["law"], [temperature], runs=count, max_tokens=2, seed=1)[0, 0]
    laws = np.exp(reference.table / temperature)
    laws /= laws.sum(axis=1, keepdims=True)
    expected = laws[reference.encode("law")[0]][:, None] * laws
    shares = np.bincount(4 * found[:, 0] + found[:, 1], minlength=16).reshape(4, 4) / count
    assert (np.abs(shares - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / count)).all()


def test_logits_of_a_text_machine_are_its_log_probabilities(machine: TextMachine) -> None:
    reference = TextMachineReference(machine, "cats", context="prompt")
    prefixes = [reference.encode(text) for text in ("", "t", "the cat sat", "the rat sat")]
    found = reference.logits(prefixes)
    for row, prefix in zip(found, prefixes, strict=True):
        tokens = np.array([*prefix, -1])
        p = TextDenoiser(machine)(tokens, 0.0, np.array([len(prefix)]))[0]
        assert (row == logarithms(p)).all()
        np.testing.assert_allclose(np.exp(row), p, rtol=1e-14)
    # Beyond the reach nothing is seen, and remembering changes nothing.
    assert (reference.logits([prefixes[2][-machine.reach :]])[0] == found[2]).all()
    assert (TextMachineReference(machine, "anew").logits(prefixes[::-1])[::-1] == found).all()


def test_a_passage_stands_for_a_prompt(machine: TextMachine) -> None:
    reference = TextMachineReference(machine, "cats")
    texts = {"".join(reference.decode(reference.encode(f"prompt {k}"))) for k in range(60)}
    assert len(texts) > 10
    assert all(any(document.startswith(text) for document in TEXTS) for text in texts)
    assert all(text in TEXTS or text[-1] == " " for text in texts)
    asis = TextMachineReference(machine, "cats", context="prompt")
    assert "".join(asis.decode(asis.encode("the cat; QUITE a cat"))) == "the cat  a cat"


def test_what_the_corpus_has_no_symbol_for() -> None:
    corpus = TextCorpus.from_texts(["one cat, two cats. I am"])
    characters, words = tokenizer_for("characters", corpus), tokenizer_for("words", corpus)
    symbols, left_out = encode_known(characters, "zwo cats? zum")
    assert (characters.decode(symbols), left_out) == ("wo cats m", ("z", "?", "u"))
    symbols, left_out = encode_known(words, "two dogs I cat!")
    assert (words.decode(symbols), left_out) == ("two  I cat", ("d", "o", "g", "s", "!"))
    assert encode_known(words, "two cats")[1] == ()
    assert len(encode_known(characters, "ß")[0]) == 0


def test_a_machine_must_be_able_to_write_left_to_right() -> None:
    corpus = TextCorpus.from_texts(TEXTS)
    with pytest.raises(UsageError, match="a machine with uniform noise cannot write left to right"):
        TextMachineReference(TextMachine(corpus, noise="uniform"), "x")


def test_the_built_in_references_differ_in_sharpness() -> None:
    references = default_references()
    assert len(references) >= 3
    assert len({reference.name for reference in references}) == len(references)
    entropy = []
    for reference in references:
        prefixes = [reference.encode(f"prompt {k}") for k in range(40)]
        z = reference.logits(prefixes)
        entropy.append(float(np.mean(-(np.exp(z) * z).sum(axis=1))))
    assert entropy == sorted(entropy, reverse=True)
    assert entropy[0] > 1.3 * entropy[-1]


def test_a_fitted_chain_counts() -> None:
    chain = MarkovReference.fitted([[0, 1, 0, 1, 2]], vocabulary=3, order=1, smoothing=1.0)
    # Before the first token stands token 0: 0 0, 0 1, 1 0, 0 1, 1 2.
    expected = np.array([[2, 3, 1], [2, 1, 2], [1, 1, 1]]) / np.array([[6], [5], [3]])
    np.testing.assert_allclose(np.exp(chain.table), expected, rtol=1e-14)
    assert (chain.logits([[], [2, 1], [0, 0]]) == chain.table[[0, 1, 0]]).all()
    free = MarkovReference.fitted([[0, 1, 1]], vocabulary=2, order=0, smoothing=0.0)
    np.testing.assert_allclose(np.exp(free.table), [[1 / 3, 2 / 3]], rtol=1e-14)
    assert free.order == 0
    assert (free.logits([[1, 0]]) == free.table).all()


def test_numbers_without_meaning() -> None:
    chain = MarkovReference.random(vocabulary=3)
    with pytest.raises(UsageError, match="a temperature of -1 has no meaning"):
        sample(chain, ["x"], [-1], runs=1, max_tokens=1, seed=0)
    with pytest.raises(UsageError, match="number of runs is a whole number from 1, but it is 0"):
        sample(chain, ["x"], [0.0], runs=0, max_tokens=1, seed=0)
    with pytest.raises(UsageError, match="length of answers is a whole number from 1, but it is 0"):
        sample(chain, ["x"], [0.0], runs=1, max_tokens=0, seed=0)
    with pytest.raises(UsageError, match="is no chain"):
        MarkovReference(np.zeros((5, 3)))


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"'nowhere' (needs|holds no)"):
        TransformersReference("nowhere")
