"""Whose transaction it is: the only way from the desk to the database.

Law: each transaction enters its tenant first (`ddns.store.tenancy`), and sees that tenant's rows alone. *tenant* 0 is
nobody: no row is seen, and what may be asked then is what functions of the database tell everybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddns.store.pool import Connection, Pool, connect
from ddns.store.tenancy import entered, kept

NOBODY = 0


@asynccontextmanager
async def transaction(pool: Pool, tenant: int) -> AsyncIterator[Connection]:
    """Lend a connection in a transaction of *tenant*; it commits unless something is raised."""
    async with pool.connection() as conn, conn.transaction():
        if tenant != NOBODY:
            await entered(conn, tenant)
        yield conn


async def connection(dsn: str, role: str, tenant: int) -> Connection:
    """Return a connection all of whose transactions are those of *tenant*; it goes into no pool."""
    conn = await connect(dsn, role)
    await kept(conn, tenant)
    return conn
