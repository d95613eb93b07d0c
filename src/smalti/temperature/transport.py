"""One HTTP request and its response, with a limit on the time of the whole, and without a trace of the key.

Only the standard library is used, and each request has a connection of its own: nothing is sent twice behind the
caller's back, as pools of connections do. Redirections are not followed, since the key would go along.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from smalti.errors import UsageError
from smalti.temperature.reply import AskError

__all__ = ["Address", "Response", "Transport", "scrubbed"]

_LARGEST = 2**26
_CONNECT = 10.0  # seconds for a connection
_SHORTEST_KEY = 8
_REMOVED = b"[key removed]"


@dataclass(frozen=True)
class Address:
    """Where an API is.

    Attributes:
        secure: whether it is reached by https.
        host: name or number of the machine.
        port: the port.
        path: what stands before the name of a resource, such as `/v1`.
    """

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Address:
        """The address that a person wrote: `https://host/v1`, or with a resource at its end. Without a path: `/v1`.

        Raises:
            UsageError: it is none, or has a name, password or query in it.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            parts = urllib.parse.urlsplit("")
            port = None
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            # Not repeated in the sentence: what was too much in it may be a key.
            raise UsageError(
                "--endpoint is an address without name, password, query or fragment, such as https://host/v1: give a "
                "key by --key-env"
            )
        printable = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme not in ("http", "https") or not parts.hostname or not printable:
            raise UsageError(f"--endpoint {url!r} is no address of an API: write it like http://127.0.0.1:8000/v1")
        path = parts.path.rstrip("/")
        for resource in ("/chat/completions", "/completions"):
            path = path.removesuffix(resource)
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname, port or (443 if secure else 80), path or "/v1")

    @property
    def url(self) -> str:
        """How it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.secure else 80) else f":{self.port}"
        return f"http{'s' if self.secure else ''}://{host}{port}{self.path}"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


@dataclass(frozen=True)
class Response:
    """A response that came whole.

    Attributes:
        status: its status.
        headers: its headers, names in small letters.
        body: its body; where the key stood in it, it was taken out.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Makes requests to one address; safe to use from several threads."""

    def __init__(self, address: Address, *, key: str | None = None, timeout: float = 60.0) -> None:
        """Opens nothing yet.

        Args:
            address: where the requests go.

        Keyword Args:
            key: sent with each request; kept in memory only.
            timeout: most seconds from a connection to the end of the response.

        Raises:
            UsageError: the key cannot stand in a header.
        """
        if key is not None and not (key.isascii() and key.isprintable() and key.split() == [key]):
            raise UsageError("the key is empty, or has blanks or other signs that no key has: look at its variable")
        if not 0 < timeout <= 86_400:
            raise UsageError(f"--timeout is more than 0 seconds and at most a day, not {timeout:g}")
        self.address = address
        self._key, self._timeout = key, timeout
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._tls = ssl.create_default_context() if address.secure else None

    def post(self, resource: str, fields: Mapping[str, object]) -> Response:
        """Makes a request.

        Args:
            resource: its name after the path of the address, such as `/completions`.
            fields: its body, as JSON.

        Returns:
            The response, whatever its status.

        Raises:
            AskError: "down", "slow" or "truncated"; the sentence names the address.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        body = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
        late = threading.Event()
        connection = self._connection()
        url = self.address.url
        try:
            connection.connect()
            with self._watched(connection.sock, late):
                connection.sock.settimeout(self._timeout)
                connection.request("POST", self.address.path + resource, body=body, headers=headers)
                # Closed here, since a connection that is to end lets its response go.
                with connection.getresponse() as response:
                    content = response.read(_LARGEST + 1)
                    # Unlike a whole read, one with a length takes a body that ends early without complaint.
                    if len(content) <= _LARGEST and response.length:
                        raise http.client.IncompleteRead(content, response.length)
        except http.client.IncompleteRead as error:
            part = scrubbed(error.partial, self._key)
            if late.is_set():
                raise self._slow(part) from error
            raise AskError("truncated", f"{url} breaks an answer off after {len(part):,} bytes", body=part) from error
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise self._slow() from error
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            said = scrubbed(str(what).encode(), self._key).decode("utf-8", "replace")
            raise AskError(
                "down", f"{url} does not answer ({said}): see that it is running and that --endpoint is right"
            ) from error
        finally:
            connection.close()
        if late.is_set():
            raise self._slow(scrubbed(content, self._key))
        if len(content) > _LARGEST:
            raise AskError("malformed", f"{url} answers with more than {_LARGEST // 2**20} MiB", status=response.status)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, found, scrubbed(content, self._key))

    def close(self) -> None:
        """Ends all requests that are under way; there will be no others."""
        with self._lock:
            self._closed = True
            for each in self._open:
                _shut(each)

    def _connection(self) -> http.client.HTTPConnection:
        at, limit = self.address, min(self._timeout, _CONNECT)
        if self._tls is not None:
            return http.client.HTTPSConnection(at.host, at.port, timeout=limit, context=self._tls)
        return http.client.HTTPConnection(at.host, at.port, timeout=limit)

    @contextlib.contextmanager
    def _watched(self, connected: socket.socket, late: threading.Event) -> Iterator[None]:
        """Ends the connection when its time is over: a limit on each read alone would let a slow stream go on."""

        def end() -> None:
            late.set()
            _shut(connected)

        timer = threading.Timer(self._timeout, end)
        timer.daemon = True
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("stopped")
            self._open.add(connected)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._open.discard(connected)

    def _slow(self, body: bytes = b"") -> AskError:
        return AskError(
            "slow",
            f"{self.address.url} does not finish an answer within {self._timeout:g} seconds: raise --timeout, or ask "
            "for fewer requests at a time",
            body=body,
        )


def scrubbed(content: bytes, key: str | None) -> bytes:
    """Content without the key, should a server repeat it: as it is, as in JSON, or as in an address.

    Args:
        content: any bytes.
        key: the key. None, or one of less than 8 characters, which is a mere word to please a local server: the
            content stays as it is.
    """
    if key is None or len(key) < _SHORTEST_KEY:
        return content
    forms: list[Callable[[str], str]] = [str, lambda k: json.dumps(k)[1:-1], lambda k: urllib.parse.quote(k, safe="")]
    for form in {form(key).encode() for form in forms}:
        content = content.replace(form, _REMOVED)
    return content


def _shut(connected: socket.socket) -> None:
    """Ends a connection while another thread reads from it; past TLS, which would wait for a farewell."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
