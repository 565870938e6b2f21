"""Who hears of what was seen, how much is asked and how often, and who asks."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nameservers import refuses, serves, silent
from secondary import until
from twisted.logger import formatEvent, globalLogPublisher
from watched import DS, NS1, ORIGIN, World, shows

from ddns.dns import names
from ddns.store import sightings
from ddns.watch import watcher as watching
from ddns.watch.watcher import Watcher


@pytest.fixture
def world(dsn_for, admin, owner, conn):
    """A world with the usual limits."""
    return World(dsn_for, admin, owner, conn)


async def test_the_signer_hears_what_is_news_and_nothing_else(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=43)
    listening = await world.listen()
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        await world.look()
        assert await world.stepped(zone)  # asked for the first time since it matters

        await world.look_anew()
        assert not await world.stepped(zone)

        server.answer = serves(ORIGIN, 43)
        await world.look_anew()
        assert await world.stepped(zone)

    assert await listening() == 2


async def test_a_zone_that_somebody_holds_is_told_of_later(world, connected):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.key(zone, "dnskey", zone, serial=42)
    holder = await connected("zone_signer")
    async with holder.transaction():
        await holder.execute("SELECT FROM signing WHERE zone = %s FOR UPDATE", [zone])
        assert await world.look() == 0.0

    await world.look()

    assert await world.stepped(zone)


async def test_what_a_parent_shows_is_news_though_nothing_waits_for_it(world):
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_servers=[f"{NS1}:{world.port}"])
    async with world.server(NS1, shows(DS)) as server:
        await world.walk()
        assert await world.stepped(zone)

        for _ in range(watching.PARENTS_EVERY):
            await world.walk()
        assert not await world.stepped(zone)

        server.answer = shows()
        for _ in range(watching.PARENTS_EVERY):
            await world.walk()
        assert await world.stepped(zone)

    assert server.names("DS") == [ORIGIN] * 3


async def test_zones_at_rest_are_looked_at_in_turn(world, monkeypatch):
    monkeypatch.setattr(watching, "AT_ONCE", 2)
    monkeypatch.setattr(sightings, "SCANNED", 4)
    found = [await world.zone(f"z{number}.example.") for number in range(7)]
    await world.zone("plain.example.")
    await world.owner.execute(
        "UPDATE zones SET denial = 'none' WHERE origin = %s", [names.order_key(names.from_text("plain.example."))]
    )
    await world.zone("home.z1.example.", parent=found[1])

    await world.walk()

    cursor = await world.owner.execute("SELECT DISTINCT zone FROM sightings WHERE kind = 'secondary' ORDER BY zone")
    assert [row[0] for row in await cursor.fetchall()] == found


async def test_tlsa_records_that_come_are_looked_for_and_settled_with_what_was_seen(world):
    """By whoever keeps their books; the signer has nothing to do with it."""
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.owner.execute(
        """INSERT INTO tlsa_rolls (zone, owner, rdata, phase, since, serial, ttl)
           VALUES (%s, 'owner', 'rdata', 'published', to_timestamp(%s), 42, 60)""",
        [zone, world.now],
    )
    settled = []

    async def settle(conn: Any, now: int, looked: Any) -> None:
        settled.append((conn, now, set(looked)))

    world.watcher = Watcher(world.dsn, world.limits, lambda: world.now, settle)
    async with world.server(NS1, serves(ORIGIN, 42)):
        await world.look()
        await world.look()

    assert (await world.said(zone))[NS1].serial == 42
    assert settled == [(world.conn, int(world.now), {zone}), (world.conn, int(world.now), set())]
    assert not await world.stepped(zone)


async def test_no_more_questions_are_under_way_than_the_settings_allow(dsn_for, admin, owner, conn):
    world = World(dsn_for, admin, owner, conn, at_once=3, timeout=5.0)
    for number in range(12):
        zone = await world.zone(f"z{number}.example.")
        await world.policy(zone, watch="targets")
        await world.target(zone, NS1)
        await world.key(zone, "dnskey", zone, serial=42)

    async with world.server(NS1, refuses) as server:
        server.delay = 0.02
        await world.look()

    assert len(server.heard) == 12
    assert server.most == 3


async def test_a_dead_server_costs_a_few_waits_and_not_one_for_each_zone(dsn_for, admin, owner, conn):
    world = World(dsn_for, admin, owner, conn, at_once=1, timeout=0.05)
    found = []
    for number in range(8):
        found.append(await world.zone(f"z{number}.example."))
        await world.policy(found[-1], watch="targets")
        await world.target(found[-1], NS1)
        await world.key(found[-1], "dnskey", found[-1], serial=42)

    async with world.server(NS1, silent) as server:
        await world.look()

    assert len(server.heard) == 3
    assert {(await world.said(zone))[NS1].problem for zone in found} == {"does not answer"}


async def test_homes_that_nobody_came_to_ask_about_in_time_are_asked_about_first_in_the_next_round(world, monkeypatch):
    """What owners list, and what of it is dead, keeps no registry waiting."""
    zone = await world.zone()
    home = await world.zone(f"smith.{ORIGIN}", parent=zone)
    for one in (zone, home):
        await world.policy(one, watch="targets")
        await world.key(one, "dnskey", one, serial=42)
    await world.target(zone, NS1)
    await world.target(zone, NS1, homes=True)
    monkeypatch.setattr(watching, "LONGEST_ROUND", -1.0)

    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        assert await world.look() == 0.0
        assert (len(server.heard), await world.said(home)) == (1, {})
        assert (await world.said(zone))[NS1].serial == 42

        monkeypatch.undo()
        assert await world.look() > 0.0
        assert len(server.heard) == 2
    assert NS1 in await world.said(home)


async def test_what_is_waited_for_long_is_looked_at_less_often(dsn_for, admin, owner, conn):
    world = World(dsn_for, admin, owner, conn, every=60.0, fast=5.0)
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    key = await world.key(zone, "dnskey", zone, serial=42)

    for age, wait in ((0, 5.0), (40, 10.0), (4000, 60.0), (86400, 60.0), (86401, 3600.0)):
        await world.owner.execute(
            "UPDATE key_motions SET since = to_timestamp(%s) WHERE key = %s", [world.now - age, key]
        )
        world.watcher._looked.clear()
        await world.owner.execute("UPDATE signing SET step_at = NULL")

        await world.look()
        (one,) = await sightings.waiting(world.conn)
        due = world.watcher._due_at((zone, sightings.SECONDARY), one) - world.watcher._time()
        assert wait - 1.0 < due <= wait


async def test_who_has_waited_long_does_not_take_the_turn_of_who_was_not_looked_at_yet(world, monkeypatch):
    monkeypatch.setattr(watching, "AT_ONCE", 1)
    old, new = [await world.zone(f"{label}.example.") for label in "ab"]
    for zone, since in ((old, world.now - 1000), (new, world.now)):
        await world.policy(zone, watch="targets")
        await world.target(zone, NS1)
        await world.key(zone, "dnskey", zone, serial=43, since=since)
    world.watcher._looked[old, sightings.SECONDARY] = watching._Looked(world.watcher._time() - 500, world.now - 1000)

    async with world.server(NS1, serves("b.example.", 42)):
        await world.look()

    assert await world.said(new)
    assert not await world.said(old)


async def test_something_new_is_looked_at_at_once(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=42)
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        await world.look()
        await world.look()
        assert len(server.heard) == 1

        world.now += 1
        await world.key(zone, "zrrsig", zone, serial=43)
        await world.look()
        assert len(server.heard) == 2


async def test_one_process_of_all_watches_and_another_takes_over(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    others = [Watcher(world.dsn, world.limits, time.time) for _ in range(3)]
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        for one in others:
            one.start()
        try:
            await world.key(zone, "dnskey", zone, serial=43)
            await world.owner.execute("SELECT pg_notify('ddns_watch', '')")
            first = await until(lambda: [one for one in others if one.counted])
            assert len(first) == 1
            await first[0].close()

            second = await until(lambda: [one for one in others if one.counted and one is not first[0]])
            assert len(second) == 1
        finally:
            for one in others:
                await one.close()
        assert len(server.heard) == sum(one.counted.total() for one in others)


async def test_the_watch_outlives_its_connection(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    one = Watcher(world.dsn, world.limits, time.time)
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        one.start()
        try:
            await world.key(zone, "dnskey", zone, serial=43)
            await world.owner.execute("SELECT pg_notify('ddns_watch', '')")
            await until(lambda: server.heard)

            await world.owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            await until(lambda: len(server.heard) > 1)
        finally:
            await one.close()


async def test_who_is_away_is_said_once_for_all_zones_and_a_wrong_answer_for_each(dsn_for, admin, owner, conn):
    said: list[tuple[str, str]] = []

    def observer(event: dict[str, Any]) -> None:
        if event.get("log_namespace") == "ddns.watch":
            said.append((event["log_format"].split()[0], formatEvent(event).split(" ", 1)[1]))

    world = World(dsn_for, admin, owner, conn, timeout=0.5)
    found = [await world.zone(f"{name}.example.") for name in "ab"]
    for zone in found:
        await world.policy(zone, watch="targets")
        await world.target(zone, NS1)
        await world.key(zone, "dnskey", zone, serial=42)
    globalLogPublisher.addObserver(observer)
    try:
        async with world.server(NS1, silent) as server:
            for answer in (silent, silent, refuses, refuses, serves("a.example.", 42)):
                server.answer = answer
                await world.look_anew()
    finally:
        globalLogPublisher.removeObserver(observer)

    where = f"from={NS1}:{world.port}"
    assert sorted(said) == sorted(
        [
            ("watch.no_answer", f"{where} kind=secondary zone=a.example. problem=does not answer"),
            ("watch.no_answer", f"{where} kind=secondary zone=a.example. problem=answers REFUSED"),
            ("watch.no_answer", f"{where} kind=secondary zone=b.example. problem=answers REFUSED"),
            ("watch.answers_again", f"{where} zone=a.example."),
        ]
    )


async def test_what_fails_to_use_what_was_seen_does_not_end_the_watch(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=42)

    async def settle(*_: Any) -> None:
        raise ValueError("no")

    world.watcher = Watcher(world.dsn, world.limits, lambda: world.now, settle)
    async with world.server(NS1, serves(ORIGIN, 42)):
        await world.look()

    assert (await world.said(zone))[NS1].serial == 42
