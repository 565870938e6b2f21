"""Homes as children of their registries: which of them have servers of their own, and where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store import zones
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


async def away(conn: AsyncConnection[Any], origins: Sequence[Name]) -> list[int]:
    """Return the ids of those of *origins* that are homes with servers of their own, or on their way."""
    cursor = await conn.execute(
        """
        SELECT zones.id FROM zones JOIN delegations ON delegations.zone = zones.id
        WHERE zones.origin = ANY (%(origins)s) AND (delegations.state, delegations.wish) <> ('hosted', 'host')
        """,
        {"origins": octets([names.order_key(one) for one in origins])},
        prepare=True,
        binary=True,
    )
    return [row[0] for row in await rows(cursor)]


async def registries(conn: AsyncConnection[Any]) -> list[Zone]:
    """Return the zones in which homes are."""
    cursor = await conn.execute(_REGISTRIES, prepare=True, binary=True)
    found = await zones.get(conn, [row[0] for row in await rows(cursor)])
    return [found[zone] for zone in sorted(found)]
