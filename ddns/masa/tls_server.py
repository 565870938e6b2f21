"""A small HTTP server over TLS: a thread a connection, in which the handshake is done too, and a bounded number."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 10.0  # seconds for a client to say or hear anything
AT_ONCE = 64  # connections; more wait to be accepted


class TlsServer(ThreadingHTTPServer):
    """Accepts connections; the handshake is the connection's own business, so that nobody waits for another's.

    *handler* answers, *secured* makes a TLS connection of an accepted one; it raises `OSError` or `ValueError` where
    the client does not speak TLS as we do.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        secured: Callable[[socket.socket], ssl.SSLSocket],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._secured = secured
        self._seats = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, when there is a seat."""
        self._seats.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Shake hands, and answer until the client goes."""
        try:
            request.settimeout(PATIENCE)
            try:
                secure = self._secured(request)
            except (OSError, ValueError):
                self.shutdown_request(request)
                return
            super().process_request_thread(secure, client_address)
        finally:
            self._seats.release()
