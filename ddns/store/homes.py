"""Homes: which zones belong to one, and whether it may update."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name

ACTIVE = "active"
SUSPENDED = "suspended"


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


async def set_state(conn: AsyncConnection[Any], zone: int, state: str, reason: str = "by the operator") -> bool:
    """Make the home of *zone* `active`, or `suspended` for a *reason* that is not empty; tell whether there is one."""
    cursor = await conn.execute(
        "UPDATE homes SET state = %(state)s, reason = %(reason)s WHERE zone = %(zone)s",
        {"zone": zone, "state": state, "reason": "" if state == ACTIVE else reason},
        prepare=True,
    )
    return cursor.rowcount > 0


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
