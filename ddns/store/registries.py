"""Zones that are open to new homes, as their tenants' policies say."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.pool import rows


async def taking(conn: AsyncConnection[Any], tenant: int, method: str) -> list[tuple[Name, str]]:
    """Return a tenant's zones whose policy, a written one, takes *method*, by name, and who names homes there."""
    cursor = await conn.execute(
        """
        SELECT zones.origin, home_policies.labels FROM home_policies JOIN zones ON zones.id = home_policies.zone
        WHERE home_policies.tenant = %(tenant)s AND %(method)s = ANY (methods) ORDER BY zones.origin
        """,
        {"tenant": tenant, "method": method},
        binary=True,
    )
    return [(names.from_order_key(origin), labels) for origin, labels in await rows(cursor)]
