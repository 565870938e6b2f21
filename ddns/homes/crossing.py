"""The one way from a tenant into another: a box that changes hands between homes of two tenants.

Law: nothing that is read on the other side is told to who asks; what is written there belongs to the other tenant. An
error leaves the transaction where it is, for it is rolled back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.store import device_homes, outbox
from ddns.store.tenancy import entered


@asynccontextmanager
async def into(conn: AsyncConnection[Any], other: int, mine: int) -> AsyncIterator[None]:
    """Have what is done inside be done as the tenant *other*, and the rest as *mine*."""
    if other != mine:
        await entered(conn, other)
    yield
    if other != mine:
        await entered(conn, mine)


async def tenant_with(conn: AsyncConnection[Any], device: UUID) -> int | None:
    """Return the tenant whose home has the box *device*; None: no home has it."""
    return await device_homes.tenant_with(conn, device)


async def tell_seller(conn: AsyncConnection[Any], release: UUID, mine: int, now: int) -> None:
    """Tell who let a box go by *release* that somebody has enrolled it, and neither who that is nor where."""
    seller = await device_homes.seller_of(conn, release)
    if seller is not None:
        body = msgspec.json.encode({"event": "take", "at": now, "home": names.to_text(seller.home)})
        async with into(conn, seller.tenant, mine):
            await outbox.put(conn, "box.taken", seller.owner, body, now)
