"""What the service answers: the machine's own texts and log-probabilities, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving import chat, complete, machine, served
from smalti.machines.text import TextMachine
from smalti.sampling.text import TextDenoiser
from smalti.sampling.text_settings import TextSettings
from smalti.sampling.tokens import MASK, unmask
from smalti.sampling.truncation import Truncation
from smalti.serve import ServedModel, Service
from smalti.temperature.noise import logarithms


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(served()) as running:
        yield running


def given(own: TextMachine, prefix: NDArray[np.int32]) -> NDArray[np.float64]:
    """What the machine itself says of the token behind a prefix. Shape (V,)."""
    row = np.concatenate([prefix, [MASK]]).astype(np.int64)
    return TextDenoiser(own)(row, 0.0, np.array([len(prefix)]))[0]


def test_temperature_0_writes_the_likeliest_tokens(service: Service) -> None:
    own = service.model.machine
    prefix = own.tokenizer.encode("the ")
    for _ in range(12):
        p = given(own, prefix)
        prefix = np.append(prefix, np.flatnonzero(p == p.max())[0]).astype(np.int32)
    found = complete(service, temperature=0)
    assert found.text == own.tokenizer.decode(prefix[4:])
    assert [complete(service, temperature=0, seed=seed).text for seed in (1, 2)] == [found.text] * 2


@pytest.mark.parametrize(
    "fields", [{}, {"temperature": 0.7}, {"top_p": 0.8}, {"top_k": 3, "min_p": 0.1}, {"temperature": 1.5, "top_p": 0.9}]
)
def test_a_text_is_what_the_sampler_writes_with_this_seed(service: Service, fields: dict[str, float]) -> None:
    own = service.model.machine
    settings = TextSettings(order="left-to-right", truncation=Truncation(**fields))  # pyright: ignore[reportArgumentType]
    row = np.concatenate([own.tokenizer.encode("the "), np.full(12, MASK)]).astype(np.int64)
    for seed in (0, 5):
        written = row
        for step in unmask(TextDenoiser(own), row, settings, seed=seed):
            written = step.following
        assert complete(service, seed=seed, **fields).text == own.tokenizer.decode(written[4:])


def test_several_answers_have_the_seeds_that_follow(service: Service) -> None:
    choices = complete(service, prompt=["the ", "a "], n=3, seed=7).json["choices"]
    assert [choice["index"] for choice in choices] == list(range(6))
    alone = [complete(service, prompt=prompt, seed=7 + k).text for prompt in ("the ", "a ") for k in range(3)]
    assert [choice["text"] for choice in choices] == alone
    assert len(set(alone)) > 3


def test_log_probabilities_are_those_of_the_machine(service: Service) -> None:
    own = service.model.machine
    found = complete(service, logprobs=4, seed=3, temperature=0.5).json["choices"][0]
    prefix = own.tokenizer.encode("the ")
    rows = zip(*(found["logprobs"][name] for name in ("tokens", "token_logprobs", "top_logprobs")), strict=True)
    for token, logprob, top in rows:
        z = logarithms(given(own, prefix))
        symbol = int(own.tokenizer.encode(token)[0])
        best = {own.tokenizer.decode([s]): float(z[s]) for s in np.argsort(-z, kind="stable")[:4]}
        assert logprob == float(z[symbol])
        assert top == best | {token: logprob}
        prefix = np.append(prefix, symbol).astype(np.int32)
    assert "".join(found["logprobs"]["tokens"]) == found["text"]
    assert found["logprobs"]["text_offset"] == list(range(12))


def test_a_chat_continues_its_messages(service: Service) -> None:
    asked = {"seed": 2, "logprobs": True, "top_logprobs": 2}
    found = chat(service, "the cat", "sat", **asked).json["choices"][0]
    # The corpus has no line breaks, so none are left of the two that close the messages.
    same = complete(service, prompt="the catsat", seed=2, logprobs=2).json["choices"][0]
    assert found["message"] == {"role": "assistant", "content": same["text"], "refusal": None}
    places = found["logprobs"]["content"]
    assert [place["token"] for place in places] == same["logprobs"]["tokens"]
    assert [place["logprob"] for place in places] == same["logprobs"]["token_logprobs"]
    assert all(len(place["top_logprobs"]) == 2 for place in places)
    assert all(bytes(place["bytes"]).decode() == place["token"] for place in places)
    parts = [{"type": "text", "text": "the "}, {"type": "text", "text": "cat"}]
    message = [{"role": "user", "content": parts}, {"role": "user", "content": "sat"}]
    assert chat(service, messages=message, **asked).json["choices"][0] == found


def test_what_the_corpus_has_no_token_for_is_left_out_with_a_note(service: Service) -> None:
    found = complete(service, prompt="the cat?! ").json
    assert found["notes"] == ["the corpus has no '?', '!': left out of the prompt"]
    assert found["choices"] == complete(service, prompt="the cat ").json["choices"]
    assert "notes" not in complete(service, prompt="the cat ").json
    assert complete(service, prompt="???").status == 200
    streamed = complete(service, prompt="the cat?! ", stream=True).events
    assert [event.get("notes") for event in streamed] == [found["notes"]] + [None] * (len(streamed) - 1)


def test_echo(service: Service) -> None:
    own = service.model.machine
    prompt = "the rat ate"
    found = complete(service, prompt=prompt, echo=True, logprobs=1, max_tokens=0).json
    choice = found["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == (prompt, "length")
    symbols = own.tokenizer.encode(prompt)
    expected = [logarithms(given(own, symbols[:k]))[symbols[k]] for k in range(1, len(symbols))]
    assert choice["logprobs"]["token_logprobs"] == [None, *expected]
    assert found["usage"] == {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11}
    longer = complete(service, prompt=prompt, echo=True, seed=1, n=2).json["choices"]
    alone = complete(service, prompt=prompt, seed=1, n=2).json["choices"]
    assert [choice["text"] for choice in longer] == [prompt + choice["text"] for choice in alone]


def test_a_prompt_of_tokens(service: Service) -> None:
    symbols = service.model.machine.tokenizer.encode("the cat").tolist()
    assert complete(service, prompt=symbols).text == complete(service, prompt="the cat").text
    both = complete(service, prompt=[symbols, symbols[:3]]).json["choices"]
    assert both[1]["text"] == complete(service, prompt="the").text
    assert complete(service, prompt="").status == 200


@pytest.mark.parametrize("stop", ["t", "at", " the", ["mat and", "rat"], ["nowhere"], ["e", "he"], "sat on the mat"])
def test_a_stop_text_ends_an_answer_before_it(service: Service, stop: Any) -> None:
    for seed in range(6):
        asked = {"seed": seed, "max_tokens": 30, "logprobs": 1}
        text = complete(service, **asked).text
        at = [text.find(one) for one in ([stop] if isinstance(stop, str) else stop) if one in text]
        found = complete(service, stop=stop, **asked).json
        choice = found["choices"][0]
        assert choice["text"] == (text[: min(at)] if at else text)
        assert choice["finish_reason"] == ("stop" if at else "length")
        assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
        streamed = complete(service, stop=stop, stream=True, **asked).events
        assert "".join(event["choices"][0]["text"] for event in streamed) == choice["text"]
        assert streamed[-1]["choices"][0]["finish_reason"] == choice["finish_reason"]


def test_a_stop_text_inside_a_token_cuts_it() -> None:
    with Service(served(tokens="words")) as service:
        whole = complete(service, prompt="the ", temperature=0, max_tokens=8).text
        word = whole.split()[1]
        found = complete(service, prompt="the ", temperature=0, max_tokens=8, stop=word[1:], logprobs=0).json
        assert found["choices"][0]["text"] == whole[: whole.index(word[1:])]
        assert found["choices"][0]["finish_reason"] == "stop"


def test_a_stream_says_what_the_whole_answer_says(service: Service) -> None:
    asked = {"n": 2, "seed": 4, "logprobs": True, "top_logprobs": 3}
    whole = chat(service, "the mat", **asked).json
    events = chat(service, "the mat", stream=True, stream_options={"include_usage": True}, **asked).events
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert events[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        own = [c for event in events for c in event["choices"] if c["index"] == choice["index"]]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(c["delta"].get("content", "") for c in own) == choice["message"]["content"]
        assert [p for c in own if c["logprobs"] for p in c["logprobs"]["content"]] == choice["logprobs"]["content"]
        assert [c["finish_reason"] for c in own if c["finish_reason"]] == [choice["finish_reason"]]
    assert "usage" not in chat(service, "the mat", stream=True).events[-1]


def test_characters_of_several_tokens() -> None:
    with Service(served(tokens="bytes")) as service:
        found = complete(service, prompt="zoë and the caf", temperature=0, max_tokens=20, logprobs=1).json["choices"][0]
        assert "é" in found["text"]
        names = found["logprobs"]["tokens"]
        at = names.index("bytes:\\xc3")
        assert names[at + 1] == "bytes:\\xa9"
        streamed = complete(service, prompt="zoë and the caf", temperature=0, max_tokens=20, stream=True).events
        assert "".join(event["choices"][0]["text"] for event in streamed) == found["text"]
        # Cut in the middle of a character.
        short = complete(service, prompt="zoë and the caf", temperature=0, max_tokens=at + 1).text
        assert short == found["text"][:at] + "\N{REPLACEMENT CHARACTER}"


def test_tokens_without_a_chance_have_a_finite_log_probability() -> None:
    own = machine(noise="mask", beta=0.0, discount=0.0, ladders=("left",))
    with Service(ServedModel(own, "cats")) as service:
        found = complete(service, prompt="the ca", max_tokens=1, logprobs=1000).json["choices"][0]["logprobs"]
        assert len(found["top_logprobs"][0]) == own.vocabulary
        assert min(found["top_logprobs"][0].values()) == -9999.0
