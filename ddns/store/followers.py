"""Who listens for editions, so that nobody is notified where nobody but the one who commits would hear it.

Law: one enters, listens, and only then compares numbers. Commits that did not see it enter are over by then, so that
the comparison shows them; all others notify. Both take an advisory lock and none of the table's own: a backup, which
holds every table for hours, must not come between.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

ENTERING = 0x6E616D65706C6166  # ours: the advisory lock of who enters, which every commit shares (migration 0007)


async def enter(conn: AsyncConnection[Any], worker: int) -> None:
    """Have the process with the number *worker* follow editions for as long as *conn* lives; call it again for another.

    Those whose connection has ended are struck off.
    """
    async with conn.transaction():
        # It waits for every commit that has looked into this table and is under way.
        await conn.execute("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": ENTERING})
        await conn.execute(
            """
            DELETE FROM followers
            WHERE backend = pg_backend_pid() OR backend NOT IN (SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL)
            """
        )
        await conn.execute(
            "INSERT INTO followers (backend, worker) VALUES (pg_backend_pid(), %(worker)s)", {"worker": worker}
        )


async def leave(conn: AsyncConnection[Any]) -> None:
    """Follow editions no longer on *conn*."""
    await conn.execute("DELETE FROM followers WHERE backend = pg_backend_pid()")
