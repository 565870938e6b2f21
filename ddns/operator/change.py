"""Write what a command changes: records, journal, and what is published of it or waits for the signer.

Law: the caller has a transaction open and the zones of its changes locked (`store.zones.lock`). A signed
zone is marked pending and its signer woken; a zone that is not signed is published at once, in one edition.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, serial_newer, serial_next, soa_serial, soa_with_serial
from ddns.dns.zonefile import ZoneText
from ddns.operator.fault import CannotDo
from ddns.store import editions, journal, leases, notify, published, rrsets, signing, tlsa, zones
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition

MOST_KEPT = 20_000  # RRsets; who is behind a bigger edition reads the zone anew, as with the signer's
_ENCODER = msgspec.msgpack.Encoder()

Conn = AsyncConnection[Any]


class NewZone(msgspec.Struct, frozen=True):
    """A zone that is about to be: *text* holds its records, *parent* the id of the registry's zone of a home."""

    text: ZoneText
    denial: str
    algorithm: int
    digest: bytes | None = None
    parent: int | None = None


class Change(msgspec.Struct, frozen=True):
    """What a command does to the records of one locked zone.

    *digest* names the file that they come from. *resigned*: from now on the zone is signed as *zone* says.
    *shown* is all that a zone which is signed elsewhere publishes from now on; without it the published
    records change as the others do, and what changes loses its signatures.
    """

    zone: Zone
    changes: ChangeSet
    digest: bytes | None = None
    resigned: bool = False
    shown: tuple[SignedRRset, ...] | None = None


def digest_of(text: ZoneText) -> bytes:
    """Return what names the content of a zone's file: equal where the same records are published."""
    signatures = sorted(text.signatures.items())
    return hashlib.sha256(_ENCODER.encode((text.rrsets, signatures))).digest()


def difference(before: Iterable[RRset], after: Iterable[RRset]) -> ChangeSet:
    """Return what leads from the records *before* to those *after*."""
    old = {(one.name, one.type): one for one in before}
    found = []
    for one in after:
        was = old.pop((one.name, one.type), None)
        if was != one:
            found.append(RRsetChange(one.name, one.type, was, one))
    found.extend(RRsetChange(one.name, one.type, one, None) for one in old.values())
    return ChangeSet(tuple(found))


def next_serial(zone: Zone, asked: int) -> int:
    """Return the serial of the zone's next edition: what its SOA asks for where that is newer, else the next."""
    if zone.edition == 0:
        return asked or 1
    return asked if serial_newer(asked, zone.serial) else serial_next(zone.serial)


async def create(conn: Conn, new: Sequence[NewZone], principal: str) -> list[int]:
    """Add zones with their records; return their ids in the same order.

    Raises `psycopg.errors.UniqueViolation` (zone_twice) where one of them exists.
    """
    ids = await zones.insert_all(conn, [(one.text.origin, one.denial, one.algorithm, one.parent) for one in new])
    made = list(zip(ids, new, strict=True))
    await rrsets.fill_all(conn, ((zone, rrset) for zone, one in made for rrset in one.text.rrsets))
    await journal.append(
        conn,
        [journal.Entry(zone, 1, principal, None, one.digest, difference((), one.text.rrsets)) for zone, one in made],
    )
    first = [Edition(zone, 1, *_first(one.text)) for zone, one in made if one.denial == "none"]
    await published.fill_all(conn, ((one.zone, rrset) for one in first for rrset in one.added))
    await editions.append(conn, [one for one in first if len(one.added) <= MOST_KEPT])
    serials = {one.zone: one.to_serial for one in first}
    await zones.advance(conn, [(zone, 1, int(zone in serials), serials.get(zone, 0)) for zone in ids])
    await _tell(conn, {zone: 0 for zone in ids if zone not in serials}, [(zone, 1) for zone in serials])
    return ids


def _first(text: ZoneText) -> tuple[int, int, tuple[SignedRRset, ...], tuple[SignedRRset, ...]]:
    """Return serials, removed and added RRsets of the first edition of a zone that is not signed here."""
    serial = text.serial if text.signatures else text.serial or 1
    return serial, serial, (), tuple(_numbered(one, text.origin, serial) for one in text.published())


def _numbered(one: SignedRRset, origin: Name, serial: int) -> SignedRRset:
    """Return *one*, where it is the zone's SOA with this serial; a signature over another one is of no use."""
    if one.type != Type.SOA or one.name != origin or soa_serial(one.rdatas[0]) == serial:
        return one
    return SignedRRset(one.name, one.type, one.ttl, (soa_with_serial(one.rdatas[0], serial),))


async def write(conn: Conn, changes: Sequence[Change], principal: str) -> None:
    """Write *changes* of existing zones, each of a zone of its own; one that changes nothing is left out before."""
    for one in changes:
        if one.resigned:
            await zones.set_denial(conn, one.zone.id, one.zone.denial, one.zone.algorithm)
    await rrsets.apply(conn, [(one.zone.id, one.changes) for one in changes])
    # A file leases nothing: what it brings stays, and what it leaves out is gone.
    await leases.drop_zones(conn, [one.zone.id for one in changes if one.zone.leased])
    await journal.append(
        conn,
        [journal.Entry(one.zone.id, one.zone.head + 1, principal, None, one.digest, one.changes) for one in changes],
    )
    steps = []
    pending = {}
    told = []
    for one in changes:
        zone = one.zone
        if zone.denial == "none":
            made = await _publish(conn, one)
            steps.append((zone.id, zone.head + 1, made.number, made.to_serial))
            told.append((zone.id, made.number))
        else:
            steps.append((zone.id, zone.head + 1, zone.edition, zone.serial))
            pending[zone.id] = zone.head
    await zones.advance(conn, steps)
    serials = {zone: serial for zone, _, _, serial in steps if zone not in pending}
    await tlsa.lapsed(conn, [(one.zone.id, one.changes) for one in changes], serials, int(time.time()))
    await _tell(conn, pending, told)


async def _tell(conn: Conn, pending: Mapping[int, int], told: Sequence[tuple[int, int | None]]) -> None:
    if pending:
        await signing.mark_pending(conn, pending)
        await notify.pending(conn)
    if told:
        await notify.zones(conn, told)


async def _publish(conn: Conn, change: Change) -> Edition:
    """Publish a zone that is not signed here, or signed elsewhere."""
    zone, origin = change.zone, change.zone.origin
    apex = (origin, int(Type.SOA))
    before: dict[tuple[Name, int], SignedRRset]
    if change.shown is not None:
        before = {(one.name, one.type): one for one in await published.read_zone(conn, zone.id)}
        after = {(one.name, one.type): one for one in change.shown}
    else:
        touched = {origin, *(one.name for one in change.changes.changes)}
        found = await published.read_names(conn, [(zone.id, name) for name in touched])
        before = {(one.name, one.type): one for shown in found.values() for one in shown}
        after = dict(before)
        for one in change.changes.changes:
            if one.after is None:
                after.pop((one.name, one.type), None)
            else:
                after[one.name, one.type] = SignedRRset(one.name, one.type, one.after.ttl, one.after.rdatas)
    asked = soa_serial(after[apex].rdatas[0])
    serial = next_serial(zone, asked)
    if after[apex].sigs and serial != asked and change.shown is not None:
        raise CannotDo(
            f"The zone {names.to_text(origin)} is signed elsewhere, and its serial {asked} is not above {zone.serial}, "
            "which is published; raise the serial where the zone is signed."
        )
    after[apex] = _numbered(after[apex], origin, serial)
    removed = tuple(one for key, one in before.items() if after.get(key) != one)
    added = tuple(one for key, one in after.items() if before.get(key) != one)
    gone = [(zone.id, name, rdtype) for name, rdtype in before.keys() - after.keys()]
    await published.publish(conn, [(zone.id, one) for one in added], gone)
    edition = Edition(zone.id, zone.edition + 1, zone.serial if zone.edition else serial, serial, removed, added)
    if len(removed) + len(added) <= MOST_KEPT:
        await editions.append(conn, [edition])
    return edition
