"""`smalti serve`: it says where it is, answers, and ends cleanly."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli_program import PROGRAM, smalti
from serving import TEXTS, served
from smalti.serve import Service


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "cats.txt"
    path.write_text("".join(TEXTS))
    return path


@contextmanager
def running(*words: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The program at work, and what it said when it was ready."""
    command = [*PROGRAM, "serve", *map(str, words), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not said.endswith("}\n"):
                said += (line := process.stdout.readline())
                assert line, process.stderr.read() if process.stderr else ""
            yield process, json.loads(said)
        finally:
            process.kill()


def complete(record: dict[str, Any], **fields: Any) -> Any:
    address = urllib.parse.urlsplit(record["url"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    try:
        connection.request("POST", f"{address.path}/completions", json.dumps({"model": record["model"], **fields}))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(text: Path, number: signal.Signals) -> None:
    with running(text) as (process, record):
        assert record["url"].startswith("http://127.0.0.1:")
        assert (record["model"], record["noise"]) == ("cats", "none")
        found = complete(record, prompt="the ", max_tokens=8)
        assert len(found["choices"][0]["text"]) == 8
        assert found["system_fingerprint"] == record["fingerprint"]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "stopped; 1 request answered\n")


def test_options(text: Path, tmp_path: Path) -> None:
    settings = tmp_path / "s.json"
    settings.write_text(json.dumps({"format": "smalti.text-settings/1", "settings": {"tokens": "bytes", "radius": 3}}))
    words = ("--settings", settings, "--tokens", "words", "--name", "m/1", "--hidden-noise", "batch:4x0.5")
    with running(text, *words, "--noise-seed", "1", "--threads", "1") as (_, record):
        assert (record["model"], record["noise"]) == ("m/1", "batch:4x0.5")
        found = complete(record, prompt="the cat ", max_tokens=3, temperature=0, logprobs=0)
        assert len(found["choices"][0]["logprobs"]["tokens"]) == 3
        assert len(found["choices"][0]["text"]) > 3


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ("--hidden-noise", "loud"),
            2,
            "hidden noise 'loud' has no meaning: give none, gumbel:0.03, gaussian:0.1, bounded:0.1 or batch:8x0.05",
        ),
        (("--port", "70000"), 2, "--port 70000 has no meaning: give 1 to 65,535, or 0 for a free one"),
        (("--port", "0", "--name", ""), 2, "the name of the served model is empty: give it one (--name)"),
        (("--tokens", "runes"), 2, "there are no tokens called 'runes'"),
        (("--settings", "none.json"), 1, "'none.json' cannot be read"),
        (("--port", "0", "--host", "no.such.host.invalid"), 2, "there is no address 'no.such.host.invalid'"),
    ],
)
def test_settings_without_meaning(text: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    found = smalti("serve", text, *words)
    assert found.code == code
    assert found.failure.startswith(sentence)


def test_a_noise_that_cannot_be_served(text: Path, tmp_path: Path) -> None:
    settings = tmp_path / "s.json"
    settings.write_text(json.dumps({"format": "smalti.text-settings/1", "settings": {"noise": "uniform"}}))
    found = smalti("serve", text, "--settings", settings)
    assert (found.code, found.failure) == (
        2,
        "a machine with uniform noise cannot be served, as it does not write from the left: choose mask or hybrid",
    )


def test_a_port_in_use_and_a_text_that_is_not_there(text: Path) -> None:
    with Service(served()) as service:
        found = smalti("serve", text, "--port", service.port)
    assert found.code == 1
    assert found.failure.startswith(f"port {service.port} of 127.0.0.1 cannot be used (Address already in use)")
    found = smalti("serve", "nowhere.txt")
    assert found.code == 1
    assert found.failure.startswith("'nowhere.txt' does not exist")
