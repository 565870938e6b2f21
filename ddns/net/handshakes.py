"""TLS 1.3 around Twisted's protocols, for HTTPS; DNS over TLS has a way of its own (`ddns.net.tls`).

The certificate may change at any time: each handshake uses the one that is current then. A client that offers no
protocol that is spoken here is refused, one that offers none at all is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from ddns.net.certificate import Certificate
from ddns.net.connections import Connections


class NoCommonProtocol(SSL.Error):
    """A client offered no protocol that this listener speaks; TLS tells it so (RFC 7301 §3.2)."""


@implementer(IOpenSSLServerConnectionCreator)
class Handshakes:
    """Make the TLS side of each connection, with the certificate that is current."""

    def __init__(self, protocols: Sequence[bytes], certificate: Certificate) -> None:
        self._protocols = tuple(protocols)
        self._context = self._made(certificate)

    def use(self, certificate: Certificate) -> None:
        """Show *certificate* from the next handshake on; connections that are open keep theirs."""
        self._context = self._made(certificate)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N802, N803, ARG002 - Twisted's
        """Return a fresh TLS connection."""
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection

    def _made(self, certificate: Certificate) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no buffers
        context.set_session_id(self._protocols[0])
        context.use_certificate(certificate.chain[0])
        for above in certificate.chain[1:]:
            context.add_extra_chain_cert(above)
        context.use_privatekey(certificate.key)
        context.set_alpn_select_callback(self._choose)
        return context

    def _choose(self, _connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in self._protocols:
            if protocol in offered:
                return protocol
        raise NoCommonProtocol([])  # Twisted looks for OpenSSL's queue of errors


class TlsFactory(TLSMemoryBIOFactory):
    """Put TLS around the protocols of *wrapped*, which may refuse a connection."""

    def __init__(self, handshakes: Any, wrapped: Any, connections: Connections, clock: Any) -> None:
        super().__init__(handshakes, False, wrapped, clock)
        self._connections = connections

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's name
        """Return a protocol for *addr*, or None, which closes the connection: no seat, or too many handshakes."""
        if not self._connections.handshake(addr.host):
            return None
        inside = self.wrappedFactory.buildProtocol(addr)
        return None if inside is None else self.protocol(self, inside)
