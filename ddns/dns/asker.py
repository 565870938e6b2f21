"""Who sent a message, and how it came: what policy, rations and the form of the answer depend on."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Transport(IntEnum):
    """How a message came (RFC 1035 §4.2, RFC 7858, RFC 8484, RFC 9250)."""

    UDP = 0
    TCP = 1
    TLS = 2
    HTTPS = 3
    QUIC = 4

    @property
    def stream(self) -> bool:
        """Tell whether an answer of 65,535 octets fits, and whether the sender is where it says."""
        return self is not Transport.UDP

    @property
    def encrypted(self) -> bool:
        """Tell whether nobody on the way can read or change the message."""
        return self >= Transport.TLS


class Asker(msgspec.Struct, frozen=True, gc=False):
    """Who sent a message: *source* is an IPv4 or IPv6 address as text, without a port.

    *verified*: it showed a cookie that only who receives at that address can have (RFC 7873 §5.2.5). Over a
    stream *source* is true anyway.
    """

    transport: Transport
    source: str
    verified: bool = False
