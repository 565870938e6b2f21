"""DNS over TCP (RFC 7766): two octets of length before each message, many messages a connection.

Bounded: connections in all and per client, messages in flight per connection, idle time; a client that
does not read is not read from. A client that is over a bound loses its connection, nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from ddns.dns.codes import HEADER_SIZE
from ddns.net.reply import Reply

Serve = Callable[[bytes, Any, Reply], None]


class TcpLimits(msgspec.Struct, frozen=True):
    """Bounds for all connections of one worker; *idle* in seconds."""

    clients: int = 500
    per_client: int = 50
    in_flight: int = 100
    idle: float = 10.0


class TcpFactory(Factory):
    """Make a `TcpProtocol` for each connection; *serve* gets each message, the peer and a way to reply."""

    noisy = False

    def __init__(self, serve: Serve, limits: TcpLimits, clock: IReactorTime) -> None:
        self.serve = serve
        self.limits = limits
        self.clock = clock
        self.open: dict[TcpProtocol, None] = {}
        self.by_client: Counter[str] = Counter()

    def buildProtocol(self, addr: Any) -> Protocol | None:  # noqa: N802 - Twisted's name
        """Return a protocol for *addr*, or None, which closes the connection: this client has enough of them."""
        if self.by_client[addr.host] >= self.limits.per_client:
            return None
        if len(self.open) >= self.limits.clients:
            self._drop_idlest()
        return TcpProtocol(self, addr)

    def _drop_idlest(self) -> None:
        """Close the connection that has been idle for longest (RFC 9210 §4.4)."""
        idle = next((one for one in self.open if not one.in_flight), None) or next(iter(self.open))
        idle.abort()


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


class TcpProtocol(Int16StringReceiver, TimeoutMixin):
    """One connection. Replies go out as they are ready, in any order (RFC 7766 §6.2.1.1).

    It reads no further while `in_flight` is at its bound or the client does not read what it has been sent.
    """

    def __init__(self, factory: TcpFactory, peer: Any) -> None:
        self._owner = factory
        self._peer = peer
        self.in_flight = 0
        self._unread = False
        self._paused = False
        self._counted = False
        self._waiting: list[asyncio.Future[None]] = []

    def callLater(self, seconds: float, work: Callable[[], None]) -> Any:  # noqa: N802 - TimeoutMixin's hook
        """Arm the idle timer on the factory's clock."""
        clock: Any = self._owner.clock
        return clock.callLater(seconds, work)

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Count the connection and start its idle time."""
        self._counted = True
        self._owner.open[self] = None
        self._owner.by_client[self._peer.host] += 1
        self._wire.setTcpNoDelay(True)
        self._wire.registerProducer(_Reader(self._slow_client), True)
        self.setTimeout(self._owner.limits.idle)  # type: ignore[no-untyped-call]

    @property
    def _wire(self) -> Any:
        return self.transport

    def stringReceived(self, string: bytes) -> None:  # noqa: N802 - Twisted's name
        """Serve one message. Only a whole message counts as activity, so that dribbling octets do not."""
        self.resetTimeout()  # type: ignore[no-untyped-call]
        if len(string) < HEADER_SIZE:
            self.abort()
            return
        del self._owner.open[self]
        self._owner.open[self] = None  # the last in the order of use
        self.in_flight += 1
        self._steer()
        self._owner.serve(string, self._peer, TcpReply(self))

    def send(self, octets: bytes) -> None:
        """Send one message, length and message in one write (RFC 7766 §8)."""
        if self._counted and octets:
            self._wire.write(len(octets).to_bytes(2, "big") + octets)

    def answered(self) -> None:
        """Note that one message has its whole answer."""
        self.in_flight -= 1
        if self._counted:
            self._steer()

    async def room(self) -> bool:
        """Wait until the client has read most of what it was sent; False: the connection is gone."""
        while self._counted and self._unread:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return self._counted

    def _slow_client(self, unread: bool) -> None:
        self._unread = unread
        self._steer()
        if not unread:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _steer(self) -> None:
        """Stop or go on reading, as the bounds ask."""
        full = self._unread or self.in_flight >= self._owner.limits.in_flight
        if full != self._paused:
            self._paused = full
            if full:
                self._wire.pauseProducing()
            else:
                self._wire.resumeProducing()

    def timeoutConnection(self) -> None:  # noqa: N802 - TimeoutMixin's name
        """Close an idle connection; one that waits for an answer of ours gets more time."""
        if self.in_flight and not self._unread:
            self.setTimeout(self._owner.limits.idle)  # type: ignore[no-untyped-call]
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever is still unread."""
        self._wire.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802, ARG002 - Twisted's
        """Forget the connection."""
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        if not self._counted:
            return
        self._counted = False
        self._wake()
        del self._owner.open[self]
        self._owner.by_client[self._peer.host] -= 1
        if not self._owner.by_client[self._peer.host]:
            del self._owner.by_client[self._peer.host]


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
