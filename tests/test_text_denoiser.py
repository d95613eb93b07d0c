"""The denoiser's memory changes time only; nothing but the corpus as a set and the seed decides a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from smalti.corpus.text import TextCorpus
from smalti.machines import TextMachine
from smalti.sampling import TextDenoiser, TextRequest, TextSettings
from smalti.sampling.text import random_start
from smalti.sampling.text_settings import MASKING, ORDERS
from smalti.sampling.tokens import unmask

TEXTS = [
    "to be, or not to be: that is the question",
    "whether 'tis nobler in the mind to suffer",
    "the slings and arrows of outrageous fortune",
    "or to take arms against a sea of troubles",
]


class _Task:
    def advance(self, count: float = 1) -> None: ...


# Noises, with a radius that changes for two of them.
NOISES = {"hybrid": 5, "mask": (6, 3), "uniform": 5, "structured": (3, 5)}


def texts_of(corpus: TextCorpus, *, noise: str = "hybrid", groups: Sequence[Sequence[int]] = ((0, 1),)) -> list[bytes]:
    machine = TextMachine(corpus, noise=noise, radius=NOISES[noise], back_off_radius=4)  # type: ignore[arg-type]
    template = np.array([*machine.tokenizer.encode("to "), *[-1] * 20, *machine.tokenizer.encode(" a")], np.int32)
    seeds = [seed for group in groups for seed in group]
    sampler = TextSettings.for_noise(noise, **({} if noise in MASKING else {"steps": 5}))
    request = TextRequest.of(machine, template, sampler=sampler, source="memory", seeds=seeds)
    return [request.join([request.maker(machine)(group, _Task()) for group in groups]).to_bytes()]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("block", "radius"), [(None, 5), (7, 5), (None, (7, 2))])
def test_memory_changes_no_byte(order: str, block: int | None, radius: int | tuple[int, int]) -> None:
    machine = TextMachine(TextCorpus.from_texts(TEXTS), radius=radius, back_off_radius=4)
    row = np.full(24, -1)
    row[[0, 12]] = machine.tokenizer.encode("tb")
    walks = []
    settings = TextSettings.for_noise("hybrid", order=order, block=block)
    for remember in (True, False):
        denoiser = TextDenoiser(machine, remember=remember)
        steps = list(unmask(denoiser, row, settings, seed=4))
        walks.append([(s.index, *s.sites, *s.drawn, s.probability.tobytes(), s.entropy.tobytes()) for s in steps])
        assert denoiser.searched <= denoiser.asked if remember else denoiser.searched == denoiser.asked
    assert walks[0] == walks[1]


def test_a_token_a_step_searches_no_more_than_its_window() -> None:
    machine = TextMachine(TextCorpus.from_texts(TEXTS), radius=3, back_off_radius=3)
    denoiser = TextDenoiser(machine)
    steps = list(unmask(denoiser, np.full(60, -1), TextSettings(order="confidence"), seed=0))
    assert len(steps) == 60
    assert denoiser.searched <= 1 + 59 * 2 * 3
    assert denoiser.asked == 60 * 61 // 2


def test_a_block_asks_nothing_of_what_lies_to_its_left() -> None:
    machine = TextMachine(TextCorpus.from_texts(TEXTS), radius=3, back_off_radius=3)
    denoiser = TextDenoiser(machine)
    for step in unmask(denoiser, np.full(40, -1), TextSettings(order="confidence", block=8), seed=0):
        block = int(step.sites[0]) // 8
        assert (step.tokens[: 8 * block] >= 0).all()
        assert (step.tokens[8 * (block + 1) :] < 0).all()
    assert denoiser.asked == 5 * 8 * 9 // 2


@pytest.mark.parametrize("noise", NOISES)
def test_same_bytes_for_batches_threads_and_order_of_documents(noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = texts_of(TextCorpus.from_texts(TEXTS), noise=noise)
    assert texts_of(TextCorpus.from_texts(TEXTS[::-1]), noise=noise) == whole
    assert texts_of(TextCorpus.from_texts(TEXTS), noise=noise, groups=((0,), (1,))) == whole
    monkeypatch.setenv("SMALTI_THREADS", "1")
    assert texts_of(TextCorpus.from_texts(TEXTS), noise=noise) == whole


@pytest.mark.parametrize("noise", NOISES)
def test_forgetting_a_document_is_never_having_had_it(noise: str) -> None:
    corpus = TextCorpus.from_texts(TEXTS)
    gone = next(i for i, text in enumerate(corpus.documents) if "nobler" in text)
    never = TextCorpus.from_texts([text for text in TEXTS if "nobler" not in text])
    assert texts_of(corpus.without([gone]), noise=noise) == texts_of(never, noise=noise)


def test_the_start_of_uniform_noise_is_uniform_and_keeps_what_is_given() -> None:
    template = np.full(40_000, -1, np.int32)
    template[::4] = 2
    start = random_start(template, 5, seed=1)
    assert (start[::4] == 2).all()
    counts = np.bincount(start[template < 0], minlength=5)
    assert counts.sum() == 30_000
    assert (abs(counts - 6_000) < 5 * (30_000 * 0.2 * 0.8) ** 0.5).all()
    assert np.array_equal(random_start(template[:100], 5, seed=1), start[:100])
    assert not np.array_equal(random_start(template, 5, seed=2), start)
