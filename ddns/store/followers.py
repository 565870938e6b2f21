"""Who listens for editions, so that nobody is notified where nobody but the one who commits would hear it.

Law: one enters, listens, and only then compares numbers. Commits that did not see it enter are over by then, so that
the comparison shows them; all others notify.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection


async def enter(conn: AsyncConnection[Any], worker: int) -> None:
    """Have the process with the number *worker* follow editions for as long as *conn* lives; call it again for another.

    Those whose connection has ended are struck off.
    """
    async with conn.transaction():
        # It waits for every commit under way: each has looked into this table.
        await conn.execute("LOCK TABLE followers IN ACCESS EXCLUSIVE MODE")
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
