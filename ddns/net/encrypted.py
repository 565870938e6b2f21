"""The encrypted listeners of one worker: TLS, HTTPS and QUIC with one certificate, and one count of connections.

What only some need (HTTP/2, QUIC) is imported where a listener of that kind is there.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ddns.dns.asker import Asker, Transport
from ddns.net.connections import Connections
from ddns.net.exchange import Framer
from ddns.net.reloading import Reloading
from ddns.net.reply import Reply
from ddns.net.streams import Streams
from ddns.net.tls import DotListener

Serve = Callable[[Transport, bytes, str, Reply], None]
ServeAsker = Callable[[bytes, Asker, Reply], None]


class Inherited(msgspec.Struct, frozen=True):
    """A socket that the supervisor has opened.

    *kind* is `dns`, `tls`, `https` or `quic`, or the desk's `web` or `devices`.
    """

    descriptor: int
    kind: str = "dns"


class CertificateFiles(msgspec.Struct, frozen=True):
    """Where certificate and key are, and for how long a new key is published before it is shown (seconds)."""

    certificate: str
    key: str
    roll: float = 0.0


class Encrypted:
    """All encrypted listeners of one worker."""

    def __init__(
        self, files: CertificateFiles, framer: Framer, connections: Connections, streams: Streams, reactor: Any
    ) -> None:
        self._framer = framer
        self._connections = connections
        self._streams = streams
        self._reactor = reactor
        self.certificate = Reloading(Path(files.certificate), Path(files.key), files.roll, reactor)
        self._closers: list[Callable[[], Any]] = []

    def start(self) -> None:
        """Follow the files of the certificate."""
        self.certificate.start()

    def listen(self, kind: str, sock: socket.socket, stream: Serve, other: ServeAsker) -> None:
        """Serve *kind* on the bound, non-blocking *sock*.

        *stream* gets the messages of TLS that are not known at once, *other* all those of HTTPS and QUIC.
        """
        {"tls": self._tls, "https": self._https, "quic": self._quic}[kind](sock, stream, other)

    def close(self) -> None:
        """Take no more connections, and let go of those that are open."""
        self.certificate.stop()
        for close in self._closers:
            close()

    def _tls(self, sock: socket.socket, stream: Serve, _other: ServeAsker) -> None:
        serve = functools.partial(stream, Transport.TLS)
        current = self.certificate.current
        listener = DotListener(sock, self._framer, serve, self._connections, self._streams, current)
        self.certificate.tell(listener.use)
        self._closers.append(listener.close)

    def _https(self, sock: socket.socket, _stream: Serve, other: ServeAsker) -> None:
        from ddns.net.handshakes import Handshakes, TlsFactory  # noqa: PLC0415
        from ddns.net.https import PROTOCOLS, DohFactory  # noqa: PLC0415

        handshakes = Handshakes(PROTOCOLS, self.certificate.current)
        self.certificate.tell(handshakes.use)
        inside = DohFactory(other, self._connections, self._reactor)
        around = TlsFactory(handshakes, inside, self._connections, self._reactor)
        port = self._reactor.adoptStreamPort(sock.fileno(), sock.family, around)
        sock.close()  # adopting has made a descriptor of its own
        self._closers.append(port.stopListening)

    def _quic(self, sock: socket.socket, _stream: Serve, other: ServeAsker) -> None:
        from ddns.net.quic import QuicListener  # noqa: PLC0415

        listener = QuicListener(sock, other, self._connections, self.certificate.current, self._reactor)
        self.certificate.tell(listener.use)
        self._reactor.addReader(listener)
        self._closers.append(listener.close)
