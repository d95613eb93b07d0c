"""Endpoints behind TLS, with a certificate made for the test: the key goes only to whom it is meant for."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

from misbehaving import Act, chat, serving
from smalti.temperature.client import Endpoint
from smalti.temperature.prompts import Prompt
from smalti.temperature.reply import AskError, Dialect

PROMPT = Prompt.of("Name the planets.")
KEY = "sk-Very/Secret+0123456789"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    whole, key, cert = (folder / name for name in ("whole.pem", "key.pem", "cert.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    whole.write_bytes(key.read_bytes() + cert.read_bytes())
    return whole


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """What a server shows the certificate by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def endpoint(url: str, timeout: float = 20.0) -> Endpoint:
    return Endpoint(url, model="tiny", dialect=Dialect(api="chat", max_tokens=8), key=KEY, timeout=timeout)


def test_a_trusted_certificate(tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(lambda number, fields: chat(), tls) as server:
        assert endpoint(server.url).ask(PROMPT).reply.text == "Mercury, Venus, Earth."
        with pytest.raises(AskError, match="Hostname mismatch") as caught:
            endpoint(server.url.replace("127.0.0.1", "localhost")).ask(PROMPT)
    assert caught.value.kind == "untrusted"
    (headers,) = server.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["host"] == server.url.split("/")[2]


def test_a_certificate_that_nobody_trusts(tls: ssl.SSLContext) -> None:
    """It is no failure in passing, and neither the key nor a prompt is sent."""
    with serving(lambda number, fields: chat(), tls) as server, pytest.raises(AskError) as caught:
        endpoint(server.url).ask(PROMPT)
    error = caught.value
    assert (error.kind, error.passing, error.of_system, server.asked) == ("untrusted", False, True, [])
    assert f"{server.url} shows a certificate that is not trusted here (self" in str(error)
    assert "SSL_CERT_FILE" in str(error)


def test_an_answer_that_drips(tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    dripping = Act(body=chat().body, drip=0.1)
    with serving(lambda number, fields: dripping, tls) as server, pytest.raises(AskError) as caught:
        endpoint(server.url, timeout=0.5).ask(PROMPT)
    assert caught.value.kind == "slow"


def test_hands_that_are_shaken_slowly() -> None:
    """Each byte comes in time, but the greeting does not end."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    for byte in b"\x16\x03\x03\x40\x00" + bytes(200):
                        connection.sendall(bytes([byte]))
                        time.sleep(0.1)
                except OSError:
                    ended.set()

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(AskError) as caught:
            endpoint(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", timeout=0.5).ask(PROMPT)
        thread.join()
    assert caught.value.kind == "slow"
    assert ended.is_set()


def test_a_server_without_tls() -> None:
    with serving(lambda number, fields: chat()) as server, pytest.raises(AskError) as caught:
        endpoint(server.url.replace("http:", "https:"), timeout=2.0).ask(PROMPT)
    assert caught.value.kind == "untrusted"
    assert str(caught.value).endswith("/v1 does not answer with TLS: if it has none, write http:// in --endpoint")
    assert server.asked == []


def test_hands_that_are_not_shaken_are_told_in_words() -> None:
    """A server that answers the first message by the alert handshake_failure."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(AskError) as caught:
            endpoint(f"https://127.0.0.1:{listener.getsockname()[1]}/v1").ask(PROMPT)
        thread.join()
    assert caught.value.kind == "down"
    assert "does not agree on TLS (" in str(caught.value)
    assert "handshake failure): see that it is an https address and is set up right" in str(caught.value)
    assert "_ssl" not in str(caught.value)
