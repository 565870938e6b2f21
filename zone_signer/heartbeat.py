"""The signs of life of the processes that open keys: rows of `signers`, written by each for itself.

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
from zone_signer.store import Conn, rows_of
from zone_signer.vaults import Vaults

EVERY = 60.0  # seconds between two signs of life
PATIENCE = 5.0  # seconds that a sign of life may take

log = logging.getLogger("zone_signer")


class Signer(msgspec.Struct, frozen=True):
    """A signer as it was *seen_at*, in seconds since 1970 by its clock; of its *masters* the first seals.

    It is *living* where that is less than five minutes ago by the database's clock.
    """

    name: str
    seen_at: int
    masters: tuple[bytes, ...]
    living: bool


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
                  database_at > now() - make_interval(secs => %(living)s)
           FROM signers ORDER BY name""",
        {"living": SILENT},
    )
    return [Signer(name, seen, tuple(masters), living) for name, seen, masters, living in rows]


async def beat(pool: Pool, name: str, vaults: Vaults, clock: Callable[[], float] = time.time) -> None:
    """Write signs of life of signer *name*, and look for new master keys, until cancelled; then take the row away."""
    try:
        while True:
            vaults.refresh()
            await _try(pool, lambda conn: put(conn, name, int(clock()), vaults.masters))
            await asyncio.sleep(EVERY)
    finally:
        await _try(pool, lambda conn: leave(conn, name))


async def _try(pool: Pool, work: Callable[[Conn], Any]) -> None:
    with contextlib.suppress(OSError, psycopg.Error):  # the next one makes up for it, and silence is seen by others
        async with asyncio.timeout(PATIENCE), pool.connection() as conn:
            await work(conn)
