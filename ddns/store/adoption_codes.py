"""Codes by which a home that nobody owns gets its owner: of each the digest, and until when it holds."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]


async def put(conn: Conn, zone: int, digest: bytes, until: int, who: str) -> None:
    """Keep a code, by its SHA-256, for the home of *zone* until then, in the place of any before; *who* has made it."""
    await conn.execute(
        """INSERT INTO adoption_codes (zone, digest, until, who)
           VALUES (%(zone)s, %(digest)s, to_timestamp(%(until)s), %(who)s)
           ON CONFLICT (zone) DO UPDATE SET digest = excluded.digest, until = excluded.until, who = excluded.who""",
        {"zone": zone, "digest": digest, "until": until, "who": who},
        prepare=True,
    )


async def digest_of(conn: Conn, zone: int, now: int) -> bytes | None:
    """Return the digest of the code that holds at *now* for the home of *zone*; None: there is none."""
    cursor = await conn.execute(
        "SELECT digest FROM adoption_codes WHERE zone = %(zone)s AND until > to_timestamp(%(now)s)",
        {"zone": zone, "now": now},
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else bytes(row[0])


async def drop(conn: Conn, zone: int) -> None:
    """Forget the code of the home of *zone*."""
    await conn.execute("DELETE FROM adoption_codes WHERE zone = %(zone)s", {"zone": zone}, prepare=True)
