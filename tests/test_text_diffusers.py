"""Other people's discrete samplers drive our denoiser, and ours drive other people's: both speak probabilities.

`logits_of` and `denoiser_of` are all that it takes: logits = f(tokens, t) on one side, a `TokenDenoiser` on the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smalti.corpus.text import TextCorpus
from smalti.machines import TextMachine
from smalti.sampling import TextDenoiser
from smalti.sampling.tokens import MASK, TokenDenoiser, unmask

Logits = Callable[[NDArray[np.int64], float], NDArray[np.float64]]

CORPUS = TextCorpus.from_texts(["to be, or not to be: that is the question; " * 3])


def logits_of(denoiser: TokenDenoiser, mask: int) -> Logits:
    """logits = f(tokens, t), shape (L, V), of a denoiser; `mask` is the token that masks for others."""

    def logits(tokens: NDArray[np.int64], time: float) -> NDArray[np.float64]:
        row = np.where(tokens == mask, MASK, tokens)
        given = denoiser(row, 1.0 - time, np.arange(len(row)))
        return np.log(np.maximum(given, 1e-30))

    return logits


class _Foreign:
    """A `TokenDenoiser` of someone else's logits."""

    def __init__(self, logits: Logits, vocabulary: int) -> None:
        self.logits, self.vocabulary = logits, vocabulary

    def __call__(self, tokens: NDArray[np.int64], kept: float, sites: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = self.logits(np.where(tokens == MASK, self.vocabulary, tokens), 1.0 - kept)[sites]
        p = np.exp(rows - rows.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


def denoiser_of(logits: Logits, vocabulary: int) -> TokenDenoiser:
    """A denoiser of logits = f(tokens, t) whose mask is the token V."""
    return _Foreign(logits, vocabulary)


def test_logits_there_and_back_give_the_same_text() -> None:
    denoiser = TextDenoiser(TextMachine(CORPUS, radius=5, back_off_radius=4))
    foreign = denoiser_of(logits_of(denoiser, denoiser.vocabulary), denoiser.vocabulary)
    row = np.full(20, MASK)
    ours, theirs = ([*unmask(d, row, seed=1)][-1].following for d in (denoiser, foreign))
    assert np.array_equal(ours, theirs)


def test_a_masked_scheduler_of_diffusers_writes_a_text() -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    machine = TextMachine(CORPUS, radius=5, back_off_radius=4)
    mask, length, steps = machine.vocabulary, 24, 24
    logits = logits_of(TextDenoiser(machine), mask)
    scheduler = diffusers.AmusedScheduler(mask_token_id=mask)
    scheduler.set_timesteps(steps, temperature=(0.0, 0.0))
    tokens = torch.full((1, length), mask)
    generator = torch.Generator().manual_seed(0)
    for time in scheduler.timesteps:
        found = torch.from_numpy(logits(tokens[0].numpy(), float(time) / steps))[None]
        tokens = scheduler.step(found, time, tokens, generator=generator).prev_sample
    assert not (tokens == mask).any()
    _is_of_the_corpus(machine, tokens[0].numpy())


def test_the_vq_scheduler_of_diffusers_writes_a_text() -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    machine = TextMachine(CORPUS, radius=5, back_off_radius=4)
    mask, length, steps = machine.vocabulary, 24, 40
    logits = logits_of(TextDenoiser(machine), mask)
    # This scheduler counts the mask as the last of its classes, and takes log probabilities of the others.
    scheduler = diffusers.VQDiffusionScheduler(num_vec_classes=mask + 1, num_train_timesteps=steps)
    scheduler.set_timesteps(steps)
    tokens: Any = torch.full((1, length), mask)
    generator = torch.Generator().manual_seed(0)
    for time in scheduler.timesteps:
        found = torch.from_numpy(logits(tokens[0].numpy(), float(time) / steps).T.copy())[None]
        tokens = scheduler.step(found, time, tokens, generator=generator).prev_sample
    assert not (tokens == mask).any()
    _is_of_the_corpus(machine, tokens[0].numpy())


def _is_of_the_corpus(machine: TextMachine, tokens: NDArray[np.int64]) -> None:
    text = machine.tokenizer.decode(tokens.tolist())
    whole = CORPUS.documents[0]
    # By chance about 1 pair in 8 would be one of the corpus.
    assert np.mean([text[i : i + 2] in whole for i in range(len(text) - 1)]) > 0.7, text
