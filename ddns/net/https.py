"""DNS over HTTPS (RFC 8484) by `twisted.web`: HTTP/2 and HTTP/1.1 inside TLS 1.3, one path, bounded bodies.

An update goes by POST; a GET, which caches and browsers may repeat, carries questions only. The answer to a
question may be cached for as long as its shortest TTL; no other answer may be.
"""

# mypy: disallow-untyped-calls=False
# `twisted.web` has few annotations.

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable
from io import BytesIO
from math import inf
from typing import Any, cast

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web import http
from zope.interface import directlyProvides, implementer, providedBy

from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import HEADER_SIZE, MAX_MESSAGE, Opcode, Rcode, Type
from ddns.dns.wire import BadMessage
from ddns.net.connections import Connections, Seat
from ddns.net.reply import Reply
from ddns.net.tcp import PAUSE

PROTOCOLS = (b"h2", b"http/1.1")
PATH = b"/dns-query"
MEDIA_TYPE = b"application/dns-message"
METHODS = b"GET, HEAD, POST"
BASE64URL = re.compile(rb"[A-Za-z0-9_-]+")

Serve = Callable[[bytes, Asker, Reply], None]


class DohRequest(http.Request):
    """One request and its answer."""

    content: BytesIO
    _parsePOSTFormSubmission = False  # noqa: N815 - Twisted's name: a body is a message, never a form

    def __init__(self, serve: Serve, connection: WebConnection, *how: Any, **also: Any) -> None:
        super().__init__(*how, **also)
        self._handle = serve
        self._connection = connection
        self._size = 0
        self._waits = False
        self._gone = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802, ARG002 - Twisted's name
        """Take the body into memory, as far as one message goes; what a client says of its length means nothing."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep what comes, up to one octet more than a message may have."""
        kept = data[: max(0, MAX_MESSAGE + 1 - self._size)]
        self._size += len(kept)
        self._connection.keeps(len(kept))
        self.content.write(kept)

    def process(self) -> None:
        """Answer: the request is whole."""
        self._connection.touch()
        body = self.content.getvalue()
        self._drop_body()
        if self.path != PATH:
            self._refuse(404, "DNS over HTTPS is at /dns-query.")
        elif self.method == b"POST":
            self._post(body)
        elif self.method in (b"GET", b"HEAD"):
            self._get()
        else:
            self.setHeader(b"allow", METHODS)
            self._refuse(405, "Send GET with ?dns=, or POST.")

    def _post(self, body: bytes) -> None:
        kind = (self.getHeader(b"content-type") or b"").split(b";")[0].strip().lower()
        if kind != MEDIA_TYPE:
            self._refuse(415, "The body must be application/dns-message.")
        elif len(body) > MAX_MESSAGE:
            self._refuse(413, "A DNS message has at most 65535 octets.")
        else:
            self._serve(body)

    def _get(self) -> None:
        values = cast("dict[bytes, list[bytes]]", self.args).get(b"dns", [])
        # Only the alphabet of RFC 4648 §5, without padding (RFC 8484 §6).
        if len(values) != 1 or not BASE64URL.fullmatch(values[0]):
            self._refuse(400, "Give one parameter dns, the message in base64url without padding.")
            return
        try:
            wire = base64.b64decode(values[0] + b"=" * (-len(values[0]) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            self._refuse(400, "The parameter dns is not base64url.")
            return
        if len(wire) > HEADER_SIZE and wire[2] >> 3 & 15 != Opcode.QUERY:
            self.setHeader(b"allow", b"POST")
            self._refuse(405, "GET carries questions only; send this by POST.")
        else:
            self._serve(wire)

    def _serve(self, wire: bytes) -> None:
        connection = self._connection
        if len(wire) < HEADER_SIZE or wire[2] & 0x80:
            self._refuse(400, "This is no DNS request.")
        elif connection.in_flight >= connection.limits.in_flight:
            self._refuse(503, "Too many requests of this connection wait for their answers.")
        else:
            self._waits = True
            connection.in_flight += 1
            self._handle(wire, Asker(Transport.HTTPS, connection.source), self._answer)

    def _answer(self, octets: bytes) -> None:
        """Send the answer; a second one is not heard."""
        if not self._waits:
            return
        self._done()
        if self._gone:
            return
        if not octets:
            self._refuse(400, "This gets no answer.")
            return
        age = freshness(octets)
        self.setHeader(b"content-type", MEDIA_TYPE)
        self.setHeader(b"cache-control", b"no-store" if age is None else b"max-age=%d" % age)
        self._send(octets)

    def _refuse(self, status: int, sentence: str) -> None:
        self.setResponseCode(status)
        self.setHeader(b"content-type", b"text/plain; charset=utf-8")
        self.setHeader(b"cache-control", b"no-store")
        self._send(sentence.encode() + b"\n")

    def _send(self, body: bytes) -> None:
        self.setHeader(b"date", http.datetimeToString())
        self.setHeader(b"content-length", b"%d" % len(body))
        self._connection.sends(self.channel, len(body))
        self.write(body)
        self.finish()

    def _done(self) -> None:
        if self._waits:
            self._waits = False
            self._connection.in_flight -= 1

    def _drop_body(self) -> None:
        self._connection.keeps(-self._size)
        self._size = 0

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Forget a request that its client has given up."""
        self._gone = True
        self._drop_body()
        super().connectionLost(reason)


@implementer(IHandshakeListener)
class WebConnection(ProtocolWrapper):
    """One connection's seat, around the HTTP that `twisted.web` speaks on it."""

    def __init__(self, factory: WebFactory, wrapped: Any, source: str) -> None:
        super().__init__(cast("Any", factory), wrapped)
        self._owner = factory
        self.source = source
        self.limits = factory.connections.limits
        self.in_flight = 0
        self.seat: Seat | None = None
        self._bodies = 0
        self._unsent: dict[Any, int] = {}
        self._counted = 0

    @property
    def _http(self) -> Any:
        return self.wrappedProtocol

    @property
    def _wire(self) -> Any:
        return self.transport

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
        """Expect the end of the handshake and the first request within the handshake's time and the idle time."""
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        if self.seat is not None:
            self.seat.begin(self.limits.handshake)
        self._http.makeConnection(self)

    def handshakeCompleted(self) -> None:  # noqa: N802 - Twisted's name
        """Go on: TLS is set up."""
        if self.seat is not None:
            self.seat.done()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Hand what has come to HTTP."""
        if self.seat is not None:
            self._http.dataReceived(data)
            self._count()

    def write(self, data: bytes) -> None:
        """Send, and see what is still unsent."""
        self._wire.write(data)
        if self._unsent:
            self._count()

    def now(self) -> float:
        """Return the seconds of the reactor's clock."""
        return self._owner.connections.now()

    def touch(self) -> None:
        """Note a whole request."""
        if self.seat is not None:
            self.seat.touch()

    def keeps(self, octets: int) -> None:
        """Count the octets of bodies that are not whole."""
        self._bodies += octets
        self._count()

    def sends(self, channel: Any, octets: int) -> None:
        """Count an answer; over HTTP/2 it waits in its stream until the client makes room for it."""
        if hasattr(channel, "streamID"):
            self._unsent[channel] = octets

    def _count(self) -> None:
        seat = self.seat
        if seat is None:
            return
        if self._unsent:
            alive = getattr(self._http._channel, "streams", {})  # noqa: SLF001 - HTTP/2's open streams
            self._unsent = {one: size for one, size in self._unsent.items() if alive.get(one.streamID) is one}
        unsent = sum(self._unsent.values())
        if unsent < self._counted or (unsent > PAUSE) != (seat.stalled != inf):
            seat.unread(unsent > PAUSE)
        self._counted = unsent
        seat.hold(unsent + self._bodies)

    def close(self) -> None:
        """Close when what was sent has gone out."""
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

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - Twisted's name
        """Forget the connection."""
        self._forget()
        self._http.connectionLost(reason)


class WebFactory(http.HTTPFactory):
    """Make the HTTP side of each connection; `ddns.net.handshakes.TlsFactory` goes around it.

    *made* makes a request: it is given its connection, and then what Twisted gives.
    """

    noisy = False

    def __init__(self, made: Callable[..., http.Request], connections: Connections, reactor: Any) -> None:
        # The seat has all time-outs; `twisted.web` would log each of its own, and strangers must not fill the log.
        super().__init__(timeout=cast("Any", None), reactor=reactor)
        self._made = made
        self.connections = connections

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's name
        """Return a protocol for *addr*, or None, which closes the connection: there is no seat for it."""
        channel: Any = super().buildProtocol(addr)
        made = WebConnection(self, channel, addr.host)
        made.seat = self.connections.admit(addr.host, made)
        channel.requestFactory = functools.partial(self._made, made)
        return None if made.seat is None else made

    def startFactory(self) -> None:  # noqa: N802 - Twisted's name
        """Keep no log of requests; those who ask are nobody's business."""

    def stopFactory(self) -> None:  # noqa: N802 - Twisted's name
        """Have nothing to end."""

    def log(self, request: http.Request) -> None:
        """Log nothing."""


class DohFactory(WebFactory):
    """Make connections that carry DNS."""

    def __init__(self, serve: Serve, connections: Connections, reactor: Any) -> None:
        super().__init__(functools.partial(DohRequest, serve), connections, reactor)


def freshness(octets: bytes) -> int | None:
    """Return for how many seconds the answer may be kept (RFC 8484 §5.1), or None: not at all.

    That is the least TTL of the answer section, and where that is empty, the SOA's as RFC 2308 §5 has it.
    """
    try:
        head = wires.header(octets)
        if head.opcode != Opcode.QUERY or head.flags & 15 not in (Rcode.NOERROR, Rcode.NXDOMAIN) or head.qdcount != 1:
            return None
        end = wires.question(octets).end
        records = list(wires.walk(octets, end, head.ancount + head.nscount + head.arcount))
    except BadMessage:
        return None
    if any(one.type == Type.TSIG or (one.type == Type.OPT and one.ttl >> 24) for one in records):
        return None  # signed for one asker, or an error that the header does not tell
    kept = [one.ttl for one in records[: head.ancount]]
    if not kept:
        kept = [
            min(one.ttl, int.from_bytes(octets[one.end - 4 : one.end], "big"))
            for one in records[: head.nscount]
            if one.type == Type.SOA
        ]
    return min(kept, default=None)
