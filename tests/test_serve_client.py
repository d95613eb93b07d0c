"""The official client of OpenAI's API against the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from serving import chat, complete, served
from smalti.serve import Service

openai: Any = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(served()) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    with openai.OpenAI(base_url=service.url, api_key="none", max_retries=0) as made:
        yield made


def test_completions(client: Any, service: Service) -> None:
    found = client.completions.create(model="cats", prompt="the ", max_tokens=9, logprobs=2, seed=3, temperature=0.8)
    expected = complete(service, max_tokens=9, logprobs=2, seed=3, temperature=0.8).json
    assert found.model_dump(exclude_none=True) == _without_none(expected)
    assert found.choices[0].text == expected["choices"][0]["text"]


def test_chats(client: Any, service: Service) -> None:
    asked = {"max_completion_tokens": 9, "seed": 3, "logprobs": True, "top_logprobs": 2, "n": 2}
    messages = [{"role": "system", "content": "the "}, {"role": "user", "content": "cat "}]
    found = client.chat.completions.create(model="cats", messages=messages, **asked)
    expected = chat(service, messages=messages, max_tokens=None, **asked).json
    for one, other in zip(found.choices, expected["choices"], strict=True):
        assert one.message.content == other["message"]["content"]
        assert [p.token for p in one.logprobs.content] == [p["token"] for p in other["logprobs"]["content"]]
    assert found.system_fingerprint == service.model.fingerprint
    assert found.usage.completion_tokens == 18


def test_streams(client: Any, service: Service) -> None:
    messages = [{"role": "user", "content": "the cat "}]
    with client.chat.completions.create(
        model="cats", messages=messages, max_tokens=9, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == chat(service, "the cat ", max_tokens=9).text
    assert chunks[-1].usage.completion_tokens == 9
    with client.completions.create(model="cats", prompt="the ", max_tokens=9, stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == complete(service, max_tokens=9).text


def test_models(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["cats"]
    assert client.models.retrieve("cats").owned_by == "smalti"


def test_refusals(client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.completions.create(model="dogs", prompt="the ")
    with pytest.raises(openai.BadRequestError, match="temperature is a number from 0 to 100") as caught:
        client.completions.create(model="cats", prompt="the ", temperature=-1)
    assert caught.value.param == "temperature"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value if not isinstance(value, list) else [_without_none(item) for item in value]
