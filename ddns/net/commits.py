"""The careful way to commit a batch of updates: lock, read, judge, sign and write in one transaction, then speak.

Law: nothing is answered before COMMIT (RFC 2136 §3.5). A refused update drops itself, never its
neighbours; what every update of a batch sees is what those before it left. `ddns.net.optimistic` does the same
without holding locks while it thinks, and leaves to this what it cannot do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection, Rollback

from ddns.auth import verdicts
from ddns.dns.codes import Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import rolling
from ddns.homes.enrol import enrol
from ddns.net.answers import Answer
from ddns.net.guard import Guard, followed_in
from ddns.net.judging import (
    DONE,
    Committed,
    Found,
    PublishedRows,
    Verified,
    ZoneWork,
    done_by,
    judge,
    repeated,
    with_those_above,
)
from ddns.signing.client import SignerClient
from ddns.signing.publish import Outcome, Signs, publish
from ddns.store import credentials, home_policies, leases, published, requests, rrsets, tlsa, zones
from ddns.store import grants as stored_grants
from ddns.store.standing import Shown
from ddns.store.zones import Zone
from ddns.zone import update as updates
from ddns.zone.dane import DEFAULT as DEFAULT_RULE
from ddns.zone.dane import Rule
from ddns.zone.lease import DEFAULT as DEFAULT_TERMS
from ddns.zone.lease import Leases, Terms
from ddns.zone.limits import Limits


async def _read_leases(
    conn: AsyncConnection[Any],
    batch: Sequence[Verified],
    locked: dict[int, Zone],
    mentioned: dict[int, dict[Name, None]],
    found: Found,
    shown: Shown,
) -> tuple[dict[int, Leases], dict[int, int]]:
    """Return the leases in those zones of the batch that have some, and how many records are registered there.

    What a registration had elsewhere in its zone goes or stays with it: those names are read into the other arguments.
    """
    leased = {zone for zone, row in locked.items() if row.leased}
    if not leased:
        return {}, {}
    hosts = [(one.zone, one.registration.host) for one in batch if one.registration is not None and one.zone in leased]
    registered: dict[int, int] = {}
    if hosts:
        registered = await leases.count_registered(conn, [zone for zone, _ in hosts])
        theirs = await leases.of_hosts(conn, hosts)
        more = with_those_above((zone, locked[zone].origin, (name,)) for zone, name in theirs)
        extra = [(zone, name) for zone, mine in more.items() for name in mine if name not in mentioned[zone]]
        found.update(await rrsets.read_names(conn, extra))
        shown.update(await published.read_names(conn, extra))
        for zone, name in extra:
            mentioned[zone][name] = None
    held = await leases.read_names(conn, [(zone, name) for zone in leased for name in mentioned[zone]])
    return {zone: Leases(places) for zone, places in held.items()}, registered


async def _read_guards(
    conn: AsyncConnection[Any], batch: Sequence[Verified], locked: dict[int, Zone], found: Found, rule: Rule, now: int
) -> dict[int, Guard]:
    """Return the guards of those zones whose TLSA records the batch is about; *rule* is for zones without their own."""
    wanted = [
        (one.zone, name)
        for one in batch
        if one.zone in locked and one.zone is not None
        for name, only_if_there in followed_in(one.update)
        if not only_if_there or any(rrset.type == Type.TLSA for rrset in found.get((one.zone, name), ()))
    ]
    wished = [one.zone for one in batch if one.update.dane is not None and one.zone in locked and one.zone is not None]
    ids = {*wished, *(zone for zone, _ in wanted)}
    if not ids:
        return {}
    facts, rolls = await asyncio.gather(tlsa.facts(conn, ids), tlsa.read(conn, wanted))
    guards = {}
    for zone in ids:
        known = facts[zone]
        stored = {name: pins for (its, name), pins in rolls.items() if its == zone}
        guards[zone] = Guard(
            known.rule or rule, stored, known.seen,
            serial=locked[zone].shown_serial, now=now, anchored=known.anchored, crowded=known.crowded,
        )  # fmt: skip
    return guards


async def commit_updates(
    conn: AsyncConnection[Any],
    signer: Signs,
    batch: Sequence[Verified],
    limits: Limits,
    terms: Terms = DEFAULT_TERMS,
    *,
    rule: Rule = DEFAULT_RULE,
    clock: Callable[[], float] = time.time,
) -> Committed:
    """Judge and write *batch* in one transaction, and commit it. Outages raise, and then nothing was done.

    The database is asked once for everything and told once: two ways there and back, the commit included. Zones that
    have leases take a few more, and so does what is about TLSA records. *rule* is what zones demand of these, *clock*
    gives seconds since 1970.
    """
    ids = sorted({one.zone for one in batch if one.zone is not None})
    mentioned = with_those_above((one.zone, one.update.zone, one.update.names) for one in batch if one.zone is not None)
    wanted = [(zone, name) for zone, mine in mentioned.items() for name in mine]
    async with conn.pipeline(), conn.transaction():
        # The lock goes first: what is read behind it shows what other workers committed before we got it.
        (locked, known, rooms), (live, everybody, found, shown) = await asyncio.gather(
            asyncio.gather(
                zones.lock(conn, ids),
                requests.known(conn, [(one.digest, one.expires) for one in batch]),
                home_policies.rooms(conn, ids),
            ),
            asyncio.gather(
                credentials.by_ids(conn, list({one.credential.id for one in batch}), zones=ids),
                stored_grants.for_everybody(conn, ids),
                rrsets.read_names(conn, wanted),
                published.read_names(conn, wanted),
            ),
        )
        held, registered = await _read_leases(conn, batch, locked, mentioned, found, shown)
        work = {
            zone: ZoneWork(locked[zone], mentioned[zone], found, PublishedRows(zone, shown), everybody.get(zone, ()))
            for zone in mentioned
            if zone in locked
        }
        for zone, item in work.items():
            item.leases = held.get(zone, item.leases)
            item.registered = registered.get(zone, 0)
            item.room = rooms.get(zone)
        leased = [one for one in batch if one.update.lease is not None or one.registration is not None]
        wish = {one.zone for one in leased if one.zone is not None}
        if wish:
            for zone, (lease, key_lease) in (await home_policies.lease_bounds(conn, set(work) & wish)).items():
                work[zone].terms = terms.within(lease, key_lease)
        guards = await _read_guards(conn, batch, locked, found, rule, int(clock()))
        for zone, guard in guards.items():
            work[zone].guard = guard
        judged = judge(batch, known, lambda one: live.get(one.credential.id), work, limits, terms)
        steps, entries = done_by(work)
        outcome = await publish(conn, signer, steps, entries, judged.remembered())
        changed = {zone: item.leases for zone, item in work.items() if item.leases}
        if changed:
            await leases.write(conn, changed)
        if guards:
            await _write_guards(conn, work, outcome, int(clock()))
    return Committed(judged.answers, outcome.editions)


async def _write_guards(conn: AsyncConnection[Any], work: dict[int, ZoneWork], outcome: Outcome, now: int) -> None:
    """Write what the guards remember, with the serial in which the world sees it; the signer may be behind."""
    serials = {zone: item.zone.shown_serial for zone, item in work.items() if zone not in outcome.pending}
    serials |= {one.zone: one.to_serial for one in outcome.editions}
    await tlsa.write(
        conn,
        {
            (zone, name): changed
            for zone, item in work.items()
            if item.guard is not None
            for name, changed in item.guard.changed(serials.get(zone), now).items()
        },
    )


async def commit_enrolment(conn: AsyncConnection[Any], signer: SignerClient, one: Verified, now: int) -> Committed:
    """Spend an invitation in a transaction of its own, and commit it. Outages raise, and then nothing was done."""

    async def work() -> Committed | Refusal:
        fault = updates.prescan(one.update)
        if fault is not None:
            return fault
        if not await credentials.by_ids(conn, [one.credential.id]):
            return verdicts.key_revoked(one.credential)
        done = await enrol(conn, signer, one.update, one.credential, one.digest, now)
        return done if isinstance(done, Refusal) else Committed((DONE,), done.editions, (done.home,))

    return await _commit_alone(conn, one, work)


async def commit_roll(conn: AsyncConnection[Any], signer: Signs, one: Verified, now: int) -> Committed:
    """Change a home's key in a transaction of its own, and commit it. Outages raise, and then nothing was done."""
    new = one.roll
    assert new is not None, "only such updates come here"

    async def work() -> Committed | Refusal:
        zone = await rolling.roll(conn, signer, one.update, one.credential, new, now, uuid4)
        return zone if isinstance(zone, Refusal) else Committed((DONE,), (), (one.update.zone,), (zone,))

    return await _commit_alone(conn, one, work)


async def _commit_alone(
    conn: AsyncConnection[Any], one: Verified, work: Callable[[], Awaitable[Committed | Refusal]]
) -> Committed:
    """Do *work* for one request in a transaction of its own, unless it was answered before; a refusal undoes it."""
    async with conn.transaction() as transaction:
        known = await requests.known(conn, [(one.digest, one.expires)])
        if one.digest in known:
            return Committed((repeated(known[one.digest]),))
        done = await work()
        if not isinstance(done, Refusal):
            await requests.remember(conn, [(one.digest, requests.Stored(Rcode.NOERROR, 0, ""), one.expires)])
            return done
        raise Rollback(transaction)
    return Committed((Answer.of(done),))
