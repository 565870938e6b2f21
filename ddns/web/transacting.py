"""Whose transaction it is: the only way from the desk to the database.

Law: each transaction enters its tenant first (`ddns.store.tenancy`), and sees that tenant's rows alone. *tenant* 0 is
nobody: no row is seen, and what may be asked then is what functions of the database tell everybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddns.store.pool import Connection, Pool
from ddns.store.tenancy import entered

NOBODY = 0


@asynccontextmanager
async def transaction(pool: Pool, tenant: int) -> AsyncIterator[Connection]:
    """Lend a connection in a transaction of *tenant*; it commits unless something is raised."""
    async with pool.connection() as conn, conn.transaction():
        if tenant != NOBODY:
            await entered(conn, tenant)
        yield conn


async def tenant_at(conn: Connection, server_name: str) -> int | None:
    """Return the tenant whose server name this is; None: nobody's of its own."""
    cursor = await conn.execute("SELECT tenant_at(%s)", [server_name])
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def tenant_of(conn: Connection, name: bytes) -> int | None:
    """Return the tenant of the zone *name*; None: there is none. Nothing may be answered from this."""
    cursor = await conn.execute("SELECT tenant_of(%s)", [name])
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def tenant_called(conn: Connection, name: str) -> int | None:
    """Return the tenant of this *name*, as far as the transaction's own tenant may know of it."""
    cursor = await conn.execute("SELECT id FROM tenants WHERE name = %s AND state = 'active'", [name])
    row = await cursor.fetchone()
    return None if row is None else row[0]
