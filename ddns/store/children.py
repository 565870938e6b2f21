"""Homes as children of their registries: which of them have servers of their own, and where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store import notify, zones
from ddns.store.packing import octets
from ddns.store.pool import rows
from ddns.store.zones import Zone

# From one registry to the next in the index of homes: a look-up for each registry, not one for each of a million homes.
_REGISTRIES = """
WITH RECURSIVE registry (id) AS (
    (SELECT parent FROM zones WHERE parent IS NOT NULL ORDER BY parent LIMIT 1)
    UNION ALL
    SELECT (SELECT parent FROM zones WHERE parent > registry.id ORDER BY parent LIMIT 1)
    FROM registry WHERE registry.id IS NOT NULL
) SELECT id FROM registry WHERE id IS NOT NULL
"""


async def hasten(conn: AsyncConnection[Any], origins: Sequence[Name], now: int, earlier: float) -> int:
    """Have those of *origins* visited soon that are homes with servers of their own; return how many these are.

    The visit comes *earlier* by so many seconds, and not before *now* (seconds since 1970): however often somebody
    asks for it, there is a while between two.
    """
    cursor = await conn.execute(
        """
        UPDATE delegations SET ask_at = greatest(to_timestamp(%(now)s), ask_at - %(earlier)s * interval '1 second')
        FROM zones WHERE zones.id = delegations.zone AND zones.origin = ANY (%(origins)s)
          AND delegations.ask_at > to_timestamp(%(now)s) AND (delegations.state, delegations.wish) <> ('hosted', 'host')
        """,
        {"origins": octets([names.order_key(one) for one in origins]), "now": now, "earlier": earlier},
        prepare=True,
    )
    if cursor.rowcount:
        await notify.watch(conn)
    return cursor.rowcount


async def registries(conn: AsyncConnection[Any]) -> list[Zone]:
    """Return the zones in which homes are."""
    cursor = await conn.execute(_REGISTRIES, prepare=True, binary=True)
    found = await zones.get(conn, [row[0] for row in await rows(cursor)])
    return [found[zone] for zone in sorted(found)]
