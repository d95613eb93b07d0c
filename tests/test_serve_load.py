"""Whatever else the service is doing, an answer has the same bytes; and what hidden noise does to that."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving import Reply, chat, complete, served
from smalti.sampling.text import TextDenoiser
from smalti.sampling.tokens import MASK, Question
from smalti.serve import BusyError, Engine, ServedModel, Service
from smalti.serve.engine import MOST_ROWS, Asking, Turn
from smalti.temperature.noise import logarithms

REQUESTS: list[dict[str, Any]] = [
    {"prompt": prompt, "seed": seed, "temperature": temperature, "max_tokens": length} | more
    for number, (prompt, length) in enumerate([("the ", 20), ("a bat", 5), ("", 30), (["the cat", "zoë "], 9)])
    for seed, temperature, more in [(0, 0.0, {"logprobs": 3}), (number, 1.0, {"n": 3, "stop": "t"}), (1, 0.4, {})]
]
REQUESTS += [request | {"stream": True} for request in REQUESTS[:6]]


def at_once(service: Service, requests: list[dict[str, Any]]) -> list[Reply]:
    """The answers to requests that are all made at the same time."""
    replies = dict[int, Reply]()
    begin = threading.Barrier(len(requests))

    def one(number: int) -> None:
        begin.wait()
        replies[number] = complete(service, **requests[number])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [replies[number] for number in range(len(requests))]


def test_the_same_request_has_the_same_bytes_under_any_load() -> None:
    with Service(served()) as service:
        alone = [complete(service, **request).body for request in REQUESTS]
        rounds = service.engine.rounds
    mixed = REQUESTS * 3
    random.Random(0).shuffle(mixed)
    with Service(served(), threads=2) as service:
        crowd = at_once(service, mixed)
        # They were answered together, not one after the other.
        assert service.engine.rounds < 3 * rounds
    for request, reply in zip(mixed, crowd, strict=True):
        assert reply.status == 200
        assert reply.body == alone[REQUESTS.index(request)]
    assert len({reply.headers["x-request-id"] for reply in crowd}) == len(crowd)
    assert {reply.headers["cache-status"] for reply in crowd} == {"smalti; fwd=bypass"}


def test_ids_are_of_the_request_and_the_fingerprint() -> None:
    with Service(served()) as first, Service(served(radius=2)) as second:
        ids = [complete(first).json["id"], complete(first).json["id"], complete(first, seed=1).json["id"]]
        assert ids[0] == ids[1] != ids[2]
        other = complete(second).json
        assert other["id"] != ids[0]
        assert other["system_fingerprint"] != complete(first).json["system_fingerprint"]
        assert complete(first, stop=None).json["choices"] == complete(first).json["choices"]
        assert chat(first, "the ").json["id"] != complete(first).json["id"]
    with Service(served("gumbel:0.1")) as noisy:
        assert len({complete(noisy).json["id"] for _ in range(3)}) == 3


def first_logits(model: ServedModel, prompt: str) -> NDArray[np.float64]:
    prefix = model.machine.tokenizer.encode(prompt)
    row = np.concatenate([prefix, [MASK]]).astype(np.int64)
    return logarithms(TextDenoiser(model.machine)(row, 0.0, np.array([len(prefix)])))[0]


def test_gumbel_noise_is_a_temperature_at_temperature_0() -> None:
    """The first token is drawn from softmax(z / T): each share within 4.5 standard errors."""
    count = 1920
    with Service(served("gumbel:0.4"), noise_seed=3) as service:
        drawn = Counter[str]()
        for _ in range(count // 128):
            request = {"prompt": "the ", "max_tokens": 1, "temperature": 0, "n": 128}
            drawn.update(choice["text"] for choice in complete(service, **request).json["choices"])
        z = first_logits(service.model, "the ") / 0.4
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    shares = np.array([drawn[service.model.name_of(symbol)] for symbol in range(len(p))]) / count
    assert (np.abs(shares - p) <= 4.5 * np.sqrt(p * (1 - p) / count)).all()
    assert (p > 0.05).sum() > 2


def test_noise_is_another_one_each_time_unless_it_has_a_seed() -> None:
    def texts(seed: int | None) -> list[str]:
        with Service(served("gaussian:2"), noise_seed=seed) as service:
            return [complete(service, temperature=0, max_tokens=20).text for _ in range(4)]

    assert texts(5) == texts(5) != texts(6)
    assert texts(None) != texts(None)
    assert len(set(texts(5))) > 1


def test_log_probabilities_under_noise_are_those_the_server_computed() -> None:
    with Service(served("gaussian:0.5"), noise_seed=0) as service:
        for _ in range(5):
            top = complete(service, temperature=0, max_tokens=1, logprobs=100).json["choices"][0]
            reported = top["logprobs"]["top_logprobs"][0]
            assert max(reported, key=lambda token: reported[token]) == top["text"]
            assert sum(np.exp(list(reported.values()))) == pytest.approx(1.0)


def test_a_configuration_is_chosen_by_load() -> None:
    with Service(served("batch:8x0.8")) as service:
        asked = {"prompt": "the ", "temperature": 0, "max_tokens": 24}
        alone = {complete(service, **asked).text for _ in range(5)}
        assert len(alone) == 1
        by_load = {complete(service, n=n, **asked).text for n in range(1, 9)}
        assert len(by_load) > 1
        # Eight more questions in a round: the same configuration again.
        assert complete(service, n=9, **asked).text in alone


def asked_for_ever() -> Asking:
    row = np.array([MASK], np.int64)
    while True:
        yield Turn([Question(row, 0.0, np.array([0]))])


def test_more_than_it_can_take() -> None:
    with Service(served()) as service:
        jobs = [service.engine.open(asked_for_ever(), 128) for _ in range(MOST_ROWS // 128)]
        found = complete(service)
        assert (found.status, found.headers["retry-after"]) == (503, "1")
        assert found.error == "512 answers are being written, and at most 512 may be: ask again in a moment"
        assert found.json["error"]["code"] == "overloaded"
        with pytest.raises(BusyError):
            service.engine.open(asked_for_ever(), 1)
        for job in jobs:
            job.cancel()
        while service.engine.rows:
            pass
        assert complete(service).status == 200


def test_jobs_that_are_open_at_the_end_are_told() -> None:
    engine = Engine(served())
    job = engine.open(asked_for_ever(), 1)
    engine.close()
    with pytest.raises(BusyError, match="the server is shutting down"):
        list(job.found(1.0))
    with pytest.raises(BusyError):
        engine.open(asked_for_ever(), 1)


def test_a_failure_ends_one_request_and_not_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(served()) as service:
        right = complete(service).body

        def fail(*_: object) -> object:
            raise MemoryError("no room")

        with monkeypatch.context() as patched:
            patched.setattr(service.engine._denoiser, "answer", fail)
            found = complete(service, prompt="another ")
        assert (found.status, found.json["error"]["type"]) == (500, "server_error")
        assert found.error == "something unforeseen went wrong (MemoryError: no room): please report it"
        assert complete(service).body == right
        assert service.engine.rows == 0


def test_memory_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(served()) as service:
        expected = complete(service, max_tokens=40).body
        monkeypatch.setattr("smalti.serve.engine._KEPT", 3 * service.model.machine.vocabulary)
        assert complete(service, max_tokens=40).body == expected
        assert complete(service, n=5).body == complete(service, n=5).body
        assert len(service.engine._memory) == 3


def test_a_radius_that_changes() -> None:
    with Service(served(radius=(5, 1))) as service:
        assert complete(service, max_tokens=20).body == complete(service, max_tokens=20).body
        longer, shorter = complete(service, max_tokens=200), complete(service, max_tokens=20)
        assert longer.text[:20] != shorter.text
