"""Get one signed request to a server and its answer back: UDP first, the same octets again, TCP in between.

Law: a retransmission is the same octets, so that a server which has done the work finds its answer
instead of doing it twice; an answer that comes late, to an earlier try, is an answer. `ddns.gateway.retry` says when.

Where the registry asks for it the way is TLS (RFC 7858), in RFC 8310's opportunistic profile: what goes over it is
public, who sent it is proved by the messages' own signatures, and so is who answered.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from ddns.dns import localhost
from ddns.dns.codes import MAX_MESSAGE, UDP_MAX_PAYLOAD, Ede, Rcode
from ddns.gateway import retry
from ddns.gateway.reply import Reply, Unproved

Read = Callable[[bytes], Reply | Unproved | None]
Signed = Callable[[], tuple[bytes, Read]]

WAIT = 15.0  # seconds that an exchange takes at most, if the caller does not say otherwise
DOUBT = 0.5  # seconds that a true answer may take after one that anybody could have sent


class Unreachable(msgspec.Struct, frozen=True):
    """No answer came in time: why, as far as this side can tell."""

    reason: str


def exchange(
    host: str,
    port: int,
    signed: Signed,
    wait: float = WAIT,
    *,
    tls: bool = False,
    heard: bool = False,
    by_tcp: bool = False,
) -> Reply | Unproved | Unreachable:
    """Send a request to *host* and *port* until an answer is accepted or *wait* seconds have gone.

    *signed* gives the request's octets and what reads their answer; it is called again when the signature grows old.
    With *tls* every try is a TLS connection, with *by_tcp* one without TLS. *heard*: the last answer from there came by
    UDP (`retry.by_stream`).

    A server that says "later" (SERVFAIL, or rationed) is asked again; its last word is the answer. After an answer
    that is not proved the true one is waited for; where none comes, the first is told about.
    """
    end = time.monotonic() + wait
    try:
        places = socket.getaddrinfo(localhost.asked_for(host), port, type=socket.SOCK_DGRAM)
    except OSError as error:
        return Unreachable(f"the name {host} was not found ({error.strerror or error})")
    last: Reply | Unproved | Unreachable = Unreachable("it did not answer")
    message, read = signed()
    fresh_until = time.monotonic() + retry.SIGN_ANEW
    stream = tls or by_tcp or len(message) > UDP_MAX_PAYLOAD
    with _Datagrams() as datagrams:
        for turn, pause in enumerate(retry.waits(random.random)):
            if time.monotonic() >= end:
                break
            if time.monotonic() >= fresh_until:
                message, read = signed()
                fresh_until = time.monotonic() + retry.SIGN_ANEW
            family, _, _, _, address = places[turn % len(places)]
            until = min(end, time.monotonic() + pause)
            by_stream = stream or retry.by_stream(turn, heard=heard)
            asked = False
            while time.monotonic() < until:
                try:
                    if asked:
                        found = datagrams.listen(read, until)  # the rest of the pause
                    elif by_stream:
                        found = (_by_tls if tls else _by_tcp)(family, address, message, read, until)
                    else:
                        datagrams.send(family, address, message)
                        found = datagrams.listen(read, until)
                except OSError as error:
                    found = None
                    if isinstance(last, Unreachable):
                        last = Unreachable((error.strerror or "no answer").lower())
                datagram = asked or not by_stream
                asked = True
                if isinstance(found, Reply):
                    found = msgspec.structs.replace(found, by_datagram=datagram)
                    if found.truncated and datagram:
                        if not stream:
                            stream = by_stream = True
                            asked = False
                        continue
                    if not is_temporary(found):
                        return found
                if found is not None and not (isinstance(found, Unproved) and isinstance(last, Reply)):
                    last = found
    return last


def is_temporary(reply: Reply) -> bool:
    """Tell whether the server may do later what it did not do now."""
    if reply.rcode == Rcode.SERVFAIL:
        return True
    return reply.rcode == Rcode.REFUSED and any(code == Ede.BLOCKED for code, _ in reply.errors)


class _Datagrams:
    """One socket for each address that was asked, all of them open until the exchange ends."""

    def __init__(self) -> None:
        self._socks: dict[tuple[object, ...], socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in self._socks.values():
            sock.close()

    def send(self, family: int, address: tuple[object, ...], message: bytes) -> None:
        """Send one datagram. Raises `OSError`."""
        if address not in self._socks:
            self._socks[address] = sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect(address)  # answers from anywhere else are not even seen
        sock = self._socks[address]
        try:
            sock.send(message)
        except ConnectionRefusedError:  # which tells of an earlier datagram
            sock.send(message)

    def listen(self, read: Read, until: float) -> Reply | Unproved | None:
        """Return the first answer that is good for something; a complaint that anybody could have sent, in the end.

        Raises `OSError` where a server's machine says that nobody listens.
        """
        complaint: Reply | Unproved | None = None
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select(list(self._socks.values()), [], [], left)
            for sock in ready:
                try:
                    reply = read(sock.recv(MAX_MESSAGE))
                except BlockingIOError:  # its checksum was wrong
                    continue
                if reply is None:
                    continue
                if isinstance(reply, Unproved):
                    complaint = complaint or reply
                    continue
                if reply.truncated or not reply.doubtful:
                    return reply
                complaint = reply
                until = min(until, time.monotonic() + DOUBT)  # a true answer would be here soon
        return complaint


def _by_tcp(
    family: int, address: tuple[object, ...], message: bytes, read: Read, end: float
) -> Reply | Unproved | None:
    """Send the message over a connection of its own (RFC 7766 §8: length and message together)."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(_left(end))
        sock.connect(address)
        return _over(sock, message, read, end)


def _by_tls(
    family: int, address: tuple[object, ...], message: bytes, read: Read, end: float
) -> Reply | Unproved | None:
    """Send the message over TLS (RFC 7858 §3)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate proves nothing that the signatures of question and answer do not (RFC 8310 §5).
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["dot"])
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(_left(end))
        sock.connect(address)
        with context.wrap_socket(sock) as inside:
            return _over(inside, message, read, end)


def _over(sock: socket.socket, message: bytes, read: Read, end: float) -> Reply | Unproved | None:
    """Send the message on a connection that is open, and read until its answer has come or the time is up."""
    sock.sendall(struct.pack("!H", len(message)) + message)
    with contextlib.suppress(TimeoutError):
        while True:
            size = int.from_bytes(_exactly(sock, 2, end), "big")
            reply = read(_exactly(sock, size, end))
            if reply is not None:
                return reply
    return None


def _exactly(sock: socket.socket, size: int, end: float) -> bytes:
    out = b""
    while len(out) < size:
        sock.settimeout(_left(end))
        piece = sock.recv(size - len(out))
        if not piece:
            raise ConnectionResetError(0, "the server closed the connection")
        out += piece
    return out


def _left(end: float) -> float:
    """Return the seconds until *end*. Raises `TimeoutError` where there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
