"""Zones, against a real Postgres."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from rows import a, n, signed

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.store import credentials, homes, published, rrsets, signing, zones
from ddns.store.zones import Zone


async def test_a_new_zone_is_found_by_its_apex_and_by_its_id(conn):
    zone = await zones.insert(conn, n("homes.example."), "nsec3", 13)

    expected = Zone(zone, n("homes.example."), "nsec3", 13, None, 0, 0, 0)
    assert await zones.find(conn, n("homes.example.")) == expected
    assert await zones.get(conn, [zone, zone + 1]) == {zone: expected}
    assert await zones.find(conn, n("example.")) is None


async def test_a_zone_exists_once(conn):
    await zones.insert(conn, n("homes.example."), "nsec3", 13)

    with pytest.raises(psycopg.errors.UniqueViolation, match="zone_twice"):
        await zones.insert(conn, n("homes.example."), "nsec", 15)


async def test_many_zones_get_ids_in_the_order_they_were_given(conn):
    registry = await zones.insert(conn, n("example."), "nsec3", 13)
    wanted = [(n(f"h{number}.example."), "none", 13, registry) for number in (3, 1, 2)]

    made = await zones.insert_all(conn, wanted)

    found = await zones.get(conn, made)
    assert [found[zone].origin for zone in made] == [origin for origin, *_ in wanted]
    assert [zone.origin for zone in await zones.children(conn, registry)] == sorted(
        (origin for origin, *_ in wanted), key=names.order_key
    )


async def test_the_listing_is_in_canonical_order_and_knows_homes(conn, admin):
    plain = await zones.insert(conn, n("b.example."), "nsec3", 13)
    home = await zones.insert(conn, n("a.example."), "nsec3", 13)
    await homes.insert(conn, home)
    await homes.set_state(admin, home, homes.SUSPENDED, "a test")
    await signing.mark_pending(conn, {plain: 0})

    listed = await zones.listing(conn)

    assert [(zone.id, zone.home, zone.suspended, zone.signed_pending) for zone in listed] == [
        (home, True, True, False),
        (plain, False, False, True),
    ]


async def test_numbers_tell_how_far_every_zone_is(conn):
    one, other = await zones.insert_all(conn, [(n("a."), "none", 13, None), (n("b."), "none", 13, None)])

    await zones.advance(conn, [(one, 5, 3, 2026), (other, 1, 1, 4294967295)])

    assert sorted(await zones.numbers(conn)) == [(one, n("a."), 3), (other, n("b."), 1)]
    assert (await zones.get(conn, [other]))[other].serial == 4294967295


async def test_a_locked_zone_is_read_as_it_is_after_the_wait(conn, connected):
    """What another transaction committed while we waited for the lock must be seen, joined rows included."""
    zone = await zones.insert(conn, n("a."), "nsec3", 13)
    other = await connected("ddns_server")

    async with conn.transaction():
        await zones.lock(conn, [zone])

        async def wait_and_read():
            async with other.transaction():
                return await zones.lock(other, [zone])

        waiting = asyncio.ensure_future(wait_and_read())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await signing.mark_pending(conn, {zone: 6})
        await zones.advance(conn, [(zone, 7, 0, 0)])

    found = (await waiting)[zone]
    assert (found.head, found.signed_pending) == (7, True)


async def test_a_lock_leaves_rows_that_only_refer_to_the_zone_alone(conn, connected):
    zone = await zones.insert(conn, n("a."), "nsec3", 13)
    other = await connected("ddns_server")

    async with conn.transaction():
        await zones.lock(conn, [zone, zone + 1])
        await other.execute("SET lock_timeout = '1s'")
        await credentials.insert(other, n("k."), "tsig", "hmac-sha256", secret=b"sealed", grants=[Grant(zone, n("a."))])


async def test_a_removed_zone_takes_its_records_along(conn, admin, owner):
    zone, kept = await zones.insert_all(conn, [(n("a."), "none", 13, None), (n("b."), "none", 13, None)])
    for one in (zone, kept):
        await rrsets.fill(conn, one, [a("x.a.", 1)])
        await published.fill(conn, one, [signed(a("x.a.", 1))])

    assert await zones.remove(admin, zone)

    assert not await zones.remove(admin, zone)
    assert await rrsets.read_zone(conn, zone) == []
    assert await published.read_zone(conn, zone) == []
    assert await rrsets.read_zone(conn, kept) == [a("x.a.", 1)]


async def test_a_registry_is_not_removed_before_its_homes(conn, admin):
    registry = await zones.insert(conn, n("example."), "nsec3", 13)
    await zones.insert(conn, n("a.example."), "nsec3", 13, registry)

    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="registry_removed_before_its_homes"):
        await zones.remove(admin, registry)


async def test_the_lock_and_the_writes_of_a_batch_work_in_one_pipeline(conn):
    zone = await zones.insert(conn, n("a."), "nsec3", 13)

    async with conn.pipeline(), conn.transaction():
        locked = await zones.lock(conn, [zone])
        await zones.advance(conn, [(zone, locked[zone].head + 1, 1, 1)])

    assert (await zones.get(conn, [zone]))[zone].head == 1
