"""The TLSA records of this service's own TLS key, in the zone here that holds the service's name (RFC 6698, RFC 7671).

Law: only what this server has published before is ever taken away. Other servers of the same name, and people,
may have records there too.
"""

from __future__ import annotations

from collections.abc import Iterable

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.operator.change import Change, Conn, write
from ddns.operator.fault import CannotDo
from ddns.store import published, rrsets, zones
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet, RRsetChange

TTL = 300  # seconds; a roll waits for longer than twice this (RFC 7671 §8.1)
DANE_EE_SPKI_SHA256 = bytes((3, 1, 1))  # RFC 7671 §5.1: the key alone, whatever the certificate says
PRINCIPAL = "service:tls"


def owner(name: Name, port: int, protocol: str) -> Name:
    """Return the owner of the TLSA records of a service (RFC 6698 §3). Raises `names.BadName`."""
    return names.prepend(f"_{port}".encode(), names.prepend(f"_{protocol}".encode(), name))


async def keep(conn: Conn, name: Name, owners: Iterable[Name], wanted: frozenset[bytes], was: frozenset[bytes]) -> int:
    """Publish the digests *wanted* at *owners*, take those of *was* away that are not wanted, and return the zone's id.

    *name* is the server's; the zone is the longest one here above it. Nothing is written where all is as it
    should be. Returns 0 in that case. Raises `CannotDo` where no zone here can hold the records.
    """
    async with conn.transaction():
        zone = await locked_zone_of(conn, name, "TLSA records")
        keys = [(zone.id, one) for one in owners]
        found = await rrsets.read_names(conn, keys)
        changes = []
        for key in keys:
            there = {one.type: one for one in found.get(key, ())}
            if Type.CNAME in there:
                raise CannotDo(f"{names.to_text(key[1])} is an alias, which holds no TLSA; remove the alias.")
            change = _change(key[1], there.get(Type.TLSA), wanted, was)
            if change is not None:
                changes.append(change)
        if not changes:
            return 0
        await write(conn, [Change(zone, ChangeSet(tuple(changes)))], PRINCIPAL)
        return zone.id


def _change(where: Name, before: RRset | None, wanted: frozenset[bytes], was: frozenset[bytes]) -> RRsetChange | None:
    old = set() if before is None else set(before.rdatas)
    gone = {DANE_EE_SPKI_SHA256 + digest for digest in was - wanted}
    new = (old - gone) | {DANE_EE_SPKI_SHA256 + digest for digest in wanted}
    if new == old:
        return None
    return RRsetChange(where, Type.TLSA, before, RRset.of(where, Type.TLSA, TTL, sorted(new)) if new else None)


async def locked_zone_of(conn: Conn, name: Name, what: str) -> Zone:
    """Lock and return the zone here that can hold *what*, records of the server called *name*. Raises `CannotDo`."""
    above = names.suffixes(name)
    for origin in above:
        zone = await zones.find(conn, origin)
        if zone is not None:
            break
    else:
        raise CannotDo(
            f"No zone here holds {names.to_text(name)}, so no {what} of it can be published; add the zone, or "
            "publish them where it is."
        )
    below = [one for one in above if len(one) > len(zone.origin)]
    found = await rrsets.read_names(conn, [(zone.id, one) for one in below])
    if any(one.type in (Type.NS, Type.DNAME) for there in found.values() for one in there):
        raise CannotDo(
            f"{names.to_text(name)} is delegated to other servers by {names.to_text(zone.origin)}; publish its "
            f"{what} there."
        )
    apex = (await published.read_names(conn, [(zone.id, zone.origin)])).get((zone.id, zone.origin), ())
    if zone.denial == "none" and any(one.sigs for one in apex):
        raise CannotDo(
            f"The zone {names.to_text(zone.origin)} is signed elsewhere; publish the {what} of "
            f"{names.to_text(name)} there."
        )
    held = await zones.lock(conn, [zone.id])
    if zone.id not in held:
        raise CannotDo(f"The zone {names.to_text(zone.origin)} has just been removed.")
    return held[zone.id]
