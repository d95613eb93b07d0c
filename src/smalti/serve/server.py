"""The HTTP service: which address answers what, limits, and what a bad request is told.

    GET  /health               whether it runs, what it serves, and what it has done; also HEAD
    GET  /v1/models            the one model; also /v1/models/NAME, and HEAD
    POST /v1/completions       see `smalti.serve.ask`
    POST /v1/chat/completions

One thread for each connection; all of them wait for the one engine. A service on a loopback address answers only those
who call it by a loopback name, so that no page in a browser can reach it by a name of its own.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import itertools
import secrets
import select
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from smalti.errors import InputError, SmaltiError, UsageError
from smalti.serve.answers import Answers, error_record, packed
from smalti.serve.ask import Kind, RefusedError, read_ask
from smalti.serve.engine import BusyError, Engine, Job
from smalti.serve.listening import Listener, PacedReader
from smalti.serve.model import ServedModel
from smalti.serve.writing import News, write

__all__ = ["LARGEST_BODY", "LOOPBACK", "Service"]

LARGEST_BODY = 4 * 2**20
"""Most bytes of a request."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Addresses that only this computer reaches."""

_DROPPED = 64 * 2**20  # bytes of a request that is too large that are read and dropped
_PATIENCE = 0.5  # seconds between looks whether the client is still there
_ASKED: dict[str, Kind] = {"/v1/completions": "completions", "/v1/chat/completions": "chat"}


class Service:
    """A model that is being served, from `with` to its end.

    Args:
        model: what is served.

    Keyword Args:
        host: address to listen at.
        port: 0 takes a free one.
        threads: worker threads of the kernel; all processors unless given.
        noise_seed: seed of hidden noise; another one each time unless given.
        idle: seconds after which a silent connection is closed, and most seconds from the first byte of a request to
            its last.

    Raises:
        UsageError: there is no such address or port.
        InputError: the port is in use, or may not be used.
    """

    def __init__(
        self,
        model: ServedModel,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int | None = None,
        noise_seed: int | None = None,
        idle: float = 60.0,
    ) -> None:
        self.model = model
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except (OSError, OverflowError, UnicodeError) as error:
            raise UsageError(f"there is no address {host!r} with port {port}: give --host and --port others") from error
        try:
            self._server = Listener(family, address, self._handler(idle))
        except OSError as error:
            raise InputError(
                f"port {port} of {host} cannot be used ({error.strerror or error}): choose another one (--port; 0 "
                "takes a free one)"
            ) from error
        self.host, self.port = host, int(self._server.server_address[1])
        self.engine = Engine(model, threads=threads, noise_seed=noise_seed)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True)

    @property
    def url(self) -> str:
        """Address of the API, as clients want it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.engine.close()
        self._thread.join()

    def wait(self) -> None:
        """Waits until the process is told to end."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def _handler(self, idle: float) -> type[http.server.BaseHTTPRequestHandler]:
        own = {"service": self, "idle": idle, "numbers": itertools.count(), "session": secrets.token_hex(6)}
        return type("Handler", (_Handler,), own)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    service: Service
    idle: float
    numbers: Iterator[int]
    session: str
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "smalti", ""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rfile.close()
        self._reader = PacedReader(self.connection, self.idle)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        self._reader.begin()
        super().handle_one_request()

    def log_message(self, format: str, *args: Any) -> None:
        """The service is silent."""

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            # Nobody reads its body, which must not be taken for the next request.
            self.close_connection = True
        self._answered(self._get)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._answered(self._post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the HTTP library itself refuses, such as a method that is not known."""
        said = message or explain or HTTPStatus(code).phrase
        self.close_connection = True
        self._send(int(code), error_record(f"this is no request to this service ({said})", kind=_kind(int(code))))

    def _answered(self, work: Callable[[], None]) -> None:
        """Carries a request out; whatever goes wrong, the client is told, if nothing was sent yet."""
        try:
            self._begun = False
            self._check_host()
            work()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            if self._begun:
                # A stream that breaks off without its end tells the client that it failed.
                self.close_connection = True
                return
            status, record = _told(error)
            with contextlib.suppress(OSError):
                self._send(status, record, {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {})

    def _check_host(self) -> None:
        if self.service.host not in LOOPBACK:
            return
        for called in self.headers.get_all("Host", []):
            try:
                name = urllib.parse.urlsplit(f"//{called}").hostname
            except ValueError:
                name = called
            if name is not None and name not in LOOPBACK:
                self.close_connection = True
                raise RefusedError(f"this service is called by a loopback address only, not as {name!r}", status=403)

    def _path(self) -> str:
        try:
            return urllib.parse.urlsplit(self.path).path
        except ValueError as error:
            self.close_connection = True
            raise RefusedError(f"{self.path[:100]!r} is no address here") from error

    def _get(self) -> None:
        model, engine = self.service.model, self.service.engine
        path = self._path()
        one = {"id": model.name, "object": "model", "created": 0, "owned_by": "smalti"}
        if path == "/health":
            self._send(
                200,
                {
                    "status": "ok",
                    "model": model.name,
                    "fingerprint": model.fingerprint,
                    "writing": engine.rows,
                    "answered": engine.answered,
                },
            )
        elif path == "/v1/models":
            self._send(200, {"object": "list", "data": [one]})
        elif path.startswith("/v1/models/"):
            name = urllib.parse.unquote(path.removeprefix("/v1/models/"))
            if name != model.name:
                raise RefusedError(
                    f"there is no model {name!r} here: ask for {model.name!r}",
                    status=404,
                    param="model",
                    code="model_not_found",
                )
            self._send(200, one)
        else:
            self._refuse_path(path)

    def _post(self) -> None:
        path = self._path()
        # Before anything is refused, so that what is left of it is not taken for the next request.
        body = self._body()
        if path not in _ASKED:
            self._refuse_path(path)
        model = self.service.model
        ask = read_ask(body, _ASKED[path], model)
        number = next(self.numbers)
        job = self.service.engine.open(write(ask, model), len(ask.prompts) * ask.choices)
        answers = Answers(ask, model, number)
        try:
            if ask.stream:
                self._stream(answers, job)
            else:
                self._send(200, answers.whole([one for news in self._waited(job) for one in news]))
        finally:
            job.cancel()

    def _refuse_path(self, path: str) -> None:
        known = [*_ASKED, "/v1/models", "/health"]
        if path in known:
            method = "POST" if path in _ASKED else "GET"
            raise RefusedError(f"{path} is asked by {method}", status=HTTPStatus.METHOD_NOT_ALLOWED)
        raise RefusedError(
            f"there is nothing at {path[:100]!r}: ask {', '.join(known)}", status=404, code="unknown_url"
        )

    def _body(self) -> bytes:
        """The body of a request, as long as it says."""
        said, *more = self.headers.get_all("Content-Length", [""])
        if not (said.isascii() and said.isdecimal()) or more or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RefusedError("the request does not say once how long it is (Content-Length)", status=411)
        if len(said) > 12 or int(said) > LARGEST_BODY:
            self.close_connection = True
            # Most clients read an answer only when they have sent everything.
            left = min(int(said[:12]), _DROPPED)
            while left > 0 and (got := len(self.rfile.read1(min(left, 2**16)))):
                left -= got
            raise RefusedError(f"the request is larger than {LARGEST_BODY // 2**20} MiB: send less", status=413)
        body = self.rfile.read(int(said))
        if len(body) < int(said):
            self.close_connection = True
            raise ConnectionAbortedError
        return body

    def _waited(self, job: Job) -> Iterator[list[News]]:
        """What a job finds, for as long as the client waits for it."""
        looked = time.monotonic()
        for news in job.found(_PATIENCE):
            if time.monotonic() - looked >= _PATIENCE:
                if self._gone():
                    raise ConnectionAbortedError
                looked = time.monotonic()
            if news is not None:
                yield news

    def _gone(self) -> bool:
        """Whether the client has closed the connection."""
        looked = select.poll()
        looked.register(self.connection, select.POLLIN)
        return bool(looked.poll(0)) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def _stream(self, answers: Answers, job: Job) -> None:
        found = self._waited(job)
        # The first news is waited for before anything is sent, so that a failure can still be told.
        first = next(found, [])
        self._begun = True
        # Before HTTP/1.1 there were no chunks: the end of the stream is that of the connection.
        self._chunked = self.request_version not in ("HTTP/0.9", "HTTP/1.0")
        self.close_connection |= not self._chunked
        headers = {"Transfer-Encoding": "chunked"} if self._chunked else {}
        self._head(200, "text/event-stream; charset=utf-8", headers)
        for record in answers.begin():
            self._event(packed(record))
        for news in itertools.chain([first], found):
            for record in itertools.chain.from_iterable(answers.chunks(one) for one in news):
                self._event(packed(record))
        for record in answers.end():
            self._event(packed(record))
        self._event(b"[DONE]")
        if self._chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: bytes) -> None:
        event = b"data: " + data + b"\n\n"
        self.wfile.write(b"%x\r\n" % len(event) + event + b"\r\n" if self._chunked else event)

    def _send(self, status: int, record: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = packed(record)
        self._head(status, "application/json", {"Content-Length": str(len(body))} | (headers or {}))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        told = {
            "Content-Type": kind,
            # Equal requests have equal ids: that these answers were computed nevertheless is said here (RFC 9211).
            "Cache-Status": "smalti; fwd=bypass",
            "Cache-Control": "no-store",
            "X-Request-Id": f"{self.session}-{next(self.numbers)}",
        }
        if self.close_connection:
            told["Connection"] = "close"
        for name, value in (told | headers).items():
            self.send_header(name, value)
        self.end_headers()


def _kind(status: int) -> str:
    return "invalid_request_error" if status < 500 else "server_error"


def _told(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body for what went wrong."""
    if isinstance(error, RefusedError):
        return error.status, error_record(str(error), kind=_kind(error.status), param=error.param, code=error.code)
    if isinstance(error, BusyError):
        return 503, error_record(str(error), kind="server_error", code="overloaded")
    if isinstance(error, SmaltiError):
        return 400, error_record(str(error), kind=_kind(400))
    what = ": ".join(filter(None, [type(error).__name__, str(error)]))
    return 500, error_record(f"something unforeseen went wrong ({what}): please report it", kind="server_error")
