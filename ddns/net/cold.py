"""Questions by UDP for zones that are not in memory: recognized by their names alone, and answered the short way then.

After a power cut these are thousands a second. Law: what comes here costs a look at the name and a place to wait; it
is read with care only where the zone has come and the short way has no answer to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ddns.answer.cookied import Cookied
from ddns.answer.table import Table
from ddns.dns.codes import FLAG_RD, HEADER_SIZE, MAX_LABEL, MAX_NAME
from ddns.net.loader import Waiter
from ddns.net.reply import Reply

# What `ddns.net.udp` hands over: the datagram, its peer, and how to answer.
Serve = Callable[[bytes, Any, Reply], None]

_BUT_RD = 0xFF ^ FLAG_RD >> 8  # of the header's third octet: QR, OPCODE, AA and TC
_ONE = b"\0\1"


class Zones(Protocol):
    """Who has zones read."""

    def need(self, zone: int, waiter: Waiter) -> bool:
        """Have *zone* read, then call *waiter*; False: too many wait already."""


class Cold:
    """The way in of questions by UDP: those for zones that are not in memory wait here, all others go to *serve*.

    *complete* tells whether all zones are known, *lookup* and *cookied* are the short way.
    """

    def __init__(
        self,
        table: Table,
        zones: Zones,
        complete: Callable[[], bool],
        lookup: Callable[[bytes], bytes | None],
        cookied: Cookied | None,
        clock: Callable[[], float],
        serve: Serve,
    ) -> None:
        self._table = table
        self._zones = zones
        self._complete = complete
        self._lookup = lookup
        self._cookied = cookied
        self._clock = clock
        self._serve = serve

    def take(self, wire: bytes, peer: Any, reply: Reply) -> None:
        """Answer *wire* soon, or let it be lost.

        A resolver asks again; a failure it would remember (RFC 9520 §3.2).
        """
        zone = self._zone(wire)
        if zone is None:
            self._serve(wire, peer, reply)
            return

        def read(done: bool | None) -> None:
            if done is None:
                return
            answer = self._answer(wire, peer[0])
            if answer is None:
                self._serve(wire, peer, reply)
            else:
                reply(answer)

        self._zones.need(zone, read)

    def _zone(self, wire: bytes) -> int | None:
        """Return the zone of a question's name where it has to be read first."""
        if wire[2] & _BUT_RD or wire[4:6] != _ONE or not self._complete():
            return None
        at, size = HEADER_SIZE, len(wire)
        while at < size and (length := wire[at]):
            if length > MAX_LABEL:
                return None
            at += 1 + length
        if at >= size or at + 1 > HEADER_SIZE + MAX_NAME:
            return None
        found = self._table.authority(wire[HEADER_SIZE : at + 1].lower())
        return found if isinstance(found, int) else None

    def _answer(self, wire: bytes, source: str) -> bytes | None:
        """Return the answer where the short way has it: to a question that is plain or holds a cookie and no more."""
        cookied = self._cookied
        if cookied is None or self._table.is_plain(wire):
            return self._lookup(wire)
        return cookied.answer(wire, source, int(self._clock()))
