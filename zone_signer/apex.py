"""Publish new keys at the apex of a zone that is too big to be compared as a whole; the rest is signed by slices.

Law: what changes is exactly the DNSKEY RRset, CDS, CDNSKEY, the apex's denial record where types come or go, and the
SOA. All other RRsets keep their signatures until `refresh` has come by: the keys that made them are still published,
because a key never leaves before the zone is whole without it.
"""

from __future__ import annotations

import asyncio

import msgspec

from ddns.dns.codes import Type
from ddns.dns.records import RRset, SignedRRset, serial_next, soa_with_serial
from zone_signer import denial as denials
from zone_signer import renewal, shape, store
from zone_signer.chain import BrokenChain, Link
from zone_signer.keyring import ZoneKeys
from zone_signer.keyset import APEX_TYPES
from zone_signer.leases import Lease
from zone_signer.plan import NEVER, Plan, due_of
from zone_signer.policy import Policy, negative_ttl
from zone_signer.publishing import Publication
from zone_signer.store import Conn


async def publish_keys(
    conn: Conn, zone: Lease, keys: ZoneKeys, policy: Policy, now: int, *, then_all: bool
) -> Publication:
    """Publish what the locked *zone* has because of *keys*; *then_all*: the rest of it falls due at once.

    What is stored and not published yet stays so. Raises `signer.REFUSALS`.
    """
    there = await store.published_at(conn, zone.id, [zone.origin])
    owner = denials.chain_owner(zone.denial, zone.origin, zone.origin)
    rdtype = int(denials.TYPES[zone.denial])
    chain = await store.published_places(conn, zone.id, [(owner, rdtype)])
    if len(chain) != 1:
        raise BrokenChain(f"the apex of zone {zone.id} has {len(chain)} denial records")
    plan = planned(zone, there, chain[0], keys, policy, now)
    wake = now if then_all else NEVER if zone.resign_at is None else zone.resign_at
    plan = msgspec.structs.replace(plan, wake=wake)
    made = await asyncio.to_thread(renewal.publication, zone, plan, keys, policy, now)
    if not zone.pending:
        return made
    behind = msgspec.structs.replace(zone, head=zone.signed_head)
    return msgspec.structs.replace(made, zone=behind, behind=True)


def planned(
    zone: Lease, there: list[SignedRRset], chain: SignedRRset, keys: ZoneKeys, policy: Policy, now: int
) -> Plan:
    """Return what changes at the apex that publishes *there*, whose denial record is *chain*."""
    origin, records = zone.origin, keys.records
    shown = {one.type: one for one in there}
    wanted = {one.type: one for one in records.rrsets(origin, policy.dnskey_ttl)}
    sign = [one for one in wanted.values() if not _stands(one, shown.get(one.type), keys, policy, now)]
    drop = [(origin, rdtype) for rdtype in APEX_TYPES if rdtype in shown and rdtype not in wanted]
    soa = shown[Type.SOA]
    serial = serial_next(zone.serial)
    own = shape.own(tuple(RRset(one.name, one.type, one.ttl, one.rdatas) for one in there))
    types = shape.chain_types(origin, [one.type for one in own], origin, zone.denial, records.types)
    link = Link.of(zone.denial, chain, origin)
    bits = denials.bitmap(types)
    if link.bits != bits:
        ttl = negative_ttl(RRset(origin, Type.SOA, soa.ttl, soa.rdatas))
        rdata = denials.rdata_of(zone.denial, link.following, bits)
        sign.append(RRset(link.owner, denials.TYPES[zone.denial], ttl, (rdata,)))
    if sign or drop:
        sign.append(RRset(origin, Type.SOA, soa.ttl, (soa_with_serial(soa.rdatas[0], serial),)))
    places = {(one.name, one.type) for one in sign} | set(drop)
    old = tuple({(one.name, one.type): one for one in (*there, chain) if (one.name, one.type) in places}.values())
    return Plan(origin, tuple(sign), (), tuple(drop), old, spread=True)


def _stands(wanted: RRset, shown: SignedRRset | None, keys: ZoneKeys, policy: Policy, now: int) -> bool:
    """Tell whether an RRset is published as it is wanted, signed by the keys that ought to sign it."""
    return (
        shown is not None
        and (shown.ttl, shown.rdatas) == (wanted.ttl, wanted.rdatas)
        and due_of(shown.sigs, keys.records.marks(wanted.type), policy, now) is not None
    )
