"""Which zones there are, when the database goes away in the middle of a comparison."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.records import SignedRRset
from ddns.net.register import Register
from ddns.net.subscriber import Subscriber
from ddns.store import published, zones
from ddns.store.pool import Pool

ONE, TWO = names.from_text("one.test."), names.from_text("two.test.")


@pytest.mark.parametrize("broken", ["came", "went"])
async def test_a_comparison_that_breaks_off_is_made_up_for_by_the_next(dsn_for, connected, monkeypatch, broken):
    owner = await connected("owner")
    pool = Pool(dsn_for("ddns_server"), "ddns_server", 1)
    table = Table()
    known = Register(table, pool)
    old = await zones.insert(owner, ONE, "none", 13)
    async with pool.connection() as conn:
        await known.update(conn)
        await zones.remove(owner, old)
        new = await zones.insert(owner, TWO, "none", 13)
        with monkeypatch.context() as patched:
            patched.setattr(zones, broken, _gone)
            with pytest.raises(psycopg.OperationalError):
                await known.update(conn)

        await known.update(conn)

    assert (table.find(ONE), table.find(TWO)) == (None, new)


async def test_a_zone_that_is_removed_while_it_is_read_does_not_come_back(dsn_for, connected, monkeypatch):
    owner = await connected("owner")
    zone = await zones.insert(owner, ONE, "none", 13)
    await zones.advance(owner, [(zone, 1, 1, 1)])
    await published.fill(
        owner, zone, [SignedRRset(bytes((4,)) + b"%04d" % i + ONE, 1, 60, (bytes(4),)) for i in range(600)]
    )
    pool, table = Pool(dsn_for("ddns_server"), "ddns_server", 2), Table()
    subscriber = Subscriber(table, pool, 0)
    await subscriber.resync()
    count, told = published.count, asyncio.Event()

    async def count_slowly(*given) -> int:
        subscriber.heard([(zone, None)])
        told.set()
        return await count(*given)

    monkeypatch.setattr(published, "count", count_slowly)
    assert subscriber.need(zone, lambda _done: None)
    await told.wait()
    await asyncio.gather(*subscriber._tasks)

    assert not table.has(zone)
    await subscriber.close()
    await pool.close()


async def _gone(*_: object) -> None:
    raise psycopg.OperationalError("the database is away")
