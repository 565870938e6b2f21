"""The end of leases: records whose time is over leave their zone in editions like any others, and keys that end go.

Each worker looks now and then; a zone that somebody holds is left alone, so that exactly one of them ends its
leases. Law: nothing ends before the database's clock can be believed, and after an outage not before senders
had as long again to renew. What a zone may lose at a time is bounded; the rest follows at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.net.judging import PublishedRows, ZoneWork, with_those_above
from ddns.net.subscriber import Subscriber
from ddns.ongoing import Ongoing
from ddns.signing.client import SignerClient
from ddns.signing.publish import publish
from ddns.store import credentials, journal, leases, notify, published, rrsets, tlsa, zones
from ddns.store.pool import Pool
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition
from ddns.zone.view import View

log = Logger(namespace="ddns.leases")

PRINCIPAL = "lease"  # in the journal
KEYS_AT_ONCE = 1000  # keys that end in one commit


class ExpiryLimits(msgspec.Struct, frozen=True):
    """How leases end: looked for every *every* seconds, *at_once* records in one commit.

    Nothing ends for *grace* seconds after nobody could take updates for more than *gap* seconds, and for as long as
    that lasted, up to *longest* seconds.
    """

    every: float = 5.0
    at_once: int = 500
    gap: float = 60.0
    grace: float = 600.0
    longest: float = 86_400.0


class Ended(msgspec.Struct, frozen=True):
    """How many records ended, and the editions to be shown after the commit."""

    records: int
    editions: tuple[Edition, ...] = ()


async def commit_expiry(conn: AsyncConnection[Any], signer: SignerClient, most: int, now: int) -> Ended:
    """End at most *most* leases in one transaction, and commit it. Outages raise, and then nothing was done.

    *now* (seconds since 1970) is for TLSA records, which caches hold although their lease has ended.
    """
    async with conn.transaction():
        ids = await leases.lock_due(conn, most)
        if not ids:
            return Ended(0)
        locked = await zones.get(conn, ids)
        over = await leases.due(conn, ids, most)
        if not over:
            return Ended(0)  # renewed while we waited
        gone: dict[int, dict[tuple[Name, int], set[Rdata]]] = {}
        for zone, (name, rdtype, rdata) in over:
            gone.setdefault(zone, {}).setdefault((name, rdtype), set()).add(rdata)
        mentioned = with_those_above(
            (zone, locked[zone].origin, (key[0] for key in mine)) for zone, mine in gone.items()
        )
        wanted = [(zone, name) for zone, mine in mentioned.items() for name in mine]
        found = await rrsets.read_names(conn, wanted)
        shown = await published.read_names(conn, wanted)
        work = [ZoneWork(locked[zone], mentioned[zone], found, PublishedRows(zone, shown), ()) for zone in gone]
        for item in work:
            changes = without(gone[item.zone.id], item.view, item.zone.origin)
            if changes:
                item.view.apply(changes)
                item.entries.append(journal.Entry(item.zone.id, item.zone.head + 1, PRINCIPAL, None, None, changes))
        outcome = await publish(
            conn,
            signer,
            [item.step() for item in work if item.entries],
            [entry for item in work for entry in item.entries],
        )
        await leases.drop(conn, over)
        done = [(entry.zone, entry.change) for item in work for entry in item.entries]
        await tlsa.lapsed(conn, done, {one.zone: one.to_serial for one in outcome.editions}, now)
    return Ended(len(over), outcome.editions)


async def end_keys(conn: AsyncConnection[Any], now: int) -> int:
    """Revoke the keys that end by *now* (seconds since 1970), and have every worker hear of it; return how many.

    A key that ends does so whatever happened meanwhile: it has not to be renewed by anybody.
    """
    async with conn.transaction():
        ended = await credentials.end(conn, now, KEYS_AT_ONCE)
        await notify.keys_of(conn, ended)
    return len(ended)


def without(gone: dict[tuple[Name, int], set[Rdata]], view: View, origin: Name) -> ChangeSet:
    """Return what takes the records of *gone* out of *view*; the apex keeps its SOA and its NS."""
    changes = []
    for (name, rdtype), rdatas in gone.items():
        there = view.rrset(name, rdtype)
        if there is None or (name == origin and rdtype in (Type.SOA, Type.NS)):
            continue
        kept = tuple(one for one in there.rdatas if one not in rdatas)
        if kept != there.rdatas:
            after = RRset(name, rdtype, there.ttl, kept) if kept else None
            changes.append(RRsetChange(name, rdtype, there, after))
    return ChangeSet(tuple(changes))


class Expiry:
    """One worker's part in the end of leases; *clock* gives seconds since 1970."""

    def __init__(
        self,
        pool: Pool,
        signer: SignerClient,
        subscriber: Subscriber,
        limits: ExpiryLimits,
        clock: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._subscriber = subscriber
        self._limits = limits
        self._clock = clock
        self._ongoing = Ongoing()
        self._told: str | None = None

    def start(self) -> None:
        """Look from now on."""
        self._ongoing.start(self._run())

    async def close(self) -> None:
        """End; a commit that is under way is rolled back."""
        await self._ongoing.end()

    async def look(self) -> int:
        """Say that updates can be taken, and end what is over and may end; return how many records that were."""
        chosen = self._limits
        async with self._pool.connection() as conn:
            keys = await end_keys(conn, int(self._clock()))
            if keys:
                log.info("keys.ended keys={n}", n=keys)
            tick = await leases.tick(conn, self._clock(), gap=chosen.gap, grace=chosen.grace, longest=chosen.longest)
        if not tick.sane or tick.held:
            self._tell("clock" if not tick.sane else "outage", tick.held)
            return 0
        self._told = None
        total = 0
        while True:
            async with self._pool.connection() as conn:
                ended = await commit_expiry(conn, self._signer, chosen.at_once, int(self._clock()))
            behind = self._subscriber.show(ended.editions)
            if behind:
                await self._subscriber.catch_up(behind)
            if ended.records:
                log.info("leases.ended records={n} zones={zones}", n=ended.records, zones=len(ended.editions))
            total += ended.records
            if ended.records < chosen.at_once:
                return total

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - an outage, whatever its name: what is over ends later
                log.failure("leases.look failed")
            await asyncio.sleep(self._limits.every)

    def _tell(self, why: str, held: int) -> None:
        """Log once why nothing ends."""
        if why != self._told:
            self._told = why
            log.warn("leases.held why={why} seconds={held}", why=why, held=held)
