"""Releases: a seller's word that a box may be enrolled by its buyer, once and for a time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[Any]


class Release(msgspec.Struct, frozen=True):
    """A release that is not spent: *bearer* is a secret's SHA-256, *receiver* a thumbprint; one of them is there."""

    id: UUID
    until: int
    bearer: bytes | None
    receiver: bytes | None


async def insert(
    conn: Conn, release: UUID, device: UUID, statement: bytes, bearer: bytes | None, receiver: bytes | None, until: int
) -> None:
    """Put a release of *device* in the place of any that there is."""
    await conn.execute(
        "UPDATE releases SET spent_at = until WHERE device = %(device)s AND spent_at IS NULL",
        {"device": device},
        prepare=True,
    )
    await conn.execute(
        """INSERT INTO releases (id, device, statement, bearer, receiver, until)
           VALUES (%(id)s, %(device)s, %(statement)s, %(bearer)s, %(receiver)s, to_timestamp(%(until)s))""",
        {
            "id": release,
            "device": device,
            "statement": statement,
            "bearer": bearer,
            "receiver": receiver,
            "until": until,
        },
        prepare=True,
    )


async def of(conn: Conn, device: UUID) -> Release | None:
    """Return the release of *device* that is not spent; it may be over."""
    cursor = await conn.execute(
        """SELECT id, extract(epoch FROM until)::bigint, bearer, receiver FROM releases
           WHERE device = %(device)s AND spent_at IS NULL""",
        {"device": device},
        prepare=True,
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return Release(row[0], row[1], *(None if one is None else bytes(one) for one in row[2:]))


async def spend(conn: Conn, release: UUID, now: int) -> None:
    """Have a release be used up."""
    await conn.execute(
        "UPDATE releases SET spent_at = to_timestamp(%(now)s) WHERE id = %(id)s", {"id": release, "now": now},
        prepare=True,
    )  # fmt: skip
