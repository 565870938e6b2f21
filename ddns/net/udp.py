"""A UDP socket that is drained: many datagrams a turn of the reactor, none through Twisted's `udp.Port`.

`udp.Port` costs half as much again as this reader, and cuts the addresses of IPv6 peers to two fields.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from ddns.answer.cookied import Cookied
from ddns.answer.counters import HANDED, RECEIVED
from ddns.answer.hot import Answerer, PureAnswerer
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.dns.codes import HEADER_SIZE, MAX_MESSAGE, Opcode, Rcode
from ddns.net.admission import Admission, come_by_tcp
from ddns.net.outbox import Outbox, Parcel
from ddns.net.reply import Reply

if TYPE_CHECKING:
    from ddns.answer import _native

DRAIN = 128  # datagrams answered before the reactor looks at anything else, after a turn of `USUAL`
KNOWN = 512  # of those that the native twin answers; less than three milliseconds
FEW = 4  # datagrams below which the socket is not asked again in the same turn, as in the native twin
USUAL = 0.008  # seconds from drain to drain; more has come after a turn that took longer, and more is read then
MOST = 8  # times as much at most: what a buffer of 4 MiB holds
ASIDE = 512  # updates put aside before it does; they must be read as fast as they may be sent
LARGEST_REQUEST = 4096  # octets; what is longer belongs on TCP

SAID = 10.0  # seconds between two lines in the log about answers that were limited

log = Logger(namespace="ddns.udp")

_OPCODE = 0xF8  # of the header's third octet: QR and OPCODE
_UPDATE = Opcode.UPDATE << 3
_IN_PKTINFO = struct.Struct("=I4s4s")
_IN6_PKTINFO = struct.Struct("=16sI")
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)


class Datagram:
    """How a datagram that was not answered at once gets its answer: it is called with it."""

    __slots__ = ("_peer", "_reader", "_to", "_wire")

    def __init__(self, reader: UdpReader, wire: bytes, peer: Any, to: Any) -> None:
        self._reader = reader
        self._wire = wire
        self._peer = peer
        self._to = to

    def __call__(self, octets: bytes) -> None:
        """Send the answer, as far as response rate limiting lets it."""
        self._reader.answer(self._wire, octets, self._peer, self._to)


Slow = Callable[[bytes, Any, Reply], None]


@implementer(IReadDescriptor)
class UdpReader:
    """Answer what *lookup* knows at once; give the rest to *slow* with the peer and a way to reply.

    *sock* is bound and non-blocking. `bound` is where it listens. *cookied* answers those with a cookie at once. What
    goes out is counted by *rrl*. Updates go to *admission* where there is one, which gets its turn after each drain.
    """

    def __init__(
        self,
        sock: socket.socket,
        lookup: Callable[[bytes], bytes | None],
        slow: Slow,
        rrl: Rrl | None = None,
        admission: Admission | None = None,
        cookied: Cookied | None = None,
    ) -> None:
        self._sock = sock
        self._lookup = lookup
        self._cookied = _unknown if cookied is None else cookied.answer
        self._slow = slow
        self._rrl = Rrl(RrlLimits(answers=0)) if rrl is None else rrl
        self._admission = admission
        self._before = 0.0  # when it was last drained
        self.bound = sock.getsockname()
        self.outbox = Outbox()
        """Where answers wait that leave together; until another is given nothing waits in it."""

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
        """Answer what has arrived, then let updates have their turn.

        At most `DRAIN` datagrams or `ASIDE` updates; after a longer turn than `USUAL` more in proportion, so that what
        comes meanwhile does not pile up in the kernel, while updates keep their part of the time under any flood.
        """
        rrl = self._rrl
        now = time.time()
        most = DRAIN * min(max((now - self._before) / USUAL, 1.0), MOST)
        self._before = now
        if not rrl.since <= now < rrl.until:
            _turn(rrl, now)
        try:
            self._drain(rrl, now, most)
        except OSError:
            pass  # nothing more to read, or no room to send; a datagram may be lost, its asker asks again
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, and the reactor must not let go of the socket
            log.failure("udp.failed")
        if self._admission is not None:
            self._admission.attend()

    def _drain(self, rrl: Rrl, now: float, left: float) -> None:
        """Read and answer, *left* datagrams at most. Raises `BlockingIOError` where there is nothing more to read."""
        receive, send, lookup, cookied = self._sock.recvfrom, self._sock.sendto, self._lookup, self._cookied
        cells, enter, numbers = rrl.cells, rrl.enter, rrl.counters.numbers
        second = int(now)
        received = others = 0  # which are no answers with NOERROR that were known
        try:
            while left > 0:
                wire, peer = receive(LARGEST_REQUEST)
                received += 1
                reply = lookup(wire) or cookied(wire, peer[0], second)
                if reply is not None:
                    left -= 1
                    cell = cells.get(peer[0]) or enter(peer[0])
                    cell[0] -= 1
                    if cell[0] < 0:
                        others += 1
                        reply = rrl.judge(wire, reply, peer[0], now)
                        if reply is None:
                            continue
                    elif reply[3]:
                        others += 1
                        numbers[reply[3] & 15] += 1
                    send(reply, peer)
                elif len(wire) >= HEADER_SIZE:
                    others += 1
                    numbers[HANDED] += 1
                    left -= self._hand_over(wire, peer, None)
                else:
                    others += 1
                    left -= 1
        finally:
            numbers[RECEIVED] += received
            numbers[Rcode.NOERROR] += received - others

    def _hand_over(self, wire: bytes, peer: Any, to: Any) -> float:
        """Put an update aside, answer anything else; return which part of a drain's work that was, as a datagram's."""
        if wire[2] & _OPCODE != _UPDATE or self._admission is None:
            self._slow(wire, peer, Datagram(self, wire, peer, to))
            return 1
        asker = self._admission.has_room(wire, peer[0])
        if asker is None:
            if not self._admission.is_trusting:
                away = come_by_tcp(wire)  # no longer than what came, and so not limited
                self._rrl.counters.count(away)
                self._send(away, peer, to)
        else:
            self._admission.put(wire, asker, Datagram(self, wire, peer, to))
        return DRAIN / ASIDE

    def answer(self, wire: bytes, octets: bytes, peer: Any, to: Any) -> None:
        """Send *octets*, the answer to *wire*, to *peer*; *to* is what `_hand_over` got."""
        rrl, host = self._rrl, peer[0]
        cell = rrl.cells.get(host) or rrl.enter(host)
        cell[0] -= 1
        limited: bytes | None = octets
        if cell[0] >= 0:
            rrl.counters.count(octets)
        elif octets:
            limited = rrl.judge(wire, octets, host, time.time())
        if limited:
            if self.outbox.is_open:
                self.outbox.put(self, (limited, peer, to))
            else:
                with contextlib.suppress(OSError):
                    self._send(limited, peer, to)

    def send_many(self, parcels: list[Parcel]) -> None:
        """Send each answer of *parcels* to its peer; one that cannot be sent is lost."""
        for octets, peer, to in parcels:
            with contextlib.suppress(OSError):
                self._send(octets, peer, to)

    def _send(self, octets: bytes, peer: Any, to: Any) -> None:  # noqa: ARG002 - where a wildcard's reply leaves from
        self._sock.sendto(octets, peer)


class WildcardUdpReader(UdpReader):
    """A reader for a socket bound to all addresses: each reply leaves from the address that was asked."""

    def __init__(
        self,
        sock: socket.socket,
        lookup: Callable[[bytes], bytes | None],
        slow: Slow,
        rrl: Rrl | None = None,
        admission: Admission | None = None,
        cookied: Cookied | None = None,
    ) -> None:
        super().__init__(sock, lookup, slow, rrl, admission, cookied)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)

    def _drain(self, rrl: Rrl, now: float, left: float) -> None:
        cells, enter, numbers = rrl.cells, rrl.enter, rrl.counters.numbers
        second = int(now)
        received = others = 0  # which are no answers with NOERROR that were known
        try:
            while left > 0:
                wire, control, _flags, peer = self._sock.recvmsg(LARGEST_REQUEST, 128)
                received += 1
                source = leaving_from(control)
                reply = self._lookup(wire) or self._cookied(wire, peer[0], second)
                if reply is not None:
                    left -= 1
                    cell = cells.get(peer[0]) or enter(peer[0])
                    cell[0] -= 1
                    if cell[0] < 0:
                        others += 1
                        reply = rrl.judge(wire, reply, peer[0], now)
                        if reply is None:
                            continue
                    elif reply[3]:
                        others += 1
                        numbers[reply[3] & 15] += 1
                    self._sock.sendmsg([reply], source, 0, peer)
                elif len(wire) >= HEADER_SIZE:
                    others += 1
                    numbers[HANDED] += 1
                    left -= self._hand_over(wire, peer, source)
                else:
                    others += 1
                    left -= 1
        finally:
            numbers[RECEIVED] += received
            numbers[Rcode.NOERROR] += received - others

    def _send(self, octets: bytes, peer: Any, to: Any) -> None:
        self._sock.sendmsg([octets], to, 0, peer)


class NativeUdpReader(UdpReader):
    """A reader whose datagrams the native twin reads and answers; what it does not understand comes back in order."""

    _wildcard = False

    def __init__(
        self,
        sock: socket.socket,
        answerer: _native.Answerer,
        slow: Slow,
        rrl: Rrl | None = None,
        admission: Admission | None = None,
    ) -> None:
        super().__init__(sock, answerer.lookup, slow, rrl, admission)
        self._drain_socket = answerer.drain
        self._send_parcels = answerer.send

    def send_many(self, parcels: list[Parcel]) -> None:
        """Send *parcels*, many of them in one system call."""
        self._send_parcels(self._sock.fileno(), parcels)

    def _drain(self, rrl: Rrl, now: float, left: float) -> None:  # noqa: ARG002 - the native twin has it
        drain, fd = self._drain_socket, self._sock.fileno()
        while left > 0:
            # At most a batch too many is read in a turn: what is put aside is known only when it has been read.
            count, aside = drain(fd, self._wildcard, math.ceil(left * (KNOWN / DRAIN)), now)
            left -= (count - len(aside)) * (DRAIN / KNOWN)
            with self.outbox.together() if len(aside) > 1 else contextlib.nullcontext():
                for wire, peer, to in aside:
                    left -= self._hand_over(wire, peer, to)
            if not aside or count < FEW:
                return  # whoever waits by now is read in the next turn


class NativeWildcardUdpReader(NativeUdpReader, WildcardUdpReader):
    """The same for a socket bound to all addresses."""

    _wildcard = True


def _unknown(_wire: bytes, _host: str, _now: int) -> None:
    """Know no answer, as where there are no cookies."""


def _turn(rrl: Rrl, now: float) -> None:
    """Begin a new second, and say now and then what was limited in those before."""
    rrl.turn(now)
    if (rrl.dropped or rrl.slipped) and not rrl.said <= now < rrl.said + SAID:
        log.warn(
            "rrl.limited dropped={dropped} slipped={slipped} last={last}",
            dropped=rrl.dropped,
            slipped=rrl.slipped,
            last=rrl.last,
        )
        rrl.dropped = rrl.slipped = 0
        rrl.said = now


def leaving_from(control: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data that makes a reply leave from the address that *control* says was asked."""
    for level, kind, octets in control:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            _index, _local, asked = _IN_PKTINFO.unpack(octets[: _IN_PKTINFO.size])
            return [(level, kind, _IN_PKTINFO.pack(0, asked, b"\0\0\0\0"))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            asked, index = _IN6_PKTINFO.unpack(octets[: _IN6_PKTINFO.size])
            return [(level, kind, _IN6_PKTINFO.pack(asked, index if asked[:1] == b"\xfe" else 0))]
    return []


def reader(
    sock: socket.socket,
    answerer: Answerer,
    slow: Slow,
    rrl: Rrl | None = None,
    admission: Admission | None = None,
) -> UdpReader:
    """Return the right reader for *sock*: the native twin's where that is what *answerer* is, for the same *rrl*."""
    wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    if isinstance(answerer, PureAnswerer):
        pure = WildcardUdpReader if wildcard else UdpReader
        return pure(sock, answerer.lookup, slow, rrl, admission, answerer.cookied)
    return (NativeWildcardUdpReader if wildcard else NativeUdpReader)(sock, answerer, slow, rrl, admission)


assert LARGEST_REQUEST <= MAX_MESSAGE
