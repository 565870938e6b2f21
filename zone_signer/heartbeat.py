"""The signs of life of the processes that open keys: rows of `signers`, written by each for itself, with its clock.

Law: whoever stops on purpose takes its row away, so that one that stays and grows old tells of a signer that died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg

from zone_signer.alarms import SILENT
from zone_signer.clockkeeper import Clockkeeper
from zone_signer.store import Conn, rows_of
from zone_signer.vaults import Vaults

EVERY = 60.0  # seconds between two signs of life
SOON = 5.0  # seconds until a clock that is not believed is looked at again
PATIENCE = 5.0  # seconds that a sign of life may take

log = logging.getLogger("zone_signer")


class Signer(msgspec.Struct, frozen=True):
    """A signer as it was *seen_at*, in seconds since 1970 by its clock; of its *masters* the first seals.

    It is *living* where that is less than five minutes ago by the database's clock. *held* is why it signs nothing.
    """

    name: str
    seen_at: int
    masters: tuple[bytes, ...]
    living: bool
    held: str = ""


class Pool(Protocol):
    """What lends connections: `ddns.store.pool.Pool`."""

    def connection(self) -> AbstractAsyncContextManager[Conn]:
        """Lend one."""


def name_of(path: Path) -> str:
    """Return what a signer that listens at the socket *path* is called; it stays the same when it is started again."""
    return f"{socket.gethostname()}:{path}"


async def put(conn: Conn, name: str, now: int, masters: Sequence[bytes], held: str = "") -> None:
    """Write that signer *name* lives at *now* with *masters*; *held* says why it signs nothing."""
    await conn.execute(
        """INSERT INTO signers (name, seen_at, masters, held)
           VALUES (%(name)s, %(seen)s, %(masters)s, %(held)s)
           ON CONFLICT (name) DO UPDATE SET seen_at = EXCLUDED.seen_at, database_at = now(),
               masters = EXCLUDED.masters, held = EXCLUDED.held""",
        {"name": name, "seen": datetime.fromtimestamp(now, UTC), "masters": list(masters), "held": held},
    )


async def leave(conn: Conn, name: str) -> None:
    """Take the row of signer *name* away."""
    await conn.execute("DELETE FROM signers WHERE name = %(name)s", {"name": name})


async def signers(conn: Conn) -> list[Signer]:
    """Return all signers that have not stopped on purpose."""
    rows = await rows_of(
        conn,
        """SELECT name, extract(epoch FROM seen_at)::bigint, masters,
                  database_at > now() - make_interval(secs => %(living)s), held
           FROM signers ORDER BY name""",
        {"living": SILENT},
    )
    return [Signer(name, seen, tuple(masters), *rest) for name, seen, masters, *rest in rows]


async def beat(pool: Pool, name: str, vaults: Vaults, clock: Clockkeeper) -> None:
    """Write signs of life of signer *name*, look for new master keys and at *clock*, until cancelled.

    Then its row is taken away.
    """
    said = ""

    async def tell(conn: Conn) -> None:
        nonlocal said
        held = await clock.look(conn)
        if bool(held) is not bool(said):
            if held:
                log.error("signer.clock_refused reason=%s", held)
            else:
                log.warning("signer.clock_believed")
        said = held
        await put(conn, name, int(clock.shown()), vaults.masters, held)

    try:
        while True:
            vaults.refresh()
            await _try(pool, tell)
            await _pause(clock)
    finally:
        await _try(pool, lambda conn: leave(conn, name))


async def keep(pool: Pool, clock: Clockkeeper) -> None:
    """Look at *clock* now and then, until cancelled, without a row for it."""
    while True:
        await _pause(clock)
        await _try(pool, clock.look)


async def _pause(clock: Clockkeeper) -> None:
    """Wait until the next look at *clock*: soon, where it has just leapt or is not believed."""
    end = time.monotonic() + EVERY
    while True:
        await asyncio.sleep(SOON)
        if clock.refused() or time.monotonic() >= end:
            return


async def _try(pool: Pool, work: Callable[[Conn], Any]) -> None:
    with contextlib.suppress(OSError, psycopg.Error):  # the next one makes up for it, and silence is seen by others
        async with asyncio.timeout(PATIENCE), pool.connection() as conn:
            await work(conn)
