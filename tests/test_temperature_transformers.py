"""A language model of Hugging Face as a reference: a tiny one with random weights, made here. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smalti.errors import InputError
from smalti.temperature import curves
from smalti.temperature.references import ENDED, TransformersReference, sample

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")
tokenizers: Any = pytest.importorskip("tokenizers")

WORDS = ["[end]", "[start]", *"abcdefgh"]
LONGEST = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("models") / "tiny"
    cut = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="a"))
    cut.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    names = {"eos_token": "[end]", "bos_token": "[start]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=cut, **names).save_pretrained(where)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS),
        n_positions=LONGEST,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.5,
        bos_token_id=1,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(config).save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def reference(folder: Path) -> TransformersReference:
    return TransformersReference(str(folder), threads=1)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


def test_logits_are_those_of_the_model_whatever_is_asked_beside(reference: TransformersReference, model: Any) -> None:
    prefixes = [reference.encode(text) for text in ("a b c", "h", "c a a b g g")]
    found = reference.logits(prefixes)
    assert found.shape == (3, reference.vocabulary) == (3, len(WORDS))
    assert found.dtype == np.float64
    for row, prefix in zip(found, prefixes, strict=True):
        with torch.inference_mode():
            expected = model(torch.tensor([prefix])).logits[0, -1].double().numpy()
        assert (row == expected).all()
        assert (reference.logits([prefix])[0] == row).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_what_is_sampled_has_the_law_of_all_logits(reference: TransformersReference, temperature: float) -> None:
    """softmax(z / T) with no token left out, as under top-k or top-p; shares within 4.5 standard errors."""
    count = 100_000
    z = reference.logits([reference.encode("a b")])[0] / temperature
    law = np.exp(z - z.max())
    law /= law.sum()
    found = sample(reference, ["a b"], [temperature], runs=count, max_tokens=1, seed=1)[0, 0, :, 0]
    shares = np.bincount(found, minlength=len(WORDS)) / count
    assert (np.abs(shares - law) <= 4.5 * np.sqrt(law * (1 - law) / count)).all()
    assert (shares[law * count > 30] > 0).all()
    assert law.min() < 0.01


def test_the_law_is_that_of_generate_without_truncation(reference: TransformersReference, model: Any) -> None:
    prompt = reference.encode("d e f")
    said = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        pad_token_id=0,
        do_sample=True,
        top_k=0,
        top_p=1.0,
        temperature=0.25,
        max_new_tokens=1,
        output_scores=True,
        return_dict_in_generate=True,
    )
    np.testing.assert_allclose(said.scores[0][0].double().numpy(), reference.logits([prompt])[0] / 0.25, rtol=1e-6)


def test_temperature_0_is_greedy_and_answers_end_at_the_end(reference: TransformersReference, model: Any) -> None:
    assert reference.ends == {0}
    prompts = [f"{a} {b}" for a in "abcd" for b in "efgh"]
    found = sample(reference, prompts, [0.0, 2.0], runs=3, max_tokens=8, seed=0)
    for prompt, answers in zip(prompts, found[:, 0], strict=True):
        tokens = torch.tensor([reference.encode(prompt)])
        told = {"attention_mask": torch.ones_like(tokens), "pad_token_id": 0}
        greedy = model.generate(tokens, do_sample=False, max_new_tokens=8, **told)[0, tokens.shape[1] :].tolist()
        greedy += [ENDED] * (8 - len(greedy))
        assert answers.tolist() == [greedy] * 3
    ended = [answer for answer in found.reshape(-1, 8).tolist() if 0 in answer[:-1]]
    assert ended
    assert all(set(answer[answer.index(0) + 1 :]) == {ENDED} for answer in ended)


def test_it_serves_both_protocols(reference: TransformersReference) -> None:
    asked = curves.ask([reference], ["a b", "c"], runs=4, max_tokens=3, seed=0)[0]
    assert asked.name == reference.name
    assert (np.diff(asked.curve.behind.mean(axis=0)[[0, 8, -1]]) >= 0).all()
    assert asked.table[0].tolist() == [[1.0, 0.0, 0.0]] * 2


def test_texts_become_tokens_by_the_chat_template_if_there_is_one(reference: TransformersReference) -> None:
    assert reference.encode("a h") == [2, 9]
    assert reference.decode([2, 9]) == ["a", "h"]
    assert reference.encode("") == [1]
    cut: Any = reference._cut
    cut.chat_template = "[start] {% for message in messages %}{{ message.content }}{% endfor %} b"
    try:
        assert reference.encode("a h") == [1, 2, 9, 3]
    finally:
        cut.chat_template = None


def test_a_prompt_that_is_too_long(reference: TransformersReference) -> None:
    assert reference.logits([[2] * LONGEST]).shape == (1, len(WORDS))
    with pytest.raises(InputError, match=r"tiny' reads 24 tokens, and a prompt with its answer has 25: ask shorter"):
        reference.logits([[2] * (LONGEST + 1)])


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no causal language model that can be read"):
        TransformersReference(str(tmp_path))
