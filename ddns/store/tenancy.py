"""Whose transaction it is: what it makes belongs to one tenant, and where there are walls, it sees that one's rows.

Law: a transaction of the desk (`ddns_web`) enters a tenant first of all, and sees nobody's rows before. For the other
roles this only says whose the rows are that it makes; they make the registry's own where nothing is said.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

REGISTRY = 1  # the tenant that the registry itself is


async def entered(conn: AsyncConnection[Any], tenant: int) -> None:
    """Have the rest of the open transaction be that of *tenant*."""
    await conn.execute("SELECT set_config('ddns.tenant', %(tenant)s, true)", {"tenant": str(tenant)}, prepare=True)


async def kept(conn: AsyncConnection[Any], tenant: int) -> None:
    """Have everything on this connection be that of *tenant*, for as long as it is open."""
    await conn.execute("SELECT set_config('ddns.tenant', %(tenant)s, false)", {"tenant": str(tenant)})


async def current(conn: AsyncConnection[Any]) -> int:
    """Return whose the rows are that are made now: the tenant that was entered, or the registry itself."""
    cursor = await conn.execute("SELECT ddns_tenant()", prepare=True)
    row = await cursor.fetchone()
    return REGISTRY if row is None else int(row[0])
