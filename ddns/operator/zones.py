"""Zones: add one with SOA and NS, bring one in from a file, write one out, remove one; its DS, its state."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import AsyncIterator, Sequence

import msgspec
from psycopg import errors

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset, soa_with_serial
from ddns.dns.zonefile import ZoneText
from ddns.operator import words
from ddns.operator.change import Change, Conn, NewZone, create, difference, digest_of, write
from ddns.operator.compact import check_denial
from ddns.operator.fault import CannotDo
from ddns.store import delegations, notify, published, rrsets, signing, zones
from ddns.store.zones import Zone
from ddns.zone.ds import ds_rdata
from ddns.zone.hand import State

TTL = 3600  # seconds, of the records of a new zone
NEGATIVE_TTL = 300  # seconds (RFC 2308 §5)
REFRESH, RETRY, EXPIRE = 3600, 900, 1209600  # seconds (RFC 1912 §2.2)
PAGE = 5_000  # RRsets read at once


class Written(msgspec.Struct, frozen=True):
    """What became of a zone: *zone* is its id, *state* `added`, `replaced` or `unchanged`."""

    zone: int
    state: str
    records: int


async def the_zone(conn: Conn, origin: Name) -> Zone:
    """Return the zone whose apex is *origin*. Raises `CannotDo` where there is none."""
    zone = await zones.find(conn, origin)
    if zone is None:
        raise CannotDo(f"There is no zone {names.to_text(origin)} here; `ddns zone list` shows those there are.")
    return zone


async def locked(conn: Conn, origin: Name) -> Zone:
    """Lock and return the zone whose apex is *origin*. Raises `CannotDo`."""
    found = await the_zone(conn, origin)
    held = await zones.lock(conn, [found.id])
    if found.id not in held:
        raise CannotDo(f"The zone {names.to_text(origin)} has just been removed.")
    return held[found.id]


def new_text(origin: Name, servers: Sequence[Name], mail: Name, addresses: Sequence[str]) -> ZoneText:
    """Return a zone with SOA and NS; those of *servers* that are in it get *addresses*. Raises `CannotDo`."""
    soa = servers[0] + mail + struct.pack("!5I", 1, REFRESH, RETRY, EXPIRE, NEGATIVE_TTL)
    out = [RRset(origin, Type.SOA, TTL, (soa,)), RRset.of(origin, Type.NS, TTL, servers)]
    inside = sorted({server for server in servers if names.is_subdomain(server, origin)})
    by_type: dict[int, list[Rdata]] = {}
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise CannotDo(f"{text!r} is no address; write it like 192.0.2.1 or 2001:db8::1.") from None
        by_type.setdefault(Type.A if address.version == 4 else Type.AAAA, []).append(address.packed)
    for server in inside:
        out += [RRset.of(server, rdtype, TTL, packed) for rdtype, packed in sorted(by_type.items())]
    out.sort(key=lambda one: (names.order_key(one.name), one.type))
    return ZoneText(origin, tuple(out), {}, 0, ())


async def add(conn: Conn, text: ZoneText, denial: str, algorithm: int, principal: str) -> int:
    """Add a zone with the records of *text* and return its id. Raises `CannotDo` where it exists."""
    try:
        async with conn.transaction():
            return (await create(conn, [NewZone(text, denial, algorithm)], principal))[0]
    except errors.UniqueViolation:
        raise CannotDo(
            f"The zone {names.to_text(text.origin)} exists already; `ddns zone import` replaces what is in it."
        ) from None


async def bring_in(
    conn: Conn, text: ZoneText, principal: str, denial: str | None = None, algorithm: int | None = None
) -> Written:
    """Bring a zone to what its file says: a new one, or all of an existing one in one edition.

    *denial* and *algorithm* are kept where they are None. Raises `CannotDo`.
    """
    digest = digest_of(text)
    async with conn.transaction():
        found = await zones.find(conn, text.origin)
        if found is None:
            new = NewZone(text, denial or words.DEFAULT_DENIAL, algorithm or words.DEFAULT_ALGORITHM, digest)
            return Written((await create(conn, [new], principal))[0], "added", len(text.rrsets))
        zone = await locked(conn, text.origin)
        change = await replacement(conn, zone, text, digest, denial or zone.denial, algorithm or zone.algorithm)
        if change is None:
            return Written(zone.id, "unchanged", len(text.rrsets))
        await write(conn, [change], principal)
        return Written(zone.id, "replaced", len(text.rrsets))


async def replacement(
    conn: Conn, zone: Zone, text: ZoneText, digest: bytes, denial: str, algorithm: int
) -> Change | None:
    """Return what brings the locked *zone* to *text*, signed in this way, or None where it is there already.

    Raises `CannotDo` where it may not be signed in this way, or not now.
    """
    resigned = (denial, algorithm) != (zone.denial, zone.algorithm)
    await check_denial(conn, zone, denial)
    if zone.denial not in (denial, "none"):
        await check_denied_otherwise(conn, zone, denial)
    zone = msgspec.structs.replace(zone, denial=denial, algorithm=algorithm)
    changes = difference(await rrsets.read_zone(conn, zone.id), text.rrsets)
    if denial != "none":
        return Change(zone, changes, digest, resigned) if changes or resigned else None
    shown = tuple(text.published())
    if not changes and not resigned:
        old = {(one.name, one.type): one.sigs for one in await published.read_zone(conn, zone.id)}
        if all(old.get((one.name, one.type)) == one.sigs for one in shown):
            return None
    return Change(zone, changes, digest, resigned, shown)


async def check_denied_otherwise(conn: Conn, zone: Zone, denial: str) -> None:
    """Refuse what would make a signed zone bogus, or change two things at once. Raises `CannotDo`.

    Below a secure delegation what has no signatures is bogus (RFC 4033 §5): the DS goes first, and signatures once no
    cache holds it. The signer knows when that is.
    """
    name = names.to_text(zone.origin)
    known = await signing.trust(conn, zone.id)
    if denial == "none" and known.leaving and (known.signed or known.anchored):
        raise CannotDo(
            f"{name} is on its way to lose its signatures; `zone-signer plan {name}` says when, say it again then."
        )
    if denial == "none" and known.anchored:
        raise CannotDo(
            f"{name} has a DS at its parent, so without signatures nobody would find it; say `zone-signer insecure "
            f"{name}`, and say it again when it says so."
        )
    if denial == "none" and known.signed:
        raise CannotDo(
            f"{name} is signed, and its parent may be about to say so; say `zone-signer insecure {name}`, and import "
            "again when it says so."
        )
    if known.moving:
        raise CannotDo(
            f"The keys of {name} are just being changed, and its denial of existence is not changed meanwhile; "
            f"`zone-signer plan {name}` says when they rest, say it again then."
        )


async def remove(conn: Conn, origin: Name) -> None:
    """Remove a zone that is no home's. Raises `CannotDo`."""
    try:
        async with conn.transaction():
            zone = await locked(conn, origin)
            await zones.remove(conn, zone.id)
            await notify.zones(conn, [(zone.id, None)])
            await notify.keys(conn, None)
    except errors.ForeignKeyViolation:
        raise CannotDo(
            f"The zone {names.to_text(origin)} still delegates homes; remove those first (`ddns home list`)."
        ) from None


async def export(conn: Conn, origin: Name, *, signed: bool) -> AsyncIterator[SignedRRset]:
    """Yield the zone's RRsets in canonical order, as clients wrote them or, *signed*, as they are published.

    Needs a transaction that sees one moment. Raises `CannotDo`.
    """
    zone = await the_zone(conn, origin)
    if not signed:
        async for one in rrsets.stream(conn, zone.id):
            rdatas = one.rdatas
            if one.type == Type.SOA and zone.edition:
                rdatas = (soa_with_serial(rdatas[0], zone.serial),)
            yield SignedRRset(one.name, one.type, one.ttl, rdatas)
        return
    if zone.edition == 0:
        raise CannotDo(f"The zone {names.to_text(origin)} is not signed yet; start `ddns serve`, then try again.")
    async for shown in all_published(conn, zone.id):
        yield shown


async def all_published(conn: Conn, zone: int) -> AsyncIterator[SignedRRset]:
    """Yield what *zone* publishes, a few thousand RRsets in memory at a time."""
    after: Name | None = None
    while page := await published.read_page(conn, zone, after, PAGE):
        for one in page:
            yield one
        after = page[-1].name


async def ds(conn: Conn, origin: Name) -> tuple[int, tuple[Rdata, ...]]:
    """Return the id of a zone and the DS that its parent's zone should hold (RFC 4034 §5.1.4). Raises `CannotDo`.

    While keys roll those are several, or none where the zone is to become insecure.
    """
    zone = await the_zone(conn, origin)
    if zone.denial == "none":
        raise CannotDo(f"The zone {names.to_text(origin)} is served as it is, without keys of ours; it has no DS here.")
    turning = (await delegations.read(conn, [zone.id])).get(zone.id)
    if turning is not None and turning.state is not State.HOSTED:
        text = names.to_text(origin)
        raise CannotDo(
            f"{text} has servers of its own or is on its way there or back ({turning.state}), so its DS are not those "
            f"of our keys alone; `ddns delegation show {text}` shows them."
        )
    named = await signing.named_by_the_parent(conn, zone.id)
    return zone.id, tuple(ds_rdata(origin, public) for public in named)
