"""Zones: which there are, how far each has come, and the lock that a change of one needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, integers, octets, texts
from ddns.store.pool import rows


class Zone(msgspec.Struct, frozen=True):
    """A zone's row with what its home and its signing say.

    *head* is the last sequence number in its journal, *edition* the number of what is published (0: nothing
    yet), *serial* the SOA serial published. *home*: it belongs to a home, which may be *suspended*.
    *signed_pending*: its records are ahead of what is published. *leased*: some of its records have a lease.
    """

    id: int
    origin: Name
    denial: str
    algorithm: int
    parent: int | None
    head: int
    edition: int
    serial: int
    home: bool = False
    suspended: bool = False
    signed_pending: bool = False
    leased: bool = False


_SELECT = """
SELECT zones.id, zones.origin, zones.denial, zones.algorithm, zones.parent, zones.head, zones.edition, zones.serial,
       homes.zone IS NOT NULL, coalesce(homes.state = 'suspended', false), coalesce(signing.pending, false),
       EXISTS (SELECT FROM leases WHERE leases.zone = zones.id)
FROM zones
LEFT JOIN homes ON homes.zone = zones.id
LEFT JOIN signing ON signing.zone = zones.id
"""


def _zone(row: Sequence[Any]) -> Zone:
    return Zone(row[0], names.from_order_key(row[1]), *row[2:])


async def lock(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, Zone]:
    """Lock the zones *ids* in the order of their ids until the transaction ends, and return them as they are then.

    What is no more is missing in the result.
    """
    wanted = {"ids": bigints(sorted(set(ids)))}
    # The lock does not stand in the way of rows that only refer to the zone. It is a statement of its own: joined rows
    # of a locking statement would be those from before the wait for the lock.
    await conn.execute(
        "SELECT id FROM zones WHERE id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE", wanted, prepare=True
    )
    return await get(conn, wanted["ids"])


async def get(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, Zone]:
    """Return the zones *ids* that there are."""
    wanted = ids if isinstance(ids, bytes) else bigints(list(ids))
    cursor = await conn.execute(_SELECT + "WHERE zones.id = ANY (%(ids)s)", {"ids": wanted}, prepare=True, binary=True)
    return {row[0]: _zone(row) for row in await rows(cursor)}


async def find(conn: AsyncConnection[Any], origin: Name) -> Zone | None:
    """Return the zone whose apex is *origin*."""
    cursor = await conn.execute(
        _SELECT + "WHERE zones.origin = %(origin)s", {"origin": names.order_key(origin)}, prepare=True, binary=True
    )
    row = await cursor.fetchone()
    return None if row is None else _zone(row)


async def listing(conn: AsyncConnection[Any]) -> list[Zone]:
    """Return all zones in canonical order."""
    cursor = await conn.execute(_SELECT + "ORDER BY zones.origin", binary=True)
    return [_zone(row) for row in await cursor.fetchall()]


async def numbers(conn: AsyncConnection[Any]) -> list[tuple[int, Name, int]]:
    """Return id, apex and the number of the published edition of every zone."""
    cursor = await conn.execute("SELECT id, origin, edition FROM zones", binary=True)
    key = names.from_order_key
    return [(zone, key(origin), edition) for zone, origin, edition in await cursor.fetchall()]


async def children(conn: AsyncConnection[Any], parent: int) -> list[Zone]:
    """Return the homes that the registry's zone *parent* delegates, in canonical order."""
    cursor = await conn.execute(
        _SELECT + "WHERE zones.parent = %(parent)s ORDER BY zones.origin", {"parent": parent}, prepare=True, binary=True
    )
    return [_zone(row) for row in await cursor.fetchall()]


async def insert(
    conn: AsyncConnection[Any], origin: Name, denial: str, algorithm: int, parent: int | None = None
) -> int:
    """Add a zone without records and return its id. Raises `psycopg.errors.UniqueViolation` (zone_twice)."""
    return (await insert_all(conn, [(origin, denial, algorithm, parent)]))[0]


async def insert_all(conn: AsyncConnection[Any], zones: Sequence[tuple[Name, str, int, int | None]]) -> list[int]:
    """Add zones given as (origin, denial, algorithm, parent), and return their ids in the same order."""
    keys = [names.order_key(zone[0]) for zone in zones]
    cursor = await conn.execute(
        """
        WITH made AS (
            INSERT INTO zones (origin, denial, algorithm, parent)
            SELECT origin, denial, algorithm, parent
            FROM unnest(%(origins)s, %(denials)s, %(algorithms)s, %(parents)s)
                 AS wanted (origin, denial, algorithm, parent)
            RETURNING id, origin
        ), signed AS (
            INSERT INTO signing (zone) SELECT id FROM made
        )
        SELECT origin, id FROM made
        """,
        {
            "origins": octets(keys),
            "denials": texts(zone[1] for zone in zones),
            "algorithms": integers([zone[2] for zone in zones]),
            "parents": bigints([zone[3] for zone in zones]),
        },
        prepare=True,
        binary=True,
    )
    made = dict(await cursor.fetchall())
    return [made[key] for key in keys]


async def advance(conn: AsyncConnection[Any], steps: Sequence[tuple[int, int, int, int]]) -> None:
    """Set head, edition and serial of zones, given as (id, head, edition, serial)."""
    if not steps:
        return
    ids, heads, editions, serials = zip(*steps, strict=True)
    await conn.execute(
        """
        UPDATE zones SET head = step.head, edition = step.edition, serial = step.serial
        FROM unnest(%(ids)s, %(heads)s, %(editions)s, %(serials)s) AS step (id, head, edition, serial)
        WHERE zones.id = step.id
        """,
        {"ids": bigints(ids), "heads": bigints(heads), "editions": bigints(editions), "serials": bigints(serials)},
        prepare=True,
    )


async def remove(conn: AsyncConnection[Any], zone: int) -> bool:
    """Remove a zone with all that belongs to it but its journal; tell whether there was one.

    Raises `psycopg.errors.ForeignKeyViolation` (registry_removed_before_its_homes) where it still delegates homes.
    """
    cursor = await conn.execute("DELETE FROM zones WHERE id = %(zone)s", {"zone": zone}, prepare=True)
    return cursor.rowcount > 0


async def set_denial(conn: AsyncConnection[Any], zone: int, denial: str, algorithm: int) -> None:
    """Have a locked *zone* signed another way from its next edition on."""
    await conn.execute(
        "UPDATE zones SET denial = %(denial)s, algorithm = %(algorithm)s WHERE id = %(zone)s",
        {"zone": zone, "denial": denial, "algorithm": algorithm},
        prepare=True,
    )
