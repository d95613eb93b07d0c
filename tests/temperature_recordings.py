"""Recordings of simulated systems whose background temperature is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from smalti.temperature.record import Answer, Recording
from smalti.temperature.references import MarkovReference

CHAIN = MarkovReference.random(vocabulary=16, sharpness=3.0, seed=3)
LENGTH = 16


def answer(spelled: str, number: int, **more: Any) -> Answer:
    """An answer of one-letter tokens, without log-probabilities."""
    plain = Answer(
        prompt=0,
        repeat=number,
        load="alone",
        block=0,
        tokens=tuple(spelled),
        logprobs=None,
        top=None,
        finish="length",
        started=0.0,
        seconds=0.1,
        order=number,
        model="m",
        fingerprint="f",
        digest="0" * 64,
    )
    return replace(plain, **more)


def recording(answers: list[Answer], **more: Any) -> Recording:
    """A recording of one-letter tokens."""
    prompts = tuple(f"prompt {p}" for p in range(1 + max([0, *(one.prompt for one in answers)])))
    given: dict[str, Any] = {"units": "tokens", "max_tokens": 4, "system": {"model": "m"}} | more
    return Recording(prompts=prompts, answers=tuple(answers), **given)


def simulated(temperature: float, *, prompts: int = 12, runs: int = 8, top: int | None = 5, seed: int = 0) -> Recording:
    """A chain with Gumbel noise of a known scale, asked under two loads in two time blocks."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(prompts * runs)
    answers = []
    for prompt in range(prompts):
        for run in range(runs):
            prefix = CHAIN.encode(f"prompt {prompt}")
            tokens, tops = [], []
            for _ in range(LENGTH):
                z = CHAIN.logits([prefix])[0]
                z = z - z.max() - np.log(np.exp(z - z.max()).sum())
                token = int((z + temperature * generator.gumbel(size=len(z))).argmax())
                best = np.argsort(-z, kind="stable")[:top]
                prefix = [*prefix, token]
                tokens.append((f"t{token}", float(z[token])))
                tops.append(tuple((f"t{b}", float(z[b])) for b in best))
            answers.append(
                answer(
                    "",
                    int(order[len(answers)]),
                    prompt=prompt,
                    repeat=run,
                    load=("alone", "burst:8")[run % 2],
                    block=2 * run // runs,
                    tokens=tuple(name for name, _ in tokens),
                    logprobs=None if top is None else tuple(value for _, value in tokens),
                    top=None if top is None else tuple(tops),
                )
            )
    return recording(answers, max_tokens=LENGTH)
