"""Connections side by side: who is alone always has the same one, others need not wait for it."""

from __future__ import annotations

import asyncio

from ddns.store.line import Line, Statement
from ddns.store.lines import Lines

WHICH = Statement(b"which", b"SELECT pg_backend_pid()::bigint", ())
TAKE = Statement(b"take", b"SELECT pg_backend_pid()::bigint FROM pg_advisory_xact_lock(4711)", ())


async def test_the_first_that_is_free_is_used_and_others_go_on_beside_it(dsn_for, connected):
    """Four statements over three connections: one waits for a lock that somebody holds, nobody waits for that one."""
    owner = await connected("owner")
    dsn = dsn_for("ddns_server")
    lines = Lines([Line(dsn, "ddns_server") for _ in range(3)])

    async def run(statement: Statement) -> int:
        return int.from_bytes(await lines.free().run(statement, []) or b"", "big")

    first = await run(WHICH)
    assert await run(WHICH) == first

    await owner.execute("SELECT pg_advisory_lock(4711)")
    held = asyncio.ensure_future(run(TAKE))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        second = await run(WHICH)
    assert second != first
    assert not held.done()
    assert lines.owns(first)
    assert lines.owns(second)
    assert not lines.owns(0x7FFFFFFF)

    await owner.execute("SELECT pg_advisory_unlock(4711)")
    async with asyncio.timeout(30):
        assert await held == first
    lines.close()
    assert not lines.owns(first)


async def test_where_none_is_free_they_are_taken_in_turn(dsn_for):
    """So that nobody waits behind two where somebody waits behind none."""
    dsn = dsn_for("ddns_server")
    lines = Lines([Line(dsn, "ddns_server") for _ in range(2)])

    async def run() -> bytes | None:
        return await lines.free().run(WHICH, [])

    async with asyncio.timeout(30):
        backends = await asyncio.gather(*[run() for _ in range(6)])

    assert len(set(backends)) == 2
    lines.close()


async def test_who_gives_up_holds_nobody_up(dsn_for, connected):
    """Neither one that still waits for its turn nor one whose statement is under way."""
    owner = await connected("owner")
    await owner.execute("SELECT pg_advisory_lock(4711)")
    line = Line(dsn_for("ddns_server"), "ddns_server")
    async with asyncio.timeout(30):
        await line.run(WHICH, [])
        held, behind, last = (asyncio.ensure_future(line.run(one, [])) for one in (TAKE, WHICH, WHICH))
        await asyncio.sleep(0)
        assert line.busy

        for one in (behind, held):
            one.cancel()

        assert await last is not None
        assert not line.busy
        assert held.cancelled()
        assert behind.cancelled()
    await owner.execute("SELECT pg_advisory_unlock(4711)")
    line.close()
