"""What somebody was told and is not to be told again for a time, so that a desk that looks often says it once."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]


async def once(conn: Conn, what: str, subject: str, now: int, until: int) -> bool:
    """Say whether *what* is to be told of *subject* at *now*; then it is not again before *until*.

    It is the transaction's tenant's; of two at a time one is told so. Times in seconds since 1970.
    """
    cursor = await conn.execute(
        """INSERT INTO told (what, subject, until) VALUES (%(what)s, %(subject)s, to_timestamp(%(until)s))
           ON CONFLICT (tenant, what, subject) DO UPDATE SET until = excluded.until
               WHERE told.until <= to_timestamp(%(now)s)""",
        {"what": what, "subject": subject, "now": now, "until": until},
        prepare=True,
    )
    return cursor.rowcount > 0


async def forget(conn: Conn, now: int, most: int) -> int:
    """Forget at most *most* rows of the transaction's tenant that are over at *now*; return how many."""
    cursor = await conn.execute(
        """DELETE FROM told WHERE (tenant, what, subject) IN (
               SELECT tenant, what, subject FROM told
               WHERE tenant = ddns_tenant() AND until <= to_timestamp(%(now)s) LIMIT %(most)s)""",
        {"now": now, "most": most},
        prepare=True,
    )
    return cursor.rowcount
