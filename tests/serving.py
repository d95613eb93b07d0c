"""A small service for tests, and a plain client. Nothing leaves this machine."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from smalti.corpus.text import TextCorpus
from smalti.machines.text import TextMachine
from smalti.serve import ServedModel, Service
from smalti.temperature.noise import parse_noise

TEXTS = [
    "the cat sat on the mat and the rat sat on the cat. ",
    "a bat and a hat sat on the mat; the rat ate the hat. ",
    "zoë and the café: naïve, but not the cat. ",
]


def machine(**settings: Any) -> TextMachine:
    given: dict[str, Any] = {"radius": 3, "back_off_radius": 4} | settings
    return TextMachine(TextCorpus.from_texts(TEXTS), **given)


def served(noise: str = "none", **settings: Any) -> ServedModel:
    return ServedModel(machine(**settings), "cats", parse_noise(noise))


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal, which has the API's own form."""
        record = self.json
        assert set(record) == {"error"}
        assert set(record["error"]) == {"message", "type", "param", "code"}
        return record["error"]["message"]

    @property
    def text(self) -> str:
        choice = self.json["choices"][0]
        return choice["text"] if "text" in choice else choice["message"]["content"]

    @property
    def events(self) -> list[Any]:
        """The records of a stream, which must have come to its end."""
        assert self.headers["content-type"].startswith("text/event-stream")
        *events, last, rest = self.body.decode().split("\n\n")
        assert (last, rest) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]


def ask(service: Service, path: str, body: bytes | None = None, *, method: str | None = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection(service.host, service.port, timeout=60)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, names)
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def complete(service: Service, **fields: Any) -> Reply:
    given = {"model": "cats", "prompt": "the ", "max_tokens": 12} | fields
    return ask(service, "/v1/completions", json.dumps(given).encode())


def chat(service: Service, *contents: str, **fields: Any) -> Reply:
    messages = [{"role": "user", "content": content} for content in contents]
    given = {"model": "cats", "messages": messages, "max_tokens": 12} | fields
    return ask(service, "/v1/chat/completions", json.dumps(given).encode())
