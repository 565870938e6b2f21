"""DNS over QUIC (RFC 9250): aioquic's state machines, driven by a UDP socket of ours.

Each query has a stream of its own. Addresses are always validated by Retry before anything is kept for them
(RFC 9000 §8.1.2), so a spoofed source gets less than it sent. There is no early data (0-RTT) and no resumption.
One process serves a port: only it knows the ids of its connections.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from math import inf
from typing import Any

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from ddns.dns.asker import Asker
from ddns.net.certificate import Certificate
from ddns.net.connections import SAY_EVERY, Connections
from ddns.net.quic_session import QuicSession
from ddns.net.reply import Reply
from ddns.net.udp import IP_PKTINFO, leaving_from

# aioquic tells of every connection; that is too much, and nobody's business.
logging.getLogger("quic").setLevel(logging.WARNING)

log = Logger(namespace="ddns.quic")

Serve = Callable[[bytes, Asker, Reply], None]

DOQ = "doq"
DRAIN = 64  # datagrams taken before the reactor looks at anything else
LARGEST = 2048  # octets of a datagram; clients send fewer
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2  # Linux's numbers, which `socket` does not name
BUFFER = 128 * 1024  # octets that a client may send before it hears that there is room for more


@implementer(IReadDescriptor)
class QuicListener:
    """One socket and the connections that came to it."""

    def __init__(
        self, sock: socket.socket, serve: Serve, connections: Connections, certificate: Certificate, clock: Any
    ) -> None:
        self._sock = sock
        self.serve = serve
        self.connections = connections
        self.clock = clock
        self._retry = QuicRetryTokenHandler()
        self._routes: dict[bytes, QuicSession] = {}
        self._said = -inf
        self._wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self.bound = sock.getsockname()
        _prepare(sock, wildcard=self._wildcard)
        self.use(certificate)

    def use(self, certificate: Certificate) -> None:
        """Show *certificate* from the next handshake on."""
        self._configuration = QuicConfiguration(
            alpn_protocols=[DOQ],
            is_client=False,
            idle_timeout=self.connections.limits.idle,
            max_data=BUFFER,
            max_stream_data=BUFFER,
            certificate=certificate.chain[0],
            certificate_chain=list(certificate.chain[1:]),
            private_key=certificate.key,
        )

    # -- what the reactor asks

    def fileno(self) -> int:
        """Return the descriptor that the reactor watches."""
        return self._sock.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """Return how Twisted names this reader in its log."""
        return "quic"

    def connectionLost(self, reason: object) -> None:  # noqa: N802, ARG002 - Twisted's name and shape
        """Close the socket when the reactor lets go of it."""
        self._sock.close()

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Take what has arrived, at most `DRAIN` datagrams."""
        heard: dict[QuicSession, None] = {}
        try:
            for _ in range(DRAIN):
                octets, control, _flags, peer = self._sock.recvmsg(LARGEST, 128)
                # aioquic compares addresses and looks at the first two fields; ours say also how to answer.
                came = (*peer[:2], peer, tuple(leaving_from(control)))
                session = self._session(octets, came)
                if session is not None:
                    session.receive(octets, came)
                    heard[session] = None
        except OSError:
            pass  # nothing more to read
        for session in heard:
            session.advance()

    def failed(self) -> None:
        """Log the failure of a connection with its traceback, once a minute at most."""
        now = self.clock.seconds()
        if now - self._said >= SAY_EVERY:
            self._said = now
            log.failure("quic.failed")

    def close(self) -> None:
        """End all connections and stop listening."""
        self.clock.removeReader(self)
        for session in set(self._routes.values()):
            session.close()
        self._sock.close()

    # -- connections

    def send(self, octets: bytes, to: Any) -> None:
        """Send one datagram; what does not fit into the socket's buffer is lost, as on the way."""
        _host, _port, peer, control = to
        try:
            self._sock.sendmsg([octets], control, 0, peer)
        except OSError:
            return

    def route(self, connection_id: bytes, session: QuicSession) -> None:
        """Give the datagrams with this connection id to *session*."""
        self._routes[connection_id] = session

    def unroute(self, connection_id: bytes) -> None:
        """Know this connection id no more."""
        self._routes.pop(connection_id, None)

    def _session(self, octets: bytes, came: Any) -> QuicSession | None:
        """Return whose datagram this is, a fresh session where its client has shown that its address is its own."""
        try:
            header = pull_quic_header(Buffer(data=octets), host_cid_length=self._configuration.connection_id_length)
        except ValueError:
            return None
        known = self._routes.get(header.destination_cid)
        if known is not None:
            return known
        # Only a full first datagram is answered at all: nobody gets more than was sent in their name.
        if len(octets) < SMALLEST_MAX_DATAGRAM_SIZE or header.version is None:
            return None
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version not in self._configuration.supported_versions:
            versions = self._configuration.supported_versions
            self.send(
                encode_quic_version_negotiation(
                    source_cid=header.destination_cid, destination_cid=header.source_cid, supported_versions=versions
                ),
                came,
            )
            return None
        if header.packet_type != QuicPacketType.INITIAL:
            return None
        if header.token:
            return self._validated(header, came)
        self._send_retry(header, came)
        return None

    def _send_retry(self, header: QuicHeader, came: Any) -> None:
        assert header.version is not None
        source = os.urandom(self._configuration.connection_id_length)
        token = self._retry.create_token(
            address=came,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self.clock.seconds(),
        )
        self.send(
            encode_quic_retry(
                version=header.version,
                source_cid=source,
                destination_cid=header.source_cid,
                original_destination_cid=header.destination_cid,
                retry_token=token,
            ),
            came,
        )

    def _validated(self, header: QuicHeader, came: Any) -> QuicSession | None:
        try:
            original = self._retry.validate_token(
                address=came, destination_cid=header.destination_cid, token=header.token, now=self.clock.seconds()
            )
        except ValueError:
            return None
        if not self.connections.handshake(came[0]):
            return None
        quic = QuicConnection(
            configuration=self._configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=header.destination_cid,
        )
        session = QuicSession(self, quic, came[0])
        if session.seat is None:
            return None
        session.routes(header.destination_cid)
        session.routes(quic.host_cid)
        return session


def _prepare(sock: socket.socket, *, wildcard: bool) -> None:
    """Forbid fragments (RFC 9000 §14), and on a socket for all addresses ask which one each datagram came to."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)
        if wildcard:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        if wildcard:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
