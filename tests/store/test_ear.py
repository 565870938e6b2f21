"""Whoever listens to the database hears everything, at once, and sleeps while there is nothing."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from ddns.store.ear import Ear


async def test_what_is_notified_is_heard_while_waiting_before_and_during_a_statement(conn, connected):
    listening = await connected("ddns_server")
    await listening.execute("LISTEN a")
    ear = Ear(listening)

    waiting = asyncio.ensure_future(ear.wait(10))
    await asyncio.sleep(0.05)
    await conn.execute("NOTIFY a, 'while'")
    assert [(one.channel, one.payload) for one in await waiting] == [("a", "while")]

    await conn.execute("NOTIFY a, 'before'")
    await conn.execute("NOTIFY a, 'too'")
    await listening.execute("SELECT 1")
    await conn.execute("NOTIFY a, 'after'")
    heard = []
    while len(heard) < 3:
        heard += [one.payload for one in await ear.wait(10)]
    assert heard == ["before", "too", "after"]
    assert await ear.wait(0) == []


async def test_while_there_is_nothing_it_sleeps(connected, monkeypatch):
    ear = Ear(await connected("ddns_server"))
    selector = asyncio.get_running_loop()._selector
    looks = []
    select = selector.select
    monkeypatch.setattr(selector, "select", lambda timeout=None: looks.append(timeout) or select(timeout))

    assert await ear.wait(0.5) == []

    assert len(looks) <= 10  # others may use the loop; who polls looks hundreds of times


async def test_a_connection_that_breaks_is_told_at_once(owner, connected):
    listening = await connected("ddns_server")
    ear = Ear(listening)
    waiting = asyncio.ensure_future(ear.wait(30))
    await asyncio.sleep(0.05)

    await owner.execute("SELECT pg_terminate_backend(%s)", [listening.info.backend_pid])

    with pytest.raises(psycopg.OperationalError):
        await waiting
