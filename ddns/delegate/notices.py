"""NOTIFY(CDS) and NOTIFY(CSYNC) from children: their servers are visited soon, and that is all (RFC 9859 §4.3).

Law: a NOTIFY decides nothing, so anybody may send one. It is answered at once, before anything is done, and all that
follows is bounded: each network and each child has a purse (RFC 9859 §5), what comes again while it waits is one, and
the database is asked about all that came in a while together. The answer tells what any question would: whether the
name is one that is served from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from twisted.logger import Logger

from ddns.answer.responder import ELSEWHERE, Responder
from ddns.auth.budget import Buckets, prefix
from ddns.delegate.limits import DelegationLimits
from ddns.dns import wire as wires
from ddns.dns.asker import Asker
from ddns.dns.codes import CLASS_IN, FLAG_QR, HEADER_SIZE, Ede, Opcode, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage
from ddns.ongoing import Ongoing

log = Logger(namespace="ddns.delegation")

GATHER = 0.5  # seconds in which names gather before the database is asked about them
REST = 5.0  # seconds of rest after it did not answer
MOST_WAITING = 1000  # names that wait to be asked about; more are forgotten: their children are visited anyway
PURSES = 10_000  # networks, and children, whose NOTIFYs are counted
MOST_RECORDS = 16  # of one NOTIFY that are looked at
TYPES = frozenset({Type.CDS, Type.CSYNC})  # RFC 9859 §4; CDS stands for CDNSKEY too
_HOUR = 3600.0

MANY = Refusal("notify-of-many", Rcode.FORMERR, "A NOTIFY is about one child; send one for each (RFC 9859 §4.3).")
RATIONED = Refusal(
    "notify-rationed",
    Rcode.NOERROR,
    "So many NOTIFYs are not followed; the child is visited all the same, a little later.",
    Ede.BLOCKED,
)


class Notices:
    """What one worker is told of children; *hasten* has those among names visited soon that are delegated from here.

    *serves* tells whether a name is in a zone that is served here; *clock* gives seconds since 1970.
    """

    def __init__(
        self,
        responder: Responder,
        serves: Callable[[Name], bool],
        hasten: Callable[[Sequence[Name]], Awaitable[None]],
        limits: DelegationLimits,
        clock: Callable[[], float],
    ) -> None:
        self._responder = responder
        self._serves = serves
        self._hasten = hasten
        self._clock = clock
        self._children = Buckets(limits.per_child, limits.per_child / _HOUR, PURSES)
        self._sources = Buckets(limits.per_source, limits.per_source / _HOUR, PURSES)
        self._waiting: dict[Name, None] = {}
        self._ongoing = Ongoing()

    async def close(self) -> None:
        """Forget what waits: it was only to come sooner."""
        await self._ongoing.end()

    def answer(self, wire: bytes, asker: Asker) -> bytes | None:
        """Return the answer to *wire*, None where it is no NOTIFY of a kind that is known here."""
        if len(wire) < HEADER_SIZE or wire[2] & FLAG_QR >> 8 or wire[2] >> 3 & 15 != Opcode.NOTIFY:
            return None
        try:
            head = wires.header(wire)
            if head.qdcount != 1:
                return None
            question = wires.question(wire)
            if question.type not in TYPES or question.rdclass != CLASS_IN:
                return None
            count = head.ancount + head.nscount
            records = [] if count > MOST_RECORDS else list(wires.walk(wire, question.end, count))
        except BadMessage:
            return None
        child = question.name
        if count > MOST_RECORDS or any(one.name != child for one in records):
            return self._responder.acknowledge(wire, asker, MANY)
        if not self._serves(child):
            return self._responder.acknowledge(wire, asker, ELSEWHERE)
        now = self._clock()
        if not self._sources.take(prefix(asker.source), now) or not self._children.take(child, now):
            return self._responder.acknowledge(wire, asker, RATIONED)
        if len(self._waiting) < MOST_WAITING:
            self._waiting[child] = None
        if not self._ongoing.is_on:
            self._ongoing.start(self._work())
        return self._responder.acknowledge(wire, asker)

    async def _work(self) -> None:
        """Ask about what waits, until nothing does."""
        while self._waiting:
            await asyncio.sleep(GATHER)
            asked, self._waiting = list(self._waiting), {}
            try:
                await self._hasten(asked)
            except Exception as error:  # noqa: BLE001 - an outage, whatever its name; the children are visited anyway
                log.warn("delegation.notices_lost n={n} reason={reason}", n=len(asked), reason=str(error).strip())
                await asyncio.sleep(REST)
