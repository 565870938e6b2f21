"""Renew the signatures of a big zone that fall due, in slices: nobody waits long for its lock, and memory stays small.

The zone is looked through without a lock. Each slice is an edition of its own, made under the lock from what is
published then; an RRset that was signed meanwhile is left alone. Nothing that is signed meanwhile falls due before the
date that the look through gives, because new signatures last longest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset
from zone_signer import leases, publishing, renewal, store
from zone_signer.keyring import KeyRing, ZoneKeys
from zone_signer.leases import Lease
from zone_signer.plan import NEVER, Plan, due_of, soa_of
from zone_signer.policy import Policy
from zone_signer.publishing import Publication
from zone_signer.store import Conn

PAGE = 2000  # RRsets that are looked at in one go
SLICE = 2000  # signatures in one edition


class Look(msgspec.Struct, frozen=True):
    """What a look through a zone found: what is due, and when the earliest of the rest is."""

    due: tuple[tuple[Name, int], ...]
    rest: int


async def look(conn: Conn, zone: Lease, keys: ZoneKeys, policy: Policy, now: int) -> Look:
    """Find what is due in *zone*, or falls due within the policy's slice."""
    horizon = now + policy.slice
    due: list[tuple[Name, int]] = []
    rest = NEVER
    async for page in store.signature_pages(conn, zone.id, PAGE):
        for name, rdtype, sigs in page:
            if not sigs:
                continue
            at = due_of(sigs, keys.marks, policy, now)
            if at is None or at <= horizon:
                due.append((name, rdtype))
            else:
                rest = min(rest, at)
        await asyncio.sleep(0)
    return Look(tuple(due), rest)


async def refresh(conn: Conn, zone: Lease, ring: KeyRing, policy: Policy, now: int) -> list[Publication] | None:
    """Renew what is due in *zone*, which is not locked. None where something else comes first: look at it again.

    Raises `signer.REFUSALS`.
    """
    keys = await renewal.open_keys(conn, zone, ring, now)
    if keys is None:
        async with conn.transaction():
            if await leases.lock(conn, [zone.id]):
                await publishing.mark_pending(conn, zone.id)  # it gets its key when it is signed as a whole
        return None
    seen = await look(conn, zone, keys, policy, now)
    rest = seen.rest
    done: list[Publication] = []
    for start in range(0, max(1, len(seen.due)), SLICE):
        places = seen.due[start : start + SLICE]
        last = start + SLICE >= len(seen.due)
        async with conn.transaction():
            held = (await leases.lock(conn, [zone.id])).get(zone.id)
            if held is None or held.pending or held.denial != zone.denial:
                return None
            made = await _slice(conn, held, keys, places, rest if last else now, policy, now)
            await publishing.publish(conn, [made])
        done.append(made)
        dues = (due_of(one.sigs, keys.marks, policy, now) for one in made.added)
        rest = min([rest, *(at for at in dues if at is not None)])
    return done


async def _slice(
    conn: Conn,
    zone: Lease,
    keys: ZoneKeys,
    places: Sequence[tuple[Name, int]],
    wake: int,
    policy: Policy,
    now: int,
) -> Publication:
    apex = (zone.origin, int(Type.SOA))
    there = await store.published_places(conn, zone.id, [*(place for place in places if place != apex), apex])
    horizon = now + policy.slice
    old = [one for one in there if (one.name, one.type) != apex and _is_due(one, keys, policy, now, horizon)]
    soa_there = next((one for one in there if (one.name, one.type) == apex), None)
    if not old and apex not in places:
        return Publication(zone, wake)
    stored = (await store.stored_at(conn, zone.id, [zone.origin])).get(zone.origin, ())
    soa = renewal.next_soa(zone, soa_of(stored, zone.origin), changed=True)
    sign = [RRset(one.name, one.type, one.ttl, one.rdatas) for one in old]
    plan = Plan(
        zone.origin,
        sign=(*sign, soa),
        old=(*old, soa_there) if soa_there else tuple(old),
        wake=wake,
        spread=True,
    )
    return await asyncio.to_thread(renewal.publication, zone, plan, keys, (), policy, now)


def _is_due(one: SignedRRset, keys: ZoneKeys, policy: Policy, now: int, horizon: int) -> bool:
    if not one.sigs:
        return False
    at = due_of(one.sigs, keys.marks, policy, now)
    return at is None or at <= horizon
