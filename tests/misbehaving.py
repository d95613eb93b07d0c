"""A local server that speaks the API of OpenAI well or badly, as a test tells it.

A *manner* is a function from the number of a request, from 0, and its fields to an `Act`. The server listens on the
loopback interface, on a port of its own.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Act:
    """What the server does with a request.

    Attributes:
        status: status of the response; None: the connection is ended without a word.
        body: the body.
        headers: more headers.
        declared: length that the headers say; that of the body unless given; -1: none is said.
        delay: seconds before the first byte.
        drip: seconds before each byte of the body.
        raw: sent in place of a whole response, status line included.
    """

    status: int | None = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    declared: int | None = None
    delay: float = 0.0
    drip: float = 0.0
    raw: bytes = b""


Manner = Callable[[int, dict[str, Any]], Act]


@dataclass
class Server:
    """A server that runs: its address, and every request that it was asked, headers included."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0


def tokens_of(text: str) -> list[str]:
    """A text cut before each blank, as the tokens of this server."""
    return [piece for piece in text.replace(" ", "\0 ").split("\0") if piece]


def chat(
    text: str | None = "Mercury, Venus, Earth.",
    *,
    number: int = 0,
    finish: str | None = "stop",
    logprobs: bool = False,
    usage: Mapping[str, Any] | None = None,
    message: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Act:
    """An answer of the chat API."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text} | dict(message or {}),
        "finish_reason": finish,
        "logprobs": {"content": [place(token) for token in tokens_of(text or "")]} if logprobs else None,
    }
    record = {"id": f"chat-{number}", "object": "chat.completion", "created": 0, "model": "tiny-2024", **fields}
    record |= {"choices": [choice]} | ({"usage": dict(usage)} if usage is not None else {})
    return Act(body=json.dumps(record).encode())


def place(token: str) -> dict[str, Any]:
    """What the chat API reports of a token."""
    others = [{"token": token, "logprob": -0.25}, {"token": " else", "logprob": -1.5}]
    return {"token": token, "logprob": -0.25, "bytes": None, "top_logprobs": others}


def stream(text: str = "Mercury, Venus, Earth.", *, end: str | None = "stop", done: bool = True) -> bytes:
    """The events of a streamed chat answer, an event a token."""
    events: list[Any] = [{"id": "s", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}]
    for token in tokens_of(text):
        piece = {"index": 0, "delta": {"content": token}, "logprobs": {"content": [place(token)]}}
        events.append({"id": "s", "model": "tiny-2024", "choices": [piece]})
    if end is not None:
        events.append({"id": "s", "choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        events.append({"id": "s", "choices": [], "usage": {"completion_tokens": len(tokens_of(text))}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events] + (["data: [DONE]\n\n"] if done else [])
    return "".join(lines).encode()


def refusal(status: int, message: str, **headers: str) -> Act:
    """An error in the API's own form."""
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    return Act(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@contextlib.contextmanager
def serving(manner: Manner, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server with these manners, until the block ends."""
    lock, open_now = threading.Lock(), 0
    found = Server("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            nonlocal open_now
            fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(found.asked)
                found.asked.append(fields | {"path": self.path})
                found.headers.append({name.lower(): value for name, value in self.headers.items()})
                open_now += 1
                found.most_at_once = max(found.most_at_once, open_now)
            try:
                self._act(manner(number, fields))
            except OSError:
                self.close_connection = True
            finally:
                with lock:
                    open_now -= 1

        def _act(self, act: Act) -> None:
            time.sleep(act.delay)
            self.close_connection = True
            self.wfile.write(act.raw)
            if act.status is None or act.raw:
                return
            self.send_response(act.status)
            declared = len(act.body) if act.declared is None else act.declared
            headers = {"Content-Type": "application/json", "Connection": "close"}
            if declared >= 0:
                headers["Content-Length"] = str(declared)
            for name, value in (headers | dict(act.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            if not act.drip:
                self.wfile.write(act.body)
                return
            for byte in act.body:
                time.sleep(act.drip)
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/v1"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
