"""What the short way judges by, of large zones and of those that are signed anew, and whom it tells."""

from __future__ import annotations

import asyncio

import craft
import pytest
from committing import FOLLOWER, House

from ddns.answer.window import Window
from ddns.dns import names
from ddns.dns.codes import Rcode, Type
from ddns.store import followers, published, zones


@pytest.fixture
def house(dsn_for, tmp_path):
    return House(dsn_for, tmp_path / "house")


async def look_through_a_window(house: House) -> None:
    """Have the worker look at the zone as it looks at one that is too large for its memory."""
    row = await house.row()
    apex = (await published.read_names(house.admin, [(house.zone, craft.ORIGIN)]))[house.zone, craft.ORIGIN]
    house.worker.table.install(Window(house.zone, craft.ORIGIN, row.edition, apex))


async def test_what_is_not_in_a_window_is_there_all_the_same(house):
    """A name that a worker does not hold is not taken for one that does not exist."""
    async with house:
        await look_through_a_window(house)

        (kept,) = await house.send(
            house.signed(craft.add("new", 300, "A", "192.0.2.1"), needs=[craft.absent("a")], ident=1)
        )
        (gone,) = await house.send(house.signed(craft.delete("gone", "ANY"), ident=2))
        (added,) = await house.send(house.signed(craft.add("a", 300, "A", "192.0.2.77"), ident=3))

        assert [one.rcode() for one in (kept, gone, added)] == [Rcode.YXDOMAIN, Rcode.NOERROR, Rcode.NOERROR]
        records = {(row[1], row[2]): row[4] for row in (await house.rows())["records"]}
        assert not [owner for owner, _ in records if b"\0new\0" in owner or b"\0gone\0" in owner]
        assert len(records[names.order_key(craft.name("a")), Type.A]) == 2
        assert await house.validate() > 10


@pytest.mark.parametrize(("before", "after"), [("nsec", "nsec3"), ("nsec3", "nsec")])
async def test_a_zone_that_is_signed_another_way_now_is_not_signed_as_it_was(dsn_for, tmp_path, before, after):
    """The worker knew how the zone was denied before; nobody told it that this has changed."""
    async with House(dsn_for, tmp_path / "house", denial=before) as house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        await zones.set_denial(house.admin, house.zone, after, 13)
        await house.admin.execute("UPDATE signing SET pending = true")
        await house.running.worker.sweep(house.admin)
        await house.worker.subscriber.catch_up([house.zone])

        (reply,) = await house.send(house.signed(craft.add("new.deep", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == Rcode.NOERROR
        assert not (await house.row()).signed_pending
        shown = {row[2] for row in (await house.rows())["shown"]}
        assert (Type.NSEC in shown, Type.NSEC3 in shown) == (after == "nsec", after == "nsec3")
        assert await house.validate() > 10


async def test_a_backup_holds_up_neither_who_enters_nor_the_updates(house, connected):
    """It reads every table for as long as it takes, and whoever locked one for themselves would wait for its end."""
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        backup, feed = await connected("owner"), await connected("ddns_server")
        async with backup.transaction():
            await backup.execute("LOCK TABLE followers IN ACCESS SHARE MODE")  # as pg_dump does it

            async with asyncio.timeout(30):
                await followers.enter(feed, FOLLOWER + 1)
                (reply,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == Rcode.NOERROR


async def test_a_commit_during_which_somebody_enters_among_the_followers_waits_and_tells_them(house, connected):
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        feed = await connected("ddns_server")
        await feed.execute("LISTEN ddns_zones")
        async with feed.transaction():
            await followers.enter(feed, FOLLOWER + 1)
            sending = asyncio.ensure_future(house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2)))
            while not await _blocked(house.admin):  # noqa: ASYNC110 - Postgres tells nobody
                await asyncio.sleep(0.01)

        (reply,) = await sending
        heard = [one.payload async for one in feed.notifies(timeout=20, stop_after=1)]

        assert (reply.rcode(), heard) == (Rcode.NOERROR, [f"{house.zone}:3"])


async def test_who_enters_among_the_followers_waits_for_the_commits_that_did_not_see_it(connected):
    commit, feed, owner = await connected("ddns_server"), await connected("ddns_server"), await connected("owner")
    async with commit.transaction():
        await commit.execute("SELECT pg_advisory_xact_lock_shared(%s)", [followers.ENTERING])
        entering = asyncio.ensure_future(followers.enter(feed, 1))
        while not await _blocked(owner):  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.01)
        assert not entering.done()
    await entering


async def _blocked(conn) -> bool:
    """Tell whether a process of this database waits for an advisory lock."""
    cursor = await conn.execute(
        """SELECT EXISTS (SELECT FROM pg_stat_activity
           WHERE wait_event = 'advisory' AND datname = current_database())"""
    )
    (there,) = await cursor.fetchone()
    return there
