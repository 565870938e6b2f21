"""DNS over TCP (RFC 7766): two octets of length before each message, many messages a connection.

Answers go out as they are ready, in any order. It reads no further while too many messages are in flight or
the client does not read what it has been sent; `ddns.net.connections` holds all other bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ddns.dns.codes import HEADER_SIZE
from ddns.net.connections import Connections, Seat
from ddns.net.reply import Reply

Serve = Callable[[bytes, Any, Reply], None]

LENGTH = 2  # octets before each message (RFC 1035 §4.2.2)
SMALL = 512  # octets of an unfinished message that are not counted: any ordinary question
PAUSE = 64 * 1024  # octets that Twisted has taken when it says that the client does not read
UNSENT = 1024 * 1024  # octets of answers that one connection may leave unread; transfers wait long before that


@implementer(IPushProducer)
class _Reader:
    """Tell a connection when its client does not read, and when it reads again."""

    def __init__(self, told: Callable[[bool], None]) -> None:
        self._told = told

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Hear that what was sent piles up."""
        self._told(True)

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Hear that it has gone out."""
        self._told(False)

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Hear that the connection is gone; `connectionLost` does the rest."""


@implementer(IHalfCloseableProtocol)
class TcpProtocol(Protocol):
    """One connection: frames, bounds, and answers in the order in which they are ready (RFC 7766 §6.2.1.1)."""

    def __init__(self, factory: TcpFactory, peer: Any) -> None:
        self._owner = factory
        self._peer = peer
        self.in_flight = 0
        self.seat: Seat | None = None
        self._buffer = bytearray()
        self._reading = False
        self._closing = False
        self._ended = False
        self._unread = False
        self._unsent = 0
        self._paused = False
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def _wire(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Set the connection up; its seat was taken when it came."""
        self._wire.setTcpNoDelay(True)
        self._wire.registerProducer(_Reader(self._slow_client), True)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Take what has come in; how it is cut means nothing."""
        if self.seat is not None and not self._closing:
            self._buffer += data
            self._serve_all()

    def _serve_all(self) -> None:
        """Serve the whole messages that are there, as far as the bounds allow."""
        if self._reading:
            return  # an answer that was ready at once; the loop below goes on
        self._reading = True
        buffer = self._buffer
        whole = False
        while self.seat is not None and not self._full() and len(buffer) >= LENGTH:
            end = LENGTH + int.from_bytes(buffer[:LENGTH], "big")
            if end < LENGTH + HEADER_SIZE:
                self.abort()
                break
            if len(buffer) < end:
                break
            wire = bytes(buffer[LENGTH:end])
            del buffer[:end]
            whole = True
            self.in_flight += 1
            self._owner.serve(wire, self._peer, TcpReply(self))
        self._reading = False
        seat = self.seat
        if seat is None:
            return
        if whole:
            seat.touch()
            seat.done()
        if not buffer or self._full():
            seat.done()  # what waits here waits for us, or for the client to read
        else:
            seat.begin(self._owner.connections.limits.message)
        self._count()
        self._steer()

    def send(self, octets: bytes) -> None:
        """Send one message, length and message in one write (RFC 7766 §8)."""
        if self.seat is None or not octets:
            return
        if self._unread:
            self._unsent += len(octets)
            if self._unsent > UNSENT:
                self.abort()
                return
            self._count()
        self._wire.write(len(octets).to_bytes(LENGTH, "big") + octets)

    def answered(self) -> None:
        """Note that one message has its whole answer."""
        self.in_flight -= 1
        if self._paused and not self._full():
            self._serve_all()
        if self._ended and not self.in_flight and not self._reading:
            self.close()

    async def room(self) -> bool:
        """Wait until the client has read most of what it was sent; False: the connection is gone."""
        while self.seat is not None and self._unread:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return self.seat is not None

    def _slow_client(self, unread: bool) -> None:
        if self.seat is None or unread == self._unread:
            return
        self._unread = unread
        self._unsent = PAUSE if unread else 0
        self.seat.unread(unread)
        self._serve_all()  # goes on, or stops reading
        if not unread:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _full(self) -> bool:
        return self._unread or self.in_flight >= self._owner.connections.limits.in_flight

    def _count(self) -> None:
        """Say what is kept for this connection."""
        if self.seat is not None:
            unfinished = len(self._buffer)
            self.seat.hold(self._unsent + (unfinished if unfinished > SMALL else 0))

    def _steer(self) -> None:
        """Stop or go on reading, as the bounds ask."""
        full = self._full()
        if full != self._paused and self.seat is not None:
            self._paused = full
            if full:
                self._wire.pauseProducing()
            else:
                self._wire.resumeProducing()

    def readConnectionLost(self) -> None:  # noqa: N802 - Twisted's name
        """Hear that the client will ask no more; what it has asked it still wants to know."""
        self._ended = True
        if not self.in_flight:
            self.close()

    def writeConnectionLost(self) -> None:  # noqa: N802 - Twisted's name
        """Hear that we have ended our side; we never do that alone."""

    def close(self) -> None:
        """Close when what was sent has gone out."""
        if self._closing or self.seat is None:
            return
        self._closing = True
        self._wire.unregisterProducer()
        self._wire.loseConnection()

    def abort(self) -> None:
        """Close at once, whatever is still unsent."""
        self._forget()
        self._wire.abortConnection()

    def _forget(self) -> None:
        seat, self.seat = self.seat, None
        if seat is not None:
            seat.leave()
        self._buffer.clear()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802, ARG002 - Twisted's
        """Forget the connection."""
        self._forget()


class TcpFactory(Factory):
    """Make a protocol for each connection; *serve* gets each message, the peer and a way to reply."""

    noisy = False
    protocol: type[TcpProtocol] = TcpProtocol

    def __init__(self, serve: Serve, connections: Connections) -> None:
        self.serve = serve
        self.connections = connections

    def buildProtocol(self, addr: Any) -> Protocol | None:  # noqa: N802 - Twisted's name
        """Return a protocol for *addr*, or None, which closes the connection: there is no seat for it."""
        made = self.protocol(self, addr)
        made.seat = self.connections.admit(addr.host, made)
        return None if made.seat is None else made


class TcpReply:
    """The answer to one message of a connection: a `StreamReply`."""

    __slots__ = ("_connection", "_open")

    def __init__(self, connection: TcpProtocol) -> None:
        self._connection = connection
        self._open = True

    def __call__(self, octets: bytes) -> None:
        """Send the last message, or the only one."""
        if self._open:
            self._open = False
            self._connection.send(octets)
            self._connection.answered()

    def more(self, octets: bytes) -> None:
        """Send a message that others follow; what waits for its client is no idle connection."""
        if self._open:
            self._connection.send(octets)

    async def room(self) -> bool:
        """Wait until the client has read most of what it was sent; False: the connection is gone."""
        return await self._connection.room()

    def abort(self) -> None:
        """Close the connection: what was begun cannot be finished."""
        self._connection.abort()
