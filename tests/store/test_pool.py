"""Connections, the pool and the feed, against a real Postgres."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from rows import n

from ddns.postgres import OWNER
from ddns.store import feed, notify, zones
from ddns.store.feed import Feed
from ddns.store.line import Line, Statement
from ddns.store.pool import Pool, connect


async def backend(conn):
    return (await (await conn.execute("SELECT pg_backend_pid()")).fetchone())[0]


async def eventually(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_the_owner_of_a_dsn_takes_the_role_that_it_is_asked_for(dsn):
    conn = await connect(dsn, "ddns_server")
    try:
        assert await (await conn.execute("SELECT session_user, current_user")).fetchone() == (OWNER, "ddns_server")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute("SELECT sealed FROM signing_keys")
    finally:
        await conn.close()


async def test_options_in_a_dsn_are_kept(dsn):
    conn = await connect(psycopg.conninfo.make_conninfo(dsn, options="-c timezone=Asia/Tokyo"), "ddns_admin")
    try:
        cursor = await conn.execute("SELECT current_setting('timezone'), current_setting('role')")
        assert await cursor.fetchone() == ("Asia/Tokyo", "ddns_admin")
    finally:
        await conn.close()


async def test_another_isolation_by_default_does_not_reach_us(dsn, owner):
    await owner.execute(f"ALTER DATABASE {owner.info.dbname} SET default_transaction_isolation = 'serializable'")

    conn = await connect(dsn, "ddns_server")

    cursor = await conn.execute("SELECT current_setting('transaction_isolation')")
    assert await cursor.fetchone() == ("read committed",)
    await conn.close()


async def test_a_pool_lends_its_connections_again(dsn_for):
    pool = Pool(dsn_for("ddns_server"), "ddns_server", 2)
    await pool.open()
    try:
        async with pool.connection() as one:
            first = await backend(one)
            async with pool.connection() as other:
                assert await backend(other) != first
                waiting = asyncio.ensure_future(pool.connection().__aenter__())
                await asyncio.sleep(0.05)
                assert not waiting.done()
        lent = await waiting
        assert lent is other or lent is one
        await lent.close()
    finally:
        await pool.close()


async def test_a_connection_that_postgres_has_ended_is_made_anew(dsn_for, owner):
    pool = Pool(dsn_for("ddns_server"), "ddns_server", 1)
    await pool.open()
    try:
        async with pool.connection() as conn:
            ended = await backend(conn)
        await owner.execute("SELECT pg_terminate_backend(%s, 5000)", (ended,))

        async with pool.connection() as conn:
            assert await backend(conn) != ended
    finally:
        await pool.close()


async def test_a_transaction_that_was_broken_off_is_not_lent_again(dsn_for):
    pool = Pool(dsn_for("ddns_server"), "ddns_server", 1)
    await pool.open()
    try:
        async with pool.connection() as conn:
            abandoned = await backend(conn)
            await conn.execute("BEGIN")
        async with pool.connection() as conn:
            assert await backend(conn) != abandoned

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), pool.connection() as conn:
                await conn.execute("SELECT pg_sleep(60)")
        async with pool.connection() as conn:
            assert await backend(conn)
    finally:
        await pool.close()


async def test_a_pool_that_reaches_nobody_says_so_at_once_and_may_be_opened_later(dsn_for, tmp_path):
    pool = Pool(f"host={tmp_path} user=ddns_server dbname=ddns", "ddns_server", 1)

    with pytest.raises(psycopg.OperationalError):
        await pool.open()
    with pytest.raises(psycopg.OperationalError):
        async with pool.connection():
            pass


async def test_a_snapshot_sees_one_moment_and_writes_nothing(dsn_for, conn):
    pool = Pool(dsn_for("ddns_server"), "ddns_server", 1)
    await pool.open()
    try:
        async with pool.snapshot() as still:
            assert await zones.numbers(still) == []
            await zones.insert(conn, n("a."), "none", 13)
            assert await zones.numbers(still) == []
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            async with pool.snapshot() as still:
                await zones.insert(still, n("b."), "none", 13)
        async with pool.connection() as fresh:
            assert len(await zones.numbers(fresh)) == 1
    finally:
        await pool.close()


class Listener:
    def __init__(self, dsn):
        self.zones, self.keys, self.resyncs = [], [], 0
        self.feed = Feed(dsn, "ddns_server", self.zones.append, self.keys.append, self.resync)

    async def resync(self, missed):
        self.resyncs += 1
        assert missed or self.resyncs > 1

    async def __aenter__(self):
        self.feed.start()
        await eventually(lambda: self.resyncs)
        return self

    async def __aexit__(self, *_):
        await self.feed.close()


async def test_the_feed_tells_what_is_committed_and_nothing_else(dsn_for, conn):
    async with Listener(dsn_for("ddns_server")) as listener:
        async with conn.transaction(force_rollback=True):
            await notify.zones(conn, [(1, 1)])
        async with conn.transaction():
            await notify.zones(conn, [(7, 42), (8, None)])
            await notify.pending(conn)
        await notify.keys(conn, n("key.example."))
        await notify.keys(conn, None)
        await notify.zones(conn, [])

        await eventually(lambda: len(listener.keys) == 2)

    assert listener.zones == [[(7, 42), (8, None)]]
    assert listener.keys == [n("key.example."), None]


async def test_a_large_batch_is_told_in_parts_that_postgres_takes(dsn_for, conn):
    wanted = [(10**12 + number, 10**9) for number in range(2000)]
    async with Listener(dsn_for("ddns_server")) as listener:
        await notify.zones(conn, wanted)
        await eventually(lambda: sum(map(len, listener.zones)) == 2000)

    assert [pair for part in listener.zones for pair in part] == wanted
    assert len(listener.zones) > 1


async def test_the_feed_comes_back_by_itself_and_resyncs(dsn_for, conn, owner):
    async with Listener(dsn_for("ddns_server")) as listener:
        await owner.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE query LIKE 'LISTEN%' AND datname = current_database()
            """
        )
        await eventually(lambda: listener.resyncs == 2)
        await notify.zones(conn, [(1, 2)])
        await eventually(lambda: listener.zones)


async def test_the_feed_resyncs_while_nothing_is_told(dsn_for, monkeypatch):
    monkeypatch.setattr(feed, "RESYNC", 0.05)
    async with Listener(dsn_for("ddns_server")) as listener:
        await eventually(lambda: listener.resyncs >= 3)


async def test_the_feed_loses_nothing_while_it_resyncs(dsn_for, conn, monkeypatch):
    monkeypatch.setattr(feed, "RESYNC", 0.005)
    async with Listener(dsn_for("ddns_server")) as listener:
        for number in range(100):
            await notify.zones(conn, [(1, number)])
        await eventually(lambda: len(listener.zones) == 100 and listener.resyncs > 3)


async def test_the_feed_outlives_a_listener_that_fails(dsn_for, conn, caplog):
    heard = []

    def fails_once(pairs):
        heard.append(pairs)
        if len(heard) == 1:
            raise ValueError("a bug")

    listener = Listener(dsn_for("ddns_server"))
    listener.feed._on_zones = fails_once
    async with listener:
        await notify.zones(conn, [(1, 1)])
        await eventually(lambda: listener.resyncs == 2)
        await notify.zones(conn, [(1, 2)])
        await eventually(lambda: len(heard) == 2)

    assert "a bug" in caplog.text


@pytest.mark.parametrize("payload", ["", "7", "7:", ":1", "x:1", "7:x", "-:1", "7:1:2"])
def test_tokens_that_do_not_parse_are_passed_over(payload):
    assert notify.read_zones(f"{payload} 8:9") == [(8, 9)]


async def test_a_process_of_the_server_that_has_ended_is_nobodys(dsn_for, connected):
    """Its number is soon another's, of whose commits we would not hear."""
    owner = await connected("owner")
    pool, line = Pool(dsn_for("ddns_server"), "ddns_server", 1), Line(dsn_for("ddns_server"), "ddns_server")
    asked = Statement(b"which", b"SELECT pg_backend_pid()::bigint", ())
    await pool.open()
    async with pool.connection() as conn:
        lent = await backend(conn)
    own = int.from_bytes(await line.run(asked, []) or b"", "big")
    assert pool.owns(lent)
    assert line.owns(own)

    await owner.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::integer[]) AS pid", [[lent, own]])
    async with pool.connection() as conn:
        assert pool.owns(await backend(conn))
    await eventually(lambda: not line.owns(own))
    again = int.from_bytes(await line.run(asked, []) or b"", "big")

    assert (pool.owns(lent), line.owns(own), line.owns(again)) == (False, False, True)
    line.close()
    await pool.close()
