"""TLSA records settle: what all servers show becomes safe, what nobody uses any more leaves, the rest is forgotten.

The rules are in `ddns.zone.dane`. Gateways that ask hear the same without this; here the books are kept for those who
do not ask, and records whose time is over leave their zone in editions like any others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import Rdata, RRset
from ddns.net.judging import PublishedRows, ZoneWork, with_those_above
from ddns.signing.publish import Signs, publish
from ddns.store import journal, leases, published, rrsets, tlsa, zones
from ddns.store.tlsa import Pins, Service
from ddns.store.zones import Zone
from ddns.zone import dane
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition

log = Logger(namespace="ddns.dane")

PRINCIPAL = "service:tlsa"  # in the journal
AT_ONCE = 100  # services in one transaction

_TLSA = int(Type.TLSA)


async def settle_all(
    conn: AsyncConnection[Any], signer: Signs, now: int, looked: Collection[int]
) -> tuple[Edition, ...]:
    """Settle what can be, in transactions of its own; return the editions that are to be shown.

    *looked* are the zones whose servers were just asked, *now* is in seconds since 1970. Outages raise.
    """
    editions: list[Edition] = []
    last: Service | None = None
    while True:
        services = await tlsa.ripe(conn, now, looked, last, AT_ONCE)
        if services:
            editions += await _settle(conn, signer, now, services)
        if len(services) < AT_ONCE:
            return tuple(editions)
        last = services[-1]


async def _settle(
    conn: AsyncConnection[Any], signer: Signs, now: int, services: Sequence[Service]
) -> Sequence[Edition]:
    async with conn.transaction():
        locked = await zones.lock(conn, {zone for zone, _ in services})
        facts = await tlsa.facts(conn, locked)
        stored = await tlsa.read(conn, services)
        there = await rrsets.read_names(conn, services)
        after: dict[Service, Pins] = {}
        changes: dict[int, list[RRsetChange]] = {}
        for (zone, owner), pins in stored.items():
            if zone not in locked:
                continue
            settled = dane.settle(dane.numbered(pins, locked[zone].shown_serial, now), facts[zone].seen, now)
            rrset = next((one for one in there.get((zone, owner), ()) if one.type == _TLSA), None)
            over = dane.due(rrset, settled, now)
            if rrset is not None and over:
                change = _without(rrset, over)
                changes.setdefault(zone, []).append(change)
                settled = dane.lapsed(change.before, change.after, settled, now).pins
            after[zone, owner] = settled
        editions = await _publish(conn, signer, locked, changes) if changes else ()
        serials = {one.zone: one.to_serial for one in editions}
        changed = {
            service: (stored[service], dane.numbered(pins, serials.get(service[0]), now))
            for service, pins in after.items()
        }
        await tlsa.write(conn, changed)
        gone = [
            (zone, (one.name, _TLSA, rdata)) for zone, its in changes.items() for one in its for rdata in _gone(one)
        ]
        await leases.drop(conn, gone)
    for zone, its in changes.items():
        origin = names.to_text(locked[zone].origin)
        log.info("tlsa.retired zone={zone} services={n}", zone=origin, n=len(its))
    return editions


async def _publish(
    conn: AsyncConnection[Any], signer: Signs, locked: dict[int, Zone], changes: dict[int, list[RRsetChange]]
) -> Sequence[Edition]:
    mentioned = with_those_above(
        (zone, locked[zone].origin, [one.name for one in its]) for zone, its in changes.items()
    )
    wanted = [(zone, name) for zone, mine in mentioned.items() for name in mine]
    found = await rrsets.read_names(conn, wanted)
    shown = await published.read_names(conn, wanted)
    work = [ZoneWork(locked[zone], mentioned[zone], found, PublishedRows(zone, shown), ()) for zone in changes]
    for item in work:
        done = ChangeSet(tuple(changes[item.zone.id]))
        item.view.apply(done)
        item.entries.append(journal.Entry(item.zone.id, item.zone.head + 1, PRINCIPAL, None, None, done))
    entries = [entry for item in work for entry in item.entries]
    return (await publish(conn, signer, [item.step() for item in work], entries)).editions


def _without(rrset: RRset, over: frozenset[Rdata]) -> RRsetChange:
    left = tuple(one for one in rrset.rdatas if one not in over)
    return RRsetChange(rrset.name, rrset.type, rrset, RRset(rrset.name, rrset.type, rrset.ttl, left))


def _gone(change: RRsetChange) -> list[Rdata]:
    left = () if change.after is None else change.after.rdatas
    return [one for one in (() if change.before is None else change.before.rdatas) if one not in left]
