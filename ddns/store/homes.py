"""Homes: which zones belong to one, and whether it may update."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name

ACTIVE = "active"
SUSPENDED = "suspended"
QUARANTINED = "quarantined"
CLOSED = "closed"
HELD = (SUSPENDED, QUARANTINED)  # each for a reason that its owner reads


class Standing(msgspec.Struct, frozen=True):
    """How a home stands, and whose it is; *closed_at* in seconds since 1970."""

    state: str
    reason: str
    owner: UUID | None
    device: UUID | None
    closed_at: int | None


class Home(msgspec.Struct, frozen=True):
    """A home: its zone's id and name, *parent* the registry's zone; *created_at* in seconds since 1970."""

    zone: int
    origin: Name
    parent: int | None
    state: str
    created_at: int


async def insert(conn: AsyncConnection[Any], zone: int) -> None:
    """Say that *zone* belongs to a home. Raises `psycopg.errors.UniqueViolation` where it does already."""
    await conn.execute("INSERT INTO homes (zone) VALUES (%(zone)s)", {"zone": zone}, prepare=True)


async def standing(conn: AsyncConnection[Any], zone: int) -> Standing | None:
    """Return how the home of *zone* stands."""
    cursor = await conn.execute(
        """
        SELECT state, reason, owner, device, extract(epoch FROM closed_at)::bigint FROM homes WHERE zone = %(zone)s
        """,
        {"zone": zone},
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else Standing(*row)


async def set_state(
    conn: AsyncConnection[Any], zone: int, state: str, reason: str = "", now: int | None = None
) -> bool:
    """Write how the home of *zone* stands since *now* (seconds since 1970); tell whether there is one.

    One that is suspended or quarantined needs a *reason*; in other states there is none.
    """
    cursor = await conn.execute(
        """
        UPDATE homes SET state = %(state)s, reason = %(reason)s,
            changed_at = coalesce(to_timestamp(%(now)s), changed_at),
            closed_at = CASE %(state)s WHEN 'closed' THEN to_timestamp(%(now)s) END
        WHERE zone = %(zone)s
        """,
        {"zone": zone, "state": state, "reason": reason if state in HELD else "", "now": now},
        prepare=True,
    )
    return cursor.rowcount > 0


async def hide(conn: AsyncConnection[Any], zone: int, *, held: bool) -> None:
    """Have nobody serve a locked *zone* any more, or have it served again."""
    await conn.execute(
        "UPDATE zones SET held = %(held)s WHERE id = %(zone)s", {"zone": zone, "held": held}, prepare=True
    )


async def listing(conn: AsyncConnection[Any]) -> list[Home]:
    """Return all homes in canonical order."""
    cursor = await conn.execute(
        """
        SELECT homes.zone, zones.origin, zones.parent, homes.state, extract(epoch FROM homes.created_at)::bigint
        FROM homes JOIN zones ON zones.id = homes.zone ORDER BY zones.origin
        """,
        binary=True,
    )
    return [Home(row[0], names.from_order_key(row[1]), *row[2:]) for row in await cursor.fetchall()]
