"""What a TLS client says first: the protocols that it offers (RFC 8446 §4.1.2, RFC 7301 §3.1).

The standard library's `ssl` lets a server choose among them, but not refuse a client that offers others only, as
RFC 7301 §3.2 asks; so they are read here, before OpenSSL sees the message and judges all the rest.
"""

from __future__ import annotations

RECORD = 5  # octets before what a TLS record holds: type, version, length (RFC 8446 §5.1)
HANDSHAKE = 22
CLIENT_HELLO = 1
ALPN = 16
LARGEST = 16 * 1024  # octets of a ClientHello; one with a post-quantum key share has two thousand

# A fatal alert that no protocol is spoken by both (RFC 7301 §3.2), as a whole record.
NO_COMMON_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"


def offered(records: bytes) -> tuple[bytes, ...] | None:
    """Return the protocols that the ClientHello in the whole *records* offers; None: it is not whole yet.

    What is no ClientHello, or malformed, or too long, offers none; OpenSSL will say what is wrong with it.
    """
    message = _message(records)
    if message is None:
        return None
    try:
        return _protocols(message)
    except IndexError:
        return ()


def _message(records: bytes) -> bytes | None:
    """Return the first handshake message of *records*, without its header; empty where there is none."""
    held = b""
    at = 0
    while at + RECORD <= len(records):
        end = at + RECORD + int.from_bytes(records[at + 3 : at + RECORD], "big")
        if records[at] != HANDSHAKE or end > len(records):
            return b""
        held += records[at + RECORD : end]
        at = end
        if len(held) >= 4:
            whole = 4 + int.from_bytes(held[1:4], "big")
            if held[0] != CLIENT_HELLO or whole > LARGEST:
                return b""
            if len(held) >= whole:
                return held[4:whole]
    return None if len(records) <= LARGEST else b""


class _Reader:
    """Octets that are read in order. Raises `IndexError` where there are fewer than are asked for."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def __len__(self) -> int:
        return len(self._octets) - self._at

    def take(self, count: int) -> bytes:
        """Return the next *count* octets."""
        if count > len(self):
            raise IndexError
        self._at += count
        return self._octets[self._at - count : self._at]

    def number(self, count: int) -> int:
        """Return the next *count* octets as a number."""
        return int.from_bytes(self.take(count), "big")

    def vector(self, count: int) -> _Reader:
        """Return what stands behind a length of *count* octets."""
        return _Reader(self.take(self.number(count)))


def _protocols(message: bytes) -> tuple[bytes, ...]:
    hello = _Reader(message)
    hello.take(2 + 32)  # legacy_version, random
    hello.vector(1)  # legacy_session_id
    hello.vector(2)  # cipher_suites
    hello.vector(1)  # legacy_compression_methods
    extensions = hello.vector(2)
    while extensions:
        kind, octets = extensions.number(2), extensions.vector(2)
        if kind == ALPN:
            names, found = octets.vector(2), []
            while names:
                found.append(names.take(names.number(1)))
            return tuple(found)
    return ()
