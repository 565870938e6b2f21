"""Names at rest: they were a home's not long ago, and nobody but its owner gets them for a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import octets


async def rest(conn: AsyncConnection[Any], registry: int, name: Name, owner: UUID | None, free_at: int) -> None:
    """Have the home's *name* in the zone *registry* rest until *free_at*, in seconds since 1970."""
    await conn.execute(
        """
        INSERT INTO resting_labels (zone, label, owner, free_at)
        VALUES (%(registry)s, %(label)s, %(owner)s, to_timestamp(%(free_at)s))
        ON CONFLICT (zone, label) DO UPDATE SET owner = excluded.owner, free_at = excluded.free_at
        """,
        {"registry": registry, "label": names.order_key(name), "owner": owner, "free_at": free_at},
        prepare=True,
    )


async def wake(conn: AsyncConnection[Any], registry: int, wanted: Iterable[Name]) -> None:
    """Have *wanted* rest no more: they are in use again."""
    woken = [names.order_key(name) for name in wanted]
    if woken:
        await conn.execute(
            "DELETE FROM resting_labels WHERE zone = %(registry)s AND label = ANY (%(labels)s)",
            {"registry": registry, "labels": octets(woken)},
            prepare=True,
        )
