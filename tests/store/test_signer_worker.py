"""The signer's loop on a real database: what waits is signed, what falls due is renewed, homes get their DS."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from signing import NOW, POLICY, Update, add, bare, keys_of, ought, read, validate, vault

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.dns.records import RRset, serial_newer, soa_serial
from ddns.store import editions, homes, journal, published, rrsets, zones
from ddns.store.pool import Connection
from ddns.zone.changes import ChangeSet, RRsetChange
from zone_signer import keys as public
from zone_signer import leases, portion, publishing, refresh, store, worker
from zone_signer import plan as plans
from zone_signer.keyring import KeyRing
from zone_signer.rrsig import read as read_sig
from zone_signer.worker import Sweep, Worker

DAY = 86400


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(dsn_for: Callable[[str], str], clock: Clock) -> Worker:
    """The loop, to be driven sweep by sweep."""
    return Worker(dsn_for("zone_signer"), KeyRing(vault()), clock)


async def check(admin: Connection, conn: Connection, zone_id: int, now: int = NOW) -> zones.Zone:
    """Check that the zone publishes exactly what it ought to, and that every signature validates."""
    zone = (await zones.get(admin, [zone_id]))[zone_id]
    assert await bare(conn, zone_id) == await ought(conn, zone, await keys_of(conn, zone_id))
    shown = await published.read_zone(conn, zone_id)
    assert validate(zone.origin, shown, now) > 0
    soa = next(one for one in shown if one.type == Type.SOA)
    assert soa_serial(soa.rdatas[0]) == zone.serial
    assert not zone.signed_pending
    return zone


@pytest.mark.parametrize("denial", ["nsec3", "nsec", "compact"])
@pytest.mark.parametrize("algorithm", [13, 15])
async def test_a_zone_that_waits_is_signed_and_published(admin, connected, signer, denial, algorithm):
    zone_id = await add(
        admin, "a.test.", "www 60 A 192.0.2.1", "x.y 60 A 192.0.2.2", denial=denial, algorithm=algorithm
    )
    conn = await connected("zone_signer")

    done = await signer.sweep(conn)

    assert done == Sweep(published=1)
    zone = await check(admin, conn, zone_id)
    assert (zone.edition, zone.serial) == (1, 1)
    (first,) = await editions.since(conn, zone_id, 0, 10)
    assert (first.number, first.from_serial, first.to_serial, first.removed) == (1, 1, 1, ())
    assert {(one.name, one.type) for one in first.added} == set(await bare(conn, zone_id))


async def test_servers_are_told_of_all_editions_at_once(admin, connected, signer):
    ids = [await add(admin, f"z{number}.test.") for number in range(3)]
    listening = await connected("ddns_server")
    await listening.execute("LISTEN ddns_zones")

    await signer.sweep(await connected("zone_signer"))

    told = [note.payload async for note in listening.notifies(timeout=20, stop_after=1)]
    assert told == [" ".join(f"{zone}:1" for zone in ids)]


async def test_a_zone_that_is_not_signed_is_left_alone(admin, connected, signer):
    zone_id = await add(admin, "plain.test.", denial="none")

    done = await signer.sweep(await connected("zone_signer"))

    assert done == Sweep()
    assert await published.read_zone(admin, zone_id) == []


async def test_what_was_committed_without_the_signer_is_signed_when_it_returns(admin, conn, connected, signer):
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    async with conn.transaction():
        update = await Update.make(conn, zone_id, read_at("a.test.", "new 60 A 192.0.2.9", "www 60 TXT x"))
        await update.commit(None)

    done = await signer.sweep(signing)

    assert done.published == 1
    zone = await check(admin, signing, zone_id)
    assert (zone.edition, zone.serial) == (2, 2)
    (second,) = await editions.since(signing, zone_id, 1, 10)
    assert (second.from_serial, second.to_serial) == (1, 2)
    kept = {(one.name, one.type) for one in second.added} - {(one.name, one.type) for one in second.removed}
    assert kept >= {(from_text("new.a.test."), Type.A)}


def read_at(origin: str, *lines: str) -> dict[bytes, tuple[RRset, ...]]:
    """Return the names of *lines* without the apex."""
    return {name: found for name, found in read(origin, *lines).items() if name != from_text(origin)}


async def test_a_commit_that_changes_nothing_visible_makes_no_edition(admin, conn, connected, signer):
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    async with conn.transaction():
        await (await Update.make(conn, zone_id, {})).commit(None)

    done = await signer.sweep(signing)

    assert done.published == 0
    zone = await check(admin, signing, zone_id)
    assert (zone.edition, zone.head) == (1, 2)


async def test_a_serial_that_somebody_asked_for_is_published(admin, conn, connected, signer):
    zone_id = await add(admin, "a.test.")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    async with conn.transaction():
        apex = read("a.test.", serial=77)[from_text("a.test.")]
        await (await Update.make(conn, zone_id, {from_text("a.test."): apex})).commit(None)

    await signer.sweep(signing)

    assert (await check(admin, signing, zone_id)).serial == 77


async def test_a_serial_of_zero_becomes_one(admin, connected, signer):
    zone_id = await add(admin, "a.test.")
    content = read("a.test.", serial=0)
    await rrsets.clear(admin, zone_id)
    await rrsets.fill(admin, zone_id, [one for found in content.values() for one in found])

    signing = await connected("zone_signer")

    await signer.sweep(signing)

    assert (await check(admin, signing, zone_id)).serial == 1


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(["nsec3", "nsec", "compact"], 2)))
async def test_another_kind_of_denial_replaces_the_chain_in_one_edition(admin, connected, signer, first, then):
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1", "x.y 60 A 192.0.2.2", denial=first)
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    await zones.set_denial(admin, zone_id, then, 13)
    await admin.execute("UPDATE signing SET pending = true")

    done = await signer.sweep(signing)

    assert done.published == 1
    assert (await check(admin, signing, zone_id)).edition == 2


async def test_an_import_replaces_the_zone_in_one_edition(admin, connected, signer):
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1", "cut 60 NS ns.cut", "ns.cut 60 A 192.0.2.3")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    content = read("a.test.", "mail 60 A 192.0.2.7", serial=50)
    async with admin.transaction():
        await zones.lock(admin, [zone_id])
        await rrsets.clear(admin, zone_id)
        await rrsets.fill(admin, zone_id, [one for found in content.values() for one in found])
        await admin.execute("UPDATE signing SET pending = true")

    await signer.sweep(signing)

    zone = await check(admin, signing, zone_id)
    assert (zone.edition, zone.serial) == (2, 50)


async def test_what_the_signer_makes_is_left_out_of_what_a_file_brought(admin, connected, signer):
    lines = ["@ 60 DNSKEY 257 3 13 AwEAAQ==", "@ 60 NSEC3PARAM 1 0 5 AABB", "www 60 A 192.0.2.1"]
    zone_id = await add(admin, "a.test.", *lines)
    signing = await connected("zone_signer")

    await signer.sweep(signing)

    zone = await check(admin, signing, zone_id)
    shown = {(one.name, one.type): one.rdatas for one in await published.read_zone(signing, zone_id)}
    assert shown[zone.origin, Type.DNSKEY] == (await keys_of(signing, zone_id)).dnskeys


async def test_signatures_are_renewed_before_they_end(admin, connected, signer, clock):
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    due = (await leases.find(signing, from_text("a.test."))).resign_at
    ends = min(read_sig(sig, NOW).expiration for one in await published.read_zone(signing, zone_id) for sig in one.sigs)
    assert ends - due >= 3 * DAY

    clock.now = due - 1
    assert (await signer.sweep(signing)).published == 0
    clock.now = due
    assert (await signer.sweep(signing)).published == 1

    zone = await check(admin, signing, zone_id, int(clock.now) + 8 * DAY)
    assert (zone.edition, zone.serial) == (2, 2)
    assert (await leases.find(signing, from_text("a.test."))).resign_at > due + 8 * DAY


async def test_a_zone_stays_valid_for_a_year_of_sweeps_three_days_apart(admin, connected, signer, clock):
    zone_id = await add(admin, "a.test.", *(f"h{number} 60 A 192.0.2.1" for number in range(5)))
    signing = await connected("zone_signer")
    published_editions = 0

    for _ in range(0, 365, 3):
        published_editions += (await signer.sweep(signing)).published
        clock.now += 3 * DAY
        validate(from_text("a.test."), await published.read_zone(signing, zone_id), int(clock.now))

    assert published_editions < 50


async def test_a_zone_that_servers_keep_locking_is_signed_in_its_turn(admin, conn, connected, signer):
    zone_id = await add(admin, "a.test.")
    other = await connected("ddns_server")
    busy = True

    async def keep(holder: Connection) -> None:
        while busy:
            async with holder.transaction():
                await zones.lock(holder, [zone_id])
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(keep(holder)) for holder in (conn, other)]
    await asyncio.sleep(0.1)
    done = await signer.sweep(await connected("zone_signer"))
    busy = False
    await asyncio.gather(*tasks)

    assert done.published == 1
    await check(admin, await connected("zone_signer"), zone_id)


@pytest.mark.parametrize(("cut", "pages"), [(3, 5), (2000, 400)])
async def test_a_big_zone_is_renewed_in_slices_that_are_editions_of_their_own(
    admin, conn, connected, signer, clock, monkeypatch, cut, pages
):
    """With the threshold at one record every zone is big; it stays whole and valid through two years of renewals."""
    monkeypatch.setattr(worker, "BIG", 1)
    monkeypatch.setattr(refresh, "PAGES", pages)
    monkeypatch.setattr(refresh, "SLICES", 2)
    monkeypatch.setattr(refresh, "SLICE", cut)
    monkeypatch.setattr(refresh, "PAGE", 2)
    zone_id = await add(admin, "a.test.", *(f"h{number} 60 A 192.0.2.1" for number in range(8)), "cut 60 NS ns.cut")
    signing = await connected("zone_signer")

    for turn in range(80):
        await signer.sweep(signing)
        zone = await check(admin, signing, zone_id, int(clock.now))
        leased = await leases.find(signing, zone.origin)
        ends = [
            read_sig(sig, NOW).expiration for one in await published.read_zone(signing, zone_id) for sig in one.sigs
        ]
        assert clock.now < leased.resign_at <= POLICY.due(min(ends))
        if turn % 7 == 3:
            async with conn.transaction():
                await (await Update.make(conn, zone_id, read_at("a.test.", f"t{turn} 60 A 192.0.2.1"))).commit(None)
        clock.now = max(clock.now + DAY, leased.resign_at)

    steps = await editions.since(signing, zone_id, 1, 10_000)
    assert [step.number for step in steps] == list(range(2, zone.edition + 1))
    assert all(step.from_serial + 1 == step.to_serial for step in steps)
    if cut == 3:
        assert max(len(step.added) for step in steps if step.added) <= 10


async def test_other_zones_are_signed_while_a_big_one_is_renewed(admin, connected, signer, clock, monkeypatch, caplog):
    monkeypatch.setattr(worker, "BIG", 20)
    monkeypatch.setattr(worker, "RECORDS_AT_ONCE", 20)
    monkeypatch.setattr(refresh, "SLICE", 5)
    monkeypatch.setattr(refresh, "SLICES", 1)
    monkeypatch.setattr(refresh, "PAGE", 5)
    big = await add(admin, "big.test.", *(f"h{number} 60 A 192.0.2.1" for number in range(10)))
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    clock.now += 12 * DAY
    small = await add(admin, "small.test.")

    with caplog.at_level("INFO", "zone_signer"):
        await signer.sweep(signing)

    signed = [record.args[0] for record in caplog.records if record.msg.startswith("zone.signed")]
    assert signed[:2] == ["big.test.", "small.test."]
    assert len(signed) > 3
    for zone_id in (big, small):
        await check(admin, signing, zone_id, int(clock.now))


async def test_a_big_zone_that_changes_while_it_is_looked_through_is_left_to_that_change(
    admin, conn, connected, signer, clock
):
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    leased = await leases.find(signing, from_text("a.test."))
    clock.now = leased.resign_at
    async with conn.transaction():
        await (await Update.make(conn, zone_id, read_at("a.test.", "new 60 A 192.0.2.9"))).commit(None)

    assert await refresh.refresh(signing, leased, KeyRing(vault()), int(clock.now)) is None

    assert (await signer.sweep(signing)).published == 1
    await check(admin, signing, zone_id, int(clock.now))


async def test_a_clock_before_the_last_signature_signs_nothing_and_says_why(admin, connected, signer, clock, conn):
    zone_id = await add(admin, "a.test.")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    async with conn.transaction():
        await (await Update.make(conn, zone_id, read_at("a.test.", "new 60 A 192.0.2.9"))).commit(None)
    clock.now = NOW - 2 * 3600

    done = await signer.sweep(signing)

    assert done.published == 0
    ((zone, reason),) = done.failed
    assert zone == "a.test."
    assert reason == ("the clock is 3600 s before the newest signature of a.test.; set it right, then it is signed")


async def test_a_zone_that_cannot_be_signed_does_not_hold_up_its_neighbours(admin, connected, signer):
    long = ".".join("l" * 60 for _ in range(3)) + "." + "m" * 45 + ".test."
    await add(admin, long)
    good = await add(admin, "good.test.")
    signing = await connected("zone_signer")

    done = await signer.sweep(signing)

    assert done.published == 1
    assert [reason for _, reason in done.failed] == [f"{long} is too long a name for NSEC3; sign it with --denial nsec"]
    await check(admin, signing, good)


async def test_two_signers_do_not_wait_for_each_other(admin, connected, signer, dsn_for):
    first = await add(admin, "first.test.")
    second = await add(admin, "second.test.")
    one, other = await connected("zone_signer"), await connected("zone_signer")

    async with one.transaction():
        assert [zone.id for zone in await leases.lease(one, NOW, 1)] == [first]
        done = await signer.sweep(other)

    assert done.published == 1
    await check(admin, one, second)


async def test_a_big_zone_that_is_a_little_behind_gives_the_same_zone(admin, conn, connected, signer, monkeypatch):
    """With the threshold at one record, every zone is signed by the names in its journal."""
    monkeypatch.setattr(worker, "BIG", 1)
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1", "ent.deep.er 60 A 192.0.2.2", "cut 60 NS ns.cut")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    dice = random.Random(7)
    pool = ["www", "er", "deep.er", "ent.deep.er", "cut", "ns.cut", "x.y.z", "y.z", "*.z"]
    lines = ["{} 60 A 192.0.2.{}", "{} 60 TXT t{}", "{} 60 NS ns{}.else.test."]

    for _ in range(40):
        for _ in range(dice.randrange(1, 3)):
            owner = dice.choice(pool)
            drawn = [dice.choice(lines).format(owner, dice.randrange(9)) for _ in range(dice.randrange(3))]
            after = {from_text(owner, from_text("a.test.")): (), **read_at("a.test.", *drawn)}
            async with conn.transaction():
                await (await Update.make(conn, zone_id, after)).commit(None)
        leased = await leases.find(signing, from_text("a.test."))
        assert leased.signed_head < leased.head
        await signer.sweep(signing)
        await check(admin, signing, zone_id)


@pytest.mark.parametrize("denial", ["nsec3", "nsec", "compact"])
async def test_a_zone_that_is_far_behind_is_signed_in_portions_that_are_whole_zones_each(
    admin, conn, connected, signer, monkeypatch, denial
):
    monkeypatch.setattr(worker, "BIG", 1)
    monkeypatch.setattr(portion, "NAMES", 3)
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1", "ent.deep.er 60 A 192.0.2.2", denial=denial)
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    dice = random.Random(23)
    pool = ["www", "er", "deep.er", "ent.deep.er", "cut", "ns.cut", "x.y.z", "y.z", "*.z", "z"]
    lines = ["{} 60 A 192.0.2.{}", "{} 60 TXT t{}", "{} 60 NS ns{}.else.test."]

    for _ in range(12):
        for _ in range(10):
            owner = dice.choice(pool)
            drawn = [dice.choice(lines).format(owner, dice.randrange(9)) for _ in range(dice.randrange(3))]
            after = {from_text(owner, from_text("a.test.")): (), **read_at("a.test.", *drawn)}
            async with conn.transaction():
                await (await Update.make(conn, zone_id, after)).commit(None)
        while (await leases.find(signing, from_text("a.test."))).pending:
            await signer._step(signing)
            await consistent(admin, signing, zone_id)
        await check(admin, signing, zone_id)


@pytest.mark.parametrize("denial", ["nsec3", "compact"])
async def test_empty_names_go_with_the_last_name_below_them_while_more_is_behind(
    admin, conn, connected, signer, monkeypatch, denial
):
    """What is published of an empty name is no name below the one above it."""
    monkeypatch.setattr(worker, "BIG", 1)
    monkeypatch.setattr(portion, "NAMES", 1)
    zone_id = await add(admin, "a.test.", "ent.deep.er 60 A 192.0.2.2", denial=denial)
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    name = from_text("ent.deep.er.a.test.")
    for after in ({name: ()}, read_at("a.test.", "x.y 60 A 192.0.2.3"), read_at("a.test.", "z 60 A 192.0.2.4")):
        async with conn.transaction():
            await (await Update.make(conn, zone_id, after)).commit(None)

    while (await leases.find(signing, from_text("a.test."))).pending:
        await signer._step(signing)
        await consistent(admin, signing, zone_id)

    await check(admin, signing, zone_id)


async def consistent(admin: Connection, conn: Connection, zone_id: int) -> None:
    """Check that what is published is what signing its own unsigned records would publish, whatever is stored."""
    shown = await published.read_zone(conn, zone_id)
    content: dict[bytes, tuple[RRset, ...]] = {}
    for one in shown:
        if one.type not in (Type.NSEC, Type.NSEC3, Type.NSEC3PARAM, Type.DNSKEY):
            content[one.name] = (*content.get(one.name, ()), RRset(one.name, one.type, one.ttl, one.rdatas))
    zone = (await zones.get(admin, [zone_id]))[zone_id]
    wanted = plans.desired(zone.origin, zone.denial, content, await keys_of(conn, zone_id), POLICY)
    assert {place: (rrset.ttl, rrset.rdatas, signed) for place, (rrset, signed) in wanted.items()} == {
        (one.name, one.type): (one.ttl, one.rdatas, bool(one.sigs)) for one in shown
    }
    validate(zone.origin, shown)


async def test_a_registry_that_was_filled_without_a_signer_is_never_read_as_a_whole(
    admin, conn, connected, signer, monkeypatch
):
    """Neither its first edition nor the others cost more than a portion, of its journal as of its records."""
    monkeypatch.setattr(worker, "BIG", 1)
    monkeypatch.setattr(portion, "NAMES", 20)
    most: dict[str, int] = {}
    read = store.rows_of

    async def counted(conn: Connection, query: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        rows = await read(conn, query, values)
        most[query] = max(most.get(query, 0), len(rows))
        return rows

    monkeypatch.setattr(store, "rows_of", counted)
    monkeypatch.setattr(portion, "ENTRIES", 15)
    zone_id = await add(admin, "homes.test.")
    for number in range(300):
        async with conn.transaction():
            after = read_at("homes.test.", f"h{number} 300 NS ns.else.test.", f"h{number} 300 DS 1 13 2 {'00' * 32}")
            await (await Update.make(conn, zone_id, after)).commit(None)
    signing = await connected("zone_signer")

    done = await signer.sweep(signing)

    assert done.published == math.ceil(301 / 15)
    assert max(most.values()) <= 20 * 4
    await check(admin, signing, zone_id)
    leased = await leases.find(signing, from_text("homes.test."))
    assert leased.signed_head == leased.head == 301


async def test_other_zones_are_signed_between_the_portions_of_one(admin, conn, connected, signer, monkeypatch, caplog):
    monkeypatch.setattr(worker, "BIG", 10)
    monkeypatch.setattr(worker, "RECORDS_AT_ONCE", 10)
    monkeypatch.setattr(portion, "NAMES", 2)
    big = await add(admin, "big.test.", *(f"h{number} 60 A 192.0.2.1" for number in range(5)))
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    for number in range(8):
        async with conn.transaction():
            await (await Update.make(conn, big, read_at("big.test.", f"n{number} 60 A 192.0.2.1"))).commit(None)
    small = [await add(admin, f"s{number}.test.") for number in range(3)]

    with caplog.at_level("INFO", "zone_signer"):
        await signer.sweep(signing)

    signed = [record.args[0] for record in caplog.records if record.msg.startswith("zone.signed")]
    assert signed == ["big.test.", *(f"s{number}.test." for number in range(3)), *["big.test."] * 3]
    for zone_id in (big, *small):
        await check(admin, signing, zone_id)


def test_a_portion_ends_with_an_update_and_is_taken_only_where_the_journal_tells_everything(monkeypatch):
    monkeypatch.setattr(portion, "NAMES", 3)

    def entry(seq: int, *owners: str) -> tuple[int, ChangeSet]:
        return seq, ChangeSet(tuple(RRsetChange(from_text(one), 1, None, None) for one in owners))

    def taken(*entries: tuple[int, ChangeSet]) -> tuple[int, int] | None:
        found = portion.cut(entries, 1)
        return None if found is None else (found.seq, len(found.names))

    assert taken(entry(2, "a.", "b."), entry(3, "b.", "c.")) == (3, 3)
    assert taken(entry(2, "a.", "b."), entry(3, "c.", "d.")) == (2, 2)
    assert taken(entry(2, "a.", "b.", "c."), entry(3, "d.")) == (2, 3)
    assert taken(entry(2, "a.", "b.", "c.", "d.")) is None
    assert taken(entry(3, "a.")) is None
    assert taken(entry(2, "a."), entry(4, "a.")) is None
    assert taken(entry(2, "a."), entry(3)) is None
    assert taken() is None


async def test_homes_get_their_ds_in_one_edition_of_the_registry(admin, connected, signer):
    lines = [f"h{number} 300 NS ns" for number in range(20)]
    registry = await add(admin, "homes.test.", *lines)
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    children = [await add(admin, f"h{number}.homes.test.", parent=registry) for number in range(20)]
    for child in children:
        await homes.insert(admin, child)

    done = await signer.sweep(signing)

    assert (done.published, done.delegated) == (20, 20)
    zone = await check(admin, signing, registry)
    assert zone.edition == 2
    shown = {(one.name, one.type): one for one in await published.read_zone(signing, registry)}
    for number, child in enumerate(children):
        origin = from_text(f"h{number}.homes.test.")
        (key,) = (await keys_of(signing, child)).dnskeys
        placed = shown[origin, Type.DS]
        assert (placed.ttl, placed.rdatas) == (300, (public.ds(origin, key),))
        assert placed.sigs
        assert not shown[origin, Type.NS].sigs
    (entry,) = await journal.since(admin, registry, 1, 10)
    assert (entry.seq, entry.principal, len(entry.change.changes)) == (2, "service", 20)
    assert (await signer.sweep(signing)).delegated == 0


async def test_a_home_that_is_not_delegated_or_suspended_gets_no_ds(admin, connected, signer):
    registry = await add(admin, "homes.test.", "off 300 NS ns")
    await add(admin, "nowhere.homes.test.", parent=registry)
    off = await add(admin, "off.homes.test.", parent=registry)
    await homes.insert(admin, off)
    await homes.set_state(admin, off, "suspended", "a test")
    signing = await connected("zone_signer")

    done = await signer.sweep(signing)

    assert (done.published, done.delegated) == (3, 0)
    assert not any(one.type == Type.DS for one in await published.read_zone(signing, registry))


async def test_a_ds_that_was_missed_is_found_at_the_next_start(admin, connected, signer, dsn_for, clock):
    registry = await add(admin, "homes.test.", "h 300 NS ns")
    child = await add(admin, "h.homes.test.", parent=registry)
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    for table in ("rrsets", "published_rrsets"):
        await admin.execute(f"DELETE FROM {table} WHERE zone = %s AND type = 43", (registry,))
    await admin.execute("UPDATE signing SET pending = true WHERE zone = %s", (registry,))
    assert (await signer.sweep(signing)).delegated == 0

    done = await Worker(dsn_for("zone_signer"), KeyRing(vault()), clock).sweep(signing)

    assert done.delegated == 1
    assert child
    await check(admin, signing, registry)


async def test_the_serial_wraps_past_zero(admin, conn, connected, signer):
    zone_id = await add(admin, "a.test.")
    content = read("a.test.", serial=0xFFFFFFFF)
    await rrsets.clear(admin, zone_id)
    await rrsets.fill(admin, zone_id, [one for found in content.values() for one in found])
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    async with conn.transaction():
        await (await Update.make(conn, zone_id, read_at("a.test.", "new 60 A 192.0.2.9"))).commit(None)

    await signer.sweep(signing)

    zone = await check(admin, signing, zone_id)
    assert zone.serial == 1
    assert serial_newer(1, 0xFFFFFFFF)


async def test_an_edition_that_is_too_big_is_not_kept(admin, connected, signer, monkeypatch):
    monkeypatch.setattr("zone_signer.publishing.EDITION_LIMIT", 3)
    zone_id = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")

    await signer.sweep(signing)

    assert (await check(admin, signing, zone_id)).edition == 1
    assert await editions.since(signing, zone_id, 0, 10) == []


async def test_keys_sealed_elsewhere_stop_one_zone_with_one_sentence(admin, connected, dsn_for, clock, signer):
    zone_id = await add(admin, "a.test.")
    signing = await connected("zone_signer")
    await signer.sweep(signing)
    await admin.execute("UPDATE signing SET pending = true WHERE zone = %s", (zone_id,))
    await signing.execute("UPDATE signing_keys SET sealed = sealed || '\\x00'")

    done = await Worker(dsn_for("zone_signer"), KeyRing(vault()), clock).sweep(signing)

    ((_, reason),) = done.failed
    assert "was damaged or belongs elsewhere" in reason


async def test_a_zone_that_the_database_refuses_does_not_hold_up_its_neighbours(admin, owner, connected, signer):
    ids = [await add(admin, f"z{number}.test.") for number in range(5)]
    await owner.execute(f"ALTER TABLE published_rrsets ADD CONSTRAINT not_this_one CHECK (zone <> {ids[2]})")
    signing = await connected("zone_signer")

    done = await signer.sweep(signing)

    assert done.published == 4
    ((zone, reason),) = done.failed
    assert zone == "z2.test."
    assert "not_this_one" in reason
    assert (await signer.sweep(signing)).failed == ()  # it rests


async def test_old_editions_are_forgotten_and_the_last_ones_kept(admin, owner, connected, signer):
    zone_id = await add(admin, "a.test.")
    signing = await connected("zone_signer")
    await owner.execute("UPDATE zones SET edition = 20000, serial = 20000")
    await owner.execute(
        """INSERT INTO editions (zone, number, from_serial, to_serial, removed, added, at)
           SELECT %s, number, number, number, '', '', now() - CASE WHEN number < 15000 THEN interval '8 days'
               ELSE interval '1 day' END FROM generate_series(1, 20000) AS number""",
        (zone_id,),
    )

    assert await publishing.prune_editions(signing) == 14999

    kept = await (await signing.execute("SELECT min(number), max(number) FROM editions")).fetchone()
    assert kept == (15000, 20000)
    await owner.execute("UPDATE editions SET at = now() - interval '8 days'")
    assert await publishing.prune_editions(signing) == 4901


async def test_what_is_due_is_written_as_a_time(admin, connected, signer):
    await add(admin, "a.test.")
    signing = await connected("zone_signer")
    await signer.sweep(signing)

    row = await (await signing.execute("SELECT resign_at, signed_head, pending FROM signing")).fetchone()

    assert datetime.fromtimestamp(NOW + 8 * DAY, UTC) < row[0] < datetime.fromtimestamp(NOW + 11 * DAY, UTC)
    assert row[1:] == (1, False)


async def test_the_server_never_sees_a_private_half(conn):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await conn.execute("SELECT sealed FROM signing_keys")


def test_canonical_order_of_hashed_owners_is_their_plain_order():
    origin = from_text("a.test.")
    owners = [b"\x20" + bytes(32 * [octet]) + origin for octet in b"0129abuv"]

    assert sorted(owners) == sorted(owners, key=names.order_key)
