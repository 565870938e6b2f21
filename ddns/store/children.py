"""Children that a NOTIFY is about: which of them have servers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import octets
from ddns.store.pool import rows


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
