"""Which tenant's home has a box: the only look over the wall between tenants, taken by `ddns.homes.crossing`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection


async def tenant_with(conn: AsyncConnection[Any], device: UUID) -> int | None:
    """Return the tenant whose home has the box *device*; None: no home has it."""
    cursor = await conn.execute("SELECT tenant FROM home_of_device(%(device)s)", {"device": device}, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else int(row[0])
