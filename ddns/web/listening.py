"""The desk's listeners: one for people and programs, one for devices, which are asked for a certificate.

They are apart because a browser that is asked for a certificate opens a dialog. What a device shows is taken at the
handshake whoever issued it, for TLS 1.3 proves that it has the key; whether it counts is judged by handlers. Sessions
are not resumed there: a resumed one would not show the certificate again (RFC 8446 §4.6.1 allows it to be asked for
later, which clients do not do). Devices are shown the registrar's own certificate, whose key follows from the
service's secret: they know it from the voucher of their maker, not from those whom browsers trust.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from ddns.homes.registrar import Registrar
from ddns.net.certificate import Certificate
from ddns.net.connections import Connections
from ddns.net.encrypted import CertificateFiles
from ddns.net.handshakes import Handshakes, TlsFactory
from ddns.net.reloading import Reloading
from ddns.web.channel import PROTOCOLS, ApiFactory, Clock
from ddns.web.routes import Listener
from ddns.web.serving import Serving

KINDS = {"web": Listener.PEOPLE, "devices": Listener.DEVICES}


class DeviceHandshakes(Handshakes):
    """TLS that asks for the client's certificate."""

    def _made(self, certificate: Certificate) -> SSL.Context:
        context = super()._made(certificate)
        # An exception in this callback would only reach the log; so nothing is judged here.
        context.set_verify(SSL.VERIFY_PEER, lambda *_shown: True)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)
        return context


class Listening:
    """All listeners of one desk."""

    def __init__(
        self, files: CertificateFiles, serving: Serving, connections: Connections, mine: Registrar, reactor: Any,
        clock: Clock = time.time,
    ) -> None:  # fmt: skip
        self._serving = serving
        self._connections = connections
        self._registrar = Certificate((mine.certificate, mine.ca), mine.key)
        self._reactor = reactor
        self._clock = clock
        self._certificate = Reloading(Path(files.certificate), Path(files.key), files.roll, reactor)
        self._closers: list[Callable[[], Any]] = []

    def start(self) -> None:
        """Follow the files of the certificate."""
        self._certificate.start()

    def listen(self, kind: str, sock: socket.socket) -> None:
        """Serve on the bound, non-blocking *sock*: `web` for people and programs, `devices` for devices."""
        listener = KINDS[kind]
        if listener is Listener.DEVICES:
            handshakes: Handshakes = DeviceHandshakes(PROTOCOLS, self._registrar)
        else:
            handshakes = Handshakes(PROTOCOLS, self._certificate.current)
            self._certificate.tell(handshakes.use)
        inside = ApiFactory(
            self._serving.serve, self._serving.most, listener, self._connections, self._reactor, self._clock
        )
        around = TlsFactory(handshakes, inside, self._connections, self._reactor)
        port = self._reactor.adoptStreamPort(sock.fileno(), sock.family, around)
        sock.close()  # adopting has made a descriptor of its own
        self._closers.append(port.stopListening)

    def close(self) -> None:
        """Take no more connections."""
        self._certificate.stop()
        for close in self._closers:
            close()
