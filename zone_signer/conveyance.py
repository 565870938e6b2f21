"""The editions of a turn: of a registry whose delegation of a home changes, and of the home itself.

Law: the caller owns the transaction and has both zones locked. A copy of what a home's own servers signed is published
as it is: nothing of it is signed, renewed or denied here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, serial_next, soa_serial, soa_with_serial
from ddns.store import delegations
from ddns.zone.changes import RRsetChange
from zone_signer import publishing, renewal, store
from zone_signer.keybook import Book
from zone_signer.keyring import Kept, KeyRing, ZoneKeys
from zone_signer.keyset import KeySet
from zone_signer.leases import Lease
from zone_signer.plan import NEVER
from zone_signer.portion import Portion
from zone_signer.publishing import Publication
from zone_signer.records_of_keys import UNSIGNED, KeyRecords
from zone_signer.store import Conn
from zone_signer.vault import VaultError

__all__ = ["NEVER", "publish_home", "publish_registry", "show_copy"]


async def publish_registry(
    conn: Conn, registry: Lease, changes: Sequence[RRsetChange], ring: KeyRing, now: int
) -> Publication:
    """Put *changes* into the zone of a registry that has nothing unsigned, in one edition. Raises `REFUSALS`."""
    ahead = await publishing.change(conn, registry, changes)
    if registry.denial == "none":
        return await _bare(conn, ahead, changes)
    made: Publication | None = None
    if registry.resign_at is not None:
        portion = Portion(ahead.head, frozenset(one.name for one in changes))
        made = await renewal.partial(conn, ahead, portion, registry.resign_at, ring, now)
    return made or await renewal.compared(conn, ahead, ring, now)


async def _bare(conn: Conn, zone: Lease, changes: Sequence[RRsetChange]) -> Publication:
    """Publish *changes* of a zone that is not signed: as they are."""
    owners = {zone.origin, *(one.name for one in changes)}
    shown = {(one.name, one.type): one for one in await store.published_at(conn, zone.id, owners)}
    soa = shown[zone.origin, int(Type.SOA)]
    serial = serial_next(zone.serial)
    new = SignedRRset(soa.name, soa.type, soa.ttl, (soa_with_serial(soa.rdatas[0], serial),), ())
    removed = [soa, *(shown[one.name, one.type] for one in changes if (one.name, one.type) in shown)]
    added = [new, *(SignedRRset(one.name, one.type, one.ttl, one.rdatas, ()) for one in _after(changes))]
    gone = [(one.name, one.type) for one in changes if one.after is None]
    return Publication(zone, NEVER, True, serial, tuple(removed), tuple(added), tuple(gone))


def _after(changes: Sequence[RRsetChange]) -> list[RRset]:
    return [one.after for one in changes if one.after is not None]


async def publish_home(
    conn: Conn, home: Lease, book: Book, keyset: KeySet, ring: KeyRing, now: int, *, anew: bool
) -> Publication:
    """Publish all that is stored of a home, with the keys of *keyset*; *anew*: what it shows is not ours.

    Raises `REFUSALS`.
    """
    signed = home.denial != "none"
    records = KeyRecords.of(keyset, book.keys) if signed else UNSIGNED
    wanted = dict.fromkeys((*keyset.apex, *keyset.zone)) if signed else {}
    lost = [ident for ident in wanted if ident not in book.sealed]
    if lost:
        raise VaultError(f"a key of {book.facts.name} has lost its private half; zone-signer keys says which")
    kept = Kept(tuple(book.sealed[ident] for ident in wanted), records, book.policy.name, home.keyset, 0, home.denial)
    keys: ZoneKeys = await asyncio.to_thread(ring.opened, home.origin, kept)
    stored = (await store.stored(conn, [home.id])).get(home.id, {})
    published = (await store.published(conn, [home.id]))[home.id]
    made: Publication = await asyncio.to_thread(
        renewal.whole, home, stored, published, keys, book.policy.signatures, now, anew=anew
    )
    return made


async def show_copy(conn: Conn, home: Lease) -> Publication:
    """Publish the last copy of what a home's own servers had, as it is."""
    copy = await delegations.copy_of(conn, home.id)
    places: set[tuple[Name, int]] = {(one.name, one.type) for one in copy}
    published = (await store.published(conn, [home.id]))[home.id]
    soa = next(one for one in copy if (one.name, one.type) == (home.origin, Type.SOA))
    gone = tuple(place for place in published if place not in places)
    return Publication(home, NEVER, True, soa_serial(soa.rdatas[0]), tuple(published.values()), copy, gone)
