"""Which tenant's home has a box, or let it go: the only look over the wall, taken by `ddns.homes.crossing`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name


class Seller(msgspec.Struct, frozen=True):
    """Who let a box go: the home that it was in, its tenant, and its owner."""

    tenant: int
    owner: UUID | None
    home: Name


async def tenant_with(conn: AsyncConnection[Any], device: UUID) -> int | None:
    """Return the tenant whose home has the box *device*; None: no home has it."""
    cursor = await conn.execute("SELECT tenant FROM home_of_device(%(device)s)", {"device": device}, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def seller_of(conn: AsyncConnection[Any], release: UUID) -> Seller | None:
    """Return whose word *release* is; None: nobody's, as of a claim that was granted."""
    cursor = await conn.execute(
        "SELECT tenant, owner, name FROM seller_of(%(release)s)", {"release": release}, prepare=True
    )
    row = await cursor.fetchone()
    return None if row is None else Seller(row[0], row[1], names.from_order_key(row[2]))
