"""Whose a home is: its owner, its box, its state, and whether its label rests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name

Conn = AsyncConnection[Any]


class Standing(msgspec.Struct, frozen=True):
    """How a home stands: *parent* is its registry's zone, *closed_at* in seconds since 1970."""

    zone: int
    name: Name
    parent: int
    tenant: int
    state: str
    owner: UUID | None
    device: UUID | None
    closed_at: int | None


_SELECT = """
SELECT homes.zone, zones.origin, zones.parent, homes.tenant, homes.state, homes.owner, homes.device,
       extract(epoch FROM homes.closed_at)::bigint
FROM homes JOIN zones ON zones.id = homes.zone
"""


async def called(conn: Conn, home: Name) -> Standing | None:
    """Return how the home called *home* stands, if the transaction's tenant has it."""
    cursor = await conn.execute(
        _SELECT + "WHERE zones.origin = %(name)s", {"name": names.order_key(home)}, prepare=True
    )
    return _standing(await cursor.fetchone())


async def of_zone(conn: Conn, zone: int) -> Standing | None:
    """Return how the home of *zone* stands, if the transaction's tenant has it."""
    cursor = await conn.execute(_SELECT + "WHERE homes.zone = %(zone)s", {"zone": zone}, prepare=True)
    return _standing(await cursor.fetchone())


async def with_device(conn: Conn, device: UUID) -> Standing | None:
    """Return how the home that has the box *device* stands, if the transaction's tenant has it."""
    cursor = await conn.execute(_SELECT + "WHERE homes.device = %(device)s", {"device": device}, prepare=True)
    return _standing(await cursor.fetchone())


def _standing(row: Any) -> Standing | None:
    return None if row is None else Standing(row[0], names.from_order_key(row[1]), *row[2:])


async def owned_by(conn: Conn, owner: UUID) -> list[Name]:
    """Return the names of the homes of *owner* in canonical order, closed ones too."""
    cursor = await conn.execute(
        "SELECT origin FROM homes JOIN zones ON zones.id = homes.zone WHERE owner = %(owner)s ORDER BY origin",
        {"owner": owner},
    )
    return [names.from_order_key(row[0]) for row in await cursor.fetchall()]


async def bind_owner(conn: Conn, zone: int, owner: UUID, now: int) -> None:
    """Give the home of *zone* to *owner*."""
    await conn.execute(
        "UPDATE homes SET owner = %(owner)s, changed_at = to_timestamp(%(now)s) WHERE zone = %(zone)s",
        {"zone": zone, "owner": owner, "now": now},
        prepare=True,
    )


async def bind_device(conn: Conn, zone: int, device: UUID | None, now: int) -> None:
    """Have the home of *zone* have the box *device*, or none. Raises `UniqueViolation` (device_in_two_homes)."""
    await conn.execute(
        "UPDATE homes SET device = %(device)s, changed_at = to_timestamp(%(now)s) WHERE zone = %(zone)s",
        {"zone": zone, "device": device, "now": now},
        prepare=True,
    )


async def rests(conn: Conn, registry: int, home: Name) -> bool:
    """Say whether the label of *home* rests."""
    cursor = await conn.execute(
        "SELECT 1 FROM resting_labels WHERE zone = %(zone)s AND label = %(label)s",
        {"zone": registry, "label": names.order_key(home)},
        prepare=True,
    )
    return await cursor.fetchone() is not None


async def lost_box(conn: Conn, zone: int) -> UUID | None:
    """Return the box that the home of *zone* reported as stolen last, and has not found since."""
    cursor = await conn.execute(
        """SELECT lost.device FROM home_events AS lost
           WHERE lost.zone = %(zone)s AND lost.event = 'stolen' AND NOT EXISTS (
               SELECT FROM home_events AS back
               WHERE back.zone = lost.zone AND back.device = lost.device AND back.event = 'found' AND back.id > lost.id)
           ORDER BY lost.id DESC LIMIT 1""",
        {"zone": zone},
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def released_box(conn: Conn, zone: int) -> UUID | None:
    """Return the box that the home of *zone* released last, if that release is not spent."""
    cursor = await conn.execute(
        """SELECT releases.device FROM home_events
           JOIN releases ON releases.device = home_events.device AND releases.statement = home_events.statement
           WHERE home_events.zone = %(zone)s AND home_events.event = 'release' AND releases.spent_at IS NULL
           ORDER BY home_events.id DESC LIMIT 1""",
        {"zone": zone},
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def left_before(conn: Conn, then: int, most: int) -> list[Name]:
    """Return the tenant's homes that left before *then*, in seconds since 1970; at most *most*, the oldest first."""
    cursor = await conn.execute(
        """SELECT zones.origin FROM homes JOIN zones ON zones.id = homes.zone
           WHERE homes.state = 'closed' AND homes.tenant = ddns_tenant() AND homes.closed_at <= to_timestamp(%(then)s)
           ORDER BY homes.closed_at LIMIT %(most)s""",
        {"then": then, "most": most},
        prepare=True,
    )
    return [names.from_order_key(row[0]) for row in await cursor.fetchall()]


async def remove_closed(conn: Conn, zone: int, now: int) -> bool:
    """Remove the zone of a home that closed 30 days before *now*, and what it holds; False: it is not that old."""
    cursor = await conn.execute(
        "SELECT remove_closed_home(%(zone)s, to_timestamp(%(now)s))", {"zone": zone, "now": now}, prepare=True
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def free_labels(conn: Conn, now: int, most: int) -> int:
    """Have at most *most* labels of the tenant rest no more whose time is over; return how many."""
    cursor = await conn.execute(
        """DELETE FROM resting_labels WHERE (zone, label) IN (
             SELECT zone, label FROM resting_labels
             WHERE tenant = ddns_tenant() AND free_at <= to_timestamp(%(now)s) LIMIT %(most)s)""",
        {"now": now, "most": most},
        prepare=True,
    )
    return cursor.rowcount
