"""DNS over TLS (RFC 7858, RFC 8310): what `ddns.net.tcp` does, inside TLS 1.3 (RFC 9103 §8.2).

TLS is the standard library's, on octets in memory: what has come is decrypted record by record, the answers to all
of it leave in one record. The certificate may change at any time: each handshake uses the one that is current then.
A client that offers other protocols than `dot` in ALPN is refused, one that offers none is served (RFC 7858 names
no ALPN; RFC 9103 §8.1).
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ddns.net import hello
from ddns.net.certificate import Certificate
from ddns.net.connections import Connections
from ddns.net.exchange import READ, Framer
from ddns.net.hello import RECORD
from ddns.net.streams import Streams
from ddns.net.tcp import Serve, TcpConnection, TcpListener

DOT = "dot"  # RFC 7858's identifier in IANA's registry of ALPN protocol ids
TYPES = range(20, 24)  # of records: change_cipher_spec, alert, handshake, application_data (RFC 8446 §5.1)
LONGEST = RECORD + 16 * 1024 + 256  # octets of one record (RFC 8446 §5.2)


def context(certificate: Certificate) -> ssl.SSLContext:
    """Return what handshakes with *certificate* need: TLS 1.3 and `dot`.

    `ssl` reads certificate and key from files only; here they are in one that exists in memory and has no name.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.set_alpn_protocols([DOT])
    octets = certificate.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    octets += b"".join(one.public_bytes(Encoding.PEM) for one in certificate.chain)
    with os.fdopen(os.memfd_create("certificate"), "wb") as file:
        file.write(octets)
        file.flush()
        made.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return made


class DotConnection(TcpConnection):
    """One connection: TLS around what `TcpConnection` does, with a bound of its own for the handshake."""

    __slots__ = ("_coming", "_going", "_greeting", "_part", "_tls", "_up")

    def __init__(self, listener: DotListener, sock: socket.socket, host: str) -> None:
        super().__init__(listener, sock, host)
        self._listener: DotListener
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = listener.context.wrap_bio(self._coming, self._going, server_side=True)
        self._greeting: bytes | None = b""  # the records of a ClientHello that is not whole; None: it was looked at
        self._part = b""  # less than a whole record
        self._up = False

    def begin(self) -> None:
        """Expect the end of the handshake."""
        if self.seat is not None:
            self.seat.begin(self._listener.connections.limits.handshake)

    def _exchange(self) -> int:
        """Read, where no message is left over from before; what is whole and known goes straight through."""
        listener = self._listener
        buffer = listener.buffer
        count = self._sock.recv_into(buffer)
        octets = buffer[:count]
        if not count:
            self._end()
        elif not self._up or self._part or _whole(octets) != count:
            self._come(bytes(octets))
        else:
            self._coming.write(octets)
            plain = self._plain()
            answers, at = listener.frames(plain, 0)
            if at == len(plain) and answers and not self._ended and self.seat is not None:
                self.seat.touch(listener.streams.now)
                self._say(answers)
            else:
                if plain:
                    self._serve(plain, at, answers)
                self._finish()
        return count

    def _come(self, octets: bytes) -> None:
        """Decrypt what has come, as far as it is whole records, and serve what was in them."""
        if self._part:
            octets = self._part + octets
        end = _whole(octets)
        self._part = octets[end:]
        records = octets[:end]
        if not self._up:
            self._shake_hands(records)
        elif records:
            self._coming.write(records)
        if self._up:
            if self._coming.pending:
                self._take(self._plain())
            self._settle()
        else:
            self._count()
        self._finish()

    def _plain(self) -> bytes:
        """Return what the whole records that have come hold."""
        coming, read = self._coming, self._tls.read
        plain = b""
        try:
            while coming.pending and not self._ended:
                more = read(coming.pending)  # no record holds more than it is long
                plain += more
                self._ended = not more  # a close_notify: the client will ask no more
        except ssl.SSLWantReadError:
            pass  # what came was for TLS itself
        except ssl.SSLError:
            self._fail()
        return plain

    def _finish(self) -> None:
        """Send what TLS itself has to say, such as tickets, and end where the client has."""
        if self._going.pending and self.seat is not None:
            self._write(self._going.read())
        if self._ended:
            self._end()

    def _shake_hands(self, records: bytes) -> None:
        if self._greeting is None:
            self._coming.write(records)
        elif not records or not self._greeted(self._greeting + records):
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            self._fail()
            return
        self._up = True
        if self.seat is not None:
            self.seat.done()

    def _greeted(self, records: bytes) -> bool:
        """Look at the client's first message; False: it is not whole, or it asks for what is not spoken here."""
        offered = hello.offered(records)
        if offered is None:
            self._greeting = records
            return False
        if offered and DOT.encode() not in offered:
            self._write(hello.NO_COMMON_PROTOCOL)
            super().close()
            return False
        self._greeting = None
        self._coming.write(records)
        return True

    def _fail(self) -> None:
        """Close: what the client sent is no TLS that we speak; it is told why, as far as TLS has a word for it."""
        if self.seat is not None and self._going.pending:
            self._write(self._going.read())
        super().close()

    def _unfinished(self) -> int:
        return super()._unfinished() + len(self._part) + len(self._greeting or b"")

    def _say(self, octets: bytes | bytearray) -> None:
        try:
            self._tls.write(octets)
        except ssl.SSLError:
            self.abort()
            return
        self._write(self._going.read())

    def close(self) -> None:
        """Close when what was sent has gone out, and say so (RFC 8446 §6.1)."""
        if self._up and not self._closing and self.seat is not None:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()  # it would like to hear the same from the client; that need not be waited for
            if self._going.pending:
                self._write(self._going.read())
        super().close()


def _whole(octets: bytes | memoryview) -> int:
    """Return how many octets are whole records; a type or a length that no record has is for OpenSSL to see."""
    at, size = 0, len(octets)
    while size - at >= RECORD:
        end = at + RECORD + (octets[at + 3] << 8 | octets[at + 4])
        if end > size:
            return at if octets[at] in TYPES and end - at <= LONGEST else size
        at = end
    return at


class DotListener(TcpListener):
    """Accept connections and shake hands with the certificate that is current."""

    connection: type[TcpConnection] = DotConnection

    def __init__(
        self,
        sock: socket.socket,
        framer: Framer,
        serve: Serve,
        connections: Connections,
        streams: Streams,
        certificate: Certificate,
    ) -> None:
        super().__init__(sock, framer, serve, connections, streams)
        self.buffer = memoryview(bytearray(READ))  # for octets that do not outlast a turn
        self.context = context(certificate)

    def use(self, certificate: Certificate) -> None:
        """Show *certificate* from the next handshake on; connections that are open keep theirs."""
        self.context = context(certificate)

    def _admit(self, sock: socket.socket, host: str) -> None:
        """Let a client in that has not begun too many handshakes."""
        if self.connections.handshake(host):
            super()._admit(sock, host)
        else:
            sock.close()
