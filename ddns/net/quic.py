"""DNS over QUIC (RFC 9250): aioquic's state machines, driven by a UDP socket of ours.

Each query has a stream of its own. Addresses are always validated by Retry before anything is kept for them
(RFC 9000 §8.1.2), so a spoofed source gets less than it sent. There is no early data (0-RTT) and no resumption.
One process serves a port: only it knows the ids of its connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic import events
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

from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import HEADER_SIZE, MAX_MESSAGE, EdnsOption, Type
from ddns.dns.wire import BadMessage
from ddns.net.certificate import Certificate
from ddns.net.connections import SAY_EVERY, Connections, Seat
from ddns.net.reply import Reply
from ddns.net.tcp import LENGTH, PAUSE, SMALL
from ddns.net.udp import IP_PKTINFO
from ddns.net.udp import _source as leaving_from

# aioquic tells of every connection; that is too much, and nobody's business.
logging.getLogger("quic").setLevel(logging.WARNING)

log = Logger(namespace="ddns.quic")

Serve = Callable[[bytes, Asker, Reply], None]

DOQ = "doq"
NO_ERROR, INTERNAL_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED, EXCESSIVE_LOAD = range(5)  # RFC 9250 §8.4
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


class QuicSession:
    """One connection and its streams. It lives as long as its seat."""

    def __init__(self, listener: QuicListener, quic: QuicConnection, source: str) -> None:
        self._listener = listener
        self.quic = quic
        self.source = source
        self.in_flight = 0
        self._ids: set[bytes] = set()
        self._queries: dict[int, bytearray] = {}
        self._answers: dict[int, QuicReply] = {}
        self._written = 0
        self._gone = 0  # octets written that the client has acknowledged
        self._timer: Any = None
        self._waiting: list[asyncio.Future[None]] = []
        self._advancing = False
        self.seat: Seat | None = listener.connections.admit(source, self)
        if self.seat is not None:
            self.seat.begin(listener.connections.limits.handshake)

    def routes(self, connection_id: bytes) -> None:
        """Take the datagrams with this connection id."""
        self._ids.add(connection_id)
        self._listener.route(connection_id, self)

    # -- the state machine

    def receive(self, octets: bytes, came: Any) -> None:
        """Take a datagram; `advance` does the rest."""
        with self._no_harm():
            self.quic.receive_datagram(octets, came, now=self._listener.clock.seconds())

    def advance(self) -> None:
        """Hear what has happened, send what is due, and set the timer."""
        if not self._advancing:  # else: an answer that was ready at once; it is sent by who is at it
            with self._no_harm():
                self._advance()

    @contextlib.contextmanager
    def _no_harm(self) -> Iterator[None]:
        """End this connection where the state machine fails, and nobody else's: the reactor must not hear of it."""
        try:
            yield
        except Exception:  # noqa: BLE001 - a bug, of aioquic or of ours
            self._advancing = False
            self._forget()
            self._listener.failed()

    def _advance(self) -> None:
        self._advancing = True
        while self.seat is not None and (event := self.quic.next_event()) is not None:
            self._hear(event)
        self._advancing = False
        self._send()
        if self.seat is None:
            return
        self._count()
        due = self.quic.get_timer()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if due is not None:
            self._timer = self._listener.clock.callLater(max(0.0, due - self._listener.clock.seconds()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        with self._no_harm():
            self.quic.handle_timer(now=self._listener.clock.seconds())
        self.advance()

    def _send(self) -> None:
        for octets, to in self.quic.datagrams_to_send(now=self._listener.clock.seconds()):
            self._listener.send(octets, to)

    def _hear(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.StreamDataReceived):
            self._take(event.stream_id, event.data, event.end_stream)
        elif isinstance(event, events.StreamReset):
            self._cancel(event.stream_id, reset=True)
        elif isinstance(event, events.StopSendingReceived):
            self._cancel(event.stream_id, reset=False)
        elif isinstance(event, events.HandshakeCompleted) and self.seat is not None:
            self.seat.done()
        elif isinstance(event, events.ConnectionIdIssued):
            self.routes(event.connection_id)
        elif isinstance(event, events.ConnectionIdRetired):
            self._ids.discard(event.connection_id)
            self._listener.unroute(event.connection_id)
        elif isinstance(event, events.ConnectionTerminated):
            self._forget()

    # -- queries

    def _take(self, stream: int, octets: bytes, end: bool) -> None:
        """Take a piece of a query; it is served when its client has said that it is whole (RFC 9250 §4.2)."""
        if stream & 2 or stream in self._answers:
            self.end(PROTOCOL_ERROR, "One query a stream, and no streams of one direction.")
            return
        query = self._queries.setdefault(stream, bytearray())
        query += octets
        if len(query) > LENGTH + MAX_MESSAGE:
            self.end(PROTOCOL_ERROR, "A message has at most 65535 octets.")
        elif end:
            del self._queries[stream]
            self._serve(stream, bytes(query[LENGTH:]), int.from_bytes(query[:LENGTH], "big"))

    def _serve(self, stream: int, wire: bytes, length: int) -> None:
        if len(wire) != length or length < HEADER_SIZE or wire[2] & 0x80:
            self.end(PROTOCOL_ERROR, "The stream holds no whole DNS request.")
        elif wire[:2] != b"\0\0":
            self.end(PROTOCOL_ERROR, "The message id must be 0.")  # RFC 9250 §4.2.1
        elif _has_keepalive(wire):
            self.end(PROTOCOL_ERROR, "edns-tcp-keepalive is not for QUIC.")  # RFC 9250 §5.5.2
        else:
            if self.seat is not None:
                self.seat.touch()
            reply = self._answers[stream] = QuicReply(self, stream)
            if self.in_flight >= self._listener.connections.limits.in_flight:
                self.reset(stream, EXCESSIVE_LOAD)
                return
            self.in_flight += 1
            reply.waits = True
            self._listener.serve(wire, Asker(Transport.QUIC, self.source), reply)

    def _cancel(self, stream: int, *, reset: bool) -> None:
        """Forget a query whose client no longer wants the answer (RFC 9250 §4.3.1)."""
        self._queries.pop(stream, None)
        if reset and not stream & 2:
            self.reset(stream, REQUEST_CANCELLED)
        if stream in self._answers:
            self._answers[stream].cancelled = True

    # -- answers

    def send(self, stream: int, octets: bytes, *, last: bool) -> None:
        """Send one message of an answer."""
        if self.seat is None:
            return
        framed = len(octets).to_bytes(LENGTH, "big") + octets
        self._written += len(framed)
        self.quic.send_stream_data(stream, framed, end_stream=last)
        self.advance()

    def reset(self, stream: int, error: int) -> None:
        """Tell the client that this query gets no answer, or no more of it."""
        if self.seat is not None:
            self.quic.reset_stream(stream, error)
            self.advance()

    def answered(self) -> None:
        """Note that one query has its whole answer."""
        self.in_flight -= 1

    async def room(self, stream: int) -> bool:
        """Wait until the client has taken most of what was sent on *stream*; False: it wants no more."""
        while self._unsent_on(stream) > PAUSE and self.seat is not None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        reply = self._answers.get(stream)
        return self.seat is not None and reply is not None and not reply.cancelled

    def _unsent_on(self, stream: int) -> int:
        # aioquic has no public word for what its peer has not acknowledged yet.
        there = self.quic._streams.get(stream)  # noqa: SLF001
        return 0 if there is None else len(there.sender._buffer)  # noqa: SLF001

    def _count(self) -> None:
        """Say what is kept for this connection, and whether its client takes what it is sent."""
        seat = self.seat
        if seat is None:
            return
        alive = self.quic._streams  # noqa: SLF001 - those that are not finished and acknowledged
        self._answers = {stream: one for stream, one in self._answers.items() if one.waits or stream in alive}
        unsent = sum(self._unsent_on(stream) for stream in self._answers)
        gone = self._written - unsent
        if gone > self._gone or (unsent > PAUSE) != (seat.stalled != inf):
            seat.unread(unsent > PAUSE)
        if gone > self._gone and self._waiting:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
        self._gone = gone
        queries = sum(len(one) for one in self._queries.values())
        seat.hold(unsent + (queries if queries > SMALL else 0))

    # -- the end

    def end(self, error: int, reason: str) -> None:
        """Close the connection and say why."""
        with self._no_harm():
            self.quic.close(error_code=error, reason_phrase=reason)
            self._send()
        self._forget()

    def close(self) -> None:
        """Close the connection: it was idle (RFC 9250 §5.4)."""
        self.end(NO_ERROR, "")

    def abort(self) -> None:
        """Close the connection: it was over a bound."""
        self.end(EXCESSIVE_LOAD, "")

    def _forget(self) -> None:
        seat, self.seat = self.seat, None
        if seat is not None:
            seat.leave()
        for connection_id in self._ids:
            self._listener.unroute(connection_id)
        self._ids.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._queries.clear()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class QuicReply:
    """The answer to one query: a `StreamReply`."""

    __slots__ = ("_session", "_stream", "cancelled", "waits")

    def __init__(self, session: QuicSession, stream: int) -> None:
        self._session = session
        self._stream = stream
        self.waits = False
        self.cancelled = False

    def __call__(self, octets: bytes) -> None:
        """Send the last message, or the only one; none at all ends the stream with an error (RFC 9250 §4.3.2)."""
        if not self.waits:
            return
        self.waits = False
        self._session.answered()
        if self.cancelled:
            return
        if octets:
            self._session.send(self._stream, octets, last=True)
        else:
            self._session.reset(self._stream, INTERNAL_ERROR)

    def more(self, octets: bytes) -> None:
        """Send a message that others follow."""
        if self.waits and not self.cancelled:
            self._session.send(self._stream, octets, last=False)

    async def room(self) -> bool:
        """Wait until the client has taken most of what it was sent; False: it wants no more."""
        return await self._session.room(self._stream)

    def abort(self) -> None:
        """End the stream: what was begun cannot be finished."""
        self(b"")


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


def _has_keepalive(wire: bytes) -> bool:
    """Tell whether the message has an edns-tcp-keepalive option; one that cannot be read has none."""
    try:
        head = wires.header(wire)
        offset = wires.question(wire).end if head.qdcount == 1 else HEADER_SIZE
        count = head.ancount + head.nscount + head.arcount
        for record in wires.walk(wire, offset, count):
            if record.type == Type.OPT:
                return any(code == EdnsOption.KEEPALIVE for code, _octets in wires.edns(wire, record).options)
    except BadMessage:
        pass
    return False
