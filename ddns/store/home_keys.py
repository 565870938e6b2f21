"""What a home's keys have done: when those in its box were used, and how many were minted for one purpose."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection


async def used_since(conn: AsyncConnection[Any], zone: int, device: UUID, since: int) -> bool:
    """Say whether a key that the box *device* may hold was used for the home *zone* after *since*."""
    cursor = await conn.execute(
        """SELECT 1 FROM credentials JOIN credential_uses ON credential_uses.credential = credentials.id
           WHERE credentials.home = %(zone)s AND (credentials.device = %(device)s OR credentials.device IS NULL)
                 AND credential_uses.used_at > to_timestamp(%(since)s) LIMIT 1""",
        {"zone": zone, "device": device, "since": since},
        prepare=True,
    )
    return await cursor.fetchone() is not None
