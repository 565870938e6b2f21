"""HTTP/1.1 by `twisted.web`, for the API: bodies bounded by their routes, one answer a request, no log of strangers.

HTTP/2 is not spoken: a client that shows a certificate on one connection must not have it taken for another's
(RFC 9113 §9.1.1), and nobody here asks a hundred things at a time.
"""

# mypy: disallow-untyped-calls=False
# `twisted.web` has few annotations.

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from ddns.aio import on_loop
from ddns.net.connections import Connections
from ddns.net.https import WebConnection, WebFactory
from ddns.proof import cms
from ddns.web import problem, refusing
from ddns.web.heard import Heard, Response
from ddns.web.routes import BODY, Listener

log = Logger(namespace="ddns.web")

PROTOCOLS = (b"http/1.1",)
MOST_HEADERS = 64
STEP = BODY  # octets of a long body that are as good as a request: within `[tcp] idle` seconds the next ones must come
UPLOAD = 600.0  # seconds after which that is over, and the rest has to come within `[tcp] idle`
TOO_MUCH = 1024 * 1024  # octets over what a body may have, after which the client is cut off

Serve = Callable[[Heard], Awaitable[Response]]
Most = Callable[[Listener, str, str], int]
Clock = Callable[[], float]  # seconds since 1970, which `Date` tells: whose clock is wrong corrects it by that

# What every answer says: nothing here is for caches, frames or guesses of types.
ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Channel(http.HTTPChannel):
    """HTTP on one connection; what Twisted refuses by itself is a problem document too."""

    maxHeaders = MOST_HEADERS  # noqa: N815 - Twisted's name

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802, ARG002 - Twisted's name
        """Refuse a line that is longer than all headers may be."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's name
        said = problem.response(refusing.request_malformed())
        transport: Any = self.transport
        transport.write(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (said.media.encode(), len(said.body), said.body)
        )
        self.loseConnection()


class ApiRequest(http.Request):
    """One request and its answer."""

    content: BytesIO
    _parsePOSTFormSubmission = False  # noqa: N815 - Twisted's name: a body is never a form

    def __init__(
        self, serve: Serve, most: Most, listener: Listener, clock: Clock, connection: WebConnection, *how: Any,
        **also: Any,
    ) -> None:  # fmt: skip
        super().__init__(*how, **also)
        self._serve = serve
        self._clock = clock
        self._most_of = most
        self._listener = listener
        self._connection = connection
        self._size = 0
        self._kept = 0
        self._most = 0
        self._began = 0.0
        self._waits = False
        self._gone = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802, ARG002 - Twisted's name
        """Take the body into memory, as far as its route allows; what a client says of its length means nothing."""
        self.content = BytesIO()
        self._began = self._connection.now()
        channel: Any = self.channel
        path = channel._path.split(b"?", 1)[0]  # noqa: SLF001 - it has no public name before the body has come
        self._most = self._most_of(self._listener, _text(channel._command), _text(path))  # noqa: SLF001

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep what comes, up to what the route takes; cut off who does not end.

        Who sends a long body over a slow line may take longer than one may be idle, as long as it comes steadily.
        """
        kept = data[: max(0, self._most - self._kept)]
        steps = self._kept // STEP
        self._size += len(data)
        self._kept += len(kept)
        if self._kept // STEP > steps and self._connection.now() - self._began < UPLOAD:
            self._connection.touch()
        self._connection.keeps(len(kept))
        self.content.write(kept)
        if self._size > self._most + TOO_MUCH:
            self._connection.abort()

    def process(self) -> None:
        """Answer: the request is whole."""
        self._connection.touch()
        heard = self._heard()
        self._drop_body()
        self._waits = True
        self._connection.in_flight += 1
        done: Deferred[Response] = on_loop(self._answered(heard))
        done.addCallbacks(self._send, self._failed)

    async def _answered(self, heard: Heard) -> Response:
        return await self._serve(heard)

    def _heard(self) -> Heard:
        method, uri = _text(self.method), self.uri.split(b"?", 1)
        headers = {
            _text(name).lower(): ", ".join(_text(value) for value in values)
            for name, values in self.requestHeaders.getAllRawHeaders()
        }
        certificate, server_name = _tls(self._connection)
        return Heard(
            self._listener, method, _text(uri[0]), _text(uri[1]) if len(uri) > 1 else "", headers,
            self.content.getvalue(), self._size > self._most, self._connection.source, certificate, server_name,
        )  # fmt: skip

    def _failed(self, failure: Failure) -> None:
        log.failure("request.failed", failure)
        self._send(problem.response(refusing.our_fault()))

    def _send(self, response: Response) -> None:
        if self._waits:
            self._waits = False
            self._connection.in_flight -= 1
        if self._gone:
            return
        self.setResponseCode(response.status)
        for name, value in (*ALWAYS, (b"date", http.datetimeToString(self._clock()))):
            self.setHeader(name, value)
        if response.status != 204:
            self.setHeader(b"content-type", response.media.encode())
            self.setHeader(b"content-length", b"%d" % len(response.body))
        for said, words in response.headers:
            self.setHeader(said.encode(), words.encode())
        self.write(response.body)
        self.finish()

    def _drop_body(self) -> None:
        self._connection.keeps(-self._kept)
        self._kept = 0
        self.content = BytesIO()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Forget a client that has gone; what it asked for goes on, and is remembered for when it asks again."""
        self._gone = True
        self._drop_body()
        if self._waits:
            self._waits = False
            self._connection.in_flight -= 1
        super().connectionLost(reason)


class ApiFactory(WebFactory):
    """Make connections that carry the API."""

    protocol = Channel  # type: ignore[assignment]

    def __init__(
        self, serve: Serve, most: Most, listener: Listener, connections: Connections, reactor: Any, clock: Clock
    ) -> None:
        super().__init__(functools.partial(ApiRequest, serve, most, listener, clock), connections, reactor)


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")


def _tls(connection: WebConnection) -> tuple[x509.Certificate | None, str]:
    """Return the certificate that the client has shown, if it can be read, and the server name that it asked for."""
    handle: Any = connection.transport.getHandle()  # type: ignore[union-attr]
    certificate: x509.Certificate | None = None
    with suppress(*cms.UNREADABLE):
        certificate = handle.get_peer_certificate(as_cryptography=True)
    return certificate, _text(handle.get_servername() or b"").lower().rstrip(".")
