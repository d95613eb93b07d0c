"""Connections of the HTTP service: how many there may be, and how long a request may take to come."""

from __future__ import annotations

import http.server
import io
import socket
import threading
import time
from typing import Any

__all__ = ["Listener", "PacedReader"]

_MOST_CONNECTIONS = 1024


class Listener(http.server.ThreadingHTTPServer):
    """A listener that takes so many connections and no more, and says nothing."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, family: int, address: Any, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self.address_family = family
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address[:2], handler)

    def server_bind(self) -> None:
        """Takes the address, without the look-up of the host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Gives a connection a thread, or ends it where there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The work of a connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class PacedReader(io.RawIOBase):
    """What a client sends, for as long as a request may take: a limit on each read alone would let slow ones stay.

    Args:
        connection: where it comes from.
        idle: most seconds before the first byte of a request, and again to its last.
    """

    def __init__(self, connection: socket.socket, idle: float) -> None:
        self._connection, self._idle = connection, idle
        self._until: float | None = None

    def begin(self) -> None:
        """A new request may come."""
        self._until = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads what has come.

        Raises:
            TimeoutError: too little came in time.
        """
        left = self._idle if self._until is None else self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            got = self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(self._idle)  # what is sent has as long
        if self._until is None:
            self._until = time.monotonic() + self._idle
        return got
