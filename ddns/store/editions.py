"""The editions of zones: what each publication removed and added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.store.packing import bigints, octets
from ddns.zone import edition
from ddns.zone.edition import Edition


async def append(conn: AsyncConnection[Any], editions: Sequence[Edition]) -> None:
    """Write *editions* of any zones."""
    if not editions:
        return
    await conn.execute(
        """
        INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
        SELECT zone, number, from_serial, to_serial, removed, added
        FROM unnest(%(zones)s, %(numbers)s, %(from_serials)s, %(to_serials)s, %(removed)s, %(added)s)
             AS new (zone, number, from_serial, to_serial, removed, added)
        """,
        {
            "zones": bigints([one.zone for one in editions]),
            "numbers": bigints([one.number for one in editions]),
            "from_serials": bigints([one.from_serial for one in editions]),
            "to_serials": bigints([one.to_serial for one in editions]),
            "removed": octets([edition.pack(one.removed) for one in editions]),
            "added": octets([edition.pack(one.added) for one in editions]),
        },
        prepare=True,
    )


async def since(conn: AsyncConnection[Any], zone: int, number: int, limit: int) -> list[Edition]:
    """Return at most *limit* editions of *zone* behind *number*, the oldest first."""
    cursor = await conn.execute(
        """
        SELECT zone, number, from_serial, to_serial, removed, added FROM editions
        WHERE zone = %(zone)s AND number > %(number)s ORDER BY number LIMIT %(limit)s
        """,
        {"zone": zone, "number": number, "limit": limit},
        prepare=True,
        binary=True,
    )
    return [
        Edition(zone_id, at, from_serial, to_serial, edition.unpack(removed), edition.unpack(added))
        for zone_id, at, from_serial, to_serial, removed, added in await cursor.fetchall()
    ]


async def since_all(
    conn: AsyncConnection[Any], places: Sequence[tuple[int, int]], limit: int
) -> dict[int, list[Edition]]:
    """Return at most *limit* editions of each zone behind a number, given as (zone, number), the oldest first."""
    cursor = await conn.execute(
        """
        SELECT found.zone, found.number, found.from_serial, found.to_serial, found.removed, found.added
        FROM unnest(%(zones)s, %(numbers)s) AS wanted (zone, number)
        CROSS JOIN LATERAL (
            SELECT zone, number, from_serial, to_serial, removed, added FROM editions
            WHERE editions.zone = wanted.zone AND editions.number > wanted.number ORDER BY number LIMIT %(limit)s
        ) AS found
        ORDER BY found.zone, found.number
        """,
        {
            "zones": bigints([zone for zone, _ in places]),
            "numbers": bigints([number for _, number in places]),
            "limit": limit,
        },
        prepare=True,
        binary=True,
    )
    found: dict[int, list[Edition]] = {}
    for zone, at, from_serial, to_serial, removed, added in await cursor.fetchall():
        steps = found.setdefault(zone, [])
        steps.append(Edition(zone, at, from_serial, to_serial, edition.unpack(removed), edition.unpack(added)))
    return found


async def behind(conn: AsyncConnection[Any], zone: int, serial: int, oldest: int) -> tuple[int, int] | None:
    """Return the number of the edition of *zone* that leads on from *serial*, and the octets of it and all after it.

    None where there is none above the number *oldest*.
    """
    cursor = await conn.execute(
        """
        SELECT min(number), sum(octet_length(removed) + octet_length(added))::bigint FROM editions
        WHERE zone = %(zone)s AND number > %(oldest)s AND number >= (
            SELECT max(number) FROM editions
            WHERE zone = %(zone)s AND number > %(oldest)s AND number > 1 AND from_serial = %(serial)s)
        """,
        {"zone": zone, "serial": serial, "oldest": oldest},
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


async def prune(conn: AsyncConnection[Any], keep: int) -> int:
    """Remove all but the last *keep* editions of every zone; return how many they were."""
    cursor = await conn.execute(
        """
        DELETE FROM editions USING zones
        WHERE editions.zone = zones.id AND editions.number <= zones.edition - %(keep)s
        """,
        {"keep": keep},
    )
    return cursor.rowcount
