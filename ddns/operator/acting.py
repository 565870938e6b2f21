"""Whose a command's transaction is: what an operator makes for a tenant is that tenant's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddns.operator.change import Conn
from ddns.operator.tenants import the_tenant
from ddns.store.tenancy import entered
from ddns.store.tenants import Tenant


@asynccontextmanager
async def acting_for(conn: Conn, tenant: str) -> AsyncIterator[Tenant]:
    """Hold a transaction that is the *tenant*'s, who is yielded. Raises `CannotDo` where there is none of that name."""
    async with conn.transaction():
        whose = await the_tenant(conn, tenant)
        await entered(conn, whose.id)
        yield whose
