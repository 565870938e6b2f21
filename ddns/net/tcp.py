"""DNS over TCP (RFC 7766): two octets of length before each message, many messages a connection.

Answers go out as they are ready, in any order; those that are ready at once go out together. It reads no further
while too many messages are in flight or the client does not read what it has been sent; `ddns.net.connections`
holds all other bounds. Sockets are read and written directly, without Twisted's stream, which costs more than
everything else together.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable

from twisted.logger import Logger

from ddns.answer.framing import LENGTH
from ddns.dns.codes import HEADER_SIZE
from ddns.net.connections import Connections, Seat
from ddns.net.exchange import READ, Framer, exchange_of
from ddns.net.reply import Reply
from ddns.net.streams import ENDED, LISTENING, READING, WRITING, Streams

# Gets a message that is not known at once, the address it came from, and a `StreamReply`.
Serve = Callable[[bytes, str, Reply], None]

SMALL = 512  # octets of an unfinished message that are not counted: any ordinary question
PAUSE = 64 * 1024  # octets of answers that are gathered before they are sent
UNSENT = 1024 * 1024  # octets of answers that one connection may leave unread; transfers wait long before that
ACCEPTED = 64  # connections that are accepted before others have their turn
RECOVER = 1.0  # seconds for which none is accepted when the system has nothing left for one

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER that makes a close a reset: the kernel keeps nothing either

log = Logger(namespace="ddns.tcp")


class TcpConnection:
    """One connection: frames, bounds, and answers in the order in which they are ready (RFC 7766 §6.2.1.1)."""

    __slots__ = (
        "_closing",
        "_descriptor",
        "_ended",
        "_gathered",
        "_listener",
        "_paused",
        "_rest",
        "_sock",
        "_unsent",
        "_waiting",
        "host",
        "in_flight",
        "seat",
    )

    def __init__(self, listener: TcpListener, sock: socket.socket, host: str) -> None:
        self._listener = listener
        self._sock = sock
        self._descriptor = sock.fileno()
        self.host = host
        self.in_flight = 0
        self.seat: Seat | None = None  # None: the connection is gone
        self._rest: bytearray | None = None  # what has come and is not served: less than a message, or it waits
        self._gathered: bytearray | None = None  # what goes out when all that has come is served
        self._unsent: bytearray | None = None  # what the client has not made room for
        self._paused = False
        self._ended = False
        self._closing = False
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def begin(self) -> None:
        """Set the connection up; its seat was taken when it came."""

    # -- what comes

    def ready(self, event: int) -> None:
        """Read what has come, or send what waits."""
        if self._unsent is not None:
            self._flush()
            return
        while self.seat is not None and not (self._paused or self._ended or self._closing):
            count = self._read()
            if count == READ:
                self._ready_again(READING)
                return
            if not count or not event & ENDED:
                return

    def _read(self) -> int:
        """Read once and serve; return how many octets have come."""
        try:
            return self._exchange() if self._rest is None else self._read_on()
        except BlockingIOError:
            return 0
        except OSError:
            self._forget()
            return 0

    def _exchange(self) -> int:
        """Read, where nothing is left over from before; what is known is answered on the way."""
        came = self._listener.exchange(self._descriptor)
        if not isinstance(came, int):
            octets, at, unsent = came
            if unsent:
                self._keep(unsent)
            self._serve(octets, at)
            return len(octets)
        if not came:
            self._end()
        elif self.seat is not None:
            self.seat.touch(self._listener.streams.now)
        return came

    def _read_on(self) -> int:
        """Read what may belong to the beginning of a message that has come before."""
        octets = os.read(self._descriptor, READ)
        if octets:
            self._come(octets)
        else:
            self._end()
        return len(octets)

    def _take(self, octets: bytes) -> None:
        """Take messages as they come in; how they are cut means nothing."""
        if not octets:
            return
        rest = self._rest
        if rest is not None:
            rest += octets
            if _is_part(rest):
                self._settle()
                return
            octets = bytes(rest)
        answers, at = self._listener.frames(octets, 0)
        if rest is not None or at != len(octets):
            self._serve(octets, at, answers)
        elif self.seat is not None:  # all that has come is whole, and known
            self.seat.touch()
            self._say(answers)

    _come = _take  # there is nothing around the messages

    def _serve(self, octets: bytes, at: int, answers: bytes = b"") -> None:
        """Serve the messages in *octets* from *at* on, as far as the bounds allow; *answers* are those before it."""
        listener = self._listener
        gathered = self._gathered = bytearray(answers)
        while self.seat is not None and not self._full():
            begin = at + LENGTH
            end = begin + int.from_bytes(octets[at:begin], "big")
            if len(octets) < begin or len(octets) < end >= begin + HEADER_SIZE:
                break
            if end < begin + HEADER_SIZE:
                self.abort()
                break
            self.in_flight += 1
            listener.serve(octets[begin:end], self.host, TcpReply(self))
            answers, at = listener.frames(octets, end)
            self.send(answers)
        self._gathered = None
        seat = self.seat
        if seat is None:
            return
        self._rest = bytearray(octets[at:]) if at < len(octets) else None
        if at:
            seat.touch()
            seat.done()
        if gathered:
            self._say(gathered)
        self._settle()

    def _settle(self) -> None:
        """Read on or not, expect the rest of a message or not, and say what is kept, as things are now."""
        seat = self.seat
        if seat is None:
            return
        self._paused = self._full()
        if self._paused or not self._unfinished():
            seat.done()  # what waits here waits for us, or for the client to read
        else:
            seat.begin(self._listener.connections.limits.message)
        self._count()

    def _go_on(self) -> None:
        """Serve what waits, and read on, where nothing is in the way any more."""
        if not self._paused or self._full() or self._closing or self._gathered is not None:
            return
        self._paused = False
        rest, self._rest = self._rest, None
        if rest is not None:
            octets = bytes(rest)
            answers, at = self._listener.frames(octets, 0)
            self._serve(octets, at, answers)
        if not self._paused:
            self._ready_again(READING)

    def _full(self) -> bool:
        return self._unsent is not None or self.in_flight >= self._listener.connections.limits.in_flight

    def _unfinished(self) -> int:
        """Return how many octets have come that are not served."""
        return 0 if self._rest is None else len(self._rest)

    def _count(self) -> None:
        """Say what is kept for this connection."""
        if self.seat is not None:
            unfinished = self._unfinished()
            unsent = 0 if self._unsent is None else len(self._unsent)
            self.seat.hold(unsent + (unfinished if unfinished > SMALL else 0))

    def _ready_again(self, events: int) -> None:
        """Have this connection be ready for *events*, also for those that are there already."""
        if self.seat is not None:
            self._listener.streams.again(self._descriptor, events)

    def _end(self) -> None:
        """Hear that the client will ask no more; what it has asked it still wants to know (RFC 9293 §3.6)."""
        self._ended = True
        if not self.in_flight:
            self.close()

    # -- what goes

    def send(self, octets: bytes) -> None:
        """Send whole messages, each with its length (RFC 7766 §8), now or with what is being gathered."""
        if self.seat is None or not octets:
            return
        gathered = self._gathered
        if gathered is None:
            self._say(octets)
            return
        gathered += octets
        if len(gathered) > PAUSE:
            self._say(gathered)
            gathered.clear()

    def answered(self) -> None:
        """Note that one message has its whole answer."""
        self.in_flight -= 1
        self._go_on()
        if self._ended and not self.in_flight:
            self.close()

    async def room(self) -> bool:
        """Wait until the client has read what it was sent; False: the connection is gone."""
        while self.seat is not None and self._unsent is not None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting = (*self._waiting, waiter)
            await waiter
        return self.seat is not None

    def _write(self, octets: bytes | bytearray) -> None:
        """Hand *octets* to the socket; what it does not take waits."""
        unsent = self._unsent
        if unsent is not None:
            unsent += octets
            if len(unsent) > UNSENT:
                self.abort()
            self._count()
            return
        try:
            sent = os.write(self._descriptor, octets)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._forget()
            return
        if sent < len(octets):
            self._keep(octets[sent:])

    def _keep(self, octets: bytes | bytearray) -> None:
        """Keep what the socket does not take until the client has made room."""
        if self.seat is not None:
            self._unsent = bytearray(octets)
            self.seat.unread(True)
            self._ready_again(WRITING)
            self._settle()

    _say = _write

    def _flush(self) -> None:
        """Send what waits for the client; what was held up by it goes on when all of it has gone."""
        unsent, seat = self._unsent, self.seat
        if unsent is None or seat is None:
            return
        try:
            sent = os.write(self._descriptor, unsent)
        except BlockingIOError:
            return
        except OSError:
            self._forget()
            return
        del unsent[:sent]
        self._count()
        if unsent:
            return
        self._unsent = None
        seat.unread(False)
        self._wake()
        if self._closing:
            self._forget()
        else:
            self._go_on()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, ()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    # -- the end

    def close(self) -> None:
        """Close when what was sent has gone out."""
        if self._closing or self.seat is None:
            return
        self._closing = True
        if self._unsent is None:
            self._forget()

    def abort(self) -> None:
        """Close at once, whatever is still unsent."""
        if self.seat is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._forget()

    failed = abort

    def _forget(self) -> None:
        seat, self.seat = self.seat, None
        if seat is None:
            return
        seat.leave()
        self._listener.streams.forget(self._descriptor)
        self._sock.close()
        self._rest = self._unsent = None
        self._wake()


def _is_part(octets: bytearray) -> bool:
    """Tell whether *octets* begin with less than a whole message, of which more may come."""
    end = LENGTH + int.from_bytes(octets[:LENGTH], "big")
    return len(octets) < LENGTH or len(octets) < end >= LENGTH + HEADER_SIZE


class TcpListener:
    """Accept connections on *sock*, which is bound and does not block.

    *framer* answers what is known at once, *serve* gets each other message.
    """

    connection: type[TcpConnection] = TcpConnection

    def __init__(
        self, sock: socket.socket, framer: Framer, serve: Serve, connections: Connections, streams: Streams
    ) -> None:
        self._sock = sock
        self.frames = framer.frames
        self.exchange = exchange_of(framer)
        self.serve = serve
        self.connections = connections
        self.streams = streams
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
        streams.watch(sock.fileno(), self, LISTENING)

    def ready(self, _event: int) -> None:
        """Accept those that have come."""
        for _ in range(ACCEPTED):
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(error)
                    return
                continue  # gone again before it was accepted, or a filter says no
            self._admit(sock, address[0])

    def _admit(self, sock: socket.socket, host: str) -> None:
        """Give the connection its seat; where there is none, it is closed."""
        sock.setblocking(False)
        made = self.connection(self, sock, host)
        made.seat = self.connections.admit(host, made)
        if made.seat is None:
            sock.close()
            return
        self.streams.watch(sock.fileno(), made)
        made.begin()

    def _rest(self, error: OSError) -> None:
        """Accept no more for a while: the system has no descriptor or no memory for another connection."""
        log.warn("tcp.exhausted reason={reason}", reason=error.strerror)
        self.streams.again(self._sock.fileno(), 0)
        self.connections.later(RECOVER, self._recover)

    def _recover(self) -> None:
        if self._sock.fileno() >= 0:
            self.streams.again(self._sock.fileno(), LISTENING)

    def close(self) -> None:
        """Accept no more; the connections that are open stay."""
        if self._sock.fileno() >= 0:
            self.streams.forget(self._sock.fileno())
            self._sock.close()

    abort = close

    def failed(self) -> None:
        """Go on: one connection that could not be set up is no reason to take no other."""


class TcpReply:
    """The answer to one message of a connection: a `StreamReply`."""

    __slots__ = ("_connection", "_open")

    def __init__(self, connection: TcpConnection) -> None:
        self._connection = connection
        self._open = True

    def __call__(self, octets: bytes) -> None:
        """Send the last message, or the only one; none at all (b"") is silence."""
        if self._open:
            self._open = False
            self._send(octets)
            self._connection.answered()

    def more(self, octets: bytes) -> None:
        """Send a message that others follow; what waits for its client is no idle connection."""
        if self._open:
            self._send(octets)

    def _send(self, octets: bytes) -> None:
        if octets:
            self._connection.send(len(octets).to_bytes(LENGTH, "big") + octets)

    async def room(self) -> bool:
        """Wait until the client has read what it was sent; False: the connection is gone."""
        return await self._connection.room()

    def abort(self) -> None:
        """Close the connection: what was begun cannot be finished."""
        self._connection.abort()
