"""One HTTP request and its response, with a limit on the time of the whole, and without a trace of the key.

Only the standard library is used, and each request has a connection of its own: nothing is sent twice behind the
caller's back, as pools of connections do. Redirections are not followed, since the key would go along.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import re
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smalti.errors import UsageError
from smalti.temperature.reply import AskError

__all__ = ["Address", "Response", "Transport", "scrubbed"]

_LARGEST = 2**26
_CONNECT = 10.0  # seconds for a connection
_SHORTEST_KEY = 8
_REMOVED = b"[key removed]"
# The one query that is let through: it is stored and shown, so it must be something that no key looks like.
_VERSION = re.compile(r"api-version=(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?|v?[0-9]{1,3}|preview|latest)")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_OWN_HEADERS = (
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "te",
    "upgrade",
    "expect",
    "trailer",
)


@dataclass(frozen=True)
class Address:
    """Where an API is.

    Attributes:
        secure: whether it is reached by https.
        host: name or number of the machine.
        port: the port.
        path: what stands before the name of a resource, such as `/v1`.
        query: what stands behind it: empty, or the version of an API.
    """

    secure: bool
    host: str
    port: int
    path: str
    query: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """The address that a person wrote: `https://host/v1`, or with a resource at its end. Without a path: `/v1`.

        Raises:
            UsageError: it is none, or has a name, password or query in it; the one query that may be there is
                `?api-version=` with a date or a number.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            parts = urllib.parse.urlsplit("")
            port = None
        query = parts.query and not _VERSION.fullmatch(parts.query)
        if parts.username is not None or parts.password is not None or query or parts.fragment:
            # Not repeated in the sentence: what was too much in it may be a key.
            raise UsageError(
                "--endpoint is an address without name, password, query or fragment, such as https://host/v1, and of "
                "queries only ?api-version=DATE may be there: give a key by --key-env"
            )
        printable = url.isascii() and url.isprintable() and " " not in url
        if parts.scheme not in ("http", "https") or not parts.hostname or not printable:
            raise UsageError(f"--endpoint {url!r} is no address of an API: write it like http://127.0.0.1:8000/v1")
        path = parts.path.rstrip("/")
        for resource in ("/chat/completions", "/completions"):
            path = path.removesuffix(resource)
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname, port or (443 if secure else 80), path or "/v1", parts.query)

    @property
    def url(self) -> str:
        """How it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.secure else 80) else f":{self.port}"
        return f"http{'s' if self.secure else ''}://{host}{port}{self.target('')}"

    def target(self, resource: str) -> str:
        """What a request for a resource names."""
        return f"{self.path}{resource}{'?' if self.query else ''}{self.query}"

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

    def __init__(
        self, address: Address, *, key: str | None = None, key_header: str | None = None, timeout: float = 60.0
    ) -> None:
        """Opens nothing yet.

        Args:
            address: where the requests go.

        Keyword Args:
            key: sent with each request; kept in memory only.
            key_header: the header that the key is sent in, by itself; `Authorization: Bearer KEY` unless given.
            timeout: most seconds from a connection to the end of the response.

        Raises:
            UsageError: the key cannot stand in a header, or there is no such header for it.
        """
        if key is not None and not (key.isascii() and key.isprintable() and key.split() == [key]):
            raise UsageError("the key is empty, or has blanks or other signs that no key has: look at its variable")
        if key_header is not None and (not _HEADER.fullmatch(key_header) or key_header.lower() in _OWN_HEADERS):
            raise UsageError(f"--key-header {key_header[:80]!r} is no header for a key: name one such as api-key")
        if not 0 < timeout <= 86_400:
            raise UsageError(f"--timeout is more than 0 seconds and at most a day, not {timeout:g}")
        self.address = address
        self._key, self._timeout = key, timeout
        self._authority = {} if key is None else {key_header: key} if key_header else {"Authorization": f"Bearer {key}"}
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
            AskError: "down", "untrusted", "slow" or "truncated"; the sentence names the address.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        body = json.dumps(fields, allow_nan=False).encode()
        late = threading.Event()
        connection = self._connection()
        url = self.address.url
        try:
            connection.connect()
            if self._tls is not None:
                # Shakes hands only when it is watched.
                connection.sock = self._tls.wrap_socket(
                    connection.sock, server_hostname=self.address.host, do_handshake_on_connect=False
                )
            with self._watched(connection.sock, late):
                connection.sock.settimeout(self._timeout)
                if isinstance(connection.sock, ssl.SSLSocket):
                    connection.sock.do_handshake()
                connection.request("POST", self.address.target(resource), body=body, headers=headers | self._authority)
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
        except ssl.SSLCertVerificationError as error:
            raise AskError(
                "untrusted",
                f"{url} shows a certificate that is not trusted here ({error.verify_message}): if it is right, name a "
                "file with the certificate of who signed it in the variable SSL_CERT_FILE",
            ) from error
        except ssl.SSLError as error:
            if late.is_set():
                raise self._slow() from error
            said = (error.reason or "it ended early").replace("_", " ").lower()
            if error.reason == "WRONG_VERSION_NUMBER":
                raise AskError(
                    "untrusted", f"{url} does not answer with TLS: if it has none, write http:// in --endpoint"
                ) from error
            raise AskError(
                "down", f"{url} does not agree on TLS ({said}): see that it is an https address and is set up right"
            ) from error
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
        connection = http.client.HTTPConnection(at.host, at.port, timeout=limit)
        connection.default_port = 443 if at.secure else 80  # the port that is not named to the server
        return connection

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
    """Content without the key, should a server repeat it: as it is, or in JSON, in an address or in HTML, whatever of
    its signs are written otherwise there. Where the content was cut off within the key, its beginning goes too.

    Args:
        content: any bytes.
        key: the key. None, or one of less than 8 characters, which is a mere word to please a local server: the
            content stays as it is.
    """
    if key is None or len(key) < _SHORTEST_KEY:
        return content
    content = re.sub("".join(map(_forms, key)).encode(), _REMOVED, content)
    cut = next((n for n in range(len(key) - 1, _SHORTEST_KEY - 1, -1) if content.endswith(key[:n].encode())), 0)
    return content[:-cut] + _REMOVED if cut else content


def _forms(sign: str) -> str:
    """A pattern for a sign, however it is written."""
    plain = {sign, json.dumps(sign)[1:-1], f"\\{sign}" if sign == "/" else sign, html.escape(sign)}
    number = f"{ord(sign):02x}"
    return f"(?:{'|'.join(map(re.escape, sorted(plain)))}|(?i:\\\\u00{number}|%{number}|&#x{number};|&#{ord(sign)};))"


def _shut(connected: socket.socket) -> None:
    """Ends a connection while another thread reads from it; past TLS, which would wait for a farewell."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
