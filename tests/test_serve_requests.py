"""Requests that cannot be answered: each is told why, in the API's own form, and the service goes on."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serving import ask, chat, complete, machine, served
from smalti.errors import InputError, UsageError
from smalti.serve import ServedModel, Service
from smalti.serve.server import LARGEST_BODY


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service(served(), idle=1.5) as running:
        yield running


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model": "gpt"}, 'there is no model "gpt" here: ask for "cats"'),
        ({"model": None}, 'the request names no model: set model to "cats"'),
        ({"model": 3}, 'there is no model 3 here: ask for "cats"'),
        ({"prompt": None}, "there is no prompt: give a text"),
        ({"prompt": []}, "the list of prompts is empty: give at least one"),
        ({"prompt": 3}, "a prompt is a text or a list of tokens, not 3"),
        ({"prompt": ["the", 3]}, "a prompt is a text or a list of tokens, not 3"),
        ({"prompt": [1, 10_000]}, "the tokens of a prompt are 0 to 23"),
        ({"prompt": [-1]}, "the tokens of a prompt are 0 to 23"),
        ({"prompt": [True]}, "a prompt is a text or a list of tokens, not [true]"),
        ({"prompt": ["the"] * 50, "n": 3}, "a request may have at most 128 answers, and this asks for 150"),
        ({"n": 0}, "n is a whole number from 1 to 128, not 0"),
        ({"best_of": 4}, "best_of is not supported: leave it out, or set it to n"),
        ({"max_tokens": 0}, "max_tokens is a whole number from 1 to 16,384, not 0"),
        ({"max_tokens": 2.5}, "max_tokens is a whole number from 1 to 16,384, not 2.5"),
        ({"max_tokens": True}, "max_tokens is a whole number from 1 to 16,384, not true"),
        ({"temperature": "hot"}, 'temperature is a number from 0 to 100, not "hot"'),
        ({"temperature": -0.1}, "temperature is a number from 0 to 100, not -0.1"),
        ({"temperature": 1e-12}, "temperature is 0, or a number from 1e-09 to 100, not 1e-12"),
        ({"top_p": 0}, "top-p 0.0 has no meaning: give a sum of probability above 0, at most 1"),
        ({"top_p": 1.1}, "top_p is a number from 0 to 1, not 1.1"),
        ({"seed": -1}, "seed is a whole number from 0 to 9,223,372,036,854,775,807, not -1"),
        ({"stop": ""}, "stop is a text that is not empty, or a list of such texts"),
        ({"stop": [1]}, "stop is a text that is not empty, or a list of such texts"),
        ({"stop": ["a"] * 17}, "stop has 17 texts, and may have 16"),
        ({"stream": 1}, "stream is true or false, not 1"),
        ({"stream_options": {"include_usage": True}}, "stream_options are for streams: set stream, or leave them out"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options has the one field include_usage"),
        ({"logprobs": True}, "logprobs is a whole number from 0 to 1,000, not true"),
        ({"presence_penalty": 0.5}, '"presence_penalty" is not supported: leave it out'),
        ({"suffix": "end"}, '"suffix" is not supported: leave it out'),
        ({"tempratur": 0}, '"tempratur" is no field of this API: leave it out'),
    ],
)
def test_fields_without_meaning(service: Service, fields: dict[str, Any], sentence: str) -> None:
    found = complete(service, **fields)
    assert found.error == sentence
    assert found.status == (404 if fields.get("model") == "gpt" else 400)
    assert found.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"messages": None}, "there are no messages: give a list of at least one"),
        ({"messages": []}, "there are no messages: give a list of at least one"),
        ({"messages": ["hi"]}, 'a message is an object with role and content, not "hi"'),
        ({"messages": [{"content": "hi"}]}, 'a message is an object with role and content, not {"content": "hi"}'),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "the content of a message is text, and nothing else is understood here",
        ),
        ({"top_logprobs": 3}, "top_logprobs needs logprobs to be true"),
        ({"logprobs": 3}, "logprobs is true or false, not 3"),
        ({"echo": True}, '"echo" is no field of this API: leave it out'),
        ({"tools": [{"type": "function"}]}, '"tools" is not supported: leave it out'),
        ({"max_completion_tokens": 0}, "max_completion_tokens is a whole number from 1 to 16,384, not 0"),
    ],
)
def test_fields_of_chats_without_meaning(service: Service, fields: dict[str, Any], sentence: str) -> None:
    found = chat(service, "the", **fields)
    assert (found.status, found.error) == (400, sentence)


def test_fields_that_ask_for_nothing_are_passed_over(service: Service) -> None:
    idle = {"user": "me", "metadata": {"a": "b"}, "presence_penalty": 0, "logit_bias": {}, "best_of": 1, "suffix": None}
    assert complete(service, **idle).text == complete(service).text
    assert chat(service, "the", tools=[], response_format={"type": "text"}).text == chat(service, "the").text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"the"', b"\xff", b'{"model": "cats", "temperature": NaN}', b"[" * 100_000]
)
def test_bodies_that_are_no_request(service: Service, body: bytes) -> None:
    found = ask(service, "/v1/completions", body)
    assert found.status == 400
    assert found.error.startswith("the body is no JSON")


def test_half_a_character_is_left_out_of_a_prompt(service: Service) -> None:
    found = complete(service, prompt="the \ud800cat")
    assert found.text == complete(service, prompt="the cat").text
    assert found.json["notes"] == ["the corpus has no '\\ud800': left out of the prompt"]


def test_too_long(service: Service) -> None:
    found = ask(service, "/v1/completions", b"x" * (LARGEST_BODY + 1))
    assert (found.status, found.error) == (413, "the request is larger than 4 MiB: send less")
    found = complete(service, prompt="a" * 5000, echo=True, logprobs=0)
    assert found.error == "echo with logprobs is for prompts of at most 4,096 tokens"
    assert complete(service, prompt="a" * 5000).status == 200
    found = complete(service, prompt="a" * 65_537, n=128)
    assert found.error == "a prompt may have at most 65,536 tokens, and this has 65,537: send less"
    assert (found.status, found.json["error"]["code"]) == (400, "context_length_exceeded")
    assert complete(service, prompt="a" * 65_536).status == 200


def test_addresses_and_methods(service: Service) -> None:
    known = "/v1/completions, /v1/chat/completions, /v1/models, /health"
    found = ask(service, "/v1/embeddings", b"{}")
    assert (found.status, found.error) == (404, f"there is nothing at '/v1/embeddings': ask {known}")
    assert ask(service, "/").status == 404
    found = ask(service, "/v1/completions")
    assert (found.status, found.error) == (405, "/v1/completions is asked by POST")
    assert ask(service, "/v1/models", b"{}").error == "/v1/models is asked by GET"
    found = ask(service, "/health", method="DELETE")
    assert found.error == "this is no request to this service (Unsupported method ('DELETE'))"


def test_models_and_health(service: Service) -> None:
    model = {"id": "cats", "object": "model", "created": 0, "owned_by": "smalti"}
    assert ask(service, "/v1/models").json == {"object": "list", "data": [model]}
    assert ask(service, "/v1/models/cats").json == model
    assert ask(service, "/v1/models/dogs").error == "there is no model 'dogs' here: ask for 'cats'"
    before = ask(service, "/health").json
    complete(service)
    after = ask(service, "/health").json
    assert after == before | {"answered": before["answered"] + 1}
    assert (after["status"], after["model"], after["writing"]) == ("ok", "cats", 0)
    assert after["fingerprint"] == complete(service).json["system_fingerprint"]


def test_only_loopback_names_are_answered(service: Service) -> None:
    assert ask(service, "/health", Host=f"localhost:{service.port}").status == 200
    found = ask(service, "/health", Host="evil.example")
    assert (found.status, found.error) == (
        403,
        "this service is called by a loopback address only, not as 'evil.example'",
    )


def spoken(service: Service, data: bytes) -> bytes:
    """What comes back for bytes of any kind, until the service closes the connection."""
    with socket.create_connection((service.host, service.port), timeout=30) as connection:
        connection.sendall(data)
        out = b""
        while got := connection.recv(65536):
            out += got
    return out


def test_a_request_without_a_length(service: Service) -> None:
    found = spoken(service, b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 411 ")
    assert b"the request does not say once how long it is (Content-Length)" in found
    found = spoken(service, b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 411 ")


GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    head = [b"POST /v1/completions HTTP/1.1", b"Host: 127.0.0.1", *headers]
    return b"\r\n".join([*head, b"", b""]) + body


@pytest.mark.parametrize(
    "headers",
    [
        (b"Transfer-Encoding: chunked",),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5, 5",),
    ],
)
def test_a_length_that_two_readers_could_read_differently(service: Service, headers: tuple[bytes, ...]) -> None:
    """What follows must not be taken for a request."""
    found = spoken(service, post(b"0\r\n\r\n" + GET, *headers))
    assert found.startswith(b"HTTP/1.1 411 ")
    assert found.count(b"HTTP/1.1 ") == 1


def test_requests_one_behind_the_other(service: Service) -> None:
    body = json.dumps({"model": "cats", "prompt": "the ", "max_tokens": 3}).encode()
    one = post(body, b"Content-Length: %d" % len(body))
    assert spoken(service, one + GET + post(b"{}", b"Content-Length: 2") + one + LAST).count(b"HTTP/1.1 200 ") == 4


def test_a_body_that_nobody_reads_is_no_request(service: Service) -> None:
    with_body = GET.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(LAST))
    found = spoken(service, with_body + LAST)
    assert (found.count(b"HTTP/1.1 "), found.count(b"Connection: close")) == (1, 1)


def test_head_is_get_without_a_body(service: Service) -> None:
    for path in ("/health", "/v1/models", "/nothing"):
        got, told = ask(service, path), ask(service, path, method="HEAD")
        assert (told.status, told.body) == (got.status, b"")
        assert told.headers["content-length"] == str(len(got.body))
    # The next request on the same connection finds its own answer.
    found = spoken(service, GET.replace(b"GET", b"HEAD") + LAST)
    assert found.count(b"HTTP/1.1 200 ") == 2
    assert found.count(b'"status":"ok"') == 1


def test_a_stream_for_a_client_that_knows_no_chunks(service: Service) -> None:
    body = json.dumps({"model": "cats", "prompt": "the ", "max_tokens": 3, "stream": True}).encode()
    data = post(body, b"Content-Length: %d" % len(body), b"Connection: keep-alive")
    head, _, events = spoken(service, data.replace(b"HTTP/1.1", b"HTTP/1.0")).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert events.startswith(b"data: {")
    assert events.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET.replace(b"127.0.0.1", b"[::1"), b"403"),
        (GET.replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n"), b"403"),
        (GET.replace(b"/health", b"http://[x/health"), b"400"),
        (post(b"", b"Content-Length: 9").replace(b"/v1/completions", b"http://[x/v1/completions"), b"400"),
        (
            GET.replace(b"/health", b"http://127.0.0.1/health").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
            b"200",
        ),
        (GET.replace(b"/health", b"/" + b"x" * 70_000), b"414"),
        (GET.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"), b"431"),
        (GET.replace(b"\r\n\r\n", b"\r\nX: x" * 200 + b"\r\n\r\n"), b"431"),
    ],
)
def test_heads_that_are_odd(service: Service, data: bytes, status: bytes) -> None:
    found = spoken(service, data)
    assert found.startswith(b"HTTP/1.1 " + status)
    assert found.count(b"HTTP/1.1 ") == 1
    json.loads(found.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"hello there general x\r\n\r\n"])
def test_what_is_no_http(service: Service, data: bytes) -> None:
    found = spoken(service, data)
    assert b'"type":"invalid_request_error"' in found
    assert complete(service).status == 200


def test_a_connection_that_says_nothing_is_closed(service: Service) -> None:
    begun = time.monotonic()
    assert spoken(service, b"POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{") == b""
    assert time.monotonic() - begun >= 1.0


@pytest.mark.parametrize("head", [b"GET /health HTTP/1.1\r\nX: ", post(b"{", b"Content-Length: 100000")])
def test_a_request_that_drips_is_ended(service: Service, head: bytes) -> None:
    """Each byte comes in time, but the request does not end within the 1.5 seconds of this service."""
    begun = time.monotonic()
    with socket.create_connection((service.host, service.port), timeout=30) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 20:
                connection.sendall(b"x")
                time.sleep(0.1)
    assert time.monotonic() - begun < 15
    assert complete(service).status == 200


def test_a_client_that_goes_away_ends_its_request(service: Service) -> None:
    for stream in (False, True):
        body = {"model": "cats", "prompt": "the ", "max_tokens": 16_000, "n": 4, "stream": stream}
        data = json.dumps(body).encode()
        with socket.create_connection((service.host, service.port)) as connection:
            head = f"POST /v1/completions HTTP/1.1\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            connection.sendall(head + data)
            while not service.engine.rows:
                time.sleep(0.01)
        while service.engine.rows:
            time.sleep(0.01)
    assert complete(service).status == 200


def test_what_cannot_be_served() -> None:
    with pytest.raises(UsageError, match="a machine with uniform noise cannot be served"):
        ServedModel(machine(noise="uniform"), "x")
    with pytest.raises(UsageError, match="the name of the served model is empty"):
        ServedModel(machine(), " ")
    with pytest.raises(UsageError, match=r"there is no address 'no\.such\.host\.invalid' with port 0"):
        Service(served(), host="no.such.host.invalid")
    with Service(served()) as service, pytest.raises(InputError, match=f"port {service.port} of 127.* cannot be used"):
        Service(served(), port=service.port)
