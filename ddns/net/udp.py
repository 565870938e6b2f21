"""A UDP socket that is drained: many datagrams a turn of the reactor, none through Twisted's `udp.Port`.

`udp.Port` costs half as much again as this reader, and cuts the addresses of IPv6 peers to two fields.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from ddns.dns.codes import HEADER_SIZE, MAX_MESSAGE
from ddns.net.reply import Reply

DRAIN = 64  # datagrams answered before the reactor looks at anything else
LARGEST_REQUEST = 4096  # octets; what is longer belongs on TCP

Slow = Callable[[bytes, Any, Reply], None]

_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)


@implementer(IReadDescriptor)
class UdpReader:
    """Answer what *lookup* knows at once; give the rest to *slow* with the peer and a way to reply.

    *sock* is bound and non-blocking. `bound` is where it listens.
    """

    def __init__(self, sock: socket.socket, lookup: Callable[[bytes], bytes | None], slow: Slow) -> None:
        self._sock = sock
        self._lookup = lookup
        self._slow = slow
        self.bound = sock.getsockname()

    def fileno(self) -> int:
        """Return the descriptor that the reactor watches."""
        return self._sock.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """Return how Twisted names this reader in its log."""
        return "udp"

    def connectionLost(self, reason: object) -> None:  # noqa: N802, ARG002 - Twisted's name and shape
        """Close the socket when the reactor lets go of it."""
        self._sock.close()

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Answer what has arrived, at most `DRAIN` datagrams."""
        receive, send, lookup = self._sock.recvfrom, self._sock.sendto, self._lookup
        try:
            for _ in range(DRAIN):
                wire, peer = receive(LARGEST_REQUEST)
                reply = lookup(wire)
                if reply is not None:
                    send(reply, peer)
                elif len(wire) >= HEADER_SIZE:
                    self._hand_over(wire, peer)
        except OSError:
            # Nothing more to read, or no room to send: a datagram may be lost, its asker asks again.
            return

    def _hand_over(self, wire: bytes, peer: Any) -> None:
        def reply(octets: bytes) -> None:
            try:
                self._sock.sendto(octets, peer)
            except OSError:
                return

        self._slow(wire, peer, reply)


class WildcardUdpReader(UdpReader):
    """A reader for a socket bound to all addresses: each reply leaves from the address that was asked."""

    def __init__(self, sock: socket.socket, lookup: Callable[[bytes], bytes | None], slow: Slow) -> None:
        super().__init__(sock, lookup, slow)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Answer what has arrived, at most `DRAIN` datagrams."""
        try:
            for _ in range(DRAIN):
                wire, control, _flags, peer = self._sock.recvmsg(LARGEST_REQUEST, 128)
                source = _source(control)
                reply = self._lookup(wire)
                if reply is not None:
                    self._sock.sendmsg([reply], source, 0, peer)
                elif len(wire) >= HEADER_SIZE:
                    self._hand_over_from(wire, peer, source)
        except OSError:
            return

    def _hand_over_from(self, wire: bytes, peer: Any, source: list[tuple[int, int, bytes]]) -> None:
        def reply(octets: bytes) -> None:
            try:
                self._sock.sendmsg([octets], source, 0, peer)
            except OSError:
                return

        self._slow(wire, peer, reply)


def _source(control: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data that makes a reply leave from the address that *control* says was asked."""
    for level, kind, octets in control:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            _index, _local, asked = _IN_PKTINFO.unpack(octets[: _IN_PKTINFO.size])
            return [(level, kind, _IN_PKTINFO.pack(0, asked, b"\0\0\0\0"))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            asked, index = _IN6_PKTINFO.unpack(octets[: _IN6_PKTINFO.size])
            return [(level, kind, _IN6_PKTINFO.pack(asked, index if asked[:1] == b"\xfe" else 0))]
    return []


def reader(sock: socket.socket, lookup: Callable[[bytes], bytes | None], slow: Slow) -> UdpReader:
    """Return the right reader for *sock*."""
    wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return (WildcardUdpReader if wildcard else UdpReader)(sock, lookup, slow)


assert LARGEST_REQUEST <= MAX_MESSAGE
