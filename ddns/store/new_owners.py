"""Owners as a home that is made meets them: known by one of their keys, or new with it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection


class Found(msgspec.Struct, frozen=True):
    """A live key's owner, and what the key is for: `owner`, `admin` or `recovery`."""

    owner: UUID
    role: str


async def of_key(conn: AsyncConnection[Any], thumbprint: bytes) -> Found | None:
    """Return whose live key the one with this *thumbprint* is, among the owners of the transaction's tenant."""
    cursor = await conn.execute(
        """
        SELECT owner_keys.owner, owner_keys.role
        FROM owner_keys JOIN owners ON owners.id = owner_keys.owner AND owners.state = 'active'
        WHERE owner_keys.tenant = ddns_tenant() AND owner_keys.thumbprint = %(thumbprint)s
              AND owner_keys.revoked_at IS NULL
        """,
        {"thumbprint": thumbprint},
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else Found(row[0], row[1])


async def add(conn: AsyncConnection[Any], owner: UUID, thumbprint: bytes, jwk: bytes, now: int) -> None:
    """Make *owner*, with one key of the role owner; *now* in seconds since 1970.

    Raises `psycopg.errors.UniqueViolation` (owner_key_twice) where somebody was quicker.
    """
    await conn.execute(
        "INSERT INTO owners (id, created_at) VALUES (%(owner)s, to_timestamp(%(now)s))", {"owner": owner, "now": now}
    )
    await conn.execute(
        """
        INSERT INTO owner_keys (owner, role, thumbprint, jwk, since)
        VALUES (%(owner)s, 'owner', %(thumbprint)s, %(jwk)s, to_timestamp(%(now)s))
        """,
        {"owner": owner, "thumbprint": thumbprint, "jwk": jwk, "now": now},
    )
