"""One DNS over QUIC connection (RFC 9250): a stream for each query, and what its client may keep us holding.

The state machine is aioquic's; a failure in it ends this connection and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any

from aioquic.quic import events
from aioquic.quic.connection import QuicConnection

from ddns.answer.framing import LENGTH
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import HEADER_SIZE, MAX_MESSAGE, EdnsOption, Type
from ddns.dns.wire import BadMessage
from ddns.net.connections import Seat
from ddns.net.tcp import PAUSE, SMALL

if TYPE_CHECKING:
    from ddns.net.quic import QuicListener

NO_ERROR, INTERNAL_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED, EXCESSIVE_LOAD = range(5)  # RFC 9250 §8.4


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
