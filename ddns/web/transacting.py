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
