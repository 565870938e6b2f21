"""Servers of simulated zones: each has its own copy, some time behind, and answers on sockets of the loopback.

What answers is the server's own table, hot path and responder. A thread serves the sockets, so that whoever asks may
wait for the answer as programs do.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, Self

import dns.message
from denying import Denier, failed
from holding import Held
from ports import free_port

from ddns.answer import hot
from ddns.answer.image import ZoneImage
from ddns.answer.online import NeedSigned, Proofs
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset, serial_newer
from ddns.zone.edition import Edition

ADDRESS = "127.0.0.1"
Lag = Callable[[Name, int], int]  # how many seconds behind its publication at that time a zone's edition is taken


class Taken(NamedTuple):
    """What a server began to show: an edition, or *whole*, all of a zone anew; None: it serves the zone no more."""

    origin: Name
    edition: Edition | None
    whole: bool


class Copy:
    """A server by *name* that takes each edition *lag* later. It shows a zone as of some edition, never an older one.

    A *primary* takes what it is told, also an older serial. While `away` it answers nobody; `until` is when it takes
    editions again. *denier* signs what compact zones say of names that they do not have.
    """

    def __init__(self, name: str, lag: Lag, *, primary: bool = False, denier: Denier | None = None) -> None:
        self.name = name
        self.address = ADDRESS
        self.primary = primary
        self.away = False
        self.until = 0
        self.port = free_port()
        self.table = Table()
        self._lag = lag
        self._denier = denier
        self._proofs = None if denier is None else Proofs(denier.clock)
        self._responder = Responder(self.table, proofs=self._proofs)
        self._lookup = hot.answerer(self.table, Rrl(RrlLimits(answers=0, errors=0, every=0))).lookup
        self._coming: dict[Name, list[tuple[int, Edition | None, tuple[SignedRRset, ...] | None]]] = {}
        self._serials: dict[Name, int] = {}
        self._zones: dict[Name, int] = {}

    @property
    def where(self) -> str:
        return f"{self.name} {self.address}:{self.port}"

    def publish(self, origin: Name, edition: Edition, at: int, whole: Iterable[SignedRRset] | None = None) -> None:
        """Hear that *edition* was published at *at*; with *whole* it stands by itself, as after a restored backup."""
        coming = self._coming.setdefault(origin, [])
        arrives = max([at + self._lag(origin, at), *(one[0] for one in coming[-1:])])
        if whole is not None and self.primary:
            coming.clear()
        coming.append((arrives, edition, None if whole is None else tuple(whole)))

    def withdraw(self, origin: Name, at: int) -> None:
        """Hear at *at* that the zone is to be served no more."""
        coming = self._coming.setdefault(origin, [])
        if self.primary:
            coming.clear()
        coming.append((max([at + self._lag(origin, at), *(one[0] for one in coming[-1:])]), None, None))

    def next(self) -> int | None:
        """Return when it takes something next."""
        return min((max(self.until, coming[0][0]) for coming in self._coming.values() if coming), default=None)

    def take(self, now: int) -> list[Taken]:
        """Show what has arrived by *now*; return it."""
        taken: list[Taken] = []
        if now < self.until:
            return taken
        for origin, coming in self._coming.items():
            while coming and coming[0][0] <= now:
                _, edition, whole = coming.pop(0)
                if edition is None:
                    self._serials.pop(origin, None)
                    self.table.forget(self._zones.pop(origin, 0))
                    taken.append(Taken(origin, None, whole=True))
                else:
                    taken += self._show(origin, edition, whole)
        return taken

    def _show(self, origin: Name, edition: Edition, whole: tuple[SignedRRset, ...] | None) -> list[Taken]:
        before = self._serials.get(origin)
        if before is not None and not self.primary and not serial_newer(edition.to_serial, before):
            return []  # it has a newer one, so it asks for no transfer
        if whole is None and before is not None and self.table.edition(edition.zone) == edition.number - 1:
            assert self.table.patch(edition)
            rebuilt = False
        else:
            content = edition.added if whole is None else whole
            assert whole is not None or edition.number == 1, f"{self.name} cannot apply edition {edition.number}"
            self.table.forget(edition.zone)
            self.table.install(ZoneImage(edition.zone, origin, edition.number, content))
            edition = Edition(edition.zone, edition.number, edition.from_serial, edition.to_serial, (), content)
            rebuilt = True
        self._serials[origin], self._zones[origin] = edition.to_serial, edition.zone
        return [Taken(origin, edition, rebuilt)]

    def is_at(self, zone: Held) -> bool:
        """Tell whether it shows the newest edition of *zone*, of which nothing more is on its way."""
        shown = self.table.edition(zone.id), self._serials.get(zone.origin)
        return shown == (zone.edition, zone.serial) and not self._coming.get(zone.origin)

    def serial(self, origin: Name) -> int:
        """Return the newest serial that it has or will have of a zone."""
        coming = [one.to_serial for _, one, _ in self._coming.get(origin, ()) if one is not None]
        return max([self._serials.get(origin, 0), *coming])

    def answer(self, wire: bytes, transport: Transport = Transport.UDP) -> bytes | None:
        """Answer a message; None is silence."""
        if self.away:
            return None
        known = self._lookup(wire) if transport is Transport.UDP else None
        if known is not None:
            return known
        answer = self._responder.respond(wire, Asker(transport, ADDRESS))
        while isinstance(answer, NeedSigned):
            if self._denier is None or self._proofs is None or not self._denier.prove(answer, self._proofs):
                return failed(wire)
            answer = self._responder.respond(wire, Asker(transport, ADDRESS))
        assert answer is None or isinstance(answer, bytes), answer
        return answer

    def ask(self, name: Name, rdtype: str) -> dns.message.Message | None:
        """Return what it answers to whoever watches it; None is silence."""
        query = dns.message.make_query(names.to_text(name), rdtype, want_dnssec=True, flags=0)
        wire = self.answer(query.to_wire(), Transport.TCP)
        return None if wire is None else dns.message.from_wire(wire)


class Answers(Protocol):
    """Whoever answers messages at an address and a port."""

    address: str
    port: int

    def answer(self, wire: bytes, transport: Transport = Transport.UDP) -> bytes | None:
        """Answer a message; None is silence."""
        ...


class Listening:
    """The sockets of *copies*, served by a thread while this context manager is entered."""

    def __init__(self, copies: Iterable[Answers]) -> None:
        self._copies = list(copies)
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._opened: list[socket.socket] = [self._wake, self._woken]
        self._thread = threading.Thread(target=self._serve, name="simulated servers", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        for copy in self._copies:
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for sock in (datagrams, streams):
                sock.bind((copy.address, copy.port))
                sock.setblocking(False)
                self._opened.append(sock)
            streams.listen(8)
            self._selector.register(datagrams, selectors.EVENT_READ, (self._datagram, copy))
            self._selector.register(streams, selectors.EVENT_READ, (self._accept, copy))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.send(b"x")
        self._thread.join()
        self._selector.close()
        for sock in self._opened:
            sock.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                serve, copy = key.data
                serve(key.fileobj, copy)

    @staticmethod
    def _datagram(sock: socket.socket, copy: Answers) -> None:
        wire, peer = sock.recvfrom(65535)
        answer = copy.answer(wire)
        if answer is not None:
            sock.sendto(answer, peer)

    def _accept(self, sock: socket.socket, copy: Answers) -> None:
        stream, _ = sock.accept()
        stream.settimeout(5)
        self._opened.append(stream)
        self._selector.register(stream, selectors.EVENT_READ, (self._message, copy))

    def _message(self, stream: socket.socket, copy: Answers) -> None:
        try:
            head = _read(stream, 2)
            answer = copy.answer(_read(stream, struct.unpack("!H", head)[0]), Transport.TCP) if head else None
            if answer is not None:
                stream.sendall(struct.pack("!H", len(answer)) + answer)
                return
        except OSError:
            pass  # whoever asked has gone
        self._selector.unregister(stream)
        self._opened.remove(stream)
        stream.close()


def _read(stream: socket.socket, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        some = stream.recv(size - len(octets))
        if not some:
            return b""
        octets += some
    return octets
