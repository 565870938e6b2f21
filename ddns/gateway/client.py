"""Get one signed request to a server and its answer back: UDP first, the same octets again, TCP in between.

Law: a retransmission is the same octets, so that a server which has done the work finds its answer
instead of doing it twice. Waiting doubles from try to try, with jitter, so that many homes that lost
one registry do not come back in step.

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

import msgspec

from ddns.dns.codes import MAX_MESSAGE, UDP_MAX_PAYLOAD, Ede, Rcode
from ddns.gateway.reply import Reply, Unproved

Read = Callable[[bytes], Reply | Unproved | None]

FIRST_WAIT = 1.0  # seconds for the first try
LONGEST_WAIT = 8.0  # seconds for one try
JITTER = 0.25  # a wait is lengthened by up to this part of itself
WAIT = 15.0  # seconds that an exchange takes at most, if the caller does not say otherwise


class Unreachable(msgspec.Struct, frozen=True):
    """No answer came in time: why, as far as this side can tell."""

    reason: str


def exchange(
    host: str, port: int, message: bytes, read: Read, wait: float = WAIT, *, tls: bool = False
) -> Reply | Unproved | Unreachable:
    """Send *message* to *host* and *port* until `read` accepts an answer or *wait* seconds have gone.

    With *tls* every try is a TLS connection.

    A server that says "later" (SERVFAIL, or rationed) is asked again; its last word is the answer. After an answer
    that is not proved the true one is waited for; where none comes, the first is told about.
    """
    end = time.monotonic() + wait
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        return Unreachable(f"the name {host} was not found ({error.strerror or error})")
    last: Reply | Unproved | Unreachable = Unreachable("it did not answer")
    pause = FIRST_WAIT
    turn = 0
    stream = len(message) > UDP_MAX_PAYLOAD
    while (left := end - time.monotonic()) > 0:
        family, _, _, _, address = places[turn % len(places)]
        started = time.monotonic()
        patience = min(left, pause)
        try:
            # Every third try goes by TCP: some paths lose UDP, or all datagrams above some size.
            way = _by_tls if tls else _by_tcp if stream or turn % 3 == 2 else _by_udp
            found = way(family, address, message, read, patience)
        except OSError as error:
            found = None
            last = last if isinstance(last, Reply | Unproved) else Unreachable((error.strerror or "no answer").lower())
        if isinstance(found, Reply):
            if found.truncated and not (stream or tls):
                stream = True
                continue
            if not is_temporary(found):
                return found
        if found is not None and not (isinstance(found, Unproved) and isinstance(last, Reply)):
            last = found
        turn += 1
        rest = started + pause - time.monotonic()
        if rest > 0:
            time.sleep(min(rest, max(0.0, end - time.monotonic())))
        pause = min(pause * 2, LONGEST_WAIT) * (1 + JITTER * random.random())  # noqa: S311 - spreads load, keeps no secret
    return last


def is_temporary(reply: Reply) -> bool:
    """Tell whether the server may do later what it did not do now."""
    if reply.rcode == Rcode.SERVFAIL:
        return True
    return reply.rcode == Rcode.REFUSED and any(code == Ede.BLOCKED for code, _ in reply.errors)


def _by_udp(
    family: int, address: tuple[object, ...], message: bytes, read: Read, wait: float
) -> Reply | Unproved | None:
    """Send one datagram and listen for *wait* seconds; an unproved complaint is returned when the time is up."""
    end = time.monotonic() + wait
    complaint: Reply | Unproved | None = None
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)  # answers from anywhere else are not even seen
        sock.send(message)
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([sock], [], [], left)
            if not ready:
                break
            reply = read(sock.recv(MAX_MESSAGE))
            if reply is None:
                continue
            if isinstance(reply, Unproved):
                complaint = complaint or reply
                continue
            if reply.truncated or not reply.doubtful:
                return reply
            complaint = reply
            end = min(end, time.monotonic() + FIRST_WAIT / 2)  # a true answer would be here soon
    return complaint


def _by_tcp(
    family: int, address: tuple[object, ...], message: bytes, read: Read, wait: float
) -> Reply | Unproved | None:
    """Send the message over a connection of its own (RFC 7766 §8: length and message together)."""
    end = time.monotonic() + wait
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(wait)
        sock.connect(address)
        return _over(sock, message, read, end)


def _by_tls(
    family: int, address: tuple[object, ...], message: bytes, read: Read, wait: float
) -> Reply | Unproved | None:
    """Send the message over TLS (RFC 7858 §3)."""
    end = time.monotonic() + wait
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate proves nothing that the signatures of question and answer do not (RFC 8310 §5).
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["dot"])
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(wait)
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
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        piece = sock.recv(size - len(out))
        if not piece:
            raise ConnectionResetError(0, "the server closed the connection")
        out += piece
    return out
