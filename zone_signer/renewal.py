"""One signing run for one zone outside an update: bring what is published to what is stored, and renew what is due.

`whole` compares all of a zone; `partial` looks only at the names that the journal says have changed since, and asks
the database for the little else that it needs. Both give the same zone. The zone is locked by the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset, serial_newer, serial_next, soa_serial, soa_with_serial
from ddns.zone import compact
from ddns.zone.jobs import Node, SignJob
from zone_signer import plan as plans
from zone_signer import store
from zone_signer.change import Change
from zone_signer.first_keys import FirstKeys
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyring import Kept, KeyRing, ZoneKeys
from zone_signer.leases import Lease
from zone_signer.plan import Plan, Published, Records, soa_of
from zone_signer.policy import Policy
from zone_signer.portion import Portion
from zone_signer.publishing import Publication
from zone_signer.records_of_keys import KeyRecords
from zone_signer.sign import carry_out, check_clock
from zone_signer.store import Conn
from zone_signer.vault import VaultError


def next_soa(zone: Lease, soa: RRset, *, changed: bool) -> RRset:
    """Return the SOA that is published next.

    Its serial is one more, or what was asked for where that is newer; the first edition's is the one asked for
    (never 0). Where nothing has *changed* and nothing newer is asked for, it is the one that is published.
    """
    asked = soa_serial(soa.rdatas[0])
    if zone.edition == 0:
        serial = asked or 1
    elif serial_newer(asked, zone.serial):
        serial = asked
    else:
        serial = serial_next(zone.serial) if changed else zone.serial
    return RRset(soa.name, soa.type, soa.ttl, (soa_with_serial(soa.rdatas[0], serial),))


def _with_soa(apex: tuple[RRset, ...], soa: RRset) -> tuple[RRset, ...]:
    return tuple(soa if one.type == Type.SOA else one for one in apex)


def keys_of(zone: Lease, kept: Kept, ring: KeyRing) -> ZoneKeys:
    """Return the opened keys of *zone*, *kept* as its row has them. Raises `VaultError`."""
    return ring.get(zone.id, zone.origin, kept.keyset) or ring.open(zone.id, zone.origin, kept)


def plan_whole(
    zone: Lease,
    records: Records,
    keys: KeyRecords,
    published: Published,
    policy: Policy,
    now: int,
) -> Plan:
    """Plan the run by comparing everything; a plan that does anything else also publishes a new SOA."""
    apex = records.get(zone.origin, ())
    asked = soa_of(apex, zone.origin)
    same = next_soa(zone, asked, changed=False)
    plan = plans.whole(
        zone.origin,
        zone.denial,
        {**records, zone.origin: _with_soa(apex, same)},
        keys,
        published,
        policy,
        now,
    )
    if zone.edition == 0 or not (plan.sign or plan.bare or plan.drop):
        return plan
    soa = next_soa(zone, asked, changed=True)
    place = zone.origin, int(Type.SOA)
    there = published.get(place)
    old = tuple(one for one in plan.old if (one.name, one.type) != place)
    old = (*old, there) if there else old
    if zone.denial == "none":
        bare = tuple(one for one in plan.bare if (one.name, one.type) != place)
        return msgspec.structs.replace(plan, bare=(*bare, soa), old=old)
    sign = tuple(one for one in plan.sign if (one.name, one.type) != place)
    return msgspec.structs.replace(plan, sign=(*sign, soa), old=old)


def whole(
    zone: Lease, records: Records, published: Published, keys: ZoneKeys, policy: Policy, now: int, *, anew: bool = False
) -> Publication:
    """Do the run by comparing everything; *anew*: all signatures are made again, whatever the clock said before.

    Raises what `signer.REFUSALS` lists.
    """
    if not anew:
        check_clock(zone.origin, plans.newest_inception(published, now), now)
    seen = {place: SignedRRset(one.name, one.type, one.ttl, one.rdatas) for place, one in published.items()}
    plan = plan_whole(zone, records, keys.records, seen if anew else published, policy, now)
    if anew:
        old = tuple(published[one.name, one.type] for one in plan.old)
        plan = msgspec.structs.replace(plan, old=old)
    made = publication(zone, plan, keys, policy, now)
    greatest = max([one.ttl for one in published.values()] + [one.ttl for one in (*plan.sign, *plan.bare)])
    return msgspec.structs.replace(made, ttls=(greatest, policy.dnskey_ttl))


def first_whole(zone: Lease, records: Records, ring: KeyRing, policy: KeyPolicy, now: int) -> Publication:
    """Do the first run of a zone that nobody has seen yet, with keys that are made for it. Raises `REFUSALS`."""
    is_home = zone.parent is not None
    first = FirstKeys.make(ring.vault, zone.origin, zone.algorithm, policy, now, is_home=is_home)
    made = whole(zone, records, {}, first.keys, policy.signatures, now)
    return msgspec.structs.replace(made, keys=first.sealed)


async def compared(conn: Conn, zone: Lease, ring: KeyRing, now: int) -> Publication:
    """Do the run for a locked zone by comparing everything. Raises `REFUSALS`."""
    keys = await open_keys(conn, zone, ring, now)
    if keys is None:
        raise VaultError(f"{names.to_text(zone.origin)} has no key that signs it; zone-signer keys shows what it has")
    records = (await store.stored(conn, [zone.id])).get(zone.id, {})
    published = (await store.published(conn, [zone.id]))[zone.id]
    policy = ring.policies.named(keys.policy).signatures
    return await asyncio.to_thread(whole, zone, records, published, keys, policy, now)


async def open_keys(conn: Conn, zone: Lease, ring: KeyRing, now: int) -> ZoneKeys | None:
    """Return the zone's keys, None where none signs it, after a look at the clock. Raises `REFUSALS`."""
    kept = (await store.keys_kept(conn, [zone.id], now)).get(zone.id)
    if kept is None:
        return None
    keys = keys_of(zone, kept, ring)
    check_clock(zone.origin, max(keys.newest, kept.newest), now)
    return keys


def publication(zone: Lease, plan: Plan, keys: ZoneKeys, policy: Policy, now: int) -> Publication:
    """Carry out *plan*, which publishes a SOA if it does anything."""
    if not (plan.sign or plan.bare or plan.drop):
        return Publication(zone, plan.wake)
    done = carry_out(plan, keys, policy, now)
    keys.newest = max(keys.newest, now - policy.backdate)
    soa = next(one for one in done.added if one.type == Type.SOA and one.name == zone.origin)
    return Publication(
        zone, done.resign_at, True, soa_serial(soa.rdatas[0]), plan.old, done.added, plan.drop
    )  # fmt: skip


async def first(
    conn: Conn, zone: Lease, portion: Portion, ring: KeyRing, policy: KeyPolicy, now: int
) -> Publication | None:
    """Do the first run of a zone for a *portion* of its journal. None where that is not possible: compare the whole."""
    records = await store.stored_at(conn, zone.id, portion.names)
    if not any(one.type == Type.SOA for one in records.get(zone.origin, ())):
        return None
    made = await asyncio.to_thread(first_whole, zone, records, ring, policy, now)
    return _up_to(portion, made)


async def partial(
    conn: Conn, zone: Lease, portion: Portion, resign_at: int, ring: KeyRing, now: int
) -> Publication | None:
    """Do the run for a *portion* of the journal alone. None where that is not possible: then compare the whole."""
    keys = await open_keys(conn, zone, ring, now)
    if keys is None:
        return None
    policy = ring.policies.named(keys.policy).signatures
    wanted = {zone.origin, *portion.names}
    above = {name for one in wanted for name in names.ancestors(one, zone.origin)} - wanted
    near = await store.published_at(conn, zone.id, wanted | above)
    there = [one for one in near if one.name in wanted]
    if not await _signed_like_that(conn, zone, keys, there):
        return None
    behind = portion.seq < zone.head
    after = await store.stored_at(conn, zone.id, wanted if behind else wanted | above)
    if behind:  # of all other names, what is stored may be ahead of what this edition shows
        after |= _records_of([one for one in near if one.name in above])
    apex = after.get(zone.origin, ())
    after[zone.origin] = _with_soa(apex, next_soa(zone, soa_of(apex, zone.origin), changed=True))
    # Thousands of names are worked out in a thread, so that servers are answered meanwhile.
    change = await asyncio.to_thread(lambda: Change(_job(zone, wanted, above, after, there), keys.records.types))
    while asked := await asyncio.to_thread(change.questions):
        if asked.everything:
            return None
        (answers,) = await store.answers(conn, [(zone.id, zone.denial, asked)], as_published=behind)
        await asyncio.to_thread(change.learn, asked, answers)
    plan = await asyncio.to_thread(change.plan)
    places = {(one.name, one.type) for one in (*plan.sign, *plan.bare)} | set(plan.drop)
    known = {(one.name, one.type) for one in plan.old}
    old = tuple(one for one in there if (one.name, one.type) in places - known)
    if places == {(zone.origin, Type.SOA)} and _asks_nothing(zone, apex, there):
        return _up_to(portion, Publication(zone, resign_at))
    # Thousands of signatures that are made together do not end together.
    plan = msgspec.structs.replace(plan, old=(*plan.old, *old), wake=resign_at, spread=True)
    return _up_to(portion, await asyncio.to_thread(publication, zone, plan, keys, policy, now))


def _up_to(portion: Portion, made: Publication) -> Publication:
    """Return *made* as what brings its zone to the end of *portion*, which need not be all that there is."""
    at = msgspec.structs.replace(made.zone, head=portion.seq)
    return msgspec.structs.replace(made, zone=at, behind=portion.seq < made.zone.head)


async def _signed_like_that(conn: Conn, zone: Lease, keys: ZoneKeys, there: list[SignedRRset]) -> bool:
    """Tell whether the apex, among what is published *there*, is signed by these keys with this kind of denial."""
    apex = {one.type: one.rdatas for one in there if one.name == zone.origin}
    return (
        keys.records.are_shown(apex)
        and (Type.NSEC3PARAM in apex) == (zone.denial == "nsec3")
        and await _is_compact(conn, zone, apex) == (zone.denial == compact.DENIAL)
    )


async def _is_compact(conn: Conn, zone: Lease, apex: Mapping[int, tuple[Rdata, ...]]) -> bool:
    """Tell whether what is published of *zone*, with *apex* for its apex, denies compactly."""
    name, chain = zone.origin, apex.get(Type.NSEC, ())
    while chain and compact.may_be_compact(name, chain[0]):
        name = compact.successor(name, zone.origin)
        follows = await store.published_at(conn, zone.id, {name})
        if not follows:
            return True  # a chain of names that exist would not lead to it
        chain = next((one.rdatas for one in follows if one.type == Type.NSEC), ())
    return False


def _job(
    zone: Lease, wanted: set[Name], above: set[Name], after: dict[Name, tuple[RRset, ...]], there: list[SignedRRset]
) -> SignJob:
    """Return the job that a server would have made: what is published is what was, what is stored is what is."""
    before = _records_of(there)
    return SignJob(
        zone.id,
        zone.origin,
        zone.denial,
        zone.algorithm,
        tuple(Node(name, before.get(name, ()), after.get(name, ())) for name in wanted),
        tuple((name, tuple(one.type for one in after.get(name, ()))) for name in above),
    )


def _records_of(shown: Sequence[SignedRRset]) -> dict[Name, tuple[RRset, ...]]:
    found: dict[Name, tuple[RRset, ...]] = {}
    for one in shown:
        found[one.name] = (*found.get(one.name, ()), RRset(one.name, one.type, one.ttl, one.rdatas))
    return found


def _asks_nothing(zone: Lease, apex: tuple[RRset, ...], there: list[SignedRRset]) -> bool:
    """Tell whether the SOA that is stored differs from the published one in nothing but an older serial."""
    same = next_soa(zone, soa_of(apex, zone.origin), changed=False)
    return any(
        (one.name, one.type, one.ttl, one.rdatas) == (same.name, same.type, same.ttl, same.rdatas) for one in there
    )
