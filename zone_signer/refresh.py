"""Renew the signatures of a big zone that fall due, in slices: nobody waits long for its lock, and memory stays small.

The zone is looked through without a lock, some pages at a turn. Each slice is an edition of its own, made under the
lock from what is published then; an RRset that was signed meanwhile is left alone. Nothing that is signed meanwhile
falls due before the date that the look through gives, because new signatures last longest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset
from zone_signer import keyrows, leases, publishing, renewal, store
from zone_signer.keyring import KeyRing, ZoneKeys
from zone_signer.keyrows import Whole
from zone_signer.leases import Lease
from zone_signer.plan import NEVER, Plan, due_of, soa_of
from zone_signer.policy import Policy
from zone_signer.publishing import Publication
from zone_signer.store import Conn

PAGE = 500  # RRsets that are looked at in one go: some milliseconds, for which updates wait
SLICE = 2000  # signatures in one edition
PAGES = 400  # in one turn, at most
SLICES = 4  # in one turn, and the rest of a page


class Walk(msgspec.Struct, frozen=True):
    """How far a look through a zone has come: behind which owner (an order key) and type, and what it leaves behind.

    *rest* is when the earliest of the signatures that were passed falls due, *ttl* the greatest TTL that was passed, in
    seconds. It counts for the number *keyset*: where other keys sign, it begins anew.
    """

    owner: bytes = b""
    type: int = 0
    rest: int = NEVER
    ttl: int = 0
    keyset: int = 0


class Turn(msgspec.Struct, frozen=True):
    """What a turn has *done*, and from where the next one goes on; None: the zone has been looked through."""

    done: tuple[Publication, ...]
    walk: Walk | None = None


async def refresh(conn: Conn, zone: Lease, ring: KeyRing, now: int, walk: Walk | None = None) -> Turn | None:
    """Renew what is due in *zone*, which is not locked, from *walk* on. None where something else comes first.

    A turn ends after some slices or pages, so that other zones come in between. Raises `signer.REFUSALS`.
    """
    keys = await renewal.open_keys(conn, zone, ring, now)
    if keys is None:
        async with conn.transaction():
            held = (await leases.lock(conn, [zone.id])).get(zone.id)
            if held is not None:
                await publishing.mark_pending(conn, zone.id, held.head)  # it gets keys when it is signed as a whole
        return None
    policy = ring.policies.named(keys.policy).signatures
    at = walk if walk is not None and walk.keyset == keys.keyset else Walk(keyset=keys.keyset)
    horizon = now + policy.slice
    done: list[Publication] = []
    due: list[tuple[Name, int]] = []
    for number in range(1, PAGES + 1):
        page = await store.signature_page(conn, zone.id, at.owner, at.type, PAGE)
        ended = len(page) < PAGE
        rest, ttl = at.rest, at.ttl
        for name, rdtype, its_ttl, sigs in page:
            ttl = max(ttl, its_ttl)
            when = due_of(sigs, keys.records.marks(rdtype), policy, now)
            if sigs and (when is None or when <= horizon):
                due.append((name, rdtype))
            elif sigs and when is not None:
                rest = min(rest, when)
        if len(due) >= SLICE or ended or number == PAGES:
            end = Walk(b"", 0, rest, ttl, keys.keyset) if ended else None
            made = await _renewed(conn, zone, keys, due, end, policy, now)
            if made is None:
                return None
            due.clear()
            done += made
            rest = min([rest, *(when for slice_ in made for when in _dues(slice_, keys, policy, now))])
        if ended:
            return Turn(tuple(done))
        at = Walk(names.order_key(page[-1][0]), page[-1][1], rest, ttl, keys.keyset)
        if len(done) >= SLICES:
            break
    return Turn(tuple(done), at)


async def _renewed(
    conn: Conn,
    zone: Lease,
    keys: ZoneKeys,
    due: Sequence[tuple[Name, int]],
    end: Walk | None,
    policy: Policy,
    now: int,
) -> list[Publication] | None:
    """Renew what is *due* slice by slice; None where something comes first. *end*: the whole zone was looked through.

    Then it is due when *end* says so, and all of it has the signatures of these keys.
    """
    done: list[Publication] = []
    wake = now if end is None else end.rest
    for start in range(0, max(1, len(due)), SLICE):
        last = start + SLICE >= len(due)
        async with conn.transaction():
            held = (await leases.lock(conn, [zone.id])).get(zone.id)
            if held is None or held.pending or held.denial != zone.denial or held.keyset != keys.keyset:
                return None
            places = due[start : start + SLICE]
            made = await _slice(conn, held, keys, places, wake if last else now, policy, now)
            await publishing.publish(conn, [made], now)
            if last and end is not None:
                serial = made.to_serial if made.changed else held.serial
                await keyrows.note_whole(conn, [Whole(zone.id, serial, end.ttl, policy.dnskey_ttl)], now)
        done.append(made)
        wake = min([wake, *_dues(made, keys, policy, now)])
    return done


def _dues(made: Publication, keys: ZoneKeys, policy: Policy, now: int) -> Iterator[int]:
    """Yield when each of the signatures that were made falls due."""
    for one in made.added:
        when = due_of(one.sigs, keys.records.marks(one.type), policy, now)
        if when is not None:
            yield when


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
    return await asyncio.to_thread(renewal.publication, zone, plan, keys, policy, now)


def _is_due(one: SignedRRset, keys: ZoneKeys, policy: Policy, now: int, horizon: int) -> bool:
    if not one.sigs:
        return False
    at = due_of(one.sigs, keys.records.marks(one.type), policy, now)
    return at is None or at <= horizon
